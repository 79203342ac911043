// SPDX-License-Identifier: GPL-2.0
/*
 * The hooks on handle_mm_fault(), through which every write fault goes, and move_page_tables(),
 * with which mremap() takes pages to another address. ftrace calls us at their first
 * instruction; for an attached process we let it return into a function of ours, which calls
 * the real one past that instruction.
 *
 *   page fault, copy_to_user, get_user_pages
 *     handle_mm_fault:  call <ftrace> -> redirect()      not attached, or a read: goes on
 *                       ...                    \-> handle_fault() -> smc_before_write()
 *                       ^----------------------------- smc_call_handle_mm_fault()
 *
 * The hooks are in place only while some process is attached.
 *
 * Unloading: those functions may sleep, so a thread can be anywhere in ours when the hooks are
 * taken away. redirect() counts it before it gets there, under ftrace's protection
 * (unregister_ftrace_function() waits for threads in redirect()), and our function uncounts it
 * last. What then remains are the few instructions from there to the return;
 * synchronize_rcu_tasks() waits until each thread has been outside of the kernel, or has gone
 * to sleep, of its own will.
 */
#include <linux/delay.h>
#include <linux/ftrace.h>
#include <linux/rcupdate.h>
#include "smc_internal.h"

static DEFINE_MUTEX(hook_lock);
static unsigned int hook_users;
static atomic_t redirected = ATOMIC_INIT(0);

static vm_fault_t (*real_handle_mm_fault)(struct vm_area_struct *vma, unsigned long addr,
					  unsigned int flags, struct pt_regs *regs);
static unsigned long (*real_move_page_tables)(struct vm_area_struct *vma, unsigned long old_addr,
					      struct vm_area_struct *new_vma,
					      unsigned long new_addr, unsigned long len,
					      bool need_rmap_locks);

vm_fault_t smc_call_handle_mm_fault(struct vm_area_struct *vma, unsigned long addr,
				    unsigned int flags, struct pt_regs *regs)
{
	return real_handle_mm_fault(vma, addr, flags, regs);
}

/* The context of a process' memory if a checkpoint is to be kept whole. With a reference. */
static struct smc_context *armed_context(struct mm_struct *mm)
{
	struct smc_context *c = smc_context_get(mm);

	if (c && (!READ_ONCE(c->epoch) || READ_ONCE(c->dead))) {
		smc_context_put(c);
		c = NULL;
	}
	return c;
}

static vm_fault_t handle_fault(struct vm_area_struct *vma, unsigned long addr, unsigned int flags,
			       struct pt_regs *regs)
{
	struct smc_context *c = armed_context(vma->vm_mm);
	vm_fault_t r = 0;

	if (c) {
		r = smc_before_write(c, vma, addr, flags, regs);
		smc_context_put(c);
	}
	if (!r)
		r = real_handle_mm_fault(vma, addr, flags, regs);
	atomic_dec(&redirected);
	return r;
}

static unsigned long move_tables(struct vm_area_struct *vma, unsigned long old_addr,
				 struct vm_area_struct *new_vma, unsigned long new_addr,
				 unsigned long len, bool need_rmap_locks)
{
	struct smc_context *c = armed_context(vma->vm_mm);
	unsigned long r;

	if (c) {
		smc_before_move(c, vma, old_addr, new_addr, len);
		smc_context_put(c);
	}
	r = real_move_page_tables(vma, old_addr, new_vma, new_addr, len, need_rmap_locks);
	atomic_dec(&redirected);
	return r;
}

/* What is hooked. Both functions take the mapping first. */
static struct {
	const char *name;
	void *ours;
	void **real;
	unsigned long address;	/* of the call to ftrace */
} hooks[] = {
	{ "handle_mm_fault", handle_fault, (void **)&real_handle_mm_fault },
	{ "move_page_tables", move_tables, (void **)&real_move_page_tables },
};

static void notrace redirect(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
			     struct ftrace_regs *fregs)
{
	struct pt_regs *regs = ftrace_get_regs(fregs);
	struct vm_area_struct *vma = (struct vm_area_struct *)regs->di;
	bool fault = ip == hooks[0].address;

	if (fault && !(regs->dx & FAULT_FLAG_WRITE))
		return;
	/* an attached process has a notifier; most others have none, and are done here */
	if (!mm_has_notifiers(vma->vm_mm) || !smc_covers(vma))
		return;
	atomic_inc(&redirected);
	regs->ip = (unsigned long)(fault ? hooks[0].ours : hooks[1].ours);
}

/*
 * PERMANENT: ftrace cannot be switched off meanwhile (kernel.ftrace_enabled); faults would be
 * missed.
 */
static struct ftrace_ops operations = {
	.func = redirect,
	.flags = FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_RECURSION |
		 FTRACE_OPS_FL_PERMANENT,
};

/*
 * Makes sure that the functions begin as is expected: an empty slot for ftrace, or a call that
 * ftrace put there.
 */
int __init smc_hook_check(void)
{
	static const u8 empty[MCOUNT_INSN_SIZE] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
	static const u8 endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	int i;

	for (i = 0; i < ARRAY_SIZE(hooks); i++) {
		const u8 *code = smc_find_symbol(hooks[i].name);

		if (!code)
			return -ENOENT;
		if (!memcmp(code, endbr64, sizeof(endbr64)))
			code += sizeof(endbr64);
		if (memcmp(code, empty, sizeof(empty)) && code[0] != 0xe8) {
			pr_err("%s begins with %*ph, where ftrace cannot be: not loaded\n",
			       hooks[i].name, MCOUNT_INSN_SIZE, code);
			return -ENOEXEC;
		}
		hooks[i].address = (unsigned long)code;
		*hooks[i].real = (void *)(code + MCOUNT_INSN_SIZE);
	}
	return 0;
}

static int set_filter(bool remove)
{
	int i, r = 0;

	for (i = 0; i < ARRAY_SIZE(hooks) && !r; i++)
		r = ftrace_set_filter_ip(&operations, hooks[i].address, remove, 0);
	return r;
}

int smc_hook_get(void)
{
	int r = 0;

	mutex_lock(&hook_lock);
	if (hook_users == 0) {
		r = set_filter(false);
		if (!r) {
			r = register_ftrace_function(&operations);
			if (r)
				set_filter(true);
		}
		if (r)
			pr_err("ftrace refuses the hooks (%d): is it off, or in a live patch's use?\n",
			       r);
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
		unregister_ftrace_function(&operations);
		set_filter(true);
	}
	mutex_unlock(&hook_lock);
}

/*
 * Waits until no thread is in this module's code. The hooks are gone, and nothing is attached.
 */
void smc_hook_drain(void)
{
	while (atomic_read(&redirected))
		msleep(20);
	synchronize_rcu_tasks();
}
