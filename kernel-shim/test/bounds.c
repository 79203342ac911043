// SPDX-License-Identifier: MIT
/*
 * Memory that the module needs: it is counted, charged to the process' control group, never more than the limit, and given back. Where it is
 * not enough, a process cannot be rolled back to that one checkpoint, and goes on.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/stat.h>

#include "areas.h"

/* ------------------------------------------------------------------ what is left of hundreds of lives */

struct sizes {
	long free, slab, vmalloc;	/* KiB */
	long records;			/* struct smc_page */
};

/* Free pages that processors keep for themselves, in KiB. */
static long kept_by_processors(void)
{
	FILE *file = fopen("/proc/zoneinfo", "r");
	char line[256];
	long sum = 0, n;
	bool sets = false;

	while (file && fgets(line, sizeof(line), file)) {
		sets = sets ? !strstr(line, "Node") : strstr(line, "pagesets") != NULL;
		if (sets && sscanf(line, " count: %ld", &n) == 1)
			sum += n;
	}
	if (file)
		fclose(file);
	return sum * 4;
}

static struct sizes measure(void)
{
	put("/proc/sys/vm/drop_caches", "3");
	put("/sys/kernel/slab/smc_page/shrink", "1");
	/* what is freed after a grace period */
	usleep(50000);
	/* counters of single processors are added up */
	put("/proc/sys/vm/stat_refresh", "1");
	return (struct sizes) {
		.free = number_in("/proc/meminfo", "MemFree") + kept_by_processors(),
		.slab = number_in("/proc/meminfo", "SUnreclaim"),
		.vmalloc = number_in("/proc/meminfo", "VmallocUsed"),
		.records = number_in("/proc/slabinfo", "smc_page"),
	};
}

static void live(int n)
{
	static const char *const policies[] = { "none", "active-rnd:interval=2", "active-cks", "gspec:newPage=1" };
	unsigned char *m = pages(64);
	int fd = smc_self(0, policies[n % 4]);

	fill(m, 64, 1);
	smc_hint(fd, m, 8 * PAGE, SMC_HOT_ADD);
	for (int epoch = 0; epoch < 4; epoch++) {
		if (smc_take(fd))
			_exit(0);
		fill(m + draw(8) * PAGE, 48, epoch);
	}
	munmap(m, 16 * PAGE);
	if (n % 2)
		smc_back(fd, 1);
	if (n % 3)
		raise(SIGKILL);
	_exit(0);
}

static void live_all(int lives)
{
	for (int i = 0; i < lives; i++) {
		pid_t pid = fork();

		if (!pid)
			live(i);
		waitpid(pid, NULL, 0);
	}
}

#define LIVES 120
#define LEAK 200UL

static void leaks(void)
{
	struct sizes before, after;
	atomic_int *step = shared_pages(1);
	pid_t pid;

	live_all(20);
	before = measure();
	live_all(LIVES);
	after = measure();
	ok(after.records == 0 && before.records == 0, "no record of a page is left: %ld", after.records);
	/* a page a life would be a leak */
	ok(before.free - after.free < LIVES * 4, "%d lives leave %ld KiB less memory free", LIVES, before.free - after.free);
	ok(after.slab - before.slab < LIVES, "slabs have grown by %ld KiB", after.slab - before.slab);
	ok(after.vmalloc - before.vmalloc < LIVES, "vmalloc by %ld KiB", after.vmalloc - before.vmalloc);

	/* whether a leak would be seen: buffers that a process holds for its epoch, and does not give back yet */
	pid = fork();
	if (!pid) {
		unsigned char *m = pages(LEAK);
		int fd = smc_self(0, "");

		fill(m, LEAK, 1);
		smc_take(fd);
		fill(m, 1, 1);
		reach(step, 1);
		await(step, 2);
		fill(m, LEAK, 2);
		reach(step, 3);
		await(step, 4);
		_exit(0);
	}
	await(step, 1);
	before = measure();
	reach(step, 2);
	await(step, 3);
	after = measure();
	ok(before.free - after.free > (long)LEAK * 4 - 64, "%lu pages that are kept are seen: %ld KiB less are free", LEAK,
	   before.free - after.free);
	ok(after.records - before.records >= (long)LEAK - 1, "so are their records: %ld", after.records - before.records);
	ok(smc_held() >= (long)(LEAK * PAGE), "and the module knows of them: %ld bytes", smc_held());
	reach(step, 4);
	waitpid(pid, NULL, 0);
	none_held("lives");
}

static void held(void *unused)
{
	unsigned char *m = pages(64);
	int fd = smc_self(0, "");
	struct smc_stat s;
	long records[2];

	(void)unused;
	fill(m, 64, 1);
	smc_take(fd);
	fill(m, 64, 2);
	/* saves the pages that the questions themselves write */
	s = smc_statistics(fd);
	smc_held();
	s = smc_statistics(fd);
	ok(s.held == (__u64)smc_held() && s.held == smc_statistics(fd).held, "one process holds all that is held: %llu",
	   s.held);
	ok(s.held > 64 * PAGE && s.held < 90 * PAGE, "sixty-four pages, their records and little more");
	for (int i = 0; i < 40; i++)
		smc_take(fd);
	s = smc_statistics(fd);
	ok(s.held_peak >= 64 * PAGE && s.held < 66 * PAGE, "spare buffers go by and by: %llu of %llu", s.held, s.held_peak);
	m = pages(512);
	memset(m, 1, 512 * PAGE);
	smc_take(fd);
	records[0] = number_in("/proc/slabinfo", "smc_page");
	for (int i = 0; i < 120; i++)
		smc_take(fd);
	records[1] = number_in("/proc/slabinfo", "smc_page");
	ok(records[0] >= 512 && records[1] < 256, "records of pages that are not written any more go, too: %ld of %ld are left",
	   records[1], records[0]);
	smc_call(fd, SMC_IOC_DETACH, NULL);
	ok(smc_held() == 0, "and all with the attachment");
}

/* ------------------------------------------------------------------ the limit */

enum { BY_WRITING, BY_UNMAPPING, BY_DONTNEED, BY_MOVING, BY_READING, BY_MAPPING_OVER, FROM_OUTSIDE, EXCESSES };

static const char *const excess_names[] = {
	"writing", "unmapping", "MADV_DONTNEED", "mremap", "read() into it", "mapping over it", "another process",
};

static unsigned char *exceed(unsigned char *m, int how)
{
	unsigned char *to;
	int ends[2];

	switch (how) {
	case BY_WRITING:
		fill(m, 64, 50);
		break;
	case BY_UNMAPPING:
		munmap(m, 64 * PAGE);
		break;
	case BY_DONTNEED:
		madvise(m, 64 * PAGE, MADV_DONTNEED);
		break;
	case BY_MOVING:
		to = pages(64);
		must(mremap(m, 64 * PAGE, 64 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to, "mremap");
		fill(to, 64, 51);
		munmap(to, 64 * PAGE);
		break;
	case BY_READING:
		must(!pipe(ends), "pipe");
		for (int i = 0; i < 64; i++)
			must(write(ends[1], m, PAGE) > 0 && read(ends[0], m + i * PAGE, PAGE) > 0, "pipe");
		break;
	case BY_MAPPING_OVER:
		mmap(m, 64 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	case FROM_OUTSIDE:
		for (int i = 0; i < 64; i++) {
			int fd = open("/proc/self/mem", O_RDWR);

			must(pwrite(fd, "x", 1, (long)(m + i * PAGE)) == 1, "/proc/self/mem");
			close(fd);
		}
	}
	return mmap(m, 64 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void limits(void *unused)
{
	unsigned char *m = pages(64);
	const unsigned long limit = 40 * PAGE;
	int fd = smc_self(limit, ""), beyond = 0;
	struct smc_stat s;
	long r;

	(void)unused;
	ok(smc_statistics(fd).limit == limit, "the limit is what was asked for");
	for (int how = 0; how < EXCESSES; how++) {
		fill(m, 64, how);
		if (smc_take(fd)) {
			ok(false, "%s beyond the limit: it is rolled back", excess_names[how]);
			continue;
		}
		m = exceed(m, how);
		s = smc_statistics(fd);
		beyond += s.held > limit || s.held_peak > limit;
		gives(smc_back(fd, 1), -ESTALE, "%s", excess_names[how]);
		gives(smc_back(fd, 1), -ESTALE, "again");
		fill(m, 64, 100 + how);
		r = smc_take(fd);
		if (r == 0) {
			fill(m, 12, 7);
			munmap(m + 20 * PAGE, 8 * PAGE);
			madvise(m + 40 * PAGE, 4 * PAGE, MADV_DONTNEED);
			smc_back(fd, 2);
		}
		ok(r == 2 && has(m, 64, 100 + how), "the next checkpoint is whole: %ld", r);
	}
	ok(beyond == 0, "the limit was never exceeded");
}

/* With each policy and any number of pages: a rollback is right, or refused. */
static void narrow(void *policy)
{
	unsigned char *m = pages(64);
	const unsigned long limit = 48 * PAGE;
	int *counts = shared_pages(1), fd = smc_self(limit, policy);
	unsigned int *wanted = shared_pages(1);

	fill(m, 64, 0);
	for (int i = 0; i < 64; i++)
		wanted[i] = 0;
	for (int epoch = 1; epoch <= 60; epoch++) {
		unsigned int n = epoch % 5 == 4 ? 64 : draw(12), first = draw(64);
		long r;

		if (epoch % 10 < 2)
			n = 0;
		r = smc_take(fd);
		if (r == 0) {
			for (unsigned int i = 0; i < n; i++)
				memset(m + (first + i) % 64 * PAGE, 200, PAGE);
			r = smc_back(fd, 1);
			/* what was written stays, then */
			for (unsigned int i = 0; i < n; i++)
				wanted[(first + i) % 64] = 200 - content((first + i) % 64, 0);
			counts[0] += r == -ESTALE;
			counts[3] += r != -ESTALE;
		} else {
			counts[1]++;
		}
		for (unsigned int i = 0; i < 64; i++)
			counts[2] += !has(m + i * PAGE, 1, content(i, wanted[i]));
		if (smc_statistics(fd).held_peak > limit)
			counts[3]++;
		/* something for the policy to learn, and always another byte */
		for (unsigned int i = 0; i < 4; i++)
			memset(m + i * PAGE, content(i, wanted[i] = epoch), PAGE);
	}
	ok(counts[0] >= 10 && counts[1] >= 10 && !counts[2] && !counts[3],
	   "%s with too little memory: %d rollbacks, %d refused, %d pages wrong", (char *)policy, counts[1], counts[0],
	   counts[2]);
}

/* ------------------------------------------------------------------ memory control groups */

#define CGROUP "/sys/fs/cgroup/"

/* KiB of kernel memory that a group is charged with. */
static long charged(void)
{
	return number_in(CGROUP "smc/memory.stat", "kernel") / 1024;
}

static void cgroup(void *unused)
{
	unsigned char *m = pages(256);
	long before, after, r;
	char text[32];
	int fd, most;

	(void)unused;
	most = open(CGROUP "smc/memory.max", O_WRONLY);
	snprintf(text, sizeof(text), "%d", getpid());
	put(CGROUP "smc/cgroup.procs", text);
	put(CGROUP "smc/memory.swap.max", "0");
	fill(m, 256, 1);
	fd = smc_self(0, "");
	smc_take(fd);
	before = charged();
	fill(m, 256, 2);
	after = charged();
	ok(after - before >= 256 * 4 && after - before < 256 * 6, "256 pre-images are charged to the process' group: %ld KiB",
	   after - before);
	close(fd);
	after = charged();
	ok(after - before < 64, "and given back: %ld KiB are left", after - before);

	fd = smc_self(0, "");
	r = smc_take(fd);
	must(r == 0, "checkpoint");
	snprintf(text, sizeof(text), "%ld", number_in(CGROUP "smc/memory.stat", "anon") + charged() * 1024 + 512 * 1024);
	smc_back(fd, 0);
	/* from here on the process itself must not need a page more: all of this was called before */
	must(write(most, text, strlen(text)) > 0, "memory.max");
	fill(m, 256, 3);
	r = smc_back(fd, 1);
	must(write(most, "max", 3) == 3, "memory.max");
	ok(has(m, 256, 3), "a process that writes more than its group may hold goes on");
	gives(r, -ESTALE, "but cannot be rolled back");
	ok(number_in(CGROUP "smc/memory.events", "oom_kill") == 0, "nobody was killed for it");
	r = smc_take(fd);
	if (r == 0) {
		fill(m, 256, 4);
		smc_back(fd, 2);
	}
	ok(r == 2 && has(m, 256, 3), "with more memory it can be");
}

static void groups(void)
{
	put(CGROUP "cgroup.subtree_control", "+memory");
	if (!mkdir(CGROUP "smc", 0755) && charged() >= 0) {
		in_child("memory control group", cgroup, NULL);
		none_held("group");
		rmdir(CGROUP "smc");
	} else {
		tap_skip("memory control groups", "there are none");
	}
}

int main(void)
{
	static const char *const policies[] = { "none", "active-rnd:interval=3", "active-cks", "gspec:newPage=1" };

	pid_t anchor;

	tap_begin();
	anchor = make_anchor();
	in_child("held", held, NULL);
	in_child("limits", limits, NULL);
	for (int i = 0; i < 4; i++)
		in_child("narrow", narrow, (void *)policies[i]);
	none_held("limits");
	groups();
	leaks();
	end_anchor(anchor);
	return tap_end();
}
