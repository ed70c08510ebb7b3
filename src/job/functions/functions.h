/* functions.h - the native functions by name, for functions/table.c and for tests.
 *
 * A function sees well-formed UTF-8, non-null arguments of the types that its row in the table gives (a function with
 * takes_null sees nulls too), and a scratch whose `out` is empty. A string result points into an argument, into
 * scratch->out, or at static text; it lives until the next call or until the arguments end. */
#ifndef GM_JOB_FUNCTIONS_FUNCTIONS_H
#define GM_JOB_FUNCTIONS_FUNCTIONS_H

#include "job/function.h"

/* normalize_url.c, access_record.c: rules of the platform's access log */
gm_function_fn gm_fn_synapse_normalize_url;
gm_function_fn gm_fn_synapse_client;
gm_function_fn gm_fn_synapse_client_version;
gm_function_fn gm_fn_synapse_entity_id;
gm_function_fn gm_fn_strip_leading_zeros;

/* text.c */
gm_function_fn gm_fn_lower;
gm_function_fn gm_fn_upper;
gm_function_fn gm_fn_trim;
gm_function_fn gm_fn_ltrim;
gm_function_fn gm_fn_rtrim;
gm_function_fn gm_fn_replace;
gm_function_fn gm_fn_length;
gm_function_fn gm_fn_substr;
gm_function_fn gm_fn_strpos;
gm_function_fn gm_fn_split_part;
gm_function_fn gm_fn_concat;
gm_function_fn gm_fn_url_decode;
gm_function_fn gm_fn_reverse;
gm_function_fn gm_fn_starts_with;
gm_function_fn gm_fn_lpad;
gm_function_fn gm_fn_rpad;
gm_function_fn gm_fn_chr;
gm_function_fn gm_fn_codepoint;

/* number.c */
gm_function_fn gm_fn_abs;

/* regexp.c */
gm_function_fn gm_fn_regexp_like;
gm_function_fn gm_fn_regexp_extract;
gm_function_fn gm_fn_regexp_replace;
extern const struct gm_function_site gm_site_regexp_like;
extern const struct gm_function_site gm_site_regexp_extract;
extern const struct gm_function_site gm_site_regexp_replace;

/* temporal.c */
gm_function_fn gm_fn_date_format;
gm_function_fn gm_fn_from_unixtime;
gm_function_fn gm_fn_to_unixtime;
gm_function_fn gm_fn_date_trunc;
gm_function_fn gm_fn_year;
gm_function_fn gm_fn_month;
gm_function_fn gm_fn_day;
gm_function_fn gm_fn_hour;
gm_function_fn gm_fn_date;
gm_function_fn gm_fn_from_iso8601_timestamp;
extern const struct gm_function_site gm_site_date_format;
extern const struct gm_function_site gm_site_date_trunc;

#endif
