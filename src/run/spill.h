/* spill.h - where waiting rows go when memory is short: one unlinked temporary file per unit of work.
 *
 * A spilled segment is, in the file: the columns one after the other, each compressed by zstd in frames of 128 KiB,
 * then a table of two u32 per slot (raw and compressed bytes of its column). Its offset is that of the table: sizes are
 * known when a column has been written, and nothing needs a whole one in memory. A raw column is: a byte that says
 * whether null flags follow; the null flags, a byte a row; then the values: u8, i64 or f64 each, or for strings a u32
 * end offset each and the bytes. The format lives and dies with the process. */
#ifndef GM_RUN_SPILL_H
#define GM_RUN_SPILL_H

#include "column/vec.h"

struct gm_spill;
/* Nothing is created before the first write. directory: where the temporary file goes. */
enum gm_code gm_spill_new(const char *directory, const uint32_t *slots, size_t slot_count, struct gm_spill **out,
                          struct gm_error *err) GM_CHECK;
void gm_spill_free(struct gm_spill *spill);
/* Writes the rows of `slices` (each the same rows of chunk `chunks[i]`) as one segment; one thread at a time. It can be
 * read after a flush. */
struct gm_spill_source {
	const struct gm_chunk *chunk;
	const uint32_t *rows;
	uint32_t first, count;
};
enum gm_code gm_spill_write(struct gm_spill *spill, const struct gm_spill_source *sources, size_t source_count,
                            uint64_t *offset, struct gm_error *err) GM_CHECK;
enum gm_code gm_spill_flush(struct gm_spill *spill, struct gm_error *err) GM_CHECK;
uint64_t gm_spill_bytes(const struct gm_spill *spill);

/* What a thread reads with; NULL when memory is gone. */
struct gm_spill_reader;
struct gm_spill_reader *gm_spill_reader_new(void);
void gm_spill_reader_free(struct gm_spill_reader *reader);
/* Reads column number `column` (an index into the slots given at birth) of a segment into *vec, whose type is set.
 * *memory is what to free() after use. Any number of threads at once, also beside the one that writes. */
enum gm_code gm_spill_read(const struct gm_spill *spill, struct gm_spill_reader *reader, uint64_t offset, size_t column,
                           uint32_t rows, struct gm_vec *vec, void **memory, struct gm_error *err) GM_CHECK;

#endif
