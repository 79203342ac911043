// SPDX-License-Identifier: GPL-2.0
/*
 * GSpec, genetic speculation: what to copy ahead is bred. An individual is one bit for each known
 * page; the population takes turns, one individual an epoch, and each is charged what its choice
 * cost. What costs least has children.
 *
 *   page          C  G  H  I        checkpoint  1  2  3  4  5 | 6 ...
 *   individual 0  1  1  0  0        in force    0  1  2  3  4 | 0 ...
 *   individual 1  1  0  0  1                  one generation  ^ breed
 *   ...
 *   cost of an individual: 1 for each page that it copies, fault / copy for each known page that
 *   faulted while its bit was 0
 *
 * At a checkpoint, in this order:
 * 1. The individual in force is charged for the faults of the epoch that ends. A page that faults
 *    for the first time becomes known and is charged to nobody; each individual, in order, gets
 *    its bit with a chance of 1/8.
 * 2. The next one is in force. After the last one, the population is replaced by as many children,
 *    and the first is. Known pages that no child selects are forgotten; the others keep their
 *    order.
 * 3. Each of its bits, in order of the known pages, is flipped with a chance of 1/100. This stays
 *    in its genes.
 * 4. Bit 1: charged with a copy, and the page is copied ahead. Bit 0: the page is protected.
 *
 * A child has two parents. The first is the cheapest individual (or is drawn like the second). The
 * second is drawn: the cheaper of two uniform draws (tournament), or with a chance inverse to cost
 * (roulette). Crossover is single-point, a draw from 0 to the number of known pages; or uniform,
 * one bit of a draw for each page.
 *
 * Costs are whole numbers of 1/256 of a copy. They stop at 2^47, so that nothing overflows: an
 * individual would have to miss two million pages at 2^18 copies each.
 *
 * The bits of a page, one for each individual, are the word of its record. Children are bred
 * beside their parents, in an array of the size of the list; between generations the pages that
 * are chosen lie there.
 *
 *   scratch, breeding    [ parents | children ][ parents | children ] ...    a word each
 *            choosing    [ page               ][ page               ] ...
 *
 * A page becomes known only where there is room for it in both, so that nothing but learning of new
 * pages needs memory. Where it is short, a page stays unknown until it faults next.
 *
 * Not handled: what is known before an epoch (its kind), and pages that are written in a pattern
 * over time. An individual is charged for the epochs that fell to it, so the dear epochs of a
 * period of P always blame the same one.
 *
 * See Vogt et al., Speculative Memory Checkpointing, Middleware 2015.
 */
#include "options.h"
#include "page_list.h"
#include "random.h"

/* Charge of a copy. */
#define COPY 256u
#define MOST_COST ((1ULL << 47) - 1)
#define MOST_POPULATION 20
/* What the cheapest parent weighs in the roulette. */
#define WEIGHT 65536
/* A miss costs what the machine's fault does. */
#define MEASURED U64_MAX

enum { TOURNAMENT, ROULETTE };
enum { SINGLE_POINT, UNIFORM };

static const char *const gspec_parents[] = { "tournament", "roulette", NULL };
static const char *const gspec_crossovers[] = { "single-point", "uniform", NULL };

struct gspec_options {
	u64 population;
	u64 mutation;
	u64 new_page;
	u64 parents;
	u64 crossover;
	u64 best_is_parent;
	u64 miss_cost;
	u64 seed;
};

static const struct smc_option gspec_options[] = {
	/* Individuals. */
	SMC_WHOLE(struct gspec_options, population, "population", 5, 1, MOST_POPULATION),
	/* Chance that a bit is flipped when its individual comes into force: 1/100. */
	SMC_CHANCE(struct gspec_options, mutation, "mutation", (1ULL << 32) / 100),
	/* Chance that a bit of a page that was not known is 1: 1/8. */
	SMC_CHANCE(struct gspec_options, new_page, "newPage", (1ULL << 32) / 8),
	/* How parents are drawn. */
	SMC_WORD(struct gspec_options, parents, "parents", TOURNAMENT, gspec_parents),
	/* How two parents' bits are joined. */
	SMC_WORD(struct gspec_options, crossover, "crossover", SINGLE_POINT, gspec_crossovers),
	/* Whether the cheapest individual is one parent of every child. */
	SMC_WORD(struct gspec_options, best_is_parent, "bestIsParent", true, smc_flags),
	/* Copies that a missed page is charged with. */
	{
		.name = "missCost",
		.offset = offsetof(struct gspec_options, miss_cost),
		.initial = MEASURED,
		.scale = COPY,
		.most = (1ULL << 20) * SMC_ONE,
	},
	/* Seed of all draws. */
	SMC_SEED(struct gspec_options, seed),
	{ }
};

/* Bits of one known page while the next generation is bred. */
struct gspec_bits {
	u32 parents;
	u32 children;
};

struct gspec {
	struct smc_policy policy;
	struct smc_page_list list;	/* known pages */
	struct smc_random random;
	struct gspec_options options;
	u64 miss;			/* charge of a missed page */
	u64 costs[MOST_POPULATION];
	u32 turn;			/* the individual in force */
	bool begun;			/* whether there is one */
	void *scratch;			/* for `room` pages, never less than are known */
	u32 room;
};

static struct gspec *gspec_of(struct smc_policy *policy)
{
	return container_of(policy, struct gspec, policy);
}

static struct smc_policy *gspec_make(const void *options, const struct smc_costs *costs)
{
	const struct gspec_options *given = options;
	struct gspec *gspec = smc_alloc(sizeof(*gspec));

	if (!gspec)
		return NULL;
	gspec->policy.ops = &smc_gspec;
	gspec->options = *given;
	gspec->miss = given->miss_cost;
	if (gspec->miss == MEASURED)
		gspec->miss = (u64)COPY * costs->fault / costs->copy;
	smc_random_seed(&gspec->random, given->seed);
	return &gspec->policy;
}

static void gspec_destroy(struct smc_policy *policy)
{
	struct gspec *gspec = gspec_of(policy);

	smc_list_free(&gspec->list);
	smc_free(gspec->scratch);
	smc_free(gspec);
}

static void gspec_pay(struct gspec *gspec, u64 cost)
{
	u64 *sum = &gspec->costs[gspec->turn];

	*sum = cost < MOST_COST - *sum ? *sum + cost : MOST_COST;
}

/* Makes a page known. False: there is no memory. */
static bool gspec_add(struct gspec *gspec, struct smc_spage *page)
{
	struct smc_page_list *list = &gspec->list;
	void *larger;

	if (!smc_list_add(list, page))
		return false;
	if (list->length <= gspec->room)
		return true;
	/* Nothing of what is in the scratch is needed any more. */
	larger = smc_alloc(list->room * sizeof(struct gspec_bits));
	if (!larger) {
		smc_list_remove_at(list, list->length - 1);
		return false;
	}
	smc_free(gspec->scratch);
	gspec->scratch = larger;
	gspec->room = list->room;
	return true;
}

/* Step 1. */
static void gspec_charge(struct gspec *gspec, const struct smc_epoch *epoch)
{
	u32 who;
	size_t i;

	for (i = 0; i < epoch->nfaults; i++) {
		struct smc_spage *page = epoch->faults[i];

		if (smc_list_has(page)) {
			if (gspec->begun && !(page->word >> gspec->turn & 1))
				gspec_pay(gspec, gspec->miss);
			continue;
		}
		if (!gspec_add(gspec, page))
			continue;
		page->word = 0;
		for (who = 0; who < gspec->options.population; who++)
			if (smc_random_happens(&gspec->random, gspec->options.new_page))
				page->word |= 1u << who;
	}
}

static u32 gspec_weight(const struct gspec *gspec, u32 best, u32 who)
{
	u64 weight = (gspec->costs[best] + 1) * WEIGHT / (gspec->costs[who] + 1);

	return weight ? weight : 1;
}

/* Draws a parent. */
static u32 gspec_parent(struct gspec *gspec, u32 best)
{
	const u64 *costs = gspec->costs;
	u32 population = gspec->options.population;
	u32 one, other, who, sum = 0, left;

	if (gspec->options.parents == TOURNAMENT) {
		one = smc_random_below(&gspec->random, population);
		other = smc_random_below(&gspec->random, population);
		return costs[other] < costs[one] ? other : one;
	}
	for (who = 0; who < population; who++)
		sum += gspec_weight(gspec, best, who);
	left = smc_random_below(&gspec->random, sum);
	for (who = 0; left >= gspec_weight(gspec, best, who); who++)
		left -= gspec_weight(gspec, best, who);
	return who;
}

/* Breeds one child, page by page. */
static void gspec_child(struct gspec *gspec, u32 child, u32 best)
{
	struct gspec_bits *bits = gspec->scratch;
	bool uniform = gspec->options.crossover == UNIFORM;
	u32 first = gspec->options.best_is_parent ? best : gspec_parent(gspec, best);
	u32 second = gspec_parent(gspec, best);
	u32 point = 0, i;

	if (!uniform)
		point = smc_random_below(&gspec->random, gspec->list.length + 1);
	for (i = 0; i < gspec->list.length; i++) {
		bool from_first = uniform ? smc_random_next(&gspec->random) >> 31 : i < point;
		u32 parent = from_first ? first : second;

		bits[i].children |= (bits[i].parents >> parent & 1) << child;
	}
}

static bool gspec_inherit(struct smc_spage *page, u32 index, void *arg)
{
	const struct gspec_bits *bits = arg;

	page->word = bits[index].children;
	return page->word != 0;
}

/* Step 2, after the last individual. */
static void gspec_breed(struct gspec *gspec)
{
	struct gspec_bits *bits = gspec->scratch;
	u32 population = gspec->options.population;
	u32 best = 0, who, i;

	for (who = 1; who < population; who++)
		if (gspec->costs[who] < gspec->costs[best])
			best = who;
	for (i = 0; i < gspec->list.length; i++) {
		bits[i].parents = gspec->list.pages[i]->word;
		bits[i].children = 0;
	}
	for (who = 0; who < population; who++)
		gspec_child(gspec, who, best);
	smc_list_filter(&gspec->list, gspec_inherit, bits);
	memset(gspec->costs, 0, sizeof(gspec->costs));
}

/* Steps 3 and 4. Returns how many pages are chosen. */
static u32 gspec_speculate(struct gspec *gspec)
{
	struct smc_page_list *list = &gspec->list;
	struct smc_spage **chosen = gspec->scratch;
	u32 bit = 1u << gspec->turn;
	u32 count = 0, i;

	for (i = 0; i < list->length; i++) {
		struct smc_spage *page = list->pages[i];

		if (smc_random_happens(&gspec->random, gspec->options.mutation))
			page->word ^= bit;
		if (page->word & bit)
			chosen[count++] = page;
	}
	gspec_pay(gspec, (u64)count * COPY);
	return count;
}

static void gspec_choose(struct smc_policy *policy, const struct smc_epoch *epoch,
			 struct smc_spage *const **chosen, size_t *count)
{
	struct gspec *gspec = gspec_of(policy);

	smc_list_close_holes(&gspec->list);
	gspec_charge(gspec, epoch);
	if (gspec->begun)
		gspec->turn++;
	gspec->begun = true;
	if (gspec->turn == gspec->options.population) {
		gspec_breed(gspec);
		gspec->turn = 0;
	}
	*count = gspec_speculate(gspec);
	*chosen = gspec->scratch;
}

static void gspec_forget(struct smc_policy *policy, struct smc_spage *page)
{
	smc_list_forget(&gspec_of(policy)->list, page);
}

const struct smc_policy_ops smc_gspec = {
	.name = "gspec",
	.options = gspec_options,
	.make = gspec_make,
	.destroy = gspec_destroy,
	.choose = gspec_choose,
	.forget = gspec_forget,
};
