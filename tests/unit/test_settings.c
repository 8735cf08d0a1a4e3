/* test_settings.c - settings: what is read of a file, what is found wrong, and that secrets do not
 * stand where the kernel shows the environment.
 */
#include "base/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char complaints[8192];

static int forget_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < SETTING_COUNT; i++)
		assert_int_equal(unsetenv(settings_table[i].name), 0);
	complaints[0] = '\0';
	return 0;
}

/* Runs settings_check() and keeps what it says. */
static int check(void)
{
	FILE *errors = fmemopen(complaints, sizeof(complaints), "w");
	int wrong;

	assert_non_null(errors);
	wrong = settings_check(errors);
	assert_int_equal(fclose(errors), 0);
	return wrong;
}

static int read_text(const char *text)
{
	char path[] = "settings-XXXXXX";
	int fd = mkstemp(path);
	FILE *errors = fmemopen(complaints, sizeof(complaints), "w");
	int rc;

	assert_true(fd >= 0);
	assert_non_null(errors);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(close(fd), 0);
	rc = settings_read_file(path, errors);
	assert_int_equal(fclose(errors), 0);
	assert_int_equal(unlink(path), 0);
	return rc;
}

static void put(const char *name, const char *value)
{
	assert_int_equal(setenv(name, value, 1), 0);
}

/* The least that a server needs. */
static void put_enough(void)
{
	put("DATABASE_URL", "postgresql:///x");
	put("ORCHESTRATOR_SECRET", "of eight or more");
	put("HH_ACCESS_TOKEN", "a token");
}

static void defaults_are_read_where_nothing_is_set(void **state)
{
	(void)state;
	assert_int_equal(setting_int(PORT), 4000);
	assert_null(setting_text(DATABASE_URL));
	put("PORT", "");
	assert_int_equal(setting_int(PORT), 4000);
	put("PORT", "81");
	assert_int_equal(setting_int(PORT), 81);
}

static void a_file_is_read_and_goes_under_the_environment(void **state)
{
	(void)state;
	put("PORT", "1");
	assert_int_equal(
		read_text("# comment\n\n export PORT=2\nWS_PORT = \" 3\"\nZMQ_PORT='4'\r\n"),
		-EINVAL);
	assert_non_null(strstr(complaints, ":4 ")); /* a blank in the name */
	assert_int_equal(setting_int(PORT), 1);
	assert_int_equal(setting_int(ZMQ_PORT), 4);
	assert_int_equal(read_text("HH_USER_AGENT=\"a/1 (b#c)\"\nLOG_LEVEL=debug"), 0);
	assert_string_equal(setting_text(HH_USER_AGENT), "a/1 (b#c)");
	assert_string_equal(setting_text(LOG_LEVEL), "debug");
}

static void a_file_that_is_not_there_is_no_error(void **state)
{
	(void)state;
	assert_int_equal(settings_read_file("no-such-file", stderr), 0);
	assert_true(settings_read_file("/", stderr) < 0);
}

static void all_that_is_wrong_is_said_at_once(void **state)
{
	(void)state;
	put_enough();
	assert_int_equal(check(), 0);
	put("PORT", "65536");
	put("HH_MAX_RPS", "nan");
	put("REQUIRE_SIGNATURE", "maybe");
	put("API_BASE_URL", "ftp://x");
	put("LOG_LEVEL", "loud!");
	put("ORCHESTRATOR_SECRET", "short");
	assert_int_equal(check(), 6);
	assert_non_null(strstr(complaints, "PORT=65536 is out of range"));
	assert_non_null(strstr(complaints, "HH_MAX_RPS=nan is out of range"));
	assert_non_null(strstr(complaints, "REQUIRE_SIGNATURE=maybe is neither"));
	assert_non_null(strstr(complaints, "API_BASE_URL=ftp://x is not"));
	assert_non_null(strstr(complaints, "ORCHESTRATOR_SECRET is too short"));
	assert_null(strstr(complaints, "=short"));
}

static void what_can_never_work_is_found_before_the_start(void **state)
{
	static const struct {
		const char *name;
		const char *value;
	} bad[] = {
		{"DATABASE_URL", "nonsense"},	{"DATABASE_URL", "http://x"},
		{"BIND_ADDRESS", "nonsense"},	{"BIND_ADDRESS", "::1"},
		{"BIND_ADDRESS", "1.2.3"},	{"HH_BASE_URL", "http://"},
		{"HH_BASE_URL", "http://x y/"}, {"HH_TOKEN_URL", "https:///token"},
		{"API_BASE_URL", "http://?x"},	{"HH_USER_AGENT", "a/1\r\nX-Evil: 1"},
		{"HH_ACCESS_TOKEN", "token\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(forget_all(NULL), 0);
		put_enough();
		put(bad[i].name, bad[i].value);
		assert_int_equal(check(), 1);
		assert_non_null(strstr(complaints, bad[i].name));
	}
	put_enough();
	put("DATABASE_URL", "host=/run/postgresql dbname=ugtj");
	put("HH_BASE_URL", "https://api.hh.ru:443/v1?x=1");
	put("HH_ACCESS_TOKEN", "a token");
	assert_int_equal(check(), 0);
}

static void numbers_are_whole_where_they_must_be(void **state)
{
	static const char *const bad[] = {"1.5", "0x10", "+5", " 5", "5 ", "1e3", "99999999999999"};

	(void)state;
	put_enough();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put("PORT", bad[i]);
		assert_int_equal(check(), 1);
	}
}

static void what_belongs_together_is_demanded(void **state)
{
	(void)state;
	assert_int_equal(check(), 3); /* no database, no secret, no token */
	put_enough();
	put("HH_CLIENT_ID", "id");
	assert_int_equal(check(), 2); /* no client's secret, no key */
	put("HH_CLIENT_SECRET", "secret");
	put("ENCRYPTION_KEY", "sixteen or more characters");
	assert_int_equal(check(), 0);
}

/* What the kernel shows as the process's environment. */
static size_t read_environ(char *buf, size_t size)
{
	FILE *file = fopen("/proc/self/environ", "re");
	size_t len;

	assert_non_null(file);
	len = fread(buf, 1, size, file);
	assert_int_equal(fclose(file), 0);
	return len;
}

static void hidden_secrets_are_found_by_getenv_alone(void **state)
{
	static char shown[1 << 20];
	const char *inherited = getenv("UGTJ_TEST_SECRET");
	size_t len;

	(void)state;
	if (inherited ==
	    NULL) { /* the kernel shows what exec was given: once more, with a secret */
		put("HH_ACCESS_TOKEN", "s3cr3t-of-the-test");
		put("UGTJ_TEST_SECRET", "given");
		assert_int_equal(execl("/proc/self/exe", "test_settings", (char *)NULL), 0);
	}
	len = read_environ(shown, sizeof(shown));
	assert_non_null(memmem(shown, len, "s3cr3t-of-the-test", 18));
	assert_int_equal(settings_hide_secrets(), 0);
	assert_string_equal(setting_text(HH_ACCESS_TOKEN), "s3cr3t-of-the-test");
	len = read_environ(shown, sizeof(shown));
	assert_null(memmem(shown, len, "s3cr3t-of-the-test", 18));
	assert_non_null(memmem(shown, len, "UGTJ_TEST_SECRET=given", 22));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* first, since it starts the program again */
		cmocka_unit_test(hidden_secrets_are_found_by_getenv_alone),
		cmocka_unit_test_setup(defaults_are_read_where_nothing_is_set, forget_all),
		cmocka_unit_test_setup(a_file_is_read_and_goes_under_the_environment, forget_all),
		cmocka_unit_test_setup(a_file_that_is_not_there_is_no_error, forget_all),
		cmocka_unit_test_setup(all_that_is_wrong_is_said_at_once, forget_all),
		cmocka_unit_test_setup(what_can_never_work_is_found_before_the_start, forget_all),
		cmocka_unit_test_setup(numbers_are_whole_where_they_must_be, forget_all),
		cmocka_unit_test_setup(what_belongs_together_is_demanded, forget_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
