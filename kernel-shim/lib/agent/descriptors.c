/* SPDX-License-Identifier: MIT */
/*
 * What descriptors are, and what became of them since the checkpoint.
 *
 *                    opened by the server         closed by it
 *   not open then    OPENED                       nothing is left to do
 *   open then        -                            CLOSED; a file is KEPT under a high number until the next checkpoint
 *   CLOSED           CLOSED | OPENED              CLOSED
 *
 * Only descriptors that the server's calls of the C library made are known. Those that the C library makes for itself (syslog, name
 * services) are left open by a rollback, which may cost a number, rather than guessed at.
 *
 * Not restored: positions in files, locks, flags and socket options, as they are not the descriptor's but the open file's, and what
 * was written to files.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "real.h"


static struct descriptor *descriptor(int fd)
{
	if (fd < 0 || fd >= DESCRIPTORS)
		return NULL;
	if (fd > shared->highest)
		shared->highest = fd;
	return &shared->descriptors[fd];
}

enum kind kind_of(int fd)
{
	return shared && fd >= 0 && fd < DESCRIPTORS ? shared->descriptors[fd].kind : NONE;
}

static bool is_recording(void)
{
	return shared->epoch && protecting();
}

/* Called before the first change since the checkpoint. */
static void note(int fd, struct descriptor *d)
{
	if (d->since & NOTED)
		return;
	d->since = NOTED;
	d->kind_then = d->kind;
	shared->noted[shared->nnoted++] = fd;
}

/* Our own numbers are above 960, where possible: out of the way, but not so high that the kernel's tables grow. */
static int duplicate_high(int fd)
{
	int high = REAL(fcntl)(fd, F_DUPFD_CLOEXEC, 960);

	return high < 0 ? REAL(fcntl)(fd, F_DUPFD_CLOEXEC, 64) : high;
}

int descriptor_own(int fd)
{
	int high = duplicate_high(fd);
	struct descriptor *d;

	if (high >= 0) {
		REAL(close)(fd);
		fd = high;
	}
	d = descriptor(fd);
	if (d)
		d->kind = OWN;
	return fd;
}

/* The server wants the number of one of our own. */
void descriptor_move_own(int fd)
{
	int to = duplicate_high(fd);
	struct descriptor *d = descriptor(to);

	shared->descriptors[fd].kind = NONE;
	if (d) {
		d->kind = OWN;
		d->set = shared->descriptors[fd].set;
	}
	if (shared->handle == fd)
		shared->handle = to;
	if (shared->log == fd)
		shared->log = to;
	for (int i = 0; i < shared->nnoted; i++) {
		struct descriptor *kept = &shared->descriptors[shared->noted[i]];

		if (kept->since & KEPT && kept->kept == fd) {
			kept->kept = to;
			epoll_set_moves(fd, to);
		}
	}
}

void descriptor_opened(int fd, enum kind kind)
{
	struct descriptor *d = descriptor(fd);

	if (!d)
		return;
	if (d->kind != NONE)
		epoll_fd_closes(fd, false);	/* it was closed, and we did not see it */
	if (is_recording()) {
		note(fd, d);
		if (d->kind != NONE && !(d->since & OPENED))
			d->since |= CLOSED;
		d->since = (d->since & ~(READ | WRITTEN)) | OPENED;
	}
	d->kind = kind;
	d->set = 0;
}

/* Files can wait for their end until the next checkpoint; whoever is at the other end of a socket or pipe waits for it. */
static bool can_be_kept(int fd)
{
	struct stat s;

	return fstat(fd, &s) == 0 && !S_ISSOCK(s.st_mode) && !S_ISFIFO(s.st_mode);
}

static void keep(int fd, struct descriptor *d)
{
	int flags = REAL(fcntl)(fd, F_GETFD);
	int kept = can_be_kept(fd) ? duplicate_high(fd) : -1;

	if (kept < 0 || kept >= DESCRIPTORS) {
		if (kept >= 0)
			REAL(close)(kept);
		return;
	}
	descriptor(kept)->kind = OWN;
	descriptor(kept)->set = d->set;
	d->kept = kept;
	d->since |= KEPT | (flags & FD_CLOEXEC ? KEPT_CLOEXEC : 0);
	epoll_set_moves(fd, kept);
}

void descriptor_closes(int fd)
{
	struct descriptor *d = descriptor(fd);

	if (!d)
		return;
	if (is_recording()) {
		if (d->kind == NONE) {
			if (REAL(fcntl)(fd, F_GETFD) < 0)
				return;
			d->kind = PLAIN;	/* it was opened in some way that we do not see */
		}
		note(fd, d);
		if (!(d->since & OPENED)) {
			d->since |= CLOSED;
			keep(fd, d);
		}
		d->since &= ~(OPENED | READ | WRITTEN);
	}
	epoll_fd_closes(fd, d->since & KEPT);
	epoll_set_closes(fd);
	d->kind = NONE;
	d->set = 0;
}

void descriptor_used(int fd, uint8_t how)
{
	struct descriptor *d = descriptor(fd);

	if (!d || !is_recording())
		return;
	note(fd, d);
	d->since |= how;
}

void descriptors_forget(void)
{
	for (int i = 0; i < shared->nnoted; i++) {
		struct descriptor *d = &shared->descriptors[shared->noted[i]];

		if (d->since & KEPT) {
			shared->descriptors[d->kept].kind = NONE;
			epoll_set_closes(d->kept);
			REAL(close)(d->kept);
		}
		d->since = 0;
	}
	shared->nnoted = 0;
	epoll_forget();
}

/* ------------------------------------------------------------------ after a rollback */

static bool is_connection(enum kind kind)
{
	return kind == CLIENT || kind == PEER;
}

static unsigned int close_opened(int fd, struct descriptor *d)
{
	unsigned int resets = 0;

	if (d->kind == NONE || !(d->since & OPENED))
		return 0;
	if (is_connection(d->kind)) {
		connection_reset(fd);
		resets++;
	}
	epoll_fd_closes(fd, false);
	epoll_set_closes(fd);
	REAL(close)(fd);
	d->kind = NONE;
	return resets;
}

static void bring_back(int fd, struct descriptor *d)
{
	int back;

	d->set = d->since & KEPT ? shared->descriptors[d->kept].set : 0;
	if (d->since & KEPT) {
		back = REAL(fcntl)(d->kept, d->since & KEPT_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, fd);
		if (back == fd)
			epoll_set_moves(d->kept, fd);
		else if (back >= 0)
			REAL(close)(back);
		shared->descriptors[d->kept].kind = NONE;
		REAL(close)(d->kept);
	} else {
		back = dead_socket(fd);
	}
	if (back == fd)
		d->kind = d->kind_then;
	else
		log_line("descriptor %d was taken before it could be brought back", fd);
}

unsigned int descriptors_restore(void)
{
	unsigned int resets = 0;

	for (int i = 0; i < shared->nnoted; i++) {
		int fd = shared->noted[i];

		resets += close_opened(fd, &shared->descriptors[fd]);
	}
	for (int i = 0; i < shared->nnoted; i++) {
		int fd = shared->noted[i];
		struct descriptor *d = &shared->descriptors[fd];

		if (d->since & CLOSED)
			bring_back(fd, d);
		else
			d->kind = d->kind_then;
	}
	epoll_restore();
	for (int i = 0; i < shared->nnoted; i++) {
		int fd = shared->noted[i];
		struct descriptor *d = &shared->descriptors[fd];

		if (d->since & (READ | WRITTEN) && !(d->since & (CLOSED | OPENED)) && is_connection(d->kind)) {
			connection_reset(fd);
			resets++;
		}
		d->since = 0;
	}
	shared->nnoted = 0;
	epoll_fire_again();
	return resets;
}
