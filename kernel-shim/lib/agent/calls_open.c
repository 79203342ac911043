/* SPDX-License-Identifier: MIT */
/* Calls that open descriptors. */
#include <errno.h>
#include <stdarg.h>

#include "agent.h"
#include "real.h"

static bool window_open(void)
{
	bool noting = agent_begin();

	if (noting)
		window_begin();
	return noting;
}

static void window_close(void)
{
	window_end();
	agent_end();
}

/*
 * Makes the call and takes a note of what it opened, which a signal from outside cannot come between. It interrupts calls that
 * wait (a FIFO, accept), and is handled after them.
 */
#define OPENING(call, kind) ({ \
		bool noting_ = window_open(); \
		int fd_ = (call); \
		if (noting_) { \
			note_opened(fd_, kind); \
			window_close(); \
		} \
		fd_; \
	})

static void note_opened(int fd, enum kind kind)
{
	int saved = errno;

	if (fd < 0)
		return;
	agent_lock();
	descriptor_opened(fd, kind);
	agent_unlock();
	errno = saved;
}

/* The same of calls that return something that has a descriptor. */
#define OPENING_STREAM(type, call, descriptor) ({ \
		bool noting_ = window_open(); \
		type *stream_ = (call); \
		if (noting_) { \
			if (stream_) \
				note_opened(descriptor(stream_), PLAIN); \
			window_close(); \
		} \
		stream_; \
	})

#define OPENING_PAIR(call, fds) ({ \
		bool noting_ = window_open(); \
		int result_ = (call); \
		if (noting_) { \
			if (result_ == 0) { \
				note_opened((fds)[0], PLAIN); \
				note_opened((fds)[1], PLAIN); \
			} \
			window_close(); \
		} \
		result_; \
	})

/* ------------------------------------------------------------------ files */

#define MODE_OF(flags) ({ \
		mode_t mode_ = 0; \
		if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) { \
			va_list list_; \
			va_start(list_, flags); \
			mode_ = va_arg(list_, mode_t); \
			va_end(list_); \
		} \
		mode_; \
	})

PUBLIC int open(const char *path, int flags, ...)
{
	mode_t mode = MODE_OF(flags);

	return OPENING(REAL(open)(path, flags, mode), PLAIN);
}

PUBLIC int open64(const char *path, int flags, ...)
{
	mode_t mode = MODE_OF(flags);

	return OPENING(REAL(open64)(path, flags, mode), PLAIN);
}

PUBLIC int openat(int folder, const char *path, int flags, ...)
{
	mode_t mode = MODE_OF(flags);

	return OPENING(REAL(openat)(folder, path, flags, mode), PLAIN);
}

PUBLIC int openat64(int folder, const char *path, int flags, ...)
{
	mode_t mode = MODE_OF(flags);

	return OPENING(REAL(openat64)(folder, path, flags, mode), PLAIN);
}

/* Calls whose arguments are passed on as they are. */
#define OPENS(name, parameters, arguments) \
	PUBLIC int name parameters \
	{ \
		return OPENING(REAL(name) arguments, PLAIN); \
	}

OPENS(__open_2, (const char *path, int flags), (path, flags))
OPENS(__open64_2, (const char *path, int flags), (path, flags))
OPENS(__openat_2, (int folder, const char *path, int flags), (folder, path, flags))
OPENS(__openat64_2, (int folder, const char *path, int flags), (folder, path, flags))
OPENS(creat, (const char *path, mode_t mode), (path, mode))
OPENS(creat64, (const char *path, mode_t mode), (path, mode))
OPENS(mkstemp, (char *path), (path))
OPENS(mkstemp64, (char *path), (path))
OPENS(mkostemp, (char *path, int flags), (path, flags))
OPENS(mkostemp64, (char *path, int flags), (path, flags))
OPENS(mkstemps, (char *path, int suffix), (path, suffix))
OPENS(mkstemps64, (char *path, int suffix), (path, suffix))
OPENS(mkostemps, (char *path, int suffix, int flags), (path, suffix, flags))
OPENS(mkostemps64, (char *path, int suffix, int flags), (path, suffix, flags))
OPENS(shm_open, (const char *name, int flags, mode_t mode), (name, flags, mode))
OPENS(memfd_create, (const char *name, unsigned int flags), (name, flags))
OPENS(eventfd, (unsigned int value, int flags), (value, flags))
OPENS(timerfd_create, (clockid_t clock, int flags), (clock, flags))
OPENS(inotify_init, (void), ())
OPENS(inotify_init1, (int flags), (flags))
OPENS(epoll_create, (int size), (size))
OPENS(epoll_create1, (int flags), (flags))
OPENS(socket, (int domain, int type, int protocol), (domain, type, protocol))

PUBLIC int signalfd(int fd, const sigset_t *mask, int flags)
{
	return fd >= 0 ? REAL(signalfd)(fd, mask, flags) : OPENING(REAL(signalfd)(fd, mask, flags), PLAIN);
}

PUBLIC FILE *fopen(const char *path, const char *mode)
{
	return OPENING_STREAM(FILE, REAL(fopen)(path, mode), fileno);
}

PUBLIC FILE *fopen64(const char *path, const char *mode)
{
	return OPENING_STREAM(FILE, REAL(fopen64)(path, mode), fileno);
}

PUBLIC FILE *freopen(const char *path, const char *mode, FILE *stream)
{
	return OPENING_STREAM(FILE, REAL(freopen)(path, mode, stream), fileno);
}

PUBLIC FILE *freopen64(const char *path, const char *mode, FILE *stream)
{
	return OPENING_STREAM(FILE, REAL(freopen64)(path, mode, stream), fileno);
}

PUBLIC FILE *tmpfile(void)
{
	return OPENING_STREAM(FILE, REAL(tmpfile)(), fileno);
}

PUBLIC FILE *tmpfile64(void)
{
	return OPENING_STREAM(FILE, REAL(tmpfile64)(), fileno);
}

PUBLIC FILE *popen(const char *command, const char *mode)
{
	return OPENING_STREAM(FILE, REAL(popen)(command, mode), fileno);
}

PUBLIC DIR *opendir(const char *path)
{
	return OPENING_STREAM(DIR, REAL(opendir)(path), dirfd);
}

PUBLIC int pipe(int fds[2])
{
	return OPENING_PAIR(REAL(pipe)(fds), fds);
}

PUBLIC int pipe2(int fds[2], int flags)
{
	return OPENING_PAIR(REAL(pipe2)(fds, flags), fds);
}

/* ------------------------------------------------------------------ sockets */

PUBLIC int socketpair(int domain, int type, int protocol, int fds[2])
{
	return OPENING_PAIR(REAL(socketpair)(domain, type, protocol, fds), fds);
}

/* The number stays, but not what it is. */
static void note_kind(int fd, enum kind kind)
{
	int saved = errno;

	if (fd >= 0 && fd < DESCRIPTORS && agent_begin()) {
		agent_lock();
		shared->descriptors[fd].kind = kind;
		agent_unlock();
		agent_end();
	}
	errno = saved;
}

PUBLIC int connect(int fd, const struct sockaddr *to, socklen_t length)
{
	int r = REAL(connect)(fd, to, length);

	if ((r == 0 || errno == EINPROGRESS || errno == EAGAIN) && shared) {
		int saved = errno;

		if (is_connected_stream(fd))
			note_kind(fd, PEER);
		errno = saved;
	}
	return r;
}

PUBLIC int listen(int fd, int backlog)
{
	int r = REAL(listen)(fd, backlog);

	if (r == 0)
		note_kind(fd, LISTENER);
	return r;
}

/* The first client of a process is what it is attached for. */
#define ACCEPTING(call) ({ \
		bool noting_; \
		int fd_; \
		rescue_leave_request(); \
		noting_ = window_open(); \
		fd_ = (call); \
		if (noting_) { \
			if (fd_ >= 0) \
				fd_ = rescue_accepted(fd_); \
			window_close(); \
		} \
		fd_; \
	})

PUBLIC int accept(int fd, struct sockaddr *from, socklen_t *length)
{
	return ACCEPTING(REAL(accept)(fd, from, length));
}

PUBLIC int accept4(int fd, struct sockaddr *from, socklen_t *length, int flags)
{
	return ACCEPTING(REAL(accept4)(fd, from, length, flags));
}

/* ------------------------------------------------------------------ duplicates */

static enum kind kind_of_duplicate(int fd)
{
	enum kind kind = kind_of(fd);

	return kind == NONE || kind == OWN ? PLAIN : kind;
}

PUBLIC int dup(int fd)
{
	return OPENING(REAL(dup)(fd), kind_of_duplicate(fd));
}

/* The number that is wanted is closed by the call, or is one of our own. */
static void make_room(int from, int to)
{
	int saved = errno;

	/* a call that fails closes nothing */
	if (from == to || REAL(fcntl)(from, F_GETFD) < 0)
		return;
	agent_lock();
	if (kind_of(to) == OWN)
		descriptor_move_own(to);
	else if (REAL(fcntl)(to, F_GETFD) >= 0)
		descriptor_closes(to);
	agent_unlock();
	errno = saved;
}

#define DUPLICATING(from, to, call) ({ \
		bool noting_ = window_open(); \
		int fd_; \
		if (noting_) \
			make_room(from, to); \
		fd_ = (call); \
		if (noting_) { \
			if (from != to) \
				note_opened(fd_, kind_of_duplicate(from)); \
			window_close(); \
		} \
		fd_; \
	})

PUBLIC int dup2(int from, int to)
{
	return DUPLICATING(from, to, REAL(dup2)(from, to));
}

PUBLIC int dup3(int from, int to, int flags)
{
	return DUPLICATING(from, to, REAL(dup3)(from, to, flags));
}

/* Every argument of fcntl() fits a pointer. */
#define FCNTL(name) \
	PUBLIC int name(int fd, int command, ...) \
	{ \
		void *argument; \
		va_list list; \
		va_start(list, command); \
		argument = va_arg(list, void *); \
		va_end(list); \
		if (command != F_DUPFD && command != F_DUPFD_CLOEXEC) \
			return REAL(name)(fd, command, argument); \
		return OPENING(REAL(name)(fd, command, argument), kind_of_duplicate(fd)); \
	}

#undef fcntl
#undef fcntl64
FCNTL(fcntl)
FCNTL(fcntl64)
