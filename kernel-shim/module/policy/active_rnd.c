// SPDX-License-Identifier: GPL-2.0
/*
 * Active-RND: a list of hot pages of a size that is measured, in which pages are replaced at
 * random.
 *
 *   checkpoint     1 ... 49   50   51 ... 99   100
 *   copied ahead   list       -    list        -
 *                             ^ sampling epoch: all pages are protected, so the faults count the
 *                               working set; the median of the last samples, and an eighth, is
 *                               the size that the list should have
 *
 *   list [ D H B ] of size 3, page F faults:   [ D H B F ]  ->  one of the four, drawn, leaves
 *
 * Every page that faults enters the list. Only entering evicts: a list whose size was lowered
 * shrinks with the next page that comes. Random eviction was reported to do better than LRU, CLOCK
 * and FIFO.
 *
 * Where memory is short, a page does not enter, and nothing is evicted for it. The samples have
 * their memory from the start.
 *
 * Not handled: pages that are written in some epochs only, and what copying costs. The size follows
 * the median of the working set whether a fault costs 8 copies or 80.
 *
 * See Vogt et al., Speculative Memory Checkpointing, Middleware 2015.
 */
#include "options.h"
#include "page_list.h"
#include "random.h"

/* The factor is kept in 1 / FACTOR. */
#define FACTOR 1024

enum { COUNT_ALL, COUNT_LISTED };

static const char *const rnd_counts[] = { "all", "listed", NULL };

struct rnd_options {
	u64 interval;
	u64 samples;
	u64 factor;
	u64 initial_size;
	u64 count;
	u64 seed;
};

static const struct smc_option rnd_options[] = {
	/* Checkpoints from one sampling epoch to the next. 1 samples always, and copies nothing. */
	SMC_WHOLE(struct rnd_options, interval, "interval", 50, 1, 1ULL << 20),
	/* Samples whose median counts: the last so many. */
	SMC_WHOLE(struct rnd_options, samples, "samples", 10, 1, 1000),
	/* Size of the list, as a multiple of the median. */
	{
		.name = "factor",
		.offset = offsetof(struct rnd_options, factor),
		.initial = FACTOR + FACTOR / 8,
		.scale = FACTOR,
		.nearest = true,
		.least = SMC_ONE / 1000,
		.most = 1000 * SMC_ONE,
	},
	/* Size of the list before the first sample, in pages. */
	SMC_WHOLE(struct rnd_options, initial_size, "initialSize", 10, 1, 1ULL << 20),
	/* Which faults of a sampling epoch are a sample: of all pages, or of pages in the list. */
	SMC_WORD(struct rnd_options, count, "count", COUNT_ALL, rnd_counts),
	/* Seed of the evictions. */
	SMC_SEED(struct rnd_options, seed),
	{ }
};

struct rnd {
	struct smc_policy policy;
	struct smc_page_list list;
	struct smc_random random;
	struct rnd_options options;
	u64 size;		/* that the list should have */
	u64 since;		/* checkpoints since the last that began a sampling epoch */
	bool sampling;		/* the epoch is one */
	u32 nsamples;
	u32 oldest;		/* where the next sample goes, once there are as many as can be */
	u64 *samples;		/* a ring, in the order in which they were taken */
	u64 *sorted;		/* the same samples */
};

static struct rnd *rnd_of(struct smc_policy *policy)
{
	return container_of(policy, struct rnd, policy);
}

static struct smc_policy *rnd_make(const void *options, const struct smc_costs *costs)
{
	const struct rnd_options *given = options;
	struct rnd *rnd = smc_alloc(sizeof(*rnd));

	(void)costs;
	if (!rnd)
		return NULL;
	rnd->samples = smc_alloc(2 * given->samples * sizeof(*rnd->samples));
	if (!rnd->samples) {
		smc_free(rnd);
		return NULL;
	}
	rnd->sorted = rnd->samples + given->samples;
	rnd->policy.ops = &smc_active_rnd;
	rnd->options = *given;
	rnd->size = given->initial_size;
	smc_random_seed(&rnd->random, given->seed);
	return &rnd->policy;
}

static void rnd_destroy(struct smc_policy *policy)
{
	struct rnd *rnd = rnd_of(policy);

	smc_list_free(&rnd->list);
	smc_free(rnd->samples);
	smc_free(rnd);
}

/* Puts a sample in the place of the oldest, in both arrays. */
static void rnd_add_sample(struct rnd *rnd, u64 sample)
{
	u64 *sorted = rnd->sorted;
	u32 at;

	if (rnd->nsamples < rnd->options.samples) {
		rnd->samples[rnd->nsamples] = sample;
		at = rnd->nsamples++;
	} else {
		u64 old = rnd->samples[rnd->oldest];

		rnd->samples[rnd->oldest] = sample;
		rnd->oldest = (rnd->oldest + 1) % rnd->nsamples;
		for (at = 0; sorted[at] != old; at++)
			;
	}
	/* There is a free element at `at`; it moves to where the sample belongs. */
	for (; at + 1 < rnd->nsamples && sorted[at + 1] < sample; at++)
		sorted[at] = sorted[at + 1];
	for (; at > 0 && sorted[at - 1] > sample; at--)
		sorted[at] = sorted[at - 1];
	sorted[at] = sample;
}

/* Takes the faults of a sampling epoch as a sample, and sets the size of the list. */
static void rnd_sample(struct rnd *rnd, const struct smc_epoch *epoch)
{
	u64 faults = (u64)epoch->nfaults + epoch->gone, twice;
	size_t i;

	if (rnd->options.count == COUNT_LISTED) {
		faults = 0;
		for (i = 0; i < epoch->nfaults; i++)
			if (smc_list_has(epoch->faults[i]))
				faults++;
	}
	rnd_add_sample(rnd, faults);
	/* Both middle samples, or the middle one twice: the sum is twice the median. */
	twice = rnd->sorted[(rnd->nsamples - 1) / 2] + rnd->sorted[rnd->nsamples / 2];
	rnd->size = twice * rnd->options.factor / (2 * FACTOR);
	if (rnd->size == 0)
		rnd->size = 1;
}

static void rnd_enter(struct rnd *rnd, struct smc_spage *page)
{
	struct smc_page_list *list = &rnd->list;

	if (!smc_list_add(list, page))
		return;
	while (list->length > rnd->size)
		smc_list_remove_at(list, smc_random_below(&rnd->random, list->length));
}

static void rnd_choose(struct smc_policy *policy, const struct smc_epoch *epoch,
		       struct smc_spage *const **chosen, size_t *count)
{
	struct rnd *rnd = rnd_of(policy);
	size_t i;

	smc_list_close_holes(&rnd->list);
	if (rnd->sampling)
		rnd_sample(rnd, epoch);
	for (i = 0; i < epoch->nfaults; i++)
		if (!smc_list_has(epoch->faults[i]))
			rnd_enter(rnd, epoch->faults[i]);
	rnd->sampling = ++rnd->since == rnd->options.interval;
	if (rnd->sampling)
		rnd->since = 0;
	*chosen = rnd->list.pages;
	*count = rnd->sampling ? 0 : rnd->list.length;
}

static void rnd_forget(struct smc_policy *policy, struct smc_spage *page)
{
	smc_list_forget(&rnd_of(policy)->list, page);
}

const struct smc_policy_ops smc_active_rnd = {
	.name = "active-rnd",
	.options = rnd_options,
	.make = rnd_make,
	.destroy = rnd_destroy,
	.choose = rnd_choose,
	.forget = rnd_forget,
};
