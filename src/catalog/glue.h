/* glue.h - the AWS Glue Data Catalog: what is asked of it, and what its answers must look like to be believed.
 *
 * Source: AWS Glue Web API Reference, "Catalog API" (databases, tables, partitions), and the service model that AWS
 * publishes with its SDKs, which has the limits. Tables and partitions are JSON values of its shapes Table, TableInput,
 * Partition and PartitionInput. An answer is foreign: its members have the types that the reference says, members that
 * are null are left out, and anything else is CORRUPT. */
#ifndef GM_CATALOG_GLUE_H
#define GM_CATALOG_GLUE_H

#include "aws/service.h"
#include "job/job.h"

enum {
	GM_GLUE_CREATE_BATCH = 100, /* partitions of one request; of updates too */
	GM_GLUE_DELETE_BATCH = 25,
	GM_GLUE_COMMENT_BYTES = 255,
	GM_GLUE_DESCRIPTION_BYTES = 2048,
	GM_GLUE_VERSION_BYTES = 256,
};

struct gm_glue;
/* Of the job's catalog and database. stop (may be NULL): calls end with INTERRUPTED once it is not 0. */
enum gm_code gm_glue_open(const struct gm_job *job, const volatile int *stop, struct gm_glue **out,
                          struct gm_error *err) GM_CHECK;
void gm_glue_close(struct gm_glue *glue); /* NULL is allowed */
const char *gm_glue_region(const struct gm_glue *glue);
const char *gm_glue_describe(const struct gm_glue *glue); /* whose credentials; for people */
/* Requests made, and how many of these were made again. */
void gm_glue_counts(const struct gm_glue *glue, uint64_t *requests, uint64_t *retries);

/* Where the catalog of a job is, for ARNs; asks no service. */
struct gm_glue_place {
	char region[GM_REGION_BYTES]; /* "": nobody says */
	const char *partition;        /* "aws" */
};
enum gm_code gm_glue_place(const struct gm_job *job, struct gm_glue_place *out, struct gm_error *err) GM_CHECK;

/* How a call was refused that may be worth another try. */
struct gm_glue_refusal {
	bool again;   /* the service said that it is busy with the thing, or that the thing has moved */
	bool unclear; /* asked more than once: an earlier request may have been carried out */
};

/* NOT_FOUND: there is none. */
enum gm_code gm_glue_get_database(struct gm_glue *glue, struct gm_error *err) GM_CHECK;
/* OK also if it is there already. */
enum gm_code gm_glue_create_database(struct gm_glue *glue, struct gm_error *err) GM_CHECK;

/* *table: checked by gm_glue_check_table; json_decref it. NOT_FOUND: no such table, or no such database. */
enum gm_code gm_glue_get_table(struct gm_glue *glue, const char *name, json_t **table, struct gm_error *err) GM_CHECK;
/* EXISTS, NOT_FOUND (the database), CHANGED. */
enum gm_code gm_glue_create_table(struct gm_glue *glue, const json_t *input, struct gm_glue_refusal *refusal,
                                  struct gm_error *err) GM_CHECK;
/* Replaces the table's entry if its version is still that one ("": whatever it is), without keeping the old one.
 * CHANGED: it is another. */
enum gm_code gm_glue_update_table(struct gm_glue *glue, const json_t *input, const char *version,
                                  struct gm_glue_refusal *refusal, struct gm_error *err) GM_CHECK;
/* With its partitions. OK also if it is gone. */
enum gm_code gm_glue_delete_table(struct gm_glue *glue, const char *name, struct gm_error *err) GM_CHECK;

/* Mends a Table (members that are null go) and checks the types of all that we read or write back. */
enum gm_code gm_glue_check_table(json_t *table, struct gm_error *err) GM_CHECK;
/* The same of a Partition with so many values. */
enum gm_code gm_glue_check_partition(json_t *partition, size_t values, struct gm_error *err) GM_CHECK;

/* How many partitions with such columns fit into a request or an answer; at most `most`, at least one. */
enum gm_code gm_glue_fitting(const json_t *columns, size_t most, size_t *count, struct gm_error *err) GM_CHECK;
/* Called for each partition of a table, checked; it is the callee's while it runs, who may keep references. */
typedef enum gm_code gm_glue_partition_fn(void *context, json_t *partition, struct gm_error *err);
/* table: as it was found. */
enum gm_code gm_glue_list_partitions(struct gm_glue *glue, const json_t *table, gm_glue_partition_fn *each,
                                     void *context, struct gm_error *err) GM_CHECK;
/* One request for up to a batch of partitions: an array of PartitionInput, or of Values for delete. Those that are
 * there already (create) or not there (update, delete) are left out of *done: others were quicker. */
enum gm_code gm_glue_create_partitions(struct gm_glue *glue, const char *table, const json_t *inputs, size_t *done,
                                       struct gm_glue_refusal *refusal, struct gm_error *err) GM_CHECK;
enum gm_code gm_glue_update_partitions(struct gm_glue *glue, const char *table, const json_t *inputs, size_t *done,
                                       struct gm_glue_refusal *refusal, struct gm_error *err) GM_CHECK;
enum gm_code gm_glue_delete_partitions(struct gm_glue *glue, const char *table, const json_t *values, size_t *done,
                                       struct gm_glue_refusal *refusal, struct gm_error *err) GM_CHECK;

#endif
