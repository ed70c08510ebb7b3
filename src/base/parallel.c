#include "base/parallel.h"

#include "base/stopwatch.h"

#include <pthread.h>
#include <stdint.h>

enum { THREADS_MAX = 64 };

struct work {
	size_t count;
	gm_parallel_fn *fn;
	void *context;
	pthread_mutex_t lock;
	size_t next;   /* not begun */
	size_t failed; /* the lowest index that has; SIZE_MAX: none */
	enum gm_code code;
	struct gm_error error;
	struct gm_stopwatch *watch; /* of the thread that called; the others take part in it, in the same stage */
	enum gm_stage stage;
};

static void note_failure(struct work *work, size_t index, enum gm_code code, const struct gm_error *err)
{
	(void)pthread_mutex_lock(&work->lock);
	if (index < work->failed) {
		work->failed = index;
		work->code = code;
		work->error = *err;
	}
	(void)pthread_mutex_unlock(&work->lock);
}

/* The next call to make. Calls begin in order: when one has failed, all before it are made or being made. */
static bool take(struct work *work, size_t *index)
{
	(void)pthread_mutex_lock(&work->lock);
	*index = work->next;
	bool any = work->next < work->count && work->failed == SIZE_MAX;
	if (any) work->next++;
	(void)pthread_mutex_unlock(&work->lock);
	return any;
}

static void run(struct work *work)
{
	struct gm_error err;
	for (size_t index; take(work, &index);) {
		enum gm_code code = work->fn(work->context, index, &err);
		if (code != GM_OK) note_failure(work, index, code, &err);
	}
}

static void *run_beside(void *context)
{
	struct work *work = context;
	struct gm_stopwatch_hand hand;
	gm_stopwatch_join(work->watch, &hand, work->stage);
	run(work);
	gm_stopwatch_leave(&hand);
	return NULL;
}

static enum gm_code one_by_one(size_t count, gm_parallel_fn *fn, void *context, struct gm_error *err)
{
	for (size_t i = 0; i < count; i++) GM_TRY(fn(context, i, err));
	return GM_OK;
}

enum gm_code gm_parallel(size_t count, unsigned threads, gm_parallel_fn *fn, void *context, struct gm_error *err)
{
	pthread_t others[THREADS_MAX];
	size_t started = 0, wanted = threads < count ? threads : count;
	if (wanted > THREADS_MAX) wanted = THREADS_MAX;
	if (wanted <= 1) return one_by_one(count, fn, context, err);
	struct work work = {.count = count,
	                    .fn = fn,
	                    .context = context,
	                    .failed = SIZE_MAX,
	                    .watch = gm_stopwatch_mine(),
	                    .stage = gm_stopwatch_stage()};
	if (pthread_mutex_init(&work.lock, NULL) != 0) return one_by_one(count, fn, context, err);
	while (started + 1 < wanted && pthread_create(&others[started], NULL, run_beside, &work) == 0) started++;
	run(&work);
	for (size_t i = 0; i < started; i++) (void)pthread_join(others[i], NULL);
	(void)pthread_mutex_destroy(&work.lock);
	if (work.code != GM_OK && err != NULL) *err = work.error;
	return work.code;
}
