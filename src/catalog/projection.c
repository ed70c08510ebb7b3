/* Partition projection: an engine computes which partitions there may be, instead of asking a catalog for those there
 * are. It lists the folder of every value that a query does not prune, whether or not it exists, so what is computed
 * must be tight. Rules, for each partition column:
 *
 *     string, date_format(x, '%m'), '%d' or '%H'     integer, all months, days or hours there are: no run need widen it
 *     string, days ("2024-03-10")                    date, from the first to the last there is
 *     string, anything else                          enum of those there are; too many: integer, if they are numbers
 *     int, bigint                                    integer, from the lowest to the highest there is
 *     date                                           date, from the first to the last there is
 *
 * What the Athena User Guide promises and Trino's hive connector does is not quite the same, so a rule holds where both
 * read it alike. Of Trino: an enum must be of strings, and its values are trimmed of white space; numbers are 32 bits,
 * and the highest must have a successor; the last day must come after the first; a value in which '$' stands breaks the
 * folder's name, and so does "${" in the table's location; a folder is named by the column in lower case, unescaped;
 * the partitions of a query are one list of at most 2^31. */
#include "catalog/projection.h"

#include "base/time.h"
#include "job/expr.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ENUM_VALUES_MAX = 1000,
	ENUM_BYTES_MAX = 64 << 10,
	SPARSE = 10,              /* a range has so many times the values that exist: an enum is better */
	PARTITIONS_MANY = 10000,  /* that all columns make together: worth a note, */
	PARTITIONS_MAX = 1000000, /* and not worth trying */
	NUMBER_MAX = INT32_MAX - 1,
	NUMBER_MIN = INT32_MIN,
};
#define ADVICE "set catalog.partitions to register"

/* One partition column while it is looked at. */
struct column {
	struct gm_shape *shape;
	struct gm_shape_column *column;
	const char **values; /* that exist, sorted, each once; one that is null is left out */
	size_t count;
	bool null;
	struct gm_projection *found; /* NULL: none */
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for partition projection");
}

struct gm_shown gm_catalog_show(const char *text)
{
	struct gm_shown out;
	size_t n = 0, most = sizeof out.text - 6;
	out.text[n++] = '\'';
	for (; *text != '\0' && n < most; text++)
		out.text[n++] = (unsigned char)*text < 0x20 || *text == 0x7F ? '?' : *text;
	while (*text != '\0' && n > 1 && ((unsigned char)out.text[n - 1] & 0x80) != 0) n--; /* no half of a character */
	memcpy(out.text + n, *text != '\0' ? "...'" : "'", *text != '\0' ? 5 : 2);
	return out;
}

/* --- What cannot be projected ------------------------------------------------------------------------------------- */

/* The first reason is the one that is told. */
static enum gm_code refuse(struct column *c, const char *why, struct gm_error *err)
{
	c->found = NULL;
	if (c->shape->unprojectable[0] != '\0') return GM_OK;
	c->shape->unprojectable =
	    gm_arena_printf(&c->shape->arena, "partition column %s %s", gm_catalog_show(c->column->spelt).text, why);
	return c->shape->unprojectable != NULL ? GM_OK : out_of_memory(err);
}

static enum gm_code refuse_value(struct column *c, const char *value, const char *why, struct gm_error *err)
{
	const char *text =
	    gm_arena_printf(&c->shape->arena, "has the value %s, %s: " ADVICE, gm_catalog_show(value).text, why);
	return text != NULL ? refuse(c, text, err) : out_of_memory(err);
}

/* --- Values ------------------------------------------------------------------------------------------------------- */

static int compare_values(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum gm_code gather(struct column *c, size_t index, struct gm_error *err)
{
	size_t total = 0;
	c->values = malloc((c->shape->partition_count + 1) * sizeof *c->values);
	if (c->values == NULL) return out_of_memory(err);
	for (size_t i = 0; i < c->shape->partition_count; i++) {
		const char *value = c->shape->partitions[i].values[index].value;
		if (value == NULL)
			c->null = true;
		else
			c->values[total++] = value;
	}
	if (total > 1) qsort(c->values, total, sizeof *c->values, compare_values);
	for (size_t i = 0; i < total; i++)
		if (c->count == 0 || strcmp(c->values[i], c->values[c->count - 1]) != 0) c->values[c->count++] = c->values[i];
	return GM_OK;
}

static bool is_digits(const char *value)
{
	return value[0] != '\0' && strspn(value, "0123456789") == strlen(value);
}

static bool are_digits(const struct column *c, size_t width)
{
	for (size_t i = 0; i < c->count; i++)
		if (!is_digits(c->values[i]) || strlen(c->values[i]) != width) return false;
	return true;
}

/* Letters, digits and what no folder, list or template takes for something else; blanks inside. */
static bool is_plain(const char *value)
{
	static const char special[] = "!&()+-.;<>@_`|~ ";
	size_t n = strlen(value);
	if (n == 0 || value[0] == ' ' || value[n - 1] == ' ' || strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		char byte = value[i];
		bool word = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
		if (!word && strchr(special, byte) == NULL) return false;
	}
	return true;
}

/* --- Projections -------------------------------------------------------------------------------------------------- */

static enum gm_code found(struct column *c, struct gm_projection projection, struct gm_error *err)
{
	c->found = gm_arena_alloc(&c->shape->arena, sizeof *c->found);
	if (c->found == NULL) return out_of_memory(err);
	if (projection.type == GM_PROJECTION_ENUM ? projection.values == NULL : projection.range == NULL)
		return out_of_memory(err);
	*c->found = projection;
	return GM_OK;
}

static enum gm_code find_enum(struct column *c, struct gm_error *err)
{
	size_t bytes = 1;
	for (size_t i = 0; i < c->count; i++) {
		if (!is_plain(c->values[i]))
			return refuse_value(c, c->values[i], "which cannot stand in a list and in a folder's name as it is", err);
		bytes += strlen(c->values[i]) + 1;
	}
	if (c->count > ENUM_VALUES_MAX || bytes > ENUM_BYTES_MAX)
		return refuse(c, "has too many values to list them: " ADVICE, err);
	char *text = gm_arena_alloc(&c->shape->arena, bytes), *at = text;
	for (size_t i = 0; i < c->count && text != NULL; i++) {
		if (i > 0) *at++ = ',';
		at = stpcpy(at, c->values[i]);
	}
	return found(c, (struct gm_projection){.type = GM_PROJECTION_ENUM, .values = text, .count = c->count}, err);
}

static enum gm_code find_range(struct column *c, int64_t first, int64_t last, unsigned digits, struct gm_error *err)
{
	return found(c,
	             (struct gm_projection){.type = GM_PROJECTION_INTEGER,
	                                    .range = gm_arena_printf(&c->shape->arena, "%" PRId64 ",%" PRId64, first, last),
	                                    .digits = digits,
	                                    .count = (uint64_t)(last - first) + 1},
	             err);
}

static enum gm_code find_days(struct column *c, int64_t first, int64_t last, struct gm_error *err)
{
	char a[GM_TIME_TEXT_BYTES], b[GM_TIME_TEXT_BYTES];
	(void)gm_date_format_iso(first, a);
	(void)gm_date_format_iso(last, b);
	return found(c,
	             (struct gm_projection){.type = GM_PROJECTION_DATE,
	                                    .range = gm_arena_printf(&c->shape->arena, "%s,%s", a, b),
	                                    .format = "yyyy-MM-dd",
	                                    .count = (uint64_t)(last - first) + 1},
	             err);
}

/* --- Types -------------------------------------------------------------------------------------------------------- */

/* Formats of date_format whose values are known beforehand. */
static const struct natural {
	const char *pattern;
	int first, last;
	unsigned digits;
} naturals[] = {{"%m", 1, 12, 2}, {"%d", 1, 31, 2}, {"%H", 0, 23, 2}};

static bool is_call(const struct gm_ast *ast, const char *pattern)
{
	if (ast->kind != GM_AST_CALL || ast->count != 2 || strcasecmp(ast->text, "date_format") != 0) return false;
	const struct gm_ast *format = ast->args->next;
	return format->kind == GM_AST_STRING && format->text_bytes == strlen(pattern) &&
	       memcmp(format->text, pattern, format->text_bytes) == 0;
}

/* *out NULL: the job's expression says nothing of that kind. */
static enum gm_code find_natural(const struct gm_job *job, const char *name, const struct natural **out,
                                 struct gm_error *err)
{
	struct gm_arena arena;
	struct gm_ast *ast;
	*out = NULL;
	for (size_t i = 0; i < job->table.partition_count; i++) {
		const struct gm_column *column = &job->table.partitions[i];
		if (column->expr == NULL || strcmp(column->name, name) != 0) continue;
		const struct gm_expr_source source = {
		    .text = column->expr, .bytes = strlen(column->expr), .job_path = job->path, .what = "partition column"};
		gm_arena_init(&arena, 4096);
		enum gm_code rc = gm_expr_parse(&source, &arena, &ast, err);
		for (size_t k = 0; rc == GM_OK && k < sizeof naturals / sizeof naturals[0]; k++)
			if (is_call(ast, naturals[k].pattern)) *out = &naturals[k];
		gm_arena_release(&arena);
		return rc;
	}
	return GM_OK;
}

/* Another job or writer may have put other values beside those of this one. */
static bool fits(const struct column *c, const struct natural *natural)
{
	for (size_t i = 0; i < c->count; i++) {
		long value = strtol(c->values[i], NULL, 10);
		if (value < natural->first || value > natural->last) return false;
	}
	return are_digits(c, natural->digits);
}

/* The first and the last day; false: not all are days as date_format(x, '%Y-%m-%d') writes them. */
static bool are_days(const struct column *c, int64_t *first, int64_t *last)
{
	int64_t day;
	for (size_t i = 0; i < c->count; i++) {
		if (!gm_date_parse_iso(c->values[i], strlen(c->values[i]), &day)) return false;
		if (i == 0 || day < *first) *first = day;
		if (i == 0 || day > *last) *last = day;
	}
	return c->count > 0 && *first >= gm_days_from_civil(1, 1, 1);
}

static enum gm_code find_of_strings(struct column *c, const struct natural *natural, struct gm_error *err)
{
	int64_t first = 0, last = 0;
	if (natural != NULL && fits(c, natural)) return find_range(c, natural->first, natural->last, natural->digits, err);
	if (c->count == 0)
		return refuse(c, "has no values yet, for the table has no files: they are known after the first run", err);
	bool few = c->count <= ENUM_VALUES_MAX;
	if (c->count > 1 && are_days(c, &first, &last) && (!few || (uint64_t)(last - first) < SPARSE * c->count))
		return find_days(c, first, last, err);
	size_t width = strlen(c->values[0]);
	if (!few && width <= 10 && are_digits(c, width) && strtoll(c->values[c->count - 1], NULL, 10) <= NUMBER_MAX)
		return find_range(c, strtoll(c->values[0], NULL, 10), strtoll(c->values[c->count - 1], NULL, 10),
		                  (unsigned)width, err);
	return find_enum(c, err);
}

static enum gm_code find_of_numbers(struct column *c, struct gm_error *err)
{
	int64_t first = INT64_MAX, last = INT64_MIN;
	if (c->count == 0)
		return refuse(c, "has no values yet, for the table has no files: they are known after the first run", err);
	for (size_t i = 0; i < c->count; i++) {
		char text[24];
		long long value = strtoll(c->values[i], NULL, 10);
		(void)snprintf(text, sizeof text, "%lld", value);
		if (strcmp(text, c->values[i]) != 0)
			return refuse_value(c, c->values[i], "which is not how a number is written", err);
		if (value < NUMBER_MIN || value > NUMBER_MAX)
			return refuse_value(c, c->values[i], "and Trino computes with 32 bits", err);
		if (value < first) first = value;
		if (value > last) last = value;
	}
	return find_range(c, first, last, 0, err);
}

static enum gm_code find_of_dates(struct column *c, struct gm_error *err)
{
	int64_t first = 0, last = 0, end = gm_days_from_civil(9999, 12, 31);
	if (c->count == 0)
		return refuse(c, "has no values yet, for the table has no files: they are known after the first run", err);
	if (!are_days(c, &first, &last)) return refuse(c, "has values that are no days: " ADVICE, err);
	if (first == last && last < end)
		last++; /* a range needs two ends, and a day without files does no harm */
	else if (first == last)
		first--;
	return find_days(c, first, last, err);
}

/* What is wrong with the name of the column's folders; NULL: nothing. */
static const char *wrong_folder(const char *spelt)
{
	if (strlen(spelt) > 200) return "has too long a name for a property: " ADVICE;
	for (const char *at = spelt; *at != '\0'; at++)
		if (*at >= 'A' && *at <= 'Z')
			return "has capitals in its folders' names, and engines look for them in lower case: " ADVICE;
	return is_plain(spelt) && strpbrk(spelt, ". ") == NULL
	           ? NULL
	           : "has a name that cannot stand in a folder's name as it is: " ADVICE;
}

static enum gm_code find_of(struct column *c, const struct gm_job *job, struct gm_error *err)
{
	const struct natural *natural;
	const char *wrong = wrong_folder(c->column->spelt);
	if (wrong != NULL) return refuse(c, wrong, err);
	if (c->null) return refuse(c, "is null in some rows, which projection cannot say: " ADVICE, err);
	if (!c->column->ours) return refuse(c, "is of a type that is not projected: " ADVICE, err);
	switch (c->column->type) {
	case GM_TYPE_STRING:
		GM_TRY(find_natural(job, c->column->spelt, &natural, err));
		return find_of_strings(c, natural, err);
	case GM_TYPE_INT:
	case GM_TYPE_BIGINT: return find_of_numbers(c, err);
	case GM_TYPE_DATE: return find_of_dates(c, err);
	default: return refuse(c, "is of a type that is not projected: " ADVICE, err);
	}
}

/* --- The table ---------------------------------------------------------------------------------------------------- */

static enum gm_code weigh(struct gm_shape *shape, struct gm_error *err)
{
	uint64_t product = 1;
	for (size_t i = 0; i < shape->partition_column_count; i++)
		if (__builtin_mul_overflow(product, shape->partition_columns[i].projection->count, &product))
			product = UINT64_MAX;
	if (product <= PARTITIONS_MANY) return GM_OK;
	const char *text =
	    gm_arena_printf(&shape->arena,
	                    "projection makes %" PRIu64 " partitions, of which %zu exist, and an engine lists "
	                    "all that a query does not rule out: " ADVICE,
	                    product, shape->partition_count);
	if (text == NULL) return out_of_memory(err);
	if (product <= PARTITIONS_MAX)
		shape->note = text;
	else
		shape->unprojectable = text;
	return GM_OK;
}

enum gm_code gm_projection_find(const struct gm_job *job, struct gm_shape *shape, struct gm_error *err)
{
	for (size_t i = 0; i < shape->partition_column_count; i++) {
		struct column c = {.shape = shape, .column = &shape->partition_columns[i]};
		enum gm_code rc = gather(&c, i, err);
		if (rc == GM_OK) rc = find_of(&c, job, err);
		if (rc == GM_OK) c.column->projection = c.found;
		free(c.values);
		GM_TRY(rc);
	}
	if (shape->partition_column_count > 0 && strstr(shape->location, "${") != NULL && shape->unprojectable[0] == '\0')
		shape->unprojectable = "the table's location holds \"${\", which projection takes for a column: " ADVICE;
	if (shape->unprojectable[0] != '\0') return GM_OK;
	return weigh(shape, err);
}
