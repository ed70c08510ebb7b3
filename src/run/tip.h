/* tip.h - the newest end of the log, followed entry by entry: what a commit must know without reading the whole state
 * again each time it looks. */
#ifndef GM_RUN_TIP_H
#define GM_RUN_TIP_H

#include "run/history.h"

struct gm_tip_txn {
	const char *app_id;
	int64_t version;
};
struct gm_tip {
	struct gm_store *table;
	size_t memory_bytes;            /* for the log, should it have to be read again */
	const struct gm_delta_log *log; /* where it began; NULL: before the first commit */
	struct gm_delta_log *own;       /* the log, if it was read again */
	int64_t version;                /* the newest seen; -1: none */
	struct gm_tip_txn *txns;        /* newer than the log's */
	size_t txn_count, txn_room;
	bool astray; /* entries were cleaned away while they were read: what was seen may not be so */
	struct gm_arena arena;
};

/* The log must outlive the tip; it may be NULL. */
void gm_tip_init(struct gm_tip *tip, struct gm_store *table, const struct gm_delta_log *log, size_t memory_bytes);
void gm_tip_release(struct gm_tip *tip);
/* Reads the entries from version `first` (at most one beyond the newest seen) up to the newest and hands each to
 * `each`. CHANGED: they are gone, cleaned away while we were not looking. */
enum gm_code gm_tip_read(struct gm_tip *tip, int64_t first, gm_delta_entry_fn *each, void *context,
                         struct gm_error *err) GM_CHECK;
/* Goes on to the newest version; where its entries are gone, the log is read anew. */
enum gm_code gm_tip_advance(struct gm_tip *tip, struct gm_error *err) GM_CHECK;
/* The newest transaction of an application; 0: none. */
uint64_t gm_tip_txn(const struct gm_tip *tip, const char *app_id);
/* The job's last committed plan. */
uint64_t gm_tip_head(const struct gm_tip *tip, const char *job_id);

#endif
