// SPDX-License-Identifier: GPL-2.0
/*
 * Saving a page before it changes: a write fault and an unmapping both end here.
 *
 *   entry of the page            pre-image     after a rollback
 *   none                         absent        none again: read as zeros, or from the file
 *   page of zeros, or of a file  absent        none: the same page again when it is read
 *   own page                     a copy        the copy
 *   swapped out, to be written   -             (is read in first, then it is an own page)
 *   swapped out, to be unmapped  the slot      swapped out, in the same slot
 */
#include <linux/highmem.h>
#include <linux/pgtable.h>
#include <linux/slab.h>
#include "smc_internal.h"

/*
 * A pre-image could not be kept. The process goes on, but cannot be rolled back to this
 * checkpoint, and the next one looks at every page.
 */
void smc_lose(struct smc_context *c)
{
	WRITE_ONCE(c->sweep, true);
	WRITE_ONCE(c->stale, true);
}

/* Saves the page of a locked entry; *buffer is used up if it is needed. */
static enum smc_saving save_entry(struct smc_context *c, struct smc_page *p, pte_t *pte,
				  bool unmapping, struct page **buffer)
{
	swp_entry_t slot;

	if (!pte || pte_none(*pte)) {
		if (!unmapping) {	/* what has no memory loses nothing when it is unmapped */
			smc_page_saved(c, p, SMC_ABSENT);
			c->stat.absent++;
		}
		return SMC_SAVED;
	}
	if (pte_present(*pte)) {
		if (!smc_own_page(*pte)) {
			if (!unmapping) {
				smc_page_saved(c, p, SMC_ABSENT);
				c->stat.absent++;
			}
			return SMC_SAVED;
		}
		p->copy = smc_buffer_take(c);
		if (!p->copy) {
			p->copy = *buffer;
			*buffer = NULL;
		}
		if (!p->copy)
			return SMC_NO_MEMORY;
		/* nobody writes it meanwhile: it is read-only since the checkpoint */
		copy_highpage(p->copy, pte_page(*pte));
		smc_page_saved(c, p, SMC_COPY);
		if (unmapping)
			c->stat.unmapped++;
		else
			c->stat.copied++;
		return SMC_SAVED;
	}
	if (is_pte_marker(*pte)) {
		if (!unmapping)
			smc_page_saved(c, p, SMC_ABSENT);
		return SMC_SAVED;
	}
	slot = pte_to_swp_entry(*pte);
	if (!unmapping || non_swap_entry(slot) || smc_swap_duplicate(slot))
		return SMC_NOT_PRESENT;
	/*
	 * shared with us from now on: who reads the page in has to copy it before writing,
	 * wherever mremap() takes the entry
	 */
	set_pte_at(c->mm, p->addr, pte, pte_swp_clear_exclusive(*pte));
	p->slot = slot;
	smc_page_saved(c, p, SMC_SWAP);
	c->stat.unmapped++;
	return SMC_SAVED;
}

/*
 * Saves the page at an address, unless it is saved. p: its record, NULL if there is none yet.
 * unmapping: because it is about to be unmapped, and not written.
 */
enum smc_saving smc_save(struct smc_context *c, struct smc_page *p, unsigned long addr,
			 bool unmapping)
{
	struct page *buffer = NULL;
	enum smc_saving r;
	spinlock_t *ptl;
	pte_t *pte;

	if (!p)
		p = smc_page_of(c, addr);
	if (!p)
		return SMC_NO_MEMORY;
again:
	mutex_lock(&c->lock);
	r = SMC_SAVED;
	pte = smc_pte_lock(c->mm, addr, &ptl);
	if (!smc_is_saved(c, p)) {
		p->faulted = true;
		r = save_entry(c, p, pte, unmapping, &buffer);
		if (r == SMC_SAVED && !unmapping)
			c->stat.faults++;
	}
	if (pte)
		pte_unmap_unlock(pte, ptl);
	mutex_unlock(&c->lock);

	if (r == SMC_NO_MEMORY && !buffer) {
		buffer = smc_buffer_new(c);
		if (buffer)
			goto again;
	}
	if (buffer)
		smc_buffer_free(c, buffer);
	return r;
}

/* Notes that a page has nothing in it now, and will. false: no memory. */
bool smc_save_absent(struct smc_context *c, unsigned long addr)
{
	struct smc_page *p = smc_page_of(c, addr);

	if (!p)
		return false;
	mutex_lock(&c->lock);
	if (!smc_is_saved(c, p)) {
		p->faulted = false;
		smc_page_saved(c, p, SMC_ABSENT);
		c->stat.absent++;
	}
	mutex_unlock(&c->lock);
	return true;
}
