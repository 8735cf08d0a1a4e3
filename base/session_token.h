/* session_token.h - the token by which a person's session is known: a JWT (RFC 7519) of our own.
 *
 * One algorithm (HS256), one key, made from SECRET_KEY_BASE, and four claims: iss (us), sub (the
 * UUID that the account at HH is kept under), iat and exp. Whoever has one is that person, for as
 * long as it lasts: it is issued where somebody has logged in at HH, and nowhere else. The same
 * login gives the same text, whenever and by whichever node it is written.
 */
#ifndef BASE_SESSION_TOKEN_H
#define BASE_SESSION_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"

#define SESSION_KEY_BYTES	32
#define SESSION_TOKEN_LASTS_S	(30 * INT64_C(86400))
#define SESSION_TOKEN_MAX_CHARS 1024

struct session_key {
	unsigned char bytes[SESSION_KEY_BYTES];
	bool set; /* without a key no token is ours, and none can be issued */
};

/* Makes the key out of secret (SECRET_KEY_BASE). NULL gives a key that is not set. The same secret
 * gives the same key on every node. Returns 0 or -EIO. */
int session_key_derive(const char *secret, struct session_key *out)
	__attribute__((warn_unused_result));

/* Forgets the key. */
void session_key_wipe(struct session_key *key);

/* Issues a token for user_id, a UUID, as of issued_ms (wall clock, milliseconds since 1970). Gives
 * malloc'ed text (free() it). Returns 0, -ENOKEY or -ENOMEM. */
int session_token_issue(const struct session_key *key, const char *user_id, int64_t issued_ms,
			char **out) __attribute__((warn_unused_result));

/* Whose token text is. Returns 0 and writes user_id, which otherwise stays as it was; -EKEYEXPIRED: it
 * is ours and has had its time at now_ms (wall clock); -EKEYREJECTED: a JWT that says it is ours, and is
 * not (forged, or signed with a key of the past); -EBADMSG: something else, whatever it is; -ENOMEM. */
int session_token_read(const struct session_key *key, const char *text, int64_t now_ms,
		       char user_id[UUID_SIZE]) __attribute__((warn_unused_result));

#endif
