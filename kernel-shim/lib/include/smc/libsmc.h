/* SPDX-License-Identifier: MIT */
/*
 * libsmc: checkpoints of a process, its own or another, through the kernel module smc.
 *
 *	int handle = smc_open(NULL);
 *	smc_attach(handle, 0, NULL);
 *
 *	if (smc_checkpoint(handle) == 0)
 *		try_something();		// may call smc_rollback(handle, 7), also from a signal handler
 *	else
 *		...				// memory and registers are as they were; the call returned 7
 *
 * Every function that can fail returns -1 and sets errno; smc_strerror() says what an error of a call means, and what to do
 * about it. All are thread-safe and async-signal-safe: each is one system call.
 *
 * Needs: Linux 6.1 on x86-64 with the module loaded, and a C11 or C++11 compiler. Manual pages: smc(7), and one for
 * each function. The idea: Vogt et al., Speculative Memory Checkpointing, Middleware 2015.
 */
#ifndef SMC_LIBSMC_H
#define SMC_LIBSMC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "uapi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SMC_VERSION_MAJOR 0
#define SMC_VERSION_MINOR 1
#define SMC_VERSION "0.1.0"

/* The device that smc_open(NULL) opens. */
#define SMC_DEVICE "/dev/smc"

/* Version of the library that runs, which is SMC_VERSION of the one that was compiled against or a later one. */
const char *smc_version(void);

/* ------------------------------------------------------------------ handles */

/*
 * Opens a handle: a file descriptor that is closed by exec. A handle serves for one process; it is tied to it
 * with smc_attach() or smc_join().
 *
 * device: path of the device; NULL: SMC_DEVICE.
 * A child that inherits a handle may close it and nothing else.
 */
int smc_open(const char *device);

/* What smc_attach() may be told. All zero: the defaults. */
struct smc_options {
	/*
	 * Which pages are copied ahead at a checkpoint, so that the first write to them costs no fault: NAME[:option=value,...].
	 * NULL or "": none are. Names and options: smc(7).
	 */
	const char *policy;
	/* Bytes of kernel memory that pre-images, and what belongs to them, may take. 0: the module's parameter "limit". */
	uint64_t limit;
	/* Out, where errno is EINVAL: the column of the mistake in the policy, from 1; 0: the mistake is not in the policy. */
	unsigned int error_at;
};

/*
 * Attaches a process: from now on it can have checkpoints. Nothing is saved or protected before the first. The handle owns the
 * attachment, which ends with smc_detach(), with smc_close(), and when the process ends or calls exec.
 *
 * pid: of the caller itself (0 does, too), of a descendant that it could trace, or, with CAP_SYS_PTRACE, of any.
 * options: NULL for the defaults.
 */
int smc_attach(int handle, pid_t pid, struct smc_options *options);

/*
 * Ties a handle to a process that is attached already, by whomever. Such a handle can do what the owner's can, but its end
 * leaves the attachment as it is.
 */
int smc_join(int handle, pid_t pid);

/* Ends what smc_attach() or smc_join() began. The checkpoint is lost, and the process goes on undisturbed. */
int smc_detach(int handle);

/* Closes a handle; the same as close(2). */
int smc_close(int handle);

/* ------------------------------------------------------------------ checkpoints */

/*
 * Takes a checkpoint of the process: all of its ordinary private memory, its memory map, and every thread's registers. It takes the
 * place of the one before.
 *
 * RETURNS TWICE. For a caller in the process itself it returns 0, and once more for each rollback, then the rollback's value.
 * Unlike setjmp(3):
 *   - Every byte of the stack is as it was, so the function that called it may have returned, and so may this one: the frames
 *     that were overwritten since are there again.
 *   - Local variables have the values that they had, whether volatile or not and whether in registers or not. For the compiler it
 *     is an ordinary call, which returns with another value in another history.
 *   - Every other thread is at the point where it was, too.
 * What is to be known after a rollback must lie outside of what it restores: in a shared mapping (MAP_SHARED), a file, a pipe.
 * The exception: a caller whose own stack lies in shared memory must not return from the calling function.
 *
 * For another process, which is stopped for it, it returns 0 once.
 * Where it fails the old checkpoint stands.
 */
int smc_checkpoint(int handle);

/*
 * Rolls the process back to its checkpoint. The checkpoint stays, and can be rolled back to again.
 *
 * value: what smc_checkpoint() returns then, 1 to INT_MAX.
 * Does not return to a caller in the same process; returns 0 to one in another. Where it fails nothing was changed. May be
 * called in a signal handler, on an alternate stack too.
 */
int smc_rollback(int handle, int value);

/* ------------------------------------------------------------------ speculation */

/*
 * Hints: pages that the caller knows will be written. smc_hot_add(): copied ahead at every checkpoint from now on.
 * smc_hot_next(): at the next only. smc_hot_clear() takes both back. Policies choose besides.
 *
 * addr, len: bytes; all pages (of 4096) that they touch. A page that is not mapped is left out when the checkpoint comes.
 */
int smc_hot_add(int handle, const void *addr, size_t len);
int smc_hot_next(int handle, const void *addr, size_t len);
int smc_hot_clear(int handle, const void *addr, size_t len);

/*
 * Changes the policy, from the next checkpoint on. What the old one had learnt is lost.
 *
 * spec: as smc_options.policy. error_at: as smc_options.error_at; may be NULL.
 */
int smc_policy(int handle, const char *spec, unsigned int *error_at);

/* ------------------------------------------------------------------ looking */

/* Counters of the process; smc/uapi.h says what each counts. */
int smc_stat(int handle, struct smc_stat *stat);

/*
 * Lists the pages that were saved in this epoch: addresses, in the order in which they were saved.
 *
 * addrs: room for max of them; NULL where max is 0.
 * Returns how many there are, which may be more than max.
 */
ssize_t smc_dirty(int handle, uint64_t *addrs, size_t max);

/* ------------------------------------------------------------------ errors */

/* The calls, for smc_strerror(). */
enum smc_call {
	SMC_CALL_OPEN,
	SMC_CALL_ATTACH,
	SMC_CALL_JOIN,
	SMC_CALL_DETACH,
	SMC_CALL_CHECKPOINT,
	SMC_CALL_ROLLBACK,
	SMC_CALL_HOT,
	SMC_CALL_POLICY,
	SMC_CALL_STAT,
	SMC_CALL_DIRTY,
};

/*
 * What an error of a call means, and what to do about it: one line of English without a full stop. The text is constant.
 *
 * call: the call that failed. error: its errno.
 */
const char *smc_strerror(enum smc_call call, int error);

#ifdef __cplusplus
}
#endif

#endif
