/* verify_keys.c - no key twice within a partition.
 *
 * Rows come in whatever order files do, so two sets that spill are asked. The first holds every key once, apart from
 * its partition, with the partition and file of the row that came first. A key that is there already, from the same
 * partition, is twice. From another partition it is elsewhere, which is allowed (`unique_within: partition`) and
 * worth a note; it goes to the second set, together with its partition, where a further one of the same partition
 * meets it. So the second set holds but the few keys that are in several partitions, and a row costs one question as
 * a rule.
 *
 * A row whose key is null or empty in a part has no key. */
#include "column/text.h"
#include "run/verify_internal.h"
#include "table/parquet_rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
	WAYS_MAX = 8,   /* ways of telling rows apart on one table */
	ROWS = 4096,    /* compared at a time */
	AGAIN_SHARE = 8 /* of the keys' memory, for the second set */
};

struct meeting { /* of rows of the file in hand with those of others */
	uint64_t count;
	uint32_t file; /* of the first, the other's */
	char key[256]; /* of the first */
};
struct way {
	const struct gm_rows_column *columns;
	size_t count;
	struct gm_key_hasher *hasher;
	struct gm_keyset *first, *again;
	struct meeting twice, elsewhere; /* of the file in hand */
};
struct gm_verify_keys {
	struct way ways[WAYS_MAX];
	size_t count;
	struct gm_dict *partitions;
	struct gm_hash128 keys[ROWS], more[ROWS];
	uint64_t values[ROWS], found[ROWS];
	uint8_t skip[ROWS], duplicate[ROWS];
	uint32_t rows[ROWS]; /* where the keys of `more` stand */
};

/* --- Life --------------------------------------------------------------------------------------------------------- */

static bool same_fields(const struct way *way, const struct gm_delta_field *fields, size_t count)
{
	if (way->count != count) return false;
	for (size_t i = 0; i < count; i++)
		if (way->columns[i].type != fields[i].type || strcmp(way->columns[i].name, fields[i].name) != 0) return false;
	return true;
}

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for comparing keys");
}

enum gm_code gm_verify_keys_note(struct gm_verifier *verifier, const struct gm_delta_field *fields, size_t count,
                                 struct gm_error *err)
{
	if (verifier->keys == NULL) verifier->keys = calloc(1, sizeof *verifier->keys);
	struct gm_verify_keys *keys = verifier->keys;
	if (keys == NULL) return out_of_memory(err);
	for (size_t i = 0; i < keys->count; i++)
		if (same_fields(&keys->ways[i], fields, count)) return GM_OK;
	if (keys->count == WAYS_MAX)
		GM_FAIL(err, GM_UNSUPPORTED, "the table's jobs have more than %d different unique keys", WAYS_MAX);
	struct gm_rows_column *copy = gm_arena_alloc(&verifier->arena, count * sizeof *copy);
	if (copy == NULL) return out_of_memory(err);
	for (size_t i = 0; i < count; i++) {
		copy[i].type = fields[i].type;
		copy[i].name = gm_arena_strndup(&verifier->arena, fields[i].name, strlen(fields[i].name));
		if (copy[i].name == NULL) return out_of_memory(err);
	}
	keys->ways[keys->count++] = (struct way){.columns = copy, .count = count};
	return GM_OK;
}

/* Hashes are compared within this proof alone: any secret will do that nobody knows. */
enum gm_code gm_verify_keys_begin(struct gm_verifier *verifier, struct gm_error *err)
{
	struct gm_verify_keys *keys = verifier->keys;
	uint8_t secret[GM_KEY_SECRET_BYTES];
	if (keys == NULL) return GM_OK;
	size_t share = verifier->memory_bytes / GM_VERIFY_KEYS_SHARE / keys->count;
	if (getrandom(secret, sizeof secret, 0) != sizeof secret) GM_FAIL(err, GM_IO, "no random bytes can be had");
	keys->partitions = gm_dict_new();
	if (keys->partitions == NULL) return out_of_memory(err);
	for (size_t i = 0; i < keys->count; i++) {
		struct way *way = &keys->ways[i];
		const char *scratch = gm_verify_scratch(verifier);
		GM_TRY(gm_key_hasher_new(secret, NULL, way->count, &way->hasher, err));
		GM_TRY(gm_keyset_new(share - share / AGAIN_SHARE, scratch, &way->first, err));
		GM_TRY(gm_keyset_new(share / AGAIN_SHARE, scratch, &way->again, err));
	}
	return GM_OK;
}

void gm_verify_keys_free(struct gm_verify_keys *keys)
{
	if (keys == NULL) return;
	for (size_t i = 0; i < keys->count; i++) {
		gm_key_hasher_free(keys->ways[i].hasher);
		gm_keyset_free(keys->ways[i].first);
		gm_keyset_free(keys->ways[i].again);
	}
	gm_dict_unref(keys->partitions);
	free(keys);
}

/* --- Meetings ----------------------------------------------------------------------------------------------------- */

static void spell_key(const struct way *way, const struct gm_vec_rows *columns, uint32_t row, char *text, size_t room)
{
	size_t used = 0;
	for (size_t i = 0; i < way->count && used < room; i++) {
		char scratch[GM_VALUE_TEXT_BYTES];
		const char *value;
		size_t bytes;
		gm_vec_text(columns[i].vec, columns[i].first + row, scratch, &value, &bytes);
		int n = snprintf(text + used, room - used, "%s%s = %.*s", i > 0 ? ", " : "", way->columns[i].name,
		                 bytes < 80 ? (int)bytes : 80, value);
		used += n > 0 ? (size_t)n : 0;
	}
}

static void meet(const struct way *way, struct meeting *meeting, uint64_t other, const struct gm_vec_rows *columns,
                 uint32_t row)
{
	if (meeting->count++ > 0) return;
	meeting->file = (uint32_t)other;
	spell_key(way, columns, row, meeting->key, sizeof meeting->key);
}

/* The `count` keys of `more`, which another partition has: does this one have them, too? */
static enum gm_code ask_again(struct gm_verify_keys *keys, struct way *way, struct gm_hash128 partition, uint32_t count,
                              const struct gm_vec_rows *columns, struct gm_error *err)
{
	uint64_t others[ROWS];
	for (uint32_t i = 0; i < count; i++) {
		others[i] = keys->found[keys->rows[i]];
		keys->more[i].low += partition.low;
		keys->more[i].high += partition.high;
	}
	memset(keys->duplicate, 0, count);
	GM_TRY(gm_keyset_add(way->again, keys->more, keys->values, NULL, count, keys->duplicate, keys->found, err));
	for (uint32_t i = 0; i < count; i++) {
		if (keys->duplicate[i] != 0)
			meet(way, &way->twice, keys->found[i], columns, keys->rows[i]);
		else
			meet(way, &way->elsewhere, others[i], columns, keys->rows[i]);
	}
	return GM_OK;
}

/* `count` rows: columns[i] has those of field i. */
static enum gm_code compare_rows(struct gm_verifier *verifier, struct way *way, const struct gm_verify_file *file,
                                 const struct gm_vec_rows *columns, uint32_t count, struct gm_error *err)
{
	struct gm_verify_keys *keys = verifier->keys;
	const char *path = file->file->partition;
	uint32_t len = (uint32_t)strlen(path), more = 0;
	const uint8_t *bytes = (const uint8_t *)path;
	uint32_t code = gm_dict_put(keys->partitions, bytes, len, gm_dict_hash_seeded(bytes, len, verifier->books.seed));
	if (code == 0) return out_of_memory(err);
	gm_key_hasher_rows(way->hasher, columns, count, (struct gm_hash128){0}, keys->keys, keys->skip);
	for (uint32_t i = 0; i < count; i++) keys->values[i] = (uint64_t)code << 32 | file->number;
	memset(keys->duplicate, 0, count);
	GM_TRY(gm_keyset_add(way->first, keys->keys, keys->values, keys->skip, count, keys->duplicate, keys->found, err));
	for (uint32_t i = 0; i < count; i++) {
		verifier->result->keys += keys->skip[i] == 0;
		if (keys->skip[i] != 0 || keys->duplicate[i] == 0) continue;
		if (keys->found[i] >> 32 == code) {
			meet(way, &way->twice, keys->found[i], columns, i);
		} else {
			keys->rows[more] = i;
			keys->more[more++] = keys->keys[i];
		}
	}
	struct gm_hash128 partition = gm_key_hasher_partition(way->hasher, path, len);
	return more > 0 ? ask_again(keys, way, partition, more, columns, err) : GM_OK;
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

static enum gm_code read_group(struct gm_verifier *verifier, struct way *way, const struct gm_verify_file *file,
                               const struct gm_rows_file *rows_file, size_t group, struct gm_error *err)
{
	struct gm_rows *rows;
	const struct gm_vec_rows *columns;
	uint32_t count;
	enum gm_code rc = gm_rows_open(rows_file, group, 0, way->count, &rows, err);
	if (rc != GM_OK) return rc;
	do {
		rc = gm_rows_next(rows, &count, &columns, err);
		if (rc == GM_OK && count > 0) rc = compare_rows(verifier, way, file, columns, count, err);
		if (rc == GM_OK) rc = gm_verify_pulse(verifier, err);
	} while (rc == GM_OK && count > 0);
	gm_rows_close(rows);
	return rc;
}

static enum gm_code read_keys(struct gm_verifier *verifier, struct way *way, const struct gm_verify_file *file,
                              struct gm_error *err)
{
	struct gm_rows_file *rows_file;
	size_t share = verifier->memory_bytes / GM_VERIFY_READER_SHARE;
	GM_TRY(gm_rows_file_open(verifier->table, file->file->path, file->file->bytes, way->columns, way->count, share,
	                         &rows_file, err));
	enum gm_code rc = GM_OK;
	for (size_t group = 0; rc == GM_OK && group < gm_rows_file_info(rows_file)->group_count; group++)
		rc = read_group(verifier, way, file, rows_file, group, err);
	gm_rows_file_close(rows_file);
	return rc;
}

/* --- A file ------------------------------------------------------------------------------------------------------- */

static struct gm_finding about(const struct gm_verify_file *file, enum gm_finding_code code)
{
	struct gm_finding finding = gm_verify_about(code, file->file->path);
	finding.job = file->about.job;
	finding.run = file->about.run;
	return finding;
}

/* What is damaged, or cannot be read, was told when all columns were read, if it was so then. */
static void report_unread(struct gm_verifier *verifier, struct gm_verify_file *file, const struct gm_error *why)
{
	bool unknown = why->code == GM_UNSUPPORTED;
	struct gm_finding finding = about(file, unknown ? GM_FINDING_FILE_NOT_CHECKED : GM_FINDING_PAGE_DAMAGED);
	if (file->damaged || file->unread) return;
	gm_verify_report(verifier, &finding, "its keys were not compared: %s", why->message);
	*(unknown ? &file->unread : &file->damaged) = true;
}

static void report_meetings(struct gm_verifier *verifier, const struct gm_verify_file *file, struct way *way)
{
	const struct meeting *twice = &way->twice, *elsewhere = &way->elsewhere;
	struct gm_finding finding = about(file, GM_FINDING_KEY_TWICE);
	if (twice->count > 0)
		gm_verify_report(verifier, &finding,
		                 "%" PRIu64 " rows have a key that another row of the partition has; first %s, in %s",
		                 twice->count, twice->key, gm_delta_numbered(verifier->log, twice->file));
	finding = about(file, GM_FINDING_KEY_IN_PARTITIONS);
	if (elsewhere->count > 0)
		gm_verify_report(verifier, &finding,
		                 "%" PRIu64 " rows have a key that a row of another partition has; first %s, in %s",
		                 elsewhere->count, elsewhere->key, gm_delta_numbered(verifier->log, elsewhere->file));
	way->twice = way->elsewhere = (struct meeting){0};
}

enum gm_code gm_verify_keys_file(struct gm_verifier *verifier, struct gm_verify_file *file, struct gm_error *err)
{
	for (size_t i = 0; verifier->keys != NULL && i < verifier->keys->count; i++) {
		struct way *way = &verifier->keys->ways[i];
		enum gm_code rc = read_keys(verifier, way, file, err);
		if (gm_verify_is_finding(rc))
			report_unread(verifier, file, err);
		else
			GM_TRY(rc);
		report_meetings(verifier, file, way);
	}
	return GM_OK;
}
