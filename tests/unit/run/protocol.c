/* Plans, manifests, publishing and sweeping on a store in memory: each step repeated, cut short, and in the wrong
 * order. */
#include "run/commit.h"
#include "run/publish.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <xxhash.h>

struct fixture {
	struct gm_store *source, *table;
	struct gm_layout layout;
	struct gm_job job;
};

static struct gm_error err;

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	assert_int_equal(gm_store_open_memory(&f->source, &err), GM_OK);
	assert_int_equal(gm_store_open_memory(&f->table, &err), GM_OK);
	assert_int_equal(gm_layout_init(&f->layout, "job", &err), GM_OK);
	f->job.id = "job";
	f->job.source.location = "source";
	f->job.table.name = f->job.table.comment = "";
	f->job.hash[0] = 1;
	f->job.table.file_bytes = 1000;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	gm_store_close(f->source);
	gm_store_close(f->table);
	free(f);
	return 0;
}

static void put(struct gm_store *store, const char *key, const char *text)
{
	assert_int_equal(gm_store_put(store, key, text, strlen(text), false, &err), GM_OK);
}

static bool exists(struct gm_store *store, const char *key)
{
	struct gm_arena arena;
	struct gm_object_info info;
	gm_arena_init(&arena, 1024);
	enum gm_code rc = gm_store_stat(store, key, &info, &arena, &err);
	gm_arena_release(&arena);
	assert_true(rc == GM_OK || rc == GM_NOT_FOUND);
	return rc == GM_OK;
}

enum { MEMORY = 16 << 20 };

static struct gm_plan *make_plan(struct fixture *f, uint64_t limit, enum gm_code expected)
{
	struct gm_history history;
	struct gm_plan *plan = NULL;
	assert_int_equal(gm_history_load(f->table, "job", MEMORY, NULL, &history, &err), GM_OK);
	struct gm_plan_request request = {.job = &f->job,
	                                  .source = f->source,
	                                  .bookmark = history.bookmark,
	                                  .log = history.log,
	                                  .parent = history.head,
	                                  .limit_objects = limit,
	                                  .engine = "engine",
	                                  .now_us = 1000000};
	assert_int_equal(gm_plan_make(&request, &plan, &err), expected);
	gm_history_release(&history);
	return plan;
}

/* Commits a plan as a runner would, from what the log says now. */
static enum gm_code commit(struct fixture *f, const struct gm_plan *plan, const struct gm_manifest *manifests,
                           uint64_t claim)
{
	struct gm_delta_log *log;
	struct gm_tip tip;
	assert_int_equal(gm_history_log(f->table, -1, MEMORY, &log, &err), GM_OK);
	gm_tip_init(&tip, f->table, log, MEMORY);
	struct gm_commit commit = {.table = f->table,
	                           .layout = &f->layout,
	                           .plan = plan,
	                           .job_id = "job",
	                           .manifests = manifests,
	                           .claim = claim,
	                           .now_us = 2000000,
	                           .tip = &tip,
	                           .scratch = "/tmp",
	                           .memory_bytes = MEMORY};
	assert_int_equal(gm_commit_init(&commit, &err), GM_OK);
	enum gm_code rc = gm_commit_put(&commit, &err);
	gm_commit_release(&commit);
	gm_tip_release(&tip);
	gm_delta_free(log);
	return rc;
}

static struct gm_plan *written_plan(struct fixture *f, uint64_t number)
{
	struct gm_plan *plan = make_plan(f, 0, GM_OK);
	assert_non_null(plan);
	assert_int_equal(gm_plan_write(plan, number, f->table, &f->layout, &err), GM_OK);
	return plan;
}

static void a_plan_holds_what_is_new_in_order(void **state)
{
	struct fixture *f = *state;
	static const char *const skipped[] = {".hidden", "a/.hidden/x", "_SUCCESS", "a/_temporary/x",
	                                      "x.tmp",   "y.PART",      "z~",       "b._COPYING_"};
	for (size_t i = 0; i < sizeof skipped / sizeof skipped[0]; i++) put(f->source, skipped[i], "{}");
	put(f->source, "b", "{}");
	put(f->source, "a/2", "{}");
	put(f->source, "a-1", "{}");
	struct gm_plan *plan = make_plan(f, 0, GM_OK);
	assert_non_null(plan);
	assert_int_equal(plan->input_count, 3);
	assert_string_equal(plan->inputs[0].key, "a-1");
	assert_string_equal(plan->inputs[1].key, "a/2");
	assert_string_equal(plan->inputs[2].key, "b");
	gm_plan_free(plan);
	plan = make_plan(f, 2, GM_OK);
	assert_int_equal(plan->input_count, 2);
	gm_plan_free(plan);
}

static void units_are_cut_by_size(void **state)
{
	struct fixture *f = *state;
	char text[9001], key[32];
	memset(text, ' ', 9000);
	text[9000] = '\0';
	for (int i = 0; i < 5; i++) {
		(void)snprintf(key, sizeof key, "%d.json", i);
		put(f->source, key, text);
	}
	/* 16 target files of 1000 bytes: 16,000 raw bytes, so two objects of 9,000 to a unit. */
	struct gm_plan *plan = make_plan(f, 0, GM_OK);
	assert_int_equal(plan->unit_count, 3);
	assert_int_equal(plan->units[0].count, 2);
	assert_int_equal(plan->units[2].count, 1);
	assert_string_not_equal(plan->units[0].h16, plan->units[1].h16);
	gm_plan_free(plan);
}

static void a_plan_comes_back_as_it_was_written(void **state)
{
	struct fixture *f = *state;
	struct gm_plan *back;
	put(f->source, "x/\xc3\xa9 \"1\".json", "{}");
	struct gm_plan *plan = make_plan(f, 0, GM_OK);
	assert_int_equal(gm_plan_write(plan, 7, f->table, &f->layout, &err), GM_OK);
	assert_int_equal(gm_plan_write(plan, 7, f->table, &f->layout, &err), GM_EXISTS);
	assert_int_equal(gm_plan_read(f->table, &f->layout, 7, &back, &err), GM_OK);
	assert_int_equal(back->number, 7);
	assert_int_equal(back->unit_count, plan->unit_count);
	assert_string_equal(back->inputs[0].key, plan->inputs[0].key);
	assert_int_equal(back->inputs[0].mtime_us, plan->inputs[0].mtime_us);
	assert_string_equal(back->units[0].h16, plan->units[0].h16);
	assert_true(gm_plan_is_ours(back, &f->job, "engine"));
	assert_false(gm_plan_is_ours(back, &f->job, "another"));
	f->job.hash[0] = 2;
	assert_false(gm_plan_is_ours(back, &f->job, "engine"));
	gm_plan_free(back);
	gm_plan_free(plan);
}

static void a_newer_or_damaged_plan_is_refused_by_name(void **state)
{
	struct fixture *f = *state;
	struct gm_plan *plan;
	put(f->table, "_gristmill/job/plans/00000001.json", "{\"format\":3}");
	assert_int_equal(gm_plan_read(f->table, &f->layout, 1, &plan, &err), GM_UNSUPPORTED);
	assert_string_equal(err.object, "_gristmill/job/plans/00000001.json");
	assert_non_null(strstr(err.message, "format 3"));
	static const char *const damaged[] = {"",
	                                      "{",
	                                      "[]",
	                                      "{\"format\":1}",
	                                      "{\"format\":1,\"plan\":1,\"parent\":0}",
	                                      "{\"format\":1,\"plan\":-1,\"parent\":0}",
	                                      "{\"format\":1,\"plan\":1,\"parent\":0,\"file_bytes\":1,\"group_rows\":1,"
	                                      "\"group_weight\":1,\"engine\":\"\",\"job_hash\":\"\",\"units\":[]}",
	                                      "{\"format\":1,\"plan\":2,\"parent\":0,\"file_bytes\":1,\"group_rows\":0,"
	                                      "\"group_weight\":1,\"engine\":\"\",\"job_hash\":\"\",\"units\":[]}",
	                                      "\xff"};
	for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
		put(f->table, "_gristmill/job/plans/00000002.json", damaged[i]);
		assert_int_equal(gm_plan_read(f->table, &f->layout, 2, &plan, &err), GM_CORRUPT);
		assert_string_equal(err.object, "_gristmill/job/plans/00000002.json");
	}
}

/* A manifest with one staged file and one object, "a", as work would leave it. */
static struct gm_manifest stage(struct fixture *f, const char *path, const char *text, char token[GM_TOKEN_BYTES])
{
	struct gm_staged *staged;
	char json[4096], *balance;
	const struct gm_balance nothing = {0};
	json_error_t problem;
	struct gm_manifest manifest;
	XXH128_hash_t hash = XXH3_128bits(text, strlen(text));
	assert_int_equal(gm_store_stage_open(f->table, path, "_gristmill/job/work/00000001/", &staged, &err), GM_OK);
	assert_int_equal(gm_store_stage_append(f->table, staged, text, strlen(text), &err), GM_OK);
	assert_int_equal(gm_store_stage_finish(f->table, staged, token, &err), GM_OK);
	json_t *books = gm_balance_json(&nothing);
	assert_non_null(books);
	balance = json_dumps(books, 0);
	json_decref(books);
	assert_non_null(balance);
	(void)snprintf(
	    json, sizeof json,
	    "{\"format\":1,\"files\":[{\"path\":\"%s\",\"token\":\"%s\",\"bytes\":%zu,\"hash\":\"%016llx%016llx\","
	    "\"partition\":\"\",\"stats\":\"\",\"rows\":0}],\"objects\":[{\"key\":\"a\",\"balance\":%s}]}",
	    path, token, strlen(text), (unsigned long long)hash.high64, (unsigned long long)hash.low64, balance);
	free(balance);
	put(f->table, "_gristmill/job/work/00000001/00000.json", json);
	json_t *value = json_loads(json, 0, &problem);
	assert_non_null(value);
	assert_int_equal(gm_manifest_parse(value, &manifest, &err), GM_OK);
	json_decref(value);
	return manifest;
}

static void publishing_can_be_repeated_and_never_overwrites(void **state)
{
	struct fixture *f = *state;
	char token[GM_TOKEN_BYTES];
	struct gm_manifest manifest = stage(f, "d/x.parquet", "bytes", token);
	assert_false(exists(f->table, "d/x.parquet"));
	manifest.files[0].bytes++; /* as if the staged file had been cut short */
	assert_int_equal(gm_publish(f->table, &manifest, 1, &err), GM_CHANGED);
	assert_false(exists(f->table, "d/x.parquet"));
	manifest.files[0].bytes--;
	assert_int_equal(gm_publish(f->table, &manifest, 1, &err), GM_OK);
	assert_true(exists(f->table, "d/x.parquet"));
	assert_int_equal(gm_publish(f->table, &manifest, 1, &err), GM_OK);
	assert_int_equal(gm_store_discard(f->table, token, &err), GM_OK);
	assert_int_equal(gm_publish(f->table, &manifest, 1, &err), GM_OK);
	put(f->table, "d/x.parquet", "other");
	assert_int_equal(gm_publish(f->table, &manifest, 1, &err), GM_CORRUPT);
	assert_int_equal(gm_store_remove(f->table, "d/x.parquet", &err), GM_OK);
	assert_int_equal(gm_publish(f->table, &manifest, 1, &err), GM_CHANGED);
	gm_manifest_release(&manifest);
}

static void a_manifest_cannot_lead_out_of_the_table(void **state)
{
	(void)state;
	static const char *const paths[] = {"../x", "/etc/x", "a/../../x", "a//x", "."};
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		struct gm_manifest manifest;
		json_t *json = json_pack("{s:i, s:[{s:s, s:s, s:i, s:s}], s:[]}", "format", 1, "files", "path", paths[i],
		                         "token", "t", "bytes", 1, "hash", "00000000000000000000000000000000", "objects");
		assert_non_null(json);
		assert_int_equal(gm_manifest_parse(json, &manifest, &err), GM_CORRUPT);
		json_decref(json);
	}
}

static void a_commit_makes_inputs_known_and_a_changed_one_is_refused(void **state)
{
	struct fixture *f = *state;
	put(f->source, "a", "{}");
	struct gm_plan *plan = written_plan(f, 1);
	struct gm_object_balance objects[1] = {{.key = "a"}};
	struct gm_manifest manifest = {.objects = objects, .object_count = 1};
	assert_int_equal(commit(f, plan, &manifest, 1), GM_OK);
	assert_int_equal(commit(f, plan, &manifest, 1), GM_EXISTS);
	gm_plan_free(plan);
	assert_null(make_plan(f, 0, GM_OK));
	put(f->source, "b", "{}");
	plan = make_plan(f, 0, GM_OK);
	assert_int_equal(plan->input_count, 1);
	assert_int_equal(plan->parent, 1);
	assert_int_equal(plan->version, 0);
	assert_null(plan->metadata);
	assert_string_equal(plan->inputs[0].key, "b");
	gm_plan_free(plan);
	put(f->source, "a", "{} ");
	assert_null(make_plan(f, 0, GM_CHANGED));
	assert_string_equal(err.object, "a");
}

static void check_state(struct fixture *f, const struct gm_plan *plan, enum gm_plan_state expected)
{
	struct gm_delta_log *log;
	enum gm_plan_state state;
	assert_int_equal(gm_history_log(f->table, -1, MEMORY, &log, &err), GM_OK);
	assert_int_equal(
	    gm_plan_state(f->table, &f->layout, gm_history_head(log, "job"), plan->number, plan->parent, &state, &err),
	    GM_OK);
	assert_int_equal(state, expected);
	gm_delta_free(log);
}

/* A plan without units and with the same parent. */
static struct gm_plan *ending(struct fixture *f, const struct gm_plan *plan, uint64_t number)
{
	struct gm_plan *end;
	struct gm_plan_request request = {
	    .job = &f->job, .source = f->source, .parent = plan->parent, .engine = "engine", .now_us = 1};
	assert_int_equal(gm_plan_empty(&request, GM_PLAN_END, &end, &err), GM_OK);
	end->ends = plan->number;
	assert_int_equal(gm_plan_write(end, number, f->table, &f->layout, &err), GM_OK);
	return end;
}

static void a_plan_given_up_is_dead_and_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	char token[GM_TOKEN_BYTES];
	struct gm_history history;
	put(f->source, "a", "{}");
	struct gm_plan *plan = written_plan(f, 1);
	struct gm_manifest manifest = stage(f, "d/x.parquet", "bytes", token);
	assert_int_equal(gm_publish(f->table, &manifest, 1, &err), GM_OK);
	check_state(f, plan, GM_PLAN_OPEN);
	struct gm_plan *end = ending(f, plan, 2);
	assert_int_equal(commit(f, end, NULL, 0), GM_OK);
	check_state(f, plan, GM_PLAN_DEAD);
	check_state(f, end, GM_PLAN_COMMITTED);
	assert_int_equal(commit(f, plan, &manifest, 1), GM_LOST);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(gm_plan_close(f->table, &f->layout, plan->number, &err), GM_OK);
		assert_false(exists(f->table, "d/x.parquet"));
		assert_false(exists(f->table, token));
		assert_true(exists(f->table, "_gristmill/job/work/00000001/00000.json")); /* so that it never comes again */
	}
	assert_int_equal(gm_history_load(f->table, "job", MEMORY, NULL, &history, &err), GM_OK);
	assert_int_equal(history.head, 2);
	assert_int_equal(history.last_plan, 2);
	assert_int_equal(history.open_count, 0);
	gm_history_release(&history);
	gm_plan_free(plan);
	plan = make_plan(f, 0, GM_OK); /* the input is new again */
	assert_int_equal(plan->input_count, 1);
	gm_manifest_release(&manifest);
	gm_plan_free(plan);
	gm_plan_free(end);
}

static void of_plans_with_one_parent_one_is_committed(void **state)
{
	struct fixture *f = *state;
	struct gm_history history;
	put(f->source, "a", "{}");
	struct gm_plan *first = written_plan(f, 1), *second = written_plan(f, 2);
	struct gm_object_balance objects[1] = {{.key = "a"}};
	struct gm_manifest manifest = {.objects = objects, .object_count = 1};
	assert_int_equal(commit(f, second, &manifest, 1), GM_OK);
	assert_int_equal(commit(f, first, &manifest, 2), GM_LOST);
	check_state(f, first, GM_PLAN_DEAD);
	/* What slow runners leave in the work folders of both is found, and goes; manifests stay. */
	assert_int_equal(gm_plan_close(f->table, &f->layout, first->number, &err), GM_OK);
	put(f->table, "_gristmill/job/work/00000001/x", "");
	put(f->table, "_gristmill/job/work/00000001/00000.json", "{}");
	put(f->table, "_gristmill/job/work/00000002/x", "");
	put(f->table, "_gristmill/job/work/00000002/y", "");
	put(f->table, "_gristmill/job/work/00000009/x", "");
	assert_int_equal(gm_history_load(f->table, "job", MEMORY, NULL, &history, &err), GM_OK);
	assert_int_equal(history.stray_count, 2);
	assert_int_equal(history.stray[0], 1);
	assert_int_equal(history.stray[1], 2);
	gm_history_release(&history);
	assert_int_equal(gm_plan_tidy(f->table, &f->layout, 1, &err), GM_OK);
	assert_false(exists(f->table, "_gristmill/job/work/00000001/x"));
	assert_true(exists(f->table, "_gristmill/job/work/00000001/00000.json"));
	gm_plan_free(first);
	gm_plan_free(second);
}

static void claims_follow_one_another(void **state)
{
	struct fixture *f = *state;
	struct gm_tip tip;
	struct gm_claim claim;
	gm_tip_init(&tip, f->table, NULL, MEMORY);
	assert_int_equal(gm_claim_last(&tip, &claim, &err), GM_OK);
	assert_int_equal(claim.k, 0);
	assert_int_equal(claim.plan, 0);
	assert_int_equal(gm_claim_put(f->table, 1, "job", 7, &err), GM_OK);
	assert_int_equal(gm_claim_put(f->table, 1, "other", 8, &err), GM_EXISTS);
	assert_int_equal(gm_claim_put(f->table, 2, "other", 8, &err), GM_OK);
	assert_int_equal(gm_claim_last(&tip, &claim, &err), GM_OK);
	assert_int_equal(claim.k, 2);
	assert_int_equal(claim.plan, 8);
	assert_string_equal(claim.job, "other");
	put(f->table, "_gristmill/claims/00000003.json", "{\"format\":2,\"job\":\"job\",\"plan\":0}");
	assert_int_equal(gm_claim_last(&tip, &claim, &err), GM_CORRUPT);
	assert_string_equal(err.object, "_gristmill/claims/00000003.json");
	put(f->table, "_gristmill/claims/00000003.json", "{\"format\":99}");
	assert_int_equal(gm_claim_last(&tip, &claim, &err), GM_UNSUPPORTED);
	gm_tip_release(&tip);
}

/* A commit carries its claim's number, so that a search for the last claim begins there. */
static void a_commit_carries_its_claim(void **state)
{
	struct fixture *f = *state;
	struct gm_delta_log *log;
	struct gm_tip tip;
	struct gm_claim claim;
	put(f->source, "a", "{}");
	struct gm_plan *plan = written_plan(f, 1);
	struct gm_object_balance objects[1] = {{.key = "a"}};
	struct gm_manifest manifest = {.objects = objects, .object_count = 1};
	assert_int_equal(gm_claim_put(f->table, 5, "job", 1, &err), GM_OK);
	assert_int_equal(commit(f, plan, &manifest, 5), GM_OK);
	assert_int_equal(gm_claim_put(f->table, 6, "job", 2, &err), GM_OK);
	assert_int_equal(gm_history_log(f->table, -1, MEMORY, &log, &err), GM_OK);
	gm_tip_init(&tip, f->table, log, MEMORY);
	assert_int_equal(gm_claim_last(&tip, &claim, &err), GM_OK);
	assert_int_equal(claim.k, 6);
	assert_int_equal(claim.plan, 2);
	gm_tip_release(&tip);
	gm_delta_free(log);
	gm_plan_free(plan);
}

static void a_log_put_back_to_an_older_state_is_refused(void **state)
{
	struct fixture *f = *state;
	struct gm_history history;
	put(f->source, "a", "{}");
	struct gm_object_balance objects[1] = {{.key = "a"}};
	struct gm_manifest manifest = {.objects = objects, .object_count = 1};
	struct gm_plan *plan = written_plan(f, 1);
	assert_int_equal(commit(f, plan, &manifest, 1), GM_OK);
	gm_plan_free(plan);
	put(f->source, "b", "{}");
	plan = written_plan(f, 2);
	assert_int_equal(gm_store_remove(f->table, "_delta_log/00000000000000000000.json", &err), GM_OK);
	assert_int_equal(gm_history_load(f->table, "job", MEMORY, NULL, &history, &err), GM_CORRUPT);
	assert_string_equal(err.object, "_delta_log");
	gm_plan_free(plan);
}

static void books_that_do_not_balance_are_refused(void **state)
{
	(void)state;
	const struct gm_balance good = {.records_read = 10,
	                                .rows_written = 4,
	                                .duplicates = 3,
	                                .filtered = 2,
	                                .quarantined = 1,
	                                .bytes_raw = 60,
	                                .record_bytes = 30,
	                                .separator_bytes = 20,
	                                .quarantined_bytes = 10};
	assert_int_equal(gm_balance_check(&good, "x", &err), GM_OK);
	struct gm_balance bad = good;
	bad.duplicates--;
	assert_int_equal(gm_balance_check(&bad, "x", &err), GM_UNBALANCED);
	bad = good;
	bad.separator_bytes++;
	assert_int_equal(gm_balance_check(&bad, "x", &err), GM_UNBALANCED);
	assert_string_equal(err.object, "x");
	struct gm_balance sum = good;
	gm_balance_add(&sum, &good);
	assert_int_equal(sum.records_read, 20);
	assert_int_equal(gm_balance_check(&sum, "run", &err), GM_OK);
}

static void ids_become_one_safe_part(void **state)
{
	(void)state;
	struct gm_layout layout;
	assert_int_equal(gm_layout_init(&layout, "claims", &err), GM_OK);
	assert_string_equal(layout.job, "_gristmill/%63laims/");
	assert_int_equal(gm_layout_init(&layout, "../a/b c", &err), GM_OK);
	assert_string_equal(layout.job, "_gristmill/%2E.%2Fa%2Fb%20c/");
	char id[300];
	memset(id, 'x', sizeof id);
	id[sizeof id - 1] = '\0';
	assert_int_equal(gm_layout_init(&layout, id, &err), GM_JOB);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_plan_holds_what_is_new_in_order),
	    TEST(units_are_cut_by_size),
	    TEST(a_plan_comes_back_as_it_was_written),
	    TEST(a_newer_or_damaged_plan_is_refused_by_name),
	    TEST(publishing_can_be_repeated_and_never_overwrites),
	    TEST(a_manifest_cannot_lead_out_of_the_table),
	    TEST(a_commit_makes_inputs_known_and_a_changed_one_is_refused),
	    TEST(a_plan_given_up_is_dead_and_leaves_nothing),
	    TEST(of_plans_with_one_parent_one_is_committed),
	    TEST(claims_follow_one_another),
	    TEST(a_commit_carries_its_claim),
	    TEST(a_log_put_back_to_an_older_state_is_refused),
	    TEST(books_that_do_not_balance_are_refused),
	    TEST(ids_become_one_safe_part),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
