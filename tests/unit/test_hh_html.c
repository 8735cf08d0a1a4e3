/* test_hh_html.c - HTML as employers write it, as plain text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/hh_client/hh_html.h"
#include "proto/codec.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, (size_t)16 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static const struct {
	const char *html;
	const char *text;
} cases[] = {
	{"", ""},
	{"   \n ", ""},
	{"plain text", "plain text"},
	{"<p>One.</p><p>Two.</p>", "One.\n\nTwo."},
	{"<p>One.</p>\n  <p>  Two.\n</p>", "One.\n\nTwo."},
	{"one<br>two<br/>three", "one\ntwo\nthree"},
	{"one<br><br>two", "one\n\ntwo"},
	{"one<br><br><br><br>two", "one\n\ntwo"},
	{"<p><strong>Требования:</strong></p><ul><li>C11;</li><li>POSIX.</li></ul><p>Ждём!</p>",
	 "Требования:\n\n- C11;\n- POSIX.\n\nЖдём!"},
	{"<ul><li>one<li>two</ul>", "- one\n- two"},
	{"<ul><li></li><li> </li><li>one</li></ul>", "- one"},
	{"<ul><li><p>one</p></li><li><p>two</p></li></ul>", "- one\n- two"},
	{"<ul><li>a<ul><li>b<ul><li>c<ul><li>d<ul><li>e</ul></ul></ul></ul></ul>after",
	 "- a\n  - b\n    - c\n      - d\n      - e\n\nafter"},
	{"<div>one</div><div>two</div>", "one\ntwo"},
	{"<h2>Head</h2>text", "Head\n\ntext"},
	{"<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"},
	{"<b>bo</b>ld <i> and </i> more", "bold and more"},
	{"C++ &amp; C# &lt;T&gt; &quot;x&quot; &laquo;y&raquo; &mdash; &hellip;",
	 "C++ & C# <T> \"x\" «y» — …"},
	{"&#65;&#x42;&#1078;&#8212;", "ABж—"},
	{"a&nbsp;b\xc2\xa0\xc2\xa0"
	 "c",
	 "a b c"},
	{"&unknown; R&D &", "&unknown; R&D &"},
	{"a < b and 3<5", "a < b and 3<5"},
	{"<script>alert(1 < 2)</script>a<style>p { }</style>b<!-- no -->c", "abc"},
	{"<script>never closed", ""},
	{"<p>never <b>closed", "never closed"},
	{"</p></ul></div>stray ends", "stray ends"},
	{"<a href=\"javascript:alert(1)\" onclick='x'>link</a>", "link"},
	{"<img src=x onerror=alert(1)>picture", "picture"},
	{"<P>UPPER</P><BR><LI>item", "UPPER\n\n- item"},
	{"<p>tags <unknown>that nobody</unknown> knows</p>", "tags that nobody knows"},
};

static void lays_out_what_employers_write(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *text = hh_html_text(cases[i].html, 65536, &arena);

		if (text == NULL || strcmp(text, cases[i].text) != 0)
			fail_msg("%s\nis\n%s\nnot\n%s", cases[i].html, text, cases[i].text);
	}
}

static void cuts_at_whole_characters(void **state)
{
	(void)state;
	assert_string_equal(hh_html_text("<p>абвгд</p>", 0, &arena), "");
	for (size_t max = 1; max < 12; max++) {
		const char *text = hh_html_text("<p>абв где жз</p><p>и</p>", max, &arena);
		size_t chars;

		assert_true(utf8_valid(text, strlen(text), &chars));
		assert_true(chars <= max);
	}
}

/* Repeats piece until there are size bytes. */
static char *repeat(const char *piece, size_t size)
{
	char *text = calloc(1, size + strlen(piece) + 1);
	size_t len = 0;

	while (len < size) {
		memcpy(text + len, piece, strlen(piece));
		len += strlen(piece);
	}
	return text;
}

static void takes_bounded_time_and_memory_for_anything(void **state)
{
	static const char *const pieces[] = {
		"<b>",		"<ul><li>x", "<p>",	 "&",	 "<",
		"<li>a",	"ж",	     "&amp;",	 "<!--", "<a a=",
		"<table>",	"\xc2\xa0",  "<script>", "</b>", "<p><b><i><div>",
		"<li><p>x<br>", "<![CDATA[", "<?x",	 "&#1;", "&#xD800;",
		"<ul></li>",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		char *html = repeat(pieces[i], HH_HTML_MAX_BYTES * 2);
		const char *text = hh_html_text(html, 65536, &arena);
		size_t chars;

		assert_non_null(text);
		assert_true(utf8_valid(text, strlen(text), &chars));
		assert_true(chars <= 65536);
		free(html);
		arena_reset(&arena);
	}
}

static void any_bytes_of_utf8_give_utf8(void **state)
{
	static const char *const tokens[] = {"<", ">", "/", "p",  "li",	    "ul", "&",
					     "#", "x", ";", "38", "ж",	    " ",  "\"",
					     "=", "!", "-", "br", "script", "\n"};

	(void)state;
	srandom(7);
	for (int i = 0; i < 3000; i++) {
		char html[256] = "";
		const char *text;

		for (int n = 0; n < 40; n++)
			strncat(html,
				tokens[(size_t)random() % (sizeof(tokens) / sizeof(tokens[0]))], 8);
		text = hh_html_text(html, 50, &arena);
		assert_non_null(text);
		if (!utf8_valid(text, strlen(text), NULL))
			fail_msg("%s", html);
		arena_reset(&arena);
	}
}

static void snippets_lose_their_marks(void **state)
{
	static const struct {
		const char *html;
		const char *text;
	} snippets[] = {
		{"", ""},
		{"Знание <highlighttext>C</highlighttext>, Linux", "Знание C, Linux"},
		{"<highlighttext>a</highlighttext> &amp; b", "a & b"},
		{"<highlighttext>cut off", "cut off"},
		{"a <b>bold</b> word", "a bold word"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(snippets) / sizeof(snippets[0]); i++)
		assert_string_equal(hh_html_snippet(snippets[i].html, 100, &arena),
				    snippets[i].text);
	assert_string_equal(hh_html_snippet("абвгд", 3, &arena), "абв");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(lays_out_what_employers_write),
		TEST(cuts_at_whole_characters),
		TEST(takes_bounded_time_and_memory_for_anything),
		TEST(any_bytes_of_utf8_give_utf8),
		TEST(snippets_lose_their_marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
