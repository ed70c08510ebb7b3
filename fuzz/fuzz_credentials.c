/* fuzz_credentials.c - any bytes as what services and programs answer when they are asked for credentials, and as the
 * command lines of the latter. The first byte says which.
 *
 * JSON that is taken means what jansson says it means. A command line, written anew with every word in quotation marks,
 * is the same words. */
#include "aws/command_line.h"
#include "aws/credential_json.h"
#include "aws/providers.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY_MAX = 4 << 20, MEMBERS = 4, LINE_MAX = 4096 };

static void check(bool right)
{
	if (!right) abort();
}

/* Keys of an answer: taken or not, and what is taken can stand in a header. */
static void make_keys(const struct gm_given_keys *given)
{
	struct gm_keys *keys;
	struct gm_error err;
	enum gm_code code = gm_keys_new(given, "fuzz", &keys, &err);
	if (code == GM_OK) check(gm_token_is_plain(keys->access_key) && gm_token_is_plain(keys->secret_key));
	if (code == GM_OK) check(strcmp(keys->secret_key, given->secret_key) == 0);
	gm_keys_drop(keys);
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static void compare(const json_t *object, const struct gm_json_member *member)
{
	const json_t *value = json_object_get(object, member->name);
	check(member->there == (value != NULL && !json_is_null(value)));
	if (!member->there) return;
	if (member->is_integer)
		check(json_is_integer(value) && json_integer_value(value) == member->integer);
	else
		check(json_is_string(value) && strcmp(json_string_value(value), member->text) == 0);
}

static void read_json(const char *data, size_t size)
{
	struct gm_json_member members[MEMBERS] = {{.name = "Version", .is_integer = true},
	                                          {.name = "AccessKeyId"},
	                                          {.name = "SecretAccessKey"},
	                                          {.name = "Expiration"}};
	struct gm_error err;
	json_error_t why;
	char *text = malloc(size > 0 ? size : 1);
	check(text != NULL);
	memcpy(text, data, size);
	enum gm_code code = gm_credential_json_read(text, size, members, MEMBERS, &err);
	check(code == GM_OK || code == GM_CORRUPT);
	json_t *object = code == GM_OK ? json_loadb(data, size, 0, &why) : NULL;
	/* Numbers that jansson cannot hold are those that nobody looks at. */
	if (code == GM_OK && object == NULL) check(json_error_code(&why) == json_error_numeric_overflow);
	for (size_t i = 0; i < MEMBERS && object != NULL; i++) compare(object, &members[i]);
	if (code == GM_OK) {
		const struct gm_given_keys given = {members[1].text, members[2].text, NULL, members[3].text};
		make_keys(&given);
	}
	json_decref(object);
	free(text);
}

/* --- XML ---------------------------------------------------------------------------------------------------------- */

static void read_xml(const char *data, size_t size)
{
	struct gm_secret_memory memory;
	struct gm_sts_answer answer;
	struct gm_error err;
	char text[GM_REPLY_TEXT_BYTES];
	gm_secret_init(&memory, MEMORY_MAX);
	enum gm_code code = gm_sts_answer_read(data, size, &memory, &answer, &err);
	check(code == GM_OK || code == GM_CORRUPT);
	if (code == GM_OK) make_keys(&answer.keys);
	gm_reply_text(answer.code, answer.message, answer.keys.session_token, text);
	for (const char *c = text; *c != '\0'; c++) check(*c >= ' ' && *c <= '~');
	gm_secret_release(&memory);
}

/* --- Command lines ------------------------------------------------------------------------------------------------ */

static char *quote(char *to, const char *word)
{
	*to++ = '\'';
	for (; *word != '\0'; word++)
		if (*word == '\'')
			to = stpcpy(to, "'\\''");
		else
			*to++ = *word;
	return stpcpy(to, "' ");
}

static void split_line(const char *data, size_t size)
{
	static char line[LINE_MAX + 1], again[6 * LINE_MAX + 1];
	struct gm_secret_memory memory;
	struct gm_error err;
	char **words, **same, *to = again;
	if (size > LINE_MAX) return;
	memcpy(line, data, size);
	line[size] = '\0';
	gm_secret_init(&memory, MEMORY_MAX);
	enum gm_code code = gm_command_line_split(line, &memory, &words, &err);
	check(code == GM_OK || code == GM_USAGE);
	for (size_t i = 0; code == GM_OK && words[i] != NULL; i++) to = quote(to, words[i]);
	if (code == GM_OK) {
		check(gm_command_line_split(again, &memory, &same, &err) == GM_OK);
		size_t i = 0;
		for (; words[i] != NULL && same[i] != NULL; i++) check(strcmp(words[i], same[i]) == 0);
		check(words[i] == NULL && same[i] == NULL);
	}
	gm_secret_release(&memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1) return 0;
	const char *rest = (const char *)data + 1;
	switch (data[0]) {
	case 'J': read_json(rest, size - 1); break;
	case 'X': read_xml(rest, size - 1); break;
	case 'C': split_line(rest, size - 1); break;
	default: break;
	}
	return 0;
}
