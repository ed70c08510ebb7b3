/* upgrade.h - tables of format 1, which had no commit log: the appearance of runs/<n> was the commit.
 *
 * The first run of a job on such a table commits what the job had published, with the number of its last run as
 * transaction, so that nothing is processed again. Its old plans stay where they are, and are read as they are. */
#ifndef GM_RUN_UPGRADE_H
#define GM_RUN_UPGRADE_H

#include "run/runner.h"

/* Does nothing for a job that the log knows, or that has no runs of format 1. */
enum gm_code gm_upgrade(struct gm_runner *runner, struct gm_error *err) GM_CHECK;
/* Would it do something? By the history in hand. */
enum gm_code gm_upgrade_is_due(struct gm_runner *runner, bool *due, struct gm_error *err) GM_CHECK;

#endif
