// SPDX-License-Identifier: MIT
#include <string.h>

#include "draws.h"
#include "mechanism.h"

/* xorshift64* (Vigna, 2016) */
uint32_t random_below(struct random *r, uint32_t bound)
{
	uint64_t x = r->state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	r->state = x;
	return (uint64_t)(uint32_t)((x * 0x2545f4914f6cdd1dULL) >> 32) * bound >> 32;
}

void draw(struct random *r, enum pattern pattern, unsigned char *start, size_t n, size_t k, unsigned char **pages, unsigned char *scratch)
{
	size_t fixed = pattern == HOT ? k : pattern == HALF ? k / 2 : 0, found = 0;

	memset(scratch, 0, n);
	for (size_t i = 0; i < fixed; i++)
		scratch[i * n / fixed] = 1;
	for (size_t left = k - fixed; left;) {
		size_t page = random_below(r, n);

		left -= !scratch[page];
		scratch[page] = 1;
	}
	for (size_t i = 0; i < n; i++)
		if (scratch[i])
			pages[found++] = start + i * PAGE;
}
