/* http_server.h - a small HTTP server for those who watch the process: GET or HEAD /metrics and /healthz.
 *
 * One thread serves a bounded number of connections, each of a bounded size and age. It is no part of the work:
 * nothing that a client does can hold it up, and nothing can be changed through it. */
#ifndef GM_WATCH_HTTP_SERVER_H
#define GM_WATCH_HTTP_SERVER_H

#include "base/arena.h"

/* Both are called from the server's thread. */
typedef enum gm_code gm_http_page_fn(void *context, struct gm_buf *page, struct gm_error *err);
/* True: well. False: why not, in one line. */
enum { GM_HTTP_WHY_BYTES = 512 };
typedef bool gm_http_health_fn(void *context, char why[GM_HTTP_WHY_BYTES]);

struct gm_http_server_options {
	/* "127.0.0.1:9847", "[::1]:9847", "localhost:9847"; ":9847" and "9847" are 127.0.0.1. "0.0.0.0:9847" and
	 * "[::]:9847" are all addresses. Port 0: any that is free. */
	const char *address;
	gm_http_page_fn *metrics;
	gm_http_health_fn *health;
	void *context;
};
struct gm_http_server;
/* USAGE: not an address; else why it cannot be listened on, naming it. */
enum gm_code gm_http_server_start(const struct gm_http_server_options *options, struct gm_http_server **out,
                                  struct gm_error *err) GM_CHECK;
/* "http://127.0.0.1:9847", with the port that was taken. */
const char *gm_http_server_url(const struct gm_http_server *server);
uint16_t gm_http_server_port(const struct gm_http_server *server);
/* Is it reachable from this machine alone? */
bool gm_http_server_is_loopback(const struct gm_http_server *server);
/* Closes all connections and waits for the thread. NULL is allowed. */
void gm_http_server_stop(struct gm_http_server *server);

#endif
