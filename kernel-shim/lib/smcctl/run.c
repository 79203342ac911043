/* SPDX-License-Identifier: MIT */
/*
 * smcctl run: starts a program, has it attached, and waits for it.
 *
 * Without the agent smcctl attaches it, and stays as its parent, since the handle owns the attachment. An attachment ends with
 * exec, so it must come after that: a pipe that exec closes tells when. By then the program may have run for some moments, which is no loss,
 * as nothing is saved before its first checkpoint. So it needs neither to be stopped nor traced, and set-user-ID programs
 * keep their meaning.
 *
 * With the agent the program attaches itself, when it has accepted its first connection.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "smcctl.h"

#define AGENT "libsmc-agent.so"

struct arguments {
	const char *policy;
	unsigned long long limit;
	bool agent;
	const char *agent_options;
	char **program;
};

static void read_arguments(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {
		{ "policy", required_argument, NULL, 'p' },
		{ "limit", required_argument, NULL, 'l' },
		{ "agent", optional_argument, NULL, 'a' },
		{ 0 },
	};
	int o;

	opterr = 0;
	/* "+": what follows the program is the program's */
	while ((o = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
		switch (o) {
		case 'p':
			a->policy = optarg;
			break;
		case 'l':
			a->limit = bytes_of("run: --limit", optarg);
			break;
		case 'a':
			a->agent = true;
			a->agent_options = optarg ? optarg : "";
			break;
		case ':':
			usage_error("run: option %s needs a value", argv[optind - 1]);
		default:
			usage_error("run: unknown option %s", argv[optind - 1]);
		}
	}
	if (optind >= argc)
		usage_error("run: no program");
	if (a->policy && strlen(a->policy) >= SMC_SPEC_LEN)
		usage_error("run: --policy: the text is longer than %d bytes", SMC_SPEC_LEN - 1);
	a->program = argv + optind;
}

/* ------------------------------------------------------------------ the agent's environment */

/* Path of the agent: beside smcctl, or in a library folder near it; else its name, for the loader to find. */
static const char *agent_path(void)
{
	static const char *const places[] = { "", "../lib/", "../lib/x86_64-linux-gnu/" };
	static char path[PATH_MAX + 64];
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n <= 0)
		return AGENT;
	self[n] = 0;
	slash = strrchr(self, '/');
	if (!slash)
		return AGENT;
	slash[1] = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s%s" AGENT, self, places[i]);
		/* a path with one of these would be two for the loader */
		if (!strpbrk(path, ": ") && access(path, R_OK) == 0)
			return path;
	}
	return AGENT;
}

static void append(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void append(char *text, size_t size, const char *format, ...)
{
	size_t n = strlen(text);
	va_list list;
	int more;

	va_start(list, format);
	more = vsnprintf(text + n, size - n, format, list);
	va_end(list);
	if (more < 0 || (size_t)more >= size - n)
		usage_error("run: the agent's options are too long");
}

/* Options after others win, so those of the command line come last. In a policy the agent wants ";" for ",". */
static void set_agent_environment(const struct arguments *a)
{
	const char *preload = getenv("LD_PRELOAD");
	char text[4096] = "";
	char *policy;

	append(text, sizeof(text), "%s", a->agent_options);
	if (a->policy) {
		policy = text + strlen(text);
		append(text, sizeof(text), "%spolicy=%s", *text ? "," : "", a->policy);
		for (policy += *policy == ','; *policy; policy++)
			if (*policy == ',')
				*policy = ';';
	}
	if (a->limit)
		append(text, sizeof(text), "%slimit=%llu", *text ? "," : "", a->limit);
	setenv("SMC_AGENT", text, 1);
	*text = 0;
	append(text, sizeof(text), "%s%s%s", agent_path(), preload && *preload ? " " : "", preload ? preload : "");
	setenv("LD_PRELOAD", text, 1);
}

/* ------------------------------------------------------------------ starting and waiting */

/* What the child does. Tells why exec failed through the pipe; exec closes it. */
static void become_program(const struct arguments *a, int tell, const sigset_t *mask)
{
	int error;

	if (a->agent)
		set_agent_environment(a);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(a->program[0], a->program);
	error = errno;
	if (write(tell, &error, sizeof(error)) != sizeof(error))
		_exit(EXIT_RUN);
	_exit(EXIT_NOT_FOUND);
}

/* Waits for exec. 0, or why it failed; -1: the child is gone before it came to that. */
static int await_exec(int hear)
{
	int error;
	ssize_t n;

	do
		n = read(hear, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	close(hear);
	return n == sizeof(error) ? error : n == 0 ? 0 : -1;
}

static bool attach(int handle, pid_t child, const struct arguments *a)
{
	struct smc_options options = { .policy = a->policy, .limit = a->limit };
	int error;

	if (smc_attach(handle, child, &options) == 0)
		return true;
	error = errno;
	if (error == EINVAL && options.error_at)
		complain("--policy %s: mistake at column %u", a->policy, options.error_at);
	else if (error == ESRCH)
		return true;	/* it has ended already, and its exit code tells more */
	else
		complain_of_call(SMC_CALL_ATTACH, error, a->program[0]);
	return false;
}

static int exit_code(int status)
{
	return WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

/*
 * Forwards signals that were sent to us until the child ends. Those that the terminal sends, which are the kernel's, it sends to
 * the child, too.
 */
static int wait_and_forward(pid_t child, const sigset_t *signals)
{
	siginfo_t info;
	int status;

	for (;;) {
		if (sigwaitinfo(signals, &info) < 0)
			continue;
		if (info.si_signo == SIGCHLD) {
			if (waitpid(child, &status, WNOHANG) == child)
				return exit_code(status);
		} else if (info.si_code <= 0) {
			kill(child, info.si_signo);
		}
	}
}

int run_command(int argc, char **argv)
{
	static const int forwarded[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT };
	struct arguments a = { 0 };
	sigset_t signals, mask;
	int tell[2], handle = -1, error;
	pid_t child;

	read_arguments(argc, argv, &a);
	if (!a.agent) {
		handle = smc_open(NULL);
		if (handle < 0) {
			complain_of_call(SMC_CALL_OPEN, errno, SMC_DEVICE);
			return EXIT_RUN;
		}
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		sigaddset(&signals, forwarded[i]);
	signal(SIGCHLD, SIG_DFL);	/* were it ignored, the exit code would be lost */
	sigprocmask(SIG_BLOCK, &signals, &mask);

	if (pipe2(tell, O_CLOEXEC) || (child = fork()) < 0) {
		complain("cannot start a process: %s", strerror(errno));
		return EXIT_RUN;
	}
	if (child == 0)
		become_program(&a, tell[1], &mask);
	close(tell[1]);
	error = await_exec(tell[0]);
	if (error > 0) {
		complain("%s: %s", a.program[0], strerror(error));
		waitpid(child, NULL, 0);
		return error == ENOENT || error == ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
	}
	if (handle >= 0 && error == 0 && !attach(handle, child, &a)) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		return EXIT_RUN;
	}
	return wait_and_forward(child, &signals);
}
