// SPDX-License-Identifier: GPL-2.0
/*
 * Write-protects every page that is covered: at the first checkpoint, and at one that follows
 * the loss of a pre-image. All other checkpoints go by the list of saved pages. Empty page
 * tables are skipped; huge pages are split.
 */
#include <linux/pgtable.h>
#include "smc_internal.h"

static unsigned long sweep_ptes(struct mm_struct *mm, unsigned long addr, unsigned long end)
{
	unsigned long count = 0;
	spinlock_t *lock;
	pte_t *start = smc_pte_lock(mm, addr, &lock), *pte;

	if (!start)
		return 0;
	for (pte = start; addr < end; pte++, addr += PAGE_SIZE)
		count += smc_pte_protect(mm, addr, pte);
	pte_unmap_unlock(start, lock);
	return count;
}

static unsigned long sweep_mapping(struct vm_area_struct *vma)
{
	struct mm_struct *mm = vma->vm_mm;
	unsigned long addr = vma->vm_start, next, count = 0;

	for (; addr < vma->vm_end; addr = next) {
		pgd_t *pgd = pgd_offset(mm, addr);
		p4d_t *p4d;
		pud_t *pud;
		pmd_t *pmd;

		next = pgd_addr_end(addr, vma->vm_end);
		if (pgd_none(*pgd))
			continue;
		p4d = p4d_offset(pgd, addr);
		next = p4d_addr_end(addr, next);
		if (p4d_none(*p4d))
			continue;
		pud = pud_offset(p4d, addr);
		next = pud_addr_end(addr, next);
		if (pud_none(*pud))
			continue;
		pmd = pmd_offset(pud, addr);
		next = pmd_addr_end(addr, next);
		if (pmd_trans_huge(*pmd) || is_pmd_migration_entry(*pmd))
			smc_split_huge_pmd(vma, pmd, addr, false, NULL);
		count += sweep_ptes(mm, addr, next);
		cond_resched();
	}
	return count;
}

/*
 * Returns the number of pages that were writable. mmap_lock is held for writing. The caller
 * flushes.
 */
unsigned long smc_sweep(struct mm_struct *mm)
{
	VMA_ITERATOR(vmas, mm, 0);
	struct vm_area_struct *vma;
	unsigned long count = 0;

	for_each_vma(vmas, vma)
		if (smc_covers(vma))
			count += sweep_mapping(vma);
	return count;
}
