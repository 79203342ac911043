/* SPDX-License-Identifier: MIT */
/*
 * Load for real servers: clients in processes of their own, that check every answer and count what they see in shared memory.
 */
#ifndef SERVER_LOAD_H
#define SERVER_LOAD_H

#include <sys/stat.h>

#include "agent_client.h"

/* Options for the agent: where the log is, and what the command line adds. */
static inline const char *agent_options(int argc, char **argv)
{
	static char options[512];

	snprintf(options, sizeof(options), "log=" LOG "%s%s", argc > 1 ? "," : "", argc > 1 ? argv[1] : "");
	return options;
}

/* What a client saw. */
struct seen {
	long answers;
	long resets;	/* connections that were reset, or refused: it has connected anew each time */
	long wrong;	/* answers that no server may give */
};

struct load {
	volatile bool end;
	int port;
	struct seen clients[8];
};

static struct load *load;
static pid_t loaders[8];
static int nloaders;

static inline void load_begin(int port, int clients, void (*run)(int index, struct seen *seen))
{
	if (!load)
		load = mmap(NULL, sizeof(*load), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(load, 0, sizeof(*load));
	load->port = port;
	nloaders = clients;
	for (int i = 0; i < clients; i++) {
		loaders[i] = fork();
		if (loaders[i] == 0) {
			run(i, &load->clients[i]);
			_exit(0);
		}
	}
}

static inline struct seen load_sum(void)
{
	struct seen sum = { 0 };

	for (int i = 0; i < nloaders; i++) {
		sum.answers += load->clients[i].answers;
		sum.resets += load->clients[i].resets;
		sum.wrong += load->clients[i].wrong;
	}
	return sum;
}

/* Waits until every client has had so many more answers. False: it took too long. */
static inline bool load_await(long more)
{
	long from[8];
	long long until = now_ms() + 20000;

	for (int i = 0; i < nloaders; i++)
		from[i] = load->clients[i].answers;
	for (int i = 0; i < nloaders; i++) {
		while (load->clients[i].answers < from[i] + more) {
			if (now_ms() > until) {
				tap_line("# client %d gets no more answers (%ld)", i, load->clients[i].answers);
				return false;
			}
			usleep(1000);
		}
	}
	return true;
}

static inline struct seen load_end(void)
{
	load->end = true;
	for (int i = 0; i < nloaders; i++) {
		int status;

		waitpid(loaders[i], &status, 0);
		load->clients[i].wrong += status != 0;
	}
	return load_sum();
}

/* Connects, however often it has to be tried. */
static inline int load_connect(struct seen *seen)
{
	for (int i = 0; i < 200 && !load->end; i++) {
		int fd = try_connect(load->port);

		if (fd >= 0)
			return fd;
		seen->resets++;
		usleep(10000);
	}
	if (load->end)
		_exit(0);
	seen->wrong++;
	_exit(1);
}

static unsigned int random_state = 1;

static inline unsigned int random_number(unsigned int below)
{
	random_state = random_state * 1103515245 + 12345;
	return (random_state >> 16) % below;
}

/* Sends a signal to a server under load so often, at moments that have nothing to do with what it does. */
static inline bool kill_under_load(pid_t server, int times)
{
	static const int signals[] = { SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL };

	for (int i = 0; i < times; i++) {
		if (kill(server, signals[i % 5]))
			return false;
		usleep(random_number(20000));
		if (i % 25 == 24 && !load_await(1)) {
			tap_line("# after %d signals", i + 1);
			return false;
		}
	}
	return load_await(3);
}

/* ------------------------------------------------------------------ HTTP */

/* Reads one response; false: the connection is over. *good: it is complete, and its body is the one expected. */
static inline bool http_response(int fd, const char *body, size_t length, bool *good, bool *last)
{
	static char text[1 << 20];
	size_t n = 0, head = 0, expected = 0;
	char *end, *field;

	*good = *last = false;
	for (;;) {
		ssize_t r = recv(fd, text + n, sizeof(text) - n - 1, 0);

		if (r <= 0)
			return false;
		n += r;
		text[n] = 0;
		if (!head && (end = strstr(text, "\r\n\r\n"))) {
			head = end + 4 - text;
			*end = 0;
			field = strcasestr(text, "\r\nContent-Length: ");
			expected = field ? strtoul(field + 18, NULL, 10) : 0;
			*last = strcasestr(text, "\r\nConnection: close") != NULL;
		}
		if (head && n >= head + expected)
			break;
	}
	/* a proxy may say that the server behind it has failed */
	if (!strncmp(text, "HTTP/1.1 502 ", 13) || !strncmp(text, "HTTP/1.1 504 ", 13)) {
		errno = ECONNRESET;
		return false;
	}
	*good = !strncmp(text, "HTTP/1.1 200 ", 13) && n == head + expected && expected == length &&
		!memcmp(text + head, body, length);
	if (!*good)
		tap_line("# a wrong response: %.60s (%zu of %zu bytes)", text, n - head, length);
	return true;
}

/* Files that HTTP servers serve, in /tmp/www. */
enum { FILES = 6 };
static char *file_contents[FILES];
static const size_t file_sizes[FILES] = { 10, 1000, 5000, 20000, 100000, 300000 };

static inline void http_files(void)
{
	mkdir("/tmp/www", 0755);
	for (int i = 0; i < FILES; i++) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), "/tmp/www/%d.txt", i);
		file_contents[i] = malloc(file_sizes[i]);
		for (size_t j = 0; j < file_sizes[i]; j++)
			file_contents[i][j] = 'a' + (j * 7 + j / 26 + i) % 26;
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
		if (write(fd, file_contents[i], file_sizes[i]) != (ssize_t)file_sizes[i])
			abort();
		close(fd);
	}
}

/* A client that gets files, over a connection that is kept. */
static inline void http_client(int index, struct seen *seen)
{
	int fd = load_connect(seen);

	random_state = index + 1;
	while (!load->end) {
		char request[256];
		int file = random_number(FILES), n;
		bool good, last;

		n = snprintf(request, sizeof(request), "GET /%d.txt HTTP/1.1\r\nHost: localhost\r\n\r\n", file);
		if (send_all(fd, request, n) && http_response(fd, file_contents[file], file_sizes[file], &good, &last)) {
			seen->answers++;
			seen->wrong += !good;
			if (!last)
				continue;
		} else if (errno == EAGAIN) {
			tap_line("# no answer");
			seen->wrong++;
		} else {
			seen->resets++;
		}
		close(fd);
		fd = load_connect(seen);
	}
}

/* The same over and over, against a server that is started: signals while it works, and while it waits. */
static inline void http_tests(const char *name, int port, pid_t server, int times)
{
	struct seen seen;
	int before;
	bool good;

	load_begin(port, 3, http_client);
	ok(load_await(5), "%s serves", name);
	usleep(200000);
	good = kill_under_load(server, times);
	seen = load_end();
	ok(good && is_running(server), "%s: %d signals under load, and it goes on", name, times);
	ok(seen.wrong == 0, "%s: no answer is wrong (%ld answers, %ld connections reset)", name, seen.answers, seen.resets);
	usleep(300000);
	before = descriptors_of(server);

	load_begin(port, 3, http_client);
	good = kill_under_load(server, times / 2) && is_running(server);
	seen = load_end();
	ok(good && seen.wrong == 0, "%s: once more", name);
	usleep(300000);
	for (int i = 0; i < 50; i++) {
		kill(server, SIGSEGV);
		usleep(5000);
	}
	load_begin(port, 3, http_client);
	good = load_await(5);
	seen = load_end();
	ok(good && seen.wrong == 0 && seen.resets == 0, "%s: 50 signals while it waits, and no client notices", name);
	usleep(300000);
	ok(descriptors_of(server) <= before + 3, "%s: descriptors are not lost (%d before, %d after)", name, before,
	   descriptors_of(server));
}

#endif
