/* arena.c - see arena.h. A list of chunks, newest first; only the newest is filled. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN_BYTES 4096

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
	size_t used;
	max_align_t data[];
};

void arena_init(struct arena *a, size_t limit_bytes)
{
	*a = (struct arena){.limit_bytes = limit_bytes};
}

static struct arena_chunk *chunk_new(struct arena *a, size_t size)
{
	size_t room = size < CHUNK_MIN_BYTES ? CHUNK_MIN_BYTES : size;
	struct arena_chunk *chunk = malloc(sizeof(*chunk) + room);

	if (chunk == NULL)
		return NULL;
	chunk->next = a->chunks;
	chunk->size = room;
	chunk->used = 0;
	a->chunks = chunk;
	return chunk;
}

void *arena_alloc(struct arena *a, size_t size)
{
	const size_t align = _Alignof(max_align_t);
	struct arena_chunk *chunk = a->chunks;
	char *p;

	if (size > a->limit_bytes)
		return NULL;
	size = (size + align - 1) / align * align;
	if (a->used_bytes + size > a->limit_bytes + align)
		return NULL;
	if (chunk == NULL || chunk->size - chunk->used < size)
		chunk = chunk_new(a, size);
	if (chunk == NULL)
		return NULL;
	p = (char *)chunk->data + chunk->used;
	chunk->used += size;
	a->used_bytes += size;
	memset(p, 0, size);
	return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	return arena_alloc(a, bytes);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *copy = n == SIZE_MAX ? NULL : arena_alloc(a, n + 1);

	if (copy != NULL && n > 0)
		memcpy(copy, s, n);
	return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return s == NULL ? NULL : arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list args;
	char *out;
	int n;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0)
		return NULL;
	out = arena_alloc(a, (size_t)n + 1);
	if (out == NULL)
		return NULL;
	va_start(args, fmt);
	(void)vsnprintf(out, (size_t)n + 1, fmt, args);
	va_end(args);
	return out;
}

static void chunks_free(struct arena_chunk *chunk)
{
	while (chunk != NULL) {
		struct arena_chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
}

void arena_reset(struct arena *a)
{
	struct arena_chunk *kept = a->chunks;

	a->used_bytes = 0;
	if (kept == NULL)
		return;
	chunks_free(kept->next);
	kept->next = NULL;
	kept->used = 0;
}

void arena_fini(struct arena *a)
{
	chunks_free(a->chunks);
	a->chunks = NULL;
	a->used_bytes = 0;
}
