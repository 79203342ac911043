// SPDX-License-Identifier: GPL-2.0
/*
 * smc: speculative memory checkpointing, for processes that know nothing of it.
 *
 * THE IDEA. At a checkpoint, the pages that a process could write are write-protected. The
 * first write to a page faults; before the kernel handles the fault as it would have anyway,
 * the page is copied: its pre-image. A rollback puts the pre-images back. So a checkpoint costs
 * what was written since the last one, and not what the process has. Copying on a fault costs
 * several times what copying does, therefore pages that will probably be written are copied at
 * the checkpoint and stay writable: speculation. A policy chooses them (policy/).
 *
 * Memory stays the process' own, ordinary memory: heap, stack, data, private mappings of files.
 * What is saved is decided by the fault, whoever causes it: the process, or the kernel for it
 * (read() into a buffer), or a debugger.
 *
 * A PAGE in an epoch, which is the time from one checkpoint to the next:
 *
 *                  a write fault, or it is about to be unmapped or moved
 *      PROTECTED -------------------------------------------------------> SAVED
 *      not in the list,                                                   in the list,
 *      not writable                                                       pre-image kept: a copy,
 *          ^                                                              a swap slot, or "absent";
 *          |                                                              may be writable
 *          |          checkpoint, not chosen                                 |      |
 *          +-----------------------------------------------------------------+      |
 *                     checkpoint, chosen: copied ahead, stays SAVED  <--------------+
 *
 *      The invariant: a page that is not in the list of saved pages is not writable, at its address
 *      or at any other that its entry is moved to; nor is its entry dirty, by which mprotect()
 *      would make it writable without a fault.
 *
 * THE PARTS.
 *      device.c       /dev/smc: who may call, arguments, a thread that carries an operation out
 *      permission.c   whom a caller may touch
 *      attach.c       contexts, one for each watched process
 *      hook.c         ftrace on handle_mm_fault() and move_page_tables()
 *      fault.c        what is done before the kernel handles a write fault
 *      unmap.c        what is done before pages are unmapped (mmu notifier) or moved
 *      save.c         saving one page; all of these end here
 *      pages.c        records of pages, buffers, the limit
 *      ptes.c         page table entries
 *      threads.c      stopping all threads; their registers
 *      checkpoint.c   speculate.c  sweep.c      a checkpoint
 *      rollback.c     map.c                     a rollback
 *
 * LOCKS, outermost first.
 *      handle->lock        which context a handle is tied to
 *      context->operation  one checkpoint, rollback or change of policy at a time. A thread that
 *                          waits for it can be stopped by the thread that has it
 *      (all other threads stopped: threads.c)
 *      mm->mmap_lock       a checkpoint holds it for writing, so that no fault is between saving a
 *                          page and making it writable; faults and most unmappings hold it for
 *                          reading
 *      context->lock       records, lists and buffers, among faults of several threads. Nothing is
 *                          allocated under it
 *      page table locks
 *      The hash table of contexts: RCU to read, a spinlock to change.
 *
 * NOT COVERED. Shared memory, hugetlb and device mappings are left alone. Files, sockets,
 * descriptors, signals pending, timers: what is outside of memory and registers is not undone.
 * Writes that go around page tables: DMA and the kernel's own through pages pinned before the
 * checkpoint (O_DIRECT reads, io_uring's fixed buffers, vmsplice). A child is not attached:
 * fork gives it memory as it is. A file that is truncated takes the private pages behind its
 * new end along. threads.c and map.c say what of threads and mappings is not restored. 32-bit
 * processes are refused. Huge pages are split, and none are made while a process is attached,
 * nor in children that it makes then.
 *
 * One kernel: Debian's 6.1 on x86-64. Functions that are not exported are found by name when it
 * is loaded (symbols.c), and what handle_mm_fault begins with is looked at (hook.c); the module
 * is refused where something is not as expected.
 *
 * After: Vogt et al., Speculative Memory Checkpointing, Middleware 2015.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/utsname.h>
#include <linux/version.h>
#include "smc_internal.h"

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0) || LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#error "smc knows the memory management of Linux 6.1 only"
#endif
#ifndef CONFIG_X86_64
#error "smc knows page tables and registers of x86-64 only"
#endif

unsigned int smc_stop_timeout_ms = 1000;
module_param_named(stop_timeout_ms, smc_stop_timeout_ms, uint, 0644);
MODULE_PARM_DESC(stop_timeout_ms, "milliseconds that a checkpoint waits for all threads to stop");

unsigned long smc_default_limit = 256UL << 20;
module_param_named(limit, smc_default_limit, ulong, 0644);
MODULE_PARM_DESC(limit, "bytes of kernel memory that a process may hold, unless it says otherwise");

int smc_group = -1;
module_param_named(group, smc_group, int, 0644);
MODULE_PARM_DESC(group, "number of the group that may open /dev/smc beside root; -1: none");

unsigned int smc_fault_cost = 8;
module_param_named(fault_cost, smc_fault_cost, uint, 0644);
MODULE_PARM_DESC(fault_cost, "what a write fault costs, in copies of a page; for new policies");

atomic64_t smc_held_total = ATOMIC64_INIT(0);

static int held_get(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%lld\n", atomic64_read(&smc_held_total));
}

static const struct kernel_param_ops held_ops = { .get = held_get };
module_param_cb(held, &held_ops, NULL, 0444);
MODULE_PARM_DESC(held, "bytes of kernel memory that all attached processes hold now");

static int __init smc_init(void)
{
	int r;

	if (strncmp(utsname()->release, "6.1.", 4)) {
		pr_err("made for Linux 6.1, and this is %s: not loaded\n", utsname()->release);
		return -ENODEV;
	}
	r = smc_find_symbols();
	if (!r)
		r = smc_hook_check();
	if (!r)
		r = smc_pages_init();
	if (r)
		return r;
	r = misc_register(&smc_device);
	if (r)
		smc_pages_exit();
	return r;
}

/*
 * Handles, and work that threads have yet to do, hold references to the module: nothing is
 * attached here.
 */
static void __exit smc_exit(void)
{
	misc_deregister(&smc_device);
	smc_hook_drain();
	rcu_barrier();
	smc_pages_exit();
}

module_init(smc_init);
module_exit(smc_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Speculative memory checkpointing of processes");
