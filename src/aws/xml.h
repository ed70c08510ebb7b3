/* xml.h - the answers of S3 and STS: XML read by expat, element by element.
 *
 * A document type declaration is refused, so there are no entities to expand; depth and text of one element are
 * limited. Namespaces are ignored, attributes too. */
#ifndef GM_AWS_XML_H
#define GM_AWS_XML_H

#include "base/error.h"

enum { GM_XML_DEPTH_MAX = 16, GM_XML_TEXT_MAX = 64 << 10, GM_XML_PATH_MAX = 512 };

/* Called at the end of each element: its path ("ListBucketResult/Contents/Key"), and the text that stands directly in
 * it, NUL-terminated and valid during the call. A code other than OK ends the parsing and is returned. */
typedef enum gm_code gm_xml_fn(void *context, const char *path, const char *text, size_t bytes, struct gm_error *err);
/* CORRUPT: it is not well-formed, not complete, or beyond the limits. */
enum gm_code gm_xml_parse(const void *data, size_t bytes, gm_xml_fn *each, void *context,
                          struct gm_error *err) GM_CHECK;

#endif
