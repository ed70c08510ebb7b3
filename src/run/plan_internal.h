/* plan_internal.h - what the files of a plan share. */
#ifndef GM_RUN_PLAN_INTERNAL_H
#define GM_RUN_PLAN_INTERNAL_H

#include "run/plan.h"

struct gm_plan *gm_plan_new(void); /* NULL when memory is gone */
/* Fills h16 of a unit whose inputs are there. */
void gm_plan_hash_unit(const struct gm_plan *plan, struct gm_plan_unit *unit);
/* plan_table.c: the metadata of a table that has none yet, and of one that must take new columns. Arrays live as long
 * as the plan. */
enum gm_code gm_plan_new_table(struct gm_plan *plan, const struct gm_job *job, const struct gm_delta_field *fields,
                               const char *const *partitions, struct gm_error *err) GM_CHECK;
enum gm_code gm_plan_merge_table(struct gm_plan *plan, const struct gm_delta_log *log,
                                 const struct gm_delta_field *fields, size_t count, const char *const *partitions,
                                 size_t partition_count, struct gm_error *err) GM_CHECK;
/* As JSON and back; NULL when memory is gone. */
json_t *gm_plan_metadata_json(const struct gm_delta_metadata *metadata);
enum gm_code gm_plan_read_metadata(struct gm_plan *plan, const json_t *json, struct gm_error *err) GM_CHECK;
/* A text member that must be there, with the plan's life. */
enum gm_code gm_plan_copy_text(struct gm_plan *plan, const json_t *json, const char *member, const char **out,
                               struct gm_error *err) GM_CHECK;
/* What the object is worth when units are cut. Only the plan knows it by its name: reading tells by magic bytes. */
uint64_t gm_plan_raw_estimate(const struct gm_input *input);
/* Inputs on their way into a plan. */
struct gm_plan_intake {
	const struct gm_plan_request *request;
	struct gm_plan *plan;
	size_t room;
	uint64_t raw_bytes;
};
/* Is the plan as large as the job and the request allow? */
bool gm_plan_is_full(const struct gm_plan_intake *intake);
/* One more; the key is copied. */
enum gm_code gm_plan_append(struct gm_plan_intake *intake, const char *key, const struct gm_object_info *info,
                            struct gm_error *err) GM_CHECK;
/* Lists the source and gives the plan its inputs, and its full_us; no inputs: nothing is new. */
enum gm_code gm_plan_list(struct gm_plan *plan, const struct gm_plan_request *request, struct gm_error *err) GM_CHECK;
/* The same of the quarantine files that request->replay chooses. */
enum gm_code gm_plan_list_replay(struct gm_plan *plan, const struct gm_plan_request *request,
                                 struct gm_error *err) GM_CHECK;

#endif
