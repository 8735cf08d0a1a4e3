/* sandbox_calls.c - which system calls an actor can make, by seccomp. See internal.h.
 *
 * Two filters, and what either refuses is refused. The first is a generous list of all that a
 * program of this kind may ever do with itself and with what it has opened; whatever is not in it
 * does not exist (ENOSYS), which is what an older kernel says, and what every libc has an answer
 * for. The second says EPERM to what is no business of an actor, and looks at arguments.
 * docs/decisions/0014 says why so.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "actors/runtime/internal.h"
#include "base/kernel.h"
#include "base/log.h"
#include "base/settings.h"

#define FAMILIES_MAX 64 /* the kernel knows 46 */
#define TYPE_MASK    0xf
#define TYPES_MAX    16

/* LeakSanitizer looks at the threads from a process that it makes of us, and by ptrace. */
#if defined(__SANITIZE_ADDRESS__)
#define LOOKS_AT_ITSELF 1
#else
#define LOOKS_AT_ITSELF 0
#endif

/* clang-format off */
static const char *const known[] = {
	/* memory */
	"brk", "madvise", "map_shadow_stack", "membarrier", "memfd_create", "mincore", "mlock",
	"mlock2", "mlockall", "mmap", "mprotect", "mremap", "mseal", "msync", "munlock", "munlockall",
	"munmap", "pkey_alloc", "pkey_free", "pkey_mprotect",
	/* threads; clone3 not: the second filter could not see its flags, and libc goes on with clone */
	"arch_prctl", "clone", "exit", "exit_group", "futex", "futex_requeue", "futex_wait",
	"futex_waitv", "futex_wake", "get_robust_list", "getcpu", "gettid", "restart_syscall", "rseq",
	"sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity", "sched_getattr",
	"sched_getparam", "sched_getscheduler", "sched_rr_get_interval", "sched_setaffinity",
	"sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "set_robust_list",
	"set_tid_address",
	/* signals */
	"alarm", "kill", "pause", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigreturn",
	"rt_sigsuspend", "rt_sigtimedwait", "rt_tgsigqueueinfo", "sigaltstack", "signalfd", "signalfd4",
	"tgkill", "tkill",
	/* time */
	"clock_getres", "clock_gettime", "clock_nanosleep", "getitimer", "gettimeofday", "nanosleep",
	"setitimer", "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime",
	"timer_settime", "timerfd_create", "timerfd_gettime", "timerfd_settime", "times",
	/* waiting */
	"epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait",
	"eventfd", "eventfd2", "poll", "ppoll", "pselect6", "select", "wait4", "waitid",
	/* files: which ones is for Landlock to say */
	"access", "cachestat", "chdir", "close", "close_range", "copy_file_range", "creat", "dup",
	"dup2", "dup3", "faccessat", "faccessat2", "fadvise64", "fallocate", "fchdir", "fcntl",
	"fdatasync", "flock", "fstat", "fstatfs", "fsync", "ftruncate", "getcwd", "getdents",
	"getdents64", "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch",
	"ioctl", "link", "linkat", "lseek", "lstat", "mkdir", "mkdirat", "newfstatat", "open", "openat",
	"openat2", "pipe", "pipe2", "pread64", "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2",
	"read", "readahead", "readlink", "readlinkat", "readv", "rename", "renameat", "renameat2",
	"rmdir", "sendfile", "splice", "stat", "statfs", "statx", "symlink", "symlinkat", "sync_file_range",
	"tee", "truncate", "umask", "unlink", "unlinkat", "vmsplice", "write", "writev",
	/* sockets */
	"accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen",
	"recvfrom", "recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown",
	"socket", "socketpair",
	/* itself */
	"capget", "getegid", "geteuid", "getgid", "getgroups", "getpgid", "getpgrp", "getpid",
	"getppid", "getpriority", "getrandom", "getresgid", "getresuid", "getrlimit", "getrusage",
	"getsid", "getuid", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self",
	"prctl", "prlimit64", "seccomp", "setpriority", "setrlimit", "sysinfo", "uname",
#if LOOKS_AT_ITSELF
	"ptrace", "process_vm_readv",
#endif
	NULL,
};

static const char *const forbidden[] = {
	/* other programs and processes */
	"execve", "execveat", "fork", "vfork", "kcmp", "pidfd_getfd", "pidfd_open", "pidfd_send_signal",
	"process_madvise", "process_vm_writev", "rt_sigqueueinfo", "setns", "unshare",
#if !LOOKS_AT_ITSELF
	"ptrace", "process_vm_readv",
#endif
	/* the kernel's larger and younger doors */
	"add_key", "bpf", "io_uring_enter", "io_uring_register", "io_uring_setup", "keyctl",
	"perf_event_open", "request_key", "userfaultfd",
	/* the machine */
	"acct", "adjtimex", "clock_adjtime", "clock_settime", "delete_module", "finit_module",
	"init_module", "ioperm", "iopl", "kexec_file_load", "kexec_load", "modify_ldt", "personality",
	"quotactl", "reboot", "sethostname", "setdomainname", "settimeofday", "swapoff", "swapon",
	"syslog", "vhangup",
	/* what is mounted where, and files past their paths */
	"chroot", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr",
	"move_mount", "name_to_handle_at", "open_by_handle_at", "open_tree", "pivot_root", "umount",
	"umount2",
	/* whose a file is, and who we are; Landlock does not ask about these */
	"capset", "chmod", "chown", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat",
	"fremovexattr", "fsetxattr", "futimesat", "lchown", "lremovexattr", "lsetxattr", "mknod",
	"mknodat", "removexattr", "setfsgid", "setfsuid", "setgid", "setgroups", "setregid", "setresgid",
	"setresuid", "setreuid", "setuid", "setxattr", "utime", "utimensat", "utimes",
	NULL,
};
/* clang-format on */

/* A filter while it is written: the first failure stays. */
struct filter {
	scmp_filter_ctx context;
	int rc;
};

static void filter_open(struct filter *f, uint32_t otherwise)
{
	f->context = seccomp_init(otherwise);
	f->rc = f->context == NULL ? -ENOMEM : 0;
	/* As a tree: the kernel, which tries a new filter with every call there is, is done sooner. */
	if (f->rc == 0)
		f->rc = seccomp_attr_set(f->context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (f->rc == 0) /* 32-bit calls on a 64-bit kernel */
		f->rc = seccomp_attr_set(f->context, SCMP_FLTATR_ACT_BADARCH,
					 SCMP_ACT_ERRNO(EPERM));
}

/* A name that this processor or this libseccomp does not know is left out. */
static void filter_names(struct filter *f, uint32_t action, const char *const *names)
{
	for (; *names != NULL && f->rc == 0; names++) {
		int number = seccomp_syscall_resolve_name(*names);

		if (number >= 0)
			f->rc = seccomp_rule_add(f->context, action, number, 0);
	}
}

static void forbid(struct filter *f, int number, unsigned count, const struct scmp_arg_cmp *when)
{
	if (f->rc == 0 && number >= 0)
		f->rc = seccomp_rule_add_array(f->context, SCMP_ACT_ERRNO(EPERM), number, count,
					       when);
}

/* The kernel reads an int's lower half, so no more is compared. */
static struct scmp_arg_cmp is(unsigned argument, uint32_t mask, uint32_t value)
{
	return SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, mask, value);
}

/* Ends the filter: out is it as the kernel takes it, in memory that is kept. Returns 0 or a negative
 * errno, and then out is empty. */
static int filter_close(struct filter *f, struct sock_fprog *out)
{
	int fd = f->rc == 0 ? memfd_create("ugtj-filter", MFD_CLOEXEC) : -1;
	off_t size = 0;

	if (f->rc == 0)
		f->rc = fd < 0 ? -errno : seccomp_export_bpf(f->context, fd);
	if (f->rc == 0) {
		size = lseek(fd, 0, SEEK_CUR);
		out->filter = malloc((size_t)size);
		if (out->filter == NULL || pread(fd, out->filter, (size_t)size, 0) != size)
			f->rc = -EIO;
	}
	out->len = (unsigned short)(f->rc == 0 ? (size_t)size / sizeof(*out->filter) : 0);
	if (fd >= 0)
		(void)close(fd);
	if (f->context != NULL)
		seccomp_release(f->context);
	return f->rc;
}

/* --- what hangs on arguments --- */

static bool family_is_allowed(uint32_t family, unsigned may)
{
	if (family == AF_INET || family == AF_INET6 || family == AF_NETLINK)
		return may != 0; /* getaddrinfo() asks netlink which addresses we have */
	return family == AF_UNIX;
}

/* TCP; for who connects also UDP, to ask name servers. Landlock's rules are TCP's: nothing that only
 * resembles it. */
static void forbid_types(struct filter *f, uint32_t family, unsigned may)
{
	const bool connects = (may & MAY_CONNECT) != 0;

	for (uint32_t type = 0; type < TYPES_MAX; type++)
		if (type != SOCK_STREAM && !(connects && type == SOCK_DGRAM))
			forbid(f, SCMP_SYS(socket), 2,
			       (struct scmp_arg_cmp[]){is(0, UINT32_MAX, family),
						       is(1, TYPE_MASK, type)});
	if (!connects)
		forbid(f, SCMP_SYS(socket), 2,
		       (struct scmp_arg_cmp[]){is(0, UINT32_MAX, family),
					       SCMP_A2_64(SCMP_CMP_GT, IPPROTO_TCP)});
}

static void forbid_sockets(struct filter *f, unsigned may)
{
	const struct scmp_arg_cmp netlink[] = {is(0, UINT32_MAX, AF_NETLINK),
					       SCMP_A2_64(SCMP_CMP_GT, 0)};
	/* sendto() and the like can connect too, and Landlock is not asked */
	const struct scmp_arg_cmp fast_open_2 = is(2, MSG_FASTOPEN, MSG_FASTOPEN);
	const struct scmp_arg_cmp fast_open_3 = is(3, MSG_FASTOPEN, MSG_FASTOPEN);

	for (uint32_t family = 0; family < FAMILIES_MAX; family++)
		if (!family_is_allowed(family, may)) {
			const struct scmp_arg_cmp when = is(0, UINT32_MAX, family);

			forbid(f, SCMP_SYS(socket), 1, &when);
		}
	if (may != 0) {
		forbid_types(f, AF_INET, may);
		forbid_types(f, AF_INET6, may);
		forbid(f, SCMP_SYS(socket), 2, netlink);
	}
	if ((may & MAY_LISTEN) == 0) /* the mailbox listens already */
		forbid(f, SCMP_SYS(listen), 0, NULL);
	if ((may & MAY_CONNECT) == 0) {
		forbid(f, SCMP_SYS(sendto), 1, &fast_open_3);
		forbid(f, SCMP_SYS(sendmsg), 1, &fast_open_2);
		forbid(f, SCMP_SYS(sendmmsg), 1, &fast_open_3);
	}
}

/* A thread is made, and nothing else. */
static void forbid_processes(struct filter *f)
{
	static const uint32_t spaces[] = {CLONE_NEWNS,	CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
					  CLONE_NEWPID, CLONE_NEWUSER,	 CLONE_NEWNET};
	const uint32_t needed = CLONE_THREAD | (LOOKS_AT_ITSELF ? CLONE_UNTRACED : 0);
	const struct scmp_arg_cmp no_thread = is(0, needed, 0);

	forbid(f, SCMP_SYS(clone), 1, &no_thread);
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		const struct scmp_arg_cmp when = is(0, spaces[i], spaces[i]);

		forbid(f, SCMP_SYS(clone), 1, &when);
	}
}

/* Signals to others, their limits, and words put into the terminal's mouth. (To which process a thread is
 * that tgkill() names, only Landlock knows.) */
static void forbid_reaching_out(struct filter *f)
{
	const struct scmp_arg_cmp named = SCMP_A0_64(SCMP_CMP_NE, 0);
	const struct scmp_arg_cmp typed = is(1, UINT32_MAX, TIOCSTI);
	const struct scmp_arg_cmp pasted = is(1, UINT32_MAX, TIOCLINUX);

	forbid(f, SCMP_SYS(kill), 0, NULL);
	forbid(f, SCMP_SYS(prlimit64), 1, &named);
	forbid(f, SCMP_SYS(ioctl), 1, &typed);
	forbid(f, SCMP_SYS(ioctl), 1, &pasted);
}

/* --- the filters --- */

/* Made once, in a zygote for all its copies: to make them takes longer than to install them. */
static struct {
	bool made;
	struct sock_fprog rings;
	struct sock_fprog list;
	struct sock_fprog refusals;
} filters;

static int make_rings(void)
{
	static const char *const rings[] = {"io_uring_setup", NULL};
	struct filter f;

	filter_open(&f, SCMP_ACT_ALLOW);
	filter_names(&f, SCMP_ACT_ERRNO(EPERM), rings);
	return filter_close(&f, &filters.rings);
}

static int make_list(void)
{
	struct filter f;

	filter_open(&f, SCMP_ACT_ERRNO(ENOSYS));
	filter_names(&f, SCMP_ACT_ALLOW, known);
	return filter_close(&f, &filters.list);
}

static int make_refusals(const struct actor_spec *spec)
{
	struct filter f;

	filter_open(&f, SCMP_ACT_ALLOW);
	filter_names(&f, SCMP_ACT_ERRNO(EPERM), forbidden);
	forbid_sockets(&f, spec->may);
	forbid_processes(&f);
	forbid_reaching_out(&f);
	return filter_close(&f, &filters.refusals);
}

static void say_open(const char *event, int rc)
{
	if (rc < 0)
		log_warn(event, "error=\"%s\"", strerror(-rc));
}

void sandbox_prepare(const struct actor_spec *spec)
{
	int rc;

	if (filters.made || !setting_bool(SANDBOX) || !kernel_has_seccomp())
		return; /* of the kernel the supervisor has said so */
	filters.made = true;
	rc = make_rings();
	if (rc == 0)
		rc = make_list();
	if (rc == 0)
		rc = make_refusals(spec);
	say_open("sandbox.filters_failed", rc);
}

/* For all threads. A filter need not turn the processor's speculation off: there is no foreign code. */
static int install(const struct sock_fprog *filter)
{
	const unsigned flags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW;

	if (filter->len == 0)
		return 0;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, filter) == 0 ? 0 : -errno;
}

/* io_uring goes past every filter. libuv makes a ring with its loop where it can, and aborts when it
 * cannot use it later; so that none is there, it is forbidden before. */
void sandbox_rings(const struct actor_spec *spec)
{
	sandbox_prepare(spec);
	say_open("sandbox.rings_open", install(&filters.rings));
}

void sandbox_calls(const struct actor_spec *spec)
{
	int rc;

	sandbox_prepare(spec);
	rc = install(&filters.list);
	if (rc == 0) /* of two refusals the later filter's errno counts */
		rc = install(&filters.refusals);
	say_open("sandbox.calls_open", rc);
}
