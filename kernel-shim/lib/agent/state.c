/* SPDX-License-Identifier: MIT */
/* The shared mapping, its lock, and what fork does to it; and the start of it all. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "real.h"

struct shared *shared;

static THREAD_LOCAL pid_t thread_known;	/* this thread's number, once it was found to be in the process of shared */
static THREAD_LOCAL int busy;		/* depth of agent_begin() */

pid_t this_thread(void)
{
	return syscall(SYS_gettid);
}

/*
 * A child of vfork has its parent's memory, and so its thread's variables, but a number of its own: it is found out by the
 * number that is known being another. So is a child that was made behind the C library's back.
 */
bool agent_begin(void)
{
	pid_t thread;

	if (!shared)
		return false;
	thread = this_thread();
	if (thread != thread_known) {
		if (thread_known || getpid() != shared->pid)
			return false;
		thread_known = thread;
	}
	busy++;
	return true;
}

void agent_end(void)
{
	if (--busy == 0 && atomic_load_explicit(&shared->pending_thread, memory_order_relaxed) == thread_known)
		crash_pending();
}

bool agent_is_busy(void)
{
	return busy;
}

/*
 * Signals are blocked while the lock is held: the server's handlers may call what needs it. Those that mean a crash are not, as a
 * fault whose signal is blocked kills; they wait by themselves (agent_begin()).
 */
static THREAD_LOCAL uint64_t mask_before;

static void block_signals(void)
{
	uint64_t mask = ~0ULL;

	for (int i = 0; i < CRASH_SIGNALS; i++)
		mask &= ~(1ULL << (crash_signals[i] - 1));
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &mask, &mask_before, sizeof(mask));
}

/*
 * A lock of spinning: threads that wait for it are rolled back like others, and then must find that they wait, whatever happened
 * to it meanwhile. There is nothing in it that a waiting thread could leave behind.
 */
void agent_lock(void)
{
	block_signals();
	for (int spins = 0;; spins++) {
		int nobody = 0;

		if (atomic_compare_exchange_weak_explicit(&shared->owner, &nobody, thread_known, memory_order_acquire,
							  memory_order_relaxed))
			return;
		if (spins < 100)
			sched_yield();
		else
			nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
	}
}

void agent_unlock(void)
{
	uint64_t mask = mask_before;

	atomic_store_explicit(&shared->owner, 0, memory_order_release);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
}

bool agent_has_lock(void)
{
	return thread_known && atomic_load(&shared->owner) == thread_known;
}

void agent_leave_lock(void)
{
	atomic_store(&shared->owner, -1);
}

void agent_take_lock(void)
{
	atomic_store(&shared->owner, thread_known);
}

/* ------------------------------------------------------------------ windows */

static atomic_int windows;

void window_begin(void)
{
	atomic_fetch_add(&windows, 1);
}

void window_end(void)
{
	atomic_fetch_sub(&windows, 1);
}

/* Some may be long, as when accept() waits. */
void windows_await(void)
{
	for (int i = 0; i < 50 && atomic_load(&windows) > 0; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
}

/* ------------------------------------------------------------------ fork */

static THREAD_LOCAL bool forking;	/* with the lock held */

static void before_fork(void)
{
	forking = agent_begin();
	if (forking)
		agent_lock();
}

static void after_fork_in_parent(void)
{
	if (!forking)
		return;
	agent_unlock();
	agent_end();
}

static struct shared *map_shared(void)
{
	void *p = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* The child has the parent's mapping until now: it gets a copy, in the same place. Only what was used is copied. */
static void after_fork_in_child(void)
{
	struct shared *copy;

	if (!forking)
		return;
	copy = map_shared();
	if (copy) {
		memcpy(copy, shared, offsetof(struct shared, descriptors));
		memcpy(copy->descriptors, shared->descriptors, (shared->highest + 1) * sizeof(shared->descriptors[0]));
		memcpy(copy->noted, shared->noted, shared->nnoted * sizeof(shared->noted[0]));
		memcpy(copy->registrations, shared->registrations,
		       shared->nregistrations * sizeof(shared->registrations[0]));
		memcpy(copy->changed, shared->changed, shared->nchanged * sizeof(shared->changed[0]));
	}
	if (!copy || mremap(copy, sizeof(*copy), sizeof(*copy), MREMAP_MAYMOVE | MREMAP_FIXED, shared) == MAP_FAILED) {
		crash_after_fork();
		shared = NULL;
		return;
	}
	thread_known = this_thread();
	atomic_store(&windows, 0);	/* those of other threads, which are not there */
	shared->pid = getpid();
	atomic_store(&shared->pending_thread, 0);
	atomic_store(&shared->owner, thread_known);
	rescue_after_fork();
	agent_unlock();
	agent_end();
}

void state_open(void)
{
	shared = map_shared();
	if (!shared)
		return;
	shared->pid = getpid();
	shared->handle = shared->log = -1;
	shared->nregistrations = 1;
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

static void __attribute__((constructor)) begin(void)
{
	int saved = errno;

	real_find();
	config_read();
	state_open();
	if (!shared) {
		dprintf(2, "smc-agent: no memory: the program runs without rescue points\n");
		if (config.required)
			_exit(EXIT_AGENT);
	} else if (agent_begin()) {
		crash_stack_new();
		agent_lock();
		log_open();
		rescue_open_device();
		agent_unlock();
		agent_end();
	}
	errno = saved;
}

static void __attribute__((destructor)) end(void)
{
	if (shared && shared->pid == getpid() && shared->checkpoints)
		log_line("ends after %lu checkpoints, %lu crashes, %lu connections reset, %lu checkpoints left out", shared->checkpoints,
			 shared->crashes, shared->resets, shared->skipped);
}
