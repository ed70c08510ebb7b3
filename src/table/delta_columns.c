/* The columns of a table's schema as Hive knows them. Spark's names of types and Hive's:
 *
 *     string, boolean, double, float, date, binary, decimal(p,s)      the same
 *     long -> bigint, integer -> int, short -> smallint, byte -> tinyint, timestamp, timestamp_ntz -> timestamp
 *     {"type":"array","elementType":T}                                array<T>
 *     {"type":"map","keyType":K,"valueType":V}                        map<K,V>
 *     {"type":"struct","fields":[{"name":N,"type":T}, ...]}           struct<N:T,...>
 *
 * A Hive type is one text without quotes, so the names inside a struct must be plain words. */
#include "table/delta_internal.h"

#include <ctype.h>
#include <string.h>

enum { DEPTH_MAX = 30, TYPE_BYTES_MAX = 64 << 10 };

static const struct {
	const char *delta, *hive;
	bool ours;
	enum gm_type type;
} names[] = {
    {"boolean", "boolean", true, GM_TYPE_BOOLEAN},
    {"integer", "int", true, GM_TYPE_INT},
    {"long", "bigint", true, GM_TYPE_BIGINT},
    {"double", "double", true, GM_TYPE_DOUBLE},
    {"string", "string", true, GM_TYPE_STRING},
    {"date", "date", true, GM_TYPE_DATE},
    {"timestamp", "timestamp", true, GM_TYPE_TIMESTAMP},
    {"timestamp_ntz", "timestamp", false, 0},
    {"byte", "tinyint", false, 0},
    {"short", "smallint", false, 0},
    {"float", "float", false, 0},
    {"binary", "binary", false, 0},
};
enum { NAMES = sizeof names / sizeof names[0] };

static bool is_decimal(const char *name)
{
	static const char digits[] = "0123456789";
	if (strncmp(name, "decimal(", 8) != 0) return false;
	const char *comma = name + 8 + strspn(name + 8, digits);
	if (*comma != ',' || comma == name + 8 || comma > name + 10) return false;
	size_t scale = strspn(comma + 1, digits);
	return scale > 0 && scale <= 2 && strcmp(comma + 1 + scale, ")") == 0;
}

static bool is_word(const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '_') return false;
	return n > 0;
}

/* --- Types -------------------------------------------------------------------------------------------------------- */

static enum gm_code put_type(const json_t *type, int depth, struct gm_buf *out, bool *fits, struct gm_error *err);

static enum gm_code put_text(const char *text, struct gm_buf *out, struct gm_error *err)
{
	return gm_buf_append(out, text, strlen(text), err);
}

static enum gm_code put_scalar(const char *name, struct gm_buf *out, bool *fits, struct gm_error *err)
{
	for (size_t i = 0; i < NAMES; i++)
		if (strcmp(names[i].delta, name) == 0) return put_text(names[i].hive, out, err);
	if (is_decimal(name)) return put_text(name, out, err);
	*fits = false;
	return GM_OK;
}

static enum gm_code put_struct(const json_t *type, int depth, struct gm_buf *out, bool *fits, struct gm_error *err)
{
	const json_t *fields = json_object_get(type, "fields"), *field;
	size_t i;
	*fits = json_array_size(fields) > 0;
	GM_TRY(put_text("struct<", out, err));
	json_array_foreach(fields, i, field)
	{
		const char *name = json_string_value(json_object_get(field, "name"));
		*fits = *fits && name != NULL && is_word(name);
		if (!*fits) return GM_OK;
		if (i > 0) GM_TRY(put_text(",", out, err));
		for (; *name != '\0'; name++) GM_TRY(gm_buf_append(out, &(char){(char)tolower((unsigned char)*name)}, 1, err));
		GM_TRY(put_text(":", out, err));
		GM_TRY(put_type(json_object_get(field, "type"), depth + 1, out, fits, err));
	}
	return put_text(">", out, err);
}

/* *fits: false if Hive has no such type, or nobody knows it; it stays false. */
static enum gm_code put_type(const json_t *type, int depth, struct gm_buf *out, bool *fits, struct gm_error *err)
{
	const char *name = json_string_value(json_is_object(type) ? json_object_get(type, "type") : type);
	*fits = *fits && name != NULL && depth < DEPTH_MAX && out->len < TYPE_BYTES_MAX;
	if (!*fits) return GM_OK;
	if (!json_is_object(type)) return put_scalar(name, out, fits, err);
	if (strcmp(name, "struct") == 0) return put_struct(type, depth, out, fits, err);
	if (strcmp(name, "array") == 0) {
		GM_TRY(put_text("array<", out, err));
		GM_TRY(put_type(json_object_get(type, "elementType"), depth + 1, out, fits, err));
		return put_text(">", out, err);
	}
	*fits = strcmp(name, "map") == 0;
	GM_TRY(put_text("map<", out, err));
	GM_TRY(put_type(json_object_get(type, "keyType"), depth + 1, out, fits, err));
	GM_TRY(put_text(",", out, err));
	GM_TRY(put_type(json_object_get(type, "valueType"), depth + 1, out, fits, err));
	return put_text(">", out, err);
}

/* --- Columns ------------------------------------------------------------------------------------------------------ */

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the table's columns");
}

static char *copy(struct gm_arena *arena, const char *text)
{
	return gm_arena_strndup(arena, text, strlen(text));
}

static enum gm_code read_column(const json_t *field, struct gm_arena *arena, struct gm_buf *text,
                                struct gm_delta_column *out, struct gm_error *err)
{
	const json_t *type = json_object_get(field, "type");
	const char *comment = json_string_value(json_object_get(json_object_get(field, "metadata"), "comment"));
	const char *name = json_is_string(type) ? json_string_value(type) : "";
	bool fits = true;
	*out = (struct gm_delta_column){.name = copy(arena, json_string_value(json_object_get(field, "name"))),
	                                .comment = copy(arena, comment != NULL ? comment : "")};
	if (out->name == NULL || out->comment == NULL) return out_of_memory(err);
	for (size_t i = 0; i < NAMES && !out->ours; i++) {
		if (strcmp(names[i].delta, name) != 0 || !names[i].ours) continue;
		out->ours = true;
		out->type = names[i].type;
	}
	text->len = 0;
	GM_TRY(put_type(type, 0, text, &fits, err));
	GM_TRY(gm_buf_append(text, "", 1, err));
	if (!fits) return GM_OK;
	out->hive_type = copy(arena, (const char *)text->data);
	return out->hive_type != NULL ? GM_OK : out_of_memory(err);
}

enum gm_code gm_delta_columns(const struct gm_delta_metadata *metadata, struct gm_arena *arena,
                              struct gm_delta_column **columns, size_t *count, struct gm_error *err)
{
	json_t *schema, *fields, *field;
	struct gm_buf text;
	enum gm_code rc = GM_OK;
	size_t i;
	*count = 0;
	GM_TRY(gm_delta_schema_parse(metadata->schema, &schema, &fields, err));
	gm_buf_init(&text, 2 * (size_t)TYPE_BYTES_MAX);
	*columns = gm_arena_zalloc(arena, (json_array_size(fields) + 1) * sizeof **columns);
	if (*columns == NULL) GM_TRY_OUT(out_of_memory(err));
	json_array_foreach(fields, i, field)
	{
		GM_TRY_OUT(read_column(field, arena, &text, &(*columns)[i], err));
		*count = i + 1;
	}
out:
	gm_buf_release(&text);
	json_decref(schema);
	return rc;
}
