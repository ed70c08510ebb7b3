#include "watch/held.h"

#include "base/arena.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>

void gm_held_init(struct gm_held *held)
{
	*held = (struct gm_held){.messages = NULL};
}

void gm_held_release(struct gm_held *held)
{
	for (size_t i = 0; i < held->count; i++) free(held->messages[i].id);
	free(held->messages);
	gm_held_init(held);
}

/* The last takes its place. */
static void drop(struct gm_held *held, size_t at)
{
	free(held->messages[at].id);
	held->messages[at] = held->messages[--held->count];
}

static struct gm_held_message *find(const struct gm_held *held, const char *id)
{
	for (size_t i = 0; i < held->count; i++)
		if (strcmp(held->messages[i].id, id) == 0) return &held->messages[i];
	return NULL;
}

static bool copy_names(struct gm_held_message *into, const struct gm_sqs_message *message)
{
	size_t id_bytes = strlen(message->id) + 1, receipt_bytes = strlen(message->receipt) + 1;
	char *block = malloc(id_bytes + receipt_bytes);
	if (block == NULL) return false;
	memcpy(block, message->id, id_bytes);
	memcpy(block + id_bytes, message->receipt, receipt_bytes);
	free(into->id);
	into->id = block;
	into->receipt = block + id_bytes;
	return true;
}

/* It was not hidden for long enough, or SQS has delivered it twice, as it may. What was known of it stays, also when it
 * first came. */
static enum gm_code take_again(struct gm_held_message *known, const struct gm_sqs_message *message, int64_t now_us,
                               struct gm_error *err)
{
	if (!copy_names(known, message)) GM_FAIL(err, GM_NOMEM, "out of memory for a message");
	known->extended_us = now_us;
	return GM_OK;
}

enum gm_code gm_held_add(struct gm_held *held, const struct gm_sqs_message *message, const struct gm_event *event,
                         int64_t now_us, struct gm_error *err)
{
	struct gm_held_message *known = find(held, message->id);
	if (known != NULL) return take_again(known, message, now_us, err);
	if (held->count >= GM_HELD_MAX) GM_FAIL(err, GM_VALUE, "no more than %d messages are held", GM_HELD_MAX);
	struct gm_held_message *grown = gm_grow(held->messages, held->count, &held->room, sizeof *grown);
	if (grown == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a message");
	held->messages = grown;
	struct gm_held_message *fresh = &grown[held->count];
	*fresh = (struct gm_held_message){.state = event->kind == GM_EVENT_NEW ? GM_HELD_WAITS : GM_HELD_DONE,
	                                  .objects = event->objects,
	                                  .bytes = event->bytes,
	                                  .received_us = now_us,
	                                  .extended_us = now_us,
	                                  .event_us = event->oldest_us};
	if (!copy_names(fresh, message)) GM_FAIL(err, GM_NOMEM, "out of memory for a message");
	held->count++;
	return GM_OK;
}

/* --- Runs --------------------------------------------------------------------------------------------------------- */

void gm_held_told(const struct gm_held *held, struct gm_told *told, struct gm_held_undone *undone)
{
	*told = (struct gm_told){.first_us = INT64_MAX, .full = held->count >= GM_HELD_MAX};
	*undone = (struct gm_held_undone){.oldest_us = INT64_MAX};
	for (size_t i = 0; i < held->count; i++) {
		const struct gm_held_message *message = &held->messages[i];
		if (message->state == GM_HELD_DONE) continue;
		undone->objects += message->objects;
		if (message->event_us < undone->oldest_us) undone->oldest_us = message->event_us;
		if (message->state != GM_HELD_WAITS) continue;
		told->objects += message->objects;
		if (__builtin_add_overflow(told->bytes, message->bytes, &told->bytes)) told->bytes = UINT64_MAX;
		if (message->received_us < told->first_us) told->first_us = message->received_us;
	}
}

void gm_held_begin(struct gm_held *held)
{
	for (size_t i = 0; i < held->count; i++)
		if (held->messages[i].state == GM_HELD_WAITS) held->messages[i].state = GM_HELD_LOOKED;
}

void gm_held_end(struct gm_held *held, bool succeeded)
{
	for (size_t i = 0; i < held->count; i++)
		if (held->messages[i].state == GM_HELD_LOOKED)
			held->messages[i].state = succeeded ? GM_HELD_DONE : GM_HELD_WAITS;
}

/* --- Batches ------------------------------------------------------------------------------------------------------ */

static void take(const struct gm_held *held, size_t at, struct gm_held_batch *batch)
{
	batch->at[batch->count] = at;
	batch->receipts[batch->count++] = held->messages[at].receipt;
}

void gm_held_take_done(const struct gm_held *held, size_t from, struct gm_held_batch *batch)
{
	batch->count = 0;
	for (size_t i = from; i < held->count && batch->count < GM_SQS_BATCH; i++)
		if (held->messages[i].state == GM_HELD_DONE) take(held, i, batch);
}

void gm_held_take_undone(const struct gm_held *held, size_t from, struct gm_held_batch *batch)
{
	batch->count = 0;
	for (size_t i = from; i < held->count && batch->count < GM_SQS_BATCH; i++)
		if (held->messages[i].state != GM_HELD_DONE) take(held, i, batch);
}

void gm_held_take_due(const struct gm_held *held, size_t from, int64_t before_us, struct gm_held_batch *batch)
{
	batch->count = 0;
	for (size_t i = from; i < held->count && batch->count < GM_SQS_BATCH; i++)
		if (held->messages[i].extended_us <= before_us) take(held, i, batch);
}

/* From the end, so that what takes the place of one that is dropped is none of the batch. */
size_t gm_held_settle(struct gm_held *held, const struct gm_held_batch *batch, const enum gm_sqs_fate *fates)
{
	size_t dropped = 0;
	for (size_t i = batch->count; i-- > 0;) {
		if (fates[i] == GM_SQS_AGAIN) continue;
		drop(held, batch->at[i]);
		dropped++;
	}
	return dropped;
}

size_t gm_held_extended(struct gm_held *held, const struct gm_held_batch *batch, const enum gm_sqs_fate *fates,
                        int64_t now_us)
{
	size_t hidden = 0;
	for (size_t i = batch->count; i-- > 0;) {
		if (fates[i] == GM_SQS_DONE) {
			held->messages[batch->at[i]].extended_us = now_us;
			hidden++;
		} else if (fates[i] == GM_SQS_GONE) {
			drop(held, batch->at[i]);
		}
	}
	return hidden;
}

size_t gm_held_expire(struct gm_held *held, int64_t now_us)
{
	size_t before = held->count;
	for (size_t i = held->count; i-- > 0;)
		if (now_us - held->messages[i].received_us > GM_HELD_SECONDS_MAX * GM_US_PER_SECOND) drop(held, i);
	return before - held->count;
}
