/* recode.h - turns a page's values from PLAIN form into another encoding: the counterpart of decode.h, read_values.h.
 *
 * DELTA_BINARY_PACKED (numbers) is a header (varints: values of a block, miniblocks of a block, number of values,
 * zigzag first value), then blocks: zigzag least difference, a byte of width for each miniblock, the miniblocks. Each
 * holds, bit-packed, the differences of neighbours less the least one. All sums wrap around, at 32 bits for columns of
 * 32 bits. DELTA_LENGTH_BYTE_ARRAY (strings) is all lengths as DELTA_BINARY_PACKED, then all bytes. DELTA_BYTE_ARRAY is
 * the lengths of the prefixes shared with the string before, then the rest of each as DELTA_LENGTH_BYTE_ARRAY. RLE
 * (booleans) is a u32 length and a hybrid run. */
#ifndef GM_PARQUET_RECODE_H
#define GM_PARQUET_RECODE_H

#include "parquet/format.h"

#include "column/vec.h"

struct gm_recoder {
	struct gm_buf out;       /* the result */
	int64_t *first, *second; /* numbers, lengths of strings or of prefixes; lengths of what follows these */
	size_t first_cap, second_cap;
};

void gm_recoder_init(struct gm_recoder *recoder);
void gm_recoder_release(struct gm_recoder *recoder);
/* Encodings that the values of a type can have besides PLAIN: how many. */
size_t gm_recode_choices(enum gm_type type, const enum gm_format_encoding **choices);
/* The encoding is one of the type's choices, or PLAIN for booleans, which are bytes that are 0 or 1 before. The result
 * stands behind `gap` bytes in recoder->out. */
enum gm_code gm_recode(struct gm_recoder *recoder, enum gm_format_encoding encoding, enum gm_type type,
                       const uint8_t *plain, size_t count, size_t gap, struct gm_error *err) GM_CHECK;

#endif
