/* uri.h - the parts of a request's target, decoded: path segments and query parameters. */
#ifndef GATEWAY_URI_H
#define GATEWAY_URI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

/* Deeper paths and longer queries than these are refused. */
#define URI_SEGMENTS_MAX 16
#define URI_PARAMS_MAX	 256

struct uri_path {
	size_t count;
	const char *segments[URI_SEGMENTS_MAX]; /* decoded, none is empty; in the arena */
};

struct uri_param {
	const char *name;
	const char *value;
};

struct uri_query {
	size_t count;
	struct uri_param params[URI_PARAMS_MAX]; /* decoded, in the arena, in their order */
};

/* Splits a path at its slashes; several in a row count as one, and an encoded one is part of its
 * segment. Returns 0, -EINVAL (broken percent-encoding, a control character, too deep) or -ENOMEM.
 */
int uri_split_path(const char *raw, struct arena *arena, struct uri_path *out)
	__attribute__((warn_unused_result));

/* Splits a query; raw may be NULL. A parameter without '=' has the value "". Returns 0, -EINVAL
 * (broken percent-encoding, NUL, too many) or -ENOMEM. */
int uri_split_query(const char *raw, struct arena *arena, struct uri_query *out)
	__attribute__((warn_unused_result));

#endif
