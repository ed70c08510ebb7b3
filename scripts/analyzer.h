/* analyzer.h - what clang's analyzer cannot see across files: that filling an error returns its code, which is not OK.
 * Without it every output after a failed call looks uninitialised. `make lint` includes it ahead of each source; nothing else
 * does. */
#include "base/error.h"

#define gm_error_set(err, code, ...)    (gm_error_set((err), (code), __VA_ARGS__), (code))
#define gm_error_hint(err, code, ...)   (gm_error_hint((err), (code), __VA_ARGS__), (code))
#define gm_error_object(err, code, ...) (gm_error_object((err), (code), __VA_ARGS__), (code))
#define gm_error_errno(...)             (gm_error_errno(__VA_ARGS__), GM_IO)
