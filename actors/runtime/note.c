/* note.c - what the actor is doing, written where the supervisor finds it after any death.
 *
 * The note is a page that the supervisor gave us (proto/control.h). Each handler is noted before it
 * runs and taken back after: some stores to memory, no system call. Started by somebody who gives no
 * note (a test, say), the actor keeps one for itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actors/runtime/internal.h"
#include "base/clock.h"

static struct control_note own_note;
static struct control_note *note = &own_note;

/* Whether the descriptor is the note of the treaty: any other file may have that number when it is
 * not our supervisor who started us. */
static bool is_note(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       st.st_size == (off_t)sizeof(struct control_note) &&
	       fcntl(fd, F_GET_SEALS) == (F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
}

int note_open(void)
{
	void *page;

	if (is_note(CONTROL_NOTE_FD)) {
		page = mmap(NULL, sizeof(*note), PROT_READ | PROT_WRITE, MAP_SHARED,
			    CONTROL_NOTE_FD, 0);
		if (page == MAP_FAILED)
			return -errno;
		(void)close(CONTROL_NOTE_FD);
		note = page;
	}
	fatal_signals_open(note);
	return 0;
}

/* Copies the text and its NUL; the rest of the field keeps what it had. */
static void copy_text(char *to, size_t size, const char *from)
{
	size_t len = from == NULL ? 0 : strnlen(from, size - 1);

	if (len > 0)
		memcpy(to, from, len);
	to[len] = '\0';
}

struct control_message note_message(const char *method, const char *from, uint64_t from_generation,
				    int64_t ref, const char *trace)
{
	struct control_message m = {.from_generation = from_generation, .ref = ref};

	copy_text(m.method, sizeof(m.method), method);
	copy_text(m.from, sizeof(m.from), from);
	copy_text(m.trace, sizeof(m.trace), trace);
	return m;
}

/* Whoever looks is looking after our death, so it is enough that the compiler keeps the order. */
void note_begin(const char *doing, const struct control_message *message)
{
	static const struct control_message none;

	note_end();
	copy_text(note->doing, sizeof(note->doing), doing);
	note->message = message == NULL ? none : *message;
	note->message.since_ms = clock_mono_ms();
	atomic_signal_fence(memory_order_seq_cst);
	note->in_hand = 1;
	atomic_signal_fence(memory_order_seq_cst);
}

void note_end(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	note->in_hand = 0;
	atomic_signal_fence(memory_order_seq_cst);
}

const struct control_message *note_in_hand(void)
{
	static const struct control_message none;

	return note->in_hand == 1 ? &note->message : &none;
}
