/* proto_random.h - makes values of any record of the catalogue from its table, and compares them.
 */
#ifndef TESTS_UNIT_PROTO_RANDOM_H
#define TESTS_UNIT_PROTO_RANDOM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs those before it */

#include "base/arena.h"
#include "proto/catalogue.h"

enum random_kind {
	RANDOM_MIN,   /* every limit at its low end; what is optional is absent */
	RANDOM_MAX,   /* every limit at its high end; of a list's items only the first, and the
		       * others at the low end, so that the whole stays within a message */
	RANDOM_SMALL, /* everything is there, a few characters or items of each */
	RANDOM_ANY,   /* absent or there, and of any size within some kilobytes */
};

struct random {
	uint64_t state; /* the seed */
	enum random_kind kind;
	struct arena *arena; /* where texts and lists are made */
};

/* A number below n, which is not 0. */
uint64_t random_below(struct random *r, uint64_t n);

/* Fills value, a struct of record, with what fits the catalogue. */
void random_record(struct random *r, const struct record *record, void *value);

/* A text of exactly chars code points: ASCII, Cyrillic, symbols and emoji. */
const char *random_text(struct random *r, size_t chars);

/* A new arena for a test, large enough for anything. Reset it when you like; fini it. */
struct arena test_arena(void);

/* Fails the test where a and b differ. */
void assert_records_equal(const struct record *record, const void *a, const void *b);

#endif
