// SPDX-License-Identifier: MIT
/* Pages that are swapped out, before the checkpoint, in mid-epoch and around every operation that loses them. Needs swap. */
#define _GNU_SOURCE
#include "smc_calls.h"
#include "tap.h"

#define PAGE 4096UL
#define PAGES 256UL
#define SIZE (PAGES * PAGE)

static unsigned char *area, *moved;

static struct kept {
	unsigned char bytes[SIZE];
	long swapped;
} *kept;

/* Pages of the area that are swapped out, by /proc/self/pagemap. */
static long swapped_out(const unsigned char *at)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	static unsigned long entries[PAGES];
	long n = 0;

	if (pread(fd, entries, sizeof(entries), (unsigned long)at / PAGE * 8) != sizeof(entries))
		n = -1;
	for (unsigned long i = 0; n >= 0 && i < PAGES; i++)
		n += entries[i] >> 62 & 1;
	close(fd);
	return n;
}

static void swap_out(unsigned char *at)
{
	for (int i = 0; i < 10 && swapped_out(at) < (long)PAGES / 2; i++)
		madvise(at, SIZE, MADV_PAGEOUT);
}

static void write_some(void)
{
	for (unsigned long i = 0; i < SIZE; i += 5 * PAGE / 4)
		area[i] ^= 0x5a;
}

static void unmap(void)
{
	munmap(area, SIZE);
}

static void discard(void)
{
	madvise(area, SIZE, MADV_DONTNEED);
	memset(area, 1, SIZE / 3);
}

/* The entry of a page that is swapped out moves; what is written at its new address must not be in the slot that is kept. */
static void move(void)
{
	moved = mremap(area, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, moved);
	memset(moved, 0x33, SIZE);
	swap_out(moved);
	memset(moved, 0x44, SIZE);
}

static void map_over(void)
{
	memset(mmap(area, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0), 9, SIZE / 2);
}

static void fork_and_write(void)
{
	pid_t pid = fork();

	if (!pid) {
		memset(area, 0x66, SIZE);
		_exit(0);
	}
	write_some();
	waitpid(pid, NULL, 0);
}

static void read_only(void)
{
	volatile unsigned char sum = 0;

	for (unsigned long i = 0; i < SIZE; i += PAGE)
		sum += area[i];
	write_some();
}

static const struct operation {
	const char *name;
	void (*run)(void);
} operations[] = {
	{ "writing", write_some },
	{ "munmap", unmap },
	{ "MADV_DONTNEED", discard },
	{ "mremap", move },
	{ "MAP_FIXED", map_over },
	{ "fork", fork_and_write },
	{ "reading, then writing", read_only },
};

/* when: 1 swapped out before the checkpoint, 2 after it, 3 after writing, so that saved pages are, too */
static int when;

static void one(void *argument)
{
	const struct operation *o = argument;
	int fd = smc_self(0, "");
	long r;

	area = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	moved = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (unsigned long i = 0; i < SIZE; i += 8)
		*(unsigned long *)(area + i) = i * 0x9e3779b97f4a7c15UL;
	smc_take(fd);
	for (unsigned long i = 0; i < SIZE; i += 3 * PAGE)
		area[i + 7]++;
	memcpy(kept->bytes, area, SIZE);
	kept->swapped = 0;
	if (when == 1)
		swap_out(area);
	r = smc_take(fd);
	if (r)
		ok(!memcmp(area, kept->bytes, SIZE), "%s, swapped out %s: every byte, rollback %ld", o->name,
		   when == 1 ? "before" : when == 2 ? "since" : "after writing", r);
	if (r < 3) {
		if (when == 3)
			write_some();
		if (when >= 2 || r)
			swap_out(area);
		kept->swapped += swapped_out(area);
		o->run();
		smc_back(fd, r + 1);
	}
	ok(kept->swapped > 200, "%s: pages were swapped out (%ld)", o->name, kept->swapped);
	/* the next epoch */
	r = smc_take(fd);
	if (r == 0) {
		o->run();
		smc_back(fd, 1);
	}
	ok(!memcmp(area, kept->bytes, SIZE), "%s: every byte in the next epoch", o->name);
}

int main(void)
{
	tap_begin();
	kept = mmap(NULL, sizeof(*kept), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mlock(kept, sizeof(*kept));
	for (unsigned int i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		for (when = 1; when <= 3; when++)
			in_child(operations[i].name, one, (void *)&operations[i]);
	ok(smc_held() == 0, "nothing is held when all are gone: %ld bytes", smc_held());
	return tap_end();
}
