// SPDX-License-Identifier: GPL-2.0
/*
 * Stopping the threads of a process, and their registers.
 *
 * A checkpoint or rollback is carried out by one thread of the process, the leader. Every other
 * thread is asked, by task work, to come to the point where it would return to user space:
 * there its user registers lie complete on its kernel stack, and it is in the middle of
 * nothing. A system call that sleeps is interrupted as by a signal that no handler is called
 * for.
 *
 *   leader    ask all -> wait ........... work ... over = true
 *   others         \-> park(): capture registers, parked ........ restore registers, or go on
 *
 * A thread that was in a system call at the checkpoint calls it again after a rollback (from
 * its start: a timeout begins anew), unless it had completed. System calls that never restart
 * return EINTR, as signal(7) says of those that a stop signal interrupts.
 *
 * Refused: a thread that does not come in time (uninterruptible, stopped by a signal or a
 * debugger, waiting for a vfork child), ETIMEDOUT; memory shared with another process (vfork,
 * clone without CLONE_THREAD), EBUSY; threads of io_uring, EOPNOTSUPP; at a rollback, a thread
 * that has ended since the checkpoint, ESTALE. A thread that was created since ends, as if it
 * had called exit.
 *
 * Restored: general registers, flags, FPU and vector state, the bases of FS and GS, the signal
 * mask, and where the kernel was told that a thread has its list of robust futexes, its
 * restartable sequence and the word to clear when it ends. Not restored: pending signals,
 * timers, the alternate stack, scheduling, what debug registers and protection keys say.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <asm/fpu/api.h>
#include <asm/msr.h>
#include <asm/vdso.h>
#include <linux/delay.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/task_work.h>
#include "smc_internal.h"

/* One thread that was asked to stop. The leader and the thread have a reference each. */
struct parked {
	struct callback_head work;
	struct kref refs;
	struct smc_stop *stop;		/* a reference */
	struct list_head node;
	struct pid *pid;
	struct smc_thread *registers;	/* captured; or to be restored, NULL: to end */
	bool gone;			/* it was ending already */
};

struct smc_stop {
	struct kref refs;
	struct smc_context *context;	/* used by the leader alone */
	bool capture, restore;
	int value;			/* of the rollback */
	bool over;			/* nobody needs to park, or stay, any more */
	int error;			/* of a thread that could not be captured */
	atomic_t awaited;		/* threads that are to park; and one, while asking */
	struct completion all_parked;
	wait_queue_head_t resume;
	atomic_t leaving;		/* threads that have yet to go on; and one */
	struct completion all_left;
	struct list_head parked;	/* written by the leader alone */
	struct smc_thread *own;		/* the leader's registers, to keep */
};

/* ------------------------------------------------------------------ registers */

static void thread_free(struct smc_thread *t)
{
	if (!t)
		return;
	put_pid(t->pid);
	kvfree(t->fpu);
	kfree(t);
}

static struct smc_thread *thread_new(void)
{
	struct smc_thread *t = kzalloc(sizeof(*t), SMC_GFP);

	if (t)
		INIT_LIST_HEAD(&t->node);
	return t;
}

/*
 * Brings the FPU state of the current thread from the processor into memory, to be loaded again
 * on the way to user space.
 */
static void *fpu_in_memory(size_t *size)
{
	struct fpu *fpu = &current->thread.fpu;

	kernel_fpu_begin();
	kernel_fpu_end();
	*size = fpu->fpstate->size;
	return &fpu->fpstate->regs;
}

/*
 * The registers of the current thread as they have to be to go on from here; regs are those on
 * its kernel stack. A system call that was interrupted is about to be called.
 */
static int registers_save(struct smc_thread *t, const struct pt_regs *regs, bool called)
{
	size_t size;
	void *fpu = fpu_in_memory(&size);

	if (t->fpu_size != size) {
		kvfree(t->fpu);
		t->fpu_size = 0;
		t->fpu = kvmalloc(size, SMC_GFP);
		if (!t->fpu)
			return -ENOMEM;
		t->fpu_size = size;
	}
	memcpy(t->fpu, fpu, size);
	if (!t->pid)
		t->pid = get_task_pid(current, PIDTYPE_PID);
	t->called = called;
	t->regs = *regs;
	if (!called && (long)regs->orig_ax != -1) {
		switch ((long)regs->ax) {
		case -ERESTARTNOHAND:
		case -ERESTARTSYS:
		case -ERESTARTNOINTR:
		case -ERESTART_RESTARTBLOCK:
			t->regs.ax = regs->orig_ax;
			t->regs.ip -= 2;	/* the length of SYSCALL */
		}
	}
	t->regs.orig_ax = -1;	/* so that the kernel does not restart it once more */
	preempt_disable();
	rdmsrl(MSR_FS_BASE, t->fsbase);
	rdmsrl(MSR_KERNEL_GS_BASE, t->gsbase);
	preempt_enable();
	t->blocked = current->blocked;
	t->clear_child_tid = current->clear_child_tid;
	t->robust_list = current->robust_list;
	t->rseq = current->rseq;
	t->rseq_sig = current->rseq_sig;
	return 0;
}

/* Makes the current thread go on from where the registers were saved. */
static void registers_load(const struct smc_thread *t, struct pt_regs *regs, int value)
{
	sigset_t blocked = t->blocked;
	size_t size;
	void *fpu = fpu_in_memory(&size);

	memcpy(fpu, t->fpu, min(size, t->fpu_size));
	current->thread.fpu.last_cpu = -1;	/* no processor has it */
	*regs = t->regs;
	if (t->called)
		regs->ax = value;
	preempt_disable();
	current->thread.fsbase = t->fsbase;
	current->thread.gsbase = t->gsbase;
	wrmsrl(MSR_FS_BASE, t->fsbase);
	wrmsrl(MSR_KERNEL_GS_BASE, t->gsbase);
	preempt_enable();
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	current->clear_child_tid = t->clear_child_tid;
	current->robust_list = t->robust_list;
	current->rseq = t->rseq;
	current->rseq_sig = t->rseq_sig;
	/*
	 * the processor number in the thread's area is old, and it may be in a sequence that
	 * moving has ended
	 */
	rseq_preempt(current);
}

/* Where in the vDSO a SYSCALL instruction is; 0: nowhere. */
static unsigned long syscall_in_vdso(void)
{
	const struct vdso_image *image = current->mm->context.vdso_image;
	unsigned long base = (unsigned long)current->mm->context.vdso, i;
	const u8 *code;

	if (!image || !base)
		return 0;
	code = image->data;
	for (i = 0; i + 1 < image->size; i++)
		if (code[i] == 0x0f && code[i + 1] == 0x05)
			return base + i;
	return 0;
}

/*
 * Makes the current thread, which did not exist at the checkpoint, call exit() next. It must
 * not touch memory on its way: what it would tell of its end, it would tell to memory that
 * never knew it.
 */
static void registers_end(struct pt_regs *regs)
{
	unsigned long ip = syscall_in_vdso();
	sigset_t all;

	if (!ip) {
		pr_warn("pid %d has no vDSO: a thread cannot be ended alone\n",
			task_tgid_nr(current));
		send_sig(SIGKILL, current, 1);
		return;
	}
	current->clear_child_tid = NULL;
	current->robust_list = NULL;
	current->rseq = NULL;
	current->rseq_sig = 0;
	current->rseq_event_mask = 0;
	/* no handler may be called on a stack that memory does not know */
	siginitsetinv(&all, sigmask(SIGKILL) | sigmask(SIGSTOP));
	sigprocmask(SIG_SETMASK, &all, NULL);
	regs->ip = ip;
	regs->ax = __NR_exit;
	regs->di = 0;
	regs->orig_ax = -1;
}

/*
 * Whether the current thread has yet to call the exit() that registers_end() gave it. It must
 * not become part of the next checkpoint, which could then never be rolled back to.
 */
static bool is_to_end(const struct pt_regs *regs)
{
	return regs->ax == __NR_exit && regs->ip && regs->ip == syscall_in_vdso();
}

static void go_on(const struct smc_thread *t, struct pt_regs *regs, int value)
{
	if (t)
		registers_load(t, regs, value);
	else
		registers_end(regs);
}

/* ------------------------------------------------------------------ stopping */

static void stop_free(struct kref *refs)
{
	kfree(container_of(refs, struct smc_stop, refs));
}

static void parked_free(struct kref *refs)
{
	struct parked *me = container_of(refs, struct parked, refs);

	if (me->stop->capture)
		thread_free(me->registers);	/* those that were not kept */
	put_pid(me->pid);
	kref_put(&me->stop->refs, stop_free);
	kfree(me);
}

/* Runs in each thread that was asked; perhaps long after the leader gave up waiting. */
static void park(struct callback_head *work)
{
	struct parked *me = container_of(work, struct parked, work);
	struct smc_stop *stop = me->stop;

	if (READ_ONCE(stop->over))
		goto out;
	if (current->flags & PF_EXITING || is_to_end(task_pt_regs(current)))
		me->gone = true;
	else if (stop->capture && me->registers &&
		 registers_save(me->registers, task_pt_regs(current), false))
		WRITE_ONCE(stop->error, -ENOMEM);
	if (atomic_dec_and_test(&stop->awaited))
		complete(&stop->all_parked);
	if (!me->gone) {
		wait_event_killable(stop->resume, READ_ONCE(stop->over));
		/* pairs with smc_stop_end(): what to restore is decided before it is over */
		if (smp_load_acquire(&stop->over) && stop->restore)
			go_on(me->registers, task_pt_regs(current), stop->value);
	}
	if (atomic_dec_and_test(&stop->leaving))
		complete(&stop->all_left);
out:
	kref_put(&me->refs, parked_free);
	module_put(THIS_MODULE);	/* unloading waits until we are out of here */
}

static bool was_asked(struct smc_stop *stop, struct task_struct *t)
{
	struct parked *p;

	list_for_each_entry(p, &stop->parked, node)
		if (p->pid == task_pid(t))
			return true;
	return false;
}

static int ask(struct smc_stop *stop, struct task_struct *t)
{
	struct parked *p = kzalloc(sizeof(*p), GFP_ATOMIC | __GFP_ACCOUNT);

	if (!p)
		return -ENOMEM;
	if (stop->capture) {
		p->registers = kzalloc(sizeof(*p->registers), GFP_ATOMIC | __GFP_ACCOUNT);
		if (!p->registers) {
			kfree(p);
			return -ENOMEM;
		}
		INIT_LIST_HEAD(&p->registers->node);
	}
	kref_init(&p->refs);
	kref_get(&p->refs);
	p->stop = stop;
	kref_get(&stop->refs);
	p->pid = get_pid(task_pid(t));
	init_task_work(&p->work, park);
	__module_get(THIS_MODULE);
	atomic_inc(&stop->awaited);
	atomic_inc(&stop->leaving);
	if (task_work_add(t, &p->work, TWA_SIGNAL)) {
		/* it is ending: it will be gone, or found again */
		atomic_dec(&stop->awaited);
		atomic_dec(&stop->leaving);
		module_put(THIS_MODULE);
		kref_put(&p->refs, parked_free);
		kref_put(&p->refs, parked_free);
		return 0;
	}
	list_add_tail(&p->node, &stop->parked);
	return 1;
}

/*
 * Asks every thread that was not asked yet; their number, or an error. *ending: some thread is
 * about to end, and may still write to memory.
 */
static int ask_all(struct smc_stop *stop, bool *ending)
{
	struct task_struct *t;
	int r = 0, asked = 0;

	*ending = false;
	rcu_read_lock();
	for_each_thread(current, t) {
		if (t == current || was_asked(stop, t))
			continue;
		if (t->flags & PF_EXITING) {
			*ending |= !!READ_ONCE(t->mm);
			continue;
		}
		if (t->flags & PF_IO_WORKER) {
			r = -EOPNOTSUPP;
			break;
		}
		r = ask(stop, t);
		if (r < 0)
			break;
		asked += r;
		*ending |= r == 0;
	}
	rcu_read_unlock();
	return r < 0 ? r : asked;
}

/*
 * 0: no other process has this memory; -EBUSY: one has; -EAGAIN: one had, and is letting go of
 * it.
 */
static int shared_with_another_process(void)
{
	struct task_struct *p, *t;
	int r = 0;

	if (atomic_read(&current->mm->mm_users) <= get_nr_threads(current))
		return 0;
	rcu_read_lock();
	for_each_process_thread(p, t) {
		if (t->mm != current->mm || same_thread_group(t, current))
			continue;
		r = -EAGAIN;
		if (!(t->flags & PF_EXITING)) {
			r = -EBUSY;
			goto found;
		}
	}
found:
	rcu_read_unlock();
	return r;
}

static int await_sole_user(unsigned long deadline)
{
	int r;

	while ((r = shared_with_another_process()) == -EAGAIN) {
		if (time_after(jiffies, deadline))
			return -EBUSY;
		if (fatal_signal_pending(current))
			return -EINTR;
		usleep_range(20, 100);
	}
	return r;
}

/*
 * Asks and waits until no thread is left that could run: one that was not stopped yet may have
 * made another.
 */
static int await_all(struct smc_stop *stop, unsigned long deadline)
{
	for (;;) {
		bool ending;
		int asked = ask_all(stop, &ending);
		long left = (long)(deadline - jiffies);

		if (asked < 0)
			return asked;
		if (asked == 0) {
			if (!ending)
				return 0;
			if (left <= 0)
				return -ETIMEDOUT;
			if (fatal_signal_pending(current))
				return -EINTR;
			usleep_range(20, 100);
			continue;
		}
		if (!atomic_dec_and_test(&stop->awaited)) {
			left = wait_for_completion_killable_timeout(&stop->all_parked,
								    max(left, 1L));
			if (left <= 0)
				return left < 0 ? -EINTR : -ETIMEDOUT;
		}
		reinit_completion(&stop->all_parked);
		atomic_inc(&stop->awaited);
	}
}

/*
 * Stops every other thread of the current process, until smc_stop_end(). With capture, each
 * saves its registers. An error: nothing is stopped.
 */
struct smc_stop *smc_stop_threads(struct smc_context *c, bool capture)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(smc_stop_timeout_ms);
	struct smc_stop *stop = kzalloc(sizeof(*stop), GFP_KERNEL);
	int r = 0;

	if (!stop)
		return ERR_PTR(-ENOMEM);
	kref_init(&stop->refs);
	stop->context = c;
	stop->capture = capture;
	atomic_set(&stop->awaited, 1);
	atomic_set(&stop->leaving, 1);
	init_completion(&stop->all_parked);
	init_completion(&stop->all_left);
	init_waitqueue_head(&stop->resume);
	INIT_LIST_HEAD(&stop->parked);

	if (!thread_group_empty(current))
		r = await_all(stop, deadline);
	if (!r)
		r = await_sole_user(deadline);
	if (!r)
		r = READ_ONCE(stop->error);
	if (r) {
		smc_stop_end(stop);
		return ERR_PTR(r);
	}
	return stop;
}

/* Lets all threads go on. */
void smc_stop_end(struct smc_stop *stop)
{
	struct parked *p, *n;

	/* pairs with park() */
	smp_store_release(&stop->over, true);
	wake_up_all(&stop->resume);
	/* registers that are being restored belong to the context */
	if (stop->restore && !atomic_dec_and_test(&stop->leaving))
		wait_for_completion(&stop->all_left);
	list_for_each_entry_safe(p, n, &stop->parked, node)
		kref_put(&p->refs, parked_free);
	thread_free(stop->own);
	kref_put(&stop->refs, stop_free);
}

/* ------------------------------------------------------------------ checkpoint and rollback */

/* Captures the leader's own registers. */
int smc_threads_capture_own(struct smc_stop *stop, struct pt_regs *regs, bool called)
{
	struct smc_context *c = stop->context;

	/* the common case, one thread, needs no memory after the first time */
	stop->own = list_first_entry_or_null(&c->spare_threads, struct smc_thread, node);
	if (stop->own) {
		list_del_init(&stop->own->node);
		put_pid(stop->own->pid);
		stop->own->pid = NULL;
	} else {
		stop->own = thread_new();
	}
	if (!stop->own)
		return -ENOMEM;
	return registers_save(stop->own, regs, called);
}

/* Makes what was captured the registers of the checkpoint. */
void smc_threads_keep(struct smc_stop *stop)
{
	struct smc_context *c = stop->context;
	struct smc_thread *old, *n;
	struct parked *p;

	list_for_each_entry_safe(old, n, &c->threads, node) {
		if (list_empty(&c->spare_threads)) {
			list_move(&old->node, &c->spare_threads);
		} else {
			list_del(&old->node);
			thread_free(old);
		}
	}
	list_add(&stop->own->node, &c->threads);
	stop->own = NULL;
	c->nthreads = 1;
	list_for_each_entry(p, &stop->parked, node) {
		if (p->gone)
			continue;
		list_add_tail(&p->registers->node, &c->threads);
		p->registers = NULL;
		c->nthreads++;
	}
}

/*
 * Finds the registers of each thread. -ESTALE: a thread of the checkpoint is not there any
 * more.
 */
int smc_threads_check(struct smc_stop *stop)
{
	struct smc_context *c = stop->context;
	struct smc_thread *t;
	struct parked *p;

	list_for_each_entry(t, &c->threads, node) {
		bool found = t->pid == task_pid(current);

		list_for_each_entry(p, &stop->parked, node) {
			if (p->pid == t->pid && !p->gone) {
				p->registers = t;
				found = true;
			}
		}
		if (!found)
			return -ESTALE;
	}
	return 0;
}

/*
 * Restores the registers of all threads; of the leader in regs. The others do when they are let
 * go.
 */
void smc_threads_restore(struct smc_stop *stop, struct pt_regs *regs, int value)
{
	struct smc_thread *t, *own = NULL;

	list_for_each_entry(t, &stop->context->threads, node) {
		if (t->pid == task_pid(current))
			own = t;
	}
	stop->value = value;
	stop->restore = true;
	go_on(own, regs, value);
}

void smc_threads_free(struct smc_context *c)
{
	struct smc_thread *t, *n;

	list_splice_init(&c->spare_threads, &c->threads);
	list_for_each_entry_safe(t, n, &c->threads, node)
		thread_free(t);
	INIT_LIST_HEAD(&c->threads);
	c->nthreads = 0;
}
