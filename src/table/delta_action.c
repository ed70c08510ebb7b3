/* Actions out of JSON: a line is an object with one member, whose name says what the action is.
 *
 *     {"commitInfo":{"timestamp":...,"operation":...}}        who did it: any JSON, first in the entry
 *     {"protocol":{"minReaderVersion":1,"minWriterVersion":2}}
 *     {"metaData":{"id":...,"schemaString":...,"partitionColumns":[...],"configuration":{...}}}
 *     {"txn":{"appId":...,"version":...}}
 *     {"add":{"path":...,"partitionValues":{...},"size":...,"modificationTime":...,"stats":"..."}}
 *     {"remove":{"path":...,"deletionTimestamp":...}}
 *
 * Members and actions that are not known are passed over, as the protocol wants; null is the same as absent. */
#include "table/delta_internal.h"

#include <string.h>

/* --- Members ------------------------------------------------------------------------------------------------------ */

/* The member, NULL if it is null or absent. */
static json_t *member_of(const json_t *object, const char *member)
{
	json_t *value = json_object_get(object, member);
	return json_is_null(value) ? NULL : value;
}

static enum gm_code wrong(const char *member, const char *kind, bool missing, struct gm_error *err)
{
	if (missing) GM_FAIL(err, GM_CORRUPT, "\"%s\" is missing", member);
	GM_FAIL(err, GM_CORRUPT, "\"%s\" is not %s", member, kind);
}

enum gm_code gm_delta_member_text(const json_t *object, const char *member, bool required, const char **out,
                                  struct gm_error *err)
{
	const json_t *value = member_of(object, member);
	*out = json_string_value(value);
	if (value == NULL) return required ? wrong(member, "", true, err) : GM_OK;
	if (*out == NULL) return wrong(member, "a string", false, err);
	if (strlen(*out) != json_string_length(value)) return wrong(member, "text: it holds a NUL", false, err);
	return GM_OK;
}

enum gm_code gm_delta_member_int(const json_t *object, const char *member, bool required, int64_t *out, bool *present,
                                 struct gm_error *err)
{
	const json_t *value = member_of(object, member);
	*out = json_integer_value(value);
	if (present != NULL) *present = value != NULL;
	if (value == NULL) return required ? wrong(member, "", true, err) : GM_OK;
	return json_is_integer(value) ? GM_OK : wrong(member, "a 64-bit integer", false, err);
}

static enum gm_code member_bool(const json_t *object, const char *member, bool absent, bool *out, struct gm_error *err)
{
	const json_t *value = member_of(object, member);
	*out = value == NULL ? absent : json_is_true(value);
	return value == NULL || json_is_boolean(value) ? GM_OK : wrong(member, "true or false", false, err);
}

enum gm_code gm_delta_member_pairs(const json_t *object, const char *member, struct gm_arena *arena,
                                   struct gm_delta_pairs *out, struct gm_error *err)
{
	json_t *map = member_of(object, member), *value;
	const char *name;
	*out = (struct gm_delta_pairs){.present = map != NULL};
	if (map == NULL) return GM_OK;
	if (!json_is_object(map)) return wrong(member, "a map", false, err);
	out->pair = gm_arena_alloc(arena, (json_object_size(map) + 1) * sizeof *out->pair);
	if (out->pair == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a map of the Delta log");
	json_object_foreach(map, name, value)
	{
		if (!json_is_string(value) && !json_is_null(value)) return wrong(member, "a map of strings", false, err);
		out->pair[out->count++] = (struct gm_delta_pair){name, json_string_value(value), json_string_length(value)};
	}
	return GM_OK;
}

enum gm_code gm_delta_pairs_text(const struct gm_delta_pairs *pairs, struct gm_arena *arena, const char **out,
                                 struct gm_error *err)
{
	struct gm_buf text;
	*out = NULL;
	if (!pairs->present) return GM_OK;
	json_t *object = json_object();
	int failed = object == NULL;
	for (size_t i = 0; i < pairs->count && failed == 0; i++) {
		const struct gm_delta_pair *pair = &pairs->pair[i];
		json_t *value = pair->value == NULL ? json_null() : json_stringn(pair->value, pair->bytes);
		failed = value == NULL || json_object_set_new(object, pair->name, value) != 0;
	}
	gm_buf_init(&text, SIZE_MAX / 2); /* it came out of a line, which has a limit */
	enum gm_code code = gm_json_text(failed == 0 ? object : NULL, &text, err);
	if (code == GM_OK) *out = gm_arena_strndup(arena, (const char *)text.data, text.len);
	if (code == GM_OK && *out == NULL) code = gm_error_set(err, GM_NOMEM, "out of memory for a map of the Delta log");
	gm_buf_release(&text);
	json_decref(object);
	return code;
}

/* --- Files -------------------------------------------------------------------------------------------------------- */

/* "s3://bucket/f", "file:/f": letters, digits and "+-." before a colon. */
static bool has_scheme(const char *uri)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-.";
	size_t n = strspn(uri, letters);
	return n > 0 && uri[n] == ':';
}

enum gm_code gm_delta_file_locate(struct gm_delta_file_action *file, struct gm_arena *arena, struct gm_error *err)
{
	size_t bytes;
	char *path = gm_delta_uri_unescape(file->uri, arena, &bytes);
	if (path == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a file's path");
	bool inside = strlen(path) == bytes && gm_store_key_valid(path) && !has_scheme(file->uri);
	file->path = inside ? path : gm_arena_printf(arena, "/%s", file->uri);
	if (file->path == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a file's path");
	return GM_OK;
}

static enum gm_code parse_file(const json_t *json, bool add, unsigned wanted, struct gm_arena *arena,
                               struct gm_delta_file_action *file, struct gm_error *err)
{
	int64_t bytes;
	*file = (struct gm_delta_file_action){0};
	if (member_of(json, "deletionVector") != NULL)
		GM_FAIL(err, GM_UNSUPPORTED, "a file has a deletion vector, which this version cannot read");
	GM_TRY(gm_delta_member_text(json, "path", true, &file->uri, err));
	GM_TRY(gm_delta_file_locate(file, arena, err));
	GM_TRY(gm_delta_member_pairs(json, "partitionValues", arena, &file->partition, err));
	GM_TRY(gm_delta_member_int(json, "size", add, &bytes, &file->has_bytes, err));
	if (bytes < 0) GM_FAIL(err, GM_CORRUPT, "\"size\" is negative");
	file->bytes = (uint64_t)bytes;
	GM_TRY(gm_delta_member_int(json, add ? "modificationTime" : "deletionTimestamp", add, &file->time_ms, NULL, err));
	GM_TRY(member_bool(json, "dataChange", true, &file->data_change, err));
	GM_TRY(member_bool(json, "extendedFileMetadata", false, &file->extended, err));
	if ((wanted & GM_DELTA_WANT_DETAILS) == 0) return GM_OK;
	GM_TRY(gm_delta_member_text(json, "stats", false, &file->stats, err));
	return gm_delta_member_pairs(json, "tags", arena, &file->tags, err);
}

static enum gm_code parse_app(const json_t *json, struct gm_delta_app *app, struct gm_error *err)
{
	GM_TRY(gm_delta_member_text(json, "appId", true, &app->id, err));
	GM_TRY(gm_delta_member_int(json, "version", true, &app->version, NULL, err));
	return gm_delta_member_int(json, "lastUpdated", false, &app->updated_ms, &app->has_updated, err);
}

/* --- Lines -------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	enum gm_delta_kind kind;
} kinds[] = {
    {"add", GM_DELTA_ADD}, {"remove", GM_DELTA_REMOVE},     {"commitInfo", GM_DELTA_COMMIT_INFO},
    {"txn", GM_DELTA_TXN}, {"metaData", GM_DELTA_METADATA}, {"protocol", GM_DELTA_PROTOCOL},
};

enum gm_code gm_delta_json(const char *text, size_t bytes, size_t flags, json_t **out, struct gm_error *err)
{
	json_error_t why;
	*out = gm_json_load(text, bytes, flags | JSON_REJECT_DUPLICATES, &why);
	/* jansson refuses a whole text for one integer that is too large. Such a one may stand where nobody looks; where a
	 * number means something, what is not an integer is refused then. */
	if (*out == NULL && json_error_code(&why) == json_error_numeric_overflow)
		*out = gm_json_load(text, bytes, flags | JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &why);
	if (*out != NULL) return GM_OK;
	if (json_error_code(&why) == json_error_out_of_memory) GM_FAIL(err, GM_NOMEM, "out of memory for JSON");
	(void)gm_error_set(err, GM_CORRUPT, "it is not JSON: %s", why.text);
	if (err != NULL) err->column = why.column;
	return GM_CORRUPT;
}

/* The one action of an object that is not null. */
static enum gm_code pick(const json_t *document, enum gm_delta_kind *kind, json_t **json, struct gm_error *err)
{
	*kind = GM_DELTA_NOTHING;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		json_t *value = member_of(document, kinds[i].name);
		if (value == NULL) continue;
		if (*kind != GM_DELTA_NOTHING) GM_FAIL(err, GM_CORRUPT, "there are two actions on one line");
		if (!json_is_object(value)) return wrong(kinds[i].name, "an object", false, err);
		*kind = kinds[i].kind;
		*json = value;
	}
	return GM_OK;
}

enum gm_code gm_delta_action_parse(const char *line, size_t bytes, unsigned wanted, struct gm_arena *arena,
                                   struct gm_delta_action *out, json_t **document, struct gm_error *err)
{
	json_t *json = NULL;
	*out = (struct gm_delta_action){0};
	GM_TRY(gm_delta_json(line, bytes, JSON_ALLOW_NUL, document, err));
	if (!json_is_object(*document)) return wrong("action", "an object", false, err);
	GM_TRY(pick(*document, &out->kind, &json, err));
	if ((wanted & 1u << out->kind) == 0) out->kind = GM_DELTA_NOTHING;
	switch (out->kind) {
	case GM_DELTA_NOTHING: return GM_OK;
	case GM_DELTA_ADD:
	case GM_DELTA_REMOVE: return parse_file(json, out->kind == GM_DELTA_ADD, wanted, arena, &out->file, err);
	case GM_DELTA_TXN: return parse_app(json, &out->app, err);
	default: out->json = json; return GM_OK;
	}
}
