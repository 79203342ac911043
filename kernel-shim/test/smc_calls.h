/* SPDX-License-Identifier: MIT */
/* The module's calls as they are, without libsmc: what is tested with this is the module. Errors are negative errno values. */
#ifndef SMC_CALLS_H
#define SMC_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../module/uapi/smc.h"

static inline long smc_call(int fd, unsigned long call, void *argument)
{
	int r = ioctl(fd, call, argument);

	return r < 0 ? -errno : r;
}

static inline int smc_device(void)
{
	int fd = open("/dev/smc", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		perror("/dev/smc");
		_exit(2);
	}
	return fd;
}

static inline long smc_try_attach(int fd, pid_t pid, unsigned long limit, const char *policy)
{
	struct smc_attach a = { .abi = SMC_ABI, .pid = pid, .limit = limit };

	strncpy(a.policy, policy, sizeof(a.policy) - 1);
	return smc_call(fd, SMC_IOC_ATTACH, &a);
}

/* A handle that is attached to the caller; ends the program where that fails. */
static inline int smc_self(unsigned long limit, const char *policy)
{
	int fd = smc_device();
	long r = smc_try_attach(fd, 0, limit, policy);

	if (r) {
		fprintf(stderr, "attach: %s\n", strerror(-r));
		_exit(2);
	}
	return fd;
}

/* Returns 0, and again the value of each rollback. */
static inline long smc_take(int fd)
{
	return smc_call(fd, SMC_IOC_CHECKPOINT, NULL);
}

static inline long smc_back(int fd, long value)
{
	return smc_call(fd, SMC_IOC_ROLLBACK, (void *)value);
}

static inline struct smc_stat smc_statistics(int fd)
{
	struct smc_stat s;
	long r = smc_call(fd, SMC_IOC_STAT, &s);

	if (r) {
		fprintf(stderr, "stat: %s\n", strerror(-r));
		_exit(2);
	}
	return s;
}

static inline long smc_hint(int fd, const void *addr, size_t len, int what)
{
	struct smc_hot hot = { .addr = (unsigned long)addr, .len = len, .what = what };

	return smc_call(fd, SMC_IOC_HOT, &hot);
}

/* Bytes that the module holds for all processes. */
static inline long smc_held(void)
{
	FILE *file = fopen("/sys/module/smc/parameters/held", "r");
	long held = -1;

	if (file) {
		if (fscanf(file, "%ld", &held) != 1)
			held = -1;
		fclose(file);
	}
	return held;
}

#endif
