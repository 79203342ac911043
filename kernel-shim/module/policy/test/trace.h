/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reads traces of written pages: docs/trace-format.md has every byte. Believes nothing; what is
 * no trace ends the program.
 */
#ifndef SMC_TEST_TRACE_H
#define SMC_TEST_TRACE_H

#include "world.h"

struct trace_epoch {
	u32 pages;		/* of memory */
	u32 kind;
	struct numbers written;	/* ascending */
};

struct trace {
	struct trace_epoch *epochs;
	size_t count;
};

void trace_read(struct trace *trace, const char *path);
void trace_free(struct trace *trace);

#endif
