/* SPDX-License-Identifier: MIT */
/* Calls that close descriptors. Our own are not there for the server: it may close everything, but not us. */
#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>

#include "agent.h"
#include "real.h"

/* The note is taken first, as afterwards another thread may have the number. */
#define CLOSING(fd, call) ({ \
		bool noting_ = agent_begin(); \
		__typeof__(call) result_; \
		if (noting_) { \
			window_begin(); \
			note_closes(fd); \
		} \
		result_ = (call); \
		if (noting_) { \
			window_end(); \
			agent_end(); \
		} \
		result_; \
	})

static void note_closes(int fd)
{
	int saved = errno;

	agent_lock();
	descriptor_closes(fd);
	agent_unlock();
	errno = saved;
}

static bool is_own(int fd)
{
	return kind_of(fd) == OWN && shared->pid == getpid();
}

PUBLIC int close(int fd)
{
	if (is_own(fd)) {
		errno = EBADF;
		return -1;
	}
	return CLOSING(fd, REAL(close)(fd));
}

PUBLIC int fclose(FILE *stream)
{
	int fd = fileno(stream);

	return CLOSING(fd, REAL(fclose)(stream));
}

PUBLIC int pclose(FILE *stream)
{
	int fd = fileno(stream);

	return CLOSING(fd, REAL(pclose)(stream));
}

PUBLIC int closedir(DIR *folder)
{
	int fd = dirfd(folder);

	return CLOSING(fd, REAL(closedir)(folder));
}

/* Takes notes, and closes the range in pieces between our own. */
static int close_between_own(unsigned int from, unsigned int to, int flags)
{
	unsigned int next = from;
	int r = 0;

	agent_lock();
	for (unsigned int fd = from; fd <= to && fd <= (unsigned int)shared->highest; fd++) {
		if (kind_of(fd) == OWN) {
			if (next < fd)
				r |= REAL(close_range)(next, fd - 1, flags);
			next = fd + 1;
		} else if (kind_of(fd) != NONE) {
			descriptor_closes(fd);
		}
	}
	if (next <= to)
		r |= REAL(close_range)(next, to, flags);
	agent_unlock();
	return r;
}

PUBLIC int close_range(unsigned int from, unsigned int to, int flags)
{
	int r;

	if (flags & CLOSE_RANGE_CLOEXEC || from > to || !agent_begin())
		return REAL(close_range)(from, to, flags);
	r = close_between_own(from, to, flags);
	agent_end();
	return r;
}

PUBLIC void closefrom(int from)
{
	if (!agent_begin()) {
		REAL(closefrom)(from);
		return;
	}
	/* before Linux 5.9 there is no close_range(), but then there is no smc either */
	close_between_own(from < 0 ? 0 : from, UINT_MAX, 0);
	agent_end();
}
