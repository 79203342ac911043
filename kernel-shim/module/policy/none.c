// SPDX-License-Identifier: GPL-2.0
/*
 * Copy on write, and nothing more: no page is copied ahead, so each page that an epoch writes
 * faults once. What every other policy is measured against.
 *
 *   epoch writes 3, 7        checkpoint: protect all        next epoch writes 3: one fault
 */
#include "policy.h"

static struct smc_policy *none_make(const void *options, const struct smc_costs *costs)
{
	struct smc_policy *policy = smc_alloc(sizeof(*policy));

	(void)options;
	(void)costs;
	if (policy)
		policy->ops = &smc_none;
	return policy;
}

static void none_destroy(struct smc_policy *policy)
{
	smc_free(policy);
}

static void none_choose(struct smc_policy *policy, const struct smc_epoch *epoch,
			struct smc_spage *const **chosen, size_t *count)
{
	(void)policy;
	(void)epoch;
	*chosen = NULL;
	*count = 0;
}

static void none_forget(struct smc_policy *policy, struct smc_spage *page)
{
	(void)policy;
	(void)page;
}

const struct smc_policy_ops smc_none = {
	.name = "none",
	.make = none_make,
	.destroy = none_destroy,
	.choose = none_choose,
	.forget = none_forget,
};
