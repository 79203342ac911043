/* SPDX-License-Identifier: MIT */
/*
 * The calls. Each is one ioctl; see smc/libsmc.h for what they mean.
 *
 * smc_checkpoint() is an ordinary function, though it returns again when its frame is long gone: a rollback restores the stack,
 * the frame and its return address with it, before the registers that point there.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <smc/libsmc.h>

#define PUBLIC __attribute__((visibility("default")))

PUBLIC const char *smc_version(void)
{
	return SMC_VERSION;
}

PUBLIC int smc_open(const char *device)
{
	return open(device ? device : SMC_DEVICE, O_RDWR | O_CLOEXEC);
}

/* Copies a policy's text into a field of the interface. A text that is too long is a mistake at its first column too many. */
static int spec_copy(char field[SMC_SPEC_LEN], const char *spec, unsigned int *error_at)
{
	size_t length = spec ? strlen(spec) : 0;

	if (length >= SMC_SPEC_LEN) {
		*error_at = SMC_SPEC_LEN;
		errno = EINVAL;
		return -1;
	}
	memset(field, 0, SMC_SPEC_LEN);
	if (length)
		memcpy(field, spec, length);
	return 0;
}

PUBLIC int smc_attach(int handle, pid_t pid, struct smc_options *options)
{
	static const struct smc_options defaults;
	struct smc_options o = options ? *options : defaults;
	struct smc_attach a = { .abi = SMC_ABI, .pid = pid, .limit = o.limit };
	int r;

	o.error_at = 0;
	r = spec_copy(a.policy, o.policy, &o.error_at);
	if (!r) {
		r = ioctl(handle, SMC_IOC_ATTACH, &a);
		o.error_at = r ? a.error_at : 0;
	}
	if (options)
		options->error_at = o.error_at;
	return r;
}

PUBLIC int smc_join(int handle, pid_t pid)
{
	__s32 p = pid;

	return ioctl(handle, SMC_IOC_JOIN, &p);
}

PUBLIC int smc_detach(int handle)
{
	return ioctl(handle, SMC_IOC_DETACH);
}

PUBLIC int smc_close(int handle)
{
	return close(handle);
}

PUBLIC int smc_checkpoint(int handle)
{
	return ioctl(handle, SMC_IOC_CHECKPOINT, 0UL);
}

PUBLIC int smc_rollback(int handle, int value)
{
	if (value < 1) {	/* as an unsigned long it might be taken for a great one */
		errno = EINVAL;
		return -1;
	}
	return ioctl(handle, SMC_IOC_ROLLBACK, (unsigned long)value);
}

static int hot(int handle, const void *addr, size_t len, __u32 what)
{
	struct smc_hot h = { .addr = (uintptr_t)addr, .len = len, .what = what };

	return ioctl(handle, SMC_IOC_HOT, &h);
}

PUBLIC int smc_hot_add(int handle, const void *addr, size_t len)
{
	return hot(handle, addr, len, SMC_HOT_ADD);
}

PUBLIC int smc_hot_next(int handle, const void *addr, size_t len)
{
	return hot(handle, addr, len, SMC_HOT_NEXT);
}

PUBLIC int smc_hot_clear(int handle, const void *addr, size_t len)
{
	return hot(handle, addr, len, SMC_HOT_CLEAR);
}

PUBLIC int smc_policy(int handle, const char *spec, unsigned int *error_at)
{
	struct smc_policy_spec s = { 0 };
	unsigned int at = 0;
	int r = spec_copy(s.spec, spec, &at);

	if (!r) {
		r = ioctl(handle, SMC_IOC_POLICY, &s);
		at = r ? s.error_at : 0;
	}
	if (error_at)
		*error_at = at;
	return r;
}

PUBLIC int smc_stat(int handle, struct smc_stat *stat)
{
	return ioctl(handle, SMC_IOC_STAT, stat);
}

PUBLIC ssize_t smc_dirty(int handle, uint64_t *addrs, size_t max)
{
	struct smc_dirty d = { .addrs = (uintptr_t)addrs, .max = max };

	if (ioctl(handle, SMC_IOC_DIRTY, &d))
		return -1;
	return d.count > SSIZE_MAX ? SSIZE_MAX : (ssize_t)d.count;
}
