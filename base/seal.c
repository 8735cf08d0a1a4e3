/* seal.c - libsodium's AEAD, keys by purpose, rings of keys; see seal.h. */
#include "base/seal.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT	     1
#define NONCE_SIZE   crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_SIZE     crypto_aead_xchacha20poly1305_ietf_ABYTES
#define HEAD_SIZE    (1 + NONCE_SIZE)
#define KEY_ID_BYTES ((SEAL_KEY_ID_SIZE - 1) / 2)
#define BASE64	     sodium_base64_VARIANT_ORIGINAL

_Static_assert(SEAL_KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key size");

/* Says which use a hash is for, so that the same input gives different keys for different uses. */
static const char key_purpose[] = "ugtj: a key that seals secrets at rest";
static const char id_purpose[] = "ugtj: the public id of such a key";

static int hash(const void *in, size_t in_len, const char *purpose, unsigned char *out,
		size_t out_len)
{
	unsigned char full[crypto_generichash_BYTES];
	int rc = crypto_generichash(full, sizeof(full), in, in_len, (const unsigned char *)purpose,
				    strlen(purpose));

	if (rc == 0)
		memcpy(out, full, out_len);
	sodium_memzero(full, sizeof(full));
	return rc == 0 ? 0 : -EIO;
}

int seal_key_derive(const char *secret, struct seal_key *out)
{
	unsigned char id[KEY_ID_BYTES];
	int rc;

	if (sodium_init() < 0)
		return -EIO;
	rc = hash(secret, strlen(secret), key_purpose, out->bytes, sizeof(out->bytes));
	if (rc == 0)
		rc = hash(out->bytes, sizeof(out->bytes), id_purpose, id, sizeof(id));
	if (rc == 0)
		(void)sodium_bin2hex(out->id, sizeof(out->id), id, sizeof(id));
	return rc;
}

void seal_key_wipe(struct seal_key *key)
{
	sodium_memzero(key, sizeof(*key));
}

int seal_close(const struct seal_key *key, const char *name, const void *plain, size_t len,
	       char **out)
{
	const size_t size = HEAD_SIZE + len + TAG_SIZE;
	unsigned char *box = malloc(size);
	size_t text_size;
	char *text;

	if (box == NULL)
		return -ENOMEM;
	text_size = sodium_base64_encoded_len(size, BASE64);
	text = malloc(text_size);
	if (text == NULL) {
		free(box);
		return -ENOMEM;
	}
	box[0] = FORMAT;
	randombytes_buf(box + 1, NONCE_SIZE);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(
		box + HEAD_SIZE, NULL, plain, len, (const unsigned char *)name, strlen(name), NULL,
		box + 1, key->bytes); /* cannot fail */
	(void)sodium_bin2base64(text, text_size, box, size, BASE64);
	free(box);
	*out = text;
	return 0;
}

/* Undoes the base64. Gives malloc'ed bytes. */
static int unwrap(const char *sealed, unsigned char **box, size_t *size)
{
	const size_t text_len = strlen(sealed);
	const size_t room = text_len / 4 * 3 + 3;
	unsigned char *bytes = malloc(room);
	const char *end;

	if (bytes == NULL)
		return -ENOMEM;
	if (sodium_base642bin(bytes, room, sealed, text_len, NULL, size, &end, BASE64) != 0 ||
	    *end != '\0' || *size < HEAD_SIZE + TAG_SIZE || bytes[0] != FORMAT) {
		free(bytes);
		return -EBADMSG;
	}
	*box = bytes;
	return 0;
}

int seal_open(const struct seal_key *key, const char *name, const char *sealed, char **plain,
	      size_t *len)
{
	unsigned char *box = NULL;
	size_t size = 0;
	char *text;
	int rc = unwrap(sealed, &box, &size);

	if (rc < 0)
		return rc;
	text = calloc(1, size - HEAD_SIZE - TAG_SIZE + 1);
	if (text == NULL) {
		rc = -ENOMEM;
		goto out;
	}
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(
		    (unsigned char *)text, NULL, NULL, box + HEAD_SIZE, size - HEAD_SIZE,
		    (const unsigned char *)name, strlen(name), box + 1, key->bytes) != 0) {
		free(text);
		rc = -EBADMSG;
		goto out;
	}
	*plain = text;
	*len = size - HEAD_SIZE - TAG_SIZE;
out:
	free(box);
	return rc;
}

/* --- several keys --- */

static int ring_add(struct seal_ring *ring, const char *secret)
{
	int rc;

	if (ring->count == SEAL_RING_MAX)
		return -E2BIG;
	rc = seal_key_derive(secret, &ring->keys[ring->count]);
	if (rc == 0)
		ring->count++;
	return rc;
}

int seal_ring_init(struct seal_ring *ring, const char *secret, const char *others)
{
	char *words = others == NULL ? NULL : strdup(others);
	char *rest = words;
	char *word;
	int rc;

	*ring = (struct seal_ring){.count = 0};
	if (others != NULL && words == NULL)
		return -ENOMEM;
	rc = ring_add(ring, secret);
	while (rc == 0 && rest != NULL && (word = strsep(&rest, " ")) != NULL)
		if (word[0] != '\0')
			rc = ring_add(ring, word);
	if (words != NULL)
		sodium_memzero(words, strlen(others));
	free(words);
	if (rc < 0)
		seal_ring_wipe(ring);
	return rc;
}

void seal_ring_wipe(struct seal_ring *ring)
{
	sodium_memzero(ring, sizeof(*ring));
}

int seal_ring_open(const struct seal_ring *ring, const char *name, const char *sealed, char **plain,
		   size_t *len)
{
	int rc = -EBADMSG;

	for (size_t i = 0; i < ring->count && rc == -EBADMSG; i++)
		rc = seal_open(&ring->keys[i], name, sealed, plain, len);
	return rc;
}

/* --- random texts and fingerprints --- */

void seal_random(char out[SEAL_RANDOM_SIZE])
{
	unsigned char bytes[32];

	randombytes_buf(bytes, sizeof(bytes));
	(void)sodium_bin2base64(out, SEAL_RANDOM_SIZE, bytes, sizeof(bytes),
				sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(bytes, sizeof(bytes));
}

int seal_hash(const char *const *parts, size_t count, char out[SEAL_HASH_SIZE])
{
	static const unsigned char none = 0xff; /* in no UTF-8 */
	unsigned char bytes[(SEAL_HASH_SIZE - 1) / 2];
	crypto_generichash_state state;
	int rc = crypto_generichash_init(&state, NULL, 0, sizeof(bytes));

	for (size_t i = 0; i < count && rc == 0; i++)
		rc = parts[i] == NULL
			     ? crypto_generichash_update(&state, &none, 1)
			     : crypto_generichash_update(&state, (const unsigned char *)parts[i],
							 strlen(parts[i]) + 1);
	if (rc == 0)
		rc = crypto_generichash_final(&state, bytes, sizeof(bytes));
	sodium_memzero(&state, sizeof(state));
	if (rc != 0)
		return -EIO;
	(void)sodium_bin2hex(out, SEAL_HASH_SIZE, bytes, sizeof(bytes));
	return 0;
}

void seal_free(char **plain)
{
	if (*plain == NULL)
		return;
	sodium_memzero(*plain, strlen(*plain));
	free(*plain);
	*plain = NULL;
}
