/* test_seal.c - secrets come back with the same key and name, and with nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/seal.h"

static struct seal_key key_of(const char *secret)
{
	struct seal_key key;

	assert_int_equal(seal_key_derive(secret, &key), 0);
	return key;
}

static void gives_back_what_was_sealed(void **state)
{
	const struct seal_key key = key_of("a secret of some length");
	char *sealed;
	char *plain;
	size_t len;

	(void)state;
	assert_int_equal(seal_close(&key, "token", "APPLSECRET", 10, &sealed), 0);
	assert_null(strstr(sealed, "APPL"));
	assert_int_equal(seal_open(&key, "token", sealed, &plain, &len), 0);
	assert_int_equal(len, 10);
	assert_string_equal(plain, "APPLSECRET");
	seal_free(&plain);
	assert_null(plain);
	free(sealed);
}

static void seals_the_same_text_differently_each_time(void **state)
{
	const struct seal_key key = key_of("a secret of some length");
	char *first;
	char *second;

	(void)state;
	assert_int_equal(seal_close(&key, "token", "same", 4, &first), 0);
	assert_int_equal(seal_close(&key, "token", "same", 4, &second), 0);
	assert_string_not_equal(first, second);
	free(first);
	free(second);
}

static void seals_the_empty_text(void **state)
{
	const struct seal_key key = key_of("a secret of some length");
	char *sealed;
	char *plain;
	size_t len;

	(void)state;
	assert_int_equal(seal_close(&key, "token", "", 0, &sealed), 0);
	assert_int_equal(seal_open(&key, "token", sealed, &plain, &len), 0);
	assert_int_equal(len, 0);
	assert_string_equal(plain, "");
	seal_free(&plain);
	free(sealed);
}

static void refuses_another_key_or_name(void **state)
{
	const struct seal_key key = key_of("a secret of some length");
	const struct seal_key other = key_of("a secret of some lengtH");
	char *sealed;
	char *plain = NULL;
	size_t len;

	(void)state;
	assert_int_equal(seal_close(&key, "token", "text", 4, &sealed), 0);
	assert_int_equal(seal_open(&other, "token", sealed, &plain, &len), -EBADMSG);
	assert_int_equal(seal_open(&key, "tokeN", sealed, &plain, &len), -EBADMSG);
	assert_null(plain);
	free(sealed);
}

static void refuses_every_changed_byte(void **state)
{
	const struct seal_key key = key_of("a secret of some length");
	char *sealed;
	char *plain;
	size_t len;

	(void)state;
	assert_int_equal(seal_close(&key, "token", "text", 4, &sealed), 0);
	for (size_t i = 0; sealed[i] != '\0'; i++) {
		char kept = sealed[i];

		sealed[i] = kept == 'A' ? 'B' : 'A';
		assert_int_equal(seal_open(&key, "token", sealed, &plain, &len), -EBADMSG);
		sealed[i] = kept;
	}
	free(sealed);
}

static void refuses_what_was_never_sealed(void **state)
{
	static const char *const texts[] = {"", "A", "AAAA", "not base64!", "AQID", "===="};
	const struct seal_key key = key_of("a secret of some length");
	char *plain;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(seal_open(&key, "token", texts[i], &plain, &len), -EBADMSG);
}

static void keys_have_an_id_that_is_stable(void **state)
{
	const struct seal_key one = key_of("a secret of some length");
	const struct seal_key same = key_of("a secret of some length");
	const struct seal_key other = key_of("another secret");

	(void)state;
	assert_int_equal(strlen(one.id), 16);
	assert_string_equal(one.id, same.id);
	assert_string_not_equal(one.id, other.id);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_back_what_was_sealed),
		cmocka_unit_test(seals_the_same_text_differently_each_time),
		cmocka_unit_test(seals_the_empty_text),
		cmocka_unit_test(refuses_another_key_or_name),
		cmocka_unit_test(refuses_every_changed_byte),
		cmocka_unit_test(refuses_what_was_never_sealed),
		cmocka_unit_test(keys_have_an_id_that_is_stable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
