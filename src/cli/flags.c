/* flags.c - reading arguments by a command's table of flags. */
#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- The nearest word --------------------------------------------------------------------------------------------- */

enum { WORD_MAX = 32 };

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours that lead from a to b. */
static size_t distance(const char *a, const char *b)
{
	size_t m = strlen(a), n = strlen(b), d[WORD_MAX + 1][WORD_MAX + 1];
	if (m > WORD_MAX || n > WORD_MAX) return SIZE_MAX;
	for (size_t i = 0; i <= m; i++) d[i][0] = i;
	for (size_t k = 0; k <= n; k++) d[0][k] = k;
	for (size_t i = 1; i <= m; i++) {
		for (size_t k = 1; k <= n; k++) {
			d[i][k] = least(d[i - 1][k - 1] + (a[i - 1] != b[k - 1]), least(d[i - 1][k], d[i][k - 1]) + 1);
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
				d[i][k] = least(d[i][k], d[i - 2][k - 2] + 1);
		}
	}
	return d[m][n];
}

const char *gm_cli_nearest(const char *wrong, const char *const *words, size_t count)
{
	const char *best = NULL;
	size_t best_distance = strlen(wrong) < 4 ? 2 : strlen(wrong) < 8 ? 3 : 4; /* must be under it */
	for (size_t i = 0; i < count; i++) {
		/* The beginning of a word is closer than any slip. */
		bool prefix = strlen(wrong) >= 2 && strncmp(words[i], wrong, strlen(wrong)) == 0;
		size_t d = prefix ? 0 : distance(wrong, words[i]);
		if (d >= best_distance) continue;
		best = words[i];
		best_distance = d;
	}
	return best;
}

/* --- Values ------------------------------------------------------------------------------------------------------- */

/* Digits alone: strtoull would take signs and white space. */
static bool read_integer(const char *text, const char **end, uint64_t *number)
{
	if (!isdigit((unsigned char)*text)) return false;
	char *stop;
	errno = 0;
	*number = strtoull(text, &stop, 10);
	*end = stop;
	return errno == 0;
}

bool gm_cli_read_size(const char *text, uint64_t *bytes)
{
	static const struct {
		const char *name;
		uint64_t factor;
	} units[] = {{"", 1},
	             {"B", 1},
	             {"K", UINT64_C(1) << 10},
	             {"KIB", UINT64_C(1) << 10},
	             {"KB", 1000},
	             {"M", UINT64_C(1) << 20},
	             {"MIB", UINT64_C(1) << 20},
	             {"MB", 1000000},
	             {"G", UINT64_C(1) << 30},
	             {"GIB", UINT64_C(1) << 30},
	             {"GB", 1000000000},
	             {"T", UINT64_C(1) << 40},
	             {"TIB", UINT64_C(1) << 40},
	             {"TB", UINT64_C(1000000000000)}};
	const char *unit;
	uint64_t number;
	if (!read_integer(text, &unit, &number)) return false;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		if (strcasecmp(unit, units[i].name) == 0) return !__builtin_mul_overflow(number, units[i].factor, bytes);
	}
	return false;
}

bool gm_cli_read_duration(const char *text, int64_t *us)
{
	static const char units[] = "smhd";
	static const uint64_t seconds[] = {1, 60, 3600, 86400};
	const char *unit;
	uint64_t number;
	if (!read_integer(text, &unit, &number) || unit[0] == '\0' || unit[1] != '\0') return false;
	const char *found = strchr(units, unit[0]);
	if (found == NULL || __builtin_mul_overflow(number, seconds[found - units] * 1000000, &number)) return false;
	*us = (int64_t)number;
	return number > 0 && number <= INT64_MAX;
}

/* Digits with at most one point; strtod would take "inf", "nan", hexadecimal and signs. */
static bool read_decimal(const char *text, const char **end, double *number)
{
	size_t n = strspn(text, "0123456789."), digits = n;
	for (size_t i = 0, points = 0; i < n; i++) {
		if (text[i] != '.') continue;
		digits--;
		if (++points > 1) return false;
	}
	if (digits == 0 || n > 40) return false;
	char copy[41];
	memcpy(copy, text, n);
	copy[n] = '\0';
	*number = strtod(copy, NULL);
	*end = text + n;
	return isfinite(*number);
}

/* `width` digits within low .. high. */
static bool read_part(const char **text, int width, int low, int high, int *part)
{
	*part = 0;
	for (int i = 0; i < width; i++, (*text)++) {
		if (!isdigit((unsigned char)**text)) return false;
		*part = *part * 10 + (**text - '0');
	}
	return *part >= low && *part <= high;
}

static bool read_char(const char **text, char wanted)
{
	if (**text != wanted) return false;
	(*text)++;
	return true;
}

/* ".123456" behind the seconds: up to six digits count, more are refused. */
static bool read_fraction(const char **text, int *us)
{
	*us = 0;
	if (!read_char(text, '.')) return true;
	int unit = 100000;
	for (; isdigit((unsigned char)**text) && unit > 0; (*text)++, unit /= 10) *us += unit * (**text - '0');
	return unit < 100000;
}

/* Days from 1970-01-01 in the Gregorian calendar, the year taken to begin in March. */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;
	int64_t day_of_year = (153 * m + 2) / 5 + day - 1;
	return 365 * y + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

bool gm_cli_read_time(const char *text, int64_t *time_us)
{
	static const int days_in[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year, month, day, hour = 0, minute = 0, second = 0, us = 0;
	if (!read_part(&text, 4, 1, 9999, &year) || !read_char(&text, '-') || !read_part(&text, 2, 1, 12, &month) ||
	    !read_char(&text, '-') || !read_part(&text, 2, 1, days_in[month - 1], &day))
		return false;
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	if (month == 2 && day == 29 && !leap) return false;
	if (*text == 'T' || *text == ' ') {
		text++;
		if (!read_part(&text, 2, 0, 23, &hour) || !read_char(&text, ':') || !read_part(&text, 2, 0, 59, &minute))
			return false;
		if (read_char(&text, ':') && (!read_part(&text, 2, 0, 59, &second) || !read_fraction(&text, &us))) return false;
		(void)read_char(&text, 'Z');
	}
	*time_us = ((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 * 1000000 + second * INT64_C(1000000) + us;
	return *text == '\0';
}

static bool read_rejects(const char *text, struct gm_cli_rejects *rejects)
{
	const char *end;
	*rejects = (struct gm_cli_rejects){.set = true};
	size_t n = strlen(text);
	if (n > 0 && text[n - 1] == '%')
		return read_decimal(text, &end, &rejects->percent) && end[0] == '%' && end[1] == '\0' &&
		       rejects->percent <= 100;
	return read_integer(text, &end, &rejects->records) && *end == '\0';
}

/* Cuts "NAME=VALUE" in two where it stands. A name given again takes the later value. */
static bool read_setting(char *text, struct gm_cli_settings *settings)
{
	char *equals = strchr(text, '=');
	size_t n = equals != NULL ? (size_t)(equals - text) : 0;
	if (n == 0 || isdigit((unsigned char)text[0])) return false;
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)text[i]) && text[i] != '_') return false;
	}
	*equals = '\0';
	size_t i = 0;
	while (i < settings->count && strcmp(settings->at[i].name, text) != 0) i++;
	settings->at[i] = (struct gm_setting){text, equals + 1};
	if (i == settings->count) settings->count++;
	return true;
}

static bool read_count(const struct gm_cli_flag *flag, const char *text, uint64_t *count)
{
	const char *end;
	if (!read_integer(text, &end, count) || *end != '\0') return false;
	return (double)*count >= flag->low && (flag->high <= 0 || (double)*count <= flag->high);
}

/* Puts a value where the flag's field lies; false if the text is none. */
static bool read_value(const struct gm_cli_flag *flag, char *text, void *field)
{
	const char *end = text;
	struct gm_cli_counts *counts = field;
	double decimal;
	switch (flag->kind) {
	case GM_CLI_SWITCH: break; /* has none */
	case GM_CLI_TEXT: *(const char **)field = text; return text[0] != '\0';
	case GM_CLI_SIZE: return gm_cli_read_size(text, field) && *(uint64_t *)field > 0;
	case GM_CLI_TIME: return gm_cli_read_time(text, field);
	case GM_CLI_DURATION: return gm_cli_read_duration(text, field);
	case GM_CLI_SETTING: return read_setting(text, field);
	case GM_CLI_REJECTS: return read_rejects(text, field);
	case GM_CLI_COUNT: return read_count(flag, text, field);
	case GM_CLI_COUNTS: return read_count(flag, text, &counts->at[counts->count++]);
	case GM_CLI_DECIMAL:
		if (!read_decimal(text, &end, &decimal) || *end != '\0') return false;
		*(double *)field = decimal;
		return decimal >= flag->low && (flag->high <= 0 || decimal <= flag->high);
	}
	return false;
}

/* What a flag wants, for a message. */
static void describe(const struct gm_cli_flag *flag, char *text, size_t bytes)
{
	const char *what = flag->kind == GM_CLI_DECIMAL ? "a number" : "a whole number";
	switch (flag->kind) {
	case GM_CLI_SIZE: (void)snprintf(text, bytes, "takes a size such as 256M, 1GiB or a number of bytes"); return;
	case GM_CLI_TIME: (void)snprintf(text, bytes, "takes a time in UTC such as 2024-03-10T22:00:00"); return;
	case GM_CLI_DURATION: (void)snprintf(text, bytes, "takes a duration such as 30s, 15m, 6h or 1d"); return;
	case GM_CLI_SETTING: (void)snprintf(text, bytes, "takes NAME=VALUE, the name of letters, digits and _"); return;
	case GM_CLI_REJECTS: (void)snprintf(text, bytes, "takes a number of records or a percentage such as 0.5%%"); return;
	case GM_CLI_COUNT:
	case GM_CLI_COUNTS:
	case GM_CLI_DECIMAL:
		if (flag->high > 0)
			(void)snprintf(text, bytes, "takes %s from %.15g to %.15g", what, flag->low, flag->high);
		else
			(void)snprintf(text, bytes, "takes %s, at least %.15g", what, flag->low);
		return;
	default: (void)snprintf(text, bytes, "takes a value that is not empty"); return;
	}
}

/* --- Arguments ---------------------------------------------------------------------------------------------------- */

struct parser {
	const struct gm_cli_command *command;
	char **next; /* the argument to look at */
	void *options;
	struct gm_cli_operands operands; /* gathered where the arguments begin: they never overtake `next` */
};

static int unknown_flag(const struct gm_cli_command *command, const char *name)
{
	const char *words[64] = {"help"};
	char hint[128];
	size_t count = 1;
	for (size_t i = 0; i < command->flag_count && count < 64; i++) words[count++] = command->flags[i].name;
	const char *near = gm_cli_nearest(name, words, count);
	if (near != NULL)
		(void)snprintf(hint, sizeof hint, "did you mean --%s?", near);
	else
		(void)snprintf(hint, sizeof hint, "'gristmill help %s' lists the flags", command->name);
	return gm_cli_usage(hint, "%s: unknown flag --%s", command->name, name);
}

const struct gm_cli_flag *gm_cli_find_flag(const struct gm_cli_command *command, const char *name, size_t bytes)
{
	for (size_t i = 0; i < command->flag_count; i++) {
		const char *known = command->flags[i].name;
		if (strlen(known) == bytes && memcmp(known, name, bytes) == 0) return &command->flags[i];
	}
	return NULL;
}

/* Flags that may be repeated need room, which the first of them makes: for as many as there are arguments. */
static bool make_room(struct parser *parser, const struct gm_cli_flag *flag)
{
	void *field = (char *)parser->options + flag->offset;
	struct gm_cli_settings *settings = field;
	struct gm_cli_counts *counts = field;
	size_t room = 1;
	while (parser->next[room - 1] != NULL) room++;
	if (flag->kind == GM_CLI_SETTING && settings->at == NULL) {
		settings->at = calloc(room, sizeof *settings->at);
		return settings->at != NULL;
	}
	if (flag->kind == GM_CLI_COUNTS && counts->at == NULL) {
		counts->at = calloc(room, sizeof *counts->at);
		return counts->at != NULL;
	}
	return true;
}

/* *parser->next is "--name", "--name=value" or "--name" before its value. */
static int parse_flag(struct parser *parser)
{
	char *name = *parser->next + 2, *equals = strchr(name, '='), *value = equals != NULL ? equals + 1 : NULL;
	size_t bytes = equals != NULL ? (size_t)(equals - name) : strlen(name);
	const struct gm_cli_command *command = parser->command;
	const struct gm_cli_flag *flag = gm_cli_find_flag(command, name, bytes);
	if (flag == NULL) {
		if (equals != NULL) *equals = '\0';
		return unknown_flag(command, name);
	}
	void *field = (char *)parser->options + flag->offset;
	if (flag->kind == GM_CLI_SWITCH) {
		if (value != NULL) return gm_cli_usage("", "%s: --%s takes no value", command->name, flag->name);
		*(bool *)field = true;
		return GM_CLI_GO_ON;
	}
	char wants[160];
	describe(flag, wants, sizeof wants);
	if (value == NULL) value = *++parser->next;
	if (value == NULL) return gm_cli_usage("", "%s: --%s %s", command->name, flag->name, wants);
	if (!make_room(parser, flag)) {
		fputs("gristmill: out of memory\n", stderr);
		return GM_CLI_FAILED;
	}
	if (!read_value(flag, value, field))
		return gm_cli_usage("", "%s: --%s %s, not '%s'", command->name, flag->name, wants, value);
	return GM_CLI_GO_ON;
}

static const char *usage_hint(const struct gm_cli_command *command, char *hint, size_t bytes)
{
	(void)snprintf(hint, bytes, "'gristmill help %s' shows the usage", command->name);
	return hint;
}

static int parse_operand(struct parser *parser)
{
	const struct gm_cli_command *command = parser->command;
	char hint[128];
	size_t count = parser->operands.count;
	const char *what = count == 0 ? command->operand : command->more;
	(void)usage_hint(command, hint, sizeof hint);
	if (what == NULL) return gm_cli_usage(hint, "%s: unexpected argument '%s'", command->name, *parser->next);
	if (**parser->next == '\0') return gm_cli_usage(hint, "%s: %s is empty", command->name, what);
	parser->operands.at[parser->operands.count++] = *parser->next;
	return GM_CLI_GO_ON;
}

/* Were all operands given that there must be? */
static int check_operands(const struct gm_cli_command *command, size_t count)
{
	char hint[128];
	const char *missing = NULL;
	if (command->operand != NULL && !command->operand_optional && count < 1) missing = command->operand;
	if (missing == NULL && command->more != NULL && !command->more_optional && count < 2) missing = command->more;
	if (missing == NULL) return GM_CLI_GO_ON;
	return gm_cli_usage(usage_hint(command, hint, sizeof hint), "%s: %s is missing", command->name, missing);
}

int gm_cli_missing(const struct gm_cli_command *command, const char *flag)
{
	char hint[128];
	return gm_cli_usage(usage_hint(command, hint, sizeof hint), "%s: --%s is missing", command->name, flag);
}

static bool is_help(const char *argument)
{
	return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

int gm_cli_parse_all(const struct gm_cli_command *command, char **arguments, void *options,
                     struct gm_cli_operands *operands)
{
	struct parser parser = {.command = command, .next = arguments, .options = options, .operands.at = arguments};
	bool flags_end = false;
	for (; *parser.next != NULL; parser.next++) {
		int status;
		if (flags_end || (*parser.next)[0] != '-') {
			status = parse_operand(&parser);
		} else if (strcmp(*parser.next, "--") == 0) {
			flags_end = true;
			continue;
		} else if (is_help(*parser.next)) {
			gm_cli_print_command_help(stdout, command);
			return gm_cli_finish(GM_CLI_DONE, true);
		} else if ((*parser.next)[1] != '-') {
			status = gm_cli_usage("flags are written --like-this", "%s: unknown flag %s", command->name, *parser.next);
		} else {
			status = parse_flag(&parser);
		}
		if (status != GM_CLI_GO_ON) return status;
	}
	*operands = parser.operands;
	return check_operands(command, operands->count);
}

int gm_cli_parse(const struct gm_cli_command *command, char **arguments, void *options, const char **operand)
{
	struct gm_cli_operands operands = {0};
	int status = gm_cli_parse_all(command, arguments, options, &operands);
	*operand = operands.count > 0 ? operands.at[0] : NULL;
	return status;
}
