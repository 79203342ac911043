// SPDX-License-Identifier: GPL-2.0
/*
 * Records of pages, and the buffers of their pre-images. All of it is charged to the process:
 * to its memory control group, and to the context's limit, which nothing exceeds. Not counted
 * in the limit is what grows with the records and is small beside them: the tree that finds
 * them, and a policy's lists.
 */
#include <linux/slab.h>
#include "smc_internal.h"

/*
 * Records of pages that were not saved in so many epochs, and that nobody else knows, are
 * dropped.
 */
#define KEEP_EPOCHS 16

static struct kmem_cache *records;

int __init smc_pages_init(void)
{
	records = KMEM_CACHE(smc_page, SLAB_ACCOUNT);
	return records ? 0 : -ENOMEM;
}

void smc_pages_exit(void)
{
	kmem_cache_destroy(records);
}

static void uncharge(struct smc_context *c, size_t bytes)
{
	atomic64_sub(bytes, &c->held);
	atomic64_sub(bytes, &smc_held_total);
}

/* Frees a buffer that no page uses; false: there is none. */
static bool free_idle(struct smc_context *c)
{
	struct page *buffer;

	mutex_lock(&c->lock);
	buffer = smc_buffer_take(c);
	mutex_unlock(&c->lock);
	if (buffer)
		smc_buffer_free(c, buffer);
	return buffer;
}

/* False: the limit has no room. What is held in reserve makes room. */
static bool charge(struct smc_context *c, size_t bytes)
{
	u64 held;

	while ((held = atomic64_add_return(bytes, &c->held)) > READ_ONCE(c->limit)) {
		atomic64_sub(bytes, &c->held);
		if (!free_idle(c))
			return false;
	}
	if (held > READ_ONCE(c->held_peak))
		WRITE_ONCE(c->held_peak, held);
	atomic64_add(bytes, &smc_held_total);
	return true;
}

/* A new buffer, or NULL: the limit, or memory, is too small. Allocates, so no lock is held. */
struct page *smc_buffer_new(struct smc_context *c)
{
	struct page *buffer;

	if (!charge(c, PAGE_SIZE))
		return NULL;
	buffer = alloc_page(SMC_GFP | __GFP_HIGHMEM);
	if (!buffer)
		uncharge(c, PAGE_SIZE);
	return buffer;
}

void smc_buffer_free(struct smc_context *c, struct page *buffer)
{
	__free_page(buffer);
	uncharge(c, PAGE_SIZE);
}

/* Takes an idle buffer, if there is one. */
struct page *smc_buffer_take(struct smc_context *c)
{
	struct page *buffer = list_first_entry_or_null(&c->idle, struct page, lru);

	if (buffer) {
		list_del(&buffer->lru);
		c->nidle--;
	}
	return buffer;
}

void smc_buffer_give(struct smc_context *c, struct page *buffer)
{
	list_add(&buffer->lru, &c->idle);
	c->nidle++;
}

/*
 * The record of a page, made where there is none; NULL: no memory for it. Allocates, so c->lock
 * is not held.
 *
 * A record stays while mmap_lock is held at least for reading: only a checkpoint drops records,
 * with mmap_lock held for writing.
 */
struct smc_page *smc_page_of(struct smc_context *c, unsigned long addr)
{
	unsigned long index = addr >> PAGE_SHIFT;
	struct smc_page *p = xa_load(&c->pages, index);
	int r;

	if (p)
		return p;
	if (!charge(c, sizeof(*p)))
		return NULL;
	p = kmem_cache_zalloc(records, SMC_GFP);
	if (!p) {
		uncharge(c, sizeof(*p));
		return NULL;
	}
	p->addr = addr & PAGE_MASK;
	INIT_LIST_HEAD(&p->saved);
	INIT_LIST_HEAD(&p->age);
	INIT_LIST_HEAD(&p->hint);
	r = xa_insert(&c->pages, index, p, SMC_GFP);
	if (r) {
		kmem_cache_free(records, p);
		uncharge(c, sizeof(*p));
		/* -EBUSY: another thread was faster */
		return r == -EBUSY ? xa_load(&c->pages, index) : NULL;
	}
	mutex_lock(&c->lock);
	c->nknown++;
	if (list_empty(&p->age))
		list_add_tail(&p->age, &c->by_age);
	mutex_unlock(&c->lock);
	return p;
}

/* The page is saved now, with this image. */
void smc_page_saved(struct smc_context *c, struct smc_page *p, enum smc_image image)
{
	p->image = image;
	if (list_empty(&p->saved))
		c->nsaved++;
	list_move_tail(&p->saved, &c->saved);
	list_move_tail(&p->age, &c->by_age);
	WRITE_ONCE(p->saved_in, c->epoch);
}

/* The page is not saved any more. */
void smc_page_release(struct smc_context *c, struct smc_page *p)
{
	if (p->image == SMC_COPY)
		smc_buffer_give(c, p->copy);
	else if (p->image == SMC_SWAP)
		smc_swap_free(p->slot);
	p->image = SMC_ABSENT;
	if (!list_empty(&p->saved)) {
		list_del_init(&p->saved);
		c->nsaved--;
	}
}

/* Forgets a page that is not saved. */
void smc_page_drop(struct smc_context *c, struct smc_page *p)
{
	if (c->policy)
		c->policy->ops->forget(c->policy, &p->speculation);
	xa_erase(&c->pages, p->addr >> PAGE_SHIFT);
	list_del(&p->age);
	list_del(&p->hint);
	c->nknown--;
	kmem_cache_free(records, p);
	uncharge(c, sizeof(*p));
}

/*
 * Drops records and buffers that have long been of no use. The work is in proportion to the
 * pages that were added, so that a checkpoint's cost is.
 */
void smc_pages_prune(struct smc_context *c, unsigned long added)
{
	unsigned long most = 2 * added + 8, spare;
	struct smc_page *p, *n;

	list_for_each_entry_safe(p, n, &c->by_age, age) {
		if (most-- == 0 || p->saved_in + KEEP_EPOCHS > c->epoch)
			break;
		if (p->speculation.place || !list_empty(&p->hint))
			list_move_tail(&p->age, &c->by_age);
		else
			smc_page_drop(c, p);
	}
	/*
	 * a quarter of the spare buffers goes: what one epoch needed once is not held for ever
	 */
	spare = c->nidle > c->nsaved + added + 64 ? (c->nidle - c->nsaved - added) / 4 : 0;
	while (spare--)
		smc_buffer_free(c, smc_buffer_take(c));
}

/* Frees everything. Nobody else uses the context's pages any more. */
void smc_pages_free(struct smc_context *c)
{
	struct smc_page *p;
	struct page *buffer;
	unsigned long index;

	xa_for_each(&c->pages, index, p) {
		smc_page_release(c, p);
		smc_page_drop(c, p);
		cond_resched();
	}
	xa_destroy(&c->pages);
	while ((buffer = smc_buffer_take(c)))
		smc_buffer_free(c, buffer);
}
