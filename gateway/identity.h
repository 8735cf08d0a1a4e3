/* identity.h - who is acting: what the headers of a request say of it.
 *
 *     Authorization: Bearer TOKEN   one of our sessions' tokens: whom it was issued to. An expired
 *                                   or forged one is refused. Any other TOKEN is an access token of
 *                                   HH, which names nobody to us but can act at HH.
 *     X-Session-Id: UUID            where there is no Authorization: that user, and only next to
 *                                   the secret (X-Core-Secret), since anybody could write it
 *
 * Not the headers' business: routes on which the request itself may name the user (routes.h).
 */
#ifndef GATEWAY_IDENTITY_H
#define GATEWAY_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/session_token.h"
#include "base/uuid.h"

#define ACCESS_TOKEN_MAX_CHARS 4096 /* the catalogue's limit */

struct identity_headers {
	const char *authorization; /* NULL: there is no such header */
	const char *session_id;
};

struct identity {
	char user_id[UUID_SIZE];  /* "": nobody is named */
	const char *access_token; /* of HH, as it stands in the header; NULL: none */
};

/* trusted: the caller knows the secret. now_ms is the wall clock's. Returns 0, -EKEYEXPIRED (a
 * token of ours that has had its time), -EKEYREJECTED (one that only says it is ours), -EINVAL (what
 * the headers say is none of these) or -ENOMEM. */
int identity_of(const struct session_key *key, const struct identity_headers *headers, bool trusted,
		int64_t now_ms, struct identity *out) __attribute__((warn_unused_result));

#endif
