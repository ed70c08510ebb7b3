/* credential_json.h - the JSON in which metadata services and programs give out credentials: one object, whose members
 * are strings and integers. Read where it stands, for no other copy of a secret shall come to be: that is why it is not
 * jansson's. */
#ifndef GM_AWS_CREDENTIAL_JSON_H
#define GM_AWS_CREDENTIAL_JSON_H

#include "base/error.h"

/* A member that is looked for. null counts as not there. */
struct gm_json_member {
	const char *name;
	bool is_integer;  /* else it is a string */
	bool there;       /* set by reading, as is what follows */
	const char *text; /* NUL-terminated UTF-8 without NUL, in the text that was read; NULL: not there */
	int64_t integer;  /* of at most 15 digits */
};
/* Reads text[0..n), and changes it. Members that are not looked for must be JSON (of at most 32 levels), and are
 * skipped. CORRUPT: it is not one JSON object, or a member is of another type or there twice; nothing of the text is in
 * the message. */
enum gm_code gm_credential_json_read(char *text, size_t n, struct gm_json_member *members, size_t count,
                                     struct gm_error *err) GM_CHECK;

#endif
