/* command_generate.c - gristmill generate DIR */
#include "cli/cli.h"

#include <jansson.h>
#include <string.h>

struct options {
	uint64_t records, per_object, seed, level;
	int64_t start_us;
	double hours, duplicates, late, bad;
	bool json, quiet;
};

#define FIELD(name) offsetof(struct options, name)
const struct gm_cli_flag gm_cli_generate_flags[GM_CLI_GENERATE_FLAGS] = {
    {"records", "N", GM_CLI_COUNT, FIELD(records), "how many records, duplicates not counted; default 200000", 0, 1e12},
    {"per-object", "N", GM_CLI_COUNT, FIELD(per_object),
     "records an object; 0, the default: what 15 minutes bring, at most 85000", 0, 1e6},
    {"seed", "N", GM_CLI_COUNT, FIELD(seed), "another seed gives another sample; default 1", 0, 0},
    {"start", "TIME", GM_CLI_TIME, FIELD(start_us), "the first record's time in UTC; default 2024-03-10T00:00:00", 0,
     0},
    {"hours", "H", GM_CLI_DECIMAL, FIELD(hours), "the time that the records span; default 48", 0, 0},
    {"duplicates", "SHARE", GM_CLI_DECIMAL, FIELD(duplicates), "records that are delivered twice; default 0.001", 0, 1},
    {"late", "SHARE", GM_CLI_DECIMAL, FIELD(late), "records that arrive hours late; default 0.002", 0, 1},
    {"bad", "SHARE", GM_CLI_DECIMAL, FIELD(bad), "records that are broken in some way; default 0.0005", 0, 1},
    {"level", "N", GM_CLI_COUNT, FIELD(level), "of gzip, 0 to 9; default 6", 0, 9},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object at the end instead of the summary", 0, 0},
    {"quiet", NULL, GM_CLI_SWITCH, FIELD(quiet), "print nothing but errors (and the JSON object)", 0, 0},
};

static void print_text(const char *directory, const struct gm_generate_result *r)
{
	char n[7][GM_CLI_NUMBER_BYTES];
	gm_cli_print_safe(stdout, directory, strlen(directory));
	printf(": %s records in %s objects, %s (%s inflated)\n  of them %s duplicates, %s late, %s bad\n",
	       gm_cli_count(n[0], r->records), gm_cli_count(n[1], r->objects), gm_cli_bytes(n[2], (double)r->bytes),
	       gm_cli_bytes(n[3], (double)r->bytes_raw), gm_cli_count(n[4], r->duplicates), gm_cli_count(n[5], r->late),
	       gm_cli_count(n[6], r->bad));
}

static bool print_json(const struct gm_generate_result *r, const struct gm_error *err)
{
	json_t *object = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "objects", (json_int_t)r->objects, "records",
	                           (json_int_t)r->records, "duplicates", (json_int_t)r->duplicates, "late",
	                           (json_int_t)r->late, "bad", (json_int_t)r->bad, "rejected", (json_int_t)r->rejected,
	                           "bytes", (json_int_t)r->bytes, "bytes_raw", (json_int_t)r->bytes_raw);
	return gm_cli_json_print_with(stdout, object, err);
}

static enum gm_code generate(const struct options *o, const char *directory, struct gm_generate_options options,
                             struct gm_generate_result *result, struct gm_error *err)
{
	struct gm_cli_progress progress;
	gm_cli_progress_init(&progress, o->quiet);
	options.records = o->records;
	options.records_per_object = o->per_object;
	options.seed = o->seed;
	options.start_us = o->start_us;
	options.hours = o->hours;
	options.duplicates = o->duplicates;
	options.late = o->late;
	options.bad = o->bad;
	options.level = (int)o->level;
	options.stop = gm_cli_catch_signals();
	options.progress = gm_cli_progress_show;
	options.context = &progress;
	enum gm_code code = gm_generate(directory, &options, result, err);
	gm_cli_progress_end(&progress);
	return code;
}

int gm_cli_generate(const struct gm_cli_command *command, char **arguments)
{
	struct gm_generate_options d;
	gm_generate_defaults(&d);
	struct options o = {.records = d.records,
	                    .per_object = d.records_per_object,
	                    .seed = d.seed,
	                    .level = (uint64_t)d.level,
	                    .start_us = d.start_us,
	                    .hours = d.hours,
	                    .duplicates = d.duplicates,
	                    .late = d.late,
	                    .bad = d.bad};
	struct gm_generate_result result = {0};
	struct gm_error err;
	const char *directory = NULL;
	int status = gm_cli_parse(command, arguments, &o, &directory);
	if (status != GM_CLI_GO_ON) return status;
	enum gm_code code = generate(&o, directory, d, &result, &err);
	if (code != GM_OK) gm_cli_print_error(&err);
	bool reported = true;
	if (o.json)
		reported = print_json(&result, code != GM_OK ? &err : NULL);
	else if (!o.quiet && code == GM_OK)
		print_text(directory, &result);
	return gm_cli_finish(gm_cli_status_of(code), reported);
}
