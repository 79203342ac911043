/* SPDX-License-Identifier: MIT */
/*
 * Ways to take checkpoints of a process' memory, behind one interface: what compare_test tests and compare_bench measures.
 *
 *      mechanism       sees a write by                         copies
 *      none            -                                       nothing; what the others are compared with
 *      eager           being told beforehand (an oracle)       the pages that will be written, in user space
 *      full-copy       -                                       everything, at each checkpoint
 *      fork            the kernel's copy-on-write              a page in the fault; the page tables at each checkpoint
 *      mprotect        SIGSEGV                                 a page in the signal handler
 *      uffd-sigbus     userfaultfd, SIGBUS                     a page in the signal handler
 *      uffd-thread     userfaultfd, a thread that reads it     a page in that thread
 *      soft-dirty      the page tables' soft-dirty bit         into a second image, what was written in the epoch that ends
 *      smc             the module                              a page in the fault
 *      smc-active-rnd, smc-active-cks, smc-gspec               ... or at the checkpoint, what the policy chooses
 *      smc-oracle      being told beforehand, as eager         ... or at the checkpoint, the pages that will be written
 *
 * All watch areas that they are given; fork and smc, which cannot do with less, the whole process.
 *
 * A ROLLBACK ends in one of two ways. Those that restore areas only return from rollback(). Those that restore the whole process (.again) go
 * on as if checkpoint() had returned once more, now with 1. A caller that serves both:
 *
 *      if (m->checkpoint() == 0) {
 *              ...
 *              if (failed)
 *                      m->rollback();
 *      }
 *      both arrive here
 *
 * The same checkpoint can be returned to any number of times.
 */
#ifndef MECHANISM_H
#define MECHANISM_H

#include <stdbool.h>
#include <stddef.h>

#define PAGE 4096UL

/* Whole pages, readable and writable, private, and not of huge pages. */
struct area {
	unsigned char *start;
	size_t pages;
};

/* Counted since attach(). */
struct mechanism_statistics {
	unsigned long checkpoints, rollbacks;
	unsigned long faults;	/* writes that were caught; 0 where only the kernel knows */
	unsigned long copied;	/* pages copied, whenever; 0 where only the kernel knows */
	unsigned long ahead;	/* those of them that were copied at a checkpoint because they would be written */
	size_t held;		/* bytes of pre-images, at the time of the call */
};

struct mechanism {
	const char *name;
	bool told;		/* foretell() has to be called before each checkpoint() */
	bool again;		/* a rollback returns from checkpoint() */
	bool kernel_writes;	/* sees what the kernel writes into the areas; otherwise such a call fails with EFAULT */

	/*
	 * Begins to watch n areas, which lie in ascending order; once in a process. NULL, or why it cannot be done on this machine. What goes
	 * wrong later ends the process.
	 */
	const char *(*attach)(const struct area *areas, size_t n);
	/* The pages that will be written in the epoch that begins next, ascending; the list has to live as long. */
	void (*foretell)(unsigned char *const *pages, size_t n);
	int (*checkpoint)(void);
	/* NULL where there is nothing to return to. */
	void (*rollback)(void);
	/* Ends watching; memory stays as it is, and writable. */
	void (*detach)(void);
	void (*statistics)(struct mechanism_statistics *s);
};

extern const struct mechanism *const mechanisms[];	/* ends with NULL */

/* NULL where there is none of this name. */
const struct mechanism *mechanism_named(const char *name);

#endif
