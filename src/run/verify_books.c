/* verify_books.c - the books of a committed run: are they those that were committed, do they balance, per object and in
 * all, and do plan, files and commit say the same? */
#include "run/verify_internal.h"

#include <inttypes.h>
#include <stdlib.h>

struct unit_sums {
	uint64_t written, duplicates, quarantined; /* by its objects */
	uint64_t rows;                             /* in its files */
	bool has_quarantine;
};
struct books {
	struct gm_verifier *verifier;
	struct gm_verify_job *job;
	const struct gm_plan *plan;
	const struct gm_verify_commit *commit; /* NULL: its entry is gone */
	char key[GM_KEY_BYTES];
	json_t *json;
	const json_t *inputs;
	struct unit_sums *units;
	size_t unit_count;
	struct gm_balance total;          /* of the objects */
	uint64_t files, file_bytes, rows; /* of the data files */
};

static void report(const struct books *books, enum gm_finding_code code, const char *text)
{
	struct gm_finding about = gm_verify_about(code, books->key);
	about.job = books->job->id;
	about.run = books->plan->number;
	if (books->commit != NULL) about.version = books->commit->version;
	gm_verify_report(books->verifier, &about, "%s", text);
}

static void compare(const struct books *books, const char *what, uint64_t is, uint64_t should, const char *whose)
{
	char text[256];
	if (is == should) return;
	(void)snprintf(text, sizeof text, "%s: %" PRIu64 "; %s: %" PRIu64, what, is, whose, should);
	report(books, GM_FINDING_BALANCE, text);
}

/* --- Plan --------------------------------------------------------------------------------------------------------- */

static bool same_object(const json_t *element, const struct gm_input *input)
{
	const char *key = json_string_value(json_object_get(element, "key"));
	return key != NULL && strcmp(key, input->key) == 0 &&
	       json_integer_value(json_object_get(element, "size")) == (json_int_t)input->size;
}

/* Which object differs from the plan's; "" if there are more of one than of the other, NULL if none does. */
static const char *find_difference(const struct books *books)
{
	const struct gm_plan *plan = books->plan;
	for (size_t i = 0; i < plan->input_count && i < json_array_size(books->inputs); i++)
		if (!same_object(json_array_get(books->inputs, i), &plan->inputs[i])) return plan->inputs[i].key;
	return plan->input_count != json_array_size(books->inputs) ? "" : NULL;
}

/* Books whose text is what was committed are right: then it is the plan that differs. */
static enum gm_code compare_with_plan(const struct books *books, struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	const char *different = find_difference(books);
	if (different == NULL) return GM_OK;
	if (books->commit == NULL || !books->commit->has_books)
		GM_FAIL(err, GM_CORRUPT, "they do not have the objects of the plan: %.300s", different);
	gm_layout_key(&books->job->layout, key, "plans", books->plan->number, ".json");
	struct gm_finding about = gm_verify_about(GM_FINDING_PLAN_DAMAGED, key);
	about.job = books->job->id;
	about.run = books->plan->number;
	gm_verify_report(books->verifier, &about, "it does not have the objects of the books that were committed: %s",
	                 different);
	return GM_OK;
}

/* --- Objects ------------------------------------------------------------------------------------------------------ */

/* The unit of an element; books of format 1 do not tell, and are all of unit 0 as far as sums go. */
static enum gm_code unit_of(const struct books *books, const json_t *element, struct unit_sums **unit,
                            struct gm_error *err)
{
	uint64_t number = 0;
	*unit = books->units;
	if (json_object_get(element, "unit") != NULL) GM_TRY(gm_member_number(element, "unit", &number, err));
	if (number >= books->unit_count)
		GM_FAIL(err, GM_CORRUPT, "they name unit %" PRIu64 ", which has no objects", number);
	*unit += number;
	return GM_OK;
}

static enum gm_code check_object(struct books *books, const json_t *element, struct gm_error *err)
{
	const char *key;
	struct gm_balance balance;
	struct gm_error odd;
	struct unit_sums *unit;
	GM_TRY(gm_member_string(element, "key", &key, err));
	GM_TRY(gm_balance_parse(json_object_get(element, "balance"), &balance, err));
	GM_TRY(unit_of(books, element, &unit, err));
	if (gm_balance_check(&balance, key, &odd) != GM_OK) {
		char text[sizeof odd.message + 512];
		(void)snprintf(text, sizeof text, "object %.300s: %s", key, odd.message);
		report(books, GM_FINDING_BALANCE, text);
	}
	unit->written += balance.rows_written;
	unit->duplicates += balance.duplicates;
	unit->quarantined += balance.quarantined;
	gm_balance_add(&books->total, &balance);
	return GM_OK;
}

static enum gm_code check_objects(struct books *books, struct gm_error *err)
{
	for (size_t i = 0; i < json_array_size(books->inputs); i++)
		GM_TRY(check_object(books, json_array_get(books->inputs, i), err));
	return GM_OK;
}

/* --- Files -------------------------------------------------------------------------------------------------------- */

static enum gm_code check_data_file(struct books *books, const json_t *element, const char *path,
                                    struct unit_sums *unit, struct gm_error *err)
{
	struct gm_book_file file = {.path = gm_verify_hash(books->verifier, path)};
	GM_TRY(gm_member_number(element, "bytes", &file.bytes, err));
	GM_TRY(gm_member_number(element, "rows", &file.rows, err));
	GM_TRY(gm_member_hash(element, "hash", file.hash, err));
	unit->rows += file.rows;
	books->files++;
	books->rows += file.rows;
	books->file_bytes += file.bytes;
	bool live = books->verifier->log != NULL && gm_delta_has(books->verifier->log, path);
	return live ? gm_book_index_add(&books->verifier->books, &file, err) : GM_OK;
}

static bool is_kept_in(const char *path, const char *folder)
{
	return strstr(path, folder) != NULL;
}

static enum gm_code check_kept_file(struct books *books, const json_t *element, const char *path,
                                    struct unit_sums *unit, struct gm_error *err)
{
	struct gm_kept_claim claim = {.path = path, .entries = UINT64_MAX};
	GM_TRY(gm_member_number(element, "bytes", &claim.bytes, err));
	GM_TRY(gm_member_hash(element, "hash", claim.hash, err));
	if (is_kept_in(path, "/quarantine/")) {
		claim.entries = unit->quarantined;
		unit->has_quarantine = true;
	}
	if (is_kept_in(path, "/duplicates/")) claim.entries = unit->duplicates;
	if (json_object_get(element, "unit") == NULL) claim.entries = UINT64_MAX;
	return gm_verify_kept(books->verifier, books->job, books->plan->number, &claim, err);
}

static enum gm_code check_files(struct books *books, struct gm_error *err)
{
	const json_t *files;
	GM_TRY(gm_member_array(books->json, "files", &files, err));
	for (size_t i = 0; i < json_array_size(files); i++) {
		const json_t *element = json_array_get(files, i);
		const char *path;
		struct unit_sums *unit;
		GM_TRY(gm_member_string(element, "path", &path, err));
		GM_TRY(unit_of(books, element, &unit, err));
		if (!gm_store_key_valid(path)) GM_FAIL(err, GM_CORRUPT, "a file's path would leave the table");
		GM_TRY(json_object_get(element, "partition") != NULL ? check_data_file(books, element, path, unit, err)
		                                                     : check_kept_file(books, element, path, unit, err));
	}
	return GM_OK;
}

/* --- Sums --------------------------------------------------------------------------------------------------------- */

static void check_units(const struct books *books)
{
	for (size_t i = 0; i < books->unit_count; i++) {
		const struct unit_sums *unit = &books->units[i];
		compare(books, "rows in the files of a unit", unit->rows, unit->written, "rows written by its objects");
		if (unit->quarantined > 0 && !unit->has_quarantine)
			report(books, GM_FINDING_BALANCE, "records were rejected, and no file has them");
	}
}

static enum gm_code check_totals(const struct books *books, struct gm_error *err)
{
	struct gm_balance told;
	const struct gm_balance *sum = &books->total;
	const struct gm_verify_commit *commit = books->commit;
	GM_TRY(gm_balance_parse(json_object_get(books->json, "total"), &told, err));
	compare(books, "records read, by the books' total", told.records_read, sum->records_read, "by their objects");
	compare(books, "rows written, by the books' total", told.rows_written, sum->rows_written, "by their objects");
	compare(books, "duplicates, by the books' total", told.duplicates, sum->duplicates, "by their objects");
	compare(books, "filtered records, by the books' total", told.filtered, sum->filtered, "by their objects");
	compare(books, "rejected records, by the books' total", told.quarantined, sum->quarantined, "by their objects");
	compare(books, "bytes inflated, by the books' total", told.bytes_raw, sum->bytes_raw, "by their objects");
	if (commit == NULL || !commit->has_books) return GM_OK;
	compare(books, "records read, by the commit", commit->read, sum->records_read, "by the books");
	compare(books, "rows written, by the commit", commit->rows, sum->rows_written, "by the books");
	compare(books, "duplicates, by the commit", commit->duplicates, sum->duplicates, "by the books");
	compare(books, "filtered records, by the commit", commit->filtered, sum->filtered, "by the books");
	compare(books, "rejected records, by the commit", commit->quarantined, sum->quarantined, "by the books");
	compare(books, "objects, by the commit", commit->objects, json_array_size(books->inputs), "by the books");
	compare(books, "files, by the commit", commit->files, books->files, "by the books");
	compare(books, "files added by the commit", commit->adds, books->files, "by the books");
	compare(books, "bytes of files, by the commit", commit->bytes, books->file_bytes, "by the books");
	compare(books, "bytes of the files that the commit adds", commit->add_bytes, books->file_bytes, "by the books");
	return GM_OK;
}

/* --- All of it ---------------------------------------------------------------------------------------------------- */

static enum gm_code check_identity(const struct books *books, struct gm_error *err)
{
	uint64_t run;
	GM_TRY(gm_member_number(books->json, "run", &run, err));
	if (run != books->plan->number) GM_FAIL(err, GM_CORRUPT, "they are those of run %" PRIu64, run);
	return GM_OK;
}

/* *usable: what they say may be compared with. Books that were changed say nothing of the run. */
static enum gm_code check_hash(const struct books *books, bool *usable, struct gm_error *err)
{
	char hex[GM_HEX128_BYTES], committed[GM_HEX128_BYTES];
	*usable = true;
	if (books->commit == NULL || !books->commit->has_books) return GM_OK;
	GM_TRY(gm_books_hash(books->json, hex, err));
	gm_hex128(books->commit->books, committed);
	*usable = strcmp(hex, committed) == 0;
	if (*usable) return GM_OK;
	char text[128];
	(void)snprintf(text, sizeof text, "their hash is %s, and %s was committed", hex, committed);
	report(books, GM_FINDING_BOOKS_HASH, text);
	return GM_OK;
}

static enum gm_code check_books(struct books *books, bool *usable, struct gm_error *err)
{
	GM_TRY(gm_json_read(books->verifier->table, books->key, &books->json, err));
	GM_TRY(check_hash(books, usable, err));
	if (!*usable) return GM_OK;
	GM_TRY(gm_member_array(books->json, "inputs", &books->inputs, err));
	books->unit_count = json_array_size(books->inputs); /* a unit has at least one */
	books->units = calloc(books->unit_count + 1, sizeof *books->units);
	if (books->units == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the books of a run");
	GM_TRY(check_identity(books, err));
	GM_TRY(compare_with_plan(books, err));
	GM_TRY(check_objects(books, err));
	GM_TRY(check_files(books, err));
	check_units(books);
	return check_totals(books, err);
}

enum gm_code gm_verify_books(struct gm_verifier *verifier, struct gm_verify_job *job, const struct gm_plan *plan,
                             const struct gm_verify_commit *commit, struct gm_error *err)
{
	struct books books = {.verifier = verifier, .job = job, .plan = plan, .commit = commit};
	bool usable = false;
	gm_layout_key(&job->layout, books.key, "runs", plan->number, ".json.zst");
	verifier->result->runs++;
	enum gm_code rc = check_books(&books, &usable, err);
	json_decref(books.json);
	free(books.units);
	if (gm_verify_is_finding(rc)) {
		usable = false;
		report(&books, rc == GM_UNSUPPORTED ? GM_FINDING_NEWER_FORMAT : GM_FINDING_BOOKS_DAMAGED, err->message);
		rc = GM_OK;
	}
	return rc == GM_OK && !usable ? gm_verify_doubt(job, plan->number, err) : rc;
}
