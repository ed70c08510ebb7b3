#include "aws/command_line.h"

#include <string.h>

static const char blanks[] = " \t\r\n";

/* Reads behind a quotation mark to its match. In double quotes a backslash quotes itself and a double quote only. */
static const char *read_quoted(const char *from, char mark, char **to)
{
	while (*from != '\0' && *from != mark) {
		if (mark == '"' && *from == '\\' && (from[1] == '"' || from[1] == '\\')) from++;
		*(*to)++ = *from++;
	}
	return *from == mark ? from + 1 : NULL;
}

/* One word, which begins at `from`; NULL: it does not end. */
static const char *read_word(const char *from, char **to)
{
	while (*from != '\0' && strchr(blanks, *from) == NULL) {
		char c = *from++;
		if (c == '\'' || c == '"') {
			from = read_quoted(from, c, to);
			if (from == NULL) return NULL;
			continue;
		}
		if (c == '\\') {
			if (*from == '\0') return NULL;
			c = *from++;
		}
		*(*to)++ = c;
	}
	*(*to)++ = '\0';
	return from;
}

enum gm_code gm_command_line_split(const char *line, struct gm_secret_memory *memory, char ***out, struct gm_error *err)
{
	/* Each word but the last has a blank behind it, so that the NULs fit, and there are at most half as many words. */
	size_t n = strlen(line), count = 0;
	char *to = gm_secret_alloc(memory, n + 1);
	char **words = n < SIZE_MAX / sizeof *words ? gm_secret_alloc(memory, (n / 2 + 2) * sizeof *words) : NULL;
	if (to == NULL || words == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a command line");
	for (line += strspn(line, blanks); *line != '\0'; line += strspn(line, blanks)) {
		words[count++] = to;
		line = read_word(line, &to);
		if (line == NULL) GM_FAIL(err, GM_USAGE, "a quotation in the command line does not end");
	}
	if (count == 0) GM_FAIL(err, GM_USAGE, "the command line is empty");
	*out = words; /* the NULL is there: the memory was zeroed */
	return GM_OK;
}
