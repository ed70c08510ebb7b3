/* aside.h - messages that nobody can use, kept beside the table:
 *
 *     _gristmill/<job>/watch/<message id>.json      {"format":2,"id":...,"why":...,"body":...}
 *
 * put if absent, before the message is deleted from its queue: so nothing is lost, and nothing is in the way. They are
 * for people, and no run reads them. */
#ifndef GM_WATCH_ASIDE_H
#define GM_WATCH_ASIDE_H

#include "job/job.h"
#include "aws/sqs.h"

/* So many are kept by one process; further ones stay in the queue, whose redrive policy takes them: a flood of them is
 * another's mistake, and the table is not the place for it. */
enum { GM_ASIDE_MAX = 1000 };

struct gm_aside; /* one thread at a time */
/* job and run live longer. Opens nothing yet. */
enum gm_code gm_aside_new(const struct gm_job *job, const struct gm_run_options *run, struct gm_aside **out,
                          struct gm_error *err) GM_CHECK;
void gm_aside_free(struct gm_aside *aside); /* NULL is allowed */
/* OK: it is kept, now or from before. VALUE: GM_ASIDE_MAX are, or its id is none of SQS's; it is not. Else as the
 * table's store fails. */
enum gm_code gm_aside_put(struct gm_aside *aside, const struct gm_sqs_message *message, const char *why,
                          struct gm_error *err) GM_CHECK;

#endif
