/* SPDX-License-Identifier: MIT */
/*
 * What is in which epoll set, now and at the checkpoint. The kernel cannot be asked (/proc tells some of it, slowly), so every
 * epoll_ctl() is noted, from the start of the process.
 *
 * Each descriptor has a list of its registrations, most often of one. A registration is there as long as it is now or was at the
 * checkpoint; those in which the two may differ are in "changed".
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "real.h"

static struct registration *find(int epoll, int fd)
{
	for (uint32_t i = shared->descriptors[fd].registrations; i; i = shared->registrations[i].next)
		if (shared->registrations[i].epoll == epoll)
			return &shared->registrations[i];
	return NULL;
}

static struct registration *add(int epoll, int fd)
{
	struct descriptor *d = &shared->descriptors[fd];
	struct registration *r;
	uint32_t i = shared->free_registration;

	if (i)
		shared->free_registration = shared->registrations[i].next;
	else if (shared->nregistrations < REGISTRATIONS)
		i = shared->nregistrations++;
	else
		return NULL;
	r = &shared->registrations[i];
	*r = (struct registration){ .epoll = epoll, .fd = fd, .next = d->registrations };
	d->registrations = i;
	if (fd > shared->highest)
		shared->highest = fd;
	return r;
}

static void drop(struct registration *r)
{
	uint32_t *link = &shared->descriptors[r->fd].registrations;
	uint32_t i = r - shared->registrations;

	while (*link != i)
		link = &shared->registrations[*link].next;
	*link = r->next;
	*r = (struct registration){ .next = shared->free_registration };
	shared->free_registration = i;
}

/* Called before the first change since the checkpoint. */
static void note(struct registration *r)
{
	if (r->changed || !shared->epoch || !protecting())
		return;
	r->changed = true;
	r->was_then = r->is_now;
	r->then = r->now;
	shared->changed[shared->nchanged++] = r - shared->registrations;
}

static void is_gone(struct registration *r)
{
	note(r);
	r->is_now = false;
	if (!r->changed)
		drop(r);
}

/* After a successful epoll_ctl(). */
void epoll_changed(int epoll, int op, int fd, const struct epoll_event *event)
{
	enum kind kind = kind_of(fd);
	struct registration *r;

	if (fd < 0 || fd >= DESCRIPTORS || epoll < 0 || epoll >= DESCRIPTORS)
		return;
	r = find(epoll, fd);
	if (op == EPOLL_CTL_DEL) {
		if (r)
			is_gone(r);
		return;
	}
	if (!r)
		r = add(epoll, fd);
	if (!r)
		return;
	note(r);
	r->is_now = true;
	r->now = *event;
	if (kind == CLIENT || kind == LISTENER)
		shared->descriptors[epoll].set = SET_OF_CLIENTS;
	else if (!shared->descriptors[epoll].set)
		shared->descriptors[epoll].set = SET;
}

/* A descriptor is closed, which takes it out of all sets, unless the file is kept: then it has to be taken out. */
void epoll_fd_closes(int fd, bool kept)
{
	uint32_t next;

	for (uint32_t i = shared->descriptors[fd].registrations; i; i = next) {
		struct registration *r = &shared->registrations[i];

		next = r->next;
		if (!r->is_now)
			continue;
		if (kept)
			REAL(epoll_ctl)(r->epoll, EPOLL_CTL_DEL, fd, NULL);
		is_gone(r);
	}
}

/* A set is closed for good. */
void epoll_set_closes(int epoll)
{
	if (!shared->descriptors[epoll].set)
		return;
	for (uint32_t i = 1; i < shared->nregistrations; i++) {
		struct registration *r = &shared->registrations[i];

		if (r->is_now && r->epoll == epoll)
			is_gone(r);
	}
}

/* A set gets another number. */
void epoll_set_moves(int from, int to)
{
	if (!shared->descriptors[from].set)
		return;
	for (uint32_t i = 1; i < shared->nregistrations; i++) {
		struct registration *r = &shared->registrations[i];

		if ((r->is_now || r->was_then) && r->epoll == from)
			r->epoll = to;
	}
}

void epoll_forget(void)
{
	for (uint32_t i = 0; i < shared->nchanged; i++) {
		struct registration *r = &shared->registrations[shared->changed[i]];

		r->changed = r->was_then = false;
		if (!r->is_now)
			drop(r);
	}
	shared->nchanged = 0;
}

/* ------------------------------------------------------------------ after a rollback */

static bool same(const struct epoll_event *a, const struct epoll_event *b)
{
	return a->events == b->events && a->data.u64 == b->data.u64;
}

/* Makes the kernel have this registration, whatever it has now. */
static void make(const struct registration *r)
{
	struct epoll_event event = r->then;

	if (REAL(epoll_ctl)(r->epoll, EPOLL_CTL_MOD, r->fd, &event) == 0)
		return;
	if (errno == EINVAL)	/* EPOLLEXCLUSIVE cannot be changed */
		REAL(epoll_ctl)(r->epoll, EPOLL_CTL_DEL, r->fd, NULL);
	event = r->then;
	REAL(epoll_ctl)(r->epoll, EPOLL_CTL_ADD, r->fd, &event);
}

void epoll_restore(void)
{
	for (uint32_t i = 0; i < shared->nchanged; i++) {
		struct registration *r = &shared->registrations[shared->changed[i]];

		if (r->was_then && !(r->is_now && same(&r->now, &r->then)))
			make(r);
		else if (!r->was_then && r->is_now)
			REAL(epoll_ctl)(r->epoll, EPOLL_CTL_DEL, r->fd, NULL);
		r->is_now = r->was_then;
		r->now = r->then;
	}
	epoll_forget();
}

/*
 * Edges that have been delivered since the checkpoint are not known to memory any more. Changing a registration to what it
 * is makes the kernel look again. One that never was delivered is delivered once too often, which the interface allows.
 */
void epoll_fire_again(void)
{
	for (uint32_t i = 1; i < shared->nregistrations; i++) {
		struct registration *r = &shared->registrations[i];

		if (r->is_now && r->now.events & (EPOLLET | EPOLLONESHOT)) {
			r->then = r->now;
			make(r);
		}
	}
}
