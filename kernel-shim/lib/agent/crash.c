/* SPDX-License-Identifier: MIT */
/*
 * Crashes: handlers of the signals that mean one, and the server's own, which ours stand before.
 *
 * From when the process is attached, the kernel has our handlers; what the server asks for is remembered, and told to it when it
 * asks. If a crash cannot be rolled back, what the server asked for becomes real, and the signal is let happen again: by returning to
 * the instruction that faulted, or by sending it anew. So the server dies, or writes its report, as it would have without us.
 *
 * The handlers run on an alternate stack, since the stack may be what crashed, and block nothing: they do not return after a rollback,
 * and the signal mask would stay.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "agent.h"
#include "real.h"

#define STACK_SIZE (64 << 10)

/* The server's history: in ordinary memory. */
static bool installed;
static struct sigaction asked_for[CRASH_SIGNALS];

static bool is_ours(int signal)
{
	int i = crash_index(signal);

	return installed && i >= 0 && config.signals & 1u << i;
}

/* ------------------------------------------------------------------ the alternate stack */

void *crash_stack_new(void)
{
	stack_t now, alternate = { .ss_size = STACK_SIZE };

	if (sigaltstack(NULL, &now) || !(now.ss_flags & SS_DISABLE))
		return NULL;	/* the server has made one */
	alternate.ss_sp = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (alternate.ss_sp == MAP_FAILED)
		return NULL;
	if (sigaltstack(&alternate, NULL)) {
		munmap(alternate.ss_sp, STACK_SIZE);
		return NULL;
	}
	return alternate.ss_sp;
}

void crash_stack_free(void *stack)
{
	stack_t now, none = { .ss_flags = SS_DISABLE };

	if (!stack)
		return;
	if (sigaltstack(NULL, &now) == 0 && now.ss_sp == stack)
		sigaltstack(&none, NULL);
	munmap(stack, STACK_SIZE);
}

/* ------------------------------------------------------------------ chaining */

void crash_uninstall(void)
{
	if (!installed)
		return;
	for (int i = 0; i < CRASH_SIGNALS; i++)
		if (is_ours(crash_signals[i]))
			REAL(sigaction)(crash_signals[i], &asked_for[i], NULL);
	installed = false;
}

/* Makes what the server asked for happen when the handler returns. */
static void let_happen(int signal, siginfo_t *info)
{
	const struct sigaction *action = &asked_for[crash_index(signal)];

	REAL(sigaction)(signal, action, NULL);
	if (info->si_code > 0)
		return;	/* the instruction faults again */
	if (syscall(SYS_rt_tgsigqueueinfo, getpid(), this_thread(), signal, info))
		syscall(SYS_tgkill, getpid(), this_thread(), signal);
}

/* Like let_happen(), but we stay in place for the next. */
static void call_server(int signal, siginfo_t *info, void *context)
{
	struct sigaction *action = &asked_for[crash_index(signal)];
	sigset_t mask = action->sa_mask, before;

	if (action->sa_handler == SIG_IGN)
		return;
	if (action->sa_handler == SIG_DFL) {
		let_happen(signal, info);
		return;
	}
	if (!(action->sa_flags & SA_NODEFER))
		sigaddset(&mask, signal);
	REAL(pthread_sigmask)(SIG_BLOCK, &mask, &before);
	if (action->sa_flags & SA_SIGINFO)
		action->sa_sigaction(signal, info, context);
	else
		action->sa_handler(signal);
	REAL(pthread_sigmask)(SIG_SETMASK, &before, NULL);
}

static void give_up(int signal, siginfo_t *info, const char *why)
{
	log_line("crash %lu: %s: %s; the server is on its own", shared->crashes, crash_signal_names[crash_index(signal)], why);
	rescue_end();
	crash_uninstall();
	let_happen(signal, info);
}

/* ------------------------------------------------------------------ handling */

/*
 * A thread may be in its handler, or about to enter it, when another takes a checkpoint. A rollback brings it back there, to handle
 * once more what has been handled. It is recognized: the same signal frame, the same checkpoint. If the signal came from outside, going on
 * is all that is to be done; if the thread itself crashes, it does so again, and the limit of retries ends it.
 */
static bool is_stale(const struct crash *now, struct crash *last)
{
	bool same = now->thread != shared->taker && now->thread == last->thread && now->frame == last->frame &&
		    now->checkpoint == last->checkpoint && now->outside;

	if (same)
		last->frame = 0;	/* only once: it could be another signal after all */
	return same;
}

/*
 * A signal from outside is meant for the process, and the kernel gives it to any thread. It is left to the thread that took the
 * checkpoint, which most often is the one that serves, and knows whether it is in the middle of something.
 */
static bool pass_on(const struct crash *c, const siginfo_t *info)
{
	siginfo_t copy = *info;

	if (!c->outside || c->thread == shared->taker)
		return false;
	if (is_stale(c, &shared->passed_on))
		return true;
	shared->passed_on = *c;
	copy.si_code = SI_QUEUE;	/* the only way that the kernel lets us name another sender */
	return syscall(SYS_rt_tgsigqueueinfo, getpid(), shared->taker, copy.si_signo, &copy) == 0;
}

/* Rolls back. Returns if that cannot be done, and then why. */
static const char *roll_back(void)
{
	int error;

	if (config.max && shared->crashes > config.max)
		return "that is more than SMC_AGENT allows (max)";
	/* a crash that followed a request will not come again: its client is reset */
	if (shared->crash.had_request)
		shared->retries = 0;
	shared->has_read = false;
	if (!shared->crash.outside && shared->retries++ >= config.retries)
		return "it crashes again and again without a request (retries)";
	agent_leave_lock();
	for (int tries = 0; tries < 3; tries++) {
		smc_rollback(shared->handle, 1);
		error = errno;
		if (error != ETIMEDOUT && error != EBUSY)
			break;
	}
	agent_take_lock();
	return smc_strerror(SMC_CALL_ROLLBACK, error);
}

static struct crash crash_of(int signal, const siginfo_t *info, const void *context)
{
	const ucontext_t *c = context;
	bool sent = info->si_code <= 0;

	return (struct crash){
		.signal = signal,
		.code = info->si_code,
		.thread = this_thread(),
		.sender = sent ? info->si_pid : 0,
		.outside = sent && info->si_pid != shared->pid,
		.address = sent ? 0 : (uintptr_t)info->si_addr,
		.instruction = c ? c->uc_mcontext.gregs[REG_RIP] : 0,
		.frame = (uintptr_t)info,
		.checkpoint = shared->checkpoints,
		.had_request = shared->has_read,
	};
}

static void handle(int signal, siginfo_t *info, void *context)
{
	int saved = errno;
	struct crash crash;
	const char *why;

	if (!shared || shared->pid != getpid() || !protecting() || !shared->epoch) {
		let_happen(signal, info);
		return;
	}
	crash = crash_of(signal, info, context);
	if (crash.outside && config.chain_outside) {
		call_server(signal, info, context);
		return;
	}
	if (pass_on(&crash, info)) {
		errno = saved;
		return;
	}
	if (info->si_code <= 0 && agent_is_busy()) {
		shared->pending_info = *info;
		atomic_store(&shared->pending_thread, crash.thread);
		return;
	}
	if (agent_has_lock()) {
		agent_unlock();	/* what the server does next may need it */
		give_up(signal, info, "it happened in the agent itself");
		return;
	}
	if (!agent_begin()) {
		let_happen(signal, info);
		return;
	}
	windows_await();
	agent_lock();
	if (is_stale(&crash, &shared->crash)) {
		agent_unlock();
		agent_end();
		errno = saved;
		return;
	}
	shared->crashes++;
	shared->crash = crash;
	why = roll_back();
	agent_unlock();
	give_up(signal, info, why);
	agent_end();
	errno = saved;
}

void crash_pending(void)
{
	siginfo_t info = shared->pending_info;

	atomic_store(&shared->pending_thread, 0);
	handle(info.si_signo, &info, NULL);
}

void crash_install(void)
{
	struct sigaction ours = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	sigemptyset(&ours.sa_mask);
	for (int i = 0; i < CRASH_SIGNALS; i++)
		if (config.signals & 1u << i)
			REAL(sigaction)(crash_signals[i], &ours, &asked_for[i]);
	installed = true;
}

/* A child has inherited our handlers. */
void crash_after_fork(void)
{
	crash_uninstall();
}

/* ------------------------------------------------------------------ what the server asks for */

/* Remembers an action for one of our signals. */
static int ask(int signal, const struct sigaction *action, struct sigaction *old)
{
	struct sigaction *asked = &asked_for[crash_index(signal)], before = *asked;

	if (action)
		*asked = *action;
	if (old)
		*old = before;
	return 0;
}

PUBLIC int sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
	return is_ours(signal) ? ask(signal, action, old) : REAL(sigaction)(signal, action, old);
}

static __sighandler_t ask_simply(int signal, __sighandler_t handler, int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags }, old;

	sigemptyset(&action.sa_mask);
	if (flags & SA_RESTART)
		sigaddset(&action.sa_mask, signal);
	ask(signal, &action, &old);
	return old.sa_handler;
}

#define SIGNAL(name, flags) \
	PUBLIC __sighandler_t name(int signal, __sighandler_t handler) \
	{ \
		return is_ours(signal) ? ask_simply(signal, handler, flags) : REAL(name)(signal, handler); \
	}

#undef sysv_signal
SIGNAL(signal, SA_RESTART)
SIGNAL(bsd_signal, SA_RESTART)
SIGNAL(ssignal, SA_RESTART)
SIGNAL(sysv_signal, SA_RESETHAND | SA_NODEFER)
SIGNAL(__sysv_signal, SA_RESETHAND | SA_NODEFER)

/*
 * A fault whose signal is blocked kills at once, and what POSIX says of a fault then is nothing. So it is left unblocked; threads
 * that are made with everything blocked can be rescued, too.
 */
static const sigset_t *unblocked(int how, const sigset_t *set, sigset_t *copy)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };

	if (!set || how == SIG_UNBLOCK || !shared)
		return set;
	*copy = *set;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (config.signals & 1u << crash_index(faults[i]))
			sigdelset(copy, faults[i]);
	return copy;
}

PUBLIC int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	sigset_t copy;

	return REAL(sigprocmask)(how, unblocked(how, set, &copy), old);
}

PUBLIC int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	sigset_t copy;

	return REAL(pthread_sigmask)(how, unblocked(how, set, &copy), old);
}
