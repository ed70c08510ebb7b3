/* verify_stats.c - do the statistics of a column hold? Whoever reads the table leaves out files and row groups by them,
 * so one value outside its bounds is a row that queries do not find. Null counts are exact. */
#include "column/text.h"
#include "run/verify_internal.h"

static void note_outside(struct gm_verify_column *column, const struct gm_vec *vec, uint32_t row, const char *wrong)
{
	char scratch[GM_VALUE_TEXT_BYTES];
	const char *text;
	size_t bytes;
	gm_vec_text(vec, row, scratch, &text, &bytes);
	(void)snprintf(column->value, sizeof column->value, "%.*s", bytes < 100 ? (int)bytes : 100, text);
	column->wrong = wrong;
}

static void check_bounds(struct gm_verify_column *column, const struct gm_bounds *bounds, const struct gm_vec *vec,
                         uint32_t rows, const char *below, const char *above)
{
	if (!gm_bounds_fit(bounds, vec)) return;
	for (uint32_t row = 0; row < rows && column->wrong == NULL; row++) {
		int side = gm_vec_is_null(vec, row) ? 0 : gm_bounds_place(bounds, vec, row);
		if (side != 0) note_outside(column, vec, row, side < 0 ? below : above);
	}
}

void gm_verify_column_rows(struct gm_verify_column *column, const struct gm_vec *vec, uint32_t rows)
{
	uint64_t nulls = 0;
	for (uint32_t row = 0; row < rows; row++) nulls += gm_vec_is_null(vec, row);
	column->nulls += nulls;
	column->group_nulls += nulls;
	if (column->wrong == NULL)
		check_bounds(column, &column->log, vec, rows, "is below the log's minimum", "is above the log's maximum");
	if (column->wrong == NULL)
		check_bounds(column, &column->group, vec, rows, "is below the minimum of its row group",
		             "is above the maximum of its row group");
}

static void check_nulls(struct gm_verify_column *column, const struct gm_bounds *bounds, uint64_t nulls,
                        const char *wrong)
{
	if (column->wrong != NULL || !bounds->has_nulls || bounds->nulls == nulls) return;
	(void)snprintf(column->value, sizeof column->value, "%llu", (unsigned long long)nulls);
	column->wrong = wrong;
}

void gm_verify_column_end_group(struct gm_verify_column *column)
{
	check_nulls(column, &column->group, column->group_nulls, "is its number of nulls, and the row group's is another");
	column->group_nulls = 0;
}

void gm_verify_column_end(struct gm_verify_column *column)
{
	check_nulls(column, &column->log, column->nulls, "is its number of nulls, and the log's is another");
}
