/* An S3 store that many threads share, and one for which memory is gone. */
#include "../alloc_faults.h"
#include "s3_bucket.h"

enum { THREADS = 4, ROUNDS = 6, FILES = 3 };

static int begin_tiny(void **state)
{
	return open_bucket(state, 10000, NULL); /* two readers of the size below */
}

static void good(enum gm_code rc)
{
	if (rc != GM_OK) abort(); /* cmocka's own way out is for one thread only */
}

static void stage_and_publish(struct gm_store *store, unsigned number, int round)
{
	char tokens[FILES][GM_TOKEN_BYTES], keys[FILES][64];
	struct gm_error err;
	for (int i = 0; i < FILES; i++) {
		struct gm_staged *staged;
		(void)snprintf(keys[i], sizeof keys[i], "y/%u-%d-%d", number, round, i);
		good(gm_store_stage_open(store, keys[i], "w/", &staged, &err));
		good(gm_store_stage_append(store, staged, keys[i], strlen(keys[i]), &err));
		good(gm_store_stage_finish(store, staged, tokens[i], &err));
	}
	good(gm_store_settle(store, &err));
	for (int i = 0; i < FILES; i++) {
		uint64_t bytes;
		good(gm_store_staged_size(store, tokens[i], &bytes, &err));
		if (bytes != strlen(keys[i])) abort();
		good(gm_store_publish(store, tokens[i], keys[i], &err));
		good(gm_store_discard(store, tokens[i], &err));
	}
}

static void read_ahead(struct gm_store *store)
{
	const struct gm_object_info info = {"whole-4096", 4096, 0, "e"};
	struct gm_store_reader *readers[3];
	struct gm_error err;
	uint8_t into[4096];
	size_t got;
	for (int i = 0; i < 3; i++) good(gm_store_reader_open_as(store, &info, &readers[i], &err));
	for (int i = 2; i > 0; i--) { /* the last first: it may wait in line */
		good(gm_store_reader_read(readers[i], into, sizeof into, &got, &err));
		if (got != 4096 || into[4095] != pattern(4095)) abort();
	}
	for (int i = 0; i < 3; i++) gm_store_reader_close(readers[i]);
}

static void *work(void *context)
{
	static _Atomic unsigned next;
	unsigned number = next++;
	for (int round = 0; round < ROUNDS; round++) {
		stage_and_publish(context, number, round);
		read_ahead(context);
		read_ahead(context);
	}
	return NULL;
}

static void many_threads_share_it(void **state)
{
	pthread_t threads[THREADS];
	for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, work, *state), 0);
	for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(count_seen("PUT /bucket/p/y/"), THREADS * ROUNDS * FILES);
}

/* --- Memory ------------------------------------------------------------------------------------------------------- */

static enum gm_code stage_hello(struct gm_store *store, char token[GM_TOKEN_BYTES])
{
	struct gm_staged *staged;
	GM_TRY(gm_store_stage_open(store, "y/f", "w/", &staged, &failure));
	enum gm_code rc = gm_store_stage_append(store, staged, "hello", 5, &failure);
	if (rc == GM_OK) return gm_store_stage_finish(store, staged, token, &failure);
	gm_store_stage_abandon(store, staged);
	return rc;
}

static enum gm_code do_everything(struct gm_store *store)
{
	char token[GM_TOKEN_BYTES], text[64];
	struct gm_buf keys;
	uint64_t bytes;
	gm_buf_init(&keys, 1000);
	GM_TRY(stage_hello(store, token));
	enum gm_code rc = gm_store_settle(store, &failure);
	if (rc == GM_OK) rc = gm_store_publish(store, token, "y/f", &failure);
	if (rc == GM_OK) rc = gm_store_list(store, "", join_keys, &keys, &failure);
	if (rc == GM_OK) rc = get_as_text(store, text);
	if (rc == GM_OK) rc = gm_store_staged_size(store, upload_token, &bytes, &failure);
	enum gm_code discarded = gm_store_discard(store, token, &failure);
	gm_buf_release(&keys);
	return rc != GM_OK ? rc : discarded;
}

static void each_allocation_may_fail(void **state)
{
	unsigned done = 0;
	fired = true;
	for (fail_at = 1; fired; fail_at++) {
		server_forget(&server);
		answer(&server, "GET /bucket?", 200, "", LISTED(ITEM("p/a", "1") ITEM("p/b", "2") URL))->times = 4;
		answer(&server, "GET /bucket/p/k ", 206, TAG "Content-Range: bytes 0-4/5\r\n", "hello")->times = 4;
		answer(&server, "uploadId=", 200, "", PARTS("false", PART("1", "e1", "5")))->times = 4;
		arm();
		enum gm_code rc = do_everything(*state);
		armed = false;
		if (rc != GM_OK && rc != GM_NOMEM && rc != GM_TRANSIENT)
			fail_msg("allocation %d: %s, %s", (int)fail_at, gm_code_name(rc), failure.message);
		if (!fired) must(rc);
		done += rc == GM_OK;
	}
	assert_true(done > 0 && fail_at > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(many_threads_share_it, begin_tiny),
	    TEST(each_allocation_may_fail, begin),
	};
	set_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
