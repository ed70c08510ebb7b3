#include "parquet/compact.h"
#include "parquet/encode.h"
#include "parquet/stats.h"

#include <string.h>

enum {
	SAMPLE_VALUES = 20000,
	SAMPLE_BYTES = 1 << 20,
	SLACK = 32,
	GAIN = 50,       /* what is chosen in place of the usual way saves at least one in so many bytes */
	FEW_ENTRIES = 8, /* are packed densely without trying */
	CONTESTED = 16,  /* a dictionary whose entries are used as often on average needs no comparison */
};

void gm_compact_init(struct gm_compact *compact)
{
	*compact = (struct gm_compact){0};
	gm_recoder_init(&compact->recoder);
	gm_arrange_init(&compact->arrange);
	gm_buf_init(&compact->sample, SIZE_MAX / 2);
	gm_buf_init(&compact->packed, SIZE_MAX / 2);
}

void gm_compact_release(struct gm_compact *compact)
{
	gm_recoder_release(&compact->recoder);
	gm_arrange_release(&compact->arrange);
	gm_buf_release(&compact->sample);
	gm_buf_release(&compact->packed);
}

static bool saves(size_t bytes, size_t usual)
{
	return bytes < usual - usual / GAIN;
}

/* --- Values ------------------------------------------------------------------------------------------------------- */

/* What values in PLAIN form take in an encoding, compressed. */
static enum gm_code try_encoding(struct gm_compact *compact, struct gm_page_packer *packer, enum gm_type type,
                                 const struct gm_compact_sample *sample, enum gm_format_encoding encoding,
                                 size_t *bytes, struct gm_error *err)
{
	const uint8_t *body = sample->plain;
	size_t body_bytes = sample->bytes;
	if (encoding != GM_FORMAT_PLAIN || type == GM_TYPE_BOOLEAN) {
		GM_TRY(gm_recode(&compact->recoder, encoding, type, sample->plain, sample->count, 0, err));
		body = compact->recoder.out.data;
		body_bytes = compact->recoder.out.len;
	}
	return gm_page_try(packer, body, body_bytes, &compact->packed, bytes, err);
}

enum gm_code gm_compact_choose(struct gm_compact *compact, struct gm_page_packer *packer, enum gm_type type,
                               const struct gm_compact_sample *sample, enum gm_format_encoding *encoding, size_t *bytes,
                               struct gm_error *err)
{
	const enum gm_format_encoding *choices;
	size_t choice_count = compact->profile == GM_PROFILE_COMPACT ? gm_recode_choices(type, &choices) : 0, plain;
	GM_TRY(try_encoding(compact, packer, type, sample, GM_FORMAT_PLAIN, &plain, err));
	*encoding = GM_FORMAT_PLAIN;
	*bytes = plain;
	for (size_t i = 0; i < choice_count; i++) {
		size_t tried;
		GM_TRY(try_encoding(compact, packer, type, sample, choices[i], &tried, err));
		if (!saves(tried, plain) || tried >= *bytes) continue;
		*encoding = choices[i];
		*bytes = tried;
	}
	return GM_OK;
}

/* --- Dictionaries ------------------------------------------------------------------------------------------------- */

/* The first values of the chunk, out of its dictionary. */
static enum gm_code take_sample(struct gm_compact *compact, const struct gm_distinct *distinct,
                                struct gm_compact_sample *sample, struct gm_error *err)
{
	struct gm_buf *buf = &compact->sample;
	size_t n = 0;
	buf->len = 0;
	for (; n < distinct->count && n < SAMPLE_VALUES && buf->len < SAMPLE_BYTES; n++) {
		uint32_t entry = distinct->index[n];
		size_t from = (size_t)entry * distinct->size, bytes = distinct->size;
		if (bytes == 0) {
			from = distinct->start[entry];
			bytes = distinct->start[entry + 1] - from;
		}
		GM_TRY(gm_buf_append(buf, distinct->plain.data + from, bytes, err));
	}
	*sample = (struct gm_compact_sample){buf->data, buf->len, n};
	return GM_OK;
}

/* What the indices of the first values take with so many bits each. */
static enum gm_code try_width(struct gm_compact *compact, struct gm_page_packer *packer,
                              const struct gm_distinct *distinct, size_t count, unsigned width, size_t *bytes,
                              struct gm_error *err)
{
	struct gm_buf *buf = &compact->sample;
	buf->len = 0;
	GM_TRY(gm_buf_reserve(buf, gm_hybrid_bound(count, width) + SLACK, err));
	buf->len = (size_t)(gm_hybrid_encode(buf->data, distinct->index, count, width) - buf->data);
	return gm_page_try(packer, buf->data, buf->len, &compact->packed, bytes, err);
}

/* A compressor works on bytes. So indices that fill whole ones can become smaller than those that are packed more
 * densely. */
static enum gm_code choose_width(struct gm_compact *compact, struct gm_page_packer *packer,
                                 const struct gm_distinct *distinct, size_t count, bool *whole_bytes, size_t *bytes,
                                 struct gm_error *err)
{
	unsigned dense = distinct->entries == 1 ? 1 : gm_bit_width(distinct->entries - 1), whole = (dense + 7) / 8 * 8;
	size_t tried;
	*whole_bytes = false;
	GM_TRY(try_width(compact, packer, distinct, count, dense, bytes, err));
	if (compact->profile == GM_PROFILE_STANDARD || whole == dense || distinct->entries <= FEW_ENTRIES) return GM_OK;
	GM_TRY(try_width(compact, packer, distinct, count, whole, &tried, err));
	if (!saves(tried, *bytes)) return GM_OK;
	*whole_bytes = true;
	*bytes = tried;
	return GM_OK;
}

enum gm_code gm_compact_judge(struct gm_compact *compact, struct gm_page_packer *packer, enum gm_type type,
                              const struct gm_distinct *distinct, size_t dictionary_bytes,
                              struct gm_compact_verdict *verdict, struct gm_error *err)
{
	struct gm_compact_sample sample;
	size_t count = distinct->count < SAMPLE_VALUES ? distinct->count : SAMPLE_VALUES, index_bytes, value_bytes;
	*verdict = (struct gm_compact_verdict){.dictionary = true};
	GM_TRY(choose_width(compact, packer, distinct, count, &verdict->whole_bytes, &index_bytes, err));
	if (distinct->entries <= distinct->count / CONTESTED) return GM_OK;
	GM_TRY(take_sample(compact, distinct, &sample, err));
	GM_TRY(gm_compact_choose(compact, packer, type, &sample, &verdict->encoding, &value_bytes, err));
	double with = (double)dictionary_bytes + (double)index_bytes * (double)distinct->count / (double)count;
	double without = (double)value_bytes * (double)distinct->count / (double)sample.count;
	verdict->dictionary = with <= without;
	return GM_OK;
}
