/* Every job file of tests/cases/job-errors is refused with the position, message and hint that stand beside it.
 *
 * To add a case: NAME.yaml, and NAME.txt with
 *
 *     --set NAME=VALUE         any number of these; \n in a value is a line break
 *     LINE:COLUMN: message     0:0 when there is no place
 *     hint: text               only if there is a hint                                                               */
#include "job/job.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CASES GM_SOURCE_DIR "/tests/cases/job-errors"

enum { SETTINGS_MAX = 8 };
struct expectation {
	char text[4096];
	struct gm_setting settings[SETTINGS_MAX];
	struct gm_job_options options;
	const char *wanted; /* what is left of text after the settings */
};

static void unescape(char *text)
{
	char *out = text;
	for (; *text != '\0'; text++) {
		if (text[0] == '\\' && text[1] == 'n') {
			*out++ = '\n';
			text++;
		} else
			*out++ = *text;
	}
	*out = '\0';
}

static void read_expectation(const char *path, struct expectation *e)
{
	FILE *file = fopen(path, "rb");
	memset(e, 0, sizeof *e);
	if (file == NULL) fail_msg("%s is missing", path);
	size_t n = fread(e->text, 1, sizeof e->text - 1, file);
	(void)fclose(file);
	e->text[n] = '\0';
	char *line = e->text;
	while (strncmp(line, "--set ", 6) == 0) {
		char *name = line + 6, *end = strchr(line, '\n'), *equals = strchr(line, '=');
		assert_non_null(end);
		assert_non_null(equals);
		*end = *equals = '\0';
		unescape(equals + 1);
		assert_true(e->options.setting_count < SETTINGS_MAX);
		e->settings[e->options.setting_count++] = (struct gm_setting){.name = name, .value = equals + 1};
		line = end + 1;
	}
	e->options.settings = e->settings;
	e->wanted = line;
}

static bool check_case(const char *name)
{
	char path[1024], found[2048], yaml[1024];
	struct expectation e;
	struct gm_error err = {0};
	struct gm_job *job = NULL;
	(void)snprintf(yaml, sizeof yaml, CASES "/%s.yaml", name);
	(void)snprintf(path, sizeof path, CASES "/%s.txt", name);
	read_expectation(path, &e);
	enum gm_code rc = gm_job_load(yaml, &e.options, &job, &err);
	if (rc == GM_OK) {
		print_error("%s: was accepted\n", name);
		gm_job_free(job);
		return false;
	}
	(void)snprintf(found, sizeof found, "%d:%d: %s\n%s%s%s", err.line, err.column, err.message,
	               err.hint[0] == '\0' ? "" : "hint: ", err.hint, err.hint[0] == '\0' ? "" : "\n");
	bool ok = job == NULL && err.code == rc && (rc == GM_JOB || (rc == GM_USAGE && err.line == 0)) &&
	          strcmp(err.object, yaml) == 0 && strcmp(found, e.wanted) == 0;
	if (!ok)
		print_error("%s (%s, %s)\n  expected %s  found    %s", name, gm_code_name(rc), err.object, e.wanted, found);
	return ok;
}

static int yaml_files(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);
	return n > 5 && strcmp(entry->d_name + n - 5, ".yaml") == 0;
}

static void cases(void **state)
{
	(void)state;
	struct dirent **names;
	int count = scandir(CASES, &names, yaml_files, alphasort), failed = 0;
	assert_true(count > 100);
	for (int i = 0; i < count; i++) {
		names[i]->d_name[strlen(names[i]->d_name) - 5] = '\0';
		failed += !check_case(names[i]->d_name);
		free(names[i]);
	}
	free(names);
	assert_int_equal(failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(cases)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
