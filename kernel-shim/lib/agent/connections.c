/* SPDX-License-Identifier: MIT */
/* Connections: resetting one, and sockets that stand for one that is gone. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"
#include "real.h"

bool is_connected_stream(int fd)
{
	int type = 0;
	socklen_t length = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

/*
 * Really resets a connection, while its descriptor stays open for the server to close: tcp(7), connecting to AF_UNSPEC. The peer gets a
 * reset and not an orderly end, as it must not take what it has for a whole answer; the server finds ECONNRESET. A UNIX
 * socket cannot be reset: its peer sees an end.
 */
void connection_reset(int fd)
{
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };

	if (REAL(connect)(fd, &nobody, sizeof(nobody)))
		REAL(shutdown)(fd, SHUT_RDWR);
}

int dead_socket(int fd)
{
	int pair[2], dead;

	if (REAL(socketpair)(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
		return -1;
	REAL(close)(pair[1]);
	if (pair[0] == fd)
		return fd;
	dead = REAL(fcntl)(pair[0], F_DUPFD_CLOEXEC, fd);
	REAL(close)(pair[0]);
	if (dead == fd)
		return fd;
	if (dead >= 0)
		REAL(close)(dead);
	return -1;
}
