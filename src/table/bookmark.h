/* bookmark.h - which objects of the source a job has processed: identity, size, and what tells that content changed.
 *
 * A state is a base file, which holds everything up to some run in sorted, front-coded, compressed blocks, and the few
 * runs since, in memory. It is asked in the order of a listing, so a merge of two sorted streams answers a million
 * objects in a few blocks' memory. Besides objects it knows which runs are committed: those on the chain of parents.
 *
 * Keys are relative to the source. One that begins with "/_gristmill/" is not a source object's but a quarantine file
 * of this table that was replayed. (An object of the source may have a key that begins with '/', where the store has
 * such keys. One that begins with this very text is hidden, like all with a part that begins with '_': no input.) */
#ifndef GM_TABLE_BOOKMARK_H
#define GM_TABLE_BOOKMARK_H

#include "store/store.h"

#include <string.h>

enum { GM_BOOKMARK_KEY_MAX = GM_KEY_FREE_BYTES }; /* bytes of an entry's key */

/* The key in the table of a replayed quarantine file; NULL: it is the key of an object of the source. */
static inline const char *gm_bookmark_quarantine(const char *key)
{
	return strncmp(key, "/_gristmill/", 12) == 0 ? key + 1 : NULL;
}

struct gm_bookmark_entry {
	const char *key;
	uint64_t size;
	int64_t mtime_us;   /* LastModified as recorded when it was planned */
	uint64_t etag_hash; /* gm_bookmark_etag_hash; 0 on a directory */
	uint64_t run;       /* that processed it */
};
/* 0 for "", and for nothing else. */
uint64_t gm_bookmark_etag_hash(const char *etag);

struct gm_bookmark;
/* Opens the base file under `key`; NULL: an empty state, and `table` may be NULL. NOT_FOUND, CORRUPT and UNSUPPORTED (a
 * newer format) name it. Only its header is read yet: damage further on is told by whatever comes upon it. */
enum gm_code gm_bookmark_open(struct gm_store *table, const char *key, struct gm_bookmark **out,
                              struct gm_error *err) GM_CHECK;
void gm_bookmark_free(struct gm_bookmark *bookmark); /* NULL is allowed */
/* The newest run the base file knows; 0: none. */
uint64_t gm_bookmark_base(const struct gm_bookmark *bookmark);

/* What committed runs after the base did, in the order of the chain. Every run is announced, then what it did: runs
 * that do not ascend, entries of another run than the one announced last, and keys that are empty, too long or not
 * UTF-8 are BUGs. Texts are copied. A key that is added again replaces what was known of it. What changes entries ends
 * a pass of gm_bookmark_find. */
enum gm_code gm_bookmark_run(struct gm_bookmark *bookmark, uint64_t run, struct gm_error *err) GM_CHECK;
enum gm_code gm_bookmark_add(struct gm_bookmark *bookmark, const struct gm_bookmark_entry *entry,
                             struct gm_error *err) GM_CHECK;
/* Forgets all objects whose recorded mtime is later than to_us. Replayed quarantine files stay: their times are those
 * of another clock. */
enum gm_code gm_bookmark_rewind(struct gm_bookmark *bookmark, int64_t to_us, struct gm_error *err) GM_CHECK;
enum gm_code gm_bookmark_forget(struct gm_bookmark *bookmark, const char *key, struct gm_error *err) GM_CHECK;

/* When the source was last listed in full, as the newest run announced has it; 0: not known. */
void gm_bookmark_set_full(struct gm_bookmark *bookmark, int64_t full_us);
int64_t gm_bookmark_full(const struct gm_bookmark *bookmark);

/* Keys added or forgotten after the base, one that was named more than once perhaps counted so: what is in memory. */
uint64_t gm_bookmark_since_base(const struct gm_bookmark *bookmark);
/* Is the run on the chain? */
bool gm_bookmark_has_run(const struct gm_bookmark *bookmark, uint64_t run);
struct gm_bookmark_summary {
	uint64_t objects, replayed; /* that are known: of the source, and quarantine files */
	uint64_t since_base;        /* keys added or forgotten after the base: what is held in memory */
	uint64_t runs;              /* on the chain */
	int64_t newest_us;          /* mtime of the newest object; 0 if there is none */
};
/* Costs a pass over the base if anything came after it. */
enum gm_code gm_bookmark_summarize(struct gm_bookmark *bookmark, struct gm_bookmark_summary *summary,
                                   struct gm_error *err) GM_CHECK;

/* Asks in ascending bytewise order of keys, from the first call or gm_bookmark_restart on; NULL in *entry: not
 * processed. The entry lives until the next call. A key that is less than the one asked before is a BUG. */
enum gm_code gm_bookmark_find(struct gm_bookmark *bookmark, const char *key, const struct gm_bookmark_entry **entry,
                              struct gm_error *err) GM_CHECK;
void gm_bookmark_restart(struct gm_bookmark *bookmark);
/* Every entry, ascending. `each` must not use the bookmark. This, a summary and writing end a pass of
 * gm_bookmark_find. */
typedef enum gm_code gm_bookmark_fn(void *context, const struct gm_bookmark_entry *entry, struct gm_error *err);
enum gm_code gm_bookmark_each(struct gm_bookmark *bookmark, gm_bookmark_fn *each, void *context,
                              struct gm_error *err) GM_CHECK;

/* Writes the whole state as a base file for the newest run announced (BUG: there is none), put if absent, the same
 * bytes from everybody. It is staged below work_prefix, where a death leaves it to be swept. EXISTS is passed on. */
enum gm_code gm_bookmark_write(struct gm_bookmark *bookmark, struct gm_store *table, const char *key,
                               const char *work_prefix, struct gm_error *err) GM_CHECK;

#endif
