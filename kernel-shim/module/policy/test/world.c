// SPDX-License-Identifier: GPL-2.0
/* What surrounds a policy where there is no kernel: world.h says what. */
#include <stdlib.h>

#include "world.h"

/* Of a page; both epochs count from 1. */
struct record {
	struct smc_spage spage;
	u32 number;
	u32 saved;		/* the last epoch that saved it */
	u32 written;		/* the last epoch that changed it */
};

struct world world;

static struct smc_policy *policy;
static struct record **records;	/* by number; NULL: the page has none */
static size_t nrecords;
static unsigned long refused;
static bool onwards;
static long blocks;		/* that the policy holds */

void world_die(void)
{
	fprintf(stderr, " (after %u checkpoints)\n", world.epoch);
	exit(3);
}

void *need(void *old, size_t bytes)
{
	void *memory = realloc(old, bytes ? bytes : 1);

	if (!memory)
		die("out of memory");
	return memory;
}

void numbers_add(struct numbers *numbers, u32 number)
{
	if (numbers->count == numbers->room) {
		numbers->room = 2 * numbers->room + 16;
		numbers->at = need(numbers->at, numbers->room * sizeof(*numbers->at));
	}
	numbers->at[numbers->count++] = number;
}

void *smc_alloc(size_t bytes)
{
	void *memory;

	world.allocations++;
	if (world.allocations == refused || (onwards && world.allocations > refused))
		return NULL;
	memory = calloc(1, bytes);
	if (!memory)
		die("out of memory");
	blocks++;
	return memory;
}

void smc_free(const void *memory)
{
	if (memory)
		blocks--;
	free((void *)memory);
}

void world_refuse(unsigned long nth, bool and_onwards)
{
	refused = nth;
	onwards = and_onwards;
}

int world_begin(const char *spec, const struct smc_costs *costs, u32 *column)
{
	int error;

	world_end();
	world.allocations = 0;
	error = smc_policy_make(spec, costs, &policy, column);
	if (!error == !policy)
		die("%d, but there is %s policy", error, policy ? "a" : "no");
	if (error && blocks)
		die("a policy that was not made keeps %ld blocks", blocks);
	return error;
}

void world_end(void)
{
	size_t i;

	/* In this order: destroy() has to do without the pages. */
	for (i = 0; i < nrecords; i++)
		free(records[i]);
	free(records);
	records = NULL;
	nrecords = 0;
	if (policy)
		policy->ops->destroy(policy);
	policy = NULL;
	if (blocks)
		die("the policy keeps %ld blocks", blocks);
	world.epoch = 0;
	world.gone = 0;
	world.faults.count = 0;
	world.chosen.count = 0;
	world.asked.count = 0;
}

static struct record *record_of(u32 page)
{
	return page < nrecords ? records[page] : NULL;
}

bool world_saved(u32 page)
{
	const struct record *record = record_of(page);

	return record && world.epoch > 0 && record->saved == world.epoch;
}

void world_fault(u32 page)
{
	struct record *record = record_of(page);

	if (page >= nrecords) {
		size_t more = 2 * ((size_t)page + 1);

		records = need(records, more * sizeof(*records));
		memset(records + nrecords, 0, (more - nrecords) * sizeof(*records));
		nrecords = more;
	}
	if (!record) {
		record = need(NULL, sizeof(*record));
		memset(record, 0, sizeof(*record));
		record->number = page;
		records[page] = record;
	}
	record->saved = world.epoch;
	numbers_add(&world.faults, page);
}

void world_write(u32 page)
{
	struct record *record = record_of(page);

	if (record)
		record->written = world.epoch;
}

void world_forget(u32 page)
{
	struct record *record = record_of(page);
	size_t i, kept = 0;

	if (!record)
		return;
	policy->ops->forget(policy, &record->spage);
	if (record->spage.place || record->spage.word)
		die("page %u is forgotten, and its record is not zeroed", page);
	for (i = 0; i < world.faults.count; i++)
		if (world.faults.at[i] != page)
			world.faults.at[kept++] = world.faults.at[i];
	world.gone += world.faults.count - kept;
	world.faults.count = kept;
	free(record);
	records[page] = NULL;
}

void world_forget_from(u32 page)
{
	for (; page < nrecords; page++)
		world_forget(page);
}

static bool is_changed(struct smc_spage *page, void *arg)
{
	struct record *record = container_of(page, struct record, spage);

	if (arg != &world)
		die("a page was compared with another argument");
	if (!world_saved(record->number))
		die("page %u was compared, and the last epoch did not save it", record->number);
	numbers_add(&world.asked, record->number);
	return record->written == world.epoch;
}

/* The pages in the policy's list have the places from 1 on, each its own. */
static void check_places(void)
{
	bool *taken = need(NULL, nrecords + 1);
	size_t listed = 0, most = 0, i;

	memset(taken, 0, nrecords + 1);
	for (i = 0; i < nrecords; i++) {
		u32 place = records[i] ? records[i]->spage.place : 0;

		if (place == 0)
			continue;
		if (place > nrecords || taken[place])
			die("page %zu is at place %u, where it cannot be", i, place);
		taken[place] = true;
		listed++;
		most = place > most ? place : most;
	}
	if (listed != most)
		die("%zu pages are listed, up to place %zu", listed, most);
	free(taken);
}

void world_choose(void)
{
	struct smc_spage **faults = need(NULL, world.faults.count * sizeof(*faults));
	struct smc_epoch epoch = {
		.faults = faults,
		.nfaults = world.faults.count,
		.gone = world.gone,
		.changed = is_changed,
		.arg = &world,
	};
	struct smc_spage *const *chosen;
	size_t count, i;

	if (!policy)
		die("there is no policy");
	for (i = 0; i < world.faults.count; i++)
		faults[i] = &records[world.faults.at[i]]->spage;
	world.asked.count = 0;
	policy->ops->choose(policy, &epoch, &chosen, &count);
	free(faults);
	check_places();
	world.epoch++;
	world.gone = 0;
	world.faults.count = 0;
	world.chosen.count = 0;
	for (i = 0; i < count; i++) {
		struct record *record = container_of(chosen[i], struct record, spage);

		if (record_of(record->number) != record)
			die("page %u was chosen, and is not there", record->number);
		if (record->spage.place == 0)
			die("page %u was chosen, and is not listed", record->number);
		if (record->saved == world.epoch)
			die("page %u was chosen twice", record->number);
		record->saved = world.epoch;
		numbers_add(&world.chosen, record->number);
	}
}
