// SPDX-License-Identifier: MIT
/*
 * Who may open the device, and whom one may touch with it.
 *
 *   root (everything)          opens; touches anyone
 *   user 1000, group GROUP     opens once the module's parameter names the group; touches itself and its descendants
 *     ├─ child ── grandchild   may not touch its parent, nor its sibling, though all are the same user's
 *     └─ sibling
 *   stranger                   the same user's, but no relative
 */
#define _GNU_SOURCE
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "checks.h"

#define USER 1000
#define GROUP 77
#define SUID "/tmp/permission-suid"

static void set_group(int group)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", group);
	put(PARAMETER("group"), text);
}

/* Becomes an ordinary user, who can be traced as one that logged in can. */
static void become(uid_t user, gid_t group, int others, const gid_t *list)
{
	must(!setgroups(others, list) && !setresgid(group, group, group) && !setresuid(user, user, user), "setuid");
	must(!prctl(PR_SET_DUMPABLE, 1), "prctl");
}

static void become_member(void)
{
	gid_t group = GROUP;

	become(USER, USER, 1, &group);
}

static void set_capabilities(unsigned long all)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = all, .permitted = all },
		{ .effective = all >> 32, .permitted = all >> 32 },
	};

	must(!syscall(SYS_capset, &header, data), "capset");
}

static void drop_capability(int which)
{
	set_capabilities(((1UL << 41) - 1) & ~(1UL << which));
}

static long may_open(void)
{
	int fd = open("/dev/smc", O_RDWR);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* Attaches a process and takes a checkpoint of it. */
static long touch(pid_t pid)
{
	int fd = smc_device();
	long r = smc_try_attach(fd, pid, 0, "");

	if (!r && pid)
		r = smc_take(fd);
	close(fd);
	return r;
}

static long join(pid_t pid)
{
	int fd = smc_device();
	long r = smc_call(fd, SMC_IOC_JOIN, &pid);

	close(fd);
	return r;
}

/* A child that waits to be killed; perhaps it does something first. */
static pid_t sleeper(void (*first)(void))
{
	int ends[2];
	pid_t pid;
	char byte;

	must(!pipe2(ends, O_CLOEXEC), "pipe");
	pid = fork();
	if (!pid) {
		/* the ends of other pipes, which we would keep open */
		close_range(3, ends[1] - 1, 0);
		close_range(ends[1] + 1, ~0U, 0);
		if (first)
			first();
		close(ends[1]);
		for (;;)
			pause();
	}
	close(ends[1]);
	must(pid > 0 && read(ends[0], &byte, 1) == 0, "fork");
	close(ends[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ------------------------------------------------------------------ opening */

static void user_outside(void *unused)
{
	(void)unused;
	become(USER, USER, 0, NULL);
	gives(may_open(), -EACCES, "open by a user outside of the group");
	if (unshare(CLONE_NEWUSER))
		tap_skip("open by root of another user namespace", strerror(errno));
	else
		gives(may_open(), -EACCES, "open by root of another user namespace");
}

static void user_inside(void *wanted)
{
	(void)wanted;
	become_member();
	gives(may_open(), *(long *)wanted, "open by a user with the group among others");
}

static void user_of_group(void *wanted)
{
	become(USER, GROUP, 0, NULL);
	gives(may_open(), *(long *)wanted, "open by a user with the group as its own");
}

static void root_without(void *unused)
{
	(void)unused;
	must(!setgroups(0, NULL), "setgroups");
	drop_capability(CAP_SYS_ADMIN);
	gives(may_open(), -EACCES, "open by root without CAP_SYS_ADMIN");
}

static void opening(void)
{
	long no = -EACCES, yes = 0;
	struct stat s;

	must(!stat("/dev/smc", &s), "stat");
	ok((s.st_mode & 0777) == 0666, "everyone may try to open: mode %o", s.st_mode);
	gives(may_open(), 0, "open by root");
	in_child("no group: outside", user_outside, NULL);
	in_child("no group: inside", user_inside, &no);
	in_child("no group: own", user_of_group, &no);
	in_child("root without", root_without, NULL);
	set_group(GROUP);
	in_child("the group: outside", user_outside, NULL);
	in_child("the group: inside", user_inside, &yes);
	in_child("the group: own", user_of_group, &yes);
	set_group(GROUP + 1);
	in_child("another group: inside", user_inside, &no);
	set_group(-1);
	in_child("no group again: inside", user_inside, &no);
	set_group(GROUP);
	gives(may_open(), 0, "open by root, who is in no group");
}

/* ------------------------------------------------------------------ touching */

static struct {
	pid_t root, stranger, child, grandchild, sibling;
} *who;

static void *touch_in_thread(void *pid)
{
	return (void *)touch(*(pid_t *)pid);
}

static void *fork_in_thread(void *pid)
{
	*(pid_t *)pid = sleeper(NULL);
	for (;;)
		pause();
	return NULL;
}

static void child_of_user(void)
{
	int fd;

	who->grandchild = sleeper(NULL);
	gives(touch(0), 0, "a child touches itself");
	gives(touch(getpid()), 0, "by its number, too");
	gives(touch(who->grandchild), 0, "and its own child");
	gives(touch(getppid()), -EPERM, "but not its parent");
	gives(touch(who->sibling), -EPERM, "nor its sibling");
	gives(touch(who->stranger), -EPERM, "nor a stranger of the same user");
	gives(touch(who->root), -EPERM, "nor root");
	gives(touch(1), -EPERM, "nor init");
	gives(join(getppid()), -EPERM, "a child cannot join its parent, which is attached");
	gives(join(who->sibling), -EPERM, "nor its sibling, which is not");
	fd = smc_device();
	gives(smc_try_attach(fd, getppid(), 0, ""), -EPERM, "not allowed comes before busy");
	gives(smc_try_attach(fd, 0, 0, ""), 0, "the handle is not tied by it");
	close(fd);
}

static void not_dumpable(void)
{
	prctl(PR_SET_DUMPABLE, 0);
}

static void become_root_by_exec(void)
{
	execl(SUID, SUID, "wait", NULL);
	_exit(3);
}

static void touching(void *unused)
{
	pid_t pid, forked = 0;
	pthread_t thread;
	void *r;
	int fd;

	(void)unused;
	become_member();
	who->sibling = sleeper(NULL);
	fd = smc_self(0, "");
	gives(smc_take(fd), 0, "an ordinary user's process touches itself");
	who->child = sleeper(child_of_user);
	gives(touch(who->child), 0, "and its child");
	gives(touch(who->grandchild), 0, "and its grandchild");
	gives(touch(who->stranger), -EPERM, "but no stranger of the same user");
	gives(touch(getppid()), -EPERM, "nor root, which started it");
	gives(touch(1), -EPERM, "nor init");
	gives(touch(2), -EPERM, "nor a thread of the kernel");
	pthread_create(&thread, NULL, touch_in_thread, &who->child);
	pthread_join(thread, &r);
	gives((long)r, 0, "any thread of it touches its child");
	pthread_create(&thread, NULL, fork_in_thread, &forked);
	while (!*(volatile pid_t *)&forked)
		usleep(1000);
	gives(touch(forked), 0, "and the child of another thread");
	end(forked);

	/* what is above an ordinary user */
	pid = sleeper(not_dumpable);
	gives(touch(pid), -EPERM, "not a child that cannot be traced");
	end(pid);
	pid = sleeper(become_root_by_exec);
	gives(touch(pid), -EPERM, "nor one that became root");
	gives(join(pid), -EPERM, "nor to join it");
	waitpid(pid, NULL, 0);

	/* descent is what is, and not what was */
	end(who->child);
	gives(touch(who->grandchild), -EPERM, "a grandchild whose parent is gone belongs to init");
	must(!prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl");
	who->child = sleeper(child_of_user);
	end(who->child);
	gives(touch(who->grandchild), 0, "unless the orphans of a family are its own");
	end(who->grandchild);
	end(who->sibling);
}

static void capable_user(void *unused)
{
	(void)unused;
	must(!prctl(PR_SET_KEEPCAPS, 1), "prctl");
	become_member();
	set_capabilities(1UL << CAP_SYS_PTRACE);
	gives(touch(who->stranger), 0, "a user with CAP_SYS_PTRACE touches strangers");
	gives(touch(who->root), 0, "and root");
	set_capabilities(0);
	gives(touch(who->stranger), -EPERM, "without it no more");
}

static void incapable_root(void *unused)
{
	pid_t child = sleeper(NULL);

	(void)unused;
	drop_capability(CAP_SYS_PTRACE);
	gives(touch(child), -EPERM, "root without CAP_SYS_PTRACE does not touch a child that has it");
	end(child);
	child = sleeper(NULL);
	gives(touch(child), 0, "but one that has not");
	end(child);
	gives(touch(who->stranger), -EPERM, "and no stranger");
}

static void other_namespace(void *unused)
{
	pid_t child;
	int status;

	(void)unused;
	become_member();
	if (unshare(CLONE_NEWUSER | CLONE_NEWPID)) {
		tap_skip("namespaces", strerror(errno));
		return;
	}
	gives(touch(who->stranger), -EPERM, "root of another user namespace touches no stranger");
	child = fork();
	if (!child) {
		pid_t own = sleeper(NULL);

		ok(getpid() == 1 && own == 2, "processes have numbers of their own in a namespace");
		gives(touch(own), 0, "and are touched by them");
		gives(touch(who->stranger), -ESRCH, "those outside have none");
		_exit(0);
	}
	waitpid(child, &status, 0);
	ok(status == 0, "its status is %#x", status);
}

/* ------------------------------------------------------------------ handles that others have */

static const struct { const char *name; unsigned long number; bool pointer; long value; } calls[] = {
	{ "checkpoint", SMC_IOC_CHECKPOINT, false, 0 }, { "rollback", SMC_IOC_ROLLBACK, false, 1 },
	{ "hot", SMC_IOC_HOT, true, 0 }, { "policy", SMC_IOC_POLICY, true, 0 },
	{ "stat", SMC_IOC_STAT, true, 0 }, { "dirty", SMC_IOC_DIRTY, true, 0 },
	{ "detach", SMC_IOC_DETACH, false, 0 },
};

static void all_refused(int fd, const char *whose)
{
	static char room[sizeof(struct smc_stat)];

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		long r = smc_call(fd, calls[i].number, calls[i].pointer ? room : (void *)calls[i].value);

		ok(r == -EPERM, "%s with %s: %ld", calls[i].name, whose, r);
	}
}

static void send_handle(int socket, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr m = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	must(sendmsg(socket, &m, 0) == 1, "sendmsg");
}

static int receive_handle(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec data = { &byte, 1 };
	struct msghdr m = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int fd;

	must(recvmsg(socket, &m, 0) == 1 && CMSG_FIRSTHDR(&m), "recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return fd;
}

static void inherited(void *member)
{
	int fd, fresh, sockets[2], status;
	struct smc_stat s;
	pid_t pid;

	if (member)
		become_member();
	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), "socketpair");
	/* the other end is in a process that was there before the handle */
	pid = fork();
	if (!pid) {
		int received = receive_handle(sockets[1]);

		all_refused(received, "a handle that came through a socket");
		_exit(0);
	}
	fd = smc_device();
	must(!smc_try_attach(fd, 0, 0, "") && !smc_take(fd), "attach");
	send_handle(sockets[0], fd);
	waitpid(pid, &status, 0);
	ok(status == 0, "its status is %#x", status);

	fresh = smc_device();
	pid = fork();
	if (!pid) {
		all_refused(fd, member ? "an inherited handle" : "an inherited handle, and CAP_SYS_PTRACE");
		close(fd);
		fd = smc_device();
		gives(smc_try_attach(fd, 0, 0, ""), 0, "a child may have an attachment of its own");
		close(fd);
		gives(smc_try_attach(fresh, 0, 0, ""), 0, "with an inherited handle that was tied to nothing, too");
		gives(smc_take(fresh), 0, "it is good for its own process");
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ok(status == 0, "its status is %#x", status);
	s = smc_statistics(fd);
	ok(s.epoch == 1 && s.rollbacks == 0 && !*s.policy, "nothing of this has changed anything");
	gives(smc_take(fd), 0, "and the parent's handle is as good as before");
}

int main(int argc, char **argv)
{
	char byte;

	if (argc == 2 && !strcmp(argv[1], "wait")) {
		/* the user who started this cannot end it */
		alarm(1);
		return pause();
	}
	tap_begin();
	who = mmap(NULL, sizeof(*who), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	opening();

	byte = system("cp /proc/$PPID/exe " SUID " && chmod 4755 " SUID);
	must(byte == 0, SUID);
	who->root = sleeper(NULL);
	who->stranger = sleeper(become_member);
	in_child("touching", touching, NULL);
	in_child("a user with CAP_SYS_PTRACE", capable_user, NULL);
	in_child("root without CAP_SYS_PTRACE", incapable_root, NULL);
	in_child("namespaces", other_namespace, NULL);
	gives(touch(who->stranger), 0, "root touches anyone");
	in_child("handles of a user's", inherited, who);
	in_child("handles of root's", inherited, NULL);
	end(who->root);
	end(who->stranger);
	set_group(-1);
	unlink(SUID);
	none_held("permission");
	return tap_end();
}
