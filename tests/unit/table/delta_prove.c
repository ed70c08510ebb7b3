/* Whether the files of a Delta log agree with each other: each kind of damage is told, and only that. */
#include "delta_fixture.h"

enum { NEWEST = 22, NOW = 1710108090 };

/* Three files a version, one of which the next removes; a checkpoint every tenth version. */
static struct gm_store *make_log(const char *flavour)
{
	struct gm_store *store = open_memory();
	for (int64_t version = 0; version <= NEWEST; version++) {
		char text[4096], first[1024] = "";
		if (version == 0) (void)snprintf(first, sizeof first, "%s", HEAD);
		(void)snprintf(text, sizeof text,
		               "%s" ADD("p=1/%" PRId64 "%s", "\"1\"") ADD("p=2/%" PRId64, "\"2\"") ADD("p=2/x%" PRId64, "\"2\"")
		                   REMOVE("p=2/x%" PRId64) "{\"txn\":{\"appId\":\"app\",\"version\":%" PRId64 "}}\n",
		               first, version, flavour, version, version, version - 1, version);
		put_text(store, version, text);
		if (version % 10 != 0 || version == 0) continue;
		struct gm_delta_log *log = open_log(store, version);
		must(gm_delta_checkpoint(log, (int64_t)NOW * 1000, &failure));
		gm_delta_free(log);
	}
	return store;
}

struct faults {
	char text[2000];
	size_t count;
};

static enum gm_code note(void *context, enum gm_delta_fault fault, const char *object, const char *what,
                         struct gm_error *err)
{
	static const char *const names[] = {"hole", "damaged", "wrong"};
	struct faults *faults = context;
	size_t used = strlen(faults->text);
	(void)err;
	assert_true(what[0] != '\0');
	(void)snprintf(faults->text + used, sizeof faults->text - used, "%s %.*s;", names[fault],
	               (int)strcspn(object + strlen("_delta_log/") + 18, ".") + 1, object + strlen("_delta_log/") + 18);
	faults->count++;
	return GM_OK;
}

static void expect(struct gm_store *store, bool all, const char *faults, uint64_t compared)
{
	struct faults found = {.count = 0};
	struct gm_delta_proof proof;
	must(gm_delta_prove(store, all, MEMORY, note, &found, &proof, &failure));
	assert_string_equal(found.text, faults);
	assert_int_equal(proof.compared, compared);
	gm_store_close(store);
}

static void a_sound_log_has_no_faults(void **state)
{
	(void)state;
	expect(make_log(""), true, "", 2);
	expect(make_log(""), false, "", 1);
}

static void holes_are_told_with_their_versions(void **state)
{
	(void)state;
	struct gm_store *store = make_log("");
	remove_entry(store, 3);
	remove_entry(store, 15);
	remove_entry(store, 16);
	expect(store, true, "hole 03.;hole 15.;", 0);
	store = make_log(""); /* the newest version has a checkpoint, and no entry */
	remove_entry(store, 20);
	remove_entry(store, 21);
	remove_entry(store, 22);
	expect(store, true, "hole 20.;", 1);
}

static void what_was_cleaned_away_is_not_missed(void **state)
{
	(void)state;
	struct gm_store *store = make_log("");
	struct gm_delta_proof proof;
	struct faults found = {.count = 0};
	for (int64_t version = 0; version < 10; version++) remove_entry(store, version);
	must(gm_delta_prove(store, true, MEMORY, note, &found, &proof, &failure));
	assert_int_equal(found.count, 0);
	assert_int_equal(proof.first, 10);
	assert_int_equal(proof.entries, NEWEST - 9);
	assert_int_equal(proof.checkpoints, 2);
	assert_int_equal(proof.compared, 1); /* nothing is left to compare the older one with */
	gm_store_close(store);
}

/* Behind a hole the state is known again from the next checkpoint on. */
static void entries_can_be_read_from_where_the_state_is_known(void **state)
{
	(void)state;
	struct gm_store *store = make_log("");
	struct gm_delta_proof proof;
	struct faults found = {.count = 0};
	remove_entry(store, 3);
	must(gm_delta_prove(store, true, MEMORY, note, &found, &proof, &failure));
	assert_int_equal(proof.first, 10);
	gm_store_close(store);
}

static void copy_checkpoint(struct gm_store *from, struct gm_store *to, const char *name)
{
	char key[200];
	struct gm_buf bytes;
	gm_buf_init(&bytes, 1 << 20);
	(void)snprintf(key, sizeof key, "_delta_log/%s", name);
	must(gm_store_get(from, key, &bytes, &failure));
	put_bytes(to, name, bytes.data, bytes.len);
	gm_buf_release(&bytes);
}

static void a_checkpoint_of_another_state_is_wrong(void **state)
{
	(void)state;
	static const char tenth[] = "00000000000000000010.checkpoint.parquet";
	static const char twentieth[] = "00000000000000000020.checkpoint.parquet";
	struct gm_store *other = make_log("other"), *store = make_log("");
	copy_checkpoint(other, store, tenth); /* the next one agrees with the entries all the same */
	expect(store, true, "wrong 10.;", 2);
	store = make_log("");
	copy_checkpoint(other, store, twentieth);
	expect(store, true, "wrong 20.;", 2);
	store = make_log("");
	copy_checkpoint(other, store, tenth);
	expect(store, false, "", 1);
	gm_store_close(other);
}

static void a_checkpoint_that_cannot_be_read_is_damaged(void **state)
{
	(void)state;
	struct gm_store *store = make_log("");
	put_bytes(store, "00000000000000000010.checkpoint.parquet", "PAR1 no PAR1", 12);
	expect(store, true, "damaged 10.;", 1);
	store = make_log("");
	put_bytes(store, "00000000000000000020.checkpoint.parquet", "", 0);
	expect(store, true, "damaged 20.;", 1);
}

/* Fails its call number fail_at, if that is not 0; returns how many calls there were. */
static uint64_t prove_faulty(uint64_t fail_at, enum gm_code expected)
{
	uint64_t calls;
	struct gm_store *store;
	struct gm_delta_proof proof;
	struct faults found = {.count = 0};
	must(gm_store_open_faulty(make_log(""), fail_at, GM_IO, false, &calls, &store, &failure));
	assert_int_equal(gm_delta_prove(store, true, MEMORY, note, &found, &proof, &failure), expected);
	assert_int_equal(found.count, 0);
	gm_store_close(store);
	return calls;
}

/* A store that fails is a failure, and no fault of the log. */
static void each_store_call_fails_once(void **state)
{
	(void)state;
	uint64_t calls = prove_faulty(0, GM_OK);
	assert_true(calls > 20);
	for (uint64_t at = 1; at <= calls; at++) (void)prove_faulty(at, GM_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_sound_log_has_no_faults),
	    cmocka_unit_test(holes_are_told_with_their_versions),
	    cmocka_unit_test(what_was_cleaned_away_is_not_missed),
	    cmocka_unit_test(entries_can_be_read_from_where_the_state_is_known),
	    cmocka_unit_test(a_checkpoint_of_another_state_is_wrong),
	    cmocka_unit_test(a_checkpoint_that_cannot_be_read_is_damaged),
	    cmocka_unit_test(each_store_call_fails_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
