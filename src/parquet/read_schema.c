/* read_schema.c - the schema of a file that somebody wrote: leaves, and what their values become.
 *
 * The schema is a list of elements in depth-first order; a group tells how many children follow it. The annotation of a
 * leaf is a LogicalType or, of older writers, a ConvertedType. Only annotations that decide how values are read matter
 * here; lists and maps are what the levels say. */
#include "parquet/read.h"

#include <stdio.h>
#include <string.h>

struct element {
	bool has_type, has_children, has_repetition, has_converted;
	int32_t type, type_length, repetition, children, converted, precision, scale;
	struct gm_bytes name;
	int16_t logical; /* enum gm_format_logical; 0: none */
	int16_t unit;    /* of TIME and TIMESTAMP: enum gm_format_unit */
	int8_t bits;     /* of INTEGER */
	bool is_signed;
};

/* The groups that are open at a place in the list. */
struct open_groups {
	const char *name[GM_READ_DEPTH];
	int32_t left[GM_READ_DEPTH]; /* children still to come */
	uint8_t definition[GM_READ_DEPTH], repetition[GM_READ_DEPTH];
	unsigned depth; /* the root included, whose name is left out */
};
struct leaf_node {
	struct gm_parquet_leaf leaf;
	enum gm_read_kind kind;
	struct leaf_node *next;
};

/* --- Elements ----------------------------------------------------------------------------------------------------- */

static void read_timed(struct gm_thrift_in *in, const struct gm_thrift_field *field, struct element *out)
{
	struct gm_thrift_field member = {0};
	if (!gm_thrift_get_struct(in, field)) return;
	while (gm_thrift_next(in, &member)) {
		if (member.id == 2)
			out->unit = gm_thrift_get_choice(in, &member);
		else
			gm_thrift_skip(in, &member);
	}
}

static void read_integer(struct gm_thrift_in *in, const struct gm_thrift_field *field, struct element *out)
{
	struct gm_thrift_field member = {0};
	if (!gm_thrift_get_struct(in, field)) return;
	while (gm_thrift_next(in, &member)) {
		switch (member.id) {
		case 1: out->bits = gm_thrift_get_i8(in, &member); break;
		case 2: out->is_signed = gm_thrift_get_bool(in, &member); break;
		default: gm_thrift_skip(in, &member);
		}
	}
}

static void read_decimal(struct gm_thrift_in *in, const struct gm_thrift_field *field, struct element *out)
{
	struct gm_thrift_field member = {0};
	if (!gm_thrift_get_struct(in, field)) return;
	while (gm_thrift_next(in, &member)) {
		switch (member.id) {
		case 1: out->scale = gm_thrift_get_i32(in, &member); break;
		case 2: out->precision = gm_thrift_get_i32(in, &member); break;
		default: gm_thrift_skip(in, &member);
		}
	}
}

static void read_logical(struct gm_thrift_in *in, const struct gm_thrift_field *field, struct element *out)
{
	struct gm_thrift_field member = {0};
	if (!gm_thrift_get_struct(in, field)) return;
	while (gm_thrift_next(in, &member)) {
		out->logical = member.id;
		switch (member.id) {
		case GM_FORMAT_LOGICAL_DECIMAL: read_decimal(in, &member, out); break;
		case GM_FORMAT_LOGICAL_TIME:
		case GM_FORMAT_LOGICAL_TIMESTAMP: read_timed(in, &member, out); break;
		case GM_FORMAT_LOGICAL_INTEGER: read_integer(in, &member, out); break;
		default: gm_thrift_skip(in, &member);
		}
	}
}

/* Says in the words of LogicalType what a ConvertedType says. */
static void logical_of_converted(struct element *e)
{
	static const int16_t same[] = {
	    [GM_FORMAT_CONVERTED_UTF8] = GM_FORMAT_LOGICAL_STRING,
	    [GM_FORMAT_CONVERTED_MAP] = GM_FORMAT_LOGICAL_MAP,
	    [GM_FORMAT_CONVERTED_LIST] = GM_FORMAT_LOGICAL_LIST,
	    [GM_FORMAT_CONVERTED_ENUM] = GM_FORMAT_LOGICAL_ENUM,
	    [GM_FORMAT_CONVERTED_DECIMAL] = GM_FORMAT_LOGICAL_DECIMAL,
	    [GM_FORMAT_CONVERTED_DATE] = GM_FORMAT_LOGICAL_DATE,
	    [GM_FORMAT_CONVERTED_TIME_MILLIS] = GM_FORMAT_LOGICAL_TIME,
	    [GM_FORMAT_CONVERTED_TIME_MICROS] = GM_FORMAT_LOGICAL_TIME,
	    [GM_FORMAT_CONVERTED_TIMESTAMP_MILLIS] = GM_FORMAT_LOGICAL_TIMESTAMP,
	    [GM_FORMAT_CONVERTED_TIMESTAMP_MICROS] = GM_FORMAT_LOGICAL_TIMESTAMP,
	    [GM_FORMAT_CONVERTED_JSON] = GM_FORMAT_LOGICAL_JSON,
	    [GM_FORMAT_CONVERTED_BSON] = GM_FORMAT_LOGICAL_BSON,
	};
	int32_t converted = e->converted;
	if (converted >= GM_FORMAT_CONVERTED_UINT_8 && converted < GM_FORMAT_CONVERTED_INT_8 + 4) {
		e->logical = GM_FORMAT_LOGICAL_INTEGER;
		e->is_signed = converted >= GM_FORMAT_CONVERTED_INT_8;
		e->bits = (int8_t)(8 << (converted - GM_FORMAT_CONVERTED_UINT_8) % 4);
		return;
	}
	bool known = converted >= 0 && (size_t)converted < sizeof same / sizeof same[0] && same[converted] != 0;
	e->logical = known ? same[converted] : -1;
	e->unit = converted == GM_FORMAT_CONVERTED_TIME_MILLIS || converted == GM_FORMAT_CONVERTED_TIMESTAMP_MILLIS
	              ? GM_FORMAT_MILLIS
	              : GM_FORMAT_MICROS;
}

static void read_element(struct gm_thrift_in *in, const struct gm_thrift_field *field, struct element *out)
{
	struct gm_thrift_field member = {0};
	*out = (struct element){0};
	if (!gm_thrift_get_struct(in, field)) return;
	while (gm_thrift_next(in, &member)) {
		switch (member.id) {
		case 1:
			out->type = gm_thrift_get_i32(in, &member);
			out->has_type = true;
			break;
		case 2: out->type_length = gm_thrift_get_i32(in, &member); break;
		case 3:
			out->repetition = gm_thrift_get_i32(in, &member);
			out->has_repetition = true;
			break;
		case 4: out->name = gm_thrift_get_binary(in, &member); break;
		case 5:
			out->children = gm_thrift_get_i32(in, &member);
			out->has_children = true;
			break;
		case 6:
			out->converted = gm_thrift_get_i32(in, &member);
			out->has_converted = true;
			break;
		case 7: out->scale = gm_thrift_get_i32(in, &member); break;
		case 8: out->precision = gm_thrift_get_i32(in, &member); break;
		case 10: read_logical(in, &member, out); break;
		default: gm_thrift_skip(in, &member);
		}
	}
	if (out->logical == 0 && out->has_converted) logical_of_converted(out);
}

/* --- Types -------------------------------------------------------------------------------------------------------- */

/* Types of INT32 and INT64: 0 when the annotation does not belong to them, or is not known. */
static enum gm_read_kind integer_kind(const struct element *e, enum gm_type *type)
{
	bool wide = e->type == GM_FORMAT_INT64;
	*type = wide ? GM_TYPE_BIGINT : GM_TYPE_INT;
	switch (e->logical) {
	case 0:
	case GM_FORMAT_LOGICAL_UNKNOWN: return wide ? GM_READ_INT64 : GM_READ_INT32; /* UNKNOWN: nothing but nulls */
	case GM_FORMAT_LOGICAL_DATE: *type = GM_TYPE_DATE; return wide ? GM_READ_REFUSED : GM_READ_INT32;
	case GM_FORMAT_LOGICAL_TIMESTAMP:
		*type = GM_TYPE_TIMESTAMP;
		if (!wide) return GM_READ_REFUSED;
		if (e->unit == GM_FORMAT_MILLIS) return GM_READ_MILLIS;
		if (e->unit == GM_FORMAT_NANOS) return GM_READ_NANOS;
		return e->unit == GM_FORMAT_MICROS ? GM_READ_INT64 : GM_READ_REFUSED;
	case GM_FORMAT_LOGICAL_INTEGER:
		if (wide) {
			if (e->bits != 64) return GM_READ_REFUSED;
			return e->is_signed ? GM_READ_INT64 : GM_READ_UINT64;
		}
		if (e->bits != 8 && e->bits != 16 && e->bits != 32) return GM_READ_REFUSED;
		if (e->is_signed) return GM_READ_INT32;
		*type = GM_TYPE_BIGINT; /* 32 bits without a sign do not fit an int */
		return GM_READ_UINT32;
	default: return GM_READ_REFUSED;
	}
}

static enum gm_read_kind kind_of(const struct element *e, enum gm_type *type)
{
	bool plain = e->logical == 0 || e->logical == GM_FORMAT_LOGICAL_UNKNOWN;
	switch (e->type) {
	case GM_FORMAT_BOOLEAN: *type = GM_TYPE_BOOLEAN; return plain ? GM_READ_BOOLEAN : GM_READ_REFUSED;
	case GM_FORMAT_INT32:
	case GM_FORMAT_INT64: return integer_kind(e, type);
	case GM_FORMAT_INT96:
		*type = GM_TYPE_TIMESTAMP;
		return plain || e->logical == GM_FORMAT_LOGICAL_TIMESTAMP ? GM_READ_INT96 : GM_READ_REFUSED;
	case GM_FORMAT_FLOAT: *type = GM_TYPE_DOUBLE; return plain ? GM_READ_FLOAT : GM_READ_REFUSED;
	case GM_FORMAT_DOUBLE: *type = GM_TYPE_DOUBLE; return plain ? GM_READ_DOUBLE : GM_READ_REFUSED;
	case GM_FORMAT_BYTE_ARRAY:
		*type = GM_TYPE_STRING;
		return e->logical == GM_FORMAT_LOGICAL_DECIMAL ? GM_READ_REFUSED : GM_READ_STRING;
	default: *type = GM_TYPE_STRING; return GM_READ_REFUSED;
	}
}

/* The annotation in words; "" if there is none. */
static void describe_logical(const struct element *e, char *out, size_t bytes)
{
	static const char *const names[] = {"",     "STRING",    "MAP",      "LIST",     "ENUM",      "DECIMAL", "DATE",
	                                    "TIME", "TIMESTAMP", "INTERVAL", "INTEGER",  "UNKNOWN",   "JSON",    "BSON",
	                                    "UUID", "FLOAT16",   "VARIANT",  "GEOMETRY", "GEOGRAPHY", "FILE"};
	static const char *const units[] = {"?", "MILLIS", "MICROS", "NANOS"};
	if (e->logical < 0 && e->converted == GM_FORMAT_CONVERTED_INTERVAL)
		(void)snprintf(out, bytes, "INTERVAL");
	else if (e->logical < 0 && e->has_converted)
		(void)snprintf(out, bytes, "converted type %d", e->converted);
	else if (e->logical < 0 || (size_t)e->logical >= sizeof names / sizeof names[0])
		(void)snprintf(out, bytes, "logical type %d", e->logical);
	else if (e->logical == GM_FORMAT_LOGICAL_TIME || e->logical == GM_FORMAT_LOGICAL_TIMESTAMP)
		(void)snprintf(out, bytes, "%s(%s)", names[e->logical], units[e->unit > 0 && e->unit <= 3 ? e->unit : 0]);
	else if (e->logical == GM_FORMAT_LOGICAL_INTEGER)
		(void)snprintf(out, bytes, "%s(%d)", e->is_signed ? "INT" : "UINT", e->bits);
	else if (e->logical == GM_FORMAT_LOGICAL_DECIMAL)
		(void)snprintf(out, bytes, "DECIMAL(%d,%d)", e->precision, e->scale);
	else
		(void)snprintf(out, bytes, "%s", names[e->logical]);
}

static enum gm_code describe(struct gm_parquet_reader *reader, const struct element *e, const char **out,
                             struct gm_error *err)
{
	static const char *const names[] = {"BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY"};
	char type[48], logical[48], text[128];
	if (e->type == GM_FORMAT_FIXED)
		(void)snprintf(type, sizeof type, "FIXED_LEN_BYTE_ARRAY(%d)", e->type_length);
	else
		(void)snprintf(type, sizeof type, "%s", names[e->type]);
	describe_logical(e, logical, sizeof logical);
	int n = snprintf(text, sizeof text, logical[0] != '\0' ? "%s (%s)" : "%s", type, logical);
	return gm_read_text(reader, (struct gm_bytes){(const uint8_t *)text, (uint32_t)n}, out, err);
}

/* --- The tree ----------------------------------------------------------------------------------------------------- */

static enum gm_code add_leaf(struct gm_parquet_reader *reader, const struct element *e, const char *name,
                             const struct open_groups *open, uint8_t definition, uint8_t repetition,
                             struct leaf_node **out, struct gm_error *err)
{
	struct leaf_node *node;
	const char **path;
	GM_TRY(gm_read_alloc(reader, 1, sizeof *node, &node, err));
	GM_TRY(gm_read_alloc(reader, open->depth, sizeof *path, &path, err));
	for (unsigned i = 1; i < open->depth; i++) path[i - 1] = open->name[i];
	path[open->depth - 1] = name;
	struct gm_parquet_leaf *leaf = &node->leaf;
	leaf->path = path;
	leaf->depth = (uint8_t)open->depth;
	leaf->max_definition = definition;
	leaf->max_repetition = repetition;
	leaf->physical = (enum gm_parquet_physical)e->type;
	node->kind = kind_of(e, &leaf->type);
	leaf->readable = node->kind != GM_READ_REFUSED;
	leaf->as_stored = node->kind == GM_READ_BOOLEAN || node->kind == GM_READ_INT32 || node->kind == GM_READ_INT64 ||
	                  node->kind == GM_READ_DOUBLE || node->kind == GM_READ_STRING;
	GM_TRY(describe(reader, e, &leaf->described, err));
	*out = node;
	return GM_OK;
}

/* What must be so of any element below the root. */
static void check_element(struct gm_thrift_in *in, const struct element *e)
{
	if (in->rc != GM_OK) return;
	bool group = e->has_children && (e->children > 0 || !e->has_type);
	if (e->name.data == NULL)
		gm_thrift_bad(in, "a column has no name");
	else if (memchr(e->name.data, 0, e->name.len) != NULL)
		gm_thrift_bad(in, "the name of a column holds a NUL byte");
	else if (!e->has_repetition || e->repetition < GM_FORMAT_REQUIRED || e->repetition > GM_FORMAT_REPEATED)
		gm_thrift_bad(in, "column '%.*s' has no known repetition", (int)e->name.len, (const char *)e->name.data);
	else if (group ? e->has_type || e->children < 0 : !e->has_type)
		gm_thrift_bad(in, "column '%.*s' is neither a group nor has a type", (int)e->name.len,
		              (const char *)e->name.data);
	else if (e->has_type && (e->type < GM_FORMAT_BOOLEAN || e->type > GM_FORMAT_FIXED))
		gm_thrift_bad(in, "column '%.*s' has the type %d, which does not exist", (int)e->name.len,
		              (const char *)e->name.data, e->type);
}

static enum gm_code open_group(struct open_groups *open, const struct element *e, const char *name, uint8_t definition,
                               uint8_t repetition, struct gm_error *err)
{
	if (open->depth == GM_READ_DEPTH)
		GM_FAIL(err, GM_UNSUPPORTED, "the columns are nested more than %d deep", GM_READ_DEPTH);
	open->name[open->depth] = name;
	open->left[open->depth] = e->children;
	open->definition[open->depth] = definition;
	open->repetition[open->depth] = repetition;
	open->depth++;
	return GM_OK;
}

/* One element below the root: a group is opened, a leaf is added at *end; then the groups that are complete close. */
static enum gm_code place_element(struct gm_parquet_reader *reader, struct gm_thrift_in *in, const struct element *e,
                                  struct open_groups *open, struct leaf_node ***end, struct gm_error *err)
{
	const char *name;
	check_element(in, e);
	GM_TRY(gm_thrift_close(in));
	GM_TRY(gm_read_text(reader, e->name, &name, err));
	unsigned parent = open->depth - 1;
	uint8_t definition = (uint8_t)(open->definition[parent] + (e->repetition != GM_FORMAT_REQUIRED));
	uint8_t repetition = (uint8_t)(open->repetition[parent] + (e->repetition == GM_FORMAT_REPEATED));
	open->left[parent]--;
	if (e->has_type) {
		GM_TRY(add_leaf(reader, e, name, open, definition, repetition, *end, err));
		*end = &(**end)->next;
		reader->info.leaf_count++;
	} else {
		GM_TRY(open_group(open, e, name, definition, repetition, err));
	}
	/* The root stays open: a list that goes on behind its last child is damaged. */
	while (open->depth > 1 && open->left[open->depth - 1] == 0) open->depth--;
	return GM_OK;
}

static enum gm_code leaves_of_list(struct gm_parquet_reader *reader, const struct leaf_node *first,
                                   struct gm_error *err)
{
	struct gm_parquet_leaf *leaves;
	enum gm_read_kind *kinds;
	GM_TRY(gm_read_alloc(reader, reader->info.leaf_count, sizeof *leaves, &leaves, err));
	GM_TRY(gm_read_alloc(reader, reader->info.leaf_count, sizeof *kinds, &kinds, err));
	for (size_t i = 0; first != NULL; first = first->next, i++) {
		leaves[i] = first->leaf;
		kinds[i] = first->kind;
	}
	reader->info.leaves = leaves;
	reader->kinds = kinds;
	return GM_OK;
}

enum gm_code gm_read_schema(struct gm_parquet_reader *reader, struct gm_thrift_in *in,
                            const struct gm_thrift_field *field, struct gm_error *err)
{
	struct gm_thrift_field item;
	struct element e;
	struct open_groups open = {0};
	struct leaf_node *first = NULL, **end = &first;
	uint32_t count = gm_thrift_get_list(in, field, GM_THRIFT_STRUCT, &item);
	reader->info.leaf_count = 0;
	if (count == 0) gm_thrift_bad(in, "the schema is empty");
	read_element(in, &item, &e);
	if (e.has_type || e.children < 0) gm_thrift_bad(in, "the root of the schema is not a group");
	GM_TRY(gm_thrift_close(in));
	GM_TRY(open_group(&open, &e, "", 0, 0, err));
	for (uint32_t i = 1; i < count; i++) {
		if (open.left[0] <= 0 && open.depth == 1) gm_thrift_bad(in, "the schema goes on behind its last column");
		read_element(in, &item, &e);
		GM_TRY(place_element(reader, in, &e, &open, &end, err));
	}
	if (open.depth > 1 || open.left[0] != 0) gm_thrift_bad(in, "the schema ends before its last column");
	GM_TRY(gm_thrift_close(in));
	return leaves_of_list(reader, first, err);
}
