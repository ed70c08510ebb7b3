/* The rules of the access log: what a request's URL and user agent say.
 *
 * The platform's job of today is written in Python, and its regular expressions and string methods define what is
 * right for every input, sensible or not. Two ways lead through the URL normalizer: one for text that is ASCII also
 * when it is percent-decoded, over bytes, and one for all text, over code points. Tests compare them. The other
 * functions look for ASCII words and take characters apart only where one that is not ASCII can matter. */
#include "job/functions/access_record.h"

#include <string.h>

#include "base/unicode.h"
#include "job/functions/percent.h"
#include "job/functions/result.h"

/* --- synapse_normalize_url ---------------------------------------------------------------------------------------- */

/* The ASCII way takes its first look at so many bytes at once, and needs as much room behind the text. */
enum { STEP = 16 };

enum byte_class { OTHER, WORD, SLASH, SEMICOLON };

static const uint8_t byte_classes[256] = {
    ['0' ... '9'] = WORD, ['A' ... 'Z'] = WORD, ['a' ... 'z'] = WORD, ['_'] = WORD, ['/'] = SLASH, [';'] = SEMICOLON,
};

static bool begins(const uint8_t *bytes, size_t n, const char *prefix, size_t prefix_bytes)
{
	return n >= prefix_bytes && memcmp(bytes, prefix, prefix_bytes) == 0;
}

/* The first place of a word in text, or NULL. Not inlined, or gcc warns of NULL where a sanitizer has checked for it.
 */
static __attribute__((noinline)) const uint8_t *find(const uint8_t *text, size_t n, const char *word, size_t word_bytes)
{
	return memmem(text, n, word, word_bytes);
}

/* The rules that look at the start of the path alone. NULL if none fits; *keep: the path stays as it is. */
static const char *prefix_rule(const uint8_t *path, size_t n, bool *keep)
{
	*keep = begins(path, n, GM_TEXT("/2fa"));
	if (begins(path, n, GM_TEXT("/entity/md5"))) return "/entity/md5/#";
	if (begins(path, n, GM_TEXT("/evaluation/name"))) return "/evaluation/name/#";
	if (begins(path, n, GM_TEXT("/entity/alias"))) return "/entity/alias/#";
	if (begins(path, n, GM_TEXT("/user/bundle"))) return "/user/bundle";
	return NULL;
}

static const char access_marker[] = "/access/", access_rule[] = "/objects/#/access/#";
static const char schema_marker[] = "/schema/type/registered/", schema_rule[] = "/schema/type/registered/#";
static const char invalid_url[] = "INVALID URL";

static enum gm_code result_literal(struct gm_value *result, const char *text, struct gm_error *err)
{
	return gm_result_string(result, text, strlen(text), err);
}

static bool ascii_space(uint8_t byte)
{
	return (byte >= 0x09 && byte <= 0x0D) || (byte >= 0x1C && byte <= 0x20);
}

/* What the first pass over an ASCII text found out. */
struct survey {
	bool ascii, percent, low; /* low: some byte is 0x20 or less, so that there may be white space */
};

/* Lower-cases text[0..n) in place; up to STEP - 1 bytes behind it are written as well. */
static struct survey lower_and_survey(uint8_t *text, size_t n)
{
	uint8_t seen = 0, percent = 0, low = 0;
	memset(text + n, 'x', STEP);
	for (size_t i = 0; i < n; i += STEP) {
		for (size_t j = 0; j < STEP; j++) {
			uint8_t byte = text[i + j];
			seen |= byte;
			percent |= byte == '%';
			low |= byte <= 0x20;
			text[i + j] = (uint8_t)(byte | ((uint8_t)(byte - 'A') < 26 ? 0x20 : 0));
		}
	}
	return (struct survey){.ascii = seen < 0x80, .percent = percent != 0, .low = low != 0};
}

/* Decodes in place and removes ASCII white space if asked to. Returns the new length; *high: a byte above 0x7F came
 * out. */
static size_t decode_percents(uint8_t *text, size_t n, bool drop_space, bool *high)
{
	size_t to = 0;
	*high = false;
	for (size_t i = 0; i < n; i++) {
		uint8_t byte = text[i];
		int value = byte == '%' ? gm_percent_value(text + i, n - i) : -1;
		if (value >= 0) {
			byte = (uint8_t)value;
			*high = *high || byte >= 0x80;
			i += 2;
		}
		if (drop_space && ascii_space(byte)) continue;
		text[to++] = byte;
	}
	return to;
}

/* Where the path begins, the slash behind "/v1"; n if there is none. */
static size_t find_path(const uint8_t *text, size_t n)
{
	for (size_t i = 0; i + 4 <= n; i++) {
		if (text[i] == '/' && memcmp(text + i, "/v1/", 4) == 0) return i + 3;
	}
	return n;
}

/* Whether a word of a path stands for an id: it begins with a digit, or is "syn" or "fh" and digits. */
static bool ascii_id(const uint8_t *word, size_t n)
{
	if (n == 0) return false;
	if (word[0] >= '0' && word[0] <= '9') return true;
	size_t i = begins(word, n, GM_TEXT("syn")) ? 3 : begins(word, n, GM_TEXT("fh")) ? 2 : n;
	if (i == n) return false;
	for (; i < n; i++) {
		if (word[i] < '0' || word[i] > '9') return false;
	}
	return true;
}

/* Copies one word of the path without what is neither \w nor a slash, and without what follows a semicolon. Returns its
 * length and moves *at behind it, to the next slash; the caller has put one behind the end. */
static size_t copy_word(const uint8_t **at, uint8_t *to)
{
	const uint8_t *from = *at;
	uint8_t *start = to, class;
	while ((class = byte_classes[*from]) < SLASH) {
		*to = *from++;
		to += class;
	}
	while (*from != '/') from++;
	*at = from;
	return (size_t)(to - start);
}

/* path[0..n) begins with a slash; path[n] may be written. */
static enum gm_code ascii_path(uint8_t *path, size_t n, struct gm_buf *out, struct gm_value *result,
                               struct gm_error *err)
{
	bool keep, schema = false;
	const char *rule = prefix_rule(path, n, &keep);
	if (rule != NULL) return result_literal(result, rule, err);
	GM_TRY(gm_buf_reserve(out, n, err));
	uint8_t *to = out->data;
	if (keep) {
		memcpy(to, path, n);
		return gm_result_string(result, to, n, err);
	}
	const uint8_t *at = path, *end = path + n;
	path[n] = '/';
	while (at < end) {
		size_t left = (size_t)(end - at);
		if (begins(at, left, GM_TEXT(access_marker))) return result_literal(result, access_rule, err);
		schema = schema || begins(at, left, GM_TEXT(schema_marker));
		*to++ = '/';
		at++;
		size_t word_bytes = copy_word(&at, to);
		if (ascii_id(to, word_bytes)) {
			*to++ = '#';
		} else {
			to += word_bytes;
		}
	}
	if (schema) return result_literal(result, schema_rule, err);
	return gm_result_string(result, out->data, (size_t)(to - out->data), err);
}

enum gm_code gm_normalize_url_ascii(struct gm_function_scratch *scratch, const struct gm_value *url,
                                    struct gm_value *result, bool *done, struct gm_error *err)
{
	struct gm_buf *work = &scratch->work;
	size_t n = url->len;
	*done = false;
	work->len = 0;
	GM_TRY(gm_buf_reserve(work, n + STEP, err));
	uint8_t *text = work->data;
	memcpy(text, url->bytes, n);
	struct survey survey = lower_and_survey(text, n);
	if (!survey.ascii) return GM_OK;
	if (survey.percent || survey.low) {
		bool high;
		n = decode_percents(text, n, true, &high);
		if (high) return GM_OK;
	}
	*done = true;
	size_t path = find_path(text, n);
	if (path == n) return result_literal(result, invalid_url, err);
	return ascii_path(text + path, n - path, &scratch->out, result, err);
}

/* Removes white space from well-formed text in place; returns the new length. */
static size_t drop_space(uint8_t *text, size_t n)
{
	size_t to = 0;
	for (size_t i = 0, used; i < n; i += used) {
		if (gm_unicode_is_space(gm_utf8_decode(text + i, n - i, &used))) continue;
		memmove(text + to, text + i, used);
		to += used;
	}
	return to;
}

static bool all_digits(const uint8_t *text, size_t n)
{
	for (size_t i = 0, used; i < n; i += used) {
		if (!gm_unicode_is_digit(gm_utf8_decode(text + i, n - i, &used))) return false;
	}
	return n > 0;
}

/* As ascii_id, with the digits of all scripts. */
static bool general_id(const uint8_t *word, size_t n)
{
	size_t used;
	if (n == 0) return false;
	if (gm_unicode_is_digit(gm_utf8_decode(word, n, &used))) return true;
	size_t prefix = begins(word, n, GM_TEXT("syn")) ? 3 : begins(word, n, GM_TEXT("fh")) ? 2 : n;
	return all_digits(word + prefix, n - prefix);
}

/* The length of the word that begins at path[0], behind a slash, after it was cleaned in place as copy_word does it;
 * *taken is what it took of the path. */
static size_t clean_word(uint8_t *path, size_t n, size_t *taken)
{
	size_t i = 0, to = 0;
	while (i < n && path[i] != '/' && path[i] != ';') {
		size_t used;
		uint32_t code_point = gm_utf8_decode(path + i, n - i, &used);
		if (gm_unicode_is_word(code_point)) {
			memmove(path + to, path + i, used);
			to += used;
		}
		i += used;
	}
	const uint8_t *slash = memchr(path + i, '/', n - i);
	*taken = slash != NULL ? (size_t)(slash - path) : n;
	return to;
}

/* path[0..n), which begins with a slash, normalized in place: nothing it does makes the text longer. */
static size_t general_words(uint8_t *path, size_t n)
{
	size_t to = 0;
	for (size_t i = 0, taken; i < n; i += taken) {
		path[to++] = path[i++];
		size_t word_bytes = clean_word(path + i, n - i, &taken);
		if (general_id(path + i, word_bytes)) {
			path[to++] = '#';
		} else {
			memmove(path + to, path + i, word_bytes);
			to += word_bytes;
		}
	}
	return to;
}

enum gm_code gm_normalize_url_general(struct gm_function_scratch *scratch, const struct gm_value *url,
                                      struct gm_value *result, struct gm_error *err)
{
	struct gm_buf *work = &scratch->work, *out = &scratch->out;
	bool high, keep;
	work->len = 0;
	GM_TRY(gm_unicode_lower_general(url->bytes, url->len, work, err));
	work->len = decode_percents(work->data, work->len, false, &high);
	GM_TRY(gm_utf8_mend(work->data, work->len, out, NULL, err));
	out->len = drop_space(out->data, out->len);
	size_t start = find_path(out->data, out->len);
	if (start == out->len) return result_literal(result, invalid_url, err);
	uint8_t *path = out->data + start;
	size_t n = out->len - start;
	const char *rule = prefix_rule(path, n, &keep);
	if (rule != NULL) return result_literal(result, rule, err);
	if (keep) return gm_result_string(result, path, n, err);
	if (find(path, n, GM_TEXT(access_marker)) != NULL) return result_literal(result, access_rule, err);
	if (find(path, n, GM_TEXT(schema_marker)) != NULL) return result_literal(result, schema_rule, err);
	return gm_result_string(result, path, general_words(path, n), err);
}

enum gm_code gm_fn_synapse_normalize_url(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                         struct gm_value *result, struct gm_error *err)
{
	(void)count;
	bool done;
	GM_TRY(gm_normalize_url_ascii(scratch, &args[0], result, &done, err));
	return done ? GM_OK : gm_normalize_url_general(scratch, &args[0], result, err);
}

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
		if (find(text, n, clients[i].word, strlen(clients[i].word)) != NULL) return &clients[i];
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
	if (args[0].null) return result_literal(result, "UNKNOWN", err);
	if (has_browser(text, n) || find(text, n, GM_TEXT(web_client)) != NULL) return result_literal(result, "WEB", err);
	const struct client *client = find_client(text, n);
	return result_literal(result, client != NULL ? client->name : "UNKNOWN", err);
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
	while ((at = find(text, (size_t)(end - text), word, word_bytes)) != NULL) {
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
	if (find(text, n, GM_TEXT(web_client)) != NULL) return version_of(text, n, web_client, result, err);
	const struct client *client = find_client(text, n);
	if (client == NULL) return gm_result_null(result, GM_TYPE_STRING);
	if (strcmp(client->name, "JAVA") != 0) return version_of(text, n, client->word, result, err);
	bool misspelt = begins(text, n, GM_TEXT("Synpase"));
	return version_of(text, n, misspelt ? "Synpase-Java-Client" : "Synapse-Java-Client", result, err);
}

/* --- synapse_entity_id -------------------------------------------------------------------------------------------- */

/* How many bytes of text[0..n) are the lower-case `word`, but for ASCII case; 0 if they are not. */
static size_t match_ascii_case(const uint8_t *text, size_t n, const char *word)
{
	size_t i = 0;
	for (; word[i] != '\0'; i++) {
		if (i == n) return 0;
		uint8_t byte = text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20 : text[i];
		if (byte != (uint8_t)word[i]) return 0;
	}
	return i;
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

/* The rule speaks of the lower-cased URL. Letters beyond ASCII need no look: the only one whose lower case begins with
 * a letter of "entity" or "syn" is U+0130, and U+0307 follows there, which is none of them. */
enum gm_code gm_fn_synapse_entity_id(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                     struct gm_value *result, struct gm_error *err)
{
	(void)scratch;
	(void)count;
	(void)err;
	const uint8_t *at = args[0].bytes, *end = at + args[0].len;
	for (; (at = memchr(at, '/', (size_t)(end - at))) != NULL; at++) {
		const uint8_t *id = at + match_ascii_case(at, (size_t)(end - at), "/entity/");
		if (id == at) continue;
		int64_t number;
		id += match_ascii_case(id, (size_t)(end - id), "syn");
		int found = read_number(id, (size_t)(end - id), &number);
		if (found > 0) return gm_result_bigint(result, number);
		if (found < 0) break;
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
