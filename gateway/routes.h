/* routes.h - the paths of the HTTP door and what stands behind each. The table is in routes.c.
 *
 * A route is a verb and a path pattern, whose ':name' parts are fields of the request; a message of
 * the catalogue that is sent; and a function that turns what came of it into the answer. The
 * request record is put together from path, query and body (request.h), so a new route is a line of
 * the table.
 */
#ifndef GATEWAY_ROUTES_H
#define GATEWAY_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "gateway/answer.h"
#include "gateway/uri.h"
#include "proto/catalogue.h"

struct session_key;

#define ROUTE_PARAMS_MAX 4
#define ROUTE_ALLOW_SIZE 64

enum route_flags {
	ROUTE_OPEN = 1,	 /* asks for no secret */
	ROUTE_VITAL = 2, /* answered even when all that may wait are waiting */
	ROUTE_BODY = 4, /* needs a JSON object as its body; where it is not set a body is ignored */

	/* Whose user_id the request has, for messages that have one. Neither of the two: the
	 * request's own, whatever the headers say. Who is named by nobody is "nobody", which is
	 * fine where the message does without. */
	ROUTE_ACTS = 8,	  /* the user's whom the headers name (identity.h) */
	ROUTE_NAMES = 16, /* the request's own, next to the secret; with ROUTE_ACTS: if the headers
			   * name no user. Alone: the headers count if the request names nobody */
	ROUTE_NEEDS_ACCOUNT = 32, /* and 401 where nobody is named and no token of HH is given */

	ROUTE_WAITS = 128, /* the message's wait_ms may be 0: that is what it is when many wait */
	ROUTE_ISSUES = 64, /* is answered with a session's token: refused where there is no key */
};

struct route;

/* What became of a route's message. */
struct route_outcome {
	enum msg_error error;
	const void *body;	       /* the reply's struct; NULL for an error */
	const struct failure *failure; /* NULL for a reply, and where there is only a code */
	const char *request_id;
	bool trusted;			    /* the caller knows the secret */
	const struct session_key *sessions; /* to issue a session's token with */
};

/* Turns an outcome into the answer. Called from any thread, with an empty answer. */
typedef void route_answer_fn(const struct route *route, const struct route_outcome *outcome,
			     struct answer *answer);

struct route {
	const char *verb;
	const char *path;
	enum msg_id message;
	int64_t timeout_ms; /* from the request's arrival to its answer */
	unsigned flags;
	route_answer_fn *answer;
};

/* What a verb and a path lead to. */
struct route_match {
	const struct route *route; /* NULL: none */
	size_t param_count;
	struct uri_param params[ROUTE_PARAMS_MAX]; /* the path's, in the arena */
	char allow[ROUTE_ALLOW_SIZE];		   /* verbs of the path, for a wrong one */
};

/* Finds the route of verb (HEAD counts as GET) and path, as they stand in the request. Returns
 * ERR_NONE, ERR_NOT_FOUND, ERR_METHOD_NOT_ALLOWED (allow is filled), ERR_BAD_REQUEST (the path is
 * broken), or ERR_INTERNAL (out of memory). */
enum msg_error route_find(const char *verb, const char *raw_path, struct arena *arena,
			  struct route_match *match);

/* The table, ended by a route without a verb. */
extern const struct route routes[];

#endif
