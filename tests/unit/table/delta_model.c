/* Random histories of a log against a naive model: commits of ours and of others, checkpoints of any version, cleaning.
 * Every version that can be opened must say what the model says, whatever it is read from, and the others must be
 * refused. usage: test_table_delta_model [SEED] - a seed that failed is printed. */
#include "delta_fixture.h"

enum { PATHS = 12, VERSIONS = 40, APPS = 3, SEEDS = 30, WEEK_MS = 7 * 86400000 };
static const char *const one[] = {"p"};
static const char *const partitions[] = {"p=1", "p=a%3Ab c", "p=__HIVE_DEFAULT_PARTITION__"};
static const char *const values[] = {"\"1\"", "\"a:b c\"", "null"};

struct model_file {
	bool live, removed; /* never seen: neither */
	int partition;
	uint64_t bytes;
};
struct snapshot {
	struct model_file files[PATHS];
	int64_t apps[APPS]; /* -1: none */
};
struct model {
	struct gm_store *store;
	struct snapshot at[VERSIONS];
	int versions;
	uint64_t random;
};

static uint64_t below(struct model *model, uint64_t n)
{
	model->random ^= model->random << 13;
	model->random ^= model->random >> 7;
	model->random ^= model->random << 17;
	return model->random % n;
}

static void path_of(int i, char out[64])
{
	(void)snprintf(out, 64, "%s/f%d \xc3\xa9.parquet", partitions[i % 3], i);
}

static struct snapshot *begin(struct model *model)
{
	struct snapshot *next = &model->at[model->versions];
	if (model->versions > 0) {
		*next = model->at[model->versions - 1];
	} else {
		*next = (struct snapshot){0};
		for (int i = 0; i < APPS; i++) next->apps[i] = -1;
	}
	return next;
}

/* Some files of ours, each once; also some that are there already. */
static void commit_ours(struct model *model)
{
	struct snapshot *next = begin(model);
	struct gm_delta_file files[PATHS];
	char paths[PATHS][64], app[16];
	struct gm_delta_metadata first = metadata(one, 1);
	size_t count = 0;
	for (int i = 0; i < PATHS; i++) {
		if (below(model, 4) != 0) continue;
		path_of(i, paths[count]);
		next->files[i] = (struct model_file){true, false, i % 3, below(model, 1000)};
		files[count] = add(paths[count], partitions[i % 3], next->files[i].bytes);
		count++;
	}
	int number = (int)below(model, APPS);
	(void)snprintf(app, sizeof app, "app%d", number);
	next->apps[number] = (int64_t)below(model, 100);
	struct gm_delta_txn_action txn = {app, next->apps[number]};
	struct gm_delta_commit commit = {.operation = "WRITE",
	                                 .engine_info = "gristmill/0.1.0",
	                                 .protocol = model->versions == 0,
	                                 .metadata = model->versions == 0 ? &first : NULL,
	                                 .txns = &txn,
	                                 .txn_count = 1,
	                                 .adds = files,
	                                 .add_count = count};
	must(gm_delta_put(model->store, model->versions++, &commit, &failure));
}

/* Others remove files, and add some in other partitions than before. */
static void commit_others(struct model *model)
{
	struct snapshot *next = begin(model);
	struct gm_buf text;
	gm_buf_init(&text, 1 << 20);
	must(gm_buf_printf(&text, &failure, "{\"commitInfo\":{\"operation\":\"MERGE\"}}\n"));
	for (int i = 0; i < PATHS; i++) {
		char path[64];
		struct gm_buf uri;
		uint64_t what = below(model, 6);
		if (what > 1) continue;
		path_of(i, path);
		gm_buf_init(&uri, 1000);
		must(gm_delta_uri_escape(path, &uri, &failure));
		if (what == 0) {
			next->files[i] = (struct model_file){.removed = true};
			must(gm_buf_printf(&text, &failure, "{\"remove\":{\"path\":\"%.*s\",\"deletionTimestamp\":1000}}\n",
			                   (int)uri.len, uri.data));
		} else {
			next->files[i] = (struct model_file){true, false, (int)below(model, 3), below(model, 1000)};
			must(gm_buf_printf(&text, &failure,
			                   "{\"add\":{\"path\":\"%.*s\",\"partitionValues\":{\"p\":%s},\"size\":%" PRIu64
			                   ",\"modificationTime\":1,\"dataChange\":true}}\n",
			                   (int)uri.len, uri.data, values[next->files[i].partition], next->files[i].bytes));
		}
		gm_buf_release(&uri);
	}
	must(gm_buf_append(&text, "", 1, &failure));
	put_text(model->store, model->versions++, (const char *)text.data);
	gm_buf_release(&text);
}

/* --- Comparing ---------------------------------------------------------------------------------------------------- */

static bool has_checkpoint(struct model *model, int64_t version)
{
	char key[GM_DELTA_KEY_BYTES];
	gm_delta_checkpoint_key(version, 0, 0, key);
	return is_there(model->store, key + strlen(GM_DELTA_FOLDER));
}

/* Straight from the definition: from some checkpoint, or the beginning, all entries since must be there. */
static bool can_be_opened(struct model *model, int64_t version)
{
	for (int64_t base = version; base >= -1; base--) {
		if (base == -1 || has_checkpoint(model, base)) return true;
		if (!entry_is_there(model->store, base)) return false;
	}
	return false;
}

struct comparing {
	const struct snapshot *expected;
	size_t seen;
};

static const struct model_file *find(const struct snapshot *expected, const char *path)
{
	char wanted[64];
	for (int i = 0; i < PATHS; i++) {
		path_of(i, wanted);
		if (strcmp(wanted, path) == 0) return &expected->files[i];
	}
	return NULL;
}

static enum gm_code compare_file(void *context, const struct gm_delta_file *file, struct gm_error *err)
{
	struct comparing *comparing = context;
	const struct model_file *expected = find(comparing->expected, file->path);
	(void)err;
	assert_true(expected != NULL && expected->live);
	assert_string_equal(file->partition, partitions[expected->partition]);
	assert_int_equal(file->bytes, expected->bytes);
	comparing->seen++;
	return GM_OK;
}

static void compare_partition(const struct gm_delta_log *log, const struct snapshot *expected, int partition)
{
	const struct gm_delta_file *files;
	size_t count, wanted = 0;
	must(gm_delta_partition(log, partitions[partition], &files, &count, &failure));
	for (int i = 0; i < PATHS; i++) wanted += expected->files[i].live && expected->files[i].partition == partition;
	assert_int_equal(count, wanted);
	for (size_t i = 0; i < count; i++) {
		const struct model_file *its = find(expected, files[i].path);
		assert_true(its != NULL && its->live && its->partition == partition && its->bytes == files[i].bytes);
		if (i > 0) assert_true(strcmp(files[i - 1].path, files[i].path) < 0);
	}
}

static void compare(struct model *model, int64_t version)
{
	struct gm_delta_log *log;
	const struct snapshot *expected = &model->at[version];
	struct comparing comparing = {.expected = expected};
	if (!can_be_opened(model, version)) {
		must_fail(gm_delta_open(model->store, version, MEMORY, &log, &failure), GM_CHANGED, "");
		return;
	}
	log = open_log(model->store, version);
	must(gm_delta_each_file(log, compare_file, &comparing, &failure));
	assert_int_equal(comparing.seen, gm_delta_file_count(log));
	for (int i = 0; i < 3; i++) compare_partition(log, expected, i);
	for (int i = 0; i < PATHS; i++) {
		char path[64];
		path_of(i, path);
		assert_int_equal(gm_delta_has(log, path), expected->files[i].live);
		/* Removes may be forgotten by a checkpoint, never invented. */
		if (gm_delta_knows(log, path)) assert_true(expected->files[i].live || expected->files[i].removed);
	}
	for (int i = 0; i < APPS; i++) {
		char app[16];
		int64_t txn = -1;
		(void)snprintf(app, sizeof app, "app%d", i);
		(void)gm_delta_txn(log, app, &txn);
		assert_int_equal(txn, expected->apps[i]);
	}
	gm_delta_free(log);
}

static enum gm_code follow(void *context, const struct gm_delta_entry *entry, struct gm_error *err)
{
	(void)err;
	assert_int_equal(entry->version, *(int64_t *)context);
	++*(int64_t *)context;
	return GM_OK;
}

static void compare_entries(struct model *model, int64_t first)
{
	int64_t oldest, next = first;
	must(gm_delta_oldest(model->store, &oldest, &failure));
	if (first < oldest) {
		must_fail(gm_delta_entries(model->store, first, follow, &next, &failure), GM_NOT_FOUND, "cleaned away");
		return;
	}
	must(gm_delta_entries(model->store, first, follow, &next, &failure));
	assert_int_equal(next, model->versions);
}

/* --- Histories ---------------------------------------------------------------------------------------------------- */

static void keep_house(struct model *model)
{
	int64_t version = (int64_t)below(model, (uint64_t)model->versions), oldest;
	if (below(model, 3) > 0) {
		if (!can_be_opened(model, version)) return;
		struct gm_delta_log *log = open_log(model->store, version);
		must(gm_delta_checkpoint(log, below(model, 2) == 0 ? 0 : 1000 + WEEK_MS, &failure));
		gm_delta_free(log);
		return;
	}
	must(gm_delta_oldest(model->store, &oldest, &failure));
	struct gm_delta_log *log = open_log(model->store, GM_DELTA_NEWEST);
	must(gm_delta_clean(log, INT64_C(30) * 86400000 + (int64_t)below(model, 3), &failure));
	gm_delta_free(log);
	int64_t cleaned;
	must(gm_delta_oldest(model->store, &cleaned, &failure));
	assert_true(cleaned == oldest || has_checkpoint(model, cleaned));
}

static void live(unsigned long long seed)
{
	struct model *model = calloc(1, sizeof *model);
	assert_non_null(model);
	model->store = open_memory();
	model->random = seed * 0x9E3779B97F4A7C15U + 1;
	while (model->versions < VERSIONS) {
		if (model->versions == 0 || below(model, 2) == 0)
			commit_ours(model);
		else
			commit_others(model);
		for (uint64_t i = below(model, 4); i > 0; i--) keep_house(model);
		/* Time goes on: what was put so far becomes older. */
		for (uint64_t i = below(model, 300); i > 0; i--)
			must(gm_store_put(model->store, "clock", "", 0, false, &failure));
		compare(model, model->versions - 1);
		compare(model, (int64_t)below(model, (uint64_t)model->versions));
		compare_entries(model, (int64_t)below(model, (uint64_t)model->versions + 1));
	}
	for (int64_t v = 0; v < model->versions; v++) compare(model, v);
	gm_store_close(model->store);
	free(model);
}

static unsigned long long only_seed;

static void histories(void **state)
{
	(void)state;
	for (unsigned long long seed = 1; seed <= SEEDS; seed++) {
		if (only_seed != 0 && seed != only_seed) continue;
		print_message("seed %llu\n", seed);
		live(seed);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(histories)};
	if (argc > 1) only_seed = strtoull(argv[1], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
