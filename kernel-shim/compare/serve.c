// SPDX-License-Identifier: MIT
/*
 * A library to be preloaded into an unmodified server: takes a checkpoint before the server reads from a socket that has something to say. With
 * one client that waits for each answer this is a checkpoint at every request.
 *
 * Only what a checkpoint costs is measured with it, and nothing is rolled back: the agent of libsmc is what does that in earnest.
 *
 * WHAT IS WATCHED. smc and fork see the whole process. The others are given areas: every page that is present in a private, writable mapping when the
 * first checkpoint is taken, but for this library's own. Memory that the server touches or maps for the first time later is not watched: enough for
 * a measurement of a server that has warmed up, and not for one that is to be rolled back.
 *
 * WHAT THE KERNEL WRITES for the server into memory that is protected fails with EFAULT (mprotect, uffd-sigbus). So for those the library
 * stands before the calls that the servers make (read(), recv(), epoll_wait(), ...) and touches each page of the buffer first. That can be done
 * call by call for the servers that are measured here. It cannot be done for every server:
 *      - a call that the C library makes by itself, or the program without the C library, is not seen;
 *      - rseq: the kernel writes the processor's number into the thread's own memory whenever it was preempted, and kills the process
 *        where that fails. The servers run with GLIBC_TUNABLES=glibc.pthread.rseq=0;
 *      - a signal without an alternate stack is delivered onto the stack, which is protected: the process is killed;
 *      - io_uring and other writes that come later than the call.
 * uffd-thread sees the kernel's writes, but can watch anonymous memory only: the writable pages of the program's and the libraries' files are copied, all
 * of them, at each checkpoint.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "measure.h"
#include "serve.h"
#include "support.h"

#define AREAS 4096

static struct serving *serving;
static const struct mechanism *mechanism;
static bool recording, attached, opens;
static struct area found[AREAS], rest[256];
static size_t nfound, nrest;
static unsigned char *rest_copy;
static pid_t server;

/* ------------------------------------------------------------------ areas */

static uintptr_t own_start, own_end;

static int find_own(struct dl_phdr_info *info, size_t size, void *unused)
{
	uintptr_t here = (uintptr_t)&own_start;

	(void)size;
	(void)unused;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && here >= start && here < start + p->p_memsz) {
			own_start = start & ~(PAGE - 1);
			own_end = (start + p->p_memsz + PAGE - 1) & ~(PAGE - 1);
			return 1;
		}
	}
	return 0;
}

static void add(struct area *list, size_t *n, size_t room, unsigned char *page)
{
	if (*n && list[*n - 1].start + list[*n - 1].pages * PAGE == page) {
		list[*n - 1].pages++;
		return;
	}
	if (*n == room)
		die("too many areas");
	list[(*n)++] = (struct area){ page, 1 };
}

/* Pages that are present in private writable mappings; those of files into "rest" where only anonymous memory is wanted. */
static void find_areas(bool anonymous_only)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	static char line[1024];
	static struct mapping {
		uintptr_t start, end;
		bool file;
	} mappings[4096];
	size_t n = 0;

	dl_iterate_phdr(find_own, NULL);
	if (!maps || pagemap < 0)
		die("/proc/self");
	while (fgets(line, sizeof(line), maps)) {
		unsigned long start, end, inode;
		char flags[8];

		if (sscanf(line, "%lx-%lx %7s %*x %*s %lu", &start, &end, flags, &inode) != 4 || flags[1] != 'w' || flags[3] != 'p')
			continue;
		mappings[n++] = (struct mapping){ start, end, inode != 0 };
	}
	fclose(maps);
	for (size_t i = 0; i < n; i++) {
		for (uintptr_t a = mappings[i].start; a < mappings[i].end; a += PAGE) {
			uint64_t entry;

			if (pread(pagemap, &entry, sizeof(entry), a / PAGE * sizeof(entry)) != sizeof(entry))
				die("/proc/self/pagemap");
			if (!(entry >> 63) || (a >= own_start && a < own_end))
				continue;
			if (anonymous_only && mappings[i].file)
				add(rest, &nrest, sizeof(rest) / sizeof(*rest), (unsigned char *)a);
			else
				add(found, &nfound, AREAS, (unsigned char *)a);
		}
	}
	close(pagemap);
}

static size_t pages_of(const struct area *list, size_t n)
{
	size_t pages = 0;

	for (size_t i = 0; i < n; i++)
		pages += list[i].pages;
	return pages;
}

/* ------------------------------------------------------------------ checkpoints */

static void attach(void)
{
	bool is_smc, is_uffd;
	const char *why;

	recording = !strcmp(serving->way, "record");
	mechanism = mechanism_named(recording ? "smc" : serving->way);
	is_smc = !strncmp(mechanism->name, "smc", 3);
	is_uffd = !strncmp(mechanism->name, "uffd", 4);
	if (!is_smc && mechanism->rollback)
		find_areas(is_uffd);
	if (nrest)
		rest_copy = own_memory(pages_of(rest, nrest) * PAGE);
	serving->areas = nfound;
	serving->pages = pages_of(found, nfound);
	serving->rest = pages_of(rest, nrest);
	why = mechanism->attach(found, nfound);
	if (why)
		strncpy(serving->unavailable, why, sizeof(serving->unavailable) - 1);
	else
		attached = true;
	opens = attached && !mechanism->kernel_writes;
	serving->attached = 1;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Adds the epoch that ends to the recording. */
static void record(void)
{
	uint64_t *page = serving->page + serving->offsets[serving->recorded];
	size_t room = SERVE_PAGES - serving->offsets[serving->recorded], n;

	if (serving->recorded == SERVE_EPOCHS)
		return;
	n = smc_dirty_pages(page, room);
	if (n > room)
		die("the recording is too long");
	qsort(page, n, sizeof(*page), ascending);
	serving->offsets[++serving->recorded] = page + n - serving->page;
}

/* Tells the pages that the same epoch wrote in the recording. */
static void tell(void)
{
	unsigned char **pages = serving->told_pages;
	uint64_t begun = now(), i, n = 0;

	if (serving->epochs < serving->recorded &&
	    serving->offsets[serving->epochs + 1] - serving->offsets[serving->epochs] <= SERVE_TOLD) {
		for (i = serving->offsets[serving->epochs]; i < serving->offsets[serving->epochs + 1]; i++) {
			unsigned char *page = (unsigned char *)serving->page[i];

			if (nfound && page_at(page) == NO_PAGE)
				serving->missed++;
			else
				pages[n++] = page;
		}
	}
	mechanism->foretell(pages, n);
	serving->told += now() - begun;
}

static void before_request(void)
{
	if (!serving || getpid() != server)
		return;
	if (serving->attach && !serving->attached)
		attach();
	if (!attached)
		return;
	if (serving->answered != serving->ask) {
		mechanism->statistics(&serving->statistics);
		serving->answered = serving->ask;
	}
	if (recording && serving->epochs)
		record();
	if (mechanism->told)
		tell();
	if (nrest) {
		unsigned char *to = rest_copy;

		for (size_t i = 0; i < nrest; i++) {
			memcpy(to, rest[i].start, rest[i].pages * PAGE);
			to += rest[i].pages * PAGE;
		}
	}
	serving->epochs++;
	mechanism->checkpoint();
}

/* ------------------------------------------------------------------ calls */

#define SEEN __attribute__((visibility("default")))

#define REAL(name)                                      \
	static __typeof__(name) *real;                  \
	if (!real)                                      \
		real = dlsym(RTLD_NEXT, #name)

/* Makes pages that the kernel is about to write writable. */
static void will_be_written(void *buffer, size_t bytes)
{
	volatile unsigned char *b = buffer;

	if (!opens || !bytes || getpid() != server)
		return;
	for (size_t i = 0; i < bytes; i += PAGE)
		b[i] = b[i];
	b[bytes - 1] = b[bytes - 1];
}

SEEN int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout)
{
	REAL(epoll_wait);
	/* few events are ever reported, and the array may be of megabytes */
	will_be_written(events, (most < 16 ? most : 16) * sizeof(*events));
	return real(epoll, events, most, timeout);
}

static ssize_t receive(int fd, void *buffer, size_t bytes, int flags)
{
	REAL(recv);
	return real(fd, buffer, bytes, flags);
}

/* A look at what a socket has to say; other descriptors have no such call. */
static void before_read(int fd)
{
	char byte;

	/* this byte is on the stack, which may be protected */
	will_be_written(&byte, 1);
	if (serving && receive(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
		before_request();
}

SEEN ssize_t read(int fd, void *buffer, size_t bytes)
{
	REAL(read);
	before_read(fd);
	will_be_written(buffer, bytes);
	return real(fd, buffer, bytes);
}

SEEN ssize_t pread(int fd, void *buffer, size_t bytes, off_t offset)
{
	REAL(pread);
	will_be_written(buffer, bytes);
	return real(fd, buffer, bytes, offset);
}

SEEN ssize_t recv(int fd, void *buffer, size_t bytes, int flags)
{
	before_read(fd);
	will_be_written(buffer, bytes);
	return receive(fd, buffer, bytes, flags);
}

SEEN int ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *argument;

	REAL(ioctl);
	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	if (request == FIONREAD)
		will_be_written(argument, sizeof(int));
	return real(fd, request, argument);
}

SEEN int fstat(int fd, struct stat *to)
{
	REAL(fstat);
	will_be_written(to, sizeof(*to));
	return real(fd, to);
}

SEEN int stat(const char *path, struct stat *to)
{
	REAL(stat);
	will_be_written(to, sizeof(*to));
	return real(path, to);
}

SEEN int lstat(const char *path, struct stat *to)
{
	REAL(lstat);
	will_be_written(to, sizeof(*to));
	return real(path, to);
}

/* The same under the names by which programs call them that are compiled for large files, or with _FORTIFY_SOURCE. */
#define ALSO(name, original) SEEN __typeof__(original) name __attribute__((alias(#original)))

ALSO(pread64, pread);
SEEN int fstat64(int fd, struct stat64 *to) __attribute__((alias("fstat")));
SEEN int stat64(const char *path, struct stat64 *to) __attribute__((alias("stat")));
SEEN int lstat64(const char *path, struct stat64 *to) __attribute__((alias("lstat")));

SEEN ssize_t __read_chk(int fd, void *buffer, size_t bytes, size_t room)
{
	if (bytes > room)
		abort();
	return read(fd, buffer, bytes);
}

SEEN ssize_t __recv_chk(int fd, void *buffer, size_t bytes, size_t room, int flags)
{
	if (bytes > room)
		abort();
	return recv(fd, buffer, bytes, flags);
}

static void __attribute__((constructor)) begin(void)
{
	int fd = open(SERVE_FILE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	serving = mmap(NULL, sizeof(*serving), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (serving == MAP_FAILED)
		serving = NULL;
	server = getpid();
}
