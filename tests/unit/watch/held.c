/* The life of messages, against a service that is a few arrays: random calls, and after each what must hold. */
#include "../must.h"

#include "base/time.h"
#include "watch/held.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum gm_code add(struct gm_held *held, const char *id, const char *receipt, enum gm_event_kind kind, int64_t now)
{
	const struct gm_sqs_message message = {.id = id, .receipt = receipt, .body = "", .body_bytes = 0};
	const struct gm_event event = {.kind = kind, .objects = kind == GM_EVENT_NEW, .bytes = 100, .oldest_us = now - 7};
	return gm_held_add(held, &message, &event, now, &failure);
}

static uint64_t told_objects(const struct gm_held *held)
{
	struct gm_told told;
	struct gm_held_undone undone;
	gm_held_told(held, &told, &undone);
	return told.objects;
}

static const enum gm_sqs_fate all_done[GM_SQS_BATCH]; /* GM_SQS_DONE is 0 */

static void test_life(void **state)
{
	struct gm_held held;
	struct gm_held_batch batch;
	struct gm_told told;
	struct gm_held_undone undone;
	(void)state;
	gm_held_init(&held);
	must(add(&held, "a", "ra", GM_EVENT_NEW, 10));
	must(add(&held, "idle", "ri", GM_EVENT_IDLE, 11));
	gm_held_told(&held, &told, &undone);
	assert_int_equal(told.objects, 1);
	assert_int_equal(told.bytes, 100);
	assert_int_equal(told.first_us, 10);
	assert_int_equal(undone.oldest_us, 3);
	/* What says nothing may go at once, and alone. */
	gm_held_take_done(&held, 0, &batch);
	assert_int_equal(batch.count, 1);
	assert_string_equal(batch.receipts[0], "ri");
	assert_int_equal(gm_held_settle(&held, &batch, all_done), 1);
	/* What comes while a run goes on is not the run's. */
	gm_held_begin(&held);
	must(add(&held, "b", "rb", GM_EVENT_NEW, 20));
	assert_int_equal(told_objects(&held), 1);
	gm_held_told(&held, &told, &undone);
	assert_int_equal(undone.objects, 2);
	gm_held_take_done(&held, 0, &batch);
	assert_int_equal(batch.count, 0);
	gm_held_end(&held, false); /* it failed: both wait */
	assert_int_equal(told_objects(&held), 2);
	gm_held_begin(&held);
	must(add(&held, "c", "rc", GM_EVENT_NEW, 30));
	must(add(&held, "a", "ra2", GM_EVENT_NEW, 31)); /* comes again: its new receipt counts, and it is still the run's */
	gm_held_end(&held, true);
	gm_held_take_done(&held, 0, &batch);
	assert_int_equal(batch.count, 2);
	assert_string_equal(batch.receipts[0], "ra2");
	assert_string_equal(batch.receipts[1], "rb");
	const enum gm_sqs_fate partly[GM_SQS_BATCH] = {GM_SQS_AGAIN, GM_SQS_GONE};
	assert_int_equal(gm_held_settle(&held, &batch, partly), 1);
	gm_held_take_done(&held, 0, &batch);
	assert_int_equal(batch.count, 1);
	assert_string_equal(batch.receipts[0], "ra2");
	gm_held_take_undone(&held, 0, &batch);
	assert_int_equal(batch.count, 1);
	assert_string_equal(batch.receipts[0], "rc");
	gm_held_release(&held);
}

static void test_hidden_for_longer(void **state)
{
	struct gm_held held;
	struct gm_held_batch batch;
	(void)state;
	gm_held_init(&held);
	must(add(&held, "a", "ra", GM_EVENT_NEW, 10));
	must(add(&held, "b", "rb", GM_EVENT_NEW, 20));
	gm_held_take_due(&held, 0, 10, &batch);
	assert_int_equal(batch.count, 1);
	assert_int_equal(gm_held_extended(&held, &batch, all_done, 40), 1);
	gm_held_take_due(&held, 0, 20, &batch);
	assert_int_equal(batch.count, 1);
	assert_string_equal(batch.receipts[0], "rb");
	const enum gm_sqs_fate gone[] = {GM_SQS_GONE};
	assert_int_equal(gm_held_extended(&held, &batch, gone, 50), 0);
	assert_int_equal(held.count, 1);
	int64_t most = GM_HELD_SECONDS_MAX * GM_US_PER_SECOND;
	assert_true(GM_HELD_SECONDS_MAX < 12 * 3600); /* SQS: "maximum 12 hours from the time it was received" */
	assert_int_equal(gm_held_expire(&held, 10 + most), 0);
	assert_int_equal(gm_held_expire(&held, 11 + most), 1);
	assert_int_equal(held.count, 0);
	gm_held_release(&held);
}

static void test_full(void **state)
{
	struct gm_held held;
	struct gm_told told;
	struct gm_held_undone undone;
	char id[32];
	(void)state;
	gm_held_init(&held);
	for (int i = 0; i < GM_HELD_MAX; i++) {
		(void)snprintf(id, sizeof id, "%d", i);
		must(add(&held, id, "r", GM_EVENT_NEW, i));
	}
	assert_int_equal(add(&held, "more", "r", GM_EVENT_NEW, 1), GM_VALUE);
	must(add(&held, "7", "again", GM_EVENT_NEW, 1));
	gm_held_told(&held, &told, &undone);
	assert_true(told.full);
	assert_int_equal(told.objects, GM_HELD_MAX);
	gm_held_release(&held);
}

/* --- Against a model ---------------------------------------------------------------------------------------------- */

enum { MESSAGES = 40, STEPS = 20000 };

struct model {
	bool held, known_done; /* known_done: a run that began after it was received has succeeded */
	bool looked;
	int64_t extended_us;
} model[MESSAGES];

static uint64_t chance = 12345;
static unsigned draw(unsigned below)
{
	chance = chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(chance >> 33) % below;
}

static void check(const struct gm_held *held)
{
	struct gm_held_batch batch;
	size_t count = 0, done = 0, waits = 0, found = 0;
	for (int i = 0; i < MESSAGES; i++) {
		count += model[i].held;
		done += model[i].held && model[i].known_done;
		waits += model[i].held && !model[i].known_done && !model[i].looked;
	}
	assert_int_equal(held->count, count);
	assert_int_equal(told_objects(held), waits);
	for (size_t from = 0;; from = batch.at[batch.count - 1] + 1) {
		gm_held_take_done(held, from, &batch);
		if (batch.count == 0) break;
		found += batch.count;
		for (size_t i = 0; i < batch.count; i++) {
			int n = atoi(held->messages[batch.at[i]].id);
			assert_true(model[n].held && model[n].known_done); /* never one that no run has answered for */
		}
	}
	assert_int_equal(found, done);
}

/* All that is done, with fates by chance. */
static void delete_some(struct gm_held *held)
{
	struct gm_held_batch batch;
	enum gm_sqs_fate fates[GM_SQS_BATCH];
	gm_held_take_done(held, draw(3), &batch);
	for (size_t i = 0; i < batch.count; i++) {
		fates[i] = (enum gm_sqs_fate)draw(3);
		if (fates[i] != GM_SQS_AGAIN) model[atoi(held->messages[batch.at[i]].id)] = (struct model){.held = false};
	}
	(void)gm_held_settle(held, &batch, fates);
}

static void extend_some(struct gm_held *held, int64_t now)
{
	struct gm_held_batch batch;
	enum gm_sqs_fate fates[GM_SQS_BATCH];
	gm_held_take_due(held, 0, now - 50, &batch);
	for (size_t i = 0; i < batch.count; i++) {
		struct model *m = &model[atoi(held->messages[batch.at[i]].id)];
		assert_true(m->extended_us <= now - 50);
		fates[i] = (enum gm_sqs_fate)draw(3);
		if (fates[i] == GM_SQS_DONE) m->extended_us = now;
		if (fates[i] == GM_SQS_GONE) *m = (struct model){.held = false};
	}
	(void)gm_held_extended(held, &batch, fates, now);
}

static void receive_one(struct gm_held *held, int64_t now)
{
	char id[16], receipt[16];
	int n = (int)draw(MESSAGES);
	bool idle = draw(5) == 0;
	(void)snprintf(id, sizeof id, "%d", n);
	(void)snprintf(receipt, sizeof receipt, "r%u", draw(1000));
	must(add(held, id, receipt, idle ? GM_EVENT_IDLE : GM_EVENT_NEW, now));
	if (!model[n].held) model[n] = (struct model){.held = true, .known_done = idle};
	model[n].extended_us = now;
}

static void test_random(void **state)
{
	struct gm_held held;
	bool running = false;
	(void)state;
	gm_held_init(&held);
	for (int64_t now = 0; now < STEPS; now++) {
		unsigned what = draw(8);
		if (what < 3) receive_one(&held, now);
		if (what == 3) delete_some(&held);
		if (what == 4) extend_some(&held, now);
		if (what == 5 && !running) {
			gm_held_begin(&held);
			for (int i = 0; i < MESSAGES; i++) model[i].looked = model[i].held && !model[i].known_done;
			running = true;
		} else if (what == 5) {
			bool succeeded = draw(2) == 0;
			gm_held_end(&held, succeeded);
			for (int i = 0; i < MESSAGES; i++) {
				model[i].known_done = model[i].known_done || (model[i].looked && succeeded);
				model[i].looked = false;
			}
			running = false;
		}
		check(&held);
	}
	gm_held_release(&held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_life),
	    cmocka_unit_test(test_hidden_for_longer),
	    cmocka_unit_test(test_full),
	    cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests_name("held", tests, NULL, NULL);
}
