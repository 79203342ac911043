/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the policies need of the world around them: types, errors, strings and memory.
 *
 *   in the kernel     u32, u64, bool      kvzalloc, kvfree      linux/...
 *   in user space     the same names      smc_alloc, smc_free of the program, which may refuse
 *
 * Policies are whole-number arithmetic over arrays, and need nothing else. 64-bit divisions are
 * plain divisions: the module is for x86-64 only.
 */
#ifndef SMC_PORTABLE_H
#define SMC_PORTABLE_H

#ifdef __KERNEL__

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/slab.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/types.h>

/*
 * Zeroed memory, charged to the process whose pages it describes. NULL is an answer that every
 * policy lives with, so there is nothing to warn of.
 */
static inline void *smc_alloc(size_t bytes)
{
	return kvzalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
}

static inline void smc_free(const void *memory)
{
	kvfree(memory);
}

#else

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef unsigned int u32;
typedef unsigned long long u64;

#define U64_MAX ULLONG_MAX
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

/* Of the program: zeroed memory, or NULL where a test wants to see what happens then. */
void *smc_alloc(size_t bytes);
void smc_free(const void *memory);

#endif
#endif
