// SPDX-License-Identifier: GPL-2.0
/*
 * The step from one epoch to the next: which of the pages that are writable stay so, because
 * they are copied now.
 *
 *                         chosen by the policy or a hint: copied, and stays or becomes writable
 *   a page that was saved <
 *                         not chosen: write-protected
 *
 * The work is in proportion to the pages saved in the epoch that ends and those chosen for the
 * next.
 */
#include <linux/highmem.h>
#include <linux/pgtable.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <asm/tlbflush.h>
#include "smc_internal.h"

/* What has to be flushed. */
struct span {
	unsigned long start, end;
};

static void span_add(struct span *span, unsigned long addr)
{
	span->start = min(span->start, addr);
	span->end = max(span->end, addr + PAGE_SIZE);
}

static struct smc_page *page_of(const struct smc_spage *speculation)
{
	return container_of(speculation, struct smc_page, speculation);
}

/* Eight words at a time: memcmp() takes one, and four times as many instructions. */
static bool pages_differ(const u64 *a, const u64 *b)
{
	const u64 *end = a + PAGE_SIZE / sizeof(*a);
	u64 d = 0;

	for (; a < end && !d; a += 8, b += 8)
		d = (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) |
		    (a[4] ^ b[4]) | (a[5] ^ b[5]) | (a[6] ^ b[6]) | (a[7] ^ b[7]);
	return d;
}

/* For a policy: whether a page differs from its pre-image. */
static bool has_changed(struct smc_spage *speculation, void *arg)
{
	struct smc_page *p = page_of(speculation);
	struct smc_context *c = arg;
	bool r = false;
	spinlock_t *lock;
	pte_t *pte;

	if (!smc_is_saved(c, p) || p->image != SMC_COPY)
		return false;
	pte = smc_pte_lock(c->mm, p->addr, &lock);
	if (!pte)
		return true;
	if (pte_present(*pte) && smc_own_page(*pte)) {
		void *now = kmap_local_page(pte_page(*pte));
		void *then = kmap_local_page(p->copy);

		r = pages_differ(now, then);
		kunmap_local(then);
		kunmap_local(now);
		c->stat.compares++;
	} else {
		r = true;
	}
	pte_unmap_unlock(pte, lock);
	return r;
}

/* Tells the policy of the pages that faulted; it chooses. */
static void ask_policy(struct smc_context *c, struct smc_spage *const **chosen, size_t *count)
{
	struct smc_epoch epoch = { .changed = has_changed, .arg = c };
	struct smc_page *p;

	*count = 0;
	if (!c->policy)
		return;
	if (c->faults_room < c->nsaved) {
		size_t room = roundup_pow_of_two(c->nsaved + 64);
		struct smc_spage **more = kvmalloc_array(room, sizeof(*more), SMC_GFP);

		if (more) {
			kvfree(c->faults);
			c->faults = more;
			c->faults_room = room;
		}
	}
	list_for_each_entry(p, &c->saved, saved)
		if (p->faulted && epoch.nfaults < c->faults_room)
			c->faults[epoch.nfaults++] = &p->speculation;
	epoch.faults = c->faults;
	c->policy->ops->choose(c->policy, &epoch, chosen, count);
}

/* Write-protects a page, and forgets its pre-image. */
static void let_go(struct smc_context *c, struct smc_page *p, struct span *flush)
{
	spinlock_t *lock;
	pte_t *pte = smc_pte_lock(c->mm, p->addr, &lock);

	if (pte) {
		if (smc_pte_protect(c->mm, p->addr, pte)) {
			span_add(flush, p->addr);
			c->stat.protected_pages++;
		}
		pte_unmap_unlock(pte, lock);
	}
	smc_page_release(c, p);
}

/* Whether the kernel would make an entry writable at a write fault without copying the page. */
static bool can_be_writable(struct smc_context *c, unsigned long addr, pte_t pte)
{
	struct vm_area_struct *vma = find_vma(c->mm, addr);

	return vma && vma->vm_start <= addr && vma->vm_flags & VM_WRITE && smc_covers(vma) &&
	       !pte_uffd_wp(pte) && !pte_protnone(pte) && PageAnonExclusive(pte_page(pte)) &&
	       (vma->vm_flags & VM_SOFTDIRTY || pte_soft_dirty(pte));
}

enum ahead {
	COPIED,
	NOT_COPIED,	/* swapped out, or memory is short */
	NOTHING_THERE,	/* no content of its own, or not mapped any more */
};

/* Copies a page ahead for the epoch that begins. */
static enum ahead copy_ahead(struct smc_context *c, struct smc_page *p)
{
	enum ahead r = NOTHING_THERE;
	spinlock_t *lock;
	pte_t *pte;

	if (p->image != SMC_COPY) {
		struct page *buffer = smc_buffer_take(c);

		if (!buffer)
			buffer = smc_buffer_new(c);
		if (!buffer)
			return NOT_COPIED;
		if (p->image == SMC_SWAP)
			smc_swap_free(p->slot);
		p->image = SMC_COPY;
		p->copy = buffer;
	}
	pte = smc_pte_lock(c->mm, p->addr, &lock);
	if (!pte)
		return NOTHING_THERE;
	if (!pte_present(*pte)) {
		r = pte_none(*pte) ? NOTHING_THERE : NOT_COPIED;
	} else if (smc_own_page(*pte)) {
		copy_highpage(p->copy, pte_page(*pte));
		if (!pte_write(*pte) && can_be_writable(c, p->addr, *pte))
			set_pte_at(c->mm, p->addr, pte, pte_mkwrite(pte_mkdirty(*pte)));
		r = COPIED;
	}
	pte_unmap_unlock(pte, lock);
	return r;
}

/* A page where nothing is any more goes to the list "gone". */
static void choose_page(struct smc_context *c, struct smc_page *p, struct span *flush,
			struct list_head *gone)
{
	enum ahead r;

	if (p->saved_in == c->epoch)
		return;		/* chosen twice, by the policy and a hint */
	r = copy_ahead(c, p);
	if (r == COPIED) {
		smc_page_saved(c, p, SMC_COPY);
		p->faulted = false;
		c->stat.ahead++;
		return;
	}
	let_go(c, p, flush);
	if (r == NOTHING_THERE)
		list_move_tail(&p->age, gone);
}

/*
 * Begins the next epoch. All threads are stopped and mmap_lock is held for writing, so nothing
 * writes, faults or unmaps meanwhile; in place of c->lock. One flush for all that was
 * protected.
 */
void smc_speculate(struct smc_context *c)
{
	struct span flush = { .start = ULONG_MAX };
	struct smc_spage *const *chosen = NULL;
	struct smc_page *p, *n;
	unsigned long ended = c->nsaved;
	LIST_HEAD(old);
	LIST_HEAD(gone);
	size_t count, i;

	ask_policy(c, &chosen, &count);
	WRITE_ONCE(c->epoch, c->epoch + 1);
	for (i = 0; i < count; i++)
		page_of(chosen[i])->chosen_for = c->epoch;
	list_for_each_entry(p, &c->hinted, hint)
		p->chosen_for = c->epoch;

	list_splice_init(&c->saved, &old);
	list_for_each_entry_safe(p, n, &old, saved)
		if (p->chosen_for != c->epoch)
			let_go(c, p, &flush);
	if (c->sweep || c->epoch == 1) {
		c->stat.protected_pages += smc_sweep(c->mm);
		flush = (struct span) { .end = TLB_FLUSH_ALL };
	}
	for (i = 0; i < count; i++)
		choose_page(c, page_of(chosen[i]), &flush, &gone);
	list_for_each_entry_safe(p, n, &c->hinted, hint) {
		choose_page(c, p, &flush, &gone);
		if (!p->hot)
			list_del_init(&p->hint);
	}
	if (flush.end) {
		smc_flush_tlb_mm_range(c->mm, flush.start, flush.end, PAGE_SHIFT, false);
		c->stat.flushes++;
	}
	/* what the policy chose is of no use any more: it may forget */
	list_for_each_entry(p, &gone, age)
		if (c->policy)
			c->policy->ops->forget(c->policy, &p->speculation);
	list_splice(&gone, &c->by_age);
	smc_pages_prune(c, ended);
}

/* Makes the policy that a text names, for what a fault costs here; as smc_policy_make(). */
int smc_policy_new(const char *spec, struct smc_policy **policy, u32 *error_at)
{
	struct smc_costs costs = { .copy = 1, .fault = max(READ_ONCE(smc_fault_cost), 1U) };

	return smc_policy_make(spec, &costs, policy, error_at);
}

/* Makes a policy the context's. The pages' records begin anew. */
int smc_policy_set(struct smc_context *c, const char *spec, u32 *error_at)
{
	struct smc_policy *policy;
	unsigned long index;
	struct smc_page *p;
	int r = smc_policy_new(spec, &policy, error_at);

	if (r)
		return r;
	mmap_write_lock(c->mm);
	if (c->policy)
		c->policy->ops->destroy(c->policy);
	xa_for_each(&c->pages, index, p)
		memset(&p->speculation, 0, sizeof(p->speculation));
	c->policy = policy;
	strscpy(c->spec, spec, sizeof(c->spec));
	mmap_write_unlock(c->mm);
	return 0;
}

/*
 * Takes or forgets a hint. -ENOMEM: what the limit has no room for is not taken at all, as it
 * could not be copied ahead either and its records would take the room of pages that are
 * written; where memory is short, a part of the range was.
 */
int smc_hint(struct smc_context *c, const struct smc_hot *hot)
{
	unsigned long addr = hot->addr & PAGE_MASK, end = PAGE_ALIGN(hot->addr + hot->len);
	struct smc_page *p, *n;
	int r = 0;

	if (hot->len == 0)
		return 0;
	if (hot->what != SMC_HOT_CLEAR && end - addr > c->limit)
		return -ENOMEM;
	mmap_write_lock(c->mm);
	if (hot->what == SMC_HOT_CLEAR) {
		list_for_each_entry_safe(p, n, &c->hinted, hint) {
			if (p->addr < addr || p->addr >= end)
				continue;
			list_del_init(&p->hint);
			p->hot = false;
		}
		addr = end;
	}
	for (; addr < end && !r; addr += PAGE_SIZE) {
		p = smc_page_of(c, addr);
		if (p) {
			if (list_empty(&p->hint))
				list_add_tail(&p->hint, &c->hinted);
			p->hot |= hot->what == SMC_HOT_ADD;
		} else {
			r = -ENOMEM;
		}
		if (fatal_signal_pending(current))
			r = -EINTR;
		cond_resched();
	}
	mmap_write_unlock(c->mm);
	return r;
}
