/* world.c - the jobs of a simulation, and the objects of their sources: what each one holds is known. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Jobs --------------------------------------------------------------------------------------------------------- */

/* Two jobs write to one table; each has a second edition, with another column. Nothing is compressed, so that rows.c
 * finds the keys in a file. */
static const char job_text[] = "job: %s\n"
                               "source: {location: source-%s, format: json}\n"
                               "table:\n"
                               "  location: table\n"
                               "  partition_by: [{name: part, type: string, expr: p}]\n"
                               "  unique_by: [k]\n"
                               "  compression: none\n"
                               "columns:\n"
                               "  - {name: k, type: string, from: k, required: true}\n"
                               "  - {name: p, type: string, from: p}\n"
                               "  - {name: n, type: bigint, from: n}\n"
                               "%s";
static const char *const job_ids[SIM_JOBS] = {"a", "b"};
static const char *const edition_columns[SIM_EDITIONS] = {"", "  - {name: twice, type: bigint, expr: n * 2}\n"};

const char *sim_job_id(unsigned job)
{
	return job_ids[job];
}

const char *sim_engine_id(unsigned engine)
{
	return engine == 0 ? "gristmill of today" : "gristmill of tomorrow";
}

static struct gm_job *load(unsigned job, unsigned edition)
{
	char text[2048];
	struct gm_job *loaded;
	struct gm_error err;
	int n = snprintf(text, sizeof text, job_text, job_ids[job], job_ids[job], edition_columns[edition]);
	if (gm_job_parse("simulated.yaml", text, (size_t)n, NULL, &loaded, &err) == GM_OK) return loaded;
	(void)fprintf(stderr, "sim: line %d: %s\n", err.line, err.message);
	abort();
}

/* Parsed once: every schedule sets the size of its files, far below what a job file may ask for, and some more. */
static struct gm_job *jobs[SIM_JOBS][SIM_EDITIONS];

const struct gm_job *sim_job(const struct sim *sim, unsigned job, unsigned edition)
{
	static const char *const locations[SIM_JOBS] = {"source-a", "source-b"};
	struct gm_job *loaded = jobs[job][edition];
	loaded->table.file_bytes = sim->scenario.file_bytes;
	loaded->source.on_change = sim->scenario.on_change;
	loaded->source.location = locations[sim_source_of(sim, job)];
	return loaded;
}

unsigned sim_source_of(const struct sim *sim, unsigned job)
{
	return sim->scenario.shared == SIM_SHARED_NOT ? job : 0;
}

/* --- Objects ------------------------------------------------------------------------------------------------------ */

void sim_row_name(unsigned row, char out[32])
{
	(void)snprintf(out, 32, "k%06u in %c", row / SIM_PARTS, (char)('a' + row % SIM_PARTS));
}

/* A key that was seen before comes again, in its partition (a duplicate) or, rarely, in another; now and then with
 * other content. */
static struct sim_row again(struct sim *sim, uint16_t row)
{
	struct sim_random *random = &sim->random;
	if (sim_chance(random, 100)) row = (uint16_t)(row - row % SIM_PARTS + sim_below(random, sim->scenario.parts));
	return (struct sim_row){.row = row, .other = sim_chance(random, 150)};
}

unsigned sim_key_new(struct sim *sim)
{
	if (sim->key_count == SIM_KEYS) abort(); /* more objects than keys for them */
	unsigned key = sim->key_count++;
	sim->part_of[key] = (uint8_t)sim_below(&sim->random, sim->scenario.parts);
	return key;
}

/* A record's row: most are new. */
static struct sim_row choose_row(struct sim *sim, const struct sim_object *object)
{
	struct sim_random *random = &sim->random;
	if (object->row_count > 0 && sim_chance(random, 120))
		return again(sim, object->rows[sim_below(random, object->row_count)].row);
	if (sim->key_count > 0 && sim_chance(random, sim->scenario.redelivered)) {
		unsigned key = sim_below(random, sim->key_count);
		if (!sim->apart[key]) return again(sim, (uint16_t)(key * SIM_PARTS + sim->part_of[key]));
	}
	unsigned key = sim_key_new(sim);
	return (struct sim_row){.row = (uint16_t)(key * SIM_PARTS + sim->part_of[key])};
}

/* Rejected records have no key, or are no JSON. */
static size_t write_record(struct sim *sim, struct sim_object *object, char *text, size_t room)
{
	if (sim_chance(&sim->random, sim->scenario.bad)) {
		object->bad++;
		return (size_t)snprintf(text, room, "%s",
		                        sim_chance(&sim->random, 500) ? "{\"p\":\"a\",\"n\":1}\n" : "{\"k\":\"}\n");
	}
	struct sim_row row = object->rows[object->row_count] = choose_row(sim, object);
	object->row_count++;
	return (size_t)snprintf(text, room, "{\"k\":\"k%06u\",\"p\":\"%c\",\"n\":%u}\n", row.row / SIM_PARTS,
	                        (char)('a' + row.row % SIM_PARTS), 2u * row.row + row.other);
}

/* Gives the object its records and puts it. */
static void fill(struct sim *sim, struct sim_object *object)
{
	char text[1024];
	size_t n = 0;
	struct gm_error err;
	unsigned records = sim_below(&sim->random, SIM_OBJECT_ROWS + 1);
	for (unsigned i = 0; i < records; i++) n += write_record(sim, object, text + n, sizeof text - n);
	struct gm_store *source = sim->sources[object->source];
	struct gm_arena arena;
	struct gm_object_info info;
	gm_arena_init(&arena, 256);
	if (gm_store_put(source, object->key, text, n, false, &err) != GM_OK ||
	    gm_store_stat(source, object->key, &info, &arena, &err) != GM_OK)
		abort();
	object->size = info.size;
	object->mtime_us = info.mtime_us;
	object->present = true;
	gm_arena_release(&arena);
}

static struct sim_object *new_object(struct sim *sim, unsigned source)
{
	if (sim->object_count == SIM_OBJECTS) return NULL;
	struct sim_object *object = &sim->objects[sim->object_count++];
	*object = (struct sim_object){.source = source};
	return object;
}

void sim_object_arrives(struct sim *sim)
{
	if (sim->object_count >= sim->scenario.most_objects) return;
	struct sim_object *object = new_object(sim, sim_source_of(sim, sim_below(&sim->random, sim->scenario.jobs)));
	if (object == NULL) return;
	/* Names say nothing about when an object arrives; the number keeps them apart. */
	(void)snprintf(object->key, sizeof object->key, "%u/%c-%zu.json", sim_below(&sim->random, 3),
	               (char)('a' + (int)sim_below(&sim->random, 26)), sim->object_count);
	fill(sim, object);
	sim_trace(sim, "source %s: %s arrives, %u records, %u bad", job_ids[object->source], object->key,
	          object->row_count + object->bad, object->bad);
}

static struct sim_object *any_present(struct sim *sim)
{
	if (sim->object_count == 0) return NULL;
	struct sim_object *object = &sim->objects[sim_below(&sim->random, (unsigned)sim->object_count)];
	return object->present ? object : NULL;
}

static void take_away(struct sim_object *object)
{
	object->present = false;
	object->changed = true;
}

void sim_object_is_overwritten(struct sim *sim)
{
	struct sim_object *old = any_present(sim);
	struct sim_object *object = old != NULL ? new_object(sim, old->source) : NULL;
	if (object == NULL) return;
	memcpy(object->key, old->key, sizeof object->key);
	take_away(old);
	fill(sim, object);
	sim_trace(sim, "source %s: %s is overwritten, %u records, %u bad", job_ids[object->source], object->key,
	          object->row_count + object->bad, object->bad);
}

void sim_object_vanishes(struct sim *sim)
{
	struct sim_object *object = any_present(sim);
	struct gm_error err;
	if (object == NULL) return;
	if (gm_store_remove(sim->sources[object->source], object->key, &err) != GM_OK) abort();
	take_away(object);
	sim_trace(sim, "source %s: %s vanishes", job_ids[object->source], object->key);
}

bool sim_object_is_renamed(struct sim *sim, unsigned source, const char *key)
{
	struct sim_object *old = NULL;
	struct gm_error err;
	for (size_t i = 0; i < sim->object_count; i++) {
		struct sim_object *each = &sim->objects[i];
		if (each->present && each->source == source && strcmp(each->key, key) == 0) old = each;
	}
	struct sim_object *object = old != NULL ? new_object(sim, source) : NULL;
	if (object == NULL) return false;
	if (gm_store_remove(sim->sources[source], key, &err) != GM_OK) abort();
	take_away(old);
	(void)snprintf(object->key, sizeof object->key, "renamed-%zu.json", sim->object_count);
	fill(sim, object);
	sim_trace(sim, "source %s: %s is replaced by %s", job_ids[source], key, object->key);
	return true;
}

const struct sim_object *sim_object_any(struct sim *sim, unsigned source)
{
	const struct sim_object *of_source[SIM_OBJECTS];
	unsigned count = 0;
	for (size_t i = 0; i < sim->object_count; i++)
		if (sim->objects[i].source == source) of_source[count++] = &sim->objects[i];
	return count > 0 ? of_source[sim_below(&sim->random, count)] : NULL;
}

const struct sim_object *sim_object_find(const struct sim *sim, unsigned source, const char *key, int64_t mtime_us)
{
	for (size_t i = 0; i < sim->object_count; i++) {
		const struct sim_object *object = &sim->objects[i];
		if (object->source == source && object->mtime_us == mtime_us && strcmp(object->key, key) == 0) return object;
	}
	return NULL;
}

bool sim_object_was_changed(const struct sim *sim, unsigned source, const char *key)
{
	for (size_t i = 0; i < sim->object_count; i++) {
		const struct sim_object *object = &sim->objects[i];
		if (object->source == source && object->changed && strcmp(object->key, key) == 0) return true;
	}
	return false;
}

/* --- The table ---------------------------------------------------------------------------------------------------- */

#define FIELD(name, type) \
	"{\\\"name\\\":\\\"" name "\\\",\\\"type\\\":\\\"" type "\\\",\\\"nullable\\\":true,\\\"metadata\\\":{}}"

/* What another writer puts who makes the table before the first run does. */
static const char foreign_text[] =
    "{\"commitInfo\":{\"timestamp\":0,\"operation\":\"CREATE TABLE\",\"operationParameters\":{}}}\n"
    "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n"
    "{\"metaData\":{\"id\":\"5fba94ed-9794-4965-ba6e-6ee3c0d22af9\",\"format\":{\"provider\":\"parquet\",\"options\":{}"
    "},"
    "\"schemaString\":\"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[" FIELD("k", "string") "," FIELD(
        "p",
        "string") "," FIELD("n",
                            "long") "," FIELD("part",
                                              "string") "]}\",\"partitionColumns\":[\"part\"],\"configuration\":{"
                                                        "\"delta.checkpointInterval\":\"2\"},\"createdTime\":0}}\n";

static void make_table(struct sim *sim)
{
	struct gm_error err;
	uint64_t secret[24] = {1};
	if (!sim->scenario.fresh_table &&
	    gm_store_put(sim->table, "_gristmill/hash-key", secret, sizeof secret, false, &err) != GM_OK)
		abort();
	if (!sim->scenario.foreign) return;
	struct sim_effect effect = {.kind = SIM_PUT_IF_ABSENT,
	                            .key = "_delta_log/00000000000000000000.json",
	                            .data = foreign_text,
	                            .bytes = sizeof foreign_text - 1};
	if (sim_effect_apply(sim, &effect, &err) != GM_OK) abort();
}

/* --- All of it ---------------------------------------------------------------------------------------------------- */

void sim_world_open(struct sim *sim)
{
	struct gm_error err;
	for (unsigned job = 0; job < SIM_JOBS; job++) {
		if (gm_store_open_memory(&sim->sources[job], &err) != GM_OK) abort();
		for (unsigned edition = 0; edition < SIM_EDITIONS; edition++)
			if (jobs[job][edition] == NULL) jobs[job][edition] = load(job, edition);
	}
	if (gm_store_open_memory(&sim->table, &err) != GM_OK) abort();
	make_table(sim);
	for (unsigned i = 0; i < sim->scenario.objects; i++) sim_object_arrives(sim);
}

void sim_world_close(struct sim *sim)
{
	gm_store_close(sim->table);
	for (unsigned job = 0; job < SIM_JOBS; job++) gm_store_close(sim->sources[job]);
}
