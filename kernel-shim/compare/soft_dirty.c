// SPDX-License-Identifier: MIT
/*
 * The kernel keeps a bit for each page that says whether it was written since the bits were cleared (Documentation/admin-guide/mm/soft-dirty.rst).
 * The bit says which pages, and not what was in them: so there is a second image of all areas, which each checkpoint brings up to
 * date with the pages that were written, and from which a rollback takes the same pages back.
 *
 *      checkpoint      read the bits of all pages; copy what is dirty into the image; clear all bits
 *      rollback        read the bits; copy what is dirty back. It stays dirty: a second rollback sees it again
 *
 * A write costs a fault in the kernel, which copies nothing; the copy comes at the next checkpoint. So a page that is written is copied once, as everywhere,
 * but memory is needed twice, reading the bits grows with the size of memory, and clearing them is for the whole process: every page of
 * it faults again.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support.h"

#define SOFT_DIRTY (1ULL << 55)
#define AT_ONCE 512UL		/* pages whose bits are read with one call */

static int pagemap = -1, clear_refs = -1;
static unsigned char *image;
static struct mechanism_statistics counted;

static void clear_bits(void)
{
	if (pwrite(clear_refs, "4", 1, 0) != 1)
		die("/proc/self/clear_refs");
}

static void read_bits(const unsigned char *start, size_t pages, uint64_t *bits)
{
	ssize_t bytes = pages * sizeof(*bits);

	if (pread(pagemap, bits, bytes, (unsigned long)start / PAGE * sizeof(*bits)) != bytes)
		die("/proc/self/pagemap");
}

/* Whether the bit comes and goes with a page of ours. */
static bool works(void)
{
	unsigned char *page = own_memory(PAGE);
	uint64_t before, after;

	*(volatile unsigned char *)page = 1;
	if (pwrite(clear_refs, "4", 1, 0) != 1)
		return false;
	read_bits(page, 1, &before);
	*(volatile unsigned char *)page = 2;
	read_bits(page, 1, &after);
	munmap(page, PAGE);
	return !(before & SOFT_DIRTY) && after & SOFT_DIRTY;
}

/* Copies what is dirty, into the image or out of it. */
static void copy_dirty(bool back)
{
	unsigned char *copy = image;

	for (size_t i = 0; i < nareas; i++) {
		unsigned char *start = areas[i].start;

		for (size_t left = areas[i].pages; left;) {
			size_t n = left < AT_ONCE ? left : AT_ONCE;
			uint64_t bits[AT_ONCE];

			read_bits(start, n, bits);
			for (size_t k = 0; k < n; k++) {
				if (!(bits[k] & SOFT_DIRTY))
					continue;
				if (back) {
					memcpy(start + k * PAGE, copy + k * PAGE, PAGE);
				} else {
					memcpy(copy + k * PAGE, start + k * PAGE, PAGE);
					counted.copied++;
				}
			}
			start += n * PAGE;
			copy += n * PAGE;
			left -= n;
		}
	}
}

static const char *attach(const struct area *given, size_t n)
{
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	clear_refs = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	if (pagemap < 0 || clear_refs < 0 || !works())
		return "the kernel has no soft-dirty bits (CONFIG_MEM_SOFT_DIRTY)";
	areas_set(given, n);
	image = own_memory(areas_pages() * PAGE);
	return NULL;
}

static int checkpoint(void)
{
	if (counted.checkpoints++) {
		copy_dirty(false);
	} else {
		unsigned char *to = image;

		for (size_t i = 0; i < nareas; i++) {
			memcpy(to, areas[i].start, areas[i].pages * PAGE);
			to += areas[i].pages * PAGE;
		}
	}
	clear_bits();
	return 0;
}

static void rollback(void)
{
	copy_dirty(true);
	counted.rollbacks++;
}

static void detach(void)
{
	close(pagemap);
	close(clear_refs);
}

static void statistics(struct mechanism_statistics *s)
{
	*s = counted;
	s->held = areas_pages() * PAGE;
}

const struct mechanism soft_dirty = {
	.name = "soft-dirty",
	.kernel_writes = true,
	.attach = attach,
	.checkpoint = checkpoint,
	.rollback = rollback,
	.detach = detach,
	.statistics = statistics,
};
