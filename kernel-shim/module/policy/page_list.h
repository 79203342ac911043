/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A list of pages that knows its members: adding, removing and asking take the same time however
 * long it is. A page's record has its place in the list, from 1.
 *
 *   pages  [ A | B | C | D ]      A.place 1   B.place 2   C.place 3   D.place 4
 *
 *   remove_at(1)  the last takes its place     [ A | D | C ]
 *   forget(B)     leaves a hole, in O(1)       [ A | - | C | D ]
 *   filter        closes holes, keeps order    [ A | C | D ]
 *
 * Forgetting leaves a hole because it comes one page at a time, a hundred thousand times where a
 * program unmaps its heap, and the order of the others must stay. A policy closes all holes at
 * once when it chooses next; until then it uses no place.
 *
 * Room doubles, from 16 pages; eight bytes a page. Where there is no memory for more, add() says
 * so and the list stays as it was. Not handled: giving room back before the policy ends, and
 * lists of more than 2^27 pages (512 GiB of memory), which are as full as if memory were short.
 */
#ifndef SMC_PAGE_LIST_H
#define SMC_PAGE_LIST_H

#include "policy.h"

struct smc_page_list {
	struct smc_spage **pages;	/* NULL: a hole */
	u32 length;			/* holes included */
	u32 room;
	u32 holes;
};

/* Whether a page, of this list or of none, is in the list. */
static inline bool smc_list_has(const struct smc_spage *page)
{
	return page->place != 0;
}

/* Appends a page that is not in the list. False: there is no memory, and nothing changed. */
bool smc_list_add(struct smc_page_list *list, struct smc_spage *page);

/* Removes the page at an index, from 0; the last one moves there. There are no holes. */
void smc_list_remove_at(struct smc_page_list *list, u32 index);

/* Takes a page out, if it is there, and zeroes its record. May leave a hole. */
void smc_list_forget(struct smc_page_list *list, struct smc_spage *page);

/*
 * Keeps the pages for which keep() says so, in their order, and closes all holes. keep() is told
 * the page's index, and is asked in order; NULL keeps all.
 */
void smc_list_filter(struct smc_page_list *list,
		     bool (*keep)(struct smc_spage *page, u32 index, void *arg), void *arg);

/* Closes all holes. */
static inline void smc_list_close_holes(struct smc_page_list *list)
{
	if (list->holes)
		smc_list_filter(list, NULL, NULL);
}

/* Frees the list. Touches no page. */
void smc_list_free(struct smc_page_list *list);

#endif
