/* delta_fixture.h - what the tests of the Delta log share. */
#ifndef DELTA_FIXTURE_H
#define DELTA_FIXTURE_H

#include "table/delta.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#define TABLE_ID "6e1f7a3c-0f0e-4c55-9d2a-3f1f7a0b5c11"
#define SCHEMA                                                                                                \
	"{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}," \
	"{\"name\":\"year\",\"type\":\"string\",\"nullable\":true,\"metadata\":{}},"                              \
	"{\"name\":\"month\",\"type\":\"string\",\"nullable\":true,\"metadata\":{}}]}"

enum { MEMORY = 64 << 20 };

static struct gm_error failure;

#define must(call)                                                                                        \
	do {                                                                                                  \
		enum gm_code must_code = (call);                                                                  \
		if (must_code != GM_OK)                                                                           \
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

static inline void put_first(struct gm_store *store, const char *const *columns, size_t count,
                             const struct gm_delta_file *adds, size_t add_count)
{
	struct gm_delta_metadata first = metadata(columns, count);
	struct gm_delta_commit commit = {.timestamp_ms = 1710108085000,
	                                 .operation = "WRITE",
	                                 .engine_info = "gristmill/0.1.0",
	                                 .protocol = true,
	                                 .metadata = &first,
	                                 .adds = adds,
	                                 .add_count = add_count};
	must(gm_delta_put(store, 0, &commit, &failure));
}

#endif
