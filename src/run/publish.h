/* publish.h - what becomes visible, and how it goes again. Each step may die anywhere and be repeated by anyone.
 *
 *   publish  the staged files that manifests name appear under their names; a name that exists must hold the same bytes
 *   close    sweep a dead plan, in this order: its staged files, so that nobody can publish them any more; its
 *            published files; then plans/<n>.closed; and tidy
 *   tidy     of a settled plan, remove what is left in the work folder but the manifests. Those stay: one that came
 *            again later would bring its plan back to life.
 * Nothing is found for deletion by listing the table: only manifests say what a plan published. They are found in the
 * plan's work folder, so that a plan that cannot be read can be closed, too. */
#ifndef GM_RUN_PUBLISH_H
#define GM_RUN_PUBLISH_H

#include "run/manifest.h"

/* The manifest of a unit; NOT_FOUND: there is none. CORRUPT: it is not of this plan. */
enum gm_code gm_manifest_read(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan,
                              size_t unit, struct gm_manifest *manifest, struct gm_error *err) GM_CHECK;
/* CHANGED: a staged file is gone and was not published either, or was changed: files that this process has not staged
 * itself are read and compared. CORRUPT: a file of that name holds other bytes. */
enum gm_code gm_publish(struct gm_store *table, const struct gm_manifest *manifests, size_t count,
                        struct gm_error *err) GM_CHECK;
/* For dead plans only. A damaged manifest does no harm as long as no file of its unit is published; else CORRUPT. */
enum gm_code gm_plan_close(struct gm_store *table, const struct gm_layout *layout, uint64_t number,
                           struct gm_error *err) GM_CHECK;
/* Whether the plan could be closed: asked before it is ended. CORRUPT as above. worked: so many units had manifests,
 * which may have gone. */
enum gm_code gm_plan_check_closable(struct gm_store *table, const struct gm_layout *layout, uint64_t number,
                                    size_t worked, struct gm_error *err) GM_CHECK;
/* For committed or closed plans only. */
enum gm_code gm_plan_tidy(struct gm_store *table, const struct gm_layout *layout, uint64_t number,
                          struct gm_error *err) GM_CHECK;
/* The same of a committed plan whose manifests are in hand: where a listing is a journey, what they name is removed,
 * and the key lists; whatever else there may be is left to the next run, which lists. */
enum gm_code gm_plan_tidy_named(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan,
                                const struct gm_manifest *manifests, struct gm_error *err) GM_CHECK;

#endif
