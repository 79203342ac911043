// SPDX-License-Identifier: MIT
/*
 * Operations on memory in mid-epoch, followed by a rollback: each one alone, then all in random order. The oracle: afterwards, memory map and every
 * byte are as at the checkpoint, and stay so after a second rollback and after the next checkpoint's.
 *
 *   world       a few mappings of every kind, made before the checkpoint
 *   reference   a copy of all of their bytes, in shared memory, and the text of /proc/self/maps
 */
#define _GNU_SOURCE
#include <linux/mman.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "smc_calls.h"
#include "tap.h"

#define PAGE 4096UL
#define SIZE (32 * PAGE)
#define HUGE (2UL << 20)

enum { A, B, C, FILE_PRIVATE, FILE_TOUCHED, READ_ONLY, UNTOUCHED, HEAP, BIG, AREAS };

static const char *const area_names[AREAS] = {
	"a", "b", "c", "file", "file, written", "read-only", "untouched", "heap", "huge",
};

static struct area {
	unsigned char *at;
	size_t size;
} areas[AREAS];

/* What rollbacks must leave alone. */
static struct kept {
	int round;
	int observed;		/* by operations that check something on their way */
	char maps[2][1 << 15];
	unsigned char bytes[AREAS][HUGE];
} *kept;

static int handle, file_fd;
static unsigned int seed = 1;

static unsigned int draw(unsigned int below)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return (unsigned long)seed * below >> 32;
}

static void *map(size_t n, int protection, int flags, int fd)
{
	void *p = mmap(NULL, n, protection, MAP_PRIVATE | flags, fd, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		_exit(3);
	}
	return p;
}

/*
 * The memory map as text. Neighbours that show the same are one: memory that moved does not become one mapping with its neighbour
 * again, though it says and does the same.
 */
static void read_maps(char *to)
{
	static char text[1 << 15];
	int fd = open("/proc/self/maps", O_RDONLY), have = 0;
	unsigned long start = 0, end = 0, offset = 0;
	char rest[512] = "", *out = to;
	ssize_t n = 0, r;

	while ((r = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
		n += r;
	text[n] = 0;
	close(fd);
	for (char *line = strtok(text, "\n"); ; line = strtok(NULL, "\n")) {
		unsigned long s, e, o;
		char flags[8], tail[400], now[512];

		if (line) {
			tail[0] = 0;
			sscanf(line, "%lx-%lx %7s %lx %399[^\n]", &s, &e, flags, &o, tail);
			snprintf(now, sizeof(now), "%s %s", flags, tail);
			/* of anonymous memory there is no offset, and its inode is 0 */
			if (have && s == end && !strcmp(now, rest) &&
			    (o == offset + (end - start) || strstr(tail, "00:00 0") == tail)) {
				end = e;
				continue;
			}
		}
		if (have)
			out += sprintf(out, "%lx-%lx %lx %s\n", start, end, offset, rest);
		if (!line)
			break;
		have = 1;
		start = s;
		end = e;
		offset = o;
		strcpy(rest, now);
	}
}

static void make_world(void)
{
	const int rw = PROT_READ | PROT_WRITE;
	unsigned char *big;

	kept = mmap(NULL, sizeof(*kept), rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	file_fd = open("/tmp/mem_ops.file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (size_t i = 0; i < SIZE; i += 8)
		sprintf((char *)kept->bytes[A] + i, "%07zx", i);
	if (write(file_fd, kept->bytes[A], SIZE) != SIZE)
		_exit(3);
	for (int i = 0; i < AREAS; i++)
		areas[i].size = SIZE;
	areas[A].at = map(SIZE, rw, MAP_ANONYMOUS, -1);
	areas[B].at = map(SIZE, rw, MAP_ANONYMOUS, -1);
	areas[C].at = map(SIZE, rw, MAP_ANONYMOUS, -1);
	areas[FILE_PRIVATE].at = map(SIZE, rw, 0, file_fd);
	areas[FILE_TOUCHED].at = map(SIZE, rw, 0, file_fd);
	areas[READ_ONLY].at = map(SIZE, PROT_READ, MAP_ANONYMOUS, -1);
	areas[UNTOUCHED].at = map(SIZE, rw, MAP_ANONYMOUS, -1);
	areas[HEAP].at = sbrk(SIZE);
	big = map(2 * HUGE, rw, MAP_ANONYMOUS, -1);
	big = (unsigned char *)(((unsigned long)big + HUGE - 1) & -HUGE);
	madvise(big, HUGE, MADV_HUGEPAGE);
	areas[BIG] = (struct area) { big, HUGE };
	for (int i = 0; i < AREAS; i++) {
		if (i == FILE_PRIVATE || i == READ_ONLY || i == UNTOUCHED)
			continue;
		for (size_t j = 0; j < areas[i].size; j += i == FILE_TOUCHED ? 3 * PAGE : 16)
			areas[i].at[j] = j * 11 + i;
	}
}

static void remember(void)
{
	/* reading the read-only and untouched areas maps pages of zeros there */
	for (int i = 0; i < AREAS; i++)
		if (i != UNTOUCHED)
			memcpy(kept->bytes[i], areas[i].at, areas[i].size);
	read_maps(kept->maps[0]);
}

static void compare(const char *name, int round)
{
	read_maps(kept->maps[1]);
	if (!ok(!strcmp(kept->maps[0], kept->maps[1]), "%s: the memory map, rollback %d", name, round)) {
		const char *a = kept->maps[0], *b = kept->maps[1];

		while (*a && *b) {
			size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");

			if (n != m || memcmp(a, b, n))
				tap_line("# was %.*s\n# is  %.*s", (int)n, a, (int)m, b);
			a += n + 1;
			b += m + 1;
		}
		return;
	}
	for (int i = 0; i < AREAS; i++) {
		if (i != UNTOUCHED && !memcmp(areas[i].at, kept->bytes[i], areas[i].size))
			continue;
		for (size_t j = 0; j < areas[i].size; j++) {
			if (areas[i].at[j] != kept->bytes[i][j]) {
				ok(false, "%s: every byte, rollback %d: %s + %#zx is %#x, was %#x", name,
				   round, area_names[i], j, areas[i].at[j], kept->bytes[i][j]);
				return;
			}
		}
	}
	ok(true, "%s: every byte, rollback %d", name, round);
}

/* ------------------------------------------------------------------ operations */

static void scribble(unsigned char *at, size_t n)
{
	for (size_t i = draw(97); i < n; i += 1 + draw(500))
		at[i] = draw(256);
}

static void write_all(void)
{
	for (int i = 0; i < AREAS; i++)
		if (i != READ_ONLY)
			memset(areas[i].at, 0xee, areas[i].size);
}

static void unmap_whole(void)
{
	areas[A].at[5] = 1;
	munmap(areas[A].at, SIZE);
	munmap(areas[FILE_TOUCHED].at, SIZE);
	munmap(areas[UNTOUCHED].at, SIZE);
}

static void unmap_holes(void)
{
	for (int i = 0; i < HEAP; i++)
		for (size_t page = draw(3); page < SIZE / PAGE; page += 2 + draw(4))
			munmap(areas[i].at + page * PAGE, PAGE);
}

static void move_and_grow(void)
{
	unsigned char *b = mremap(areas[B].at, SIZE, 4 * SIZE, MREMAP_MAYMOVE);

	if (b != MAP_FAILED)
		scribble(b, 4 * SIZE);
}

/* Pages that were written before they move must be seen at their new address, in the next epoch too. */
static void write_and_move(void)
{
	unsigned char *target = map(SIZE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS, -1);

	memset(areas[B].at, 0x11, SIZE);
	mremap(areas[B].at, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, target);
	memset(target, 0x22, SIZE);
}

static void move_in_place_of(void)
{
	mremap(areas[A].at, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, areas[C].at);
	scribble(areas[C].at, SIZE);
}

static void move_keeping(void)
{
	unsigned char *b = mremap(areas[B].at, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);

	if (b != MAP_FAILED)
		scribble(b, SIZE);
	scribble(areas[B].at, SIZE);
}

static void shrink(void)
{
	mremap(areas[C].at, SIZE, SIZE / 4, 0);
	mremap(areas[FILE_PRIVATE].at, SIZE, SIZE / 2, 0);
}

static void protect(void)
{
	mprotect(areas[A].at, SIZE / 2, PROT_NONE);
	mprotect(areas[B].at + PAGE, 3 * PAGE, PROT_READ);
	mprotect(areas[C].at, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
	mprotect(areas[READ_ONLY].at, SIZE, PROT_READ | PROT_WRITE);
	scribble(areas[READ_ONLY].at, SIZE);
}

/* mprotect() makes an entry that is dirty writable without a fault. */
static void protect_and_back(void)
{
	for (int i = A; i <= BIG; i++) {
		if (i == READ_ONLY)
			continue;
		mprotect(areas[i].at, areas[i].size, PROT_READ);
		mprotect(areas[i].at, areas[i].size, PROT_READ | PROT_WRITE);
		scribble(areas[i].at, areas[i].size);
	}
}

static void discard(void)
{
	for (int i = A; i <= BIG; i++)
		madvise(areas[i].at, areas[i].size / 2, MADV_DONTNEED);
	areas[A].at[PAGE] = 1;
	madvise(areas[C].at, SIZE, MADV_FREE);
	scribble(areas[C].at, SIZE / 2);
}

static void advise(void)
{
	madvise(areas[BIG].at, HUGE, MADV_HUGEPAGE);
	madvise(areas[BIG].at, HUGE, 25 /* MADV_COLLAPSE */);
	madvise(areas[A].at, SIZE, MADV_DONTFORK);
	madvise(areas[A].at, SIZE, MADV_DOFORK);
	madvise(areas[B].at, SIZE, MADV_MERGEABLE);
	madvise(areas[B].at, SIZE, MADV_UNMERGEABLE);
	madvise(areas[C].at, SIZE, MADV_COLD);
	madvise(areas[C].at, SIZE, MADV_PAGEOUT);
	scribble(areas[BIG].at, HUGE);
	scribble(areas[C].at, SIZE);
}

static void grow_heap(void)
{
	unsigned char *more = sbrk(3 * SIZE);

	memset(more, 0x44, 3 * SIZE);
}

static void shrink_heap(void)
{
	sbrk(-(long)(SIZE / 2));
}

static void shrink_and_grow_heap(void)
{
	sbrk(-(long)SIZE);
	memset(sbrk(2 * SIZE), 0x55, 2 * SIZE);
}

static void map_over(void)
{
	const int rw = PROT_READ | PROT_WRITE, fixed = MAP_PRIVATE | MAP_FIXED;

	memset(mmap(areas[A].at, SIZE, rw, fixed | MAP_ANONYMOUS, -1, 0), 7, SIZE / 2);
	mmap(areas[B].at, SIZE, PROT_READ, fixed, file_fd, 0);
	mmap(areas[C].at + PAGE, PAGE, PROT_NONE, fixed | MAP_ANONYMOUS, -1, 0);
	memset(mmap(areas[C].at + 4 * PAGE, 4 * PAGE, rw, MAP_SHARED | MAP_FIXED | MAP_ANONYMOUS, -1, 0), 9,
	       4 * PAGE);
	memset(mmap(areas[FILE_TOUCHED].at, SIZE, rw, fixed, file_fd, PAGE), 8, PAGE);
}

static void map_new(void)
{
	for (int i = 0; i < 20; i++)
		scribble(map((1 + draw(20)) * PAGE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS, -1), PAGE);
	scribble(map(SIZE, PROT_READ | PROT_WRITE, 0, file_fd), SIZE);
}

static int deep(int depth)
{
	volatile char frame[4000];

	memset((void *)frame, depth, sizeof(frame));
	return depth ? deep(depth - 1) + frame[7] : frame[3];
}

static void grow_stack(void)
{
	kept->observed += deep(400) == 12345;
}

/* A child that faults ends, and does not go on as its parent would. */
static pid_t child(void)
{
	pid_t pid = fork();

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
	}
	return pid;
}

static void fork_and_write(void)
{
	pid_t pid = child();
	int status;

	if (!pid) {
		bool same = true;

		for (int i = 0; i < AREAS; i++)
			same &= i == UNTOUCHED || !memcmp(areas[i].at, kept->bytes[i], areas[i].size);
		write_all();
		_exit(same ? 7 : 8);
	}
	scribble(areas[A].at, SIZE);
	waitpid(pid, &status, 0);
	kept->observed = WEXITSTATUS(status);
	scribble(areas[B].at, SIZE);
}

static void write_then_fork(void)
{
	pid_t pid;

	scribble(areas[A].at, SIZE);
	pid = child();
	if (!pid) {
		write_all();
		pause();
	}
	/* copied now, as the child still has these pages */
	scribble(areas[A].at, SIZE);
	scribble(areas[B].at, SIZE);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* The kernel's own writes: by system calls, and by another process. */
static void kernel_writes(void)
{
	int zero = open("/dev/zero", O_RDONLY), ends[2], i;
	pid_t parent = getpid(), pid;
	struct iovec parts[AREAS];

	for (i = 0; i < AREAS; i++)
		parts[i] = (struct iovec) { areas[i].at + PAGE + i, i == READ_ONLY ? 0 : 2 * PAGE };
	if (readv(zero, parts, AREAS) <= 0 || pread(file_fd, areas[A].at + 9, 2 * PAGE, 3) <= 0)
		kept->observed = -1;
	if (pipe(ends) || write(ends[1], "hello", 5) != 5 || read(ends[0], areas[BIG].at + 77, 5) != 5)
		kept->observed = -2;
	getcwd((char *)areas[C].at + 10 * PAGE - 3, 100);
	pid = child();
	if (!pid) {
		struct iovec from = { areas[B].at, PAGE }, to = { areas[C].at + 20 * PAGE + 5, PAGE };

		_exit(process_vm_writev(parent, &from, 1, &to, 1, 0) != (ssize_t)PAGE);
	}
	waitpid(pid, &i, 0);
	if (i)
		kept->observed = -3;
	close(zero);
	close(ends[0]);
	close(ends[1]);
}

static void lock_memory(void)
{
	mlock(areas[A].at, SIZE);
	munlock(areas[A].at, SIZE);
	munmap(areas[B].at, SIZE);
}

static void nothing(void)
{
}

static const struct operation {
	const char *name;
	void (*run)(void);
} operations[] = {
	{ "nothing", nothing },
	{ "writing everything", write_all },
	{ "munmap", unmap_whole },
	{ "munmap of single pages", unmap_holes },
	{ "mremap, moved and grown", move_and_grow },
	{ "mremap of written pages", write_and_move },
	{ "mremap in place of another", move_in_place_of },
	{ "mremap, MREMAP_DONTUNMAP", move_keeping },
	{ "mremap, shrunk", shrink },
	{ "mprotect", protect },
	{ "mprotect and back", protect_and_back },
	{ "madvise, MADV_DONTNEED and MADV_FREE", discard },
	{ "madvise, others", advise },
	{ "brk up", grow_heap },
	{ "brk down", shrink_heap },
	{ "brk down and up", shrink_and_grow_heap },
	{ "MAP_FIXED", map_over },
	{ "mmap", map_new },
	{ "stack growth", grow_stack },
	{ "fork, then writing", fork_and_write },
	{ "writing, then fork", write_then_fork },
	{ "writes by the kernel", kernel_writes },
	{ "mlock and munmap", lock_memory },
};

#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/* Three rollbacks to one checkpoint, with the operation each time, and one to the next. */
static void one(void *argument)
{
	const struct operation *o = argument;
	long r;

	make_world();
	handle = smc_self(0, "");
	remember();
	r = smc_take(handle);
	if (r)
		compare(o->name, r);
	if (r < 3) {
		o->run();
		smc_back(handle, r + 1);
	}
	if (o->run == fork_and_write)
		ok(kept->observed == 7, "%s: the child had the memory of the checkpoint", o->name);
	if (o->run == kernel_writes)
		ok(kept->observed == 0, "%s: they succeeded (%d)", o->name, kept->observed);
	r = smc_take(handle);
	if (r) {
		compare(o->name, r + 3);
		return;
	}
	o->run();
	smc_back(handle, 1);
}

/*
 * What an operation leaves is the world of the next checkpoint: pages that it moved or made have to be seen in that epoch. The
 * map is whatever it is by then; areas that are gone are made again first.
 */
static void kept_by_next(void *argument)
{
	const struct operation *o = argument;
	long r;

	make_world();
	handle = smc_self(0, "");
	remember();
	smc_take(handle);
	o->run();
	for (int i = 0; i < AREAS; i++) {
		if (i == HEAP)
			brk(areas[i].at + SIZE);
		else
			mmap(areas[i].at, areas[i].size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
		scribble(areas[i].at, areas[i].size);
		memcpy(kept->bytes[i], areas[i].at, areas[i].size);
	}
	read_maps(kept->maps[0]);
	r = smc_take(handle);
	if (r == 0) {
		write_all();
		smc_back(handle, 1);
	}
	compare(o->name, 9);
}

static void write_read_only(int value)
{
	mprotect(areas[A].at, SIZE, PROT_READ | PROT_WRITE);
	memset(areas[A].at, value, SIZE);
}

/*
 * Pages that are read-only at the checkpoint, and whose entries were dirty by then: because they were written before the first one, since the
 * last one, or put back by a rollback.
 */
static void read_only_and_dirty(void *argument)
{
	const char *const name = argument;
	long r;

	make_world();
	handle = smc_self(0, "");
	mprotect(areas[A].at, SIZE, PROT_READ);
	remember();
	for (int epoch = 0; epoch < 3; epoch++) {
		r = smc_take(handle);
		if (r)
			compare(name, 2 * epoch + r);
		if (r < 2) {
			write_read_only(0x51 + r);
			smc_back(handle, r + 1);
		}
	}
	write_read_only(0x61);
	mprotect(areas[A].at, SIZE, PROT_READ);
	remember();
	r = smc_take(handle);
	if (r == 0) {
		write_read_only(0x71);
		smc_back(handle, 1);
	}
	compare(name, 7);
}

static sigjmp_buf next_operation;

static void on_fault(int number)
{
	siglongjmp(next_operation, number);
}

/* Runs an operation, which may find gone what the one before it took away. */
static void attempt(const struct operation *o)
{
	if (!sigsetjmp(next_operation, 1))
		o->run();
}

static void random_order(void *argument)
{
	int rounds = *(int *)argument;

	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);

	make_world();
	handle = smc_self(0, "");
	remember();
	for (kept->round = 0; kept->round < rounds;) {
		char name[64];
		long r;

		r = smc_take(handle);
		if (r == 0) {
			int n = 1 + draw(4);

			/* seeds are rolled back too: take the round's */
			seed = 77777 + kept->round * 1031;
			while (n--)
				attempt(&operations[draw(OPERATIONS)]);
			smc_back(handle, 1);
		}
		kept->round++;
		snprintf(name, sizeof(name), "random operations, round %d", kept->round);
		compare(name, 1);
		/* some epochs end by going on */
		scribble(areas[A].at, SIZE);
		scribble(areas[BIG].at, HUGE);
		remember();
	}
}

int main(int count, char **arguments)
{
	int rounds = count > 1 ? atoi(arguments[1]) : 20;

	tap_begin();
	for (unsigned int i = 0; i < OPERATIONS; i++) {
		in_child(operations[i].name, one, (void *)&operations[i]);
		in_child(operations[i].name, kept_by_next, (void *)&operations[i]);
	}
	in_child("read-only and dirty", read_only_and_dirty, "read-only and dirty");
	in_child("random operations", random_order, &rounds);
	ok(smc_held() == 0, "nothing is held when all are gone: %ld bytes", smc_held());
	return tap_end();
}
