/* grid.c - rows for people: a table where it fits the width, else turned on its side, in blocks of so many rows. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

enum { CELL_MAX = 60, CELL_MIN = 14, GAP = 2 };

/* --- Width -------------------------------------------------------------------------------------------------------- */

/* Columns that a terminal gives a character: close enough for a preview. */
static size_t columns_of(uint32_t c)
{
	bool combining = (c >= 0x300 && c < 0x370) || (c >= 0x200B && c < 0x2010) || (c >= 0xFE00 && c < 0xFE10) ||
	                 (c >= 0x20D0 && c < 0x2100) || c == 0xFEFF;
	bool wide = (c >= 0x1100 && c < 0x1160) || (c >= 0x2E80 && c < 0xA4D0) || (c >= 0xAC00 && c < 0xD7A4) ||
	            (c >= 0xF900 && c < 0xFB00) || (c >= 0xFE30 && c < 0xFE70) || (c >= 0xFF00 && c < 0xFF61) ||
	            (c >= 0x1F300 && c < 0x1FB00) || (c >= 0x20000 && c < 0x40000);
	return combining ? 0 : wide ? 2 : 1;
}

/* How many bytes of text fill at most `columns`; *used gets the columns they fill. */
static size_t fit(const char *text, size_t columns, size_t *used)
{
	size_t bytes = strlen(text), at = 0, length;
	*used = 0;
	while (at < bytes) {
		size_t width = columns_of(gm_cli_code_point(text + at, bytes - at, &length));
		if (*used + width > columns) break;
		*used += width;
		at += length;
	}
	return at;
}

static size_t width_of(const char *text)
{
	size_t used;
	(void)fit(text, SIZE_MAX, &used);
	return used;
}

/* --- Cells -------------------------------------------------------------------------------------------------------- */

void gm_cli_grid_release(struct gm_cli_grid *grid)
{
	for (size_t i = 0; i < grid->columns && grid->names != NULL; i++) free(grid->names[i]);
	for (size_t i = 0; i < grid->columns * grid->rows; i++) free(grid->cells[i]);
	free(grid->names);
	free(grid->cells);
	*grid = (struct gm_cli_grid){0};
}

/* Harmless text of a value, to free(). Null, empty text and the word null look different. */
static char *cell_of(const char *value, size_t bytes)
{
	enum { BYTES_MAX = CELL_MAX * 8 }; /* no need to keep more than can be shown */
	if (value == NULL) return strdup("null");
	if (bytes == 0) return strdup("\"\"");
	if (bytes == 4 && memcmp(value, "null", 4) == 0) return strdup("\"null\"");
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (out == NULL) return NULL;
	gm_cli_print_safe(out, value, bytes < BYTES_MAX ? bytes : BYTES_MAX);
	if (fclose(out) == 0) return text;
	free(text);
	return NULL;
}

static bool add_names(struct gm_cli_grid *grid, const char *const *names, size_t count)
{
	grid->names = calloc(count > 0 ? count : 1, sizeof *grid->names);
	if (grid->names == NULL) return false;
	grid->columns = count;
	for (size_t i = 0; i < count; i++) {
		grid->names[i] = cell_of(names[i], strlen(names[i]));
		if (grid->names[i] == NULL) return false;
	}
	return true;
}

bool gm_cli_grid_add(struct gm_cli_grid *grid, const char *const *names, const char *const *values, const size_t *bytes,
                     size_t count)
{
	if (grid->names == NULL && !add_names(grid, names, count)) return false;
	char **cells = reallocarray(grid->cells, (grid->rows + 1) * (count > 0 ? count : 1), sizeof *cells);
	if (cells == NULL) return false;
	grid->cells = cells;
	char **row = cells + grid->rows * count;
	for (size_t i = 0; i < count; i++) {
		row[i] = cell_of(values[i], bytes[i]);
		if (row[i] != NULL) continue;
		while (i > 0) free(row[--i]);
		return false;
	}
	grid->rows++;
	return true;
}

/* --- Printing ----------------------------------------------------------------------------------------------------- */

/* Text cut or padded to `columns`. */
static void print_cell(FILE *out, const char *text, size_t columns, bool pad)
{
	size_t used, bytes = fit(text, columns, &used);
	if (text[bytes] != '\0' && columns > 0) {
		bytes = fit(text, columns - 1, &used);
		fwrite(text, 1, bytes, out);
		fputs("…", out);
		used++;
	} else {
		fwrite(text, 1, bytes, out);
	}
	if (pad && columns > used) fprintf(out, "%*s", (int)(columns - used), "");
}

static size_t wider(size_t width, const char *text)
{
	size_t other = width_of(text);
	if (other > CELL_MAX) other = CELL_MAX;
	return other > width ? other : width;
}

/* The widths of an ordinary table; 0 when it does not fit. */
static bool table_widths(const struct gm_cli_grid *grid, size_t width, size_t *widths)
{
	size_t sum = 0;
	for (size_t c = 0; c < grid->columns; c++) {
		widths[c] = wider(0, grid->names[c]);
		for (size_t r = 0; r < grid->rows; r++) widths[c] = wider(widths[c], grid->cells[r * grid->columns + c]);
		sum += widths[c] + (c > 0 ? GAP : 0);
	}
	return sum <= width;
}

static void print_table_row(FILE *out, char *const *cells, const size_t *widths, size_t count)
{
	for (size_t c = 0; c < count; c++) {
		print_cell(out, cells[c], widths[c], c + 1 < count);
		if (c + 1 < count) fprintf(out, "%*s", GAP, "");
	}
	fputc('\n', out);
}

/* Rows first .. last - 1 as columns of `cell` characters beside the names. */
static void print_block(FILE *out, const struct gm_cli_grid *grid, size_t first, size_t last, size_t name, size_t cell)
{
	char number[GM_CLI_NUMBER_BYTES];
	print_cell(out, "", name, true);
	for (size_t r = first; r < last; r++) {
		(void)snprintf(number, sizeof number, "[%zu]", r + 1);
		fprintf(out, "%*s", GAP, "");
		print_cell(out, number, cell, r + 1 < last);
	}
	fputc('\n', out);
	for (size_t c = 0; c < grid->columns; c++) {
		print_cell(out, grid->names[c], name, true);
		for (size_t r = first; r < last; r++) {
			fprintf(out, "%*s", GAP, "");
			print_cell(out, grid->cells[r * grid->columns + c], cell, r + 1 < last);
		}
		fputc('\n', out);
	}
}

static void print_blocks(FILE *out, const struct gm_cli_grid *grid, size_t width)
{
	size_t name = 0, cell = 0;
	for (size_t c = 0; c < grid->columns; c++) name = wider(name, grid->names[c]);
	for (size_t i = 0; i < grid->columns * grid->rows; i++) cell = wider(cell, grid->cells[i]);
	size_t room = width > name + GAP + CELL_MIN ? width - name : GAP + CELL_MIN;
	size_t per_block = room / (CELL_MIN + GAP);
	if (per_block > grid->rows) per_block = grid->rows;
	size_t blocks = (grid->rows + per_block - 1) / per_block;
	per_block = (grid->rows + blocks - 1) / blocks; /* even blocks leave wider cells */
	if (cell > room / per_block - GAP) cell = room / per_block - GAP;
	for (size_t first = 0; first < grid->rows; first += per_block) {
		size_t last = first + per_block < grid->rows ? first + per_block : grid->rows;
		if (first > 0) fputc('\n', out);
		print_block(out, grid, first, last, name, cell);
	}
}

void gm_cli_grid_print(FILE *out, const struct gm_cli_grid *grid, size_t width)
{
	size_t *widths = calloc(grid->columns > 0 ? grid->columns : 1, sizeof *widths);
	if (grid->rows == 0) {
		fputs("no rows\n", out);
	} else if (widths != NULL && table_widths(grid, width, widths)) {
		print_table_row(out, grid->names, widths, grid->columns);
		for (size_t r = 0; r < grid->rows; r++)
			print_table_row(out, grid->cells + r * grid->columns, widths, grid->columns);
	} else {
		print_blocks(out, grid, width);
	}
	free(widths);
}
