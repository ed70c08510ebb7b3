/* conflicts.h - how a conflict is told: the same key as the row that was kept, and other content.
 *
 * In <unit>.ndjson.gz, which is kept with the commit, one JSON object a line:
 *   {"object":KEY,"record":N,"offset":N,"partition":PATH,"key":[...],"winner":FILE|"run"}
 * object (and "object_base64" if its name is not UTF-8), record and offset say where the record that was dropped lies;
 * of a replay object is the quarantine file, and record and offset are those that its entry has;
 * key has the values of the unique key; winner is the table's file that holds the row that was kept, or "run" if that
 * came with the same run. A string of the key beyond GM_CONFLICT_TEXT_BYTES is cut; dates and times are ISO 8601. */
#ifndef GM_TABLE_CONFLICTS_H
#define GM_TABLE_CONFLICTS_H

#include "table/keyset.h"
#include "table/ndjson.h"

enum { GM_CONFLICT_TEXT_BYTES = 1024 };

struct gm_conflict {
	const char *object;
	uint64_t record, offset;
	const uint8_t *partition;
	uint32_t partition_bytes;
	const struct gm_vec_rows *key; /* the columns of the unique key */
	size_t key_count;
	uint32_t row;       /* of them */
	const char *winner; /* the table's file; NULL: it came with the run */
};
enum gm_code gm_conflict_write(struct gm_ndjson *file, const struct gm_conflict *conflict,
                               struct gm_error *err) GM_CHECK;
/* A line for people; cut if there is no room. */
void gm_conflict_say(const struct gm_conflict *conflict, char *line, size_t room);

#endif
