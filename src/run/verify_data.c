/* verify_data.c - the bytes of a data file: its hash, its pages and their CRCs, its rows, the statistics that are told
 * of it, its keys.
 *
 * A file is read twice, once in order for its hashes and once by columns; the second time it lies in the page cache. Of
 * a damaged file the most precise finding is told: a page if one is, else that the bytes are others. */
#include "run/verify_internal.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
	READ_BYTES = 256 * 1024,
	TAIL_BYTES = 8, /* the footer's length, "PAR1" */
	SLOTS = 4096,
};

struct data {
	struct gm_verifier *verifier;
	struct gm_verify_file *file;
	struct gm_parquet_reader *reader;
	const struct gm_parquet_file_info *info;
	struct gm_verify_column *columns; /* per leaf */
	uint64_t hash[2];                 /* of all bytes */
	uint64_t content_hash[2];         /* of those before the footer */
	bool has_content_hash;
};

static struct gm_finding about(const struct data *data, enum gm_finding_code code)
{
	struct gm_finding finding = gm_verify_about(code, data->file->file->path);
	finding.job = data->file->about.job;
	finding.run = data->file->about.run;
	return finding;
}

/* --- Hashes ------------------------------------------------------------------------------------------------------- */

/* Where the footer begins; 0: the file's end does not say. */
static enum gm_code find_footer(const struct data *data, uint64_t *at, struct gm_error *err)
{
	uint8_t tail[TAIL_BYTES];
	size_t got;
	uint64_t bytes = data->file->file->bytes;
	*at = 0;
	if (bytes < TAIL_BYTES) return GM_OK;
	GM_TRY(
	    gm_store_read(data->verifier->table, data->file->file->path, bytes - TAIL_BYTES, tail, TAIL_BYTES, &got, err));
	uint64_t footer = gm_get_le(tail, 4);
	if (got == TAIL_BYTES && footer + TAIL_BYTES < bytes) *at = bytes - TAIL_BYTES - footer;
	return GM_OK;
}

struct hashing {
	XXH3_state_t *whole, *content;
	uint8_t *buffer;
	struct gm_store_reader *reader;
};

static enum gm_code hash_bytes(struct data *data, struct hashing *hashing, uint64_t content_end, struct gm_error *err)
{
	uint64_t at = 0;
	for (size_t got = 1; got > 0;) {
		GM_TRY(gm_store_reader_read(hashing->reader, hashing->buffer, READ_BYTES, &got, err));
		(void)XXH3_128bits_update(hashing->whole, hashing->buffer, got);
		uint64_t content = at < content_end ? content_end - at : 0;
		(void)XXH3_128bits_update(hashing->content, hashing->buffer, content < got ? (size_t)content : got);
		at += got;
		data->verifier->bytes_done += got;
		GM_TRY(gm_verify_pulse(data->verifier, err));
	}
	return GM_OK;
}

static enum gm_code hash_file(struct data *data, struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	uint64_t footer;
	struct hashing hashing = {XXH3_createState(), XXH3_createState(), malloc(READ_BYTES), NULL};
	if (hashing.whole == NULL || hashing.content == NULL || hashing.buffer == NULL) {
		rc = gm_error_set(err, GM_NOMEM, "out of memory for a proof");
		goto out;
	}
	(void)XXH3_128bits_reset(hashing.whole);
	(void)XXH3_128bits_reset(hashing.content);
	GM_TRY_OUT(find_footer(data, &footer, err));
	GM_TRY_OUT(gm_store_reader_open(data->verifier->table, data->file->file->path, &hashing.reader, err));
	GM_TRY_OUT(hash_bytes(data, &hashing, footer, err));
	XXH128_hash_t whole = XXH3_128bits_digest(hashing.whole), content = XXH3_128bits_digest(hashing.content);
	data->hash[0] = whole.low64;
	data->hash[1] = whole.high64;
	data->content_hash[0] = content.low64;
	data->content_hash[1] = content.high64;
	data->has_content_hash = footer > 0;
out:
	gm_store_reader_close(hashing.reader);
	(void)XXH3_freeState(hashing.whole);
	(void)XXH3_freeState(hashing.content);
	free(hashing.buffer);
	return rc;
}

static void check_hashes(struct data *data)
{
	char hex[GM_HEX128_BYTES];
	const struct gm_book_file *book = data->file->book;
	const char *told = gm_parquet_reader_meta(data->reader, "gristmill.content_hash");
	struct gm_finding finding = about(data, GM_FINDING_FILE_HASH);
	gm_hex128(data->content_hash, hex);
	if (book != NULL && (book->hash[0] != data->hash[0] || book->hash[1] != data->hash[1]))
		gm_verify_report(data->verifier, &finding, "its bytes are not those of its run: the books have another hash");
	else if (told != NULL && (!data->has_content_hash || strcmp(told, hex) != 0))
		gm_verify_report(data->verifier, &finding,
		                 "its bytes are not those of its writer: its footer has another hash");
}

/* --- Columns ------------------------------------------------------------------------------------------------------ */

static bool is_flat(const struct gm_parquet_leaf *leaf)
{
	return leaf->depth == 1 && leaf->max_repetition == 0 && leaf->max_definition <= 1;
}

static void report_page(struct data *data, size_t group, const struct gm_parquet_leaf *leaf, const struct gm_error *why)
{
	char place[64] = "";
	struct gm_finding finding = about(data, GM_FINDING_PAGE_DAMAGED);
	if (why->offset != UINT64_MAX) (void)snprintf(place, sizeof place, " (at byte %" PRIu64 ")", why->offset);
	gm_verify_report(data->verifier, &finding, "column %s of row group %zu: %s%s", leaf->path[leaf->depth - 1], group,
	                 why->message, place);
	data->file->damaged = true;
}

static enum gm_code read_pages(struct data *data, size_t group, size_t leaf, struct gm_error *err)
{
	struct gm_parquet_column_reader *reader;
	struct gm_parquet_batch batch;
	enum gm_code rc = gm_parquet_column_open(data->reader, group, leaf, &reader, err);
	if (rc != GM_OK) return rc;
	do {
		rc = gm_parquet_column_next(reader, SLOTS, &batch, err);
		if (rc == GM_OK && is_flat(&data->info->leaves[leaf]))
			gm_verify_column_rows(&data->columns[leaf], &batch.vec, batch.slots);
		if (rc == GM_OK) rc = gm_verify_pulse(data->verifier, err);
	} while (rc == GM_OK && batch.slots > 0);
	gm_parquet_column_close(reader);
	return rc;
}

static void report_unread(struct data *data, const struct gm_parquet_leaf *leaf, const char *why)
{
	struct gm_finding finding = about(data, GM_FINDING_FILE_NOT_CHECKED);
	if (!data->file->unread)
		gm_verify_report(data->verifier, &finding, "column %s was not read: %s", leaf->path[leaf->depth - 1], why);
	data->file->unread = true;
}

static enum gm_code read_column(struct data *data, size_t group, size_t index, struct gm_error *err)
{
	const struct gm_parquet_leaf *leaf = &data->info->leaves[index];
	struct gm_verify_column *column = &data->columns[index];
	if (!leaf->readable) {
		report_unread(data, leaf, leaf->described);
		return GM_OK;
	}
	gm_bounds_from_group(&data->info->groups[group].chunks[index], leaf->type, &column->group);
	enum gm_code rc = read_pages(data, group, index, err);
	if (rc == GM_OK) {
		gm_verify_column_end_group(column);
		return GM_OK;
	}
	if (!gm_verify_is_finding(rc)) return rc;
	column->unread = true;
	if (rc == GM_UNSUPPORTED)
		report_unread(data, leaf, err->message);
	else
		report_page(data, group, leaf, err);
	return GM_OK;
}

static void report_stats(const struct data *data)
{
	for (size_t i = 0; i < data->info->leaf_count; i++) {
		const struct gm_parquet_leaf *leaf = &data->info->leaves[i];
		struct gm_verify_column *column = &data->columns[i];
		struct gm_finding finding = about(data, GM_FINDING_FILE_STATS);
		if (!is_flat(leaf) || !leaf->readable || column->unread) continue;
		gm_verify_column_end(column);
		if (column->wrong != NULL)
			gm_verify_report(data->verifier, &finding, "column %s: %s %s", leaf->path[0], column->value, column->wrong);
	}
}

static enum gm_code read_groups(struct data *data, struct gm_error *err)
{
	data->columns = calloc(data->info->leaf_count + 1, sizeof *data->columns);
	if (data->columns == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a file's columns");
	for (size_t i = 0; i < data->info->leaf_count; i++) {
		const struct gm_parquet_leaf *leaf = &data->info->leaves[i];
		if (is_flat(leaf)) gm_bounds_from_log(data->file->stats, leaf->path[0], leaf->type, &data->columns[i].log);
	}
	for (size_t group = 0; group < data->info->group_count; group++) {
		for (size_t leaf = 0; leaf < data->info->leaf_count; leaf++) GM_TRY(read_column(data, group, leaf, err));
	}
	report_stats(data);
	return gm_verify_keys_file(data->verifier, data->file, err);
}

/* --- The file ----------------------------------------------------------------------------------------------------- */

static void check_rows(struct data *data)
{
	uint64_t sum = 0;
	const json_t *told = json_object_get(data->file->stats, "numRecords");
	struct gm_finding finding = about(data, GM_FINDING_FILE_ROWS);
	for (size_t i = 0; i < data->info->group_count; i++) sum += data->info->groups[i].rows;
	uint64_t log = json_is_integer(told) ? (uint64_t)json_integer_value(told) : sum;
	uint64_t book = data->file->book != NULL ? data->file->book->rows : sum;
	if (data->info->rows != sum)
		gm_verify_report(data->verifier, &finding, "its row groups have %" PRIu64 " rows, its footer says %" PRIu64,
		                 sum, data->info->rows);
	if (log != sum)
		gm_verify_report(data->verifier, &finding, "it has %" PRIu64 " rows, the log says %" PRIu64, sum, log);
	if (book != sum)
		gm_verify_report(data->verifier, &finding, "it has %" PRIu64 " rows, the books say %" PRIu64, sum, book);
}

static enum gm_code read_input(void *context, uint64_t offset, void *into, size_t bytes, struct gm_error *err)
{
	size_t got;
	const struct data *data = context;
	const char *path = data->file->file->path;
	GM_TRY(gm_store_read(data->verifier->table, path, offset, into, bytes, &got, err));
	if (got == bytes) return GM_OK;
	(void)gm_error_set(err, GM_CORRUPT, "the file ended while it was read");
	return gm_error_object(err, GM_CORRUPT, path, strlen(path));
}

static enum gm_code prove(struct data *data, struct gm_error *err)
{
	struct gm_parquet_input input = {read_input, data, data->file->file->bytes};
	size_t share = data->verifier->memory_bytes / GM_VERIFY_READER_SHARE;
	GM_TRY(hash_file(data, err));
	GM_TRY(gm_parquet_reader_open(&input, share, &data->reader, err));
	data->info = gm_parquet_reader_info(data->reader);
	check_rows(data);
	GM_TRY(read_groups(data, err));
	if (!data->file->damaged) check_hashes(data);
	return GM_OK;
}

enum gm_code gm_verify_data(struct gm_verifier *verifier, struct gm_verify_file *file, struct gm_error *err)
{
	struct data data = {.verifier = verifier, .file = file};
	enum gm_code rc = prove(&data, err);
	gm_parquet_reader_free(data.reader);
	free(data.columns);
	if (!gm_verify_is_finding(rc)) return rc;
	bool unknown = rc == GM_UNSUPPORTED;
	struct gm_finding finding = about(&data, unknown ? GM_FINDING_FILE_NOT_CHECKED : GM_FINDING_FILE_DAMAGED);
	gm_verify_report(verifier, &finding, "%s", err->message);
	return GM_OK;
}
