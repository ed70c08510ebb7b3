/* config_file.h - one of the files ~/.aws/config and ~/.aws/credentials, read as botocore reads it. */
#ifndef GM_AWS_CONFIG_FILE_H
#define GM_AWS_CONFIG_FILE_H

#include "aws/secret_memory.h"

enum { GM_AWS_FILE_MAX = 1 << 20 /* bytes; real ones have a few KiB */ };

struct gm_aws_setting {
	const char *name;  /* in lower case, but for nested ones */
	const char *value; /* lines of a continued value have LF between them */
	const char *outer; /* of a nested setting the name of that which holds it; else NULL */
	bool holds_nested; /* then value is "" */
	int line;
};
struct gm_aws_section {
	const char *name; /* what stands between the brackets */
	int line;
	size_t first, count; /* its settings */
};
/* Names and values lie in secret memory. */
struct gm_aws_file {
	const char *path; /* not owned */
	struct gm_secret_memory memory;
	struct gm_aws_section *sections;
	size_t section_count, section_room;
	struct gm_aws_setting *settings;
	size_t setting_count, setting_room;
};

void gm_aws_file_init(struct gm_aws_file *file, const char *path);
void gm_aws_file_release(struct gm_aws_file *file);
/* Reads and parses file->path; one that is not there is empty. USAGE: it is wrong; the error has file and line, and no
 * word of its contents. */
enum gm_code gm_aws_file_read(struct gm_aws_file *file, struct gm_error *err) GM_CHECK;
/* The same with bytes at hand. */
enum gm_code gm_aws_file_parse(struct gm_aws_file *file, const char *bytes, size_t n, struct gm_error *err) GM_CHECK;

/* A section by its name; NULL: there is none. */
const struct gm_aws_section *gm_aws_file_section(const struct gm_aws_file *file, const char *name);
/* A setting of a section (outer NULL) or one nested in the setting `outer`; NULL: there is none. */
const struct gm_aws_setting *gm_aws_file_setting(const struct gm_aws_file *file, const struct gm_aws_section *section,
                                                 const char *outer, const char *name);

#endif
