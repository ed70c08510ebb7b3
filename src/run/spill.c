#include "run/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

/* Both ways a column passes through buffers of a fixed size, so that one with huge values costs no more memory than any
 * other. */
enum {
	SPILL_LEVEL = 1,
	PIECE_BYTES = 128 * 1024, /* of a raw column that are compressed as a frame */
	STORED_BYTES = ZSTD_COMPRESSBOUND(PIECE_BYTES) + PIECE_BYTES,
	INPUT_BYTES = ZSTD_COMPRESSBOUND(PIECE_BYTES),
};

/* A segment holds at most a row group's rows: the plan's weight limit and one record; this is far above. */
static const uint64_t max_column_bytes = (uint64_t)1 << 31;

struct extent {
	uint32_t raw_bytes, stored_bytes;
};

struct gm_spill {
	const char *directory;
	const uint32_t *slots;
	size_t slot_count;
	int fd;
	uint64_t bytes; /* given so far */
	ZSTD_CCtx *zstd;
	uint8_t *piece; /* of the column in hand, not compressed yet */
	size_t piece_len;
	uint64_t raw_bytes; /* of the column in hand */
	uint8_t *stored;    /* not written yet: the last stored_len of `bytes` */
	size_t stored_len;
	struct extent *table;
};

struct gm_spill_reader {
	ZSTD_DCtx *zstd;
	uint8_t input[INPUT_BYTES];
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for spilled rows");
}

enum gm_code gm_spill_new(const char *directory, const uint32_t *slots, size_t slot_count, struct gm_spill **out,
                          struct gm_error *err)
{
	struct gm_spill *spill = calloc(1, sizeof *spill);
	if (spill == NULL) return out_of_memory(err);
	spill->directory = directory;
	spill->slots = slots;
	spill->slot_count = slot_count;
	spill->fd = -1;
	spill->table = calloc(slot_count + 1, sizeof *spill->table);
	if (spill->table == NULL) {
		gm_spill_free(spill);
		return out_of_memory(err);
	}
	*out = spill;
	return GM_OK;
}

void gm_spill_free(struct gm_spill *spill)
{
	if (spill == NULL) return;
	if (spill->fd >= 0) (void)close(spill->fd);
	(void)ZSTD_freeCCtx(spill->zstd);
	free(spill->piece);
	free(spill->stored);
	free(spill->table);
	free(spill);
}

uint64_t gm_spill_bytes(const struct gm_spill *spill)
{
	return spill->bytes;
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

static enum gm_code open_file(struct gm_spill *spill, struct gm_error *err)
{
	if (spill->fd >= 0) return GM_OK;
	if (spill->zstd == NULL) spill->zstd = ZSTD_createCCtx();
	if (spill->piece == NULL) spill->piece = malloc(PIECE_BYTES);
	if (spill->stored == NULL) spill->stored = malloc(STORED_BYTES);
	if (spill->zstd == NULL || spill->piece == NULL || spill->stored == NULL) return out_of_memory(err);
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

enum gm_code gm_spill_flush(struct gm_spill *spill, struct gm_error *err)
{
	const uint8_t *at = spill->stored;
	uint64_t offset = spill->bytes - spill->stored_len;
	while (spill->stored_len > 0) {
		ssize_t n = pwrite(spill->fd, at, spill->stored_len, (off_t)offset);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) return gm_error_errno(err, n < 0 ? errno : ENOSPC, spill->directory, "cannot write spilled rows");
		at += n;
		offset += (uint64_t)n;
		spill->stored_len -= (size_t)n;
	}
	return GM_OK;
}

/* Room for `bytes` more behind what waits to be written; at most STORED_BYTES. */
static enum gm_code make_room(struct gm_spill *spill, size_t bytes, struct gm_error *err)
{
	return STORED_BYTES - spill->stored_len < bytes ? gm_spill_flush(spill, err) : GM_OK;
}

static enum gm_code end_piece(struct gm_spill *spill, struct gm_error *err)
{
	if (spill->piece_len == 0) return GM_OK;
	GM_TRY(make_room(spill, ZSTD_compressBound(spill->piece_len), err));
	size_t n = ZSTD_compressCCtx(spill->zstd, spill->stored + spill->stored_len, STORED_BYTES - spill->stored_len,
	                             spill->piece, spill->piece_len, SPILL_LEVEL);
	if (ZSTD_isError(n)) GM_FAIL(err, GM_NOMEM, "cannot compress spilled rows: %s", ZSTD_getErrorName(n));
	spill->stored_len += n;
	spill->bytes += n;
	spill->raw_bytes += spill->piece_len;
	spill->piece_len = 0;
	return GM_OK;
}

/* Where the next `bytes` (few) of the column go. */
static inline enum gm_code put_few(struct gm_spill *spill, size_t bytes, uint8_t **to, struct gm_error *err)
{
	if (PIECE_BYTES - spill->piece_len < bytes) GM_TRY(end_piece(spill, err));
	*to = spill->piece + spill->piece_len;
	spill->piece_len += bytes;
	return GM_OK;
}

static enum gm_code put(struct gm_spill *spill, const uint8_t *from, size_t bytes, struct gm_error *err)
{
	while (bytes > 0) {
		size_t n = PIECE_BYTES - spill->piece_len < bytes ? PIECE_BYTES - spill->piece_len : bytes;
		memcpy(spill->piece + spill->piece_len, from, n);
		spill->piece_len += n;
		from += n;
		bytes -= n;
		if (spill->piece_len == PIECE_BYTES) GM_TRY(end_piece(spill, err));
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
static enum gm_code put_nulls(struct gm_spill *spill, uint32_t slot, const struct gm_spill_source *sources,
                              size_t count, struct gm_error *err)
{
	uint8_t flags = 0, *to;
	for (size_t i = 0; i < count; i++) flags |= any_null(&sources[i].chunk->vec[slot]);
	GM_TRY(put(spill, &flags, 1, err));
	for (size_t i = 0; flags != 0 && i < count; i++) {
		const struct gm_vec *vec = &sources[i].chunk->vec[slot];
		for (uint32_t k = 0; k < sources[i].count; k++) {
			GM_TRY(put_few(spill, 1, &to, err));
			*to = gm_vec_is_null(vec, source_row(&sources[i], k));
		}
	}
	return GM_OK;
}

static enum gm_code put_fixed(struct gm_spill *spill, uint32_t slot, const struct gm_spill_source *sources,
                              size_t count, size_t width, struct gm_error *err)
{
	for (size_t i = 0; i < count; i++) {
		const struct gm_vec *vec = &sources[i].chunk->vec[slot];
		for (uint32_t k = 0; k < sources[i].count; k++) {
			uint8_t *to;
			GM_TRY(put_few(spill, width, &to, err));
			if (vec->repr == GM_REPR_NULL)
				memset(to, 0, width);
			else if (width == 1)
				*to = vec->boolean[source_row(&sources[i], k)];
			else
				memcpy(to, &vec->i64[source_row(&sources[i], k)], sizeof(int64_t));
		}
	}
	return GM_OK;
}

static enum gm_code put_ends(struct gm_spill *spill, uint32_t slot, const struct gm_spill_source *sources, size_t count,
                             struct gm_error *err)
{
	uint64_t end = 0;
	for (size_t i = 0; i < count; i++) {
		const struct gm_vec *vec = &sources[i].chunk->vec[slot];
		for (uint32_t k = 0; k < sources[i].count; k++) {
			uint32_t row = source_row(&sources[i], k), len = 0;
			uint8_t *to;
			if (!gm_vec_is_null(vec, row)) (void)gm_vec_string(vec, row, &len);
			end += len;
			if (end > max_column_bytes) GM_FAIL(err, GM_VALUE, "a column has more than 2 GiB of values to spill");
			uint32_t end32 = (uint32_t)end;
			GM_TRY(put_few(spill, sizeof end32, &to, err));
			memcpy(to, &end32, sizeof end32);
		}
	}
	return GM_OK;
}

static enum gm_code put_strings(struct gm_spill *spill, uint32_t slot, const struct gm_spill_source *sources,
                                size_t count, struct gm_error *err)
{
	GM_TRY(put_ends(spill, slot, sources, count, err));
	for (size_t i = 0; i < count; i++) {
		const struct gm_vec *vec = &sources[i].chunk->vec[slot];
		for (uint32_t k = 0; k < sources[i].count; k++) {
			uint32_t row = source_row(&sources[i], k), len;
			if (gm_vec_is_null(vec, row)) continue;
			const uint8_t *value = gm_vec_string(vec, row, &len);
			GM_TRY(put(spill, value, len, err));
		}
	}
	return GM_OK;
}

static enum gm_code put_column(struct gm_spill *spill, uint32_t slot, const struct gm_spill_source *sources,
                               size_t count, struct extent *extent, struct gm_error *err)
{
	enum gm_type type = sources[0].chunk->vec[slot].type;
	uint64_t start = spill->bytes;
	spill->raw_bytes = 0;
	GM_TRY(put_nulls(spill, slot, sources, count, err));
	if (type == GM_TYPE_STRING)
		GM_TRY(put_strings(spill, slot, sources, count, err));
	else
		GM_TRY(put_fixed(spill, slot, sources, count, type == GM_TYPE_BOOLEAN ? 1 : sizeof(int64_t), err));
	GM_TRY(end_piece(spill, err));
	*extent = (struct extent){(uint32_t)spill->raw_bytes, (uint32_t)(spill->bytes - start)};
	return GM_OK;
}

static enum gm_code put_table(struct gm_spill *spill, struct gm_error *err)
{
	const uint8_t *from = (const uint8_t *)spill->table;
	size_t left = spill->slot_count * sizeof *spill->table;
	while (left > 0) {
		size_t n = left < PIECE_BYTES ? left : PIECE_BYTES;
		GM_TRY(make_room(spill, n, err));
		memcpy(spill->stored + spill->stored_len, from, n);
		spill->stored_len += n;
		spill->bytes += n;
		from += n;
		left -= n;
	}
	return GM_OK;
}

enum gm_code gm_spill_write(struct gm_spill *spill, const struct gm_spill_source *sources, size_t source_count,
                            uint64_t *offset, struct gm_error *err)
{
	GM_TRY(open_file(spill, err));
	for (size_t i = 0; i < spill->slot_count; i++)
		GM_TRY(put_column(spill, spill->slots[i], sources, source_count, &spill->table[i], err));
	*offset = spill->bytes;
	return put_table(spill, err);
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

struct gm_spill_reader *gm_spill_reader_new(void)
{
	struct gm_spill_reader *reader = malloc(sizeof *reader);
	if (reader == NULL) return NULL;
	reader->zstd = ZSTD_createDCtx();
	if (reader->zstd != NULL) return reader;
	free(reader);
	return NULL;
}

void gm_spill_reader_free(struct gm_spill_reader *reader)
{
	if (reader == NULL) return;
	(void)ZSTD_freeDCtx(reader->zstd);
	free(reader);
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

/* Finds column's place in front of its segment's table by adding up the extents from it on. */
static enum gm_code find_column(const struct gm_spill *spill, uint64_t segment, size_t column, struct extent *extent,
                                uint64_t *offset, struct gm_error *err)
{
	size_t count = spill->slot_count - column;
	struct extent *table = malloc(count * sizeof *table);
	if (table == NULL) return out_of_memory(err);
	enum gm_code rc = read_all(spill, table, count * sizeof *table, segment + column * sizeof *table, err);
	*offset = segment;
	for (size_t i = 0; rc == GM_OK && i < count; i++) *offset -= table[i].stored_bytes;
	if (rc == GM_OK) *extent = table[0];
	free(table);
	return rc;
}

/* Decompresses the frames of a column, one behind the other. */
static enum gm_code inflate_column(struct gm_spill_reader *reader, const struct gm_spill *spill,
                                   const struct extent *extent, uint64_t offset, uint8_t *raw, struct gm_error *err)
{
	ZSTD_outBuffer out = {raw, extent->raw_bytes, 0};
	size_t left = extent->stored_bytes, rc = 0;
	(void)ZSTD_DCtx_reset(reader->zstd, ZSTD_reset_session_only);
	while (left > 0) {
		ZSTD_inBuffer in = {reader->input, left < INPUT_BYTES ? left : INPUT_BYTES, 0};
		GM_TRY(read_all(spill, reader->input, in.size, offset, err));
		left -= in.size;
		offset += in.size;
		while (in.pos < in.size) {
			size_t taken = in.pos, given = out.pos;
			rc = ZSTD_decompressStream(reader->zstd, &out, &in);
			if (ZSTD_isError(rc) || (in.pos == taken && out.pos == given))
				GM_FAIL(err, GM_CORRUPT, "spilled rows came back damaged from the disk");
		}
	}
	/* There is one byte at least: what view_column looks at. */
	if (rc != 0 || out.pos != out.size || out.pos == 0)
		GM_FAIL(err, GM_CORRUPT, "spilled rows came back damaged from the disk");
	return GM_OK;
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

enum gm_code gm_spill_read(const struct gm_spill *spill, struct gm_spill_reader *reader, uint64_t offset, size_t column,
                           uint32_t rows, struct gm_vec *vec, void **memory, struct gm_error *err)
{
	struct extent extent = {0};
	uint64_t at = 0;
	*memory = NULL;
	GM_TRY(find_column(spill, offset, column, &extent, &at, err));
	uint8_t *raw = malloc((size_t)extent.raw_bytes + rows + 1);
	if (raw == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for %u bytes of spilled rows", extent.raw_bytes);
	enum gm_code rc = inflate_column(reader, spill, &extent, at, raw, err);
	if (rc != GM_OK) {
		free(raw);
		return rc;
	}
	view_column(raw, extent.raw_bytes, vec->type, rows, vec);
	*memory = raw;
	return GM_OK;
}
