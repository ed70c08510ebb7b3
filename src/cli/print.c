/* print.c - text for people: errors, numbers, foreign strings. */
#include "cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- Foreign text ------------------------------------------------------------------------------------------------- */

uint32_t gm_cli_code_point(const char *text, size_t n, size_t *used)
{
	const unsigned char *b = (const unsigned char *)text;
	size_t length = b[0] < 0x80 ? 1 : b[0] < 0xC2 ? 0 : b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : b[0] < 0xF5 ? 4 : 0;
	*used = 1;
	if (length == 1) return b[0];
	if (length == 0 || length > n) return 0xFFFD;
	uint32_t c = b[0] & (0xFFU >> (length + 1));
	for (size_t i = 1; i < length; i++) {
		if ((b[i] & 0xC0) != 0x80) return 0xFFFD;
		c = c << 6 | (b[i] & 0x3F);
	}
	if ((length == 3 && c < 0x800) || (length == 4 && c < 0x10000) || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
		return 0xFFFD;
	*used = length;
	return c;
}

/* Control characters, and those that turn the direction of the text around them. */
static bool is_unsafe(uint32_t c)
{
	return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029 || (c >= 0x202A && c <= 0x202E) ||
	       (c >= 0x2066 && c <= 0x2069);
}

void gm_cli_print_safe(FILE *out, const char *text, size_t bytes)
{
	while (bytes > 0) {
		size_t used;
		uint32_t c = gm_cli_code_point(text, bytes, &used);
		if (c == '\n')
			fputs("\\n", out);
		else if (c == '\t')
			fputs("\\t", out);
		else if (used == 1 && (unsigned char)text[0] >= 0x80)
			fprintf(out, "\\x%02X", (unsigned char)text[0]);
		else if (is_unsafe(c))
			fprintf(out, c < 0x80 ? "\\x%02X" : "\\u{%X}", (unsigned)c);
		else
			fwrite(text, 1, used, out);
		text += used;
		bytes -= used;
	}
}

static void print_safe_string(FILE *out, const char *text)
{
	gm_cli_print_safe(out, text, strlen(text));
}

/* --- Errors ------------------------------------------------------------------------------------------------------- */

static const char *class_of(enum gm_code code)
{
	static const char *const classes[] = {
#define X(name, class_, text) #class_,
	    GM_CODES(X)
#undef X
	};
	return (size_t)code < sizeof classes / sizeof classes[0] ? classes[code] : "bug";
}

void gm_cli_print_error(const struct gm_error *err)
{
	fputs("gristmill: ", stderr);
	if (err->object[0] != '\0') {
		print_safe_string(stderr, err->object);
		if (err->line > 0) fprintf(stderr, ":%d", err->line);
		if (err->line > 0 && err->column > 0) fprintf(stderr, ":%d", err->column);
		fputs(": ", stderr);
	}
	print_safe_string(stderr, err->message);
	/* Where a line is known, the place has been told. */
	if (err->line == 0 && err->offset != UINT64_MAX)
		fprintf(stderr, " (at byte %llu)", (unsigned long long)err->offset);
	fputc('\n', stderr);
	if (err->hint[0] != '\0') {
		fputs("  hint: ", stderr);
		print_safe_string(stderr, err->hint);
		fputc('\n', stderr);
	}
	if (strcmp(class_of(err->code), "bug") == 0)
		fprintf(stderr, "  hint: %s: this should not happen: please report it, with %s\n", gm_code_name(err->code),
		        gm_engine_id());
}

int gm_cli_usage(const char *hint, const char *format, ...)
{
	char message[1024];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(message, sizeof message, format, args);
	va_end(args);
	fputs("gristmill: ", stderr);
	print_safe_string(stderr, message);
	fputc('\n', stderr);
	if (hint[0] != '\0') {
		fputs("  hint: ", stderr);
		print_safe_string(stderr, hint);
		fputc('\n', stderr);
	}
	return GM_CLI_USAGE;
}

int gm_cli_status_of(enum gm_code code)
{
	switch (code) {
	case GM_OK: return GM_CLI_DONE;
	case GM_USAGE:
	case GM_JOB: return GM_CLI_USAGE;
	case GM_QUARANTINE: return GM_CLI_QUARANTINE;
	case GM_INTERRUPTED: return gm_cli_signal() != 0 ? 128 + gm_cli_signal() : GM_CLI_FAILED;
	default: return GM_CLI_FAILED;
	}
}

int gm_cli_load_status(enum gm_code code)
{
	switch (code) {
	case GM_NOT_FOUND:
	case GM_DENIED:
	case GM_CORRUPT:
	case GM_UNSUPPORTED:
	case GM_VALUE: return GM_CLI_USAGE;
	default: return gm_cli_status_of(code);
	}
}

/* Whether nobody reads standard output any more. The reason of an earlier failure is no longer in errno. */
static bool reader_is_gone(void)
{
	struct pollfd fd = {.fd = STDOUT_FILENO, .events = POLLOUT};
	return errno == EPIPE || (errno == 0 && poll(&fd, 1, 0) == 1 && (fd.revents & POLLERR) != 0);
}

int gm_cli_finish(int status, bool reported)
{
	errno = 0;
	bool failed = fflush(stdout) != 0 || ferror(stdout);
	/* `| head` has what it wanted: no failure, no message. */
	if (failed && !reader_is_gone()) {
		fprintf(stderr, "gristmill: cannot write to standard output%s%s\n", errno != 0 ? ": " : "",
		        errno != 0 ? strerror(errno) : "");
		reported = false;
	}
	return status == GM_CLI_DONE && !reported ? GM_CLI_FAILED : status;
}

/* --- Numbers ------------------------------------------------------------------------------------------------------ */

const char *gm_cli_count(char text[GM_CLI_NUMBER_BYTES], uint64_t number)
{
	char digits[GM_CLI_NUMBER_BYTES];
	int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
	char *at = text;
	for (int i = 0; i < n; i++) {
		if (i > 0 && (n - i) % 3 == 0) *at++ = ',';
		*at++ = digits[i];
	}
	*at = '\0';
	return text;
}

const char *gm_cli_bytes(char text[GM_CLI_NUMBER_BYTES], double bytes)
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
	if (bytes < 1000) {
		(void)snprintf(text, GM_CLI_NUMBER_BYTES, "%.0f B", bytes);
		return text;
	}
	size_t unit = 0;
	/* 999.95 would be printed as 1000.0 */
	for (bytes /= 1000; bytes >= 999.95 && unit < sizeof units / sizeof units[0] - 1; unit++) bytes /= 1000;
	(void)snprintf(text, GM_CLI_NUMBER_BYTES, "%.1f %s", bytes, units[unit]);
	return text;
}

const char *gm_cli_duration(char text[GM_CLI_NUMBER_BYTES], double seconds)
{
	if (!(seconds >= 0)) seconds = 0;
	if (seconds < 99.95) {
		(void)snprintf(text, GM_CLI_NUMBER_BYTES, "%.1f s", seconds);
		return text;
	}
	unsigned long long whole = seconds < 1e15 ? (unsigned long long)(seconds + 0.5) : 0;
	if (whole < 3600)
		(void)snprintf(text, GM_CLI_NUMBER_BYTES, "%llu min %llu s", whole / 60, whole % 60);
	else
		(void)snprintf(text, GM_CLI_NUMBER_BYTES, "%llu h %llu min", whole / 3600, whole / 60 % 60);
	return text;
}

const char *gm_cli_time(char text[GM_CLI_NUMBER_BYTES], int64_t time_us)
{
	int64_t us = time_us % 1000000, seconds = time_us / 1000000;
	struct tm tm;
	if (us < 0) us += 1000000, seconds--;
	time_t t = (time_t)seconds;
	if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 8099) {
		(void)snprintf(text, GM_CLI_NUMBER_BYTES, "%lld us", (long long)time_us);
		return text;
	}
	size_t n = strftime(text, GM_CLI_NUMBER_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	if (us != 0) n += (size_t)snprintf(text + n, GM_CLI_NUMBER_BYTES - n, ".%06d", (int)us);
	(void)snprintf(text + n, GM_CLI_NUMBER_BYTES - n, "Z");
	return text;
}
