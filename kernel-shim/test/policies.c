// SPDX-License-Identifier: MIT
/*
 * Policies inside of the kernel: what each chooses, that every option and parameter changes what it says, and that rollbacks stay exact
 * whatever is chosen.
 *
 *   step(fd, writes)    writes these of 64 pages, takes a checkpoint, and asks which of them were copied ahead at it
 *
 * Sets of pages are numbers of 64 bits. That policies choose the same as their models, number by number, is tested outside of the kernel.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

#include "areas.h"

#define N 64
#define FIRST(n) ((1ULL << (n)) - 1)

typedef unsigned long long set;

static unsigned char *area;
static __u64 *list;

static int start(const char *policy)
{
	area = pages(N);
	list = shared_pages(2);
	fill(area, N, 0);
	return smc_self(0, policy);
}

static int count(set s)
{
	return __builtin_popcountll(s);
}

/* Pages that the epoch has saved by now: right after a checkpoint, those that were copied ahead. */
static set saved(int fd)
{
	struct smc_dirty d = { .addrs = (unsigned long)list, .max = 1024 };
	set s = 0;

	must(!smc_call(fd, SMC_IOC_DIRTY, &d), "dirty");
	for (__u64 i = 0; i < d.count && i < d.max; i++)
		if (list[i] >= (unsigned long)area && list[i] < (unsigned long)area + N * PAGE)
			s |= 1ULL << (list[i] - (unsigned long)area) / PAGE;
	return s;
}

static void write_to(set writes)
{
	for (int i = 0; i < N; i++)
		if (writes >> i & 1)
			area[i * PAGE + 8]++;
}

static set step(int fd, set writes)
{
	write_to(writes);
	must(smc_take(fd) == 0, "checkpoint");
	return saved(fd);
}

static void set_policy(int fd, const char *spec)
{
	struct smc_policy_spec p = { 0 };

	strcpy(p.spec, spec);
	must(!smc_call(fd, SMC_IOC_POLICY, &p), spec);
}

/* ------------------------------------------------------------------ setting a policy */

static void setting(void *unused)
{
	const set hot = FIRST(16);
	int fd = start("gspec:newPage=1,mutation=0");
	struct smc_stat a, b;

	(void)unused;
	ok(!strcmp(smc_statistics(fd).policy, "gspec:newPage=1,mutation=0"), "attach sets the policy");
	step(fd, 0);
	ok(step(fd, hot) == hot, "it chooses what was written");
	ok(step(fd, 0) == hot, "and remembers it");
	set_policy(fd, "none");
	ok(!strcmp(smc_statistics(fd).policy, "none"), "another one is set");
	ok(step(fd, hot) == 0, "which chooses nothing");
	set_policy(fd, "gspec:newPage=1,mutation=0");
	ok(step(fd, FIRST(4)) == FIRST(4), "the first one again knows only what was written since");
	set_policy(fd, "gspec:newPage=1,mutation=0");
	ok(step(fd, 0) == 0, "set again, it has forgotten that too");
	set_policy(fd, "");
	ok(smc_statistics(fd).policy[0] == 0, "no policy");
	ok(step(fd, hot) == 0, "chooses nothing");

	/* a page that a hint and the policy ask for is copied once */
	set_policy(fd, "active-cks");
	smc_hint(fd, area, 16 * PAGE, SMC_HOT_ADD);
	step(fd, hot);
	a = smc_statistics(fd);
	ok(step(fd, hot) == hot, "hints and policy together");
	b = smc_statistics(fd);
	ok(b.ahead - a.ahead >= 16 && b.ahead - a.ahead < 24, "copy each page once: %llu", b.ahead - a.ahead);
}

/* ------------------------------------------------------------------ none */

static void none(void *unused)
{
	int fd = start("none"), wrong = 0;
	struct smc_stat a, b;

	(void)unused;
	step(fd, 0);
	for (int i = 0; i < 20; i++) {
		a = smc_statistics(fd);
		write_to(FIRST(16));
		b = smc_statistics(fd);
		wrong += b.copied - a.copied < 16 || b.faults - a.faults < 16;
		wrong += step(fd, 0) != 0;
	}
	b = smc_statistics(fd);
	ok(wrong == 0, "none: every page faults in every epoch");
	ok(b.ahead == 0 && b.compares == 0, "none: nothing is copied ahead, or compared");
}

/*
 * An epoch that writes a single page, the stack's neither, so that a single page is flushed. Then the same page again, and a rollback: had its
 * entry not been flushed, the write would not have been seen. Returns what the page has then.
 */
static long one_page(int fd, volatile long *page)
{
	long value;

	asm volatile("movl %1, %%edi\n\t"
		     "movl %3, %%esi\n\t"
		     "xorl %%edx, %%edx\n\t"
		     "movl $16, %%eax\n\t"
		     "syscall\n\t"		/* a checkpoint: nothing is writable any more */
		     "movq $1, (%2)\n\t"	/* one page is */
		     "movl $16, %%eax\n\t"
		     "syscall\n\t"		/* the checkpoint: it is protected and flushed */
		     "testl %%eax, %%eax\n\t"
		     "jnz 1f\n\t"
		     "movq $2, (%2)\n\t"
		     "movl %4, %%esi\n\t"
		     "movl $1, %%edx\n\t"
		     "movl $16, %%eax\n\t"
		     "syscall\n"		/* the rollback: the second checkpoint returns 1 */
		     "1:\tmovq (%2), %0"
		     : "=&r"(value)
		     : "r"(fd), "r"(page), "i"(SMC_IOC_CHECKPOINT), "i"(SMC_IOC_ROLLBACK)
		     : "rax", "rcx", "rdx", "rdi", "rsi", "r11", "memory", "cc");
	return value;
}

static void flush(void *unused)
{
	int fd = start("none"), good = 0;
	struct smc_stat a, b;

	(void)unused;
	step(fd, 0);
	for (int i = 0; i < 20; i++) {
		volatile long *page = (long *)(area + i * 3 * PAGE);

		a = smc_statistics(fd);
		*page = 7;
		good += one_page(fd, page) == 1;
		b = smc_statistics(fd);
	}
	ok(good == 20, "a single page is flushed: %d of 20 writes are seen after it", good);
	ok(b.flushes - a.flushes == 2, "by one flush for each checkpoint");
}

/* ------------------------------------------------------------------ active-rnd */

/* The number of pages that are copied ahead at a checkpoint, of whatever memory. */
static int copies(int fd, set writes)
{
	__u64 before = smc_statistics(fd).ahead;

	step(fd, writes);
	return smc_statistics(fd).ahead - before;
}

static void rnd_sizes(void *unused)
{
	static const struct { const char *spec; int size; } cases[] = {
		{ "active-rnd:interval=1000", 10 },
		{ "active-rnd:interval=1000,initialSize=4", 4 },
		{ "active-rnd:initialSize=23,interval=1000", 23 },
		{ "active-rnd:initialSize=1,interval=1000", 1 },
	};

	(void)unused;
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		int fd = start(cases[c].spec), wrong = 0;

		step(fd, 0);
		step(fd, FIRST(40));
		for (int i = 0; i < 12; i++)
			wrong += copies(fd, FIRST(40)) != cases[c].size;
		ok(wrong == 0, "%s: %d pages at each checkpoint", cases[c].spec, cases[c].size);
		close(fd);
	}
}

static void rnd_interval(void *unused)
{
	static const int intervals[] = { 1, 2, 3, 7, 50 };

	(void)unused;
	for (int c = 0; c < 5; c++) {
		int interval = intervals[c], fd, wrong = 0;
		char spec[64];

		sprintf(spec, "active-rnd:interval=%d", interval);
		fd = start(interval == 50 ? "active-rnd" : spec);
		step(fd, 0);
		step(fd, FIRST(20));
		for (int i = 3; i <= 104; i++)
			wrong += (step(fd, FIRST(20)) == 0) != (i % interval == 0);
		ok(wrong == 0, "%s: every checkpoint of that number copies nothing", spec);
		close(fd);
	}
}

/* Runs until the second sampling epoch after a change of the working set is over; returns copies at the next checkpoints. */
static int rnd_settled(int fd, set hot, int checkpoints, set another)
{
	for (int i = 0; i < checkpoints; i++)
		step(fd, hot);
	/* a list whose size is lowered shrinks with the next page that comes */
	step(fd, hot | another);
	return copies(fd, hot);
}

static void rnd_samples(void *unused)
{
	static const struct { const char *spec; int low, high, then_low, then_high; const char *name; } cases[] = {
		/* the working set is of 32 pages and some of the stack and the C library, then of 8 */
		{ "active-rnd:interval=4,samples=1,factor=1", 32, 38, 8, 14, "the size of the last sample" },
		{ "active-rnd:interval=4,samples=9,factor=1", 32, 38, 32, 38, "the median of many" },
		{ "active-rnd:interval=4,samples=1,factor=0.5", 16, 19, 4, 7, "half of it" },
		{ "active-rnd:interval=4,samples=1,factor=0.001", 1, 1, 1, 1, "at least one page" },
		{ "active-rnd:interval=4,samples=1,count=listed,initialSize=6", 6, 6, 1, 6, "only pages in the list count" },
	};

	(void)unused;
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		int fd = start(cases[c].spec), n, then;

		step(fd, 0);
		n = rnd_settled(fd, FIRST(32), 20, 1ULL << 62);
		then = rnd_settled(fd, FIRST(8), 9, 1ULL << 63);
		ok(n >= cases[c].low && n <= cases[c].high && then >= cases[c].then_low && then <= cases[c].then_high,
		   "%s: %s: %d, then %d", cases[c].spec, cases[c].name, n, then);
		close(fd);
	}
}

/* ------------------------------------------------------------------ active-cks */

static void cks(void *unused)
{
	static const struct { const char *spec; int misses; } cases[] = {
		{ "active-cks", 5 }, { "active-cks:misses=0", 0 }, { "active-cks:misses=1", 1 }, { "active-cks:misses=9", 9 },
	};

	(void)unused;
	for (size_t c = 0; c < 4; c++) {
		int fd = start(cases[c].spec), misses = cases[c].misses, wrong = 0;
		struct smc_stat a, b;

		step(fd, 0);
		for (int i = 0; i < 4; i++)
			wrong += step(fd, FIRST(12)) != FIRST(12);
		ok(wrong == 0, "%s: pages that are written are copied ahead", cases[c].spec);
		a = smc_statistics(fd);
		for (int i = 0; i < misses; i++)
			wrong += step(fd, FIRST(4)) != FIRST(12);
		b = smc_statistics(fd);
		ok(wrong == 0, "%s: for %d epochs in which they are not, too", cases[c].spec, misses);
		ok(b.compares - a.compares >= 12 * (__u64)misses, "%s: each is compared each time: %llu", cases[c].spec,
		   b.compares - a.compares);
		ok(step(fd, FIRST(4)) == FIRST(4), "%s: and then no more", cases[c].spec);
		a = smc_statistics(fd);
		write_to(FIRST(12));
		b = smc_statistics(fd);
		ok(b.copied - a.copied >= 8 && b.copied - a.copied < 12, "%s: those fault again: %llu", cases[c].spec,
		   b.copied - a.copied);
		/* what is written is not what counts, but what changes */
		for (int i = 0; i <= misses + 1; i++) {
			for (int j = 0; j < 12; j++)
				*(volatile unsigned char *)&area[j * PAGE + 8] += 0;
			step(fd, 0);
		}
		ok(saved(fd) == 0, "%s: writing the same again is no change", cases[c].spec);
		close(fd);
	}
}

/* ------------------------------------------------------------------ gspec */

static void gspec_extremes(void *unused)
{
	const set hot = FIRST(24);
	struct smc_stat a, b;
	int fd, wrong = 0, chosen = 0;

	(void)unused;
	fd = start("gspec:newPage=1,mutation=0");
	step(fd, 0);
	for (int i = 0; i < 25; i++)
		wrong += step(fd, i < 12 ? hot : 1ULL << 40) != (i < 12 ? hot : hot | 1ULL << 40);
	ok(wrong == 0, "newPage=1, mutation=0: every known page is copied, written or not");
	a = smc_statistics(fd);
	write_to(hot);
	b = smc_statistics(fd);
	ok(b.copied - a.copied < 4, "and does not fault: %llu", b.copied - a.copied);
	close(fd);

	fd = start("gspec:newPage=0,mutation=0");
	step(fd, 0);
	for (int i = 0; i < 25; i++)
		wrong += step(fd, hot) != 0;
	ok(wrong == 0, "newPage=0, mutation=0: none is");
	close(fd);

	fd = start("gspec:newPage=1,mutation=1,population=1");
	step(fd, 0);
	for (int i = 0; i < 25; i++)
		wrong += step(fd, hot) != 0;
	ok(wrong == 0, "newPage=1, mutation=1, population=1: every bit is flipped to 0, and forgotten");
	close(fd);

	fd = start("gspec:newPage=0,mutation=1,population=2");
	step(fd, 0);
	for (int i = 0; i < 30; i++)
		chosen += count(step(fd, hot));
	ok(chosen > 100, "newPage=0, mutation=1, population=2: what nobody was born with is chosen by mutation: %d times", chosen);
	close(fd);
}

/* Pages of the area that are copied ahead at a checkpoint, on average over the last of so many, in percent of those written. */
static int share(const char *spec, int checkpoints, int period)
{
	const int n = 32, last = checkpoints / 4;
	int fd = start(spec), sum = 0;

	step(fd, FIRST(n));
	for (int i = 0; i < checkpoints; i++) {
		set writes = 0;

		/* each page is written in one epoch of `period` */
		for (int j = 0; j < n; j++)
			if ((i + j * 7) % period == 0)
				writes |= 1ULL << j;
		writes = step(fd, writes);
		if (i >= checkpoints - last)
			sum += count(writes & FIRST(n));
	}
	close(fd);
	return sum * 100 / (last * n);
}

static void gspec_choices(void *unused)
{
	int few, many, measured[2];

	(void)unused;
	few = share("gspec:population=20,newPage=0.5,mutation=0", 16, 1);
	many = share("gspec:population=1,newPage=0.5,mutation=0", 16, 1);
	ok(few > 30 && few < 70 && many > 95,
	   "population: twenty share what is known, a single one drops what it does not choose: %d %%, %d %%", few, many);
	few = share("gspec:newPage=0.03,missCost=0", 160, 1);
	many = share("gspec:newPage=0.03,missCost=8", 160, 1);
	ok(many > few + 20, "missCost: a miss that costs nothing, or eight copies: %d %%, %d %% of the pages are copied", few,
	   many);

	/* where missCost is not given, the module's parameter says it */
	for (int cost = 1; cost <= 8; cost *= 8) {
		char text[64];

		sprintf(text, "%d", cost);
		put(PARAMETER("fault_cost"), text);
		measured[cost == 8] = share("gspec:newPage=0.03", 160, 4);
		sprintf(text, "gspec:newPage=0.03,missCost=%d", cost);
		few = share(text, 160, 4);
		ok(measured[cost == 8] == few, "fault_cost=%d: what missCost=%d says, %d %%, %d %%", cost, cost,
		   measured[cost == 8], few);
	}
	ok(measured[1] > measured[0] + 10, "and they differ");
	put(PARAMETER("fault_cost"), "0");
	many = share("gspec:newPage=0.03", 160, 4);
	ok(many == measured[0], "fault_cost=0: a fault costs something all the same");
	put(PARAMETER("fault_cost"), "8");
}

/* What a policy chose over many epochs, as a number. */
static unsigned int trace_of(const char *spec)
{
	unsigned int hash = 2166136261u;
	int fd = start(spec);

	seed = 7;
	step(fd, 0);
	for (int i = 0; i < 50; i++) {
		/* sometimes there are few hot pages, sometimes many */
		set s = step(fd, FIRST(i / 9 % 2 ? 4 : 14) | 1ULL << (16 + draw(32)) | 1ULL << (16 + draw(32)));

		for (int j = 0; j < 8; j++)
			hash = (hash ^ (s >> 8 * j & 255)) * 16777619u;
	}
	close(fd);
	return hash;
}

static void in_own_process(const char *spec, unsigned int *hash)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		*hash = trace_of(spec);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	must(status == 0, spec);
}

/* Every option changes what is chosen, and nothing else does: a policy's choices are the same each time. */
static void options(void *unused)
{
	static const char *const specs[] = {
		"active-rnd:interval=5", "active-rnd:interval=6", "active-rnd:interval=5,samples=1",
		"active-rnd:interval=5,factor=0.4", "active-rnd:interval=5,initialSize=30", "active-rnd:interval=5,count=listed",
		"active-rnd:interval=5,seed=2",
		"active-cks", "active-cks:misses=2",
		"gspec", "gspec:population=7", "gspec:mutation=0.2", "gspec:newPage=0.6", "gspec:parents=roulette",
		"gspec:crossover=uniform", "gspec:bestIsParent=false", "gspec:missCost=1", "gspec:seed=2",
	};
	const int n = sizeof(specs) / sizeof(specs[0]);
	unsigned int *hashes = shared_pages(1);
	int same = 0, different = 0;

	(void)unused;
	for (int i = 0; i < n; i++) {
		unsigned int first;

		in_own_process(specs[i], &hashes[i]);
		first = hashes[i];
		in_own_process(specs[i], &hashes[i]);
		same += first == hashes[i];
		if (first != hashes[i])
			tap_line("# %s chooses differently each time", specs[i]);
	}
	for (int i = 0; i < n; i++) {
		bool unique = true;

		for (int j = 0; j < n; j++)
			unique &= i == j || hashes[i] != hashes[j];
		different += unique;
		if (!unique)
			tap_line("# %s chooses what another one does", specs[i]);
	}
	ok(same == n, "each of %d policies chooses the same each time: %d", n, same);
	ok(different == n, "and something else than the others: %d", different);
}

/* ------------------------------------------------------------------ exactness */

static const char *const exact[] = {
	"none", "active-rnd", "active-rnd:interval=2,initialSize=40", "active-cks", "active-cks:misses=0", "gspec",
	"gspec:newPage=1,mutation=0", "gspec:population=1,mutation=1,newPage=0", "gspec:population=20,mutation=0.3,newPage=0.5",
};

enum { HOT, RANDOM, ALTERNATING, PATTERNS };

/* What rollbacks leave alone. */
struct kept {
	int rollbacks, wrong, forks;
	unsigned char bytes[N][PAGE];
};

static void change(set writes, unsigned int what)
{
	for (int i = 0; i < N; i++)
		if (writes >> i & 1)
			memset(area + i * PAGE + draw(PAGE - 64), what + i, 64);
}

static set next_set(int pattern, int epoch)
{
	set s = 0;

	if (pattern == HOT)
		return FIRST(12);
	if (pattern == ALTERNATING)
		return epoch % 2 ? FIRST(20) : FIRST(20) << 16;
	for (int i = 0; i < 10; i++)
		s |= 1ULL << draw(N);
	return s;
}

static void exactness(void *argument)
{
	struct kept *kept = shared_pages(sizeof(struct kept) / PAGE + 1);
	const char *spec = argument;
	int fd = start(spec);

	for (int pattern = 0; pattern < PATTERNS; pattern++) {
		pid_t child = 0;

		for (int epoch = 0; epoch < 24; epoch++) {
			long r;

			memcpy(kept->bytes, area, sizeof(kept->bytes));
			r = smc_take(fd);
			if (r < 1 + epoch % 2) {
				int more = kept->rollbacks;

				change(next_set(pattern, epoch + more), 3 * epoch + r);
				if (epoch % 5 == 3 && r == 0) {
					child = fork();
					if (!child)
						for (;;)
							pause();
					kept->forks = child;
					change(next_set(pattern, epoch), 99);
				}
				if (epoch % 7 == 2) {
					madvise(area + 8 * PAGE, 4 * PAGE, MADV_DONTNEED);
					munmap(area + 20 * PAGE, 4 * PAGE);
				}
				kept->rollbacks++;
				smc_back(fd, r + 1);
			}
			kept->wrong += r != 1 + epoch % 2;
			kept->wrong += memcmp(kept->bytes, area, sizeof(kept->bytes)) != 0;
			/* the epoch goes on after its rollbacks */
			change(next_set(pattern, epoch), epoch);
			/* the child has a share of the pages for two more epochs */
			if (epoch % 5 == 0 && kept->forks) {
				kill(kept->forks, SIGKILL);
				waitpid(kept->forks, NULL, 0);
				kept->forks = 0;
			}
		}
		if (kept->forks) {
			kill(kept->forks, SIGKILL);
			waitpid(kept->forks, NULL, 0);
			kept->forks = 0;
		}
	}
	ok(kept->rollbacks == 36 * PATTERNS && kept->wrong == 0, "%s: %d rollbacks of hot, random and alternating pages: %d wrong",
	   spec, kept->rollbacks, kept->wrong);
}

/* ------------------------------------------------------------------ parameters of the module */

static void limit_parameter(void *unused)
{
	int a = smc_device(), b;

	(void)unused;
	put(PARAMETER("limit"), "1234567");
	must(!smc_try_attach(a, 0, 0, ""), "attach");
	ok(smc_statistics(a).limit == 1234567, "limit: that of who does not say it");
	put(PARAMETER("limit"), "268435456");
	ok(smc_statistics(a).limit == 1234567, "not of who is attached already");
	close(a);
	b = smc_self(7654321, "");
	ok(smc_statistics(b).limit == 7654321, "nor of who says another one");
	close(b);
	b = smc_self(0, "");
	ok(smc_statistics(b).limit == 256 << 20, "256 MiB: %llu", smc_statistics(b).limit);
	ok(open(PARAMETER("held"), O_WRONLY) < 0, "held cannot be written");
}

/* A thread that cannot be stopped for so long: it waits for a child of vfork. */
static void *waits_for_vfork(void *arg)
{
	pid_t pid = vfork();

	if (!pid) {
		usleep((long)arg * 1000);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return NULL;
}

static void timeout_parameter(void *unused)
{
	int fd = smc_self(0, "");
	pthread_t thread;
	double begun, took;
	long r;

	(void)unused;
	for (int i = 0; i < 2; i++) {
		put(PARAMETER("stop_timeout_ms"), i ? "2000" : "60");
		must(!pthread_create(&thread, NULL, waits_for_vfork, (void *)300), "pthread_create");
		usleep(30000);
		begun = now();
		r = smc_take(fd);
		took = now() - begun;
		pthread_join(thread, NULL);
		if (i)
			ok(r == 0 && took > 0.15 && took < 1.5, "stop_timeout_ms=2000: it is waited for: %ld, %.3f s", r, took);
		else
			ok(r == -ETIMEDOUT && took > 0.05 && took < 0.2, "stop_timeout_ms=60: given up: %ld, %.3f s", r, took);
	}
	put(PARAMETER("stop_timeout_ms"), "1000");
}

/* The kernel writes to a thread's area for restartable sequences when it was interrupted: a page that would fault at random. */
static void no_interruptions(void)
{
	char *thread = __builtin_thread_pointer();

	if (__rseq_size)
		syscall(SYS_rseq, thread + __rseq_offset, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

int main(void)
{
	pid_t anchor;

	tap_begin();
	no_interruptions();
	anchor = make_anchor();
	in_child("setting", setting, NULL);
	in_child("none", none, NULL);
	in_child("flush", flush, NULL);
	in_child("active-rnd: sizes", rnd_sizes, NULL);
	in_child("active-rnd: interval", rnd_interval, NULL);
	in_child("active-rnd: samples", rnd_samples, NULL);
	in_child("active-cks", cks, NULL);
	in_child("gspec: extremes", gspec_extremes, NULL);
	in_child("gspec: choices", gspec_choices, NULL);
	in_child("options", options, NULL);
	for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++)
		in_child("exactness", exactness, (void *)exact[i]);
	in_child("limit", limit_parameter, NULL);
	in_child("stop_timeout_ms", timeout_parameter, NULL);
	end_anchor(anchor);
	none_held("policies");
	return tap_end();
}
