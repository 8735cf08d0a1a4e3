/* migration.c - names, numbers and reads the files of the folder; see migration.h. */
#include "migrations/migration.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

/* Nobody writes a migration by hand that is larger; a dump that lost its way is refused. */
#define MIGRATION_MAX_BYTES (16L * 1024 * 1024)

/* Room for "-- 0001_users: ..." and the rest of a new file's first lines. */
#define TEMPLATE_SIZE	    512

char *migration_label(int64_t version, const char *name, char buf[MIGRATION_LABEL_SIZE])
{
	(void)snprintf(buf, MIGRATION_LABEL_SIZE, "%04" PRId64 "_%s", version, name);
	return buf;
}

char *migration_file(const struct migration *m, enum migration_direction direction,
		     char buf[MIGRATION_FILE_SIZE])
{
	char label[MIGRATION_LABEL_SIZE];

	(void)snprintf(buf, MIGRATION_FILE_SIZE, "%s.%s.sql",
		       migration_label(m->version, m->name, label),
		       direction == MIGRATION_UP ? "up" : "down");
	return buf;
}

bool migration_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < MIGRATION_NAME_SIZE &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s);
	size_t end_len = strlen(end);

	return len >= end_len && strcmp(s + len - end_len, end) == 0;
}

/* Takes a file name apart, and refuses any that migration_file() would not make again: "1_a", or
 * "00001_a" beside "0001_a". */
static int parse_file(const char *file, struct migration *out)
{
	bool up = ends_with(file, ".up.sql");
	bool down = ends_with(file, ".down.sql");
	struct migration m = {.has_up = up, .has_down = down};
	char again[MIGRATION_FILE_SIZE];
	size_t name_len;
	char *end;

	if (!up && !down)
		return -EINVAL;
	errno = 0;
	m.version = strtoll(file, &end, 10);
	if (errno != 0 || m.version <= 0 || *end != '_')
		return -EINVAL;
	name_len = strlen(end + 1) - strlen(up ? ".up.sql" : ".down.sql");
	if (name_len >= sizeof(m.name))
		return -EINVAL;
	memcpy(m.name, end + 1, name_len);
	if (!migration_name_is_valid(m.name) ||
	    strcmp(migration_file(&m, up ? MIGRATION_UP : MIGRATION_DOWN, again), file) != 0)
		return -EINVAL;
	*out = m;
	return 0;
}

int migration_set_add(struct migration_set *set, const char *file)
{
	struct migration m;
	int rc;

	if (!ends_with(file, ".sql"))
		return 0;
	rc = parse_file(file, &m);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < set->count; i++) {
		struct migration *had = &set->items[i];

		if (had->version == m.version && strcmp(had->name, m.name) == 0) {
			had->has_up = had->has_up || m.has_up;
			had->has_down = had->has_down || m.has_down;
			return 0;
		}
	}
	if (set->count == set->room) {
		size_t room = set->room == 0 ? 16 : set->room * 2;
		struct migration *items = reallocarray(set->items, room, sizeof(*items));

		if (items == NULL)
			return -ENOMEM;
		set->items = items;
		set->room = room;
	}
	set->items[set->count++] = m;
	return 0;
}

static int by_version(const void *a, const void *b)
{
	const struct migration *left = a;
	const struct migration *right = b;

	if (left->version != right->version)
		return left->version < right->version ? -1 : 1;
	return strcmp(left->name, right->name);
}

static int check_number(const struct migration *m, const struct migration *before, FILE *errors)
{
	int64_t last = before == NULL ? 0 : before->version;
	char label[MIGRATION_LABEL_SIZE];
	char label_before[MIGRATION_LABEL_SIZE];

	if (m->version == last + 1)
		return 0;
	migration_label(m->version, m->name, label);
	if (before == NULL) {
		(void)fprintf(errors, "%s is the first migration: the first is number 0001\n",
			      label);
		return 1;
	}
	migration_label(before->version, before->name, label_before);
	if (m->version == last)
		(void)fprintf(errors,
			      "%s and %s have the same number: renumber the one that was not "
			      "released\n",
			      label_before, label);
	else
		(void)fprintf(errors,
			      "there is a gap: %s is followed by %s, %04" PRId64
			      " is missing: restore it, or renumber\n",
			      label_before, label, last + 1);
	return 1;
}

int migration_set_check(struct migration_set *set, FILE *errors)
{
	char file[MIGRATION_FILE_SIZE];
	int wrong = 0;

	if (set->count > 0)
		qsort(set->items, set->count, sizeof(set->items[0]), by_version);
	for (size_t i = 0; i < set->count; i++) {
		const struct migration *m = &set->items[i];

		wrong += check_number(m, i == 0 ? NULL : m - 1, errors);
		if (!m->has_up) {
			(void)fprintf(errors, "%s is missing, and its .down.sql is there\n",
				      migration_file(m, MIGRATION_UP, file));
			wrong++;
		}
	}
	return wrong;
}

static int list_folder(const char *dir, FILE *errors, struct migration_set *set)
{
	DIR *folder = opendir(dir);
	const struct dirent *entry;
	int rc = 0;

	if (folder == NULL) {
		rc = -errno;
		(void)fprintf(errors, "%s: %s\n", dir, strerror(-rc));
		return rc;
	}
	while (rc == 0 && (entry = readdir(folder)) != NULL) {
		rc = migration_set_add(set, entry->d_name);
		if (rc == -EINVAL)
			(void)fprintf(errors,
				      "%s/%s is not named like a migration: NNNN_name.up.sql or "
				      "NNNN_name.down.sql, name of a-z, 0-9 and _\n",
				      dir, entry->d_name);
		else if (rc < 0)
			(void)fprintf(errors, "%s\n", strerror(-rc));
	}
	(void)closedir(folder);
	return rc;
}

int migration_set_load(const char *dir, FILE *errors, struct migration_set *out)
{
	struct migration_set set = {.items = NULL};
	int rc = list_folder(dir, errors, &set);

	if (rc == 0 && migration_set_check(&set, errors) > 0)
		rc = -EINVAL;
	for (size_t i = 0; rc == 0 && i < set.count; i++) {
		struct migration *m = &set.items[i];
		char file[MIGRATION_FILE_SIZE];
		char *text = NULL;
		size_t len = 0;

		rc = migration_read(dir, m, MIGRATION_UP, &text, &len);
		if (rc == 0)
			rc = migration_checksum(text, len, m->checksum);
		if (rc < 0)
			(void)fprintf(errors, "%s/%s: %s\n", dir,
				      migration_file(m, MIGRATION_UP, file), strerror(-rc));
		free(text);
	}
	if (rc < 0) {
		migration_set_fini(&set);
		return rc;
	}
	*out = set;
	return 0;
}

void migration_set_fini(struct migration_set *set)
{
	free(set->items);
	*set = (struct migration_set){.items = NULL};
}

/* Reads all of fd. A NUL byte would hide the rest of the file from the server: it is refused. */
static int read_all(int fd, char **text, size_t *len)
{
	struct stat st;
	char *buf;
	size_t size;
	size_t got = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > MIGRATION_MAX_BYTES)
		return -EFBIG;
	size = (size_t)st.st_size;
	buf = malloc(size + 1);
	if (buf == NULL)
		return -ENOMEM;
	while (got < size) {
		ssize_t n = read(fd, buf + got, size - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int rc = n < 0 ? -errno : -EIO; /* 0: it shrank while we read */

			free(buf);
			return rc;
		}
		got += (size_t)n;
	}
	buf[got] = '\0';
	if (strlen(buf) != got) {
		free(buf);
		return -EILSEQ;
	}
	*text = buf;
	*len = got;
	return 0;
}

int migration_read(const char *dir, const struct migration *m, enum migration_direction direction,
		   char **text, size_t *len)
{
	char file[MIGRATION_FILE_SIZE];
	char path[PATH_MAX];
	int fd;
	int rc;

	rc = snprintf(path, sizeof(path), "%s/%s", dir, migration_file(m, direction, file));
	if (rc < 0 || (size_t)rc >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = read_all(fd, text, len);
	(void)close(fd); /* nothing was written */
	return rc;
}

int migration_checksum(const char *text, size_t len, char hex[MIGRATION_CHECKSUM_SIZE])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int sum_len = 0;

	if (EVP_Digest(text, len, sum, &sum_len, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	for (unsigned int i = 0; i < sum_len; i++)
		(void)snprintf(hex + (size_t)i * 2, 3, "%02x", sum[i]);
	return 0;
}

/* Makes a file that must not exist yet. Leaves none behind when it cannot be written whole. */
static int create_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	size_t len = strlen(text);
	ssize_t n;
	int rc = 0;

	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	if (n != (ssize_t)len)
		rc = n < 0 ? -errno : -ENOSPC;
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc < 0)
		(void)unlink(path);
	return rc;
}

static int create_pair(const char *dir, const struct migration *m, FILE *errors)
{
	char up[PATH_MAX];
	char down[PATH_MAX];
	char file[MIGRATION_FILE_SIZE];
	char label[MIGRATION_LABEL_SIZE];
	char text[TEMPLATE_SIZE];
	const char *failed = up;
	int rc;

	rc = snprintf(up, sizeof(up), "%s/%s", dir, migration_file(m, MIGRATION_UP, file));
	if (rc < 0 || (size_t)rc >= sizeof(up) - strlen("down"))
		return -ENAMETOOLONG;
	(void)snprintf(down, sizeof(down), "%s/%s", dir, migration_file(m, MIGRATION_DOWN, file));
	migration_label(m->version, m->name, label);

	(void)snprintf(
		text, sizeof(text),
		"-- %s: say here why.\n"
		"-- Runs in one transaction with its record: no BEGIN or COMMIT of its own.\n",
		label);
	rc = create_file(up, text);
	if (rc == 0) {
		(void)snprintf(text, sizeof(text), "-- Undoes %s.\n", label);
		failed = down;
		rc = create_file(down, text);
		if (rc < 0)
			(void)unlink(up);
	}
	if (rc < 0)
		(void)fprintf(errors, "%s: %s\n", failed, strerror(-rc));
	return rc;
}

int migration_create(const char *dir, const char *name, FILE *errors, struct migration *out)
{
	struct migration_set set = {.items = NULL};
	struct migration m = {.version = 1, .has_up = true, .has_down = true};
	int rc;

	if (!migration_name_is_valid(name)) {
		(void)fprintf(
			errors,
			"a migration's name is made of a-z, 0-9 and _, at most %d characters, "
			"such as add_users\n",
			MIGRATION_NAME_SIZE - 1);
		return -EINVAL;
	}
	rc = migration_set_load(dir, errors, &set);
	if (rc < 0)
		return rc;
	if (set.count > 0)
		m.version = set.items[set.count - 1].version + 1;
	(void)snprintf(m.name, sizeof(m.name), "%s", name);
	rc = create_pair(dir, &m, errors);
	if (rc == 0)
		*out = m;
	migration_set_fini(&set);
	return rc;
}
