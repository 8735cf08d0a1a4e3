/* response.h - writes an answer to a connection of civetweb. */
#ifndef GATEWAY_RESPONSE_H
#define GATEWAY_RESPONSE_H

#include <stdbool.h>

#include "gateway/answer.h"

struct mg_connection;

/* How long a kept connection may be silent; civetweb then closes it, and clients are told. */
#define RESPONSE_KEEP_ALIVE_MS 5000

struct response {
	const struct answer *answer;
	const char *request_id;
	const char *allow; /* the header Allow; NULL: none */
	bool keep_alive;
	bool head_only; /* the answer to HEAD */
};

/* Writes it, as one piece. Where the client is gone nothing happens: civetweb sees it next. */
void response_write(struct mg_connection *conn, const struct response *response);

#endif
