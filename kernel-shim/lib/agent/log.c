/* SPDX-License-Identifier: MIT */
/* Messages: one write for one line, so that lines of several processes do not mix. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "real.h"

void log_line(const char *format, ...)
{
	int fd = shared ? shared->log : 2, saved = errno;
	char line[512];
	va_list list;
	int n;

	if (fd < 0)
		return;
	n = snprintf(line, sizeof(line), "smc-agent[%d]: ", getpid());
	va_start(list, format);
	n += vsnprintf(line + n, sizeof(line) - n - 1, format, list);
	va_end(list);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (REAL(write)(fd, line, n) < 0)
		shared->log = -1;	/* nobody hears us */
	errno = saved;
}

/* Opens the log, with the rights that the process has at its start. Called with the lock held. */
void log_open(void)
{
	int fd;

	shared->log = -1;
	if (!strcmp(config.log, "none"))
		return;
	if (!strcmp(config.log, "stderr")) {
		/* a number of our own: a server may use 2 for something else */
		shared->log = REAL(fcntl)(2, F_DUPFD_CLOEXEC, 3);
	} else {
		shared->log = REAL(open)(config.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (shared->log < 0) {
			dprintf(2, "smc-agent: log=%s: %s. The program is not started\n", config.log, strerror(errno));
			_exit(EXIT_AGENT);
		}
	}
	fd = shared->log;
	if (fd >= 0)
		shared->log = descriptor_own(fd);
}
