/* ws_messages.h - the plain JSON that the browser's client speaks on /ws, as text in and text out.
 * Pure: no socket, no topic.
 *
 * In:   {"type":"register","clientId":C}           answered {"type":"registered","clientId":C}
 *       {"type":"subscribe","searchParams":P}      answered {"type":"subscribed","searchParams":P}
 *       {"type":"ping"}                            answered {"type":"pong","timestamp":ISO8601}
 *       {"type":"resume","after":N}                {"type":"resumed","after":N,...} once it is done
 *       anything else                              answered {"type":"echo","message":anything else}
 * Out:  {"type":"connected","message":M,"userId":U,"last_event_id":N}
 *       {"type":"new_jobs","jobs":[...],"stats":{...},"event_id":N,"timestamp":ISO8601}
 *       {"type":T,"data":{...},"event_id":N,"timestamp":ISO8601} for every other event; data and
 *       timestamp are the event's own, where it has them
 *       {"type":"error","message":M}
 */
#ifndef BROADCASTER_WS_MESSAGES_H
#define BROADCASTER_WS_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/session_token.h"
#include "base/uuid.h"
#include "proto/catalogue.h"

#define PLAIN_CLIENT_ID_SIZE 257

/* What the URL of a connection says. */
struct plain_hello {
	char client_id[PLAIN_CLIENT_ID_SIZE]; /* empty: none was given */
	char user_id[UUID_SIZE];	      /* empty: none was given; else canonical */
	bool resumes;
	int64_t after; /* with resumes: what is later is wanted */
};

/* How a connection may say whose events it wants. */
struct plain_door {
	struct session_key sessions; /* reads token=, which names its user */
	bool needs_token;	     /* userId= alone names nobody who is let in */
};

/* Reads the query string at now_ms of the wall clock. A token goes before userId. Returns 0,
 * -EINVAL, or -EACCES: the token is none of ours or has expired, or one is needed. */
int plain_hello_read(const struct plain_door *door, const char *query, int64_t now_ms,
		     struct plain_hello *hello) __attribute__((warn_unused_result));

/* What a message asks for: an answer, to be sent at once (free() it), or a replay. */
struct plain_wish {
	char *answer; /* NULL: a replay of what is later than after */
	int64_t after;
};

/* Reads a message from a client whose URL said client_id; now_ms is the wall clock's. Returns 0 or
 * -ENOMEM. */
int plain_read(const char *text, size_t len, const char *client_id, int64_t now_ms,
	       struct plain_wish *wish) __attribute__((warn_unused_result));

/* All of these give a text to free(), or NULL when out of memory. user_id may be empty;
 * last_event_id -1: unknown. */
char *plain_connected(const char *user_id, int64_t last_event_id);
char *plain_resumed(int64_t after, int64_t last_event_id);
char *plain_error(const char *message);
char *plain_event(const struct event *event, size_t *len);

#endif
