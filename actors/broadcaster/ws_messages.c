/* ws_messages.c - the browser's messages as JSON, and what is taken from it; see ws_messages.h. */
#include "actors/broadcaster/ws_messages.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/broadcaster/ws_handshake.h"
#include "base/clock.h"

/* --- the URL --- */

static int number_read(const char *text, int64_t *number)
{
	char *end;
	long long n;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (*end != '\0' || errno != 0)
		return -EINVAL;
	*number = n;
	return 0;
}

static int user_read(const struct plain_door *door, const char *query, int64_t now_ms,
		     char user_id[UUID_SIZE])
{
	char token[SESSION_TOKEN_MAX_CHARS + 1] = "";
	char user[64] = "";

	if (ws_query_get(query, "userId", user, sizeof(user)) < 0)
		return -EINVAL;
	if (ws_query_get(query, "token", token, sizeof(token)) < 0)
		return -EACCES;
	if (token[0] != '\0')
		return session_token_read(&door->sessions, token, now_ms, user_id) < 0 ? -EACCES
										       : 0;
	if (user[0] == '\0')
		return 0;
	if (uuid_canonical(user, strlen(user), user_id) < 0)
		return -EINVAL;
	return door->needs_token ? -EACCES : 0;
}

int plain_hello_read(const struct plain_door *door, const char *query, int64_t now_ms,
		     struct plain_hello *hello)
{
	char after[32] = "";

	*hello = (struct plain_hello){0};
	if (ws_query_get(query, "clientId", hello->client_id, sizeof(hello->client_id)) < 0 ||
	    ws_query_get(query, "after", after, sizeof(after)) < 0)
		return -EINVAL;
	hello->resumes = after[0] != '\0';
	if (hello->resumes && number_read(after, &hello->after) < 0)
		return -EINVAL;
	return user_read(door, query, now_ms, hello->user_id);
}

/* --- what a client says --- */

/* Dumps the object, which it takes; NULL for NULL. */
static char *dump(json_t *object)
{
	char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);

	json_decref(object);
	return text;
}

static char *registered(const json_t *message, const char *client_id)
{
	const char *said = json_string_value(json_object_get(message, "clientId"));

	return dump(json_pack("{s:s,s:s}", "type", "registered", "clientId",
			      said != NULL ? said : client_id));
}

static char *pong(int64_t now_ms)
{
	char iso[CLOCK_ISO8601_SIZE];

	return dump(
		json_pack("{s:s,s:s}", "type", "pong", "timestamp", clock_iso8601(now_ms, iso)));
}

static char *echo(json_t *message)
{
	return dump(json_pack("{s:s,s:O}", "type", "echo", "message", message));
}

static char *resume(const json_t *message, int64_t *after)
{
	const json_t *value = json_object_get(message, "after");

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return plain_error("after is a whole number from 0 on");
	*after = json_integer_value(value);
	return NULL;
}

int plain_read(const char *text, size_t len, const char *client_id, int64_t now_ms,
	       struct plain_wish *wish)
{
	json_t *message = json_loadb(text, len, JSON_DECODE_ANY, NULL);
	const char *type = json_string_value(json_object_get(message, "type"));
	bool replay = false;

	*wish = (struct plain_wish){.after = -1};
	if (message == NULL)
		message = json_stringn(text, len); /* no JSON: echoed as the text that it is */
	if (message == NULL)
		return -ENOMEM;
	if (type == NULL)
		wish->answer = echo(message);
	else if (strcmp(type, "register") == 0)
		wish->answer = registered(message, client_id);
	else if (strcmp(type, "subscribe") == 0)
		wish->answer = dump(json_pack("{s:s,s:O?}", "type", "subscribed", "searchParams",
					      json_object_get(message, "searchParams")));
	else if (strcmp(type, "ping") == 0)
		wish->answer = pong(now_ms);
	else if (strcmp(type, "resume") == 0)
		wish->answer = resume(message, &wish->after);
	else
		wish->answer = echo(message);
	json_decref(message);
	replay = wish->after >= 0;
	return wish->answer == NULL && !replay ? -ENOMEM : 0;
}

/* --- what is said to it --- */

/* Packs last_event_id only when it is known. */
static char *with_last(json_t *object, int64_t last_event_id)
{
	if (object != NULL && last_event_id >= 0 &&
	    json_object_set_new(object, "last_event_id", json_integer(last_event_id)) < 0) {
		json_decref(object);
		return NULL;
	}
	return dump(object);
}

char *plain_connected(const char *user_id, int64_t last_event_id)
{
	return with_last(json_pack("{s:s,s:s,s:s?}", "type", "connected", "message",
				   "Connected to UllGetTheJob", "userId",
				   user_id[0] != '\0' ? user_id : NULL),
			 last_event_id);
}

char *plain_resumed(int64_t after, int64_t last_event_id)
{
	return with_last(json_pack("{s:s,s:I}", "type", "resumed", "after", (json_int_t)after),
			 last_event_id);
}

char *plain_error(const char *message)
{
	return dump(json_pack("{s:s,s:s}", "type", "error", "message", message));
}

/* The inside of the JSON object in text: what is between its braces. Returns its length, -1 for
 * something that is no object. */
static int object_inside(const char *text, const char **start)
{
	const char *blank = " \t\r\n";
	size_t len;

	text += strspn(text, blank);
	len = strlen(text);
	while (len > 0 && strchr(blank, text[len - 1]) != NULL)
		len--;
	if (len < 2 || text[0] != '{' || text[len - 1] != '}' || len > INT32_MAX)
		return -1;
	text++;
	len -= 2;
	while (len > 0 && strchr(blank, text[0]) != NULL) {
		text++;
		len--;
	}
	*start = text;
	return (int)len;
}

/* New jobs are JSON already: they are put into the message as text, since parsing and printing a
 * hundred vacancies again would cost more than all the rest of the delivery. Our own keys come
 * last: in every JSON parser of the browsers the last of two keys wins. */
static char *new_jobs(const struct event *event, const char *inside, int inside_len,
		      const char *iso)
{
	char *out;

	if (asprintf(&out, "{%.*s%s\"type\":\"new_jobs\",\"event_id\":%lld,\"timestamp\":\"%s\"}",
		     inside_len, inside, inside_len > 0 ? "," : "", (long long)event->seq, iso) < 0)
		return NULL; /* out is undefined */
	return out;
}

/* A payload that says itself what is data and when it was so is taken by its word. */
static char *other_event(const struct event *event, const char *iso)
{
	json_t *payload = json_loads(event->payload, JSON_DECODE_ANY, NULL);
	json_t *data = json_object_get(payload, "data");
	const char *when = json_string_value(json_object_get(payload, "timestamp"));
	char *out;

	if (payload == NULL)
		return NULL;
	out = dump(json_pack("{s:s,s:O,s:I,s:s}", "type", event->type, "data",
			     data != NULL ? data : payload, "event_id", (json_int_t)event->seq,
			     "timestamp", data != NULL && when != NULL ? when : iso));
	json_decref(payload);
	return out;
}

char *plain_event(const struct event *event, size_t *len)
{
	char iso[CLOCK_ISO8601_SIZE];
	const char *inside = "";
	int inside_len = -1;
	char *out;

	(void)clock_iso8601(event->created_ms, iso);
	if (strcmp(event->type, "new_jobs") == 0)
		inside_len = object_inside(event->payload, &inside);
	out = inside_len >= 0 ? new_jobs(event, inside, inside_len, iso) : other_event(event, iso);
	if (out != NULL)
		*len = strlen(out);
	return out;
}
