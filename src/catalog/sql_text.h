/* sql_text.h - names and literals as SQL dialects quote them. All append. */
#ifndef GM_CATALOG_SQL_TEXT_H
#define GM_CATALOG_SQL_TEXT_H

#include "base/arena.h"

/* A name between quotes ('`' in Hive and Spark, '"' elsewhere); a quote inside is doubled. */
enum gm_code gm_sql_name(struct gm_buf *out, char quote, const char *name, struct gm_error *err) GM_CHECK;
/* A literal of standard SQL: nothing but the quote itself is special, and is doubled. */
enum gm_code gm_sql_literal(struct gm_buf *out, const char *text, struct gm_error *err) GM_CHECK;
/* A literal of Hive, Athena's DDL and Spark: a backslash escapes. "${" is kept from being taken for a variable. */
enum gm_code gm_sql_hive_literal(struct gm_buf *out, const char *text, struct gm_error *err) GM_CHECK;
/* A comment to the end of the line, with what would end the line or hide it made blank. */
enum gm_code gm_sql_remark(struct gm_buf *out, const char *text, struct gm_error *err) GM_CHECK;

#endif
