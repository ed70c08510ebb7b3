#include "catalog/work.h"

#include <stdio.h>
#include <string.h>

static enum gm_code name_entry(struct gm_work *work, const char *name, const char *suffix, struct gm_error *err)
{
	int n = snprintf(work->name, sizeof work->name, "%s%s", name, suffix);
	work->entry.name = work->name;
	if (n >= 0 && (size_t)n < sizeof work->name) return GM_OK;
	GM_FAIL(err, GM_USAGE, "the name of the table's entry is longer than the catalog takes");
}

enum gm_code gm_work_list(const struct gm_job *job, struct gm_work works[GM_WORK_ENTRIES], size_t *count,
                          struct gm_error *err)
{
	enum gm_catalog_format format = job->catalog.format;
	const char *second = job->catalog.delta_name;
	size_t n = 0;
	*count = 0;
	if (format != GM_CATALOG_DELTA) {
		works[n] = (struct gm_work){
		    .entry = {.kind = GM_ENTRY_HIVE, .projection = job->catalog.partitions == GM_CATALOG_PROJECTION}};
		GM_TRY(name_entry(&works[n++], job->table.name, "", err));
	}
	if (format != GM_CATALOG_HIVE) {
		works[n] = (struct gm_work){.entry = {.kind = GM_ENTRY_DELTA}};
		bool both = format == GM_CATALOG_BOTH;
		GM_TRY(name_entry(&works[n++], both && second != NULL ? second : job->table.name,
		                  both && second == NULL ? "_delta" : "", err));
	}
	*count = n;
	return GM_OK;
}

void gm_work_release(struct gm_work *work)
{
	json_decref(work->found);
	gm_registered_free(work->registered);
	work->found = NULL;
	work->registered = NULL;
	work->version[0] = '\0';
}

/* Of an entry that will be refused, such as a view or a link to somebody's table, nothing is listed. */
static enum gm_code find_partitions(struct gm_work *work, const struct gm_catalog_env *env, struct gm_error *err)
{
	struct gm_error refusal;
	const char *own = json_string_value(json_object_get(json_object_get(work->found, "StorageDescriptor"), "Location"));
	bool registers =
	    work->entry.kind == GM_ENTRY_HIVE && !work->entry.projection && env->job->table.partition_count > 0;
	if (!registers) return GM_OK;
	bool listed = work->found != NULL && gm_merge_check(work->found, own != NULL ? own : "", &refusal) == GM_OK &&
	              json_array_size(json_object_get(work->found, "PartitionKeys")) > 0;
	if (!listed) return gm_registered_none(&work->registered, err);
	return gm_registered_read(env->glue, work->found, &work->registered, err);
}

void gm_work_name_error(const struct gm_work *work, const struct gm_job *job, struct gm_error *err)
{
	char name[sizeof err->object];
	int n = snprintf(name, sizeof name, "%s.%s", job->table.database, work->name);
	if (n > 0) (void)gm_error_object(err, err->code, name, strlen(name));
}

static enum gm_code find(struct gm_work *work, const struct gm_catalog_env *env, struct gm_error *err)
{
	gm_work_release(work);
	enum gm_code rc = gm_glue_get_table(env->glue, work->name, &work->found, err);
	if (rc == GM_NOT_FOUND) rc = GM_OK;
	GM_TRY(rc);
	const char *version = json_string_value(json_object_get(work->found, "VersionId"));
	if (version != NULL && strlen(version) >= sizeof work->version)
		GM_FAIL(err, GM_CORRUPT, "the catalog's answer makes no sense: VersionId has %zu bytes", strlen(version));
	if (version != NULL) (void)snprintf(work->version, sizeof work->version, "%s", version);
	return find_partitions(work, env, err);
}

enum gm_code gm_work_find(struct gm_work *work, const struct gm_catalog_env *env, struct gm_error *err)
{
	enum gm_code rc = find(work, env, err);
	if (rc != GM_OK && rc != GM_NOMEM && rc != GM_INTERRUPTED) gm_work_name_error(work, env->job, err);
	return rc;
}
