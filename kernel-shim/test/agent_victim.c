/* SPDX-License-Identifier: MIT */
/*
 * A server that crashes when it is told to, and knows nothing of checkpoints: what the agent's tests are done to.
 *
 *	agent_victim LOOP PORT [OPTION...]
 *
 * LOOP: epoll, edge (edge-triggered epoll), poll, select, threads (one for each client), processes (likewise), pool (three
 * threads with an epoll set each). Requests are lines of commands with ";"
 * between; the reply is that of the last. Options: handler (it has a handler of SIGSEGV), helper (threads that do nothing).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* ------------------------------------------------------------------ what it serves: a list of texts */

struct entry {
	struct entry *next;
	char *key, *value;
};

static struct entry *entries;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int epoll_set = -1;
static char *zero_page, *mapping;
static volatile int nothing;

static struct entry **find(const char *key)
{
	struct entry **e = &entries;

	while (*e && strcmp((*e)->key, key))
		e = &(*e)->next;
	return e;
}

static void set(const char *key, const char *value)
{
	struct entry **e = find(key);

	if (!*e) {
		*e = calloc(1, sizeof(**e));
		(*e)->key = strdup(key);
	}
	free((*e)->value);
	(*e)->value = strdup(value);
}

static int overflow(int depth)
{
	volatile char frame[4096];

	frame[depth % 4096] = depth;
	return depth < 1 << 30 ? overflow(depth + 1) + frame[17] : 0;
}

static void crash(const char *how)
{
	char *volatile pointer = NULL;

	if (!strcmp(how, "segv"))
		*pointer = 1;
	else if (!strcmp(how, "wild"))
		memset(pointer + 0x123456789000, 7, 100);
	else if (!strcmp(how, "call"))
		((void (*)(void))(uintptr_t)pointer)();
	else if (!strcmp(how, "abrt"))
		abort();
	else if (!strcmp(how, "free"))
		pointer = (char *)entries + 8, free(pointer);
	else if (!strcmp(how, "heap")) {
		memset(entries, 0xff, 4096);
		nothing = find("a") != NULL;
	}
	if (!strcmp(how, "fpe"))
		nothing = 1000 / nothing;
	else if (!strcmp(how, "ill"))
		__builtin_trap();
	else if (!strcmp(how, "bus"))
		zero_page[4096] = 1;
	else if (!strcmp(how, "stack"))
		nothing = overflow(0);
	else if (!strcmp(how, "raise"))
		raise(SIGSEGV);
	else if (!strcmp(how, "blocked")) {
		sigset_t all;

		sigfillset(&all);
		pthread_sigmask(SIG_BLOCK, &all, NULL);
		*pointer = 1;
	}
}

/* Crashes without a request. */
static void go_off(int signal)
{
	crash(signal == SIGALRM ? "segv" : "abrt");
}

static void *crash_in_thread(void *how)
{
	crash(how);
	return NULL;
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* One command; the reply is written to "reply". client: the connection. False: end the connection. */
static bool command(int client, char *text, char *reply, size_t size)
{
	char *rest = text, *word = strsep(&rest, " "), *first = strsep(&rest, " "), *second = rest;
	int number = first ? atoi(first) : 0;

	snprintf(reply, size, "ok");
	if (!strcmp(word, "set")) {
		set(first, second);
	} else if (!strcmp(word, "get")) {
		struct entry *e = *find(first);

		snprintf(reply, size, "%s", e ? e->value : "(none)");
	} else if (!strcmp(word, "crash")) {
		crash(first);
		snprintf(reply, size, "survived");
	} else if (!strcmp(word, "thread-crash")) {
		pthread_t t;

		pthread_create(&t, NULL, crash_in_thread, first);
		pthread_join(t, NULL);
	} else if (!strcmp(word, "pid")) {
		snprintf(reply, size, "%d", getpid());
	} else if (!strcmp(word, "fds")) {
		snprintf(reply, size, "%d", open_descriptors());
	} else if (!strcmp(word, "open")) {
		snprintf(reply, size, "%d", open(first, O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	} else if (!strcmp(word, "fopen")) {
		FILE *f = fopen(first, "r");

		snprintf(reply, size, "%d", f ? fileno(f) : -1);
	} else if (!strcmp(word, "close")) {
		snprintf(reply, size, "%d", close(number));
	} else if (!strcmp(word, "close-all")) {
		for (int fd = 3; fd < 1024; fd++)
			if (fd != client && fd != epoll_set)
				close(fd);
	} else if (!strcmp(word, "close-range")) {
		snprintf(reply, size, "%d", close_range(number, ~0U, 0));
	} else if (!strcmp(word, "dup2")) {
		snprintf(reply, size, "%d", dup2(number, atoi(second)));
	} else if (!strcmp(word, "say")) {
		snprintf(reply, size, "%zd", write(number, second, strlen(second)));
	} else if (!strcmp(word, "type")) {
		char path[64], target[256] = "";

		snprintf(path, sizeof(path), "/proc/self/fd/%d", number);
		if (readlink(path, target, sizeof(target) - 1) < 0)
			strcpy(target, "closed");
		snprintf(reply, size, "%.*s", (int)strcspn(target, ":"), target);
	} else if (!strcmp(word, "me")) {
		snprintf(reply, size, "%d", client);
	} else if (!strcmp(word, "epoll")) {
		snprintf(reply, size, "%d", epoll_set);
	} else if (!strcmp(word, "forget")) {
		struct epoll_event none = { 0 };

		epoll_ctl(epoll_set, EPOLL_CTL_DEL, number, &none);
	} else if (!strcmp(word, "mute")) {
		struct epoll_event none = { .events = 0, .data.fd = number };

		epoll_ctl(epoll_set, EPOLL_CTL_MOD, number, &none);
	} else if (!strcmp(word, "sleep")) {
		usleep(number * 1000);
	} else if (!strcmp(word, "bomb")) {
		struct itimerval t = { .it_interval.tv_usec = 50000, .it_value.tv_usec = 50000 };

		signal(SIGALRM, go_off);
		setitimer(ITIMER_REAL, &t, NULL);
	} else if (!strcmp(word, "fork")) {
		pid_t child = fork();
		int status;

		if (child == 0)
			crash(first);
		waitpid(child, &status, 0);
		snprintf(reply, size, "%d", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
	} else if (!strcmp(word, "system")) {
		snprintf(reply, size, "%d", system(first));
	} else if (!strcmp(word, "map")) {
		mapping = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(mapping, 'm', 1 << 20);
	} else if (!strcmp(word, "unmap")) {
		munmap(mapping, 1 << 20);
	} else if (!strcmp(word, "mapped")) {
		snprintf(reply, size, "%c", mapping ? mapping[77777] : '-');
	} else if (!strcmp(word, "handled")) {
		struct sigaction a;

		sigaction(SIGSEGV, NULL, &a);
		snprintf(reply, size, "%s", a.sa_handler == SIG_DFL ? "default" : "handler");
	} else if (!strcmp(word, "bye")) {
		return false;
	} else {
		snprintf(reply, size, "unknown");
	}
	return true;
}

/* ------------------------------------------------------------------ connections */

struct client {
	size_t n;
	char text[4096];
};

static struct client *clients[1024];

enum served { MORE, NO_MORE_NOW, AT_END };

/* Reads once and answers whole lines. */
static enum served serve(int fd)
{
	struct client *c = clients[fd];
	ssize_t r = read(fd, c->text + c->n, sizeof(c->text) - c->n - 1);
	char *end;

	if (r == 0)
		return AT_END;
	if (r < 0)
		return errno == EAGAIN || errno == EINTR ? NO_MORE_NOW : AT_END;
	c->n += r;
	c->text[c->n] = 0;
	while ((end = strchr(c->text, '\n'))) {
		char line[4096], reply[1024] = "", *rest = line, *one;
		bool go_on = true;
		size_t n;

		*end++ = 0;
		strcpy(line, c->text);
		c->n -= end - c->text;
		memmove(c->text, end, c->n + 1);
		pthread_mutex_lock(&lock);
		while (go_on && (one = strsep(&rest, ";")))
			go_on = command(fd, one, reply, sizeof(reply) - 1);
		pthread_mutex_unlock(&lock);
		if (!go_on)
			return AT_END;
		n = strlen(reply);
		reply[n++] = '\n';
		if (write(fd, reply, n) != (ssize_t)n)
			return AT_END;
	}
	return MORE;
}

static void add(int fd)
{
	clients[fd] = calloc(1, sizeof(struct client));
}

static void end_client(int fd)
{
	free(clients[fd]);
	clients[fd] = NULL;
	close(fd);
}

static void *serve_in_thread(void *argument)
{
	int fd = (int)(intptr_t)argument;

	while (serve(fd) != AT_END)
		;
	end_client(fd);
	return NULL;
}

/* ------------------------------------------------------------------ loops */

static void loop_epoll(int listener, bool edge, unsigned int exclusive)
{
	struct epoll_event events[16];
	int kind = EPOLLIN | (edge ? EPOLLET : 0);

	epoll_set = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(epoll_set, EPOLL_CTL_ADD, listener,
		  &(struct epoll_event){ .events = EPOLLIN | exclusive, .data.fd = listener });
	for (;;) {
		int n = epoll_wait(epoll_set, events, 16, 10000);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			enum served served;

			if (fd == listener) {
				fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
				if (fd < 0)
					continue;
				add(fd);
				epoll_ctl(epoll_set, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = kind, .data.fd = fd });
				continue;
			}
			if (!clients[fd])
				continue;
			do
				served = serve(fd);
			while (edge && served == MORE);
			if (served == AT_END)
				end_client(fd);
		}
	}
}

static void *pool_thread(void *listener)
{
	loop_epoll((int)(intptr_t)listener, false, EPOLLEXCLUSIVE);
	return NULL;
}

static void loop_pool(int listener)
{
	pthread_t t;

	fcntl(listener, F_SETFL, O_NONBLOCK);	/* another thread may be first */
	for (int i = 0; i < 2; i++)
		pthread_create(&t, NULL, pool_thread, (void *)(intptr_t)listener);
	pool_thread((void *)(intptr_t)listener);
}

static void loop_poll(int listener, bool by_select)
{
	for (;;) {
		struct pollfd fds[1024];
		fd_set readable;
		int n = 0, most = listener;

		fds[n++] = (struct pollfd){ .fd = listener, .events = POLLIN };
		for (int fd = 0; fd < 1000; fd++)
			if (clients[fd])
				fds[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
		if (by_select) {
			FD_ZERO(&readable);
			for (int i = 0; i < n; i++) {
				FD_SET(fds[i].fd, &readable);
				most = fds[i].fd > most ? fds[i].fd : most;
			}
			if (select(most + 1, &readable, NULL, NULL, NULL) < 0)
				continue;
			for (int i = 0; i < n; i++)
				fds[i].revents = FD_ISSET(fds[i].fd, &readable) ? POLLIN : 0;
		} else if (poll(fds, n, -1) < 0) {
			continue;
		}
		for (int i = 1; i < n; i++)
			if (fds[i].revents && serve(fds[i].fd) == AT_END)
				end_client(fds[i].fd);
		if (fds[0].revents) {
			int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

			if (fd >= 0)
				add(fd);
		}
	}
}

static void loop_threads(int listener)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		pthread_t t;

		if (fd < 0)
			continue;
		add(fd);
		pthread_create(&t, NULL, serve_in_thread, (void *)(intptr_t)fd);
		pthread_detach(t);
	}
}

static void loop_processes(int listener)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (fd < 0)
			continue;
		if (fork() == 0) {
			add(fd);
			while (serve(fd) != AT_END)
				;
			_exit(0);
		}
		close(fd);
	}
}

static void *do_nothing(void *unused)
{
	static pthread_mutex_t never = PTHREAD_MUTEX_INITIALIZER;
	static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

	pthread_mutex_lock(&never);
	for (;;)
		pthread_cond_wait(&condition, &never);
	return unused;
}

static void report(int signal)
{
	static const char text[] = "the server's own handler\n";

	if (write(1, text, sizeof(text) - 1) < 0)
		_exit(98);
	_exit(signal == SIGSEGV ? 97 : 96);
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[2])) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), empty;
	const char *kind = argv[1];

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 100)) {
		perror("listen");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	empty = memfd_create("empty", MFD_CLOEXEC);
	if (ftruncate(empty, 4096))
		return 1;
	zero_page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, empty, 0);
	for (int i = 3; i < argc; i++) {
		pthread_t t;

		if (!strcmp(argv[i], "handler"))
			signal(SIGSEGV, report);
		for (int j = 0; j < 3 && !strcmp(argv[i], "helper"); j++)
			pthread_create(&t, NULL, do_nothing, NULL);
	}
	if (!strcmp(kind, "epoll") || !strcmp(kind, "edge"))
		loop_epoll(listener, !strcmp(kind, "edge"), 0);
	else if (!strcmp(kind, "poll") || !strcmp(kind, "select"))
		loop_poll(listener, !strcmp(kind, "select"));
	else if (!strcmp(kind, "pool"))
		loop_pool(listener);
	else if (!strcmp(kind, "processes"))
		loop_processes(listener);
	else
		loop_threads(listener);
	return 1;
}
