// SPDX-License-Identifier: MIT
/*
 * What an epoch costs: a checkpoint, and then one store of 8 bytes into each of K pages of a region.
 *
 *     compare_bench PAGES WARM LEAST MOST BUDGET MECHANISM,... PATTERN,... K,...
 *
 * PAGES       of the region
 * WARM        epochs before the first that counts
 * LEAST MOST  bounds of the number of epochs that count
 * BUDGET      instructions that those should take together: more epochs where they are cheap
 *
 * A process for each combination, which prints a line of JSON, besides TAP:
 *
 *     {"mechanism":"smc","pattern":"hot","pages":256,"writes":64,"epochs":50,"instructions":...,"checkpoint":...,...}
 *
 * All numbers behind "epochs" are means over the epochs: "instructions" for the epoch, "checkpoint" of those for the checkpoint. What a mechanism is told
 * beforehand (foretell) costs nothing here, and neither does the drawing of pages.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "../test/tap.h"
#include "draws.h"
#include "measure.h"
#include "mechanism.h"

#define MOST_K 8192
/* Draws, before they come again. */
#define DRAWS 32

static const char *const patterns[] = { "hot", "uniform", "half", NULL };

struct cell {
	const struct mechanism *mechanism;
	enum pattern pattern;
	size_t pages, writes;
	unsigned long warm, least, most, budget;
};

/* In shared memory, so that counting costs no mechanism a page. */
static struct shared {
	uint64_t checkpoint, total;
	unsigned char *draws[DRAWS][MOST_K];
	unsigned char scratch[1 << 20];
	char unavailable[128];
} *shared;

static void epoch(const struct mechanism *m, unsigned char *const *pages, size_t n)
{
	uint64_t begun, taken, ended;

	if (m->told)
		m->foretell(pages, n);
	begun = now();
	m->checkpoint();
	taken = now();
	for (size_t i = 0; i < n; i++)
		*(volatile uint64_t *)(pages[i] + 64) = taken + i;	/* never the value that is there */
	ended = now();
	shared->checkpoint += taken - begun;
	shared->total += ended - begun;
}

static void run(void *argument)
{
	const struct cell *c = argument;
	const struct mechanism *m = c->mechanism;
	struct random r = { 2463534242 };
	struct mechanism_statistics before, after;
	unsigned long epochs = c->least, i;
	size_t bytes = c->pages * PAGE;
	const char *why;
	unsigned char *region = mmap(NULL, bytes + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (region == MAP_FAILED)
		abort();
	madvise(region, bytes, MADV_NOHUGEPAGE);
	mprotect(region + bytes, PAGE, PROT_NONE);
	memset(region, 1, bytes);
	for (i = 0; i < DRAWS; i++)
		draw(&r, c->pattern, region, c->pages, c->writes, shared->draws[i], shared->scratch);
	why = m->attach(&(struct area){ region, c->pages }, 1);
	if (why) {
		strncpy(shared->unavailable, why, sizeof(shared->unavailable) - 1);
		return;
	}

	for (i = 0; i < c->warm; i++) {
		shared->checkpoint = shared->total = 0;
		epoch(m, shared->draws[i % DRAWS], c->writes);
	}
	if (shared->total * c->least < c->budget)
		epochs = c->budget / shared->total;
	if (epochs > c->most)
		epochs = c->most;
	m->statistics(&before);
	shared->checkpoint = shared->total = 0;
	for (i = 0; i < epochs; i++)
		epoch(m, shared->draws[(c->warm + i) % DRAWS], c->writes);
	m->statistics(&after);

#define MEAN(value) ((double)(value) / epochs)
	tap_line("{\"mechanism\":\"%s\",\"pattern\":\"%s\",\"pages\":%zu,\"writes\":%zu,\"epochs\":%lu,\"instructions\":%.1f,"
		 "\"checkpoint\":%.1f,\"faults\":%.2f,\"copied\":%.2f,\"ahead\":%.2f}",
		 m->name, patterns[c->pattern], c->pages, c->writes, epochs, MEAN(shared->total), MEAN(shared->checkpoint),
		 MEAN(after.faults - before.faults), MEAN(after.copied - before.copied), MEAN(after.ahead - before.ahead));
}

static void usage(void)
{
	fprintf(stderr, "usage: compare_bench PAGES WARM LEAST MOST BUDGET MECHANISM,... PATTERN,... K,...\n");
	exit(2);
}

static enum pattern pattern_named(const char *name)
{
	for (int i = 0; patterns[i]; i++)
		if (!strcmp(patterns[i], name))
			return i;
	usage();
	return HOT;
}

static unsigned long number(const char *text, unsigned long least, unsigned long most)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || n < least || n > most)
		usage();
	return n;
}

int main(int argc, char **argv)
{
	struct cell c;
	char *in_mechanisms, *in_patterns, *in_writes;

	if (argc != 9)
		usage();
	c.pages = number(argv[1], 1, sizeof(shared->scratch));
	c.warm = number(argv[2], 1, 1000000);
	c.least = number(argv[3], 1, 1000000);
	c.most = number(argv[4], c.least, 1000000);
	c.budget = number(argv[5], 0, 1UL << 40);
	tap_begin();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (char *m = strtok_r(strdup(argv[6]), ",", &in_mechanisms); m; m = strtok_r(NULL, ",", &in_mechanisms)) {
		c.mechanism = mechanism_named(m);
		if (!c.mechanism)
			usage();
		for (char *p = strtok_r(strdup(argv[7]), ",", &in_patterns); p; p = strtok_r(NULL, ",", &in_patterns)) {
			c.pattern = pattern_named(p);
			for (char *k = strtok_r(strdup(argv[8]), ",", &in_writes); k; k = strtok_r(NULL, ",", &in_writes)) {
				char name[128];
				int failed = tap->failed;

				c.writes = number(k, 0, c.pages < MOST_K ? c.pages : MOST_K);
				memset(shared, 0, sizeof(*shared));
				snprintf(name, sizeof(name), "%s, %s, %zu of %zu pages", m, p, c.writes, c.pages);
				in_child(name, run, &c);
				if (*shared->unavailable)
					tap_skip(name, shared->unavailable);
				else if (failed == tap->failed)
					ok(shared->total > 0, "%s", name);
			}
		}
	}
	return tap_end();
}
