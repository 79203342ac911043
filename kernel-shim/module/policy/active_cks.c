// SPDX-License-Identifier: GPL-2.0
/*
 * Active-CKS: a page that faulted is copied ahead until it has stayed unchanged several times in
 * a row.
 *
 *   page A   fault   changed   same   same   changed   same x 6: dropped, protected again
 *   misses     0        0       1      2        0        1 ... 6 > 5
 *
 * The paper takes a checksum of each page while it copies it, and compares it with the last one.
 * Here the pre-image is at hand, so the caller is asked, which compares the page with it: that is
 * exact, and costs 4096 bytes read twice for every page of the list at every checkpoint.
 *
 * The list has no bound but memory. A page that faulted in the epoch that ends enters with 0
 * misses, and is not compared. The list keeps the order in which pages came.
 *
 * Where memory is short, a page does not enter. It is protected, faults when it is written next,
 * and may enter then.
 *
 * Not handled: what comparing costs; pages that are written every seventh epoch, which fault each
 * time.
 *
 * See Vogt et al., Speculative Memory Checkpointing, Middleware 2015.
 */
#include "options.h"
#include "page_list.h"

struct cks_options {
	u64 misses;
};

/* misses: epochs in a row that a page may stay unchanged; one more and it is dropped. */
static const struct smc_option cks_options[] = {
	SMC_WHOLE(struct cks_options, misses, "misses", 5, 0, 1ULL << 20),
	{ }
};

/* The word of a page: epochs in a row that it has stayed unchanged. */
struct cks {
	struct smc_policy policy;
	struct smc_page_list list;
	u32 most;
};

static struct cks *cks_of(struct smc_policy *policy)
{
	return container_of(policy, struct cks, policy);
}

static struct smc_policy *cks_make(const void *options, const struct smc_costs *costs)
{
	const struct cks_options *given = options;
	struct cks *cks = smc_alloc(sizeof(*cks));

	(void)costs;
	if (!cks)
		return NULL;
	cks->policy.ops = &smc_active_cks;
	cks->most = given->misses;
	return &cks->policy;
}

static void cks_destroy(struct smc_policy *policy)
{
	struct cks *cks = cks_of(policy);

	smc_list_free(&cks->list);
	smc_free(cks);
}

struct cks_question {
	const struct smc_epoch *epoch;
	u32 most;
};

static bool cks_keep(struct smc_spage *page, u32 index, void *arg)
{
	const struct cks_question *question = arg;
	const struct smc_epoch *epoch = question->epoch;

	(void)index;
	page->word = epoch->changed(page, epoch->arg) ? 0 : page->word + 1;
	return page->word <= question->most;
}

static void cks_choose(struct smc_policy *policy, const struct smc_epoch *epoch,
		       struct smc_spage *const **chosen, size_t *count)
{
	struct cks *cks = cks_of(policy);
	struct cks_question question = { .epoch = epoch, .most = cks->most };
	size_t i;

	smc_list_filter(&cks->list, cks_keep, &question);
	for (i = 0; i < epoch->nfaults; i++) {
		struct smc_spage *page = epoch->faults[i];

		if (smc_list_has(page))
			continue;
		page->word = 0;
		smc_list_add(&cks->list, page);
	}
	*chosen = cks->list.pages;
	*count = cks->list.length;
}

static void cks_forget(struct smc_policy *policy, struct smc_spage *page)
{
	smc_list_forget(&cks_of(policy)->list, page);
}

const struct smc_policy_ops smc_active_cks = {
	.name = "active-cks",
	.options = cks_options,
	.make = cks_make,
	.destroy = cks_destroy,
	.choose = cks_choose,
	.forget = cks_forget,
};
