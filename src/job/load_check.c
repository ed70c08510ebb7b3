/* load_check.c - what one key of a job file alone cannot tell: keys that exclude each other, names that meet twice. */
#include "job/load.h"

#include <string.h>

const struct gm_node *gm_seen_get(const struct gm_seen *seen, enum gm_key_section section, const char *name)
{
	for (size_t i = 0; i < gm_key_count; i++)
		if (gm_keys[i].section == section && strcmp(gm_keys[i].name, name) == 0) return seen->value[i];
	return NULL;
}

static struct gm_quoted quoted(const char *text)
{
	return gm_load_quote(text, strlen(text));
}

/* --- Columns ---------------------------------------------------------------------------------------------------- */

static enum gm_code check_unit(struct gm_loader *loader, const struct gm_column *column, const struct gm_node *unit)
{
	if (unit == NULL || gm_load_has_unit(column)) return GM_OK;
	if (column->type != GM_TYPE_TIMESTAMP)
		return gm_load_fail(loader, unit->place, "column %s is a %s: only a timestamp has a unit",
		                    quoted(column->name).text, gm_type_name(column->type));
	return gm_load_fail(loader, unit->place, "column %s has a unit, but no 'from' that it could apply to",
	                    quoted(column->name).text);
}

static enum gm_code check_not_after(struct gm_loader *loader, const struct gm_column *column,
                                    const struct gm_node *not_after)
{
	if (not_after == NULL || column->type == GM_TYPE_TIMESTAMP) return GM_OK;
	return gm_load_fail(loader, not_after->place, "column %s is a %s: only a timestamp has a 'not_after'",
	                    quoted(column->name).text, gm_type_name(column->type));
}

static enum gm_code check_fallback(struct gm_loader *loader, struct gm_column *column, const struct gm_node *fallback)
{
	if (fallback == NULL) return GM_OK;
	if (column->required)
		return gm_load_fail(loader, fallback->place, "column %s is required, so its default would never be used",
		                    quoted(column->name).text);
	if (gm_load_fallback(column)) return GM_OK;
	enum gm_code rc =
	    gm_load_fail(loader, fallback->text_place, "the default %s does not fit the type %s",
	                 gm_load_quote(column->fallback, column->fallback_bytes).text, gm_type_name(column->type));
	static const char *const examples[] = {
	    [GM_TYPE_BOOLEAN] = "true or false", [GM_TYPE_INT] = "a whole number within 32 bits",
	    [GM_TYPE_DATE] = "2024-03-10",       [GM_TYPE_BIGINT] = "a whole number within 64 bits",
	    [GM_TYPE_DOUBLE] = "1.5 or 2e-3",    [GM_TYPE_TIMESTAMP] = "2024-03-10T12:00:00Z",
	    [GM_TYPE_STRING] = "any text",
	};
	return gm_error_hint(loader->err, rc, "write %s", examples[column->type]);
}

static enum gm_code check_partition(struct gm_loader *loader, const struct gm_column *column,
                                    const struct gm_node *type)
{
	switch (column->type) {
	case GM_TYPE_STRING:
	case GM_TYPE_INT:
	case GM_TYPE_BIGINT:
	case GM_TYPE_DATE: return GM_OK;
	default: break;
	}
	enum gm_code rc = gm_load_fail(loader, type->place, "partition column %s cannot be a %s", quoted(column->name).text,
	                               gm_type_name(column->type));
	return gm_error_hint(loader->err, rc, "allowed: string, int, bigint, date");
}

enum gm_code gm_load_check_column(struct gm_loader *loader, enum gm_key_section section, struct gm_column *column,
                                  const struct gm_seen *seen)
{
	if (section == GM_SECTION_PARTITION) return check_partition(loader, column, gm_seen_get(seen, section, "type"));
	if (column->from_len == 0 && column->expr == NULL) {
		enum gm_code rc =
		    gm_load_fail(loader, column->place, "column %s has neither 'from' nor 'expr'", quoted(column->name).text);
		return gm_error_hint(loader->err, rc, "from: a path in the document; expr: an expression; or both");
	}
	GM_TRY(check_unit(loader, column, gm_seen_get(seen, section, "unit")));
	GM_TRY(check_not_after(loader, column, gm_seen_get(seen, section, "not_after")));
	return check_fallback(loader, column, gm_seen_get(seen, section, "default"));
}

/* --- Where data lies -------------------------------------------------------------------------------------------- */

static void drop_empty(const char **text)
{
	if (*text != NULL && (*text)[0] == '\0') *text = NULL;
}

void gm_load_drop_empty(struct gm_job_access *access)
{
	const char **texts[] = {&access->profile, &access->region, &access->endpoint, &access->ca_file, &access->kms_key};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) drop_empty(texts[i]);
}

enum gm_code gm_load_check_access(struct gm_loader *loader, enum gm_key_section section, const char *location,
                                  struct gm_job_access *access, const struct gm_seen *seen)
{
	static const char *const keys[] = {"profile",    "region",  "endpoint",       "path_style",
	                                   "ca_file",    "timeout", "requester_pays", "version_ids",
	                                   "encryption", "kms_key", "single_writer"};
	const char *option = section == GM_SECTION_SOURCE ? loader->options->source : loader->options->table;
	bool directory = strstr(location, "://") == NULL || strncmp(location, "file://", 7) == 0;
	gm_load_drop_empty(access);
	for (size_t i = 0; directory && option == NULL && i < sizeof keys / sizeof keys[0]; i++) {
		const struct gm_node *value = gm_seen_get(seen, section, keys[i]);
		if (value == NULL) continue;
		enum gm_code rc =
		    gm_load_fail(loader, value->place, "'%s' says how S3 is reached, and the location %s is a directory",
		                 keys[i], quoted(location).text);
		return gm_error_hint(loader->err, rc, "leave it out, or give a location s3://bucket/prefix/");
	}
	const struct gm_node *kms_key = gm_seen_get(seen, section, "kms_key");
	if (access->kms_key == NULL || access->encryption == GM_ENCRYPTION_KMS) return GM_OK;
	enum gm_code rc = gm_load_fail(loader, kms_key->place, "a kms_key is of no use without encryption: aws:kms");
	return gm_error_hint(loader->err, rc, "write encryption: aws:kms beside it");
}

/* --- The table -------------------------------------------------------------------------------------------------- */

enum gm_code gm_load_check_table(struct gm_loader *loader, const struct gm_seen *seen)
{
	const struct gm_node *level = gm_seen_get(seen, GM_SECTION_TABLE, "compression_level");
	if (loader->job->table.compression == GM_COMPRESSION_ZSTD) return GM_OK;
	if (level != NULL) return gm_load_fail(loader, level->place, "only zstd has a compression_level");
	loader->job->table.compression_level = 0;
	return GM_OK;
}

static enum gm_code check_same(struct gm_loader *loader, const struct gm_column *column,
                               const struct gm_column *earlier)
{
	if (!gm_load_same_name(column->name, earlier->name)) return GM_OK;
	bool equal = strcmp(column->name, earlier->name) == 0;
	return gm_load_fail(loader, column->place, "the column name %s is taken%s, see line %d", quoted(column->name).text,
	                    equal ? "" : " but for letter case", earlier->place.line);
}

/* Columns and partition columns share one set of names; engines do not tell upper from lower case. */
static enum gm_code check_names(struct gm_loader *loader)
{
	const struct gm_job *job = loader->job;
	for (size_t i = 0; i < job->column_count; i++)
		for (size_t k = 0; k < i; k++) GM_TRY(check_same(loader, &job->columns[i], &job->columns[k]));
	for (size_t i = 0; i < job->table.partition_count; i++) {
		const struct gm_column *partition = &job->table.partitions[i];
		for (size_t k = 0; k < i; k++) GM_TRY(check_same(loader, partition, &job->table.partitions[k]));
		for (size_t k = 0; k < job->column_count; k++) {
			if (!gm_load_same_name(partition->name, job->columns[k].name)) continue;
			return gm_load_fail(loader, partition->place, "%s is a partition column and a column, see line %d",
			                    quoted(partition->name).text, job->columns[k].place.line);
		}
	}
	return GM_OK;
}

static enum gm_code unknown_unique(struct gm_loader *loader, const struct gm_node *item, const struct gm_node *text)
{
	const struct gm_job *job = loader->job;
	struct gm_quoted name = gm_load_quote(text->text, text->bytes);
	struct gm_suggest suggest;
	for (size_t i = 0; i < job->table.partition_count; i++)
		if (strcmp(job->table.partitions[i].name, text->text) == 0)
			return gm_load_fail(loader, item->place,
			                    "unique_by names the partition column %s, but holds within a partition already",
			                    name.text);
	gm_suggest_init(&suggest, text->text, text->bytes);
	for (size_t i = 0; i < job->column_count; i++) gm_suggest_offer(&suggest, job->columns[i].name);
	enum gm_code rc = gm_load_fail(loader, item->place, "unique_by names %s, which is not a column", name.text);
	if (gm_suggest_best(&suggest) == NULL) return rc;
	return gm_error_hint(loader->err, rc, "did you mean %s?", quoted(gm_suggest_best(&suggest)).text);
}

static enum gm_code add_unique(struct gm_loader *loader, const struct gm_node *item)
{
	struct gm_job *job = loader->job;
	const struct gm_node *text;
	size_t column = 0;
	if (item->kind != GM_NODE_SCALAR) return gm_load_fail(loader, item->place, "'unique_by' must be a list of columns");
	GM_TRY(gm_load_expand(loader, item, &text));
	while (column < job->column_count && strcmp(job->columns[column].name, text->text) != 0) column++;
	if (column == job->column_count) return unknown_unique(loader, item, text);
	for (size_t i = 0; i < job->table.unique_count; i++)
		if (job->table.unique_by[i] == column)
			return gm_load_fail(loader, item->place, "unique_by names %s twice", quoted(text->text).text);
	job->table.unique_by[job->table.unique_count++] = column;
	return GM_OK;
}

static enum gm_code resolve_unique(struct gm_loader *loader)
{
	const struct gm_node *list = loader->unique_by;
	if (list == NULL) return GM_OK;
	if (list->kind != GM_NODE_LIST || list->count == 0) {
		enum gm_code rc = gm_load_fail(loader, list->place, "'unique_by' must be a list of columns");
		return gm_error_hint(loader->err, rc, "unique_by: [session_id]");
	}
	/* a longer list names something twice, which is found before the array is full */
	loader->job->table.unique_by =
	    gm_arena_alloc(&loader->job->arena, (loader->job->column_count + 1) * sizeof(size_t));
	if (loader->job->table.unique_by == NULL) return gm_load_nomem(loader);
	for (const struct gm_node *item = list->first; item != NULL; item = item->next) GM_TRY(add_unique(loader, item));
	return GM_OK;
}

/* An object that is read again brings the rows that are there already. */
static enum gm_code check_on_change(struct gm_loader *loader)
{
	const struct gm_job *job = loader->job;
	if (job->source.on_change != GM_ON_CHANGE_REPROCESS || job->table.unique_count > 0) return GM_OK;
	enum gm_code rc = gm_load_fail(loader, loader->on_change->place,
	                               "on_change: reprocess would double rows: the table has no 'unique_by'");
	return gm_error_hint(loader->err, rc, "name the columns in table.unique_by, or write on_change: ignore");
}

/* --- The catalog ------------------------------------------------------------------------------------------------ */

/* Athena takes no other names without quotes, and some of its statements none at all. */
static bool is_catalog_name(const char *name)
{
	return name[0] != '\0' && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

static enum gm_code check_catalog_name(struct gm_loader *loader, const char *key, const char *name)
{
	if (is_catalog_name(name)) return GM_OK;
	struct gm_place place = loader->catalog->place;
	if (name[0] == '\0') {
		enum gm_code rc = gm_load_fail(loader, place, "the catalog needs '%s', which is missing", key);
		return gm_error_hint(loader->err, rc, "give it, or write catalog: {type: none}");
	}
	enum gm_code rc =
	    gm_load_fail(loader, place, "the catalog cannot take the name %s of '%s'", quoted(name).text, key);
	return gm_error_hint(loader->err, rc, "use lower-case letters, digits and underscores");
}

static enum gm_code check_catalog(struct gm_loader *loader)
{
	const struct gm_job *job = loader->job;
	drop_empty(&loader->job->catalog.id);
	drop_empty(&loader->job->catalog.delta_name);
	if (job->catalog.type == GM_CATALOG_NONE) return GM_OK;
	GM_TRY(check_catalog_name(loader, "table.database", job->table.database));
	GM_TRY(check_catalog_name(loader, "table.name", job->table.name));
	if (job->catalog.delta_name == NULL) return GM_OK;
	GM_TRY(check_catalog_name(loader, "catalog.delta_name", job->catalog.delta_name));
	if (job->catalog.format != GM_CATALOG_BOTH)
		return gm_load_fail(loader, loader->catalog->place, "'delta_name' is of no use without format: both");
	if (strcmp(job->catalog.delta_name, job->table.name) == 0)
		return gm_load_fail(loader, loader->catalog->place, "'delta_name' is the table's name, which is taken");
	return GM_OK;
}

enum gm_code gm_load_check_job(struct gm_loader *loader)
{
	struct gm_job *job = loader->job;
	if (job->id == NULL) job->id = job->name;
	if (gm_load_same_name(job->id, "claims"))
		return gm_load_fail(loader, loader->id->place, "the job id %s is reserved", quoted(job->id).text);
	GM_TRY(check_names(loader));
	GM_TRY(resolve_unique(loader));
	GM_TRY(check_catalog(loader));
	return check_on_change(loader);
}
