#include "shred/json.h"

#include "base/utf8.h"

#include <stdlib.h>

void gm_json_init(struct gm_json *json)
{
	*json = (struct gm_json){.fault = ""};
}

void gm_json_release(struct gm_json *json)
{
	free(json->bits);
	gm_json_init(json);
}

static bool is_digit(uint8_t byte)
{
	return (uint8_t)(byte - '0') <= 9;
}

/* What an escape of one letter stands for; 0: it is none. */
static const uint8_t escaped[256] = {
    ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'};

/* Of a hexadecimal digit 16 and its value, of all else 0. */
static const uint8_t hex_digit[256] = {
    ['0'] = 16, ['1'] = 17, ['2'] = 18, ['3'] = 19, ['4'] = 20, ['5'] = 21, ['6'] = 22, ['7'] = 23,
    ['8'] = 24, ['9'] = 25, ['A'] = 26, ['B'] = 27, ['C'] = 28, ['D'] = 29, ['E'] = 30, ['F'] = 31,
    ['a'] = 26, ['b'] = 27, ['c'] = 28, ['d'] = 29, ['e'] = 30, ['f'] = 31};

/* p is behind a backslash. Returns what follows the escape. */
static const uint8_t *skip_escape(struct gm_json *json, const uint8_t *p)
{
	if (escaped[*p] != 0) return p + 1;
	if (*p != 'u') return gm_json_fail(json, p, "an unknown escape in a string");
	for (int i = 0; i < 4; i++)
		if (hex_digit[*++p] == 0) return gm_json_fail(json, p, "an escape \\u without four hexadecimal digits");
	return p + 1;
}

static const uint8_t *fail_control(struct gm_json *json, const uint8_t *p)
{
	return gm_json_fail(json, p, "a control character in a string");
}

/* p is the first byte that is not plain. */
const uint8_t *gm_json_string_slow(struct gm_json *json, const uint8_t *p, uint32_t *flags)
{
	uint32_t high = 0;
	while (*p != '"') {
		if (*p != '\\') return fail_control(json, p);
		*flags |= GM_TEXT_ESCAPED;
		p = skip_escape(json, p + 1);
		if (p == NULL) return NULL;
		p = gm_scan_string(p, &high);
	}
	if (high != 0) *flags |= GM_TEXT_HIGH;
	return p;
}

static const uint8_t *skip_digits(struct gm_json *json, const uint8_t *p)
{
	uint32_t n = gm_count_digits(gm_load8(p));
	if (n == 0) return gm_json_fail(json, p, "a digit was expected in a number");
	for (p += n; n == 8; p += n) n = gm_count_digits(gm_load8(p));
	return p;
}

const uint8_t *gm_json_number(struct gm_json *json, const uint8_t *p)
{
	if (*p == '-') p++;
	if (*p == '0')
		p++;
	else if ((p = skip_digits(json, p)) == NULL)
		return NULL;
	if (*p == '.' && (p = skip_digits(json, p + 1)) == NULL) return NULL;
	if ((*p | 0x20) == 'e') {
		p++;
		if (*p == '+' || *p == '-') p++;
		p = skip_digits(json, p);
	}
	return p;
}

const uint8_t *gm_json_literal(struct gm_json *json, const uint8_t *p)
{
	const char *word = *p == 't' ? "true" : *p == 'f' ? "false" : *p == 'n' ? "null" : NULL;
	if (word == NULL) return gm_json_fail(json, p, "a value was expected");
	for (; *word != '\0'; word++, p++)
		if (*p != (uint8_t)*word) return gm_json_fail(json, p, "true, false or null was expected");
	return p;
}

static bool push(struct gm_json *json, size_t depth, bool object)
{
	if (depth / 64 == json->bit_words) {
		size_t words = json->bit_words == 0 ? 16 : json->bit_words * 2;
		uint64_t *bits = realloc(json->bits, words * sizeof *bits);
		if (bits == NULL) return false;
		json->bits = bits;
		json->bit_words = words;
	}
	uint64_t bit = UINT64_C(1) << depth % 64;
	if (object)
		json->bits[depth / 64] |= bit;
	else
		json->bits[depth / 64] &= ~bit;
	return true;
}

/* A key and its colon; p is where its quote must be. Returns the first byte of the value. */
static const uint8_t *skip_key(struct gm_json *json, const uint8_t *p)
{
	uint32_t flags;
	if (*p != '"') return gm_json_fail(json, p, "a key was expected");
	p = gm_json_string(json, p + 1, &flags);
	if (p == NULL) return NULL;
	p = gm_skip_space(p + 1);
	if (*p != ':') return gm_json_fail(json, p, "':' was expected behind a key");
	return gm_skip_space(p + 1);
}

/* The innermost open bracket is an object if in_object; nothing is called recursively, whatever the nesting. */
const uint8_t *gm_json_skip(struct gm_json *json, const uint8_t *p)
{
	size_t depth = 0;
	bool in_object = false;
	for (;;) {
		uint32_t flags;
		uint8_t first = *p;
		if (first == '"') {
			if ((p = gm_json_string(json, p + 1, &flags)) == NULL) return NULL;
			p++;
		} else if (first == '{' || first == '[') {
			in_object = first == '{';
			if (!push(json, depth++, in_object)) return gm_json_fail(json, p, NULL);
			p = gm_skip_space(p + 1);
			if (*p != (in_object ? '}' : ']')) {
				if (in_object && (p = skip_key(json, p)) == NULL) return NULL;
				continue;
			}
		} else {
			p = first == '-' || is_digit(first) ? gm_json_number(json, p) : gm_json_literal(json, p);
			if (p == NULL) return NULL;
		}
		/* Behind a value, or at the bracket that closes an empty object or array. */
		for (;;) {
			if (depth == 0) return p;
			p = gm_skip_space(p);
			if (*p != (in_object ? '}' : ']')) break;
			p++;
			depth--;
			if (depth > 0) in_object = (json->bits[(depth - 1) / 64] >> (depth - 1) % 64 & 1) != 0;
		}
		if (*p != ',') return gm_json_fail(json, p, in_object ? "',' or '}' was expected" : "',' or ']' was expected");
		p = gm_skip_space(p + 1);
		if (in_object && (p = skip_key(json, p)) == NULL) return NULL;
	}
}

/* What the four digits at p say. False when one of them is none. */
static inline bool hex4(const uint8_t *p, uint32_t *out)
{
	uint32_t a = hex_digit[p[0]], b = hex_digit[p[1]], c = hex_digit[p[2]], d = hex_digit[p[3]];
	*out = (a << 12) + (b << 8) + (c << 4) + d - 0x11110;
	return (a & b & c & d & 16) != 0;
}

/* The code point of a surrogate, and of the one that *p may be at, behind which *p moves then. */
static uint32_t join_surrogates(uint32_t unit, const uint8_t **p)
{
	uint32_t low;
	if (unit >= 0xDC00 || (*p)[0] != '\\' || (*p)[1] != 'u') return GM_REPLACEMENT;
	if (!hex4(*p + 2, &low) || (low & 0xFC00) != 0xDC00) return GM_REPLACEMENT;
	*p += 6;
	return 0x10000 + ((unit & 0x3FF) << 10 | (low & 0x3FF));
}

/* The escape whose backslash is at p. Returns what follows it. */
static inline const uint8_t *decode_escape(struct gm_json *json, const uint8_t *p, uint8_t **to)
{
	uint8_t letter = escaped[p[1]];
	if (letter != 0) {
		*(*to)++ = letter;
		return p + 2;
	}
	uint32_t unit;
	if (p[1] != 'u' || !hex4(p + 2, &unit)) return skip_escape(json, p + 1); /* NULL, and the fault is told */
	p += 6;
	if ((unit & 0xF800) == 0xD800) unit = join_surrogates(unit, &p);
	*to += gm_utf8_encode(unit, *to);
	return p;
}

const uint8_t *gm_json_decode(struct gm_json *json, const uint8_t *p, struct gm_json_text *text)
{
	uint8_t *to = text->to;
	for (;;) {
		p = gm_copy_string(p, &to, text->limit, &text->high);
		while (*p == '\\' && to <= text->limit) {
			p = decode_escape(json, p, &to);
			if (p == NULL) return NULL;
		}
		if (*p == '"' || to > text->limit) break;
		if (*p < ' ') return fail_control(json, p);
	}
	text->to = to;
	return p;
}

size_t gm_json_compact(const uint8_t *p, const uint8_t *end, uint8_t *out)
{
	uint8_t *to = out;
	while (p < end) {
		uint8_t byte = *p++;
		if (gm_is_space(byte)) continue;
		*to++ = byte;
		if (byte != '"') continue;
		do {
			byte = *p++;
			*to++ = byte;
			if (byte == '\\') *to++ = *p++;
		} while (byte != '"');
	}
	return (size_t)(to - out);
}
