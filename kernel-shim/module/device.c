// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/smc: checks arguments, finds the process, and has the operation carried out by a thread
 * of it. uapi/smc.h says what each call means.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/task_work.h>
#include <linux/uaccess.h>
#include "smc_internal.h"

/* An open file. */
struct smc_handle {
	struct mutex lock;		/* of what follows */
	struct smc_context *context;	/* a reference; NULL: tied to nothing */
	bool owner;			/* it attached */
	struct pid *opener;		/* the process that opened it: no child may use it */
};

/* The context of a handle that the caller may act on, with a reference. */
static struct smc_context *context_of(struct smc_handle *h)
{
	struct smc_context *c;

	mutex_lock(&h->lock);
	c = h->context;
	if (!c)
		c = ERR_PTR(-ENOTCONN);
	else if (c->mm != current->mm && h->opener != task_tgid(current))
		c = ERR_PTR(-EPERM);
	else if (READ_ONCE(c->dead))
		c = ERR_PTR(-EOWNERDEAD);
	else
		kref_get(&c->refs);
	mutex_unlock(&h->lock);
	return c;
}

/* ------------------------------------------------------------------ carrying out */

enum operation { CHECKPOINT, ROLLBACK };

static long operate(struct smc_context *c, enum operation operation, struct pt_regs *regs,
		    int value, bool called)
{
	return operation == CHECKPOINT ? smc_checkpoint(c, regs, called) :
					 smc_rollback(c, regs, value);
}

/* What another process asks of a thread. The caller and the thread have a reference each. */
struct request {
	struct callback_head work;
	struct kref refs;
	struct smc_context *context;
	enum operation operation;
	int value;
	bool cancelled;
	long result;
	struct completion done;
};

static void request_free(struct kref *refs)
{
	struct request *r = container_of(refs, struct request, refs);

	smc_context_put(r->context);
	kfree(r);
}

/* Runs in a thread of the process, on its way to user space. */
static void carry_out(struct callback_head *work)
{
	struct request *r = container_of(work, struct request, work);
	struct smc_context *c = r->context;

	if (READ_ONCE(r->cancelled) || current->flags & PF_EXITING || current->mm != c->mm) {
		r->result = -EAGAIN;
	} else if (!mutex_trylock(&c->operation)) {
		/* another thread carries something out, and may be waiting for us: not here */
		r->result = -EAGAIN;
	} else {
		r->result = operate(c, r->operation, task_pt_regs(current), r->value, false);
		mutex_unlock(&c->operation);
		/* the process is being killed: who asks will find that it is gone */
		if (r->result < 0 && fatal_signal_pending(current))
			r->result = -EAGAIN;
	}
	complete(&r->done);
	kref_put(&r->refs, request_free);
	module_put(THIS_MODULE);	/* unloading waits until we are out of here */
}

/* A thread of a process that is not about to end, with a reference; or NULL. */
static struct task_struct *some_thread(struct pid *process)
{
	struct task_struct *leader, *t, *found = NULL;

	rcu_read_lock();
	leader = pid_task(process, PIDTYPE_TGID);
	if (leader) {
		for_each_thread(leader, t) {
			if (!(t->flags & PF_EXITING)) {
				get_task_struct(t);
				found = t;
				break;
			}
		}
	}
	rcu_read_unlock();
	return found;
}

static long ask_thread(struct smc_context *c, enum operation operation, int value)
{
	/* longer than the thread waits for the others */
	unsigned long patience = 2 * msecs_to_jiffies(smc_stop_timeout_ms);
	struct request *r = kzalloc(sizeof(*r), GFP_KERNEL);
	struct task_struct *t;
	long left, result;

	if (!r)
		return -ENOMEM;
	t = some_thread(c->process);
	if (!t) {
		kfree(r);
		return -EOWNERDEAD;
	}
	kref_init(&r->refs);
	kref_get(&r->refs);
	kref_get(&c->refs);
	r->context = c;
	r->operation = operation;
	r->value = value;
	init_completion(&r->done);
	init_task_work(&r->work, carry_out);
	__module_get(THIS_MODULE);
	if (task_work_add(t, &r->work, TWA_SIGNAL)) {
		module_put(THIS_MODULE);
		kref_put(&r->refs, request_free);
		result = -EAGAIN;
	} else {
		left = wait_for_completion_killable_timeout(&r->done, patience);
		WRITE_ONCE(r->cancelled, true);
		result = left > 0 ? r->result : left < 0 ? -EINTR : -ETIMEDOUT;
	}
	put_task_struct(t);
	kref_put(&r->refs, request_free);
	return result;
}

static long carry_out_elsewhere(struct smc_context *c, enum operation operation, int value)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(smc_stop_timeout_ms);
	long r;

	while ((r = ask_thread(c, operation, value)) == -EAGAIN && time_before(jiffies, deadline)) {
		if (READ_ONCE(c->dead))
			return -EOWNERDEAD;
		usleep_range(200, 1000);
	}
	return r == -EAGAIN ? -ETIMEDOUT : r;
}

/*
 * For a thread of the process itself the return value of a rollback is the register that the
 * call's result is put in: that of the checkpoint.
 */
static long carry_out_here(struct smc_context *c, enum operation operation, int value)
{
	struct pt_regs *regs = current_pt_regs();
	long r;

	/* a thread that waits here is stopped by the one that works, and calls again */
	if (mutex_lock_interruptible(&c->operation))
		return -ERESTARTNOINTR;
	r = operate(c, operation, regs, value, true);
	mutex_unlock(&c->operation);
	return r == 0 && operation == ROLLBACK ? (long)regs->ax : r;
}

static long ioctl_operate(struct smc_handle *h, enum operation operation, unsigned long value)
{
	struct smc_context *c;
	long r;

	if (operation == ROLLBACK ? value < 1 || value > INT_MAX : value != 0)
		return -EINVAL;
	c = context_of(h);
	if (IS_ERR(c))
		return PTR_ERR(c);
	r = c->mm == current->mm ? carry_out_here(c, operation, value) :
				   carry_out_elsewhere(c, operation, value);
	smc_context_put(c);
	return r;
}

/* ------------------------------------------------------------------ calls */

static long ioctl_attach(struct smc_handle *h, struct smc_attach __user *user)
{
	struct smc_policy *policy = NULL;
	struct task_struct *task;
	struct smc_attach a;
	long r;

	if (copy_from_user(&a, user, sizeof(a)))
		return -EFAULT;
	if (a.abi != SMC_ABI)
		return -EPROTO;
	if (a.flags || strnlen(a.policy, sizeof(a.policy)) == sizeof(a.policy))
		return -EINVAL;
	a.error_at = 0;
	r = smc_policy_new(a.policy, &policy, &a.error_at);
	if (r) {
		if (put_user(a.error_at, &user->error_at))
			return -EFAULT;
		return r;
	}
	task = smc_task_of(a.pid);
	if (IS_ERR(task)) {
		r = PTR_ERR(task);
		goto out;
	}
	mutex_lock(&h->lock);
	r = h->context ? -EBUSY :
	    smc_attach(task, a.limit ?: READ_ONCE(smc_default_limit), policy, a.policy,
		       &h->context);
	h->owner = r ? h->owner : true;
	mutex_unlock(&h->lock);
	put_task_struct(task);
out:
	if (r && policy)
		policy->ops->destroy(policy);
	return r;
}

static long ioctl_join(struct smc_handle *h, __s32 __user *user)
{
	struct task_struct *task;
	struct mm_struct *mm;
	__s32 pid;
	long r;

	if (get_user(pid, user))
		return -EFAULT;
	task = smc_task_of(pid);
	if (IS_ERR(task))
		return PTR_ERR(task);
	mm = get_task_mm(task);
	put_task_struct(task);
	if (!mm)
		return -ESRCH;
	mutex_lock(&h->lock);
	if (h->context) {
		r = -EBUSY;
	} else {
		h->context = smc_context_get(mm);
		r = h->context ? 0 : -ENOTCONN;
	}
	mutex_unlock(&h->lock);
	mmput(mm);
	return r;
}

static void untie(struct smc_handle *h)
{
	if (h->context && h->owner)
		smc_detach(h->context);
	if (h->context)
		smc_context_put(h->context);
	h->context = NULL;
	h->owner = false;
}

static long ioctl_detach(struct smc_handle *h)
{
	long r = 0;

	mutex_lock(&h->lock);
	if (!h->context)
		r = -ENOTCONN;
	else if (h->context->mm != current->mm && h->opener != task_tgid(current))
		r = -EPERM;
	else
		untie(h);
	mutex_unlock(&h->lock);
	return r;
}

static long ioctl_hot(struct smc_context *c, struct smc_hot __user *user)
{
	struct smc_hot hot;
	long r;

	if (copy_from_user(&hot, user, sizeof(hot)))
		return -EFAULT;
	if (hot.reserved || hot.what > SMC_HOT_CLEAR || hot.len > TASK_SIZE ||
	    hot.addr > TASK_SIZE - hot.len)
		return -EINVAL;
	if (mutex_lock_interruptible(&c->operation))
		return -ERESTARTNOINTR;
	r = READ_ONCE(c->dead) ? -EOWNERDEAD : smc_hint(c, &hot);
	mutex_unlock(&c->operation);
	return r;
}

static long ioctl_policy(struct smc_context *c, struct smc_policy_spec __user *user)
{
	struct smc_policy_spec spec;
	long r;

	if (copy_from_user(&spec, user, sizeof(spec)))
		return -EFAULT;
	if (spec.reserved || strnlen(spec.spec, sizeof(spec.spec)) == sizeof(spec.spec))
		return -EINVAL;
	if (mutex_lock_interruptible(&c->operation))
		return -ERESTARTNOINTR;
	spec.error_at = 0;
	r = READ_ONCE(c->dead) ? -EOWNERDEAD : smc_policy_set(c, spec.spec, &spec.error_at);
	mutex_unlock(&c->operation);
	if (r && put_user(spec.error_at, &user->error_at))
		return -EFAULT;
	return r;
}

static long ioctl_stat(struct smc_context *c, struct smc_stat __user *user)
{
	struct smc_stat s;

	if (mutex_lock_interruptible(&c->operation))
		return -ERESTARTNOINTR;
	mutex_lock(&c->lock);
	s = c->stat;
	s.epoch = c->epoch;
	s.dirty = c->nsaved;
	s.held = atomic64_read(&c->held);
	s.held_peak = c->held_peak;
	s.limit = c->limit;
	s.threads = c->nthreads;
	memcpy(s.policy, c->spec, sizeof(s.policy));
	mutex_unlock(&c->lock);
	mutex_unlock(&c->operation);
	return copy_to_user(user, &s, sizeof(s)) ? -EFAULT : 0;
}

/* Writes the list through a buffer, as writing to the caller may save a page of its. */
static long ioctl_dirty(struct smc_context *c, struct smc_dirty __user *user)
{
	struct smc_dirty d;
	struct smc_page *p;
	size_t n = 0, room;
	__u64 *addrs;
	long r = 0;

	if (copy_from_user(&d, user, sizeof(d)))
		return -EFAULT;
	if (mutex_lock_interruptible(&c->operation))
		return -ERESTARTNOINTR;
	room = min_t(u64, d.max, READ_ONCE(c->nsaved) + 16);
	addrs = kvmalloc_array(room, sizeof(*addrs), SMC_GFP);
	if (!addrs && room) {
		mutex_unlock(&c->operation);
		return -ENOMEM;
	}
	mutex_lock(&c->lock);
	list_for_each_entry(p, &c->saved, saved) {
		if (n == room)
			break;
		addrs[n++] = p->addr;
	}
	d.count = c->nsaved;
	mutex_unlock(&c->lock);
	mutex_unlock(&c->operation);
	if (copy_to_user(u64_to_user_ptr(d.addrs), addrs, n * sizeof(*addrs)) ||
	    put_user(d.count, &user->count))
		r = -EFAULT;
	kvfree(addrs);
	return r;
}

static long smc_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct smc_handle *h = file->private_data;
	void __user *user = (void __user *)arg;
	struct smc_context *c;
	long r;

	switch (cmd) {
	case SMC_IOC_ATTACH:
		return ioctl_attach(h, user);
	case SMC_IOC_JOIN:
		return ioctl_join(h, user);
	case SMC_IOC_DETACH:
		return ioctl_detach(h);
	case SMC_IOC_CHECKPOINT:
		return ioctl_operate(h, CHECKPOINT, arg);
	case SMC_IOC_ROLLBACK:
		return ioctl_operate(h, ROLLBACK, arg);
	case SMC_IOC_HOT:
	case SMC_IOC_POLICY:
	case SMC_IOC_STAT:
	case SMC_IOC_DIRTY:
		break;
	default:
		return -ENOTTY;
	}
	c = context_of(h);
	if (IS_ERR(c))
		return PTR_ERR(c);
	switch (cmd) {
	case SMC_IOC_HOT:
		r = ioctl_hot(c, user);
		break;
	case SMC_IOC_POLICY:
		r = ioctl_policy(c, user);
		break;
	case SMC_IOC_STAT:
		r = ioctl_stat(c, user);
		break;
	default:
		r = ioctl_dirty(c, user);
	}
	smc_context_put(c);
	return r;
}

/* Root, or a member of the group that the parameter "group" names. */
static bool may_open(void)
{
	int group = READ_ONCE(smc_group);

	return capable(CAP_SYS_ADMIN) ||
	       (group >= 0 && in_egroup_p(make_kgid(&init_user_ns, group)));
}

static int smc_open(struct inode *inode, struct file *file)
{
	struct smc_handle *h;

	if (!may_open())
		return -EACCES;
	h = kzalloc(sizeof(*h), GFP_KERNEL_ACCOUNT);
	if (!h)
		return -ENOMEM;
	mutex_init(&h->lock);
	h->opener = get_pid(task_tgid(current));
	file->private_data = h;
	return 0;
}

static int smc_release(struct inode *inode, struct file *file)
{
	struct smc_handle *h = file->private_data;

	untie(h);
	put_pid(h->opener);
	kfree(h);
	return 0;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.open = smc_open,
	.release = smc_release,
	.unlocked_ioctl = smc_ioctl,
	.llseek = noop_llseek,
};

struct miscdevice smc_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "smc",
	.fops = &operations,
	.mode = 0666,	/* may_open() decides */
};
