// SPDX-License-Identifier: MIT
/* Every kind of ordinary memory is rolled back, again and again, and a checkpoint costs what was written. */
#include "smc_calls.h"
#include "tap.h"

#define PAGE 4096UL
#define PAGES 64UL

static unsigned char data[16 * PAGE] = { 1, 2, 3 };
static unsigned char bss[16 * PAGE];
static volatile int *shared;

static void fill(unsigned char *m, size_t n, unsigned int seed)
{
	for (size_t i = 0; i < n; i++)
		m[i] = i * 7 + seed + (i >> 12);
}

static bool has(const unsigned char *m, size_t n, unsigned int seed)
{
	for (size_t i = 0; i < n; i++)
		if (m[i] != (unsigned char)(i * 7 + seed + (i >> 12)))
			return false;
	return true;
}

static int deep(int depth)
{
	volatile char frame[2000];

	memset((void *)frame, depth, sizeof(frame));
	return depth ? deep(depth - 1) + frame[5] : 0;
}

static unsigned char *pages(size_t n)
{
	return mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void kinds(void *unused)
{
	int fd = smc_self(0, "");
	unsigned char *m = pages(PAGES), *fresh = pages(PAGES), *heap = malloc(100000);
	volatile int local = 42;
	double fraction = 0.5;
	long r;

	(void)unused;
	fill(m, PAGES * PAGE, 1);
	fill(heap, 100000, 2);
	fill(data, sizeof(data), 3);
	fill(bss, sizeof(bss), 4);
	*shared = 0;
	r = smc_take(fd);
	if (r < 5) {
		bool zero = true;

		if (r) {
			for (size_t i = 0; i < PAGES * PAGE; i++)
				zero &= fresh[i] == 0;
			ok(*shared == r, "rollback %ld: shared memory keeps what was written", r);
			ok(local == 42 && fraction == 0.5, "rollback %ld: locals", r);
			ok(has(m, PAGES * PAGE, 1), "rollback %ld: anonymous memory", r);
			ok(has(heap, 100000, 2), "rollback %ld: heap", r);
			ok(has(data, sizeof(data), 3), "rollback %ld: data", r);
			ok(has(bss, sizeof(bss), 4), "rollback %ld: bss", r);
			ok(zero, "rollback %ld: untouched memory is zero", r);
		}
		(*shared)++;
		local = 99;
		fraction *= 3;
		deep(20);
		memset(m, 0xee, PAGES * PAGE);
		memset(heap, 0xee, 100000);
		memset(data, 0xee, sizeof(data));
		memset(bss, 0, sizeof(bss));
		memset(fresh, 0xdd, PAGES * PAGE);
		for (int i = 0; i < 1000; i++)
			free(malloc(i * 13 + 1));
		smc_back(fd, r + 1);
		ok(false, "a rollback does not return");
	}
	ok(r == 5, "the value of the rollback is what the checkpoint returns");
}

static void costs(void *unused)
{
	int fd = smc_self(0, "");
	unsigned char *m = pages(PAGES);
	struct smc_stat a, b;

	(void)unused;
	fill(m, PAGES * PAGE, 1);
	smc_take(fd);
	smc_take(fd);
	a = smc_statistics(fd);
	for (int i = 0; i < 10; i++)
		m[i * PAGE] ^= 1;
	b = smc_statistics(fd);
	/* beside the ten, the stack's page and those that the C library writes */
	ok(b.copied - a.copied >= 10 && b.copied - a.copied < 16, "ten pages written, %llu copied",
	   b.copied - a.copied);
	a = b;
	smc_take(fd);
	b = smc_statistics(fd);
	ok(b.protected_pages - a.protected_pages >= 10 && b.protected_pages - a.protected_pages < 20,
	   "a checkpoint protects what was written: %llu pages", b.protected_pages - a.protected_pages);
	ok(b.flushes - a.flushes == 1, "and flushes once");
	ok(b.epoch == 3 && b.rollbacks == 0, "epochs are counted");
}

static void hints(void *unused)
{
	int fd = smc_self(0, "");
	unsigned char *m = pages(PAGES);
	struct smc_stat a, b;
	long r;

	(void)unused;
	fill(m, PAGES * PAGE, 1);
	ok(smc_hint(fd, m, 8 * PAGE, SMC_HOT_ADD) == 0, "a hint for eight pages");
	smc_take(fd);
	a = smc_statistics(fd);
	memset(m, 1, 8 * PAGE);
	b = smc_statistics(fd);
	ok(b.copied - a.copied <= 3, "pages copied ahead do not fault at the first checkpoint");
	smc_take(fd);
	a = smc_statistics(fd);
	memset(m, 2, 8 * PAGE);
	b = smc_statistics(fd);
	ok(b.copied - a.copied <= 3, "nor at the second");
	fill(m, PAGES * PAGE, 5);
	*shared = 0;
	r = smc_take(fd);
	if (!r) {
		memset(m, 3, PAGES * PAGE);
		smc_back(fd, 1);
	}
	ok(has(m, PAGES * PAGE, 5), "pages copied ahead are rolled back");
	smc_hint(fd, m, 8 * PAGE, SMC_HOT_CLEAR);
	smc_take(fd);
	smc_take(fd);
	a = smc_statistics(fd);
	memset(m, 4, 8 * PAGE);
	b = smc_statistics(fd);
	ok(b.copied - a.copied >= 8, "a hint that is cleared ends");
	smc_hint(fd, m, 8 * PAGE, SMC_HOT_NEXT);
	smc_take(fd);
	a = smc_statistics(fd);
	memset(m, 5, 8 * PAGE);
	b = smc_statistics(fd);
	ok(b.copied - a.copied <= 3, "a hint for the next checkpoint holds for it");
	smc_take(fd);
	a = smc_statistics(fd);
	memset(m, 6, 8 * PAGE);
	b = smc_statistics(fd);
	ok(b.copied - a.copied >= 8, "and for no other");
}

/* Without ftrace writes would not be seen. */
static int switch_ftrace(const char *to)
{
	int fd = open("/proc/sys/kernel/ftrace_enabled", O_WRONLY);
	int r = write(fd, to, 1) == 1 ? 0 : -errno;

	close(fd);
	return r;
}

static void ftrace_off(void *unused)
{
	int fd, r;

	(void)unused;
	fd = smc_self(0, "");
	r = switch_ftrace("0");
	ok(r == -EBUSY, "ftrace cannot be switched off while a process is attached (%d)", r);
	smc_call(fd, SMC_IOC_DETACH, NULL);
	ok(switch_ftrace("0") == 0, "but afterwards");
	close(fd);
	fd = smc_device();
	r = smc_try_attach(fd, 0, 0, "");
	ok(r == -EBUSY, "and then nothing can be attached (%d)", r);
	ok(switch_ftrace("1") == 0 && smc_try_attach(fd, 0, 0, "") == 0, "until it is on again");
}

int main(void)
{
	tap_begin();
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	in_child("kinds of memory", kinds, NULL);
	in_child("costs", costs, NULL);
	in_child("hints", hints, NULL);
	in_child("ftrace", ftrace_off, NULL);
	ok(smc_held() == 0, "nothing is held when all are gone: %ld bytes", smc_held());
	return tap_end();
}
