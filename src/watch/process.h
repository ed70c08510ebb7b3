/* process.h - what the system knows of this process: the figures of the process_* metrics. */
#ifndef GM_WATCH_PROCESS_H
#define GM_WATCH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* -1: not known. */
struct gm_process {
	int64_t cpu_us; /* user and system */
	int64_t resident_bytes, peak_bytes;
	int64_t open_files, files_max;
};
void gm_process_read(struct gm_process *process);
/* When it was started, in microseconds since 1970; now_us if that cannot be told. Differs by some ms from call to call:
 * to be asked once. */
int64_t gm_process_start_us(int64_t now_us);

#endif
