/* SPDX-License-Identifier: MIT */
/* smcctl: checkpoints of processes from the command line. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smcctl.h"

static const char help[] =
	"smcctl: checkpoints of processes, by the kernel module smc\n"
	"\n"
	"  smcctl run [OPTIONS] [--] PROGRAM [ARGUMENT...]\n"
	"      starts a program and attaches it. The exit code is the program's.\n"
	"      --policy SPEC       pages that are copied ahead: NAME[:option=value,...]\n"
	"      --limit BYTES       kernel memory that it may hold; K, M and G may follow\n"
	"      --agent[=OPTIONS]   preloads the agent, which makes rescue points of a server's requests\n"
	"                          and rolls crashes back; OPTIONS are those of smc-agent(7)\n"
	"  smcctl stat [--json] PID\n"
	"      prints the counters of an attached process.\n"
	"  smcctl checkpoint PID\n"
	"      takes a checkpoint of an attached process.\n"
	"  smcctl rollback [--value NUMBER] PID\n"
	"      rolls it back. Where it called for the checkpoint itself, that call returns NUMBER (default 1).\n"
	"  smcctl --help | --version\n"
	"\n"
	"Exit codes: 0 done, 1 the module refused, 2 the command line is wrong; of run: the program's, or\n"
	"125 it was not started or attached, 126 it cannot be executed, 127 it was not found,\n"
	"128 + N it was ended by signal N. Manual pages: smcctl(1), smc(7), smc-agent(7).\n";

void complain(const char *format, ...)
{
	va_list list;

	fflush(stdout);
	fputs("smcctl: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
}

void complain_of_call(enum smc_call call, int error, const char *what)
{
	complain("%s: %s: %s", what, strerror(error), smc_strerror(call, error));
}

void usage_error(const char *format, ...)
{
	va_list list;

	fflush(stdout);
	fputs("smcctl: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputs("; \"smcctl --help\" tells more\n", stderr);
	exit(EXIT_USAGE);
}

unsigned long long bytes_of(const char *option, const char *text)
{
	static const char suffixes[] = "KMG";
	unsigned long long n;
	const char *suffix;
	int shift = 0;
	char *end;

	n = strtoull(text, &end, 10);
	if (end == text || *text == '-' || *text == '+' || *text == ' ')
		usage_error("%s %s: give a whole number of bytes, like 64M", option, text);
	suffix = *end ? strchr(suffixes, *end) : NULL;
	if (suffix) {
		shift = 10 * (suffix - suffixes + 1);
		end++;
	}
	if (*end)
		usage_error("%s %s: after the number only K, M or G may follow", option, text);
	if (n > ~0ULL >> shift)
		usage_error("%s %s: the number is too great", option, text);
	return n << shift;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{ "run", run_command },
		{ "stat", stat_command },
		{ "checkpoint", checkpoint_command },
		{ "rollback", rollback_command },
	};

	if (argc < 2)
		usage_error("no command: give one of run, stat, checkpoint, rollback");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		fputs(help, stdout);
		return fflush(stdout) ? EXIT_REFUSED : EXIT_DONE;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("smcctl %s, interface %d\n", smc_version(), SMC_ABI);
		return fflush(stdout) ? EXIT_REFUSED : EXIT_DONE;
	}
	if (argv[1][0] == '-')
		usage_error("unknown option %s before the command", argv[1]);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	usage_error("unknown command %s: give one of run, stat, checkpoint, rollback", argv[1]);
}
