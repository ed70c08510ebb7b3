#include "shred/columns.h"

#include "base/stopwatch.h"
#include "base/time.h"
#include "shred/simd.h"

#include <stdlib.h>

enum {
	ROWS_A_BATCH = GM_DICT_BATCH,
	VERDICT_VALUES = 4096,      /* values between two looks at a dictionary's use */
	PLAIN_VALUES = 1024 * 1024, /* values without dictionary before it is tried again */
	LONG_BYTES = 64 * 1024,     /* a value no dictionary should keep */
	TEXT_BLOCK_BYTES = 64 * 1024,
	TEXT_KEEP_BYTES = 4 * 1024 * 1024,
	DICT_MIN_BYTES = 256 * 1024,         /* smaller ones are not worth starting afresh */
	HUGE_LIMIT_BYTES = 16 * 1024 * 1024, /* all dictionaries together may have so much: each may have some to spare, */
	HUGE_FROM_BYTES = 512 * 1024,        /* and grows by huge pages from here on */
	PADDING = 8,                         /* readable bytes behind plain strings, and alignment of every array */
};

static void set_range(struct gm_leaf *leaf)
{
	static const int64_t per_second[] = {
	    [GM_UNIT_S] = 1, [GM_UNIT_MS] = 1000, [GM_UNIT_US] = 1000000, [GM_UNIT_NS] = 1000000000};
	leaf->low = INT64_MIN;
	leaf->high = INT64_MAX;
	leaf->multiply = leaf->divide = 1;
	if (leaf->spec.type == GM_TYPE_INT) {
		leaf->low = INT32_MIN;
		leaf->high = INT32_MAX;
	} else if (leaf->spec.type == GM_TYPE_TIMESTAMP) {
		int64_t units = per_second[leaf->spec.unit];
		leaf->floor = true;
		if (units > GM_US_PER_SECOND) { /* all of it lies within the years 1677 to 2262 */
			leaf->divide = units / GM_US_PER_SECOND;
		} else {
			leaf->multiply = GM_US_PER_SECOND / units;
			leaf->low = GM_TIME_MIN / leaf->multiply;
			leaf->high = GM_TIME_MAX / leaf->multiply;
		}
	}
}

static enum gm_kind kind_of(enum gm_type type)
{
	switch (type) {
	case GM_TYPE_BOOLEAN: return GM_KIND_BOOLEAN;
	case GM_TYPE_DOUBLE: return GM_KIND_DOUBLE;
	case GM_TYPE_STRING: return GM_KIND_STRING;
	case GM_TYPE_DATE: return GM_KIND_DATE;
	default: return GM_KIND_INTEGER;
	}
}

static bool init_leaf(struct gm_leaf *leaf, const struct gm_shred_leaf *spec)
{
	leaf->spec = *spec;
	leaf->kind = kind_of(spec->type);
	set_range(leaf);
	if (leaf->kind == GM_KIND_STRING) {
		leaf->refs = malloc(ROWS_A_BATCH * sizeof *leaf->refs);
		leaf->codes = malloc(GM_CHUNK_ROWS * sizeof *leaf->codes);
		return leaf->refs != NULL && leaf->codes != NULL;
	}
	leaf->null = malloc(GM_CHUNK_ROWS);
	leaf->values = malloc(GM_CHUNK_ROWS * (leaf->kind == GM_KIND_BOOLEAN ? 1 : sizeof(int64_t)));
	return leaf->null != NULL && leaf->values != NULL;
}

enum gm_code gm_columns_init(struct gm_columns *columns, const struct gm_shred_leaf *leaves, size_t count,
                             size_t dict_bytes_max, struct gm_error *err)
{
	*columns =
	    (struct gm_columns){.count = count, .dict_bytes_max = dict_bytes_max, .hash_seed = gm_dict_seed(columns)};
	gm_arena_init(&columns->text, TEXT_BLOCK_BYTES);
	columns->leaves = calloc(count + 1, sizeof *columns->leaves);
	columns->weight = malloc(GM_CHUNK_ROWS * sizeof *columns->weight);
	columns->record = malloc(GM_CHUNK_ROWS * sizeof *columns->record);
	columns->offset = malloc(GM_CHUNK_ROWS * sizeof *columns->offset);
	columns->length = malloc(GM_CHUNK_ROWS * sizeof *columns->length);
	bool good = columns->leaves != NULL && columns->weight != NULL && columns->record != NULL &&
	            columns->offset != NULL && columns->length != NULL;
	for (size_t i = 0; good && i < count; i++) good = init_leaf(&columns->leaves[i], &leaves[i]);
	if (!good) GM_FAIL(err, GM_NOMEM, "out of memory for the rows of %zu columns", count);
	gm_columns_begin(columns);
	return GM_OK;
}

static void release_leaf(struct gm_leaf *leaf)
{
	free(leaf->values); /* or refs */
	free(leaf->kept);
	free(leaf->codes);
	free(leaf->null);
	gm_dict_unref(leaf->dict);
}

void gm_columns_release(struct gm_columns *columns)
{
	for (size_t i = 0; columns->leaves != NULL && i < columns->count; i++) release_leaf(&columns->leaves[i]);
	free(columns->leaves);
	free(columns->weight);
	free(columns->record);
	free(columns->offset);
	free(columns->length);
	gm_arena_release(&columns->text);
	*columns = (struct gm_columns){0};
}

static bool uses_dict(const struct gm_leaf *leaf)
{
	return !leaf->plain && !leaf->plain_once;
}

/* Readies the next batch: everything is null until it is set. */
static void begin_batch(struct gm_columns *columns)
{
	uint32_t start = columns->batch_start = columns->rows;
	columns->at = 0;
	if (start == GM_CHUNK_ROWS) return;
	for (size_t i = 0; i < columns->count; i++) {
		struct gm_leaf *leaf = &columns->leaves[i];
		if (leaf->kind == GM_KIND_STRING)
			memset(leaf->refs, 0, ROWS_A_BATCH * sizeof *leaf->refs);
		else
			memset(leaf->null + start, 1, ROWS_A_BATCH);
	}
	uint64_t *weight = columns->weight + start;
	for (uint32_t i = 0; i < ROWS_A_BATCH; i++) weight[i] = 16;
}

/* What escapes and ill-formed bytes became. Large values leave no memory behind. */
static void forget_text(struct gm_columns *columns)
{
	if (columns->text.total_bytes > TEXT_KEEP_BYTES)
		gm_arena_release(&columns->text);
	else
		gm_arena_reset(&columns->text);
}

void gm_columns_begin(struct gm_columns *columns)
{
	forget_text(columns);
	for (size_t i = 0; i < columns->count; i++) {
		struct gm_leaf *leaf = &columns->leaves[i];
		leaf->plain_once = false;
		leaf->any_code = 0;
		leaf->fault = GM_FAULT_NONE;
		leaf->mended = 0;
	}
	columns->faults = 0;
	columns->mended = false;
	columns->rows = 0;
	begin_batch(columns);
}

void gm_columns_clear_leaf(struct gm_columns *columns, struct gm_leaf *leaf)
{
	if (leaf->kind == GM_KIND_STRING)
		leaf->refs[columns->at] = (struct gm_ref){0};
	else
		leaf->null[columns->rows] = 1;
	if (leaf->fault != GM_FAULT_NONE) columns->faults--;
	leaf->fault = GM_FAULT_NONE;
	leaf->mended = 0;
}

void gm_columns_clear_row(struct gm_columns *columns)
{
	for (size_t i = 0; i < columns->count; i++) gm_columns_clear_leaf(columns, &columns->leaves[i]);
	columns->mended = false;
}

/* --- Dictionary codes --------------------------------------------------------------------------------------------- */

/* Codes for the n rows of a batch. False when the dictionary cannot take more. */
static bool look_up_batch(struct gm_leaf *leaf, uint32_t *codes, uint32_t n, uint64_t seed)
{
	uint32_t some;
	if (!gm_dict_put_all(leaf->dict, leaf->refs, n, seed, codes, &some)) {
		leaf->full = true;
		return false;
	}
	leaf->any_code |= some;
	leaf->values_seen += some;
	return true;
}

/* Takes back the codes of this chunk's first rows: they become references to the dictionary's entries. */
static void undo_codes(struct gm_leaf *leaf, uint32_t rows)
{
	for (uint32_t i = 0; i < rows; i++) {
		leaf->kept[i] = (struct gm_ref){0};
		if (leaf->codes[i] != GM_DICT_NULL)
			leaf->kept[i].bytes = gm_dict_get(leaf->dict, leaf->codes[i], &leaf->kept[i].len);
	}
	leaf->plain_once = true;
}

/* Adds the values' lengths to the rows' weights. Whether one of them is long. */
static bool weigh(struct gm_columns *columns, const struct gm_leaf *leaf)
{
	const struct gm_ref *refs = leaf->refs;
	uint64_t *weight = columns->weight + columns->batch_start;
	uint32_t n = columns->at, lengths = 0;
	for (uint32_t i = 0; i < n; i++) {
		weight[i] += refs[i].len; /* 0 where null */
		lengths |= refs[i].len;
	}
	return lengths >= LONG_BYTES; /* a power of two */
}

static struct gm_dict *new_dict(const struct gm_columns *columns)
{
	struct gm_dict *dict = gm_dict_new();
	if (dict != NULL && columns->dict_bytes_max >= HUGE_LIMIT_BYTES) dict->huge_from = HUGE_FROM_BYTES;
	return dict;
}

static bool flush_strings(struct gm_columns *columns, struct gm_leaf *leaf)
{
	uint32_t start = columns->batch_start, n = columns->at;
	bool too_long = weigh(columns, leaf);
	if (uses_dict(leaf)) {
		if (leaf->dict == NULL) leaf->dict = new_dict(columns);
		if (leaf->dict == NULL) return false;
		if (!too_long && look_up_batch(leaf, leaf->codes + start, n, columns->hash_seed)) return true;
	}
	if (leaf->kept == NULL) leaf->kept = malloc(GM_CHUNK_ROWS * sizeof *leaf->kept);
	if (leaf->kept == NULL) return false;
	if (uses_dict(leaf)) undo_codes(leaf, start);
	memcpy(leaf->kept + start, leaf->refs, n * sizeof *leaf->refs);
	return true;
}

/* Eight for each value that is not null. */
static void weigh_fixed(struct gm_columns *columns, const struct gm_leaf *leaf)
{
	const uint8_t *null = leaf->null + columns->batch_start;
	uint64_t *weight = columns->weight + columns->batch_start;
	uint32_t n = columns->at;
	for (uint32_t i = 0; i < n; i++) weight[i] += null[i] != 0 ? 0 : 8;
}

static bool flush_batch(struct gm_columns *columns)
{
	for (size_t i = 0; i < columns->count; i++) {
		struct gm_leaf *leaf = &columns->leaves[i];
		if (leaf->kind != GM_KIND_STRING)
			weigh_fixed(columns, leaf);
		else if (!flush_strings(columns, leaf))
			return false;
	}
	return true;
}

/* Turns the rows since batch_start into what finish copies. */
static bool flush(struct gm_columns *columns)
{
	if (columns->at == 0) return true;
	enum gm_stage outer = gm_stage_enter(GM_STAGE_INTERN);
	bool ok = flush_batch(columns);
	(void)gm_stage_enter(outer);
	return ok;
}

bool gm_columns_advance(struct gm_columns *columns, uint64_t record, uint64_t offset, uint32_t length)
{
	uint32_t row = columns->rows++;
	columns->at++;
	columns->record[row] = record;
	columns->offset[row] = offset;
	columns->length[row] = length;
	if (columns->at < ROWS_A_BATCH) return true;
	if (!flush(columns)) return false;
	begin_batch(columns);
	return true;
}

/* --- Chunks ------------------------------------------------------------------------------------------------------- */

/* One allocation for all arrays that go the same way, its size rounded up to one of eight steps per power of two:
 * chunks are used again, and sizes that are all different would leave each other's blocks unused. */
static uint8_t *take_slab(struct gm_arena *arena, size_t bytes)
{
	size_t step = 4096;
	while (step < bytes / 8) step *= 2;
	return gm_arena_alloc(arena, (bytes + step - 1) / step * step);
}

struct slab {
	uint8_t *next; /* NULL: only count */
	size_t bytes;
};

/* A copy of n bytes at the next aligned place of the slab. from NULL: room only. */
static void *slab_copy(struct slab *slab, const void *from, size_t n)
{
	uint8_t *at = slab->next;
	size_t room = (n + 2 * PADDING - 1) / PADDING * PADDING;
	slab->bytes += room;
	if (at == NULL) return NULL;
	slab->next += room;
	if (from != NULL) memcpy(at, from, n);
	return at;
}

static size_t plain_bytes(const struct gm_leaf *leaf, uint32_t rows)
{
	const struct gm_ref *kept = leaf->kept;
	size_t total = 0;
	for (uint32_t i = 0; i < rows; i++) total += kept[i].len; /* 0 where null */
	return total;
}

static void fill_plain(const struct gm_leaf *leaf, uint32_t rows, struct gm_vec *vec)
{
	const struct gm_ref *kept = leaf->kept;
	uint8_t *null = vec->null, *start = vec->bytes, *to = start;
	uint32_t *ends = vec->ends, nulls = 0;
	for (uint32_t i = 0; i < rows; i++) {
		struct gm_ref ref = kept[i];
		null[i] = ref.bytes == NULL;
		nulls += null[i];
		if (ref.bytes != NULL && ref.len > 0) memcpy(to, ref.bytes, ref.len);
		to += ref.len;
		ends[i] = (uint32_t)(to - start);
	}
	if (nulls == 0 || nulls == rows) vec->null = NULL;
	if (nulls == rows) vec->repr = GM_REPR_NULL;
}

/* With a counting slab only the size is found; else the vec is filled. */
static void copy_strings(struct gm_leaf *leaf, uint32_t rows, struct slab *slab, struct gm_vec *vec)
{
	if (!uses_dict(leaf)) {
		void *bytes = slab_copy(slab, NULL, plain_bytes(leaf, rows));
		void *ends = slab_copy(slab, NULL, rows * sizeof(uint32_t));
		void *null = slab_copy(slab, NULL, rows);
		if (slab->next == NULL) return;
		*vec =
		    (struct gm_vec){.type = GM_TYPE_STRING, .repr = GM_REPR_PLAIN, .null = null, .bytes = bytes, .ends = ends};
		fill_plain(leaf, rows, vec);
	} else if (leaf->any_code != 0) {
		void *codes = slab_copy(slab, leaf->codes, rows * sizeof *leaf->codes);
		if (slab->next == NULL) return;
		*vec = (struct gm_vec){.type = GM_TYPE_STRING, .repr = GM_REPR_DICT, .codes = codes};
		vec->dict = gm_dict_ref(leaf->dict);
	}
}

static void copy_values(const struct gm_leaf *leaf, uint32_t rows, struct slab *slab, struct gm_vec *vec)
{
	if (memchr(leaf->null, 0, rows) == NULL) return; /* all null */
	bool nulls = memchr(leaf->null, 1, rows) != NULL;
	void *null = nulls ? slab_copy(slab, leaf->null, rows) : NULL;
	bool boolean = leaf->kind == GM_KIND_BOOLEAN;
	void *values = slab_copy(slab, leaf->values, rows * (boolean ? 1 : sizeof(int64_t)));
	if (slab->next == NULL) return;
	vec->null = null;
	vec->repr = boolean ? GM_REPR_BOOL : leaf->kind == GM_KIND_DOUBLE ? GM_REPR_F64 : GM_REPR_I64;
	if (boolean)
		vec->boolean = values;
	else if (leaf->kind == GM_KIND_DOUBLE)
		vec->f64 = values;
	else
		vec->i64 = values;
}

/* What is known of each row apart from its values. */
static void copy_rows(const struct gm_columns *columns, struct slab *slab, struct gm_chunk *chunk)
{
	uint32_t rows = columns->rows;
	void *record = slab_copy(slab, columns->record, rows * sizeof *columns->record);
	void *offset = slab_copy(slab, columns->offset, rows * sizeof *columns->offset);
	void *length = slab_copy(slab, columns->length, rows * sizeof *columns->length);
	void *weight = slab_copy(slab, NULL, rows * sizeof *chunk->weight);
	void *fate = slab_copy(slab, NULL, rows);
	if (slab->next == NULL) return;
	chunk->rows = rows;
	chunk->record = record;
	chunk->offset = offset;
	chunk->length = length;
	chunk->weight = weight;
	chunk->fate = memset(fate, GM_FATE_KEEP, rows);
	const uint64_t *from = columns->weight;
	uint32_t *to = chunk->weight;
	for (uint32_t i = 0; i < rows; i++) to[i] = from[i] < UINT32_MAX ? (uint32_t)from[i] : UINT32_MAX;
}

static void copy_leaves(struct gm_columns *columns, struct slab *slab, struct gm_chunk *chunk)
{
	for (size_t i = 0; i < columns->count; i++) {
		struct gm_leaf *leaf = &columns->leaves[i];
		struct gm_vec *vec = &chunk->vec[i];
		vec->type = leaf->spec.type;
		if (leaf->kind == GM_KIND_STRING)
			copy_strings(leaf, columns->rows, slab, vec);
		else
			copy_values(leaf, columns->rows, slab, vec);
	}
}

/* Are nearly all values new? A dictionary of them is no use. */
static bool nearly_distinct(const struct gm_leaf *leaf)
{
	uint64_t added = leaf->dict->count - leaf->count_then;
	return leaf->values_seen > 0 && added > leaf->values_seen / 8 * 7;
}

/* Whether the leaf should go on as it does. */
static void judge(struct gm_leaf *leaf, uint32_t rows)
{
	if (leaf->plain) {
		leaf->values_seen += rows;
		if (leaf->values_seen < PLAIN_VALUES) return;
		leaf->plain = false;
	} else if (leaf->full) {
		leaf->full = false;
		gm_dict_unref(leaf->dict);
		leaf->dict = NULL;
	} else {
		if (leaf->dict == NULL || leaf->values_seen < VERDICT_VALUES) return;
		leaf->plain = nearly_distinct(leaf);
	}
	if (leaf->plain) {
		gm_dict_unref(leaf->dict);
		leaf->dict = NULL;
	}
	leaf->values_seen = 0;
	leaf->count_then = leaf->dict != NULL ? leaf->dict->count : 0;
}

static size_t dictionary_bytes(const struct gm_columns *columns)
{
	size_t total = 0;
	for (size_t i = 0; i < columns->count; i++) {
		const struct gm_dict *dict = columns->leaves[i].dict;
		total += dict != NULL ? gm_dict_memory_bytes(dict) : 0;
	}
	return total;
}

/* Starts the largest dictionaries afresh until what remains is well below the limit. Chunks keep the old ones alive.
 * Long values fill a dictionary long before there are enough of them for judge(): its verdict is due now. */
static void limit_dictionaries(struct gm_columns *columns)
{
	size_t limit = columns->dict_bytes_max;
	while (dictionary_bytes(columns) > limit) {
		size_t most = 0;
		struct gm_leaf *largest = NULL;
		for (size_t i = 0; i < columns->count; i++) {
			struct gm_leaf *leaf = &columns->leaves[i];
			size_t bytes = leaf->dict != NULL ? gm_dict_memory_bytes(leaf->dict) : 0;
			if (bytes <= most) continue;
			most = bytes;
			largest = leaf;
		}
		if (most < DICT_MIN_BYTES) return;
		largest->plain = nearly_distinct(largest);
		gm_dict_unref(largest->dict);
		largest->dict = NULL;
		largest->values_seen = 0;
		largest->count_then = 0;
		limit = columns->dict_bytes_max / 2;
	}
}

enum gm_code gm_columns_finish(struct gm_columns *columns, struct gm_chunk *chunk, struct gm_error *err)
{
	if (!flush(columns)) GM_FAIL(err, GM_NOMEM, "out of memory for a dictionary");
	struct slab rows = {0}, leaves = {0};
	copy_rows(columns, &rows, chunk);
	copy_leaves(columns, &leaves, chunk);
	rows.next = take_slab(&chunk->passing, rows.bytes);
	leaves.next = take_slab(&chunk->arena, leaves.bytes);
	if (rows.next == NULL || leaves.next == NULL)
		GM_FAIL(err, GM_NOMEM, "out of memory for a chunk of %u rows", columns->rows);
	copy_rows(columns, &rows, chunk);
	copy_leaves(columns, &leaves, chunk);
	size_t bytes = dictionary_bytes(columns);
	chunk->dictionary_bytes = bytes > columns->dict_bytes ? bytes - columns->dict_bytes : 0;
	for (size_t i = 0; i < columns->count; i++)
		if (columns->leaves[i].kind == GM_KIND_STRING) judge(&columns->leaves[i], columns->rows);
	limit_dictionaries(columns);
	columns->dict_bytes = dictionary_bytes(columns);
	forget_text(columns); /* all of it is copied, and the chunk's way may be long */
	return GM_OK;
}
