// SPDX-License-Identifier: MIT
/*
 * The pages that will be written are known, and copied with memcpy at the checkpoint: no protection, no fault, no choice. What is
 * left is what any mechanism that keeps pre-images of pages has to do; the others are held against it.
 *
 * A write to another page is not seen, and not undone.
 */
#include <string.h>

#include "support.h"

static unsigned char *copies;
static unsigned char *const *next, *const *current;
static size_t next_count, count;
static struct mechanism_statistics counted;

static const char *attach(const struct area *given, size_t n)
{
	areas_set(given, n);
	copies = own_memory(areas_pages() * PAGE);
	return NULL;
}

static void foretell(unsigned char *const *pages, size_t n)
{
	next = pages;
	next_count = n;
}

static int checkpoint(void)
{
	current = next;
	count = next_count;
	for (size_t i = 0; i < count; i++)
		memcpy(copies + i * PAGE, current[i], PAGE);
	counted.checkpoints++;
	counted.copied += count;
	counted.ahead += count;
	return 0;
}

static void rollback(void)
{
	for (size_t i = 0; i < count; i++)
		memcpy(current[i], copies + i * PAGE, PAGE);
	counted.rollbacks++;
}

static void detach(void)
{
}

static void statistics(struct mechanism_statistics *s)
{
	*s = counted;
	s->held = count * PAGE;
}

const struct mechanism eager = {
	.name = "eager",
	.told = true,
	.kernel_writes = true,
	.attach = attach,
	.foretell = foretell,
	.checkpoint = checkpoint,
	.rollback = rollback,
	.detach = detach,
	.statistics = statistics,
};
