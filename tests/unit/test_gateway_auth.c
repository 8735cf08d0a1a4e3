/* test_gateway_auth.c - the secret and the signature, against a known answer of RFC 4231. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/auth.h"
#include "gateway/request_id.h"

/* RFC 4231, test case 2. */
static const char key[] = "Jefe";
static const char text[] = "what do ya want for nothing?";
static const char mac[] = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

static struct auth auth_of(const char *secret, bool require_signature)
{
	struct auth auth;
	const struct auth_settings settings = {.secret = secret,
					       .require_signature = require_signature};

	assert_int_equal(auth_init(&auth, &settings), 0);
	return auth;
}

static void only_the_secret_is_the_secret(void **state)
{
	const struct auth auth = auth_of("correct horse", false);

	(void)state;
	assert_true(auth_knows_secret(&auth, "correct horse"));
	assert_false(auth_knows_secret(&auth, "correct horsf"));
	assert_false(auth_knows_secret(&auth, "correct hors"));
	assert_false(auth_knows_secret(&auth, "correct horse "));
	assert_false(auth_knows_secret(&auth, ""));
	assert_false(auth_knows_secret(&auth, NULL));
}

static void an_unset_secret_lets_nobody_in(void **state)
{
	const struct auth auth = auth_of(NULL, false);

	(void)state;
	assert_false(auth_knows_secret(&auth, ""));
	assert_false(auth_knows_secret(&auth, NULL));
	assert_false(auth_signature_fits(&auth, mac, text, strlen(text)));
}

static void a_signature_fits_its_body_only(void **state)
{
	const struct auth auth = auth_of(key, false);
	char wrong[sizeof(mac)];

	(void)state;
	assert_true(auth_signature_fits(&auth, mac, text, strlen(text)));
	assert_false(auth_signature_fits(&auth, mac, text, strlen(text) - 1));
	assert_false(auth_signature_fits(&auth, mac + 1, text, strlen(text)));
	assert_false(auth_signature_fits(&auth, "", text, strlen(text)));
	for (size_t i = 0; i < sizeof(mac) - 1; i++) {
		memcpy(wrong, mac, sizeof(mac));
		wrong[i] = wrong[i] == '0' ? '1' : '0';
		assert_false(auth_signature_fits(&auth, wrong, text, strlen(text)));
		wrong[i] = 'g';
		assert_false(auth_signature_fits(&auth, wrong, text, strlen(text)));
	}
}

static void a_signature_may_be_missing_unless_it_is_required(void **state)
{
	const struct auth lenient = auth_of(key, false);
	const struct auth strict = auth_of(key, true);

	(void)state;
	assert_true(auth_signature_fits(&lenient, NULL, text, strlen(text)));
	assert_false(auth_signature_fits(&strict, NULL, text, strlen(text)));
	assert_true(auth_signature_fits(&strict, NULL, NULL, 0));
	assert_true(auth_signature_fits(&strict, mac, text, strlen(text)));
}

static void request_ids_are_taken_or_made(void **state)
{
	char sixty_four[65];
	char id[REQUEST_ID_SIZE];
	char other[REQUEST_ID_SIZE];

	(void)state;
	memset(sixty_four, 'x', 64);
	sixty_four[64] = '\0';
	assert_string_equal(request_id_of("a-1", id), "a-1");
	assert_string_equal(request_id_of(sixty_four, id), sixty_four);
	assert_int_equal(strlen(request_id_of(NULL, id)), 36);
	assert_int_equal(strlen(request_id_of("", id)), 36);
	assert_int_equal(strlen(request_id_of("a b", id)), 36);
	assert_int_equal(strlen(request_id_of("a\r\nX: y", id)), 36);
	assert_int_equal(strlen(request_id_of("\xd1\x8f", id)), 36);
	assert_int_equal(id[14], '4');
	assert_string_not_equal(request_id_new(id), request_id_new(other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_secret_is_the_secret),
		cmocka_unit_test(an_unset_secret_lets_nobody_in),
		cmocka_unit_test(a_signature_fits_its_body_only),
		cmocka_unit_test(a_signature_may_be_missing_unless_it_is_required),
		cmocka_unit_test(request_ids_are_taken_or_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
