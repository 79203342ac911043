// SPDX-License-Identifier: MIT
/* The table of mechanisms. */
#include <string.h>

#include "mechanism.h"

extern const struct mechanism none, eager, full_copy, fork_child, mprotect_segv, uffd_sigbus, uffd_thread, soft_dirty;
extern const struct mechanism smc_none, smc_active_rnd, smc_active_cks, smc_gspec, smc_oracle;

const struct mechanism *const mechanisms[] = {
	&none,	    &eager,	   &full_copy,	    &fork_child,     &mprotect_segv, &uffd_sigbus, &uffd_thread,
	&soft_dirty, &smc_none,	   &smc_active_rnd, &smc_active_cks, &smc_gspec,     &smc_oracle,  NULL,
};

const struct mechanism *mechanism_named(const char *name)
{
	for (const struct mechanism *const *m = mechanisms; *m; m++)
		if (!strcmp((*m)->name, name))
			return *m;
	return NULL;
}
