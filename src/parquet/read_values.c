/* read_values.c - from encoded values to arrays.
 *
 * PLAIN numbers lie side by side, PLAIN strings each behind its u32 length, booleans are bits. A dictionary page holds
 * its entries PLAIN; pages then have one byte of width and a hybrid run of indices. DELTA_LENGTH_BYTE_ARRAY is all
 * lengths as DELTA_BINARY_PACKED, then all bytes. DELTA_BYTE_ARRAY is lengths of the prefixes shared with the value
 * before, then the suffixes as DELTA_LENGTH_BYTE_ARRAY. BYTE_STREAM_SPLIT is the first bytes of all values, then the
 * second ones, and so on.
 *
 * Strings become codes of a gm_dict where the page has indices, and bytes side by side elsewhere. */
#include "parquet/read_values.h"

#include <string.h>

enum {
	BATCH = 256,     /* numbers converted at once on their way */
	COPY_STEP = 32,  /* bytes copied at once: not more than GM_READ_SLACK */
	COPY_LONG = 512, /* from here on memcpy is faster */
	INT96_BYTES = 12,
};
_Static_assert((int)COPY_STEP <= (int)GM_READ_SLACK, "copies read and write up to a step beyond their end");

static const int64_t day_us = INT64_C(86400000000), julian_epoch = 2440588; /* 1970-01-01 */

const char *gm_read_encoding_name(int32_t encoding)
{
	static const char *const names[] = {"PLAIN",
	                                    NULL,
	                                    "PLAIN_DICTIONARY",
	                                    "RLE",
	                                    "BIT_PACKED",
	                                    "DELTA_BINARY_PACKED",
	                                    "DELTA_LENGTH_BYTE_ARRAY",
	                                    "DELTA_BYTE_ARRAY",
	                                    "RLE_DICTIONARY",
	                                    "BYTE_STREAM_SPLIT",
	                                    "ALP"};
	return encoding >= 0 && (size_t)encoding < sizeof names / sizeof names[0] ? names[encoding] : NULL;
}

static bool has_indices(int32_t encoding)
{
	return encoding == GM_FORMAT_PLAIN_DICTIONARY || encoding == GM_FORMAT_RLE_DICTIONARY;
}

static enum gm_code values_end(struct gm_error *err)
{
	GM_FAIL(err, GM_CORRUPT, "a page has fewer values than its levels or its header say");
}

/* --- Numbers ------------------------------------------------------------------------------------------------------ */

static int64_t floor_div(int64_t value, int64_t by)
{
	return value / by - (value % by < 0);
}

/* Nanoseconds of the day, then the Julian day. Spark adds up microseconds since Julian day 0, which wraps around for
 * the last thousands of years that it can tell: such days lie below all that microseconds since 1970 reach, and are put
 * back by going around once more. */
bool gm_read_int96(const uint8_t *bytes, int64_t *out)
{
	int64_t nanos;
	int32_t day;
	memcpy(&nanos, bytes, sizeof nanos);
	memcpy(&day, bytes + sizeof nanos, sizeof day);
	__int128 us = (__int128)(day - julian_epoch) * day_us + floor_div(nanos, 1000);
	if (us < INT64_MIN && us >= (__int128)INT64_MIN - (__int128)julian_epoch * day_us) us += (__int128)1 << 64;
	*out = (int64_t)us;
	return us >= INT64_MIN && us <= INT64_MAX;
}

enum gm_code gm_read_convert(enum gm_read_kind kind, int64_t *numbers, size_t count, struct gm_error *err)
{
	switch (kind) {
	case GM_READ_UINT32:
		for (size_t i = 0; i < count; i++) numbers[i] = (int64_t)(uint32_t)numbers[i];
		break;
	case GM_READ_UINT64:
		for (size_t i = 0; i < count; i++)
			if (numbers[i] < 0)
				GM_FAIL(err, GM_UNSUPPORTED, "the unsigned number %llu does not fit 64 bits with a sign",
				        (unsigned long long)numbers[i]);
		break;
	case GM_READ_MILLIS:
		for (size_t i = 0; i < count; i++)
			if (__builtin_mul_overflow(numbers[i], INT64_C(1000), &numbers[i]))
				GM_FAIL(err, GM_UNSUPPORTED, "a timestamp in milliseconds does not fit 64 bits of microseconds");
		break;
	case GM_READ_NANOS:
		for (size_t i = 0; i < count; i++) numbers[i] = floor_div(numbers[i], 1000);
		break;
	default: break;
	}
	return GM_OK;
}

static size_t plain_bytes(enum gm_read_kind kind)
{
	switch (kind) {
	case GM_READ_INT32:
	case GM_READ_UINT32:
	case GM_READ_FLOAT: return 4;
	case GM_READ_INT96: return INT96_BYTES;
	default: return 8;
	}
}

/* n PLAIN numbers, which are there. */
static enum gm_code plain_numbers(enum gm_read_kind kind, const uint8_t *at, size_t n, int64_t *out,
                                  struct gm_error *err)
{
	switch (kind) {
	case GM_READ_INT32:
	case GM_READ_UINT32:
		for (size_t i = 0; i < n; i++) {
			int32_t value;
			memcpy(&value, at + i * sizeof value, sizeof value);
			out[i] = value;
		}
		break;
	case GM_READ_FLOAT:
		for (size_t i = 0; i < n; i++) {
			float value;
			memcpy(&value, at + i * sizeof value, sizeof value);
			double wide = (double)value;
			memcpy(&out[i], &wide, sizeof wide);
		}
		break;
	case GM_READ_INT96:
		for (size_t i = 0; i < n; i++)
			if (!gm_read_int96(at + i * INT96_BYTES, &out[i]))
				GM_FAIL(err, GM_UNSUPPORTED, "an INT96 timestamp does not fit 64 bits of microseconds");
		break;
	default:
		if (n > 0) memcpy(out, at, n * sizeof *out);
	}
	return gm_read_convert(kind, out, n, err);
}

static enum gm_code split_numbers(struct gm_values_in *values, int64_t *out, size_t n, struct gm_error *err)
{
	size_t size = plain_bytes(values->kind);
	if (n > values->count - values->position) return values_end(err);
	while (n > 0) {
		uint8_t joined[BATCH * sizeof *out];
		size_t some = n < BATCH ? n : BATCH;
		gm_join_streams(values->at, values->count, size, values->position, joined, some);
		GM_TRY(plain_numbers(values->kind, joined, some, out, err));
		values->position += some;
		out += some;
		n -= some;
	}
	return GM_OK;
}

static enum gm_code delta_numbers(struct gm_values_in *values, int64_t *out, size_t n, struct gm_error *err)
{
	if (gm_diffs_read(&values->delta, out, n) != n) return values_end(err);
	if (values->kind == GM_READ_INT32 || values->kind == GM_READ_UINT32)
		for (size_t i = 0; i < n; i++) out[i] = (int32_t)out[i];
	return gm_read_convert(values->kind, out, n, err);
}

static enum gm_code read_numbers(struct gm_values_in *values, int64_t *out, size_t n, struct gm_error *err)
{
	if (values->encoding == GM_FORMAT_BYTE_STREAM_SPLIT) return split_numbers(values, out, n, err);
	if (values->encoding == GM_FORMAT_DELTA_BINARY_PACKED) return delta_numbers(values, out, n, err);
	size_t size = plain_bytes(values->kind);
	if (n > (size_t)(values->end - values->at) / size) return values_end(err);
	GM_TRY(plain_numbers(values->kind, values->at, n, out, err));
	values->at += n * size;
	return GM_OK;
}

static enum gm_code read_booleans(struct gm_values_in *values, uint8_t *out, size_t n, struct gm_error *err)
{
	if (values->encoding == GM_FORMAT_RLE) {
		if (gm_hybrid_read_levels(&values->hybrid, out, n) != n) return values_end(err);
		for (size_t i = 0; i < n; i++)
			if (out[i] > 1) GM_FAIL(err, GM_CORRUPT, "a boolean is %d", out[i]);
		return GM_OK;
	}
	if (n > (uint64_t)(values->end - values->at) * 8 - values->position) return values_end(err);
	gm_unpack_booleans(values->at, values->position, out, n);
	values->position += n;
	return GM_OK;
}

/* --- Dictionaries ------------------------------------------------------------------------------------------------- */

void gm_dictionary_init(struct gm_dictionary_in *dictionary, size_t memory_bytes)
{
	*dictionary = (struct gm_dictionary_in){0};
	gm_buf_init(&dictionary->codes, memory_bytes);
	/* Numbers of 4 bytes become 8 in memory. */
	gm_buf_init(&dictionary->numbers, memory_bytes < SIZE_MAX / 2 ? memory_bytes * 2 : SIZE_MAX);
}

void gm_dictionary_release(struct gm_dictionary_in *dictionary)
{
	gm_dict_unref(dictionary->strings);
	gm_buf_release(&dictionary->codes);
	gm_buf_release(&dictionary->numbers);
}

static enum gm_code wrong_dictionary(uint32_t entries, struct gm_error *err)
{
	GM_FAIL(err, GM_CORRUPT, "a dictionary page does not hold the %u values it tells", entries);
}

static enum gm_code load_strings(struct gm_dictionary_in *dictionary, struct gm_page_part part, size_t memory_bytes,
                                 struct gm_error *err)
{
	uint32_t *codes = (uint32_t *)dictionary->codes.data;
	const uint8_t *at = part.data, *end = part.data + part.bytes;
	dictionary->strings = gm_dict_new();
	if (dictionary->strings == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a dictionary");
	uint64_t seed = gm_dict_seed(dictionary->strings);
	for (uint32_t i = 0; i < dictionary->entries; i++) {
		uint32_t len;
		if ((size_t)(end - at) < sizeof len) return wrong_dictionary(dictionary->entries, err);
		memcpy(&len, at, sizeof len);
		at += sizeof len;
		if (len > (size_t)(end - at)) return wrong_dictionary(dictionary->entries, err);
		codes[i] = gm_dict_put(dictionary->strings, at, len, gm_dict_hash_seeded(at, len, seed));
		if (codes[i] == GM_DICT_NULL)
			GM_FAIL(err, GM_NOMEM, "out of memory for a dictionary of %u strings", dictionary->entries);
		at += len;
		/* Each string costs some dozens of bytes besides its own. */
		if (i % BATCH == 0 && gm_dict_memory_bytes(dictionary->strings) > memory_bytes)
			GM_FAIL(err, GM_UNSUPPORTED, "a dictionary of %u strings takes more than the %zu bytes of memory it may",
			        dictionary->entries, memory_bytes);
	}
	return GM_OK;
}

enum gm_code gm_dictionary_load(struct gm_dictionary_in *dictionary, enum gm_read_kind kind,
                                const struct gm_page_in *page, size_t memory_bytes, struct gm_error *err)
{
	size_t size = kind == GM_READ_STRING ? sizeof(uint32_t) : plain_bytes(kind);
	if (dictionary->loaded) GM_FAIL(err, GM_CORRUPT, "a column has two dictionaries");
	if (page->encoding != GM_FORMAT_PLAIN && page->encoding != GM_FORMAT_PLAIN_DICTIONARY)
		GM_FAIL(err, GM_UNSUPPORTED, "a dictionary in encoding %d is not known", page->encoding);
	if (kind == GM_READ_BOOLEAN) GM_FAIL(err, GM_UNSUPPORTED, "a dictionary of booleans is not known");
	if (page->slots > page->values.bytes / size) return wrong_dictionary(page->slots, err);
	dictionary->entries = page->slots;
	dictionary->loaded = true;
	if (kind == GM_READ_STRING) {
		GM_TRY(gm_buf_reserve(&dictionary->codes, (size_t)page->slots * sizeof(uint32_t), err));
		return load_strings(dictionary, page->values, memory_bytes, err);
	}
	GM_TRY(gm_buf_reserve(&dictionary->numbers, (size_t)page->slots * sizeof(int64_t), err));
	return plain_numbers(kind, page->values.data, page->slots, (int64_t *)dictionary->numbers.data, err);
}

/* The next n indices, which are below the number of entries. */
static enum gm_code read_indices(struct gm_values_in *values, uint32_t *out, size_t n, struct gm_error *err)
{
	uint32_t entries = values->dictionary->entries, beyond = 0;
	if (!values->dictionary->loaded) GM_FAIL(err, GM_CORRUPT, "a page has indices, but the column no dictionary");
	if (gm_hybrid_read(&values->hybrid, out, n) != n) return values_end(err);
	for (size_t i = 0; i < n; i++) beyond |= out[i] >= entries;
	if (beyond != 0) GM_FAIL(err, GM_CORRUPT, "an index lies beyond the %u entries of the dictionary", entries);
	return GM_OK;
}

static enum gm_code indexed_numbers(struct gm_values_in *values, struct gm_values_out *out, size_t n,
                                    struct gm_error *err)
{
	const int64_t *entries = (const int64_t *)values->dictionary->numbers.data;
	uint32_t *indices = (uint32_t *)out->narrow.data;
	int64_t *numbers = (int64_t *)out->wide.data;
	GM_TRY(read_indices(values, indices, n, err));
	for (size_t i = 0; i < n; i++) numbers[i] = entries[indices[i]];
	return GM_OK;
}

static enum gm_code indexed_strings(struct gm_values_in *values, uint32_t *codes, size_t n, struct gm_error *err)
{
	const uint32_t *code_of = (const uint32_t *)values->dictionary->codes.data;
	GM_TRY(read_indices(values, codes, n, err));
	for (size_t i = 0; i < n; i++) codes[i] = code_of[codes[i]];
	return GM_OK;
}

/* --- Strings ------------------------------------------------------------------------------------------------------ */

/* Copies by whole steps, so that short strings take no call: up to a step more is read and written. */
static inline void copy_string(uint8_t *to, const uint8_t *from, size_t len)
{
	if (len > COPY_LONG) {
		memcpy(to, from, len);
		return;
	}
	for (size_t i = 0; i < len; i += COPY_STEP) memcpy(to + i, from + i, COPY_STEP);
}

static enum gm_code plain_strings(struct gm_values_in *values, struct gm_values_out *out, size_t n, struct gm_vec *vec,
                                  struct gm_error *err)
{
	const uint8_t *at = values->at, *end = values->end;
	uint32_t *ends = (uint32_t *)out->narrow.data, total = 0;
	out->bytes.len = 0;
	/* What is left of the page is more than the strings can come to. */
	GM_TRY(gm_buf_reserve(&out->bytes, (size_t)(end - at) + GM_READ_SLACK, err));
	uint8_t *bytes = out->bytes.data;
	for (size_t i = 0; i < n; i++) {
		uint32_t len;
		if ((size_t)(end - at) < sizeof len) return values_end(err);
		memcpy(&len, at, sizeof len);
		at += sizeof len;
		if (len > (size_t)(end - at)) GM_FAIL(err, GM_CORRUPT, "a string of %u bytes reaches beyond its page", len);
		copy_string(bytes + total, at, len);
		at += len;
		ends[i] = total += len;
	}
	values->at = at;
	vec->bytes = bytes;
	vec->ends = ends;
	return GM_OK;
}

/* Strings that lie side by side already. */
static enum gm_code measured_strings(struct gm_values_in *values, struct gm_values_out *out, size_t n,
                                     struct gm_vec *vec, struct gm_error *err)
{
	uint32_t *ends = (uint32_t *)out->narrow.data;
	uint64_t total = 0, room = (uint64_t)(values->end - values->at);
	for (size_t done = 0; done < n;) {
		int64_t lengths[BATCH];
		size_t some = n - done < BATCH ? n - done : BATCH;
		if (gm_diffs_read(&values->delta, lengths, some) != some) return values_end(err);
		for (size_t i = 0; i < some; i++) {
			/* INT32, in two's complement: what is negative is too long as well. */
			total += (uint32_t)lengths[i];
			if (total > room) GM_FAIL(err, GM_CORRUPT, "a string reaches beyond its page");
			ends[done++] = (uint32_t)total;
		}
	}
	vec->bytes = (uint8_t *)(uintptr_t)values->at;
	vec->ends = ends;
	values->at += total;
	return GM_OK;
}

/* The lengths of the next value's prefix and suffix; false: there are none. */
static bool next_lengths(struct gm_diffs_in *prefixes, struct gm_diffs_in *suffixes, uint32_t *prefix, uint32_t *suffix)
{
	int64_t front, back;
	if (gm_diffs_read(prefixes, &front, 1) != 1 || gm_diffs_read(suffixes, &back, 1) != 1) return false;
	*prefix = (uint32_t)front;
	*suffix = (uint32_t)back;
	return true;
}

size_t gm_values_fit(const struct gm_values_in *values, size_t n, size_t limit_bytes)
{
	/* Only here can few bytes become many. */
	if (values->none || values->encoding != GM_FORMAT_DELTA_BYTE_ARRAY) return n;
	struct gm_diffs_in prefixes = values->prefixes, suffixes = values->delta;
	uint64_t total = 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t prefix, suffix;
		if (!next_lengths(&prefixes, &suffixes, &prefix, &suffix)) return n; /* which reading them will find */
		total += (uint64_t)prefix + suffix;
		if (total > limit_bytes) return i > 0 ? i : 1;
	}
	return n;
}

/* Strings without the front they share with the one before. */
static enum gm_code shared_strings(struct gm_values_in *values, struct gm_values_out *out, size_t n, struct gm_vec *vec,
                                   struct gm_error *err)
{
	uint32_t *ends = (uint32_t *)out->narrow.data, prefix, suffix;
	size_t before_len = values->previous.len;
	struct gm_buf *bytes = &out->bytes;
	bytes->len = 0;
	GM_TRY(gm_buf_reserve(bytes, GM_READ_SLACK, err)); /* so that there is a place, if only of empty strings */
	for (size_t i = 0; i < n; i++) {
		if (!next_lengths(&values->prefixes, &values->delta, &prefix, &suffix)) return values_end(err);
		if (suffix > (size_t)(values->end - values->at) || prefix > before_len)
			GM_FAIL(err, GM_CORRUPT, "a string takes %u bytes of %zu before it and %u of its page", prefix, before_len,
			        suffix);
		GM_TRY(gm_buf_reserve(bytes, (size_t)prefix + suffix, err));
		const uint8_t *before = i > 0 ? bytes->data + bytes->len - before_len : values->previous.data;
		if (prefix > 0) memcpy(bytes->data + bytes->len, before, prefix);
		if (suffix > 0) memcpy(bytes->data + bytes->len + prefix, values->at, suffix);
		values->at += suffix;
		before_len = (size_t)prefix + suffix;
		bytes->len += before_len;
		ends[i] = (uint32_t)bytes->len;
	}
	vec->bytes = bytes->data;
	vec->ends = ends;
	if (n == 0) return GM_OK;
	values->previous.len = 0;
	return gm_buf_append(&values->previous, bytes->data + bytes->len - before_len, before_len, err);
}

/* --- Pages -------------------------------------------------------------------------------------------------------- */

void gm_values_init(struct gm_values_in *values, enum gm_read_kind kind, size_t memory_bytes)
{
	*values = (struct gm_values_in){.kind = kind, .none = true};
	gm_buf_init(&values->previous, memory_bytes);
}

void gm_values_release(struct gm_values_in *values)
{
	gm_buf_release(&values->previous);
}

void gm_values_out_init(struct gm_values_out *out, size_t memory_bytes)
{
	/* As many as a batch has slots, which the caller decides. */
	gm_buf_init(&out->wide, SIZE_MAX);
	gm_buf_init(&out->narrow, SIZE_MAX);
	gm_buf_init(&out->flags, SIZE_MAX);
	gm_buf_init(&out->bytes, memory_bytes < SIZE_MAX / 2 ? memory_bytes + GM_READ_SLACK : SIZE_MAX);
}

void gm_values_out_release(struct gm_values_out *out)
{
	gm_buf_release(&out->wide);
	gm_buf_release(&out->narrow);
	gm_buf_release(&out->flags);
	gm_buf_release(&out->bytes);
}

/* Whether the encoding exists for the type. */
static bool encoding_fits(enum gm_read_kind kind, int32_t encoding)
{
	bool number = kind != GM_READ_BOOLEAN && kind != GM_READ_STRING, integer = number && kind != GM_READ_INT96;
	switch (encoding) {
	case GM_FORMAT_PLAIN: return true;
	case GM_FORMAT_PLAIN_DICTIONARY:
	case GM_FORMAT_RLE_DICTIONARY: return kind != GM_READ_BOOLEAN;
	case GM_FORMAT_RLE: return kind == GM_READ_BOOLEAN;
	case GM_FORMAT_DELTA_BINARY_PACKED: return integer && kind != GM_READ_FLOAT && kind != GM_READ_DOUBLE;
	case GM_FORMAT_DELTA_LENGTH_BYTE_ARRAY:
	case GM_FORMAT_DELTA_BYTE_ARRAY: return kind == GM_READ_STRING;
	case GM_FORMAT_BYTE_STREAM_SPLIT: return integer;
	default: return false;
	}
}

static enum gm_code check_encoding(enum gm_read_kind kind, int32_t encoding, struct gm_error *err)
{
	if (encoding_fits(kind, encoding)) return GM_OK;
	const char *name = gm_read_encoding_name(encoding);
	if (name == NULL) GM_FAIL(err, GM_UNSUPPORTED, "encoding %d is not known", encoding);
	GM_FAIL(err, GM_UNSUPPORTED, "encoding %s is not supported for this type", name);
}

static enum gm_code open_indices(struct gm_values_in *values, struct gm_page_part part, struct gm_error *err)
{
	unsigned width = part.data[0];
	if (width > 32) GM_FAIL(err, GM_CORRUPT, "a page tells indices of %u bits", width);
	gm_hybrid_open(&values->hybrid, part.data + 1, part.bytes - 1, width);
	return GM_OK;
}

static enum gm_code open_booleans(struct gm_values_in *values, struct gm_page_part part, struct gm_error *err)
{
	uint32_t bytes;
	if (part.bytes < sizeof bytes) return values_end(err);
	memcpy(&bytes, part.data, sizeof bytes);
	if (bytes > part.bytes - sizeof bytes) return values_end(err);
	gm_hybrid_open(&values->hybrid, part.data + sizeof bytes, bytes, 1);
	return GM_OK;
}

/* The deltas at `at`, and where what follows them begins. */
static enum gm_code open_lengths(struct gm_values_in *values, struct gm_diffs_in *lengths, struct gm_error *err)
{
	const uint8_t *next = NULL;
	if (gm_diffs_open(lengths, values->at, (size_t)(values->end - values->at))) next = gm_diffs_end(lengths);
	if (next == NULL) GM_FAIL(err, GM_CORRUPT, "the lengths of the strings of a page make no sense");
	lengths->end = values->at = next;
	return GM_OK;
}

enum gm_code gm_values_open(struct gm_values_in *values, const struct gm_dictionary_in *dictionary, int32_t encoding,
                            struct gm_page_part part, struct gm_error *err)
{
	values->encoding = encoding;
	values->dictionary = dictionary;
	values->none = part.bytes == 0;
	values->at = part.data;
	values->end = part.data + part.bytes;
	values->position = 0;
	values->previous.len = 0;
	GM_TRY(check_encoding(values->kind, encoding, err));
	if (values->none) return GM_OK;
	switch (encoding) {
	case GM_FORMAT_PLAIN_DICTIONARY:
	case GM_FORMAT_RLE_DICTIONARY: return open_indices(values, part, err);
	case GM_FORMAT_RLE: return open_booleans(values, part, err);
	case GM_FORMAT_DELTA_BINARY_PACKED:
		if (!gm_diffs_open(&values->delta, part.data, part.bytes))
			GM_FAIL(err, GM_CORRUPT, "the header of the differences of a page makes no sense");
		return GM_OK;
	case GM_FORMAT_DELTA_BYTE_ARRAY: GM_TRY(open_lengths(values, &values->prefixes, err)); /* fall through */
	case GM_FORMAT_DELTA_LENGTH_BYTE_ARRAY: return open_lengths(values, &values->delta, err);
	case GM_FORMAT_BYTE_STREAM_SPLIT:
		values->count = part.bytes / plain_bytes(values->kind);
		if (part.bytes % plain_bytes(values->kind) != 0)
			GM_FAIL(err, GM_CORRUPT, "a page of %zu bytes does not hold whole values", part.bytes);
		return GM_OK;
	default: return GM_OK;
	}
}

static enum gm_code read_strings(struct gm_values_in *values, struct gm_values_out *out, size_t n, size_t slots,
                                 struct gm_vec *vec, struct gm_error *err)
{
	GM_TRY(gm_buf_reserve(&out->narrow, slots * sizeof(uint32_t), err));
	if (has_indices(values->encoding) && !values->none && values->dictionary->loaded) {
		vec->repr = GM_REPR_DICT;
		vec->codes = (uint32_t *)out->narrow.data;
		vec->dict = values->dictionary->strings;
		return indexed_strings(values, vec->codes, n, err);
	}
	vec->repr = GM_REPR_PLAIN;
	vec->ends = (uint32_t *)out->narrow.data;
	vec->bytes = (uint8_t *)(uintptr_t)values->at;
	if (n == 0) return GM_OK;
	if (values->none) return values_end(err);
	switch (values->encoding) {
	case GM_FORMAT_PLAIN: return plain_strings(values, out, n, vec, err);
	case GM_FORMAT_DELTA_LENGTH_BYTE_ARRAY: return measured_strings(values, out, n, vec, err);
	case GM_FORMAT_DELTA_BYTE_ARRAY: return shared_strings(values, out, n, vec, err);
	default: GM_FAIL(err, GM_CORRUPT, "a page has indices, but the column no dictionary");
	}
}

enum gm_code gm_values_read(struct gm_values_in *values, struct gm_values_out *out, size_t n, size_t slots,
                            struct gm_vec *vec, struct gm_error *err)
{
	if (values->kind == GM_READ_STRING) return read_strings(values, out, n, slots, vec, err);
	if (values->kind == GM_READ_BOOLEAN) {
		GM_TRY(gm_buf_reserve(&out->flags, slots, err));
		vec->repr = GM_REPR_BOOL;
		vec->boolean = out->flags.data;
		if (n == 0) return GM_OK;
		return values->none ? values_end(err) : read_booleans(values, vec->boolean, n, err);
	}
	GM_TRY(gm_buf_reserve(&out->wide, slots * sizeof(int64_t), err));
	vec->repr = values->kind == GM_READ_FLOAT || values->kind == GM_READ_DOUBLE ? GM_REPR_F64 : GM_REPR_I64;
	vec->i64 = (int64_t *)out->wide.data; /* or f64, of the same bytes */
	if (n == 0) return GM_OK;
	if (values->none) return values_end(err);
	if (!has_indices(values->encoding)) return read_numbers(values, vec->i64, n, err);
	GM_TRY(gm_buf_reserve(&out->narrow, slots * sizeof(uint32_t), err));
	return indexed_numbers(values, out, n, err);
}

enum gm_code gm_values_finish(const struct gm_values_in *values, struct gm_error *err)
{
	bool left = false;
	if (values->none) return GM_OK;
	switch (values->encoding) {
	case GM_FORMAT_PLAIN: left = values->kind != GM_READ_BOOLEAN && values->at != values->end; break;
	case GM_FORMAT_DELTA_BINARY_PACKED: left = values->delta.left > 0; break;
	case GM_FORMAT_DELTA_BYTE_ARRAY: left = values->prefixes.left > 0; /* fall through */
	case GM_FORMAT_DELTA_LENGTH_BYTE_ARRAY: left = left || values->delta.left > 0 || values->at != values->end; break;
	case GM_FORMAT_BYTE_STREAM_SPLIT: left = values->position != values->count; break;
	default: break; /* runs may be filled up behind their last value */
	}
	if (left) GM_FAIL(err, GM_CORRUPT, "a page has more values than its levels or its header say");
	return GM_OK;
}
