/* SPDX-License-Identifier: MIT */
/* What the files of smcctl share. Exit codes are documented in smcctl(1). */
#ifndef SMCCTL_H
#define SMCCTL_H

#include <sys/types.h>

#include <smc/libsmc.h>

enum {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1,	/* the module said no */
	EXIT_USAGE = 2,		/* the command line is wrong */
	/* smcctl run, as env(1) and others that start a program have it */
	EXIT_RUN = 125,		/* the program was not started, or not attached */
	EXIT_CANNOT_EXECUTE = 126,
	EXIT_NOT_FOUND = 127,
	EXIT_SIGNAL = 128,	/* + the signal that ended the program */
};

/* Prints "smcctl: ..." as one line to standard error. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Complains of a call's errno. what: what was attempted. */
void complain_of_call(enum smc_call call, int error, const char *what);

/* Complains of the command line, points to --help, and ends with EXIT_USAGE. */
void usage_error(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Reads a whole number with an optional suffix K, M or G; ends with a usage error that names the option. */
unsigned long long bytes_of(const char *option, const char *text);

int run_command(int argc, char **argv);
int stat_command(int argc, char **argv);
int checkpoint_command(int argc, char **argv);
int rollback_command(int argc, char **argv);

#endif
