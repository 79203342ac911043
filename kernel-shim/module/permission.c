// SPDX-License-Identifier: GPL-2.0
/*
 * Whom a caller may touch: itself, its descendants if it could trace them, and anyone with
 * CAP_SYS_PTRACE.
 */
#include <linux/capability.h>
#include <linux/ptrace.h>
#include <linux/sched/task.h>
#include "smc_internal.h"

static bool descends_from_caller(struct task_struct *task)
{
	bool r = false;

	rcu_read_lock();
	while (task && task->pid > 1) {
		task = rcu_dereference(task->real_parent);
		if (task && same_thread_group(task, current)) {
			r = true;
			break;
		}
	}
	rcu_read_unlock();
	return r;
}

/*
 * The process of this number in the caller's pid namespace, 0 for the caller's own; with a
 * reference.
 */
struct task_struct *smc_task_of(pid_t pid)
{
	struct task_struct *task;

	if (pid < 0)
		return ERR_PTR(-EINVAL);
	if (pid == 0) {
		get_task_struct(current);
		return current;
	}
	rcu_read_lock();
	task = pid_task(find_vpid(pid), PIDTYPE_TGID);
	if (task)
		get_task_struct(task);
	rcu_read_unlock();
	if (!task)
		return ERR_PTR(-ESRCH);
	if (same_thread_group(task, current) || capable(CAP_SYS_PTRACE) ||
	    (descends_from_caller(task) &&
	     smc_ptrace_may_access(task, PTRACE_MODE_ATTACH_REALCREDS)))
		return task;
	put_task_struct(task);
	return ERR_PTR(-EPERM);
}
