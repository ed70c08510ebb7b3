/* after_run.c - what is done about a run that has ended, for whoever calls gm_run. */
#include "base/clock.h"
#include "job/job.h"
#include "watch/hook.h"
#include "watch/metrics.h"

enum gm_code gm_metrics_write(const struct gm_job *job, const struct gm_run_result *result, enum gm_code code,
                              const char *path, struct gm_error *err)
{
	struct gm_metrics *metrics;
	int64_t now_us = gm_clock_wall_us();
	GM_TRY(gm_metrics_new(job->id, now_us, &metrics, err));
	gm_metrics_end_run(metrics, result, code, now_us - (int64_t)(result->seconds * 1e6), now_us);
	enum gm_code rc = gm_metrics_write_file(metrics, now_us, path, err);
	gm_metrics_free(metrics);
	return rc;
}

enum gm_code gm_on_failure(const char *command, const struct gm_job *job, const char *job_file,
                           const struct gm_run_result *result, const struct gm_error *why, const volatile int *stop,
                           struct gm_error *err)
{
	const struct gm_hook_event event = {.job = job != NULL ? job->id : job_file,
	                                    .table = job != NULL ? job->table.location : "",
	                                    .version = result != NULL ? result->version : -1,
	                                    .error = why};
	if (command == NULL && job != NULL) command = job->watch.on_failure;
	return command != NULL && command[0] != '\0' ? gm_hook_run(command, &event, stop, err) : GM_OK;
}
