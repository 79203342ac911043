/* SPDX-License-Identifier: MIT */
/* Calls that write. What has gone out cannot be taken back, so its connection is reset by a rollback. */
#include "agent.h"
#include "real.h"

#define WRITING(fd, call) ({ rescue_before_write(fd); (call); })

PUBLIC ssize_t write(int fd, const void *buffer, size_t n)
{
	return WRITING(fd, REAL(write)(fd, buffer, n));
}

PUBLIC ssize_t writev(int fd, const struct iovec *parts, int n)
{
	return WRITING(fd, REAL(writev)(fd, parts, n));
}

PUBLIC ssize_t send(int fd, const void *buffer, size_t n, int flags)
{
	return WRITING(fd, REAL(send)(fd, buffer, n, flags));
}

PUBLIC ssize_t sendto(int fd, const void *buffer, size_t n, int flags, const struct sockaddr *to, socklen_t length)
{
	return WRITING(fd, REAL(sendto)(fd, buffer, n, flags, to, length));
}

PUBLIC ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	return WRITING(fd, REAL(sendmsg)(fd, message, flags));
}

PUBLIC int sendmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags)
{
	return WRITING(fd, REAL(sendmmsg)(fd, messages, n, flags));
}

PUBLIC ssize_t sendfile(int to, int from, off_t *at, size_t n)
{
	return WRITING(to, REAL(sendfile)(to, from, at, n));
}

PUBLIC ssize_t sendfile64(int to, int from, off64_t *at, size_t n)
{
	return WRITING(to, REAL(sendfile64)(to, from, at, n));
}

PUBLIC int shutdown(int fd, int how)
{
	return WRITING(fd, REAL(shutdown)(fd, how));
}
