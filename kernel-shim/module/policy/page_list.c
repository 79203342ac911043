// SPDX-License-Identifier: GPL-2.0
/* A list of pages that knows its members: page_list.h says how. */
#include "page_list.h"

#define FIRST_ROOM 16u
#define MOST_ROOM (128u * 1024 * 1024)

static bool list_grow(struct smc_page_list *list)
{
	u32 room = list->room ? 2 * list->room : FIRST_ROOM;
	struct smc_spage **pages;

	if (room > MOST_ROOM)
		return false;
	pages = smc_alloc(room * sizeof(*pages));
	if (!pages)
		return false;
	if (list->length)
		memcpy(pages, list->pages, list->length * sizeof(*pages));
	smc_free(list->pages);
	list->pages = pages;
	list->room = room;
	return true;
}

bool smc_list_add(struct smc_page_list *list, struct smc_spage *page)
{
	if (list->length == list->room && !list_grow(list))
		return false;
	list->pages[list->length] = page;
	page->place = ++list->length;
	return true;
}

void smc_list_remove_at(struct smc_page_list *list, u32 index)
{
	struct smc_spage *last = list->pages[--list->length];

	list->pages[index]->place = 0;
	if (index == list->length)
		return;
	list->pages[index] = last;
	last->place = index + 1;
}

void smc_list_forget(struct smc_page_list *list, struct smc_spage *page)
{
	if (page->place) {
		list->pages[page->place - 1] = NULL;
		list->holes++;
	}
	page->place = 0;
	page->word = 0;
}

void smc_list_filter(struct smc_page_list *list,
		     bool (*keep)(struct smc_spage *page, u32 index, void *arg), void *arg)
{
	u32 from, to = 0;

	for (from = 0; from < list->length; from++) {
		struct smc_spage *page = list->pages[from];

		if (!page)
			continue;
		if (keep && !keep(page, from, arg)) {
			page->place = 0;
			continue;
		}
		list->pages[to] = page;
		page->place = ++to;
	}
	list->length = to;
	list->holes = 0;
}

void smc_list_free(struct smc_page_list *list)
{
	smc_free(list->pages);
}
