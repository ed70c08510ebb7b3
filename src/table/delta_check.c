/* May we append to a table? Whatever it asks of its writers and we do not do is refused by name.
 *
 * Writer version 2 asks for two things: appendOnly, which appending honours, and invariants, which need an SQL engine.
 * Everything else is asked for with a higher version and features. Tables that ask for it all the same, with the old
 * version, are refused, too: whoever set the property relies on it. Properties that only advise (file sizes,
 * statistics, codecs, ...) are not asked about. */
#include "table/delta_internal.h"

#include <stdlib.h>
#include <string.h>

enum { WRITER_VERSION = 2 };

static enum gm_code refuse(const char *what, const char *name, struct gm_error *err)
{
	(void)gm_error_set(err, GM_UNSUPPORTED, "the table's %s %.200s asks for what this version cannot do", what, name);
	return gm_error_hint(err, GM_UNSUPPORTED, "write to another table, or take it back with the engine that set it");
}

static enum gm_code check_protocol(const struct gm_delta_head *head, struct gm_error *err)
{
	static const char *const known[] = {"appendOnly", "invariants"};
	for (size_t i = 0; i < head->feature_count; i++) {
		bool honoured = strcmp(head->features[i], known[0]) == 0 || strcmp(head->features[i], known[1]) == 0;
		if (!honoured) return refuse("feature", head->features[i], err);
	}
	if (head->writer <= WRITER_VERSION) return GM_OK;
	(void)gm_error_set(err, GM_UNSUPPORTED, "the table asks for writer version %lld of the Delta protocol",
	                   (long long)head->writer);
	return gm_error_hint(err, GM_UNSUPPORTED, "this version writes tables of writer version %d", WRITER_VERSION);
}

/* --- Properties --------------------------------------------------------------------------------------------------- */

enum rule {
	NEVER,        /* whatever its value */
	UNLESS_FALSE, /* unless it is "false" */
	UNLESS_NONE,  /* unless it is "none" or "" */
	UNLESS_CLASSIC,
};
static const struct {
	const char *name; /* ending in '.': all that begin so */
	enum rule rule;
} refused[] = {
    {"delta.setTransactionRetentionDuration", NEVER}, /* the log would forget what our jobs have done */
    {"delta.constraints.", NEVER},
    {"delta.columnMapping.mode", UNLESS_NONE},
    {"delta.enableDeletionVectors", UNLESS_FALSE},
    {"delta.enableChangeDataFeed", UNLESS_FALSE},
    {"delta.enableRowTracking", UNLESS_FALSE},
    {"delta.enableInCommitTimestamps", UNLESS_FALSE},
    {"delta.enableTypeWidening", UNLESS_FALSE},
    {"delta.enableIcebergCompatV1", UNLESS_FALSE},
    {"delta.enableIcebergCompatV2", UNLESS_FALSE},
    {"delta.enableIcebergCompatV3", UNLESS_FALSE},
    {"delta.enableIcebergWriterCompatV1", UNLESS_FALSE},
    {"delta.universalFormat.enabledFormats", UNLESS_NONE},
    {"delta.checkpointPolicy", UNLESS_CLASSIC},
    {"delta.randomizeFilePrefixes", UNLESS_FALSE},
    {"delta.compatibility.symlinkFormatManifest.enabled", UNLESS_FALSE}, /* manifests would miss our files */
    {"delta.requireCheckpointProtectionBeforeVersion", NEVER},
    {"delta.feature.", NEVER},
};

static bool is_named(const char *property, const char *name)
{
	size_t n = strlen(name);
	return name[n - 1] == '.' ? strncmp(property, name, n) == 0 : strcmp(property, name) == 0;
}

static bool breaks(enum rule rule, const char *value)
{
	switch (rule) {
	case NEVER: return true;
	case UNLESS_FALSE: return strcasecmp(value, "false") != 0;
	case UNLESS_NONE: return value[0] != '\0' && strcasecmp(value, "none") != 0;
	case UNLESS_CLASSIC: return strcasecmp(value, "classic") != 0;
	}
	return true;
}

static enum gm_code check_properties(const struct gm_delta_head *head, struct gm_error *err)
{
	int64_t unused;
	for (size_t i = 0; i < head->properties.count; i++) {
		const struct gm_delta_pair *property = &head->properties.pair[i];
		if (property->value == NULL) continue;
		for (size_t k = 0; k < sizeof refused / sizeof refused[0]; k++)
			if (is_named(property->name, refused[k].name) && breaks(refused[k].rule, property->value))
				return refuse("property", property->name, err);
	}
	/* What we honour must be something we understand. */
	GM_TRY(gm_delta_property_int(head, "delta.checkpointInterval", 1, &unused, err));
	GM_TRY(gm_delta_property_interval(head, "delta.logRetentionDuration", 0, &unused, err));
	return gm_delta_property_interval(head, "delta.deletedFileRetentionDuration", 0, &unused, err);
}

/* --- Schema ------------------------------------------------------------------------------------------------------- */

static enum gm_code check_field(const json_t *field, struct gm_error *err)
{
	static const char *const prefixes[] = {"delta.invariants", "delta.generationExpression", "delta.identity.",
	                                       "CURRENT_DEFAULT", "delta.typeChanges"};
	json_t *metadata = json_object_get(field, "metadata"), *value;
	const char *key, *name = json_string_value(json_object_get(field, "name"));
	json_object_foreach(metadata, key, value)
	{
		for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
			if (strncmp(key, prefixes[i], strlen(prefixes[i])) != 0) continue;
			char text[200];
			(void)snprintf(text, sizeof text, "\"%.90s\" with its %.60s", name != NULL ? name : "", key);
			return refuse("column", text, err);
		}
	}
	return GM_OK;
}

/* What lies in a value of the schema goes to the end of `work`. */
static enum gm_code push_inner(json_t *work, const json_t *value, struct gm_error *err)
{
	json_t *inner;
	const char *key;
	size_t i;
	int failed = 0;
	json_object_foreach((json_t *)value, key, inner) if (json_is_object(inner) || json_is_array(inner)) failed |=
	    json_array_append(work, inner);
	json_array_foreach(value, i, inner) if (json_is_object(inner)) failed |= json_array_append(work, inner);
	if (failed != 0) GM_FAIL(err, GM_NOMEM, "out of memory for the table's schema");
	return GM_OK;
}

/* Fields at any depth: structs in arrays in maps. */
static enum gm_code check_fields(const json_t *schema, struct gm_error *err)
{
	json_t *work = json_array();
	enum gm_code code = GM_OK;
	if (work == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the table's schema");
	code = push_inner(work, schema, err);
	for (size_t i = 0; i < json_array_size(work) && code == GM_OK; i++) {
		const json_t *value = json_array_get(work, i);
		code = check_field(value, err);
		if (code == GM_OK) code = push_inner(work, value, err);
	}
	json_decref(work);
	return code;
}

static enum gm_code check_schema(const struct gm_delta_head *head, struct gm_error *err)
{
	json_t *schema, *fields;
	GM_TRY(gm_delta_schema_parse(head->public.schema, &schema, &fields, err));
	enum gm_code code = check_fields(schema, err);
	json_decref(schema);
	return code;
}

enum gm_code gm_delta_check_writable(const struct gm_delta_log *log, struct gm_error *err)
{
	const struct gm_delta_head *head = &log->head;
	GM_TRY(check_protocol(head, err));
	if (strcmp(head->provider, "parquet") != 0) return refuse("file format", head->provider, err);
	GM_TRY(check_properties(head, err));
	return check_schema(head, err);
}

bool gm_delta_checkpoint_due(const struct gm_delta_log *log)
{
	int64_t interval;
	if (gm_delta_property_int(&log->head, "delta.checkpointInterval", 10, &interval, NULL) != GM_OK) interval = 10;
	/* Whoever sees the table first at or after a multiple writes it: the runner that committed the multiple may be
	 * dead. */
	return log->version - (log->checkpoint > 0 ? log->checkpoint : 0) >= interval;
}
