/* SPDX-License-Identifier: MIT */
/* Areas of memory whose every page says what it should have. */
#ifndef AREAS_H
#define AREAS_H

#include "checks.h"

#define PAGE 4096UL

static inline unsigned char *pages(size_t n)
{
	unsigned char *m = mmap(NULL, n * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(m != MAP_FAILED, "mmap");
	return m;
}

/* Memory that rollbacks leave alone. */
static inline void *shared_pages(size_t n)
{
	void *m = mmap(NULL, n * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(m != MAP_FAILED, "mmap");
	return m;
}

/* What each byte of page i has. */
static inline unsigned char content(size_t i, unsigned int what)
{
	return i * 5 + what;
}

static inline void fill(unsigned char *m, size_t n, unsigned int what)
{
	for (size_t i = 0; i < n; i++)
		memset(m + i * PAGE, content(i, what), PAGE);
}

static inline bool has(const unsigned char *m, size_t n, unsigned int what)
{
	bool good = true;

	for (size_t i = 0; i < n; i++)
		good &= m[i * PAGE] == content(i, what) && !memcmp(m + i * PAGE, m + i * PAGE + 1, PAGE - 1);
	return good;
}

#endif
