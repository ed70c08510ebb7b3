/* Duplicates of what the table holds, against a model that knows every row: which rows are, of which row group, and
 * whether they say the same. */
#include "table/doubts.h"
#include "table_fixture.h"

enum { PARTITIONS = 5, FILES = 4, GROUPS_MAX = 3, ROWS_MAX = 120, NUMBERS = 700, CHUNK = 600 };

/* Where a key of a partition is first, in the order of paths, row groups and rows. */
struct known {
	bool there;
	char path[32];
	uint32_t group, saying;
	bool lacks_text, lacks_num; /* of the file */
};
struct table {
	struct gm_store *store;
	struct gm_delta_log *log;
	struct known known[PARTITIONS][NUMBERS];
	uint64_t rows, groups;
};

/* Numbers 0 and 1 are no key: unless the key has no string, for which 1 is one like others. */
static bool is_key(const struct shape *shape, uint32_t number)
{
	if (number == 0) return false;
	for (size_t i = 0; i < shape->key_count; i++)
		if (shape->keys[i] == FIELD_ID && number == 1) return false;
	return true;
}

static void know(struct table *table, const struct shape *shape, const struct file_shape *file, uint32_t partition,
                 const char *path, uint32_t group, const struct row *row)
{
	struct known *known = &table->known[partition][row->number];
	if (known->there || !is_key(shape, row->number)) return;
	for (size_t i = 0; i < shape->key_count; i++)
		if (file->lacks[shape->keys[i]]) return;
	*known = (struct known){.there = true,
	                        .group = group,
	                        .saying = row->saying,
	                        .lacks_text = file->lacks[FIELD_TEXT],
	                        .lacks_num = file->lacks[FIELD_NUM]};
	(void)snprintf(known->path, sizeof known->path, "%s", path);
}

/* Files in the order of their paths, so that the model need not sort; put to the log in another. */
static void make_table(struct table *table, const struct shape *shape, uint64_t seed)
{
	static struct row rows[GROUPS_MAX * ROWS_MAX];
	static char paths[PARTITIONS * FILES][32], partitions[PARTITIONS][16];
	struct gm_delta_file adds[PARTITIONS * FILES];
	size_t count = 0;
	uint64_t random = seed;
	memset(table, 0, sizeof *table);
	table->store = open_memory();
	for (uint32_t p = 0; p < PARTITIONS; p++) {
		(void)snprintf(partitions[p], sizeof partitions[p], "p=%u", p);
		for (uint32_t f = 0; f < FILES && p > 0; f++) { /* partition 0 has no files */
			struct file_shape file = {.bloom = (random = mix(random)) % 4 != 0};
			for (int i = 0; i < FIELDS; i++) file.lacks[i] = (random = mix(random)) % 12 == 0;
			size_t groups = (random = mix(random)) % GROUPS_MAX + 1;
			uint32_t each = (uint32_t)((random = mix(random)) % ROWS_MAX + 1);
			(void)snprintf(paths[count], sizeof paths[count], "p=%u/%u.parquet", p, f);
			for (size_t i = 0; i < groups * each; i++) {
				random = mix(random); /* keys of a file lie together, so that bounds exclude something */
				rows[i] = (struct row){
				    (uint32_t)(random % 5 == 0 ? random / 5 % NUMBERS : (f * 160 + random / 5 % 100) % NUMBERS),
				    (uint32_t)(random >> 40) % 4};
				know(table, shape, &file, p, paths[count], (uint32_t)(i / each), &rows[i]);
			}
			uint64_t bytes = put_file(table->store, paths[count], &file, rows, groups, each);
			adds[count] = add(paths[count], partitions[p], bytes);
			count++;
			table->rows += groups * each;
			table->groups += groups;
		}
	}
	for (size_t i = 0; i < count / 2; i++) {
		struct gm_delta_file swap = adds[i];
		adds[i] = adds[count - 1 - i];
		adds[count - 1 - i] = swap;
	}
	table->log = commit_files(table->store, adds, count);
}

static void free_table(struct table *table)
{
	gm_delta_free(table->log);
	gm_store_close(table->store);
}

static struct gm_existing *new_existing(const struct table *table, const struct shape *shape, size_t filter_bytes)
{
	struct gm_existing *existing;
	struct gm_existing_options options = {.table = table->store,
	                                      .log = table->log,
	                                      .key_secret = secret(),
	                                      .keys = shape->columns,
	                                      .key_count = shape->key_count,
	                                      .filter_bytes = filter_bytes,
	                                      .read_bytes = 1 << 20};
	must(gm_existing_new(&options, &existing, &failure));
	return existing;
}

static struct gm_doubts *new_doubts(const struct table *table, const struct shape *shape,
                                    const struct gm_existing *existing, size_t memory_bytes)
{
	struct gm_doubts *doubts;
	struct gm_doubts_options options = {.table = table->store,
	                                    .existing = existing,
	                                    .key_secret = secret(),
	                                    .columns = shape->columns,
	                                    .key_count = shape->key_count,
	                                    .column_count = shape->column_count,
	                                    .memory_bytes = memory_bytes,
	                                    .read_bytes = 1 << 20,
	                                    .spill_directory = "/tmp"};
	must(gm_doubts_new(&options, &doubts, &failure));
	return doubts;
}

/* --- a run against the model -------------------------------------------------------------------------------------- */

struct seen { /* of the run */
	bool there;
	uint32_t saying;
};
struct run {
	const struct table *table;
	const struct shape *shape;
	struct gm_existing *existing;
	struct gm_keyset *set;
	struct gm_doubts *doubts;
	struct seen seen[PARTITIONS][NUMBERS];
	struct row said[1 << 16]; /* by record: rows of doubts, and their partitions */
	uint32_t partition_of[1 << 16];
	uint64_t records, settled, conflicts, told;
	uint64_t order;                      /* a hash of what was told, in its order */
	struct gm_existing_place last_place; /* of what was settled last, and its ordinal */
	uint64_t last_ordinal, last_told;
	uint32_t last_key; /* of what was told last */
};

static bool says_the_same(const struct known *known, uint32_t saying)
{
	uint32_t text = known->lacks_text ? 0 : known->saying, num = known->lacks_num ? 0 : known->saying;
	return text == saying && num == saying;
}

static enum gm_code settled(void *context, const struct gm_doubt *doubt, bool conflict, struct gm_error *err)
{
	struct run *run = context;
	(void)err;
	const struct row *row = &run->said[doubt->record];
	const struct known *known = &run->table->known[run->partition_of[doubt->record]][row->number];
	assert_int_equal(conflict, !says_the_same(known, row->saying));
	assert_int_equal(doubt->offset, doubt->record * 3);
	struct gm_existing_place place = gm_existing_place(run->existing, doubt->winner), last = run->last_place;
	int order = run->settled > 0 ? strcmp(place.path, last.path) : 1;
	if (order == 0) order = (place.group > last.group) - (place.group < last.group);
	assert_true(order > 0 || (order == 0 && doubt->ordinal > run->last_ordinal));
	run->last_place = place;
	run->last_ordinal = doubt->ordinal;
	run->settled++;
	run->conflicts += conflict;
	run->order = mix(run->order ^ doubt->record);
	return GM_OK;
}

static bool wanted(void *context)
{
	const struct run *run = context;
	return run->told < 1000;
}

static enum gm_code told(void *context, const struct gm_doubt *doubt, const struct gm_existing_place *place,
                         const struct gm_vec_rows *key, uint32_t row, struct gm_error *err)
{
	struct run *run = context;
	(void)err;
	struct gm_arena arena;
	struct gm_vec expected;
	gm_arena_init(&arena, 1000);
	const struct row *said = &run->said[doubt->record];
	const struct known *known = &run->table->known[run->partition_of[doubt->record]][said->number];
	assert_string_equal(place->path, known->path);
	assert_int_equal(place->group, known->group);
	for (size_t i = 0; i < run->shape->key_count; i++) {
		uint32_t at = key[i].first + row, len, expected_len;
		fill_field(&arena, &expected, said, 1, run->shape->keys[i]);
		if (expected.repr == GM_REPR_I64) {
			assert_int_equal(key[i].vec->i64[at], expected.i64[0]);
			continue;
		}
		const uint8_t *text = gm_vec_string(key[i].vec, at, &len);
		const uint8_t *expected_text = gm_vec_string(&expected, 0, &expected_len);
		assert_int_equal(len, expected_len);
		assert_memory_equal(text, expected_text, len);
	}
	assert_true(run->told == 0 || run->last_key != said->number || doubt->ordinal > run->last_told);
	run->last_key = said->number;
	run->last_told = doubt->ordinal;
	run->told++;
	run->order = mix(run->order ^ doubt->record ^ 1);
	gm_arena_release(&arena);
	return GM_OK;
}

/* What the chunk's rows should be found to be, and that they are. */
static void check_row(struct run *run, uint32_t partition, const struct row *row, bool duplicate, uint64_t found,
                      const struct gm_chunk *chunk, uint32_t at)
{
	const struct known *known = &run->table->known[partition][row->number];
	struct seen *seen = &run->seen[partition][row->number];
	bool counts = is_key(run->shape, row->number);
	assert_int_equal(duplicate, counts && (known->there || seen->there));
	if (duplicate && known->there) {
		assert_true(gm_existing_is(found));
		struct gm_existing_place place = gm_existing_place(run->existing, found);
		assert_string_equal(place.path, known->path);
		assert_int_equal(place.group, known->group);
		struct gm_doubt doubt = {.key = chunk->key[at],
		                         .content = chunk->content[at],
		                         .winner = found,
		                         .record = run->records,
		                         .offset = run->records * 3};
		run->said[run->records] = *row;
		run->partition_of[run->records++] = partition;
		must(gm_doubts_add(run->doubts, &doubt, &failure));
	} else if (duplicate) {
		assert_false(gm_existing_is(found));
		assert_int_equal(found == chunk->content[at], seen->saying == row->saying);
	} else if (counts) {
		*seen = (struct seen){true, row->saying};
	}
}

static void run_chunk(struct run *run, const struct row *rows, const uint32_t *partition, uint32_t count)
{
	struct gm_chunk chunk;
	struct gm_vec_rows columns[2];
	static uint8_t duplicate[CHUNK];
	static uint64_t found[CHUNK];
	make_chunk(&chunk, rows, partition, count);
	hash_chunk(run->shape, &chunk);
	for (size_t i = 0; i < run->shape->key_count; i++)
		columns[i] = (struct gm_vec_rows){&chunk.vec[run->shape->keys[i]], 0};
	must(gm_existing_load(run->existing, &chunk, columns, chunk.no_key, run->set, &failure));
	must(gm_keyset_add(run->set, chunk.key, chunk.content, chunk.no_key, count, duplicate, found, &failure));
	for (uint32_t i = 0; i < count; i++) check_row(run, partition[i], &rows[i], duplicate[i], found[i], &chunk, i);
	free_chunk(&chunk);
}

static void load_rows(struct gm_existing *existing, const struct shape *shape, struct gm_keyset *set,
                      const struct row *rows, uint32_t partition, uint32_t count)
{
	struct gm_chunk chunk;
	uint32_t partitions[CHUNK];
	for (uint32_t i = 0; i < count; i++) partitions[i] = partition;
	make_chunk(&chunk, rows, partitions, count);
	hash_chunk(shape, &chunk);
	struct gm_vec_rows columns[2];
	for (size_t i = 0; i < shape->key_count; i++) columns[i] = (struct gm_vec_rows){&chunk.vec[shape->keys[i]], 0};
	must(gm_existing_load(existing, &chunk, columns, chunk.no_key, set, &failure));
	free_chunk(&chunk);
}

/* The same rows in chunks of whatever size, in whatever memory. */
static uint64_t compare(const struct table *table, const struct shape *shape, uint64_t seed, size_t filter_bytes,
                        size_t key_bytes, size_t doubt_bytes, uint32_t chunk_rows, bool warm)
{
	enum { ROWS = 6000 };
	static const struct row absent[1] = {{NUMBERS + 7, 1}};
	static struct row rows[ROWS];
	static uint32_t partition[ROWS];
	struct run *run = calloc(1, sizeof *run);
	uint64_t random = seed;
	assert_non_null(run);
	run->table = table;
	run->shape = shape;
	run->existing = new_existing(table, shape, filter_bytes);
	run->doubts = new_doubts(table, shape, run->existing, doubt_bytes);
	must(gm_keyset_new(key_bytes, "/tmp", &run->set, &failure));
	/* An engine that met the partitions in another order before. */
	for (uint32_t p = PARTITIONS; warm && p-- > 0;) load_rows(run->existing, shape, run->set, absent, p, 1);
	for (uint32_t i = 0; i < ROWS; i++) {
		random = mix(random);
		partition[i] = (uint32_t)(random % 7 == 0 ? random / 7 % PARTITIONS : i / (ROWS / 3) + 1);
		rows[i] = (struct row){(uint32_t)(random >> 20) % NUMBERS, (uint32_t)(random >> 50) % 4};
	}
	for (uint32_t at = 0, n; at < ROWS; at += n) {
		n = chunk_rows > ROWS - at ? ROWS - at : chunk_rows;
		run_chunk(run, rows + at, partition + at, n);
	}
	struct gm_doubts_told telling = {.settled = settled, .wanted = wanted, .conflict = told, .context = run};
	must(gm_doubts_settle(run->doubts, &telling, &failure));
	assert_int_equal(run->settled, run->records);
	assert_true(run->settled > ROWS / 10 && run->conflicts > run->settled / 4);
	assert_int_equal(run->told, run->conflicts < 1000 ? run->conflicts : 1000);
	struct gm_existing_counts counts = gm_existing_counts(run->existing);
	assert_true(counts.groups_loaded <= counts.groups_met && counts.groups_met <= table->groups);
	uint64_t order = run->order;
	gm_doubts_free(run->doubts);
	gm_existing_free(run->existing);
	gm_keyset_free(run->set);
	free(run);
	return order;
}

static void answers_are_exact_for_any_table_and_memory(void **state)
{
	(void)state;
	static const int keys[][2] = {{FIELD_ID}, {FIELD_N}, {FIELD_AT}, {FIELD_ID, FIELD_N}, {FIELD_AT, FIELD_ID}};
	static const size_t counts[] = {1, 1, 1, 2, 2};
	static struct table table;
	for (uint64_t seed = 0; seed < 15; seed++) {
		struct shape shape = make_shape(keys[seed % 5], counts[seed % 5]);
		make_table(&table, &shape, seed);
		uint64_t order = compare(&table, &shape, seed, 1 << 20, 1 << 20, 1 << 20, CHUNK, false);
		/* Less memory and other chunks change nothing, not even the order in which conflicts are told. */
		assert_int_equal(compare(&table, &shape, seed, 0, 0, 0, 101, true), order);
		assert_int_equal(compare(&table, &shape, seed, 700, 0, 1 << 16, 7, true), order);
		free_table(&table);
	}
}

/* --- cost --------------------------------------------------------------------------------------------------------- */

/* What is not touched costs nothing, and filters exclude what they can. */
static void only_what_may_matter_is_read(void **state)
{
	(void)state;
	enum { MANY = 20, EACH = 400 };
	static struct row rows[EACH];
	static const int key[] = {FIELD_ID};
	static char paths[2 * MANY][32];
	struct gm_delta_file adds[2 * MANY];
	struct file_shape shape_of_file = {.bloom = true};
	struct shape shape = make_shape(key, 1);
	struct table table = {.store = open_memory()};
	struct gm_keyset *set;
	for (uint32_t f = 0; f < 2 * MANY; f++) {
		for (uint32_t i = 0; i < EACH; i++) rows[i] = (struct row){2 + i * 2 * MANY + f, 1};
		(void)snprintf(paths[f], sizeof paths[f], "p=%u/%02u.parquet", f / MANY, f);
		adds[f] =
		    add(paths[f], f < MANY ? "p=0" : "p=1", put_file(table.store, paths[f], &shape_of_file, rows, 1, EACH));
	}
	table.log = commit_files(table.store, adds, 2 * MANY);
	struct gm_existing *existing = new_existing(&table, &shape, 1 << 20);
	must(gm_keyset_new(1 << 20, "/tmp", &set, &failure));
	static const struct row beyond[3] = {{100001, 1}, {100003, 1}, {100005, 1}};
	load_rows(existing, &shape, set, beyond, 0, 3);
	struct gm_existing_counts counts = gm_existing_counts(existing);
	assert_int_equal(counts.files_opened, MANY);
	assert_int_equal(counts.groups_met, MANY);
	assert_int_equal(counts.groups_loaded, 0);
	static const struct row present[1] = {{2 + 5 * 2 * MANY + 7, 1}};
	load_rows(existing, &shape, set, present, 0, 1);
	counts = gm_existing_counts(existing);
	/* Now bounds do not exclude it: the filters are read, once. */
	assert_true(counts.groups_loaded > 0 && counts.groups_loaded <= 3);
	assert_true(counts.files_opened <= 2 * MANY);
	static const struct row absent[3] = {
	    {2 + 5 * 2 * MANY + 27, 1}, {2 + 6 * 2 * MANY + 27, 1}, {2 + 7 * 2 * MANY + 27, 1}};
	load_rows(existing, &shape, set, absent, 0, 3);
	counts = gm_existing_counts(existing);
	assert_true(counts.groups_loaded <= 6);           /* 60 questions at one false answer in a hundred */
	assert_true(counts.files_opened <= 2 * MANY + 3); /* only what is loaded is opened again */
	assert_int_equal(counts.rows_loaded, counts.groups_loaded * EACH);
	static const struct row nowhere[1] = {{5, 1}};
	load_rows(existing, &shape, set, nowhere, 7, 1); /* a partition that the table does not have */
	assert_int_equal(gm_existing_counts(existing).files_opened, counts.files_opened);
	static const struct row no_key[2] = {{0, 1}, {1, 1}};
	load_rows(existing, &shape, set, no_key, 1, 2);
	assert_int_equal(gm_existing_counts(existing).files_opened, counts.files_opened);
	gm_existing_free(existing);
	gm_keyset_free(set);
	free_table(&table);
}

/* Filters that find no room are read again, until that has cost as much as the keys. */
static void filters_without_room_do_not_cost_for_ever(void **state)
{
	(void)state;
	enum { EACH = 400, TIMES = 300 };
	static struct row rows[EACH];
	static const int key[] = {FIELD_ID};
	struct file_shape shape_of_file = {.bloom = true};
	struct shape shape = make_shape(key, 1);
	struct table table = {.store = open_memory()};
	struct gm_keyset *set;
	for (uint32_t i = 0; i < EACH; i++) rows[i] = (struct row){2 + i * 2, 1};
	struct gm_delta_file file = add("p=0/a", "p=0", put_file(table.store, "p=0/a", &shape_of_file, rows, 1, EACH));
	table.log = commit_files(table.store, &file, 1);
	struct gm_existing *existing = new_existing(&table, &shape, 0);
	must(gm_keyset_new(1 << 20, "/tmp", &set, &failure));
	static const struct row absent[1] = {{3, 1}}; /* not one of the filter's false answers */
	load_rows(existing, &shape, set, absent, 0, 1);
	assert_int_equal(gm_existing_counts(existing).groups_loaded, 0);
	for (int i = 0; i < TIMES; i++) load_rows(existing, &shape, set, absent, 0, 1);
	assert_int_equal(gm_existing_counts(existing).groups_loaded, 1);
	assert_int_equal(gm_existing_counts(existing).rows_loaded, EACH);
	gm_existing_free(existing);
	gm_keyset_free(set);
	free_table(&table);
}

/* Doubts are settled some thousand at a time: here one row group has many more, of few keys. */
static void more_doubts_than_are_settled_together(void **state)
{
	(void)state;
	enum { EACH = 50, TIMES = 100 };
	static const int key[] = {FIELD_N};
	static struct row rows[EACH], said[CHUNK];
	static uint32_t partitions[CHUNK];
	struct file_shape whole = {.bloom = true};
	struct shape shape = make_shape(key, 1);
	struct table *table = calloc(1, sizeof *table);
	struct run *run = calloc(1, sizeof *run);
	assert_true(table != NULL && run != NULL);
	table->store = open_memory();
	for (uint32_t i = 0; i < EACH; i++) {
		rows[i] = (struct row){i + 1, i % 4};
		know(table, &shape, &whole, 1, "p=1/a", 0, &rows[i]);
	}
	struct gm_delta_file file = add("p=1/a", "p=1", put_file(table->store, "p=1/a", &whole, rows, 1, EACH));
	table->log = commit_files(table->store, &file, 1);
	run->table = table;
	run->shape = &shape;
	run->existing = new_existing(table, &shape, 1 << 20);
	run->doubts = new_doubts(table, &shape, run->existing, 0);
	must(gm_keyset_new(0, "/tmp", &run->set, &failure));
	for (uint32_t i = 0; i < CHUNK; i++) {
		said[i] = (struct row){i % EACH + 1, i % 3};
		partitions[i] = 1;
	}
	for (int i = 0; i < TIMES; i++) run_chunk(run, said, partitions, CHUNK);
	struct gm_doubts_told telling = {.settled = settled, .wanted = wanted, .conflict = told, .context = run};
	must(gm_doubts_settle(run->doubts, &telling, &failure));
	assert_int_equal(run->settled, CHUNK * TIMES);
	assert_int_equal(run->told, 1000);
	gm_doubts_free(run->doubts);
	gm_existing_free(run->existing);
	gm_keyset_free(run->set);
	free_table(table);
	free(table);
	free(run);
}

/* --- failures ----------------------------------------------------------------------------------------------------- */

static enum gm_code try_load(const struct table *table, const struct shape *shape, const volatile int *stop)
{
	static const struct row rows[2] = {{5, 1}, {6, 1}};
	static const uint32_t partitions[2];
	struct gm_chunk chunk;
	struct gm_keyset *set;
	struct gm_vec_rows columns[2];
	struct gm_existing *existing;
	struct gm_existing_options options = {.table = table->store,
	                                      .log = table->log,
	                                      .key_secret = secret(),
	                                      .keys = shape->columns,
	                                      .key_count = shape->key_count,
	                                      .read_bytes = 1 << 20,
	                                      .stop = stop};
	must(gm_keyset_new(0, "/tmp", &set, &failure));
	must(gm_existing_new(&options, &existing, &failure));
	make_chunk(&chunk, rows, partitions, 2);
	hash_chunk(shape, &chunk);
	for (size_t i = 0; i < shape->key_count; i++) columns[i] = (struct gm_vec_rows){&chunk.vec[shape->keys[i]], 0};
	enum gm_code code = gm_existing_load(existing, &chunk, columns, chunk.no_key, set, &failure);
	free_chunk(&chunk);
	gm_existing_free(existing);
	gm_keyset_free(set);
	return code;
}

static void what_cannot_be_read_is_named(void **state)
{
	(void)state;
	static const int key[] = {FIELD_ID};
	static const struct row rows[3] = {{5, 1}, {7, 1}, {9, 1}};
	struct file_shape whole = {.bloom = true};
	struct shape shape = make_shape(key, 1);
	struct table table = {.store = open_memory()};
	uint64_t bytes = put_file(table.store, "p=0/a.parquet", &whole, rows, 1, 3);
	struct gm_delta_file file = add("p=0/a.parquet", "p=0", bytes);
	table.log = commit_files(table.store, &file, 1);
	assert_int_equal(try_load(&table, &shape, NULL), GM_OK);
	volatile int stop = 1;
	assert_int_equal(try_load(&table, &shape, &stop), GM_INTERRUPTED);
	shape.columns[0].type = GM_TYPE_BIGINT;
	assert_int_equal(try_load(&table, &shape, NULL), GM_UNSUPPORTED);
	assert_string_equal(failure.object, "p=0/a.parquet");
	assert_string_equal(failure.message, "column \"id\" is BYTE_ARRAY (STRING) in this file, the job says bigint");
	shape.columns[0].type = GM_TYPE_STRING;
	struct gm_buf cut;
	gm_buf_init(&cut, 1 << 20);
	must(gm_store_get(table.store, "p=0/a.parquet", &cut, &failure));
	must(gm_store_put(table.store, "p=0/a.parquet", cut.data, cut.len - 9, false, &failure));
	assert_int_equal(try_load(&table, &shape, NULL), GM_CORRUPT);
	assert_string_equal(failure.object, "p=0/a.parquet");
	gm_buf_release(&cut);
	must(gm_store_remove(table.store, "p=0/a.parquet", &failure));
	assert_int_equal(try_load(&table, &shape, NULL), GM_CHANGED);
	assert_string_equal(failure.object, "p=0/a.parquet");
	free_table(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_are_exact_for_any_table_and_memory),
	    cmocka_unit_test(only_what_may_matter_is_read),
	    cmocka_unit_test(filters_without_room_do_not_cost_for_ever),
	    cmocka_unit_test(more_doubts_than_are_settled_together),
	    cmocka_unit_test(what_cannot_be_read_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
