/* SPDX-License-Identifier: MIT */
/*
 * nginx as it comes, under the agent: its worker, which has given up root's rights, is hit by hundreds of signals.
 *
 *	server_nginx [OPTIONS OF THE AGENT [proxy]]
 *
 * proxy: then as a proxy of itself, too. Not in the suite, as it is not understood: in one run of three an answer in a thousand does not come.
 */
#define _GNU_SOURCE
#include "server_load.h"

/* The child of a process; 0: none. */
static pid_t child_of(pid_t parent)
{
	char path[64];
	FILE *f;
	int child = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	f = fopen(path, "r");
	if (f && fscanf(f, "%d", &child) != 1)
		child = 0;
	if (f)
		fclose(f);
	return child;
}

int main(int argc, char **argv)
{
	static const char config[] = "user nobody nogroup;\n"
				     "daemon off;\n"
				     "worker_processes 1;\n"
				     "pid /tmp/nginx.pid;\n"
				     "error_log /tmp/nginx-error.log;\n"
				     "events { worker_connections 256; }\n"
				     "http {\n"
				     "  access_log /tmp/nginx-access.log;\n"
				     "  client_body_temp_path /tmp/nginx-body;\n"
				     "  proxy_temp_path /tmp/nginx-proxy;\n"
				     "  fastcgi_temp_path /tmp/nginx-fastcgi;\n"
				     "  uwsgi_temp_path /tmp/nginx-uwsgi;\n"
				     "  scgi_temp_path /tmp/nginx-scgi;\n"
				     "  sendfile on;\n"
				     "  server { listen 127.0.0.1:8002; root /tmp/www; }\n"
				     "  server { listen 127.0.0.1:8012; location / { proxy_pass http://127.0.0.1:8002; } }\n"
				     "}\n";
	char *command[] = { "nginx", "-c", "/tmp/nginx.conf", NULL };
	FILE *f = fopen(command[2], "w");
	pid_t master, worker;

	tap_begin();
	fputs(config, f);
	fclose(f);
	mkdir("/var/log", 0755);
	mkdir("/var/log/nginx", 0755);
	http_files();
	unlink(LOG);
	f = fopen(LOG, "w");
	fclose(f);
	chmod(LOG, 0666);
	master = start_server(agent_options(argc, argv), command);
	await_port(8002);
	/* the master listens before there is one */
	for (int i = 0; i < 500 && !(worker = child_of(master)); i++)
		usleep(10000);
	if (!ok(worker > 0, "nginx has a worker"))
		bail_out("no worker for", 8002);
	http_tests("nginx's worker", 8002, worker, 300);
	if (argc > 2 && !strcmp(argv[2], "proxy")) {
		struct seen seen;
		bool good;

		/* it is its own server then: connections that it makes are reset like those that it accepts */
		load_begin(8012, 3, http_client);
		good = load_await(3) && kill_under_load(worker, 100);
		seen = load_end();
		ok(good && seen.wrong == 0, "as a proxy: no answer is wrong (%ld answers, %ld connections reset, or errors)",
		   seen.answers, seen.resets);
	}
	ok(child_of(master) == worker, "it is still the same worker");
	ok(end_server(master, SIGTERM) == 0, "nginx ends as it should");
	tap_line("# %d crashes logged", logged("rolled back to"));
	if (tap->failed) {
		show(LOG, 15);
		show("/tmp/nginx-error.log", 15);
		show("/tmp/server.out", 15);
	}
	return tap_end();
}
