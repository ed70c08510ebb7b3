/* The rules of the access log: what a request's URL and user agent say (but for normalize_url.c).
 *
 * The platform's job of today is written in Python, and its regular expressions and string methods define what is
 * right for every input, sensible or not. The functions look for ASCII words and take characters apart only where one
 * that is not ASCII can matter. */
#include <string.h>

#include "base/unicode.h"
#include "job/functions/result.h"
#include "job/functions/text.h"
#include "shred/simd.h"

enum { INT64_DIGITS = 18 }; /* that always fit an int64 */

/* --- synapse_client, synapse_client_version ----------------------------------------------------------------------- */

/* How many bytes of text[0..n) are the lower-case ASCII `word` in any letter case, as Python's (?i) sees it: i is also
 * U+0130 and U+0131, s is also U+017F. 0 if they are not. */
static size_t match_any_case(const uint8_t *text, size_t n, const char *word)
{
	size_t i = 0;
	for (; *word != '\0'; word++) {
		if (i < n && (text[i] | 0x20) == *word) {
			i++;
			continue;
		}
		if (n - i < 2) return 0;
		bool dotted = *word == 'i' && text[i] == 0xC4 && (text[i + 1] == 0xB0 || text[i + 1] == 0xB1);
		bool long_s = *word == 's' && text[i] == 0xC5 && text[i + 1] == 0xBF;
		if (!dotted && !long_s) return 0;
		i += 2;
	}
	return i;
}

/* The browser name that begins at text[0]: its length, or 0. 0xC5 begins U+017F, which is an s. */
static size_t match_browser(const uint8_t *text, size_t n)
{
	switch (text[0]) {
	case 'm':
	case 'M': return match_any_case(text, n, "mozilla");
	case 0xC5:
	case 's':
	case 'S': return match_any_case(text, n, "safari");
	case 'o':
	case 'O': return match_any_case(text, n, "opera");
	case 'l':
	case 'L': return match_any_case(text, n, "lynx");
	case 'u':
	case 'U': return match_any_case(text, n, "ucweb");
	case 'c':
	case 'C': return match_any_case(text, n, "chrome");
	case 'f':
	case 'F': return match_any_case(text, n, "firefox");
	default: return 0;
	}
}

static bool has_browser(const uint8_t *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (match_browser(text + i, n - i) > 0) return true;
	}
	return false;
}

struct client {
	const char *word; /* that the user agent contains, in its own letter case */
	const char *name;
};
/* In the order in which they are tried, after browsers and the web client. */
static const struct client clients[] = {
    {"Synapse-Java-Client", "JAVA"},
    {"Synpase-Java-Client", "JAVA"}, /* sic: an old client's name */
    {"synapser", "SYNAPSER"},
    {"synapseRClient", "R"},
    {"synapsecommandlineclient", "COMMAND_LINE"},
    {"synapseclient", "PYTHON"},
    {"ELB-HealthChecker", "ELB_HEALTHCHECKER"},
    {"SynapseRepositoryStack", "STACK"},
};
static const char web_client[] = "Synapse-Web-Client";

static const struct client *find_client(const uint8_t *text, size_t n)
{
	for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++) {
		if (gm_text_find(text, n, clients[i].word, strlen(clients[i].word)) != NULL) return &clients[i];
	}
	return NULL;
}

enum gm_code gm_fn_synapse_client(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                  struct gm_value *result, struct gm_error *err)
{
	(void)scratch;
	(void)count;
	const uint8_t *text = args[0].bytes;
	size_t n = args[0].len;
	if (args[0].null) return gm_result_literal(result, "UNKNOWN", err);
	if (has_browser(text, n) || gm_text_find(text, n, GM_TEXT(web_client)) != NULL)
		return gm_result_literal(result, "WEB", err);
	const struct client *client = find_client(text, n);
	return gm_result_literal(result, client != NULL ? client->name : "UNKNOWN", err);
}

/* How many bytes from text[0] on there are before the next white space. */
static size_t solid_prefix(const uint8_t *text, size_t n)
{
	size_t i = 0, used;
	for (; i < n; i += used) {
		if (gm_unicode_is_space(gm_utf8_decode(text + i, n - i, &used))) break;
	}
	return i;
}

static enum gm_code version_at(const uint8_t *text, size_t n, struct gm_value *result, struct gm_error *err)
{
	size_t solid = solid_prefix(text, n);
	if (solid == 0) return gm_result_null(result, GM_TYPE_STRING);
	return gm_result_string(result, text, solid, err);
}

/* What follows the first `word` that is followed by a slash and something solid. */
static enum gm_code version_of(const uint8_t *text, size_t n, const char *word, struct gm_value *result,
                               struct gm_error *err)
{
	size_t word_bytes = strlen(word);
	const uint8_t *end = text + n, *at;
	while ((at = gm_text_find(text, (size_t)(end - text), word, word_bytes)) != NULL) {
		text = at + word_bytes;
		if (text == end || *text != '/') continue;
		GM_TRY(version_at(text + 1, (size_t)(end - text) - 1, result, err));
		if (!result->null) return GM_OK;
	}
	return gm_result_null(result, GM_TYPE_STRING);
}

enum gm_code gm_fn_synapse_client_version(struct gm_function_scratch *scratch, const struct gm_value *args,
                                          size_t count, struct gm_value *result, struct gm_error *err)
{
	(void)scratch;
	(void)count;
	const uint8_t *text = args[0].bytes;
	size_t n = args[0].len;
	if (n == 0) return gm_result_null(result, GM_TYPE_STRING);
	size_t browser = match_browser(text, n);
	if (browser > 0 && browser < n && text[browser] == '/')
		return version_at(text + browser + 1, n - browser - 1, result, err);
	if (has_browser(text, n)) return gm_result_null(result, GM_TYPE_STRING);
	if (gm_text_find(text, n, GM_TEXT(web_client)) != NULL) return version_of(text, n, web_client, result, err);
	const struct client *client = find_client(text, n);
	if (client == NULL) return gm_result_null(result, GM_TYPE_STRING);
	if (strcmp(client->name, "JAVA") != 0) return version_of(text, n, client->word, result, err);
	bool misspelt = gm_text_begins(text, n, GM_TEXT("Synpase"));
	return version_of(text, n, misspelt ? "Synpase-Java-Client" : "Synapse-Java-Client", result, err);
}

/* --- synapse_entity_id -------------------------------------------------------------------------------------------- */

/* Behind the next "/entity/", in any ASCII case; NULL if there is none. */
static inline const uint8_t *behind_entity(const uint8_t *at, const uint8_t *end)
{
	const uint64_t word = gm_load8((const uint8_t *)"/entity/");
	const uint64_t upper = gm_load8((const uint8_t *)"\0      \0"); /* what tells its letters from capitals */
	for (; end - at >= 8; at++)
		if ((gm_load8(at) | upper) == word) return at + 8;
	return NULL;
}

/* The digits at the start of text as a number: 0 for none, 1 for a number, -1 for one that exceeds 64 bits. */
static int read_number(const uint8_t *text, size_t n, int64_t *number)
{
	bool overflow = false;
	size_t i = 0, used;
	*number = 0;
	for (; i < n; i += used) {
		int digit = gm_unicode_digit_value(gm_utf8_decode(text + i, n - i, &used));
		if (digit < 0) break;
		overflow = overflow || __builtin_mul_overflow(*number, INT64_C(10), number) ||
		           __builtin_add_overflow(*number, (int64_t)digit, number);
	}
	return i == 0 ? 0 : overflow ? -1 : 1;
}

/* The same, with less work where the digits are ASCII and not too many. */
static inline int read_short_number(const uint8_t *text, size_t n, int64_t *number)
{
	size_t i = 0;
	int64_t value = 0;
	for (; i < n && (uint8_t)(text[i] - '0') < 10 && i < INT64_DIGITS; i++) value = value * 10 + (text[i] - '0');
	if (i < n && (text[i] >= 0x80 || i == INT64_DIGITS)) return read_number(text, n, number);
	*number = value;
	return i > 0;
}

/* The rule speaks of the lower-cased URL. Letters beyond ASCII need no look: the only one whose lower case begins with
 * a letter of "entity" or "syn" is U+0130, and U+0307 follows there, which is none of them. */
enum gm_code gm_fn_synapse_entity_id(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                     struct gm_value *result, struct gm_error *err)
{
	(void)scratch;
	(void)count;
	(void)err;
	const uint8_t *id = args[0].bytes, *end = id + args[0].len;
	while ((id = behind_entity(id, end)) != NULL) {
		int64_t number;
		bool syn = end - id >= 3 && (id[0] | 0x20) == 's' && (id[1] | 0x20) == 'y' && (id[2] | 0x20) == 'n';
		int found = read_short_number(id + 3 * syn, (size_t)(end - id) - 3 * syn, &number);
		if (found > 0) return gm_result_bigint(result, number);
		if (found < 0) break;
		id--;
	}
	return gm_result_null(result, GM_TYPE_BIGINT);
}

/* --- strip_leading_zeros ------------------------------------------------------------------------------------------ */

enum gm_code gm_fn_strip_leading_zeros(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                       struct gm_value *result, struct gm_error *err)
{
	(void)scratch;
	(void)count;
	size_t zeros = 0;
	while (zeros < args[0].len && args[0].bytes[zeros] == '0') zeros++;
	return gm_result_string(result, args[0].bytes + zeros, args[0].len - zeros, err);
}
