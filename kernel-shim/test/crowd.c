// SPDX-License-Identifier: MIT
/*
 * Many threads that write the same pages at the same moment, so that they fault at the same time: each page is saved once, before the first of
 * them writes it, and a rollback is exact.
 *
 *   main      checkpoint   go ──────────────────── all are done: stop, rollback
 *   others    wait         write all pages,        wait
 *                          each in its own order
 *
 * They wait for a number in shared memory, which a rollback leaves alone: main puts it back first.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>

#include "areas.h"

#define CROWD 3
#define N 128
#define ROUNDS 8

static struct {
	atomic_int round, done;
} *shared;

/* The pages are spread over several page tables: each has a lock of its own, which would do for one. */
#define TABLES 4
#define APART (4UL << 20)

static unsigned char *tables;

static unsigned char *page_at(unsigned int page)
{
	return tables + page % TABLES * APART + page / TABLES * PAGE;
}

static bool all_have(unsigned int what)
{
	bool good = true;

	for (unsigned int i = 0; i < N; i++)
		good &= has(page_at(i), 1, what + i);
	return good;
}

static void *one_of_many(void *argument)
{
	unsigned int self = (unsigned long)argument;

	for (int round = 1; ; round++) {
		while (atomic_load(&shared->round) < round)
			sched_yield();
		for (unsigned int i = 0; i < N; i++) {
			/* forwards, backwards, and from the middle on: they meet */
			unsigned int page = self == 0 ? i : self == 1 ? N - 1 - i : (i + N / 2) % N;

			page_at(page)[64 * self] = round;
			if (round % 4 == 0 && i % 8 == self)
				madvise(page_at(page), PAGE, MADV_DONTNEED);
		}
		atomic_fetch_add(&shared->done, 1);
	}
	return NULL;
}

static void crowd(void *policy)
{
	int fd = smc_self(0, policy), *wrong = shared_pages(1);
	struct smc_stat a, b;

	shared = shared_pages(1);
	tables = pages(TABLES * APART / PAGE);
	for (unsigned long i = 0; i < CROWD; i++) {
		pthread_t thread;

		must(!pthread_create(&thread, NULL, one_of_many, (void *)i), "pthread_create");
	}
	for (int round = 1; round <= ROUNDS; round++) {
		for (unsigned int i = 0; i < N; i++)
			fill(page_at(i), 1, round + i);
		if (smc_take(fd) == 0) {
			a = smc_statistics(fd);
			atomic_store(&shared->round, round);
			while (atomic_load(&shared->done) < CROWD * round)
				sched_yield();
			b = smc_statistics(fd);
			/* beside the area, stacks and what the C library writes */
			if (b.dirty > N + 2 * CROWD + 8 || b.copied + b.ahead + b.unmapped - a.copied - a.ahead - a.unmapped > N + 2 * CROWD + 8)
				wrong[1]++;
			atomic_store(&shared->round, round - 1);
			smc_back(fd, 1);
		}
		wrong[0] += !all_have(round);
		/* the others go on to the next round; now they write on what was rolled back */
		atomic_store(&shared->round, round);
		atomic_store(&shared->done, CROWD * (round - 1));
		while (atomic_load(&shared->done) < CROWD * round)
			sched_yield();
	}
	ok(wrong[0] == 0, "%s: %d threads fault at the same time, and %d rollbacks are exact: %d not", *(char *)policy ? (char *)policy : "none",
	   CROWD, ROUNDS, wrong[0]);
	ok(wrong[1] == 0, "each page is saved once: not in %d rounds", wrong[1]);
	_exit(0);
}

int main(void)
{
	tap_begin();
	in_child("no policy", crowd, "");
	in_child("active-rnd", crowd, "active-rnd:interval=3");
	none_held("crowd");
	return tap_end();
}
