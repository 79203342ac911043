/* SPDX-License-Identifier: MIT */
/* libsmc: each call and its errors; smcctl. */
#include <errno.h>
#include <limits.h>
#include <signal.h>

#include <smc/libsmc.h>

#include "tap.h"

/* What is counted across rollbacks. */
static volatile int *times;

static int opened(void)
{
	int handle = smc_open(NULL);

	if (handle < 0)
		_exit(2);
	return handle;
}

static int attached(struct smc_options *options)
{
	int handle = opened();

	if (smc_attach(handle, 0, options)) {
		tap_line("# attach: %s", smc_strerror(SMC_CALL_ATTACH, errno));
		_exit(2);
	}
	return handle;
}

#define fails(call, error, name) \
	do { \
		long r_ = (call); \
		int e_ = errno; \
		ok(r_ == -1 && e_ == (error), "%s", name); \
		if (r_ != -1 || e_ != (error)) \
			tap_line("# it returned %ld, errno %d (%s)", r_, e_, strerror(e_)); \
	} while (0)

/* ------------------------------------------------------------------ errors */

static void handles(void *unused)
{
	int handle, other;

	(void)unused;
	fails(smc_open("/dev/nothing"), ENOENT, "a device that is not there cannot be opened");
	handle = opened();
	fails(smc_checkpoint(handle), ENOTCONN, "checkpoint: a handle that is tied to nothing");
	fails(smc_rollback(handle, 1), ENOTCONN, "rollback: a handle that is tied to nothing");
	fails(smc_detach(handle), ENOTCONN, "detach: a handle that is tied to nothing");
	fails(smc_join(handle, 0), ENOTCONN, "join: a process that is not attached");
	fails(smc_attach(handle, 999999, NULL), ESRCH, "attach: no such process");
	fails(smc_attach(handle, -1, NULL), EINVAL, "attach: no process number");
	fails(smc_checkpoint(1), ENOTTY, "checkpoint: something else than a handle");
	fails(smc_checkpoint(999), EBADF, "checkpoint: no descriptor");
	ok(smc_attach(handle, getpid(), NULL) == 0, "attach: the caller by its number");
	fails(smc_attach(handle, 0, NULL), EBUSY, "attach: a handle that is tied");
	other = opened();
	fails(smc_attach(other, 0, NULL), EBUSY, "attach: a process that is attached");
	ok(smc_join(other, 0) == 0, "join: a process that is attached");
	fails(smc_join(other, 0), EBUSY, "join: a handle that is tied");
	ok(smc_close(other) == 0, "close: the handle that joined");
	fails(smc_rollback(handle, 1), ENODATA, "rollback: no checkpoint");
	fails(smc_rollback(handle, 0), EINVAL, "rollback: value 0");
	fails(smc_rollback(handle, -1), EINVAL, "rollback: a negative value");
	ok(smc_detach(handle) == 0, "detach");
	ok(smc_attach(handle, 0, NULL) == 0, "attach: again, after detaching");
}

static void policies(void *unused)
{
	char longer[300];
	struct smc_options o = { .policy = "gspec:populaton=8" };
	unsigned int at = 99;
	struct smc_stat s;
	int handle = opened();

	(void)unused;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	fails(smc_attach(handle, 0, &o), EINVAL, "attach: a policy with an unknown option");
	ok(o.error_at == 7, "attach: the column of the mistake is told (%u)", o.error_at);
	o.policy = longer;
	fails(smc_attach(handle, 0, &o), EINVAL, "attach: a policy that is too long");
	ok(o.error_at == SMC_SPEC_LEN, "attach: its column is the first that is too many");
	o = (struct smc_options){ .policy = "active-rnd", .limit = 8 << 20 };
	ok(smc_attach(handle, 0, &o) == 0 && o.error_at == 0, "attach: a policy and a limit");
	ok(smc_stat(handle, &s) == 0 && !strcmp(s.policy, "active-rnd") && s.limit == 8 << 20, "stat: tells both");
	ok(smc_policy(handle, "active-cks", &at) == 0 && at == 0, "policy: changes it");
	ok(smc_stat(handle, &s) == 0 && !strcmp(s.policy, "active-cks"), "stat: tells the new one");
	fails(smc_policy(handle, "nosuch", &at), EINVAL, "policy: an unknown one");
	ok(at == 1, "policy: the column of the mistake is told (%u)", at);
	fails(smc_policy(handle, "nosuch", NULL), EINVAL, "policy: nobody asks for the column");
	fails(smc_policy(handle, longer, &at), EINVAL, "policy: one that is too long");
	ok(smc_stat(handle, &s) == 0 && !strcmp(s.policy, "active-cks"), "stat: the one before stands");
	ok(smc_policy(handle, NULL, &at) == 0, "policy: none");
	fails(smc_stat(handle, (void *)8), EFAULT, "stat: a bad pointer");
}

static void texts(void)
{
	static const struct {
		enum smc_call call;
		int error;
	} pairs[] = {
		{ SMC_CALL_OPEN, ENOENT }, { SMC_CALL_OPEN, EACCES }, { SMC_CALL_ATTACH, EPROTO },
		{ SMC_CALL_ATTACH, ESRCH }, { SMC_CALL_ATTACH, EPERM }, { SMC_CALL_ATTACH, EBUSY },
		{ SMC_CALL_ATTACH, EINVAL }, { SMC_CALL_ATTACH, ENOMEM }, { SMC_CALL_ATTACH, EOPNOTSUPP },
		{ SMC_CALL_JOIN, ENOTCONN }, { SMC_CALL_JOIN, EBUSY }, { SMC_CALL_DETACH, ENOTCONN },
		{ SMC_CALL_CHECKPOINT, ENOTCONN }, { SMC_CALL_CHECKPOINT, EOWNERDEAD }, { SMC_CALL_CHECKPOINT, ENOMEM },
		{ SMC_CALL_CHECKPOINT, ETIMEDOUT }, { SMC_CALL_CHECKPOINT, EINTR }, { SMC_CALL_CHECKPOINT, EBUSY },
		{ SMC_CALL_ROLLBACK, ENODATA }, { SMC_CALL_ROLLBACK, EINVAL }, { SMC_CALL_ROLLBACK, ESTALE },
		{ SMC_CALL_HOT, EINVAL }, { SMC_CALL_POLICY, EINVAL }, { SMC_CALL_STAT, EFAULT }, { SMC_CALL_DIRTY, ENOMEM },
	};
	const char *nothing = smc_strerror(SMC_CALL_STAT, EDOM);
	bool all = true;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		all &= smc_strerror(pairs[i].call, pairs[i].error) != nothing;
	ok(all, "strerror: every error that the interface tells of has a text");
	ok(!strcmp(smc_strerror(SMC_CALL_STAT, 0), "no error"), "strerror: no error");
	ok(!strcmp(smc_version(), SMC_VERSION), "version");
}

/* ------------------------------------------------------------------ checkpoints */

static char data[64 << 10];

/* Returns before the rollback: its frame, and its caller's, are overwritten then. */
static int __attribute__((noinline)) checkpoint_in_a_function(int handle, int extra)
{
	char padding[512];
	int r;

	memset(padding, extra, sizeof(padding));
	r = smc_checkpoint(handle);
	return r + (padding[17] == (char)extra ? 0 : 1000000);
}

static int __attribute__((noinline)) overwrite_stack(int depth)
{
	volatile char frame[1024];

	memset((char *)frame, depth, sizeof(frame));
	return depth ? overwrite_stack(depth - 1) + frame[7] : 0;
}

static void returning_twice(void *unused)
{
	int handle = attached(NULL), plain, r;

	(void)unused;
	*times = 0;
	plain = 41;
	plain++;
	memset(data, 1, sizeof(data));
	r = checkpoint_in_a_function(handle, 3);
	if (*times < 3) {
		if (!ok(r == (*times ? INT_MAX - *times : 0), "checkpoint returns for the time %d", *times + 1))
			tap_line("# it returned %d", r);
		++*times;
		ok(plain == 42 && data[0] == 1 && data[sizeof(data) - 1] == 1, "memory is that of the checkpoint");
		plain = 0;
		memset(data, *times + 1, sizeof(data));
		overwrite_stack(20);
		smc_rollback(handle, INT_MAX - *times);
		ok(false, "rollback does not return");
	}
	ok(r == INT_MAX - 3 && plain == 42, "a rollback can be repeated");
}

static int handle_of_signal;

static void roll_back(int signal)
{
	smc_rollback(handle_of_signal, signal);
	_exit(3);
}

static void from_a_signal_handler(void *unused)
{
	static char stack[32 << 10], *volatile nowhere;
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_handler = roll_back, .sa_flags = SA_ONSTACK };
	sigset_t mask;
	int r;

	(void)unused;
	handle_of_signal = attached(NULL);
	sigaltstack(&alternate, NULL);
	sigaction(SIGSEGV, &action, NULL);
	*times = 0;
	r = smc_checkpoint(handle_of_signal);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	ok(r == (*times ? SIGSEGV : 0) && !sigismember(&mask, SIGSEGV), "time %d: the signal is not blocked", *times + 1);
	if (++*times <= 3)
		*nowhere = 1;
}

static void speculation(void *unused)
{
	int handle = attached(NULL);
	size_t page = 4096, n = 16;
	char *m = aligned_alloc(page, n * page);
	uint64_t addrs[200];
	struct smc_stat a, b;
	ssize_t count;
	bool found;

	(void)unused;
	memset(m, 1, n * page);
	memset(addrs, 0, sizeof(addrs));
	fails(smc_hot_add(handle, (void *)-4096UL, 4096), EINVAL, "hot_add: the kernel's addresses");
	ok(smc_hot_add(handle, m, 4 * page) == 0 && smc_hot_next(handle, m + 4 * page, 4 * page) == 0, "hints are taken");
	smc_checkpoint(handle);
	smc_stat(handle, &a);
	ok(a.ahead >= 8, "hot_add, hot_next: the pages are copied ahead (%d)", (int)a.ahead);
	for (size_t i = 0; i < 8; i++)
		m[i * page] = 2;
	smc_stat(handle, &b);
	ok(b.faults - a.faults <= 3, "their writes do not fault (%d others did)", (int)(b.faults - a.faults));
	smc_hot_clear(handle, m, 4 * page);
	smc_checkpoint(handle);
	smc_stat(handle, &b);
	ok(b.ahead == a.ahead, "hot_clear: they are not copied any more");
	m[5 * page + 7] = 3;
	count = smc_dirty(handle, addrs, 200);
	found = false;
	for (int i = 0; i < count && i < 200; i++)
		found |= addrs[i] == (uint64_t)(uintptr_t)(m + 5 * page);
	ok(count > 0 && found, "dirty: lists the page that was written");
	ok(smc_dirty(handle, NULL, 0) > 0, "dirty: tells how many with room for none");
}

static void a_child(void *unused)
{
	int handle = attached(NULL), status = -1;
	pid_t child;

	(void)unused;
	child = fork();
	if (child == 0) {
		int own = opened();
		bool good = smc_checkpoint(handle) == -1 && errno == EPERM && smc_attach(own, 0, NULL) == 0 &&
			    smc_checkpoint(own) == 0;

		_exit(good ? 0 : 1);
	}
	waitpid(child, &status, 0);
	ok(status == 0, "a child cannot use its parent's handle, but one of its own");
	ok(smc_checkpoint(handle) == 0, "the parent still can");
}

static void another_process(void *unused)
{
	volatile int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	volatile int count = 0;
	pid_t child = fork();
	int handle, other;

	(void)unused;
	if (child == 0) {
		for (;;) {
			shared[0] = ++count;
			usleep(1000);
		}
	}
	handle = opened();
	other = opened();
	ok(smc_attach(handle, child, NULL) == 0, "attach: a child");
	ok(smc_join(other, child) == 0, "join: a child");
	while (shared[0] < 5)
		usleep(1000);
	ok(smc_checkpoint(handle) == 0, "checkpoint: of a child");
	while (shared[0] < 1000)
		shared[0] >= 50 ? (void)(shared[0] = 1000) : (void)usleep(1000);
	ok(smc_rollback(other, 1) == 0, "rollback: by the handle that joined");
	usleep(20000);
	ok(shared[0] < 45, "the child counts from where it was (%d)", shared[0]);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	fails(smc_checkpoint(handle), EOWNERDEAD, "checkpoint: the child is gone");
}

/* ------------------------------------------------------------------ smcctl */

static int run(const char *command)
{
	int status = system(command);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void tool(void)
{
	ok(run("smcctl --version >/dev/null") == 0 && run("smcctl --help >/dev/null") == 0, "smcctl: --version, --help");
	ok(run("smcctl frob 2>/dev/null") == 2 && run("smcctl stat --frob 1 2>/dev/null") == 2 &&
		   run("smcctl run 2>/dev/null") == 2 && run("smcctl run --limit x true 2>/dev/null") == 2,
	   "smcctl: a wrong command line is exit code 2");
	ok(run("smcctl stat --frob 1 2>&1 | grep -q -- --frob") == 0, "smcctl: names the wrong option");
	ok(run("smcctl run -- sh -c 'exit 7'") == 7, "smcctl run: the exit code is the program's");
	ok(run("smcctl run -- sh -c 'kill -9 $$'") == 128 + 9, "smcctl run: or that of the signal");
	ok(run("smcctl run /nonexistent/program 2>/dev/null") == 127, "smcctl run: no such program");
	ok(run("smcctl run /etc/passwd 2>/dev/null") == 126, "smcctl run: a file that is no program");
	ok(run("smcctl run --policy nosuch sleep 5 2>/tmp/said") == 125 && run("grep -q 'column 1' /tmp/said") == 0,
	   "smcctl run: a wrong policy");
	ok(run("smcctl stat $$ 2>/tmp/said") == 1 && run("grep -q smcctl.run /tmp/said") == 0,
	   "smcctl stat: a process that is not attached");
	/* exec would end the attachment, so the shell that told its number stays: what it is made to wait with ends */
	ok(run("smcctl run --policy active-rnd --limit 4M sh -c 'echo $$ >/tmp/pid; while :; do usleep 10000; done' & sleep 1;"
	       "p=$(cat /tmp/pid); smcctl checkpoint $p && smcctl rollback --value 3 $p && smcctl stat --json $p >/tmp/said &&"
	       "smcctl stat $p >/tmp/said2 && kill -TERM $! && { wait $!; test $? = 143; }") == 0,
	   "smcctl checkpoint, rollback, stat; run forwards a signal");
	ok(run("grep -q '\"policy\":\"active-rnd\".*\"epoch\":1,\"rollbacks\":1,.*\"limit\":4194304,' /tmp/said") == 0,
	   "smcctl stat --json: tells it all");
	ok(run("grep -q '1  rollbacks carried out' /tmp/said2") == 0, "smcctl stat: for people");
	if (tap->failed)
		run("cat /tmp/said /tmp/said2 | sed 's/^/# /'");
}

int main(void)
{
	tap_begin();
	times = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	in_child("handles", handles, NULL);
	in_child("policies", policies, NULL);
	texts();
	in_child("returning twice", returning_twice, NULL);
	in_child("from a signal handler", from_a_signal_handler, NULL);
	in_child("speculation", speculation, NULL);
	in_child("a child", a_child, NULL);
	in_child("another process", another_process, NULL);
	tool();
	return tap_end();
}
