/* SPDX-License-Identifier: MIT */
/* For drivers of servers: starting one under the agent, connections to it, requests with a time limit. */
#ifndef AGENT_CLIENT_H
#define AGENT_CLIENT_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "tap.h"

#define AGENT "libsmc-agent.so"
#define LOG "/tmp/agent.log"

static inline long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* A connection to a port of this machine; -1: refused. */
static inline int try_connect(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = 15 };

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Shows the end of a file in the TAP output. */
static inline void show(const char *path, int lines)
{
	char command[256];

	snprintf(command, sizeof(command), "tail -n %d %s | sed 's/^/# /'", lines, path);
	if (system(command))
		return;
}

/* A server that is not there any more leaves nothing to test. */
static inline void bail_out(const char *why, int port)
{
	int error = errno;

	show(LOG, 10);
	show("/tmp/server.out", 10);
	tap_line("Bail out! %s port %d: %s", why, port, strerror(error));
	_exit(2);
}

static inline int must_connect(int port)
{
	int fd = try_connect(port);

	if (fd < 0)
		bail_out("no connection to", port);
	return fd;
}

/* Starts a program with the agent, and these options for it (NULL: without the agent). Its output goes to a file. */
static inline pid_t start_server(const char *options, char *const argv[])
{
	pid_t pid = fork();
	int out;

	if (pid)
		return pid;
	out = open("/tmp/server.out", O_WRONLY | O_CREAT | O_APPEND, 0644);
	dup2(out, 1);
	dup2(out, 2);
	close(out);
	if (options) {
		setenv("LD_PRELOAD", AGENT, 1);
		setenv("SMC_AGENT", options, 1);
	}
	execvp(argv[0], argv);
	_exit(127);
}

static inline void await_port(int port)
{
	for (int i = 0; i < 1000; i++) {
		int fd = try_connect(port);

		if (fd >= 0) {
			close(fd);
			return;
		}
		usleep(20000);
	}
	bail_out("no server listens on", port);
}

/* An agent_victim, with options for the agent. */
struct victim {
	pid_t pid;
	int port;
};

static inline struct victim start(const char *options, const char *loop, const char *more)
{
	static int port = 7000;
	char number[16], all[256];
	char *argv[] = { "agent_victim", (char *)loop, number, (char *)more, NULL };
	struct victim v;

	unlink(LOG);
	snprintf(number, sizeof(number), "%d", ++port);
	snprintf(all, sizeof(all), "log=" LOG "%s%s", *options ? "," : "", options);
	v = (struct victim){ .pid = start_server(all, argv), .port = port };
	await_port(port);
	return v;
}

/* Ends a server; its exit status. */
static inline int end_server(pid_t pid, int signal)
{
	int status = -1;
	char command[256];

	kill(pid, signal);
	for (int i = 0; i < 500; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		usleep(10000);
	}
	tap_line("# process %d does not end by signal %d", pid, signal);
	snprintf(command, sizeof(command),
		 "grep -E 'State|SigBlk' /proc/%d/task/*/status | sed 's/^/# /'; cat /proc/%d/task/*/syscall | sed 's/^/# /'", pid, pid);
	if (system(command))
		tap_line("# it cannot be looked at");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return status;
}

/* Whether a process is there, and not a zombie. */
static inline bool is_running(pid_t pid)
{
	siginfo_t info = { 0 };

	return kill(pid, 0) == 0 && (waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid == 0);
}

/* Waits until a process waits for events; not for long. */
static inline void await_idle(pid_t pid)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	for (int i = 0; i < 1000; i++) {
		FILE *f = fopen(path, "re");
		int call = -1;

		if (f && fgets(text, sizeof(text), f) && sscanf(text, "%d", &call) != 1)
			call = -1;
		if (f)
			fclose(f);
		if (call == SYS_epoll_wait || call == SYS_epoll_pwait || call == SYS_poll || call == SYS_select)
			return;
		usleep(1000);
	}
}

static inline int descriptors_of(pid_t pid)
{
	char path[64];
	DIR *folder;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	folder = opendir(path);
	if (!folder)
		return -1;
	while (readdir(folder))
		n++;
	closedir(folder);
	return n;
}

static inline bool send_all(int fd, const char *data, size_t n)
{
	while (n) {
		ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		data += sent;
		n -= sent;
	}
	return true;
}

/*
 * Sends a line and reads one. Returns the reply without its end, in a buffer that the next call uses again; NULL: none came, and
 * errno is ECONNRESET, or 0 for an end, or EAGAIN when it took too long.
 */
static inline const char *ask(int fd, const char *format, ...)
{
	static char line[4096];
	size_t n;
	va_list list;

	va_start(list, format);
	n = vsnprintf(line, sizeof(line) - 1, format, list);
	va_end(list);
	line[n++] = '\n';
	if (!send_all(fd, line, n)) {
		if (errno == EPIPE)
			errno = ECONNRESET;
		return NULL;
	}
	for (n = 0; n < sizeof(line) - 1; n++) {
		ssize_t r = recv(fd, line + n, 1, 0);

		if (r == 0)
			errno = 0;
		if (r <= 0)
			return NULL;
		if (line[n] == '\n')
			break;
	}
	while (n && line[n - 1] == '\r')
		n--;
	line[n] = 0;
	return line;
}

/* Whether the reply is this. */
static inline bool says(int fd, const char *reply, const char *request)
{
	const char *r = ask(fd, "%s", request);

	if (r && !strcmp(r, reply))
		return true;
	tap_line("# \"%s\": expected \"%s\", and got %s%s", request, reply, r ? r : "nothing: ", r ? "" : strerror(errno));
	return false;
}

/* Whether the request has the connection reset. */
static inline bool is_reset(int fd, const char *request)
{
	const char *r = ask(fd, "%s", request);

	if (!r && errno == ECONNRESET)
		return true;
	tap_line("# \"%s\": expected a reset, and got %s%s", request, r ? r : "", r ? "" : strerror(errno));
	return false;
}

/* Lines of the agent's log that contain a text. */
static inline int logged(const char *text)
{
	FILE *f = fopen(LOG, "re");
	char line[1024];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	if (f)
		fclose(f);
	return n;
}

#endif
