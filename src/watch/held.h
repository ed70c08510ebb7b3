/* held.h - messages that were received and are not deleted yet: which may be deleted, which must be hidden for longer.
 *
 * A message WAITS until a run begins, is then LOOKED at, and, when that run has succeeded, is DONE: the run's listing
 * was made after the message was received, so it has seen the object. After a run that failed it waits again. What is
 * DONE, or was nothing to us from the beginning, is to be deleted; until then it stays here, hidden from others.
 *
 * Knows no service and no clock, and allocates one block for each message, of which there are at most GM_HELD_MAX. */
#ifndef GM_WATCH_HELD_H
#define GM_WATCH_HELD_H

#include "watch/event.h"
#include "watch/schedule.h"
#include "aws/sqs.h"

enum {
	GM_HELD_MAX = 2000,
	/* What is held for so long is let go of a little before SQS does it, so that it can come again. */
	GM_HELD_SECONDS_MAX = GM_SQS_HOLD_SECONDS_MAX - 1800
};

enum gm_held_state { GM_HELD_WAITS, GM_HELD_LOOKED, GM_HELD_DONE };
struct gm_held_message {
	char *id, *receipt; /* one block, from id on */
	enum gm_held_state state;
	uint64_t objects, bytes;
	int64_t received_us, extended_us; /* by the caller's clock */
	int64_t event_us;                 /* when the first of its objects was made; INT64_MAX: not known */
};
struct gm_held {
	struct gm_held_message *messages; /* in no order */
	size_t count, room;
};

void gm_held_init(struct gm_held *held);
void gm_held_release(struct gm_held *held);
/* Takes a message in; one that is held already has come again, and its new receipt counts. event: what it tells; not
 * NEW: it is done at once. NOMEM; VALUE: GM_HELD_MAX are held. */
enum gm_code gm_held_add(struct gm_held *held, const struct gm_sqs_message *message, const struct gm_event *event,
                         int64_t now_us, struct gm_error *err) GM_CHECK;
/* What waits, for the schedule; and the objects of all messages that are not done, with when the first of them was made
 * (INT64_MAX: none). */
struct gm_held_undone {
	uint64_t objects;
	int64_t oldest_us;
};
void gm_held_told(const struct gm_held *held, struct gm_told *told, struct gm_held_undone *undone);
/* A run begins: it answers for everything that waits now. */
void gm_held_begin(struct gm_held *held);
/* It has ended. */
void gm_held_end(struct gm_held *held, bool succeeded);

/* Up to GM_SQS_BATCH messages for one request. Their numbers stay what they are until one is dropped. */
struct gm_held_batch {
	size_t at[GM_SQS_BATCH];
	const char *receipts[GM_SQS_BATCH];
	size_t count;
};
/* From number `from` on: those that are done. */
void gm_held_take_done(const struct gm_held *held, size_t from, struct gm_held_batch *batch);
/* Those that are not done. */
void gm_held_take_undone(const struct gm_held *held, size_t from, struct gm_held_batch *batch);
/* Those that were received, or hidden for longer, before that. */
void gm_held_take_due(const struct gm_held *held, size_t from, int64_t before_us, struct gm_held_batch *batch);
/* What became of a batch that was to be deleted or let go: DONE and GONE are held no longer. Returns how many. */
size_t gm_held_settle(struct gm_held *held, const struct gm_held_batch *batch, const enum gm_sqs_fate *fates);
/* What became of a batch that was to be hidden for longer: GONE is held no longer. Returns how many were hidden. */
size_t gm_held_extended(struct gm_held *held, const struct gm_held_batch *batch, const enum gm_sqs_fate *fates,
                        int64_t now_us);
/* Lets go of what is held longer than SQS allows; returns how many. */
size_t gm_held_expire(struct gm_held *held, int64_t now_us);

#endif
