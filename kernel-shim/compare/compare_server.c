// SPDX-License-Identifier: MIT
/*
 * What a checkpoint at every request costs unmodified servers.
 *
 *     compare_server redis|lighttpd|nginx WAY,...
 *
 * WAY     a mechanism's name: the server runs with libcompare-serve.so (serve.c), which takes a checkpoint before it reads a request.
 *         agent or agent:POLICY: it runs with libsmc's agent, which does so, too.
 *         plain: with neither.
 *
 * One client, which sends a request when the last one is answered, always the same ones in the same order, and checks each answer. A server
 * of its own for each way. With one processor nothing ever waits, so the time from answer to answer is all that the machine does for a
 * request; what the client takes of it is counted apart.
 *
 * Ways that have to be told beforehand what a request will write (eager, smc-oracle) have it from a first run, which records it: the pages have the same
 * addresses again if the machine boots with "norandmaps", and do the same again as far as the server is deterministic. "faults" tells how far.
 *
 * Prints a line of JSON for each way, and TAP:
 *
 *     {"server":"redis","way":"smc","requests":500,"instructions":...,"client":...,"told":...,"checkpoints":...,...}
 *
 * Numbers behind "requests" are means over them.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "../test/smc_calls.h"
#include "../test/tap.h"
#include "measure.h"
#include "serve.h"

#define SERVE_LIBRARY "/lib/x86_64-linux-gnu/libcompare-serve.so"
#define AGENT "/lib/x86_64-linux-gnu/libsmc-agent.so"

#define KEYS 5000		/* in redis */
#define WARM 500		/* requests before the first checkpoint */
#define SETTLE 20		/* requests after it, that do not count */
#define LEARN 400		/* the same, for policies */
#define REQUESTS 500
#define BUDGET 300000000UL	/* instructions that requests of a slow way may take together */
#define FEWEST 50

static struct serving *serving;
static int connection = -1;

/* ------------------------------------------------------------------ servers */

struct server {
	const char *name;
	int port;
	const char *const *command;
	void (*prepare)(void);
	/* Carries out request n; false: the answer is wrong. */
	bool (*request)(unsigned long n);
};

static void write_file(const char *path, const char *text, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, text, length) != (ssize_t)length) {
		perror(path);
		_exit(2);
	}
	close(fd);
}

static bool send_all(const char *data, size_t length)
{
	return send(connection, data, length, MSG_NOSIGNAL) == (ssize_t)length;
}

/* Reads until "length" bytes are there. */
static bool receive(char *to, size_t length)
{
	for (size_t n = 0; n < length;) {
		ssize_t r = recv(connection, to + n, length - n, 0);

		if (r <= 0)
			return false;
		n += r;
	}
	return true;
}

/* The same sequence in each run. */
static unsigned int mix(unsigned long n)
{
	return (unsigned int)((n + 1) * 0x9e3779b97f4a7c15UL >> 33);
}

static const char *const redis_command[] = { "redis-server", "--port",	 "6379", "--bind", "127.0.0.1", "--save", "",
					     "--appendonly", "no",	 "--daemonize", "no", NULL };

static char value[100];

static size_t redis_set(char *to, unsigned int key, char fill)
{
	memset(value, fill, sizeof(value));
	return sprintf(to, "*3\r\n$3\r\nSET\r\n$8\r\nkey%05u\r\n$100\r\n%.100s\r\n", key, value);
}

/* Of ten requests five are SET, four GET, one INCR. */
static bool redis_request(unsigned long n)
{
	static unsigned long count;
	unsigned int key = mix(n) % KEYS;
	char buffer[256], answer[256], expected[256];
	size_t length;

	if (n < KEYS) {		/* fills it first */
		length = redis_set(buffer, n, 'a' + n % 26);
		count = 0;
		return send_all(buffer, length) && receive(answer, 5) && !memcmp(answer, "+OK\r\n", 5);
	}
	switch (n % 10) {
	case 0: case 2: case 4: case 6: case 8:
		length = redis_set(buffer, key, 'a' + key % 26);
		return send_all(buffer, length) && receive(answer, 5) && !memcmp(answer, "+OK\r\n", 5);
	case 9:
		length = sprintf(buffer, "*2\r\n$4\r\nINCR\r\n$7\r\ncounter\r\n");
		length = send_all(buffer, length) ? sprintf(expected, ":%lu\r\n", ++count) : 0;
		return length && receive(answer, length) && !memcmp(answer, expected, length);
	default:
		length = sprintf(buffer, "*2\r\n$3\r\nGET\r\n$8\r\nkey%05u\r\n", key);
		if (!send_all(buffer, length) || !receive(answer, 108))
			return false;
		memset(value, 'a' + key % 26, sizeof(value));
		return !memcmp(answer, "$100\r\n", 6) && !memcmp(answer + 6, value, 100) && !memcmp(answer + 106, "\r\n", 2);
	}
}

static void redis_prepare(void)
{
}

/* Files of 200 bytes, 2000 and 8000. */
static const int sizes[] = { 200, 2000, 8000 };

static void www(void)
{
	mkdir("/tmp/www", 0755);
	for (int i = 0; i < 3; i++) {
		char path[64], text[8000];

		memset(text, 'a' + i, sizeof(text));
		sprintf(path, "/tmp/www/%d.txt", i);
		write_file(path, text, sizes[i]);
	}
}

static bool http_request(unsigned long n)
{
	static char answer[16384];
	int which = n % 10 < 5 ? 0 : n % 10 < 8 ? 1 : 2;
	size_t have = 0, head;
	char buffer[256], *end;

	sprintf(buffer, "GET /%d.txt HTTP/1.1\r\nHost: localhost\r\nUser-Agent: compare\r\nAccept: */*\r\n\r\n", which);
	if (!send_all(buffer, strlen(buffer)))
		return false;
	do {
		ssize_t r = recv(connection, answer + have, sizeof(answer) - 1 - have, 0);

		if (r <= 0)
			return false;
		have += r;
		answer[have] = 0;
		end = strstr(answer, "\r\n\r\n");
	} while (!end);
	head = end + 4 - answer;
	if (strncmp(answer, "HTTP/1.1 200", 12) || (have < head + sizes[which] && !receive(answer + have, head + sizes[which] - have)))
		return false;
	return answer[head] == 'a' + which && answer[head + sizes[which] - 1] == 'a' + which;
}

static const char *const lighttpd_command[] = { "lighttpd", "-D", "-f", "/tmp/lighttpd.conf", NULL };

static void lighttpd_prepare(void)
{
	static const char text[] = "server.document-root = \"/tmp/www\"\n"
				   "server.port = 8080\n"
				   "server.bind = \"127.0.0.1\"\n"
				   "server.max-keep-alive-requests = 60000\n"
				   "server.modules = ()\n"
				   "mimetype.assign = (\".txt\" => \"text/plain\")\n";

	www();
	write_file("/tmp/lighttpd.conf", text, strlen(text));
}

static const char *const nginx_command[] = { "nginx", "-e", "stderr", "-c", "/tmp/nginx.conf", NULL };

static void nginx_prepare(void)
{
	static const char text[] = "daemon off; master_process off; worker_processes 1; pid /tmp/nginx.pid; error_log stderr;\n"
				   "events { worker_connections 64; }\n"
				   "http {\n"
				   "  access_log off; keepalive_requests 1000000; default_type text/plain;\n"
				   "  client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f;\n"
				   "  uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;\n"
				   "  server { listen 127.0.0.1:8081; root /tmp/www; }\n"
				   "}\n";

	www();
	write_file("/tmp/nginx.conf", text, strlen(text));
}

static const struct server servers[] = {
	{ "redis", 6379, redis_command, redis_prepare, redis_request },
	{ "lighttpd", 8080, lighttpd_command, lighttpd_prepare, http_request },
	{ "nginx", 8081, nginx_command, nginx_prepare, http_request },
};

/* ------------------------------------------------------------------ runs */

static pid_t start(const struct server *s, const char *way)
{
	bool agent = !strncmp(way, "agent", 5);
	pid_t pid = fork();

	if (pid == 0) {
		char option[200] = "SMC_AGENT=rescue=read,policy=";
		char *environment[] = {
			"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
			"GLIBC_TUNABLES=glibc.pthread.rseq=0",
			agent ? "LD_PRELOAD=" AGENT : strcmp(way, "plain") ? "LD_PRELOAD=" SERVE_LIBRARY : "NOTHING=",
			agent ? option : NULL,
			NULL,
		};
		int null = open(getenv("COMPARE_VERBOSE") ? "/dev/stderr" : "/dev/null", O_RDWR);

		strncat(option, way[5] == ':' ? way + 6 : "none", 100);
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		chdir("/tmp");
		execvpe(s->command[0], (char *const *)s->command, environment);
		_exit(127);
	}
	return pid;
}

static bool reach(const struct server *s)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1;

	for (int i = 0; i < 200; i++) {
		connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (!connect(connection, (struct sockaddr *)&address, sizeof(address))) {
			struct timeval limit = { .tv_sec = 30 };

			setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
			return true;
		}
		close(connection);
		usleep(50000);
	}
	return false;
}

static uint64_t own_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000UL + t.tv_nsec;
}

/* What the module says of a process that attached itself. */
static bool joined(pid_t pid, struct mechanism_statistics *s)
{
	int fd = open("/dev/smc", O_RDWR | O_CLOEXEC), p = pid;
	struct smc_stat stat;
	bool good = fd >= 0 && !ioctl(fd, SMC_IOC_JOIN, &p) && !ioctl(fd, SMC_IOC_STAT, &stat);

	if (good)
		*s = (struct mechanism_statistics){ stat.epoch, stat.rollbacks, stat.faults, stat.copied + stat.ahead, stat.ahead, stat.held };
	if (fd >= 0)
		close(fd);
	return good;
}

static unsigned long done;		/* requests, ever */

static bool requests(const struct server *s, unsigned long n)
{
	while (n--)
		if (!s->request(done++))
			return false;
	return true;
}

/* One more request, with which the library gives its statistics; the agent's are the module's. */
static bool statistics(const struct server *s, pid_t pid, const char *way, struct mechanism_statistics *to)
{
	memset(to, 0, sizeof(*to));
	if (!strncmp(way, "agent", 5))
		return joined(pid, to);
	if (!strcmp(way, "plain"))
		return true;
	serving->ask++;
	if (!requests(s, 1))
		return false;
	*to = serving->statistics;
	return serving->answered == serving->ask;
}

/* Returns what went wrong. */
static const char *go(const struct server *s, const char *way, pid_t pid)
{
	bool learns = strstr(way, "active") || strstr(way, "gspec") || !strncmp(way, "agent", 5);
	unsigned long first, n = REQUESTS, settle = learns ? LEARN : SETTLE;
	struct mechanism_statistics before, after;
	uint64_t begun, own, took, told;

	done = 0;
	if (!reach(s))
		return "it cannot be reached";
	if (!requests(s, (s->request == redis_request ? KEYS : 0) + WARM))
		return "a wrong answer before the first checkpoint";
	serving->attach = 1;
	begun = now();
	if (!requests(s, 10))
		return "a wrong answer at the first checkpoint";
	if (*serving->unavailable)
		return serving->unavailable;
	/* a slow way gets fewer */
	begun = now();
	if (!requests(s, settle / 10 * 10))
		return "a wrong answer";
	took = (now() - begun) / settle;
	if (took * n > BUDGET)
		n = BUDGET / took < FEWEST ? FEWEST : BUDGET / took / 10 * 10;
	if (!statistics(s, pid, way, &before))
		return "no statistics";
	requests(s, 9);
	first = done;
	told = serving->told;
	own = own_time();
	begun = now();
	if (!requests(s, n))
		return "a wrong answer";
	took = now() - begun;
	own = own_time() - own;
	told = serving->told - told;
	if (done - first != n || !statistics(s, pid, way, &after))
		return "no statistics";
	/* the ten around the others are counted, too */
#define EACH(what) ((double)(after.what - before.what) / (strncmp(way, "agent", 5) ? n + 10 : n + 9))
	if (strcmp(way, "record"))
		tap_line("{\"server\":\"%s\",\"way\":\"%s\",\"requests\":%lu,\"instructions\":%.1f,\"client\":%.1f,\"told\":%.1f,"
			 "\"checkpoints\":%.3f,\"faults\":%.2f,\"copied\":%.2f,\"ahead\":%.2f}",
			 s->name, way, n, (double)took / n, (double)own / n, (double)told / n, EACH(checkpoints), EACH(faults),
			 EACH(copied), EACH(ahead));
	if (serving->areas || serving->recorded)
		tap_line("# %s, %s: %lu areas of %lu pages, %lu copied each time, %lu epochs recorded, %lu pages not found", s->name, way,
			 serving->areas, serving->pages, serving->rest, serving->recorded, serving->missed);
	return NULL;
}

static void run(const struct server *s, const char *way)
{
	const char *why;
	char name[64];
	pid_t pid;

	snprintf(name, sizeof(name), "%s, %s", s->name, way);
	/* the recording stays */
	memset(serving, 0, offsetof(struct serving, recorded));
	if (!strcmp(way, "record"))
		serving->recorded = 0;
	strncpy(serving->way, strcmp(way, "plain") && strncmp(way, "agent", 5) ? way : "none", sizeof(serving->way) - 1);
	pid = start(s, way);
	why = go(s, way, pid);
	close(connection);
	kill(pid, SIGKILL);
	/* and whatever it has left: a fork's holder has the server's sockets */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	if (why && why == serving->unavailable)
		tap_skip(name, why);
	else
		ok(!why, "%s%s%s", name, why ? ": " : "", why ? why : "");
}

int main(int argc, char **argv)
{
	const struct server *s = NULL;
	bool has_recording = false;
	int fd;

	for (size_t i = 0; argc == 3 && i < sizeof(servers) / sizeof(*servers); i++)
		if (!strcmp(servers[i].name, argv[1]))
			s = &servers[i];
	if (!s) {
		fprintf(stderr, "usage: compare_server redis|lighttpd|nginx WAY,...\n");
		return 2;
	}
	fd = open(SERVE_FILE, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*serving))) {
		perror(SERVE_FILE);
		return 2;
	}
	serving = mmap(NULL, sizeof(*serving), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	tap_begin();
	s->prepare();
	for (char *way = strtok(argv[2], ","); way; way = strtok(NULL, ",")) {
		const struct mechanism *m = mechanism_named(way);

		if (!m && strncmp(way, "agent", 5) && strcmp(way, "plain")) {
			ok(false, "%s: no such way", way);
			continue;
		}
		if (m && m->told && !has_recording) {
			run(s, "record");
			has_recording = true;
		}
		run(s, way);
	}
	unlink(SERVE_FILE);
	return tap_end();
}
