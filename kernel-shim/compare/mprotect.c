// SPDX-License-Identifier: MIT
/*
 * The areas are made read-only at a checkpoint. The first write to a page is a SIGSEGV, whose handler copies the page and makes it writable.
 *
 * Three passages through the kernel for each page (the fault with the signal's delivery, mprotect(), sigreturn()), and each page that is written
 * splits a mapping, which the next checkpoint puts together again.
 *
 * What the kernel writes for a system call (read() into a buffer) raises no signal: the call fails with EFAULT, or stops short where some
 * bytes were written. And it is one thread's: another one can write to a page after it became writable and before it is copied? No: the copy
 * comes first. But two that fault on one page at once would both log it, which nothing here prevents.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>

#include "support.h"

static struct mechanism_statistics counted;

static void on_fault(int number, void *information, void *context)
{
	siginfo_t *info = information;
	size_t page = info->si_code == SEGV_ACCERR ? page_at(info->si_addr) : NO_PAGE;

	if (page == NO_PAGE || log_has(page)) {
		hand_on(number, info, context);
		return;
	}
	counted.faults++;
	counted.copied++;
	log_save(page);
	if (mprotect(page_address(page), PAGE, PROT_READ | PROT_WRITE))
		die("mprotect");
}

static void protect_all(int protection)
{
	for (size_t i = 0; i < nareas; i++)
		if (mprotect(areas[i].start, areas[i].pages * PAGE, protection))
			die("mprotect");
}

static const char *attach(const struct area *given, size_t n)
{
	areas_set(given, n);
	log_make();
	handle_signal(SIGSEGV, on_fault);
	return NULL;
}

static int checkpoint(void)
{
	if (counted.checkpoints++ && few(log_count(), areas_pages())) {
		for (size_t i = 0; i < log_count(); i++)
			if (mprotect(page_address(log_page(i)), PAGE, PROT_READ))
				die("mprotect");
	} else {
		protect_all(PROT_READ);
	}
	log_clear();
	return 0;
}

static void rollback(void)
{
	log_restore();
	counted.rollbacks++;
}

static void detach(void)
{
	protect_all(PROT_READ | PROT_WRITE);
}

static void statistics(struct mechanism_statistics *s)
{
	*s = counted;
	s->held = log_count() * PAGE;
}

const struct mechanism mprotect_segv = {
	.name = "mprotect",
	.attach = attach,
	.checkpoint = checkpoint,
	.rollback = rollback,
	.detach = detach,
	.statistics = statistics,
};
