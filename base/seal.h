/* seal.h - secrets at rest: authenticated encryption under a key made from a setting.
 *
 * A sealed text is base64 of a format byte, a random nonce and the XChaCha20-Poly1305 ciphertext.
 * The name that it is kept under is authenticated with it, so that one row's secret cannot be put
 * in another's place. The key's id goes with the ciphertext, so that keys can rotate.
 */
#ifndef BASE_SEAL_H
#define BASE_SEAL_H

#include <stddef.h>

#define SEAL_KEY_SIZE	 32
#define SEAL_KEY_ID_SIZE 17 /* 16 hex digits and a NUL */

struct seal_key {
	unsigned char bytes[SEAL_KEY_SIZE];
	char id[SEAL_KEY_ID_SIZE]; /* tells keys apart, tells nothing about the key */
};

/* Makes the key out of secret (ENCRYPTION_KEY). The same secret gives the same key on every node.
 * Returns 0, or -EIO when libsodium cannot start. */
int seal_key_derive(const char *secret, struct seal_key *out) __attribute__((warn_unused_result));

/* Forgets the key. */
void seal_key_wipe(struct seal_key *key);

/* Seals len bytes under name. Gives malloc'ed text (free() it). Returns 0 or -ENOMEM. */
int seal_close(const struct seal_key *key, const char *name, const void *plain, size_t len,
	       char **out) __attribute__((warn_unused_result));

/* Opens what seal_close() made with the same key and name. Gives malloc'ed bytes, followed by a NUL
 * that is not counted (seal_free() it). Returns 0, -ENOMEM, or -EBADMSG: another key, another name,
 * or not what was sealed. */
int seal_open(const struct seal_key *key, const char *name, const char *sealed, char **plain,
	      size_t *len) __attribute__((warn_unused_result));

/* --- several keys: one seals, all open --- */

#define SEAL_RING_MAX 9

struct seal_ring {
	struct seal_key keys[SEAL_RING_MAX]; /* the first one seals */
	size_t count;
};

/* Makes the keys of secret (ENCRYPTION_KEY) and of the words of others (ENCRYPTION_KEYS_OLD; NULL:
 * none). Returns 0, -E2BIG (too many), -ENOMEM or -EIO; after an error the ring is wiped. */
int seal_ring_init(struct seal_ring *ring, const char *secret, const char *others)
	__attribute__((warn_unused_result));

void seal_ring_wipe(struct seal_ring *ring);

/* seal_open() with whichever key fits. */
int seal_ring_open(const struct seal_ring *ring, const char *name, const char *sealed, char **plain,
		   size_t *len) __attribute__((warn_unused_result));

/* --- random texts and fingerprints --- */

#define SEAL_RANDOM_SIZE 44 /* 43 characters that fit a URL, of 256 random bits, and a NUL */
#define SEAL_HASH_SIZE	 65 /* 64 hex digits and a NUL */

/* A text that nobody can guess. Only after a key was made. */
void seal_random(char out[SEAL_RANDOM_SIZE]);

/* A fingerprint of the parts, in their order, each of them whole; NULL is a part of its own. Tells
 * nothing about parts that nobody can guess. Returns 0 or -EIO. */
int seal_hash(const char *const *parts, size_t count, char out[SEAL_HASH_SIZE])
	__attribute__((warn_unused_result));

/* Wipes and frees the text *plain, up to its first NUL, and clears it. NULL is fine. */
void seal_free(char **plain);

#endif
