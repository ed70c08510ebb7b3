/* glue_call.h - what the files that speak to Glue share. */
#ifndef GM_CATALOG_GLUE_CALL_H
#define GM_CATALOG_GLUE_CALL_H

#include "catalog/glue.h"

/* The beginning of a request: of the job's catalog, and of its database. NULL when memory is gone. */
json_t *gm_glue_request(const struct gm_glue *glue);
json_t *gm_glue_request_in_database(const struct gm_glue *glue);
/* The request with one member more; both are taken over. NULL when memory is gone, or one of them was NULL. */
json_t *gm_glue_with(json_t *request, const char *name, json_t *value);
/* Takes over the request (NULL: NOMEM). answer and refusal may be NULL. */
enum gm_code gm_glue_call(struct gm_glue *glue, const char *operation, json_t *request, json_t **answer,
                          const char *doing, struct gm_glue_refusal *refusal, struct gm_error *err) GM_CHECK;

#endif
