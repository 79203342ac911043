/* SPDX-License-Identifier: MIT */
/* What errors mean. The table has every pair that the module can give; the text says what to do next. */
#include <errno.h>
#include <stddef.h>

#include <smc/libsmc.h>

#define PUBLIC __attribute__((visibility("default")))

#define CALL(name) (1u << SMC_CALL_##name)
#define OPERATIONS (CALL(CHECKPOINT) | CALL(ROLLBACK))
#define NEEDS_PROCESS (OPERATIONS | CALL(HOT) | CALL(POLICY) | CALL(STAT) | CALL(DIRTY))
#define ALL ~0u

/* The first line that names the call and the error counts. */
static const struct {
	unsigned int calls;
	int error;
	const char *text;
} meanings[] = {
	{ CALL(OPEN), ENOENT, "there is no such device: load the module with \"modprobe smc\" or \"insmod smc.ko\"" },
	{ CALL(OPEN), ENXIO, "the device has no driver: load the module with \"modprobe smc\" or \"insmod smc.ko\"" },
	{ CALL(OPEN), ENODEV, "the device has no driver: load the module with \"modprobe smc\" or \"insmod smc.ko\"" },
	{ CALL(OPEN), EACCES, "the device is for root and one group: be a member of the group of the module's parameter \"group\", "
	  "or set it in /sys/module/smc/parameters/group" },
	{ CALL(OPEN), EPERM, "the device is for root and one group: be a member of the group of the module's parameter \"group\", "
	  "or set it in /sys/module/smc/parameters/group" },
	{ CALL(OPEN), EMFILE, "the process has too many open files: close some, or raise RLIMIT_NOFILE" },
	{ CALL(OPEN), ENFILE, "the system has too many open files: close some, or raise fs.file-max" },

	{ CALL(ATTACH), EPROTO, "the module has another interface version than the library: install both from the same release" },
	{ CALL(ATTACH), EBUSY, "the handle is tied already, or the process is attached: open another handle, "
	  "and use smc_join() for a process that is attached" },
	{ CALL(ATTACH), EINVAL, "an option is wrong: where error_at is not 0, the policy is, at that column; "
	  "policies are none, active-rnd, active-cks and gspec" },
	{ CALL(ATTACH), EOPNOTSUPP, "the process runs 32-bit code, whose registers cannot be restored: use its 64-bit program" },
	{ CALL(JOIN), EBUSY, "the handle is tied already: use smc_detach() first, or open another" },
	{ CALL(JOIN), ENOTCONN, "the process is not attached: use smc_attach(), or start it with \"smcctl run\"" },
	{ CALL(JOIN), EINVAL, "this is no process number: give a positive one, or 0 for the caller" },
	{ CALL(ATTACH) | CALL(JOIN), ESRCH, "there is no such process, or it has ended: look at its number (of the process, not of a thread)" },
	{ CALL(ATTACH) | CALL(JOIN), EPERM, "the process is not a descendant that the caller could trace: call as its ancestor, "
	  "or with CAP_SYS_PTRACE" },

	{ CALL(CHECKPOINT), ENOMEM, "the limit, or the kernel's memory, is too small for the checkpoint, and the old one stands: attach "
	  "with a higher limit, or take checkpoints more often" },
	{ CALL(CHECKPOINT), ETIMEDOUT, "a thread did not stop in time (it sleeps uninterruptibly, is stopped by a signal or a debugger, or "
	  "waits for a vfork child), and the old checkpoint stands: try again, or raise the module's parameter \"stop_timeout_ms\"" },
	{ CALL(ROLLBACK), ENODATA, "there is no checkpoint: call smc_checkpoint() first" },
	{ CALL(ROLLBACK), EINVAL, "the value is wrong: give 1 to INT_MAX" },
	{ CALL(ROLLBACK), ESTALE, "the process cannot be rolled back to this checkpoint any more: the limit or the kernel's memory was too small "
	  "for a pre-image (raise the limit, or take checkpoints more often), or a thread of the checkpoint has ended" },
	{ CALL(ROLLBACK), ENOMEM, "the kernel's memory is too small for the rollback, and nothing was changed: free some and try again" },
	{ CALL(ROLLBACK), ETIMEDOUT, "a thread did not stop in time (it sleeps uninterruptibly, is stopped by a signal or a debugger, or "
	  "waits for a vfork child), and nothing was changed: try again, or raise the module's parameter \"stop_timeout_ms\"" },
	{ OPERATIONS, EBUSY, "another process shares the memory (vfork, or clone with CLONE_VM): try again when it has called exec or ended" },
	{ OPERATIONS, EOPNOTSUPP, "the process has threads of io_uring, which cannot be stopped: have it use another interface" },
	{ OPERATIONS, EINTR, "the caller is being killed, and nothing was done: there is nothing to do" },

	{ CALL(HOT), EINVAL, "the range is not of user addresses: look at addr and len" },
	{ CALL(HOT), ENOMEM, "the limit is too small for records of so many pages: hint at fewer, or attach with a higher limit" },
	{ CALL(POLICY), EINVAL, "the policy is wrong at column error_at: policies are none, active-rnd, active-cks and gspec" },
	{ CALL(POLICY) | CALL(ATTACH), ENOMEM, "the kernel's memory is too small: free some and try again" },
	{ CALL(DIRTY), ENOMEM, "the kernel's memory is too small for the list: ask for fewer pages" },

	{ CALL(DETACH), ENOTCONN, "the handle is tied to no process: there is nothing to detach" },
	{ NEEDS_PROCESS, ENOTCONN, "the handle is tied to no process: call smc_attach() or smc_join() first" },
	{ NEEDS_PROCESS, EOWNERDEAD, "the process is gone, has called exec, or was detached by its owner: attach it, or its successor, "
	  "with a new handle" },
	{ NEEDS_PROCESS | CALL(DETACH), EPERM, "the handle was opened by another process: a child must open a handle of its own" },

	{ ALL, EFAULT, "an argument points to memory that is not there: look at the pointers" },
	{ ALL, EBADF, "the handle is not open: use what smc_open() returned, and look for code that closes every descriptor" },
	{ ALL, ENOTTY, "the descriptor is not a handle, or the module is older than the library: use what smc_open() returned" },
};

PUBLIC const char *smc_strerror(enum smc_call call, int error)
{
	if (error == 0)
		return "no error";
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].error == error && meanings[i].calls & 1u << call)
			return meanings[i].text;
	return "the call gives no such error: look it up in errno(3), and tell the authors of smc where the call gave it";
}
