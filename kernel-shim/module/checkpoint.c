// SPDX-License-Identifier: GPL-2.0
/*
 * A checkpoint. Whatever can fail is done first, so that the old checkpoint stands until the
 * new one does.
 */
#include "smc_internal.h"

/*
 * Takes a checkpoint of the current process. regs: the user registers of the current thread.
 * called: it called for it, and the call returns once more after a rollback; otherwise the
 * thread is somewhere else, and another process asked. c->operation is held.
 */
long smc_checkpoint(struct smc_context *c, struct pt_regs *regs, bool called)
{
	struct smc_stop *stop;
	long r;

	if (c->dead)
		return -EOWNERDEAD;
	stop = smc_stop_threads(c, true);
	if (IS_ERR(stop))
		return PTR_ERR(stop);
	r = smc_threads_capture_own(stop, regs, called);
	if (r)
		goto out;
	if (mmap_write_lock_killable(c->mm)) {
		r = -EINTR;
		goto out;
	}
	if (!smc_map_is_current(&c->map, c->mm))
		r = smc_map_capture(&c->map, c->mm);
	if (!r) {
		smc_speculate(c);
		smc_threads_keep(stop);
		c->stale = false;
		c->sweep = false;
	}
	mmap_write_unlock(c->mm);
out:
	smc_stop_end(stop);
	return r;
}
