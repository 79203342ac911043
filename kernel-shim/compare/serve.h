/* SPDX-License-Identifier: MIT */
/* What compare_server and the library in the server tell each other, in a file that both map. */
#ifndef SERVE_H
#define SERVE_H

#include <stdint.h>

#include "mechanism.h"

#define SERVE_FILE "/dev/shm/compare-serve"
#define SERVE_EPOCHS 4096
#define SERVE_PAGES (1 << 20)
#define SERVE_TOLD (1 << 16)

struct serving {
	/* compare_server says: */
	char way[32];			/* a mechanism's name, or "record" */
	volatile int attach;		/* take a checkpoint at every request from the next on */
	volatile int ask;		/* raised to be given statistics with the next request */

	/* the library says: */
	volatile int attached, answered;
	char unavailable[160];		/* why the way cannot be gone */
	uint64_t epochs;
	uint64_t told;			/* instructions that foretell() took */
	uint64_t missed;		/* pages of the recording that this process does not have */
	uint64_t areas, pages, rest;	/* watched: areas, their pages; pages that are copied each time because they cannot be watched */
	struct mechanism_statistics statistics;
	unsigned char *told_pages[SERVE_TOLD];

	/* The recording: pages written in each epoch, ascending. */
	uint64_t recorded;		/* epochs */
	uint64_t offsets[SERVE_EPOCHS + 1];
	uint64_t page[SERVE_PAGES];
};

#endif
