/* load_value.c - one value of a job file: a text read as what its key wants. */
#include "job/load.h"

#include "base/time.h"
#include "base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "sizes are stored as uint64_t");
_Static_assert(sizeof(enum gm_type) == sizeof(unsigned int) && sizeof(enum gm_time_unit) == sizeof(unsigned int) &&
                   sizeof(enum gm_on_error) == sizeof(unsigned int),
               "words are stored as unsigned int");

/* --- Text that is not trusted, in messages ---------------------------------------------------------------------- */

struct gm_quoted gm_load_quote(const char *text, size_t bytes)
{
	struct gm_quoted out;
	size_t len = 0, limit = sizeof out.text - 12; /* room for one more character, dots, quote and NUL */
	out.text[len++] = '\'';
	for (size_t i = 0, used; i < bytes; i += used) {
		uint32_t code = gm_utf8_decode((const uint8_t *)text + i, bytes - i, &used);
		if (len >= limit) {
			memcpy(out.text + len, "...", 3);
			len += 3;
			break;
		}
		if (code < 0x20 || (code >= 0x7F && code < 0xA0))
			len += (size_t)snprintf(out.text + len, 7, "\\u%04X", (unsigned)code & 0xFFFFU);
		else
			len += gm_utf8_encode(code, (uint8_t *)out.text + len);
	}
	out.text[len++] = '\'';
	out.text[len] = '\0';
	return out;
}

/* --- Numbers ---------------------------------------------------------------------------------------------------- */

/* Optional sign and digits, nothing else. */
static bool parse_i64(const char *text, size_t bytes, int64_t *out)
{
	size_t i = bytes > 0 && (text[0] == '-' || text[0] == '+');
	bool negative = i == 1 && text[0] == '-';
	uint64_t value = 0, limit = negative ? UINT64_C(1) << 63 : INT64_MAX;
	if (i == bytes) return false;
	for (; i < bytes; i++) {
		if (text[i] < '0' || text[i] > '9') return false;
		unsigned digit = (unsigned)(text[i] - '0');
		if (value > (limit - digit) / 10) return false;
		value = value * 10 + digit;
	}
	*out = negative ? (int64_t)(0 - value) : (int64_t)value;
	return true;
}

static const struct {
	char letter;
	unsigned shift;
} size_units[] = {{'K', 10}, {'M', 20}, {'G', 30}, {'T', 40}};

/* Digits, then nothing, B, or K, M, G, T with or without iB. KB and MB are refused: some mean 1000 by them. */
static bool parse_size(const char *text, size_t bytes, int64_t *out)
{
	size_t digits = 0;
	while (digits < bytes && text[digits] >= '0' && text[digits] <= '9') digits++;
	if (!parse_i64(text, digits, out)) return false;
	const char *unit = text + digits;
	size_t left = bytes - digits;
	if (left > 0 && *unit == ' ') unit++, left--;
	if (left == 0) return digits == bytes;
	if (left == 1 && *unit == 'B') return true;
	for (size_t i = 0; i < sizeof size_units / sizeof size_units[0]; i++) {
		if ((*unit & ~0x20) != size_units[i].letter) continue;
		if (left != 1 && !(left == 3 && unit[1] == 'i' && unit[2] == 'B')) return false;
		if (*out > (INT64_MAX >> size_units[i].shift)) return false;
		*out <<= size_units[i].shift;
		return true;
	}
	return false;
}

void gm_load_size_text(uint64_t bytes, char out[24])
{
	for (size_t i = sizeof size_units / sizeof size_units[0]; i-- > 0;)
		if (bytes != 0 && bytes % (UINT64_C(1) << size_units[i].shift) == 0) {
			(void)snprintf(out, 24, "%" PRIu64 "%ciB", bytes >> size_units[i].shift, size_units[i].letter);
			return;
		}
	(void)snprintf(out, 24, "%" PRIu64, bytes);
}

static const struct {
	char letter;
	int64_t us;
} duration_units[] = {
    {'d', GM_US_PER_DAY}, {'h', GM_US_PER_HOUR}, {'m', 60 * GM_US_PER_SECOND}, {'s', GM_US_PER_SECOND}};
enum { DURATION_UNITS = sizeof duration_units / sizeof duration_units[0] };

/* Digits, then d, h, m or s. */
static bool parse_duration(const char *text, size_t bytes, int64_t *out)
{
	if (bytes == 0 || !parse_i64(text, bytes - 1, out) || *out < 0) return false;
	for (size_t i = 0; i < DURATION_UNITS; i++)
		if (text[bytes - 1] == duration_units[i].letter)
			return !__builtin_mul_overflow(*out, duration_units[i].us, out);
	return false;
}

void gm_load_duration_text(int64_t us, char out[24])
{
	size_t i = 0;
	while (i + 1 < DURATION_UNITS && us % duration_units[i].us != 0) i++;
	(void)snprintf(out, 24, "%" PRId64 "%c", us / duration_units[i].us, duration_units[i].letter);
}

/* A JSON number; strtod_l with the C locale, so that a comma is never a point. */
static bool parse_double(const char *text, size_t bytes, double *out)
{
	char *end;
	if (bytes == 0 || strspn(text, "+-.0123456789eE") != bytes) return false;
	locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (c == (locale_t)0) return false;
	*out = strtod_l(text, &end, c);
	freelocale(c);
	return end == text + bytes && isfinite(*out);
}

static bool parse_boolean(const char *text, bool *out)
{
	*out = strcmp(text, "true") == 0;
	return *out || strcmp(text, "false") == 0;
}

/* --- Defaults --------------------------------------------------------------------------------------------------- */

/* A day of the years 0001 to 9999, or a time in them. */
static bool parse_time(const struct gm_column *column, int64_t *out)
{
	bool date = column->type == GM_TYPE_DATE;
	if (date ? !gm_date_parse_iso(column->fallback, column->fallback_bytes, out)
	         : !gm_time_parse_iso(column->fallback, column->fallback_bytes, out))
		return false;
	return date ? *out >= gm_days_from_us(GM_TIME_MIN) && *out <= gm_days_from_us(GM_TIME_MAX)
	            : *out >= GM_TIME_MIN && *out <= GM_TIME_MAX;
}

bool gm_load_fallback(struct gm_column *column)
{
	const char *text = column->fallback;
	size_t bytes = column->fallback_bytes;
	int64_t *i64 = &column->fallback_value.i64;
	bool boolean;
	switch (column->type) {
	case GM_TYPE_STRING: return true;
	case GM_TYPE_BOOLEAN:
		if (!parse_boolean(text, &boolean)) return false;
		*i64 = boolean;
		return true;
	case GM_TYPE_INT: return parse_i64(text, bytes, i64) && *i64 >= INT32_MIN && *i64 <= INT32_MAX;
	case GM_TYPE_BIGINT: return parse_i64(text, bytes, i64);
	case GM_TYPE_DOUBLE: return parse_double(text, bytes, &column->fallback_value.f64);
	case GM_TYPE_DATE:
	case GM_TYPE_TIMESTAMP: return parse_time(column, i64);
	}
	return false;
}

/* --- Names ------------------------------------------------------------------------------------------------------ */

/* Characters that some reader of the table cannot have in a column's name: Delta Lake and Spark refuse blanks, comma,
 * semicolon, braces, parentheses and =; a dot, quotes and slashes need escapes that tools get wrong. */
static const char name_refused[] = " ,;{}()=./\\\"'`";
/* Names that mean something already: in expressions, in Delta Lake's change data, in Spark, in our own state. */
static const char *const reserved[] = {"null",
                                       "true",
                                       "false",
                                       "_change_type",
                                       "_commit_version",
                                       "_commit_timestamp",
                                       "_metadata",
                                       "__hive_default_partition__"};

/* Letters of ASCII are the same in either case, whatever the locale. */
static bool starts_with(const char *text, const char *prefix)
{
	for (; *prefix != '\0'; text++, prefix++) {
		char a = *text, b = *prefix;
		if (a >= 'A' && a <= 'Z') a = (char)(a + ('a' - 'A'));
		if (b >= 'A' && b <= 'Z') b = (char)(b + ('a' - 'A'));
		if (a != b) return false;
	}
	return true;
}

bool gm_load_same_name(const char *a, const char *b)
{
	return strlen(a) == strlen(b) && starts_with(a, b);
}

static bool is_reserved(const char *name)
{
	for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
		if (gm_load_same_name(name, reserved[i])) return true;
	return starts_with(name, "_gristmill") || starts_with(name, "_delta");
}

static bool id_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
	       c == '-';
}

/* Partition names become names of folders, so of ASCII they have letters, digits, _ and - alone. */
static bool name_character(const struct gm_key *key, uint32_t code)
{
	if (code >= 0x80) return code >= 0xA0;
	if (code < 0x20 || code == 0x7F || strchr(name_refused, (int)code) != NULL) return false;
	return key->section != GM_SECTION_PARTITION || id_character((char)code);
}

static enum gm_code check_name(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *node)
{
	struct gm_quoted name = gm_load_quote(node->text, node->bytes);
	if (node->bytes > GM_LOAD_NAME_MAX)
		return gm_load_fail(loader, node->place, "the name %s has more than %d bytes", name.text, GM_LOAD_NAME_MAX);
	for (size_t i = 0, used; i < node->bytes; i += used) {
		uint32_t code = gm_utf8_decode((const uint8_t *)node->text + i, node->bytes - i, &used);
		if (name_character(key, code)) continue;
		struct gm_quoted bad = gm_load_quote(node->text + i, used);
		enum gm_code rc = gm_load_fail(loader, gm_place_at(node->text_place, node->text, i),
		                               "the column name %s contains %s", name.text, bad.text);
		return gm_error_hint(loader->err, rc, "use lower-case letters, digits and underscores");
	}
	if (is_reserved(node->text)) return gm_load_fail(loader, node->place, "the column name %s is reserved", name.text);
	if (key->section == GM_SECTION_PARTITION && (node->text[0] == '_'))
		return gm_load_fail(loader, node->place, "the partition name %s begins with '_': readers skip such folders",
		                    name.text);
	return GM_OK;
}

static enum gm_code check_id(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *node)
{
	struct gm_quoted id = gm_load_quote(node->text, node->bytes);
	if (node->bytes > GM_LOAD_ID_MAX)
		return gm_load_fail(loader, node->place, "%s %s has more than %d characters", key->name, id.text,
		                    GM_LOAD_ID_MAX);
	if (node->text[0] == '.' || node->text[0] == '-')
		return gm_load_fail(loader, node->place, "%s %s begins with '%c'", key->name, id.text, node->text[0]);
	for (size_t i = 0; i < node->bytes; i++) {
		if (id_character(node->text[i])) continue;
		enum gm_code rc = gm_load_fail(loader, gm_place_at(node->text_place, node->text, i),
		                               "%s %s has a character that is not allowed there", key->name, id.text);
		return gm_error_hint(loader->err, rc, "use ASCII letters, digits, '.', '_' and '-'");
	}
	return GM_OK;
}

/* --- One value -------------------------------------------------------------------------------------------------- */

/* What people write who know other systems. */
static const char *const aliases[][2] = {
    {"bool", "boolean"}, {"integer", "int"},        {"int32", "int"},         {"long", "bigint"},
    {"int64", "bigint"}, {"text", "string"},        {"varchar", "string"},    {"str", "string"},
    {"float", "double"}, {"datetime", "timestamp"}, {"uncompressed", "none"}, {"seconds", "s"},
    {"json", "string"},  {"milliseconds", "ms"},    {"microseconds", "us"},   {"nanoseconds", "ns"},
    {"error", "fail"},   {"ndjson", "json"},        {"jsonl", "json"},        {"decimal", "double"},
};

static bool among(const char *const *words, const char *word, size_t bytes)
{
	for (; *words != NULL; words++)
		if (strlen(*words) == bytes && starts_with(word, *words)) return true;
	return false;
}

static const char *alias_of(const struct gm_key *key, const char *text)
{
	for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
		if (gm_load_same_name(text, aliases[i][0]) && among(key->words, aliases[i][1], strlen(aliases[i][1])))
			return aliases[i][1];
	return NULL;
}

static enum gm_code word_error(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *node)
{
	/* array<string> and decimal(10,2) are known by what stands before the bracket */
	size_t stem = strcspn(node->text, "<( ");
	const char *alias = alias_of(key, node->text);
	struct gm_quoted word = gm_load_quote(node->text, node->bytes);
	enum gm_code rc;
	if (among(key->later, node->text, stem))
		rc = gm_load_fail(loader, node->text_place, "%s %s is not supported yet", key->name, word.text);
	else
		rc = gm_load_fail(loader, node->text_place, "%s is not a value of '%s'", word.text, key->name);
	if (alias != NULL) return gm_error_hint(loader->err, rc, "did you mean '%s'?", alias);
	return gm_load_hint_words(loader, rc, node->text, stem, "allowed", key->words);
}

static enum gm_code read_word(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *node,
                              unsigned int *out)
{
	for (unsigned int i = 0; key->words[i] != NULL; i++)
		if (strcmp(key->words[i], node->text) == 0) {
			*out = i;
			return GM_OK;
		}
	return word_error(loader, key, node);
}

static bool parse_number(const struct gm_key *key, const struct gm_node *node, int64_t *out)
{
	switch (key->kind) {
	case GM_KEY_SIZE: return parse_size(node->text, node->bytes, out);
	case GM_KEY_DURATION: return parse_duration(node->text, node->bytes, out);
	default: return parse_i64(node->text, node->bytes, out);
	}
}

static enum gm_code not_a_number(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *node)
{
	const char *what = "whole number";
	if (key->kind == GM_KEY_SIZE) what = "size";
	if (key->kind == GM_KEY_DURATION) what = "duration";
	enum gm_code rc =
	    gm_load_fail(loader, node->text_place, "%s is not a %s", gm_load_quote(node->text, node->bytes).text, what);
	if (key->kind == GM_KEY_SIZE) return gm_error_hint(loader->err, rc, "write 128MiB, 1G, or a number of bytes");
	return key->kind == GM_KEY_DURATION ? gm_error_hint(loader->err, rc, "write 7d, 36h or 30s") : rc;
}

static void number_text(const struct gm_key *key, int64_t value, char out[24])
{
	switch (key->kind) {
	case GM_KEY_SIZE: gm_load_size_text((uint64_t)value, out); break;
	case GM_KEY_DURATION: gm_load_duration_text(value, out); break;
	default: (void)snprintf(out, 24, "%" PRId64, value); break;
	}
}

static enum gm_code read_number(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *node,
                                int64_t *out)
{
	char low[24], high[24];
	if (!parse_number(key, node, out)) return not_a_number(loader, key, node);
	if (*out >= key->min && *out <= key->max) return GM_OK;
	struct gm_quoted value = gm_load_quote(node->text, node->bytes);
	number_text(key, key->min, low);
	number_text(key, key->max, high);
	if (key->min == key->max)
		return gm_load_fail(loader, node->text_place, "%s of %s: this gristmill reads %s only", key->name, value.text,
		                    low);
	return gm_load_fail(loader, node->text_place, "%s of %s is outside %s to %s", key->name, value.text, low, high);
}

static enum gm_code read_boolean(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *node,
                                 bool *out)
{
	if (parse_boolean(node->text, out)) return GM_OK;
	enum gm_code rc = gm_load_fail(loader, node->text_place, "%s is not a value of '%s'",
	                               gm_load_quote(node->text, node->bytes).text, key->name);
	return gm_error_hint(loader->err, rc, "write true or false");
}

static bool has_no_value(const struct gm_key *key, const struct gm_node *node)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
	if (key->kind == GM_KEY_WORD) return node->bytes == 0; /* on_error: null */
	bool may_be_empty = key->kind == GM_KEY_VALUE || (key->kind == GM_KEY_TEXT && !key->required);
	if (!node->plain) return node->bytes == 0 && !may_be_empty;
	for (size_t i = 0; i < sizeof nulls / sizeof nulls[0]; i++)
		if (strcmp(node->text, nulls[i]) == 0) return true;
	return false;
}

static enum gm_code check_text(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *node)
{
	if (has_no_value(key, node)) {
		enum gm_code rc = gm_load_fail(loader, node->place, "'%s' has no value", key->name);
		return node->plain ? gm_error_hint(loader->err, rc, "leave the key out, or quote the value") : rc;
	}
	if (key->kind == GM_KEY_NAME) return check_name(loader, key, node);
	if (key->kind == GM_KEY_ID) return check_id(loader, key, node);
	return GM_OK;
}

enum gm_code gm_load_value(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *scalar, char *base)
{
	bool keep = key->offset != (size_t)GM_KEY_NOWHERE;
	char *at = keep ? base + key->offset : NULL;
	int64_t number = 0;
	unsigned int word = 0;
	bool boolean = false;
	GM_TRY(check_text(loader, key, scalar));
	switch (key->kind) {
	case GM_KEY_WORD:
		GM_TRY(read_word(loader, key, scalar, &word));
		if (keep) memcpy(at, &word, sizeof word);
		return GM_OK;
	case GM_KEY_SIZE:
	case GM_KEY_DURATION:
		GM_TRY(read_number(loader, key, scalar, &number));
		if (keep) memcpy(at, &number, sizeof number);
		return GM_OK;
	case GM_KEY_INTEGER:
		GM_TRY(read_number(loader, key, scalar, &number));
		if (keep) memcpy(at, &(int){(int)number}, sizeof(int));
		return GM_OK;
	case GM_KEY_BOOLEAN:
		GM_TRY(read_boolean(loader, key, scalar, &boolean));
		if (keep) memcpy(at, &boolean, sizeof boolean);
		return GM_OK;
	default: break;
	}
	if (!keep) return GM_OK;
	memcpy(at, &scalar->text, sizeof scalar->text);
	if (key->kind == GM_KEY_VALUE) memcpy(at + sizeof scalar->text, &scalar->bytes, sizeof scalar->bytes);
	if (key->kind == GM_KEY_EXPR) memcpy(base + key->place_offset, &scalar->text_place, sizeof scalar->text_place);
	return GM_OK;
}

/* --- Paths ------------------------------------------------------------------------------------------------------ */

struct path {
	const char **keys;
	size_t *bytes, len;
};

static enum gm_code path_add(struct gm_loader *loader, const struct gm_node *node, struct path *path, const char *text,
                             size_t n)
{
	if (path->len == GM_LOAD_PATH_MAX)
		return gm_load_fail(loader, node->place, "'from' has more than %d keys", GM_LOAD_PATH_MAX);
	path->keys[path->len] = gm_arena_strndup(&loader->job->arena, text, n);
	if (path->keys[path->len] == NULL) return gm_load_nomem(loader);
	path->bytes[path->len++] = n;
	return GM_OK;
}

/* Letters, digits, _, -, @ and what is not ASCII need no list. */
static bool dotted_character(char c)
{
	return id_character(c) || c == '@' || ((unsigned char)c & 0x80) != 0;
}

static enum gm_code path_dotted(struct gm_loader *loader, const struct gm_node *node, struct path *path)
{
	const char *text = node->text, *end = text + node->bytes;
	for (const char *p = text; p < end; p++) {
		if (dotted_character(*p)) continue;
		enum gm_code rc = gm_load_fail(loader, gm_place_at(node->text_place, text, (size_t)(p - text)),
		                               "%s is not a path of keys", gm_load_quote(text, node->bytes).text);
		return gm_error_hint(loader->err, rc,
		                     "a path begins at the document's root and is written payload.name, or as a "
		                     "list, [payload, \"odd.key\"]");
	}
	for (const char *key = text;;) {
		const char *dot = memchr(key, '.', (size_t)(end - key));
		size_t n = (size_t)((dot == NULL ? end : dot) - key);
		if (n == 0)
			return gm_load_fail(loader, gm_place_at(node->text_place, text, (size_t)(key - text)),
			                    "%s has an empty key", gm_load_quote(text, node->bytes).text);
		GM_TRY(path_add(loader, node, path, key, n));
		if (dot == NULL) return GM_OK;
		key = dot + 1;
	}
}

static enum gm_code path_list(struct gm_loader *loader, const struct gm_node *node, struct path *path)
{
	for (const struct gm_node *item = node->first; item != NULL; item = item->next) {
		const struct gm_node *key;
		if (item->kind != GM_NODE_SCALAR)
			return gm_load_fail(loader, item->place, "a key of 'from' must be a single value");
		GM_TRY(gm_load_expand(loader, item, &key));
		GM_TRY(path_add(loader, item, path, key->text, key->bytes));
	}
	return GM_OK;
}

enum gm_code gm_load_path(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *node, char *base)
{
	struct gm_arena *arena = &loader->job->arena;
	size_t room = GM_LOAD_PATH_MAX;
	struct gm_column *column = (struct gm_column *)(void *)base;
	if (node->kind == GM_NODE_LIST && node->count < room) room = node->count;
	if (node->kind == GM_NODE_MAPPING || (node->kind == GM_NODE_LIST && node->count == 0))
		return gm_load_fail(loader, node->place, "'%s' must be a path of keys", key->name);
	struct path path = {.keys = gm_arena_alloc(arena, room * sizeof *path.keys),
	                    .bytes = gm_arena_alloc(arena, room * sizeof *path.bytes)};
	if (path.keys == NULL || path.bytes == NULL) return gm_load_nomem(loader);
	if (node->kind == GM_NODE_LIST) {
		GM_TRY(path_list(loader, node, &path));
	} else {
		const struct gm_node *text;
		GM_TRY(gm_load_expand(loader, node, &text));
		if (has_no_value(key, text)) return gm_load_fail(loader, node->place, "'%s' has no value", key->name);
		GM_TRY(path_dotted(loader, text, &path));
	}
	column->from = path.keys;
	column->from_bytes = path.bytes;
	column->from_len = path.len;
	return GM_OK;
}
