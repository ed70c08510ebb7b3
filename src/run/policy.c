/* policy.c - the least that IAM must allow for a job to be run, as policies in AWS's syntax (IAM User Guide, "IAM JSON
 * policy elements reference"; actions and their condition keys: Service Authorization Reference, "Amazon S3").
 *
 *     of the source  list, below the prefix; get (and, pinned, a version)
 *     of the table   list, below the prefix; get, put, delete; multipart uploads: abort, list the parts; of the bucket
 *                    list the uploads that are not complete, for those of dead runs; the key for encryption
 *     of its queue   receive and delete messages, hide them for longer, look at its attributes; batches need no more
 *                    (SQS Developer Guide, "Amazon SQS API permissions")
 *     besides        look at the bucket's lifecycle rules, which `doctor` does and no run
 *     of the catalog read and create the database; read, create and update the table's entries; where partitions are
 *                    registered list, create, update and remove them. Nothing that deletes a table: that is for people
 *                    (`catalog JOB drop`). An action on a table is asked for on the catalog and the database, too
 *                    (AWS Glue Developer Guide, "Specifying AWS Glue resource ARNs").
 *
 * A key that is not there is answered with 404 only to those who may list it, else with 403: the service then takes the
 * key for the prefix of s3:prefix, so that a permission to list below a prefix is enough for both. */
#include "aws/sqs.h"
#include "base/json_text.h"
#include "base/utf8.h"
#include "catalog/work.h"
#include "run/run.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POLICY_BYTES_MAX = 64 << 10 };

/* One location of the job. */
struct side {
	const char *name; /* in statement ids: "Source" */
	const struct gm_job_access *access;
	bool in_s3;
	struct gm_store_place place;
	char queue[GM_SQS_ARN_BYTES]; /* of the source: that tells of its new objects; "": none */
};
/* The job's catalog. */
struct catalog_side {
	const struct gm_job *job; /* NULL: it has none, or the table lies where nothing is told of it */
	struct gm_glue_place place;
};

/* --- Texts -------------------------------------------------------------------------------------------------------- */

/* What policies take for a wildcard or a variable, as it is meant. */
static enum gm_code append_plain(struct gm_buf *buf, const char *text, struct gm_error *err)
{
	for (; *text != '\0'; text++) {
		bool special = *text == '*' || *text == '?' || *text == '$';
		if (special)
			GM_TRY(gm_buf_printf(buf, err, "${%c}", *text));
		else
			GM_TRY(gm_buf_append(buf, text, 1, err));
	}
	return GM_OK;
}

/* before, then text as it is meant, then after; NULL when memory is gone or text is no UTF-8. */
static json_t *pattern(const char *before, const char *text, const char *after)
{
	struct gm_buf buf;
	json_t *json = NULL;
	gm_buf_init(&buf, 16 << 10);
	if (gm_buf_append(&buf, before, strlen(before), NULL) == GM_OK && append_plain(&buf, text, NULL) == GM_OK &&
	    gm_buf_append(&buf, after, strlen(after), NULL) == GM_OK)
		json = json_stringn((const char *)buf.data, buf.len);
	gm_buf_release(&buf);
	return json;
}

static json_t *bucket_arn(const struct side *side)
{
	return json_sprintf("arn:%s:s3:::%s", side->place.partition, side->place.bucket);
}

static json_t *objects_arn(const struct side *side)
{
	char before[320];
	(void)snprintf(before, sizeof before, "arn:%s:s3:::%s/", side->place.partition, side->place.bucket);
	return pattern(before, side->place.prefix, "*");
}

/* --- Statements --------------------------------------------------------------------------------------------------- */

/* Adds a statement; takes over action, resource and condition (which may be NULL). A member that could not be made is
 * a failure, but for the condition, which the caller looks at. */
static bool add(json_t *statements, const char *id, const char *of, json_t *action, json_t *resource, json_t *condition)
{
	json_t *statement = json_pack("{s:s+, s:s, s:o, s:o, s:o*}", "Sid", id, of, "Effect", "Allow", "Action", action,
	                              "Resource", resource, "Condition", condition);
	return statement != NULL && json_array_append_new(statements, statement) == 0;
}

/* Listing is an action on the bucket; what may be listed is a condition. */
static bool add_list(json_t *statements, const struct side *side)
{
	json_t *condition = NULL;
	if (side->place.prefix[0] != '\0') {
		condition = json_pack("{s:{s:o}}", "StringLike", "s3:prefix", pattern("", side->place.prefix, "*"));
		if (condition == NULL) return false;
	}
	return add(statements, "List", side->name, json_string("s3:ListBucket"), bucket_arn(side), condition);
}

static bool add_queue(json_t *statements, const struct side *side)
{
	json_t *actions = json_pack("[s, s, s, s]", "sqs:ReceiveMessage", "sqs:DeleteMessage",
	                            "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes");
	return add(statements, "Watch", side->name, actions, json_string(side->queue), NULL);
}

static bool add_source(json_t *statements, const struct side *side)
{
	json_t *actions = side->access->version_ids ? json_pack("[s, s]", "s3:GetObject", "s3:GetObjectVersion")
	                                            : json_string("s3:GetObject");
	return add_list(statements, side) && add(statements, "Read", side->name, actions, objects_arn(side), NULL) &&
	       (side->queue[0] == '\0' || add_queue(statements, side));
}

/* A key by its ARN or id, or one that goes by an alias: of an alias only the condition can be sure. */
static bool add_key(json_t *statements, const struct side *side)
{
	const char *key = side->access->kms_key, *region = side->place.region[0] != '\0' ? side->place.region : "*";
	const char *alias = strncmp(key, "alias/", 6) == 0 ? key : strstr(key, ":alias/");
	json_t *resource, *condition;
	if (alias != NULL && alias != key) {
		resource = json_sprintf("%.*s:key/*", (int)(alias - key), key);
		alias++;
	} else if (alias != NULL) {
		resource = json_sprintf("arn:%s:kms:%s:*:key/*", side->place.partition, region);
	} else if (strncmp(key, "arn:", 4) == 0) {
		resource = json_string(key);
	} else {
		resource = json_sprintf("arn:%s:kms:%s:*:key/%s", side->place.partition, region, key);
	}
	condition = json_pack("{s:{s:s}}", "StringLike", "kms:ViaService", "s3.*");
	if (condition != NULL && alias != NULL &&
	    json_object_set_new(condition, "ForAnyValue:StringEquals", json_pack("{s:s}", "kms:ResourceAliases", alias)) !=
	        0) {
		json_decref(condition);
		condition = NULL;
	}
	if (condition == NULL) {
		json_decref(resource);
		return false;
	}
	return add(statements, "Encrypt", side->name, json_pack("[s, s]", "kms:GenerateDataKey", "kms:Decrypt"), resource,
	           condition);
}

static bool add_table(json_t *statements, const struct side *side)
{
	json_t *actions = json_pack("[s, s, s, s, s]", "s3:GetObject", "s3:PutObject", "s3:DeleteObject",
	                            "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts");
	return add_list(statements, side) &&
	       add(statements, "ReadAndWrite", side->name, actions, objects_arn(side), NULL) &&
	       add(statements, "Sweep", side->name, json_string("s3:ListBucketMultipartUploads"), bucket_arn(side), NULL) &&
	       (side->access->kms_key == NULL || add_key(statements, side)) &&
	       add(statements, "Doctor", side->name, json_string("s3:GetLifecycleConfiguration"), bucket_arn(side), NULL);
}

/* --- Statements of the catalog ------------------------------------------------------------------------------------ */

/* "arn:aws:glue:REGION:ACCOUNT:" and the rest; what nobody says is any. */
static json_t *glue_arn(const struct catalog_side *side, const char *what, const char *first, const char *second)
{
	const char *account = side->job->catalog.id, *region = side->place.region;
	return json_sprintf("arn:%s:glue:%s:%s:%s%s%s%s%s", side->place.partition, region[0] != '\0' ? region : "*",
	                    account != NULL ? account : "*", what, first[0] != '\0' ? "/" : "", first,
	                    second[0] != '\0' ? "/" : "", second);
}

/* The catalog, the database, and the entries, if they are wanted. */
static json_t *glue_arns(const struct catalog_side *side, const struct gm_work *works, size_t count)
{
	const char *database = side->job->table.database;
	json_t *arns = json_array();
	bool done = json_array_append_new(arns, glue_arn(side, "catalog", "", "")) == 0 &&
	            json_array_append_new(arns, glue_arn(side, "database", database, "")) == 0;
	for (size_t i = 0; done && i < count; i++)
		done = json_array_append_new(arns, glue_arn(side, "table", database, works[i].name)) == 0;
	if (done) return arns;
	json_decref(arns);
	return NULL;
}

static bool add_catalog(json_t *statements, const struct catalog_side *side, const struct gm_work *works, size_t count)
{
	bool registers = side->job->catalog.partitions == GM_CATALOG_REGISTER && side->job->table.partition_count > 0 &&
	                 side->job->catalog.format != GM_CATALOG_DELTA;
	json_t *entries = json_pack("[s, s, s]", "glue:GetTable", "glue:CreateTable", "glue:UpdateTable");
	return add(statements, "Read", "Database", json_pack("[s, s]", "glue:GetDatabase", "glue:CreateDatabase"),
	           glue_arns(side, NULL, 0), NULL) &&
	       add(statements, "Describe", "Table", entries, glue_arns(side, works, count), NULL) &&
	       (!registers || add(statements, "Register", "Partitions",
	                          json_pack("[s, s, s, s]", "glue:GetPartitions", "glue:BatchCreatePartition",
	                                    "glue:BatchUpdatePartition", "glue:BatchDeletePartition"),
	                          glue_arns(side, works, 1), NULL));
}

/* --- Documents ---------------------------------------------------------------------------------------------------- */

static enum gm_code look_at(const char *name, const char *location, const struct gm_job_access *access,
                            struct side *side, struct gm_error *err)
{
	const struct gm_store_options options = {.profile = access->profile, .region = access->region};
	*side = (struct side){.name = name, .access = access, .in_s3 = gm_store_is_s3(location)};
	if (!side->in_s3) return GM_OK;
	GM_TRY(gm_store_place(location, &options, &side->place, err));
	size_t n = strlen(side->place.prefix);
	if (gm_utf8_valid_prefix((const uint8_t *)side->place.prefix, n) == n) return GM_OK;
	(void)gm_error_set(err, GM_USAGE, "the prefix is not UTF-8, which a policy cannot hold");
	return gm_error_object(err, GM_USAGE, location, strlen(location));
}

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* NULL sides are left out. *text: NULL if there is none to speak of. */
static enum gm_code write_document(const struct side *source, const struct side *table,
                                   const struct catalog_side *catalog, size_t format, char **text, struct gm_error *err)
{
	struct gm_work works[GM_WORK_ENTRIES];
	size_t count = 0;
	if (catalog != NULL) GM_TRY(gm_work_list(catalog->job, works, &count, err));
	json_t *statements = json_array(), *document = NULL;
	bool done = statements != NULL && (source == NULL || add_source(statements, source)) &&
	            (table == NULL || add_table(statements, table)) &&
	            (catalog == NULL || add_catalog(statements, catalog, works, count));
	if (done) document = json_pack("{s:s, s:O}", "Version", "2012-10-17", "Statement", statements);
	struct gm_buf out;
	gm_buf_init(&out, POLICY_BYTES_MAX);
	enum gm_code rc = gm_json_text_as(document, format, &out, err);
	if (rc == GM_OK) rc = gm_buf_append(&out, "", 1, err);
	*text = rc == GM_OK ? (char *)out.data : NULL;
	if (rc != GM_OK) gm_buf_release(&out);
	json_decref(document);
	json_decref(statements);
	return rc;
}

static bool same_access(const struct gm_job_access *a, const struct gm_job_access *b)
{
	return same_text(a->profile, b->profile) && same_text(a->endpoint, b->endpoint);
}

/* Who reaches the catalog as the table is reached needs no policy more, but a longer one. */
static enum gm_code write_documents(const struct side *source, const struct side *table,
                                    const struct catalog_side *catalog, size_t format, struct gm_policy *out,
                                    struct gm_error *err)
{
	bool apart = source->in_s3 && table->in_s3 && !same_access(source->access, table->access);
	const struct catalog_side *with = catalog->job != NULL ? catalog : NULL;
	if (with != NULL && !same_access(&with->job->catalog.access, table->access)) {
		GM_TRY(write_document(NULL, NULL, with, format, &out->catalog, err));
		with = NULL;
	}
	if (apart) {
		GM_TRY(write_document(source, NULL, NULL, format, &out->source, err));
		return write_document(NULL, table, with, format, &out->table, err);
	}
	if (!source->in_s3 && !table->in_s3) return GM_OK;
	return write_document(source->in_s3 ? source : NULL, table->in_s3 ? table : NULL, with, format, &out->both, err);
}

enum gm_code gm_policy(const struct gm_job *job, bool one_line, struct gm_policy *out, struct gm_error *err)
{
	struct side source = {.in_s3 = false}, table = {.in_s3 = false};
	struct catalog_side catalog = {.job = NULL};
	*out = (struct gm_policy){.both = NULL};
	enum gm_code rc = look_at("Source", job->source.location, &job->source.access, &source, err);
	if (rc == GM_OK && job->watch.queue != NULL &&
	    !gm_sqs_arn(job->watch.queue, job->watch.access.region, source.queue)) {
		rc = gm_error_set(err, GM_USAGE, "not the URL of a queue");
		(void)gm_error_object(err, rc, job->watch.queue, strlen(job->watch.queue));
	}
	if (rc == GM_OK) rc = look_at("Table", job->table.location, &job->table.access, &table, err);
	if (table.in_s3 && job->catalog.type == GM_CATALOG_GLUE) catalog.job = job;
	if (rc == GM_OK && catalog.job != NULL) rc = gm_glue_place(job, &catalog.place, err);
	if (rc == GM_OK)
		rc = write_documents(&source, &table, &catalog, one_line ? JSON_COMPACT : JSON_INDENT(2), out, err);
	gm_store_place_clear(&source.place);
	gm_store_place_clear(&table.place);
	if (rc != GM_OK) gm_policy_clear(out);
	return rc;
}

void gm_policy_clear(struct gm_policy *policy)
{
	free(policy->both);
	free(policy->source);
	free(policy->table);
	free(policy->catalog);
	*policy = (struct gm_policy){.both = NULL};
}
