/* SPDX-License-Identifier: MIT */
/*
 * The agent: what a rollback brings back besides memory, signals from outside, its options, and when it gives up.
 *
 *	agent_rescue [pool]
 *
 * pool: only a pool of threads that serve. Not in the suite, as it is not understood: on a busy machine a connection now and then gets
 * neither an answer nor a reset.
 */
#include "agent_client.h"

static char text[512];

static const char *form(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	return text;
}

static int number(int fd, const char *request)
{
	const char *r = ask(fd, "%s", request);

	return r ? atoi(r) : -1;
}

/* A client does something and crashes the server, which resets it. */
static bool crash_with(struct victim v, const char *commands)
{
	int enemy = must_connect(v.port);
	char request[512];
	bool r;

	snprintf(request, sizeof(request), "%s;crash segv", commands);
	r = is_reset(enemy, request);
	close(enemy);
	return r;
}

static bool is_there(struct victim v)
{
	int fd = try_connect(v.port);
	bool r = fd >= 0 && says(fd, "ok", "set there 1");

	if (fd >= 0)
		close(fd);
	return r;
}

/* ------------------------------------------------------------------ what comes back */

static void descriptors(void)
{
	struct victim v = start("", "epoll", NULL);
	int friend = must_connect(v.port), other = must_connect(v.port), file, before, set, fd;

	unlink("/tmp/kept");
	file = number(friend, "open /tmp/kept");
	says(friend, "5", form("say %d first", file));
	before = number(friend, "fds");

	ok(crash_with(v, "open /tmp/new;fopen /tmp/new;dup2 1 99") && before == number(friend, "fds"), "what was opened is closed");
	ok(crash_with(v, form("close %d", file)) && says(friend, "/tmp/kept", form("type %d", file)),
	   "a file that was closed comes back");
	ok(crash_with(v, form("close %d;open /tmp/other;open /tmp/other", file)) &&
		   says(friend, "/tmp/kept", form("type %d", file)),
	   "a file whose number was used again comes back");
	ok(crash_with(v, form("dup2 1 %d", file)) && says(friend, "/tmp/kept", form("type %d", file)),
	   "a file whose number was taken by dup2 comes back");
	says(friend, "6", form("say %d second", file));
	fd = open("/tmp/kept", O_RDONLY);
	memset(text, 0, sizeof(text));
	ok(read(fd, text, 100) == 11 && !strcmp(text, "firstsecond"), "it is the same file, at the same position");
	close(fd);
	ok(crash_with(v, "close-range 100") && crash_with(v, "close-range 900"), "close_range spares the agent");
	ok(before == number(friend, "fds"), "the number of descriptors is what it was");

	fd = number(friend, "me");
	ok(crash_with(v, form("forget %d", fd)) && says(friend, "ok", "set a 1"), "a client that was taken out of the set is in it");
	ok(crash_with(v, form("mute %d", fd)) && says(friend, "ok", "set a 2"), "a registration that was changed is what it was");
	set = number(friend, "epoll");
	ok(crash_with(v, form("close %d", set)) && says(friend, "ok", "set a 3") && is_there(v), "a closed epoll set comes back");
	ok(crash_with(v, form("forget %d;close %d", fd, set)) && says(friend, "ok", "set a 4") && is_there(v),
	   "... as it was filled");

	says(other, "ok", "set a 5");
	ok(crash_with(v, form("close %d", number(other, "me"))) && !ask(other, "pid"), "a client that was closed is gone");
	ok(is_there(v), "... and the server finds that out");
	close(other);
	usleep(100000);
	ok(before - 1 == number(friend, "fds"), "... and closes it");

	says(friend, "ok", "map");
	ok(crash_with(v, "unmap") && says(friend, "m", "mapped"), "memory that was unmapped comes back");

	/* the agent's own numbers are not there for the server */
	ok(says(friend, "-1", "close 960") && says(friend, "-1", "close 961") && crash_with(v, "pid"), "close spares the agent");
	says(friend, "960", "dup2 1 960");
	says(friend, "961", "dup2 1 961");
	ok(crash_with(v, "pid") && says(friend, "/tmp/server.out", "type 961"), "dup2 moves the agent");
	says(friend, "ok", "close-all");
	ok(is_reset(friend, "crash segv") && is_running(v.pid), "closing everything spares the agent");
	close(friend);
	end_server(v.pid, SIGKILL);
}

static void processes_and_threads(void)
{
	struct victim v = start("", "epoll", NULL);
	int friend = must_connect(v.port);

	ok(says(friend, "11", "fork segv") && says(friend, "6", "fork abrt"), "a child crashes alone");
	ok(says(friend, "0", "system true") && says(friend, "ok", "set a 1"), "a command runs");
	ok(crash_with(v, "system true"), "... and then a crash");
	for (int i = 0; i < 3; i++) {
		int enemy = must_connect(v.port);

		ok(is_reset(enemy, i & 1 ? "thread-crash stack" : "thread-crash segv") && says(friend, "1", "get a"),
		   "a thread that the request made crashes");
		close(enemy);
	}
	close(friend);
	if (!ok(end_server(v.pid, SIGTERM) == SIGTERM, "the server ends as it should"))
		show(LOG, 10);
}

static void a_thread_for_each_client(void)
{
	struct victim v = start("", "threads", NULL);
	int friend = must_connect(v.port), idle = must_connect(v.port);
	bool intact = true;

	says(idle, "ok", "set idle 1");
	for (int i = 0; i < 10 && intact; i++) {
		intact &= says(friend, "ok", form("set a %d", i));
		usleep(10000);	/* its thread is back to wait for it: until then its request is not over */
		intact &= crash_with(v, "set a lost;set b lost");
		snprintf(text, sizeof(text), "%d", i);
		intact &= says(friend, strdup(text), "get a");
	}
	ok(intact, "a thread for each client: 10 crashes reset the client that caused them");
	ok(says(idle, "1", "get idle") && is_running(v.pid), "... and no other");
	close(friend);
	close(idle);
	end_server(v.pid, SIGTERM);
}

/* Several threads serve: a crash may reset others that were served since the last checkpoint, but tells nobody anything wrong. */
static void a_pool_of_threads(void)
{
	struct victim v = start("", "pool", NULL);
	int friends[4], resets = 0, wrong = 0, crashes = 0;
	const char *r;

	for (int i = 0; i < 4; i++)
		friends[i] = must_connect(v.port);
	for (int round = 0; round < 30 && is_running(v.pid); round++) {
		int enemy = must_connect(v.port);
		bool done[4];

		for (int i = 0; i < 4; i++) {
			r = ask(friends[i], "set key%d %d", i, round);
			done[i] = r && !strcmp(r, "ok");
			if (done[i])
				continue;
			wrong += r || errno == EAGAIN;
			resets++;
			close(friends[i]);
			friends[i] = must_connect(v.port);
		}
		crashes += is_reset(enemy, "set lost 1;crash segv");
		close(enemy);
		for (int i = 0; i < 4; i++) {
			r = ask(friends[i], "get key%d", i);
			/* what was acknowledged is there, unless the connection has been reset since */
			if (r && (atoi(r) == round || !done[i]))
				continue;
			wrong += r || errno == EAGAIN;
			resets++;
			close(friends[i]);
			friends[i] = must_connect(v.port);
		}
	}
	ok(crashes == 30 && is_running(v.pid), "a pool of threads: 30 crashes");
	if (!ok(wrong == 0 && says(friends[0], "(none)", "get lost"), "... no answer is wrong (%d connections of others reset)", resets))
		show(LOG, 10);
	for (int i = 0; i < 4; i++)
		close(friends[i]);
	end_server(v.pid, SIGTERM);
}

static void a_process_for_each_client(void)
{
	struct victim v = start("", "processes", NULL);
	int friend = must_connect(v.port), status, gone = 0;

	for (int i = 0; i < 5; i++) {
		int enemy = must_connect(v.port);

		gone += !ask(enemy, "crash segv");
		close(enemy);
	}
	ok(gone == 5 && says(friend, "ok", "set a 1") && is_there(v), "a process for each client: each crashes alone");
	kill(v.pid, SIGSEGV);
	ok(is_there(v) && says(friend, "1", "get a"), "... and a signal to the one that accepts is rolled back");
	friend = number(friend, "pid");
	status = end_server(v.pid, SIGTERM);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "... which ends as it should");
	kill(friend, SIGKILL);
}

/* ------------------------------------------------------------------ signals from outside */

static void outside(void)
{
	struct victim v = start("", "epoll", NULL);
	int friend = must_connect(v.port), other = must_connect(v.port), i;
	bool good = true;

	says(other, "ok", "set b 1");
	for (i = 0; i < 50 && good; i++) {
		good &= says(friend, "ok", form("set a %d", i));
		await_idle(v.pid);
		kill(v.pid, i & 1 ? SIGSEGV : SIGABRT);
		usleep(i % 5 * 5000);
	}
	ok(good, "50 signals to a server that waits: no client is reset");
	ok(says(friend, "49", "get a") && says(other, "1", "get b"), "... and nothing that was answered is lost");
	usleep(100000);
	if (!ok(logged("from process") >= 50, "the log says who sent them"))
		show(LOG, 10);
	close(other);
	close(friend);
	end_server(v.pid, SIGTERM);

	v = start("outside=chain", "epoll", "handler");
	friend = must_connect(v.port);
	ok(says(friend, "handler", "handled") && crash_with(v, "set a 1") && says(friend, "handler", "handled"),
	   "outside=chain: a crash of its own is rolled back; its handler is remembered");
	kill(v.pid, SIGSEGV);
	waitpid(v.pid, &i, 0);
	ok(WIFEXITED(i) && WEXITSTATUS(i) == 97, "... a signal from outside is its handler's");
	close(friend);

	v = start("outside=chain", "epoll", NULL);
	friend = must_connect(v.port);
	says(friend, "ok", "set a 1");
	kill(v.pid, SIGBUS);
	waitpid(v.pid, &i, 0);
	ok(WIFSIGNALED(i) && WTERMSIG(i) == SIGBUS, "... or ends a server that has none");
	close(friend);
}

/* ------------------------------------------------------------------ options, and giving up */

static void without_accept_and_wait(void)
{
	struct victim v = start("rescue=read", "epoll", NULL);
	int first = must_connect(v.port), last, newcomer;

	says(first, "ok", "set a 1");
	last = must_connect(v.port);
	says(last, "ok", "set a 2");
	newcomer = must_connect(v.port);
	usleep(100000);
	await_idle(v.pid);
	kill(v.pid, SIGSEGV);
	ok(is_reset(last, "pid"), "rescue=read: a signal while it waits resets the client that was served last");
	ok(is_reset(newcomer, "pid"), "... and one that was accepted since");
	ok(says(first, "1", "get a"), "... whose request is undone; others go on");
	close(first);
	close(last);
	close(newcomer);
	end_server(v.pid, SIGTERM);
}

static void only_accept(void)
{
	struct victim v = start("rescue=accept,retries=2", "epoll", NULL);
	int clients[7], status, i;

	for (i = 0; i < 7; i++)
		clients[i] = must_connect(v.port);
	usleep(100000);
	says(clients[0], "ok", "set a 1");
	ok(is_reset(clients[1], "crash segv") && is_reset(clients[0], "pid"),
	   "rescue=accept: a crash resets all that were served since the last client came");
	for (i = 2; i < 6 && is_reset(clients[i], "crash segv"); i++)
		;
	ok(i == 6, "retries=2: four more crashes since the same checkpoint, each by a request");
	says(clients[6], "ok", "bomb");
	for (i = 0; i < 500 && waitpid(v.pid, &status, WNOHANG) == 0; i++)
		usleep(10000);
	if (!ok(i < 500 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && logged("again and again"),
		"... but crashes without one end the server, by its signal"))
		show(LOG, 10);
	for (i = 0; i < 7; i++)
		close(clients[i]);
}

static void limits(void)
{
	struct victim v = start("max=2", "epoll", "handler");
	int enemy, status;

	ok(crash_with(v, "pid") && crash_with(v, "pid"), "max=2: two crashes");
	enemy = must_connect(v.port);
	ask(enemy, "crash segv");
	close(enemy);
	waitpid(v.pid, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 97 && logged("(max)"), "... the third is its own handler's");

	v = start("signals=fpe", "epoll", NULL);
	enemy = must_connect(v.port);
	ok(is_reset(enemy, "crash fpe"), "signals=fpe: that is rolled back");
	close(enemy);
	enemy = must_connect(v.port);
	ask(enemy, "crash segv");
	close(enemy);
	waitpid(v.pid, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "... and others are not");

	/* the request writes more than the limit holds */
	v = start("limit=256K", "epoll", NULL);
	enemy = must_connect(v.port);
	says(enemy, "ok", "map");
	ask(enemy, "set a 1");
	ask(enemy, "map;crash stack");
	close(enemy);
	waitpid(v.pid, &status, 0);
	if (!ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && logged("cannot be rolled back"),
		"limit: a request that writes more than it can hold ends the server"))
		show(LOG, 10);
}

static void policy_and_join(void)
{
	char *argv[] = { "smcctl", "run", "--policy", "gspec:population=8,mutation=0.02", "--limit", "9M",
			 "--agent=log=" LOG, "--", "agent_victim", "epoll", "7998", NULL };
	struct victim v = { .port = 7998 };
	int friend;

	unlink(LOG);
	v.pid = start_server(NULL, argv);
	await_port(v.port);
	friend = must_connect(v.port);
	ok(crash_with(v, "pid"), "smcctl run --agent: a crash is rolled back");
	snprintf(text, sizeof(text), "smcctl stat --json %d >/tmp/said", number(friend, "pid"));
	ok(system(strdup(text)) == 0 && system("grep -q '\"policy\":\"gspec:population=8,mutation=0.02\"' /tmp/said") == 0 &&
		   system("grep -q '\"rollbacks\":1,' /tmp/said && grep -q '\"limit\":9437184,' /tmp/said") == 0,
	   "smcctl stat: the policy, the limit, the rollback");
	close(friend);
	ok(end_server(v.pid, SIGTERM) == (128 + SIGTERM) << 8, "smcctl run: hands on the signal, and tells of it");
}

static void without_device(void)
{
	char *argv[] = { "agent_victim", "epoll", "7999", NULL };
	struct victim v;
	int enemy, status;
	pid_t pid;

	v = start("device=/dev/nothing", "epoll", NULL);
	ok(is_there(v) && logged("runs without rescue points"), "no device: the server runs, and the log says how");
	enemy = must_connect(v.port);
	ask(enemy, "crash segv");
	close(enemy);
	waitpid(v.pid, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "... and a crash ends it");
	pid = start_server("device=/dev/nothing,required=yes", argv);
	waitpid(pid, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 125, "required=yes: it does not start");
	pid = start_server("policy=nosuch,required=yes,log=" LOG, argv);
	await_port(7999);
	waitpid(pid, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 125 && logged("column 1"), "... or ends where it cannot be attached");
	pid = start_server("recue=read", argv);
	waitpid(pid, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 125 &&
		   system("grep -q 'unknown option \"recue\"' /tmp/server.out") == 0, "a wrong option is named");
}

int main(int argc, char **argv)
{
	tap_begin();
	unlink("/tmp/server.out");
	if (argc > 1 && !strcmp(argv[1], "pool")) {
		a_pool_of_threads();
		return tap_end();
	}
	descriptors();
	processes_and_threads();
	a_thread_for_each_client();
	a_process_for_each_client();
	outside();
	without_accept_and_wait();
	only_accept();
	limits();
	policy_and_join();
	without_device();
	if (tap->failed)
		show("/tmp/server.out", 10);
	return tap_end();
}
