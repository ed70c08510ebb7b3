/* The one list of native functions. Names and meanings are those of Trino and Athena where these have the function. */
#include <string.h>

#include "job/functions/functions.h"

#define BOOLEAN   GM_TYPE_BOOLEAN
#define BIGINT    GM_TYPE_BIGINT
#define DOUBLE    GM_TYPE_DOUBLE
#define STRING    GM_TYPE_STRING
#define DATE      GM_TYPE_DATE
#define TIMESTAMP GM_TYPE_TIMESTAMP

/* F(name, function, signature, help, fewest and most arguments, result, (argument types), further fields) */
#define F(name_, function, signature_, help_, min, max, result_, types, ...)                                   \
	{                                                                                                          \
		.name = (name_), .signature = name_ signature_, .help = (help_), .min_args = (min), .max_args = (max), \
		.args = {UNPACK types}, .result = (result_), .call = gm_fn_##function __VA_OPT__(, ) __VA_ARGS__       \
	}
#define UNPACK(...) __VA_ARGS__

const struct gm_function gm_functions[] = {
    /* normalize_url.c, access_record.c */
    F("synapse_normalize_url", synapse_normalize_url, "(string) -> string",
      "The path of a request URL with every id replaced by #, or INVALID URL.", 1, 1, STRING, (STRING)),
    F("synapse_client", synapse_client, "(string) -> string",
      "The client that a User-Agent header names: WEB, JAVA, PYTHON, ..., UNKNOWN (also for null).", 1, 1, STRING,
      (STRING), .takes_null = true),
    F("synapse_client_version", synapse_client_version, "(string) -> string",
      "The version of that client, null where the header does not give it.", 1, 1, STRING, (STRING)),
    F("synapse_entity_id", synapse_entity_id, "(string) -> bigint",
      "The number behind the first /entity/ or /entity/syn of a request URL, in any letter case.", 1, 1, BIGINT,
      (STRING)),
    F("strip_leading_zeros", strip_leading_zeros, "(string) -> string",
      "The string without the zeros it begins with; all zeros give the empty string.", 1, 1, STRING, (STRING)),

    /* text.c */
    F("lower", lower, "(string) -> string", "Every character's lower case.", 1, 1, STRING, (STRING)),
    F("upper", upper, "(string) -> string", "Every character's upper case.", 1, 1, STRING, (STRING)),
    F("trim", trim, "(string[, characters]) -> string",
      "The string without white space, or without any of the characters, at both ends.", 1, 2, STRING,
      (STRING, STRING)),
    F("ltrim", ltrim, "(string[, characters]) -> string",
      "The string without white space, or without any of the characters, at its start.", 1, 2, STRING,
      (STRING, STRING)),
    F("rtrim", rtrim, "(string[, characters]) -> string",
      "The string without white space, or without any of the characters, at its end.", 1, 2, STRING, (STRING, STRING)),
    F("replace", replace, "(string, search[, replacement]) -> string",
      "Every occurrence of search replaced, or removed without a replacement.", 2, 3, STRING, (STRING, STRING, STRING)),
    F("length", length, "(string) -> bigint", "The number of characters.", 1, 1, BIGINT, (STRING)),
    F("substr", substr, "(string, start[, length]) -> string",
      "A part of the string; start counts from 1, or from the end when negative.", 2, 3, STRING,
      (STRING, BIGINT, BIGINT)),
    F("substring", substr, "(string, start[, length]) -> string", "The same as substr.", 2, 3, STRING,
      (STRING, BIGINT, BIGINT)),
    F("strpos", strpos, "(string, substring[, instance]) -> bigint",
      "Where substring is found, from 1, or 0; a negative instance counts from the end.", 2, 3, BIGINT,
      (STRING, STRING, BIGINT)),
    F("split_part", split_part, "(string, delimiter, index) -> string",
      "The field of that index, from 1; null if there are not so many.", 3, 3, STRING, (STRING, STRING, BIGINT)),
    F("concat", concat, "(string, string, ...) -> string", "The strings one behind the other; null if one is null.", 2,
      GM_FUNCTION_MAX_ARGS, STRING, (STRING, STRING, STRING, STRING, STRING, STRING, STRING, STRING)),
    F("url_decode", url_decode, "(string) -> string",
      "Percent-decoding, + to a space; bytes that are not UTF-8 become U+FFFD.", 1, 1, STRING, (STRING)),
    F("reverse", reverse, "(string) -> string", "The characters in reverse order.", 1, 1, STRING, (STRING)),
    F("starts_with", starts_with, "(string, prefix) -> boolean", "Whether the string begins with prefix.", 2, 2,
      BOOLEAN, (STRING, STRING)),
    F("lpad", lpad, "(string, size, padding) -> string", "Cut to size characters, or filled up to it in front.", 3, 3,
      STRING, (STRING, BIGINT, STRING)),
    F("rpad", rpad, "(string, size, padding) -> string", "Cut to size characters, or filled up to it behind.", 3, 3,
      STRING, (STRING, BIGINT, STRING)),
    F("chr", chr, "(bigint) -> string", "The character of a Unicode code point.", 1, 1, STRING, (BIGINT)),
    F("codepoint", codepoint, "(string) -> bigint", "The Unicode code point of a string of one character.", 1, 1,
      BIGINT, (STRING)),

    /* number.c */
    F("abs", abs, "(bigint) -> bigint", "The absolute value.", 1, 1, BIGINT, (BIGINT)),

    /* regexp.c */
    F("regexp_like", regexp_like, "(string, pattern) -> boolean", "Whether the pattern matches anywhere.", 2, 2,
      BOOLEAN, (STRING, STRING), .site = &gm_site_regexp_like),
    F("regexp_extract", regexp_extract, "(string, pattern[, group]) -> string",
      "The first match of the pattern, or of a group in it; null if there is none.", 2, 3, STRING,
      (STRING, STRING, BIGINT), .site = &gm_site_regexp_extract),
    F("regexp_replace", regexp_replace, "(string, pattern[, replacement]) -> string",
      "Every match replaced ($1 is a group), or removed without a replacement.", 2, 3, STRING, (STRING, STRING, STRING),
      .site = &gm_site_regexp_replace),

    /* temporal.c */
    F("date_format", date_format, "(timestamp, pattern) -> string",
      "The time as the pattern says: %Y %m %d %H %i %s ..., as in MySQL.", 2, 2, STRING, (TIMESTAMP, STRING),
      .site = &gm_site_date_format),
    F("from_unixtime", from_unixtime, "(double) -> timestamp", "The time so many seconds since 1970, UTC.", 1, 1,
      TIMESTAMP, (DOUBLE)),
    F("to_unixtime", to_unixtime, "(timestamp) -> double", "Seconds since 1970, UTC.", 1, 1, DOUBLE, (TIMESTAMP)),
    F("date_trunc", date_trunc, "(unit, timestamp) -> timestamp",
      "The start of the second, minute, hour, day, week, month, quarter or year.", 2, 2, TIMESTAMP, (STRING, TIMESTAMP),
      .site = &gm_site_date_trunc),
    F("year", year, "(timestamp) -> bigint", "The year, UTC.", 1, 1, BIGINT, (TIMESTAMP), .day_grain = true),
    F("month", month, "(timestamp) -> bigint", "The month, 1 to 12, UTC.", 1, 1, BIGINT, (TIMESTAMP),
      .day_grain = true),
    F("day", day, "(timestamp) -> bigint", "The day of the month, UTC.", 1, 1, BIGINT, (TIMESTAMP), .day_grain = true),
    F("hour", hour, "(timestamp) -> bigint", "The hour, 0 to 23, UTC.", 1, 1, BIGINT, (TIMESTAMP)),
    F("date", date, "(timestamp) -> date", "The date, UTC.", 1, 1, DATE, (TIMESTAMP), .day_grain = true),
    F("from_iso8601_timestamp", from_iso8601_timestamp, "(string) -> timestamp",
      "The time that an ISO 8601 string gives; UTC where it names no zone.", 1, 1, TIMESTAMP, (STRING)),
};
const size_t gm_function_count = sizeof gm_functions / sizeof gm_functions[0];

static char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool same_name(const char *name, const char *other, size_t bytes)
{
	if (strlen(name) != bytes) return false;
	for (size_t i = 0; i < bytes; i++) {
		if (name[i] != ascii_lower(other[i])) return false;
	}
	return true;
}

const struct gm_function *gm_function_find(const char *name, size_t bytes)
{
	for (size_t i = 0; i < gm_function_count; i++) {
		if (same_name(gm_functions[i].name, name, bytes)) return &gm_functions[i];
	}
	return NULL;
}
