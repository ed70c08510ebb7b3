/* plan_replay.c - which quarantine files a replay takes: those of committed runs that no committed run has replayed. */
#include "run/plan_internal.h"
#include "run/quarantine_files.h"

static bool is_chosen(const struct gm_replay_choice *choice, uint64_t run)
{
	if (run > choice->until) return false;
	for (size_t i = 0; i < choice->run_count; i++)
		if (choice->runs[i] == run) return true;
	return choice->run_count == 0;
}

struct gathering {
	const struct gm_replay_choice *choice;
	struct gm_plan_intake intake;
};

static enum gm_code gather(void *context, const struct gm_quarantine_file *file, struct gm_error *err)
{
	struct gathering *gathering = context;
	if (file->replayed_by != 0 || !is_chosen(gathering->choice, file->run)) return GM_OK;
	if (gm_plan_is_full(&gathering->intake)) return GM_OK; /* they come next */
	return gm_plan_append(&gathering->intake, file->input, file->info, err);
}

enum gm_code gm_plan_list_replay(struct gm_plan *plan, const struct gm_plan_request *request, struct gm_error *err)
{
	const struct gm_replay_choice *choice = request->replay;
	struct gathering gathering = {choice, {.request = request, .plan = plan}};
	return gm_quarantine_files_each(choice->table, choice->layout, request->bookmark, gather, &gathering, err);
}
