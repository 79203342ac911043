// SPDX-License-Identifier: GPL-2.0
/*
 * A rollback. Until all threads are stopped and known to be those of the checkpoint, it can
 * fail and changes nothing. After that a failure would leave a process that is neither what it
 * was nor what it is; it is killed.
 *
 * The checkpoint stays, and so do its pre-images: the pages that are put back stay writable,
 * and a second rollback needs no faults.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/highmem.h>
#include <linux/pgtable.h>
#include <linux/sched/signal.h>
#include "smc_internal.h"

/* Puts a copy back where the page is mapped, writable and the process' own. */
static bool put_back_in_place(struct smc_context *c, struct smc_page *p)
{
	spinlock_t *lock;
	pte_t *pte = smc_pte_lock(c->mm, p->addr, &lock);
	bool done = false;

	if (!pte)
		return false;
	if (pte_present(*pte) && pte_write(*pte) && smc_own_page(*pte)) {
		copy_highpage(pte_page(*pte), p->copy);
		set_page_dirty(pte_page(*pte));
		done = true;
	}
	pte_unmap_unlock(pte, lock);
	return done;
}

/* Puts a copy back wherever the page is: swapped out, shared with a child, gone. */
static int put_back_copy(struct smc_context *c, struct smc_page *p)
{
	struct page *page;
	long r;

	if (put_back_in_place(c, p))
		return 0;
	r = get_user_pages_remote(c->mm, p->addr, 1, FOLL_WRITE | FOLL_FORCE, &page, NULL, NULL);
	if (r != 1)
		return r < 0 ? r : -EFAULT;
	copy_highpage(page, p->copy);
	set_page_dirty_lock(page);
	put_page(page);
	return 0;
}

static void take_away(struct smc_context *c, unsigned long addr)
{
	struct vm_area_struct *vma = find_vma(c->mm, addr);

	if (vma && vma->vm_start <= addr && smc_covers(vma))
		zap_page_range(vma, addr, PAGE_SIZE);
}

/*
 * Puts a swap slot back into its entry. Our reference becomes the entry's, and the record gets
 * a new one.
 */
static int put_back_slot(struct smc_context *c, struct smc_page *p)
{
	struct page *page;
	spinlock_t *lock;
	pte_t *pte;
	long r;

	/*
	 * makes a page, whatever it holds, so that there is a page table, and the mapping is
	 * one that has anonymous pages
	 */
	r = get_user_pages_remote(c->mm, p->addr, 1, FOLL_WRITE | FOLL_FORCE, &page, NULL, NULL);
	if (r != 1)
		return r < 0 ? r : -EFAULT;
	put_page(page);
	take_away(c, p->addr);
	r = smc_swap_duplicate(p->slot);
	if (r)
		return r;
	pte = smc_pte_lock(c->mm, p->addr, &lock);
	if (!pte) {
		smc_swap_free(p->slot);
		return -EFAULT;
	}
	set_pte_at(c->mm, p->addr, pte, swp_entry_to_pte(p->slot));
	atomic_long_inc(&c->mm->rss_stat.count[MM_SWAPENTS]);
	pte_unmap_unlock(pte, lock);
	return 0;
}

static int put_back_pages(struct smc_context *c)
{
	struct smc_page *p;

	list_for_each_entry(p, &c->saved, saved) {
		const struct smc_mapping *m = smc_map_find(&c->map, p->addr);
		int r = 0;

		/* what was not mapped, or shared, is not part of the checkpoint */
		if (!m || m->flags & (VM_SHARED | VM_IO | VM_PFNMAP | VM_HUGETLB | VM_MIXEDMAP))
			continue;
		if (p->image == SMC_COPY)
			r = put_back_copy(c, p);
		else if (p->image == SMC_SWAP)
			r = put_back_slot(c, p);
		else
			take_away(c, p->addr);
		if (r)
			return r;
		c->stat.restored++;
		cond_resched();
	}
	return 0;
}

/*
 * Rolls the current process back. regs: the user registers of the current thread, which become
 * those of the checkpoint; a thread that called for the checkpoint finds the value there.
 * c->operation is held.
 */
long smc_rollback(struct smc_context *c, struct pt_regs *regs, int value)
{
	struct smc_stop *stop;
	bool begun = false;
	long r;

	if (c->dead)
		return -EOWNERDEAD;
	if (!c->epoch)
		return -ENODATA;
	if (READ_ONCE(c->stale))
		return -ESTALE;
	stop = smc_stop_threads(c, false);
	if (IS_ERR(stop))
		return PTR_ERR(stop);
	/* while they went on, they may have lost a pre-image, or somebody detached */
	if (READ_ONCE(c->dead))
		r = -EOWNERDEAD;
	else
		r = READ_ONCE(c->stale) ? -ESTALE : smc_threads_check(stop);
	if (r) {
		smc_stop_end(stop);
		return r;
	}

	WRITE_ONCE(c->rolling, current);
	r = smc_map_restore(c, &begun);
	if (!r) {
		begun = true;
		mmap_write_lock(c->mm);
		r = put_back_pages(c);
		mmap_write_unlock(c->mm);
	}
	WRITE_ONCE(c->rolling, NULL);
	if (r && begun) {
		if (!fatal_signal_pending(current))
			pr_err("pid %d could not be rolled back (%ld), and is killed\n",
			       task_tgid_nr(current), r);
		send_sig(SIGKILL, current, 1);
	} else if (!r) {
		c->stat.rollbacks++;
		smc_threads_restore(stop, regs, value);
	}
	smc_stop_end(stop);
	return r;
}
