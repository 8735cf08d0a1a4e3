/* test_session_token.c - a session's token is read back, and nothing that is like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/session_token.h"

#define USER   "0b4e9d7a-5c1f-4c3e-8a2b-0123456789ab"
#define SECRET "a secret of more than 32 characters, surely"
#define NOW_S  INT64_C(1764000000)
#define NOW_MS (NOW_S * 1000 + 123)

static struct session_key key_of(const char *secret)
{
	struct session_key key;

	assert_int_equal(session_key_derive(secret, &key), 0);
	return key;
}

/* --- tokens made by hand --- */

/* base64url without padding, appended to out. */
static void append_base64(char *out, const void *bytes, int len)
{
	char *end = out + strlen(out);
	int n = EVP_EncodeBlock((unsigned char *)end, bytes, len);

	for (char *c = end; *c != '\0'; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	while (n > 0 && end[n - 1] == '=')
		end[--n] = '\0';
}

/* head and claims, signed with the key by the digest; NULL: an empty signature. */
static char *forged(const struct session_key *key, const EVP_MD *digest, const char *head,
		    const char *claims)
{
	static char token[2048];
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned int size = 0;

	token[0] = '\0';
	append_base64(token, head, (int)strlen(head));
	(void)strcat(token, ".");
	append_base64(token, claims, (int)strlen(claims));
	if (digest != NULL)
		assert_non_null(HMAC(digest, key->bytes, sizeof(key->bytes),
				     (const unsigned char *)token, strlen(token), mac, &size));
	(void)strcat(token, ".");
	append_base64(token, mac, (int)size);
	return token;
}

#define HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static char *signed_claims(const struct session_key *key, const char *claims)
{
	return forged(key, EVP_sha256(), HS256, claims);
}

static int read_token(const struct session_key *key, const char *token)
{
	char user[UUID_SIZE];

	return session_token_read(key, token, NOW_MS, user);
}

static bool is_void(int rc)
{
	return rc == -EBADMSG || rc == -EKEYREJECTED;
}

/* --- tests --- */

static void whom_it_was_issued_to_is_read(void **state)
{
	const struct session_key key = key_of(SECRET);
	char user[UUID_SIZE];
	char *token;
	char *again;

	(void)state;
	assert_int_equal(session_token_issue(&key, USER, NOW_MS, &token), 0);
	assert_int_equal(session_token_read(&key, token, NOW_MS, user), 0);
	assert_string_equal(user, USER);
	assert_int_equal(session_token_issue(&key, USER, NOW_MS, &again), 0);
	assert_string_equal(token, again);
	free(token);
	free(again);
}

static void by_hand_it_is_the_same(void **state)
{
	const struct session_key key = key_of(SECRET);
	char user[UUID_SIZE];

	(void)state;
	assert_int_equal(
		session_token_read(&key,
				   signed_claims(&key, "{\"iss\":\"ugtj\",\"sub\":\"" USER
						       "\",\"iat\":1764000000,\"exp\":1764000001}"),
				   NOW_MS, user),
		0);
	assert_string_equal(user, USER);
}

static void it_has_its_time(void **state)
{
	const struct session_key key = key_of(SECRET);
	const int64_t end_ms = (NOW_S + SESSION_TOKEN_LASTS_S) * 1000;
	char user[UUID_SIZE];
	char *token;

	(void)state;
	assert_int_equal(session_token_issue(&key, USER, NOW_MS, &token), 0);
	assert_int_equal(session_token_read(&key, token, end_ms - 1, user), 0);
	assert_int_equal(session_token_read(&key, token, end_ms, user), -EKEYEXPIRED);
	/* Clocks differ a little; what comes from the future is none of ours. */
	assert_int_equal(session_token_read(&key, token, NOW_MS - 50000, user), 0);
	assert_int_equal(session_token_read(&key, token, NOW_MS - 70000, user), -EKEYREJECTED);
	free(token);
}

static void another_key_makes_another_token(void **state)
{
	const struct session_key key = key_of(SECRET);
	const struct session_key other = key_of(SECRET "!");
	const struct session_key none = key_of(NULL);
	char *token;

	(void)state;
	assert_int_equal(session_token_issue(&other, USER, NOW_MS, &token), 0);
	assert_int_equal(read_token(&other, token), 0);
	assert_int_equal(read_token(&key, token), -EKEYREJECTED);
	assert_int_equal(read_token(&none, token), -EKEYREJECTED);
	free(token);
	assert_int_equal(session_token_issue(&none, USER, NOW_MS, &token), -ENOKEY);
	assert_null(token);
}

static void one_changed_character_is_a_forgery(void **state)
{
	const struct session_key key = key_of(SECRET);
	char *token;

	(void)state;
	assert_int_equal(session_token_issue(&key, USER, NOW_MS, &token), 0);
	for (size_t i = 0; token[i + 1] != '\0'; i++) { /* the last one has bits to spare */
		const char was = token[i];

		token[i] = was == 'A' ? 'B' : 'A';
		assert_true(is_void(read_token(&key, token)));
		token[i] = was;
	}
	for (size_t len = strlen(token); len > 0; len--) {
		token[len - 1] = '\0';
		assert_true(is_void(read_token(&key, token)));
	}
	free(token);
}

static void there_is_one_algorithm(void **state)
{
	static const char claims[] =
		"{\"iss\":\"ugtj\",\"sub\":\"" USER "\",\"iat\":1764000000,\"exp\":1764000100}";
	const struct session_key key = key_of(SECRET);

	(void)state;
	assert_int_equal(read_token(&key, signed_claims(&key, claims)), 0);
	assert_true(is_void(read_token(&key, forged(&key, NULL, "{\"alg\":\"none\"}", claims))));
	assert_true(is_void(read_token(
		&key, forged(&key, NULL, "{\"alg\":\"NONE\",\"typ\":\"JWT\"}", claims))));
	assert_true(is_void(
		read_token(&key, forged(&key, EVP_sha256(), "{\"alg\":\"none\"}", claims))));
	assert_true(is_void(read_token(&key, forged(&key, NULL, HS256, claims))));
	assert_true(is_void(
		read_token(&key, forged(&key, EVP_sha512(), "{\"alg\":\"HS512\"}", claims))));
	assert_true(is_void(
		read_token(&key, forged(&key, EVP_sha384(), "{\"alg\":\"HS384\"}", claims))));
	assert_true(is_void(
		read_token(&key, forged(&key, EVP_sha256(), "{\"alg\":\"RS256\"}", claims))));
	assert_true(is_void(read_token(&key, forged(&key, EVP_sha256(), "{}", claims))));
}

static void claims_are_checked(void **state)
{
	static const char *const wrong[] = {
		"{\"iss\":\"other\",\"sub\":\"" USER "\",\"iat\":1764000000,\"exp\":1764000100}",
		"{\"sub\":\"" USER "\",\"iat\":1764000000,\"exp\":1764000100}",
		"{\"iss\":\"ugtj\",\"iat\":1764000000,\"exp\":1764000100}",
		"{\"iss\":\"ugtj\",\"sub\":\"me\",\"iat\":1764000000,\"exp\":1764000100}",
		"{\"iss\":\"ugtj\",\"sub\":7,\"iat\":1764000000,\"exp\":1764000100}",
		"{\"iss\":\"ugtj\",\"sub\":\"" USER "\",\"exp\":1764000100}",
		"{\"iss\":\"ugtj\",\"sub\":\"" USER "\",\"iat\":1764000000}",
		"{\"iss\":\"ugtj\",\"sub\":\"" USER "\",\"iat\":\"x\",\"exp\":\"y\"}",
		"{\"iss\":\"ugtj\",\"sub\":\"" USER "\",\"iat\":1764000000,\"exp\":1763999999}",
		"{\"iss\":\"ugtj\",\"sub\":\"" USER "\",\"iat\":1764009999,\"exp\":1774009999}",
		"{}",
		"[]",
		"\"\"",
		"",
	};
	const struct session_key key = key_of(SECRET);

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_true(is_void(read_token(&key, signed_claims(&key, wrong[i]))));
}

static void who_says_it_is_ours_and_is_not_is_told_from_a_stranger(void **state)
{
	static const char *const heads[] = {HS256, "{\"alg\":\"none\"}", "{\"alg\":\"HS512\"}"};
	const struct session_key key = key_of(SECRET);

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		assert_int_equal(
			read_token(&key, forged(&key, NULL, heads[i], "{\"iss\":\"ugtj\"}")),
			-EKEYREJECTED);
		assert_int_equal(read_token(&key, forged(&key, NULL, heads[i], "{\"iss\":\"hh\"}")),
				 -EBADMSG);
	}
}

static void garbage_is_none_of_ours(void **state)
{
	static const char *const garbage[] = {"",
					      ".",
					      "..",
					      "...",
					      "a.b.c",
					      "APPL0123456789",
					      "e30.e30.",
					      "\xff.\xfe.\xfd",
					      "eyJhbGciOiJIUzI1NiJ9..x"};
	const struct session_key key = key_of(SECRET);
	char *huge = calloc(1, 100001);

	(void)state;
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++)
		assert_int_equal(read_token(&key, garbage[i]), -EBADMSG);
	memset(huge, 'A', 100000);
	assert_int_equal(read_token(&key, huge), -EBADMSG);
	free(huge);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whom_it_was_issued_to_is_read),
		cmocka_unit_test(by_hand_it_is_the_same),
		cmocka_unit_test(it_has_its_time),
		cmocka_unit_test(another_key_makes_another_token),
		cmocka_unit_test(one_changed_character_is_a_forgery),
		cmocka_unit_test(there_is_one_algorithm),
		cmocka_unit_test(claims_are_checked),
		cmocka_unit_test(who_says_it_is_ours_and_is_not_is_told_from_a_stranger),
		cmocka_unit_test(garbage_is_none_of_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
