#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *gm_code_name(enum gm_code code)
{
	static const char *const names[] = {
#define X(name, class_, text) #name,
	    GM_CODES(X)
#undef X
	};
	if ((size_t)code >= sizeof names / sizeof names[0]) return "UNKNOWN";
	return names[code];
}

enum gm_code gm_error_set(struct gm_error *err, enum gm_code code, const char *format, ...)
{
	va_list args;
	if (err == NULL) return code;
	err->code = code;
	err->line = err->column = 0;
	err->offset = UINT64_MAX;
	err->object[0] = err->hint[0] = '\0';
	va_start(args, format);
	(void)vsnprintf(err->message, sizeof err->message, format, args);
	va_end(args);
	return code;
}

static enum gm_code code_of_errno(int number)
{
	switch (number) {
	case ENOMEM: return GM_NOMEM;
	case ENOSPC:
	case EDQUOT:
	case EFBIG: return GM_NOSPACE;
	case ENOENT:
	case ENOTDIR: return GM_NOT_FOUND;
	case EEXIST: return GM_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS: return GM_DENIED;
	case EAGAIN:
	case EBUSY: return GM_TRANSIENT;
	default: return GM_IO;
	}
}

enum gm_code gm_error_errno(struct gm_error *err, int number, const char *object, const char *doing)
{
	char text[128];
	enum gm_code code = code_of_errno(number);
	const char *reason = strerror_r(number, text, sizeof text);
	(void)gm_error_set(err, code, "%s: %s", doing, reason);
	return gm_error_object(err, code, object, strlen(object));
}

enum gm_code gm_error_object(struct gm_error *err, enum gm_code code, const char *object, size_t object_bytes)
{
	if (err == NULL) return code;
	size_t n = object_bytes < sizeof err->object - 1 ? object_bytes : sizeof err->object - 1;
	memcpy(err->object, object, n);
	err->object[n] = '\0';
	return code;
}

enum gm_code gm_error_hint(struct gm_error *err, enum gm_code code, const char *format, ...)
{
	va_list args;
	if (err == NULL) return code;
	va_start(args, format);
	(void)vsnprintf(err->hint, sizeof err->hint, format, args);
	va_end(args);
	return code;
}
