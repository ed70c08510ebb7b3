/* publish.h - the steps that others see: publish, commit, end, close. Each may die anywhere and be repeated by anyone.
 *
 *   claim    claims/<parent>.json names the one plan with this parent that may be published and committed
 *   publish  the staged files that manifests name appear under their names; a name that exists must hold the same bytes
 *   commit   runs/<n>.json.zst, put-if-absent, the same bytes from every runner: from then on the run counts
 *   end      give a plan up: a plan without units and with the same parent is claimed and committed in its stead
 *   close    sweep a dead plan: staged files, published files, work folder; last, plans/<n>.closed */
#ifndef GM_RUN_PUBLISH_H
#define GM_RUN_PUBLISH_H

#include "run/manifest.h"

/* LOST: another plan with the same parent was claimed first. */
enum gm_code gm_claim(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan,
                      struct gm_error *err) GM_CHECK;
/* Can the plan no longer be committed by us: because it is, or because another was claimed? */
bool gm_plan_is_over(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan);
/* CHANGED: a staged file is gone and was not published either, or has another size. BUG: a file of that name holds
 * other bytes. */
enum gm_code gm_publish(struct gm_store *table, const struct gm_manifest *manifests, size_t count,
                        struct gm_error *err) GM_CHECK;
/* manifests: one for each unit of the plan. EXISTS: another runner was first, with the same bytes. */
enum gm_code gm_commit(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan,
                       const struct gm_manifest *manifests, struct gm_error *err) GM_CHECK;
/* Commits a plan without units and with the same parent. Returns its number. LOST: another plan with that parent was
 * first, or this very one was claimed. claimed: it was, but nobody can finish it, for its staged files are gone. */
enum gm_code gm_end_plan(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan,
                         bool claimed, uint64_t *number, struct gm_error *err) GM_CHECK;
/* For dead plans only. LOST: it is committed after all; nothing is touched. */
enum gm_code gm_close_plan(struct gm_store *table, const struct gm_layout *layout, uint64_t number,
                           struct gm_error *err) GM_CHECK;
/* Removes the work folder of a committed or closed plan. */
enum gm_code gm_clear_work(struct gm_store *table, const struct gm_layout *layout, uint64_t number,
                           struct gm_error *err) GM_CHECK;

#endif
