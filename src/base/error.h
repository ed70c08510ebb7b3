/* error.h - filling a struct gm_error, and the three macros that move one upwards. */
#ifndef GM_BASE_ERROR_H
#define GM_BASE_ERROR_H

#include "gristmill.h"

/* Fills *err (which may be NULL) and returns `code`. The object, line, column and offset are reset. */
enum gm_code gm_error_set(struct gm_error *err, enum gm_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* As gm_error_set, with the code and text of errno value `number` (ENOSPC: NOSPACE, ENOENT: NOT_FOUND, ...). */
enum gm_code gm_error_errno(struct gm_error *err, int number, const char *object, const char *doing);
/* Add to a filled error; all accept NULL err. Return err->code so that they can end a return statement. */
enum gm_code gm_error_object(struct gm_error *err, enum gm_code code, const char *object, size_t object_bytes);
enum gm_code gm_error_hint(struct gm_error *err, enum gm_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Forward a failure. */
#define GM_TRY(call)                                                         \
	do {                                                                     \
		enum gm_code gm_try_code_ = (call);                                  \
		if (__builtin_expect(gm_try_code_ != GM_OK, 0)) return gm_try_code_; \
	} while (0)
/* Fail here. */
#define GM_FAIL(err, code, ...) return gm_error_set((err), (code), __VA_ARGS__)
/* Forward a failure through the label `out`, by way of the local `enum gm_code rc`. */
#define GM_TRY_OUT(call)                                \
	do {                                                \
		rc = (call);                                    \
		if (__builtin_expect(rc != GM_OK, 0)) goto out; \
	} while (0)

#endif
