// SPDX-License-Identifier: MIT
/* Threads: all are stopped at a checkpoint and a rollback, and their registers, FPU state included, are restored. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <dirent.h>

#include "smc_calls.h"
#include "tap.h"

#define THREADS 4

static int handle;

/* Survives rollbacks. */
static struct kept {
	volatile int round;
	volatile int stop;
	volatile long mismatches;
	volatile long progress[THREADS];
	volatile int woken;
	volatile int ended;
} *kept;

static void begin(void)
{
	kept = mmap(NULL, sizeof(*kept), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	handle = smc_self(0, "");
}

static void milliseconds(long n)
{
	struct timespec t = { n / 1000, n % 1000 * 1000000 };

	/* a thread that is stopped in its sleep may wake early: what is left is slept too */
	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

static int thread_count(void)
{
	DIR *tasks = opendir("/proc/self/task");
	int n = -2;	/* . and .. */

	while (readdir(tasks))
		n++;
	closedir(tasks);
	return n;
}

/*
 * Counts in a register, in a vector register and in memory. They are equal at the top of the loop, whenever the thread is stopped and wherever it
 * is put back to, if registers and memory belong together.
 */
static volatile long in_memory[THREADS];

static void *count(void *argument)
{
	long i = (long)argument, n = 0, mismatches;

	asm volatile("xorpd %%xmm15, %%xmm15" ::: "xmm15");
	while (!kept->stop) {
		mismatches = 0;
		for (int k = 0; k < 200; k++) {
			long from_vector;

			asm volatile("cvttsd2si %%xmm15, %0\n\t"
				     "cmp %1, %0\n\t"
				     "je 1f\n\t"
				     "inc %2\n\t"
				     "1: cmp %1, %3\n\t"
				     "je 2f\n\t"
				     "inc %2\n\t"
				     "2: inc %1\n\t"
				     "incq %3\n\t"
				     "cvtsi2sd %1, %%xmm15\n\t"
				     : "=&r"(from_vector), "+r"(n), "+r"(mismatches), "+m"(in_memory[i])
				     :: "xmm15", "cc");
		}
		if (mismatches)
			__atomic_add_fetch(&kept->mismatches, mismatches, __ATOMIC_SEQ_CST);
		kept->progress[i]++;
	}
	return NULL;
}

/* n++ in a register and incq in memory are two instructions: a thread put back between them must have both as they were. */
static void registers(void *unused)
{
	pthread_t threads[THREADS];
	long before[THREADS], r;

	(void)unused;
	begin();
	for (long i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, count, (void *)i);
	milliseconds(20);
	r = smc_take(handle);
	if (r == 0)
		for (int i = 0; i < THREADS; i++)
			before[i] = in_memory[i];	/* on the stack: rolled back, and so set anew below */
	if (r < 20) {
		if (r)
			for (int i = 0; i < THREADS; i++)
				before[i] = in_memory[i];
		milliseconds(5);
		kept->round++;
		smc_back(handle, r + 1);
	}
	(void)before;
	ok(kept->round == 20, "registers: twenty rollbacks with %d threads running", THREADS);
	milliseconds(20);
	kept->stop = 1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ok(kept->mismatches == 0, "registers, vector registers and memory agree: %ld times not", kept->mismatches);
	ok(kept->progress[0] && kept->progress[1] && kept->progress[2] && kept->progress[3], "every thread ran");
	ok(smc_statistics(handle).threads == THREADS + 1, "the checkpoint has the registers of all");
}

/* Checkpoints one after the other, each rolled back once: threads are stopped twice in each round. */
static void many_epochs(void *unused)
{
	pthread_t threads[THREADS];

	(void)unused;
	begin();
	for (long i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, count, (void *)i);
	while (kept->round < 100) {
		long r = smc_take(handle);

		if (r < 0) {
			ok(false, "a checkpoint among running threads: %ld", r);
			break;
		}
		kept->round++;
		if (r == 0 && kept->round % 2) {
			r = smc_back(handle, 1);
			ok(false, "a rollback among running threads: %ld", r);
			break;
		}
	}
	kept->stop = 1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ok(kept->mismatches == 0, "many epochs: registers and memory agree");
}

/* Mutexes, condition variables and malloc among threads, stopped anywhere. What they guard has to hold whenever it is looked at. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long produced, consumed;
static long *box;

static void *produce(void *unused)
{
	(void)unused;
	while (!kept->stop) {
		long *item = malloc(64);

		item[0] = item[7] = ++produced;
		pthread_mutex_lock(&lock);
		while (box && !kept->stop)
			pthread_cond_wait(&changed, &lock);
		free(box);
		box = item;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void *consume(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&lock);
	while (!kept->stop) {
		while (!box && !kept->stop)
			pthread_cond_wait(&changed, &lock);
		if (!box)
			break;
		if (box[0] != box[7] || box[0] != consumed + 1)
			kept->mismatches++;
		consumed = box[0];
		free(box);
		box = NULL;
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void locks(void *unused)
{
	pthread_t producer, consumer;
	long r, before;

	(void)unused;
	begin();
	pthread_create(&producer, NULL, produce, NULL);
	pthread_create(&consumer, NULL, consume, NULL);
	for (kept->round = 0; kept->round < 40; kept->round++) {
		milliseconds(1);
		before = consumed;
		r = smc_take(handle);
		if (r == 0) {
			milliseconds(2);
			smc_back(handle, 1);
		}
		if (consumed < before)
			kept->mismatches++;
	}
	milliseconds(20);
	ok(consumed > 0, "locks: threads go on after forty rollbacks, %ld items", consumed);
	ok(kept->mismatches == 0, "locks: what they guard holds");
	kept->stop = 1;
	pthread_mutex_lock(&lock);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	pthread_join(producer, NULL);
	pthread_join(consumer, NULL);
}

/* Threads that sleep in system calls at the checkpoint sleep there again after a rollback. */
static int ends[2], epoll, event_ends[2];
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static volatile int got_byte, got_event, got_lock;

static void *in_read(void *unused)
{
	char c = 0;

	(void)unused;
	while (read(ends[0], &c, 1) != 1)
		;
	got_byte = c;
	return NULL;
}

static void *in_epoll(void *unused)
{
	struct epoll_event e;

	(void)unused;
	while (epoll_wait(epoll, &e, 1, -1) != 1)	/* EINTR, as after SIGCONT */
		;
	got_event = 1;
	return NULL;
}

static void *in_futex(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&held);
	got_lock = 1;
	pthread_mutex_unlock(&held);
	return NULL;
}

static void sleepers(void *unused)
{
	struct epoll_event e = { .events = EPOLLIN };
	pthread_t threads[3];
	long r;

	(void)unused;
	begin();
	if (pipe(ends) || pipe(event_ends))
		_exit(3);
	epoll = epoll_create1(0);
	epoll_ctl(epoll, EPOLL_CTL_ADD, event_ends[0], &e);
	pthread_mutex_lock(&held);
	pthread_create(&threads[0], NULL, in_read, NULL);
	pthread_create(&threads[1], NULL, in_epoll, NULL);
	pthread_create(&threads[2], NULL, in_futex, NULL);
	milliseconds(30);
	r = smc_take(handle);
	ok(!got_byte && !got_event && !got_lock, "sleepers: asleep at the checkpoint, return %ld", r);
	if (r == 0) {
		char c;

		/* wakes them all; the event stays until it is read */
		if (write(ends[1], "x", 1) != 1 || write(event_ends[1], "y", 1) != 1)
			_exit(3);
		pthread_mutex_unlock(&held);
		while (!got_byte || !got_event || !got_lock)
			milliseconds(1);
		if (read(event_ends[0], &c, 1) != 1)
			_exit(3);
		/* they must not be gone: that is refused. So they were not joined, but they have ended */
		milliseconds(20);
		r = smc_back(handle, 1);
		ok(r == -ESTALE, "a thread of the checkpoint that has ended: the rollback is refused (%ld)", r);
		ok(got_byte && got_event && got_lock, "and nothing was rolled back");
	}
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

/* The same, with threads that go on for ever. */
static void *in_read_for_ever(void *unused)
{
	char c = 0;

	(void)unused;
	for (;;) {
		if (read(ends[0], &c, 1) == 1) {
			/* in this order: who sees the byte may roll back at once */
			kept->woken++;
			got_byte++;
		}
	}
	return NULL;
}

static void sleeps_again(void *unused)
{
	pthread_t thread;
	long r;

	(void)unused;
	begin();
	if (pipe(ends))
		_exit(3);
	pthread_create(&thread, NULL, in_read_for_ever, NULL);
	milliseconds(20);
	r = smc_take(handle);
	if (r < 3) {
		if (write(ends[1], "x", 1) != 1)
			_exit(3);
		while (got_byte == 0)
			milliseconds(1);
		smc_back(handle, r + 1);
	}
	ok(got_byte == 0 && kept->woken == 3, "a thread that slept in read() sleeps there again");
	if (write(ends[1], "x", 1) != 1)
		_exit(3);
	while (got_byte == 0)
		milliseconds(1);
	ok(got_byte == 1, "and wakes");
}

/* Threads created since the checkpoint are not there after a rollback. */
static void *end_after_a_while(void *unused)
{
	(void)unused;
	milliseconds(100000);
	kept->ended++;
	return NULL;
}

static void created_since(void *unused)
{
	pthread_t threads[3], spinner;
	long r;

	(void)unused;
	begin();
	r = smc_take(handle);
	if (r < 3) {
		for (int i = 0; i < 3; i++)
			pthread_create(&threads[i], NULL, end_after_a_while, NULL);
		pthread_create(&spinner, NULL, count, (void *)(long)r);
		milliseconds(5);
		kept->round = thread_count();
		smc_back(handle, r + 1);
	}
	ok(kept->round == 5, "there were %d threads", kept->round);
	/* they call exit on their way out */
	for (int i = 0; i < 1000 && thread_count() > 1; i++)
		milliseconds(1);
	ok(thread_count() == 1, "threads created since the checkpoint end: %d left", thread_count());
	pthread_create(&spinner, NULL, count, (void *)0L);
	milliseconds(20);
	kept->stop = 1;
	ok(pthread_join(spinner, NULL) == 0, "new ones can be made, and joined");
	ok(smc_take(handle) == 0, "and a checkpoint taken");
}

/* A thread other than the one that called the checkpoint rolls back. */
static void *roll_back(void *unused)
{
	(void)unused;
	for (;;) {
		while (!kept->woken)
			milliseconds(1);
		kept->woken = 0;
		smc_back(handle, 7);
	}
	return NULL;
}

static void by_another(void *unused)
{
	volatile int local = 1;
	pthread_t thread;
	long r;

	(void)unused;
	begin();
	pthread_create(&thread, NULL, roll_back, NULL);
	milliseconds(5);
	r = smc_take(handle);
	if (r == 0) {
		local = 2;
		kept->woken = 1;
		for (;;)
			milliseconds(1);
	}
	ok(r == 7 && local == 1, "a rollback by another thread: the checkpoint returns %ld", r);
}

/* A rollback from a signal handler puts the signal mask back: the signal can come again. */
static void on_fault(int number)
{
	(void)number;
	kept->round++;
	smc_back(handle, kept->round);
}

static volatile int *volatile nowhere = (volatile int *)8;

static void from_handler(void *unused)
{
	sigset_t now;
	long r;

	(void)unused;
	begin();
	signal(SIGSEGV, on_fault);
	r = smc_take(handle);
	sigprocmask(SIG_SETMASK, NULL, &now);
	if (r < 5)
		*nowhere = 1;
	ok(r == 5 && !sigismember(&now, SIGSEGV), "five rollbacks from a handler of SIGSEGV");
}

/* A parent checkpoints its child and rolls it back. The child, which counts the tokens that it is given, notices nothing. */
static void give(int tokens)
{
	__atomic_store_n(&kept->woken, tokens, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&kept->woken, __ATOMIC_SEQ_CST) > 0)
		milliseconds(1);
}

static void by_parent(void *unused)
{
	int fd = smc_device(), r, status;
	long mismatches = 0;
	pid_t pid;

	(void)unused;
	kept = mmap(NULL, sizeof(*kept), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = fork();
	if (!pid) {
		pthread_t threads[2];

		for (long i = 0; i < 2; i++)
			pthread_create(&threads[i], NULL, count, (void *)i);
		while (!kept->stop) {
			if (kept->woken > 0) {
				kept->ended = ++in_memory[3];
				__atomic_sub_fetch(&kept->woken, 1, __ATOMIC_SEQ_CST);
			} else {
				milliseconds(1);
			}
		}
		for (int i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		_exit(0);
	}
	give(1);
	r = smc_try_attach(fd, pid, 0, "");
	ok(r == 0, "a parent attaches its child: %d", r);
	for (int i = 0; i < 20; i++) {
		mismatches += smc_take(fd) != 0;
		give(5);
		mismatches += kept->ended != i + 6;
		mismatches += smc_back(fd, 1) != 0;
		give(1);
		mismatches += kept->ended != i + 2;
	}
	ok(mismatches == 0, "twenty checkpoints and rollbacks from outside: %ld results are wrong", mismatches);
	kept->stop = 1;
	waitpid(pid, &status, 0);
	ok(status == 0 && kept->mismatches == 0, "the child's registers and memory agreed, status %#x", status);
	ok(smc_take(fd) == -EOWNERDEAD, "it is gone");
}

/* What cannot be done is refused. */
static void *vforks(void *unused)
{
	(void)unused;
	if (vfork() == 0) {
		syscall(SYS_nanosleep, &(struct timespec) { 3, 0 }, NULL);
		_exit(0);
	}
	return NULL;
}

static void refused(void *unused)
{
	struct { uint32_t words[30]; } ring = { { [2] = 2 /* IORING_SETUP_SQPOLL */ } };
	pthread_t thread;
	long r;

	(void)unused;
	begin();
	pthread_create(&thread, NULL, vforks, NULL);
	milliseconds(100);
	r = smc_take(handle);
	ok(r == -EBUSY || r == -ETIMEDOUT, "memory shared with a vfork child: refused (%ld)", r);
	pthread_join(thread, NULL);
	r = smc_take(handle);
	ok(r == 0, "and not any more when it is gone (%ld)", r);
	if (syscall(SYS_io_uring_setup, 4, &ring) < 0) {
		tap_skip("a thread of io_uring: refused", "there is no io_uring");
		return;
	}
	r = smc_take(handle);
	ok(r == -EOPNOTSUPP, "a thread of io_uring: refused (%ld)", r);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*run)(void *);
	} tests[] = {
		{ "registers", registers },
		{ "many epochs", many_epochs },
		{ "locks", locks },
		{ "sleepers", sleepers },
		{ "sleeps again", sleeps_again },
		{ "created since", created_since },
		{ "by another", by_another },
		{ "from a handler", from_handler },
		{ "by a parent", by_parent },
		{ "refused", refused },
	};

	tap_begin();
	for (unsigned int i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		in_child(tests[i].name, tests[i].run, NULL);
	ok(smc_held() == 0, "nothing is held when all are gone: %ld bytes", smc_held());
	return tap_end();
}
