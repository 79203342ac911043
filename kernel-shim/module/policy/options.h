/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The options of policies: a table of each, and one parser for all.
 *
 *   gspec:population=8,mutation=0.02,parents=roulette
 *   NAME  option     = value ,...
 *
 * The kernel has no floating point, so fractions become whole numbers as they are read. A number
 * is digits and, for options that are not whole, a point and one to nine digits:
 *
 *   0.02  =  20 000 000 / 10^9     * 2^32, rounded down  =  85 899 345
 *
 * which is floor(0.02 * 2^32) also where it is computed in doubles: with nine digits, what is not
 * a whole number is farther from one than a double can be wrong. Limits are those of the number
 * as it was written, not of what it is rounded to.
 *
 * Not handled: exponents, signs, spaces, and an option that is given twice, which is a mistake.
 */
#ifndef SMC_OPTIONS_H
#define SMC_OPTIONS_H

#include "portable.h"

/* One, in the unit of limits. */
#define SMC_ONE 1000000000ULL

/* The most options a policy has. */
#define SMC_MOST_OPTIONS 8

struct smc_option {
	const char *name;		/* NULL: the table ends */
	size_t offset;			/* of its u64 in the policy's options */
	u64 initial;			/* value where it is not given */
	const char *const *words;	/* the value is the index of one of these; ends with NULL */

	/* Numbers: value = floor(number * scale), or the nearest whole number to that. */
	u64 scale;			/* to 2^32; 1: whole numbers only */
	bool nearest;
	u64 least, most;		/* in 1 / SMC_ONE; most is at most 2^32 - 1 */
};

/* A whole number. */
#define SMC_WHOLE(type, field, text, fallback, from, to) { \
	.name = text, .offset = offsetof(type, field), .initial = fallback, .scale = 1, \
	.least = (from) * SMC_ONE, .most = (to) * SMC_ONE }

/* A chance, as a fraction of 2^32. */
#define SMC_CHANCE(type, field, text, fallback) { \
	.name = text, .offset = offsetof(type, field), .initial = fallback, \
	.scale = 1ULL << 32, .most = SMC_ONE }

/* One of some words. The fallback is an index. */
#define SMC_WORD(type, field, text, fallback, list) { \
	.name = text, .offset = offsetof(type, field), .initial = fallback, .words = list }

/* "false" and "true". */
extern const char *const smc_flags[];

#define SMC_SEED(type, field) SMC_WHOLE(type, field, "seed", 1, 0, 0xffffffffULL)

/*
 * Reads "option=value,..." into values, which has room for SMC_MOST_OPTIONS of u64, every other
 * option its initial value. A text of NULL is no options, which is not the same as "". Returns
 * NULL, or where in the text the mistake is.
 */
const char *smc_options_read(const char *text, const struct smc_option *options, u64 *values);

#endif
