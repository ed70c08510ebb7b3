/* upgrade.h - tables of format 1, which had no commit log: the appearance of runs/<n> was the commit.
 *
 * The first run of a job on such a table commits what the job had published, with the number of its last run as
 * transaction, so that nothing is processed again. Its old plans stay where they are, and are read as they are. */
#ifndef GM_RUN_UPGRADE_H
#define GM_RUN_UPGRADE_H

#include "run/runner.h"

/* For a job that the log does not know. Does nothing if it has no runs of format 1, or if the log knows it by now.
 * *acted: it had, look again. */
enum gm_code gm_upgrade(struct gm_runner *runner, bool *acted, struct gm_error *err) GM_CHECK;
/* Would it do something? By the history in hand. */
enum gm_code gm_upgrade_is_due(struct gm_runner *runner, bool *due, struct gm_error *err) GM_CHECK;

#endif
