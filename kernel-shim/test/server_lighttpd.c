/* SPDX-License-Identifier: MIT */
/* lighttpd as it comes, under the agent, hit by hundreds of signals. */
#define _GNU_SOURCE
#include "server_load.h"

int main(int argc, char **argv)
{
	static const char config[] = "server.document-root = \"/tmp/www\"\n"
				     "server.port = 8001\n"
				     "server.bind = \"127.0.0.1\"\n"
				     "mimetype.assign = ( \".txt\" => \"text/plain\" )\n";
	char *command[] = { "lighttpd", "-D", "-f", "/tmp/lighttpd.conf", NULL };
	FILE *f = fopen(command[3], "w");
	pid_t server;

	tap_begin();
	fputs(config, f);
	fclose(f);
	http_files();
	server = start_server(agent_options(argc, argv), command);
	await_port(8001);
	http_tests("lighttpd", 8001, server, 300);
	ok(end_server(server, SIGINT) == 0, "lighttpd ends as it should");
	tap_line("# %d crashes logged", logged("rolled back to"));
	if (tap->failed) {
		show(LOG, 15);
		show("/tmp/server.out", 15);
	}
	return tap_end();
}
