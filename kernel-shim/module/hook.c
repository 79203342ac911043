// SPDX-License-Identifier: GPL-2.0
/*
 * The hook on handle_mm_fault(). ftrace calls us at its first instruction; for a write fault of an attached process we
 * let it return into our own handler, which calls the real function past that instruction.
 *
 *   page fault, copy_to_user, get_user_pages
 *     handle_mm_fault:  call <ftrace> -> redirect()      not attached, or a read: goes on
 *                       ...                    \-> handle_fault() -> smc_before_write()
 *                       ^----------------------------- smc_call_handle_mm_fault()
 *
 * The hook is in place only while some process is attached.
 *
 * Unloading: the function may sleep, so a thread can be anywhere in handle_fault() when the hook is taken away. redirect()
 * counts it before it gets there, under ftrace's protection (unregister_ftrace_function() waits for threads in redirect()), and
 * handle_fault() uncounts it last. What then remains are the few instructions from there to the return; synchronize_rcu_tasks() waits
 * until each thread has been outside of the kernel, or has gone to sleep, of its own will.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/ftrace.h>
#include <linux/rcupdate.h>
#include "smc_internal.h"

static DEFINE_MUTEX(hook_lock);
static unsigned int hook_users;
static atomic_t handling = ATOMIC_INIT(0);
static unsigned long hook_address;	/* of the call to ftrace in handle_mm_fault */

static vm_fault_t (*real_handle_mm_fault)(struct vm_area_struct *vma, unsigned long addr,
					  unsigned int flags, struct pt_regs *regs);

vm_fault_t smc_call_handle_mm_fault(struct vm_area_struct *vma, unsigned long addr,
				    unsigned int flags, struct pt_regs *regs)
{
	return real_handle_mm_fault(vma, addr, flags, regs);
}

static vm_fault_t handle_fault(struct vm_area_struct *vma, unsigned long addr, unsigned int flags,
			       struct pt_regs *regs)
{
	struct smc_context *c = smc_context_get(vma->vm_mm);
	vm_fault_t r = 0;

	if (c) {
		if (READ_ONCE(c->epoch) && !READ_ONCE(c->dead))
			r = smc_before_write(c, vma, addr, flags, regs);
		smc_context_put(c);
	}
	if (!r)
		r = real_handle_mm_fault(vma, addr, flags, regs);
	atomic_dec(&handling);
	return r;
}

static void notrace redirect(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
			     struct ftrace_regs *fregs)
{
	struct pt_regs *regs = ftrace_get_regs(fregs);
	struct vm_area_struct *vma = (struct vm_area_struct *)regs->di;

	if (!(regs->dx & FAULT_FLAG_WRITE) || !smc_covers(vma) || !smc_is_attached(vma->vm_mm))
		return;
	atomic_inc(&handling);
	regs->ip = (unsigned long)handle_fault;
}

static struct ftrace_ops hook = {
	.func = redirect,
	.flags = FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_RECURSION,
};

/* Makes sure that handle_mm_fault begins as is expected: an empty slot for ftrace, or a call that ftrace put there. */
int __init smc_hook_check(void)
{
	static const u8 empty[MCOUNT_INSN_SIZE] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
	static const u8 endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	const u8 *code = (const u8 *)handle_mm_fault;

	if (!memcmp(code, endbr64, sizeof(endbr64)))
		code += sizeof(endbr64);
	if (memcmp(code, empty, sizeof(empty)) && code[0] != 0xe8) {
		pr_err("handle_mm_fault begins with %*ph, where ftrace cannot be: not loaded\n",
		       MCOUNT_INSN_SIZE, code);
		return -ENOEXEC;
	}
	hook_address = (unsigned long)code;
	real_handle_mm_fault = (void *)(code + MCOUNT_INSN_SIZE);
	return 0;
}

int smc_hook_get(void)
{
	int r = 0;

	mutex_lock(&hook_lock);
	if (hook_users == 0) {
		r = ftrace_set_filter_ip(&hook, hook_address, 0, 0);
		if (!r) {
			r = register_ftrace_function(&hook);
			if (r)
				ftrace_set_filter_ip(&hook, hook_address, 1, 0);
		}
		if (r)
			pr_err("ftrace refuses handle_mm_fault (%d): does a live patch change it?\n", r);
	}
	if (!r)
		hook_users++;
	mutex_unlock(&hook_lock);
	return r;
}

void smc_hook_put(void)
{
	mutex_lock(&hook_lock);
	if (--hook_users == 0) {
		unregister_ftrace_function(&hook);
		ftrace_set_filter_ip(&hook, hook_address, 1, 0);
	}
	mutex_unlock(&hook_lock);
}

/* Waits until no thread is in this module's code. The hook is gone, and nothing is attached. */
void smc_hook_drain(void)
{
	while (atomic_read(&handling))
		msleep(20);
	synchronize_rcu_tasks();
}
