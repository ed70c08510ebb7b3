/* Prints what the reader makes of a Parquet file, as JSON lines for other engines' eyes: see
 * tests/test_parquet_reader.py.
 *
 * usage: parquet_dump FILE [--batch SLOTS] [--memory BYTES] [--has GROUP LEAF TEXT]
 *
 * First comes the footer, then each leaf of each row group: its levels (if nested) and values; a failure instead says
 * its code. --has asks the bloom filter of a string column instead. Doubles are their bits in hexadecimal, all NaN are
 * "nan"; strings are hexadecimal too, since they may be any bytes. */
#include "parquet/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

struct file {
	FILE *stream;
	uint64_t bytes;
};

static enum gm_code read_file(void *context, uint64_t offset, void *into, size_t bytes, struct gm_error *err)
{
	struct file *file = context;
	if (fseek(file->stream, (long)offset, SEEK_SET) != 0 || fread(into, 1, bytes, file->stream) != bytes)
		return gm_error_errno(err, errno, "file", "reading");
	return GM_OK;
}

static void print_text(const char *text)
{
	(void)putchar('"');
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if (c < 0x20 || c == '"' || c == '\\')
			(void)printf("\\u%04x", c);
		else
			(void)putchar(c);
	}
	(void)putchar('"');
}

static void print_hex(const uint8_t *bytes, size_t n)
{
	(void)putchar('"');
	for (size_t i = 0; i < n; i++) (void)printf("%02x", bytes[i]);
	(void)putchar('"');
}

static void print_failure(const char *key, const struct gm_error *err)
{
	(void)printf("{\"%s\":\"%s\",\"message\":", key, gm_code_name(err->code));
	print_text(err->message);
	(void)printf(",\"offset\":%lld}\n", (long long)err->offset);
}

static void print_double(double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof bits);
	if (value != value)
		(void)fputs("\"nan\"", stdout);
	else
		(void)printf("\"%016llx\"", (unsigned long long)bits);
}

static void print_value(const struct gm_vec *vec, uint32_t row)
{
	uint32_t len;
	if (gm_vec_is_null(vec, row)) {
		(void)fputs("null", stdout);
		return;
	}
	switch (vec->repr) {
	case GM_REPR_BOOL: (void)fputs(vec->boolean[row] ? "true" : "false", stdout); break;
	case GM_REPR_I64: (void)printf("%lld", (long long)vec->i64[row]); break;
	case GM_REPR_F64: print_double(vec->f64[row]); break;
	default: {
		const uint8_t *bytes = gm_vec_string(vec, row, &len);
		print_hex(bytes, len);
	}
	}
}

/* --- Footer ------------------------------------------------------------------------------------------------------- */

static void print_leaf(const struct gm_parquet_leaf *leaf)
{
	(void)fputs("{\"path\":[", stdout);
	for (unsigned i = 0; i < leaf->depth; i++) {
		if (i > 0) (void)putchar(',');
		print_text(leaf->path[i]);
	}
	(void)printf(
	    "],\"definition\":%d,\"repetition\":%d,\"readable\":%s,\"type\":\"%s\",\"described\":", leaf->max_definition,
	    leaf->max_repetition, leaf->readable ? "true" : "false", gm_type_name(leaf->type));
	print_text(leaf->described);
	(void)putchar('}');
}

static void print_chunk(const struct gm_parquet_chunk_info *chunk)
{
	(void)printf("{\"values\":%llu,\"compressed\":%llu,\"uncompressed\":%llu,\"bloom\":%llu",
	             (unsigned long long)chunk->values, (unsigned long long)chunk->compressed_bytes,
	             (unsigned long long)chunk->uncompressed_bytes, (unsigned long long)chunk->bloom_offset);
	if (chunk->has_nulls) (void)printf(",\"nulls\":%llu", (unsigned long long)chunk->nulls);
	if (chunk->has_bounds) {
		(void)fputs(",\"min\":", stdout);
		print_hex(chunk->min, chunk->min_bytes);
		(void)fputs(",\"max\":", stdout);
		print_hex(chunk->max, chunk->max_bytes);
	}
	(void)putchar('}');
}

static void print_footer(const struct gm_parquet_file_info *info)
{
	(void)printf("{\"rows\":%llu,\"created_by\":", (unsigned long long)info->rows);
	print_text(info->created_by);
	(void)fputs(",\"leaves\":[", stdout);
	for (size_t i = 0; i < info->leaf_count; i++) {
		if (i > 0) (void)putchar(',');
		print_leaf(&info->leaves[i]);
	}
	(void)fputs("],\"groups\":[", stdout);
	for (size_t g = 0; g < info->group_count; g++) {
		(void)printf("%s{\"rows\":%llu,\"chunks\":[", g > 0 ? "," : "", (unsigned long long)info->groups[g].rows);
		for (size_t i = 0; i < info->leaf_count; i++) {
			if (i > 0) (void)putchar(',');
			print_chunk(&info->groups[g].chunks[i]);
		}
		(void)fputs("]}", stdout);
	}
	(void)fputs("]}\n", stdout);
}

/* --- Columns ------------------------------------------------------------------------------------------------------ */

static void print_batch(const struct gm_parquet_batch *batch)
{
	static const char *const reprs[] = {"null", "bool", "i64", "f64", "dict", "plain"};
	uint32_t rows = batch->definition != NULL ? batch->values : batch->slots;
	(void)printf("{\"slots\":%u,\"defined\":%u,\"repr\":\"%s\",\"values\":[", batch->slots, batch->values,
	             reprs[batch->vec.repr]);
	for (uint32_t i = 0; i < rows; i++) {
		if (i > 0) (void)putchar(',');
		print_value(&batch->vec, i);
	}
	(void)putchar(']');
	if (batch->definition != NULL) {
		(void)fputs(",\"definition\":", stdout);
		print_hex(batch->definition, batch->slots);
		(void)fputs(",\"repetition\":", stdout);
		print_hex(batch->repetition, batch->slots);
	}
	(void)fputs("}\n", stdout);
}

static void print_column(const struct gm_parquet_reader *reader, size_t group, size_t leaf, uint32_t slots)
{
	struct gm_parquet_column_reader *column;
	struct gm_parquet_batch batch;
	struct gm_error err;
	(void)printf("{\"group\":%zu,\"leaf\":%zu}\n", group, leaf);
	if (gm_parquet_column_open(reader, group, leaf, &column, &err) != GM_OK) {
		print_failure("error", &err);
		return;
	}
	do {
		if (gm_parquet_column_next(column, slots, &batch, &err) != GM_OK) {
			print_failure("error", &err);
			break;
		}
		if (batch.slots > 0) print_batch(&batch);
	} while (batch.slots > 0);
	gm_parquet_column_close(column);
}

static int ask_bloom(const struct gm_parquet_reader *reader, size_t group, size_t leaf, const char *text)
{
	struct gm_bloom bloom;
	struct gm_error err;
	if (gm_parquet_bloom_read(reader, group, leaf, &bloom, &err) != GM_OK) {
		print_failure("error", &err);
		return 0;
	}
	(void)puts(gm_bloom_may_have(&bloom, XXH64(text, strlen(text), 0)) ? "true" : "false");
	gm_bloom_release(&bloom);
	return 0;
}

int main(int argc, char **argv)
{
	uint32_t slots = 4096;
	size_t memory = (size_t)64 << 20;
	char **has = NULL;
	for (int i = 2; i + 1 < argc; i++) {
		if (strcmp(argv[i], "--batch") == 0) slots = (uint32_t)strtoul(argv[i + 1], NULL, 10);
		if (strcmp(argv[i], "--memory") == 0) memory = strtoull(argv[i + 1], NULL, 10);
		if (strcmp(argv[i], "--has") == 0 && i + 3 < argc) has = argv + i + 1;
	}
	struct file file = {argc > 1 ? fopen(argv[1], "rb") : NULL, 0};
	if (file.stream == NULL || fseek(file.stream, 0, SEEK_END) != 0) {
		perror(argc > 1 ? argv[1] : "usage: parquet_dump FILE");
		return 2;
	}
	file.bytes = (uint64_t)ftell(file.stream);
	struct gm_parquet_input input = {read_file, &file, file.bytes};
	struct gm_parquet_reader *reader;
	struct gm_error err;
	if (gm_parquet_reader_open(&input, memory, &reader, &err) != GM_OK) {
		print_failure("refused", &err);
		(void)fclose(file.stream);
		return 0;
	}
	const struct gm_parquet_file_info *info = gm_parquet_reader_info(reader);
	if (has != NULL) {
		(void)ask_bloom(reader, strtoull(has[0], NULL, 10), strtoull(has[1], NULL, 10), has[2]);
	} else {
		print_footer(info);
		for (size_t g = 0; g < info->group_count; g++)
			for (size_t i = 0; i < info->leaf_count; i++) print_column(reader, g, i, slots);
	}
	gm_parquet_reader_free(reader);
	(void)fclose(file.stream);
	return 0;
}
