/* SPDX-License-Identifier: MIT */
/* Rescue points: when a checkpoint is taken, and what follows a rollback to it. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "real.h"

/* Where a checkpoint is taken. */
enum place { BEFORE_READ, AFTER_ACCEPT, BEFORE_WAIT };

/*
 * Threads in the middle of a request: from its first read until they wait for clients, read or accept again, or end. In ordinary memory: at a
 * rollback they are again in what they were in at the checkpoint.
 */
static atomic_int in_request;
static THREAD_LOCAL bool is_in_request;

static void enter_request(void)
{
	if (!is_in_request) {
		is_in_request = true;
		atomic_fetch_add(&in_request, 1);
	}
}

void rescue_leave_request(void)
{
	if (is_in_request) {
		is_in_request = false;
		atomic_fetch_sub(&in_request, 1);
	}
}

static int64_t milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------ threads that end */

/* A thread that is part of a checkpoint and ends makes it worthless: none should be taken while one is about to. */
void rescue_thread_ends(void)
{
	int self = this_thread();

	rescue_leave_request();
	if (!protecting())
		return;
	atomic_store(&shared->stale, true);
	for (int i = 0; i < 16; i++) {
		int nobody = 0;

		if (atomic_compare_exchange_strong(&shared->ending[i], &nobody, self))
			return;
	}
}

/* Waits for those threads, a moment. */
static void await_ending_threads(void)
{
	for (int i = 0; i < 16; i++) {
		int thread = atomic_load(&shared->ending[i]);

		for (int j = 0; thread && j < 20 && syscall(SYS_tgkill, shared->pid, thread, 0) == 0; j++)
			nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
		if (thread)
			atomic_store(&shared->ending[i], 0);
	}
}

/* ------------------------------------------------------------------ attaching */

/*
 * libsmc's smc_open() would open it by our own open(), which takes a note. The handle is opened when a process begins (exec or fork), since servers
 * often give up the right to. It gets a number that servers do not close one by one, and close() spares it besides.
 */
void rescue_open_device(void)
{
	int fd = REAL(open)(config.device, O_RDWR | O_CLOEXEC);
	int error = errno;

	shared->handle = -1;
	if (fd >= 0) {
		shared->handle = descriptor_own(fd);
		return;
	}
	if (!config.required)
		return;	/* whether that matters is known when a client comes */
	dprintf(2, "smc-agent: %s: %s: %s. The program is not started, as SMC_AGENT says required=yes\n", config.device,
		strerror(error), smc_strerror(SMC_CALL_OPEN, error));
	_exit(EXIT_AGENT);
}

static void unprotected(const char *what, enum smc_call call, int error)
{
	atomic_store(&shared->protection, LOST);
	log_line("%s: %s: %s. The server runs without rescue points from now on", what, strerror(error),
		 smc_strerror(call, error));
}

static void not_attached(const char *what, enum smc_call call, int error)
{
	unprotected(what, call, error);
	if (!config.required)
		return;
	log_line("the server ends, as SMC_AGENT says required=yes");
	_exit(EXIT_AGENT);
}

/* Attaches the process. Called with the lock held. */
static void attach(void)
{
	struct smc_options options = { .policy = config.policy, .limit = config.limit };

	if (shared->handle < 0)
		rescue_open_device();
	if (shared->handle < 0) {
		not_attached(config.device, SMC_CALL_OPEN, errno);
		return;
	}
	if (smc_attach(shared->handle, 0, &options)) {
		int error = errno;

		/* by "smcctl run", for example: that attachment will do */
		if (error != EBUSY || smc_join(shared->handle, 0)) {
			if (error == EINVAL && options.error_at)
				log_line("policy=%s: mistake at column %u", config.policy, options.error_at);
			not_attached("attach", SMC_CALL_ATTACH, error);
			return;
		}
	}
	shared->epoch = false;
	crash_install();
	atomic_store(&shared->protection, ON);
	log_line("attached; policy: %s; rescue points:%s%s%s", *config.policy ? config.policy : "none",
		 config.rescue & RESCUE_READ ? " read" : "", config.rescue & RESCUE_ACCEPT ? " accept" : "",
		 config.rescue & RESCUE_WAIT ? " wait" : "");
}

void rescue_end(void)
{
	atomic_store(&shared->protection, LOST);
}

/* In a child, which has a copy of the notes, is not attached, and has only the thread that forked. The lock is held. */
void rescue_after_fork(void)
{
	atomic_store(&in_request, 0);
	is_in_request = false;
	descriptors_forget();
	shared->epoch = false;
	shared->checkpoints = shared->crashes = shared->resets = shared->skipped = 0;
	if (shared->handle >= 0) {
		shared->descriptors[shared->handle].kind = NONE;
		REAL(close)(shared->handle);
	}
	atomic_store(&shared->protection, OFF);
	rescue_open_device();
	crash_after_fork();
}

/* ------------------------------------------------------------------ checkpoints */

/* A checkpoint failed; the last one stands. Failing can take a second each time, so the next try comes later and later. */
static void failed(int error)
{
	if (error != ETIMEDOUT && error != ENOMEM && error != EBUSY && error != EINTR) {
		unprotected("checkpoint", SMC_CALL_CHECKPOINT, error);
		crash_uninstall();
		return;
	}
	shared->skipped++;
	if (error == EBUSY || error == EINTR)
		return;	/* it passes by itself */
	shared->pause = shared->pause ? shared->pause * 2 : 250;
	if (shared->pause > 60000)
		shared->pause = 60000;
	shared->pause_until = milliseconds() + shared->pause;
	if (shared->pause_error != error)
		log_line("checkpoint: %s: %s", strerror(error), smc_strerror(SMC_CALL_CHECKPOINT, error));
	shared->pause_error = error;
}

static void describe(const struct crash *c, char *text, size_t size)
{
	const char *name = crash_signal_names[crash_index(c->signal)];

	if (c->outside)
		snprintf(text, size, "%s from process %d", name, c->sender);
	else if (c->code <= 0)
		snprintf(text, size, "%s by the server's own call", name);
	else
		snprintf(text, size, "%s at instruction %#lx, address %#lx", name, c->instruction, c->address);
}

/* The server is at its checkpoint again, but for what the kernel keeps for it. */
static void restore(enum place place, int fd)
{
	static const char *const names[] = { "the read of", "the accept of", "waiting" };
	unsigned int resets;
	char what[128];

	resets = descriptors_restore();
	shared->resets += resets;
	describe(&shared->crash, what, sizeof(what));
	if (place == BEFORE_WAIT)
		log_line("crash %lu: %s in thread %d: rolled back to waiting for clients; connections reset: %u", shared->crashes,
			 what, shared->crash.thread, resets);
	else
		log_line("crash %lu: %s in thread %d: rolled back to %s descriptor %d; connections reset: %u", shared->crashes, what,
			 shared->crash.thread, names[place], fd, resets);
}

/*
 * Takes a checkpoint, unless now is not the time. True: the server was rolled back to it, and everything is as it was. The lock is
 * held, in both histories.
 */
static bool checkpoint(enum place place, int fd)
{
	int value;

	if (atomic_load(&in_request) > is_in_request) {
		shared->skipped++;
		return false;
	}
	if (shared->pause && milliseconds() < shared->pause_until) {
		shared->skipped++;
		return false;
	}
	if (atomic_load(&shared->stale))
		await_ending_threads();
	value = smc_checkpoint(shared->handle);
	if (value < 0) {
		failed(errno);
		return false;
	}
	if (value == 0) {
		shared->epoch = true;
		atomic_store(&shared->stale, false);
		shared->checkpoints++;
		shared->taker = this_thread();
		shared->retries = 0;
		shared->has_read = false;
		shared->pause = shared->pause_error = 0;
		descriptors_forget();
		return false;
	}
	agent_take_lock();
	restore(place, fd);
	return true;
}

/* ------------------------------------------------------------------ rescue points */

/*
 * A thread that has answered is in its request until it comes back to read or wait. Where it is only waiting for its turn to run, it gets
 * it. Where the last checkpoint may be worthless, it is worth some milliseconds to get another.
 */
static void let_others_finish(void)
{
	int patience = atomic_load(&shared->stale) ? 50 : 3;

	for (int i = 0; i < patience && atomic_load(&in_request) > is_in_request; i++) {
		if (i < 3)
			sched_yield();
		else
			nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	}
}

int rescue_accepted(int fd)
{
	int saved = errno;
	bool rolled_back = false, abort;

	if (config.rescue & RESCUE_ACCEPT)
		let_others_finish();
	agent_lock();
	descriptor_opened(fd, CLIENT);
	if (atomic_load(&shared->protection) == OFF)
		attach();
	if (protecting() && config.rescue & RESCUE_ACCEPT)
		rolled_back = checkpoint(AFTER_ACCEPT, fd);
	/* it is the newcomer's doing if the server crashed by itself, and nobody had said anything */
	abort = rolled_back && !shared->crash.outside && !shared->crash.had_request;
	if (abort) {
		connection_reset(fd);
		shared->resets++;
		descriptor_closes(fd);
		REAL(close)(fd);
		fd = -1;
	}
	agent_unlock();
	errno = abort ? ECONNABORTED : saved;
	return fd;
}

/*
 * Waits as the read would, without taking anything. Returns what the read would have: more than 0 stands for "something". The read itself
 * is not tried where nothing is there, since something could have come meanwhile.
 *
 * A thread that finds nothing and does not wait may still be in a request, of which it wanted to see whether there is more. One that
 * waits is not.
 */
static ssize_t peek(int fd, int flags)
{
	char byte;
	ssize_t r = REAL(recv)(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (r >= 0) {
		rescue_leave_request();
	} else if (errno == EAGAIN && !(flags & MSG_DONTWAIT) && !(REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK)) {
		rescue_before_wait();
		r = REAL(recv)(fd, &byte, 1, MSG_PEEK);
	}
	return r;
}

bool rescue_before_read(int fd, int flags)
{
	int saved = errno;
	bool rolled_back = false;
	ssize_t there;

	if (kind_of(fd) != CLIENT || !protecting() || flags & (MSG_OOB | MSG_ERRQUEUE))
		return true;
	there = peek(fd, flags);
	if (there < 0) {
		if (errno != ENOTSOCK)
			return false;
		shared->descriptors[fd].kind = PLAIN;	/* it was closed, and we did not see it */
		errno = saved;
		return true;
	}
	if (config.rescue & RESCUE_READ)
		let_others_finish();
	if (agent_begin()) {
		agent_lock();
		if (protecting() && config.rescue & RESCUE_READ)
			rolled_back = checkpoint(BEFORE_READ, fd);
		if (rolled_back) {
			/* it was read from, so it has been reset; once more does no harm */
			connection_reset(fd);
		} else {
			enter_request();
			descriptor_used(fd, READ);
			shared->has_read |= there > 0;
		}
		agent_unlock();
		agent_end();
	}
	errno = rolled_back ? ECONNRESET : saved;
	return !rolled_back;
}

void rescue_after_read(int fd, ssize_t result)
{
	int saved = errno;

	if (result <= 0 || kind_of(fd) != PEER || !protecting() || !agent_begin())
		return;
	agent_lock();
	enter_request();
	descriptor_used(fd, READ);
	shared->has_read = true;
	agent_unlock();
	agent_end();
	errno = saved;
}

void rescue_before_write(int fd)
{
	enum kind kind = kind_of(fd);
	int saved = errno;

	if ((kind != CLIENT && kind != PEER) || !protecting() || shared->descriptors[fd].since & WRITTEN || !agent_begin())
		return;
	agent_lock();
	descriptor_used(fd, WRITTEN);
	agent_unlock();
	agent_end();
	errno = saved;
}

/* The thread is about to wait for clients. */
void rescue_before_wait(void)
{
	int saved = errno;

	if (!is_in_request || !protecting())
		return;
	rescue_leave_request();
	if (!(config.rescue & RESCUE_WAIT) || !agent_begin())
		return;
	agent_lock();
	if (protecting())
		checkpoint(BEFORE_WAIT, -1);
	agent_unlock();
	agent_end();
	errno = saved;
}
