/* config_file.c - the format of the files that AWS tools share. It is what Python's configparser makes of them, plus
 * nested settings:
 *
 *     # a comment; so is a line that begins with ";". None behind a value.
 *     [default]                         a section; what follows "]" in the line is ignored
 *     region = eu-west-1                a setting; ":" does as well as "=". The name's case does not count
 *     credential_process = /bin/tool
 *         --with options                a line indented deeper goes on with the value, as it does behind an empty one
 *     s3 =                              indented lines below an empty value are settings of their own, nested in it
 *         addressing_style = path
 *
 * Lines end with LF, CR LF or CR. A section or setting that comes twice, a line without "=", and a setting before the
 * first section are errors. White space is what Python takes for it in ASCII, and no-break spaces, which come along
 * when keys are copied from web pages.
 *
 * The file holds secrets. So its text is read into secret memory and cut up in place: a name ends where its "=" was, a
 * value where its line ended. A continued value moves up, over the line end and the indentation. */
#include "aws/config_file.h"

#include "base/arena.h"
#include "base/io.h"
#include "base/unicode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct parser {
	struct gm_aws_file *file;
	char *at, *end; /* what has not been read yet; the byte behind the text is ours, too */
	int line;
	size_t indent;           /* of the last section or setting */
	bool open;               /* a setting may go on */
	size_t empty_lines;      /* since its last line */
	char *value, *value_end; /* of the open setting */
	struct gm_error *err;
};

void gm_aws_file_init(struct gm_aws_file *file, const char *path)
{
	*file = (struct gm_aws_file){.path = path};
	gm_secret_init(&file->memory, GM_AWS_FILE_MAX + (64 << 10)); /* the text, and pages not quite used */
}

void gm_aws_file_release(struct gm_aws_file *file)
{
	gm_secret_release(&file->memory);
	free(file->sections);
	free(file->settings);
	gm_aws_file_init(file, file->path);
}

/* --- Errors ------------------------------------------------------------------------------------------------------- */

static enum gm_code fail_at(const struct gm_aws_file *file, int line, struct gm_error *err, const char *text)
{
	(void)gm_error_set(err, GM_USAGE, "%s", text);
	if (err != NULL) err->line = line;
	return gm_error_object(err, GM_USAGE, file->path, strlen(file->path));
}

static enum gm_code no_memory(const struct gm_aws_file *file, struct gm_error *err)
{
	(void)gm_error_set(err, GM_NOMEM, "out of memory for an AWS configuration file");
	return gm_error_object(err, GM_NOMEM, file->path, strlen(file->path));
}

/* --- Lines -------------------------------------------------------------------------------------------------------- */

static bool is_space_at(const char *at, const char *end, size_t *bytes)
{
	if ((uint8_t)*at < 0x80) {
		*bytes = 1;
		return gm_unicode_is_space((uint8_t)*at);
	}
	return gm_unicode_is_space(gm_utf8_decode((const uint8_t *)at, (size_t)(end - at), bytes));
}

static char *skip_spaces(char *at, const char *end)
{
	for (size_t n; at < end && is_space_at(at, end, &n);) at += n;
	return at;
}

/* The end without white space; the text is well-formed UTF-8. */
static char *trim_spaces(const char *from, char *end)
{
	while (end > from) {
		char *last = end - 1;
		size_t n;
		while (last > from && ((uint8_t)*last & 0xC0) == 0x80) last--;
		if (!is_space_at(last, end, &n)) break;
		end = last;
	}
	return end;
}

/* The next line without its end; false at the end of the text. */
static bool next_line(struct parser *parser, char **from, char **to)
{
	if (parser->at == parser->end) return false;
	char *at = parser->at;
	while (at < parser->end && *at != '\n' && *at != '\r') at++;
	*from = parser->at;
	*to = at;
	if (at < parser->end) at += *at == '\r' && at + 1 < parser->end && at[1] == '\n' ? 2 : 1;
	parser->at = at;
	parser->line++;
	return true;
}

/* --- Sections and settings ---------------------------------------------------------------------------------------- */

static enum gm_code add_section(struct parser *parser, char *name, char *name_end)
{
	struct gm_aws_file *file = parser->file;
	struct gm_aws_section *grown =
	    gm_grow(file->sections, file->section_count, &file->section_room, sizeof *file->sections);
	if (grown == NULL) return no_memory(file, parser->err);
	*name_end = '\0';
	file->sections = grown;
	file->sections[file->section_count++] =
	    (struct gm_aws_section){.name = name, .line = parser->line, .first = file->setting_count};
	parser->open = false;
	return GM_OK;
}

static enum gm_code add_setting(struct parser *parser, const struct gm_aws_setting *setting)
{
	struct gm_aws_file *file = parser->file;
	struct gm_aws_setting *grown =
	    gm_grow(file->settings, file->setting_count, &file->setting_room, sizeof *file->settings);
	if (grown == NULL) return no_memory(file, parser->err);
	file->settings = grown;
	file->settings[file->setting_count++] = *setting;
	file->sections[file->section_count - 1].count++;
	return GM_OK;
}

static enum gm_code read_setting(struct parser *parser, char *from, char *to)
{
	char *sign = from;
	while (sign < to && *sign != '=' && *sign != ':') sign++;
	if (sign == to) return fail_at(parser->file, parser->line, parser->err, "a setting has no '='");
	char *name_end = trim_spaces(from, sign);
	if (name_end == from) return fail_at(parser->file, parser->line, parser->err, "a setting has no name");
	*name_end = '\0';
	(void)gm_ascii_lower((uint8_t *)from, (const uint8_t *)from, (size_t)(name_end - from));
	parser->value = skip_spaces(sign + 1, to);
	parser->value_end = to;
	*to = '\0'; /* a line end, white space before it, or the byte behind the text */
	parser->open = true;
	parser->empty_lines = 0;
	return add_setting(parser, &(struct gm_aws_setting){.name = from, .value = parser->value, .line = parser->line});
}

static enum gm_code read_nested(struct parser *parser, char *from, char *to)
{
	struct gm_aws_file *file = parser->file;
	struct gm_aws_setting *outer = &file->settings[file->setting_count - 1];
	const char *name = outer->outer != NULL ? outer->outer : outer->name;
	if (outer->outer == NULL) outer->holds_nested = true;
	char *sign = memchr(from, '=', (size_t)(to - from));
	if (sign == NULL) return fail_at(file, parser->line, parser->err, "a nested setting has no '='");
	*trim_spaces(from, sign) = '\0';
	*to = '\0';
	return add_setting(parser,
	                   &(struct gm_aws_setting){
	                       .name = from, .value = skip_spaces(sign + 1, to), .outer = name, .line = parser->line});
}

/* Each line end that is written takes the place of one that was read. */
static void continue_value(struct parser *parser, const char *from, const char *to)
{
	for (size_t i = 0; i <= parser->empty_lines; i++) *parser->value_end++ = '\n';
	memmove(parser->value_end, from, (size_t)(to - from));
	parser->value_end += to - from;
	*parser->value_end = '\0';
	parser->empty_lines = 0;
}

/* A line that is neither empty nor a comment, without white space at its ends. */
static enum gm_code read_line(struct parser *parser, size_t indent, char *from, char *to)
{
	if (parser->open && indent > parser->indent) {
		if (*parser->value == '\0') return read_nested(parser, from, to);
		continue_value(parser, from, to);
		return GM_OK;
	}
	parser->indent = indent;
	char *closing = *from == '[' ? memrchr(from, ']', (size_t)(to - from)) : NULL;
	if (closing != NULL && closing > from + 1) return add_section(parser, from + 1, closing);
	if (parser->file->section_count == 0)
		return fail_at(parser->file, parser->line, parser->err, "a setting stands before the first [section]");
	return read_setting(parser, from, to);
}

static enum gm_code read_lines(struct parser *parser)
{
	for (char *from, *to; next_line(parser, &from, &to);) {
		char *text = skip_spaces(from, to);
		to = trim_spaces(text, to);
		if (text == to)
			parser->empty_lines++;
		else if (*text != '#' && *text != ';')
			GM_TRY(read_line(parser, (size_t)(text - from), text, to));
	}
	return GM_OK;
}

/* --- What may not come twice -------------------------------------------------------------------------------------- */

struct named {
	const char *name;
	size_t section; /* 0 for sections */
	int line;
};

static int compare_named(const void *left, const void *right)
{
	const struct named *a = left, *b = right;
	if (a->section != b->section) return a->section < b->section ? -1 : 1;
	int order = strcmp(a->name, b->name);
	return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

/* The first line that repeats a name; 0: there is none. Sorts them. */
static int find_repeated(struct named *names, size_t count)
{
	int line = 0;
	if (count > 0) qsort(names, count, sizeof *names, compare_named);
	for (size_t i = 1; i < count; i++) {
		bool same = names[i].section == names[i - 1].section && strcmp(names[i].name, names[i - 1].name) == 0;
		if (same && (line == 0 || names[i].line < line)) line = names[i].line;
	}
	return line;
}

static enum gm_code check_repeated(const struct gm_aws_file *file, struct gm_error *err)
{
	size_t room = file->section_count > file->setting_count ? file->section_count : file->setting_count, n = 0;
	struct named *names = room > 0 ? malloc(room * sizeof *names) : NULL;
	if (room == 0) return GM_OK;
	if (names == NULL) return no_memory(file, err);
	for (size_t i = 0; i < file->section_count; i++)
		names[i] = (struct named){.name = file->sections[i].name, .line = file->sections[i].line};
	int section_line = find_repeated(names, file->section_count);
	for (size_t i = 0; i < file->section_count; i++) {
		for (size_t k = 0; k < file->sections[i].count; k++) {
			const struct gm_aws_setting *setting = &file->settings[file->sections[i].first + k];
			if (setting->outer != NULL) continue;
			names[n++] = (struct named){.name = setting->name, .section = i, .line = setting->line};
		}
	}
	int setting_line = find_repeated(names, n);
	free(names);
	if (section_line > 0) return fail_at(file, section_line, err, "a section comes twice");
	if (setting_line > 0) return fail_at(file, setting_line, err, "a setting comes twice in its section");
	return GM_OK;
}

/* --- Files -------------------------------------------------------------------------------------------------------- */

static int line_at(const char *text, size_t offset)
{
	int line = 1;
	for (size_t i = 0; i < offset; i++) line += text[i] == '\n' || (text[i] == '\r' && text[i + 1] != '\n');
	return line;
}

/* text[n] may be written to. */
static enum gm_code parse(struct gm_aws_file *file, char *text, size_t n, struct gm_error *err)
{
	text[n] = '\0';
	size_t valid = gm_utf8_valid_prefix((const uint8_t *)text, n), end = strlen(text);
	if (valid < n) return fail_at(file, line_at(text, valid), err, "the file is not UTF-8");
	if (end < n) return fail_at(file, line_at(text, end), err, "the file contains a NUL character");
	size_t mark = n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
	struct parser parser = {.file = file, .at = text + mark, .end = text + n, .err = err};
	GM_TRY(read_lines(&parser));
	return check_repeated(file, err);
}

enum gm_code gm_aws_file_parse(struct gm_aws_file *file, const char *bytes, size_t n, struct gm_error *err)
{
	if (n > GM_AWS_FILE_MAX) return fail_at(file, 0, err, "the file has more than 1 MiB");
	char *text = gm_secret_strndup(&file->memory, bytes, n);
	if (text == NULL) return no_memory(file, err);
	return parse(file, text, n, err);
}

static enum gm_code read_descriptor(struct gm_aws_file *file, int fd, struct gm_error *err)
{
	struct stat info;
	size_t n;
	if (fstat(fd, &info) != 0)
		return gm_error_errno(err, errno, file->path, "an AWS configuration file cannot be looked at");
	/* What is not a file has no size: a pipe of the shell. */
	size_t room = S_ISREG(info.st_mode) && info.st_size < GM_AWS_FILE_MAX ? (size_t)info.st_size : GM_AWS_FILE_MAX;
	char *text = gm_secret_alloc(&file->memory, room + 1);
	if (text == NULL) return no_memory(file, err);
	if (!gm_io_read(fd, text, room + 1, &n))
		return gm_error_errno(err, errno, file->path, "an AWS configuration file cannot be read");
	if (n > room && room == GM_AWS_FILE_MAX) return fail_at(file, 0, err, "the file has more than 1 MiB");
	if (n > room) return fail_at(file, 0, err, "the file grew while it was read");
	return parse(file, text, n, err);
}

enum gm_code gm_aws_file_read(struct gm_aws_file *file, struct gm_error *err)
{
	int fd = gm_io_openat(AT_FDCWD, file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) return GM_OK;
	if (fd < 0) return gm_error_errno(err, errno, file->path, "an AWS configuration file cannot be opened");
	enum gm_code rc = read_descriptor(file, fd, err);
	(void)close(fd);
	return rc;
}

/* --- Looking things up -------------------------------------------------------------------------------------------- */

const struct gm_aws_section *gm_aws_file_section(const struct gm_aws_file *file, const char *name)
{
	for (size_t i = 0; i < file->section_count; i++) {
		if (strcmp(file->sections[i].name, name) == 0) return &file->sections[i];
	}
	return NULL;
}

const struct gm_aws_setting *gm_aws_file_setting(const struct gm_aws_file *file, const struct gm_aws_section *section,
                                                 const char *outer, const char *name)
{
	for (size_t i = section->count; i-- > 0;) { /* of nested settings the last counts */
		const struct gm_aws_setting *setting = &file->settings[section->first + i];
		if ((outer == NULL) != (setting->outer == NULL) || strcmp(setting->name, name) != 0) continue;
		if (outer == NULL || strcmp(setting->outer, outer) == 0) return setting;
	}
	return NULL;
}
