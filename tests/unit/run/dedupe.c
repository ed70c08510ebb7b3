/* Units of work against what the table holds: however the work is divided, the same files, lists and counts; and those
 * are what a plain count over the records says. */
#include "run/engine.h"
#include "run/manifest.h"
#include "table/duplicates.h"
#include "../must.h"
#include "../mix.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char job_text[] = "version: 1\n"
                               "job: j\n"
                               "source: {location: /s, format: json}\n"
                               "table:\n"
                               "  location: /t\n"
                               "  database: d\n"
                               "  name: n\n"
                               "  partition_by: [{name: p, type: string, expr: part}]\n"
                               "  unique_by: [id]\n"
                               "where: \"part <> 'out'\"\n"
                               "columns:\n"
                               "  - {name: id, type: string, from: id}\n"
                               "  - {name: part, type: string, from: part}\n"
                               "  - {name: said, type: bigint, from: said}\n"
                               "  - {name: twice, type: bigint, expr: said * 2}\n";

enum { OBJECTS = 6, RECORDS = 400, UNITS = 3, IDS = 500, PARTS = 4, NO_KEY = 0 };

struct record {
	uint32_t id, part, said; /* id 0: no key */
};
struct fixture {
	struct gm_job *job;
	struct gm_store *source, *table;
	struct gm_delta_log *log;
	struct gm_input inputs[OBJECTS];
	struct record records[OBJECTS][RECORDS];
	uint8_t secret[GM_KEY_SECRET_BYTES];
};

static struct record random_record(uint64_t random, uint64_t ids)
{
	return (struct record){(uint32_t)(random % ids), (uint32_t)(random >> 20) % PARTS, (uint32_t)(random >> 40) % 3};
}

/* Objects named "<prefix><i>", with what their records say noted down. */
static void put_objects(struct fixture *f, const char *prefix, uint64_t seed)
{
	static char keys[2][OBJECTS][16];
	char(*names)[16] = keys[prefix[0] == 'b'];
	struct gm_arena arena;
	gm_arena_init(&arena, 1000);
	for (size_t i = 0; i < OBJECTS; i++) {
		struct gm_buf text;
		struct gm_object_info info;
		gm_buf_init(&text, 1 << 20);
		for (size_t k = 0; k < RECORDS; k++) {
			struct record *r = &f->records[i][k];
			*r = random_record(seed = mix(seed), IDS);
			if (r->id == NO_KEY)
				must(gm_buf_printf(&text, &failure, "{\"part\":\"%u\",\"said\":%u}\n", r->part, r->said));
			else
				must(gm_buf_printf(&text, &failure, "{\"id\":\"id %u\",\"part\":\"%u\",\"said\":%u}\n", r->id, r->part,
				                   r->said));
		}
		(void)snprintf(names[i], sizeof names[i], "%s%zu", prefix, i);
		must(gm_store_put(f->source, names[i], text.data, text.len, true, &failure));
		must(gm_store_stat(f->source, names[i], &info, &arena, &failure));
		f->inputs[i] = (struct gm_input){.key = names[i], .size = info.size, .mtime_us = info.mtime_us, .etag = ""};
		gm_buf_release(&text);
	}
	gm_arena_release(&arena);
}

static struct gm_engine *new_engine(struct fixture *f, int threads, uint64_t memory_bytes)
{
	struct gm_engine *engine;
	struct gm_engine_options options = {.job = f->job,
	                                    .source = f->source,
	                                    .table = f->table,
	                                    .threads = threads,
	                                    .memory_bytes = memory_bytes,
	                                    .scratch = "/tmp",
	                                    .key_secret = f->secret,
	                                    .log = f->log,
	                                    .log_store = f->table};
	must(gm_engine_new(&options, &engine, &failure));
	return engine;
}

/* What is left of a unit that has been worked. */
struct left {
	struct gm_balance balance;
	uint64_t files[2]; /* over names and content hashes */
	uint64_t conflicts[2], duplicates[2];
	size_t partitions;
};

static void work(struct fixture *f, struct gm_engine *engine, const char *run, size_t unit, bool keys_only,
                 struct gm_unit_result *result)
{
	char work[64], keys[64], conflicts[64], duplicates[64], quarantine[64];
	(void)snprintf(work, sizeof work, "w/%s/", run);
	(void)snprintf(keys, sizeof keys, "w/%s/%zu.keys", run, unit);
	(void)snprintf(conflicts, sizeof conflicts, "c/%s/%zu", run, unit);
	(void)snprintf(duplicates, sizeof duplicates, "d/%s/%zu", run, unit);
	(void)snprintf(quarantine, sizeof quarantine, "q/%s/%zu", run, unit);
	struct gm_unit_spec spec = {.number = unit,
	                            .inputs = f->inputs + unit * (OBJECTS / UNITS),
	                            .input_count = OBJECTS / UNITS,
	                            .output = {.job = f->job,
	                                       .table = f->table,
	                                       .work_prefix = work,
	                                       .job8 = "j",
	                                       .h16 = "h",
	                                       .run = 1,
	                                       .unit = unit,
	                                       .engine = "e",
	                                       .file_bytes = 1 << 20},
	                            .group_rows = 150,
	                            .group_weight = 1 << 20,
	                            .quarantine_key = quarantine,
	                            .keys_key = keys,
	                            .conflicts_key = conflicts,
	                            .duplicates_key = duplicates,
	                            .keys_only = keys_only};
	must(gm_engine_work(engine, &spec, NULL, NULL, result, &failure));
	enum gm_code rc = gm_store_publish(f->table, result->keys_token, keys, &failure);
	assert_true(rc == GM_OK || rc == GM_EXISTS);
}

static struct left look(struct gm_unit_result *result)
{
	struct left left = {.partitions = result->partition_count};
	for (size_t i = 0; i < OBJECTS / UNITS; i++) {
		must(gm_balance_check(&result->objects[i], "o", &failure));
		gm_balance_add(&left.balance, &result->objects[i]);
	}
	for (size_t i = 0; i < result->outputs.file_count; i++) {
		const struct gm_staged_file *file = &result->outputs.files[i];
		left.files[0] = mix(left.files[0] ^ file->hash[0]);
		left.files[1] = mix(left.files[1] ^ file->hash[1]);
	}
	memcpy(left.conflicts, result->conflicts.hash, sizeof left.conflicts);
	memcpy(left.duplicates, result->duplicates.hash, sizeof left.duplicates);
	return left;
}

/* All units by one engine, as `run` does it. */
static void work_as_run(struct fixture *f, const char *run, int threads, uint64_t memory_bytes, struct left *left)
{
	struct gm_engine *engine = new_engine(f, threads, memory_bytes);
	for (size_t i = 0; i < UNITS; i++) {
		struct gm_unit_result result;
		work(f, engine, run, i, false, &result);
		left[i] = look(&result);
		gm_unit_result_release(&result);
	}
	gm_engine_free(engine);
}

/* Each unit's keys by an engine of its own, in any order; then each unit. */
static void work_apart(struct fixture *f, const char *run, struct left *left)
{
	struct gm_unit_result result;
	for (size_t i = UNITS; i-- > 0;) {
		struct gm_engine *engine = new_engine(f, 1, 16 << 20);
		work(f, engine, run, i, true, &result);
		assert_int_equal(result.outputs.file_count, 0);
		assert_string_equal(result.duplicates.token, "");
		gm_unit_result_release(&result);
		gm_engine_free(engine);
	}
	for (size_t i = UNITS; i-- > 0;) {
		struct gm_engine *engine = new_engine(f, 2, 16 << 20);
		for (size_t k = 0; k < i; k++) {
			char keys[64];
			(void)snprintf(keys, sizeof keys, "w/%s/%zu.keys", run, k);
			must(gm_engine_load_keys(engine, keys, &failure));
		}
		work(f, engine, run, i, false, &result);
		left[i] = look(&result);
		gm_unit_result_release(&result);
		gm_engine_free(engine);
	}
}

/* Works all units, makes their files visible and commits them. */
static void commit_first(struct fixture *f)
{
	static const char *const columns[] = {"p"};
	struct gm_engine *engine = new_engine(f, 2, 64 << 20);
	struct gm_delta_file adds[UNITS * PARTS * 4];
	struct gm_unit_result results[UNITS];
	size_t count = 0;
	for (size_t i = 0; i < UNITS; i++) {
		work(f, engine, "first", i, false, &results[i]);
		for (size_t k = 0; k < results[i].outputs.file_count; k++) {
			const struct gm_staged_file *file = &results[i].outputs.files[k];
			must(gm_store_publish(f->table, file->token, file->path, &failure));
			adds[count++] = (struct gm_delta_file){
			    .path = file->path, .partition = file->partition, .bytes = file->bytes, .data_change = true};
		}
	}
	struct gm_delta_metadata metadata = {
	    .id = "6e1f7a3c-0f0e-4c55-9d2a-3f1f7a0b5c11",
	    .name = "t",
	    .description = "",
	    .schema = "{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"string\",\"nullable\":true,"
	              "\"metadata\":{}},{\"name\":\"p\",\"type\":\"string\",\"nullable\":true,\"metadata\":{}}]}",
	    .partition_columns = columns,
	    .partition_count = 1,
	    .configuration = "{}"};
	struct gm_delta_commit commit = {.operation = "WRITE",
	                                 .engine_info = "e",
	                                 .protocol = true,
	                                 .metadata = &metadata,
	                                 .adds = adds,
	                                 .add_count = count};
	must(gm_delta_put(f->table, 0, &commit, &failure));
	for (size_t i = 0; i < UNITS; i++) gm_unit_result_release(&results[i]);
	gm_engine_free(engine);
	must(gm_delta_open(f->table, GM_DELTA_NEWEST, 64 << 20, &f->log, &failure));
}

/* What the records themselves say. first[part][id]: 1 + what the row says that was first. */
static void count_plainly(const struct fixture *f, uint32_t first[PARTS][IDS], struct left *left)
{
	for (size_t i = 0; i < OBJECTS; i++) {
		struct gm_balance *balance = &left[i / (OBJECTS / UNITS)].balance;
		for (size_t k = 0; k < RECORDS; k++) {
			const struct record *r = &f->records[i][k];
			uint32_t *known = &first[r->part][r->id];
			bool duplicate = r->id != NO_KEY && *known != 0;
			balance->rows_written += !duplicate;
			balance->duplicates += duplicate;
			balance->conflicts += duplicate && *known != r->said + 1;
			if (!duplicate) *known = r->said + 1;
		}
	}
}

static void expect(const struct left *found, const struct left *expected)
{
	for (size_t i = 0; i < UNITS; i++) {
		assert_int_equal(found[i].balance.records_read, OBJECTS / UNITS * RECORDS);
		assert_int_equal(found[i].balance.rows_written, expected[i].balance.rows_written);
		assert_int_equal(found[i].balance.duplicates, expected[i].balance.duplicates);
		assert_int_equal(found[i].balance.conflicts, expected[i].balance.conflicts);
		assert_int_equal(found[i].partitions, PARTS);
	}
}

static void however_the_work_is_divided(void **state)
{
	(void)state;
	static struct fixture f;
	static uint32_t first[PARTS][IDS];
	struct left expected[UNITS] = {0}, one[UNITS], other[UNITS];
	must(gm_job_parse("job.yaml", job_text, sizeof job_text - 1, NULL, &f.job, &failure));
	must(gm_store_open_memory(&f.source, &failure));
	must(gm_store_open_memory(&f.table, &failure));
	for (size_t i = 0; i < sizeof f.secret; i++) f.secret[i] = (uint8_t)(i * i * 7 + i * 13 + 5);

	put_objects(&f, "a", 1);
	count_plainly(&f, first, expected);
	work_as_run(&f, "a1", 1, 64 << 20, one);
	expect(one, expected);
	work_apart(&f, "a2", other);
	assert_memory_equal(one, other, sizeof one);
	commit_first(&f);

	memset(expected, 0, sizeof expected);
	put_objects(&f, "b", 2);
	count_plainly(&f, first, expected);
	work_as_run(&f, "b1", 1, 64 << 20, one);
	expect(one, expected);
	work_as_run(&f, "b2", 3, 12 << 20, other);
	assert_memory_equal(one, other, sizeof one);
	work_apart(&f, "b3", other);
	assert_memory_equal(one, other, sizeof one);

	gm_delta_free(f.log);
	gm_store_close(f.source);
	gm_store_close(f.table);
	gm_job_free(f.job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(however_the_work_is_divided)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
