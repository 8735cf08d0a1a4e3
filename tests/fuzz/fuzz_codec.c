/* fuzz_codec.c - a libFuzzer target for the codec: any bytes as any record, in either format.
 *
 * The first byte chooses the record, the second the format, the rest is the message. It must be
 * refused or understood within the arena; what was understood must be writable, and writing what
 * was written and read again must give the same bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"

#define ARENA_BYTES ((size_t)1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libFuzzer reports what ends by abort(). */
static void demand(bool truth)
{
	if (!truth)
		abort();
}

static size_t count_records(void)
{
	size_t count = 0;

	do {
		count++; /* there is one, or nothing could be sent */
	} while (all_records[count] != NULL);
	return count;
}

/* value was decoded, so it can be packed, and comes back. */
static void pack_and_compare(const struct record *record, const void *value)
{
	struct arena arena;
	void *first = NULL;
	void *second = NULL;
	void *back = malloc(record->size);
	size_t first_len = 0;
	size_t second_len = 0;

	demand(back != NULL);
	arena_init(&arena, 4 * ARENA_BYTES);
	demand(codec_pack(record, value, &first, &first_len, NULL) == 0);
	demand(codec_unpack(record, first, first_len, &arena, back, NULL) == 0);
	demand(codec_pack(record, back, &second, &second_len, NULL) == 0);
	demand(first_len == second_len && memcmp(first, second, first_len) == 0);
	free(second);
	free(first);
	free(back);
	arena_fini(&arena);
}

/* The same for JSON, where a JSON field that came by msgpack may be no JSON. */
static void write_and_compare(const struct record *record, const void *value, bool from_json)
{
	struct codec_problem problem = {"", ""};
	struct arena arena;
	char *first = codec_to_json_text(record, value, &problem);
	char *second = NULL;
	void *back = malloc(record->size);

	demand(back != NULL);
	demand(first != NULL || !from_json);
	arena_init(&arena, 4 * ARENA_BYTES);
	if (first != NULL && from_json) {
		demand(codec_from_json_text(record, first, strlen(first), &arena, back, NULL) == 0);
		second = codec_to_json_text(record, back, NULL);
		demand(second != NULL && strcmp(first, second) == 0);
	}
	free(second);
	free(first);
	free(back);
	arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct codec_problem problem = {"", ""};
	const struct record *record;
	struct arena arena;
	bool json;
	void *value;
	int rc;

	if (size < 2)
		return 0;
	record = all_records[data[0] % count_records()];
	json = data[1] % 2 == 1;
	value = malloc(record->size);
	demand(value != NULL);
	arena_init(&arena, ARENA_BYTES);
	rc = json ? codec_from_json_text(record, (const char *)data + 2, size - 2, &arena, value,
					 &problem)
		  : codec_unpack(record, data + 2, size - 2, &arena, value, &problem);
	demand(rc == 0 || rc == -EINVAL || rc == -ENOMEM);
	demand(rc == 0 || problem.message[0] != '\0');
	demand(utf8_valid(problem.message, strlen(problem.message), NULL));
	if (rc == 0) {
		pack_and_compare(record, value);
		write_and_compare(record, value, json);
	}
	free(value);
	arena_fini(&arena);
	return 0;
}
