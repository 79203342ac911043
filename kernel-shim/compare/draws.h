/* SPDX-License-Identifier: MIT */
/* Which pages an epoch writes: drawn by a generator that gives the same on every machine. */
#ifndef DRAWS_H
#define DRAWS_H

#include <stddef.h>
#include <stdint.h>

enum pattern {
	HOT,		/* the same pages each time, evenly spread */
	UNIFORM,	/* drawn anew each time */
	HALF,		/* half of them the same, the other half drawn anew */
};

struct random {
	uint64_t state;
};

uint32_t random_below(struct random *r, uint32_t bound);

/*
 * Draws k different pages of an area of n (k <= n), ascending.
 *
 * scratch: n bytes.
 */
void draw(struct random *r, enum pattern pattern, unsigned char *start, size_t n, size_t k, unsigned char **pages, unsigned char *scratch);

#endif
