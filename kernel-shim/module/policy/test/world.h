/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What surrounds a policy where there is no kernel: memory that can be refused, and pages.
 *
 *   world_fault(3)  world_fault(7)  world_choose()  ->  chosen[0 ... nchosen - 1], checked
 *
 * A page has a record from its first fault until it is forgotten. Records are allocated one by
 * one and freed, so that AddressSanitizer sees a policy that keeps a page which is gone. After
 * every choice all that policy.h promises is checked; a broken promise ends the program.
 */
#ifndef SMC_TEST_WORLD_H
#define SMC_TEST_WORLD_H

#include <stdio.h>
#include <stdnoreturn.h>

#include "../policy.h"

/* Ends the program with a message. */
#define die(...) (fprintf(stderr, __VA_ARGS__), world_die())

noreturn void world_die(void);

/* Memory or the end of the program; not what policies get. */
void *need(void *old, size_t bytes);

/* Numbers of pages. */
struct numbers {
	u32 *at;
	size_t count;
	size_t room;
};

void numbers_add(struct numbers *numbers, u32 number);

struct world {
	u32 epoch;		/* checkpoints so far */
	struct numbers faults;	/* of this epoch, in order */
	size_t gone;		/* faults of pages that were forgotten since */
	struct numbers chosen;	/* at the last checkpoint, in order */
	struct numbers asked;	/* pages that were compared at it, in order */
	unsigned long allocations;	/* that the policy asked for */
};

extern struct world world;

/* Refuses the nth allocation of each policy from its making on, or all from there; 0: none. */
void world_refuse(unsigned long nth, bool onwards);

/* Begins with a new policy. As smc_policy_make. */
int world_begin(const char *spec, const struct smc_costs *costs, u32 *column);

/* Ends it. Dies where it kept memory. */
void world_end(void);

/* Whether this epoch saved a page: it was chosen, or it faulted. */
bool world_saved(u32 page);

/* A page faults. */
void world_fault(u32 page);

/* A page has another content than its pre-image. */
void world_write(u32 page);

/* Pages go away: one, or all from a number on. */
void world_forget(u32 page);
void world_forget_from(u32 page);

/* A checkpoint. */
void world_choose(void);

#endif
