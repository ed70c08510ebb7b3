/* sign_tool.c - signs what it is told to: see tests/test_aws_sign.py. One request a line, tab-separated, each field in
 * hexadecimal, so that it may hold any byte but NUL:
 *     service, region, method, path as bytes to be encoded, payload hash, time in decimal seconds, access key, secret,
 *     then "q" name value or "h" name value, any number of times
 * For each request three lines: the path encoded, the query, the Authorization header. */
#include "aws/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIXED = 8, PAIRS = 64 };

static void must(bool condition, const char *what)
{
	if (condition) return;
	(void)fprintf(stderr, "sign_tool: %s\n", what);
	exit(1);
}

/* In place. */
static char *from_hex(char *text)
{
	size_t n = strlen(text) / 2;
	for (size_t i = 0; i < n; i++) {
		const char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
		text[i] = (char)strtol(digits, NULL, 16);
	}
	text[n] = '\0';
	return text;
}

static void sign_line(char *line, struct gm_arena *arena)
{
	struct gm_error err;
	char *fixed[FIXED];
	struct gm_sign_pair query[PAIRS], headers[PAIRS];
	const char *authorization;
	struct gm_sign_request request = {.query = query, .headers = headers};
	for (size_t i = 0; i < FIXED; i++) {
		char *field = strsep(&line, "\t");
		must(field != NULL, "a line is too short");
		fixed[i] = i == 5 ? field : from_hex(field);
	}
	for (char *kind; (kind = strsep(&line, "\t")) != NULL;) {
		bool is_header = kind[0] == 'h';
		size_t *count = is_header ? &request.header_count : &request.query_count;
		char *name = strsep(&line, "\t"), *value = strsep(&line, "\t");
		must(name != NULL && value != NULL && *count < PAIRS, "a pair is cut, or there are too many");
		(is_header ? headers : query)[(*count)++] = (struct gm_sign_pair){from_hex(name), from_hex(value)};
	}
	request.service = fixed[0];
	request.region = fixed[1];
	request.method = fixed[2];
	request.path = gm_uri_encode(arena, fixed[3], strlen(fixed[3]), true);
	request.payload_sha256 = fixed[4];
	request.now_us = strtoll(fixed[5], NULL, 10) * 1000000;
	must(gm_sign(&request, &(struct gm_signer){fixed[6], fixed[7], ""}, arena, &authorization, NULL, &err) == GM_OK,
	     "a request could not be signed");
	(void)printf("%s\n%s\n%s\n", request.path, gm_uri_query(arena, query, request.query_count), authorization);
}

int main(void)
{
	struct gm_arena arena;
	char *line = NULL;
	size_t room = 0;
	gm_arena_init(&arena, 1 << 16);
	for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
		if (line[n - 1] == '\n') line[n - 1] = '\0';
		sign_line(line, &arena);
		gm_arena_reset(&arena);
	}
	gm_arena_release(&arena);
	free(line);
	return 0;
}
