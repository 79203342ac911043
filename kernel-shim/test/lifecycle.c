// SPDX-License-Identifier: MIT
/*
 * Beginnings and ends: processes that fork, exit and are killed at any moment, handles that are closed at the wrong one, the module that is
 * unloaded. Each section ends with nothing held.
 *
 * Moments are drawn from a fixed seed, or the first argument: what is tested is that there are hundreds of them.
 */
#define _GNU_SOURCE
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "areas.h"

#define PAGES 24UL

/* ------------------------------------------------------------------ fork */

/*
 * One area for each way in which a page can come to be shared with a child:
 *
 *   area           parent: before fork     child             parent: after fork
 *   WRITTEN        writes                  writes            writes
 *   WRITTEN_ONCE   writes
 *   LATER                                                    writes
 *   LEFT_TO_CHILD                          writes
 *   BOTH                                   writes            writes
 *   READ
 *   HINTED         (copied ahead)          writes            writes
 *   FRESH          (never touched)         writes            writes
 */
enum { WRITTEN, WRITTEN_ONCE, LATER, LEFT_TO_CHILD, BOTH, READ, HINTED, FRESH, AREAS };

static const bool child_writes[AREAS] = { true, false, false, true, true, false, true, true };
static const bool parent_writes[AREAS] = { true, false, true, false, true, false, true, true };
static unsigned char *areas[AREAS];
static const unsigned char zeros[PAGE];

static bool all_have(const unsigned int *what)
{
	bool good = true;

	for (int i = 0; i < AREAS; i++) {
		if (i == FRESH && !what[i]) {
			for (size_t j = 0; j < 4; j++)
				good &= !memcmp(areas[i] + j * PAGE, zeros, PAGE);
		} else if (!has(areas[i], 4, what[i])) {
			good = false;
		}
		if (!good)
			tap_line("# area %d is wrong", i);
	}
	return good;
}

/* What a child of mid-epoch does with the memory that it inherits: its own, whatever happens to its parent's. */
static void fork_child(atomic_int *step, const unsigned int *inherited)
{
	unsigned int mine[AREAS];
	struct smc_stat s;
	int fd, self = 0;
	long r;

	ok(all_have(inherited), "a child of mid-epoch has the memory of mid-epoch");
	fd = smc_device();
	gives(smc_call(fd, SMC_IOC_JOIN, &self), -ENOTCONN, "it is not attached");
	for (int i = 0; i < AREAS; i++) {
		mine[i] = child_writes[i] ? 200U + i : inherited[i];
		if (child_writes[i])
			fill(areas[i], 4, mine[i]);
	}
	reach(step, 1);
	await(step, 2);
	ok(all_have(mine), "the parent's rollback does not touch it");
	/* it may have a checkpoint of its own, while its parent has */
	gives(smc_try_attach(fd, 0, 0, "active-cks"), 0, "it can be attached");
	r = smc_take(fd);
	if (r < 3) {
		if (r)
			ok(all_have(mine), "and rolled back, %ld", r);
		for (int i = 0; i < AREAS; i++)
			fill(areas[i], 4, 100 + r);
		s = smc_statistics(fd);
		must(s.copied > 0, "copied");
		smc_back(fd, r + 1);
	}
	reach(step, 3);
	await(step, 4);
	ok(all_have(mine), "nor do its parent's later checkpoints");
}

static void forks(void *policy)
{
	unsigned int then[AREAS], at_fork[AREAS];
	atomic_int *step = shared_pages(1);
	int fd = smc_self(0, policy), status;
	__u64 base;
	pid_t child;
	long r;

	for (int i = 0; i < AREAS; i++) {
		areas[i] = pages(4);
		then[i] = i == FRESH ? 0 : i + 1;
		if (i != FRESH)
			fill(areas[i], 4, then[i]);
	}
	smc_hint(fd, areas[HINTED], 4 * PAGE, SMC_HOT_ADD);
	/* a policy learns of them */
	for (int round = 0; round < 3; round++) {
		smc_take(fd);
		for (int i = 0; i < FRESH; i++)
			fill(areas[i], 4, then[i]);
	}
	for (int round = 0; round < 2; round++) {
		base = smc_statistics(fd).rollbacks;
		r = smc_take(fd);
		if (r == 0) {
			memcpy(at_fork, then, sizeof(then));
			at_fork[WRITTEN] = at_fork[WRITTEN_ONCE] = 60;
			fill(areas[WRITTEN], 4, 60);
			fill(areas[WRITTEN_ONCE], 4, 60);
			reach(step, 0);
			child = fork();
			if (!child) {
				fork_child(step, at_fork);
				_exit(0);
			}
			await(step, 1);
			for (int i = 0; i < AREAS; i++)
				if (parent_writes[i])
					fill(areas[i], 4, 150);
			smc_back(fd, child);
		}
		ok(r > 1 && all_have(then), "%s: the parent is rolled back, byte by byte", (char *)policy);
		child = r;
		for (int i = 0; i < AREAS; i++)
			fill(areas[i], 4, 160);
		if (smc_statistics(fd).rollbacks == base + 1)
			smc_back(fd, child);
		ok(smc_statistics(fd).rollbacks == base + 2, "and once more");
		reach(step, 2);
		await(step, 3);
		for (int i = 0; i < AREAS; i++)
			fill(areas[i], 4, then[i] = 30 + round + i);
		if (smc_take(fd) == 0) {
			for (int i = 0; i < AREAS; i++)
				fill(areas[i], 4, 170);
			smc_back(fd, 1);
		}
		ok(all_have(then), "the next checkpoint, too");
		reach(step, 4);
		waitpid(child, &status, 0);
		ok(status == 0, "the child has come to a good end: %#x", status);
	}
}

/* Pages are copied ahead while a child has them too: they stay shared until somebody writes them. */
static void fork_ahead(void *unused)
{
	atomic_int *step = shared_pages(1);
	unsigned char *m = pages(16);
	int fd = smc_self(0, ""), status;
	pid_t child;
	long r;

	(void)unused;
	fill(m, 16, 1);
	smc_hint(fd, m, 16 * PAGE, SMC_HOT_ADD);
	smc_take(fd);
	child = fork();
	if (!child) {
		for (int i = 1; i <= 2; i++) {
			await(step, i);
			ok(has(m, 16, 1), "pages that were copied ahead for the parent are still the child's, %d", i);
		}
		_exit(0);
	}
	r = smc_take(fd);
	if (!r) {
		fill(m, 12, 2);
		reach(step, 1);
		usleep(20000);
		smc_back(fd, 1);
	}
	ok(has(m, 16, 1), "and are rolled back");
	fill(m, 16, 3);
	reach(step, 2);
	waitpid(child, &status, 0);
	ok(status == 0, "the child has come to a good end: %#x", status);
}

/* ------------------------------------------------------------------ threads that are busy with memory */

/* Uses memory in every way, and checks it. Never returns. */
static void *churn(void *which)
{
	unsigned int own = (unsigned long)which * 7919 + 13, what = own;
	unsigned char *kept = pages(4);

	fill(kept, 4, what - 1);
	for (;; what++) {
		unsigned char *m = pages(8), *moved;

		fill(m, 8, what);
		must(has(kept, 4, what - 1), "a thread's memory is not what it wrote");
		fill(kept, 4, what);
		mprotect(m, 4 * PAGE, PROT_READ);
		mprotect(m, 4 * PAGE, RW);
		moved = mremap(m, 8 * PAGE, 12 * PAGE, MREMAP_MAYMOVE);
		if (moved == MAP_FAILED && errno == EFAULT) {
			/* a mapping that had moved before may come back from a rollback as two (map.c) */
			must(has(m, 8, what), "memory is not what was written");
			munmap(m, 8 * PAGE);
			continue;
		}
		must(moved != MAP_FAILED && has(moved, 8, what), "memory that moved is not what was written");
		madvise(moved, 2 * PAGE, MADV_DONTNEED);
		must(!moved[0] && moved[3 * PAGE] == content(3, what), "MADV_DONTNEED");
		munmap(moved, 12 * PAGE);
		if (what % 16 == 0)
			sched_yield();
	}
	return NULL;
}

static void start(void *(*function)(void *), unsigned long argument)
{
	pthread_t thread;

	must(!pthread_create(&thread, NULL, function, (void *)argument), "pthread_create");
	pthread_detach(thread);
}

/* ------------------------------------------------------------------ exit in every state */

enum state {
	ATTACHED, TAKEN, WRITTEN_TO, HINTS, CHANGED_POLICY, STALE, ROLLED_BACK, JOINED, UNMAPPED, AFTER_FORK, STATES
};

static const char *const state_names[STATES] = {
	"attached", "after a checkpoint", "in mid-epoch", "with hints", "with a policy that has learnt",
	"after the limit was exceeded", "after a rollback", "with a handle that joined", "with its memory unmapped",
	"with a child",
};

enum way { EXIT, KILLED, CRASHED, BY_THREAD, LEADER_FIRST, BY_EXEC, WAYS };

static const char *const way_names[WAYS] = {
	"exit", "SIGKILL", "SIGSEGV", "exit by another thread", "thread by thread", "exec",
};

static void *ends_process(void *unused)
{
	(void)unused;
	_exit(0);
}

static void *ends_itself(void *unused)
{
	usleep(1000);
	return unused;
}

static void bring_to(enum state state)
{
	static const char *const policies[] = { "none", "active-rnd", "active-cks", "gspec" };
	unsigned char *m = pages(PAGES);
	struct smc_policy_spec policy = { 0 };
	int fd = smc_self(state == STALE ? 8 * PAGE : 0, policies[state % 4]), other, self = 0;

	fill(m, PAGES, 1);
	if (state == ATTACHED)
		return;
	if (smc_take(fd))
		return;
	if (state == TAKEN)
		return;
	smc_hint(fd, m, 8 * PAGE, state == HINTS ? SMC_HOT_ADD : SMC_HOT_CLEAR);
	for (int i = 0; i < 3; i++) {
		fill(m, PAGES, i);
		if (state == CHANGED_POLICY) {
			strcpy(policy.spec, policies[i]);
			smc_call(fd, SMC_IOC_POLICY, &policy);
		}
		if (state != WRITTEN_TO && smc_take(fd))
			return;
	}
	fill(m, PAGES, 9);
	if (state == ROLLED_BACK)
		smc_back(fd, 1);
	if (state == UNMAPPED)
		munmap(m, PAGES * PAGE);
	if (state == AFTER_FORK && !fork()) {
		usleep(2000);
		_exit(0);
	}
	if (state == JOINED) {
		other = smc_device();
		smc_call(other, SMC_IOC_JOIN, &self);
		smc_take(other);
	}
}

static volatile int *volatile nowhere = (int *)8;

static void leave(enum way way)
{
	switch (way) {
	case KILLED:
		raise(SIGKILL);
		break;
	case CRASHED:
		*nowhere = 1;
		break;
	case BY_THREAD:
		start(ends_process, 0);
		for (;;)
			pause();
	case LEADER_FIRST:
		start(ends_itself, 0);
		/* the main thread's end alone */
		syscall(SYS_exit, 0);
		break;
	case BY_EXEC:
		execl("/bin/true", "true", NULL);
		break;
	default:
		_exit(0);
	}
}

static void exits(void)
{
	for (int way = 0; way < WAYS; way++) {
		int good = 0, wanted = way == KILLED ? SIGKILL : way == CRASHED ? SIGSEGV : 0, status;
		long held = 0;

		for (int state = 0; state < STATES; state++) {
			pid_t pid = fork();

			if (!pid) {
				bring_to(state);
				leave(way);
			}
			waitpid(pid, &status, 0);
			good += status == wanted;
			held += smc_held();
			if (status != wanted || smc_held())
				tap_line("# %s %s: status %#x, %ld held", way_names[way], state_names[state], status,
					 smc_held());
		}
		ok(good == STATES && held == 0, "%s in %d states: %d end so, %ld bytes are left", way_names[way], STATES,
		   good, held);
	}
}

/* ------------------------------------------------------------------ kill -9 at random moments */

/* Takes checkpoints and rolls back for ever. */
static void victim(int threads)
{
	static const char *const policies[] = { "none", "active-rnd:interval=3", "active-cks:misses=0", "gspec" };
	unsigned char *m = pages(PAGES);
	int fd = smc_self(0, policies[draw(4)]);

	for (int i = 0; i < threads; i++)
		start(churn, i);
	for (unsigned int n = 1; ; n++) {
		long r;

		fill(m, PAGES, n);
		r = smc_take(fd);
		must(r >= 0, "a checkpoint fails");
		must(has(m, PAGES, n), "memory is not that of the checkpoint");
		if (r == 3)
			continue;
		memset(m + draw(PAGES) * PAGE, 1, PAGE);
		fill(m, PAGES / 2, n + 1);
		if (r == 1)
			munmap(m, 4 * PAGE);
		smc_back(fd, r + 1);
	}
}

/* Kills so many; the longest time that one took to die. */
static void kill_victims(int lives, int threads)
{
	int good = 0, status;
	double slowest = 0;

	for (int i = 0; i < lives; i++) {
		pid_t pid = fork();
		double start;

		if (!pid) {
			seed += i;
			victim(threads);
		}
		/* some are still at the beginning */
		usleep(draw(i % 4 ? 6000 : 600));
		start = now();
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		if (now() - start > slowest)
			slowest = now() - start;
		good += status == SIGKILL;
		if (status != SIGKILL)
			tap_line("# life %d ends with status %#x", i, status);
	}
	ok(good == lives, "%d of %d with %d more threads are killed", good, lives, threads);
	ok(slowest < 1, "each at once: %.3f s", slowest);
	none_held("killed");
}

/* A parent takes checkpoints of a child and rolls it back, and somebody kills the child. */
static void kill_remote(int lives)
{
	int ends[4] = { 0 }, strange = 0, rolled_back = 0;
	double slowest = 0;

	for (int i = 0; i < lives; i++) {
		int fd = smc_device(), threads = i % 3;
		pid_t pid = fork(), killer;
		double start_time = now(), took;
		long r;

		if (!pid) {
			close(fd);
			for (int j = 0; j < threads; j++)
				start(churn, j);
			churn(NULL);
		}
		r = smc_try_attach(fd, pid, 0, i % 2 ? "gspec" : "");
		must(!r, "attach");
		killer = fork();
		if (!killer) {
			close(fd);
			seed += i;
			usleep(draw(8000));
			kill(pid, SIGKILL);
			_exit(0);
		}
		while ((r = smc_take(fd)) == 0 && (r = smc_back(fd, 1)) == 0)
			rolled_back++;
		took = now() - start_time;
		if (took > slowest)
			slowest = took;
		ends[0] += r == -EOWNERDEAD;
		ends[1] += r == -ESTALE;
		if (r != -EOWNERDEAD && r != -ESTALE) {
			strange++;
			tap_line("# life %d: %s after %.3f s", i, r < 0 ? strerrorname_np(-r) : "a value", took);
		}
		waitpid(killer, NULL, 0);
		waitpid(pid, NULL, 0);
		strange += smc_take(fd) != -EOWNERDEAD;
		close(fd);
	}
	ok(strange == 0, "%d children are killed under their parent's hands, after %d rollbacks: %d EOWNERDEAD, %d ESTALE",
	   lives, rolled_back, ends[0], ends[1]);
	ok(slowest < 1, "their parent knows at once: %.3f s", slowest);
	none_held("killed children");
}

/* ------------------------------------------------------------------ handles that end too early */

static int racing;
static atomic_int *turns;

/* Ends what the main thread is using, in the middle of something. */
static void *ends_handle(void *detach)
{
	/* shared memory is not rolled back */
	while (atomic_load(turns) == 0)
		sched_yield();
	if (detach)
		smc_call(racing, SMC_IOC_DETACH, NULL);
	else
		close(racing);
	return NULL;
}

enum { CLOSES, DETACHES, CLOSES_OWNER, WAYS_TO_END };

static void close_race(void *way_and_round)
{
	static const char *const names[] = { "closed", "detached", "closed, and another one joined" };
	int way = *(int *)way_and_round, good = 0, rounds = 24, self = 0;
	double slowest = 0;

	turns = shared_pages(1);
	for (int i = 0; i < rounds; i++) {
		int used = racing = smc_self(0, ""), after = i % 3;
		pthread_t thread;
		double start;
		long r;

		if (way == CLOSES_OWNER) {
			used = smc_device();
			must(!smc_call(used, SMC_IOC_JOIN, &self), "join");
		}
		atomic_store(turns, 0);
		must(!pthread_create(&thread, NULL, ends_handle, way == DETACHES ? &self : NULL), "pthread_create");
		for (int n = 0; ; n++) {
			start = now();
			r = smc_take(used);
			if (r == 0 && i % 2)
				r = smc_back(used, 1);
			/* what a rollback returns to has the old time */
			if (r != 1 && now() - start > slowest)
				slowest = now() - start;
			/* the thread that ended the handle may have ended itself since the checkpoint */
			if (r < 0 && !(i % 2 && r == -ESTALE))
				break;
			if (n >= after)
				atomic_store(turns, 1);
		}
		pthread_join(thread, NULL);
		good += r == (way == CLOSES ? -EBADF : way == DETACHES ? -ENOTCONN : -EOWNERDEAD) ||
			(way == DETACHES && r == -EOWNERDEAD);
		if (r != -EBADF && r != -ENOTCONN && r != -EOWNERDEAD)
			tap_line("# %s: %s after %.3f s", names[way], strerrorname_np(-r), now() - start);
		close(used);
		if (way != CLOSES_OWNER)
			continue;
		must(smc_try_attach(racing = smc_device(), 0, 0, "") == 0, "nothing is left attached");
		close(racing);
	}
	ok(good == rounds, "a handle is %s while a checkpoint runs: %d of %d know", names[way], good, rounds);
	/* stop_timeout_ms is 1000 */
	ok(slowest < 0.9, "nobody waits for it: %.3f s", slowest);
}

/* ------------------------------------------------------------------ beginning and ending among threads that are busy */

/*
 * The hooks come and go with attachments, and that changes the first bytes of functions that run all the time. An emulated processor that
 * translates them in just that moment may keep the old ones for ever (seen with QEMU 7.2), so all of this happens on one.
 */
static void on_one_processor(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	must(!sched_setaffinity(0, sizeof(one), &one), "sched_setaffinity");
}

static void attach_own(void *alone)
{
	unsigned char *m = pages(PAGES);
	int good = 0, rounds = alone ? 4 : 25;

	if (alone)
		on_one_processor();
	for (int i = 0; i < 2; i++)
		start(churn, i);
	for (int i = 0; i < rounds; i++) {
		int fd = smc_self(0, i % 2 ? "gspec" : "");

		fill(m, PAGES, i);
		if (!smc_take(fd)) {
			fill(m, PAGES, 77);
			usleep(draw(2000));
			smc_back(fd, 1);
		}
		good += has(m, PAGES, i);
		if (i % 3 == 0)
			smc_take(fd);
		close(fd);
		fill(m, PAGES, 99);
	}
	ok(good == rounds, "attached, rolled back and detached %d times among busy threads", good);
	_exit(0);
}

static pid_t busy_child(int threads)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	/* and not to stay behind if a test ends too early */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 1; i < threads; i++)
		start(churn, i);
	churn(NULL);
	return 0;
}

static void attach_other(void *alone)
{
	int good = 0, rounds = alone ? 4 : 25, status;
	pid_t pid;

	if (alone)
		on_one_processor();
	pid = busy_child(3);
	for (int i = 0; i < rounds; i++) {
		int fd = smc_device();

		must(!smc_try_attach(fd, pid, 0, i % 2 ? "active-cks" : ""), "attach");
		usleep(draw(500));
		good += !smc_take(fd);
		usleep(draw(1500));
		good += !smc_back(fd, 1);
		usleep(draw(500));
		close(fd);
	}
	ok(good == 2 * rounds, "the same from outside: %d checkpoints and rollbacks", good);
	usleep(5000);
	ok(waitpid(pid, &status, WNOHANG) == 0, "the process goes on, and its memory is what its threads wrote");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

/* ------------------------------------------------------------------ the module */

static long unload(void)
{
	return syscall(SYS_delete_module, "smc", O_NONBLOCK) ? -errno : 0;
}

static long load(void)
{
	int fd = open("/smc.ko", O_RDONLY | O_CLOEXEC);
	long r = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;

	close(fd);
	return r;
}

static char *missing;

static void *writes_missing(void *unused)
{
	*missing = 1;
	return unused;
}

static void *unloads(void *result)
{
	atomic_store((atomic_long *)result, unload());
	return NULL;
}

/* A thread sleeps in the middle of a fault, for as long as we like, while its process is detached and the module unloaded. */
static void asleep_in_a_fault(void *unused)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { .range.len = PAGE, .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zeros = { .range.len = PAGE };
	int faults = syscall(SYS_userfaultfd, O_CLOEXEC), fd;
	pthread_t writer, unloader;
	atomic_long result = 1;
	struct uffd_msg fault;

	(void)unused;
	on_one_processor();
	missing = (char *)pages(1);
	area.range.start = zeros.range.start = (unsigned long)missing;
	must(faults >= 0 && !ioctl(faults, UFFDIO_API, &api) && !ioctl(faults, UFFDIO_REGISTER, &area), "userfaultfd");
	fd = smc_self(0, "");
	must(!smc_take(fd), "checkpoint");
	must(!pthread_create(&writer, NULL, writes_missing, NULL), "pthread_create");
	must(read(faults, &fault, sizeof(fault)) == sizeof(fault), "userfaultfd");
	close(fd);
	must(!pthread_create(&unloader, NULL, unloads, &result), "pthread_create");
	usleep(300000);
	ok(atomic_load(&result) == 1, "the module stays as long as a thread is in the middle of a fault");
	must(!ioctl(faults, UFFDIO_ZEROPAGE, &zeros), "userfaultfd");
	pthread_join(writer, NULL);
	pthread_join(unloader, NULL);
	ok(*missing == 1, "the thread goes on");
	gives(atomic_load(&result), 0, "then the module is unloaded");
	gives(load(), 0, "and loaded");
}

static void module(void *unused)
{
	int good = 0, rounds = 2, status, fd;
	pid_t attached, other;

	(void)unused;
	on_one_processor();
	attached = busy_child(2);
	other = busy_child(2);
	fd = smc_device();
	gives(unload(), -EAGAIN, "the module is not unloaded while a handle is open");
	must(!smc_try_attach(fd, attached, 0, "gspec") && !smc_take(fd), "attach");
	gives(unload(), -EAGAIN, "nor while a process is attached");
	gives(smc_back(fd, 1), 0, "which can be rolled back as ever");
	for (int i = 0; i < rounds; i++) {
		bool loaded;

		/* threads are in the hook, in a checkpoint, on their way to one */
		if (i % 2)
			smc_take(fd);
		close(fd);
		good += unload() == 0;
		ok(access("/dev/smc", F_OK) != 0, "the device goes with the module");
		usleep(draw(3000));
		loaded = load() == 0;
		good += loaded;
		must(loaded, "the module does not load again");
		fd = smc_device();
		must(!smc_try_attach(fd, attached, 0, "active-cks") && !smc_take(fd), "attach");
		usleep(draw(3000));
		good += smc_back(fd, 1) == 0;
	}
	ok(good == 3 * rounds, "unloaded and loaded %d times while threads fault: %d steps", rounds, good);
	ok(waitpid(attached, &status, WNOHANG) == 0 && waitpid(other, &status, WNOHANG) == 0,
	   "processes do not notice");
	kill(attached, SIGKILL);
	kill(other, SIGKILL);
	waitpid(attached, NULL, 0);
	waitpid(other, NULL, 0);
	/* a handle whose process is gone */
	gives(unload(), -EAGAIN, "the module stays for a handle whose process is gone");
	close(fd);
	gives(unload(), 0, "and can go after that");
	gives(load(), 0, "and come");
}

int main(int argc, char **argv)
{
	static const char *const policies[] = { "none", "active-rnd:interval=3", "active-cks", "gspec:newPage=1" };
	pid_t anchor;

	tap_begin();
	if (argc > 1)
		seed = atoi(argv[1]) | 1;
	in_child("attaching", attach_own, tap);
	in_child("attaching another", attach_other, tap);
	in_child("asleep in a fault", asleep_in_a_fault, NULL);
	in_child("module", module, NULL);
	anchor = make_anchor();
	in_child("attaching", attach_own, NULL);
	in_child("attaching another", attach_other, NULL);
	for (int i = 0; i < 4; i++)
		in_child("fork", forks, (void *)policies[i]);
	in_child("fork, with pages copied ahead", fork_ahead, NULL);
	exits();
	kill_victims(90, 0);
	kill_victims(60, 3);
	kill_remote(50);
	for (int i = 0; i < WAYS_TO_END; i++)
		in_child("handles", close_race, &i);
	end_anchor(anchor);
	none_held("all");
	return tap_end();
}
