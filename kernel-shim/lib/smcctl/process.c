/* SPDX-License-Identifier: MIT */
/* smcctl stat, checkpoint, rollback: commands about a process that is attached. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smcctl.h"

/*
 * Reads options and the process number after them. Each option of the command is in "options"; its value is stored by its
 * "val" in values[], which has "" for an option without one.
 */
static pid_t read_arguments(int argc, char **argv, const struct option *options, const char **values)
{
	const char *command = argv[0];
	char *end;
	long pid;
	int o;

	opterr = 0;
	while ((o = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (o == ':')
			usage_error("%s: option %s needs a value", command, argv[optind - 1]);
		if (o == '?')
			usage_error("%s: unknown option %s", command, argv[optind - 1]);
		values[o] = optarg ? optarg : "";
	}
	if (optind >= argc)
		usage_error("%s: no process number", command);
	if (optind + 1 < argc)
		usage_error("%s: one process number, and not %s too", command, argv[optind + 1]);
	errno = 0;
	pid = strtol(argv[optind], &end, 10);
	if (errno || *end || end == argv[optind] || pid < 1 || pid > INT_MAX)
		usage_error("%s: %s is no process number", command, argv[optind]);
	return pid;
}

/* A handle that is tied to the process; -1: complained. */
static int join(pid_t pid)
{
	char what[64];
	int handle = smc_open(NULL);

	if (handle < 0) {
		complain_of_call(SMC_CALL_OPEN, errno, SMC_DEVICE);
		return -1;
	}
	if (smc_join(handle, pid)) {
		snprintf(what, sizeof(what), "process %d", pid);
		complain_of_call(SMC_CALL_JOIN, errno, what);
		return -1;
	}
	return handle;
}

static int refused(enum smc_call call, pid_t pid)
{
	char what[64];
	int error = errno;

	snprintf(what, sizeof(what), "process %d", pid);
	complain_of_call(call, error, what);
	return EXIT_REFUSED;
}

static void print_json_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			printf("\\u%04x", (unsigned char)*text);
		else
			putchar(*text);
	}
	putchar('"');
}

static void print_counters(pid_t pid, const struct smc_stat *s, bool json)
{
	const struct {
		const char *name, *text;
		uint64_t value;
	} counters[] = {
		{ "epoch", "checkpoints taken", s->epoch },
		{ "rollbacks", "rollbacks carried out", s->rollbacks },
		{ "dirty", "pages saved in this epoch", s->dirty },
		{ "faults", "write faults that had to save a page", s->faults },
		{ "copied", "pages copied by a fault", s->copied },
		{ "absent", "pages saved without a copy", s->absent },
		{ "unmapped", "pages saved before they were unmapped", s->unmapped },
		{ "ahead", "pages copied ahead", s->ahead },
		{ "compares", "pages compared for a policy", s->compares },
		{ "protected_pages", "pages write-protected", s->protected_pages },
		{ "restored", "pages put back", s->restored },
		{ "remapped", "rollbacks that changed the map", s->remapped },
		{ "held", "bytes held", s->held },
		{ "held_peak", "bytes held at most", s->held_peak },
		{ "limit", "bytes that may be held", s->limit },
		{ "threads", "threads in the checkpoint", s->threads },
		{ "flushes", "TLB flushes", s->flushes },
	};

	if (json) {
		printf("{\"pid\":%d,\"policy\":", pid);
		print_json_text(s->policy);
		for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
			printf(",\"%s\":%" PRIu64, counters[i].name, counters[i].value);
		puts("}");
		return;
	}
	printf("process %d, policy %s\n", pid, *s->policy ? s->policy : "none");
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		printf("%14" PRIu64 "  %s\n", counters[i].value, counters[i].text);
}

int stat_command(int argc, char **argv)
{
	enum { JSON };
	static const struct option options[] = { { "json", no_argument, NULL, JSON }, { 0 } };
	const char *values[1] = { 0 };
	pid_t pid = read_arguments(argc, argv, options, values);
	struct smc_stat s;
	int handle = join(pid);

	if (handle < 0)
		return EXIT_REFUSED;
	if (smc_stat(handle, &s))
		return refused(SMC_CALL_STAT, pid);
	print_counters(pid, &s, values[JSON]);
	return fflush(stdout) ? EXIT_REFUSED : EXIT_DONE;
}

int checkpoint_command(int argc, char **argv)
{
	static const struct option options[] = { { 0 } };
	pid_t pid = read_arguments(argc, argv, options, NULL);
	int handle = join(pid);

	if (handle < 0)
		return EXIT_REFUSED;
	return smc_checkpoint(handle) ? refused(SMC_CALL_CHECKPOINT, pid) : EXIT_DONE;
}

int rollback_command(int argc, char **argv)
{
	enum { VALUE };
	static const struct option options[] = { { "value", required_argument, NULL, VALUE }, { 0 } };
	const char *values[1] = { "1" };
	pid_t pid = read_arguments(argc, argv, options, values);
	char *end;
	long value;
	int handle;

	errno = 0;
	value = strtol(values[VALUE], &end, 10);
	if (errno || *end || end == values[VALUE] || value < 1 || value > INT_MAX)
		usage_error("rollback: --value %s: give a whole number from 1 to %d", values[VALUE], INT_MAX);
	handle = join(pid);
	if (handle < 0)
		return EXIT_REFUSED;
	return smc_rollback(handle, value) ? refused(SMC_CALL_ROLLBACK, pid) : EXIT_DONE;
}
