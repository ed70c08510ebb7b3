/* overlap.c - whether what others committed meanwhile holds keys of ours. */
#include "run/commit.h"

enum gm_code gm_commit_overlaps(const struct gm_commit *commit, const struct gm_delta_file *file, bool *overlaps,
                                struct gm_error *err)
{
	(void)commit, (void)file, (void)err;
	*overlaps = true;
	return GM_OK;
}
