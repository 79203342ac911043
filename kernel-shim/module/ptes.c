// SPDX-License-Identifier: GPL-2.0
/* Page table entries of user memory. */
#include <linux/pgtable.h>
#include "smc_internal.h"

/*
 * Finds and locks the entry of an address; pte_unmap_unlock() it. NULL where there is no page
 * table, or a huge page. mmap_lock, or what keeps page tables in place as well, is held.
 */
pte_t *smc_pte_lock(struct mm_struct *mm, unsigned long addr, spinlock_t **lock)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd, entry;

	if (pgd_none(*pgd) || pgd_bad(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d) || p4d_bad(*p4d))
		return NULL;
	pud = pud_offset(p4d, addr);
	if (pud_none(*pud) || pud_bad(*pud))	/* bad: a huge page of 1 GiB, too */
		return NULL;
	pmd = pmd_offset(pud, addr);
	entry = READ_ONCE(*pmd);
	if (pmd_none(entry) || !pmd_present(entry) || pmd_bad(entry))	/* bad: a huge page, too */
		return NULL;
	return pte_offset_map_lock(mm, pmd, addr, lock);
}

/*
 * Whether a present entry's page is the process' own, and not one of the page cache or the page
 * of zeros.
 */
bool smc_own_page(pte_t pte)
{
	return !pte_special(pte) && pfn_valid(pte_pfn(pte)) && PageAnon(pte_page(pte));
}

/*
 * Write-protects the entry of a page that is on its way to another place, and comes back as its
 * entry says: writable or not, dirty or not. That it is dirty, the page itself knows by now.
 */
static bool protect_moving(struct mm_struct *mm, unsigned long addr, pte_t *ptep)
{
	swp_entry_t entry = pte_to_swp_entry(*ptep);
	bool writable = is_writable_migration_entry(entry);
	pte_t pte;

	if (!writable && !is_readable_exclusive_migration_entry(entry))
		return false;
	pte = swp_entry_to_pte(make_readable_exclusive_migration_entry(swp_offset_pfn(entry)));
	if (pte_swp_soft_dirty(*ptep))
		pte = pte_swp_mksoft_dirty(pte);
	set_pte_at(mm, addr, ptep, pte);
	return writable;
}

/*
 * Write-protects an entry, which is locked; false if it was not writable. The caller flushes.
 *
 * The entry is cleaned too, also where it is read-only already: mprotect() makes an entry that is
 * dirty writable again without a fault. What it said of the page is kept in the page's own flag,
 * or the page would be dropped when memory is short.
 */
bool smc_pte_protect(struct mm_struct *mm, unsigned long addr, pte_t *ptep)
{
	pte_t pte = *ptep;
	bool writable;

	if (!pte_present(pte))
		return !pte_none(pte) && protect_moving(mm, addr, ptep);
	writable = pte_write(pte);
	if (!writable && !(pte_dirty(pte) && smc_own_page(pte)))
		return false;
	pte = ptep_get_and_clear(mm, addr, ptep);
	if (pte_dirty(pte) && pfn_valid(pte_pfn(pte)))
		set_page_dirty(pte_page(pte));
	set_pte_at(mm, addr, ptep, pte_wrprotect(pte_mkclean(pte)));
	return writable;
}
