/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Speculation: policies that choose the pages to copy ahead at a checkpoint.
 *
 *   epoch n           checkpoint n + 1                               epoch n + 1
 *   writes fault  ->  choose(pages that faulted) = pages to copy  -> those do not fault
 *
 * A page that is chosen is copied now and stays writable; every other page that was writable is
 * protected again. The right choice saves a fault for a copy; a wrong one costs a copy for
 * nothing.
 *
 * This folder compiles as kernel code and as user-space code, so that policies can be replayed
 * over recorded traces. Each policy is one file and one struct smc_policy_ops; table.c lists
 * them. They make the same choices, number by number, as Belay's policies in TypeScript
 * (docs/trace-format.md, "The arithmetic of the policies").
 *
 * Locking: the caller lets one call into a policy run at a time. changed() must not call back.
 *
 * Context: make() and choose() allocate, and so may sleep; destroy() and forget() do neither
 * (but freeing what was vmalloc'ed needs process context).
 */
#ifndef SMC_POLICY_H
#define SMC_POLICY_H

#include "portable.h"

/*
 * What a policy keeps of one page. It lies in the caller's record of that page, zeroed at first,
 * and stays where it is until forget() was called for it, or destroy(). A record that is to serve
 * another policy is zeroed again.
 */
struct smc_spage {
	u32 place;		/* in the policy's list, from 1; 0: not in it */
	u32 word;		/* the policy's own: genes, misses */
};

/* The epoch that ends with this checkpoint. */
struct smc_epoch {
	/* pages that faulted, each once, in the order of their faults; none that forget() took */
	struct smc_spage *const *faults;
	size_t nfaults;
	size_t gone;		/* pages that faulted, too, and that forget() took since */
	/*
	 * Whether a page differs from its pre-image. Costs a comparison of 4096 bytes. Asked only
	 * of pages that this epoch saved: chosen at the last checkpoint, or faulted since.
	 */
	bool (*changed)(struct smc_spage *page, void *arg);
	void *arg;
};

/*
 * Costs in any unit, neither of them 0. What a fault costs that copies its page, and what a copy
 * ahead does.
 */
struct smc_costs {
	u32 copy;
	u32 fault;
};

struct smc_option;
struct smc_policy;

struct smc_policy_ops {
	const char *name;
	const struct smc_option *options;	/* see options.h; NULL: none */

	/* Makes a policy of these options, each a u64. NULL: no memory. */
	struct smc_policy *(*make)(const void *options, const struct smc_costs *costs);
	/* Touches no page: the caller may have freed them already, and frees them in any case. */
	void (*destroy)(struct smc_policy *policy);
	/*
	 * Chooses: *chosen points to *count pages, and stays valid until the next call into the
	 * policy, forget() included. Each page is there once. May choose less than it would have
	 * where memory is short: that costs faults, never correctness.
	 */
	void (*choose)(struct smc_policy *policy, const struct smc_epoch *epoch,
		       struct smc_spage *const **chosen, size_t *count);
	/*
	 * The page's record is about to go away, and is zeroed. Takes the same time however many
	 * pages there are. A page that the policy does not know is no mistake.
	 */
	void (*forget)(struct smc_policy *policy, struct smc_spage *page);
};

/* What every policy begins with. */
struct smc_policy {
	const struct smc_policy_ops *ops;
};

extern const struct smc_policy_ops smc_none;
extern const struct smc_policy_ops smc_active_rnd;
extern const struct smc_policy_ops smc_active_cks;
extern const struct smc_policy_ops smc_gspec;

/* Every policy; ends with NULL. */
extern const struct smc_policy_ops *const smc_policies[];

/*
 * Makes the policy that a text names: NAME[:option=value,...], "" for none. 0, or -ENOMEM, or
 * -EINVAL with *error_at the column of the mistake, from 1, or 0 where a cost is 0. An option's
 * value is a decimal number, true or false, or one of its words; options.h says more.
 */
int smc_policy_make(const char *spec, const struct smc_costs *costs, struct smc_policy **policy,
		    u32 *error_at);

#endif
