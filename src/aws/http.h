/* http.h - HTTP requests over one libcurl multi handle: many in flight, connections kept and used again.
 *
 * One thread of its own drives all transfers of a gm_http; callers start a request and wait for it, from any thread.
 * This layer makes each request once, also where curl by itself would make it again, and knows nothing of AWS: retries,
 * signing and credentials are call.h's.
 *
 * An answer counts as complete only if its header block ended with an empty line and its body has the length that the
 * header announced; anything less is a failed transfer (GM_HTTP_BROKEN), however good the status line looked.
 * TLS is 1.2 or newer and always verified. Redirects are not followed. Proxies are taken from the environment as curl
 * does, but for loopback and link-local addresses (metadata services). */
#ifndef GM_AWS_HTTP_H
#define GM_AWS_HTTP_H

#include "base/arena.h"

struct gm_http;
struct gm_http_options {
	const char *ca_file;     /* PEM; NULL: the system's */
	int64_t connect_us;      /* 0: 5 s */
	int64_t stall_us;        /* a transfer that moves less than 1 KiB a second for so long has failed; 0: 20 s */
	unsigned connection_max; /* 0: 32, which is also the most */
};
/* Starts the thread. The options are copied. */
enum gm_code gm_http_new(const struct gm_http_options *options, struct gm_http **out, struct gm_error *err) GM_CHECK;
/* No request may be in flight. NULL is allowed. */
void gm_http_free(struct gm_http *http);

/* How a transfer ended. */
enum gm_http_end {
	GM_HTTP_DONE,        /* there is a whole answer; its status may be anything */
	GM_HTTP_UNREACHABLE, /* name not resolved, not connected, no TLS: nothing was sent */
	GM_HTTP_TLS,         /* the server's certificate or the TLS handshake was refused; trying again does not help */
	GM_HTTP_BROKEN,      /* cut off, stalled, or not HTTP: the request may have taken effect */
	GM_HTTP_TOO_LARGE,   /* a body larger than the room given */
	GM_HTTP_NOMEM
};

struct gm_http_header {
	const char *name, *value;
};
enum { GM_HTTP_HEADERS_MAX = 48 };

/* One request. The caller owns all that it points to, until gm_http_wait has returned. */
struct gm_http_request {
	const char *method; /* GET, PUT, POST, HEAD, DELETE */
	const char *url;    /* encoded as it is to be sent: neither curl nor this layer changes a byte of it */
	struct gm_http_header headers[GM_HTTP_HEADERS_MAX]; /* Host, Content-Length are curl's; no others are added */
	size_t header_count;
	const void *body;
	size_t body_bytes;
	/* Where the body of a 2xx answer goes, if not NULL; anything more is GM_HTTP_TOO_LARGE. Else, and for all other
	 * statuses, it goes to response->body. */
	uint8_t *into;
	size_t into_bytes;
	int64_t timeout_us; /* of the whole transfer; 0: none but the stall limit */
	bool secret;        /* the answer is wiped from curl's buffers as soon as it has been copied out of them */
};

struct gm_http_response {
	enum gm_http_end end;
	int status;
	struct gm_buf body; /* max_bytes: GM_HTTP_BODY_MAX */
	size_t got;         /* bytes in request->into */
	char message[192];  /* why it did not end well: one line, without secrets; "" after GM_HTTP_DONE */
	struct gm_arena arena;
	struct gm_http_header *headers; /* names in lower case; in the arena */
	size_t header_count, header_room;
	uint64_t sent_bytes, received_bytes; /* bodies */
};
enum { GM_HTTP_BODY_MAX = 16 << 20, GM_HTTP_HEADER_MAX = 64 << 10 /* bytes of one answer's header block */ };

void gm_http_response_init(struct gm_http_response *response);
void gm_http_response_release(struct gm_http_response *response);
/* The value of a header (name in lower case); NULL: there is none. */
const char *gm_http_header(const struct gm_http_response *response, const char *name);

struct gm_http_transfer; /* a request in flight */
/* Starts a request; response is initialised by the caller and emptied here. NOMEM is the only failure: all others are
 * told by response->end. Each transfer started must be waited for, once. */
enum gm_code gm_http_start(struct gm_http *http, const struct gm_http_request *request,
                           struct gm_http_response *response, struct gm_http_transfer **out,
                           struct gm_error *err) GM_CHECK;
void gm_http_wait(struct gm_http_transfer *transfer);
/* Waits for at most so long. True: it has ended; gm_http_wait is still to be called, and returns at once. */
bool gm_http_wait_some(struct gm_http_transfer *transfer, int64_t us);
/* Ends it early: as gm_http_wait, but at once, and the response says GM_HTTP_BROKEN if it had not ended. */
void gm_http_cancel(struct gm_http_transfer *transfer);
/* Start and wait. */
enum gm_code gm_http_perform(struct gm_http *http, const struct gm_http_request *request,
                             struct gm_http_response *response, struct gm_error *err) GM_CHECK;

#endif
