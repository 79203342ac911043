// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that the process is about to give up: munmap, mremap, a mapping over another, a
 * shrinking heap, MADV_DONTNEED. The kernel tells those who watch a process' memory before it
 * does it.
 *
 * It tells of reclaim and migration too; those keep a page's content. They are known by who
 * does it: not the process itself, or the process itself while it looks for memory. No lock is
 * taken for them: they come while locks are held.
 *
 * mremap() also brings pages to an address without a fault there; it has a hook of its own
 * (hook.c).
 */
#include <linux/delay.h>
#include <linux/pgtable.h>
#include "smc_internal.h"

/*
 * Pages may be on their way to another place when they are unmapped. They arrive within
 * milliseconds.
 */
#define PATIENCE_US 1000000

static void save_unmapped(struct smc_context *c, struct smc_page *p, unsigned long addr)
{
	int waited;

	for (waited = 0; waited < PATIENCE_US; waited += 50) {
		enum smc_saving r = smc_save(c, p, addr, true);

		if (r == SMC_SAVED)
			return;
		if (r == SMC_NO_MEMORY)
			break;
		usleep_range(50, 100);
	}
	smc_lose(c);
}

/* The first address from addr on that may have an entry: skips what has no page table. */
static unsigned long next_populated(struct mm_struct *mm, unsigned long addr, unsigned long end)
{
	while (addr < end) {
		pgd_t *pgd = pgd_offset(mm, addr);
		p4d_t *p4d;
		pud_t *pud;
		pmd_t *pmd;

		if (pgd_none(*pgd)) {
			addr = pgd_addr_end(addr, end);
			continue;
		}
		p4d = p4d_offset(pgd, addr);
		if (p4d_none(*p4d)) {
			addr = p4d_addr_end(addr, end);
			continue;
		}
		pud = pud_offset(p4d, addr);
		if (pud_none(*pud) || pud_bad(*pud)) {
			addr = pud_addr_end(addr, end);
			continue;
		}
		pmd = pmd_offset(pud, addr);
		if (pmd_none(*pmd) || !pmd_present(*pmd) || pmd_bad(*pmd)) {
			addr = pmd_addr_end(addr, end);
			continue;
		}
		break;
	}
	return addr;
}

/*
 * Whether there is something at an address that is lost when it is unmapped, and goes along
 * when it is moved.
 */
static bool has_content(struct mm_struct *mm, unsigned long addr)
{
	spinlock_t *lock;
	pte_t *pte = smc_pte_lock(mm, addr, &lock);
	bool r;

	if (!pte)
		return false;
	r = !pte_none(*pte) && (!pte_present(*pte) || smc_own_page(*pte));
	pte_unmap_unlock(pte, lock);
	return r;
}

/* Whether changes to a context's memory have to be noted. */
static bool is_of_interest(struct smc_context *c)
{
	return READ_ONCE(c->epoch) && !READ_ONCE(c->stale) && READ_ONCE(c->rolling) != current;
}

static int invalidate_range_start(struct mmu_notifier *notifier,
				  const struct mmu_notifier_range *range)
{
	struct smc_context *c = container_of(notifier, struct smc_context, notifier);
	unsigned long addr = range->start & PAGE_MASK;

	if (range->event != MMU_NOTIFY_UNMAP && range->event != MMU_NOTIFY_CLEAR)
		return 0;
	if (current->mm != range->mm || current->flags & (PF_MEMALLOC | PF_EXITING))
		return 0;
	if (!is_of_interest(c))
		return 0;
	if (!mmu_notifier_range_blockable(range))
		return 0;

	while ((addr = next_populated(range->mm, addr, range->end)) < range->end) {
		struct smc_page *p = xa_load(&c->pages, addr >> PAGE_SHIFT);

		if (!smc_is_saved(c, p) && has_content(range->mm, addr))
			save_unmapped(c, p, addr);
		addr += PAGE_SIZE;
	}
	return 0;
}

/*
 * mremap() is about to take the entries of a range to another address. What is there now is
 * saved as for an unmapping. An entry is protected, so that a write at its new address is seen;
 * mremap() flushes. At the new address nothing is mapped any more, and there will be without a
 * fault. mmap_lock is held for writing.
 */
void smc_before_move(struct smc_context *c, struct vm_area_struct *vma, unsigned long from,
		     unsigned long to, unsigned long len)
{
	struct mm_struct *mm = vma->vm_mm;
	unsigned long addr = from;

	if (!is_of_interest(c))
		return;
	while ((addr = next_populated(mm, addr, from + len)) < from + len) {
		if (has_content(mm, addr)) {
			spinlock_t *lock;
			pte_t *pte;

			save_unmapped(c, NULL, addr);
			if (!smc_save_absent(c, to + (addr - from)))
				smc_lose(c);
			pte = smc_pte_lock(mm, addr, &lock);
			if (pte) {
				smc_pte_protect(mm, addr, pte);
				pte_unmap_unlock(pte, lock);
			}
		}
		addr += PAGE_SIZE;
	}
}

/*
 * The last user of the memory is gone: its pages, and the files that it had mapped, are not
 * held until the handle is closed, which may be another process'. Or the context is being
 * detached, and threads may be in the middle of a fault.
 */
static void release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct smc_context *c = container_of(notifier, struct smc_context, notifier);

	WRITE_ONCE(c->dead, true);
	if (!atomic_read(&mm->mm_users) && mutex_trylock(&c->operation)) {
		smc_context_empty(c);
		mutex_unlock(&c->operation);
	}
}

const struct mmu_notifier_ops smc_notifier_ops = {
	.invalidate_range_start = invalidate_range_start,
	.release = release,
};
