/* history.h - what the table's past says: which runs are committed and which objects they processed.
 *
 * A run is committed when runs/<n>.json.zst exists; the highest such n is the parent of the next plan. Of the plans
 * with one parent, which may be many (another version of the job, a runner that was slow), one is committed: the one
 * that claims/<parent>.json names, put if absent before anything of the plan becomes visible. Whoever finds a plan
 * claimed and not committed finishes it. The others are dead: they are swept and closed. */
#ifndef GM_RUN_HISTORY_H
#define GM_RUN_HISTORY_H

#include "column/dict.h"
#include "run/layout.h"

struct gm_known_object {
	uint64_t size;
	int64_t mtime_us;
};

struct gm_history {
	uint64_t last_run;    /* 0: none */
	uint64_t last_plan;   /* the highest number of any plan */
	struct gm_dict *keys; /* of processed objects; code - 1 is the index into known */
	struct gm_known_object *known;
	size_t known_room;
	uint64_t *open; /* numbers of plans neither committed nor closed, ascending */
	size_t open_count;
	uint64_t claimed; /* the plan that is to be the next committed; 0: not decided */
	uint64_t *stray;  /* numbers of committed or closed plans with something left in their work folders */
	size_t stray_count;
};

enum gm_code gm_history_load(struct gm_store *table, const struct gm_layout *layout, struct gm_history *history,
                             struct gm_error *err) GM_CHECK;
/* The plan that was claimed to be the next after parent; 0: none. */
enum gm_code gm_history_claim(struct gm_store *table, const struct gm_layout *layout, uint64_t parent, uint64_t *number,
                              struct gm_error *err) GM_CHECK;
void gm_history_release(struct gm_history *history);
/* NULL if no committed run processed the key. */
const struct gm_known_object *gm_history_find(const struct gm_history *history, const char *key);

#endif
