// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel functions that are not exported. A throw-away kprobe finds the address of any function
 * that may be probed; one that is missing is named, and the module is not loaded.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kprobes.h>
#include "smc_internal.h"

void (*smc_flush_tlb_mm_range)(struct mm_struct *mm, unsigned long start, unsigned long end,
			       unsigned int stride_shift, bool freed_tables);
void (*smc_split_huge_pmd)(struct vm_area_struct *vma, pmd_t *pmd, unsigned long address,
			   bool freeze, struct folio *folio);
bool (*smc_ptrace_may_access)(struct task_struct *task, unsigned int mode);
int (*smc_swap_duplicate)(swp_entry_t entry);
void (*smc_swap_free)(swp_entry_t entry);
long (*smc_sys_mprotect)(const struct pt_regs *regs);

static const struct {
	const char *name;
	void **function;
} symbols[] = {
	{ "flush_tlb_mm_range", (void **)&smc_flush_tlb_mm_range },
	{ "__split_huge_pmd", (void **)&smc_split_huge_pmd },
	{ "ptrace_may_access", (void **)&smc_ptrace_may_access },
	{ "swap_duplicate", (void **)&smc_swap_duplicate },
	{ "swap_free", (void **)&smc_swap_free },
	{ "__x64_sys_mprotect", (void **)&smc_sys_mprotect },
};

/* The address of a function, or NULL, which is said. */
void *__init smc_find_symbol(const char *name)
{
	struct kprobe probe = { .symbol_name = name };
	int r = register_kprobe(&probe);

	if (r) {
		pr_err("this kernel has no %s that can be found (%d): not loaded\n", name, r);
		return NULL;
	}
	unregister_kprobe(&probe);
	return probe.addr;
}

int __init smc_find_symbols(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(symbols); i++) {
		*symbols[i].function = smc_find_symbol(symbols[i].name);
		if (!*symbols[i].function)
			return -ENOENT;
	}
	return 0;
}
