/* print_catalogue.c - prints docs/messages.md, the reference page, from the catalogue's tables. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/catalogue.h"

static const char introduction[] =
	"# Messages\n"
	"\n"
	"Every message between the processes of UllGetTheJob Core, and every error. This page\n"
	"is made from `proto/messages.def` and `proto/errors.def`:\n"
	"\n"
	"    build/proto/print_catalogue > docs/messages.md\n"
	"\n"
	"A message is two frames, both msgpack maps: an [envelope](#envelope) and a body. A\n"
	"call is answered by exactly one `reply`, whose body is the reply record, or `error`,\n"
	"whose body is a [failure](#failure); a cast is not answered.\n"
	"\n"
	"- *required* fields must be there. *optional* ones may be left out, or be null on the\n"
	"  way in. *or null* ones are the same, but null in JSON when they are absent. An absent\n"
	"  number is 0, an absent truth value false, an absent list empty.\n"
	"- Unknown fields are ignored. A known field that does not fit, or appears twice, is\n"
	"  refused with `bad_request` and its path, e.g. `jobs[3].title`.\n"
	"- Texts are UTF-8 without NUL; their limits count characters (code points). A list of\n"
	"  texts may be given as one text. JSON fields are text in msgpack, and values in JSON.\n"
	"- Nothing is nested deeper than 32 levels, no message is larger than 16 MiB.\n";

/* A table's cell cannot hold a bar. */
static void print_cell(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '|')
			(void)putchar('\\');
		(void)putchar(*text);
	}
}

static void print_record_link(const struct record *record)
{
	printf("[%s](#%s)", record->name, record->name);
}

static void print_limit(int64_t limit)
{
	if (limit == INT64_MAX)
		printf("2^63-1");
	else
		printf("%" PRId64, limit);
}

static void print_range(const struct field *field, const char *unit)
{
	print_limit(field->min);
	if (field->min != field->max) {
		printf("..");
		print_limit(field->max);
	}
	printf("%s", unit);
}

static void print_type(const struct field *field)
{
	switch (field->type) {
	case FIELD_STR:
		printf("text, ");
		print_range(field, field->max == 1 ? " character" : " characters");
		break;
	case FIELD_UUID:
		printf("UUID");
		break;
	case FIELD_INT:
	case FIELD_OPT_INT:
		printf("whole number, ");
		print_range(field, "");
		break;
	case FIELD_REAL:
		printf("number");
		break;
	case FIELD_BOOL:
		printf("true or false");
		break;
	case FIELD_STRS:
		printf("up to %" PRId64 " texts of 1..%" PRId64 " characters", field->max,
		       field->item_max);
		break;
	case FIELD_JSON:
		printf("any JSON value, up to %" PRId64 " bytes", field->max);
		break;
	case FIELD_OBJ:
		print_record_link(field->record);
		break;
	case FIELD_LIST:
		printf("up to %" PRId64 " of ", field->max);
		print_record_link(field->record);
		break;
	}
}

static const char *need_word(enum field_need need)
{
	switch (need) {
	case REQ:
		return "required";
	case OPT:
		return "optional";
	case NUL:
		return "or null";
	}
	return "";
}

static void print_message(const struct message *m)
{
	printf("| `%s` | `%s` | ", m->method, m->receiver);
	print_record_link(m->request);
	if (m->reply != NULL) {
		printf(" | ");
		print_record_link(m->reply);
		printf(" | %" PRId64 " ms |", m->timeout_ms);
	} else {
		printf(" | *cast* | |");
	}
	printf("%s", (m->flags & MESSAGE_IDEMPOTENT) != 0 ? " idempotent" : "");
	printf("%s | ", (m->flags & MESSAGE_PUBLIC) != 0 ? " public" : "");
	print_cell(m->doc);
	printf(" |\n");
}

static void print_messages(void)
{
	printf("\n## Calls and casts\n\n"
	       "*idempotent*: may be done twice with the effect of once, and is carried over a "
	       "receiver's restart.\n"
	       "*public*: outside services may send it through the ZeroMQ door.\n\n"
	       "| Method | To | Request | Reply | Waits | | |\n|---|---|---|---|---|---|---|\n");
	for (int id = MSG_NONE + 1; id < MSG_COUNT; id++)
		print_message(message_by_id((enum msg_id)id));
}

static void print_record(const struct record *record)
{
	const struct field *field = record->fields();

	printf("\n### %s\n\n", record->name);
	print_cell(record->doc);
	printf("\n");
	if (field->name == NULL)
		return;
	printf("\n| Field | | Type | |\n|---|---|---|---|\n");
	for (; field->name != NULL; field++) {
		printf("| `%s` | %s | ", field->name, need_word(field->need));
		print_type(field);
		printf(" | ");
		print_cell(field->doc);
		printf(" |\n");
	}
}

static void print_records(void)
{
	printf("\n## Records\n");
	for (const struct record *const *r = all_records; *r != NULL; r++)
		print_record(*r);
}

static void print_errors(void)
{
	static const char *const when[] = {
		[ERR_NONE] = "",
#define ERR(id, code, http, when) [ERR_##id] = (when),
#include "proto/errors.def"
#undef ERR
	};

	printf("\n## Errors\n\n| Code | HTTP | When |\n|---|---|---|\n");
	for (int e = ERR_NONE + 1; e < ERR_COUNT; e++) {
		printf("| `%s` | %d | ", error_code((enum msg_error)e),
		       error_http_status((enum msg_error)e));
		print_cell(when[e]);
		printf(" |\n");
	}
}

int main(void)
{
	printf("%s", introduction);
	print_messages();
	print_records();
	print_errors();
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("print_catalogue");
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
