// SPDX-License-Identifier: MIT
/*
 * Wrong arguments and calls at the wrong time: each error is the one that uapi/smc.h names, nothing changes by it, and the handle is
 * as good as before.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

#include "areas.h"

/* the first address that is not a process' own */
#define USER_END 0x7ffffffff000UL

static const struct call {
	const char *name;
	unsigned long number;
	bool pointer, writes;
} calls[] = {
	{ "attach", SMC_IOC_ATTACH, true, false },
	{ "join", SMC_IOC_JOIN, true, false },
	{ "detach", SMC_IOC_DETACH, false, false },
	{ "checkpoint", SMC_IOC_CHECKPOINT, false, false },
	{ "rollback", SMC_IOC_ROLLBACK, false, false },
	{ "hot", SMC_IOC_HOT, true, false },
	{ "policy", SMC_IOC_POLICY, true, false },
	{ "stat", SMC_IOC_STAT, true, true },
	{ "dirty", SMC_IOC_DIRTY, true, true },
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))
/* the calls from here on need a process that lives */
#define LIVING 3

/* One of calls[2..], with arguments that nothing is wrong with. */
static long well_formed(int fd, size_t call)
{
	static char room[sizeof(struct smc_stat)];

	memset(room, 0, sizeof(room));
	return smc_call(fd, calls[call].number,
			calls[call].pointer ? room : calls[call].number == SMC_IOC_ROLLBACK ? (void *)1 : NULL);
}

/* ------------------------------------------------------------------ numbers and pointers */

static void unknown_calls(void *unused)
{
	static const unsigned long unknown[] = {
		0, ~0UL, 0xffffffff, _IO('S', 0x3f), _IO('S', 0x49), _IO('S', 0x40), _IO('T', 0x43),
		_IOW('S', 0x40, struct smc_attach), _IOWR('S', 0x40, int), _IOWR('S', 0x42, int),
		_IOR('S', 0x43, int), _IOWR('S', 0x47, struct smc_stat), _IOW('S', 0x45, struct smc_stat),
	};
	int fd = smc_device();
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char byte;

	(void)unused;
	for (int tied = 0; tied < 2; tied++) {
		for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
			gives(smc_call(fd, unknown[i], NULL), -ENOTTY, "unknown call %#lx, %s", unknown[i],
			      tied ? "tied" : "untied");
		if (!tied)
			smc_try_attach(fd, 0, 0, "");
	}
	ok(read(fd, &byte, 1) == -1 && errno == EINVAL, "the device cannot be read");
	ok(write(fd, &byte, 1) == -1 && errno == EINVAL, "nor written");
	ok(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == ENODEV, "nor mapped");
	ok(poll(&p, 1, 1000) == 1, "polling it does not block");
}

static void pointers(void *unused)
{
	char *none = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *constant = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct { const char *name; char *at; } bad[] = {
		{ "NULL", NULL },
		{ "address 1", (char *)1 },
		{ "a page that cannot be read", none },
		{ "a struct that begins well", none + PAGE + PAGE - 2 },
		{ "the end of user space", (char *)USER_END - 2 },
		{ "no address at all", (char *)0x8000000000000000 },
		{ "kernel memory", (char *)0xffffffff81000000 },
		{ "-1", (char *)-1 },
	};
	int fd = smc_device(), tied = smc_self(0, "none");
	struct smc_policy_spec policy = { .spec = "gspec:population=2" };
	struct smc_stat before, after;

	(void)unused;
	mprotect(none + PAGE, PAGE, PROT_READ | PROT_WRITE);
	smc_take(tied);
	before = smc_statistics(tied);
	for (size_t c = 0; c < CALLS; c++) {
		bool needs_untied = c < 2;

		if (!calls[c].pointer)
			continue;
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
			gives(smc_call(needs_untied ? fd : tied, calls[c].number, bad[i].at), -EFAULT,
			      "%s, %s", calls[c].name, bad[i].name);
		if (calls[c].writes)
			gives(smc_call(tied, calls[c].number, constant), -EFAULT, "%s, a page that cannot be written",
			      calls[c].name);
	}
	after = smc_statistics(tied);
	ok(!strcmp(after.policy, before.policy) && after.epoch == before.epoch, "nothing changed by all that");
	gives(smc_try_attach(fd, 0, 0, ""), -EBUSY, "the untied handle is not tied by it");

	/* a struct that only has to be read may be read-only */
	munmap(constant, 2 * PAGE);
	constant = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(constant, &policy, sizeof(policy));
	mprotect(constant, PAGE, PROT_READ);
	gives(smc_call(tied, SMC_IOC_POLICY, constant), 0, "a policy in read-only memory");
	after = smc_statistics(tied);
	ok(!strcmp(after.policy, policy.spec), "is the policy");
	mprotect(constant, PAGE, PROT_READ | PROT_WRITE);
	strcpy(((struct smc_policy_spec *)constant)->spec, "nobody");
	mprotect(constant, PAGE, PROT_READ);
	gives(smc_call(tied, SMC_IOC_POLICY, constant), -EFAULT, "a wrong one, where the mistake cannot be said");
	after = smc_statistics(tied);
	ok(!strcmp(after.policy, policy.spec), "changes nothing");
}

/* ------------------------------------------------------------------ attach, join, policy */

static void attach_fields(void *unused)
{
	static const unsigned int abis[] = { 0, SMC_ABI + 1, SMC_ABI + 256, 0xffffffff };
	static const unsigned int flags[] = { 1, 2, 0x80000000, 0xffffffff };
	int fd = smc_device();
	struct smc_attach a = { .abi = SMC_ABI };
	pid_t zombie;

	(void)unused;
	for (size_t i = 0; i < 4; i++) {
		a = (struct smc_attach) { .abi = abis[i] };
		gives(smc_call(fd, SMC_IOC_ATTACH, &a), -EPROTO, "ABI %u", abis[i]);
		a.flags = 1;
		a.pid = -5;
		memset(a.policy, 'x', sizeof(a.policy));
		gives(smc_call(fd, SMC_IOC_ATTACH, &a), -EPROTO, "ABI %u, whatever else is wrong", abis[i]);
		a = (struct smc_attach) { .abi = SMC_ABI, .flags = flags[i] };
		gives(smc_call(fd, SMC_IOC_ATTACH, &a), -EINVAL, "flags %#x", flags[i]);
	}
	a = (struct smc_attach) { .abi = SMC_ABI };
	memset(a.policy, '0', sizeof(a.policy));
	memcpy(a.policy, "gspec:seed=", 11);
	gives(smc_call(fd, SMC_IOC_ATTACH, &a), -EINVAL, "a policy without an end");

	gives(smc_try_attach(fd, -1, 0, ""), -EINVAL, "process -1");
	gives(smc_try_attach(fd, INT_MIN, 0, ""), -EINVAL, "process INT_MIN");
	gives(smc_try_attach(fd, INT_MAX, 0, ""), -ESRCH, "process INT_MAX");
	gives(smc_try_attach(fd, 2, 0, ""), -ESRCH, "a thread of the kernel");
	zombie = fork();
	if (!zombie)
		_exit(0);
	waitid(P_PID, zombie, &(siginfo_t) { 0 }, WEXITED | WNOWAIT);
	gives(smc_try_attach(fd, zombie, 0, ""), -ESRCH, "a process that has ended");
	waitpid(zombie, NULL, 0);
	gives(smc_try_attach(fd, zombie, 0, ""), -ESRCH, "one that is gone");

	a.policy[sizeof(a.policy) - 1] = 0;
	a.policy[sizeof(a.policy) - 2] = '7';
	gives(smc_call(fd, SMC_IOC_ATTACH, &a), 0, "after all that, a policy of %zu characters",
	      strlen(a.policy));
	ok(!strcmp(smc_statistics(fd).policy, a.policy), "which the statistics give back");
	ok(smc_statistics(fd).epoch == 0, "there is no checkpoint yet");
	gives(smc_call(fd, SMC_IOC_DETACH, NULL), 0, "detach");

	gives(smc_try_attach(fd, 0, ~0UL, ""), 0, "no limit at all");
	ok(smc_statistics(fd).limit == ~0UL, "is the limit");
	gives(smc_take(fd), 0, "a checkpoint without limit");
	gives(smc_call(fd, SMC_IOC_DETACH, NULL), 0, "detach");
	gives(smc_try_attach(fd, getpid(), 1, ""), 0, "a limit of one byte, and oneself by number");
	if (!smc_take(fd))
		gives(smc_back(fd, 1), -ESTALE, "with which nothing can be rolled back");
	ok(smc_statistics(fd).held <= 1, "and nothing is held");
}

static void *wait_for(void *pipe)
{
	char byte;

	return (void *)read(*(int *)pipe, &byte, 1);
}

static int thread_body(void *pipe)
{
	wait_for(pipe);
	return 0;
}

static void thread_number(void *unused)
{
	static char stack[1 << 16] __attribute__((aligned(16)));
	int fd = smc_device(), ends[2];
	pid_t tid;

	(void)unused;
	if (pipe(ends))
		_exit(3);
	tid = clone(thread_body, stack + sizeof(stack),
		    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, ends);
	gives(smc_try_attach(fd, tid, 0, ""), -ESRCH, "the number of a thread is not a process'");
	gives(smc_call(fd, SMC_IOC_JOIN, &tid), -ESRCH, "nor to join");
	_exit(0);
}

static const struct { const char *spec; unsigned int column; } mistakes[] = {
	{ "nobody", 1 }, { "None", 1 }, { " none", 1 }, { "none ", 1 }, { ":", 2 },
	{ "none:", 6 }, { "none:seed=1", 6 }, { "gspec:", 7 }, { "gspec:bogus=1", 7 }, { "gspec:seed", 11 },
	{ "gspec:seed=", 12 }, { "gspec:seed=1,", 14 }, { "gspec:seed=1,seed=1", 14 }, { "gspec:seed==1", 12 },
	{ "gspec:population=0", 18 }, { "gspec:population=21", 18 }, { "gspec:population=5x", 19 },
	{ "gspec:mutation=1.1", 16 }, { "gspec:parents=lottery", 15 }, { "gspec:bestIsParent=1", 20 },
	{ "active-rnd:interval=1.5", 22 }, { "active-rnd:factor=0", 19 }, { "active-rnd:samples=99999999999999999999", 20 },
	{ "active-cks:misses=-1", 19 }, { "active-cks:misses= 1", 19 }, { "active-cks:seed=1", 12 },
};

static void policy_mistakes(void *unused)
{
	int fd = smc_device(), tied = smc_self(0, "active-cks:misses=3");
	struct smc_stat s;

	(void)unused;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		struct smc_attach a = { .abi = SMC_ABI, .error_at = 77 };
		struct smc_policy_spec p = { .error_at = 77 };
		long r;

		strcpy(a.policy, mistakes[i].spec);
		strcpy(p.spec, mistakes[i].spec);
		r = smc_call(fd, SMC_IOC_ATTACH, &a);
		ok(r == -EINVAL && a.error_at == mistakes[i].column, "attach with \"%s\": %ld at %u",
		   mistakes[i].spec, r, a.error_at);
		r = smc_call(tied, SMC_IOC_POLICY, &p);
		ok(r == -EINVAL && p.error_at == mistakes[i].column, "policy \"%s\": %ld at %u",
		   mistakes[i].spec, r, p.error_at);
	}
	{
		struct smc_policy_spec p = { .reserved = 1, .spec = "none" };

		gives(smc_call(tied, SMC_IOC_POLICY, &p), -EINVAL, "policy, reserved is not 0");
		p.reserved = 0;
		memset(p.spec, 'g', sizeof(p.spec));
		gives(smc_call(tied, SMC_IOC_POLICY, &p), -EINVAL, "policy without an end");
	}
	s = smc_statistics(tied);
	ok(!strcmp(s.policy, "active-cks:misses=3"), "the policy is what it was: %s", s.policy);
}

static void two_handles(void *unused)
{
	int a = smc_device(), b = smc_device(), self = 0, none = -1, missing = INT_MAX, kernel = 2;

	(void)unused;
	gives(smc_call(b, SMC_IOC_JOIN, &none), -EINVAL, "joining process -1");
	gives(smc_call(b, SMC_IOC_JOIN, &missing), -ESRCH, "joining process INT_MAX");
	gives(smc_call(b, SMC_IOC_JOIN, &kernel), -ESRCH, "joining a thread of the kernel");
	gives(smc_call(b, SMC_IOC_JOIN, &self), -ENOTCONN, "joining a process that is not attached");
	gives(smc_try_attach(a, 0, 0, ""), 0, "attach");
	gives(smc_try_attach(a, 0, 0, ""), -EBUSY, "the same handle again");
	gives(smc_try_attach(b, 0, 0, ""), -EBUSY, "the same process again");
	gives(smc_call(a, SMC_IOC_JOIN, &self), -EBUSY, "joining with a handle that is attached");
	gives(smc_call(b, SMC_IOC_JOIN, &self), 0, "joining");
	gives(smc_call(b, SMC_IOC_JOIN, &self), -EBUSY, "joining twice");
	gives(smc_try_attach(b, 0, 0, ""), -EBUSY, "attach with a handle that has joined");
	gives(smc_take(b), 0, "a checkpoint by the second handle");
	ok(smc_statistics(a).epoch == 1, "is the first handle's");
	close(b);
	gives(smc_take(a), 0, "the second handle's end is not the attachment's");
	b = smc_device();
	gives(smc_call(b, SMC_IOC_JOIN, &self), 0, "joining again");
	close(a);
	gives(smc_take(b), -EOWNERDEAD, "the first handle's end is");
	gives(smc_call(b, SMC_IOC_JOIN, &self), -EBUSY, "a handle is tied until it detaches");
	gives(smc_call(b, SMC_IOC_DETACH, NULL), 0, "detach");
	gives(smc_call(b, SMC_IOC_DETACH, NULL), -ENOTCONN, "detach twice");
	gives(smc_call(b, SMC_IOC_JOIN, &self), -ENOTCONN, "the process is not attached any more");
	gives(smc_try_attach(b, 0, 0, ""), 0, "and can be again");
	gives(smc_back(b, 1), -ENODATA, "from the beginning: the old checkpoint is gone");
	gives(smc_take(b), 0, "checkpoint");
}

/* ------------------------------------------------------------------ calls at the wrong time */

static void untied(void *unused)
{
	int fd = smc_device();

	(void)unused;
	for (size_t i = 2; i < CALLS; i++)
		gives(well_formed(fd, i), -ENOTCONN, "%s with an untied handle", calls[i].name);
}

static void values(void *unused)
{
	static const long wrong[] = { 0, -1, LONG_MIN, (long)INT_MAX + 1, 1L << 32, LONG_MAX };
	static volatile long *kept;
	int fd = smc_self(0, "");
	long r;

	(void)unused;
	kept = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	gives(smc_call(fd, SMC_IOC_CHECKPOINT, (void *)1), -EINVAL, "checkpoint with an argument");
	gives(smc_back(fd, 1), -ENODATA, "rollback before the first checkpoint");
	for (int taken = 0; taken < 2; taken++) {
		for (size_t i = 0; i < 6; i++)
			gives(smc_back(fd, wrong[i]), -EINVAL, "rollback, value %ld", wrong[i]);
		if (!taken)
			smc_take(fd);
	}
	r = smc_take(fd);
	kept[0]++;
	if (r == 0)
		gives(smc_back(fd, INT_MAX), 0, "a rollback does not return");
	gives(r, r == 1 ? 1 : INT_MAX, "the checkpoint returns the value");
	if (r == INT_MAX)
		smc_back(fd, 1);
	ok(kept[0] == 3, "once for each rollback");
}

/* All calls on a handle whose process is gone. */
static void all_dead(int fd, const char *when)
{
	for (size_t i = LIVING; i < CALLS; i++)
		gives(well_formed(fd, i), -EOWNERDEAD, "%s, %s", calls[i].name, when);
	gives(smc_try_attach(fd, 0, 0, ""), -EBUSY, "attach, %s", when);
	gives(smc_call(fd, SMC_IOC_DETACH, NULL), 0, "detach, %s", when);
}

static void after_exit(void *unused)
{
	for (int state = 0; state < 3; state++) {
		int fd = smc_device(), ends[2];
		pid_t child;

		(void)unused;
		if (pipe(ends))
			_exit(3);
		child = fork();
		if (!child) {
			wait_for(ends);
			_exit(0);
		}
		gives(smc_try_attach(fd, child, 0, ""), 0, "a child is attached");
		if (state)
			gives(smc_take(fd), 0, "it has a checkpoint");
		if (write(ends[1], "x", 1) != 1)
			_exit(3);
		waitid(P_PID, child, &(siginfo_t) { 0 }, WEXITED | WNOWAIT);
		if (state < 2)
			all_dead(fd, "the process is a zombie");
		waitpid(child, NULL, 0);
		if (state == 2)
			all_dead(fd, "the process is gone");
		close(fd);
	}
}

/* The second half of a program that calls exec. */
static int after_exec(int fd, int counts)
{
	int self = 0;

	tap = mmap(NULL, sizeof(*tap), PROT_READ | PROT_WRITE, MAP_SHARED, counts, 0);
	for (size_t i = LIVING; i < CALLS; i++)
		gives(well_formed(fd, i), -EOWNERDEAD, "%s after exec", calls[i].name);
	gives(smc_call(fd, SMC_IOC_JOIN, &self), -EBUSY, "the handle is still tied");
	gives(smc_call(fd, SMC_IOC_DETACH, NULL), 0, "detach after exec");
	gives(smc_call(fd, SMC_IOC_JOIN, &self), -ENOTCONN, "exec has ended the attachment");
	gives(smc_try_attach(fd, 0, 0, ""), 0, "a new one");
	gives(smc_back(fd, 1), -ENODATA, "has no checkpoint of the old program");
	gives(smc_take(fd), 0, "but one of the new");
	return 0;
}

static void exec_in_epoch(void *unused)
{
	char handle[16], counts[16], *arguments[] = { "arguments", "after-exec", handle, counts, NULL };
	int fd = open("/dev/smc", O_RDWR), shared = memfd_create("tap", 0), status;
	pid_t child;

	(void)unused;
	/* counts have to be shared with another program */
	if (ftruncate(shared, sizeof(*tap)) || write(shared, tap, sizeof(*tap)) != sizeof(*tap))
		_exit(3);
	child = fork();
	if (!child) {
		int own = open("/dev/smc", O_RDWR);

		close(fd);
		snprintf(handle, sizeof(handle), "%d", own);
		snprintf(counts, sizeof(counts), "%d", shared);
		smc_try_attach(own, 0, 0, "");
		smc_take(own);
		execv("/proc/self/exe", arguments);
		_exit(4);
	}
	waitpid(child, &status, 0);
	if (pread(shared, tap, sizeof(*tap), 0) != sizeof(*tap))
		_exit(3);
	ok(status == 0, "a program that was attached called exec: status %#x", status);
}

static void late(void *unused)
{
	int fd = smc_device(), ends[2];
	struct smc_stat s;
	pid_t child;

	(void)unused;
	put(PARAMETER("stop_timeout_ms"), "50");
	if (pipe(ends))
		_exit(3);
	child = fork();
	if (!child) {
		wait_for(ends);
		_exit(0);
	}
	smc_try_attach(fd, child, 0, "");
	gives(smc_take(fd), 0, "a process that sleeps");
	kill(child, SIGSTOP);
	waitpid(child, NULL, WUNTRACED);
	gives(smc_take(fd), -ETIMEDOUT, "checkpoint of a process that is stopped");
	gives(smc_back(fd, 1), -ETIMEDOUT, "rollback of it");
	kill(child, SIGCONT);
	usleep(20000);
	s = smc_statistics(fd);
	ok(s.epoch == 1 && s.rollbacks == 0, "neither happens later: epoch %llu, %llu rollbacks", s.epoch, s.rollbacks);
	gives(smc_back(fd, 1), 0, "rollback when it goes on");
	gives(smc_take(fd), 0, "and checkpoint");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	put(PARAMETER("stop_timeout_ms"), "1000");
}

/* ------------------------------------------------------------------ what cannot be attached, or not be stopped */

static void shared_memory(void *unused)
{
	static char stack[1 << 16] __attribute__((aligned(16)));
	int fd = smc_self(0, ""), ends[2];
	pid_t other;

	(void)unused;
	gives(smc_take(fd), 0, "checkpoint");
	if (pipe(ends))
		_exit(3);
	other = clone(thread_body, stack + sizeof(stack), CLONE_VM | SIGCHLD, ends);
	gives(smc_take(fd), -EBUSY, "checkpoint while another process has the same memory");
	gives(smc_back(fd, 1), -EBUSY, "rollback");
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	gives(smc_take(fd), 0, "checkpoint when it is gone");
	ok(smc_statistics(fd).epoch == 2, "is the second");
}

static void io_uring(void *unused)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SQPOLL };
	int fd = smc_self(0, ""), ring;

	(void)unused;
	gives(smc_take(fd), 0, "checkpoint");
	ring = syscall(SYS_io_uring_setup, 4, &p);
	if (ring < 0) {
		tap_skip("threads of io_uring", strerror(errno));
		return;
	}
	gives(smc_take(fd), -EOPNOTSUPP, "checkpoint with a thread of io_uring");
	gives(smc_back(fd, 1), -EOPNOTSUPP, "rollback");
	ok(smc_statistics(fd).epoch == 1, "the old checkpoint stands");
}

/* A program of 32 bits, of so many bytes of code; its own path is where. */
static void write_program(const char *where, const unsigned char *code, size_t size)
{
	const unsigned long base = 0x10000, begin = sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr);
	Elf32_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_386, .e_version = EV_CURRENT, .e_entry = base + begin,
		.e_phoff = sizeof(Elf32_Ehdr), .e_ehsize = sizeof(Elf32_Ehdr),
		.e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 1,
	};
	Elf32_Phdr segment = {
		.p_type = PT_LOAD, .p_vaddr = base, .p_paddr = base, .p_filesz = begin + size,
		.p_memsz = begin + size, .p_flags = PF_R | PF_X, .p_align = PAGE,
	};
	int fd = open(where, O_WRONLY | O_CREAT | O_TRUNC, 0755);

	if (write(fd, &header, sizeof(header)) < 0 || write(fd, &segment, sizeof(segment)) < 0 ||
	    write(fd, code, size) < 0)
		_exit(3);
	close(fd);
}

/* The pipe is closed in the middle of exec, before the process has become one of 32 bits. */
static void until_it_sleeps(pid_t child)
{
	char path[32], state = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", child);
	while (state != 'S') {
		FILE *file = fopen(path, "r");

		if (!file || fscanf(file, "%*d %*s %c", &state) != 1)
			_exit(3);
		fclose(file);
		usleep(1000);
	}
}

static void bits_32(void *unused)
{
	/* forever pause() */
	static const unsigned char waits[] = { 0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7 };
	/* exit(-ioctl(9, SMC_IOC_CHECKPOINT, 0)) */
	static const unsigned char calls_it[] = {
		0xb8, 54, 0, 0, 0, 0xbb, 9, 0, 0, 0, 0xb9, 0x43, 'S', 0, 0, 0x31, 0xd2, 0xcd, 0x80,
		0xf7, 0xd8, 0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0xcd, 0x80,
	};
	int fd = smc_device(), status, ends[2];
	char byte;
	pid_t child;

	(void)unused;
	write_program("/tmp/waits-32", waits, sizeof(waits));
	write_program("/tmp/calls-32", calls_it, sizeof(calls_it));
	if (pipe2(ends, O_CLOEXEC))
		_exit(3);
	child = fork();
	if (!child) {
		execl("/tmp/waits-32", "waits-32", NULL);
		status = errno;
		if (write(ends[1], &status, sizeof(status)) < 0)
			_exit(3);
		_exit(4);
	}
	close(ends[1]);
	/* exec closes the other end */
	if (read(ends[0], &byte, 1) == 0) {
		until_it_sleeps(child);
		gives(smc_try_attach(fd, child, 0, ""), -EOPNOTSUPP, "a 32-bit process");
		gives(smc_call(fd, SMC_IOC_JOIN, &child), -ENOTCONN, "nor is it attached then");
	} else {
		tap_skip("a 32-bit process", "the kernel runs none");
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	child = fork();
	if (!child) {
		int own = open("/dev/smc", O_RDWR);

		dup2(own, 9);
		execl("/tmp/calls-32", "calls-32", NULL);
		_exit(ENOTTY);
	}
	waitpid(child, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == ENOTTY, "a 32-bit call is unknown: status %#x", status);
}

/* ------------------------------------------------------------------ hints and lists */

static void hints(void *unused)
{
	static const struct { unsigned long addr, len; const char *name; } wrong[] = {
		{ USER_END, PAGE, "the first page after user space" },
		{ USER_END - PAGE, 2 * PAGE, "a range that leaves user space" },
		{ 0, USER_END + 1, "more than user space" },
		{ ~0UL, 1, "the last byte" }, { ~0UL, 2, "a range that overflows" },
		{ 0xffff888000000000, PAGE, "kernel memory" }, { 1UL << 63, PAGE, "no address" },
		{ PAGE, ~0UL, "a length of -1" }, { 0, 1UL << 63, "a length of 2^63" },
		{ ~0UL - PAGE, PAGE + 2, "a range that ends at 0" },
	};
	static const unsigned int whats[] = { SMC_HOT_CLEAR + 1, 77, 0x80000000, 0xffffffff };
	unsigned char *m = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long held, limit = 1 << 20;
	int fd = smc_self(limit, "");
	double start;
	struct smc_stat s, t;
	struct smc_hot hot;
	long r;

	(void)unused;
	memset(m, 1, 64 * PAGE);
	smc_take(fd);
	held = smc_statistics(fd).held;
	for (int what = SMC_HOT_ADD; what <= SMC_HOT_CLEAR; what++)
		for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
			gives(smc_hint(fd, (void *)wrong[i].addr, wrong[i].len, what), -EINVAL, "hint %d, %s", what,
			      wrong[i].name);
	for (size_t i = 0; i < 4; i++)
		gives(smc_hint(fd, m, PAGE, whats[i]), -EINVAL, "hint, what is %#x", whats[i]);
	hot = (struct smc_hot) { .addr = (unsigned long)m, .len = PAGE, .reserved = 1 };
	gives(smc_call(fd, SMC_IOC_HOT, &hot), -EINVAL, "hint, reserved is not 0");
	gives(smc_hint(fd, m, 0, SMC_HOT_ADD), 0, "a hint for nothing");
	gives(smc_hint(fd, m + 5, 0, SMC_HOT_ADD), 0, "in the middle of a page");
	s = smc_statistics(fd);
	smc_take(fd);
	t = smc_statistics(fd);
	ok(t.ahead == s.ahead, "nothing is copied ahead after all that");

	gives(smc_hint(fd, m + 1, 1, SMC_HOT_NEXT), 0, "one byte");
	gives(smc_hint(fd, m + 3 * PAGE - 1, 2, SMC_HOT_NEXT), 0, "two bytes of two pages");
	s = smc_statistics(fd);
	smc_take(fd);
	t = smc_statistics(fd);
	ok(t.ahead - s.ahead == 3, "are hints for three pages: %llu", t.ahead - s.ahead);
	gives(smc_hint(fd, (void *)(USER_END - PAGE), PAGE, SMC_HOT_NEXT), 0, "the last page of user space");
	gives(smc_hint(fd, NULL, PAGE, SMC_HOT_NEXT), 0, "the first");
	gives(smc_take(fd), 0, "checkpoint, with hints for pages that are not mapped");

	/* many more pages than the limit has room for */
	start = now();
	gives(smc_hint(fd, NULL, USER_END, SMC_HOT_ADD), -ENOMEM, "a hint for all of user space");
	gives(smc_hint(fd, (void *)(1UL << 40), 1UL << 40, SMC_HOT_NEXT), -ENOMEM, "for a terabyte");
	gives(smc_hint(fd, NULL, USER_END, SMC_HOT_CLEAR), 0, "forgetting the hints for all of user space");
	ok(now() - start < 2, "none of these takes long");
	s = smc_statistics(fd);
	ok(s.held <= limit && s.held_peak <= limit, "the limit holds: %llu", s.held_peak);
	ok(s.held <= held + 32 * PAGE, "and what does not fit is not kept: %lu, now %llu", held, s.held);
	memset(m, 2, 64 * PAGE);
	r = smc_take(fd);
	if (!r) {
		memset(m, 3, 64 * PAGE);
		gives(smc_back(fd, 1), 0, "the rollback does not return");
	}
	ok(m[0] == 2 && !memcmp(m, m + 1, 64 * PAGE - 1), "the process can be rolled back as before");
}

static int order(const void *a, const void *b)
{
	__u64 x = *(const __u64 *)a, y = *(const __u64 *)b;

	return x < y ? -1 : x > y;
}

static void dirty(void *unused)
{
	const int rw = PROT_READ | PROT_WRITE;
	unsigned char *m = mmap(NULL, 64 * PAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *constant = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	__u64 *list = mmap(NULL, PAGE, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = smc_self(0, ""), found = 0;
	struct smc_dirty d = { .addrs = (unsigned long)list, .max = 512 };

	(void)unused;
	memset(m, 1, 64 * PAGE);
	gives(smc_call(fd, SMC_IOC_DIRTY, &d), 0, "a list before the first checkpoint");
	ok(d.count == 0, "is empty");
	smc_take(fd);
	for (int i = 0; i < 20; i++)
		m[3 * i * PAGE] = 2;
	gives(smc_call(fd, SMC_IOC_DIRTY, &d), 0, "a list");
	/* beside the twenty, the stack's page and those that the C library writes */
	ok(d.count >= 20 && d.count < 28, "of twenty pages and few more: %llu", d.count);
	ok(smc_statistics(fd).dirty - d.count < 3, "as the statistics say");
	for (__u64 i = 0; i < d.count; i++)
		if (list[i] == (unsigned long)(m + 3 * found * PAGE))
			found++;
	ok(found == 20, "in the order in which they were written: %d", found);
	ok(list[d.count] == 0, "and no more");
	qsort(list, d.count, sizeof(*list), order);
	for (__u64 i = 1; i < d.count; i++)
		found -= list[i] == list[i - 1];
	ok(found == 20, "each once");

	memset(list, 0, PAGE);
	d.max = 5;
	gives(smc_call(fd, SMC_IOC_DIRTY, &d), 0, "room for five");
	ok(d.count >= 20 && list[4] && !list[5], "gets five, and the number of all");
	d = (struct smc_dirty) { .addrs = 0, .max = 0 };
	gives(smc_call(fd, SMC_IOC_DIRTY, &d), 0, "no room, and no pointer");
	ok(d.count >= 20, "gets the number: %llu", d.count);
	d = (struct smc_dirty) { .addrs = (unsigned long)list, .max = ~0ULL };
	gives(smc_call(fd, SMC_IOC_DIRTY, &d), 0, "more room than there is memory");
	ok(d.count >= 20 && list[d.count - 1], "is a list like another");
	d = (struct smc_dirty) { .addrs = 0, .max = 1 };
	gives(smc_call(fd, SMC_IOC_DIRTY, &d), -EFAULT, "a list at NULL");
	d = (struct smc_dirty) { .addrs = (unsigned long)constant, .max = 1 };
	gives(smc_call(fd, SMC_IOC_DIRTY, &d), -EFAULT, "a list in memory that cannot be written");
	d = (struct smc_dirty) { .addrs = 0xffffffff81000000, .max = 1 };
	gives(smc_call(fd, SMC_IOC_DIRTY, &d), -EFAULT, "a list in kernel memory");
	gives(smc_take(fd), 0, "the next checkpoint");
	d = (struct smc_dirty) { .addrs = (unsigned long)list, .max = 512 };
	gives(smc_call(fd, SMC_IOC_DIRTY, &d), 0, "begins");
	ok(d.count < 8, "another list: %llu", d.count);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "after-exec"))
		return after_exec(atoi(argv[2]), atoi(argv[3]));
	tap_begin();
	in_child("unknown calls", unknown_calls, NULL);
	in_child("pointers", pointers, NULL);
	in_child("fields of attach", attach_fields, NULL);
	in_child("threads' numbers", thread_number, NULL);
	in_child("mistakes in policies", policy_mistakes, NULL);
	in_child("two handles", two_handles, NULL);
	in_child("untied handles", untied, NULL);
	in_child("values", values, NULL);
	in_child("after exit", after_exit, NULL);
	exec_in_epoch(NULL);
	in_child("late", late, NULL);
	in_child("shared memory", shared_memory, NULL);
	in_child("io_uring", io_uring, NULL);
	in_child("32 bits", bits_32, NULL);
	in_child("hints", hints, NULL);
	in_child("lists", dirty, NULL);
	none_held("arguments");
	return tap_end();
}
