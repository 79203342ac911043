/* SPDX-License-Identifier: MIT */
/*
 * Calls that read. Those of the C library's own streams (fdopen() on a connection) are not seen, as they do not go
 * through these.
 */
#include <errno.h>

#include "agent.h"
#include "real.h"

/* One call: a rescue point before it, a note after it. */
#define READING(fd, flags, call) ({ \
		ssize_t result_ = -1; \
		if (rescue_before_read(fd, flags)) { \
			result_ = (call); \
			rescue_after_read(fd, result_); \
		} \
		result_; \
	})

PUBLIC ssize_t read(int fd, void *buffer, size_t n)
{
	return READING(fd, 0, REAL(read)(fd, buffer, n));
}

PUBLIC ssize_t __read_chk(int fd, void *buffer, size_t n, size_t room)
{
	return READING(fd, 0, REAL(__read_chk)(fd, buffer, n, room));
}

PUBLIC ssize_t readv(int fd, const struct iovec *parts, int n)
{
	return READING(fd, 0, REAL(readv)(fd, parts, n));
}

PUBLIC ssize_t recv(int fd, void *buffer, size_t n, int flags)
{
	return READING(fd, flags, REAL(recv)(fd, buffer, n, flags));
}

PUBLIC ssize_t __recv_chk(int fd, void *buffer, size_t n, size_t room, int flags)
{
	return READING(fd, flags, REAL(__recv_chk)(fd, buffer, n, room, flags));
}

PUBLIC ssize_t recvfrom(int fd, void *buffer, size_t n, int flags, struct sockaddr *from, socklen_t *length)
{
	return READING(fd, flags, REAL(recvfrom)(fd, buffer, n, flags, from, length));
}

PUBLIC ssize_t __recvfrom_chk(int fd, void *buffer, size_t n, size_t room, int flags, struct sockaddr *from,
			      socklen_t *length)
{
	return READING(fd, flags, REAL(__recvfrom_chk)(fd, buffer, n, room, flags, from, length));
}

/* Descriptors can come with a message. */
static void note_passed(struct msghdr *message)
{
	int saved = errno;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		int *fds = (int *)CMSG_DATA(c), n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || !agent_begin())
			continue;
		agent_lock();
		for (int i = 0; i < n; i++)
			descriptor_opened(fds[i], PLAIN);
		agent_unlock();
		agent_end();
	}
	errno = saved;
}

PUBLIC ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t r = READING(fd, flags, REAL(recvmsg)(fd, message, flags));

	if (r >= 0 && message->msg_controllen)
		note_passed(message);
	return r;
}

PUBLIC int recvmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags, struct timespec *timeout)
{
	int r = READING(fd, flags, REAL(recvmmsg)(fd, messages, n, flags, timeout));

	for (int i = 0; i < r; i++)
		if (messages[i].msg_hdr.msg_controllen)
			note_passed(&messages[i].msg_hdr);
	return r;
}

PUBLIC ssize_t splice(int from, off64_t *from_at, int to, off64_t *to_at, size_t n, unsigned int flags)
{
	rescue_before_write(to);
	return READING(from, flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0, REAL(splice)(from, from_at, to, to_at, n, flags));
}
