/* sandbox_files.c - which files, TCP ports and processes an actor can reach, by Landlock. See internal.h.
 *
 * Landlock binds the thread that asks for it and those that come after, so it is asked for before
 * ZeroMQ, libuv or a library has made one, and init already works within it.
 *
 * A rule belongs to a file, not to its name. What others replace by renaming (resolv.conf,
 * certificates) would be out of reach from then on, so such a file is granted with its folder. What is
 * replaced all the same while a standby waits is found by looking at all paths a second time.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "actors/runtime/internal.h"
#include "base/kernel.h"
#include "base/log.h"
#include "base/settings.h"

/* What the headers may be too old to know, with the version that brought it. */
#define FS_TRUNCATE   (1ULL << 14) /* 3 */
#define FS_IOCTL_DEV  (1ULL << 15) /* 5 */
#define NET_BIND      (1ULL << 0)  /* 4 */
#define NET_CONNECT   (1ULL << 1)  /* 4 */
#define SCOPE_SOCKETS (1ULL << 0)  /* 6: abstract Unix sockets */
#define SCOPE_SIGNALS (1ULL << 1)  /* 6 */

#define FS_READ	      (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE      (LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)
#define FS_OF_FILES                                                                                \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | FS_WRITE | FS_IOCTL_DEV)

/* Sockets and files that say where somebody listens; also a core, which the kernel writes as us. */
#define FS_OF_RUN_DIR                                                                              \
	(FS_READ | FS_WRITE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |       \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK)

/* Of the newest version; an older kernel wants what it does not know to be zero. */
struct ruleset {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

struct rules {
	int fd;		  /* -1: nothing is granted, it is only looked at */
	uint64_t handled; /* of the file system */
	const char *home;
	uint64_t *seen; /* a number made of device and inode of what stands at each path */
};

static uint64_t seen_first; /* 0: no rule was made */

/* Code that is loaded late: libgcc for a backtrace, libc's modules for names and character sets. */
static const char *const libraries[] = {
	"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", NULL,
};

/* What libraries read when they start: how many processors there are, mostly. */
static const char *const for_starting[] = {
	"/sys/devices/system/cpu",
	"/proc/stat",
	"/etc/nsswitch.conf",
	"/etc/protocols",
	"/usr/lib/ssl/openssl.cnf",
	"/etc/localtime",
	NULL,
};

/* How names are looked up and whose certificates are trusted. All of /etc, for the files there are
 * replaced by renaming; what is secret in it the file's own permissions keep. */
static const char *const for_connecting[] = {
	"/etc",
	"/usr/etc",
	"/run/systemd/resolve",
	"/run/resolvconf",
	"/run/NetworkManager",
	"/usr/share/ca-certificates",
	"/usr/local/share/ca-certificates",
	"/usr/share/pki",
	"/var/lib/ca-certificates",
	NULL,
};

/* --- rules --- */

/* Each path is granted, or (rules->fd < 0) only looked at: both go through the same list, so they cannot
 * disagree. */

/* Makes the number other than it was if the file is another one (as FNV-1a, in words instead of bytes). */
static void mix(uint64_t *seen, const struct stat *st)
{
	*seen = (*seen ^ st->st_dev) * 1099511628211ULL;
	*seen = (*seen ^ st->st_ino) * 1099511628211ULL;
}

/* What cannot be granted stays out of reach: the log then says so where it is missed. */
static void grant_fd(const struct rules *rules, int fd, const struct stat *st, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access & rules->handled,
						  .parent_fd = fd};

	if (!S_ISDIR(st->st_mode))
		rule.allowed_access &= FS_OF_FILES;
	if (syscall(SYS_landlock_add_rule, rules->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		log_warn("sandbox.rule_failed", "error=\"%s\"", strerror(errno));
}

/* Returns a descriptor of the path, or -1: it cannot be opened, or is only looked at. That a path does not
 * exist is noted too. */
static int grant_open(const struct rules *rules, const char *path, uint64_t access)
{
	struct stat st = {0};
	int fd = -1;

	if (rules->fd < 0) {
		(void)stat(path, &st);
	} else {
		fd = open(path, O_PATH | O_CLOEXEC);
		if (fd >= 0 && fstat(fd, &st) == 0)
			grant_fd(rules, fd, &st, access);
	}
	mix(rules->seen, &st);
	return fd;
}

static void grant(const struct rules *rules, const char *path, uint64_t access)
{
	int fd = grant_open(rules, path, access);

	if (fd >= 0)
		(void)close(fd);
}

/* A file that is replaced by renaming: with its folder, unless that is where everything is. */
static void grant_with_folder(const struct rules *rules, const char *path)
{
	char copy[PATH_MAX];
	const char *folder;

	if (path == NULL || path[0] != '/' ||
	    snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
		return;
	folder = dirname(copy);
	if (strcmp(folder, "/") == 0 || (rules->home != NULL && strcmp(folder, rules->home) == 0))
		folder = path;
	grant(rules, folder, FS_READ);
}

static void grant_all(const struct rules *rules, const char *const *paths)
{
	char path[PATH_MAX];

	for (; paths != NULL && *paths != NULL; paths++)
		if (strncmp(*paths, "~/", 2) != 0)
			grant(rules, *paths, FS_READ);
		else if (rules->home != NULL && snprintf(path, sizeof(path), "%s/%s", rules->home,
							 *paths + 2) < (int)sizeof(path))
			grant(rules, path, FS_READ);
}

static void grant_connecting(const struct rules *rules)
{
	const char *certificates = getenv("SSL_CERT_DIR");
	char target[PATH_MAX];

	grant_all(rules, for_connecting);
	if (realpath("/etc/resolv.conf", target) != NULL)
		grant_with_folder(rules, target);
	grant_with_folder(rules, getenv("SSL_CERT_FILE"));
	if (certificates != NULL)
		grant(rules, certificates, FS_READ);
}

static void add_named(void *context, const char *path)
{
	grant_with_folder(context, path);
}

static const char *home_of(void)
{
	const char *home = getenv("HOME");
	const struct passwd *user = NULL;

	if (home == NULL || home[0] == '\0')
		user = getpwuid(geteuid());
	return user == NULL ? home : user->pw_dir;
}

/* /proc/self is a folder that the kernel makes anew when nobody uses it, and a new one has no rule:
 * the descriptor is kept. Backtraces and listener_find() read there. */
static void grant_own_process(const struct rules *rules)
{
	(void)grant_open(rules, "/proc/self", FS_READ);
	grant(rules, "/proc/self/exe", FS_READ);
}

static void grant_declared(struct rules *rules, const struct actor_spec *spec)
{
	grant(rules, ".", FS_OF_RUN_DIR);
	grant(rules, "/dev/null", FS_READ | FS_WRITE);
	grant(rules, "/dev/urandom", FS_READ);
	grant_all(rules, libraries);
	grant_all(rules, for_starting);
	if (spec->reads != NULL || spec->reads_also != NULL)
		rules->home = home_of();
	grant_all(rules, spec->reads);
	if (spec->reads_also != NULL)
		spec->reads_also(add_named, rules);
	if ((spec->may & MAY_CONNECT) != 0)
		grant_connecting(rules);
}

/* --- the ruleset --- */

static struct ruleset handled_by(int version, unsigned may)
{
	struct ruleset set = {.fs = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1}; /* all of version 1 */

	if (version >= 2)
		set.fs |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		set.fs |= FS_TRUNCATE;
	if (version >= 4 && (may & MAY_CONNECT) == 0)
		set.net |= NET_CONNECT;
	if (version >= 4 && (may & MAY_LISTEN) == 0)
		set.net |= NET_BIND;
	if (version >= 5)
		set.fs |= FS_IOCTL_DEV;
	if (version >= 6)
		set.scoped |= SCOPE_SIGNALS;
	if (version >= 6 && (may & MAY_CONNECT) == 0) /* libpq may be told to use such a socket */
		set.scoped |= SCOPE_SOCKETS;
	return set;
}

static int restrict_to(const struct actor_spec *spec, int version)
{
	const struct ruleset set = handled_by(version, spec->may);
	uint64_t seen = 0;
	struct rules rules = {.handled = set.fs, .seen = &seen};
	int rc = 0;

	rules.fd = (int)syscall(SYS_landlock_create_ruleset, &set, sizeof(set), 0);
	if (rules.fd < 0)
		return -errno;
	grant_declared(&rules, spec);
	/* Without /proc/self, which the kernel makes anew: it would differ each time. */
	seen_first = seen;
	grant_own_process(&rules);
	if (syscall(SYS_landlock_restrict_self, rules.fd, 0) < 0)
		rc = -errno;
	(void)close(rules.fd);
	return rc;
}

void sandbox_files(const struct actor_spec *spec)
{
	const int version = kernel_landlock_version();
	int rc;

	if (!setting_bool(SANDBOX))
		return;
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* since Linux 3.5 */
	sandbox_rings(spec);
	if (version == 0)
		return; /* the supervisor has said so */
	rc = restrict_to(spec, version);
	if (rc < 0)
		log_warn("sandbox.files_open", "error=\"%s\"", strerror(-rc));
}

bool sandbox_files_are_current(const struct actor_spec *spec)
{
	uint64_t seen = 0;
	struct rules rules = {.fd = -1, .seen = &seen};

	if (seen_first == 0)
		return true;
	grant_declared(&rules, spec);
	return seen == seen_first;
}
