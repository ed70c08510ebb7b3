/* inflate.c - one stream of raw bytes out of what an object holds.
 *
 * gzip (RFC 1952)  members one after the other: 1f 8b, header, deflate data, CRC32 and length of the member. ISA-L
 * checks both (a unit test flips each bit of a trailer). Headers are read here, since ISA-L 2.30 forgets where it is in
 * one when its input comes in pieces. Zero bytes may follow the last member, as tape and block padding leaves them, and
 * nothing else. zstd (RFC 8878)  frames one after the other, skippable ones among them; window up to 128 MiB, checksums
 * checked. plain            everything else, an empty object too.
 *
 * An object may end only where a member or frame has ended. */
#include "shred/inflate.h"

#include "base/stopwatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
	INPUT_BYTES = 128 * 1024,
	MAGIC_BYTES = 4,
	FRAME_HEADER_BYTES = 18, /* of zstd, at most */
};

enum format { FORMAT_PLAIN, FORMAT_GZIP, FORMAT_ZSTD };

enum stage {
	STAGE_START,   /* nothing read yet */
	STAGE_HEADER,  /* of a gzip member */
	STAGE_BODY,    /* inside a member, a frame, or plain bytes */
	STAGE_BETWEEN, /* behind a gzip member */
	STAGE_PADDING, /* zero bytes behind the last member */
	STAGE_END,
	STAGE_FAILED, /* `failure` holds why */
};

/* The parts of a gzip header in their order; the flag in FLG that says whether each is there (0: always). */
enum part { PART_FIXED, PART_EXTRA_LENGTH, PART_EXTRA, PART_NAME, PART_COMMENT, PART_CHECK, PART_COUNT };
static const uint8_t part_flag[PART_COUNT] = {0, 4, 4, 8, 16, 2};
enum { FLAGS_RESERVED = 0xE0, FIXED_BYTES = 10 };

struct header {
	enum part part;
	uint32_t at;    /* bytes of this part so far */
	uint32_t extra; /* length of the extra field */
	uint32_t check; /* CRC32 of the header so far; its low half ends the header when flagged */
	uint32_t found; /* that half, as stored */
	uint8_t flags;
};

struct gm_inflate {
	gm_source_fn *source;
	void *context;
	enum format format;
	enum stage stage;
	bool source_ended;
	bool damaged;
	bool in_frame;   /* zstd: the last frame begun has not ended */
	bool more_ready; /* the decoder holds bytes that did not fit the last time */
	uint64_t taken, given;
	uint64_t frame_declared,
	    frame_given; /* zstd: bytes of this frame, as its header says (or a ZSTD_CONTENTSIZE_) and so far */
	size_t pos, len; /* unread bytes of `in` */
	ZSTD_DCtx *zstd; /* NULL until a zstd object comes */
	struct gm_error failure;
	struct header header;
	struct inflate_state gzip;
	uint8_t in[INPUT_BYTES];
};

struct gm_inflate *gm_inflate_new(void)
{
	struct gm_inflate *inflate = malloc(sizeof *inflate);
	if (inflate == NULL) return NULL;
	inflate->zstd = NULL;
	gm_inflate_begin(inflate, NULL, NULL);
	return inflate;
}

void gm_inflate_free(struct gm_inflate *inflate)
{
	if (inflate == NULL) return;
	(void)ZSTD_freeDCtx(inflate->zstd);
	free(inflate);
}

void gm_inflate_begin(struct gm_inflate *inflate, gm_source_fn *source, void *context)
{
	inflate->source = source;
	inflate->context = context;
	inflate->format = FORMAT_PLAIN;
	inflate->stage = STAGE_START;
	inflate->source_ended = inflate->damaged = inflate->in_frame = inflate->more_ready = false;
	inflate->taken = inflate->given = 0;
	inflate->pos = inflate->len = 0;
	inflate->failure = (struct gm_error){.code = GM_OK};
}

void gm_inflate_begin_plain(struct gm_inflate *inflate, gm_source_fn *source, void *context)
{
	gm_inflate_begin(inflate, source, context);
	inflate->stage = STAGE_BODY;
}

static uint64_t compressed_offset(const struct gm_inflate *inflate)
{
	return inflate->taken - (inflate->len - inflate->pos);
}

/* Ends the object as damaged. The failure is kept and told once the bytes before it have been given. */
static void damage(struct gm_inflate *inflate, const char *what)
{
	uint64_t at = compressed_offset(inflate);
	(void)gm_error_set(&inflate->failure, GM_CORRUPT, "%s, at byte %llu of the stored object", what,
	                   (unsigned long long)at);
	inflate->failure.offset = at;
	inflate->damaged = true;
	inflate->stage = STAGE_FAILED;
}

static enum gm_code ask_source(struct gm_inflate *inflate, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	*got = 0;
	if (inflate->source_ended) return GM_OK;
	GM_TRY(inflate->source(inflate->context, into, bytes, got, err));
	if (*got > bytes) GM_FAIL(err, GM_BUG, "a source gave more bytes than it was asked for");
	inflate->taken += *got;
	inflate->source_ended = *got == 0;
	return GM_OK;
}

/* Makes `wanted` unread bytes ready, fewer only at the end of the object. */
static enum gm_code want(struct gm_inflate *inflate, size_t wanted, struct gm_error *err)
{
	if (inflate->len - inflate->pos >= wanted) return GM_OK;
	memmove(inflate->in, inflate->in + inflate->pos, inflate->len - inflate->pos);
	inflate->len -= inflate->pos;
	inflate->pos = 0;
	while (inflate->len < wanted && !inflate->source_ended) {
		size_t got;
		GM_TRY(ask_source(inflate, inflate->in + inflate->len, INPUT_BYTES - inflate->len, &got, err));
		inflate->len += got;
	}
	return GM_OK;
}

static void begin_member(struct gm_inflate *inflate)
{
	isal_inflate_init(&inflate->gzip);
	inflate->gzip.crc_flag = ISAL_GZIP_NO_HDR_VER;
	inflate->more_ready = false;
	inflate->header = (struct header){.part = PART_FIXED};
	inflate->stage = STAGE_HEADER;
}

static void next_part(struct header *header)
{
	header->at = 0;
	do header->part++;
	while (header->part < PART_COUNT && (header->flags & part_flag[header->part]) == 0);
	if (header->part == PART_EXTRA && header->extra == 0) next_part(header);
}

/* Takes one byte of a member's header. Returns what is wrong with it, or NULL. */
static const char *header_byte(struct header *header, uint8_t byte)
{
	static const uint8_t magic[] = {0x1F, 0x8B, 8};
	uint32_t at = header->at++;
	if (header->part != PART_CHECK) header->check = crc32_gzip_refl(header->check, &byte, 1);
	switch (header->part) {
	case PART_FIXED:
		if (at < sizeof magic && byte != magic[at]) return "a gzip header is invalid";
		if (at == 3) header->flags = byte;
		if (at == 3 && (byte & FLAGS_RESERVED) != 0) return "a gzip header has unknown flags";
		if (header->at == FIXED_BYTES) next_part(header);
		break;
	case PART_EXTRA_LENGTH:
		header->extra |= (uint32_t)byte << (8 * at);
		if (header->at == 2) next_part(header);
		break;
	case PART_EXTRA:
		if (header->at == header->extra) next_part(header);
		break;
	case PART_NAME:
	case PART_COMMENT:
		if (byte == 0) next_part(header);
		break;
	default:
		header->found |= (uint32_t)byte << (8 * at);
		if (header->at < 2) break;
		if (header->found != (header->check & 0xFFFF)) return "a gzip header's checksum is wrong";
		next_part(header);
	}
	return NULL;
}

static enum gm_code begin_frames(struct gm_inflate *inflate, struct gm_error *err)
{
	if (inflate->zstd == NULL) inflate->zstd = ZSTD_createDCtx();
	if (inflate->zstd == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a zstd decoder");
	(void)ZSTD_DCtx_reset(inflate->zstd, ZSTD_reset_session_only);
	inflate->stage = STAGE_BODY;
	return GM_OK;
}

static bool is_gzip(const uint8_t *bytes, size_t n)
{
	return n >= 2 && bytes[0] == 0x1F && bytes[1] == 0x8B;
}

/* A zstd frame (28 b5 2f fd) or a skippable one (5x 2a 4d 18). */
static bool is_zstd(const uint8_t *bytes, size_t n)
{
	if (n < MAGIC_BYTES) return false;
	return memcmp(bytes, "\x28\xB5\x2F\xFD", MAGIC_BYTES) == 0 ||
	       ((bytes[0] & 0xF0) == 0x50 && memcmp(bytes + 1, "\x2A\x4D\x18", MAGIC_BYTES - 1) == 0);
}

static enum gm_code start(struct gm_inflate *inflate, struct gm_error *err)
{
	GM_TRY(want(inflate, MAGIC_BYTES, err));
	if (is_gzip(inflate->in, inflate->len)) {
		inflate->format = FORMAT_GZIP;
		begin_member(inflate);
	} else if (is_zstd(inflate->in, inflate->len)) {
		inflate->format = FORMAT_ZSTD;
		return begin_frames(inflate, err);
	} else {
		inflate->stage = STAGE_BODY;
	}
	return GM_OK;
}

static enum gm_code read_plain(struct gm_inflate *inflate, uint8_t *into, size_t bytes, size_t *got,
                               struct gm_error *err)
{
	size_t ready = inflate->len - inflate->pos;
	if (ready == 0) {
		GM_TRY(ask_source(inflate, into, bytes, got, err));
		if (*got == 0) inflate->stage = STAGE_END;
		return GM_OK;
	}
	*got = ready < bytes ? ready : bytes;
	memcpy(into, inflate->in + inflate->pos, *got);
	inflate->pos += *got;
	return GM_OK;
}

static const char *gzip_fault(int code)
{
	switch (code) {
	case ISAL_INVALID_BLOCK: return "the gzip data has an invalid block";
	case ISAL_INVALID_SYMBOL: return "the gzip data has an invalid symbol";
	case ISAL_INVALID_LOOKBACK: return "the gzip data refers to bytes before its start";
	case ISAL_INCORRECT_CHECKSUM: return "a gzip member's checksum or length is wrong";
	default: return "the gzip data is damaged";
	}
}

/* Input for a decoder that has nothing more to give without; the stage is FAILED afterwards if the object has ended. It
 * comes in full buffers: where damage is noticed may depend on the pieces a decoder gets, and so must not depend on the
 * source. */
static enum gm_code need_input(struct gm_inflate *inflate, const char *cut, struct gm_error *err)
{
	if (inflate->more_ready || inflate->pos < inflate->len) return GM_OK;
	GM_TRY(want(inflate, INPUT_BYTES, err));
	if (inflate->len == 0) damage(inflate, cut);
	return GM_OK;
}

static enum gm_code read_header(struct gm_inflate *inflate, struct gm_error *err)
{
	GM_TRY(need_input(inflate, "the object ends inside a gzip header", err));
	while (inflate->stage == STAGE_HEADER && inflate->pos < inflate->len) {
		const char *fault = header_byte(&inflate->header, inflate->in[inflate->pos++]);
		if (fault != NULL)
			damage(inflate, fault);
		else if (inflate->header.part == PART_COUNT)
			inflate->stage = STAGE_BODY;
	}
	return GM_OK;
}

/* What ISA-L 2.30 has really written when it fails. Its fast loop leaves with counters that are off, next_out moved
 * ahead by the longest match and a few literals at most, and nothing written there. */
static size_t written_before_failure(const struct inflate_state *gzip, const uint8_t *into, size_t room)
{
	enum { AHEAD = 258 + 30 };
	size_t claimed = gzip->next_out > into ? (size_t)(gzip->next_out - into) : 0;
	size_t sure = claimed > AHEAD ? claimed - AHEAD : 0;
	return sure < room ? sure : room;
}

static enum gm_code read_gzip(struct gm_inflate *inflate, uint8_t *into, size_t bytes, size_t *got,
                              struct gm_error *err)
{
	GM_TRY(need_input(inflate, "the object ends inside a gzip member", err));
	if (inflate->stage == STAGE_FAILED) return GM_OK;
	struct inflate_state *gzip = &inflate->gzip;
	uint32_t room = bytes > INT32_MAX ? INT32_MAX : (uint32_t)bytes;
	gzip->next_in = inflate->in + inflate->pos;
	gzip->avail_in = (uint32_t)(inflate->len - inflate->pos);
	gzip->next_out = into;
	gzip->avail_out = room;
	int code = isal_inflate(gzip);
	inflate->pos = (size_t)(gzip->next_in - inflate->in);
	bool decoded = code >= 0 || code == ISAL_INCORRECT_CHECKSUM;
	*got = decoded ? room - gzip->avail_out : written_before_failure(gzip, into, room);
	inflate->more_ready = gzip->avail_out == 0;
	if (code < 0)
		damage(inflate, gzip_fault(code));
	else if (code == ISAL_NEED_DICT)
		damage(inflate, "the gzip data needs a dictionary");
	else if (gzip->block_state == ISAL_BLOCK_FINISH)
		inflate->stage = STAGE_BETWEEN;
	return GM_OK;
}

/* Behind a member: another one, padding, or the end. */
static enum gm_code between_members(struct gm_inflate *inflate, struct gm_error *err)
{
	GM_TRY(want(inflate, 2, err));
	const uint8_t *next = inflate->in + inflate->pos;
	size_t ready = inflate->len - inflate->pos;
	if (ready == 0)
		inflate->stage = STAGE_END;
	else if (is_gzip(next, ready))
		begin_member(inflate);
	else if (next[0] == 0)
		inflate->stage = STAGE_PADDING;
	else
		damage(inflate, "bytes that are not gzip follow the last member");
	return GM_OK;
}

static enum gm_code skip_padding(struct gm_inflate *inflate, struct gm_error *err)
{
	GM_TRY(want(inflate, 1, err));
	if (inflate->pos == inflate->len) {
		inflate->stage = STAGE_END;
		return GM_OK;
	}
	while (inflate->pos < inflate->len && inflate->in[inflate->pos] == 0) inflate->pos++;
	if (inflate->pos < inflate->len) damage(inflate, "bytes other than zero follow the padding after the last member");
	return GM_OK;
}

static enum gm_code read_zstd(struct gm_inflate *inflate, uint8_t *into, size_t bytes, size_t *got,
                              struct gm_error *err)
{
	if (!inflate->in_frame) {
		GM_TRY(want(inflate, FRAME_HEADER_BYTES, err));
		size_t ready = inflate->len - inflate->pos;
		if (ready == 0) {
			inflate->stage = STAGE_END;
			return GM_OK;
		}
		inflate->frame_declared = ZSTD_getFrameContentSize(inflate->in + inflate->pos, ready);
		inflate->frame_given = 0;
	}
	GM_TRY(need_input(inflate, "the object ends inside a zstd frame", err));
	if (inflate->stage == STAGE_FAILED) return GM_OK;
	ZSTD_inBuffer in = {inflate->in, inflate->len, inflate->pos};
	ZSTD_outBuffer out = {into, bytes, 0};
	size_t left = ZSTD_decompressStream(inflate->zstd, &out, &in);
	inflate->pos = in.pos;
	*got = out.pos;
	if (ZSTD_isError(left)) {
		if (ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation)
			GM_FAIL(err, GM_NOMEM, "out of memory for a zstd window");
		char what[128];
		(void)snprintf(what, sizeof what, "the zstd data is damaged (%s)", ZSTD_getErrorName(left));
		damage(inflate, what);
		return GM_OK;
	}
	inflate->frame_given += out.pos;
	inflate->in_frame = left != 0;
	inflate->more_ready = left != 0 && out.pos == out.size;
	uint64_t declared = inflate->frame_declared;
	if (left == 0 && declared < ZSTD_CONTENTSIZE_ERROR && declared != inflate->frame_given)
		damage(inflate, "a zstd frame's length is wrong");
	return GM_OK;
}

static enum gm_code read_on(struct gm_inflate *inflate, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	*got = 0;
	while (rc == GM_OK && *got == 0 && bytes > 0 && inflate->stage != STAGE_END) {
		switch (inflate->stage) {
		case STAGE_START: rc = start(inflate, err); break;
		case STAGE_HEADER: rc = read_header(inflate, err); break;
		case STAGE_BODY:
			if (inflate->format == FORMAT_GZIP)
				rc = read_gzip(inflate, into, bytes, got, err);
			else if (inflate->format == FORMAT_ZSTD)
				rc = read_zstd(inflate, into, bytes, got, err);
			else
				rc = read_plain(inflate, into, bytes, got, err);
			break;
		case STAGE_BETWEEN: rc = between_members(inflate, err); break;
		case STAGE_PADDING: rc = skip_padding(inflate, err); break;
		default:
			if (err != NULL) *err = inflate->failure;
			return inflate->failure.code;
		}
	}
	inflate->given += *got;
	return rc;
}

enum gm_code gm_inflate_read(struct gm_inflate *inflate, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	enum gm_stage outer = gm_stage_enter(GM_STAGE_INFLATE);
	enum gm_code rc = read_on(inflate, into, bytes, got, err);
	gm_stage_bytes(GM_STAGE_INFLATE, *got);
	(void)gm_stage_enter(outer);
	return rc;
}

bool gm_inflate_damaged(const struct gm_inflate *inflate)
{
	return inflate->damaged;
}

uint64_t gm_inflate_bytes_in(const struct gm_inflate *inflate)
{
	return inflate->taken;
}

uint64_t gm_inflate_bytes_out(const struct gm_inflate *inflate)
{
	return inflate->given;
}

const char *gm_inflate_format(const struct gm_inflate *inflate)
{
	static const char *const names[] = {"plain", "gzip", "zstd"};
	return names[inflate->format];
}
