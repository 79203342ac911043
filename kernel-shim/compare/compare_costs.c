// SPDX-License-Identifier: MIT
/*
 * What single steps cost on this machine, for the reader of the other figures: copies of a page, faults, system calls, signals. With the argument "tune"
 * the module's policies are told, too, what a fault costs (the parameter fault_cost). One line
 * of JSON for each, {"cost":"...","each":...}, the median of many; one with the kernel's release; and TAP.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "../test/smc_calls.h"
#include "../test/tap.h"
#include "measure.h"

#define PAGE 4096UL
#define TIMES 201

static uint64_t samples[TIMES];

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Less what reading the clock costs. */
static void report(const char *name, unsigned int n)
{
	static uint64_t clock;
	uint64_t median;

	qsort(samples, n, sizeof(*samples), ascending);
	median = samples[n / 2];
	if (!strcmp(name, "clock"))
		clock = median;
	else
		median -= clock;
	if (!median) {
		tap_skip(name, "it does not happen here");
		return;
	}
	tap_line("{\"cost\":\"%s\",\"each\":%lu}", name, median);
	ok(true, "%s", name);
}

#define MEASURE(name, before, ...)                    \
	do {                                          \
		for (int i = 0; i < TIMES; i++) {     \
			uint64_t begun;               \
                                                      \
			before;                       \
			begun = now();                \
			__VA_ARGS__;                  \
			samples[i] = now() - begun;   \
		}                                     \
		report(name, TIMES);                  \
	} while (0)

static unsigned char *memory(void)
{
	unsigned char *m = mmap(NULL, (TIMES + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(m, (TIMES + 1) * PAGE, MADV_NOHUGEPAGE);
	return m;
}

#define TOUCH(page) (*(volatile unsigned char *)(page) = 1)

static void copies(void)
{
	static unsigned char from[PAGE] __attribute__((aligned(4096))), to[PAGE] __attribute__((aligned(4096)));

	void *(*volatile library)(void *, const void *, size_t) = memcpy;

	memset(from, 1, PAGE);
	memset(to, 2, PAGE);
	MEASURE("clock", , );
	MEASURE("copy of a page, the C library's memcpy", , library(to, from, PAGE));
	MEASURE("copy of a page, what the compiler makes of memcpy", , memcpy(to, from, PAGE); __asm__ __volatile__("" ::"r"(to) : "memory"));
	MEASURE("copy of a page, rep movsq", , {
		void *d = to, *s = from;
		unsigned long n = PAGE / 8;

		__asm__ __volatile__("rep movsq" : "+D"(d), "+S"(s), "+c"(n)::"memory");
	});
	MEASURE("copy of a page, rep movsb", , {
		void *d = to, *s = from;
		unsigned long n = PAGE;

		__asm__ __volatile__("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory");
	});
}

static void on_signal(int number)
{
	(void)number;
}

static unsigned char *fenced;

static void open_fence(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	mprotect(fenced, PAGE, PROT_READ | PROT_WRITE);
}

static void calls(void)
{
	unsigned char *m = memory();
	struct sigaction action = { .sa_sigaction = open_fence, .sa_flags = SA_SIGINFO };

	MEASURE("system call that does nothing", , syscall(SYS_getppid));
	signal(SIGUSR1, on_signal);
	MEASURE("signal to oneself, and back", , raise(SIGUSR1));
	memset(m, 1, (TIMES + 1) * PAGE);
	MEASURE("mprotect of a page, and back", ,
		{
			mprotect(m + 8 * PAGE, PAGE, PROT_READ);
			mprotect(m + 8 * PAGE, PAGE, PROT_READ | PROT_WRITE);
		});
	sigaction(SIGSEGV, &action, NULL);
	MEASURE("write fault with SIGSEGV and mprotect", { fenced = m + i * PAGE; mprotect(fenced, PAGE, PROT_READ); }, TOUCH(fenced));
}

static void faults(void)
{
	unsigned char *m = memory(), *z = memory();
	int clear = open("/proc/self/clear_refs", O_WRONLY);
	pid_t child;

	MEASURE("read fault, page of zeros", , (void)*(volatile unsigned char *)(z + i * PAGE));
	MEASURE("write fault, new page", , TOUCH(m + i * PAGE));
	if (clear >= 0 && write(clear, "4", 1) == 1)
		MEASURE("write fault that copies nothing", , TOUCH(m + i * PAGE));
	child = fork();
	if (!child)
		for (;;)
			pause();
	MEASURE("write fault that copies, after fork", , TOUCH(m + i * PAGE));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	MEASURE("fork, exit, wait", , {
		child = fork();
		if (!child)
			_exit(0);
		waitpid(child, NULL, 0);
	});
}

/* Tells the policies what a fault costs here, in copies ahead. */
static void set_fault_cost(uint64_t faults, uint64_t ahead)
{
	FILE *file = fopen("/sys/module/smc/parameters/fault_cost", "w");
	unsigned long ratio = (faults + ahead / 2) / ahead;

	if (!file || fprintf(file, "%lu\n", ratio) < 0 || fclose(file))
		ok(false, "the parameter fault_cost");
	else
		ok(true, "the parameter fault_cost is %lu", ratio);
}

static uint64_t epoch(int fd, unsigned char *m, uint64_t nothing)
{
	uint64_t begun = now();

	smc_take(fd);
	for (int i = 0; i < TIMES; i++)
		TOUCH(m + i * PAGE);
	return (now() - begun - nothing) / TIMES;
}

#define WAITING 4

static void *wait_for_ever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void with_threads(int fd, uint64_t nothing)
{
	pthread_t thread;

	for (int i = 0; i < WAITING; i++)
		if (pthread_create(&thread, NULL, wait_for_ever, NULL))
			abort();
	usleep(10000);
	for (int i = 0; i < TIMES; i++) {
		uint64_t begun = now();

		smc_take(fd);
		samples[i] = (now() - begun - nothing) / WAITING;
	}
	report("smc: checkpoint, for each thread that waits", TIMES);
}

static void module(bool tune)
{
	unsigned char *m = memory();
	uint64_t nothing, faults, ahead;
	int fd = open("/dev/smc", O_RDWR);

	if (fd < 0) {
		tap_skip("the module", "it is not loaded");
		return;
	}
	memset(m, 1, (TIMES + 1) * PAGE);
	if (smc_try_attach(fd, 0, 0, "")) {
		ok(false, "attaching");
		return;
	}
	/* the module keeps records of pages, and buffers: the first time is dearer */
	for (int i = 0; i < 3; i++)
		epoch(fd, m, 0);
	smc_take(fd);
	MEASURE("smc: fault that saves a page", , TOUCH(m + i * PAGE));
	smc_take(fd);
	MEASURE("smc: checkpoint, nothing written", , smc_take(fd));
	nothing = samples[TIMES / 2];
	epoch(fd, m, nothing);
	samples[0] = faults = epoch(fd, m, nothing);
	report("smc: page that faults, and is protected again", 1);
	smc_hint(fd, m, TIMES * PAGE, SMC_HOT_ADD);
	epoch(fd, m, nothing);
	samples[0] = ahead = epoch(fd, m, nothing);
	report("smc: page copied ahead, and written", 1);
	if (tune)
		set_fault_cost(faults, ahead);
	smc_hint(fd, m, TIMES * PAGE, SMC_HOT_CLEAR);
	smc_take(fd);
	smc_take(fd);
	with_threads(fd, nothing);
}

int main(int argc, char **argv)
{
	struct utsname system;

	tap_begin();
	if (!uname(&system))
		tap_line("{\"kernel\":\"%s\"}", system.release);
	copies();
	calls();
	faults();
	module(argc == 2 && !strcmp(argv[1], "tune"));
	return tap_end();
}
