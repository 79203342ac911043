/* SPDX-License-Identifier: MIT */
/*
 * Calls that wait. A thread that waits for clients is done with its request, unlike one that waits for something else in the
 * middle of one (an answer from a database): what is waited for tells.
 */
#include "agent.h"
#include "real.h"

PUBLIC int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	struct epoll_event copy = { 0 };
	int r;

	if (event && op != EPOLL_CTL_DEL)
		copy = *event;
	if (!agent_begin())
		return REAL(epoll_ctl)(epoll, op, fd, event);
	agent_lock();
	r = REAL(epoll_ctl)(epoll, op, fd, event);
	if (r == 0)
		epoll_changed(epoll, op, fd, &copy);
	agent_unlock();
	agent_end();
	return r;
}

static bool is_of_clients(int fd)
{
	enum kind kind = kind_of(fd);

	return kind == CLIENT || kind == LISTENER;
}

static bool waits_for_clients_by_epoll(int epoll, bool waits)
{
	return waits && shared && epoll >= 0 && epoll < DESCRIPTORS && shared->descriptors[epoll].set == SET_OF_CLIENTS;
}

static bool waits_for_clients_by_poll(const struct pollfd *fds, nfds_t n, bool waits)
{
	for (nfds_t i = 0; waits && i < n; i++)
		if (is_of_clients(fds[i].fd))
			return true;
	return false;
}

static bool waits_for_clients_by_select(int n, const fd_set *readable, bool waits)
{
	for (int fd = 0; waits && readable && fd < n; fd++)
		if (FD_ISSET(fd, readable) && is_of_clients(fd))
			return true;
	return false;
}

#define WAITING(for_clients, call) ({ if (protecting() && (for_clients)) rescue_before_wait(); (call); })

/* Whether a timeout allows for waiting. */
static bool is_long(const struct timespec *t)
{
	return !t || t->tv_sec || t->tv_nsec;
}

PUBLIC int epoll_wait(int epoll, struct epoll_event *events, int n, int timeout)
{
	return WAITING(waits_for_clients_by_epoll(epoll, timeout), REAL(epoll_wait)(epoll, events, n, timeout));
}

PUBLIC int epoll_pwait(int epoll, struct epoll_event *events, int n, int timeout, const sigset_t *mask)
{
	return WAITING(waits_for_clients_by_epoll(epoll, timeout), REAL(epoll_pwait)(epoll, events, n, timeout, mask));
}

PUBLIC int epoll_pwait2(int epoll, struct epoll_event *events, int n, const struct timespec *timeout, const sigset_t *mask)
{
	return WAITING(waits_for_clients_by_epoll(epoll, is_long(timeout)),
		       REAL(epoll_pwait2)(epoll, events, n, timeout, mask));
}

PUBLIC int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	return WAITING(waits_for_clients_by_poll(fds, n, timeout), REAL(poll)(fds, n, timeout));
}

PUBLIC int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room)
{
	return WAITING(waits_for_clients_by_poll(fds, n, timeout), REAL(__poll_chk)(fds, n, timeout, room));
}

PUBLIC int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	return WAITING(waits_for_clients_by_poll(fds, n, is_long(timeout)), REAL(ppoll)(fds, n, timeout, mask));
}

PUBLIC int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t room)
{
	return WAITING(waits_for_clients_by_poll(fds, n, is_long(timeout)), REAL(__ppoll_chk)(fds, n, timeout, mask, room));
}

PUBLIC int select(int n, fd_set *readable, fd_set *writable, fd_set *exceptional, struct timeval *timeout)
{
	return WAITING(waits_for_clients_by_select(n, readable, !timeout || timeout->tv_sec || timeout->tv_usec),
		       REAL(select)(n, readable, writable, exceptional, timeout));
}

PUBLIC int pselect(int n, fd_set *readable, fd_set *writable, fd_set *exceptional, const struct timespec *timeout,
		   const sigset_t *mask)
{
	return WAITING(waits_for_clients_by_select(n, readable, is_long(timeout)),
		       REAL(pselect)(n, readable, writable, exceptional, timeout, mask));
}
