/* SPDX-License-Identifier: MIT */
/* What mechanisms share: their areas, a log of pre-images, memory that is not watched. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <stdint.h>
#include <sys/types.h>

#include "mechanism.h"

/* Prints a message with errno, and ends the process. Calls nothing that takes a lock. */
void die(const char *what) __attribute__((noreturn));

/* Zeroed memory of its own mapping, present from the start. */
void *own_memory(size_t bytes);

/* The areas of the one mechanism that is attached. */
extern const struct area *areas;
extern size_t nareas;
void areas_set(const struct area *from, size_t n);
size_t areas_pages(void);

#define NO_PAGE SIZE_MAX

/* The number of the page, counted over all areas, that holds an address; NO_PAGE outside of them. */
size_t page_at(const void *address);
unsigned char *page_address(size_t page);

/*
 * Whether a mechanism that can protect pages one by one, or an area as a whole, does so one by one. The whole costs by the size of the
 * area, and pays from about one page in 16.
 */
static inline bool few(size_t pages, size_t of)
{
	return pages < of / 16;
}

/*
 * A log of pre-images. A page is in it once at most; room for all pages, so that it never has to grow, which a signal handler
 * could not do.
 */
void log_make(void);
bool log_has(size_t page);
/* Copies a page into the log. */
void log_save(size_t page);
size_t log_count(void);
/* The i-th page in the log. */
size_t log_page(size_t i);
/* Copies all pages back. */
void log_restore(void);
void log_clear(void);

/* With smc attached: the pages saved in this epoch, at most "room" of them. Returns how many there are. */
size_t smc_dirty_pages(uint64_t *pages, size_t room);

/* Handles a signal on a stack of its own. */
void handle_signal(int signal, void (*handler)(int, void *info, void *context));
/* For a fault that is not ours: whoever handled the signal before does it now. */
void hand_on(int signal, void *info, void *context);

#endif
