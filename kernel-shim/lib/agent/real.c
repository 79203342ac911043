/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>

#include "real.h"

struct real real;

void real_find(void)
{
	struct real found;

	/* a function that this C library lacks stays NULL: nobody can call it */
#define X(name) found.name = (__typeof__(found.name))dlsym(RTLD_NEXT, #name);
	REAL_FUNCTIONS(X)
#undef X
	real = found;
}
