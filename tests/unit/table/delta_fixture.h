/* delta_fixture.h - what the tests of the Delta log share. */
#ifndef DELTA_FIXTURE_H
#define DELTA_FIXTURE_H

#include "table/delta_internal.h"
#include "../must.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_ID "6e1f7a3c-0f0e-4c55-9d2a-3f1f7a0b5c11"
#define SCHEMA                                                                                                \
	"{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}," \
	"{\"name\":\"year\",\"type\":\"string\",\"nullable\":true,\"metadata\":{\"comment\":\"of the record\"}}," \
	"{\"name\":\"month\",\"type\":\"string\",\"nullable\":true,\"metadata\":{}}]}"
/* The same inside a JSON string. */
#define SCHEMA_STRING                                                                                                  \
	"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[{\\\"name\\\":\\\"id\\\",\\\"type\\\":\\\"long\\\",\\\"nullable\\\"" \
	":true,\\\"metadata\\\":{}}]}"
/* The first two lines of a log that others wrote, partitioned by the columns given as JSON; and the properties. */
#define PROTOCOL "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n"
#define METADATA(columns, properties)                                                                       \
	"{\"metaData\":{\"id\":\"" TABLE_ID "\",\"format\":{\"provider\":\"parquet\",\"options\":{}},"          \
	"\"schemaString\":\"" SCHEMA_STRING "\",\"partitionColumns\":" columns ",\"configuration\":" properties \
	",\"createdTime\":5}}\n"
#define HEAD PROTOCOL METADATA("[\"p\"]", "{}")
#define ADD(path, p)                                                                                       \
	"{\"add\":{\"path\":\"" path "\",\"partitionValues\":{\"p\":" p "},\"size\":7,\"modificationTime\":9," \
	"\"dataChange\":true}}\n"
#define REMOVE(path) "{\"remove\":{\"path\":\"" path "\",\"deletionTimestamp\":11,\"dataChange\":true}}\n"

enum { MEMORY = 64 << 20 };

/* The call fails with this code, and its message holds the text. */
#define must_fail(call, code, text)                                                                       \
	do {                                                                                                  \
		failure = (struct gm_error){0};                                                                   \
		enum gm_code must_code = (call);                                                                  \
		if (must_code != (code) || strstr(failure.message, (text)) == NULL)                               \
			fail_msg("%s: %s: %s (%s)", #call, gm_code_name(must_code), failure.message, failure.object); \
	} while (0)

static inline struct gm_store *open_memory(void)
{
	struct gm_store *store;
	must(gm_store_open_memory(&store, &failure));
	return store;
}

static inline struct gm_delta_log *open_log(struct gm_store *store, int64_t version)
{
	struct gm_delta_log *log;
	must(gm_delta_open(store, version, MEMORY, &log, &failure));
	return log;
}

/* What opening the newest version fails with. */
static inline enum gm_code open_fails(struct gm_store *store)
{
	struct gm_delta_log *log;
	failure = (struct gm_error){0};
	enum gm_code code = gm_delta_open(store, GM_DELTA_NEWEST, MEMORY, &log, &failure);
	if (code == GM_OK) gm_delta_free(log);
	return code;
}

static inline void put_bytes(struct gm_store *store, const char *name, const void *bytes, size_t n)
{
	char key[200];
	(void)snprintf(key, sizeof key, "_delta_log/%s", name);
	must(gm_store_put(store, key, bytes, n, false, &failure));
}

static inline void put_text(struct gm_store *store, int64_t version, const char *text)
{
	char name[GM_DELTA_KEY_BYTES];
	(void)snprintf(name, sizeof name, "%020" PRId64 ".json", version);
	put_bytes(store, name, text, strlen(text));
}

static inline void remove_name(struct gm_store *store, const char *name)
{
	char key[200];
	(void)snprintf(key, sizeof key, "_delta_log/%s", name);
	must(gm_store_remove(store, key, &failure));
}

static inline void remove_entry(struct gm_store *store, int64_t version)
{
	char name[GM_DELTA_KEY_BYTES];
	(void)snprintf(name, sizeof name, "%020" PRId64 ".json", version);
	remove_name(store, name);
}

static inline bool is_there(struct gm_store *store, const char *name)
{
	struct gm_object_info info;
	struct gm_arena arena;
	char key[200];
	(void)snprintf(key, sizeof key, "_delta_log/%s", name);
	gm_arena_init(&arena, 100);
	enum gm_code code = gm_store_stat(store, key, &info, &arena, &failure);
	gm_arena_release(&arena);
	assert_true(code == GM_OK || code == GM_NOT_FOUND);
	return code == GM_OK;
}

static inline bool entry_is_there(struct gm_store *store, int64_t version)
{
	char name[GM_DELTA_KEY_BYTES];
	(void)snprintf(name, sizeof name, "%020" PRId64 ".json", version);
	return is_there(store, name);
}

/* An object's bytes as text; free it. */
static inline char *text_of(struct gm_store *store, const char *key)
{
	struct gm_buf buf;
	gm_buf_init(&buf, 64 << 20);
	must(gm_store_get(store, key, &buf, &failure));
	must(gm_buf_append(&buf, "", 1, &failure));
	return (char *)buf.data;
}

static inline struct gm_delta_file add(const char *path, const char *partition, uint64_t bytes)
{
	return (struct gm_delta_file){.path = path,
	                              .partition = partition,
	                              .bytes = bytes,
	                              .mtime_ms = 1710108084084,
	                              .stats = "{\"numRecords\":1}",
	                              .tags = "{\"run\":\"1\"}",
	                              .data_change = true};
}

static inline struct gm_delta_metadata metadata(const char *const *columns, size_t count)
{
	return (struct gm_delta_metadata){.id = TABLE_ID,
	                                  .name = "t",
	                                  .description = "",
	                                  .schema = SCHEMA,
	                                  .partition_columns = columns,
	                                  .partition_count = count,
	                                  .configuration = "{}",
	                                  .created_ms = 1710108000000};
}

static inline enum gm_code put_adds(struct gm_store *store, int64_t version, const struct gm_delta_metadata *first,
                                    const struct gm_delta_file *adds, size_t count, struct gm_error *err)
{
	struct gm_delta_txn_action txn = {"app", version};
	struct gm_delta_commit commit = {.timestamp_ms = 1710108085000 + version,
	                                 .operation = "WRITE",
	                                 .engine_info = "gristmill/0.1.0",
	                                 .protocol = first != NULL,
	                                 .metadata = first,
	                                 .txns = &txn,
	                                 .txn_count = 1,
	                                 .adds = adds,
	                                 .add_count = count};
	return gm_delta_put(store, version, &commit, err);
}

static inline void put_first(struct gm_store *store, const char *const *columns, size_t count,
                             const struct gm_delta_file *adds, size_t add_count)
{
	struct gm_delta_metadata first = metadata(columns, count);
	must(put_adds(store, 0, &first, adds, add_count, &failure));
}

#endif
