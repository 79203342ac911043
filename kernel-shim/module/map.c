// SPDX-License-Identifier: GPL-2.0
/*
 * The memory map: what it was at the checkpoint, and bringing it back.
 *
 *   at the checkpoint   [ a .... ][ b .. ]        [ c ...... ]
 *   now                 [ a ..           ][ d .. ][ c .. ]
 *   rolled back         [ a .... ][ b .. ]        [ c ...... ]
 *
 * First what is there now and was not is unmapped, then what was there and is not is mapped, then
 * what has another protection gets its own.
 *
 * This is about addresses only; pages' contents are put back afterwards (rollback.c).
 *
 * Not restored: locking (mlock), advice (madvise), memory policies, protection keys, names.
 * Private hugetlb mappings and devices' mappings are left as they are. Of what was one mapping
 * and is made again in parts, or was two and would have become one, the parts may stay apart:
 * they share no anon_vma. Nobody can tell but mremap(), which refuses a range of two (EFAULT).
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/slab.h>
#include "smc_internal.h"

#define PROTECTION (VM_READ | VM_WRITE | VM_EXEC)
/* mappings that cannot be made again from here */
#define SPECIAL (VM_IO | VM_PFNMAP | VM_MIXEDMAP | VM_HUGETLB | VM_DONTEXPAND)

void smc_map_free(struct smc_map *map)
{
	while (map->count) {
		struct file *file = map->mappings[--map->count].file;

		if (file)
			fput(file);
	}
	kvfree(map->mappings);
	map->mappings = NULL;
	map->room = 0;
}

static bool describes(const struct smc_mapping *m, const struct vm_area_struct *vma)
{
	return m->start == vma->vm_start && m->end == vma->vm_end && m->flags == vma->vm_flags &&
	       m->file == vma->vm_file && m->pgoff == vma->vm_pgoff;
}

/*
 * Whether a map still says what is mapped. Costs a look at each mapping, and no memory.
 * mmap_lock is held.
 */
bool smc_map_is_current(const struct smc_map *map, struct mm_struct *mm)
{
	VMA_ITERATOR(vmas, mm, 0);
	struct vm_area_struct *vma;
	int i = 0;

	if (map->brk != mm->brk || map->count != mm->map_count)
		return false;
	for_each_vma(vmas, vma)
		if (i == map->count || !describes(&map->mappings[i++], vma))
			return false;
	return i == map->count;
}

/*
 * Writes down what is mapped, into a map that is empty or another's. An error: -ENOMEM, and the
 * map is as it was. mmap_lock is held.
 */
int smc_map_capture(struct smc_map *map, struct mm_struct *mm)
{
	VMA_ITERATOR(vmas, mm, 0);
	struct vm_area_struct *vma;
	struct smc_map new = { .room = mm->map_count + 1, .brk = mm->brk };

	new.mappings = kvmalloc_array(new.room, sizeof(*new.mappings), SMC_GFP);
	if (!new.mappings)
		return -ENOMEM;
	for_each_vma(vmas, vma) {
		if (WARN_ON_ONCE(new.count == new.room))
			break;
		new.mappings[new.count++] = (struct smc_mapping) {
			.start = vma->vm_start,
			.end = vma->vm_end,
			.flags = vma->vm_flags,
			.pgoff = vma->vm_pgoff,
			.file = vma->vm_file ? get_file(vma->vm_file) : NULL,
		};
	}
	smc_map_free(map);
	*map = new;
	return 0;
}

/* The mapping that has an address, or NULL. */
const struct smc_mapping *smc_map_find(const struct smc_map *map, unsigned long addr)
{
	int low = 0, high = map->count;

	while (low < high) {
		int middle = low + (high - low) / 2;

		if (map->mappings[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < map->count && map->mappings[low].start <= addr ? &map->mappings[low] : NULL;
}

/*
 * Whether two mappings show the same thing at the addresses that they share, but for
 * protection. Anonymous memory that mremap() brought from elsewhere is another thing, though
 * nobody could tell by its pages: it does not become one mapping with what was never moved, and
 * mremap() refuses a range of two.
 */
static bool same_object(const struct smc_mapping *a, const struct smc_mapping *b)
{
	return a->file == b->file &&
	       !((a->flags ^ b->flags) & (VM_SHARED | SPECIAL | VM_GROWSDOWN)) &&
	       a->pgoff - (a->start >> PAGE_SHIFT) == b->pgoff - (b->start >> PAGE_SHIFT);
}

static unsigned long protection_of(const struct smc_mapping *m)
{
	return (m->flags & VM_READ ? PROT_READ : 0) | (m->flags & VM_WRITE ? PROT_WRITE : 0) |
	       (m->flags & VM_EXEC ? PROT_EXEC : 0);
}

static int protect_part(const struct smc_mapping *m, unsigned long start, unsigned long end)
{
	struct pt_regs arguments = {
		.di = start,
		.si = end - start,
		.dx = protection_of(m),
	};

	return smc_sys_mprotect(&arguments);
}

static int map_part(const struct smc_mapping *m, unsigned long start, unsigned long end)
{
	unsigned long flags = MAP_FIXED_NOREPLACE, protection = protection_of(m), r;
	/* memory that was writable once is accounted, and is one with its neighbours by that */
	bool was_writable = (m->flags & (VM_ACCOUNT | VM_WRITE)) == VM_ACCOUNT;

	flags |= m->flags & VM_SHARED ? MAP_SHARED : MAP_PRIVATE;
	flags |= m->flags & VM_GROWSDOWN ? MAP_GROWSDOWN : 0;
	flags |= m->flags & VM_NORESERVE ? MAP_NORESERVE : 0;
	r = vm_mmap(m->file, start, end - start, protection | (was_writable ? PROT_WRITE : 0),
		    flags, m->file ? (m->pgoff << PAGE_SHIFT) + (start - m->start) : 0);
	if (r != start)
		return IS_ERR_VALUE(r) ? (int)r : -EEXIST;
	return was_writable ? protect_part(m, start, end) : 0;
}

/* What is done with a part of a mapping. */
enum action {
	CHECK,	/* -ESTALE: it could not be made again */
	UNMAP,
	MAP,
};

static int act(enum action action, const struct smc_mapping *m, unsigned long start,
	       unsigned long end)
{
	if (start >= end)
		return 0;
	switch (action) {
	case CHECK:
		return m->flags & SPECIAL ? -ESTALE : 0;
	case UNMAP:
		return vm_munmap(start, end - start);
	default:
		return map_part(m, start, end);
	}
}

/*
 * Acts on each part of each mapping of a that no mapping of b shows; both are sorted by address.
 * Returns the first error.
 */
static int act_on_missing(enum action action, const struct smc_map *a, const struct smc_map *b)
{
	int i, first = 0, r = 0;

	for (i = 0; i < a->count && !r; i++) {
		const struct smc_mapping *m = &a->mappings[i];
		unsigned long at = m->start;
		int j;

		while (first < b->count && b->mappings[first].end <= m->start)
			first++;
		for (j = first; j < b->count && b->mappings[j].start < m->end && !r; j++) {
			const struct smc_mapping *other = &b->mappings[j];

			if (!same_object(m, other))
				continue;
			r = act(action, m, at, other->start);
			at = other->end;
		}
		if (!r)
			r = act(action, m, at, m->end);
	}
	return r;
}

/* Gives what is mapped now the protection that it had. */
static int restore_protection(const struct smc_map *then, const struct smc_map *now)
{
	int i, j, first = 0;

	for (i = 0; i < then->count; i++) {
		const struct smc_mapping *was = &then->mappings[i];

		while (first < now->count && now->mappings[first].end <= was->start)
			first++;
		for (j = first; j < now->count && now->mappings[j].start < was->end; j++) {
			const struct smc_mapping *is = &now->mappings[j];
			int r;

			if (!((was->flags ^ is->flags) & PROTECTION) || !same_object(was, is))
				continue;
			r = protect_part(was, max(was->start, is->start), min(was->end, is->end));
			if (r)
				return r;
		}
	}
	return 0;
}

/*
 * Brings back the map of the checkpoint, for the current process, whose other threads are
 * stopped. An error: cannot be done, and nothing was. With *begun, an error leaves it between
 * the two.
 */
int smc_map_restore(struct smc_context *c, bool *begun)
{
	struct mm_struct *mm = c->mm;
	struct smc_map now = {};
	int r;

	mmap_read_lock(mm);
	r = smc_map_is_current(&c->map, mm) ? 1 : smc_map_capture(&now, mm);
	mmap_read_unlock(mm);
	if (r)
		return r == 1 ? 0 : r;
	r = act_on_missing(CHECK, &c->map, &now);
	*begun = !r;
	c->stat.remapped += !r;
	if (!r)
		r = act_on_missing(UNMAP, &now, &c->map);
	if (!r)
		r = act_on_missing(MAP, &c->map, &now);
	if (!r)
		r = restore_protection(&c->map, &now);
	smc_map_free(&now);
	if (*begun) {
		mmap_write_lock(mm);
		mm->brk = c->map.brk;
		mmap_write_unlock(mm);
	}
	return r;
}
