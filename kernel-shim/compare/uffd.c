// SPDX-License-Identifier: MIT
/*
 * The areas are write-protected with userfaultfd at a checkpoint. The first write to a page is reported, and whoever gets the report copies the
 * page and lifts its protection:
 *      uffd-sigbus     the thread that writes, as a SIGBUS. The kernel's own writes fail with EFAULT, as with mprotect;
 *      uffd-thread     a thread of ours that reads the file, while the one that writes sleeps: two switches of threads for each page. The kernel's
 *                      own writes are reported, too, where the process may ask for that (CAP_SYS_PTRACE or vm.unprivileged_userfaultfd).
 *
 * Protection is a bit of the page table here, and mappings are not split. Kernels before 6.4 cannot protect what has no page yet: areas have to be
 * present. Only anonymous and shared memory can be watched, and private mappings of files (.data) cannot.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"

static int fd = -1;
static bool kernel_too;		/* whether the kernel's writes are reported */
static pthread_t reader;
static atomic_bool has_reader;
static struct mechanism_statistics counted;

static void protect(void *start, size_t bytes, bool on)
{
	struct uffdio_writeprotect w = {
		.range = { .start = (unsigned long)start, .len = bytes },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	while (ioctl(fd, UFFDIO_WRITEPROTECT, &w))
		if (errno != EAGAIN && errno != EINTR)
			die("UFFDIO_WRITEPROTECT");
}

static void save(size_t page)
{
	if (!log_has(page)) {
		counted.faults++;
		counted.copied++;
		log_save(page);
	}
	protect(page_address(page), PAGE, false);
}

static void on_fault(int number, void *information, void *context)
{
	siginfo_t *info = information;
	size_t page = info->si_code == BUS_ADRERR ? page_at(info->si_addr) : NO_PAGE;

	if (page == NO_PAGE || log_has(page))
		hand_on(number, info, context);
	else
		save(page);
}

static void *read_faults(void *unused)
{
	struct uffd_msg message;

	(void)unused;
	while (read(fd, &message, sizeof(message)) == sizeof(message)) {
		size_t page;

		if (message.event != UFFD_EVENT_PAGEFAULT)
			continue;
		page = page_at((void *)message.arg.pagefault.address);
		if (page == NO_PAGE)
			die("a fault outside of the areas");
		save(page);
	}
	return NULL;
}

static const char *begin(const struct area *given, size_t n, unsigned long long features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | features };

	kernel_too = !(features & UFFD_FEATURE_SIGBUS);
	fd = kernel_too ? (int)syscall(SYS_userfaultfd, O_CLOEXEC) : -1;
	if (fd < 0) {
		kernel_too = false;
		fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	}
	if (fd < 0)
		return errno == EPERM ? "userfaultfd is not allowed here" : "the kernel has no userfaultfd";
	if (ioctl(fd, UFFDIO_API, &api))
		return "the kernel's userfaultfd cannot write-protect";
	areas_set(given, n);
	for (size_t i = 0; i < n; i++) {
		struct uffdio_register r = {
			.range = { .start = (unsigned long)given[i].start, .len = given[i].pages * PAGE },
			.mode = UFFDIO_REGISTER_MODE_WP,
		};

		if (ioctl(fd, UFFDIO_REGISTER, &r))
			return "userfaultfd cannot watch such memory";
	}
	log_make();
	return NULL;
}

static const char *attach_sigbus(const struct area *given, size_t n)
{
	const char *why = begin(given, n, UFFD_FEATURE_SIGBUS);

	if (!why)
		handle_signal(SIGBUS, on_fault);
	return why;
}

static const char *attach_thread(const struct area *given, size_t n)
{
	const char *why = begin(given, n, 0);

	if (!why) {
		if (pthread_create(&reader, NULL, read_faults, NULL))
			die("pthread_create");
		has_reader = true;
	}
	return why;
}

static int checkpoint(void)
{
	if (counted.checkpoints++ && few(log_count(), areas_pages())) {
		for (size_t i = 0; i < log_count(); i++)
			protect(page_address(log_page(i)), PAGE, true);
	} else {
		for (size_t i = 0; i < nareas; i++)
			protect(areas[i].start, areas[i].pages * PAGE, true);
	}
	log_clear();
	return 0;
}

static void rollback(void)
{
	log_restore();
	counted.rollbacks++;
}

static void detach(void)
{
	for (size_t i = 0; i < nareas; i++)
		protect(areas[i].start, areas[i].pages * PAGE, false);
	if (has_reader) {
		pthread_cancel(reader);
		pthread_join(reader, NULL);
		has_reader = false;
	}
	close(fd);
}

static void statistics(struct mechanism_statistics *s)
{
	*s = counted;
	s->held = log_count() * PAGE;
}

const struct mechanism uffd_sigbus = {
	.name = "uffd-sigbus",
	.attach = attach_sigbus,
	.checkpoint = checkpoint,
	.rollback = rollback,
	.detach = detach,
	.statistics = statistics,
};

const struct mechanism uffd_thread = {
	.name = "uffd-thread",
	.kernel_writes = true,
	.attach = attach_thread,
	.checkpoint = checkpoint,
	.rollback = rollback,
	.detach = detach,
	.statistics = statistics,
};
