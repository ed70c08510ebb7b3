/* spare.h - memory of encoded columns that have gone into their file, kept for columns to come.
 *
 * Each page of memory that the kernel hands out fresh costs more than compressing into it, and a run writes as many as
 * its table is large. A column takes about as much in each row group: so it gets the block that its like had. */
#ifndef GM_PARQUET_SPARE_H
#define GM_PARQUET_SPARE_H

#include "parquet/writer.h"

/* An empty buf gets the block that leaf number `leaf` had last, if one is kept. Any thread. */
void gm_parquet_spare_take(struct gm_parquet_spare *spare, size_t leaf, struct gm_buf *buf);
/* Takes the block of a buf, which is empty then; the oldest ones are freed for it when there are too many. Any thread.
 */
void gm_parquet_spare_give(struct gm_parquet_spare *spare, size_t leaf, struct gm_buf *buf);

#endif
