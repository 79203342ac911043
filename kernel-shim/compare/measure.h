/* SPDX-License-Identifier: MIT */
/*
 * The clock of the measuring programs: the time stamp counter. In a machine that runs with `-icount shift=0` it counts the guest's
 * instructions, one by one, whoever carries them out; elsewhere it counts cycles.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdint.h>
#include <x86intrin.h>

static inline uint64_t now(void)
{
	uint64_t t;

	__asm__ __volatile__("" ::: "memory");
	t = __rdtsc();
	__asm__ __volatile__("" ::: "memory");
	return t;
}

#endif
