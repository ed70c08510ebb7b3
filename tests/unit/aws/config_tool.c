/* config_tool.c - answers questions about AWS's settings: see tests/test_aws_config.py. Files and environment are those
 * of the process; each line is a question, tab-separated, each answer a line of JSON:
 *     "get" profile name              the value in hexadecimal, or null
 *     "endpoint" service region       the URL, or null
 * If the files cannot be loaded, the only answer is {"line": N}. */
#include "aws/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_hex(const char *value)
{
	if (value == NULL) {
		(void)puts("null");
		return;
	}
	(void)putchar('"');
	for (; *value != '\0'; value++) (void)printf("%02x", (uint8_t)*value);
	(void)puts("\"");
}

static void answer(const struct gm_aws_config *config, char *line)
{
	struct gm_error err;
	struct gm_aws_endpoint endpoint;
	const char *what = strsep(&line, "\t"), *first = strsep(&line, "\t"), *second = strsep(&line, "\t");
	if (second == NULL) exit(2);
	if (strcmp(what, "get") == 0)
		print_hex(gm_aws_config_get(config, first, second));
	else if (gm_aws_endpoint(config, first, second, NULL, &endpoint, &err) == GM_OK)
		(void)printf("\"%s\"\n", endpoint.url);
	else
		(void)puts("null");
}

int main(void)
{
	struct gm_error err;
	struct gm_aws_config *config;
	const struct gm_aws_config_options options = {.profile = NULL};
	char *line = NULL;
	size_t room = 0;
	if (gm_aws_config_load(&options, &config, &err) != GM_OK) {
		(void)printf("{\"line\": %d}\n", err.line);
		return 0;
	}
	for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
		if (line[n - 1] == '\n') line[n - 1] = '\0';
		answer(config, line);
	}
	free(line);
	gm_aws_config_free(config);
	return 0;
}
