/* projection.h - which partition columns an engine can compute the values of, and how. */
#ifndef GM_CATALOG_PROJECTION_H
#define GM_CATALOG_PROJECTION_H

#include "catalog/shape.h"

/* Fills projection of the shape's partition columns, unprojectable and note. Partitions must be known. */
enum gm_code gm_projection_find(const struct gm_job *job, struct gm_shape *shape, struct gm_error *err) GM_CHECK;

/* A foreign text as a line of ours shows it: in single quotes, control characters as "?", cut when long. */
struct gm_shown {
	char text[64];
};
struct gm_shown gm_catalog_show(const char *text);

#endif
