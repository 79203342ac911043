/**
 * Deliberate faults in the kernel module: each replaces one text of one source file, and the guest programs named
 * beside it have to notice. A fault that nothing notices is a hole in the tests. See breakage.ts.
 */

export interface ModuleFault {
  what: string;
  /** Path below kernel-shim/module. */
  file: string;
  /** Text that is in the file once, and what takes its place. */
  from: string;
  to: string;
  /** The program of the suite that notices. */
  by: string;
  /** Processors of the machine. Default: 1. */
  cpus?: number;
  /** Whether it is one of the few that `npm test` tries. */
  quick?: boolean;
}

export const FAULTS: readonly ModuleFault[] = [
  // Seeing writes.
  {
    what: 'nothing is flushed from the TLB at a checkpoint',
    file: 'speculate.c',
    from: 'smc_flush_tlb_mm_range(c->mm, flush.start, flush.end, PAGE_SHIFT, false);',
    to: '',
    by: 'mem_basic',
    quick: true,
  },
  {
    what: 'the first page of what is to be flushed is not',
    file: 'speculate.c',
    from: 'span->start = min(span->start, addr);',
    to: 'span->start = min(span->start, addr + PAGE_SIZE);',
    by: 'policies',
  },
  {
    what: 'an entry stays dirty when it is protected',
    file: 'ptes.c',
    from: 'pte_wrprotect(pte_mkclean(pte))',
    to: 'pte_wrprotect(pte)',
    by: 'mem_ops',
  },
  {
    what: 'an entry that is read-only at the checkpoint stays dirty',
    file: 'ptes.c',
    from: 'if (!writable && !(pte_dirty(pte) && smc_own_page(pte)))',
    to: 'if (!writable)',
    by: 'mem_ops',
  },
  {
    what: 'a page that was written is not protected again',
    file: 'speculate.c',
    from: 'if (smc_pte_protect(c->mm, p->addr, pte)) {',
    to: 'if (0) {',
    by: 'mem_basic',
  },
  {
    what: 'a huge page is protected without being split',
    file: 'sweep.c',
    from: 'if (pmd_trans_huge(*pmd) || is_pmd_migration_entry(*pmd))',
    to: 'if (0)',
    by: 'mem_ops',
  },
  {
    what: 'a page that was saved once counts as saved for ever',
    file: 'smc_internal.h',
    from: 'return p && p->saved_in == c->epoch;',
    to: 'return p && p->saved_in;',
    by: 'mem_basic',
  },
  {
    what: 'what the kernel writes for the process is not seen: only faults that come from user mode are',
    file: 'hook.c',
    from: 'if (fault && !(regs->dx & FAULT_FLAG_WRITE))',
    to: 'if (fault && (~regs->dx & (FAULT_FLAG_WRITE | FAULT_FLAG_USER)))',
    by: 'mem_ops',
  },

  {
    what: 'threads that fault at the same time do not exclude each other',
    file: 'save.c',
    from: '\tmutex_lock(&c->lock);\n\tr = SMC_SAVED;\n\tpte',
    to: '\tmutex_trylock(&c->lock);\n\tr = SMC_SAVED;\n\tpte',
    by: 'crowd',
    cpus: 2,
  },

  // Pages that go, or move.
  {
    what: 'unmapping is not noticed',
    file: 'unmap.c',
    from: 'if (!mmu_notifier_range_blockable(range))',
    to: 'if (true)',
    by: 'mem_ops',
  },
  {
    what: 'the address that a page is moved to is not noted',
    file: 'unmap.c',
    from: 'if (!smc_save_absent(c, to + (addr - from)))',
    to: 'if (0)',
    by: 'stress',
  },
  {
    what: 'a swap slot is kept, and its entry says still that nobody else has it',
    file: 'save.c',
    from: 'set_pte_at(c->mm, p->addr, pte, pte_swp_clear_exclusive(*pte));',
    to: '',
    by: 'swap',
  },
  {
    what: 'a swap slot is remembered, and not kept',
    file: 'save.c',
    from: 'non_swap_entry(slot) || smc_swap_duplicate(slot))',
    to: 'non_swap_entry(slot))',
    by: 'swap',
  },

  // Rolling back.
  {
    what: 'the memory map is not restored',
    file: 'rollback.c',
    from: 'r = smc_map_restore(c, &begun);',
    to: 'r = 0;',
    by: 'mem_ops',
  },
  {
    what: 'the end of the heap is not restored',
    file: 'map.c',
    from: 'mm->brk = c->map.brk;',
    to: '',
    by: 'mem_ops',
  },
  {
    what: 'protection is not restored',
    file: 'map.c',
    from: 'r = restore_protection(&c->map, &now);',
    to: 'r = 0;',
    by: 'mem_ops',
  },
  {
    what: 'pages that were not there stay',
    file: 'rollback.c',
    from: 'zap_page_range(vma, addr, PAGE_SIZE);',
    to: '(void)addr;',
    by: 'mem_basic',
  },
  {
    what: 'a page that a child has too is put back in its place',
    file: 'rollback.c',
    from: 'pte_present(*pte) && pte_write(*pte) && smc_own_page(*pte)',
    to: 'pte_present(*pte) && smc_own_page(*pte)',
    by: 'lifecycle',
  },

  // Registers and threads.
  {
    what: 'FPU registers are not restored',
    file: 'threads.c',
    from: 'memcpy(fpu, t->fpu, min(size, t->fpu_size));',
    to: '',
    by: 'threads',
    quick: true,
  },
  {
    what: 'other threads go on where they are',
    file: 'threads.c',
    from: 'go_on(me->registers, task_pt_regs(current), stop->value);',
    to: '(void)me;',
    by: 'threads',
  },
  {
    what: 'the signal mask is not restored',
    file: 'threads.c',
    from: 'sigprocmask(SIG_SETMASK, &blocked, NULL);',
    to: '(void)blocked;',
    by: 'threads',
  },
  {
    what: 'an interrupted system call is not called again',
    file: 'threads.c',
    from: 't->regs.ip -= 2;',
    to: 't->regs.ip -= 0;',
    by: 'threads',
  },
  {
    what: 'other threads are not stopped',
    file: 'threads.c',
    from: 'if (!thread_group_empty(current))',
    to: 'if (0)',
    by: 'threads',
    cpus: 2,
  },
  {
    what: 'threads that were created since go on',
    file: 'threads.c',
    from: '\telse\n\t\tregisters_end(regs);',
    to: '',
    by: 'threads',
  },

  // Speculation.
  {
    what: 'pages chosen to be copied ahead stay writable, and keep their old pre-image',
    file: 'speculate.c',
    from: 'copy_highpage(p->copy, pte_page(*pte));',
    to: '',
    by: 'policies',
  },
  {
    what: 'a page that a child has too is made writable ahead',
    file: 'speculate.c',
    from: 'PageAnonExclusive(pte_page(pte)) &&',
    to: '',
    by: 'lifecycle',
  },
  {
    what: 'a new policy finds the marks of the old one',
    file: 'speculate.c',
    from: 'memset(&p->speculation, 0, sizeof(p->speculation));',
    to: '',
    by: 'policies',
  },
  {
    what: 'a policy is told of no fault',
    file: 'speculate.c',
    from: 'if (p->faulted && epoch.nfaults',
    to: 'if (!p->faulted && epoch.nfaults',
    by: 'policies',
  },
  {
    what: 'a hint for one checkpoint holds for ever',
    file: 'speculate.c',
    from: 'if (!p->hot)',
    to: 'if (0)',
    by: 'mem_basic',
  },
  {
    what: 'a fault costs what a copy does, whatever the parameter says',
    file: 'speculate.c',
    from: 'max(READ_ONCE(smc_fault_cost), 1U)',
    to: '1U',
    by: 'policies',
  },

  // Memory that is held.
  {
    what: 'a buffer is counted as freed, and is not',
    file: 'pages.c',
    from: '__free_page(buffer);',
    to: '',
    by: 'bounds',
  },
  {
    what: 'what is freed is still counted for the module',
    file: 'pages.c',
    from: 'atomic64_sub(bytes, &smc_held_total);',
    to: '',
    by: 'bounds',
    quick: true,
  },
  {
    what: 'buffers that one epoch needed once are held for ever',
    file: 'pages.c',
    from: 'while (spare--)',
    to: 'while (0)',
    by: 'bounds',
  },
  {
    what: 'records of pages that nobody knows any more are kept',
    file: 'pages.c',
    from: 'if (most-- == 0 || p->saved_in',
    to: 'if (c->epoch || p->saved_in',
    by: 'bounds',
  },
  {
    what: 'the limit is no limit',
    file: 'pages.c',
    from: '> READ_ONCE(c->limit)) {',
    to: '> U64_MAX) {',
    by: 'bounds',
  },
  {
    what: 'after a lost pre-image only pages that were saved are protected',
    file: 'speculate.c',
    from: 'if (c->sweep || c->epoch == 1) {',
    to: 'if (c->epoch == 1) {',
    by: 'bounds',
  },
  {
    what: 'a lost pre-image does not matter',
    file: 'save.c',
    from: 'WRITE_ONCE(c->stale, true);',
    to: '',
    by: 'bounds',
  },
  {
    what: 'buffers are charged to nobody',
    file: 'pages.c',
    from: 'alloc_page(SMC_GFP | __GFP_HIGHMEM)',
    to: 'alloc_page((SMC_GFP & ~__GFP_ACCOUNT) | __GFP_HIGHMEM)',
    by: 'bounds',
  },

  // Whom one may touch, and when.
  {
    what: 'anyone may touch anyone',
    file: 'permission.c',
    from: 'return ERR_PTR(-EPERM);',
    to: 'return get_task_struct(task), task;',
    by: 'permission',
  },
  {
    what: 'a child that could not be traced may be touched',
    file: 'permission.c',
    from: 'smc_ptrace_may_access(task, PTRACE_MODE_ATTACH_REALCREDS)',
    to: 'true',
    by: 'permission',
  },
  {
    what: 'an inherited handle is as good as an own one',
    file: 'device.c',
    from: '\telse if (c->mm != current->mm && h->opener != task_tgid(current))\n\t\tc = ERR_PTR(-EPERM);',
    to: '',
    by: 'permission',
  },
  {
    what: 'everyone may open the device',
    file: 'device.c',
    from: '\tif (!may_open())\n\t\treturn -EACCES;',
    to: '\t(void)may_open;',
    by: 'permission',
  },
  {
    what: 'hints are not checked',
    file: 'device.c',
    from: 'hot.reserved || hot.what > SMC_HOT_CLEAR || hot.len > TASK_SIZE ||',
    to: 'hot.what > SMC_HOT_CLEAR || hot.len > TASK_SIZE ||',
    by: 'arguments',
  },
  {
    what: 'a process that called exec counts as attached',
    file: 'unmap.c',
    from: 'WRITE_ONCE(c->dead, true);',
    to: '',
    by: 'arguments',
  },
  {
    what: 'detaching waits for a checkpoint that waits for the thread that detaches',
    file: 'attach.c',
    from: 'bool dead = xchg(&c->dead, true);',
    to: 'bool dead = (mutex_lock(&c->operation), mutex_unlock(&c->operation), xchg(&c->dead, true));',
    by: 'lifecycle',
    cpus: 2,
  },
  {
    what: 'unloading does not wait for threads in the middle of a fault',
    file: 'hook.c',
    from: '\twhile (atomic_read(&redirected))\n\t\tmsleep(20);',
    to: '',
    by: 'lifecycle',
  },
];
