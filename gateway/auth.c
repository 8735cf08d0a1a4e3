/* auth.c - the secret and the signature, compared in constant time; see auth.h. */
#include "gateway/auth.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/hex.h"

static bool digest_of(const char *text, unsigned char digest[AUTH_DIGEST_BYTES])
{
	return EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) == 1;
}

int auth_init(struct auth *auth, const struct auth_settings *settings)
{
	*auth = (struct auth){
		.secret = settings->secret,
		.require_signature = settings->require_signature,
	};
	if (settings->secret != NULL && !digest_of(settings->secret, auth->digest))
		return -EIO;
	return session_key_derive(settings->session_base, &auth->sessions);
}

void auth_fini(struct auth *auth)
{
	session_key_wipe(&auth->sessions);
}

/* Digests are compared, not the texts: they are of one length, so that the time does not tell how
 * long the secret is. */
bool auth_knows_secret(const struct auth *auth, const char *given)
{
	unsigned char digest[AUTH_DIGEST_BYTES];

	if (auth->secret == NULL || given == NULL || !digest_of(given, digest))
		return false;
	return CRYPTO_memcmp(digest, auth->digest, sizeof(digest)) == 0;
}

static bool hex_read(const char *hex, unsigned char out[AUTH_DIGEST_BYTES])
{
	if (strlen(hex) != 2 * (size_t)AUTH_DIGEST_BYTES)
		return false;
	for (size_t i = 0; i < AUTH_DIGEST_BYTES; i++) {
		int high = hex_digit(hex[2 * i]);
		int low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

bool auth_signature_fits(const struct auth *auth, const char *given, const void *body, size_t len)
{
	unsigned char expected[EVP_MAX_MD_SIZE];
	unsigned char claimed[AUTH_DIGEST_BYTES];
	unsigned int size = 0;

	if (given == NULL)
		return len == 0 || !auth->require_signature;
	if (auth->secret == NULL || !hex_read(given, claimed))
		return false;
	if (HMAC(EVP_sha256(), auth->secret, (int)strlen(auth->secret), body, len, expected,
		 &size) == NULL ||
	    size != AUTH_DIGEST_BYTES)
		return false;
	return CRYPTO_memcmp(claimed, expected, AUTH_DIGEST_BYTES) == 0;
}
