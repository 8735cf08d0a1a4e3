/* run_dir.c - RUN_DIR: a directory of our own, held by a lock, with the actors' sockets in it. See
 * node.h.
 *
 * A ZeroMQ socket file outlives its process, even one that closes cleanly, and a second bind takes
 * it over in silence. So there is one server per directory, and no name is ever bound twice in it:
 * leftovers go at the start, the socket of a dead generation goes when it is reaped.
 */
#include "supervisor/node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "base/log.h"

#define LOCK_FILE   "lock"
#define PID_FILE    "supervisor.pid"

/* Files in which actors say on which port they listen (http_port, ...). */
#define PORT_SUFFIX "_port"

/* Makes the directory and those above it that are missing. */
static int make_directories(const char *path)
{
	char *copy = strdup(path);
	int rc = 0;

	if (copy == NULL)
		return -ENOMEM;
	for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST) {
			rc = -errno;
			break;
		}
		*slash = '/';
	}
	if (rc == 0 && mkdir(copy, 0700) < 0 && errno != EEXIST)
		rc = -errno;
	free(copy);
	return rc;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t len = strlen(name);
	size_t suffix_len = strlen(suffix);

	return len > suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

/* Whether it is an actor's: its socket, or the port that it listens on. */
static bool is_of_actor(int dir_fd, const char *name)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	return S_ISSOCK(st.st_mode) || (S_ISREG(st.st_mode) && has_suffix(name, PORT_SUFFIX));
}

/* Takes away what actors left. Other files are not ours to remove: RUN_DIR comes from outside. */
static void remove_leftovers(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (dir == NULL) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL)
		if (is_of_actor(dir_fd, entry->d_name))
			(void)unlinkat(dir_fd, entry->d_name, 0);
	(void)closedir(dir);
}

/* Whether there is anything in the directory that a server does not put there. */
static bool holds_foreign_files(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool foreign = false;

	if (dir == NULL) {
		if (fd >= 0)
			(void)close(fd);
		return true;
	}
	while ((entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strcmp(entry->d_name, LOCK_FILE) != 0 && strcmp(entry->d_name, PID_FILE) != 0 &&
		    entry->d_type != DT_SOCK)
			foreign = true;
	(void)closedir(dir);
	return foreign;
}

/* Nobody else may get at the sockets: they carry no password. A directory with other things in it
 * is not made private behind its owner's back (RUN_DIR=/tmp is a mistake). */
static int make_private(int dir_fd, const char *path)
{
	struct stat st;

	if (fstat(dir_fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid()) {
		log_error("run_dir.foreign", "path=%s owner_uid=%u", path, (unsigned)st.st_uid);
		return -EPERM;
	}
	if ((st.st_mode & 077) == 0)
		return 0;
	if (holds_foreign_files(dir_fd)) {
		log_error("run_dir.open_to_others",
			  "path=%s why=\"open to other users, and holds other files\" hint=\"use a "
			  "directory of its own, or chmod 700 it\"",
			  path);
		return -EPERM;
	}
	return fchmod(dir_fd, 0700) < 0 ? -errno : 0;
}

static void complain_of_holder(const char *path, int fd)
{
	char pid[24] = "?";
	ssize_t got = pread(fd, pid, sizeof(pid) - 1, 0);

	if (got > 0)
		pid[strspn(pid, "0123456789")] = '\0';
	log_error("run_dir.locked", "path=%s pid=%s why=\"another server runs there\"", path, pid);
}

/* Whether the file that we locked is still the one of that name: a server that stopped meanwhile
 * has removed its own. */
static bool is_current(int dir_fd, int fd)
{
	struct stat held;
	struct stat named;

	return fstat(fd, &held) == 0 && fstatat(dir_fd, LOCK_FILE, &named, 0) == 0 &&
	       held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

/* Returns the locked file, or a negative errno. */
static int take_lock(int dir_fd, const char *path)
{
	for (;;) {
		int fd = openat(dir_fd, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		int rc;

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			if (is_current(dir_fd, fd))
				return fd;
			(void)close(fd);
			continue;
		}
		rc = -errno;
		if (rc == -EWOULDBLOCK)
			complain_of_holder(path, fd);
		(void)close(fd);
		return rc;
	}
}

static int write_pid(int fd)
{
	char line[24];
	int len = snprintf(line, sizeof(line), "%d\n", (int)getpid());

	if (ftruncate(fd, 0) < 0)
		return -errno;
	return pwrite(fd, line, (size_t)len, 0) == len ? 0 : -EIO;
}

/* For scripts. Whole or not there at all. */
static int write_pid_file(int dir_fd)
{
	int fd = openat(dir_fd, PID_FILE ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rc;

	if (fd < 0)
		return -errno;
	rc = write_pid(fd);
	(void)close(fd);
	if (rc == 0 && renameat(dir_fd, PID_FILE ".new", dir_fd, PID_FILE) < 0)
		rc = -errno;
	return rc;
}

int run_dir_open(const char *path, int *dir_fd, int *lock_fd)
{
	int rc = make_directories(path);
	int dir = -1;
	int lock = -1;

	if (rc < 0)
		goto out;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		rc = -errno;
		goto out;
	}
	rc = make_private(dir, path);
	if (rc < 0)
		goto out;
	lock = take_lock(dir, path);
	if (lock < 0) {
		rc = lock;
		goto out;
	}
	remove_leftovers(dir);
	rc = write_pid(lock);
	if (rc == 0)
		rc = write_pid_file(dir);
	if (rc < 0)
		goto out;
	*dir_fd = dir;
	*lock_fd = lock;
	return 0;
out:
	if (rc != -EWOULDBLOCK)
		log_error("run_dir.failed", "path=%s error=\"%s\"", path, strerror(-rc));
	if (lock >= 0)
		(void)close(lock);
	if (dir >= 0)
		(void)close(dir);
	return rc == -EWOULDBLOCK ? EXIT_UNAVAILABLE : EXIT_WORLD;
}

bool run_dir_is_ours(const char *path, int dir_fd, int lock_fd)
{
	struct stat held;
	struct stat named;

	return fstat(dir_fd, &held) == 0 && stat(path, &named) == 0 &&
	       held.st_ino == named.st_ino && held.st_dev == named.st_dev &&
	       is_current(dir_fd, lock_fd);
}

void run_dir_remove_socket(int dir_fd, const char *name, uint64_t generation)
{
	char file[CONTROL_NAME_SIZE + 24];

	(void)snprintf(file, sizeof(file), "%s.%" PRIu64, name, generation);
	(void)unlinkat(dir_fd, file, 0); /* most often there is one, but not if init failed */
}

void run_dir_close(int *dir_fd, int *lock_fd)
{
	if (*dir_fd < 0)
		return;
	remove_leftovers(*dir_fd);
	(void)unlinkat(*dir_fd, PID_FILE, 0);
	(void)unlinkat(*dir_fd, LOCK_FILE, 0);
	(void)close(*lock_fd);
	(void)close(*dir_fd);
	*lock_fd = -1;
	*dir_fd = -1;
}
