// SPDX-License-Identifier: MIT
/*
 * Every mechanism does what it says: writes at random, rollbacks at random, and after each a comparison of every byte with a copy that was
 * kept by other means. What cannot work on this machine is skipped, with the reason.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>

#include "../test/tap.h"
#include "draws.h"
#include "mechanism.h"

#define PAGES 96UL
#define BYTES (PAGES * PAGE)
#define ROUNDS 60

/* In shared memory: rollbacks leave it alone. */
static struct shared {
	int left;		/* rollbacks yet to come to this checkpoint */
	int verified;		/* comparisons made */
	int wrong;
	int outcome;		/* of a system call */
	int error;
	unsigned long faults, copied;
} *shared;

static unsigned char *region, *reference;

static void *anonymous(size_t bytes)
{
	unsigned char *m = mmap(NULL, bytes + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (m == MAP_FAILED)
		abort();
	madvise(m, bytes, MADV_NOHUGEPAGE);
	/* so that neighbours do not become one mapping */
	mprotect(m + bytes, PAGE, PROT_NONE);
	return m;
}

static void prepare(void)
{
	region = anonymous(BYTES);
	reference = anonymous(BYTES);
	for (size_t i = 0; i < BYTES; i++)
		region[i] = reference[i] = i * 31 + (i >> 12);
	memset(shared, 0, sizeof(*shared));
}

static const char *begin(const struct mechanism *m)
{
	/* two areas, side by side */
	static struct area watched[2];

	watched[0] = (struct area){ region, PAGES / 2 };
	watched[1] = (struct area){ region + BYTES / 2, PAGES / 2 };
	return m->attach(watched, 2);
}

static void verify(void)
{
	shared->verified++;
	shared->wrong += memcmp(region, reference, BYTES) != 0;
}

/* Writes of 1 to 64 bytes, some across the end of a page, into pages that are listed. */
static void scribble(unsigned char *to, unsigned char *const *pages, size_t n, uint64_t seed)
{
	struct random r = { seed * 2 + 1 };

	for (size_t i = 0; i < n; i++) {
		size_t at = pages[i] - region;

		for (unsigned int times = 1 + random_below(&r, 3); times; times--) {
			size_t offset = random_below(&r, PAGE), length = 1 + random_below(&r, 64);

			/* the next page may be written too, if it is listed */
			if (offset + length > PAGE && !(i + 1 < n && pages[i + 1] == pages[i] + PAGE))
				length = PAGE - offset;
			for (size_t k = 0; k < length; k++)
				to[at + offset + k] = random_below(&r, 256);
		}
	}
}

static void rounds(void *argument)
{
	const struct mechanism *m = argument;
	static unsigned char *pages[PAGES];
	static unsigned char scratch[PAGES];
	struct random r = { 12345 };

	for (int round = 0; round < ROUNDS; round++) {
		size_t n = round % 10 == 9 ? PAGES : random_below(&r, round % 2 ? 8 : PAGES);
		int rolls = random_below(&r, 4);

		draw(&r, round % 3, region, PAGES, n, pages, scratch);
		if (m->told)
			m->foretell(pages, n);
		shared->left = rolls;
		m->checkpoint();
		for (;;) {
			if (shared->left < rolls)
				verify();
			if (!shared->left)
				break;
			shared->left--;
			scribble(region, pages, n, round * 100 + shared->left);
			m->rollback();
		}
		scribble(region, pages, n, round);
		scribble(reference, pages, n, round);
		verify();
	}
}

static void random_rounds(void *argument)
{
	prepare();
	begin(argument);
	rounds(argument);
}

/* Whether the comparison finds anything: a mechanism that restores nothing has to be found out. */
static void nothing(void)
{
}

static void found_out(void *argument)
{
	struct mechanism m = *(const struct mechanism *)argument;

	m.rollback = nothing;
	prepare();
	m.attach(&(struct area){ region, PAGES }, 1);
	rounds(&m);
}

/* What the kernel writes into the region for a system call. */
static void kernel_writes(void *argument)
{
	const struct mechanism *m = argument;
	unsigned char *pages[2] = { region, region + PAGE };
	int zero = open("/dev/zero", O_RDONLY);

	prepare();
	pages[0] = region;
	pages[1] = region + PAGE;
	begin(m);
	for (int i = 0; i < 3; i++) {
		if (m->told)
			m->foretell(pages, 2);
		shared->left = 1;
		m->checkpoint();
		if (shared->left) {
			shared->left = 0;
			errno = 0;
			shared->outcome = read(zero, region + PAGE / 2, PAGE);
			shared->error = errno;
			m->rollback();
		}
		verify();
	}
}

/* Each page that is written is seen once in an epoch, and none that is not. */
static void counts(void *argument)
{
	const struct mechanism *m = argument;
	struct mechanism_statistics before, after;

	prepare();
	begin(m);
	m->checkpoint();
	m->checkpoint();
	m->statistics(&before);
	for (size_t i = 0; i < 20; i++)
		region[i * 3 * PAGE] ^= 1;
	for (size_t i = 0; i < 20; i++)
		region[i * 3 * PAGE + 100] ^= 1;
	m->checkpoint();
	m->statistics(&after);
	shared->faults = after.faults - before.faults;
	shared->copied = after.copied - before.copied;
}

/* After the end, memory is as it was, writable, and not seen. */
static void detached(void *argument)
{
	const struct mechanism *m = argument;
	static unsigned char *pages[PAGES];
	static unsigned char scratch[PAGES];
	struct random r = { 99 };

	prepare();
	begin(m);
	draw(&r, HOT, region, PAGES, 10, pages, scratch);
	for (int i = 0; i < 3; i++) {
		if (m->told)
			m->foretell(pages, 10);
		m->checkpoint();
		scribble(region, pages, 10, i);
		scribble(reference, pages, 10, i);
	}
	m->detach();
	verify();
	memset(region, 5, BYTES);
	memset(reference, 5, BYTES);
	verify();
}

/* Why a mechanism cannot work here. */
static void try_attach(void *argument)
{
	const char *why;

	prepare();
	why = begin(argument);
	if (why)
		strncpy((char *)shared, why, 200);
}

static void test_mechanism(const struct mechanism *m)
{
	char *why = (char *)shared;
	bool counts_pages = strncmp(m->name, "uffd", 4) == 0 || strcmp(m->name, "mprotect") == 0;

	memset(shared, 0, PAGE);
	in_child(m->name, try_attach, (void *)m);
	if (*why) {
		tap_skip(m->name, why);
		return;
	}
	if (m->rollback) {
		in_child(m->name, random_rounds, (void *)m);
		ok(shared->verified > ROUNDS && !shared->wrong, "%s: %d comparisons after random writes and rollbacks, %d wrong",
		   m->name, shared->verified, shared->wrong);
		in_child(m->name, kernel_writes, (void *)m);
		if (shared->outcome >= 0)
			ok(shared->outcome == PAGE && shared->verified == 3 && !shared->wrong,
			   "%s: what read() writes into the region is undone", m->name);
		else
			ok(!m->kernel_writes && shared->error == EFAULT && !shared->wrong,
			   "%s: read() into the region fails with EFAULT, as it says", m->name);
	}
	in_child(m->name, detached, (void *)m);
	ok(shared->verified == 2 && !shared->wrong, "%s: memory after the end", m->name);
	if (counts_pages || !strcmp(m->name, "soft-dirty")) {
		in_child(m->name, counts, (void *)m);
		ok(shared->copied == 20 && (!counts_pages || shared->faults == 20),
		   "%s: 20 pages written: %lu faults, %lu copies", m->name, shared->faults, shared->copied);
	} else if (!strcmp(m->name, "smc")) {
		in_child(m->name, counts, (void *)m);
		/* and the stack's page, and those of the C library */
		ok(shared->copied >= 20 && shared->copied < 26, "%s: 20 pages written: %lu copies", m->name, shared->copied);
	}
}

int main(void)
{
	tap_begin();
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	in_child("none", found_out, (void *)mechanism_named("none"));
	ok(shared->wrong > ROUNDS / 2, "a mechanism that restores nothing is found out");
	ok(!mechanism_named("no such"), "names that nobody has");
	for (const struct mechanism *const *m = mechanisms; *m; m++)
		test_mechanism(*m);
	return tap_end();
}
