// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support.h"

const struct area *areas;
size_t nareas;

static size_t *first;		/* number of each area's first page, and of all pages */

static unsigned char *copies;	/* the log: a slot for each page, filled in order */
static uint32_t *slot_pages;	/* page in each slot */
static unsigned char *saved;	/* by page */
static size_t used;

void die(const char *what)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "compare: %s: %s\n", what, strerror(errno));

	if (write(2, line, n) != n)
		_exit(4);
	_exit(3);
}

void *own_memory(size_t bytes)
{
	void *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (m == MAP_FAILED)
		die("mmap");
	return m;
}

void areas_set(const struct area *from, size_t n)
{
	struct area *mine = own_memory((n + 1) * sizeof(*mine));

	memcpy(mine, from, n * sizeof(*mine));
	first = own_memory((n + 1) * sizeof(*first));
	for (size_t i = 0; i < n; i++)
		first[i + 1] = first[i] + mine[i].pages;
	areas = mine;
	nareas = n;
}

size_t areas_pages(void)
{
	return first[nareas];
}

size_t page_at(const void *address)
{
	const unsigned char *a = address;
	size_t low = 0, high = nareas;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (a < areas[middle].start)
			high = middle;
		else if (a >= areas[middle].start + areas[middle].pages * PAGE)
			low = middle + 1;
		else
			return first[middle] + (a - areas[middle].start) / PAGE;
	}
	return NO_PAGE;
}

unsigned char *page_address(size_t page)
{
	size_t low = 0, high = nareas;

	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (page < first[middle])
			high = middle;
		else
			low = middle;
	}
	return areas[low].start + (page - first[low]) * PAGE;
}

void log_make(void)
{
	copies = own_memory(areas_pages() * PAGE);
	slot_pages = own_memory(areas_pages() * sizeof(*slot_pages));
	saved = own_memory(areas_pages());
	used = 0;
}

bool log_has(size_t page)
{
	return saved[page];
}

void log_save(size_t page)
{
	if (saved[page])
		return;
	memcpy(copies + used * PAGE, page_address(page), PAGE);
	slot_pages[used++] = page;
	saved[page] = 1;
}

size_t log_count(void)
{
	return used;
}

size_t log_page(size_t i)
{
	return slot_pages[i];
}

void log_restore(void)
{
	for (size_t i = 0; i < used; i++)
		memcpy(page_address(slot_pages[i]), copies + i * PAGE, PAGE);
}

void log_clear(void)
{
	for (size_t i = 0; i < used; i++)
		saved[slot_pages[i]] = 0;
	used = 0;
}

static struct sigaction before[NSIG];

void handle_signal(int signal, void (*handler)(int, void *info, void *context))
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	stack_t stack = { .ss_sp = own_memory(16 * PAGE), .ss_size = 16 * PAGE };

	action.sa_sigaction = (void (*)(int, siginfo_t *, void *))handler;
	if (sigaltstack(&stack, NULL) || sigaction(signal, &action, &before[signal]))
		die("sigaction");
}

void hand_on(int signal, void *info, void *context)
{
	struct sigaction *old = &before[signal];

	if (old->sa_flags & SA_SIGINFO) {
		old->sa_sigaction(signal, info, context);
	} else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
		old->sa_handler(signal);
	} else {
		/* the instruction is carried out again, and ends the process */
		sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
		if (((siginfo_t *)info)->si_code <= 0)
			raise(signal);
	}
}
