/* event.h - a message of a queue, as what it says of a job's source. */
#ifndef GM_WATCH_EVENT_H
#define GM_WATCH_EVENT_H

#include "base/error.h"

/* Where the objects lie that are of interest. */
struct gm_event_scope {
	const char *bucket, *prefix; /* of the source; the prefix is "" or ends in '/' */
	/* Of the table; NULL: it does not lie in S3. What the job itself writes must not look like somebody's message: that
	 * would be kept aside beside the table, of which there would be an event again. */
	const char *table_bucket, *table_prefix;
};

enum gm_event_kind {
	GM_EVENT_NEW,    /* tells of objects of ours that were made */
	GM_EVENT_IDLE,   /* nothing follows from it: a test, an object of ours that was removed, one of the table */
	GM_EVENT_FOREIGN /* not to be read, or nothing in it is ours */
};
struct gm_event {
	enum gm_event_kind kind;
	uint64_t objects, bytes; /* of ours that were made; a size that is not told is 0 */
	int64_t oldest_us;       /* when the first of them was; INT64_MAX: not told */
	char why[128];           /* of a foreign one, one line in lower case */
};

enum { GM_EVENT_BYTES_MAX = 1 << 20 }; /* what SQS takes at most */

/* Reads the body of a message. NOMEM alone is a failure: what cannot be read is foreign, and `why` says so. */
enum gm_code gm_event_read(const char *body, size_t bytes, const struct gm_event_scope *scope, struct gm_event *out,
                           struct gm_error *err) GM_CHECK;

#endif
