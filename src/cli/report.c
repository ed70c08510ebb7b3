/* report.c - what a run did, as one JSON object or for people. */
#include "cli/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* --- JSON --------------------------------------------------------------------------------------------------------- */

struct json_t *gm_cli_json_text(const char *text, size_t bytes)
{
	json_t *string = json_stringn(text, bytes);
	if (string != NULL || bytes > SIZE_MAX / 3 - 1) return string;
	/* Not UTF-8 (or no memory): each bad byte becomes U+FFFD. */
	char *mended = malloc(bytes * 3 + 1);
	if (mended == NULL) return NULL;
	size_t n = 0;
	for (size_t i = 0, used; i < bytes; i += used) {
		uint32_t c = gm_cli_code_point(text + i, bytes - i, &used);
		bool bad = c == 0xFFFD && used == 1;
		memcpy(mended + n, bad ? "\xEF\xBF\xBD" : text + i, bad ? 3 : used);
		n += bad ? 3 : used;
	}
	string = json_stringn(mended, n);
	free(mended);
	return string;
}

static json_t *text_or_null(const char *text)
{
	return text != NULL ? gm_cli_json_text(text, strlen(text)) : json_null();
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

/* jansson's *_new calls take the value and accept NULL as a failure, so a chain needs one check at its end. */
static bool set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) == 0;
}

/* The records and bytes of a balance go into an object that has other keys too. */
static bool set_balance(json_t *object, const struct gm_balance *b)
{
	return set(object, "bytes_in", number(b->bytes_in)) && set(object, "bytes_raw", number(b->bytes_raw)) &&
	       set(object, "records_read", number(b->records_read)) &&
	       set(object, "rows_written", number(b->rows_written)) && set(object, "duplicates", number(b->duplicates)) &&
	       set(object, "conflicts", number(b->conflicts)) && set(object, "filtered", number(b->filtered)) &&
	       set(object, "quarantined", number(b->quarantined)) && set(object, "record_bytes", number(b->record_bytes)) &&
	       set(object, "separator_bytes", number(b->separator_bytes)) &&
	       set(object, "quarantined_bytes", number(b->quarantined_bytes)) &&
	       set(object, "duplicate_keys", number(b->duplicate_keys)) &&
	       set(object, "invalid_utf8", number(b->invalid_utf8)) &&
	       set(object, "converted_null", number(b->converted_null));
}

struct json_t *gm_cli_json_balance(const struct gm_balance *balance)
{
	json_t *object = json_object();
	if (object != NULL && set_balance(object, balance)) return object;
	json_decref(object);
	return NULL;
}

static json_t *file_json(const struct gm_file *file)
{
	json_t *object = json_object(), *partition = json_object();
	bool ok = object != NULL && partition != NULL;
	for (size_t i = 0; ok && i < file->partition_count; i++)
		ok = set(partition, file->partition[i].name, text_or_null(file->partition[i].value));
	ok = ok && set(object, "path", text_or_null(file->path)) && set(object, "rows", number(file->rows)) &&
	     set(object, "bytes", number(file->bytes)) && set(object, "partition", json_incref(partition));
	json_decref(partition);
	if (ok) return object;
	json_decref(object);
	return NULL;
}

static json_t *files_json(const struct gm_run_result *result)
{
	json_t *array = json_array();
	for (size_t i = 0; array != NULL && i < result->file_count; i++) {
		if (json_array_append_new(array, file_json(&result->files[i])) == 0) continue;
		json_decref(array);
		array = NULL;
	}
	return array;
}

static json_t *object_json(const struct gm_object_balance *from)
{
	json_t *object = json_object();
	if (object != NULL && set(object, "key", text_or_null(from->key)) && set_balance(object, &from->balance))
		return object;
	json_decref(object);
	return NULL;
}

static json_t *objects_json(const struct gm_run_result *result)
{
	json_t *array = json_array();
	for (size_t i = 0; array != NULL && i < result->object_count; i++) {
		if (json_array_append_new(array, object_json(&result->objects[i])) == 0) continue;
		json_decref(array);
		array = NULL;
	}
	return array;
}

static json_t *runs_json(const struct gm_run_result *result)
{
	const size_t room = sizeof result->runs / sizeof result->runs[0];
	json_t *array = json_array();
	for (size_t i = 0; array != NULL && i < result->run_count && i < room; i++) {
		if (json_array_append_new(array, number(result->runs[i])) == 0) continue;
		json_decref(array);
		array = NULL;
	}
	return array;
}

struct json_t *gm_cli_json_requests(const struct gm_requests *requests)
{
	json_t *object = json_object();
	if (object != NULL && set(object, "list", number(requests->list)) && set(object, "get", number(requests->get)) &&
	    set(object, "head", number(requests->head)) && set(object, "put", number(requests->put)) &&
	    set(object, "delete", number(requests->delete_)) && set(object, "multipart", number(requests->multipart)) &&
	    set(object, "other", number(requests->other)) && set(object, "retries", number(requests->retries)) &&
	    set(object, "bytes_in", number(requests->bytes_in)) && set(object, "bytes_out", number(requests->bytes_out)))
		return object;
	json_decref(object);
	return NULL;
}

struct json_t *gm_cli_json_error(const struct gm_error *err)
{
	json_t *object = json_object();
	if (object != NULL && set(object, "code", text_or_null(gm_code_name(err->code))) &&
	    set(object, "message", text_or_null(err->message)) &&
	    set(object, "object", text_or_null(err->object[0] != '\0' ? err->object : NULL)) &&
	    set(object, "line", err->line > 0 ? json_integer(err->line) : json_null()) &&
	    set(object, "column", err->column > 0 ? json_integer(err->column) : json_null()) &&
	    set(object, "offset", err->offset != UINT64_MAX ? number(err->offset) : json_null()) &&
	    set(object, "hint", text_or_null(err->hint[0] != '\0' ? err->hint : NULL)))
		return object;
	json_decref(object);
	return NULL;
}

static char *take_text(json_t *value)
{
	char *text = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;
	json_decref(value);
	if (text == NULL) fputs("gristmill: out of memory for the JSON object\n", stderr);
	return text;
}

bool gm_cli_json_print(FILE *out, struct json_t *object)
{
	/* All of it or nothing: half an object helps nobody. What cannot be written shows when the stream is flushed. */
	char *text = take_text(object);
	if (text == NULL) return false;
	fputs(text, out);
	fputc('\n', out);
	free(text);
	return true;
}

bool gm_cli_json_print_with(FILE *out, struct json_t *object, const struct gm_error *err)
{
	if (object != NULL && err != NULL && !set(object, "error", gm_cli_json_error(err))) {
		json_decref(object);
		object = NULL;
	}
	return gm_cli_json_print(out, object);
}

struct json_t *gm_cli_json_number(int64_t n)
{
	return n >= 0 ? json_integer(n) : json_null();
}

static const char *const catalog_states[] = {[GM_CATALOG_NOT_ASKED] = "none",
                                             [GM_CATALOG_SYNCED] = "synced",
                                             [GM_CATALOG_SKIPPED] = "skipped",
                                             [GM_CATALOG_FAILED] = "failed"};

struct json_t *gm_cli_json_catalog(const struct gm_catalog_result *catalog, const struct gm_error *err)
{
	json_t *object = json_object();
	if (object != NULL && set(object, "state", json_string(catalog_states[catalog->state])) &&
	    set(object, "created", number(catalog->created)) && set(object, "updated", number(catalog->updated)) &&
	    set(object, "unchanged", number(catalog->unchanged)) && set(object, "dropped", number(catalog->dropped)) &&
	    set(object, "partitions_created", number(catalog->partitions_created)) &&
	    set(object, "partitions_updated", number(catalog->partitions_updated)) &&
	    set(object, "partitions_removed", number(catalog->partitions_removed)) &&
	    set(object, "requests", number(catalog->requests)) && set(object, "retries", number(catalog->retries)) &&
	    (err == NULL || set(object, "error", gm_cli_json_error(err))))
		return object;
	json_decref(object);
	return NULL;
}

/* Of a run: what came of its catalog, if it has one. */
static json_t *catalog_of(const struct gm_run_result *result)
{
	const struct gm_error *err = &result->catalog_error;
	return gm_cli_json_catalog(&result->catalog, result->catalog.state == GM_CATALOG_FAILED ? err : NULL);
}

/* All but the objects. */
static json_t *summary_json(const struct gm_run_result *result, const struct gm_error *err)
{
	json_t *object = json_object();
	bool committed = result->committed;
	bool ok = object != NULL &&
	          set(object, "run", committed && result->run_count > 0 ? number(result->runs[0]) : json_null()) &&
	          set(object, "version", gm_cli_json_number(result->version)) &&
	          set(object, "committed", json_boolean(committed)) && set(object, "runs", runs_json(result)) &&
	          set(object, "inputs", number(result->inputs)) && set_balance(object, &result->total) &&
	          set(object, "files", files_json(result)) &&
	          (result->abandoned == 0 || set(object, "abandoned", number(result->abandoned))) &&
	          set(object, "seconds", json_real(result->seconds)) &&
	          (!result->remote || set(object, "requests", gm_cli_json_requests(&result->requests))) &&
	          (result->catalog.state == GM_CATALOG_NOT_ASKED || set(object, "catalog", catalog_of(result))) &&
	          (!result->profile.taken || set(object, "profile", gm_cli_json_profile(result))) &&
	          (err == NULL || set(object, "error", gm_cli_json_error(err)));
	if (ok) return object;
	json_decref(object);
	return NULL;
}

struct json_t *gm_cli_json_result(const struct gm_run_result *result, const struct gm_error *err)
{
	json_t *object = summary_json(result, err);
	if (object != NULL && set(object, "objects", objects_json(result))) return object;
	json_decref(object);
	return NULL;
}

/* There may be a million objects, and a tree of them takes kilobytes each: they are printed one by one. */
bool gm_cli_report_json(FILE *out, const struct gm_run_result *result, const struct gm_error *err)
{
	char *text = take_text(summary_json(result, err));
	if (text == NULL) return false;
	fprintf(out, "%.*s,\"objects\":[", (int)strlen(text) - 1, text);
	free(text);
	for (size_t i = 0; i < result->object_count; i++) {
		text = take_text(object_json(&result->objects[i]));
		if (text == NULL) return false;
		fprintf(out, "%s%s", i > 0 ? "," : "", text);
		free(text);
	}
	fputs("]}\n", out);
	return true;
}

static const char *step_name(enum gm_step step)
{
	switch (step) {
	case GM_STEP_DONE: return "done";
	case GM_STEP_BEFORE: return "before";
	case GM_STEP_COMMITTED: return "committed";
	default: return "dead";
	}
}

struct json_t *gm_cli_json_step(const struct gm_run_result *result, uint64_t plan, enum gm_step step,
                                const struct gm_error *err)
{
	json_t *object = gm_cli_json_result(result, err);
	if (object != NULL && set(object, "plan", number(plan)) &&
	    set(object, "step", err == NULL ? json_string(step_name(step)) : json_null()))
		return object;
	json_decref(object);
	return NULL;
}

bool gm_cli_report_error_json(FILE *out, const struct gm_error *err)
{
	return gm_cli_json_print_with(out, json_object(), err);
}

/* --- Text --------------------------------------------------------------------------------------------------------- */

void gm_cli_print_balance(FILE *out, const struct gm_balance *b)
{
	char n[5][GM_CLI_NUMBER_BYTES];
	fprintf(out, "  records  %s read = %s written + %s duplicates + %s filtered + %s quarantined\n",
	        gm_cli_count(n[0], b->records_read), gm_cli_count(n[1], b->rows_written), gm_cli_count(n[2], b->duplicates),
	        gm_cli_count(n[3], b->filtered), gm_cli_count(n[4], b->quarantined));
	fprintf(out, "  bytes    %s inflated = %s of records + %s of separators + %s quarantined\n",
	        gm_cli_count(n[0], b->bytes_raw), gm_cli_count(n[1], b->record_bytes),
	        gm_cli_count(n[2], b->separator_bytes), gm_cli_count(n[3], b->quarantined_bytes));
	if (b->conflicts > 0)
		fprintf(out, "  note     %s duplicates are conflicts: they say something else than the row that was kept\n",
		        gm_cli_count(n[0], b->conflicts));
	if (b->converted_null > 0)
		fprintf(out, "  note     %s values did not fit their column and are null\n",
		        gm_cli_count(n[0], b->converted_null));
	if (b->invalid_utf8 > 0)
		fprintf(out, "  note     %s pieces of invalid UTF-8 were replaced by U+FFFD\n",
		        gm_cli_count(n[0], b->invalid_utf8));
	if (b->duplicate_keys > 0)
		fprintf(out, "  note     %s keys were given twice in one document; the last counts\n",
		        gm_cli_count(n[0], b->duplicate_keys));
}

struct partition {
	char *label;
	uint64_t rows, files, bytes;
};

static int by_label(const void *a, const void *b)
{
	return strcmp(((const struct partition *)a)->label, ((const struct partition *)b)->label);
}

/* Largest first. */
static int by_rows(const void *a, const void *b)
{
	const struct partition *p = a, *q = b;
	return p->rows != q->rows ? (p->rows < q->rows ? 1 : -1) : by_label(a, b);
}

/* The folders of a file's path: "year=2024/month=03/day=10"; NULL when memory is gone. */
static char *label_of(const struct gm_file *file)
{
	const char *slash = strrchr(file->path, '/');
	return slash != NULL ? strndup(file->path, (size_t)(slash - file->path)) : strdup("(all)");
}

/* Adds up neighbours of one label; returns how many are left. */
static size_t merge(struct partition *at, size_t count)
{
	size_t n = 0;
	qsort(at, count, sizeof *at, by_label);
	for (size_t i = 0; i < count; i++) {
		if (n > 0 && strcmp(at[n - 1].label, at[i].label) == 0) {
			at[n - 1].rows += at[i].rows;
			at[n - 1].files += at[i].files;
			at[n - 1].bytes += at[i].bytes;
			free(at[i].label);
		} else {
			at[n++] = at[i];
		}
	}
	return n;
}

static void print_partitions(FILE *out, struct partition *at, size_t count)
{
	enum { SHOWN = 20, LABEL_MIN = 9 };
	char n[3][GM_CLI_NUMBER_BYTES];
	size_t shown = count < SHOWN ? count : SHOWN, width = LABEL_MIN;
	if (count > SHOWN) {
		qsort(at, count, sizeof *at, by_rows);
		qsort(at, shown, sizeof *at, by_label);
	}
	for (size_t i = 0; i < shown; i++) width = strlen(at[i].label) > width ? strlen(at[i].label) : width;
	fprintf(out, "\n  %-*s  %13s  %6s  %10s\n", (int)width, "partition", "rows", "files", "size");
	for (size_t i = 0; i < shown; i++) {
		fputs("  ", out);
		gm_cli_print_safe(out, at[i].label, strlen(at[i].label));
		fprintf(out, "%*s  %13s  %6s  %10s\n", (int)(width - strlen(at[i].label)), "", gm_cli_count(n[0], at[i].rows),
		        gm_cli_count(n[1], at[i].files), gm_cli_bytes(n[2], (double)at[i].bytes));
	}
	if (count > shown) fprintf(out, "  and %s smaller ones\n", gm_cli_count(n[0], count - shown));
}

void gm_cli_print_partitions(FILE *out, const struct gm_run_result *result)
{
	if (result->file_count == 0) return;
	struct partition *at = calloc(result->file_count, sizeof *at);
	size_t count = 0;
	for (; at != NULL && count < result->file_count; count++) {
		const struct gm_file *file = &result->files[count];
		char *label = label_of(file);
		if (label == NULL) break;
		at[count] = (struct partition){label, file->rows, 1, file->bytes};
	}
	if (at != NULL && count == result->file_count) {
		count = merge(at, count);
		print_partitions(out, at, count);
	} else {
		fprintf(out, "  %zu files\n", result->file_count);
	}
	for (size_t i = 0; at != NULL && i < count; i++) free(at[i].label);
	free(at);
}

/* What was asked of the services where source and table lie. */
static void print_requests(FILE *out, const struct gm_requests *r)
{
	char n[8][GM_CLI_NUMBER_BYTES];
	uint64_t all = r->list + r->get + r->head + r->put + r->delete_ + r->multipart + r->other;
	fprintf(out, "  requests %s: %s list, %s get, %s head, %s put, %s delete, %s multipart, %s other",
	        gm_cli_count(n[0], all), gm_cli_count(n[1], r->list), gm_cli_count(n[2], r->get),
	        gm_cli_count(n[3], r->head), gm_cli_count(n[4], r->put), gm_cli_count(n[5], r->delete_),
	        gm_cli_count(n[6], r->multipart), gm_cli_count(n[7], r->other));
	fprintf(out, "; %s of them retries; %s in, %s out\n", gm_cli_count(n[0], r->retries),
	        gm_cli_bytes(n[1], (double)r->bytes_in), gm_cli_bytes(n[2], (double)r->bytes_out));
}

void gm_cli_print_catalog(FILE *out, const struct gm_catalog_result *c)
{
	char n[3][GM_CLI_NUMBER_BYTES];
	fprintf(out, "  catalog  %s", catalog_states[c->state]);
	if (c->created > 0) fprintf(out, ", %s created", gm_cli_count(n[0], c->created));
	if (c->updated > 0) fprintf(out, ", %s updated", gm_cli_count(n[0], c->updated));
	if (c->unchanged > 0) fprintf(out, ", %s unchanged", gm_cli_count(n[0], c->unchanged));
	if (c->dropped > 0) fprintf(out, ", %s dropped", gm_cli_count(n[0], c->dropped));
	if (c->partitions_created + c->partitions_updated + c->partitions_removed > 0)
		fprintf(out, "; partitions: %s created, %s updated, %s removed", gm_cli_count(n[0], c->partitions_created),
		        gm_cli_count(n[1], c->partitions_updated), gm_cli_count(n[2], c->partitions_removed));
	fprintf(out, "; %s requests, %s of them retries\n", gm_cli_count(n[0], c->requests),
	        gm_cli_count(n[1], c->retries));
}

/* Said even to those who want to hear of nothing but errors. */
void gm_cli_warn_catalog(const struct gm_run_result *result, const char *job)
{
	if (result->catalog.state != GM_CATALOG_FAILED) return;
	gm_cli_print_error(&result->catalog_error);
	fputs("  hint: the table is as it should be, and the next run tries again; at once: gristmill catalog ", stderr);
	gm_cli_print_safe(stderr, job, strlen(job));
	fputs(" sync\n", stderr);
}

static void print_summary(FILE *out, const struct gm_run_result *result, bool dry_run)
{
	char n[4][GM_CLI_NUMBER_BYTES];
	const struct gm_balance *total = &result->total;
	if (result->committed && result->run_count > 0)
		fprintf(out, "run %llu%s", (unsigned long long)result->runs[0], result->run_count > 1 ? " and on" : "");
	else
		fputs(dry_run ? "dry run, nothing stored" : "nothing published", out);
	fprintf(out, ": %s objects, %s, %s inflated, in %s", gm_cli_count(n[0], result->inputs),
	        gm_cli_bytes(n[1], (double)total->bytes_in), gm_cli_bytes(n[2], (double)total->bytes_raw),
	        gm_cli_duration(n[3], result->seconds));
	if (result->seconds > 0)
		fprintf(out, " (%s/s, %s records/s)", gm_cli_bytes(n[0], (double)total->bytes_raw / result->seconds),
		        gm_cli_count(n[1], (uint64_t)((double)total->records_read / result->seconds)));
	fputc('\n', out);
	gm_cli_print_balance(out, total);
}

void gm_cli_report_text(FILE *out, const struct gm_run_result *result, bool dry_run)
{
	if (result->abandoned > 0)
		fprintf(out, "gave up run %llu\n", (unsigned long long)result->abandoned);
	else if (result->inputs == 0)
		fputs("nothing new\n", out);
	else
		print_summary(out, result, dry_run);
	if (result->remote) print_requests(out, &result->requests);
	if (result->catalog.state != GM_CATALOG_NOT_ASKED) gm_cli_print_catalog(out, &result->catalog);
	if (result->abandoned == 0 && result->inputs > 0) gm_cli_print_partitions(out, result);
	gm_cli_print_profile(out, result);
}
