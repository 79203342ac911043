/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * smc: checkpoints of a process as a kernel primitive. What /dev/smc understands.
 *
 * One open file of /dev/smc is a handle. A handle is tied to one process, by SMC_IOC_ATTACH
 * (which begins to watch the process: the handle owns the attachment, and closing it ends it)
 * or by SMC_IOC_JOIN (which finds a process that is attached already). Every other call acts on
 * that process.
 *
 * A caller may name itself, a descendant of its own that it could trace, or, with
 * CAP_SYS_PTRACE, any process. libsmc (smc/libsmc.h) wraps these calls; its manual pages say
 * what each does, smc(7) what they mean together.
 */
#ifndef _UAPI_SMC_H
#define _UAPI_SMC_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Changes whenever a struct or a meaning below does. SMC_IOC_ATTACH refuses another one with
 * EPROTO.
 */
#define SMC_ABI 1

#define SMC_SPEC_LEN 160

/*
 * Attaches a process. Until its first checkpoint nothing is protected or saved.
 *
 * errors: EPROTO another ABI; ESRCH no such process; EPERM not the caller's to touch; EBUSY the
 * handle is tied already, or the process is attached, or ftrace is off; EOPNOTSUPP a 32-bit
 * process; EINVAL a wrong field or policy (see error_at); ENOMEM.
 */
struct smc_attach {
	__u32 abi;		/* SMC_ABI */
	__s32 pid;		/* 0: the caller */
	__u64 limit;		/* bytes that the process may hold, 0: the default */
	__u32 flags;		/* 0 */
	__u32 error_at;		/* out, with EINVAL: column of the mistake in policy, from 1 */
	char policy[SMC_SPEC_LEN];	/* NAME[:option=value,...], "" for none */
};

/* Changes the policy, as in smc_attach. The old policy's memory of pages is lost. */
struct smc_policy_spec {
	__u32 error_at;		/* out, as above */
	__u32 reserved;		/* 0 */
	char spec[SMC_SPEC_LEN];
};

/* What SMC_IOC_HOT does with its range of pages. */
#define SMC_HOT_ADD	0	/* copy them ahead at every checkpoint from now on */
#define SMC_HOT_NEXT	1	/* copy them ahead at the next checkpoint only */
#define SMC_HOT_CLEAR	2	/* forget what SMC_HOT_ADD and SMC_HOT_NEXT said of them */

/*
 * errors: EINVAL a wrong field, or not all of it user space; ENOMEM more than the limit has
 * room for.
 */
struct smc_hot {
	__u64 addr;		/* of the first page; rounded down */
	__u64 len;		/* bytes; rounded up */
	__u32 what;		/* SMC_HOT_* */
	__u32 reserved;		/* 0 */
};

/* Counters since the attachment, unless they say otherwise. Pages are of 4096 bytes. */
struct smc_stat {
	__u64 epoch;		/* checkpoints taken */
	__u64 rollbacks;	/* rollbacks carried out */
	__u64 dirty;		/* pages saved in this epoch (gauge) */
	__u64 faults;		/* write faults that had to save a page */
	__u64 copied;		/* pages copied by a fault */
	__u64 absent;		/* pages saved without a copy: nothing was there yet */
	__u64 unmapped;		/* pages saved because they were about to be unmapped */
	__u64 ahead;		/* pages copied ahead at a checkpoint */
	__u64 compares;		/* pages compared with their pre-image for a policy */
	__u64 protected_pages;	/* pages write-protected at checkpoints */
	__u64 restored;		/* pages put back by rollbacks */
	__u64 remapped;		/* rollbacks that had to change the memory map */
	__u64 held;		/* bytes of kernel memory held (gauge) */
	__u64 held_peak;	/* the most it ever was */
	__u64 limit;		/* bytes it may be */
	__u64 threads;		/* threads that the checkpoint has registers of (gauge) */
	__u64 flushes;		/* TLB flushes at checkpoints */
	char policy[SMC_SPEC_LEN];	/* as it was given */
};

/* Lists the pages saved in this epoch, in the order in which they were. */
struct smc_dirty {
	__u64 addrs;		/* pointer to room for max addresses (__u64 each) */
	__u64 max;
	__u64 count;		/* out: how many there are; more than max is not an error */
};

#define SMC_IOC_ATTACH	_IOWR('S', 0x40, struct smc_attach)
#define SMC_IOC_JOIN	_IOW('S', 0x41, __s32)
#define SMC_IOC_DETACH	_IO('S', 0x42)
/*
 * A checkpoint of the tied process: memory, memory map, and every thread's registers, FPU state
 * and signal mask included. Called by a thread of that process it returns 0, and once more, with
 * the value of the rollback, for each rollback.
 *
 * errors: ENOTCONN nothing tied; EOWNERDEAD the process is gone or has called exec; ENOMEM the
 * limit, or memory, is too small (the old checkpoint stands); ETIMEDOUT a thread did not reach
 * a safe point (the old checkpoint stands); EBUSY another process shares the memory, as after
 * vfork; EOPNOTSUPP io_uring has a thread in the process; EINTR the caller is being killed.
 */
#define SMC_IOC_CHECKPOINT _IO('S', 0x43)
/*
 * Rolls the tied process back to its checkpoint. The argument is what SMC_IOC_CHECKPOINT then
 * returns, 1 to INT_MAX. Does not return to a caller in the same process.
 *
 * errors: those of SMC_IOC_CHECKPOINT; ENODATA no checkpoint; EINVAL a wrong value; ESTALE a
 * pre-image was lost, because the limit or memory was too small for it, or a thread of the
 * checkpoint has ended: it cannot be rolled back.
 */
#define SMC_IOC_ROLLBACK _IO('S', 0x44)
#define SMC_IOC_HOT	_IOW('S', 0x45, struct smc_hot)
#define SMC_IOC_POLICY	_IOWR('S', 0x46, struct smc_policy_spec)
#define SMC_IOC_STAT	_IOR('S', 0x47, struct smc_stat)
#define SMC_IOC_DIRTY	_IOWR('S', 0x48, struct smc_dirty)

#endif
