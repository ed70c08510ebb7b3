/* What a plan takes of the source: what is new whatever it is called and whenever it came, changed objects as the job
 * says, only some folders if it says so, and never more than a plan holds. */
#include "base/time.h"
#include "run/plan.h"
#include "../must.h"

#include <stdio.h>
#include <stdlib.h>

struct fixture {
	struct gm_store *source;
	struct gm_bookmark *bookmark;
	struct gm_job job;
	struct gm_plan_listing listing;
	int64_t now_us, full_us;
	uint64_t limit;
	const char *after;
	int64_t plan_full_us; /* of the plan made last */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	assert_non_null(f);
	must(gm_store_open_memory(&f->source, &failure));
	must(gm_bookmark_open(NULL, NULL, &f->bookmark, &failure));
	must(gm_bookmark_run(f->bookmark, 1, &failure));
	f->job.id = "job";
	f->job.source.location = "source";
	f->job.table.name = f->job.table.comment = "";
	f->job.table.file_bytes = 1000;
	f->now_us = 1000 * GM_US_PER_DAY;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	gm_store_close(f->source);
	gm_bookmark_free(f->bookmark);
	free(f);
	return 0;
}

static void put(struct fixture *f, const char *key, const char *text)
{
	must(gm_store_put(f->source, key, text, strlen(text), false, &failure));
}

/* The object as it is now has been processed by run 1. */
static void process(struct fixture *f, const char *key)
{
	struct gm_arena arena;
	struct gm_object_info info;
	gm_arena_init(&arena, 1024);
	must(gm_store_stat(f->source, key, &info, &arena, &failure));
	const struct gm_bookmark_entry entry = {.key = key, .size = info.size, .mtime_us = info.mtime_us, .run = 1};
	must(gm_bookmark_add(f->bookmark, &entry, &failure));
	gm_arena_release(&arena);
}

/* An object that is gone, but was the newest of all that was processed. */
static void process_newest(struct fixture *f, const char *time)
{
	struct gm_bookmark_entry entry = {.key = "zz-gone", .run = 1};
	assert_true(gm_time_parse_iso(time, strlen(time), &entry.mtime_us));
	must(gm_bookmark_add(f->bookmark, &entry, &failure));
}

static enum gm_code make(struct fixture *f, struct gm_plan **plan)
{
	const struct gm_plan_request request = {.job = &f->job,
	                                        .source = f->source,
	                                        .bookmark = f->bookmark,
	                                        .parent = 1,
	                                        .limit_objects = f->limit,
	                                        .engine = "engine",
	                                        .now_us = f->now_us,
	                                        .full_us = f->full_us,
	                                        .after = f->after,
	                                        .listing = &f->listing};
	return gm_plan_make(&request, plan, &failure);
}

/* The keys that a plan takes, joined by blanks, in a static buffer. */
static const char *planned(struct fixture *f)
{
	static char text[4096];
	struct gm_plan *plan;
	size_t n = 0;
	must(make(f, &plan));
	text[0] = '\0';
	for (size_t i = 0; plan != NULL && i < plan->input_count; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i > 0 ? " " : "", plan->inputs[i].key);
	f->plan_full_us = plan != NULL ? plan->full_us : -1;
	gm_plan_free(plan);
	return text;
}

/* --- What is new -------------------------------------------------------------------------------------------------- */

static void late_objects_are_found(void **state)
{
	struct fixture *f = *state;
	static const char *const first[] = {"2024/03/10/22/b", "2024/03/10/22/d", "2024/03/11/00/a"};
	for (size_t i = 0; i < 3; i++) put(f, first[i], "{}");
	assert_string_equal(planned(f), "2024/03/10/22/b 2024/03/10/22/d 2024/03/11/00/a");
	for (size_t i = 0; i < 3; i++) process(f, first[i]);
	process_newest(f, "2030-01-01"); /* newer than all that follows */
	assert_string_equal(planned(f), "");
	put(f, "2024/03/10/22/c", "{}"); /* between others of its hour */
	put(f, "2023/12/31/23/z", "{}"); /* with an old name, in a folder that was not there */
	put(f, "2024/03/10/22/b0", "{}");
	put(f, "2024/03/11/00/a/x", "{}");
	assert_string_equal(planned(f), "2023/12/31/23/z 2024/03/10/22/b0 2024/03/10/22/c 2024/03/11/00/a/x");
	assert_int_equal(f->listing.objects, 7);
	assert_true(f->listing.full);
}

static void what_is_forgotten_or_rewound_is_new(void **state)
{
	struct fixture *f = *state;
	static const char *const keys[] = {"a", "b", "c"}; /* of ascending times */
	for (size_t i = 0; i < 3; i++) put(f, keys[i], "{}");
	for (size_t i = 0; i < 3; i++) process(f, keys[i]);
	must(gm_bookmark_rewind(f->bookmark, 2, &failure));
	assert_string_equal(planned(f), "c");
	must(gm_bookmark_forget(f->bookmark, "a", &failure));
	assert_string_equal(planned(f), "a c");
}

static void what_is_not_complete_is_left(void **state)
{
	struct fixture *f = *state;
	static const char *const skipped[] = {".a",     "x/.a/b",      "_SUCCESS",  "x/_b/c",       "a.tmp",
	                                      "a.TEMP", "a.part",      "a.partial", "a.crdownload", "a.inprogress",
	                                      "a.swp",  "a._COPYING_", "a~"};
	static const char *const taken[] = {"a", "a.b", "a_", "atmp", "b/c.d", "tmp"};
	for (size_t i = 0; i < sizeof skipped / sizeof skipped[0]; i++) put(f, skipped[i], "{}");
	for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) put(f, taken[i], "{}");
	assert_string_equal(planned(f), "a a.b a_ atmp b/c.d tmp");
	put(f, "\xff", "{}");
	struct gm_plan *plan;
	assert_int_equal(make(f, &plan), GM_UNSUPPORTED);
	assert_null(plan);
}

/* Where the store has them, keys are what others like: only what is hidden is left, and what is no object. */
static void keys_of_others_are_taken(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *key, *text;
	} objects[] = {
	    {"/x", "{}"}, {"//y", "{}"}, {"a//b", "{}"},   {"c/", ""},
	    {"d/", "{}"}, {"./e", "{}"}, {"a/../f", "{}"}, {"/_gristmill/j/quarantine/00000001/00000.ndjson.gz", "{}"},
	    {"_g", "{}"}};
	f->source->free_keys = true;
	for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++)
		must(f->source->ops->put(f->source, objects[i].key, objects[i].text, strlen(objects[i].text), false, &failure));
	assert_string_equal(planned(f), "//y /x a//b d/");
}

/* --- What has changed --------------------------------------------------------------------------------------------- */

static void change_shows_by_size_etag_or_time(void **state)
{
	(void)state;
	const uint64_t x = gm_bookmark_etag_hash("x"), y = gm_bookmark_etag_hash("y");
	const struct {
		const char *etag;
		struct gm_bookmark_entry known;
		bool changed;
	} cases[] = {
	    {"", {.size = 5, .mtime_us = 7}, false},
	    {"", {.size = 6, .mtime_us = 7}, true},
	    {"", {.size = 5, .mtime_us = 8}, true},
	    {"x", {.size = 5, .mtime_us = 7, .etag_hash = x}, false},
	    {"x", {.size = 5, .mtime_us = 8, .etag_hash = x}, false}, /* put again with the same content */
	    {"x", {.size = 5, .mtime_us = 7, .etag_hash = y}, true},
	    {"x", {.size = 6, .mtime_us = 7, .etag_hash = x}, true},
	    {"x", {.size = 5, .mtime_us = 7}, false}, /* processed from a directory, which has no ETags */
	    {"x", {.size = 5, .mtime_us = 8}, true},
	    {"", {.size = 5, .mtime_us = 7, .etag_hash = x}, false},
	    {"", {.size = 5, .mtime_us = 8, .etag_hash = x}, true},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct gm_object_info info = {.key = "k", .size = 5, .mtime_us = 7, .etag = cases[i].etag};
		assert_int_equal(gm_source_is_changed(&info, &cases[i].known), cases[i].changed);
	}
}

static void a_changed_object_fails_by_default(void **state)
{
	struct fixture *f = *state;
	struct gm_plan *plan;
	for (char key[] = "a"; key[0] <= 'e'; key[0]++) {
		put(f, key, "{}");
		if (key[0] < 'e') process(f, key);
	}
	put(f, "b", "{} ");
	assert_int_equal(make(f, &plan), GM_CHANGED);
	assert_null(plan);
	assert_string_equal(failure.object, "b");
	assert_string_equal(failure.message, "the object has changed since run 1 processed it: it had 2 bytes and has 3");
	assert_non_null(strstr(failure.hint, "on_change"));
	put(f, "a", "[]");
	put(f, "d", "[]");
	assert_int_equal(make(f, &plan), GM_CHANGED);
	assert_string_equal(failure.object, "a");
	assert_string_equal(failure.message,
	                    "the object has changed since run 1 processed it: it was last modified at "
	                    "1970-01-01T00:00:00.000001Z and now is at 1970-01-01T00:00:00.000007Z; 2 others "
	                    "have changed, too");
	assert_int_equal(f->listing.changed, 3);
}

static void changed_objects_can_be_ignored(void **state)
{
	struct fixture *f = *state;
	f->job.source.on_change = GM_ON_CHANGE_IGNORE;
	for (char key[] = "a"; key[0] <= 'c'; key[0]++) put(f, key, "{}");
	process(f, "a");
	process(f, "b");
	put(f, "a", "{} ");
	assert_string_equal(planned(f), "c");
	assert_true(f->listing.changed == 1 && f->listing.reprocessed == 0);
	process(f, "c");
	assert_string_equal(planned(f), "");
	assert_int_equal(f->listing.changed, 1); /* told also when nothing is new */
}

static void changed_objects_can_be_processed_again(void **state)
{
	struct fixture *f = *state;
	f->job.source.on_change = GM_ON_CHANGE_REPROCESS;
	for (char key[] = "a"; key[0] <= 'd'; key[0]++) put(f, key, "{}");
	process(f, "a");
	process(f, "b");
	process(f, "d");
	put(f, "a", "{} ");
	put(f, "d", "{} ");
	f->job.source.plan_objects = 2;
	assert_string_equal(planned(f), "a c");
	assert_true(f->listing.changed == 2 && f->listing.reprocessed == 1 && f->listing.left == 1);
	must(gm_bookmark_run(f->bookmark, 2, &failure));
	static const struct gm_bookmark_entry again = {.key = "a", .size = 3, .mtime_us = 5, .run = 2};
	must(gm_bookmark_add(f->bookmark, &again, &failure));
	assert_string_equal(planned(f), "c d");
}

/* --- Limits ------------------------------------------------------------------------------------------------------- */

static void a_plan_has_limits(void **state)
{
	struct fixture *f = *state;
	char text[1001];
	memset(text, ' ', 1000);
	text[1000] = '\0';
	for (char key[] = "a.gz"; key[0] <= 'f'; key[0]++)
		put(f, key, text); /* 8,000 bytes each, inflated, by their name */
	put(f, "g", "{}");
	assert_string_equal(planned(f), "a.gz b.gz c.gz d.gz e.gz f.gz g");
	assert_int_equal(f->listing.left, 0);
	f->job.source.plan_objects = 3;
	assert_string_equal(planned(f), "a.gz b.gz c.gz");
	assert_int_equal(f->listing.left, 4);
	f->limit = 2;
	assert_string_equal(planned(f), "a.gz b.gz");
	f->limit = 4;
	assert_string_equal(planned(f), "a.gz b.gz c.gz");
	f->limit = 0;
	f->job.source.plan_objects = 0;
	f->job.source.plan_bytes = 16001;
	assert_string_equal(planned(f), "a.gz b.gz c.gz");
	f->job.source.plan_bytes = 16000;
	assert_string_equal(planned(f), "a.gz b.gz"); /* and g, which would fit, is not taken before c */
	f->job.source.plan_bytes = 1;
	assert_string_equal(planned(f), "a.gz");
	assert_int_equal(f->listing.left, 6);
}

/* A plan that goes on behind another ends with its last object; where nothing is left, it does not say that all was
 * listed. */
static void a_plan_goes_on_behind_another(void **state)
{
	struct fixture *f = *state;
	static const char *const keys[] = {"a", "b-c", "b/1", "b/2", "b/c/3", "b0", "c/1", "d"};
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) put(f, keys[i], "{}");
	f->job.source.plan_objects = 3;
	assert_string_equal(planned(f), "a b-c b/1");
	assert_int_equal(f->listing.objects, 8);
	assert_int_equal(f->listing.left, 5);
	f->after = "b/1";
	assert_string_equal(planned(f), "b/2 b/c/3 b0");
	assert_int_equal(f->listing.objects, 4);
	assert_int_equal(f->listing.left, 1);
	assert_false(f->listing.full);
	f->after = "b0";
	assert_string_equal(planned(f), "c/1 d");
	assert_int_equal(f->listing.left, 0);
	assert_int_equal(f->plan_full_us, 0);
	f->after = "d";
	assert_string_equal(planned(f), "");
	put(f, "a0", "{}"); /* late */
	assert_string_equal(planned(f), "");
	f->after = NULL;
	process(f, "a");
	assert_string_equal(planned(f), "a0 b-c b/1");
}

/* --- Lookback ----------------------------------------------------------------------------------------------------- */

static void folders_are_told_by_their_time(void **state)
{
	(void)state;
	static const struct {
		const char *folder, *end; /* "": none */
	} cases[] = {
	    {"2024/", "2025-01-01T00:00:00Z"},
	    {"2024/02/", "2024-03-01T00:00:00Z"},
	    {"2024/12/", "2025-01-01T00:00:00Z"},
	    {"2024/02/29/", "2024-03-01T00:00:00Z"},
	    {"2024/03/10/", "2024-03-11T00:00:00Z"},
	    {"2024/12/31/", "2025-01-01T00:00:00Z"},
	    {"2024/03/10/00/", "2024-03-10T01:00:00Z"},
	    {"2024/03/10/23/", "2024-03-11T00:00:00Z"},
	    {"2024/03/10/22/more/", "2024-03-10T23:00:00Z"},
	    {"1970/01/01/00/", "1970-01-01T01:00:00Z"},
	    {"records/prod/2024/03/", "2024-04-01T00:00:00Z"},
	    {"year=2024/", "2025-01-01T00:00:00Z"},
	    {"year=2024/month=03/day=10/hour=05/", "2024-03-10T06:00:00Z"},
	    {"stack=prod/2024/03/", "2024-04-01T00:00:00Z"},
	    {"1234/2024/03/", "2024-04-01T00:00:00Z"}, /* no year of objects */
	    {"2023/02/29/", "2023-03-01T00:00:00Z"},   /* no day: of the month, as the folder above */
	    {"2024/13/", "2025-01-01T00:00:00Z"},
	    {"2024/00/", "2025-01-01T00:00:00Z"},
	    {"2024/3/", "2025-01-01T00:00:00Z"},
	    {"2024/03/10/24/", "2024-03-11T00:00:00Z"},
	    {"2024/03/10/2x/", "2024-03-11T00:00:00Z"},
	    {"a/", ""},
	    {"24/03/10/", ""},
	    {"20240/", ""},
	    {"2024-03-10/", ""},
	    {"x2024/03/", ""},
	    {"=/", ""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t end, expected;
		bool any = gm_source_folder_end(cases[i].folder, &end);
		if (any != (cases[i].end[0] != '\0')) fail_msg("%s", cases[i].folder);
		if (!any) continue;
		assert_true(gm_time_parse_iso(cases[i].end, strlen(cases[i].end), &expected));
		if (end != expected) fail_msg("%s: %lld, not %lld", cases[i].folder, (long long)end, (long long)expected);
	}
	int64_t end;
	assert_true(gm_source_folder_end("9999/12/31/23/", &end));
	assert_true(end == GM_TIME_MAX + 1);
}

static void put_days(struct fixture *f)
{
	static const char *const keys[] = {"2023/12/31/23/a", "2024/03/09/21/b", "2024/03/09/22/c", "2024/03/09/23/d",
	                                   "2024/03/10/22/e", "2024/04/01/00/f", "2023/x",          "index"};
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) put(f, keys[i], "{}");
	f->job.source.lookback_us = GM_US_PER_DAY;
	process_newest(f, "2024-03-10T23:00:00Z"); /* so hours that ended by 2024-03-09T23:00:00 are left out */
}

static const char in_full[] =
    "2023/12/31/23/a 2023/x 2024/03/09/21/b 2024/03/09/22/c 2024/03/09/23/d 2024/03/10/22/e 2024/04/01/00/f index";
static const char in_part[] = "2024/03/09/23/d 2024/03/10/22/e 2024/04/01/00/f index";

static void lookback_leaves_out_old_folders(void **state)
{
	struct fixture *f = *state;
	put_days(f);
	f->full_us = f->now_us - 1;
	assert_string_equal(planned(f), in_part);
	assert_false(f->listing.full);
	assert_int_equal(f->listing.objects, 4);
	assert_true(f->plan_full_us == f->full_us);
}

static void once_a_day_everything_is_listed(void **state)
{
	struct fixture *f = *state;
	put_days(f);
	const struct {
		int64_t full_us;
		bool full;
	} cases[] = {
	    {0, true},                              /* never yet */
	    {f->now_us - GM_US_PER_DAY, true},      /* a day ago */
	    {f->now_us - GM_US_PER_DAY + 1, false}, /* not quite */
	    {f->now_us, false},
	    {f->now_us + 1, true}, /* the clock was put back, or another machine's is ahead */
	    {INT64_MIN, true},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		f->full_us = cases[i].full_us;
		assert_string_equal(planned(f), cases[i].full ? in_full : in_part);
		assert_int_equal(f->listing.full, cases[i].full);
		assert_true(f->plan_full_us == (cases[i].full ? f->now_us : f->full_us));
	}
	f->job.source.lookback_us = 0;
	f->full_us = f->now_us;
	assert_string_equal(planned(f), in_full);
}

/* The plan's own objects may be newer than what it leaves: everything is looked at again. */
static void what_had_no_room_is_not_lost_sight_of(void **state)
{
	struct fixture *f = *state;
	put_days(f);
	f->job.source.plan_objects = 3;
	assert_string_equal(planned(f), "2023/12/31/23/a 2023/x 2024/03/09/21/b");
	assert_true(f->plan_full_us == 0);
	f->full_us = f->now_us;
	assert_string_equal(planned(f), "2024/03/09/23/d 2024/03/10/22/e 2024/04/01/00/f");
	assert_true(f->plan_full_us == 0);
}

static void nothing_processed_is_no_time_to_look_back_from(void **state)
{
	struct fixture *f = *state;
	put_days(f);
	must(gm_bookmark_forget(f->bookmark, "zz-gone", &failure));
	f->full_us = f->now_us;
	assert_string_equal(planned(f), in_full);
	static const struct gm_bookmark_entry oldest = {.key = "zz-gone", .mtime_us = INT64_MIN, .run = 1};
	must(gm_bookmark_add(f->bookmark, &oldest, &failure));
	assert_string_equal(planned(f), in_full);
}

static void what_moves_the_bookmark_asks_for_everything(void **state)
{
	struct fixture *f = *state;
	const struct gm_plan_request request = {
	    .job = &f->job, .source = f->source, .parent = 1, .engine = "engine", .now_us = 100, .full_us = 50};
	static const struct {
		enum gm_plan_kind kind;
		int64_t full_us;
	} cases[] = {{GM_PLAN_REWIND, 0}, {GM_PLAN_FORGET, 0}, {GM_PLAN_ADOPT, 0}, {GM_PLAN_IMPORT, 50}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct gm_plan *plan;
		must(gm_plan_empty(&request, cases[i].kind, &plan, &failure));
		assert_int_equal(plan->full_us, cases[i].full_us);
		gm_plan_free(plan);
	}
}

/* --- A naive model ------------------------------------------------------------------------------------------------ */

static uint64_t draw(uint64_t *random, uint64_t below)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random % below;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Random hours, some processed, some not, against what a loop over all of them says. */
static void random_sources_are_planned_as_a_naive_model_says(void **state)
{
	enum { ROUNDS = 300, OBJECTS = 40 };
	struct fixture *f = *state;
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		static char keys[OBJECTS][64];
		char expected[OBJECTS * 64] = "", since[GM_TIME_TEXT_BYTES];
		uint64_t random = round * UINT64_C(0x9e3779b97f4a7c15);
		bool narrow = draw(&random, 2) == 0;
		gm_store_close(f->source);
		gm_bookmark_free(f->bookmark);
		must(gm_store_open_memory(&f->source, &failure));
		must(gm_bookmark_open(NULL, NULL, &f->bookmark, &failure));
		must(gm_bookmark_run(f->bookmark, 1, &failure));
		const int64_t newest =
		    (19000 + (int64_t)draw(&random, 800)) * GM_US_PER_DAY + (int64_t)draw(&random, 86400) * 1000000;
		f->job.source.lookback_us = narrow ? (1 + (int64_t)draw(&random, 48)) * GM_US_PER_HOUR : 0;
		f->full_us = f->now_us;
		const struct gm_bookmark_entry last = {.key = "zz", .mtime_us = newest, .run = 1};
		must(gm_bookmark_add(f->bookmark, &last, &failure));
		for (size_t i = 0; i < OBJECTS; i++) {
			char time[GM_TIME_TEXT_BYTES];
			(void)gm_time_format_iso(newest + ((int64_t)draw(&random, 200) - 150) * GM_US_PER_HOUR, 0, time);
			(void)snprintf(keys[i], sizeof keys[i], "%.4s/%.2s/%.2s/%.2s/%02zu", time, time + 5, time + 8, time + 11,
			               i);
		}
		qsort(keys, OBJECTS, sizeof keys[0], by_text);
		f->after = draw(&random, 3) == 0 ? keys[draw(&random, OBJECTS)] : NULL;
		/* "2024-03-10T22": an hour is left out if it is less than the one that the time looked back to is in. */
		(void)gm_time_format_iso(newest - f->job.source.lookback_us, 0, since);
		since[4] = since[7] = since[10] = '/';
		since[13] = '\0';
		for (size_t i = 0; i < OBJECTS; i++) {
			put(f, keys[i], "{}");
			bool processed = draw(&random, 2) == 0, old = narrow && strncmp(keys[i], since, 13) < 0;
			if (processed) process(f, keys[i]);
			if (processed || old || (f->after != NULL && strcmp(keys[i], f->after) <= 0)) continue;
			if (expected[0] != '\0') strcat(expected, " ");
			strcat(expected, keys[i]);
		}
		assert_string_equal(planned(f), expected);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(late_objects_are_found),
	    TEST(what_is_forgotten_or_rewound_is_new),
	    TEST(what_is_not_complete_is_left),
	    TEST(keys_of_others_are_taken),
	    TEST(change_shows_by_size_etag_or_time),
	    TEST(a_changed_object_fails_by_default),
	    TEST(changed_objects_can_be_ignored),
	    TEST(changed_objects_can_be_processed_again),
	    TEST(a_plan_has_limits),
	    TEST(a_plan_goes_on_behind_another),
	    TEST(folders_are_told_by_their_time),
	    TEST(lookback_leaves_out_old_folders),
	    TEST(once_a_day_everything_is_listed),
	    TEST(what_had_no_room_is_not_lost_sight_of),
	    TEST(nothing_processed_is_no_time_to_look_back_from),
	    TEST(what_moves_the_bookmark_asks_for_everything),
	    TEST(random_sources_are_planned_as_a_naive_model_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
