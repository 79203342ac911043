// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the policies of the kernel module in user space: over recorded traces, or step by step.
 * Reads commands from standard input, one a line; prints a line of JSON for each that says so.
 *
 *   costs COPY FAULT COMPARE   from now on; 1 8 1 at first
 *   refuse [N[+]]              refuses the Nth allocation of each policy, or all from the Nth on
 *   trace PATH                 reads a .belaytrace
 *   run [SPEC]                 replays the trace: counts and hash as runtime/speculation/replay.ts
 *   choices [SPEC]             the same, with the pages chosen at each checkpoint
 *   policy [SPEC]              begins with a policy, and no pages: {}
 *   fault PAGE ...             these pages fault, in this order
 *   forget PAGE ...            these pages go away
 *   at [PAGE ...] [/ PAGE ...] these pages fault, too; of those behind the slash the content has
 *                              changed; and a checkpoint: pages chosen, and pages compared
 *
 * SPEC is a policy with its options (policy.h). One that is wrong is {"error": ..., "column": ...}.
 * Allocations that fail are refused by design; all else that fails ends the program.
 */
#include <stdlib.h>

#include "trace.h"
#include "world.h"

struct costs {
	unsigned long copy;
	unsigned long fault;
	unsigned long compare;
};

struct outcome {
	u64 copies;
	u64 faults;
	u64 wasted;
	u64 compares;
	u64 peak_held;
	u32 hash;
};

/* FNV-1a over the four bytes of a number, the lowest first. */
static void hash_number(u32 *hash, u32 value)
{
	int shift;

	for (shift = 0; shift < 32; shift += 8)
		*hash = (*hash ^ (value >> shift & 0xff)) * 0x01000193;
}

static void print_numbers(const struct numbers *numbers)
{
	size_t i;

	putchar('[');
	for (i = 0; i < numbers->count; i++)
		printf("%s%u", i ? "," : "", numbers->at[i]);
	putchar(']');
}

static bool begin(const char *spec, const struct costs *costs)
{
	struct smc_costs told = { .copy = costs->copy, .fault = costs->fault };
	u32 column;
	int error = world_begin(spec, &told, &column);

	if (error == 0)
		return true;
	printf("{\"error\":\"%s\",\"column\":%u}\n",
	       error == -EINVAL ? "EINVAL" : error == -ENOMEM ? "ENOMEM" : "?", column);
	return false;
}

static void replay_epoch(const struct trace_epoch *epoch, struct outcome *outcome)
{
	const struct numbers *written = &epoch->written;
	size_t i, held;

	world_forget_from(epoch->pages);
	world_choose();
	hash_number(&outcome->hash, world.chosen.count);
	for (i = 0; i < world.chosen.count; i++)
		hash_number(&outcome->hash, world.chosen.at[i]);
	for (i = 0; i < written->count; i++) {
		if (!world_saved(written->at[i]))
			world_fault(written->at[i]);
		world_write(written->at[i]);
	}
	held = world.chosen.count + world.faults.count;
	outcome->copies += world.chosen.count;
	outcome->faults += world.faults.count;
	outcome->wasted += held - written->count;
	outcome->compares += world.asked.count;
	if (held > outcome->peak_held)
		outcome->peak_held = held;
}

static void replay(const struct trace *trace, const char *spec, const struct costs *costs,
		   bool choices)
{
	struct outcome outcome = { .hash = 0x811c9dc5 };
	size_t n;

	if (!begin(spec, costs))
		return;
	printf("{");
	if (choices)
		printf("\"chosen\":[");
	for (n = 0; n < trace->count; n++) {
		replay_epoch(&trace->epochs[n], &outcome);
		if (!choices)
			continue;
		if (n)
			putchar(',');
		print_numbers(&world.chosen);
	}
	if (choices)
		printf("],");
	printf("\"copies\":%llu,\"faults\":%llu,\"wasted\":%llu,\"compares\":%llu,", outcome.copies,
	       outcome.faults, outcome.wasted, outcome.compares);
	printf("\"cost\":%llu,\"peakHeld\":%llu,\"hash\":\"%08x\",\"allocations\":%lu}\n",
	       outcome.copies * costs->copy + outcome.faults * costs->fault +
	       outcome.compares * costs->compare, outcome.peak_held, outcome.hash,
	       world.allocations);
	world_end();
}

/* Reads numbers of pages up to anything else; returns where that is. */
static char *each_page(char *text, void (*handle)(u32 page))
{
	for (;;) {
		text += strspn(text, " ");
		if (*text < '0' || *text > '9')
			return text;
		handle(strtoul(text, &text, 10));
	}
}

static void step(char *text)
{
	text = each_page(text, world_fault);
	if (*text == '/')
		text = each_page(text + 1, world_write);
	if (*text)
		die("at: what is '%s'?", text);
	world_choose();
	printf("{\"chosen\":");
	print_numbers(&world.chosen);
	printf(",\"asked\":");
	print_numbers(&world.asked);
	puts("}");
}

static void obey(const char *name, char *rest, struct costs *costs, struct trace *trace)
{
	if (strcmp(name, "costs") == 0) {
		if (sscanf(rest, "%lu %lu %lu", &costs->copy, &costs->fault, &costs->compare) != 3)
			die("costs: what is '%s'?", rest);
	} else if (strcmp(name, "refuse") == 0) {
		world_refuse(strtoul(rest, NULL, 10), strchr(rest, '+'));
	} else if (strcmp(name, "trace") == 0) {
		trace_read(trace, rest);
	} else if (strcmp(name, "run") == 0 || strcmp(name, "choices") == 0) {
		replay(trace, rest, costs, name[0] == 'c');
	} else if (strcmp(name, "policy") == 0) {
		if (begin(rest, costs))
			puts("{}");
	} else if (strcmp(name, "at") == 0) {
		step(rest);
	} else if (strcmp(name, "fault") == 0) {
		each_page(rest, world_fault);
	} else if (strcmp(name, "forget") == 0) {
		each_page(rest, world_forget);
	} else {
		die("there is no command '%s'", name);
	}
}

int main(void)
{
	struct costs costs = { 1, 8, 1 };
	struct trace trace = { NULL, 0 };
	char *line = NULL, *rest;
	size_t room = 0;

	while (getline(&line, &room, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		rest = line + strcspn(line, " ");
		if (*rest)
			*rest++ = '\0';
		obey(line, rest, &costs, &trace);
	}
	world_end();
	trace_free(&trace);
	free(line);
	free(world.faults.at);
	free(world.chosen.at);
	free(world.asked.at);
	return 0;
}
