/* session_token.c - issues and reads JWTs with libjwt; see session_token.h. */
#include "base/session_token.h"

#include <errno.h>
#include <jwt.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#define ISSUER "ugtj"

/* A node's clock may be behind that of the node which issued the token. */
#define SKEW_S 60

/* Says which use the key is for: the same secret gives other keys for other uses. */
static const char key_purpose[] = "ugtj: a key that signs sessions";

int session_key_derive(const char *secret, struct session_key *out)
{
	unsigned int size = 0;

	*out = (struct session_key){0};
	if (secret == NULL)
		return 0;
	if (HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)key_purpose,
		 sizeof(key_purpose) - 1, out->bytes, &size) == NULL ||
	    size != sizeof(out->bytes))
		return -EIO;
	out->set = true;
	return 0;
}

void session_key_wipe(struct session_key *key)
{
	OPENSSL_cleanse(key, sizeof(*key));
}

/* jwt.h returns errno values, and its functions set no others than EINVAL and ENOMEM. */
int session_token_issue(const struct session_key *key, const char *user_id, int64_t issued_ms,
			char **out)
{
	const long issued_s = (long)(issued_ms / 1000);
	jwt_t *jwt = NULL;
	char *text = NULL;

	*out = NULL;
	if (!key->set)
		return -ENOKEY;
	if (jwt_new(&jwt) != 0)
		return -ENOMEM;
	if (jwt_add_grant(jwt, "iss", ISSUER) == 0 && jwt_add_grant(jwt, "sub", user_id) == 0 &&
	    jwt_add_grant_int(jwt, "iat", issued_s) == 0 &&
	    jwt_add_grant_int(jwt, "exp", issued_s + (long)SESSION_TOKEN_LASTS_S) == 0 &&
	    jwt_set_alg(jwt, JWT_ALG_HS256, key->bytes, sizeof(key->bytes)) == 0)
		text = jwt_encode_str(jwt);
	jwt_free(jwt);
	*out = text;
	return text == NULL ? -ENOMEM : 0;
}

static bool claim_is(jwt_t *jwt, const char *name, const char *value)
{
	const char *claim = jwt_get_grant(jwt, name);

	return claim != NULL && strcmp(claim, value) == 0;
}

/* The signature fits; what does it say? */
static int claims_read(jwt_t *jwt, int64_t now_s, char user_id[UUID_SIZE])
{
	const char *sub = jwt_get_grant(jwt, "sub");
	const int64_t issued_s = jwt_get_grant_int(jwt, "iat");
	const int64_t expires_s = jwt_get_grant_int(jwt, "exp");

	/* The library takes any HMAC for which the key will do. */
	if (jwt_get_alg(jwt) != JWT_ALG_HS256 || !claim_is(jwt, "iss", ISSUER) || sub == NULL)
		return -EBADMSG;
	if (issued_s <= 0 || issued_s > now_s + SKEW_S || expires_s <= issued_s)
		return -EBADMSG;
	if (expires_s <= now_s)
		return -EKEYEXPIRED;
	return uuid_canonical(sub, strlen(sub), user_id) < 0 ? -EBADMSG : 0;
}

static int read_signed(const struct session_key *key, const char *text, int64_t now_ms,
		       char user_id[UUID_SIZE])
{
	jwt_t *jwt = NULL;
	/* With a key, a token that claims to need none (alg none) is refused. */
	int rc = jwt_decode(&jwt, text, key->bytes, sizeof(key->bytes));

	if (rc != 0)
		return rc == ENOMEM ? -ENOMEM : -EBADMSG;
	rc = claims_read(jwt, now_ms / 1000, user_id);
	jwt_free(jwt);
	return rc;
}

/* Whoever signed it. */
static bool says_ours(const char *text)
{
	jwt_t *jwt = NULL;
	bool ours = jwt_decode(&jwt, text, NULL, 0) == 0 && claim_is(jwt, "iss", ISSUER);

	jwt_free(jwt);
	return ours;
}

int session_token_read(const struct session_key *key, const char *text, int64_t now_ms,
		       char user_id[UUID_SIZE])
{
	int rc = -EBADMSG;

	if (strnlen(text, SESSION_TOKEN_MAX_CHARS + 1) > SESSION_TOKEN_MAX_CHARS)
		return -EBADMSG;
	if (key->set)
		rc = read_signed(key, text, now_ms, user_id);
	return rc == -EBADMSG && says_ours(text) ? -EKEYREJECTED : rc;
}
