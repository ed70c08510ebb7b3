/* The head of a snapshot: its metaData and protocol, and the properties among its configuration.
 *
 * Of the protocol we read version 1. What a reader must know for more (column mapping, deletion vectors, a second kind
 * of checkpoints, ...) would change which rows the files hold, so such a table is not opened at all. */
#include "table/delta_internal.h"

#include <stdlib.h>
#include <string.h>

enum {
	READER_VERSION = 1,
	COLUMNS_MAX = 1000, /* of a partition */
};

void gm_delta_head_init(struct gm_delta_head *head)
{
	*head = (struct gm_delta_head){0};
	gm_arena_init(&head->arena, 4096);
}

void gm_delta_head_release(struct gm_delta_head *head)
{
	json_decref(head->metadata);
	json_decref(head->protocol);
	gm_arena_release(&head->arena);
}

void gm_delta_head_note(struct gm_delta_head *head, const struct gm_delta_action *action)
{
	json_t **place = action->kind == GM_DELTA_METADATA ? &head->metadata : &head->protocol;
	if (action->kind != GM_DELTA_METADATA && action->kind != GM_DELTA_PROTOCOL) return;
	json_decref(*place);
	*place = json_incref(action->json);
}

/* --- protocol ----------------------------------------------------------------------------------------------------- */

static enum gm_code read_features(struct gm_delta_head *head, const char *member, const char **names,
                                  struct gm_error *err)
{
	json_t *list = json_object_get(head->protocol, member), *value;
	size_t i;
	if (list == NULL || json_is_null(list)) return GM_OK;
	if (!json_is_array(list)) GM_FAIL(err, GM_CORRUPT, "\"%s\" is not a list", member);
	json_array_foreach(list, i, value)
	{
		if (!json_is_string(value)) GM_FAIL(err, GM_CORRUPT, "\"%s\" is not a list of strings", member);
		names[head->feature_count++] = json_string_value(value);
	}
	return GM_OK;
}

static enum gm_code read_protocol(struct gm_delta_head *head, struct gm_error *err)
{
	if (head->protocol == NULL) GM_FAIL(err, GM_CORRUPT, "the Delta log has no protocol action");
	GM_TRY(gm_delta_member_int(head->protocol, "minReaderVersion", true, &head->reader, NULL, err));
	GM_TRY(gm_delta_member_int(head->protocol, "minWriterVersion", true, &head->writer, NULL, err));
	size_t room = json_array_size(json_object_get(head->protocol, "readerFeatures")) +
	              json_array_size(json_object_get(head->protocol, "writerFeatures"));
	const char **names = gm_arena_alloc(&head->arena, (room + 1) * sizeof *names);
	if (names == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the features of a table");
	head->features = names;
	GM_TRY(read_features(head, "readerFeatures", names, err));
	size_t for_readers = head->feature_count;
	GM_TRY(read_features(head, "writerFeatures", names, err));
	if (head->reader <= READER_VERSION && for_readers == 0) return GM_OK;
	(void)gm_error_set(err, GM_UNSUPPORTED, "the table asks for reader version %lld of the Delta protocol%s%.100s",
	                   (long long)head->reader, for_readers > 0 ? " and its feature " : "",
	                   for_readers > 0 ? names[0] : "");
	return gm_error_hint(err, GM_UNSUPPORTED, "this version reads tables of reader version %d", READER_VERSION);
}

/* --- metaData ----------------------------------------------------------------------------------------------------- */

static enum gm_code read_columns(struct gm_delta_head *head, struct gm_error *err)
{
	json_t *list = json_object_get(head->metadata, "partitionColumns"), *value;
	size_t i;
	if (!json_is_array(list)) GM_FAIL(err, GM_CORRUPT, "\"partitionColumns\" is not a list");
	if (json_array_size(list) > COLUMNS_MAX)
		GM_FAIL(err, GM_UNSUPPORTED, "the table has more than %d partition columns", COLUMNS_MAX);
	const char **names = gm_arena_alloc(&head->arena, (json_array_size(list) + 1) * sizeof *names);
	if (names == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the partition columns of a table");
	json_array_foreach(list, i, value)
	{
		names[i] = json_string_value(value);
		if (names[i] == NULL || names[i][0] == '\0' || strlen(names[i]) != json_string_length(value))
			GM_FAIL(err, GM_CORRUPT, "\"partitionColumns\" is not a list of names");
		for (size_t k = 0; k < i; k++)
			if (strcmp(names[k], names[i]) == 0)
				GM_FAIL(err, GM_CORRUPT, "\"partitionColumns\" names \"%s\" twice", names[i]);
	}
	head->public.partition_columns = names;
	head->public.partition_count = json_array_size(list);
	return GM_OK;
}

static enum gm_code read_configuration(struct gm_delta_head *head, struct gm_error *err)
{
	GM_TRY(gm_delta_member_pairs(head->metadata, "configuration", &head->arena, &head->properties, err));
	head->properties.present = true;
	return gm_delta_pairs_text(&head->properties, &head->arena, &head->public.configuration, err);
}

enum gm_code gm_delta_head_read_metadata(struct gm_delta_head *head, struct gm_error *err)
{
	struct gm_delta_metadata *public = &head->public;
	const json_t *json = head->metadata, *format = json_object_get(json, "format");
	*public = (struct gm_delta_metadata){0};
	if (json == NULL) GM_FAIL(err, GM_CORRUPT, "the Delta log has no metaData action");
	GM_TRY(gm_delta_member_text(json, "id", true, &public->id, err));
	GM_TRY(gm_delta_member_text(json, "name", false, &public->name, err));
	GM_TRY(gm_delta_member_text(json, "description", false, &public->description, err));
	GM_TRY(gm_delta_member_text(json, "schemaString", true, &public->schema, err));
	GM_TRY(gm_delta_member_int(json, "createdTime", false, &public->created_ms, NULL, err));
	GM_TRY(gm_delta_member_text(format, "provider", true, &head->provider, err));
	if (public->name == NULL) public->name = "";
	if (public->description == NULL) public->description = "";
	GM_TRY(read_columns(head, err));
	return read_configuration(head, err);
}

enum gm_code gm_delta_head_read(struct gm_delta_head *head, struct gm_error *err)
{
	GM_TRY(read_protocol(head, err));
	return gm_delta_head_read_metadata(head, err);
}

/* --- Properties --------------------------------------------------------------------------------------------------- */

static const char *find_property(const struct gm_delta_head *head, const char *name)
{
	for (size_t i = 0; i < head->properties.count; i++)
		if (strcmp(head->properties.pair[i].name, name) == 0) return head->properties.pair[i].value;
	return NULL;
}

const char *gm_delta_property(const struct gm_delta_log *log, const char *name)
{
	return find_property(&log->head, name);
}

bool gm_delta_property_true(const struct gm_delta_head *head, const char *name, bool absent)
{
	const char *text = find_property(head, name);
	return text != NULL ? strcasecmp(text, "true") == 0 : absent;
}

static enum gm_code bad_property(const char *name, const char *text, const char *kind, struct gm_error *err)
{
	return gm_error_set(err, GM_UNSUPPORTED, "the table's property %s is \"%.100s\", which is not %s", name, text,
	                    kind);
}

static bool take_int(const char **text, int64_t *out)
{
	int64_t n = 0;
	const char *at = *text;
	while (*at >= '0' && *at <= '9') {
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *at - '0', &n)) return false;
		at++;
	}
	*out = n;
	bool some = at > *text;
	*text = at;
	return some;
}

enum gm_code gm_delta_property_int(const struct gm_delta_head *head, const char *name, int64_t absent, int64_t *out,
                                   struct gm_error *err)
{
	const char *text = find_property(head, name), *at = text;
	*out = absent;
	if (text == NULL) return GM_OK;
	if (take_int(&at, out) && *at == '\0' && *out > 0) return GM_OK;
	return bad_property(name, text, "a number above 0", err);
}

/* "interval 30 days", "1 week 12 hours": what Spark calls a calendar interval, without months and years, whose length
 * is not fixed. */
static bool parse_interval(const char *at, int64_t *ms)
{
	static const struct {
		const char *name;
		int64_t us;
	} units[] = {{"microsecond", 1},
	             {"millisecond", 1000},
	             {"second", 1000000},
	             {"minute", 60000000},
	             {"hour", INT64_C(3600000000)},
	             {"day", INT64_C(86400000000)},
	             {"week", INT64_C(604800000000)}};
	int64_t total = 0, n;
	bool some = false;
	at += strspn(at, " ");
	if (strncasecmp(at, "interval", 8) == 0) at += 8;
	for (at += strspn(at, " "); *at != '\0'; at += strspn(at, " ")) {
		size_t unit = 0, count = sizeof units / sizeof units[0];
		if (!take_int(&at, &n)) return false;
		at += strspn(at, " ");
		while (unit < count && strncasecmp(at, units[unit].name, strlen(units[unit].name)) != 0) unit++;
		if (unit == count || __builtin_mul_overflow(n, units[unit].us, &n) || __builtin_add_overflow(total, n, &total))
			return false;
		at += strlen(units[unit].name);
		at += *at == 's' || *at == 'S';
		if (*at != ' ' && *at != '\0') return false;
		some = true;
	}
	*ms = total / 1000;
	return some;
}

enum gm_code gm_delta_property_interval(const struct gm_delta_head *head, const char *name, int64_t absent_ms,
                                        int64_t *out, struct gm_error *err)
{
	const char *text = find_property(head, name);
	*out = absent_ms;
	if (text == NULL || parse_interval(text, out)) return GM_OK;
	return bad_property(name, text, "a length of time such as \"interval 30 days\"", err);
}
