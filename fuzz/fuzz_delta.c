/* fuzz_delta.c - any bytes as a part of a Delta log that others wrote: it is read, or refused by name, and what is read
 * is the same when a checkpoint has been made of it.
 *
 * The first byte says which part the others are: the second entry of a log, its first, its _last_checkpoint, a
 * schemaString, or a checkpoint. */
#include "table/delta_internal.h"

#include <stdlib.h>
#include <string.h>

enum { MEMORY = 8 << 20 };
#define FIRST                                                                                                         \
	"{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n"                                                \
	"{\"metaData\":{\"id\":\"i\",\"format\":{\"provider\":\"parquet\"},\"schemaString\":\"{}\",\"partitionColumns\":" \
	"[\"p\"],\"configuration\":{}}}\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition) abort();
}

static void put(struct gm_store *store, const char *key, const void *bytes, size_t n)
{
	must(gm_store_put(store, key, bytes, n, false, NULL) == GM_OK);
}

static enum gm_code sum_file(void *context, const struct gm_delta_file *file, struct gm_error *err)
{
	(void)err;
	*(uint64_t *)context += file->bytes ^ strlen(file->path) ^ strlen(file->partition) << 20;
	if (file->tags != NULL) *(uint64_t *)context += strlen(file->tags);
	return GM_OK;
}

static enum gm_code pass_entry(void *context, const struct gm_delta_entry *entry, struct gm_error *err)
{
	(void)context, (void)err;
	for (size_t i = 0; i < entry->add_count; i++) must(entry->adds[i].path[0] != '\0' || entry->adds[i].bytes + 1 > 0);
	return GM_OK;
}

/* All that can be asked of a snapshot; what its files add up to. 0: a checkpoint is damaged where opening does not
 * look. */
static uint64_t use(const struct gm_delta_log *log, struct gm_store *store)
{
	const struct gm_delta_file *files;
	struct gm_error err = {0};
	size_t count;
	uint64_t sum = 0;
	if (gm_delta_each_file(log, sum_file, &sum, &err) != GM_OK) {
		must(log->checkpoint >= 0 && err.message[0] != '\0');
		return 0;
	}
	must(gm_delta_partition(log, "p=1", &files, &count, &err) == GM_OK);
	for (size_t i = 0; i < count; i++) must(gm_delta_has(log, files[i].path));
	(void)!gm_delta_check_writable(log, &err);
	(void)!gm_delta_entries(store, 0, pass_entry, NULL, &err);
	return sum + gm_delta_file_count(log) * 1000003 + 1;
}

static void check_log(struct gm_store *store)
{
	struct gm_delta_log *log;
	struct gm_error err = {0};
	if (gm_delta_open(store, GM_DELTA_NEWEST, MEMORY, &log, &err) != GM_OK) {
		must(err.message[0] != '\0');
		return;
	}
	uint64_t sum = use(log, store);
	int64_t version = gm_delta_version(log);
	enum gm_code code = gm_delta_checkpoint(log, 0, &err);
	gm_delta_free(log);
	if (code != GM_OK) return;
	/* Expired removes are gone, the rest is the same. */
	must(gm_delta_open(store, version, MEMORY, &log, &err) == GM_OK);
	must(sum == 0 || use(log, store) == sum);
	gm_delta_free(log);
}

static void check_schema(const char *text)
{
	static const struct gm_delta_field fields[] = {{"id", "c", GM_TYPE_BIGINT}, {"new", "", GM_TYPE_STRING}};
	struct gm_delta_metadata metadata = {.schema = text};
	bool changed;
	char *schema;
	if (gm_delta_schema_merge(&metadata, fields, 2, NULL, 0, &changed, &schema, NULL) != GM_OK) return;
	/* What was merged needs no merging. */
	if (changed) {
		metadata.schema = schema;
		bool again;
		char *none;
		must(gm_delta_schema_merge(&metadata, fields, 2, NULL, 0, &again, &none, NULL) == GM_OK && !again);
	}
	free(schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gm_store *store;
	if (size < 1) return 0;
	uint8_t part = data[0] % 5;
	data++, size--;
	if (part == 3) {
		char *text = malloc(size + 1);
		must(text != NULL);
		memcpy(text, data, size);
		text[size] = '\0';
		check_schema(text);
		free(text);
		return 0;
	}
	must(gm_store_open_memory(&store, NULL) == GM_OK);
	if (part != 1) put(store, "_delta_log/00000000000000000000.json", FIRST, sizeof FIRST - 1);
	if (part < 2)
		put(store, part == 0 ? "_delta_log/00000000000000000001.json" : "_delta_log/00000000000000000000.json", data,
		    size);
	if (part == 2) put(store, "_delta_log/_last_checkpoint", data, size);
	if (part == 4) put(store, "_delta_log/00000000000000000003.checkpoint.parquet", data, size);
	check_log(store);
	gm_store_close(store);
	return 0;
}
