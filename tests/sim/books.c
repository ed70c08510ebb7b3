/* books.c - what the table's JSON files say, read with jansson and zstd alone. */
#include "sim/sim.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

bool sim_object_bytes(struct gm_store *store, const char *key, struct gm_buf *buf)
{
	struct gm_error err;
	gm_buf_init(buf, SIZE_MAX / 4);
	return gm_store_get(store, key, buf, &err) == GM_OK;
}

static bool unpack(struct gm_buf *buf)
{
	unsigned long long bytes = ZSTD_getFrameContentSize(buf->data, buf->len);
	if (bytes > 1 << 24) return false;
	uint8_t *plain = malloc((size_t)bytes + 1);
	if (plain == NULL) abort();
	if (ZSTD_decompress(plain, (size_t)bytes, buf->data, buf->len) != bytes) {
		free(plain);
		return false;
	}
	free(buf->data);
	*buf = (struct gm_buf){.data = plain, .len = (size_t)bytes, .cap = (size_t)bytes + 1, .max_bytes = buf->max_bytes};
	return true;
}

/* hash: of the text, as the product writes one; may be NULL. */
static json_t *read_json(struct sim *sim, const char *key, char hash[40])
{
	struct gm_buf buf;
	json_error_t problem;
	json_t *json = NULL;
	if (!sim_object_bytes(sim->table, key, &buf)) return NULL;
	size_t n = strlen(key);
	if (n < 4 || strcmp(key + n - 4, ".zst") != 0 || unpack(&buf))
		json = json_loadb((const char *)buf.data, buf.len, 0, &problem);
	if (json == NULL) sim_violation(sim, "%s is no JSON", key);
	XXH128_hash_t of = XXH3_128bits(buf.data, buf.len);
	if (hash != NULL)
		(void)snprintf(hash, 40, "%016llx%016llx", (unsigned long long)of.high64, (unsigned long long)of.low64);
	gm_buf_release(&buf);
	return json;
}

struct json_t *sim_json_read(struct sim *sim, const char *key)
{
	return read_json(sim, key, NULL);
}

static uint64_t number(const json_t *object, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));
	return value != NULL ? value : "";
}

static bool read_inputs(struct sim *sim, unsigned job, const json_t *list, struct sim_books *books)
{
	books->inputs = calloc(json_array_size(list) + 1, sizeof *books->inputs);
	if (books->inputs == NULL) abort();
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *json = json_array_get(list, i), *balance = json_object_get(json, "balance");
		const struct sim_object *object = sim_object_find(sim, sim_source_of(sim, job), text(json, "key"),
		                                                  json_integer_value(json_object_get(json, "mtime_us")));
		if (object == NULL || object->size != number(json, "size")) {
			sim_violation(sim, "run %s/%llu has an input that never was: %s", sim_job_id(job),
			              (unsigned long long)books->run, text(json, "key"));
			return false;
		}
		books->inputs[books->input_count++] = (struct sim_books_input){.object = object,
		                                                               .read = number(balance, "records_read"),
		                                                               .written = number(balance, "rows_written"),
		                                                               .duplicates = number(balance, "duplicates"),
		                                                               .conflicts = number(balance, "conflicts"),
		                                                               .filtered = number(balance, "filtered"),
		                                                               .quarantined = number(balance, "quarantined")};
	}
	return true;
}

static void read_files(const json_t *list, struct sim_books *books)
{
	books->files = calloc(json_array_size(list) + 1, sizeof *books->files);
	if (books->files == NULL) abort();
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *json = json_array_get(list, i);
		struct sim_books_file *file = &books->files[books->file_count++];
		(void)snprintf(file->path, sizeof file->path, "%s", text(json, "path"));
		(void)snprintf(file->hash, sizeof file->hash, "%s", text(json, "hash"));
		file->bytes = number(json, "bytes");
		file->rows = number(json, "rows");
	}
}

bool sim_books_read(struct sim *sim, unsigned job, const char *key, struct sim_books *books)
{
	*books = (struct sim_books){0};
	json_t *json = read_json(sim, key, books->own_hash);
	if (json == NULL) {
		sim_violation(sim, "%s is not there", key);
		return false;
	}
	books->run = number(json, "run");
	books->parent = number(json, "parent");
	(void)snprintf(books->engine, sizeof books->engine, "%s", text(json, "engine"));
	(void)snprintf(books->job_hash, sizeof books->job_hash, "%s", text(json, "job_hash"));
	read_files(json_object_get(json, "files"), books);
	bool good = read_inputs(sim, job, json_object_get(json, "inputs"), books);
	json_decref(json);
	if (!good) sim_books_release(books);
	return good;
}

void sim_books_release(struct sim_books *books)
{
	free(books->files);
	free(books->inputs);
	*books = (struct sim_books){0};
}
