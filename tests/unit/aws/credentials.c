/* The parts of credentials that need neither network nor configuration: JSON read in place, command lines, keys, what a
 * service says when it refuses; and each allocation of theirs failed once. */
#include "aws/command_line.h"
#include "aws/credential_json.h"
#include "aws/providers.h"
#include "../alloc_faults.h"
#include "../must.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

WRAP(void *, mmap64, (void *at, size_t bytes, int how, int flags, int fd, off_t offset),
     (at, bytes, how, flags, fd, offset), MAP_FAILED)

/* --- JSON --------------------------------------------------------------------------------------------------------- */

enum { NUMBER, NAME, MEMBERS };

/* Reads a copy of exactly the text's size, so that sanitizers see a step beyond it. */
static enum gm_code read_json(const char *text, struct gm_json_member members[MEMBERS], char **copy)
{
	size_t n = strlen(text);
	*copy = malloc(n > 0 ? n : 1);
	assert_non_null(*copy);
	memcpy(*copy, text, n);
	members[NUMBER] = (struct gm_json_member){.name = "number", .is_integer = true};
	members[NAME] = (struct gm_json_member){.name = "name"};
	return gm_credential_json_read(*copy, n, members, MEMBERS, &failure);
}

static void json_is_read(void **state)
{
	static const struct {
		const char *text, *name;
		int64_t number;
	} cases[] = {
	    {"{}", NULL, 0},
	    {" { \"name\" : \"x\" , \"number\":-12 }\n", "x", -12},
	    {"{\"name\":null,\"number\":null}", NULL, 0},
	    {"{\"name\":\"\"}", "", 0},
	    {"{\"name\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\ud83d\\ude00z\"}",
	     "a\"\\/\b\f\n\r\t\xc3\xa4\xf0\x9f\x98\x80z", 0},
	    {"{\"n\\u0061me\":\"escaped\"}", "escaped", 0},
	    {"{\"name\":\"\xc3\xa4\",\"number\":999999999999999}", "\xc3\xa4", 999999999999999},
	    {"{\"other\":[1,[],{},{\"name\":\"inner\",\"a\":[true,false,null,-1.5e+3]},\"s\"],\"number\":7}", NULL, 7},
	    {"{\"other\":{\"number\":1},\"number\":0,\"another\":[[[]]]}", NULL, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct gm_json_member members[MEMBERS];
		char *copy;
		must(read_json(cases[i].text, members, &copy));
		assert_int_equal(members[NUMBER].integer, cases[i].number);
		if (cases[i].name == NULL)
			assert_null(members[NAME].text);
		else
			assert_string_equal(members[NAME].text, cases[i].name);
		free(copy);
	}
}

static void json_is_refused(void **state)
{
	static const char *const texts[] = {
	    "",
	    " ",
	    "null",
	    "[]",
	    "\"name\"",
	    "{",
	    "{]",
	    "{,}",
	    "{\"name\"}",
	    "{\"name\":}",
	    "{\"name\":\"x\",}",
	    "{} {}",
	    "{}x",
	    "{name:\"x\"}",
	    "{\"name\":'x'}",
	    "{\"name\":\"x}",
	    "{\"name\":\"x\\\"}",
	    "{\"name\":\"\\x\"}",
	    "{\"name\":\"\\u12\"}",
	    "{\"name\":\"\\u000g\"}",
	    "{\"name\":\"\\u0000\"}",
	    "{\"name\":\"\\ud800\"}",
	    "{\"name\":\"\\ud800\\u0041\"}",
	    "{\"name\":\"\\udc00\"}",
	    "{\"name\":\"\xff\"}",
	    "{\"name\":\"a\nb\"}",
	    "{\"name\":1}",
	    "{\"name\":{\"name\":\"x\"}}",
	    "{\"name\":[\"x\"]}",
	    "{\"name\":true}",
	    "{\"name\":\"a\",\"name\":\"a\"}",
	    "{\"number\":\"1\"}",
	    "{\"number\":1.0}",
	    "{\"number\":1e3}",
	    "{\"number\":01}",
	    "{\"number\":-}",
	    "{\"number\":1234567890123456}",
	    "{\"other\":nul}",
	    "{\"other\":[1,]}",
	    "{\"other\":[1 2]}",
	    "{\"other\":{\"a\" 1}}",
	    "{\"other\":{\"a\":1,}}",
	    "{\"other\":1.}",
	    "{\"other\":[}}",
	    "{\"other\":{]}",
	    "{\"name\":nullx}",
	    "{\"other\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
	};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct gm_json_member members[MEMBERS];
		char *copy;
		if (read_json(texts[i], members, &copy) != GM_CORRUPT) fail_msg("%s: taken", texts[i]);
		free(copy);
	}
}

/* Every beginning of an answer is refused, and none of it is in the message. */
static void cut_json_is_refused(void **state)
{
	static const char whole[] = "{\"number\":1,\"name\":\"SECRET\\u0041SECRET\",\"other\":[{\"a\":\"SECRET\"}]}";
	(void)state;
	for (size_t n = 0; n < sizeof whole - 1; n++) {
		struct gm_json_member members[MEMBERS];
		char part[sizeof whole] = "", *copy;
		memcpy(part, whole, n);
		assert_int_equal(read_json(part, members, &copy), GM_CORRUPT);
		assert_null(strstr(failure.message, "SEC"));
		free(copy);
	}
}

/* --- Command lines ------------------------------------------------------------------------------------------------ */

/* Expected: what Python 3's shlex.split gives. */
static void command_lines(void **state)
{
	static const struct {
		const char *line, *words; /* with | behind each */
	} cases[] = {
	    {"a", "a|"},
	    {"  a\tb  c\n", "a|b|c|"},
	    {"/opt/x --y='a b'", "/opt/x|--y=a b|"},
	    {"\"C:\\x\" \"a\\\"b\" \"a\\\\b\" \"$HOME\"", "C:\\x|a\"b|a\\b|$HOME|"},
	    {"'a\\' b\\ c \\'d", "a\\|b c|'d|"},
	    {"'' \"\" a''b", "||ab|"},
	    {"a # b | c; d > e", "a|#|b|||c;|d|>|e|"},
	    {"a\"b 'c\"'d \"e'", "ab 'cd \"e|"},
	    {"\\\n", "\n|"},
	};
	static const char *const refused[] = {"", " \t\n", "'a", "\"a", "a \\", "\"a\\\"", "a 'b", "\"\\"};
	struct gm_secret_memory memory;
	char **words;
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char joined[100] = "";
		gm_secret_init(&memory, 1 << 20);
		must(gm_command_line_split(cases[i].line, &memory, &words, &failure));
		for (; *words != NULL; words++) strcat(strcat(joined, *words), "|");
		assert_string_equal(joined, cases[i].words);
		gm_secret_release(&memory);
	}
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		gm_secret_init(&memory, 1 << 20);
		assert_int_equal(gm_command_line_split(refused[i], &memory, &words, &failure), GM_USAGE);
		gm_secret_release(&memory);
	}
}

/* --- Keys --------------------------------------------------------------------------------------------------------- */

static void keys_are_checked(void **state)
{
	char long_secret[300];
	memset(long_secret, 'x', sizeof long_secret - 1);
	long_secret[sizeof long_secret - 1] = '\0';
	const struct {
		struct gm_given_keys given;
		const char *why;
	} refused[] = {
	    {{NULL, "secret", NULL, NULL}, "me: the access key id is missing"},
	    {{"", "secret", NULL, NULL}, "me: the access key id is missing"},
	    {{"AKID", NULL, "token", NULL}, "me: the secret access key is missing"},
	    {{"AK\r\nX-Evil: 1", "secret", NULL, NULL}, "me: character 3 of the access key id is none that it can have"},
	    {{"AKID", "sec ret", NULL, NULL}, "me: character 4 of the secret access key is none that it can have"},
	    {{"AKID", "secret", "tok\n", NULL}, "me: character 4 of the session token is none that it can have"},
	    {{"AKID", "secr\xc3\xa4t", NULL, NULL}, "me: character 5 of the secret access key is none that it can have"},
	    {{"AKID", long_secret, NULL, NULL}, "me: the secret access key has more than 256 characters"},
	    {{"AKID", "secret", NULL, "soon"}, "me: the time of expiry is not an ISO 8601 time"},
	    {{"AKID", "secret", NULL, ""}, "me: the time of expiry is not an ISO 8601 time"},
	};
	struct gm_keys *keys;
	(void)state;
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		assert_int_equal(gm_keys_new(&refused[i].given, "me", &keys, &failure), GM_DENIED);
		assert_null(keys);
		assert_string_equal(failure.message, refused[i].why);
	}
	const struct gm_given_keys given = {"AKID", "secret", NULL, "2024-03-10T22:01:24Z"};
	must(gm_keys_new(&given, "me", &keys, &failure));
	assert_string_equal(keys->session_token, "");
	assert_int_equal(keys->expires_us, 1710108084000000);
	gm_keys_drop(gm_keys_hold(keys));
	assert_string_equal(keys->secret_key, "secret"); /* still held once */
	gm_keys_drop(keys);
}

static void refusals_are_told(void **state)
{
	static const struct {
		const char *code, *message, *sent, *text;
	} cases[] = {
	    {NULL, NULL, NULL, ""},
	    {"AccessDenied", NULL, NULL, ": AccessDenied"},
	    {"AccessDenied", "not\x01you", "other-secret-token", ": AccessDenied: not?you"},
	    {NULL, "first line\nx-amz-security-token:abc", NULL, ": first line"},
	    {"Invalid", "the token abcdefghijklmnop is bad", "xx-abcdefghijklmnop-yy", ""},
	    {"Invalid", "<b>\xc3\xa4</b>", NULL, ": Invalid: <b>?\?</b>"},
	};
	char text[GM_REPLY_TEXT_BYTES], long_message[1000];
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		gm_reply_text(cases[i].code, cases[i].message, cases[i].sent, text);
		assert_string_equal(text, cases[i].text);
	}
	memset(long_message, 'm', sizeof long_message - 1);
	long_message[sizeof long_message - 1] = '\0';
	gm_reply_text("C", long_message, NULL, text);
	assert_int_equal(strlen(text), GM_REPLY_TEXT_BYTES - 1);
}

/* --- When memory ends --------------------------------------------------------------------------------------------- */

static enum gm_code use_keys(struct gm_error *err)
{
	const struct gm_given_keys given = {"AKID", "secret", "token", NULL};
	struct gm_keys *keys;
	GM_TRY(gm_keys_new(&given, "me", &keys, err));
	gm_keys_drop(keys);
	return GM_OK;
}

static enum gm_code use_command_line(struct gm_error *err)
{
	struct gm_secret_memory memory;
	char **words;
	gm_secret_init(&memory, 1 << 20);
	enum gm_code code = gm_command_line_split("a b c", &memory, &words, err);
	gm_secret_release(&memory);
	return code;
}

static enum gm_code use_process(struct gm_error *err)
{
	static const struct gm_source source = {
	    .kind = GM_SOURCE_PROCESS,
	    .name = "me",
	    .command = "printf '{\"Version\":1,\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":\"secret\"}'"};
	struct gm_keys *keys;
	GM_TRY(gm_process_ask(&source, &keys, err));
	gm_keys_drop(keys);
	return GM_OK;
}

static void each_allocation_fails(void **state)
{
	enum gm_code (*const uses[])(struct gm_error *) = {use_keys, use_command_line, use_process};
	(void)state;
	for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
		for (fail_at = 1;; fail_at++) {
			struct gm_error err = {0};
			arm();
			enum gm_code code = uses[i](&err);
			armed = false;
			if (!fired) assert_int_equal(code, GM_OK);
			if (!fired) break;
			if (code != GM_NOMEM) fail_msg("%zu, %d: %s: %s", i, (int)fail_at, gm_code_name(code), err.message);
		}
		assert_true(fail_at > 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(json_is_read),          cmocka_unit_test(json_is_refused),
	    cmocka_unit_test(cut_json_is_refused),   cmocka_unit_test(command_lines),
	    cmocka_unit_test(keys_are_checked),      cmocka_unit_test(refusals_are_told),
	    cmocka_unit_test(each_allocation_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
