/* auth.h - whether a caller of the HTTP door proved that it may come in, and the key by which it
 * knows the sessions' tokens.
 *
 * Immutable after auth_init(), so any thread may ask.
 */
#ifndef GATEWAY_AUTH_H
#define GATEWAY_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/session_token.h"

#define AUTH_DIGEST_BYTES 32

struct auth {
	const char *secret; /* NULL: unset, and nobody is let in. Borrowed for ever */
	unsigned char digest[AUTH_DIGEST_BYTES];
	bool require_signature;
	struct session_key sessions;
};

struct auth_settings {
	const char *secret;	  /* ORCHESTRATOR_SECRET or NULL */
	const char *session_base; /* SECRET_KEY_BASE or NULL */
	bool require_signature;
};

/* Returns 0 or a negative errno. */
int auth_init(struct auth *auth, const struct auth_settings *settings)
	__attribute__((warn_unused_result));

/* Forgets the key. */
void auth_fini(struct auth *auth);

/* Whether given, the header X-Core-Secret or NULL, is the secret. Takes the same time whatever is
 * given. */
bool auth_knows_secret(const struct auth *auth, const char *given);

/* Whether given, the header X-Signature or NULL, fits the body: hex HMAC-SHA256 of its exact bytes.
 * A missing one fits unless a body must be signed. */
bool auth_signature_fits(const struct auth *auth, const char *given, const void *body, size_t len);

#endif
