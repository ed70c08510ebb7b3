/* command_catalog.c - gristmill catalog JOB ddl, and the words of catalog */
#include "cli/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options {
	struct gm_cli_job_flags job;
	const char *dialect;
	bool json;
};

#define FIELD(name) offsetof(struct options, name)
static const struct gm_cli_flag ddl_flags[] = {
    GM_CLI_JOB_FLAGS,
    {"dialect", "NAME", GM_CLI_TEXT, FIELD(dialect), "athena, spark, trino or duckdb; without it: all four", 0, 0},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object, with a text for each dialect", 0, 0},
};

/* --- ddl ---------------------------------------------------------------------------------------------------------- */

enum { DIALECTS_MAX = 8 };
struct texts {
	char *of[DIALECTS_MAX]; /* by dialect; NULL: not asked for */
	bool one;
};

static void lower(const char *name, char *out, size_t bytes)
{
	(void)snprintf(out, bytes, "%s", name);
	for (; *out != '\0'; out++)
		if (*out >= 'A' && *out <= 'Z') *out = (char)(*out - 'A' + 'a');
}

static bool print_json(const struct texts *texts, const struct gm_error *err)
{
	json_t *object = json_object();
	char name[32];
	for (int i = 0; i < DIALECTS_MAX; i++) {
		if (texts->of[i] == NULL || err != NULL) continue;
		lower(gm_dialect_name((enum gm_dialect)i), name, sizeof name);
		json_t *text = gm_cli_json_text(texts->of[i], strlen(texts->of[i]));
		if (json_object_set_new(object, name, text) == 0) continue;
		json_decref(object);
		object = NULL;
	}
	return gm_cli_json_print_with(stdout, object, err);
}

/* As it is into a file; a terminal shall obey nothing that stands in a comment. */
static void print_statements(const char *text)
{
	if (isatty(STDOUT_FILENO) == 0) {
		fputs(text, stdout);
		return;
	}
	for (size_t n; *text != '\0'; text += n) {
		n = strcspn(text, "\n");
		gm_cli_print_safe(stdout, text, n);
		if (text[n] == '\n') fputc('\n', stdout);
		n += text[n] == '\n';
	}
}

static void print_text(const struct texts *texts)
{
	bool first = true;
	for (int i = 0; i < DIALECTS_MAX; i++) {
		if (texts->of[i] == NULL) continue;
		if (!texts->one) printf("%s-- %s\n", first ? "" : "\n", gm_dialect_name((enum gm_dialect)i));
		print_statements(texts->of[i]);
		first = false;
	}
}

static int write_ddl(const struct options *o, const struct gm_job *job, int wanted)
{
	struct texts texts = {.one = wanted >= 0};
	struct gm_error err;
	enum gm_code code = GM_OK;
	for (int i = 0; code == GM_OK && gm_dialect_name((enum gm_dialect)i) != NULL; i++)
		if (wanted < 0 || wanted == i) code = gm_catalog_ddl(job, (enum gm_dialect)i, &texts.of[i], &err);
	bool reported = true;
	if (code != GM_OK) gm_cli_print_error(&err);
	if (o->json)
		reported = print_json(&texts, code != GM_OK ? &err : NULL);
	else if (code == GM_OK)
		print_text(&texts);
	for (int i = 0; i < DIALECTS_MAX; i++) free(texts.of[i]);
	return gm_cli_finish(gm_cli_status_of(code), reported);
}

/* *dialect: its number; -1: all. */
static int read_dialect(const char *text, int *dialect)
{
	const char *words[DIALECTS_MAX];
	char names[DIALECTS_MAX][32];
	size_t count = 0;
	*dialect = -1;
	if (text == NULL) return GM_CLI_GO_ON;
	for (; gm_dialect_name((enum gm_dialect)count) != NULL; count++) {
		lower(gm_dialect_name((enum gm_dialect)count), names[count], sizeof names[count]);
		words[count] = names[count];
		if (strcmp(text, names[count]) != 0) continue;
		*dialect = (int)count;
		return GM_CLI_GO_ON;
	}
	char hint[128];
	const char *near = gm_cli_nearest(text, words, count);
	if (near != NULL)
		(void)snprintf(hint, sizeof hint, "did you mean '%s'?", near);
	else
		(void)snprintf(hint, sizeof hint, "there are: athena, spark, trino, duckdb");
	return gm_cli_usage(hint, "there is no dialect '%s'", text);
}

static int main_ddl(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {0};
	struct gm_job *job = NULL;
	const char *path = NULL;
	int dialect = -1;
	int status = gm_cli_parse(command, arguments, &o, &path);
	if (status == GM_CLI_GO_ON) status = read_dialect(o.dialect, &dialect);
	if (status == GM_CLI_GO_ON) status = gm_cli_load_job(&o.job, path, o.json, &job);
	if (status == GM_CLI_GO_ON) status = write_ddl(&o, job, dialect);
	gm_job_free(job);
	free(o.job.settings.at);
	return status;
}

const struct gm_cli_command gm_cli_catalog_words[] = {
    {.name = "catalog ddl",
     .operand = "JOB",
     .brief = "print CREATE TABLE for Athena, Spark, Trino and DuckDB",
     .text =
         "Prints the statements that make the table known to an engine: columns, comments, partitions and how their "
         "values are computed, as the table's log has them now, or, before the first run, as the job says. What is "
         "printed can be run as it is; lines that begin with '--' tell what is to be known. Writes nothing. "
         "docs/catalog.md says more.",
     .flags = ddl_flags,
     .flag_count = sizeof ddl_flags / sizeof ddl_flags[0],
     .main = main_ddl},
    {.name = "catalog sync",
     .operand = "JOB",
     .brief = "make the entries say what the table's log says",
     .text =
         "Reads the entries and the table's log, and writes what differs: columns, comments, ranges of the partitions, "
         "or the partitions themselves. What others have put into an entry is left alone. Each run does this at its "
         "end, so it is needed after a run whose notice says so, and after a change of the job file that no run "
         "follows.",
     .flags = gm_cli_catalog_change_flags,
     .flag_count = GM_CLI_CATALOG_CHANGE_FLAGS,
     .main = gm_cli_catalog_sync},
    {.name = "catalog show",
     .operand = "JOB",
     .brief = "compare the entries with what they should say",
     .text = "Prints each entry and every difference from what a sync would make of it; --json has both in full. The "
             "exit status is 1 if there is a difference. Writes nothing.",
     .flags = gm_cli_catalog_show_flags,
     .flag_count = GM_CLI_CATALOG_SHOW_FLAGS,
     .main = gm_cli_catalog_show},
    {.name = "catalog drop",
     .operand = "JOB",
     .brief = "delete the entries, never data",
     .text = "Deletes the table's entries from the catalog, with the partitions that are registered there. An entry "
             "that describes another location is left alone, and told. The table stays as it is, and the next sync or "
             "run makes the entries anew.",
     .flags = gm_cli_catalog_change_flags,
     .flag_count = GM_CLI_CATALOG_CHANGE_FLAGS,
     .main = gm_cli_catalog_drop},
    {.name = NULL},
};
