/* SPDX-License-Identifier: MIT */
/* redis as it comes, under the agent: crashes of its own (DEBUG SEGFAULT and others), and signals from outside. */
#define _GNU_SOURCE
#include "server_load.h"

enum { PORT = 8003, KEYS = 1000 };

/* Sends a command whose reply is one line: the text of a status (+OK), or a number (:5). NULL: the connection is over. */
static const char *redis(int fd, const char *format, ...)
{
	char request[512];
	const char *r;
	va_list list;

	va_start(list, format);
	vsnprintf(request, sizeof(request), format, list);
	va_end(list);
	r = ask(fd, "%s", request);
	return r && (*r == '+' || *r == ':') ? r + 1 : r;
}

/* Gets a value of one line. */
static const char *redis_get(int fd, const char *key)
{
	static char value[512];
	const char *r = ask(fd, "GET %s", key);
	size_t n = 0;

	if (!r)
		return NULL;
	if (!strcmp(r, "$-1"))
		return "(nil)";
	for (;; n++) {
		if (recv(fd, value + n, 1, 0) != 1)
			return NULL;
		if (value[n] == '\n')
			break;
	}
	value[n - 1] = 0;
	return value;
}

/*
 * Counts up its own counter, and looks at keys that never change. A client that was reset may find that its last request was not carried
 * out, or, if the server crashed just after it answered, that it has been undone.
 */
static void client(int index, struct seen *seen)
{
	long acknowledged = 0, value;
	bool was_reset = false;
	int fd = load_connect(seen);

	random_state = index + 1;
	if (!redis(fd, "SET counter%d 0", index))
		_exit(1);
	while (!load->end) {
		const char *r = redis(fd, "INCR counter%d", index);
		char key[32], expected[32];
		int k = random_number(KEYS);

		if (r) {
			value = atol(r);
			if (was_reset ? value < acknowledged || value > acknowledged + 2 : value != acknowledged + 1) {
				if (seen->wrong++ < 3)
					tap_line("# client %d: counter is %s, and %ld was acknowledged", index, r, acknowledged);
			}
			acknowledged = value;
			was_reset = false;
			seen->answers++;
			snprintf(key, sizeof(key), "key%d", k);
			snprintf(expected, sizeof(expected), "value %d", k);
			r = redis_get(fd, key);
			if (r && strcmp(r, expected)) {
				if (seen->wrong++ < 3)
					tap_line("# client %d: %s is \"%s\"", index, key, r);
			}
		}
		if (!r) {
			if (errno == EAGAIN)
				seen->wrong++;
			seen->resets++;
			was_reset = true;
			close(fd);
			fd = load_connect(seen);
		}
	}
}

static bool all_keys_are_right(void)
{
	int fd = must_connect(PORT), wrong = 0;
	char key[32], expected[32];

	for (int k = 0; k < KEYS; k++) {
		const char *r;

		snprintf(key, sizeof(key), "key%d", k);
		snprintf(expected, sizeof(expected), "value %d", k);
		r = redis_get(fd, key);
		wrong += !r || strcmp(r, expected);
	}
	close(fd);
	if (wrong)
		tap_line("# %d of %d keys are wrong", wrong, KEYS);
	return wrong == 0;
}

static long field_of_info(const char *section, const char *field)
{
	char command[256], line[128] = "";
	FILE *f;

	snprintf(command, sizeof(command), "redis-cli -p %d info %s | grep '^%s:' | cut -d: -f2", PORT, section, field);
	f = popen(command, "r");
	if (!f || !fgets(line, sizeof(line), f))
		*line = 0;
	if (f)
		pclose(f);
	return *line ? atol(line) : -1;
}

/* Crashes of its own, each asked for by a client of its own. */
static void crashes(const char *command, int times, long resets_allowed)
{
	char request[128];
	bool reset = true;
	struct seen seen;

	load_begin(PORT, 4, client);
	reset &= load_await(2);
	for (int i = 0; i < times && reset; i++) {
		int enemy = must_connect(PORT);

		/* both commands come with one read: the first is undone, too */
		snprintf(request, sizeof(request), "SET undone %d\n%s", i, command);
		reset &= is_reset(enemy, request);
		close(enemy);
	}
	reset &= load_await(2);
	seen = load_end();
	ok(reset, "redis: %d times %s resets the client that sent it", times, command);
	if (!ok(seen.wrong == 0 && seen.resets <= resets_allowed, "... and four others get right answers (%ld answers, %ld resets)",
		seen.answers, seen.resets))
		show(LOG, 10);
}

int main(int argc, char **argv)
{
	/* the memory check would end redis' own threads before it calls abort(): they could not be brought back */
	static const char config[] = "port 8003\nbind 127.0.0.1\nsave \"\"\nenable-debug-command yes\ncrash-memcheck-enabled no\ndir /tmp\n"
				     "logfile /tmp/redis.log\ndaemonize no\n";
	char *command[] = { "redis-server", "/tmp/redis.conf", NULL };
	FILE *f = fopen(command[1], "w");
	struct seen seen;
	pid_t server;
	int fd, before;
	bool good = true;

	tap_begin();
	fputs(config, f);
	fclose(f);
	unlink(LOG);
	server = start_server(agent_options(argc, argv), command);
	await_port(PORT);
	fd = must_connect(PORT);
	for (int k = 0; k < KEYS; k++) {
		const char *r = redis(fd, "SET key%d \"value %d\"", k, k);

		good &= r && !strcmp(r, "OK");
	}
	ok(good, "redis serves");
	ok(field_of_info("server", "process_id") == server, "its process is the one that was started");
	usleep(200000);
	before = descriptors_of(server);

	crashes("DEBUG SEGFAULT", 200, 0);
	crashes("DEBUG PANIC", 20, 0);
	crashes("DEBUG ASSERT", 20, 0);

	load_begin(PORT, 4, client);
	good = load_await(2) && kill_under_load(server, 300);
	seen = load_end();
	ok(good && is_running(server), "redis: 300 signals under load, and it goes on");
	ok(seen.wrong == 0, "redis: no answer is wrong (%ld answers, %ld connections reset)", seen.answers, seen.resets);

	usleep(300000);
	good = true;
	for (int i = 0; i < 50 && good; i++) {
		const char *r = redis(fd, "SET last %d", i);

		good &= r && !strcmp(r, "OK");
		await_idle(server);
		kill(server, SIGSEGV);
		usleep(3000);
		r = redis_get(fd, "last");
		good &= r && atoi(r) == i;
	}
	ok(good, "redis: 50 signals while it waits: what it acknowledged is there, over the same connection");

	good = true;
	for (int i = 0; i < 5 && good; i++) {
		int enemy = must_connect(PORT);
		const char *r = redis(fd, "BGSAVE");

		good &= r && !strncmp(r, "Background", 10);
		good &= is_reset(enemy, "DEBUG SEGFAULT");
		close(enemy);
		for (int j = 0; j < 200 && field_of_info("persistence", "rdb_bgsave_in_progress") != 0; j++)
			usleep(10000);
	}
	ok(good && field_of_info("persistence", "rdb_bgsave_in_progress") == 0, "redis: crashes while a child saves");

	ok(all_keys_are_right() && says(fd, "$-1", "GET undone"), "redis: the data is what it was");
	ok(field_of_info("server", "process_id") == server, "redis: it is the same process");
	usleep(300000);
	ok(descriptors_of(server) == before, "redis: descriptors are not lost (%d before, %d after)", before,
	   descriptors_of(server));
	close(fd);
	ok(end_server(server, SIGTERM) == 0, "redis ends as it should");
	tap_line("# %d crashes logged", logged("rolled back to"));
	if (tap->failed) {
		show(LOG, 15);
		show("/tmp/redis.log", 15);
		show("/tmp/server.out", 15);
	}
	return tap_end();
}
