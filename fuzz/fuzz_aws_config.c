/* fuzz_aws_config.c - any bytes as one of AWS's shared files: it is read to its end, or refused with the line. What is
 * read is whole: every setting is found again under its section and name, and no name or value reaches outside the
 * text. */
#include "aws/config_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition) abort();
}

static void check_section(const struct gm_aws_file *file, const struct gm_aws_section *section)
{
	const char *outer = NULL;
	must(gm_aws_file_section(file, section->name) == section && section->line > 0);
	for (size_t i = 0; i < section->count; i++) {
		const struct gm_aws_setting *setting = &file->settings[section->first + i], *found;
		must(setting->line > section->line && strlen(setting->name) + strlen(setting->value) < GM_AWS_FILE_MAX);
		if (setting->outer == NULL) outer = setting->holds_nested ? setting->name : NULL;
		must(setting->outer == outer || setting->holds_nested);
		must(!setting->holds_nested || (setting->outer == NULL && setting->value[0] == '\0'));
		found = gm_aws_file_setting(file, section, setting->outer, setting->name);
		must(found == setting || (setting->outer != NULL && found > setting));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gm_error err;
	struct gm_aws_file file;
	gm_aws_file_init(&file, "config");
	enum gm_code rc = gm_aws_file_parse(&file, (const char *)data, size, &err);
	if (rc == GM_OK) {
		size_t settings = 0;
		for (size_t i = 0; i < file.section_count && file.setting_count < 1000; i++) {
			must(file.sections[i].first == settings);
			settings += file.sections[i].count;
			check_section(&file, &file.sections[i]);
		}
	} else {
		must(rc == GM_USAGE && err.line > 0 && strcmp(err.object, "config") == 0);
	}
	gm_aws_file_release(&file);
	return 0;
}
