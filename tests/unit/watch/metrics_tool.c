/* What tests/test_metrics.py looks at: metrics of a job of which everything is known, as they are served or written.
 *
 *     metrics_tool served|file       prints them
 *     metrics_tool serve ADDRESS     serves them; prints the URL, and ends when its input does. A line "sick" on the
 *                                    input makes it unwell, "well" again well. */
#include "watch/http_server.h"
#include "watch/metrics.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static atomic_bool sick;

static int64_t now_us(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void check(enum gm_code code, const struct gm_error *err)
{
	if (code == GM_OK) return;
	fprintf(stderr, "metrics_tool: %s: %s\n", err->object, err->message);
	exit(1);
}

static struct gm_metrics *make(void)
{
	struct gm_error err;
	struct gm_metrics *metrics;
	const struct gm_run_result result = {
	    .version = 3, .committed = true, .inputs = 2, .total.rows_written = 10, .catalog.state = GM_CATALOG_SYNCED};
	check(gm_metrics_new("tool", now_us(), &metrics, &err), &err);
	gm_metrics_end_run(metrics, &result, GM_OK, now_us() - 1500000, now_us());
	gm_metrics_set_waiting(metrics, 2, now_us() - 90000000);
	return metrics;
}

static enum gm_code page(void *context, struct gm_buf *out, struct gm_error *err)
{
	return gm_metrics_render(context, GM_METRICS_SERVED, now_us(), out, err);
}

static bool health(void *context, char why[GM_HTTP_WHY_BYTES])
{
	(void)context;
	if (sick) (void)snprintf(why, GM_HTTP_WHY_BYTES, "told to be unwell");
	return !sick;
}

static void serve(struct gm_metrics *metrics, const char *address)
{
	struct gm_error err;
	struct gm_http_server *server;
	const struct gm_http_server_options options = {address, page, health, metrics};
	char line[64];
	check(gm_http_server_start(&options, &server, &err), &err);
	puts(gm_http_server_url(server));
	(void)fflush(stdout);
	while (fgets(line, sizeof line, stdin) != NULL) {
		sick = strcmp(line, "sick\n") == 0;
		puts("done");
		(void)fflush(stdout);
	}
	gm_http_server_stop(server);
}

int main(int argc, char **argv)
{
	struct gm_error err;
	struct gm_buf text;
	if (argc < 2) return 2;
	struct gm_metrics *metrics = make();
	if (argc == 3) {
		serve(metrics, argv[2]);
	} else {
		enum gm_metrics_form form = strcmp(argv[1], "file") == 0 ? GM_METRICS_FILE : GM_METRICS_SERVED;
		gm_buf_init(&text, GM_METRICS_BYTES_MAX);
		check(gm_metrics_render(metrics, form, now_us(), &text, &err), &err);
		(void)fwrite(text.data, 1, text.len, stdout);
		gm_buf_release(&text);
	}
	gm_metrics_free(metrics);
	return 0;
}
