/* reference.c - a plain and slow reader of the same documents, written from the rules and not from the shredder: it
 * holds the whole object, calls itself for every bracket, builds a tree, and then looks values up in it. Plain objects
 * only. */
#include "harness.h"

#include "base/utf8.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum kind { NUL, BOOL, NUMBER, STRING, ARRAY, OBJECT };

struct value {
	enum kind kind;
	size_t start, end;
	struct value *items; /* of an object: name and value in turn */
	size_t count;
};

struct reader {
	const uint8_t *s;
	size_t n, i;
	const struct leaves *leaves;
	struct gm_shred_books books;
	struct text rows, rejects;
	bool failed;
};

/* What ended a parse: fine, a byte that cannot be at i, or the end of the object. */
enum outcome { GOOD, BROKEN, CUT };

static enum outcome wrong(const struct reader *r)
{
	return r->i < r->n ? BROKEN : CUT;
}

static int peek(const struct reader *r)
{
	return r->i < r->n ? r->s[r->i] : -1;
}

static void skip_white(struct reader *r)
{
	while (r->i < r->n && strchr(" \t\r\n", r->s[r->i]) != NULL && r->s[r->i] != 0) r->i++;
}

static void free_value(struct value *value)
{
	for (size_t i = 0; i < value->count; i++) free_value(&value->items[i]);
	free(value->items);
	*value = (struct value){0};
}

static struct value *new_item(struct value *parent)
{
	parent->items = realloc(parent->items, (parent->count + 1) * sizeof *parent->items);
	if (parent->items == NULL) abort();
	struct value *item = &parent->items[parent->count++];
	*item = (struct value){0};
	return item;
}

static enum outcome parse_string(struct reader *r, struct value *value)
{
	if (peek(r) != '"') return wrong(r);
	value->kind = STRING;
	value->start = r->i++;
	for (;;) {
		int c = peek(r);
		if (c < 0x20) return wrong(r);
		r->i++;
		if (c == '"') break;
		if (c != '\\') continue;
		c = peek(r);
		if (c == -1 || c == 0 || strchr("\"\\/bfnrtu", c) == NULL) return wrong(r);
		r->i++;
		for (int k = 0; c == 'u' && k < 4; k++, r->i++)
			if (!isxdigit(peek(r))) return wrong(r);
	}
	value->end = r->i;
	return GOOD;
}

static enum outcome parse_digits(struct reader *r)
{
	if (peek(r) < '0' || peek(r) > '9') return wrong(r);
	while (peek(r) >= '0' && peek(r) <= '9') r->i++;
	return GOOD;
}

static enum outcome parse_number(struct reader *r, struct value *value)
{
	enum outcome outcome;
	value->kind = NUMBER;
	value->start = r->i;
	if (peek(r) == '-') r->i++;
	if (peek(r) == '0')
		r->i++;
	else if ((outcome = parse_digits(r)) != GOOD)
		return outcome;
	if (peek(r) == '.') {
		r->i++;
		if ((outcome = parse_digits(r)) != GOOD) return outcome;
	}
	if (peek(r) == 'e' || peek(r) == 'E') {
		r->i++;
		if (peek(r) == '+' || peek(r) == '-') r->i++;
		if ((outcome = parse_digits(r)) != GOOD) return outcome;
	}
	value->end = r->i;
	return GOOD;
}

static enum outcome parse_word(struct reader *r, struct value *value, const char *word, enum kind kind)
{
	value->kind = kind;
	value->start = r->i;
	for (; *word != 0; word++, r->i++)
		if (peek(r) != *word) return wrong(r);
	value->end = r->i;
	return GOOD;
}

static enum outcome parse_value(struct reader *r, struct value *value)
{
	int c = peek(r);
	if (c == '"') return parse_string(r, value);
	if (c == 't') return parse_word(r, value, "true", BOOL);
	if (c == 'f') return parse_word(r, value, "false", BOOL);
	if (c == 'n') return parse_word(r, value, "null", NUL);
	if (c == '-' || (c >= '0' && c <= '9')) return parse_number(r, value);
	if (c != '{' && c != '[') return wrong(r);
	int close = c == '{' ? '}' : ']';
	value->kind = c == '{' ? OBJECT : ARRAY;
	value->start = r->i++;
	skip_white(r);
	for (bool first = true; peek(r) != close; first = false) {
		enum outcome outcome;
		if (!first) {
			if (peek(r) != ',') return wrong(r);
			r->i++;
			skip_white(r);
		}
		if (c == '{') {
			if ((outcome = parse_string(r, new_item(value))) != GOOD) return outcome;
			skip_white(r);
			if (peek(r) != ':') return wrong(r);
			r->i++;
			skip_white(r);
		}
		if ((outcome = parse_value(r, new_item(value))) != GOOD) return outcome;
		skip_white(r);
		if (!first && peek(r) == close) break;
	}
	r->i++;
	value->end = r->i;
	return GOOD;
}

/* --- Values ------------------------------------------------------------------------------------------------------- */

static unsigned hex4(const uint8_t *p)
{
	char digits[5] = {(char)p[0], (char)p[1], (char)p[2], (char)p[3], 0};
	return (unsigned)strtoul(digits, NULL, 16);
}

/* A string's bytes, escapes decoded; mended unless `raw`. */
static void decode(const struct reader *r, const struct value *value, struct gm_buf *out, uint64_t *replaced, bool raw)
{
	struct gm_buf plain;
	gm_buf_init(&plain, SIZE_MAX / 2);
	enum gm_code rc = GM_OK;
	for (size_t i = value->start + 1; i < value->end - 1 && rc == GM_OK; i++) {
		const uint8_t *p = r->s + i;
		if (*p != '\\') {
			rc = gm_buf_append(&plain, p, 1, NULL);
		} else if (p[1] != 'u') {
			static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
			rc = gm_buf_append(&plain, to + (strchr(from, p[1]) - from), 1, NULL);
			i++;
		} else {
			uint8_t utf8[4];
			unsigned unit = hex4(p + 2), code_point = unit;
			i += 5;
			if (unit >= 0xD800 && unit <= 0xDFFF) code_point = 0xFFFD;
			if (unit >= 0xD800 && unit <= 0xDBFF && i + 6 < value->end - 1 + 0 + 1 && p[6] == '\\' && p[7] == 'u') {
				unsigned low = hex4(p + 8);
				if (low >= 0xDC00 && low <= 0xDFFF) {
					code_point = 0x10000 + (unit - 0xD800) * 0x400 + (low - 0xDC00);
					i += 6;
				}
			}
			rc = gm_buf_append(&plain, utf8, gm_utf8_encode(code_point, utf8), NULL);
		}
	}
	if (rc == GM_OK && raw) rc = gm_buf_append(out, plain.data, plain.len, NULL);
	if (rc == GM_OK && !raw) rc = gm_utf8_mend(plain.data, plain.len, out, replaced, NULL);
	if (rc != GM_OK) abort();
	gm_buf_release(&plain);
}

/* A number written out: sign, digits before the point, digits behind it. Exponents beyond +-5000 are taken as that. */
struct written {
	bool negative;
	char whole[12000], fraction[12000];
};

static void write_out(const char *number, struct written *w)
{
	static char digits[12000];
	size_t n = 0, point;
	w->negative = *number == '-';
	if (w->negative || *number == '+') number++;
	for (; isdigit((unsigned char)*number); number++) digits[n++] = *number;
	point = n;
	if (*number == '.')
		for (number++; isdigit((unsigned char)*number); number++) digits[n++] = *number;
	double exponent = *number != 0 ? strtod(number + 1, NULL) : 0;
	if (exponent > 5000) exponent = 5000;
	if (exponent < -5000) exponent = -5000;
	memset(w->whole, 0, sizeof w->whole);
	memset(w->fraction, 0, sizeof w->fraction);
	long at = (long)point + (long)exponent;
	size_t whole = 0, fraction = 0;
	for (long i = 0; i < at; i++) w->whole[whole++] = i < (long)n ? digits[i] : '0';
	for (long i = at; i < (long)n; i++) w->fraction[fraction++] = i < 0 ? '0' : digits[i];
}

/* Sign and digits as an int64. */
static bool to_int64(bool negative, const char *digits, int64_t *out)
{
	__int128 value = 0;
	for (; *digits != 0; digits++) {
		value = value * 10 + (*digits - '0');
		if (value > (__int128)UINT64_MAX) return false;
	}
	if (negative) value = -value;
	*out = (int64_t)value;
	return value >= INT64_MIN && value <= INT64_MAX;
}

/* 0: taken, 1: cannot be, 2: out of range. */
static int to_integer(const char *text, bool string, const struct gm_shred_leaf *leaf, int64_t *out)
{
	static struct written w;
	bool time = leaf->type == GM_TYPE_TIMESTAMP;
	if (string) {
		const char *p = text;
		if (*p == '-' || *p == '+') p++;
		if (*p == 0 || strspn(p, "0123456789") != strlen(p) || strlen(p) > 5000) return 1;
	}
	write_out(text, &w);
	bool exact = strspn(w.fraction, "0") == strlen(w.fraction);
	if (!exact && !time) return 1;
	if (!to_int64(w.negative, w.whole, out)) return 1;
	if (!exact && w.negative && (*out)-- == INT64_MIN) return 1;
	if (leaf->type == GM_TYPE_INT) return *out < -2147483648LL || *out > 2147483647LL;
	if (!time) return 0;
	static const int64_t per_second[] = {1, 1000, 1000000, 1000000000};
	__int128 nanoseconds = (__int128)*out * (1000000000 / per_second[leaf->unit]), us = nanoseconds / 1000;
	if (nanoseconds % 1000 < 0) us--;
	if (us < (__int128)-62135596800 * 1000000 || us >= (__int128)253402300800 * 1000000) return 2;
	*out = (int64_t)us;
	return 0;
}

static bool to_double(const char *text, double *out)
{
	const char *p = text;
	if (*p == '-' || *p == '+') p++;
	size_t n = strspn(p, "0123456789");
	if (n == 0) return false;
	p += n;
	if (*p == '.') {
		n = strspn(++p, "0123456789");
		if (n == 0) return false;
		p += n;
	}
	if (*p == 'e' || *p == 'E') {
		p++;
		if (*p == '-' || *p == '+') p++;
		n = strspn(p, "0123456789");
		if (n == 0) return false;
		p += n;
	}
	*out = strtod(text, NULL);
	return *p == 0 && isfinite(*out);
}

static bool to_date(const char *s, int64_t *days)
{
	int y, m, d, used = 0;
	if (strlen(s) != 10 || sscanf(s, "%4d-%2d-%2d%n", &y, &m, &d, &used) != 3 || used != 10) return false;
	for (int i = 0; i < 10; i++)
		if (i == 4 || i == 7 ? s[i] != '-' : !isdigit((unsigned char)s[i])) return false;
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	if (y < 1 || m < 1 || m > 12 || d < 1) return false;
	*days = -719162; /* 0001-01-01 */
	for (int year = 1; year <= y; year++) {
		bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
		for (int month = 1; month <= 12; month++) {
			int length = lengths[month - 1] + (month == 2 && leap);
			if (year == y && month == m) {
				*days += d - 1;
				return d <= length;
			}
			*days += length;
		}
	}
	return false;
}

/* A value of the leaf as text, or "null"; the result as to_integer. *weight: what it adds to the row's. */
static int convert(const struct reader *r, const struct value *value, const struct gm_shred_leaf *leaf,
                   struct text *out, uint64_t *weight, uint64_t *replaced)
{
	struct gm_buf text;
	int64_t integer;
	double real;
	int fault = 1;
	gm_buf_init(&text, SIZE_MAX / 2);
	uint64_t parts = 0;
	if (value->kind == STRING) {
		decode(r, value, &text, &parts, leaf->type != GM_TYPE_STRING);
	} else if (value->kind == ARRAY || value->kind == OBJECT) {
		struct gm_buf compact;
		gm_buf_init(&compact, SIZE_MAX / 2);
		bool in_string = false;
		for (size_t i = value->start; i < value->end; i++) {
			if (!in_string && strchr(" \t\r\n", r->s[i]) != NULL) continue;
			if (gm_buf_append(&compact, r->s + i, 1, NULL) != GM_OK) abort();
			if (r->s[i] == '"') in_string = !in_string;
			if (r->s[i] == '\\' && gm_buf_append(&compact, r->s + ++i, 1, NULL) != GM_OK) abort();
		}
		if (gm_utf8_mend(compact.data, compact.len, &text, &parts, NULL) != GM_OK) abort();
		gm_buf_release(&compact);
	} else if (gm_buf_append(&text, r->s + value->start, value->end - value->start, NULL) != GM_OK) {
		abort();
	}
	size_t n = text.len;
	if (gm_buf_append(&text, "", 1, NULL) != GM_OK) abort();
	char *s = (char *)text.data;
	if (leaf->type == GM_TYPE_STRING) {
		text_add(out, "|'");
		text_bytes(out, text.data, n);
		*weight += n;
		*replaced += parts;
		gm_buf_release(&text);
		return 0;
	}
	bool number = value->kind == NUMBER, string = value->kind == STRING && strlen(s) == n;
	char *trimmed = s;
	if (value->kind == STRING) {
		while (*trimmed != 0 && strchr(" \t\n\v\f\r", *trimmed) != NULL) trimmed++;
		for (char *e = trimmed + strlen(trimmed); e > trimmed && strchr(" \t\n\v\f\r", e[-1]) != NULL;) *--e = 0;
	}
	struct text as = {0};
	text_clear(&as);
	switch (leaf->type) {
	case GM_TYPE_BOOLEAN: {
		bool yes = strcasecmp(s, "true") == 0, no = strcasecmp(s, "false") == 0;
		if (value->kind != BOOL && (!string || strlen(s) != n || strlen(trimmed) != n)) break;
		if (yes || no) fault = 0;
		text_add(&as, "%s", yes ? "true" : "false");
		break;
	}
	case GM_TYPE_DOUBLE:
		if ((number || string) && to_double(trimmed, &real)) {
			text_add(&as, "%a", real);
			fault = 0;
		}
		break;
	case GM_TYPE_DATE:
		if (string && strlen(trimmed) == n && to_date(trimmed, &integer)) {
			text_add(&as, "%lld", (long long)integer);
			fault = 0;
		}
		break;
	default:
		if (number || string) fault = to_integer(trimmed, string, leaf, &integer);
		if (fault == 0) text_add(&as, "%lld", (long long)integer);
	}
	text_add(out, "|%s", fault == 0 ? as.data : "null");
	if (fault == 0) *weight += 8;
	free(as.data);
	gm_buf_release(&text);
	return fault;
}

static bool key_is(const struct reader *r, const struct value *key, const char *name, size_t n)
{
	struct gm_buf text;
	gm_buf_init(&text, SIZE_MAX / 2);
	decode(r, key, &text, NULL, true);
	bool same = text.len == n && (n == 0 || memcmp(text.data, name, n) == 0);
	gm_buf_release(&text);
	return same;
}

static const struct value *look_up(const struct reader *r, const struct value *value, const struct gm_shred_leaf *leaf)
{
	for (size_t i = 0; i < leaf->path_len; i++) {
		if (value == NULL || value->kind != OBJECT) return NULL;
		const struct value *found = NULL;
		for (size_t j = 0; j < value->count; j += 2)
			if (key_is(r, &value->items[j], leaf->path[i], leaf->path_bytes[i])) found = &value->items[j + 1];
		value = found;
	}
	return value;
}

static bool same_start(const struct gm_shred_leaf *a, const struct gm_shred_leaf *b, size_t parts)
{
	if (a->path_len < parts || b->path_len < parts) return false;
	for (size_t i = 0; i < parts; i++)
		if (a->path_bytes[i] != b->path_bytes[i] || memcmp(a->path[i], b->path[i], a->path_bytes[i]) != 0) return false;
	return true;
}

/* Repeated wanted keys in this object, which stands at the first `depth` keys of leaf `of`, and in those below. */
static uint64_t count_duplicates(const struct reader *r, const struct value *object, size_t of, size_t depth)
{
	uint64_t count = 0;
	const struct gm_shred_leaf *leaf = r->leaves->leaf;
	for (size_t i = 0; i < r->leaves->count && object->kind == OBJECT; i++) {
		bool first = leaf[i].path_len > depth && (depth == 0 || same_start(&leaf[i], &leaf[of], depth));
		for (size_t j = 0; j < i && first; j++)
			if (same_start(&leaf[j], &leaf[i], depth + 1)) first = false;
		if (!first) continue;
		uint64_t times = 0;
		for (size_t j = 0; j < object->count; j += 2) {
			if (!key_is(r, &object->items[j], leaf[i].path[depth], leaf[i].path_bytes[depth])) continue;
			if (times++ > 0) count++;
			count += count_duplicates(r, &object->items[j + 1], i, depth + 1);
		}
	}
	return count;
}

/* --- Documents ---------------------------------------------------------------------------------------------------- */

static void reject(struct reader *r, enum gm_reason reason, size_t start, size_t end, size_t fault, const char *column)
{
	struct gm_reject entry = {
	    .reason = reason, .record = r->books.read++, .offset = start, .damage_offset = fault, .column = column};
	text_reject(&r->rejects, &entry);
	text_bytes(&r->rejects, r->s + start, end - start);
	text_add(&r->rejects, "\n");
	r->books.quarantined++;
	r->books.quarantined_bytes += end - start;
	r->i = end;
}

static void reject_broken(struct reader *r, enum gm_reason reason, size_t start, size_t fault)
{
	size_t from = reason == GM_REASON_TOO_LARGE ? fault : start; /* what is known to be one value holds no document */
	size_t end = from;
	for (; end < r->n; end++) {
		if (r->s[end] != '\n' && r->s[end] != '\r') continue;
		if (r->s[end] == '\n' && end > from && r->s[end - 1] == '\r') continue; /* one line break, tried at its start */
		size_t next = end + 1;
		if (r->s[end] == '\r' && next < r->n && r->s[next] == '\n') next++;
		if (next < r->n && (r->s[next] == '{' || r->s[next] == '[')) break;
	}
	reject(r, reason, start, end, fault, "");
}

static void take_record(struct reader *r, const struct value *value)
{
	struct text row = {0};
	const char *column = "";
	uint64_t weight = 16, replaced = 0, nulled = 0;
	int reason = -1;
	text_clear(&row);
	for (size_t i = 0; i < r->leaves->count; i++) {
		const struct gm_shred_leaf *leaf = &r->leaves->leaf[i];
		const struct value *found = look_up(r, value, leaf);
		int fault = 0;
		bool null = found == NULL || found->kind == NUL;
		if (null)
			text_add(&row, "|null");
		else
			fault = convert(r, found, leaf, &row, &weight, &replaced);
		if (fault != 0 && leaf->on_error == GM_ON_ERROR_FAIL) r->failed = true;
		nulled += fault != 0;
		if (reason >= 0) continue;
		if (fault == 2 && (leaf->required || leaf->on_error == GM_ON_ERROR_QUARANTINE))
			reason = GM_REASON_OUT_OF_RANGE;
		else if ((null || fault == 1) && leaf->required)
			reason = GM_REASON_REQUIRED;
		else if (fault == 1 && leaf->on_error == GM_ON_ERROR_QUARANTINE)
			reason = GM_REASON_CONVERSION;
		if (reason >= 0) column = leaf->name;
	}
	if (r->failed) {
		free(row.data);
		return;
	}
	if (reason >= 0) {
		reject(r, (enum gm_reason)reason, value->start, value->end, value->start, column);
	} else {
		text_row(&r->rows, r->books.read++, value->start, value->end - value->start, weight);
		text_add(&r->rows, "%s\n", row.data);
		r->books.record_bytes += value->end - value->start;
		r->books.duplicate_keys += count_duplicates(r, value, 0, 0);
		r->books.invalid_utf8 += replaced;
		r->books.converted_null += nulled;
	}
	free(row.data);
}

/* One value at i; false if it was broken. */
static bool take_value(struct reader *r, size_t max)
{
	size_t start = r->i;
	struct value value = {0};
	enum outcome outcome = parse_value(r, &value);
	if (outcome == GOOD && (value.kind == NUMBER || value.kind == BOOL || value.kind == NUL) && r->i < r->n &&
	    (r->s[r->i] == 0 || strchr(" \t\r\n{}[],\"", r->s[r->i]) == NULL))
		outcome = BROKEN;
	size_t good = r->i - start;
	bool fine = false;
	if (outcome == GOOD ? good > max : outcome == BROKEN ? good >= max : good > max) {
		reject_broken(r, GM_REASON_TOO_LARGE, start, start + max);
	} else if (outcome == CUT) {
		reject_broken(r, GM_REASON_TRUNCATED, start, r->n);
	} else if (outcome == BROKEN) {
		reject_broken(r, GM_REASON_NOT_JSON, start, r->i);
	} else if (value.kind != OBJECT) {
		fine = true;
		reject(r, GM_REASON_NOT_OBJECT, start, r->i, start, "");
	} else {
		fine = true;
		take_record(r, &value);
	}
	free_value(&value);
	return fine;
}

void reference_read(const struct leaves *leaves, size_t max, const uint8_t *bytes, size_t n, struct text *out)
{
	struct reader r = {.s = bytes, .n = n, .leaves = leaves};
	bool array = false, loose = false, after = false, comma = false; /* after an element; after a comma */
	text_clear(out);
	text_clear(&r.rows);
	text_clear(&r.rejects);
	if (n >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) r.i = 3;
	while (!r.failed) {
		skip_white(&r);
		if (r.i == n) break;
		int c = peek(&r);
		bool first_column = r.i == 0 || bytes[r.i - 1] == '\n' || bytes[r.i - 1] == '\r';
		if (c == '[' && (!array || (loose && first_column))) {
			array = true;
			loose = after = comma = false;
			r.i++;
		} else if (c == ']' && array && (loose || !comma)) {
			array = loose = false;
			r.i++;
		} else if (c == ',' && array && (loose || after)) {
			after = false;
			comma = true;
			r.i++;
		} else {
			bool allowed = c != ']' && c != ',' && (!array || loose || !after);
			bool fine = allowed && take_value(&r, max);
			if (!allowed) reject_broken(&r, GM_REASON_NOT_JSON, r.i, r.i);
			if (!fine) loose = array;
			after = true;
			comma = false;
		}
	}
	if (!r.failed && array && !loose) reject(&r, GM_REASON_TRUNCATED, n, n, n, "");
	r.books.bytes_raw = n;
	r.books.separator_bytes = n - r.books.record_bytes - r.books.quarantined_bytes;
	text_add(out, "%s%s", r.rows.data, r.rejects.data);
	if (r.failed)
		text_add(out, "failed\n");
	else
		text_books(out, &r.books);
	free(r.rows.data);
	free(r.rejects.data);
}
