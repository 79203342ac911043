// SPDX-License-Identifier: GPL-2.0
/*
 * Contexts: which processes are watched. Looked up for each write fault of a process that has mmu
 * notifiers while one is attached, so by a hash table under RCU.
 *
 * A context ends in one of three ways: its handle is closed or detaches, the process ends, or
 * it calls exec. The first unlinks it at once; the others mark it dead, and its handle unlinks
 * it. The last reference frees it.
 */
#include <linux/hashtable.h>
#include <linux/sched/coredump.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include "smc_internal.h"

static DEFINE_HASHTABLE(contexts, 8);
static DEFINE_SPINLOCK(contexts_lock);

static struct smc_context *find(struct mm_struct *mm)
{
	struct smc_context *c;

	hash_for_each_possible_rcu(contexts, c, node, (unsigned long)mm)
		if (c->mm == mm)
			return c;
	return NULL;
}

/* The context of a process' memory, with a reference; or NULL. */
struct smc_context *smc_context_get(struct mm_struct *mm)
{
	struct smc_context *c;

	rcu_read_lock();
	c = find(mm);
	if (c && !kref_get_unless_zero(&c->refs))
		c = NULL;
	rcu_read_unlock();
	return c;
}

/*
 * Gives back what a context holds. Nobody faults any more, and c->operation is held, or nobody
 * has it.
 */
void smc_context_empty(struct smc_context *c)
{
	if (c->policy)
		c->policy->ops->destroy(c->policy);
	c->policy = NULL;
	smc_pages_free(c);
	smc_threads_free(c);
	smc_map_free(&c->map);
	kvfree(c->faults);
	c->faults = NULL;
	c->faults_room = 0;
}

static void context_free(struct kref *refs)
{
	struct smc_context *c = container_of(refs, struct smc_context, refs);

	smc_context_empty(c);
	put_pid(c->process);
	mmdrop(c->mm);
	kfree_rcu(c, rcu);
}

void smc_context_put(struct smc_context *c)
{
	kref_put(&c->refs, context_free);
}

/*
 * Begins to watch a process. *context has a reference for the caller, who ends it with
 * smc_detach(). Takes over the policy if it succeeds.
 */
int smc_attach(struct task_struct *task, u64 limit, struct smc_policy *policy, const char *spec,
	       struct smc_context **context)
{
	struct smc_context *c;
	struct mm_struct *mm;
	int r;

	/* registers of 32-bit code are not restored */
	if (test_tsk_thread_flag(task, TIF_ADDR32))
		return -EOPNOTSUPP;
	mm = get_task_mm(task);
	if (!mm)
		return -ESRCH;
	c = kzalloc(sizeof(*c), SMC_GFP);
	if (!c) {
		mmput(mm);
		return -ENOMEM;
	}
	kref_init(&c->refs);
	mutex_init(&c->operation);
	mutex_init(&c->lock);
	xa_init(&c->pages);
	INIT_LIST_HEAD(&c->saved);
	INIT_LIST_HEAD(&c->by_age);
	INIT_LIST_HEAD(&c->idle);
	INIT_LIST_HEAD(&c->threads);
	INIT_LIST_HEAD(&c->spare_threads);
	INIT_LIST_HEAD(&c->hinted);
	c->limit = limit;
	c->notifier.ops = &smc_notifier_ops;
	c->mm = mm;
	mmgrab(mm);
	c->process = get_task_pid(task, PIDTYPE_TGID);

	/* whoever finds it from now on waits until it is whole */
	mutex_lock(&c->operation);
	spin_lock(&contexts_lock);
	if (find(mm)) {
		r = -EBUSY;
	} else {
		hash_add_rcu(contexts, &c->node, (unsigned long)mm);
		r = 0;
	}
	spin_unlock(&contexts_lock);
	if (r)
		goto free;

	r = mmu_notifier_register(&c->notifier, mm);
	if (r)
		goto unlink;
	r = smc_hook_get();
	if (r)
		goto unregister;
	/*
	 * huge pages are split when they are protected; none are made as long as it is watched
	 */
	c->had_thp_disabled = test_and_set_bit(MMF_DISABLE_THP, &mm->flags);
	c->policy = policy;
	strscpy(c->spec, spec, sizeof(c->spec));
	mutex_unlock(&c->operation);
	mmput(mm);
	*context = c;
	return 0;

unregister:
	mmu_notifier_unregister(&c->notifier, mm);
unlink:
	spin_lock(&contexts_lock);
	hash_del_rcu(&c->node);
	spin_unlock(&contexts_lock);
free:
	WRITE_ONCE(c->dead, true);
	mutex_unlock(&c->operation);
	mmput(mm);
	smc_context_put(c);
	return r;
}

/*
 * Ends an attachment; the reference stays with the caller. Does not wait for an operation that
 * is under way: that waits for all threads to stop, and the caller may be one. It is dead before
 * the first write is not seen any more, and a rollback looks again when all have stopped.
 */
void smc_detach(struct smc_context *c)
{
	bool dead = xchg(&c->dead, true);

	spin_lock(&contexts_lock);
	hash_del_rcu(&c->node);
	spin_unlock(&contexts_lock);
	if (!c->had_thp_disabled && !dead)
		clear_bit(MMF_DISABLE_THP, &c->mm->flags);
	/* waits for calls of the notifier that are under way */
	mmu_notifier_unregister(&c->notifier, c->mm);
	smc_hook_put();
}
