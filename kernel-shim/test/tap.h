/* SPDX-License-Identifier: MIT */
/*
 * TAP for programs that test checkpoints. What a test counts must survive rollbacks, so it lies in shared memory, which a rollback leaves
 * alone. Whole lines are written at once, since several programs may share a serial line.
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct tap {
	int done, failed;
};

static struct tap *tap;

static inline void tap_line(const char *format, ...)
{
	char line[1024];
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(line, sizeof(line) - 1, format, list);
	va_end(list);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(1, line, n) != n)
		abort();
}

static inline bool tap_result(bool good, const char *format, ...)
{
	char name[512];
	va_list list;

	va_start(list, format);
	vsnprintf(name, sizeof(name), format, list);
	va_end(list);
	tap->done++;
	tap->failed += !good;
	tap_line("%sok %d - %s", good ? "" : "not ", tap->done, name);
	return good;
}

/* One test: a condition that must hold. */
#define ok(condition, ...) tap_result(condition, __VA_ARGS__)

static inline void tap_skip(const char *name, const char *why)
{
	tap->done++;
	tap_line("ok %d - %s # SKIP %s", tap->done, name, why);
}

static inline void tap_begin(void)
{
	tap = mmap(NULL, sizeof(*tap), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tap == MAP_FAILED)
		abort();
}

/* Prints the plan; returns the exit code. */
static inline int tap_end(void)
{
	tap_line("1..%d", tap->done);
	return tap->failed != 0;
}

/*
 * Runs a function in a process of its own, which may be rolled back, crash and leave memory as it likes. It is a failed test if the
 * process does not end by itself.
 */
static inline void in_child(const char *name, void (*function)(void *argument), void *argument)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		function(argument);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (status)
		tap_result(false, "%s: its process ended with status %#x", name, status);
}

#endif
