/* arena.h - memory that lives as long as one message: many small allocations, one release.
 *
 * An arena has a limit, so that a hostile message cannot make a process grow without bound.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	size_t used_bytes;  /* handed out in all */
	size_t limit_bytes; /* never hands out more */
};

/* Makes an empty arena that hands out at most limit_bytes. Allocates nothing yet. */
void arena_init(struct arena *a, size_t limit_bytes);

/* Gives zeroed memory aligned for any type, or NULL when the limit or the memory is used up.
 * It stays valid until arena_reset() or arena_fini(). size 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t size);

/* arena_alloc() for count objects of size bytes; NULL on overflow too. */
void *arena_array(struct arena *a, size_t count, size_t size);

/* Copies n bytes of s and ends them with a NUL. NULL when out of memory. */
char *arena_strndup(struct arena *a, const char *s, size_t n);

/* Copies the string s, NULL for NULL or when out of memory. */
char *arena_strdup(struct arena *a, const char *s);

/* printf into the arena. NULL when out of memory. */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Takes all memory back, keeps one chunk for reuse. */
void arena_reset(struct arena *a);

/* Takes all memory back and frees it. An arena that was only zeroed or initialised is fine. */
void arena_fini(struct arena *a);

#endif
