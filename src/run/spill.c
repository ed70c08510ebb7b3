#include "run/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

enum { SPILL_LEVEL = 1 };

/* A segment holds at most a row group's rows: the plan's weight limit and one record; this is far above. */
static const size_t max_column_bytes = (size_t)1 << 31;

struct extent {
	uint32_t raw_bytes, stored_bytes;
};

struct gm_spill {
	const char *directory;
	const uint32_t *slots;
	size_t slot_count;
	int fd;
	uint64_t bytes;
	ZSTD_CCtx *zstd;
	struct gm_buf raw, stored;
	struct extent *table;
};

enum gm_code gm_spill_new(const char *directory, const uint32_t *slots, size_t slot_count, struct gm_spill **out,
                          struct gm_error *err)
{
	struct gm_spill *spill = calloc(1, sizeof *spill);
	if (spill == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a spill file");
	spill->directory = directory;
	spill->slots = slots;
	spill->slot_count = slot_count;
	spill->fd = -1;
	gm_buf_init(&spill->raw, max_column_bytes);
	gm_buf_init(&spill->stored, ZSTD_COMPRESSBOUND(max_column_bytes));
	spill->zstd = ZSTD_createCCtx();
	spill->table = calloc(slot_count + 1, sizeof *spill->table);
	if (spill->zstd == NULL || spill->table == NULL) {
		gm_spill_free(spill);
		GM_FAIL(err, GM_NOMEM, "out of memory for a spill file");
	}
	*out = spill;
	return GM_OK;
}

void gm_spill_free(struct gm_spill *spill)
{
	if (spill == NULL) return;
	if (spill->fd >= 0) (void)close(spill->fd);
	(void)ZSTD_freeCCtx(spill->zstd);
	gm_buf_release(&spill->raw);
	gm_buf_release(&spill->stored);
	free(spill->table);
	free(spill);
}

uint64_t gm_spill_bytes(const struct gm_spill *spill)
{
	return spill->bytes;
}

static enum gm_code open_file(struct gm_spill *spill, struct gm_error *err)
{
	if (spill->fd >= 0) return GM_OK;
	spill->fd = open(spill->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (spill->fd >= 0) return GM_OK;
	/* Some file systems know no O_TMPFILE. */
	char path[4096];
	if (snprintf(path, sizeof path, "%s/.gristmill-spill-XXXXXX", spill->directory) >= (int)sizeof path)
		GM_FAIL(err, GM_USAGE, "the path of the folder for temporary files is too long");
	spill->fd = mkostemp(path, O_CLOEXEC);
	if (spill->fd < 0) return gm_error_errno(err, errno, spill->directory, "cannot create a temporary file");
	(void)unlink(path);
	return GM_OK;
}

static enum gm_code write_all(struct gm_spill *spill, const void *data, size_t bytes, struct gm_error *err)
{
	const uint8_t *at = data;
	while (bytes > 0) {
		ssize_t n = pwrite(spill->fd, at, bytes, (off_t)spill->bytes);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) return gm_error_errno(err, n < 0 ? errno : ENOSPC, spill->directory, "cannot write spilled rows");
		at += n;
		bytes -= (size_t)n;
		spill->bytes += (uint64_t)n;
	}
	return GM_OK;
}

static enum gm_code read_all(const struct gm_spill *spill, void *into, size_t bytes, uint64_t offset,
                             struct gm_error *err)
{
	uint8_t *at = into;
	while (bytes > 0) {
		ssize_t n = pread(spill->fd, at, bytes, (off_t)offset);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) return gm_error_errno(err, n < 0 ? errno : EIO, spill->directory, "cannot read spilled rows");
		at += n;
		bytes -= (size_t)n;
		offset += (uint64_t)n;
	}
	return GM_OK;
}

static inline uint32_t source_row(const struct gm_spill_source *source, uint32_t i)
{
	return source->rows != NULL ? source->rows[i] : source->first + i;
}

static bool any_null(const struct gm_vec *vec)
{
	return vec->repr == GM_REPR_NULL || vec->repr == GM_REPR_DICT || vec->null != NULL;
}

/* Whether flags, then a flag for each row. */
static enum gm_code append_nulls(struct gm_buf *raw, uint32_t slot, const struct gm_spill_source *sources, size_t count,
                                 struct gm_error *err)
{
	uint8_t flags = 0;
	for (size_t i = 0; i < count; i++) flags |= any_null(&sources[i].chunk->vec[slot]);
	GM_TRY(gm_buf_append(raw, &flags, 1, err));
	for (size_t i = 0; flags != 0 && i < count; i++) {
		GM_TRY(gm_buf_reserve(raw, sources[i].count, err));
		for (uint32_t k = 0; k < sources[i].count; k++)
			raw->data[raw->len++] = gm_vec_is_null(&sources[i].chunk->vec[slot], source_row(&sources[i], k));
	}
	return GM_OK;
}

static enum gm_code append_fixed(struct gm_buf *raw, uint32_t slot, const struct gm_spill_source *sources, size_t count,
                                 size_t width, struct gm_error *err)
{
	for (size_t i = 0; i < count; i++) {
		const struct gm_vec *vec = &sources[i].chunk->vec[slot];
		GM_TRY(gm_buf_reserve(raw, sources[i].count * width, err));
		for (uint32_t k = 0; k < sources[i].count; k++) {
			uint8_t *to = raw->data + raw->len;
			if (vec->repr == GM_REPR_NULL)
				memset(to, 0, width);
			else if (width == 1)
				*to = vec->boolean[source_row(&sources[i], k)];
			else
				memcpy(to, &vec->i64[source_row(&sources[i], k)], sizeof(int64_t));
			raw->len += width;
		}
	}
	return GM_OK;
}

static enum gm_code append_strings(struct gm_buf *raw, uint32_t slot, const struct gm_spill_source *sources,
                                   size_t count, struct gm_error *err)
{
	uint32_t end = 0;
	for (size_t i = 0; i < count; i++) {
		const struct gm_vec *vec = &sources[i].chunk->vec[slot];
		GM_TRY(gm_buf_reserve(raw, sources[i].count * sizeof end, err));
		for (uint32_t k = 0; k < sources[i].count; k++) {
			uint32_t row = source_row(&sources[i], k), len = 0;
			if (!gm_vec_is_null(vec, row)) (void)gm_vec_string(vec, row, &len);
			end += len;
			memcpy(raw->data + raw->len, &end, sizeof end);
			raw->len += sizeof end;
		}
	}
	GM_TRY(gm_buf_reserve(raw, end, err));
	for (size_t i = 0; i < count; i++) {
		const struct gm_vec *vec = &sources[i].chunk->vec[slot];
		for (uint32_t k = 0; k < sources[i].count; k++) {
			uint32_t row = source_row(&sources[i], k), len;
			if (gm_vec_is_null(vec, row)) continue;
			const uint8_t *value = gm_vec_string(vec, row, &len);
			if (len > 0) memcpy(raw->data + raw->len, value, len);
			raw->len += len;
		}
	}
	return GM_OK;
}

static enum gm_code append_column(struct gm_buf *raw, uint32_t slot, const struct gm_spill_source *sources,
                                  size_t count, struct gm_error *err)
{
	raw->len = 0;
	GM_TRY(append_nulls(raw, slot, sources, count, err));
	switch (sources[0].chunk->vec[slot].type) {
	case GM_TYPE_STRING: return append_strings(raw, slot, sources, count, err);
	case GM_TYPE_BOOLEAN: return append_fixed(raw, slot, sources, count, 1, err);
	default: return append_fixed(raw, slot, sources, count, sizeof(int64_t), err);
	}
}

enum gm_code gm_spill_write(struct gm_spill *spill, const struct gm_spill_source *sources, size_t source_count,
                            uint64_t *offset, struct gm_error *err)
{
	GM_TRY(open_file(spill, err));
	*offset = spill->bytes;
	size_t table_bytes = spill->slot_count * sizeof *spill->table;
	spill->stored.len = 0;
	GM_TRY(gm_buf_reserve(&spill->stored, table_bytes, err));
	spill->stored.len = table_bytes;
	for (size_t i = 0; i < spill->slot_count; i++) {
		GM_TRY(append_column(&spill->raw, spill->slots[i], sources, source_count, err));
		GM_TRY(gm_buf_reserve(&spill->stored, ZSTD_compressBound(spill->raw.len), err));
		size_t n =
		    ZSTD_compressCCtx(spill->zstd, spill->stored.data + spill->stored.len,
		                      spill->stored.cap - spill->stored.len, spill->raw.data, spill->raw.len, SPILL_LEVEL);
		if (ZSTD_isError(n)) GM_FAIL(err, GM_NOMEM, "cannot compress spilled rows: %s", ZSTD_getErrorName(n));
		spill->table[i] = (struct extent){(uint32_t)spill->raw.len, (uint32_t)n};
		spill->stored.len += n;
	}
	memcpy(spill->stored.data, spill->table, table_bytes);
	return write_all(spill, spill->stored.data, spill->stored.len, err);
}

/* Finds column's place in a segment by adding up the extents before it. */
static enum gm_code find_column(const struct gm_spill *spill, uint64_t segment, size_t column, struct extent *extent,
                                uint64_t *offset, struct gm_error *err)
{
	struct extent *table = malloc(spill->slot_count * sizeof *table);
	if (table == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for spilled rows");
	enum gm_code rc = read_all(spill, table, spill->slot_count * sizeof *table, segment, err);
	*offset = segment + spill->slot_count * sizeof *table;
	for (size_t i = 0; rc == GM_OK && i < column; i++) *offset += table[i].stored_bytes;
	if (rc == GM_OK) *extent = table[column];
	free(table);
	return rc;
}

/* Points vec into the raw column. The flags are one byte, so values may be unaligned: they are moved down over it. */
static void view_column(uint8_t *raw, size_t raw_bytes, enum gm_type type, uint32_t rows, struct gm_vec *vec)
{
	bool flags = raw[0] != 0;
	uint8_t *null = raw + 1, *values = null + (flags ? rows : 0);
	size_t value_bytes = raw_bytes - (size_t)(values - raw);
	/* Values first, at the aligned start; then the flags. raw has room for one more copy of the flags. */
	uint8_t *moved = raw + raw_bytes;
	if (flags) memcpy(moved, null, rows);
	memmove(raw, values, value_bytes);
	*vec = (struct gm_vec){.type = type, .null = flags ? moved : NULL};
	switch (type) {
	case GM_TYPE_STRING:
		vec->repr = GM_REPR_PLAIN;
		vec->ends = (uint32_t *)(void *)raw;
		vec->bytes = raw + rows * sizeof(uint32_t);
		break;
	case GM_TYPE_BOOLEAN:
		vec->repr = GM_REPR_BOOL;
		vec->boolean = raw;
		break;
	case GM_TYPE_DOUBLE:
		vec->repr = GM_REPR_F64;
		vec->f64 = (double *)(void *)raw;
		break;
	default:
		vec->repr = GM_REPR_I64;
		vec->i64 = (int64_t *)(void *)raw;
		break;
	}
}

enum gm_code gm_spill_read(struct gm_spill *spill, uint64_t offset, size_t column, uint32_t rows, struct gm_vec *vec,
                           void **memory, struct gm_error *err)
{
	struct extent extent = {0};
	uint64_t at = 0;
	*memory = NULL;
	GM_TRY(find_column(spill, offset, column, &extent, &at, err));
	uint8_t *stored = malloc((size_t)extent.stored_bytes + 1);
	uint8_t *raw = malloc((size_t)extent.raw_bytes + rows + 1);
	enum gm_code rc = GM_OK;
	if (stored == NULL || raw == NULL) {
		rc = gm_error_set(err, GM_NOMEM, "out of memory for %u bytes of spilled rows", extent.raw_bytes);
		goto out;
	}
	GM_TRY_OUT(read_all(spill, stored, extent.stored_bytes, at, err));
	if (ZSTD_decompress(raw, extent.raw_bytes, stored, extent.stored_bytes) != extent.raw_bytes) {
		rc = gm_error_set(err, GM_CORRUPT, "spilled rows came back damaged from the disk");
		goto out;
	}
	view_column(raw, extent.raw_bytes, vec->type, rows, vec);
	*memory = raw;
	raw = NULL;
out:
	free(stored);
	free(raw);
	return rc;
}
