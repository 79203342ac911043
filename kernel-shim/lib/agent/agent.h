/* SPDX-License-Identifier: MIT */
/*
 * The agent: a preloaded library that gives an unmodified server rescue points.
 *
 * THE IDEA (rescue points, after Sidiroglou et al., ASSURE, ASPLOS 2009). Just before a server reads a request, it takes
 * a checkpoint of itself. If it crashes before the next one, the crash handler rolls back to that point, where the
 * read now says that the client has reset the connection. That is an error which every server can handle: it closes the
 * connection and serves the others, from the same process with the same memory.
 *
 *	server             agent                                   kernel
 *	read(7, ...)  -->  is there data? (peek)
 *	                   checkpoint            <---------------- rollback
 *	                   0: the real read                            ^
 *	                   1: reset 7, close what was opened, ...      |
 *	                      ECONNRESET                               |
 *	handles the request
 *	crashes       -->  SIGSEGV handler: rollback ------------------'
 *
 * WHAT IS ROLLED BACK by the module: all private memory, the memory map, the registers of all threads. What the kernel keeps
 * for the process (descriptors, epoll sets) the agent brings back by itself, from notes that it takes since the checkpoint:
 *
 *   opened since        is closed (a client that was accepted since sees a reset)
 *   closed since        a file is kept, under another number, until the next checkpoint, and comes back. A socket or pipe is really
 *                       closed, as its peer waits for that; its number gets a dead socket, which reads as "end of file"
 *   epoll sets          registrations are made, changed and removed so that they are as they were; edge-triggered ones fire anew
 *   read or written     a connection to or from which bytes have gone since is reset: memory does not know of them any more
 *
 * RESCUE POINTS (option "rescue"):
 *   read      before each read from a client that has something to say
 *   accept    after a client was accepted: it is part of the checkpoint, and no crash of another's request costs it its connection
 *   wait      before the server waits for clients, if it has served one: nothing that was answered is lost by a later crash, and no
 *             client has to be reset that waits for nothing
 * A checkpoint is taken only when no other thread is in the middle of a request (has read one, and not yet come back to wait or read).
 * Where one is not taken, the last one stands, and more connections are reset by a crash; nothing else goes wrong.
 *
 * TWO KINDS OF STATE. What is the server's history, and must go back with it (options, which signal handlers the server asked for, how
 * many threads are in a request), is in ordinary memory. What happened since the checkpoint, and what must outlive a rollback, is in
 * "shared", a shared mapping, which the module leaves alone. A lock there guards it:
 *
 *   the checkpoint is taken with the lock held, so no thread is in the middle of a change to "shared" in it;
 *   the rollback is asked for with the lock held, so no thread is in the middle of one then;
 *   after it the thread of the checkpoint finds the lock its own, mends what the kernel keeps, and unlocks.
 *
 * PROCESSES. The library is loaded into each process of a server and takes notes in each; a process is attached when it
 * accepts its first connection. Children get notes of their own (fork) or are left alone (vfork).
 *
 * FILES.
 *   config.c        SMC_AGENT
 *   log.c           messages
 *   real.c          the C library's functions
 *   state.c         "shared", its lock, fork
 *   descriptors.c   notes of descriptors, and bringing them back
 *   epoll.c         notes of epoll sets
 *   connections.c   resetting one, dead sockets, is there data?
 *   rescue.c        attaching, checkpoints, what follows a rollback
 *   crash.c         signal handlers
 *   calls_*.c       the functions that the server calls instead of the C library's
 */
#ifndef AGENT_H
#define AGENT_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include <smc/libsmc.h>

/* Variables of a thread; preloaded libraries have room in every thread from its start. */
#define THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))

#define EXIT_AGENT 125	/* the agent refuses to let the server run */

/* ------------------------------------------------------------------ config.c */

enum { RESCUE_READ = 1, RESCUE_ACCEPT = 2, RESCUE_WAIT = 4 };

/* Signals that mean a crash; the bits of config.signals are indices here. */
enum { CRASH_SIGNALS = 5 };
extern const int crash_signals[CRASH_SIGNALS];
extern const char *const crash_signal_names[CRASH_SIGNALS];
int crash_index(int signal);	/* -1: none of them */

struct config {
	unsigned int rescue;		/* RESCUE_* */
	unsigned int signals;
	char policy[SMC_SPEC_LEN];
	uint64_t limit;
	const char *device;
	const char *log;		/* path, or "none", or "stderr" */
	bool required;			/* refuse to run unprotected */
	bool chain_outside;		/* signals that another process sent are the server's */
	unsigned long max;		/* crashes, 0: any number */
	unsigned long retries;		/* crashes by the server's own doing, without a request between */
};

extern struct config config;

/* Reads SMC_AGENT; ends the process where it is wrong. */
void config_read(void);

/* ------------------------------------------------------------------ log.c */

/* Writes one line to the log. Safe in a signal handler as far as vsnprintf() with %s, %d, %u, %x and %l is. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_open(void);

/* ------------------------------------------------------------------ state.c */

enum kind {
	NONE,		/* not open, or opened in a way that the agent does not see */
	PLAIN,		/* open */
	LISTENER,	/* a socket that clients connect to */
	CLIENT,		/* a connection that was accepted */
	PEER,		/* a stream connection that the server made */
	OWN,		/* the agent's; the server may not close it */
};

/* What became of a descriptor since the checkpoint. */
enum {
	NOTED = 1,	/* it is in shared->noted */
	OPENED = 2,	/* what is open now was not at the checkpoint */
	CLOSED = 4,	/* what was open at the checkpoint is not any more */
	KEPT = 8,	/* ... and is kept as number "kept" */
	KEPT_CLOEXEC = 16,
	READ = 32,	/* bytes have come from it */
	WRITTEN = 64,	/* bytes have gone to it */
};

/* An epoll set; one that clients or a listener are in. */
enum { SET = 1, SET_OF_CLIENTS = 2 };

struct descriptor {
	uint8_t kind;
	uint8_t kind_then;		/* at the checkpoint; valid while NOTED */
	uint8_t since;			/* as above */
	uint8_t set;			/* SET, SET_OF_CLIENTS, or 0 */
	int32_t kept;
	uint32_t registrations;		/* first of its list, 0: none */
};

/* A descriptor in an epoll set, by the numbers of both. */
struct registration {
	int32_t epoll, fd;
	uint32_t next;			/* of the same descriptor, or in the list of free ones */
	bool is_now, was_then, changed;
	struct epoll_event now, then;
};

enum { DESCRIPTORS = 1 << 16, REGISTRATIONS = 1 << 16 };

enum protection {
	OFF,		/* not attached yet */
	ON,
	LOST,		/* it cannot be, or not any more */
};

/* What is known of a crash. */
struct crash {
	int signal, code;
	pid_t thread, sender;
	uintptr_t address, instruction;
	uintptr_t frame;		/* where the kernel put what it tells of the signal */
	unsigned long checkpoint;	/* the last one then */
	bool outside;			/* another process sent it: nothing that the server did */
	bool had_request;		/* something was read since the checkpoint, or the last rollback */
};

/* In a shared mapping: rollbacks leave it alone. */
struct shared {
	pid_t pid;			/* whose notes these are */
	atomic_int owner;		/* thread that holds the lock */
	atomic_int protection;		/* enum protection */
	bool epoch;			/* there is a checkpoint */
	int handle, log;		/* descriptors, -1: none */
	struct crash crash;		/* the one being handled, or the last */
	struct crash passed_on;		/* the last that a thread left to the one that took the checkpoint */
	pid_t taker;			/* thread that took the checkpoint */
	/*
	 * A signal that came while this thread was in the agent. Not in the thread's memory, where a checkpoint would
	 * keep it, to be handled after each rollback anew. One is enough: they come from outside, and say the same.
	 */
	atomic_int pending_thread;
	siginfo_t pending_info;
	unsigned long retries;		/* crashes by its own doing, one after the other without a read between */
	bool has_read;			/* since the checkpoint, and the last rollback */
	unsigned long checkpoints, crashes, resets, skipped;
	atomic_int ending[16];		/* threads that are about to end, or have */
	atomic_bool stale;		/* some has ended since the checkpoint, which cannot be rolled back to if it was part of it */
	int64_t pause_until, pause;	/* milliseconds: no checkpoints, since they fail */
	int pause_error;

	int highest;			/* descriptor that a note was ever taken of */
	int nnoted;
	uint32_t nregistrations;	/* ever used; number 0 is not */
	uint32_t free_registration, nchanged;
	struct descriptor descriptors[DESCRIPTORS];
	int32_t noted[DESCRIPTORS];
	struct registration registrations[REGISTRATIONS];
	uint32_t changed[REGISTRATIONS];
};

extern struct shared *shared;	/* NULL: the agent does nothing */

/* This thread's number. */
pid_t this_thread(void);

/*
 * Begins something that a signal from outside must not cut in two (that signal waits for agent_end()). False: this is a child
 * of the process that shared belongs to; leave things alone, and do not call agent_end().
 */
bool agent_begin(void);
void agent_end(void);
bool agent_is_busy(void);

/*
 * Around a system call and the note of it. A rollback waits for those of other threads, for a while: otherwise what was opened just then
 * would stay unknown. How many there are is in ordinary memory, and so goes back with them.
 */
void window_begin(void);
void window_end(void);
void windows_await(void);

/* Lock of shared; between agent_begin() and agent_end(). */
void agent_lock(void);
void agent_unlock(void);
bool agent_has_lock(void);
/* Takes the lock from the thread that has it, which is not there any more. */
void agent_take_lock(void);
/* Leaves it locked, by nobody. */
void agent_leave_lock(void);

static inline bool protecting(void)
{
	return shared && atomic_load_explicit(&shared->protection, memory_order_relaxed) == ON;
}

void state_open(void);

/* ------------------------------------------------------------------ descriptors.c. The lock is held, but for kind_of() */

enum kind kind_of(int fd);
void descriptor_opened(int fd, enum kind kind);
void descriptor_closes(int fd);			/* called before it is closed */
void descriptor_used(int fd, uint8_t how);	/* READ, WRITTEN */
/* Gives one of our own descriptors a high number, out of the way. */
int descriptor_own(int fd);
void descriptor_move_own(int fd);
/* A new checkpoint: what was noted since the last belongs to the past. */
void descriptors_forget(void);
/* After a rollback: makes descriptors what they were. Returns how many connections were reset. */
unsigned int descriptors_restore(void);

/* ------------------------------------------------------------------ epoll.c. The lock is held */

void epoll_changed(int epoll, int op, int fd, const struct epoll_event *event);
void epoll_fd_closes(int fd, bool kept);
void epoll_set_closes(int epoll);
void epoll_set_moves(int from, int to);
void epoll_forget(void);
void epoll_restore(void);
void epoll_fire_again(void);

/* ------------------------------------------------------------------ connections.c */

bool is_connected_stream(int fd);
void connection_reset(int fd);
/* A socket that reads as "end of file", under this number if it is free; -1: it is not. */
int dead_socket(int fd);

/* ------------------------------------------------------------------ rescue.c */

/* Opens the device, while the process may still have the right to. */
void rescue_open_device(void);
/* After accept: takes a note. Returns fd, or -1 and ECONNABORTED. */
int rescue_accepted(int fd);
/* Before a read. False: it is not made, and fails with errno. */
bool rescue_before_read(int fd, int flags);
void rescue_after_read(int fd, ssize_t result);
void rescue_before_write(int fd);
void rescue_before_wait(void);
/* The thread is not in the middle of a request any more. */
void rescue_leave_request(void);
/* The thread is about to end. */
void rescue_thread_ends(void);
void rescue_after_fork(void);
/* No rollbacks from now on. */
void rescue_end(void);

/* ------------------------------------------------------------------ crash.c */

void crash_install(void);
void crash_uninstall(void);
void crash_after_fork(void);
/* Handles the signal that came while the agent was busy. */
void crash_pending(void);
/* An alternate stack for this thread, so that stack overflows can be handled. Returns it, to be given back. */
void *crash_stack_new(void);
void crash_stack_free(void *stack);

#endif
