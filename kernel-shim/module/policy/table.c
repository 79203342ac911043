// SPDX-License-Identifier: GPL-2.0
/*
 * The table of policies, and the way from a text to one of them.
 *
 *   "gspec:seed=7"   ->   smc_gspec, { population 5, ..., seed 7 }   ->   gspec_make()
 *
 * A new policy is a file with its struct smc_policy_ops, a line in policy.h, and a line here.
 */
#include "options.h"
#include "policy.h"

const struct smc_policy_ops *const smc_policies[] = {
	&smc_none,
	&smc_active_rnd,
	&smc_active_cks,
	&smc_gspec,
	NULL
};

static const struct smc_policy_ops *named(const char *name, size_t length)
{
	u32 i;

	if (length == 0)
		return &smc_none;
	for (i = 0; smc_policies[i]; i++)
		if (strlen(smc_policies[i]->name) == length &&
		    memcmp(smc_policies[i]->name, name, length) == 0)
			return smc_policies[i];
	return NULL;
}

int smc_policy_make(const char *spec, const struct smc_costs *costs, struct smc_policy **policy,
		    u32 *error_at)
{
	u64 values[SMC_MOST_OPTIONS];
	size_t length = strcspn(spec, ":");
	const struct smc_policy_ops *ops = named(spec, length);
	const char *mistake = spec;

	*policy = NULL;
	*error_at = 0;
	if (costs->copy == 0 || costs->fault == 0)
		return -EINVAL;
	if (ops)
		mistake = smc_options_read(spec[length] ? spec + length + 1 : NULL, ops->options,
					   values);
	if (mistake) {
		*error_at = mistake - spec + 1;
		return -EINVAL;
	}
	*policy = ops->make(values, costs);
	return *policy ? 0 : -ENOMEM;
}
