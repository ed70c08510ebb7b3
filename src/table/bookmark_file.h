/* bookmark_file.h - the base file of a bookmark, read and written from its first entry to its last, a block at a time.
 * The format stands at the head of bookmark_file.c. */
#ifndef GM_TABLE_BOOKMARK_FILE_H
#define GM_TABLE_BOOKMARK_FILE_H

#include "table/bookmark.h"

enum {
	GM_BOOKMARK_FORMAT = 1,
	GM_BOOKMARK_BLOCK_ENTRIES = 4096,    /* a block ends with so many entries, */
	GM_BOOKMARK_BLOCK_BYTES = 128 << 10, /* or with the one that makes it so long before it is compressed */
	GM_BOOKMARK_BLOCK_MAX = GM_BOOKMARK_BLOCK_BYTES + 4096, /* no block is longer */
	GM_BOOKMARK_HEAD_MAX = 8 << 20,
};

/* What there is of entries. */
struct gm_bookmark_counts {
	uint64_t objects, replayed; /* objects of the source, and quarantine files */
	int64_t newest_us;          /* of the objects; 0 if there are none */
};
static inline bool gm_bookmark_is_object(const struct gm_bookmark_entry *entry)
{
	return gm_bookmark_quarantine(entry->key) == NULL;
}
static inline void gm_bookmark_count(struct gm_bookmark_counts *counts, const struct gm_bookmark_entry *entry)
{
	if (!gm_bookmark_is_object(entry)) {
		counts->replayed++;
		return;
	}
	if (counts->objects == 0 || entry->mtime_us > counts->newest_us) counts->newest_us = entry->mtime_us;
	counts->objects++;
}

/* What the header says. */
struct gm_bookmark_range {
	uint64_t first, last; /* runs, both of them in it */
};
struct gm_bookmark_head {
	struct gm_bookmark_counts counts;
	int64_t full_us; /* when the source was last listed in full; 0: not known */
	/* The committed runs: ascending, with gaps in between. The file is of the last of them. */
	const struct gm_bookmark_range *ranges;
	size_t range_count;
};
bool gm_bookmark_in_ranges(const struct gm_bookmark_range *ranges, size_t count, uint64_t run);
/* Can it be the key of an entry: 1 .. GM_BOOKMARK_KEY_MAX bytes of UTF-8? */
bool gm_bookmark_key_valid(const char *key);

/* Opens and reads the header, which then stays where it is until the reader is closed. */
struct gm_bookmark_reader;
enum gm_code gm_bookmark_reader_open(struct gm_store *table, const char *key, struct gm_bookmark_reader **out,
                                     struct gm_error *err) GM_CHECK;
void gm_bookmark_reader_close(struct gm_bookmark_reader *reader); /* NULL is allowed */
const struct gm_bookmark_head *gm_bookmark_reader_head(const struct gm_bookmark_reader *reader);
/* The next entry, which lives until the next call; NULL at the end, once the whole file has been found sound. */
enum gm_code gm_bookmark_reader_next(struct gm_bookmark_reader *reader, const struct gm_bookmark_entry **entry,
                                     struct gm_error *err) GM_CHECK;
/* Back to the first entry. */
enum gm_code gm_bookmark_reader_restart(struct gm_bookmark_reader *reader, struct gm_error *err) GM_CHECK;

/* Writes a file staged below work_prefix; finish publishes it under its key. Head and entries must agree: BUG. */
struct gm_bookmark_writer;
enum gm_code gm_bookmark_writer_open(struct gm_store *table, const char *key, const char *work_prefix,
                                     const struct gm_bookmark_head *head, struct gm_bookmark_writer **out,
                                     struct gm_error *err) GM_CHECK;
enum gm_code gm_bookmark_writer_add(struct gm_bookmark_writer *writer, const struct gm_bookmark_entry *entry,
                                    struct gm_error *err) GM_CHECK;
/* EXISTS is passed on. */
enum gm_code gm_bookmark_writer_finish(struct gm_bookmark_writer *writer, struct gm_error *err) GM_CHECK;
void gm_bookmark_writer_free(struct gm_bookmark_writer *writer); /* NULL is allowed; what is unfinished is dropped */

#endif
