/* note.c - what a child wrote down before it died (struct control_note). See node.h.
 *
 * A page of memory that the child writes and nobody else maps: noting a message costs the child no
 * system call, and what it wrote is there after SIGKILL too. Its size is sealed, so that neither can
 * a child make us keep more, nor find the page gone from under it. We read it once, after the
 * child's death, by a copy of fixed size, and believe nothing of it.
 */
#include "supervisor/node.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int note_new(void)
{
	int fd = memfd_create("ugtj-note", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int rc;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)sizeof(struct control_note)) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
		return fd;
	rc = -errno;
	(void)close(fd);
	return rc;
}

/* Ends the text and makes it one for a line of the log, where it stands in quotes. */
static void make_text(char *text, size_t size)
{
	text[size - 1] = '\0';
	for (char *p = text; *p != '\0'; p++)
		if (*p < ' ' || *p > '~' || *p == '"')
			*p = '?';
}

static void make_sound(struct control_note *note)
{
	struct control_message *m = &note->message;

	if (note->in_hand != 1) {
		note->doing[0] = '\0';
		*m = (struct control_message){0};
	}
	if (note->frame_count > CONTROL_FRAMES_MAX)
		note->frame_count = CONTROL_FRAMES_MAX;
	make_text(note->doing, sizeof(note->doing));
	make_text(m->method, sizeof(m->method));
	make_text(m->from, sizeof(m->from));
	make_text(m->trace, sizeof(m->trace));
	for (uint32_t i = 0; i < note->frame_count; i++)
		make_text(note->frames[i], sizeof(note->frames[i]));
}

void note_take(int *fd, struct control_note *out)
{
	if (*fd < 0 || pread(*fd, out, sizeof(*out), 0) != (ssize_t)sizeof(*out))
		memset(out, 0, sizeof(*out));
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	make_sound(out);
}
