// SPDX-License-Identifier: MIT
/*
 * A random program, with a reference copy. It keeps a handful of mappings and a model of them: for each page of an address range what it must
 * hold, or that nothing is there. Checkpoints copy the model, rollbacks bring the copy back, and every so often each page is
 * compared.
 *
 *     stress SECONDS [SEED]
 *
 * Several processes do this at once, under each policy, with children that share pages and a parent that makes memory scarce; threads in each write
 * to parts of their own.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <time.h>

#include "smc_calls.h"
#include "tap.h"

#define PAGE 4096UL
#define PAGES 512
#define PROCESSES 4
#define WRITERS 2
#define WRITER_PAGES 16

/* What a page holds: pattern(page, version), or zeros, or nothing is mapped. */
enum { UNMAPPED = -1, ZERO = 0 };

struct model {
	int version[PAGES];
	bool read_only[PAGES];
};

/* Survives rollbacks. */
static struct kept {
	struct model now, then;
	unsigned long epochs, rollbacks, checks, operations;
	unsigned int seed;
	int next_version;
	bool bad;
	char what[200];
} *all, *kept;

static unsigned char *base;
static int handle;
static time_t deadline;

static unsigned int draw(unsigned int below)
{
	unsigned int x = kept->seed;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	kept->seed = x;
	return (unsigned long)x * below >> 32;
}

static unsigned char *at(int page)
{
	return base + page * PAGE;
}

static unsigned long pattern(int page, int version, unsigned int word)
{
	return version == ZERO ? 0 : (page * 0x9e3779b97f4a7c15UL) ^ (version * 0xc2b2ae3d27d4eb4fUL) ^ word;
}

static void write_page(int page)
{
	unsigned long *words = (unsigned long *)at(page);
	int version = ++kept->next_version;

	for (unsigned int i = 0; i < PAGE / 8; i += 16)
		words[i] = pattern(page, version, i);
	kept->now.version[page] = version;
}

static void check(const char *when)
{
	for (int page = 0; page < PAGES && !kept->bad; page++) {
		const unsigned long *words = (unsigned long *)at(page);
		int version = kept->now.version[page];

		if (version == UNMAPPED) {
			unsigned char in_core;

			if (!mincore(at(page), PAGE, &in_core) || errno != ENOMEM) {
				kept->bad = true;
				snprintf(kept->what, sizeof(kept->what), "%s: page %d is mapped", when, page);
			}
			continue;
		}
		for (unsigned int i = 0; i < PAGE / 8; i += 16) {
			if (words[i] == pattern(page, version, i))
				continue;
			kept->bad = true;
			snprintf(kept->what, sizeof(kept->what),
				 "%s: page %d, word %u is %#lx, should be %#lx, epoch %lu", when, page, i,
				 words[i], pattern(page, version, i), kept->epochs);
			break;
		}
	}
	kept->checks++;
}

/* ------------------------------------------------------------------ operations on a range of pages */

static void choose(int *first, int *count)
{
	/* half of them on an eighth of the pages, where they meet what others have done */
	*first = draw(draw(2) ? PAGES : PAGES / 8);
	*count = 1 + draw(draw(4) ? 8 : 64);
	if (*first + *count > PAGES)
		*count = PAGES - *first;
}

static void do_write(int first, int count)
{
	for (int page = first; page < first + count; page++)
		if (kept->now.version[page] != UNMAPPED && !kept->now.read_only[page])
			write_page(page);
}

static void do_unmap(int first, int count)
{
	munmap(at(first), count * PAGE);
	for (int page = first; page < first + count; page++)
		kept->now.version[page] = UNMAPPED;
}

static void do_map(int first, int count)
{
	mmap(at(first), count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (int page = first; page < first + count; page++) {
		kept->now.version[page] = ZERO;
		kept->now.read_only[page] = false;
	}
	do_write(first, draw(count + 1));
}

static void do_discard(int first, int count)
{
	for (int page = first; page < first + count; page++) {
		if (kept->now.version[page] == UNMAPPED)
			continue;
		madvise(at(page), PAGE, MADV_DONTNEED);
		kept->now.version[page] = ZERO;
	}
}

static void do_page_out(int first, int count)
{
	madvise(at(first), count * PAGE, draw(2) ? MADV_PAGEOUT : MADV_COLD);
}

static void do_protect(int first, int count)
{
	bool read_only = draw(2);

	for (int page = first; page < first + count; page++) {
		if (kept->now.version[page] == UNMAPPED)
			continue;
		mprotect(at(page), PAGE, read_only ? PROT_READ : PROT_READ | PROT_WRITE);
		kept->now.read_only[page] = read_only;
	}
}

/* Protection that comes and goes. */
static void do_flicker(int first, int count)
{
	for (int page = first; page < first + count; page++) {
		if (kept->now.version[page] == UNMAPPED || kept->now.read_only[page])
			continue;
		mprotect(at(page), PAGE, PROT_READ);
		mprotect(at(page), PAGE, PROT_READ | PROT_WRITE);
	}
	do_write(first, count);
}

/* Pages moved away and back, written there: their entries were elsewhere for a while. */
static void do_move(int first, int count)
{
	unsigned char *there;

	for (int page = first; page < first + count; page++)
		if (kept->now.version[page] == UNMAPPED || kept->now.read_only[page])
			return;
	there = mmap(NULL, count * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* one mapping at a time can be moved */
	for (int i = 0; i < count; i++)
		mremap(at(first + i), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there + i * PAGE);
	for (int i = 0; i < count; i++) {
		int version = ++kept->next_version;

		for (unsigned int j = 0; j < PAGE / 8; j += 16)
			((unsigned long *)(there + i * PAGE))[j] = pattern(first + i, version, j);
		mremap(there + i * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(first + i));
		kept->now.version[first + i] = version;
	}
}

/* A child has the memory as it is, and does to it what it likes. */
static void do_fork(int first, int count)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (int page = 0; page < PAGES; page++)
			if (kept->now.version[page] != UNMAPPED && !kept->now.read_only[page])
				memset(at(page), 0xcc, PAGE);
		_exit(0);
	}
	do_write(first, count);
	waitpid(pid, NULL, 0);
}

static void do_read_call(int first, int count)
{
	static int zero = -1;

	if (zero < 0)
		zero = open("/dev/zero", O_RDONLY);
	for (int page = first; page < first + count; page++) {
		if (kept->now.version[page] == UNMAPPED || kept->now.read_only[page])
			continue;
		if (read(zero, at(page), PAGE) == (ssize_t)PAGE)
			kept->now.version[page] = ZERO;
	}
}

static void (*const operations[])(int first, int count) = {
	do_write, do_write, do_write, do_write, do_write, do_write, do_write, do_unmap, do_map, do_map,
	do_discard, do_page_out, do_protect, do_flicker, do_move, do_fork, do_read_call,
};

/* ------------------------------------------------------------------ threads with memory of their own */

/*
 * A writer adds one to each word of its pages in turn: the words before the place where it is are one more than those from there on. The place is in
 * a register, so that registers and memory have to be put back together.
 */
static void *write_own(void *argument)
{
	volatile unsigned long *words = argument;
	const unsigned long n = WRITER_PAGES * PAGE / 8;

	for (unsigned long round = 0; ; round++) {
		for (unsigned long i = 0; i < n; i += 64) {
			unsigned long is = words[i];

			if (is != round) {
				kept->bad = true;
				snprintf(kept->what, sizeof(kept->what),
					 "a thread's memory: word %lu is %lu in round %lu", i, is, round);
				return NULL;
			}
			words[i] = round + 1;
		}
	}
	return NULL;
}

static void run(void *argument)
{
	const char *const policies[PROCESSES] = {
		"", "active-rnd:interval=10", "active-cks:misses=2", "gspec:population=4",
	};
	int which = *(int *)argument;

	kept = &all[which];
	handle = smc_self(0, policies[which]);
	base = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (which % 2) {
		for (int i = 0; i < WRITERS; i++) {
			void *own = mmap(NULL, WRITER_PAGES * PAGE, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			pthread_t thread;

			pthread_create(&thread, NULL, write_own, own);
		}
	}
	while (time(NULL) < deadline && !kept->bad) {
		long r;

		kept->then = kept->now;
		r = smc_take(handle);
		if (r < 0) {
			kept->bad = true;
			snprintf(kept->what, sizeof(kept->what), "checkpoint: %s", strerror(-r));
			break;
		}
		if (r) {
			kept->now = kept->then;
			check("after a rollback");
		}
		kept->epochs++;
		for (int i = draw(6); i >= 0; i--) {
			int first, count;

			choose(&first, &count);
			operations[draw(sizeof(operations) / sizeof(operations[0]))](first, count);
			kept->operations++;
		}
		if (!draw(8))
			check("on the way");
		if (draw(3)) {
			kept->rollbacks++;
			r = smc_back(handle, 1 + draw(1000));
			kept->bad = true;
			snprintf(kept->what, sizeof(kept->what), "rollback: %s", strerror(-r));
		}
	}
	/* threads and all */
	_exit(0);
}

int main(int count, char **arguments)
{
	int seconds = count > 1 ? atoi(arguments[1]) : 5;
	unsigned int seed = count > 2 ? (unsigned int)strtoul(arguments[2], NULL, 0) : (unsigned int)time(NULL) * 2654435761u;
	pid_t pids[PROCESSES];

	tap_begin();
	all = mmap(NULL, PROCESSES * sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	deadline = time(NULL) + seconds;
	tap_line("# seed %u", seed);
	for (int i = 0; i < PROCESSES; i++) {
		all[i].seed = (seed + i * 7919) | 1;
		pids[i] = fork();
		if (!pids[i])
			run(&i);
	}
	for (int i = 0; i < PROCESSES; i++) {
		int status;

		waitpid(pids[i], &status, 0);
		if (status)
			tap_line("# process %d ended with status %#x", i, status);
		if (all[i].bad)
			tap_line("# process %d: %s", i, all[i].what);
		ok(!status && !all[i].bad && all[i].rollbacks > 10,
		   "process %d: %lu epochs, %lu rollbacks, %lu operations, all pages compared %lu times", i,
		   all[i].epochs, all[i].rollbacks, all[i].operations, all[i].checks);
	}
	ok(smc_held() == 0, "nothing is held when all are gone: %ld bytes", smc_held());
	return tap_end();
}
