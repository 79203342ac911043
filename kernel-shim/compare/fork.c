// SPDX-License-Identifier: MIT
/*
 * A checkpoint is a child that waits: it has memory as it was, shared with the process until one of them writes. A rollback goes on in the
 * child.
 *
 *      checkpoint        process ───────────────▶ runs on
 *                          └─ fork ─ holder       waits
 *
 *      rollback          process                  waits for the holder to end, and ends as it does
 *                          └─ holder ───────────▶ runs on, from the checkpoint
 *                               └─ fork ─ holder  waits: the checkpoint can be returned to again
 *
 * WHO IS IT THEN? After a rollback the program runs in another process. The old one stays, without the watched memory, so that whoever
 * started the program still waits for the same process and gets its exit status, and whoever kills that kills the program (the kernel's
 * parent-death signal). All the same the program can tell, and so can others:
 *      - getpid() gives another number, and getppid() the old one's: a number written down before (a lock file, a log, a supervisor's table) is
 *        wrong, and signals sent to it do not arrive;
 *      - only the thread that took the checkpoint is there: a program with threads cannot be rolled back;
 *      - its children are not its children any more: it cannot wait for them;
 *      - record locks (fcntl), timers, pending signals and CPU time counted so far are not inherited;
 *      - each rollback leaves one more process that waits.
 * None of this is true of a mechanism that puts pre-images back, which is why this one serves crash recovery in tests (AFL's fork
 * server is the same idea) rather than servers.
 *
 * THE COST is not that of copying alone: fork() copies the page tables of the whole process and makes all of it read-only, and the holder's
 * end takes them down again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

/* Survives rollbacks. */
static struct shared {
	unsigned long checkpoints, rollbacks;
} *shared;

static pid_t holder;		/* child that holds the checkpoint, 0: none */
static int wake[2];		/* a byte wakes the holder */

static const char *attach(const struct area *given, size_t n)
{
	areas_set(given, n);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	if (pipe2(wake, O_CLOEXEC))
		die("pipe2");
	return NULL;
}

/* Waits until the checkpoint is wanted. Returns as the program, with a new holder behind it. */
static void hold(pid_t parent)
{
	char byte;

	for (;;) {
		ssize_t n;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		do {
			n = read(wake[0], &byte, 1);
		} while (n < 0 && errno == EINTR);
		if (n != 1)
			_exit(0);
		parent = getpid();
		holder = fork();
		if (holder < 0)
			die("fork");
		if (holder)
			return;
	}
}

static void drop_holder(void)
{
	if (holder) {
		kill(holder, SIGKILL);
		while (waitpid(holder, NULL, 0) < 0 && errno == EINTR)
			;
		holder = 0;
	}
}

static int checkpoint(void)
{
	pid_t process = getpid(), child;

	drop_holder();
	shared->checkpoints++;
	child = fork();
	if (child < 0)
		die("fork");
	if (child) {
		holder = child;
		return 0;
	}
	hold(process);
	return 1;
}

/* What is left of the process that rolled back: ends as the program does. */
static void stand_in(pid_t program)
{
	int status;

	for (size_t i = 0; i < nareas; i++)
		madvise(areas[i].start, areas[i].pages * PAGE, MADV_DONTNEED);
	while (waitpid(program, &status, 0) < 0)
		if (errno != EINTR)
			_exit(3);
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
	}
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
}

static void rollback(void)
{
	shared->rollbacks++;
	if (write(wake[1], "", 1) != 1)
		die("write");
	stand_in(holder);
}

static void detach(void)
{
	drop_holder();
}

static void statistics(struct mechanism_statistics *s)
{
	*s = (struct mechanism_statistics){ .checkpoints = shared->checkpoints, .rollbacks = shared->rollbacks };
}

const struct mechanism fork_child = {
	.name = "fork",
	.again = true,
	.kernel_writes = true,
	.attach = attach,
	.checkpoint = checkpoint,
	.rollback = rollback,
	.detach = detach,
	.statistics = statistics,
};
