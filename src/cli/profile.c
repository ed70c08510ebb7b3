/* profile.c - the stage table of --profile: where the time of a run went. */
#include "cli/cli.h"

#include <jansson.h>

/* What a stage's figures are told by. */
struct basis {
	double all; /* CPU seconds of the process */
	uint64_t records;
};

static struct basis basis_of(const struct gm_run_result *result)
{
	return (struct basis){result->profile.cpu_seconds, result->total.records_read + result->refused.records_read};
}

static double share_of(const struct basis *basis, double seconds)
{
	return basis->all > 0 ? seconds / basis->all : 0;
}

static double ns_per_record(const struct basis *basis, double seconds)
{
	return basis->records > 0 ? seconds * 1e9 / (double)basis->records : 0;
}

static double mb_per_second(const struct gm_stage_time *stage)
{
	return stage->cpu_seconds > 0 ? (double)stage->bytes / 1e6 / stage->cpu_seconds : 0;
}

/* Too short to show in any column. */
static bool is_nothing(const struct gm_stage_time *stage)
{
	static const double least = 0.00005;
	return stage->cpu_seconds < least && stage->wait_seconds < least;
}

static void print_stage(FILE *out, const char *name, const struct gm_stage_time *stage, const struct basis *basis)
{
	char n[GM_CLI_NUMBER_BYTES], rate[GM_CLI_NUMBER_BYTES] = "-", waited[GM_CLI_NUMBER_BYTES] = "-";
	if (stage->bytes > 0) (void)gm_cli_count(rate, (uint64_t)(mb_per_second(stage) + 0.5));
	if (stage->wait_seconds >= 0.0005) (void)snprintf(waited, sizeof waited, "%.3f", stage->wait_seconds);
	fprintf(out, "  %-11s %9.3f %7.1f%% %11s %9s %9s\n", name, stage->cpu_seconds,
	        100 * share_of(basis, stage->cpu_seconds),
	        gm_cli_count(n, (uint64_t)(ns_per_record(basis, stage->cpu_seconds) + 0.5)), rate, waited);
}

void gm_cli_print_profile(FILE *out, const struct gm_run_result *result)
{
	const struct gm_profile *profile = &result->profile;
	struct basis basis = basis_of(result);
	if (!profile->taken) return;
	fprintf(out, "\n  %-11s %9s %8s %11s %9s %9s\n", "stage", "CPU s", "share", "ns/record", "MB/CPU s", "waited s");
	for (int i = 0; i < GM_STAGE_COUNT; i++)
		if (!is_nothing(&profile->stages[i]))
			print_stage(out, gm_stage_name((enum gm_stage)i), &profile->stages[i], &basis);
	print_stage(out, "all", &(struct gm_stage_time){.cpu_seconds = profile->cpu_seconds}, &basis);
}

static bool set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) == 0;
}

static json_t *rate_json(const struct gm_stage_time *stage)
{
	return stage->bytes > 0 && stage->cpu_seconds > 0 ? json_real(mb_per_second(stage)) : json_null();
}

static json_t *stage_json(enum gm_stage at, const struct gm_stage_time *stage, const struct basis *basis)
{
	json_t *object = json_object();
	if (object != NULL && set(object, "stage", json_string(gm_stage_name(at))) &&
	    set(object, "what", json_string(gm_stage_text(at))) &&
	    set(object, "cpu_seconds", json_real(stage->cpu_seconds)) &&
	    set(object, "share", json_real(share_of(basis, stage->cpu_seconds))) &&
	    set(object, "ns_per_record",
	        basis->records > 0 ? json_real(ns_per_record(basis, stage->cpu_seconds)) : json_null()) &&
	    set(object, "wait_seconds", json_real(stage->wait_seconds)) &&
	    set(object, "bytes", json_integer((json_int_t)stage->bytes)) &&
	    set(object, "mb_per_cpu_second", rate_json(stage)))
		return object;
	json_decref(object);
	return NULL;
}

struct json_t *gm_cli_json_profile(const struct gm_run_result *result)
{
	const struct gm_profile *profile = &result->profile;
	struct basis basis = basis_of(result);
	json_t *object = json_object(), *stages = json_array();
	bool ok = object != NULL && stages != NULL;
	for (int i = 0; ok && i < GM_STAGE_COUNT; i++)
		ok = json_array_append_new(stages, stage_json((enum gm_stage)i, &profile->stages[i], &basis)) == 0;
	ok = ok && set(object, "cpu_seconds", json_real(profile->cpu_seconds)) &&
	     set(object, "records", json_integer((json_int_t)basis.records)) && set(object, "stages", json_incref(stages));
	json_decref(stages);
	if (ok) return object;
	json_decref(object);
	return NULL;
}
