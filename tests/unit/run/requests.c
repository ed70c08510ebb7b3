/* What a run asks of a source and a table that are far away, where each call of a store is a request or a few: for
 * nothing new, one new object, a thousand. Whoever changes a number here says why. It must not grow with what a table
 * has seen. Sending TRACE=1 along tells every call. */
#include "far_store.h"

#include "run/run.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char job_text[] = "job: j\n"
                               "source: {location: memory, format: json}\n"
                               "table:\n"
                               "  location: table\n"
                               "  partition_by: [{name: day, type: string, expr: d}]\n"
                               "  unique_by: [k]\n"
                               "columns:\n"
                               "  - {name: k, type: string, from: k, required: true}\n"
                               "  - {name: d, type: string, from: d}\n";

static struct gm_error err;

struct place {
	struct gm_job *job;
	struct far_store *source, *table;
	struct gm_run_env env;
	int objects, day;
};

static int64_t no_time(void *context)
{
	(void)context;
	return INT64_C(1700000000000000);
}

static void open_place(struct place *place)
{
	*place = (struct place){.source = far_open(16), .table = far_open(16)};
	place->source->trace = getenv("TRACE") != NULL ? "source" : NULL;
	place->table->trace = getenv("TRACE") != NULL ? "table " : NULL;
	assert_int_equal(gm_job_parse("j.yaml", job_text, sizeof job_text - 1, NULL, &place->job, &err), GM_OK);
	place->env = (struct gm_run_env){.source = &place->source->store,
	                                 .table = &place->table->store,
	                                 .engine_id = "engine",
	                                 .scratch = "/var/tmp",
	                                 .now_us = no_time};
}

static void close_place(struct place *place)
{
	gm_store_close(&place->source->store);
	gm_store_close(&place->table->store);
	gm_job_free(place->job);
}

/* So many new objects, all of one day that has no rows yet. */
static void run(struct place *place, int objects)
{
	static const struct gm_run_options options = {.threads = 1, .memory_bytes = (uint64_t)64 << 20};
	struct gm_run_result result;
	for (int i = 0; i < objects; i++, place->objects++) {
		char key[32], text[256];
		int n = snprintf(text, sizeof text, "{\"k\":\"%d\",\"d\":\"%d\"}\n", place->objects, place->day);
		(void)snprintf(key, sizeof key, "o%06d", place->objects);
		assert_int_equal(gm_store_put(&place->source->store, key, text, (size_t)n, false, &err), GM_OK);
	}
	place->day++;
	place->source->counts = place->table->counts = (struct gm_store_counts){0};
	place->table->listed = 0;
	enum gm_code rc = gm_run_on(place->job, &place->env, &options, &result, &err);
	if (rc != GM_OK) fail_msg("%s: %s", err.message, err.object);
	assert_int_equal(result.inputs, objects);
	gm_run_result_clear(&result);
}

struct asked {
	uint64_t source_list, source_get, source_head, list, get, head, put, remove, staging;
};

static void expect(const char *what, const struct place *place, const struct asked *asked)
{
	const struct gm_store_counts *s = &place->source->counts, *t = &place->table->counts;
	const struct asked found = {s->list, s->get, s->head, t->list, t->get, t->head, t->put, t->delete_, t->multipart};
	printf("%-15s source: %d list, %d get, %d head; table: %d list, %d get, %d head, %d put, %d delete, %d staging\n",
	       what, (int)s->list, (int)s->get, (int)s->head, (int)t->list, (int)t->get, (int)t->head, (int)t->put,
	       (int)t->delete_, (int)t->multipart);
	assert_memory_equal(&found, asked, sizeof found);
}

/* With five runs behind the newest bookmark, and as many entries behind the newest checkpoint: of both there are zero
 * to ten, and each takes one get. */
static void a_run_asks_for_little(void **state)
{
	static const struct {
		const char *what;
		int objects;
		struct asked asked;
	} cases[] = {
	    {"nothing new", 0, {.source_list = 1, .list = 4, .get = 12, .head = 1}},
	    {"one new", 1, {1 + 1, 1, 0, 9, 15, 1, 5, 1, 5}},
	    {"a thousand new", 1000, {1 + 1, 1000, 0, 9, 15, 1, 5, 1, 5}},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct place place;
		open_place(&place);
		for (int k = 0; k < 25; k++) run(&place, 1);
		run(&place, cases[i].objects);
		expect(cases[i].what, &place, &cases[i].asked);
		close_place(&place);
	}
}

/* (The listing of the table's own files, by which those of others are found, is for runs that have something to do.) */
static void the_past_costs_nothing(void **state)
{
	enum { FEW = 45, MANY = 245 };
	struct place place;
	uint64_t few, gets;
	(void)state;
	open_place(&place);
	for (int i = 0; i < FEW; i++) run(&place, 1);
	run(&place, 0);
	few = place.table->listed;
	gets = place.table->counts.get;
	for (int i = FEW; i < MANY; i++) run(&place, 1);
	run(&place, 0);
	assert_int_equal(place.table->counts.get, gets);
	assert_true(place.table->listed <= few + 70); /* 64 versions of the log, and a few checkpoints */
	close_place(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_run_asks_for_little),
	                                   cmocka_unit_test(the_past_costs_nothing)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
