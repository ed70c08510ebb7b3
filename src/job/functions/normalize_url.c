/* synapse_normalize_url: every id in a URL's path becomes #, so that requests of one kind are equal.
 *
 * The platform's job of today is written in Python, and its regular expressions and string methods define what is
 * right for every input, sensible or not. Three ways lead through the rules: one for short text of the usual ASCII, by
 * a bit for each byte; one for text that is ASCII also when it is percent-decoded, over bytes; and one for all text,
 * over code points. Tests compare them. */
#include "job/functions/normalize_url.h"

#include <string.h>

#include "base/unicode.h"
#include "base/vector.h"
#include "job/functions/percent.h"
#include "job/functions/result.h"
#include "job/functions/text.h"
#include "shred/simd.h"

/* --- The rules ---------------------------------------------------------------------------------------------------- */

/* The rules that look at the start of the path alone. NULL if none fits; *keep: the path stays as it is. */
static const char *prefix_rule(const uint8_t *path, size_t n, bool *keep)
{
	*keep = gm_text_begins(path, n, GM_TEXT("/2fa"));
	if (gm_text_begins(path, n, GM_TEXT("/entity/md5"))) return "/entity/md5/#";
	if (gm_text_begins(path, n, GM_TEXT("/evaluation/name"))) return "/evaluation/name/#";
	if (gm_text_begins(path, n, GM_TEXT("/entity/alias"))) return "/entity/alias/#";
	if (gm_text_begins(path, n, GM_TEXT("/user/bundle"))) return "/user/bundle";
	return NULL;
}

static const char access_marker[] = "/access/", access_rule[] = "/objects/#/access/#";
static const char schema_marker[] = "/schema/type/registered/", schema_rule[] = "/schema/type/registered/#";
static const char invalid_url[] = "INVALID URL";

/* --- ASCII, byte by byte ------------------------------------------------------------------------------------------ */

/* The ASCII way takes its first look at so many bytes at once, and needs as much room behind the text. */
enum { STEP = 16 };

enum byte_class { OTHER, WORD, SLASH, SEMICOLON };

static const uint8_t byte_classes[256] = {
    ['0' ... '9'] = WORD, ['A' ... 'Z'] = WORD, ['a' ... 'z'] = WORD, ['_'] = WORD, ['/'] = SLASH, [';'] = SEMICOLON,
};

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
	size_t i = gm_text_begins(word, n, GM_TEXT("syn")) ? 3 : gm_text_begins(word, n, GM_TEXT("fh")) ? 2 : n;
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
	if (rule != NULL) return gm_result_literal(result, rule, err);
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
		if (gm_text_begins(at, left, GM_TEXT(access_marker))) return gm_result_literal(result, access_rule, err);
		schema = schema || gm_text_begins(at, left, GM_TEXT(schema_marker));
		*to++ = '/';
		at++;
		size_t word_bytes = copy_word(&at, to);
		if (ascii_id(to, word_bytes)) {
			*to++ = '#';
		} else {
			to += word_bytes;
		}
	}
	if (schema) return gm_result_literal(result, schema_rule, err);
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
	if (path == n) return gm_result_literal(result, invalid_url, err);
	return ascii_path(text + path, n - path, &scratch->out, result, err);
}

/* --- Short ASCII URLs --------------------------------------------------------------------------------------------- */

/* Nearly all URLs are short, ASCII and without an escape. A bit for each of their bytes tells what it is, so that a
 * word is found, judged and copied without a look at each of its bytes. */
enum {
	SHORT_MAX = 63,   /* bytes of such a URL: a bit each, and one for the slash put behind it */
	SHORT_SLACK = 16, /* readable, and writable in the output, behind what counts */
};

struct short_url {
	uint8_t text[SHORT_MAX + 1 + SHORT_SLACK]; /* in lower case, slashes behind it */
	size_t n;
	uint64_t slash; /* the one behind it counts */
	uint64_t digit;
	uint64_t other; /* neither \w nor a slash */
};

/* What stands at eight or sixteen bytes, a bit each. */
struct marks {
	uint64_t slash, digit, word;
	uint64_t odd; /* not ASCII, a percent sign, or 0x20 and below: a URL with such bytes takes another way */
};

#if GM_VECTOR_BITS

enum { MARKED = GM_VECTOR_BYTES };

static inline gm_v within(gm_v x, uint8_t first, uint8_t last)
{
	return gm_v_and(gm_v_at_most(gm_v_splat(first), x), gm_v_at_most(x, gm_v_splat(last)));
}

/* Marks MARKED bytes and copies them in lower case. */
static inline struct marks mark(const uint8_t *from, uint8_t *to)
{
	gm_v x = gm_v_load(from);
	gm_v letter = within(gm_v_or(x, gm_v_splat(0x20)), 'a', 'z'), digit = within(x, '0', '9');
	gm_v word = gm_v_or(gm_v_or(digit, letter), gm_v_equal(x, gm_v_splat('_')));
	gm_v lower = gm_v_or(x, gm_v_and(letter, gm_v_splat(0x20)));
	memcpy(to, &lower, sizeof lower);
	gm_v odd = gm_v_or(gm_v_equal(x, gm_v_splat('%')), gm_v_at_most(x, gm_v_splat(0x20)));
	return (struct marks){
	    .slash = gm_v_hits(gm_v_equal(x, gm_v_splat('/'))),
	    .digit = gm_v_hits(digit),
	    .word = gm_v_hits(word),
	    .odd = gm_v_hits(odd) | gm_v_high_hits(x),
	};
}

#else

enum { MARKED = 8 };
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The top bit of each byte of x that lies between the two; all of them are ASCII. */
static inline uint64_t within(uint64_t x, uint8_t first, uint8_t last)
{
	return (x + EACH(0x80 - first)) & ~(x + EACH(0x7F - last)) & EACH(0x80);
}

/* Gathers the top bits of eight bytes. */
static inline uint64_t gather(uint64_t tops)
{
	return (tops >> 7) * UINT64_C(0x0102040810204080) >> 56;
}

/* Marks MARKED bytes and copies them in lower case. */
static inline struct marks mark(const uint8_t *from, uint8_t *to)
{
	uint64_t x = gm_load8(from);
	uint64_t high = x & EACH(0x80);
	x ^= high;
	uint64_t letter = within(x | EACH(0x20), 'a', 'z'), digit = within(x, '0', '9');
	uint64_t word = digit | letter | within(x, '_', '_');
	uint64_t lower = x | letter >> 2;
	memcpy(to, &lower, sizeof lower);
	return (struct marks){
	    .slash = gather(within(x, '/', '/')),
	    .digit = gather(digit),
	    .word = gather(word),
	    .odd = gather(high | within(x, '%', '%') | within(x, 0, 0x20)),
	};
}

#endif

static inline uint64_t lowest_bits(size_t n)
{
	return (UINT64_C(1) << n) - 1;
}

/* False if the URL has to go another way. The last step overlaps the one before. */
static bool survey_short(const uint8_t *bytes, size_t n, struct short_url *url)
{
	uint8_t padded[MARKED];
	struct marks all = {0};
	size_t last = n > MARKED ? n - MARKED : 0;
	if (n < MARKED) {
		memset(padded, '/', sizeof padded);
		memcpy(padded, bytes, n);
		bytes = padded;
	}
	for (size_t i = 0; i < n; i += MARKED) {
		size_t at = i < last ? i : last;
		struct marks marks = mark(bytes + at, url->text + at);
		all.slash |= marks.slash << at;
		all.digit |= marks.digit << at;
		all.word |= marks.word << at;
		all.odd |= marks.odd;
	}
	memset(url->text + n, '/', SHORT_SLACK);
	url->n = n;
	url->slash = all.slash | ~lowest_bits(n);
	url->digit = all.digit;
	url->other = ~(url->slash | all.word);
	return all.odd == 0;
}

/* Where the path begins; n if there is none. */
static size_t find_short_path(const struct short_url *url)
{
	uint64_t slash = url->slash & lowest_bits(url->n);
	for (uint64_t may = slash & slash >> 3; may != 0; may &= may - 1) {
		size_t i = (size_t)__builtin_ctzll(may);
		if (memcmp(url->text + i, "/v1/", 4) == 0) return i + 3;
	}
	return url->n;
}

/* Whether the n bytes of \w from text[at] on stand for an id, as ascii_id says it. */
static inline bool short_id(const struct short_url *url, size_t at, size_t n)
{
	const uint8_t *word = url->text + at;
	uint64_t digit = url->digit >> at, none = ~digit & lowest_bits(n);
	size_t prefix = memcmp(word, "syn", 3) == 0 ? 3 : memcmp(word, "fh", 2) == 0 ? 2 : SHORT_MAX;
	return (digit & 1) != 0 || (n > prefix && none >> prefix == 0);
}

/* Copies a word of n bytes; up to SHORT_SLACK bytes behind it are written as well. */
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t n)
{
	memcpy(to, from, SHORT_SLACK);
	for (size_t i = SHORT_SLACK; i < n; i += SHORT_SLACK) memcpy(to + i, from + i, SHORT_SLACK);
}

/* The path from text[at] on, a slash. */
static enum gm_code short_path(const struct short_url *url, size_t at, uint8_t *out, struct gm_value *result,
                               struct gm_error *err)
{
	bool schema = false;
	uint8_t *to = out;
	while (at < url->n) {
		const uint8_t *slash = url->text + at++, *word = slash + 1;
		size_t n = (size_t)__builtin_ctzll(url->slash >> at), left = url->n - at + 1;
		if (n == 6) { /* as "access" and "schema" */
			if (gm_text_begins(slash, left, GM_TEXT(access_marker))) return gm_result_literal(result, access_rule, err);
			schema = schema || gm_text_begins(slash, left, GM_TEXT(schema_marker));
		}
		*to++ = '/';
		bool id;
		if (__builtin_expect((url->other >> at & lowest_bits(n)) == 0, 1)) {
			copy_short(to, word, n);
			id = short_id(url, at, n);
			at += n;
		} else {
			at += n;
			n = copy_word(&word, to);
			id = ascii_id(to, n);
		}
		if (id) *to = '#';
		to += id ? 1 : n;
	}
	if (schema) return gm_result_literal(result, schema_rule, err);
	return gm_result_string(result, out, (size_t)(to - out), err);
}

enum gm_code gm_normalize_url_short(struct gm_function_scratch *scratch, const struct gm_value *url,
                                    struct gm_value *result, bool *done, struct gm_error *err)
{
	struct short_url text;
	struct gm_buf *out = &scratch->out;
	bool keep;
	*done = url->len <= SHORT_MAX && survey_short(url->bytes, url->len, &text);
	if (!*done) return GM_OK;
	size_t path = find_short_path(&text);
	if (path == text.n) return gm_result_literal(result, invalid_url, err);
	const char *rule = prefix_rule(text.text + path, text.n - path, &keep);
	if (rule != NULL) return gm_result_literal(result, rule, err);
	GM_TRY(gm_buf_reserve(out, sizeof text.text, err));
	if (!keep) return short_path(&text, path, out->data, result, err);
	memcpy(out->data, text.text + path, text.n - path);
	return gm_result_string(result, out->data, text.n - path, err);
}

/* --- All text ----------------------------------------------------------------------------------------------------- */

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
	size_t prefix = gm_text_begins(word, n, GM_TEXT("syn")) ? 3 : gm_text_begins(word, n, GM_TEXT("fh")) ? 2 : n;
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
	if (start == out->len) return gm_result_literal(result, invalid_url, err);
	uint8_t *path = out->data + start;
	size_t n = out->len - start;
	const char *rule = prefix_rule(path, n, &keep);
	if (rule != NULL) return gm_result_literal(result, rule, err);
	if (keep) return gm_result_string(result, path, n, err);
	if (gm_text_find(path, n, GM_TEXT(access_marker)) != NULL) return gm_result_literal(result, access_rule, err);
	if (gm_text_find(path, n, GM_TEXT(schema_marker)) != NULL) return gm_result_literal(result, schema_rule, err);
	return gm_result_string(result, path, general_words(path, n), err);
}

enum gm_code gm_fn_synapse_normalize_url(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                         struct gm_value *result, struct gm_error *err)
{
	(void)count;
	bool done;
	GM_TRY(gm_normalize_url_short(scratch, &args[0], result, &done, err));
	if (done) return GM_OK;
	GM_TRY(gm_normalize_url_ascii(scratch, &args[0], result, &done, err));
	return done ? GM_OK : gm_normalize_url_general(scratch, &args[0], result, err);
}
