/* request.h - puts a message's request record together from the parts of an HTTP request.
 *
 * Path, query and body are one JSON object, of which the catalogue's codec makes the record: what a
 * field must be is said there and nowhere else, and a refusal names the field. Where a name comes
 * more than once the path goes before the query, and the query before the body.
 *
 * Names may be spelled in either way, jobIds or job_ids; where both are given the latter counts.
 *
 * Three fields say who is asking, and are not what a stranger writes into them: access_token and
 * trusted are never taken from the request, user_id as its route's flags allow (routes.h).
 */
#ifndef GATEWAY_REQUEST_H
#define GATEWAY_REQUEST_H

#include <stddef.h>

#include "base/arena.h"
#include "gateway/identity.h"
#include "gateway/uri.h"
#include "proto/catalogue.h"
#include "proto/codec.h"

struct request_parts {
	unsigned flags;		     /* of the route */
	const struct identity *who;  /* what the headers say; NULL: the route does not ask */
	bool trusted;		     /* the caller knows the secret */
	bool hurry;		     /* wait_ms is 0, whatever was asked for */
	const char *idempotency_key; /* the header, which goes before all else; NULL: none */
	const struct uri_param *path_params;
	size_t path_param_count;
	const char *query; /* as it stands in the target; may be NULL */
	const char *body;  /* NULL: the route takes none */
	size_t body_len;
};

/* Makes record's struct in arena, and gives it. Returns 0, -EACCES (a user has to be named), -EINVAL
 * (problem names the field, "body" and "query" included) or -ENOMEM. */
int request_assemble(const struct record *record, const struct request_parts *parts,
		     struct arena *arena, const void **out, struct codec_problem *problem)
	__attribute__((warn_unused_result));

#endif
