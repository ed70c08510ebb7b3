/* compact.h - how the values of a column chunk are written in the compact profile, and whether in a dictionary where
 * that is in doubt.
 *
 * What is smallest is found out by trying: a sample of the values is encoded and compressed in each way that the type
 * knows, and a way that readers know less well must save something. The sample is the head of the chunk, so the choice
 * follows from the values alone. */
#ifndef GM_PARQUET_COMPACT_H
#define GM_PARQUET_COMPACT_H

#include "parquet/arrange.h"
#include "parquet/page.h"
#include "parquet/recode.h"

struct gm_compact {
	enum gm_parquet_profile profile; /* standard: values are PLAIN, indices are packed densely */
	struct gm_recoder recoder;
	struct gm_arrange arrange;
	struct gm_buf sample, packed; /* scratch */
};

void gm_compact_init(struct gm_compact *compact);
void gm_compact_release(struct gm_compact *compact);

/* Values in PLAIN form; booleans as bytes. */
struct gm_compact_sample {
	const uint8_t *plain;
	size_t bytes, count;
};
/* The best encoding for values like these; *bytes is what these take in it, compressed. */
enum gm_code gm_compact_choose(struct gm_compact *compact, struct gm_page_packer *packer, enum gm_type type,
                               const struct gm_compact_sample *sample, enum gm_format_encoding *encoding, size_t *bytes,
                               struct gm_error *err) GM_CHECK;

/* Whether a dictionary that was built and arranged is better than its values without one. dictionary_bytes: of its
 * page. */
struct gm_compact_verdict {
	bool dictionary, whole_bytes;     /* widths of indices are multiples of eight bits */
	enum gm_format_encoding encoding; /* of the values, without a dictionary */
};
enum gm_code gm_compact_judge(struct gm_compact *compact, struct gm_page_packer *packer, enum gm_type type,
                              const struct gm_distinct *distinct, size_t dictionary_bytes,
                              struct gm_compact_verdict *verdict, struct gm_error *err) GM_CHECK;

#endif
