/* catalog_fixture.h - what the tests of the catalog share: a job, and a table whose log is written as text. */
#ifndef CATALOG_FIXTURE_H
#define CATALOG_FIXTURE_H

#include "catalog/shape.h"
#include "../table/delta_fixture.h"

#define JOB_HEAD "version: 1\njob: j\nsource: {location: /in}\n"
#define COLUMNS                                                                                                 \
	"columns:\n  - {name: id, type: bigint, from: id, comment: of the job}\n  - {name: Time, type: timestamp, " \
	"from: time}\n"

static inline struct gm_job *parse_job(const char *yaml)
{
	struct gm_job *job = NULL;
	must(gm_job_parse("j.yaml", yaml, strlen(yaml), NULL, &job, &failure));
	return job;
}

/* A job whose table lies at /t and is partitioned by these, as YAML ("[{name: ...}]"). */
static inline struct gm_job *job_of(const char *partitions)
{
	char yaml[4000];
	(void)snprintf(yaml, sizeof yaml,
	               JOB_HEAD "table: {location: /t, name: T, database: D, partition_by: %s}\n" COLUMNS, partitions);
	return parse_job(yaml);
}

/* The first entry of a log: fields is the schema's as JSON with its quotes escaped, columns a JSON array. */
static inline void put_head(struct gm_store *store, const char *fields, const char *columns)
{
	char text[8000];
	(void)snprintf(text, sizeof text,
	               PROTOCOL
	               "{\"metaData\":{\"id\":\"" TABLE_ID "\",\"description\":\"of the log\",\"format\":{\"provider\":"
	               "\"parquet\",\"options\":{}},\"schemaString\":\"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[%s]}"
	               "\",\"partitionColumns\":%s,\"configuration\":{},\"createdTime\":5}}\n",
	               fields, columns);
	put_text(store, 0, text);
}
#define FIELD_(name, type, comment) \
	"{\\\"name\\\":\\\"" name "\\\",\\\"type\\\":" type ",\\\"nullable\\\":true,\\\"metadata\\\":" comment "}"
#define FIELD(name, type) FIELD_(name, "\\\"" type "\\\"", "{}")

#endif
