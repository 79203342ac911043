/* SPDX-License-Identifier: MIT */
/* The agent: a server that crashes hundreds of times, in every way, and goes on; for each way of waiting for clients. */
#include "agent_client.h"

static const char *const ways[] = { "segv", "abrt", "fpe", "ill", "bus", "stack", "wild", "call", "free", "heap", "raise", "blocked" };

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

/* Crashes of one way; every one hits the client that asks for it alone. */
static void crash_often(struct victim v, const char *way, int times, int friend)
{
	char request[256], text[64];
	bool resets = true, intact = true;

	for (int i = 0; i < times; i++) {
		int enemy = must_connect(v.port);

		snprintf(request, sizeof(request), "set kept %s %d", way, i);
		intact &= says(friend, "ok", request);
		resets &= says(enemy, "ok", "set mine 1");
		snprintf(request, sizeof(request), "set kept lost;set new%d x;open /tmp/leak;map;crash %s", i, way);
		resets &= is_reset(enemy, request);
		close(enemy);
		snprintf(text, sizeof(text), "%s %d", way, i);
		intact &= says(friend, text, "get kept");
		snprintf(request, sizeof(request), "get new%d", i);
		intact &= says(friend, "(none)", request);
		if (!resets || !intact)
			break;
	}
	ok(resets, "%d crashes by %s: each resets the client that caused it", times, way);
	ok(intact, "... and another client finds everything as it was");
}

static void in_loop(const char *loop, int times, const char *more)
{
	struct victim v = start("", loop, more);
	int friend = must_connect(v.port), idle = must_connect(v.port), before, after;
	char number[16];

	says(friend, "ok", "set big 1");
	says(idle, "ok", "set idle 1");
	snprintf(number, sizeof(number), "%d", v.pid);
	usleep(200000);
	before = descriptors_of(v.pid);
	for (int i = 0; i < WAYS; i++)
		crash_often(v, ways[i], times, friend);
	usleep(200000);
	after = descriptors_of(v.pid);
	ok(before == after, "%s: no descriptor is lost or left (%d before, %d after)", loop, before, after);
	ok(says(friend, number, "pid"), "%s: it is the same process", loop);
	ok(says(idle, "1", "get idle"), "%s: a client that waited through all that is served", loop);
	if (!ok(logged("rolled back to") == WAYS * times, "%s: the log tells of %d crashes", loop, WAYS * times))
		show(LOG, 10);
	close(friend);
	close(idle);
	ok(end_server(v.pid, SIGTERM) == SIGTERM, "%s: it ends as it should", loop);
}

int main(void)
{
	tap_begin();
	unlink("/tmp/server.out");
	in_loop("epoll", 10, NULL);
	in_loop("edge", 3, NULL);
	in_loop("poll", 3, NULL);
	in_loop("select", 3, NULL);
	in_loop("epoll", 5, "helper");
	if (tap->failed)
		show("/tmp/server.out", 10);
	return tap_end();
}
