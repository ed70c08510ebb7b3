/* reader.c - opens a Parquet file for reading; read.h says how the work is divided. */
#include "parquet/read.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TAIL_BYTES = 32 * 1024, /* read at once at the end of the file: most footers are in it */
	ARENA_BLOCK_BYTES = 4096,
	BLOOM_HEADER_BYTES = 64, /* more than it takes */
	BLOOM_BLOCK_BYTES = 32,
};

enum gm_code gm_read_corrupt(struct gm_error *err, uint64_t offset, const char *format, ...)
{
	char text[sizeof err->message];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	(void)gm_error_set(err, GM_CORRUPT, "%s", text);
	if (err != NULL) err->offset = offset;
	return GM_CORRUPT;
}

enum gm_code gm_read_alloc(struct gm_parquet_reader *reader, size_t count, size_t size, void *out, struct gm_error *err)
{
	void *at = NULL;
	size_t bytes, taken = reader->arena.taken_bytes;
	if (__builtin_mul_overflow(count, size, &bytes) || bytes > reader->memory_bytes ||
	    taken > reader->memory_bytes - bytes)
		GM_FAIL(err, GM_UNSUPPORTED, "the footer (%zu bytes) takes more than the %zu bytes of memory it may",
		        reader->footer_bytes, reader->memory_bytes);
	at = gm_arena_zalloc(&reader->arena, bytes);
	if (at == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the footer");
	memcpy(out, &at, sizeof at);
	return GM_OK;
}

enum gm_code gm_read_text(struct gm_parquet_reader *reader, struct gm_bytes bytes, const char **out,
                          struct gm_error *err)
{
	char *text = NULL;
	size_t len = bytes.data != NULL ? strnlen((const char *)bytes.data, bytes.len) : 0;
	GM_TRY(gm_read_alloc(reader, len + 1, 1, &text, err));
	if (len > 0) memcpy(text, bytes.data, len);
	*out = text;
	return GM_OK;
}

enum gm_code gm_read_bytes(const struct gm_parquet_reader *reader, uint64_t offset, void *into, size_t bytes,
                           struct gm_error *err)
{
	if (offset > reader->input.bytes || bytes > reader->input.bytes - offset)
		return gm_read_corrupt(err, reader->footer_start, "%zu bytes are told to be at %llu, in a file of %llu", bytes,
		                       (unsigned long long)offset, (unsigned long long)reader->input.bytes);
	if (bytes > 0 && reader->tail != NULL && offset >= reader->tail_start) {
		memcpy(into, reader->tail + (offset - reader->tail_start), bytes);
		return GM_OK;
	}
	return bytes > 0 ? reader->input.read(reader->input.context, offset, into, bytes, err) : GM_OK;
}

/* The length of the footer, from the end of the file, whose last GM_READ_TRAILER bytes are given. */
static enum gm_code read_trailer(struct gm_parquet_reader *reader, const uint8_t *trailer, struct gm_error *err)
{
	uint32_t length;
	uint64_t bytes = reader->input.bytes;
	const uint8_t *magic = trailer + sizeof length;
	memcpy(&length, trailer, sizeof length);
	if (memcmp(magic, "PARE", GM_READ_MAGIC) == 0)
		GM_FAIL(err, GM_UNSUPPORTED, "the file is encrypted: encryption is not supported");
	if (memcmp(magic, "PAR1", GM_READ_MAGIC) != 0)
		return gm_read_corrupt(err, bytes - GM_READ_MAGIC, "not a Parquet file: it does not end with PAR1");
	if (length > bytes - GM_READ_TRAILER - GM_READ_MAGIC)
		return gm_read_corrupt(err, bytes - GM_READ_TRAILER, "a footer of %u bytes is told of in a file of %llu",
		                       length, (unsigned long long)bytes);
	reader->footer_bytes = length;
	reader->footer_start = bytes - GM_READ_TRAILER - length;
	return GM_OK;
}

static enum gm_code load_footer(struct gm_parquet_reader *reader, struct gm_error *err)
{
	uint64_t bytes = reader->input.bytes;
	uint8_t *tail = NULL, *footer = NULL;
	if (bytes < GM_READ_MAGIC + GM_READ_TRAILER)
		return gm_read_corrupt(err, 0, "not a Parquet file: it has %llu bytes", (unsigned long long)bytes);
	size_t tail_bytes = bytes < TAIL_BYTES ? (size_t)bytes : TAIL_BYTES;
	GM_TRY(gm_read_alloc(reader, tail_bytes, 1, &tail, err));
	GM_TRY(gm_read_bytes(reader, bytes - tail_bytes, tail, tail_bytes, err));
	reader->tail = tail;
	reader->tail_start = bytes - tail_bytes;
	GM_TRY(read_trailer(reader, tail + tail_bytes - GM_READ_TRAILER, err));
	if (reader->footer_bytes <= tail_bytes - GM_READ_TRAILER) {
		reader->footer = tail + tail_bytes - GM_READ_TRAILER - reader->footer_bytes;
		return GM_OK;
	}
	GM_TRY(gm_read_alloc(reader, reader->footer_bytes, 1, &footer, err));
	reader->footer = footer;
	return gm_read_bytes(reader, reader->footer_start, footer, reader->footer_bytes, err);
}

enum gm_code gm_parquet_reader_open(const struct gm_parquet_input *input, size_t memory_bytes,
                                    struct gm_parquet_reader **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_parquet_reader *reader = calloc(1, sizeof *reader);
	if (reader == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for reading a Parquet file");
	reader->input = *input;
	reader->memory_bytes = memory_bytes;
	reader->info.created_by = "";
	gm_arena_init(&reader->arena, ARENA_BLOCK_BYTES);
	enum gm_code rc = load_footer(reader, err);
	if (rc == GM_OK) rc = gm_read_footer(reader, err);
	if (rc != GM_OK) {
		gm_parquet_reader_free(reader);
		return rc;
	}
	*out = reader;
	return GM_OK;
}

void gm_parquet_reader_free(struct gm_parquet_reader *reader)
{
	if (reader == NULL) return;
	gm_arena_release(&reader->arena);
	free(reader);
}

const struct gm_parquet_file_info *gm_parquet_reader_info(const struct gm_parquet_reader *reader)
{
	return &reader->info;
}

size_t gm_parquet_reader_find(const struct gm_parquet_reader *reader, const char *const *path, size_t depth)
{
	for (size_t i = 0; i < reader->info.leaf_count; i++) {
		const struct gm_parquet_leaf *leaf = &reader->info.leaves[i];
		size_t same = 0;
		if (leaf->depth != depth) continue;
		while (same < depth && strcmp(leaf->path[same], path[same]) == 0) same++;
		if (same == depth) return i;
	}
	return SIZE_MAX;
}

const char *gm_parquet_reader_meta(const struct gm_parquet_reader *reader, const char *key)
{
	for (const struct gm_read_meta *meta = reader->meta; meta != NULL; meta = meta->next)
		if (strcmp(meta->key, key) == 0) return meta->value;
	return NULL;
}

/* --- Bloom filters ------------------------------------------------------------------------------------------------ */

struct bloom_header {
	int32_t bytes;
	int16_t algorithm, hash, compression;
};

static void read_bloom_header(struct gm_thrift_in *in, struct bloom_header *out)
{
	struct gm_thrift_field field = {0};
	*out = (struct bloom_header){0};
	while (gm_thrift_next(in, &field)) {
		switch (field.id) {
		case 1: out->bytes = gm_thrift_get_i32(in, &field); break;
		case 2: out->algorithm = gm_thrift_get_choice(in, &field); break;
		case 3: out->hash = gm_thrift_get_choice(in, &field); break;
		case 4: out->compression = gm_thrift_get_choice(in, &field); break;
		default: gm_thrift_skip(in, &field);
		}
	}
}

static enum gm_code check_bloom(const struct bloom_header *header, size_t most, struct gm_error *err)
{
	if (header->algorithm != 1 || header->hash != 1 || header->compression != 1)
		GM_FAIL(err, GM_UNSUPPORTED, "a bloom filter of algorithm %d, hash %d, compression %d (only 1 each is known)",
		        header->algorithm, header->hash, header->compression);
	if (header->bytes > 0 && (size_t)header->bytes > most)
		GM_FAIL(err, GM_UNSUPPORTED, "a bloom filter of %d bytes, more than the %zu that are allowed", header->bytes,
		        most);
	return GM_OK;
}

/* How much to read where a bloom filter begins: all of it where its size is told, else what its header fits in. */
static size_t bloom_reach(const struct gm_parquet_reader *reader, const struct gm_read_chunk *chunk, uint64_t room)
{
	size_t told = chunk->bloom_bytes;
	if (told < BLOOM_HEADER_BYTES || told > reader->memory_bytes) told = BLOOM_HEADER_BYTES;
	return told < room ? told : (size_t)room;
}

/* Takes the header of a filter apart, of which `some` bytes are at hand: *taken is its size, *bytes that of the filter.
 */
static enum gm_code open_bloom(const struct gm_parquet_reader *reader, uint64_t offset, const uint8_t *start,
                               size_t some, size_t *taken, size_t *bytes, struct gm_error *err)
{
	struct gm_thrift_in in;
	struct bloom_header header;
	uint64_t room = reader->footer_start - offset;
	gm_thrift_open(&in, "header of a bloom filter", start, some < BLOOM_HEADER_BYTES ? some : BLOOM_HEADER_BYTES,
	               offset, err);
	read_bloom_header(&in, &header);
	GM_TRY(gm_thrift_close(&in));
	GM_TRY(check_bloom(&header, reader->memory_bytes, err));
	*taken = (size_t)(in.at - in.start);
	if (header.bytes <= 0 || header.bytes % BLOOM_BLOCK_BYTES != 0 || (uint64_t)header.bytes > room - *taken)
		return gm_read_corrupt(err, offset, "a bloom filter of %d bytes, where %llu are left", header.bytes,
		                       (unsigned long long)(room - *taken));
	*bytes = (size_t)header.bytes;
	return GM_OK;
}

static enum gm_code bloom_memory(struct gm_bloom *bloom, size_t bytes, struct gm_error *err)
{
	void *grown = realloc(bloom->words, bytes);
	if (grown == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a bloom filter of %zu bytes", bytes);
	bloom->words = grown;
	return GM_OK;
}

/* One read where the footer tells the filter's size, as it may be a request over a network; else two. */
static enum gm_code load_bloom(const struct gm_parquet_reader *reader, uint64_t offset, size_t some,
                               struct gm_bloom *bloom, struct gm_error *err)
{
	size_t taken = 0, bytes = 0;
	GM_TRY(bloom_memory(bloom, some, err));
	GM_TRY(gm_read_bytes(reader, offset, bloom->words, some, err));
	GM_TRY(open_bloom(reader, offset, (const uint8_t *)bloom->words, some, &taken, &bytes, err));
	bloom->bytes = bytes;
	if (bytes <= some - taken) {
		memmove(bloom->words, (const uint8_t *)bloom->words + taken, bytes);
		return GM_OK;
	}
	GM_TRY(bloom_memory(bloom, bytes, err));
	return gm_read_bytes(reader, offset + taken, bloom->words, bytes, err);
}

enum gm_code gm_parquet_bloom_read(const struct gm_parquet_reader *reader, size_t group, size_t leaf,
                                   struct gm_bloom *bloom, struct gm_error *err)
{
	*bloom = (struct gm_bloom){0};
	if (group >= reader->info.group_count || leaf >= reader->info.leaf_count)
		GM_FAIL(err, GM_BUG, "there is no row group %zu or column %zu", group, leaf);
	uint64_t offset = reader->info.groups[group].chunks[leaf].bloom_offset;
	const struct gm_read_chunk *chunk = &reader->chunks[group][leaf];
	if (offset == 0 || chunk->elsewhere) GM_FAIL(err, GM_NOT_FOUND, "there is no bloom filter");
	if (offset >= reader->footer_start)
		return gm_read_corrupt(err, reader->footer_start, "it tells of a bloom filter at byte %llu, behind the data",
		                       (unsigned long long)offset);
	enum gm_code rc = load_bloom(reader, offset, bloom_reach(reader, chunk, reader->footer_start - offset), bloom, err);
	if (rc != GM_OK) gm_bloom_release(bloom);
	return rc;
}
