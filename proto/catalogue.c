/* catalogue.c - the tables that messages.def and errors.def expand to.
 *
 * A field table needs the offsets of one struct, whose name the field's line does not know. So each
 * record's table stands in a function of its own, where self_record is that struct.
 */
#include "proto/catalogue.h"

#include <string.h>

#include "base/uuid.h"

/* clang-format off */
#define RECORD(name_, doc_)                                                                        \
	static const struct field *fields_of_##name_(void)                                         \
	{                                                                                          \
		typedef struct name_ self_record;                                                  \
		static const struct field table[] = {
#define END(name_)                                                                                 \
		{ .name = NULL, .offset = sizeof(self_record) },                                   \
		};                                                                                 \
		_Static_assert(sizeof(table) / sizeof(table[0]) - 1 <= RECORD_FIELDS_MAX, #name_); \
		return table;                                                                      \
	}
#define FIELD(type_, name_, need_, doc_)                                                           \
	.name = #name_, .name_len = sizeof(#name_) - 1, .type = (type_), .need = (need_),          \
	.offset = offsetof(self_record, name_), .doc = (doc_)
#define STR(name_, min_, max_, need_, doc_)                                                        \
	{ FIELD(FIELD_STR, name_, need_, doc_), .min = (min_), .max = (max_) },
#define UUID(name_, need_, doc_)                                                                    \
	{ FIELD(FIELD_UUID, name_, need_, doc_), .min = UUID_CHARS, .max = UUID_CHARS },
#define INT(name_, min_, max_, need_, doc_)                                                        \
	{ FIELD(FIELD_INT, name_, need_, doc_), .min = (min_), .max = (max_) },
#define OPT_INT(name_, min_, max_, doc_)                                                           \
	{ FIELD(FIELD_OPT_INT, name_, OPT, doc_), .min = (min_), .max = (max_) },
#define REAL(name_, need_, doc_) { FIELD(FIELD_REAL, name_, need_, doc_) },
#define BOOL(name_, need_, doc_) { FIELD(FIELD_BOOL, name_, need_, doc_) },
#define STRS(name_, max_, len_, need_, doc_)                                                       \
	{ FIELD(FIELD_STRS, name_, need_, doc_), .max = (max_), .item_max = (len_) },
#define JSON(name_, max_, need_, doc_) { FIELD(FIELD_JSON, name_, need_, doc_), .max = (max_) },
#define OBJ(name_, record_, need_, doc_)                                                           \
	{ FIELD(FIELD_OBJ, name_, need_, doc_), .record = RECORD_OF(record_) },
#define LIST(name_, record_, max_, need_, doc_)                                                    \
	{ FIELD(FIELD_LIST, name_, need_, doc_), .max = (max_), .record = RECORD_OF(record_) },
#include "proto/messages_expand.h"
/* clang-format on */

#define RECORD(name_, doc_)                                                                        \
	const struct record record_##name_ = {                                                     \
		.name = #name_,                                                                    \
		.size = sizeof(struct name_),                                                      \
		.fields = fields_of_##name_,                                                       \
		.doc = (doc_),                                                                     \
	};
#include "proto/messages_expand.h"

const struct record *const all_records[] = {
#define RECORD(name, doc) RECORD_OF(name),
#include "proto/messages_expand.h"
	NULL,
};

/* messages.def's words for the flags. */
enum { IDEMPOTENT = MESSAGE_IDEMPOTENT, PUBLIC = MESSAGE_PUBLIC };

static const struct message messages[MSG_COUNT] = {
#define CALL(id_, method_, receiver_, request_, reply_, timeout_ms_, flags_, doc_)                 \
	[MSG_##id_] = {                                                                            \
		.id = MSG_##id_,                                                                   \
		.method = (method_),                                                               \
		.receiver = #receiver_,                                                            \
		.request = RECORD_OF(request_),                                                    \
		.reply = RECORD_OF(reply_),                                                        \
		.timeout_ms = (timeout_ms_),                                                       \
		.flags = (flags_),                                                                 \
		.doc = (doc_),                                                                     \
	},
#define CAST(id_, method_, receiver_, record_, flags_, doc_)                                       \
	[MSG_##id_] = {                                                                            \
		.id = MSG_##id_,                                                                   \
		.method = (method_),                                                               \
		.receiver = #receiver_,                                                            \
		.request = RECORD_OF(record_),                                                     \
		.flags = MESSAGE_CAST | (flags_),                                                  \
		.doc = (doc_),                                                                     \
	},
#include "proto/messages_expand.h"
};

/* Lengths of the methods: most of them are told apart without looking at the text. */
static const size_t method_lengths[MSG_COUNT] = {
#define CALL(id, method, receiver, request, reply, timeout_ms, flags, doc)                         \
	[MSG_##id] = sizeof(method) - 1,
#define CAST(id, method, receiver, record, flags, doc) [MSG_##id] = sizeof(method) - 1,
#include "proto/messages_expand.h"
};

static const struct {
	const char *code;
	int http_status;
} errors[ERR_COUNT] = {
	[ERR_NONE] = {"none", 200},
#define ERR(id, code, http, when) [ERR_##id] = {(code), (http)},
#include "proto/errors.def"
#undef ERR
};

static const struct {
	const char *en;
	const char *ru;
} refusals[ERR_COUNT] = {
#define ERR(id, code, http, when)
#define REFUSAL(id, code, http, en_, ru_) [ERR_##id] = {.en = (en_), .ru = (ru_)},
#include "proto/errors.def"
#undef ERR
};

const struct message *message_by_id(enum msg_id id)
{
	return &messages[id];
}

const struct message *message_by_method(const char *method)
{
	size_t len = strlen(method);

	for (int id = MSG_NONE + 1; id < MSG_COUNT; id++) {
		if (method_lengths[id] == len && memcmp(messages[id].method, method, len) == 0)
			return &messages[id];
	}
	return NULL;
}

const char *error_code(enum msg_error error)
{
	return errors[error].code;
}

int error_http_status(enum msg_error error)
{
	return errors[error].http_status;
}

const char *error_text(enum msg_error error)
{
	return refusals[error].en;
}

const char *error_text_ru(enum msg_error error)
{
	return refusals[error].ru;
}

enum msg_error error_by_code(const char *code)
{
	for (enum msg_error e = ERR_NONE + 1; e < ERR_COUNT; e++) {
		if (strcmp(errors[e].code, code) == 0)
			return e;
	}
	return ERR_INTERNAL;
}
