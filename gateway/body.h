/* body.h - the body of an HTTP request, read from a connection of civetweb within a limit. */
#ifndef GATEWAY_BODY_H
#define GATEWAY_BODY_H

#include <stdbool.h>
#include <stddef.h>

struct mg_connection;

struct body {
	char *data; /* from malloc, ended by a NUL; NULL: none was read */
	size_t len;
};

/* Whether the headers say in one way only where the request ends. If not, what follows it on the
 * connection cannot be trusted. */
bool body_framing_is_clear(const struct mg_connection *conn);

/* Reads the whole body, one without a length as well; asks for it when the client waits to be asked
 * (Expect: 100-continue). Returns 0, -EMSGSIZE (longer than max_bytes), -EPROTO (it is broken, or
 * did not come in time) or -ENOMEM. */
int body_read(struct mg_connection *conn, size_t max_bytes, struct body *out)
	__attribute__((warn_unused_result));

/* Reads and forgets what is left of the body, so that a client which is still sending gets to read
 * its answer. Gives up after a while, or when it is too much. */
void body_discard(struct mg_connection *conn);

/* Frees the data. */
void body_fini(struct body *body);

#endif
