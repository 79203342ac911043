/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the module share. main.c explains how the parts work together.
 */
#ifndef SMC_INTERNAL_H
#define SMC_INTERNAL_H

#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/xarray.h>

#include "policy/policy.h"
#include "uapi/smc.h"

/*
 * Memory that stays, charged to the process' control group. Where that, or the machine, has too
 * little, a checkpoint fails or a pre-image is lost, and nobody is killed for it. What lasts for
 * one operation is not charged: a rollback is to work just then.
 */
#define SMC_GFP (GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* Where the pre-image of a saved page is. */
enum smc_image {
	SMC_ABSENT,	/* nowhere: it had no memory of its own, and a rollback takes it away */
	SMC_COPY,	/* in smc_page.copy */
	SMC_SWAP,	/* in the swap slot smc_page.slot, of which we hold a reference */
};

/*
 * One page of user memory that was saved, is known to the policy, or is hot.
 *
 * saved_in == context->epoch  <=>  its pre-image is kept and it is on context->saved.
 * A page that was not saved in this epoch is not writable by its page table entry.
 */
struct smc_page {
	struct smc_spage speculation;	/* the policy's */
	unsigned long addr;
	u64 saved_in;		/* epoch; 0: never */
	u64 chosen_for;		/* epoch for which the policy, or a hint, chose it */
	enum smc_image image;
	bool faulted;		/* saved by a fault or an unmapping, and not ahead */
	bool hot;		/* hinted for good, and not for one checkpoint */
	union {
		struct page *copy;
		swp_entry_t slot;
	};
	struct list_head saved;	/* on context->saved, while saved_in == epoch */
	struct list_head age;	/* on context->by_age: the page saved longest ago first */
	struct list_head hint;	/* on context->hinted, while a hint asks for it */
};

/* A mapping as it was at the checkpoint. */
struct smc_mapping {
	unsigned long start, end;
	unsigned long flags;	/* vm_flags */
	unsigned long pgoff;
	struct file *file;	/* a reference, or NULL */
};

struct smc_map {
	struct smc_mapping *mappings;
	int count, room;
	unsigned long brk;
};

/* A thread's registers as they were at the checkpoint. */
struct smc_thread {
	struct list_head node;	/* on context->threads */
	struct pid *pid;
	bool called;		/* it called the checkpoint, which is to return to it again */
	struct pt_regs regs;
	unsigned long fsbase, gsbase;
	sigset_t blocked;
	/* what the kernel was told of the thread's memory */
	int __user *clear_child_tid;
	struct robust_list_head __user *robust_list;
	struct rseq __user *rseq;
	u32 rseq_sig;
	void *fpu;
	size_t fpu_size;
};

/*
 * A process that is watched. Found by its mm_struct in a hash table under RCU; kept by
 * references: of each handle tied to it, and of each fault that is being handled.
 */
struct smc_context {
	struct kref refs;
	struct rcu_head rcu;
	struct hlist_node node;
	struct mm_struct *mm;	/* pinned by mmgrab */
	struct pid *process;
	struct mmu_notifier notifier;
	bool had_thp_disabled;

	/*
	 * One operation at a time: checkpoint, rollback, policy, hints. Outermost lock; taken
	 * before mmap_lock. "dead" is set once, when the process is gone, has called exec, or was
	 * detached.
	 */
	struct mutex operation;
	bool dead;

	/*
	 * What follows belongs to whoever holds "lock". Nothing is allocated while it is held,
	 * so that nothing is reclaimed either: reclaim calls the notifier. Innermost but for
	 * page table locks.
	 */
	struct mutex lock;
	u64 epoch;		/* 0: no checkpoint yet. Changes with mmap_lock held for writing */
	struct xarray pages;	/* struct smc_page by address >> PAGE_SHIFT */
	struct list_head saved;	/* pages saved in this epoch, in order */
	struct list_head by_age;
	struct list_head idle;	/* struct page: buffers that no page uses */
	unsigned long nsaved, nidle, nknown;
	bool stale;		/* a pre-image was lost: no rollback to this checkpoint */
	bool sweep;		/* some page may be writable and not saved: the checkpoint looks */
	struct task_struct *rolling;	/* rolls back: what it unmaps and writes is not saved */

	/* What follows belongs to the operation. */
	struct smc_policy *policy;
	char spec[SMC_SPEC_LEN];
	struct smc_map map;
	struct list_head threads;	/* struct smc_thread */
	struct list_head spare_threads;	/* records that can be used again */
	unsigned long nthreads;
	struct list_head hinted;
	struct smc_spage **faults;	/* room for what the policy is told */
	size_t faults_room;

	atomic64_t held;	/* bytes */
	u64 held_peak, limit;
	struct smc_stat stat;	/* the counters; gauges are filled in when it is read */
};

/* main.c: parameters in /sys/module/smc/parameters */
extern unsigned int smc_stop_timeout_ms;
extern unsigned long smc_default_limit;
extern int smc_group;
extern unsigned int smc_fault_cost;
extern atomic64_t smc_held_total;

/* symbols.c: kernel functions that are not exported, found by name when the module is loaded */
extern void (*smc_flush_tlb_mm_range)(struct mm_struct *mm, unsigned long start, unsigned long end,
				      unsigned int stride_shift, bool freed_tables);
extern void (*smc_split_huge_pmd)(struct vm_area_struct *vma, pmd_t *pmd, unsigned long address,
				  bool freeze, struct folio *folio);
extern bool (*smc_ptrace_may_access)(struct task_struct *task, unsigned int mode);
extern int (*smc_swap_duplicate)(swp_entry_t entry);
extern void (*smc_swap_free)(swp_entry_t entry);
extern long (*smc_sys_mprotect)(const struct pt_regs *regs);
void *smc_find_symbol(const char *name);
int smc_find_symbols(void);

/* device.c */
extern struct miscdevice smc_device;

/* attach.c */
int smc_attach(struct task_struct *task, u64 limit, struct smc_policy *policy, const char *spec,
	       struct smc_context **context);
struct smc_context *smc_context_get(struct mm_struct *mm);
void smc_context_put(struct smc_context *c);
void smc_context_empty(struct smc_context *c);
void smc_detach(struct smc_context *c);

/* permission.c */
struct task_struct *smc_task_of(pid_t pid);

/* hook.c */
int smc_hook_check(void);
int smc_hook_get(void);
void smc_hook_put(void);
void smc_hook_drain(void);
vm_fault_t smc_call_handle_mm_fault(struct vm_area_struct *vma, unsigned long addr,
				    unsigned int flags, struct pt_regs *regs);

/* save.c */
enum smc_saving {
	SMC_SAVED,		/* or nothing to save */
	SMC_NOT_PRESENT,	/* has to be read in first */
	SMC_NO_MEMORY,
};

enum smc_saving smc_save(struct smc_context *c, struct smc_page *p, unsigned long addr,
			 bool unmapping);
bool smc_save_absent(struct smc_context *c, unsigned long addr);
void smc_lose(struct smc_context *c);

/* fault.c */
vm_fault_t smc_before_write(struct smc_context *c, struct vm_area_struct *vma, unsigned long addr,
			    unsigned int flags, struct pt_regs *regs);

/* unmap.c */
void smc_before_move(struct smc_context *c, struct vm_area_struct *vma, unsigned long from,
		     unsigned long to, unsigned long len);
extern const struct mmu_notifier_ops smc_notifier_ops;

/* pages.c */
int smc_pages_init(void);
void smc_pages_exit(void);
struct smc_page *smc_page_of(struct smc_context *c, unsigned long addr);
void smc_page_saved(struct smc_context *c, struct smc_page *p, enum smc_image image);
void smc_page_release(struct smc_context *c, struct smc_page *p);
void smc_page_drop(struct smc_context *c, struct smc_page *p);
void smc_pages_prune(struct smc_context *c, unsigned long added);
void smc_pages_free(struct smc_context *c);
struct page *smc_buffer_new(struct smc_context *c);
void smc_buffer_free(struct smc_context *c, struct page *buffer);
struct page *smc_buffer_take(struct smc_context *c);
void smc_buffer_give(struct smc_context *c, struct page *buffer);

static inline bool smc_is_saved(const struct smc_context *c, const struct smc_page *p)
{
	return p && p->saved_in == c->epoch;
}

/* Mappings whose pages are saved: private memory, anonymous or of a file. */
static inline bool smc_covers(const struct vm_area_struct *vma)
{
	return !(vma->vm_flags & (VM_SHARED | VM_IO | VM_PFNMAP | VM_HUGETLB | VM_MIXEDMAP));
}

/* ptes.c */
pte_t *smc_pte_lock(struct mm_struct *mm, unsigned long addr, spinlock_t **lock);
bool smc_own_page(pte_t pte);
bool smc_pte_protect(struct mm_struct *mm, unsigned long addr, pte_t *pte);

/* sweep.c */
unsigned long smc_sweep(struct mm_struct *mm);

/* threads.c */
struct smc_stop;
struct smc_stop *smc_stop_threads(struct smc_context *c, bool capture);
void smc_stop_end(struct smc_stop *stop);
int smc_threads_capture_own(struct smc_stop *stop, struct pt_regs *regs, bool called);
void smc_threads_keep(struct smc_stop *stop);
int smc_threads_check(struct smc_stop *stop);
void smc_threads_restore(struct smc_stop *stop, struct pt_regs *regs, int value);
void smc_threads_free(struct smc_context *c);

/* map.c */
int smc_map_capture(struct smc_map *map, struct mm_struct *mm);
bool smc_map_is_current(const struct smc_map *map, struct mm_struct *mm);
int smc_map_restore(struct smc_context *c, bool *begun);
const struct smc_mapping *smc_map_find(const struct smc_map *map, unsigned long addr);
void smc_map_free(struct smc_map *map);

/* speculate.c */
int smc_policy_new(const char *spec, struct smc_policy **policy, u32 *error_at);
int smc_policy_set(struct smc_context *c, const char *spec, u32 *error_at);
void smc_speculate(struct smc_context *c);
int smc_hint(struct smc_context *c, const struct smc_hot *hot);

/* checkpoint.c, rollback.c: carried out by a thread of the process itself */
long smc_checkpoint(struct smc_context *c, struct pt_regs *regs, bool called);
long smc_rollback(struct smc_context *c, struct pt_regs *regs, int value);

#endif
