/* SPDX-License-Identifier: MIT */
/* What many of the programs need: results with their names, steps of two processes, numbers out of files, chance. */
#ifndef CHECKS_H
#define CHECKS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "smc_calls.h"
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)

/* Ends the process where something goes wrong that is not what is tested. */
static inline void must(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	_exit(3);
}

/* A result: a number, or the name of an error. */
static inline const char *result(long r, char text[32])
{
	if (r < 0 && strerrorname_np(-r))
		return strerrorname_np(-r);
	sprintf(text, "%ld", r);
	return text;
}

/* One test: a call's result is the one that is wanted, an errno negative. */
static inline __attribute__((format(printf, 3, 4))) bool gives(long r, long wanted, const char *format, ...)
{
	char name[400], is[32], should[32];
	va_list list;

	va_start(list, format);
	vsnprintf(name, sizeof(name), format, list);
	va_end(list);
	if (r == wanted)
		return ok(true, "%s: %s", name, result(r, is));
	return ok(false, "%s: %s, not %s", name, result(r, is), result(wanted, should));
}

static inline void none_held(const char *section)
{
	ok(smc_held() == 0, "%s: nothing is held when all are gone: %ld bytes", section, smc_held());
}

static unsigned int seed __attribute__((unused)) = 1;

/* A number from 0 to below - 1. The seed lies in memory, so a rollback brings it back, too. */
static inline unsigned int draw(unsigned int below)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return (unsigned long)seed * below >> 32;
}

/* Seconds. */
static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* A step that two processes wait for; it lies in shared memory. */
static inline void reach(atomic_int *step, int which)
{
	atomic_store(step, which);
}

static inline void await(atomic_int *step, int which)
{
	double start = now();

	while (atomic_load(step) < which) {
		usleep(200);
		must(now() - start < 20, "the other process does not come");
	}
}

/*
 * A process that is attached, and nothing more. While there is one, the module's hooks stay in place: to put them there and to take them away
 * takes longer than the life of a process.
 */
static inline pid_t make_anchor(void)
{
	int ends[2];
	pid_t pid;
	char byte;

	must(!pipe2(ends, O_CLOEXEC), "pipe");
	pid = fork();
	if (!pid) {
		smc_self(0, "");
		close(ends[0]);
		close(ends[1]);
		for (;;)
			pause();
	}
	close(ends[1]);
	must(pid > 0 && read(ends[0], &byte, 1) == 0, "anchor");
	close(ends[0]);
	return pid;
}

static inline void end_anchor(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Writes a text to a file of the kernel's, if there is such a file. */
static inline void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		perror(path);
	close(fd);
}

#define PARAMETER(name) "/sys/module/smc/parameters/" name

/* The number after a name, at the beginning of a line of a file; -1 where there is none. */
static inline long number_in(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	char line[512];
	long n = -1;

	while (file && n < 0 && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)) && strchr(" :\t", line[strlen(name)]))
			n = atol(line + strlen(name) + 1);
	if (file)
		fclose(file);
	return n;
}

#endif
