/* sandbox.c - see sandbox.h. Landlock for files and connections, seccomp for system calls. */
#include "actors/runtime/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/settings.h"

/* AddressSanitizer's search for leaks is a process that shares our memory and reads our registers and /proc
 * at the end; its reports name files. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* --- Landlock --- */

/* Of newer kernels than the headers may be. */
#define ABI_TRUNCATE  3
#define ABI_CONNECT   4
#define ABI_SIGNALS   6
#define FS_TRUNCATE   (1ULL << 14)
#define NET_CONNECT   (1ULL << 1)
#define SCOPE_SIGNALS (1ULL << 1)

#define FS_READ	      (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_RUN_DIR                                                                                 \
	(FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_SOCK |                  \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE | FS_TRUNCATE)
#define FS_ALL                                                                                     \
	(FS_RUN_DIR | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                 \
	 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |                              \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                            \
	 LANDLOCK_ACCESS_FS_MAKE_SYM)

/* linux/landlock.h's struct of ABI 6; an older kernel is given the part that it knows. */
struct ruleset {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

/* What everybody reads: libc about processors, the backtrace of a crash about our own program. */
static const char *const files_of_all[] = {
	"/proc/self/exe",
	"/proc/sys/kernel",
	"/proc/cpuinfo",
	"/sys/devices/system/cpu",
	"/dev/null",
	"/dev/urandom",
	NULL,
};

/* Names, services, certificates, and the libraries that look them up. Directories, not files: resolv.conf
 * is replaced when the network changes, and a permission is for the file that was there. */
static const char *const files_of_network[] = {
	"/etc",
	"/usr",
	"/lib",
	"/lib64",
	"/run/systemd",
	"/run/NetworkManager",
	"/run/resolvconf",
	"/run/connman",
	"/run/nscd",
	NULL,
};

static const char *const files_of_sanitizer[] = {"/proc", "/usr", "/lib", NULL};

/* Lets what lies below path be used so. One that is not there needs no permission. */
static int allow(int rules, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr below = {.allowed_access = access};
	int rc = 0;

	below.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (below.parent_fd < 0)
		return errno == ENOMEM || errno == EMFILE || errno == ENFILE ? -errno : 0;
	if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0) < 0 &&
	    errno == EINVAL) { /* no directory */
		below.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE;
		rc = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0) <
				     0
			     ? -errno
			     : 0;
	}
	(void)close(below.parent_fd);
	return rc;
}

static int allow_all(int rules, const char *const *paths)
{
	int rc = 0;

	for (; rc == 0 && *paths != NULL; paths++)
		rc = allow(rules, *paths, FS_READ);
	return rc;
}

/* Where OpenSSL is told to look for certificates. */
static int allow_certificates(int rules)
{
	const char *file = getenv("SSL_CERT_FILE");
	const char *dir = getenv("SSL_CERT_DIR");
	int rc = file == NULL ? 0 : allow(rules, file, FS_READ);

	return rc < 0 || dir == NULL ? rc : allow(rules, dir, FS_READ);
}

static int add_rules(int rules, unsigned may, uint64_t known)
{
	int rc = allow(rules, ".", FS_RUN_DIR & known);

	if (rc == 0)
		rc = (may & MAY_READ) != 0 ? allow(rules, "/", FS_READ)
					   : allow_all(rules, files_of_all);
	if (rc == 0 && (may & MAY_CONNECT) != 0)
		rc = allow_all(rules, files_of_network);
	if (rc == 0 && (may & MAY_CONNECT) != 0)
		rc = allow_certificates(rules);
	if (rc == 0 && SANITIZED)
		rc = allow_all(rules, files_of_sanitizer);
	return rc;
}

/* What this kernel is asked to refuse. Returns the bytes of the struct that it knows, 0: it has no
 * Landlock. */
static size_t ruleset_of(unsigned may, struct ruleset *out)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 1)
		return 0;
	*out = (struct ruleset){.fs = abi < ABI_TRUNCATE ? FS_ALL & ~FS_TRUNCATE : FS_ALL};
	if (abi >= ABI_CONNECT && (may & MAY_CONNECT) == 0)
		out->net = NET_CONNECT;
	if (abi >= ABI_SIGNALS)
		out->scoped = SCOPE_SIGNALS;
	return abi >= ABI_SIGNALS   ? sizeof(*out)
	       : abi >= ABI_CONNECT ? offsetof(struct ruleset, scoped)
				    : offsetof(struct ruleset, net);
}

int sandbox_files(unsigned may)
{
	struct ruleset wanted;
	size_t size;
	int rules;
	int rc;

	if (!setting_bool(SANDBOX))
		return 0;
	size = ruleset_of(may, &wanted);
	if (size == 0)
		return SANDBOX_MISSING;
	rules = (int)syscall(SYS_landlock_create_ruleset, &wanted, size, 0);
	if (rules < 0)
		return -errno;
	rc = add_rules(rules, may, wanted.fs);
	if (rc == 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			syscall(SYS_landlock_restrict_self, rules, 0) < 0))
		rc = -errno;
	(void)close(rules);
	return rc;
}

/* --- seccomp --- */

/* Refused to all. With two columns of names for one deed where the kernel has two ways. */
static const int refused[] = {
	/* programs and processes */
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	/* others' memory, files and signals */
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(process_madvise),
	SCMP_SYS(pidfd_open),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(pidfd_send_signal),
	SCMP_SYS(kill),
	SCMP_SYS(kcmp),
	SCMP_SYS(migrate_pages),
	SCMP_SYS(move_pages),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(name_to_handle_at),
	/* who we are */
	SCMP_SYS(setuid),
	SCMP_SYS(setgid),
	SCMP_SYS(setreuid),
	SCMP_SYS(setregid),
	SCMP_SYS(setresuid),
	SCMP_SYS(setresgid),
	SCMP_SYS(setfsuid),
	SCMP_SYS(setfsgid),
	SCMP_SYS(setgroups),
	SCMP_SYS(capset),
	SCMP_SYS(setns),
	SCMP_SYS(unshare),
	SCMP_SYS(setsid),
	SCMP_SYS(setpgid),
	SCMP_SYS(personality),
	/* the system */
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount),
	SCMP_SYS(fspick),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(quotactl),
	SCMP_SYS(acct),
	SCMP_SYS(reboot),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(syslog),
	SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname),
	SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(adjtimex),
	SCMP_SYS(stime),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(keyctl),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
	SCMP_SYS(modify_ldt),
	SCMP_SYS(vhangup),
	SCMP_SYS(nfsservctl),
	SCMP_SYS(lookup_dcookie),
	SCMP_SYS(fanotify_init),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(mknod),
	SCMP_SYS(mknodat),
};

static int refuse_all(scmp_filter_ctx filter)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(refused) / sizeof(refused[0]); i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
	return rc;
}

/* A new thread is no new process. clone3() tells us nothing that a filter could read: libc, told that it
 * is not there, takes clone(). */
static int refuse_processes(scmp_filter_ctx filter)
{
	const uint64_t thread = SANITIZED ? CLONE_VM : CLONE_THREAD;
	int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
				      SCMP_A0(SCMP_CMP_MASKED_EQ, thread, 0));
	if (rc == 0 && !SANITIZED)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ptrace), 0);
	return rc;
}

/* Of the network's sockets those of that type. */
static int refuse_type(scmp_filter_ctx filter, int type)
{
	static const int families[] = {AF_INET, AF_INET6};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(families) / sizeof(families[0]); i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 2,
				      SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]),
				      SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, (scmp_datum_t)type));
	return rc;
}

/* RUN_DIR's sockets are for all. Whoever only listens needs streams; whoever does not, no listen(): the
 * mailbox listens already. (AF_NETLINK is libc's, to learn of addresses.) */
static int refuse_sockets(scmp_filter_ctx filter, unsigned may)
{
	const bool network = (may & (MAY_CONNECT | MAY_LISTEN)) != 0;
	const uint32_t no = SCMP_ACT_ERRNO(EPERM);
	int rc;

	if (network)
		rc = seccomp_rule_add(filter, no, SCMP_SYS(socket), 1,
				      SCMP_A0(SCMP_CMP_GT, AF_NETLINK));
	else
		rc = seccomp_rule_add(filter, no, SCMP_SYS(socket), 1,
				      SCMP_A0(SCMP_CMP_NE, AF_UNIX));
	if (rc == 0 && network)
		rc = refuse_type(filter, SOCK_RAW);
	if (rc == 0 && network && (may & MAY_CONNECT) == 0)
		rc = refuse_type(filter, SOCK_DGRAM);
	if (rc == 0 && (may & MAY_LISTEN) == 0)
		rc = seccomp_rule_add(filter, no, SCMP_SYS(listen), 0);
	return rc;
}

static int refuse(scmp_filter_ctx filter, unsigned may)
{
	int rc = refuse_all(filter);

	if (rc == 0)
		rc = refuse_processes(filter);
	return rc < 0 ? rc : refuse_sockets(filter, may);
}

/* The filter as the kernel takes it, in memory that is kept. */
static int compile(scmp_filter_ctx filter, struct sock_fprog *out)
{
	int fd = memfd_create("ugtj-filter", MFD_CLOEXEC);
	off_t size;
	int rc;

	if (fd < 0)
		return -errno;
	rc = seccomp_export_bpf(filter, fd);
	size = rc < 0 ? 0 : lseek(fd, 0, SEEK_CUR);
	out->filter = malloc((size_t)size + 1);
	if (rc == 0 && (out->filter == NULL || pread(fd, out->filter, (size_t)size, 0) != size))
		rc = -ENOMEM;
	out->len = (unsigned short)((size_t)size / sizeof(*out->filter));
	(void)close(fd);
	return rc;
}

static struct sock_fprog program; /* without instructions: not made yet */

int sandbox_prepare(unsigned may)
{
	scmp_filter_ctx filter;
	int rc;

	if (!setting_bool(SANDBOX) || program.filter != NULL)
		return 0;
	filter = seccomp_init(SCMP_ACT_ALLOW);
	if (filter == NULL)
		return -ENOMEM;
	rc = refuse(filter, may);
	if (rc == 0)
		rc = compile(filter, &program);
	seccomp_release(filter);
	return rc;
}

int sandbox_calls(unsigned may)
{
	int rc = sandbox_prepare(may);

	if (rc < 0 || program.filter == NULL)
		return rc;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0)
		return 0;
	return errno == ENOSYS || errno == EINVAL ? SANDBOX_MISSING : -errno;
}
