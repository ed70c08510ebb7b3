/* read_footer.c - the FileMetaData of a file that somebody wrote.
 *
 * It is gone through twice, since column_orders, which say what the bounds of the row groups mean, stand behind them:
 * first the schema and everything about the file, then the row groups. What is checked here is what can be: that chunks
 * lie in the file, belong to their leaves, and that counts add up. Whether their contents are as told shows when they
 * are read. */
#include "parquet/read.h"

#include <string.h>

/* Writers that forgot the header of the dictionary page in a chunk's size (parquet-mr before 1.2.9) are allowed so many
 * more bytes. */
enum { FORGOTTEN_BYTES = 100 };

/* What the first pass leaves for the second. */
struct footer {
	struct gm_parquet_reader *reader;
	struct gm_error *err;
	int8_t *orders; /* per leaf, enum gm_format_column_order, -1 for what is not known; NULL: not told */
	bool seen_schema, seen_rows, seen_groups;
};
/* A ColumnMetaData. */
struct column_meta {
	unsigned seen; /* 1 << field */
	int32_t type, codec;
	int64_t values, uncompressed_bytes, compressed_bytes, data_offset, dictionary_offset, bloom_offset;
	int32_t bloom_bytes;
	bool other_path; /* it tells another column's */
	struct gm_read_stats stats;
};
enum { COLUMN_REQUIRED = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 9 };

/* --- The file ----------------------------------------------------------------------------------------------------- */

static enum gm_code read_meta(struct footer *footer, struct gm_thrift_in *in, const struct gm_thrift_field *field)
{
	struct gm_thrift_field item, member;
	uint32_t count = gm_thrift_get_list(in, field, GM_THRIFT_STRUCT, &item);
	for (uint32_t i = 0; i < count && in->rc == GM_OK; i++) {
		struct gm_bytes key = {0}, value = {0};
		struct gm_read_meta *meta;
		member = (struct gm_thrift_field){0};
		while (gm_thrift_next(in, &member)) {
			switch (member.id) {
			case 1: key = gm_thrift_get_binary(in, &member); break;
			case 2: value = gm_thrift_get_binary(in, &member); break;
			default: gm_thrift_skip(in, &member);
			}
		}
		if (key.data == NULL || value.data == NULL) continue;
		GM_TRY(gm_read_alloc(footer->reader, 1, sizeof *meta, &meta, footer->err));
		GM_TRY(gm_read_text(footer->reader, key, &meta->key, footer->err));
		GM_TRY(gm_read_text(footer->reader, value, &meta->value, footer->err));
		meta->next = footer->reader->meta;
		footer->reader->meta = meta;
	}
	return gm_thrift_close(in);
}

static enum gm_code read_orders(struct footer *footer, struct gm_thrift_in *in, const struct gm_thrift_field *field)
{
	struct gm_thrift_field item;
	size_t leaves = footer->reader->info.leaf_count;
	uint32_t count = gm_thrift_get_list(in, field, GM_THRIFT_STRUCT, &item);
	if (count != leaves) gm_thrift_bad(in, "there are %u column orders for %zu columns", count, leaves);
	GM_TRY(gm_thrift_close(in));
	GM_TRY(gm_read_alloc(footer->reader, leaves, sizeof *footer->orders, &footer->orders, footer->err));
	for (uint32_t i = 0; i < count; i++) {
		int16_t order = gm_thrift_get_choice(in, &item);
		footer->orders[i] = order > 0 && order <= INT8_MAX ? (int8_t)order : -1;
	}
	return gm_thrift_close(in);
}

static enum gm_code read_file_field(struct footer *footer, struct gm_thrift_in *in, const struct gm_thrift_field *field)
{
	struct gm_parquet_file_info *info = &footer->reader->info;
	switch (field->id) {
	case 2:
		if (footer->seen_schema) gm_thrift_bad(in, "there are two schemas");
		footer->seen_schema = true;
		return gm_read_schema(footer->reader, in, field, footer->err);
	case 3: {
		int64_t rows = gm_thrift_get_i64(in, field);
		if (rows < 0) gm_thrift_bad(in, "it tells %lld rows", (long long)rows);
		info->rows = (uint64_t)rows;
		footer->seen_rows = true;
		break;
	}
	case 5: return read_meta(footer, in, field);
	case 6: return gm_read_text(footer->reader, gm_thrift_get_binary(in, field), &info->created_by, footer->err);
	case 7: return read_orders(footer, in, field);
	case 8:
		GM_TRY(gm_thrift_close(in));
		GM_FAIL(footer->err, GM_UNSUPPORTED, "the file is encrypted (its footer is not): encryption is not supported");
	default: gm_thrift_skip(in, field);
	}
	return gm_thrift_close(in);
}

/* --- Row groups --------------------------------------------------------------------------------------------------- */

/* Whether the path is the leaf's. */
static bool read_path(struct gm_thrift_in *in, const struct gm_thrift_field *field, const struct gm_parquet_leaf *leaf)
{
	struct gm_thrift_field item;
	uint32_t count = gm_thrift_get_list(in, field, GM_THRIFT_BINARY, &item);
	bool same = count == leaf->depth;
	for (uint32_t i = 0; i < count; i++) {
		struct gm_bytes name = gm_thrift_get_binary(in, &item);
		if (name.data == NULL) return true; /* what failed is told elsewhere */
		same = same && strlen(leaf->path[i]) == name.len && memcmp(leaf->path[i], name.data, name.len) == 0;
	}
	return same;
}

static void read_column_meta(struct gm_thrift_in *in, const struct gm_thrift_field *field,
                             const struct gm_parquet_leaf *leaf, struct column_meta *out)
{
	struct gm_thrift_field member = {0};
	if (!gm_thrift_get_struct(in, field)) return;
	while (gm_thrift_next(in, &member)) {
		if (member.id > 0 && member.id < 32) out->seen |= 1U << member.id;
		switch (member.id) {
		case 1: out->type = gm_thrift_get_i32(in, &member); break;
		case 3: out->other_path = !read_path(in, &member, leaf); break;
		case 4: out->codec = gm_thrift_get_i32(in, &member); break;
		case 5: out->values = gm_thrift_get_i64(in, &member); break;
		case 6: out->uncompressed_bytes = gm_thrift_get_i64(in, &member); break;
		case 7: out->compressed_bytes = gm_thrift_get_i64(in, &member); break;
		case 9: out->data_offset = gm_thrift_get_i64(in, &member); break;
		case 11: out->dictionary_offset = gm_thrift_get_i64(in, &member); break;
		case 12: gm_read_stats(in, &member, &out->stats); break;
		case 14: out->bloom_offset = gm_thrift_get_i64(in, &member); break;
		case 15: /* another thing in drafts of the format, of which files are about */
			if (member.type == GM_THRIFT_I32)
				out->bloom_bytes = gm_thrift_get_i32(in, &member);
			else
				gm_thrift_skip(in, &member);
			break;
		default: gm_thrift_skip(in, &member);
		}
	}
}

/* Where the chunk's pages lie; false when that is not in the file. */
static bool place_chunk(const struct gm_parquet_reader *reader, const struct column_meta *meta,
                        struct gm_read_chunk *chunk)
{
	int64_t start = meta->data_offset;
	/* Some writers tell a dictionary at 0 when there is none. */
	if (meta->dictionary_offset > 0 && meta->dictionary_offset < start) start = meta->dictionary_offset;
	if (start < GM_READ_MAGIC || (uint64_t)start > reader->footer_start) return false;
	uint64_t room = reader->footer_start - (uint64_t)start, bytes = (uint64_t)meta->compressed_bytes;
	if (bytes > room) return false;
	if (strncmp(reader->info.created_by, "parquet-mr", 10) == 0)
		bytes = room - bytes > FORGOTTEN_BYTES ? bytes + FORGOTTEN_BYTES : room;
	chunk->start = (uint64_t)start;
	chunk->end = chunk->start + bytes;
	return true;
}

static enum gm_code keep_column(struct footer *footer, struct gm_thrift_in *in, size_t leaf,
                                const struct column_meta *meta, struct gm_parquet_chunk_info *info,
                                struct gm_read_chunk *chunk)
{
	struct gm_parquet_reader *reader = footer->reader;
	const struct gm_parquet_leaf *described = &reader->info.leaves[leaf];
	const char *name = described->path[described->depth - 1];
	if ((meta->seen & COLUMN_REQUIRED) != COLUMN_REQUIRED)
		gm_thrift_bad(in, "the metadata of column '%s' is not complete", name);
	else if (meta->type != (int32_t)described->physical)
		gm_thrift_bad(in, "column '%s' has type %d in a row group, not that of the schema", name, meta->type);
	else if (meta->other_path)
		gm_thrift_bad(in, "a row group tells another path where column '%s' belongs", name);
	else if (meta->values < 0 || meta->compressed_bytes < 0 || meta->uncompressed_bytes < 0)
		gm_thrift_bad(in, "column '%s' has a negative size", name);
	else if (!chunk->elsewhere && meta->values > 0 && !place_chunk(reader, meta, chunk))
		gm_thrift_bad(in, "column '%s' does not lie in the file: %lld bytes from %lld on", name,
		              (long long)meta->compressed_bytes, (long long)meta->data_offset);
	GM_TRY(gm_thrift_close(in));
	chunk->codec = meta->codec;
	chunk->bloom_bytes = meta->bloom_bytes > 0 ? (uint32_t)meta->bloom_bytes : 0;
	info->values = (uint64_t)meta->values;
	info->compressed_bytes = (uint64_t)meta->compressed_bytes;
	info->uncompressed_bytes = (uint64_t)meta->uncompressed_bytes;
	info->bloom_offset = meta->bloom_offset > 0 ? (uint64_t)meta->bloom_offset : 0;
	int order = footer->orders != NULL ? footer->orders[leaf] : 0;
	return gm_read_bounds(reader, leaf, &meta->stats, order, info, footer->err);
}

/* A ColumnChunk. */
static enum gm_code read_column(struct footer *footer, struct gm_thrift_in *in, size_t leaf,
                                struct gm_parquet_chunk_info *info, struct gm_read_chunk *chunk)
{
	struct gm_thrift_field field = {0};
	struct column_meta meta = {0};
	while (gm_thrift_next(in, &field)) {
		switch (field.id) {
		case 1: chunk->elsewhere = gm_thrift_get_binary(in, &field).len > 0; break;
		case 3: read_column_meta(in, &field, &footer->reader->info.leaves[leaf], &meta); break;
		case 8:
		case 9:
			GM_FAIL(footer->err, GM_UNSUPPORTED, "column '%s' is encrypted: encryption is not supported",
			        footer->reader->info.leaves[leaf].path[0]);
		default: gm_thrift_skip(in, &field);
		}
	}
	GM_TRY(gm_thrift_close(in));
	return keep_column(footer, in, leaf, &meta, info, chunk);
}

static enum gm_code read_columns(struct footer *footer, struct gm_thrift_in *in, const struct gm_thrift_field *field,
                                 size_t group, struct gm_parquet_group_info *info)
{
	struct gm_thrift_field item;
	struct gm_parquet_chunk_info *infos;
	struct gm_read_chunk *chunks;
	size_t leaves = footer->reader->info.leaf_count;
	uint32_t count = gm_thrift_get_list(in, field, GM_THRIFT_STRUCT, &item);
	if (count != leaves) gm_thrift_bad(in, "row group %zu has %u columns instead of %zu", group, count, leaves);
	GM_TRY(gm_thrift_close(in));
	GM_TRY(gm_read_alloc(footer->reader, leaves, sizeof *infos, &infos, footer->err));
	GM_TRY(gm_read_alloc(footer->reader, leaves, sizeof *chunks, &chunks, footer->err));
	for (size_t i = 0; i < leaves; i++) GM_TRY(read_column(footer, in, i, &infos[i], &chunks[i]));
	info->chunks = infos;
	footer->reader->chunks[group] = chunks;
	return GM_OK;
}

static enum gm_code read_group(struct footer *footer, struct gm_thrift_in *in, size_t group,
                               struct gm_parquet_group_info *info)
{
	struct gm_thrift_field field = {0};
	int64_t rows = -1;
	while (gm_thrift_next(in, &field)) {
		switch (field.id) {
		case 1: GM_TRY(read_columns(footer, in, &field, group, info)); break;
		case 3: rows = gm_thrift_get_i64(in, &field); break;
		default: gm_thrift_skip(in, &field);
		}
	}
	if (info->chunks == NULL || rows < 0) gm_thrift_bad(in, "row group %zu tells no columns or no rows", group);
	info->rows = (uint64_t)rows;
	return gm_thrift_close(in);
}

static enum gm_code read_groups(struct footer *footer, struct gm_thrift_in *in, const struct gm_thrift_field *field)
{
	struct gm_parquet_reader *reader = footer->reader;
	struct gm_parquet_group_info *groups;
	struct gm_thrift_field item;
	uint64_t rows = 0;
	uint32_t count = gm_thrift_get_list(in, field, GM_THRIFT_STRUCT, &item);
	if (footer->seen_groups) gm_thrift_bad(in, "there are two lists of row groups");
	footer->seen_groups = true;
	GM_TRY(gm_thrift_close(in));
	GM_TRY(gm_read_alloc(reader, count, sizeof *groups, &groups, footer->err));
	GM_TRY(gm_read_alloc(reader, count, sizeof *reader->chunks, &reader->chunks, footer->err));
	for (uint32_t i = 0; i < count; i++) {
		GM_TRY(read_group(footer, in, i, &groups[i]));
		if (__builtin_add_overflow(rows, groups[i].rows, &rows)) gm_thrift_bad(in, "its rows exceed 64 bits");
	}
	/* Some writers of old left the sum out. */
	if (rows != reader->info.rows && reader->info.rows != 0)
		gm_thrift_bad(in, "its row groups have %llu rows, and it tells %llu", (unsigned long long)rows,
		              (unsigned long long)reader->info.rows);
	reader->info.rows = rows;
	reader->info.groups = groups;
	reader->info.group_count = count;
	return gm_thrift_close(in);
}

/* --- Both passes -------------------------------------------------------------------------------------------------- */

enum { ROW_GROUPS = 4 };

static void open_footer(const struct footer *footer, struct gm_thrift_in *in)
{
	const struct gm_parquet_reader *reader = footer->reader;
	gm_thrift_open(in, "footer", reader->footer, reader->footer_bytes, reader->footer_start, footer->err);
}

enum gm_code gm_read_footer(struct gm_parquet_reader *reader, struct gm_error *err)
{
	struct footer footer = {.reader = reader, .err = err};
	struct gm_thrift_in in;
	struct gm_thrift_field field = {0};
	open_footer(&footer, &in);
	while (gm_thrift_next(&in, &field)) {
		if (field.id == ROW_GROUPS)
			gm_thrift_skip(&in, &field);
		else
			GM_TRY(read_file_field(&footer, &in, &field));
	}
	if (!footer.seen_schema || !footer.seen_rows) gm_thrift_bad(&in, "it has no schema, or tells no rows");
	GM_TRY(gm_thrift_close(&in));
	field = (struct gm_thrift_field){0};
	open_footer(&footer, &in);
	while (gm_thrift_next(&in, &field)) {
		if (field.id == ROW_GROUPS)
			GM_TRY(read_groups(&footer, &in, &field));
		else
			gm_thrift_skip(&in, &field);
	}
	if (!footer.seen_groups) gm_thrift_bad(&in, "it has no list of row groups");
	return gm_thrift_close(&in);
}
