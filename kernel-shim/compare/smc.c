// SPDX-License-Identifier: MIT
/*
 * The kernel module, attached to this process by the process itself: by copy-on-write alone, with each of its policies, and with hints that name
 * exactly the pages of the areas that will be written, which is what a perfect policy would choose.
 *
 * It watches the whole process. So in each epoch a few pages besides those of the areas are saved: the stack's, and data of the C library. The oracle
 * learns them in its first epochs, if there are areas; otherwise it is told of all pages.
 */
#include "../test/smc_calls.h"
#include "support.h"

/* Checkpoints after which the oracle knows the pages outside of the areas. */
#define LEARNS 8
#define ROOM (1 << 16)

static int fd = -1;

static const char *begin(const struct area *given, size_t n, const char *policy)
{
	long r;

	fd = open("/dev/smc", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? "the module smc is not loaded" : "/dev/smc cannot be opened";
	areas_set(given, n);
	/* room for all pages, and their records */
	r = smc_try_attach(fd, 0, areas_pages() * PAGE * 2 + (64UL << 20), policy);
	if (r) {
		errno = -r;
		die("attaching");
	}
	return NULL;
}

static struct smc_stat now(void)
{
	return smc_statistics(fd);
}

static int checkpoint(void)
{
	long r = smc_take(fd);

	if (r < 0) {
		errno = -r;
		die("the checkpoint");
	}
	return r;
}

static void rollback(void)
{
	long r = smc_back(fd, 1);

	errno = -r;
	die("the rollback");
}

static void detach(void)
{
	smc_call(fd, SMC_IOC_DETACH, NULL);
	close(fd);
}

static void statistics(struct mechanism_statistics *s)
{
	struct smc_stat stat = now();

	*s = (struct mechanism_statistics){
		.checkpoints = stat.epoch,
		.rollbacks = stat.rollbacks,
		.faults = stat.faults,
		.copied = stat.copied + stat.ahead,
		.ahead = stat.ahead,
		.held = stat.held,
	};
}

size_t smc_dirty_pages(uint64_t *pages, size_t room)
{
	struct smc_dirty dirty = { .addrs = (unsigned long)pages, .max = room };
	long r = smc_call(fd, SMC_IOC_DIRTY, &dirty);

	if (r) {
		errno = -r;
		die("the list of written pages");
	}
	return dirty.count;
}

static void hint(void *start, size_t bytes, int what)
{
	long r = smc_hint(fd, start, bytes, what);

	if (r) {
		errno = -r;
		die("a hint");
	}
}

/* Pages outside of the areas that were written in the epoch that ends are hot from now on. */
static void learn(void)
{
	static uint64_t pages[ROOM];
	size_t n = smc_dirty_pages(pages, ROOM);

	for (size_t i = 0; i < n && i < ROOM; i++) {
		unsigned char *page = (unsigned char *)pages[i];

		/* but not the pages of this list */
		if (page_at(page) == NO_PAGE && (page + PAGE <= (unsigned char *)pages || page >= (unsigned char *)(pages + ROOM)))
			hint(page, PAGE, SMC_HOT_ADD);
	}
}

static void foretell(unsigned char *const *pages, size_t n)
{
	unsigned long epoch = now().epoch;

	if (nareas && epoch >= 2 && epoch < LEARNS)
		learn();
	for (size_t i = 0, k; i < n; i = k) {
		for (k = i + 1; k < n && pages[k] == pages[k - 1] + PAGE; k++)
			;
		hint(pages[i], (k - i) * PAGE, SMC_HOT_NEXT);
	}
}

#define ATTACH(function, policy)                                           \
	static const char *function(const struct area *given, size_t n)    \
	{                                                                  \
		return begin(given, n, policy);                            \
	}

ATTACH(attach_none, "")
ATTACH(attach_active_rnd, "active-rnd")
ATTACH(attach_active_cks, "active-cks")
ATTACH(attach_gspec, "gspec")

#define SMC(title, begins)                                                             \
	.name = title, .again = true, .kernel_writes = true, .attach = begins,         \
	.checkpoint = checkpoint, .rollback = rollback, .detach = detach, .statistics = statistics

const struct mechanism smc_none = { SMC("smc", attach_none) };
const struct mechanism smc_active_rnd = { SMC("smc-active-rnd", attach_active_rnd) };
const struct mechanism smc_active_cks = { SMC("smc-active-cks", attach_active_cks) };
const struct mechanism smc_gspec = { SMC("smc-gspec", attach_gspec) };
const struct mechanism smc_oracle = { SMC("smc-oracle", attach_none), .told = true, .foretell = foretell };
