/* normalize_url.h - the ways through synapse_normalize_url, so that tests can compare them. */
#ifndef GM_JOB_FUNCTIONS_NORMALIZE_URL_H
#define GM_JOB_FUNCTIONS_NORMALIZE_URL_H

#include "job/function.h"

/* For short URLs of printable ASCII without an escape; *done is false for others, and then there is no result. */
enum gm_code gm_normalize_url_short(struct gm_function_scratch *scratch, const struct gm_value *url,
                                    struct gm_value *result, bool *done, struct gm_error *err) GM_CHECK;
/* For URLs that are ASCII, also when percent-decoded; *done as above. */
enum gm_code gm_normalize_url_ascii(struct gm_function_scratch *scratch, const struct gm_value *url,
                                    struct gm_value *result, bool *done, struct gm_error *err) GM_CHECK;
/* For every URL. */
enum gm_code gm_normalize_url_general(struct gm_function_scratch *scratch, const struct gm_value *url,
                                      struct gm_value *result, struct gm_error *err) GM_CHECK;

#endif
