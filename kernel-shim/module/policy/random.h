/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The random numbers of the policies: xorshift32, small enough to write again in any language,
 * and the same there to the last bit.
 *
 *   x ^= x << 13;  x ^= x >> 17;  x ^= x << 5        all in 32 bits, unsigned; x is never 0
 *
 * A draw below n takes the high half of a product and no remainder. Chances are fractions of
 * 2^32. The bias of both is below n / 2^32. What this is not: good enough for anything that an
 * adversary should not guess, which is why the kernel's own generator is not asked: a choice has
 * to come out the same in every replay.
 *
 * See Marsaglia, Xorshift RNGs, Journal of Statistical Software 8(14), 2003.
 */
#ifndef SMC_RANDOM_H
#define SMC_RANDOM_H

#include "portable.h"

struct smc_random {
	u32 x;
};

/* A seed of 0, which would stay 0 for ever, counts as 0x9e3779b9. */
static inline void smc_random_seed(struct smc_random *random, u32 seed)
{
	random->x = seed ? seed : 0x9e3779b9;
}

/* The next state: a whole number from 1 to 2^32 - 1. */
static inline u32 smc_random_next(struct smc_random *random)
{
	u32 x = random->x;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	random->x = x;
	return x;
}

/* A whole number from 0 to n - 1. */
static inline u32 smc_random_below(struct smc_random *random, u32 n)
{
	return (u64)smc_random_next(random) * n >> 32;
}

/* Whether something happens whose chance is fraction / 2^32, from 0 to 2^32. Always draws. */
static inline bool smc_random_happens(struct smc_random *random, u64 fraction)
{
	return smc_random_next(random) < fraction;
}

#endif
