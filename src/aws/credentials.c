/* credentials.c - one source of credentials for many threads: what it gave is kept, and asked for again before it
 * expires.
 *
 *     valid for         a caller gets                                 and the source is
 *     5 minutes more    what is kept                                  left alone
 *     less              what is kept                                  asked by the first who comes, at most every half
 *                                                                     of what is left, or 30 s
 *     nothing more      the answer of the source, or its failure      asked by the first, the others wait
 *
 * So a source that is down for less than five minutes is not noticed, and one that gives out what is about to expire is
 * not asked at each call. The lock is never held while a source is asked. */
#include "aws/providers.h"

#include "base/time.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static const int64_t refresh_before_us = 5 * 60 * GM_US_PER_SECOND, ask_again_us = 30 * GM_US_PER_SECOND;

struct gm_provider {
	struct gm_asker asker;
	struct gm_sources sources;
	struct gm_arena arena; /* of the sources' strings */
	pthread_mutex_t lock;  /* of all below */
	pthread_cond_t answered;
	struct gm_keys *keys;    /* NULL: none yet */
	bool asking;             /* a thread is about it */
	uint64_t answers;        /* how often one has come, or a failure */
	int64_t not_before_us;   /* of asking again while they are valid */
	struct gm_error failure; /* of the last answer; code OK: it was none */
};

void gm_credentials_wipe(struct gm_credentials *credentials)
{
	gm_keys_drop(credentials->held);
	*credentials = (struct gm_credentials){.held = NULL};
}

static int64_t wall_clock(void *unused)
{
	struct timespec now;
	(void)unused;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * GM_US_PER_SECOND + now.tv_nsec / 1000;
}

enum gm_code gm_provider_new(const struct gm_provider_options *options, struct gm_provider **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_provider *provider = calloc(1, sizeof *provider);
	if (provider == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for credentials");
	provider->asker = (struct gm_asker){options->http, options->now_us, options->clock};
	if (provider->asker.now_us == NULL) provider->asker.now_us = wall_clock;
	gm_arena_init(&provider->arena, 2048);
	(void)pthread_mutex_init(&provider->lock, NULL);
	(void)pthread_cond_init(&provider->answered, NULL);
	enum gm_code code = gm_sources_choose(options->config, options->region, &provider->arena, &provider->sources, err);
	if (code != GM_OK) {
		gm_provider_free(provider);
		return code;
	}
	*out = provider;
	return GM_OK;
}

void gm_provider_free(struct gm_provider *provider)
{
	if (provider == NULL) return;
	gm_keys_drop(provider->keys);
	(void)pthread_cond_destroy(&provider->answered);
	(void)pthread_mutex_destroy(&provider->lock);
	gm_arena_release(&provider->arena);
	free(provider);
}

const char *gm_provider_describe(const struct gm_provider *provider)
{
	return provider->sources.description;
}

/* --- Asking again ------------------------------------------------------------------------------------------------- */

static int64_t left_us(const struct gm_provider *provider, int64_t now_us)
{
	if (provider->keys == NULL || provider->keys->expires_us <= now_us) return 0;
	/* Cannot overflow: a time of expiry lies within the years 1 to 9999. */
	return provider->keys->expires_us == INT64_MAX ? INT64_MAX : provider->keys->expires_us - now_us;
}

/* Without the lock. What has expired already is no answer. */
static enum gm_code ask(struct gm_provider *provider, struct gm_keys **out, struct gm_error *err)
{
	char when[GM_TIME_TEXT_BYTES];
	GM_TRY(gm_sources_ask(&provider->sources, &provider->asker, out, err));
	if ((*out)->expires_us > provider->asker.now_us(provider->asker.clock)) return GM_OK;
	(void)gm_time_format_iso((*out)->expires_us, 0, when);
	gm_keys_drop(*out);
	*out = NULL;
	(void)gm_error_set(err, GM_DENIED, "%s: what was given expired at %s", provider->sources.description, when);
	return gm_error_hint(err, GM_DENIED, "is this machine's clock right?");
}

/* With the lock, which it leaves for the time of asking. */
static enum gm_code refresh(struct gm_provider *provider, struct gm_error *err)
{
	struct gm_keys *fresh = NULL;
	provider->asking = true;
	(void)pthread_mutex_unlock(&provider->lock);
	enum gm_code code = ask(provider, &fresh, err);
	(void)pthread_mutex_lock(&provider->lock);
	if (code == GM_OK) {
		gm_keys_drop(provider->keys);
		provider->keys = fresh;
		/* From now on silence is a fault of the service, and not the lack of one. */
		if (provider->sources.first.kind == GM_SOURCE_INSTANCE) provider->sources.first.instance.others = NULL;
		provider->failure.code = GM_OK;
	} else {
		provider->failure = *err;
	}
	int64_t now_us = provider->asker.now_us(provider->asker.clock), pause_us = left_us(provider, now_us) / 2;
	provider->not_before_us = now_us + (pause_us < ask_again_us ? pause_us : ask_again_us);
	provider->asking = false;
	provider->answers++;
	(void)pthread_cond_broadcast(&provider->answered);
	return code;
}

/* With the lock, which it leaves: what the thread that asks will be told. */
static enum gm_code wait_for_answer(struct gm_provider *provider, struct gm_error *err)
{
	uint64_t seen = provider->answers;
	while (provider->answers == seen) (void)pthread_cond_wait(&provider->answered, &provider->lock);
	if (provider->failure.code != GM_OK) *err = provider->failure;
	return provider->failure.code;
}

/* With the lock. */
static enum gm_code renew(struct gm_provider *provider, bool force, struct gm_error *err)
{
	int64_t now_us = provider->asker.now_us(provider->asker.clock), left = left_us(provider, now_us);
	if (!force && left >= refresh_before_us) return GM_OK;
	if (!force && left > 0 && (provider->asking || now_us < provider->not_before_us)) return GM_OK;
	enum gm_code code = provider->asking ? wait_for_answer(provider, err) : refresh(provider, err);
	if (code == GM_OK || force) return code;
	return left_us(provider, provider->asker.now_us(provider->asker.clock)) > 0 ? GM_OK : code;
}

enum gm_code gm_provider_get(struct gm_provider *provider, bool force, struct gm_credentials *out, struct gm_error *err)
{
	struct gm_error unused;
	*out = (struct gm_credentials){.held = NULL};
	(void)pthread_mutex_lock(&provider->lock);
	enum gm_code code = renew(provider, force, err != NULL ? err : &unused);
	if (code == GM_OK) {
		struct gm_keys *keys = gm_keys_hold(provider->keys);
		*out = (struct gm_credentials){keys->access_key, keys->secret_key, keys->session_token, keys->expires_us, keys};
	}
	(void)pthread_mutex_unlock(&provider->lock);
	return code;
}
