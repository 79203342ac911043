// SPDX-License-Identifier: GPL-2.0
/* What is done before the kernel handles a write fault of an attached process. */
#include <linux/pgtable.h>
#include <linux/sched/coredump.h>
#include <linux/sched/signal.h>
#include "smc_internal.h"

/* A page that cannot be looked at for so long is given up, and the checkpoint with it. */
#define TRIES 1000

static void split_huge(struct vm_area_struct *vma, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(vma->vm_mm, addr);
	pmd_t *pmd;

	if (pgd_none(*pgd) || p4d_none(*p4d_offset(pgd, addr)) ||
	    pud_none(*pud_offset(p4d_offset(pgd, addr), addr)))
		return;
	pmd = pmd_offset(pud_offset(p4d_offset(pgd, addr), addr), addr);
	if (pmd_trans_huge(*pmd) || is_pmd_migration_entry(*pmd))
		smc_split_huge_pmd(vma, pmd, addr, false, NULL);
}

/*
 * Saves the page that is about to be written. 0: go on to the kernel's handler; anything else
 * is returned in its place. mmap_lock is held for reading, or for writing.
 */
vm_fault_t smc_before_write(struct smc_context *c, struct vm_area_struct *vma, unsigned long addr,
			    unsigned int flags, struct pt_regs *regs)
{
	struct smc_page *p;
	int tries;

	addr &= PAGE_MASK;
	/* the process may have allowed huge pages again: they would be writable as a whole */
	if (!test_bit(MMF_DISABLE_THP, &c->mm->flags))
		set_bit(MMF_DISABLE_THP, &c->mm->flags);
	/* nothing is kept any more in an epoch that cannot be rolled back */
	if (READ_ONCE(c->stale) || READ_ONCE(c->rolling) == current)
		return 0;
	p = xa_load(&c->pages, addr >> PAGE_SHIFT);
	if (smc_is_saved(c, p))
		return 0;
	split_huge(vma, addr);
	for (tries = 0; tries < TRIES; tries++) {
		enum smc_saving r = smc_save(c, p, addr, false);
		vm_fault_t fault;

		if (r == SMC_SAVED)
			return 0;
		if (r == SMC_NO_MEMORY)
			break;
		/*
		 * swapped out, or on its way to another place: reading brings it in, and leaves
		 * it read-only
		 */
		fault = smc_call_handle_mm_fault(vma, addr, flags & ~FAULT_FLAG_WRITE, regs);
		if (fault & (VM_FAULT_ERROR | VM_FAULT_RETRY))
			return fault;
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	smc_lose(c);
	return 0;
}
