/* bookmark_file.c - the base file of a bookmark, format 1.
 *
 *     file     = header block... trailer
 *     header   = "GMBOOKMK" u32:format u32:bytes head[bytes] u64:check
 *     head     = u64:objects u64:replayed i64:newest_us i64:full_us varint:ranges (varint:gap varint:more)...
 *     block    = u32:entries (u32:raw u32:stored)[6] frame[6] u64:check        entries > 0
 *     trailer  = u32:0 u32:blocks u64:entries u64:check
 *
 * Numbers are little-endian. A check is XXH3-64 of the bytes before it: of the header, of the block, and, in the
 * trailer, of the whole file. Nothing follows the trailer. A newer format may change all but the magic and the format's
 * number.
 *
 * Ranges are the committed runs, ascending: `gap` is the distance from the end of the range before (from 0 for the
 * first) to the first run of this one, and is not 1 for any but the first; `more` is how many runs follow that one. The
 * file is of the last run.
 *
 * Entries ascend by the bytes of their keys throughout the file. A block stands for itself and holds its entries by
 * columns. Each is a zstd frame of its own, of `stored` bytes for `raw` ones: they have little to do with each other.
 *
 *     lengths  two varints an entry: bytes that its key has in common with the one before (0 for a block's first; as
 *              many as there are, for the others) and bytes that it has behind them, which are its part of text
 *     text
 *     sizes    a varint an entry
 *     mtimes   microseconds since 1970, as the difference to the entry before (to 0 for the first), zigzag, varint
 *     runs     in the same way
 *     etags    eight bytes an entry
 *
 * A varint has seven bits a byte, the lowest first; the top bit says that another byte follows. What is written is a
 * function of the entries, the runs and the version of zstd alone. */
#include "table/bookmark_file.h"

#include "base/bytes.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zstd.h>

enum {
	MAGIC_BYTES = 8,
	START_BYTES = MAGIC_BYTES + 4 + 4, /* of a header, before its head */
	HEAD_MIN = 4 * 8 + 1 + 2,
	PREFIX_BYTES = 4 + 6 * 8, /* of a block, before its frames */
	TRAILER_BYTES = 24,
	CHECK_BYTES = 8,
	VARINT_MAX = 10,
	INPUT_BYTES = 64 << 10,
	LEVEL = 1, /* higher ones gain nothing: what is left is random */
};
enum column { LENGTHS, TEXT, SIZES, MTIMES, RUNS, ETAGS, COLUMNS };
_Static_assert(PREFIX_BYTES == 4 + COLUMNS * 8, "two sizes for each column");
static const char magic[MAGIC_BYTES + 1] = "GMBOOKMK";
/* A block as it is stored; zstd's bound of each frame is less than that of all bytes and a few. */
static const size_t block_max = PREFIX_BYTES + 6 * 512 + ZSTD_COMPRESSBOUND(GM_BOOKMARK_BLOCK_MAX) + CHECK_BYTES;

bool gm_bookmark_in_ranges(const struct gm_bookmark_range *ranges, size_t count, uint64_t run)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (ranges[middle].last < run)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && ranges[low].first <= run;
}

bool gm_bookmark_key_valid(const char *key)
{
	size_t n = strlen(key);
	return n > 0 && n <= GM_BOOKMARK_KEY_MAX && gm_utf8_valid_prefix((const uint8_t *)key, n) == n;
}

/* --- Numbers ------------------------------------------------------------------------------------------------------ */

static enum gm_code append_varint(struct gm_buf *to, uint64_t value, struct gm_error *err)
{
	uint8_t bytes[VARINT_MAX];
	size_t n = 0;
	for (; value >= 0x80; value >>= 7) bytes[n++] = (uint8_t)(value | 0x80);
	bytes[n++] = (uint8_t)value;
	return gm_buf_append(to, bytes, n, err);
}

static enum gm_code append_u64(struct gm_buf *to, uint64_t value, struct gm_error *err)
{
	uint8_t bytes[8];
	gm_put_le(bytes, value, 8);
	return gm_buf_append(to, bytes, sizeof bytes, err);
}

/* A difference of either sign, modulo 2^64, so that small ones are small numbers. */
static uint64_t zigzag(uint64_t difference)
{
	return difference << 1 ^ (0 - (difference >> 63));
}

static uint64_t unzigzag(uint64_t value)
{
	return value >> 1 ^ (0 - (value & 1));
}

/* Bytes that are still to be read. */
struct span {
	const uint8_t *at, *end;
};

static size_t left(const struct span *span)
{
	return (size_t)(span->end - span->at);
}

/* False at the end, for more than 64 bits, and for a form that is longer than it need be. */
static bool take_varint(struct span *span, uint64_t *value)
{
	*value = 0;
	for (unsigned shift = 0; span->at < span->end && shift < 64; shift += 7) {
		uint8_t byte = *span->at++;
		*value |= (uint64_t)(byte & 0x7F) << shift;
		if ((byte & 0x80) == 0) return (shift < 63 || byte <= 1) && (shift == 0 || byte != 0);
	}
	return false;
}

static bool take_u64(struct span *span, uint64_t *value)
{
	if (left(span) < 8) return false;
	*value = gm_get_le(span->at, 8);
	span->at += 8;
	return true;
}

/* --- Reading: bytes ----------------------------------------------------------------------------------------------- */

struct gm_bookmark_reader {
	struct gm_store *table;
	char *key;
	struct gm_store_reader *file;
	struct gm_buf input; /* what has been read ahead */
	size_t pos;          /* of it, used up */
	XXH3_state_t *check; /* of all that has been used up */
	struct gm_bookmark_head head;
	struct gm_bookmark_range *ranges; /* the head's */
	bool fresh, ended;                /* is nothing behind the header used up? Is all? */
	/* The block in hand. */
	ZSTD_DCtx *zstd;
	struct gm_buf raw;
	struct span columns[COLUMNS];
	uint32_t entries_left;
	bool first_of_block;
	uint64_t mtime, run; /* of the entry before */
	/* So far. */
	uint32_t blocks;
	struct gm_bookmark_counts counts;
	struct gm_bookmark_entry entry;
	size_t name_bytes;
	char name[GM_BOOKMARK_KEY_MAX + 1]; /* of the entry */
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for a bookmark");
}

static enum gm_code damaged(const struct gm_bookmark_reader *reader, const char *why, struct gm_error *err)
{
	(void)gm_error_set(err, GM_CORRUPT, "the bookmark is damaged: %s", why);
	(void)gm_error_hint(err, GM_CORRUPT, "remove it: what it says is read from the plans, and it is made again");
	return gm_error_object(err, GM_CORRUPT, reader->key, strlen(reader->key));
}

/* Sees to it that `bytes` of the file lie at input.data + pos; *there is false if it ends before. */
static enum gm_code look(struct gm_bookmark_reader *reader, size_t bytes, bool *there, struct gm_error *err)
{
	struct gm_buf *input = &reader->input;
	size_t got = 0, have = input->len - reader->pos;
	*there = have >= bytes;
	if (*there) return GM_OK;
	if (have > 0) memmove(input->data, input->data + reader->pos, have);
	input->len = have;
	reader->pos = 0;
	GM_TRY(gm_buf_reserve(input, (bytes > INPUT_BYTES ? bytes : INPUT_BYTES) - have, err));
	GM_TRY(gm_store_reader_read(reader->file, input->data + have, input->cap - have, &got, err));
	input->len += got;
	*there = input->len >= bytes;
	return GM_OK;
}

static enum gm_code need(struct gm_bookmark_reader *reader, size_t bytes, const uint8_t **at, struct gm_error *err)
{
	bool there;
	GM_TRY(look(reader, bytes, &there, err));
	if (!there) return damaged(reader, "it is cut short", err);
	*at = reader->input.data + reader->pos;
	return GM_OK;
}

static void use_up(struct gm_bookmark_reader *reader, size_t bytes)
{
	(void)XXH3_64bits_update(reader->check, reader->input.data + reader->pos, bytes);
	reader->pos += bytes;
}

/* --- Reading: the header ------------------------------------------------------------------------------------------ */

static enum gm_code check_start(const struct gm_bookmark_reader *reader, const uint8_t *start, struct gm_error *err)
{
	if (memcmp(start, magic, MAGIC_BYTES) != 0) return damaged(reader, "it does not begin like one", err);
	uint32_t format = (uint32_t)gm_get_le(start + MAGIC_BYTES, 4),
	         bytes = (uint32_t)gm_get_le(start + MAGIC_BYTES + 4, 4);
	if (format < 1) return damaged(reader, "it has no format number", err);
	if (format > GM_BOOKMARK_FORMAT) {
		(void)gm_error_set(err, GM_UNSUPPORTED, "the bookmark has format %u; this version of gristmill knows %d",
		                   format, GM_BOOKMARK_FORMAT);
		(void)gm_error_hint(err, GM_UNSUPPORTED, "use the newer gristmill that wrote it");
		return gm_error_object(err, GM_UNSUPPORTED, reader->key, strlen(reader->key));
	}
	if (bytes < HEAD_MIN || bytes > GM_BOOKMARK_HEAD_MAX) return damaged(reader, "its header has a wrong size", err);
	return GM_OK;
}

static bool take_range(struct span *span, uint64_t before, bool first, struct gm_bookmark_range *range)
{
	uint64_t gap, more;
	if (!take_varint(span, &gap) || !take_varint(span, &more)) return false;
	if (gap == 0 || (gap == 1 && !first) || gap > UINT64_MAX - before) return false;
	range->first = before + gap;
	if (more > UINT64_MAX - range->first) return false;
	range->last = range->first + more;
	return true;
}

static enum gm_code read_ranges(struct gm_bookmark_reader *reader, struct span *span, struct gm_error *err)
{
	uint64_t count;
	if (!take_varint(span, &count) || count == 0 || count > left(span) / 2)
		return damaged(reader, "it does not say which runs it knows", err);
	reader->ranges = malloc((size_t)count * sizeof *reader->ranges);
	if (reader->ranges == NULL) return out_of_memory(err);
	for (size_t i = 0; i < count; i++) {
		uint64_t before = i > 0 ? reader->ranges[i - 1].last : 0;
		if (!take_range(span, before, i == 0, &reader->ranges[i]))
			return damaged(reader, "it does not say which runs it knows", err);
	}
	if (left(span) > 0) return damaged(reader, "its header has a wrong size", err);
	reader->head.ranges = reader->ranges;
	reader->head.range_count = (size_t)count;
	return GM_OK;
}

static enum gm_code read_head(struct gm_bookmark_reader *reader, struct span span, struct gm_error *err)
{
	uint64_t newest, full;
	struct gm_bookmark_counts *counts = &reader->head.counts;
	if (!take_u64(&span, &counts->objects) || !take_u64(&span, &counts->replayed) || !take_u64(&span, &newest) ||
	    !take_u64(&span, &full))
		return damaged(reader, "its header has a wrong size", err);
	counts->newest_us = (int64_t)newest;
	reader->head.full_us = (int64_t)full;
	return read_ranges(reader, &span, err);
}

static enum gm_code read_header(struct gm_bookmark_reader *reader, struct gm_error *err)
{
	const uint8_t *at;
	GM_TRY(need(reader, START_BYTES, &at, err));
	GM_TRY(check_start(reader, at, err));
	size_t bytes = START_BYTES + (uint32_t)gm_get_le(at + MAGIC_BYTES + 4, 4);
	GM_TRY(need(reader, bytes + CHECK_BYTES, &at, err));
	if (XXH3_64bits(at, bytes) != gm_get_le(at + bytes, 8))
		return damaged(reader, "the check of its header is wrong", err);
	if (reader->ranges == NULL) /* else it is read again */
		GM_TRY(read_head(reader, (struct span){at + START_BYTES, at + bytes}, err));
	use_up(reader, bytes + CHECK_BYTES);
	return GM_OK;
}

/* --- Reading: blocks ---------------------------------------------------------------------------------------------- */

/* The sizes of a block's frames, together and one by one. */
struct frames {
	size_t raw[COLUMNS], stored[COLUMNS], raw_bytes, stored_bytes;
};

static bool take_frames(const uint8_t *prefix, struct frames *frames)
{
	uint64_t entries = (uint32_t)gm_get_le(prefix, 4);
	*frames = (struct frames){0};
	for (size_t i = 0; i < COLUMNS; i++) {
		size_t raw = frames->raw[i] = (uint32_t)gm_get_le(prefix + 4 + 8 * i, 4);
		size_t stored = frames->stored[i] = (uint32_t)gm_get_le(prefix + 8 + 8 * i, 4);
		if (raw > GM_BOOKMARK_BLOCK_MAX - frames->raw_bytes || stored > ZSTD_compressBound(raw)) return false;
		frames->raw_bytes += raw;
		frames->stored_bytes += stored;
	}
	return frames->raw[ETAGS] == entries * 8;
}

/* Makes the columns of the frames. */
static enum gm_code inflate(struct gm_bookmark_reader *reader, const struct frames *frames, const uint8_t *from,
                            struct gm_error *err)
{
	if (reader->zstd == NULL) reader->zstd = ZSTD_createDCtx();
	if (reader->zstd == NULL) return out_of_memory(err);
	reader->raw.len = 0;
	GM_TRY(gm_buf_reserve(&reader->raw, frames->raw_bytes, err));
	uint8_t *to = reader->raw.data;
	for (size_t i = 0; i < COLUMNS; i++) {
		if (ZSTD_decompressDCtx(reader->zstd, to, frames->raw[i], from, frames->stored[i]) != frames->raw[i])
			return damaged(reader, "a block cannot be decompressed", err);
		reader->columns[i] = (struct span){to, to + frames->raw[i]};
		to += frames->raw[i];
		from += frames->stored[i];
	}
	return GM_OK;
}

static enum gm_code read_block(struct gm_bookmark_reader *reader, struct gm_error *err)
{
	const uint8_t *at;
	struct frames frames;
	GM_TRY(need(reader, PREFIX_BYTES, &at, err));
	if (!take_frames(at, &frames)) return damaged(reader, "a block has a wrong size", err);
	size_t bytes = PREFIX_BYTES + frames.stored_bytes;
	GM_TRY(need(reader, bytes + CHECK_BYTES, &at, err));
	if (XXH3_64bits(at, bytes) != gm_get_le(at + bytes, 8))
		return damaged(reader, "the check of a block is wrong", err);
	GM_TRY(inflate(reader, &frames, at + PREFIX_BYTES, err));
	reader->entries_left = (uint32_t)gm_get_le(at, 4);
	reader->first_of_block = true;
	reader->mtime = reader->run = 0;
	reader->blocks++;
	use_up(reader, bytes + CHECK_BYTES);
	return GM_OK;
}

static enum gm_code read_trailer(struct gm_bookmark_reader *reader, struct gm_error *err)
{
	const uint8_t *at;
	bool more;
	const struct gm_bookmark_counts *said = &reader->head.counts, *found = &reader->counts;
	GM_TRY(need(reader, TRAILER_BYTES, &at, err));
	uint32_t blocks = (uint32_t)gm_get_le(at + 4, 4);
	uint64_t entries = gm_get_le(at + 8, 8), check = gm_get_le(at + 16, 8);
	use_up(reader, TRAILER_BYTES - CHECK_BYTES);
	if (check != XXH3_64bits_digest(reader->check)) return damaged(reader, "its check is wrong", err);
	reader->pos += CHECK_BYTES;
	GM_TRY(look(reader, 1, &more, err));
	if (more) return damaged(reader, "something follows its end", err);
	if (blocks != reader->blocks || entries != found->objects + found->replayed || said->objects != found->objects ||
	    said->replayed != found->replayed || said->newest_us != found->newest_us)
		return damaged(reader, "it does not hold what it says", err);
	reader->ended = true;
	return GM_OK;
}

/* --- Reading: entries --------------------------------------------------------------------------------------------- */

/* Is the text greater than what stands in `name` from `common` on? For all but the first of a block one byte tells: it
 * is where the keys differ, and the NUL behind a key is less than any other byte. */
static bool ascends(const struct gm_bookmark_reader *reader, size_t common, const uint8_t *text, size_t bytes)
{
	const uint8_t *before = (const uint8_t *)reader->name + common;
	if (!reader->first_of_block) return text[0] > before[0];
	size_t shorter = bytes < reader->name_bytes ? bytes : reader->name_bytes;
	int order = memcmp(text, before, shorter);
	return order > 0 || (order == 0 && bytes > reader->name_bytes);
}

/* Makes the key of the one before. */
static bool take_key(struct gm_bookmark_reader *reader)
{
	uint64_t common, bytes;
	struct span *lengths = &reader->columns[LENGTHS], *text = &reader->columns[TEXT];
	if (!take_varint(lengths, &common) || !take_varint(lengths, &bytes)) return false;
	if (common > (reader->first_of_block ? 0 : reader->name_bytes)) return false;
	if (bytes == 0 || bytes > left(text) || bytes > GM_BOOKMARK_KEY_MAX - common) return false;
	if (memchr(text->at, '\0', (size_t)bytes) != NULL || !ascends(reader, (size_t)common, text->at, (size_t)bytes))
		return false;
	memcpy(reader->name + common, text->at, (size_t)bytes);
	text->at += bytes;
	reader->name_bytes = (size_t)(common + bytes);
	reader->name[reader->name_bytes] = '\0';
	reader->first_of_block = false;
	return gm_utf8_valid_prefix((const uint8_t *)reader->name, reader->name_bytes) == reader->name_bytes;
}

static bool take_run(struct gm_bookmark_reader *reader)
{
	uint64_t difference;
	if (!take_varint(&reader->columns[RUNS], &difference)) return false;
	reader->run += unzigzag(difference);
	if (reader->run == reader->entry.run && reader->run != 0) return true; /* as most are: looked up once */
	return gm_bookmark_in_ranges(reader->head.ranges, reader->head.range_count, reader->run);
}

static bool take_entry(struct gm_bookmark_reader *reader)
{
	uint64_t size, mtime, etag;
	if (!take_key(reader) || !take_run(reader) || !take_varint(&reader->columns[SIZES], &size) ||
	    !take_varint(&reader->columns[MTIMES], &mtime) || !take_u64(&reader->columns[ETAGS], &etag))
		return false;
	reader->mtime += unzigzag(mtime);
	reader->entry = (struct gm_bookmark_entry){
	    .key = reader->name, .size = size, .mtime_us = (int64_t)reader->mtime, .etag_hash = etag, .run = reader->run};
	return true;
}

static bool block_used_up(const struct gm_bookmark_reader *reader)
{
	for (size_t i = 0; i < COLUMNS; i++)
		if (left(&reader->columns[i]) > 0) return false;
	return true;
}

enum gm_code gm_bookmark_reader_next(struct gm_bookmark_reader *reader, const struct gm_bookmark_entry **entry,
                                     struct gm_error *err)
{
	*entry = NULL;
	if (reader->ended) return GM_OK;
	reader->fresh = false;
	if (reader->entries_left == 0) {
		const uint8_t *at;
		GM_TRY(need(reader, 4, &at, err));
		if ((uint32_t)gm_get_le(at, 4) == 0) return read_trailer(reader, err);
		GM_TRY(read_block(reader, err));
	}
	reader->entries_left--;
	if (!take_entry(reader) || (reader->entries_left == 0 && !block_used_up(reader)))
		return damaged(reader, "an entry cannot be read", err);
	gm_bookmark_count(&reader->counts, &reader->entry);
	*entry = &reader->entry;
	return GM_OK;
}

/* --- Reading: opening --------------------------------------------------------------------------------------------- */

/* Opens the file and reads its header; what was known of an earlier reading but the header is forgotten. */
static enum gm_code begin(struct gm_bookmark_reader *reader, struct gm_error *err)
{
	gm_store_reader_close(reader->file);
	reader->file = NULL;
	reader->input.len = reader->pos = 0;
	reader->fresh = reader->ended = false;
	reader->entries_left = reader->blocks = 0;
	reader->counts = (struct gm_bookmark_counts){0};
	reader->entry = (struct gm_bookmark_entry){0};
	reader->name_bytes = 0;
	(void)XXH3_64bits_reset(reader->check);
	GM_TRY(gm_store_reader_open(reader->table, reader->key, &reader->file, err));
	GM_TRY(read_header(reader, err));
	reader->fresh = true;
	return GM_OK;
}

enum gm_code gm_bookmark_reader_open(struct gm_store *table, const char *key, struct gm_bookmark_reader **out,
                                     struct gm_error *err)
{
	*out = NULL;
	struct gm_bookmark_reader *reader = calloc(1, sizeof *reader);
	if (reader == NULL) return out_of_memory(err);
	reader->table = table;
	reader->key = strdup(key);
	reader->check = XXH3_createState();
	gm_buf_init(&reader->input, START_BYTES + GM_BOOKMARK_HEAD_MAX + CHECK_BYTES);
	gm_buf_init(&reader->raw, GM_BOOKMARK_BLOCK_MAX);
	enum gm_code rc = reader->key != NULL && reader->check != NULL ? begin(reader, err) : out_of_memory(err);
	if (rc == GM_OK)
		*out = reader;
	else
		gm_bookmark_reader_close(reader);
	return rc;
}

void gm_bookmark_reader_close(struct gm_bookmark_reader *reader)
{
	if (reader == NULL) return;
	gm_store_reader_close(reader->file);
	gm_buf_release(&reader->input);
	gm_buf_release(&reader->raw);
	(void)ZSTD_freeDCtx(reader->zstd);
	(void)XXH3_freeState(reader->check);
	free(reader->ranges);
	free(reader->key);
	free(reader);
}

const struct gm_bookmark_head *gm_bookmark_reader_head(const struct gm_bookmark_reader *reader)
{
	return &reader->head;
}

enum gm_code gm_bookmark_reader_restart(struct gm_bookmark_reader *reader, struct gm_error *err)
{
	return reader->fresh ? GM_OK : begin(reader, err);
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

struct gm_bookmark_writer {
	struct gm_store *table;
	char *key;
	struct gm_staged *staged;
	XXH3_state_t *check; /* of all that has been written */
	ZSTD_CCtx *zstd;
	struct gm_bookmark_counts expected, counts;
	/* The block in hand. */
	struct gm_buf columns[COLUMNS], block;
	uint32_t entries, blocks;
	uint64_t mtime, run; /* of the entry before */
	size_t name_bytes;
	char name[GM_BOOKMARK_KEY_MAX + 1];
};

static enum gm_code write_bytes(struct gm_bookmark_writer *writer, const void *bytes, size_t n, struct gm_error *err)
{
	(void)XXH3_64bits_update(writer->check, bytes, n);
	return gm_store_stage_append(writer->table, writer->staged, bytes, n, err);
}

static enum gm_code append_head(struct gm_buf *to, const struct gm_bookmark_head *head, struct gm_error *err)
{
	uint64_t before = 0;
	GM_TRY(append_u64(to, head->counts.objects, err));
	GM_TRY(append_u64(to, head->counts.replayed, err));
	GM_TRY(append_u64(to, (uint64_t)head->counts.newest_us, err));
	GM_TRY(append_u64(to, (uint64_t)head->full_us, err));
	GM_TRY(append_varint(to, head->range_count, err));
	for (size_t i = 0; i < head->range_count; i++) {
		GM_TRY(append_varint(to, head->ranges[i].first - before, err));
		GM_TRY(append_varint(to, head->ranges[i].last - head->ranges[i].first, err));
		before = head->ranges[i].last;
	}
	return GM_OK;
}

static enum gm_code write_header(struct gm_bookmark_writer *writer, const struct gm_bookmark_head *head,
                                 struct gm_error *err)
{
	struct gm_buf text;
	uint8_t start[START_BYTES] = {0};
	gm_buf_init(&text, START_BYTES + GM_BOOKMARK_HEAD_MAX + CHECK_BYTES);
	memcpy(start, magic, MAGIC_BYTES);
	gm_put_le(start + MAGIC_BYTES, GM_BOOKMARK_FORMAT, 4);
	enum gm_code rc = gm_buf_append(&text, start, sizeof start, err);
	if (rc == GM_OK) rc = append_head(&text, head, err);
	if (rc == GM_OK) {
		gm_put_le(text.data + MAGIC_BYTES + 4, (uint32_t)(text.len - START_BYTES), 4);
		rc = append_u64(&text, XXH3_64bits(text.data, text.len), err);
	}
	if (rc == GM_OK) rc = write_bytes(writer, text.data, text.len, err);
	gm_buf_release(&text);
	return rc;
}

enum gm_code gm_bookmark_writer_open(struct gm_store *table, const char *key, const char *work_prefix,
                                     const struct gm_bookmark_head *head, struct gm_bookmark_writer **out,
                                     struct gm_error *err)
{
	*out = NULL;
	struct gm_bookmark_writer *writer = calloc(1, sizeof *writer);
	if (writer == NULL) return out_of_memory(err);
	writer->table = table;
	writer->expected = head->counts;
	writer->key = strdup(key);
	writer->check = XXH3_createState();
	writer->zstd = ZSTD_createCCtx();
	for (size_t i = 0; i < COLUMNS; i++) gm_buf_init(&writer->columns[i], GM_BOOKMARK_BLOCK_MAX);
	gm_buf_init(&writer->block, block_max);
	enum gm_code rc = GM_OK;
	if (writer->key == NULL || writer->check == NULL || writer->zstd == NULL) rc = out_of_memory(err);
	if (rc == GM_OK) rc = gm_store_stage_open(table, key, work_prefix, &writer->staged, err);
	if (rc == GM_OK) (void)XXH3_64bits_reset(writer->check);
	if (rc == GM_OK) rc = write_header(writer, head, err);
	if (rc == GM_OK)
		*out = writer;
	else
		gm_bookmark_writer_free(writer);
	return rc;
}

void gm_bookmark_writer_free(struct gm_bookmark_writer *writer)
{
	if (writer == NULL) return;
	gm_store_stage_abandon(writer->table, writer->staged);
	for (size_t i = 0; i < COLUMNS; i++) gm_buf_release(&writer->columns[i]);
	gm_buf_release(&writer->block);
	(void)ZSTD_freeCCtx(writer->zstd);
	(void)XXH3_freeState(writer->check);
	free(writer->key);
	free(writer);
}

/* Appends a column as a frame, notes its sizes in the block's prefix, and empties it. */
static enum gm_code append_frame(struct gm_bookmark_writer *writer, size_t column, struct gm_error *err)
{
	struct gm_buf *from = &writer->columns[column], *to = &writer->block;
	size_t room = ZSTD_compressBound(from->len);
	GM_TRY(gm_buf_reserve(to, room, err));
	size_t n = ZSTD_compressCCtx(writer->zstd, to->data + to->len, room, from->data, from->len, LEVEL);
	/* There is room for the worst case, so only memory can be short. */
	if (ZSTD_isError(n)) GM_FAIL(err, GM_NOMEM, "cannot compress a bookmark: %s", ZSTD_getErrorName(n));
	gm_put_le(to->data + 4 + 8 * column, (uint32_t)from->len, 4);
	gm_put_le(to->data + 8 + 8 * column, (uint32_t)n, 4);
	to->len += n;
	from->len = 0;
	return GM_OK;
}

static enum gm_code write_block(struct gm_bookmark_writer *writer, struct gm_error *err)
{
	struct gm_buf *block = &writer->block;
	if (writer->entries == 0) return GM_OK;
	block->len = 0;
	GM_TRY(gm_buf_reserve(block, PREFIX_BYTES, err));
	gm_put_le(block->data, writer->entries, 4);
	block->len = PREFIX_BYTES;
	for (size_t i = 0; i < COLUMNS; i++) GM_TRY(append_frame(writer, i, err));
	GM_TRY(append_u64(block, XXH3_64bits(block->data, block->len), err));
	writer->entries = 0;
	writer->blocks++;
	writer->mtime = writer->run = 0;
	return write_bytes(writer, block->data, block->len, err);
}

static size_t common_bytes(const char *a, const char *b)
{
	size_t n = 0;
	while (a[n] == b[n] && a[n] != '\0') n++;
	return n;
}

static size_t block_bytes(const struct gm_bookmark_writer *writer)
{
	size_t bytes = 0;
	for (size_t i = 0; i < COLUMNS; i++) bytes += writer->columns[i].len;
	return bytes;
}

enum gm_code gm_bookmark_writer_add(struct gm_bookmark_writer *writer, const struct gm_bookmark_entry *entry,
                                    struct gm_error *err)
{
	size_t bytes = strlen(entry->key), common = common_bytes(writer->name, entry->key);
	if (bytes > GM_BOOKMARK_KEY_MAX || (uint8_t)entry->key[common] <= (uint8_t)writer->name[common])
		GM_FAIL(err, GM_BUG, "entries of a bookmark are not in order");
	if (writer->entries == 0) common = 0;
	struct gm_buf *columns = writer->columns;
	GM_TRY(append_varint(&columns[LENGTHS], common, err));
	GM_TRY(append_varint(&columns[LENGTHS], bytes - common, err));
	GM_TRY(gm_buf_append(&columns[TEXT], entry->key + common, bytes - common, err));
	GM_TRY(append_varint(&columns[SIZES], entry->size, err));
	GM_TRY(append_varint(&columns[MTIMES], zigzag((uint64_t)entry->mtime_us - writer->mtime), err));
	GM_TRY(append_varint(&columns[RUNS], zigzag(entry->run - writer->run), err));
	GM_TRY(append_u64(&columns[ETAGS], entry->etag_hash, err));
	writer->mtime = (uint64_t)entry->mtime_us;
	writer->run = entry->run;
	memcpy(writer->name, entry->key, bytes + 1);
	gm_bookmark_count(&writer->counts, entry);
	writer->entries++;
	if (writer->entries < GM_BOOKMARK_BLOCK_ENTRIES && block_bytes(writer) < GM_BOOKMARK_BLOCK_BYTES) return GM_OK;
	return write_block(writer, err);
}

static enum gm_code write_trailer(struct gm_bookmark_writer *writer, struct gm_error *err)
{
	uint8_t trailer[TRAILER_BYTES] = {0};
	const struct gm_bookmark_counts *said = &writer->expected, *found = &writer->counts;
	if (said->objects != found->objects || said->replayed != found->replayed || said->newest_us != found->newest_us)
		GM_FAIL(err, GM_BUG, "a bookmark does not hold what its header says");
	gm_put_le(trailer + 4, writer->blocks, 4);
	gm_put_le(trailer + 8, found->objects + found->replayed, 8);
	(void)XXH3_64bits_update(writer->check, trailer, TRAILER_BYTES - CHECK_BYTES);
	gm_put_le(trailer + TRAILER_BYTES - CHECK_BYTES, XXH3_64bits_digest(writer->check), 8);
	return gm_store_stage_append(writer->table, writer->staged, trailer, sizeof trailer, err);
}

enum gm_code gm_bookmark_writer_finish(struct gm_bookmark_writer *writer, struct gm_error *err)
{
	char token[GM_TOKEN_BYTES];
	GM_TRY(write_block(writer, err));
	GM_TRY(write_trailer(writer, err));
	struct gm_staged *staged = writer->staged;
	writer->staged = NULL;
	GM_TRY(gm_store_stage_finish(writer->table, staged, token, err));
	enum gm_code rc = gm_store_settle(writer->table, err);
	if (rc == GM_OK) rc = gm_store_publish(writer->table, token, writer->key, err);
	/* What is left over lies in the work folder, which is swept. */
	(void)!gm_store_discard(writer->table, token, NULL);
	return rc;
}
