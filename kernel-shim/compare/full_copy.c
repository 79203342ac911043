// SPDX-License-Identifier: MIT
/* Everything is copied at each checkpoint, and back at a rollback. What was written does not matter; the size of memory is all. */
#include <string.h>

#include "support.h"

static unsigned char *copies;
static struct mechanism_statistics counted;

static const char *attach(const struct area *given, size_t n)
{
	areas_set(given, n);
	copies = own_memory(areas_pages() * PAGE);
	return NULL;
}

static int checkpoint(void)
{
	unsigned char *to = copies;

	for (size_t i = 0; i < nareas; i++) {
		memcpy(to, areas[i].start, areas[i].pages * PAGE);
		to += areas[i].pages * PAGE;
	}
	counted.checkpoints++;
	counted.copied += areas_pages();
	return 0;
}

static void rollback(void)
{
	const unsigned char *from = copies;

	for (size_t i = 0; i < nareas; i++) {
		memcpy(areas[i].start, from, areas[i].pages * PAGE);
		from += areas[i].pages * PAGE;
	}
	counted.rollbacks++;
}

static void detach(void)
{
}

static void statistics(struct mechanism_statistics *s)
{
	*s = counted;
	s->held = areas_pages() * PAGE;
}

const struct mechanism full_copy = {
	.name = "full-copy",
	.kernel_writes = true,
	.attach = attach,
	.checkpoint = checkpoint,
	.rollback = rollback,
	.detach = detach,
	.statistics = statistics,
};
