/* must.h - cmocka, and calls that have to succeed: their errors go to `failure`. */
#ifndef GM_TEST_MUST_H
#define GM_TEST_MUST_H

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct gm_error failure;

#define must(call)                                                                                        \
	do {                                                                                                  \
		enum gm_code must_code = (call);                                                                  \
		if (must_code != GM_OK)                                                                           \
			fail_msg("%s: %s: %s (%s)", #call, gm_code_name(must_code), failure.message, failure.object); \
	} while (0)

#endif
