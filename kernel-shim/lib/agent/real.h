/* SPDX-License-Identifier: MIT */
/*
 * The C library's functions behind ours: REAL(read)(fd, buffer, n). They are found by dlsym(RTLD_NEXT), so that other preloaded libraries are
 * called, too.
 */
#ifndef REAL_H
#define REAL_H

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

/* What no header declares: the targets of fortified calls and of the macros for large files. */
ssize_t __read_chk(int fd, void *buffer, size_t n, size_t room);
ssize_t __recv_chk(int fd, void *buffer, size_t n, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buffer, size_t n, size_t room, int flags, struct sockaddr *from, socklen_t *length);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t room);
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int folder, const char *path, int flags);
int __openat64_2(int folder, const char *path, int flags);
int fcntl64(int fd, int command, ...);
__sighandler_t __sysv_signal(int signal, __sighandler_t handler);
__sighandler_t bsd_signal(int signal, __sighandler_t handler);

#define REAL_FUNCTIONS(X) \
	/* reading */ \
	X(read) X(__read_chk) X(readv) X(recv) X(__recv_chk) X(recvfrom) X(__recvfrom_chk) X(recvmsg) X(recvmmsg) \
	X(splice) \
	/* writing */ \
	X(write) X(writev) X(send) X(sendto) X(sendmsg) X(sendmmsg) X(sendfile) X(sendfile64) X(shutdown) \
	/* opening */ \
	X(open) X(open64) X(__open_2) X(__open64_2) X(openat) X(openat64) X(__openat_2) X(__openat64_2) X(creat) X(creat64) \
	X(fopen) X(fopen64) X(freopen) X(freopen64) X(tmpfile) X(tmpfile64) X(popen) X(opendir) \
	X(mkstemp) X(mkstemp64) X(mkostemp) X(mkostemp64) X(mkstemps) X(mkstemps64) X(mkostemps) X(mkostemps64) \
	X(shm_open) X(memfd_create) X(pipe) X(pipe2) X(eventfd) X(timerfd_create) X(signalfd) \
	X(inotify_init) X(inotify_init1) X(epoll_create) X(epoll_create1) \
	X(socket) X(socketpair) X(connect) X(listen) X(accept) X(accept4) X(dup) X(dup2) X(dup3) X(fcntl) X(fcntl64) \
	/* closing */ \
	X(close) X(close_range) X(closefrom) X(fclose) X(pclose) X(closedir) \
	/* waiting */ \
	X(epoll_ctl) X(epoll_wait) X(epoll_pwait) X(epoll_pwait2) X(poll) X(__poll_chk) X(ppoll) X(__ppoll_chk) \
	X(select) X(pselect) \
	/* signals and threads */ \
	X(sigaction) X(signal) X(bsd_signal) X(ssignal) X(sysv_signal) X(__sysv_signal) X(sigprocmask) \
	X(pthread_sigmask) X(pthread_create)

struct real {
#define X(name) __typeof__(name) *name;
	REAL_FUNCTIONS(X)
#undef X
};

extern struct real real;

/* Other libraries' constructors may call us before our own has run. */
void real_find(void);

#define REAL(name) (*({ if (!real.read) real_find(); real.name; }))

/* Of functions that the server calls. */
#define PUBLIC __attribute__((visibility("default")))

#endif
