/* catalogue.h - what messages.def means in C: a struct for each record, a number for each message,
 * and tables that describe both, by which one codec serves all of them.
 *
 * A struct's texts and lists are borrowed: decoded ones live in the arena that they were decoded
 * into, those to be encoded need to live only until the encoding call returns. A struct that is all
 * zero is an empty record. An absent text is NULL, an absent nested record is NULL.
 */
#ifndef PROTO_CATALOGUE_H
#define PROTO_CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct opt_int {
	int64_t value;
	bool set;
};

#define OPT_INT_OF(v) ((struct opt_int){.value = (v), .set = true})

struct strs {
	const char *const *items;
	size_t count;
};

/* Every LIST field has this layout, with items typed. */
struct list {
	const void *items;
	size_t count;
};

enum field_need { REQ, OPT, NUL };

/* One struct per RECORD. */
#define RECORD(name, doc) struct name {
#define END(name)                                                                                  \
	char end_of_record;                                                                        \
	}                                                                                          \
	;
#define STR(name, min, max, need, doc)	const char *name;
#define UUID(name, need, doc)		const char *name;
#define INT(name, min, max, need, doc)	int64_t name;
#define OPT_INT(name, min, max, doc)	struct opt_int name;
#define REAL(name, need, doc)		double name;
#define BOOL(name, need, doc)		bool name;
#define STRS(name, max, len, need, doc) struct strs name;
#define JSON(name, max, need, doc)	const char *name;
#define OBJ(name, record, need, doc)	const struct record *name;
#define LIST(name, record, max, need, doc)                                                         \
	struct {                                                                                   \
		const struct record *items;                                                        \
		size_t count;                                                                      \
	} name;
#include "proto/messages_expand.h"

enum msg_id {
	MSG_NONE = 0, /* ends a table of clauses */
#define CALL(id, method, receiver, request, reply, timeout_ms, flags, doc) MSG_##id,
#define CAST(id, method, receiver, record, flags, doc)			   MSG_##id,
#include "proto/messages_expand.h"
	MSG_COUNT
};

enum msg_error {
	ERR_NONE = 0,
#define ERR(id, code, http, when) ERR_##id,
#include "proto/errors.def"
#undef ERR
	ERR_COUNT
};

enum field_type {
	FIELD_STR,
	FIELD_UUID,
	FIELD_INT,
	FIELD_OPT_INT,
	FIELD_REAL,
	FIELD_BOOL,
	FIELD_STRS,
	FIELD_JSON,
	FIELD_OBJ,
	FIELD_LIST
};

struct record;

struct field {
	const char *name; /* NULL ends a record's table */
	size_t name_len;
	enum field_type type;
	enum field_need need;
	size_t offset;	  /* in the struct */
	int64_t min;	  /* STR, UUID: characters; INT: value */
	int64_t max;	  /* STR, UUID: characters; INT: value; STRS, LIST: items; JSON: bytes */
	int64_t item_max; /* STRS: characters of one item */
	const struct record *record; /* OBJ, LIST: what is nested */
	const char *doc;
};

struct record {
	const char *name;
	size_t size;			     /* of the struct */
	const struct field *(*fields)(void); /* the table, at most RECORD_FIELDS_MAX fields */
	const char *doc;
};

#define RECORD_FIELDS_MAX 64

enum message_flags { MESSAGE_IDEMPOTENT = 1, MESSAGE_PUBLIC = 2, MESSAGE_CAST = 4 };

struct message {
	enum msg_id id;
	const char *method;
	const char *receiver; /* an actor's name; "fetcher": one of the fetcher:USER */
	const struct record *request;
	const struct record *reply; /* NULL for a cast */
	int64_t timeout_ms;	    /* how long a caller waits unless it says otherwise */
	unsigned flags;
	const char *doc;
};

/* The message of that id. id must be one of the catalogue's. */
const struct message *message_by_id(enum msg_id id);

/* The message called method, NULL when there is none. */
const struct message *message_by_method(const char *method);

/* All records, ended by NULL: for the generated tests and the reference page. */
extern const struct record *const all_records[];

/* The description of a record by its struct's name: RECORD_OF(job). */
#define RECORD_OF(name)	  (&record_##name)
#define RECORD(name, doc) extern const struct record record_##name;
#include "proto/messages_expand.h"

/* "not_found" and 404 for ERR_NOT_FOUND. error_by_code() gives ERR_INTERNAL for an unknown code. */
const char *error_code(enum msg_error error);
int error_http_status(enum msg_error error);
enum msg_error error_by_code(const char *code);

/* A refusal in words for the person, in English and in Russian; NULL for the other errors. */
const char *error_text(enum msg_error error);
const char *error_text_ru(enum msg_error error);

#endif
