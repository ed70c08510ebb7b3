/* Every store call and every allocation of describing a table fails once: that failure comes out, and nothing
 * leaks. The allocators of our code are wrapped by the linker (see meson.build), that of jansson is replaced. */
#include "catalog/ddl.h"
#include "catalog_fixture.h"
#include "../alloc_faults.h"

static struct gm_store *table_of_all_kinds(void)
{
	struct gm_store *store = open_memory();
	put_head(store,
	         FIELD("id", "long") "," FIELD("y", "string") "," FIELD("n", "long") "," FIELD("d", "date") "," FIELD_(
	             "a", "{\\\"type\\\":\\\"array\\\",\\\"elementType\\\":\\\"string\\\"}", "{}"),
	         "[\"y\",\"n\",\"d\"]");
	const struct gm_delta_file files[] = {add("y=2024/n=1/d=2024-02-28/1", "y=2024/n=1/d=2024-02-28", 1),
	                                      add("y=2025/n=2/d=2024-03-28/1", "y=2025/n=2/d=2024-03-28", 1)};
	must(put_adds(store, 1, NULL, files, 2, &failure));
	return store;
}

static struct gm_job *job_of_all_kinds(void)
{
	return job_of(
	    "[{name: y, type: string, expr: \"date_format(Time, '%Y')\"}, {name: n, type: bigint, expr: id}, {name: "
	    "d, type: date, expr: date(Time)}]");
}

static enum gm_code use(const struct gm_job *job, struct gm_store *store, struct gm_error *err)
{
	struct gm_shape shape;
	enum gm_code code = gm_shape_read(job, store, true, MEMORY, &shape, err);
	for (int i = GM_DIALECT_ATHENA; i <= GM_DIALECT_DUCKDB && code == GM_OK; i++) {
		struct gm_buf out;
		gm_buf_init(&out, 1 << 20);
		code = gm_ddl_write(job, &shape, (enum gm_dialect)i, &out, err);
		gm_buf_release(&out);
	}
	if (code == GM_OK) {
		assert_int_equal(shape.rows, store != NULL ? 2 : 0);
		assert_int_equal(shape.unprojectable[0] == '\0', store != NULL);
	}
	gm_shape_release(&shape);
	return code;
}

static void every_allocation_fails_once(void **state)
{
	(void)state;
	struct gm_job *job = job_of_all_kinds();
	struct gm_store *store = table_of_all_kinds();
	for (int there = 0; there < 2; there++) {
		for (fail_at = 1;; fail_at++) {
			struct gm_error err = {0};
			arm();
			enum gm_code code = use(job, there == 1 ? store : NULL, &err);
			armed = false;
			if (!fired) {
				assert_int_equal(code, GM_OK);
				break;
			}
			if (code != GM_NOMEM && code != GM_OK) /* OK: a cache does without */
				fail_msg("allocation %d: %s: %s", (int)fail_at, gm_code_name(code), err.message);
		}
		assert_true(fail_at > (there == 1 ? 50 : 3));
	}
	gm_store_close(store);
	gm_job_free(job);
}

static void every_store_call_fails_once(void **state)
{
	(void)state;
	struct gm_job *job = job_of_all_kinds();
	uint64_t calls = 0;
	for (uint64_t at = 1;; at++) {
		struct gm_error err = {0};
		struct gm_store *faulty;
		must(gm_store_open_faulty(table_of_all_kinds(), at, GM_IO, false, &calls, &faulty, &failure));
		enum gm_code code = use(job, faulty, &err);
		gm_store_close(faulty);
		if (calls < at) {
			assert_int_equal(code, GM_OK);
			break;
		}
		assert_int_equal(code, GM_IO);
	}
	assert_true(calls > 3);
	gm_job_free(job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_allocation_fails_once),
	    cmocka_unit_test(every_store_call_fails_once),
	};
	json_set_alloc_funcs(malloc, free); /* ours, as the linker has it */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
