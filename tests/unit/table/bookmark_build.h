/* bookmark_build.h - files as the head of bookmark_file.c describes them, made without its code: what the tests and the
 * fuzzer hold against it. A file need not make sense; only its checks are right. */
#ifndef GM_TEST_TABLE_BOOKMARK_BUILD_H
#define GM_TEST_TABLE_BOOKMARK_BUILD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zstd.h>

struct build {
	uint8_t *bytes;
	size_t n, room;
};

static inline void build_bytes(struct build *to, const void *bytes, size_t n)
{
	if (n > (size_t)1 << 30) abort();
	if (to->n + n > to->room) {
		to->room = 2 * (to->n + n);
		to->bytes = realloc(to->bytes, to->room);
		if (to->bytes == NULL) abort();
	}
	if (n > 0) memcpy(to->bytes + to->n, bytes, n);
	to->n += n;
}

static inline void build_number(struct build *to, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) build_bytes(to, &(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
}

static inline void build_varint(struct build *to, uint64_t value)
{
	while (value > 127) {
		build_bytes(to, &(uint8_t){(uint8_t)(128 + value % 128)}, 1);
		value /= 128;
	}
	build_bytes(to, &(uint8_t){(uint8_t)value}, 1);
}

/* As two's complement, doubled for what is not negative, doubled and less by one for what is. */
static inline void build_zigzag(struct build *to, int64_t value)
{
	build_varint(to, value >= 0 ? 2 * (uint64_t)value : 2 * (uint64_t) - (value + 1) + 1);
}

static inline void build_check(struct build *to, size_t from)
{
	build_number(to, XXH3_64bits(to->bytes + from, to->n - from), 8);
}

static inline void build_header(struct build *to, uint32_t format, const void *head, size_t n)
{
	build_bytes(to, "GMBOOKMK", 8);
	build_number(to, format, 4);
	build_number(to, n, 4);
	build_bytes(to, head, n);
	build_check(to, 0);
}

/* Ranges: pairs of first and last runs. */
static inline void build_head(struct build *to, uint64_t objects, uint64_t replayed, int64_t newest, int64_t full,
                              const uint64_t (*ranges)[2], size_t count)
{
	struct build head = {0};
	build_number(&head, objects, 8);
	build_number(&head, replayed, 8);
	build_number(&head, (uint64_t)newest, 8);
	build_number(&head, (uint64_t)full, 8);
	build_varint(&head, count);
	for (size_t i = 0; i < count; i++) {
		build_varint(&head, ranges[i][0] - (i > 0 ? ranges[i - 1][1] : 0));
		build_varint(&head, ranges[i][1] - ranges[i][0]);
	}
	build_header(to, 1, head.bytes, head.n);
	free(head.bytes);
}

/* lengths, text, sizes, mtimes, runs, etags */
static inline void build_block(struct build *to, uint32_t entries, const struct build columns[6])
{
	size_t from = to->n;
	struct build frames = {0};
	build_number(to, entries, 4);
	for (int i = 0; i < 6; i++) {
		size_t room = ZSTD_compressBound(columns[i].n);
		uint8_t *frame = malloc(room);
		if (frame == NULL) abort();
		size_t n = ZSTD_compress(frame, room, columns[i].bytes, columns[i].n, 1);
		build_number(to, columns[i].n, 4);
		build_number(to, n, 4);
		build_bytes(&frames, frame, n);
		free(frame);
	}
	build_bytes(to, frames.bytes, frames.n);
	free(frames.bytes);
	build_check(to, from);
}

static inline void build_trailer(struct build *to, uint32_t blocks, uint64_t entries)
{
	build_number(to, 0, 4);
	build_number(to, blocks, 4);
	build_number(to, entries, 8);
	build_check(to, 0);
}

#endif
