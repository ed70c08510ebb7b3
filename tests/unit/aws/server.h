/* server.h - an HTTP server in threads of the test's own process, which answers what a script says: whole, cut off
 * anywhere, never, or for ever; and remembers what it was asked.
 *
 * A request takes the first answer of the script that matches it and is not used up. What no answer matches goes to
 * server->serve, if there is one; else it is answered with 418, and server_stop fails the test. */
#ifndef GM_TEST_AWS_SERVER_H
#define GM_TEST_AWS_SERVER_H

#include "../must.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef GM_TEST_ALLOC_FAULTS_H /* the server's own memory never fails */
#define server_malloc __real_malloc
#else
#define server_malloc malloc
#endif

enum { SERVER_ANSWERS = 512, SERVER_REQUESTS = 2048, SERVER_HEAD_BYTES = 8192, SERVER_CONNECTIONS = 1024 };

struct answer {
	const char *match; /* is in the request's head, which ends in an empty line; NULL: any */
	char *bytes;
	size_t n, times; /* how often it is given; 0 is meant as once */
	bool cuts;       /* only this much of it is sent, and then the connection closed: */
	size_t cut;
	bool resets;         /* the same, with a reset */
	bool closes, stalls; /* after it; instead of it */
	bool waits;          /* until server_release */
	const char *forever; /* sent behind it until the client has enough */
	size_t used;
};

struct seen {
	char head[SERVER_HEAD_BYTES];
	uint8_t *body;
	size_t body_bytes;
	int connection; /* number of it */
};

struct server;
/* Fills in a whole answer for a request: bytes of malloc(). */
typedef void serve_fn(struct server *server, const struct seen *request, char **bytes, size_t *n);

struct server {
	int listener, port;
	pthread_t thread, handlers[SERVER_CONNECTIONS];
	int sockets[SERVER_CONNECTIONS];
	size_t connections;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t changed;
	bool stopping, released;
	struct answer answers[SERVER_ANSWERS];
	size_t answer_count;
	struct seen *seen[SERVER_REQUESTS];
	size_t seen_count, unexpected, busy; /* busy: being answered, or made to wait */
	serve_fn *serve;
	void *context; /* of serve */
};
struct server_connection {
	struct server *server;
	int socket, number;
};

static bool server_send(int to, const void *bytes, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t sent = send(to, (const char *)bytes + at, n - at, MSG_NOSIGNAL);
		if (sent <= 0) return false;
		at += (size_t)sent;
	}
	return true;
}

static const char *head_value(const char *head, const char *name)
{
	static _Thread_local char value[4096];
	size_t n = strlen(name);
	for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
		if (strncasecmp(line + 2, name, n) != 0 || line[2 + n] != ':') continue;
		const char *at = line + 2 + n + 1, *end = strstr(at, "\r\n");
		while (*at == ' ') at++;
		(void)snprintf(value, sizeof value, "%.*s", (int)(end - at), at);
		return value;
	}
	return NULL;
}

static void server_send_forever(int to, const char *text)
{
	char block[32 * 1024];
	size_t n = strlen(text), count = sizeof block / n;
	for (size_t i = 0; i < count; i++) memcpy(block + i * n, text, n);
	while (server_send(to, block, count * n)) continue;
}

/* False: the client has gone. */
static bool server_receive(int from, struct seen *seen)
{
	size_t n = 0;
	while (n < 4 || memcmp(seen->head + n - 4, "\r\n\r\n", 4) != 0) {
		if (n == sizeof seen->head - 1 || recv(from, seen->head + n, 1, 0) != 1) return false;
		n++;
	}
	seen->head[n] = '\0';
	const char *length = head_value(seen->head, "content-length");
	seen->body_bytes = length != NULL ? (size_t)atoll(length) : 0;
	seen->body = server_malloc(seen->body_bytes + 1);
	seen->body[seen->body_bytes] = '\0';
	for (size_t at = 0; at < seen->body_bytes;) {
		ssize_t got = recv(from, seen->body + at, seen->body_bytes - at, 0);
		if (got <= 0) return false;
		at += (size_t)got;
	}
	return true;
}

/* With the lock. */
static struct answer *server_find(struct server *server, const struct seen *seen)
{
	for (size_t i = 0; i < server->answer_count; i++) {
		struct answer *answer = &server->answers[i];
		if (answer->used >= (answer->times > 0 ? answer->times : 1)) continue;
		if (answer->match != NULL && strstr(seen->head, answer->match) == NULL) continue;
		answer->used++;
		return answer;
	}
	return NULL;
}

/* With the lock. */
static void server_wait(struct server *server, bool for_ever)
{
	(void)pthread_cond_broadcast(&server->changed);
	while (!server->stopping && (for_ever || !server->released))
		(void)pthread_cond_wait(&server->changed, &server->lock);
}

/* False: the connection is to be closed. */
static bool server_give(struct server *server, int to, const struct answer *answer)
{
	if (answer->stalls || answer->waits) {
		(void)pthread_mutex_lock(&server->lock);
		server_wait(server, answer->stalls);
		(void)pthread_mutex_unlock(&server->lock);
		if (answer->stalls) return false;
	}
	bool good = server_send(to, answer->bytes, answer->cuts ? answer->cut : answer->n);
	if (good && answer->forever != NULL) server_send_forever(to, answer->forever);
	if (answer->resets) {
		struct linger at_once = {1, 0};
		(void)setsockopt(to, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	}
	return good && !answer->cuts && !answer->resets && !answer->closes;
}

static bool server_answer(struct server *server, int to, const struct seen *seen, bool kept)
{
	static const char refusal[] = "HTTP/1.1 418 Unexpected\r\nContent-Length: 0\r\n\r\n";
	(void)pthread_mutex_lock(&server->lock);
	struct answer *answer = kept ? server_find(server, seen) : NULL;
	bool serves = answer == NULL && server->serve != NULL;
	server->unexpected += answer == NULL && !serves;
	(void)pthread_mutex_unlock(&server->lock);
	if (answer != NULL) return server_give(server, to, answer);
	if (!serves) return server_send(to, refusal, sizeof refusal - 1);
	char *bytes = NULL;
	size_t n = 0;
	server->serve(server, seen, &bytes, &n);
	bool good = server_send(to, bytes, n);
	free(bytes);
	return good;
}

static void *server_talk(void *context)
{
	struct server_connection connection = *(struct server_connection *)context;
	struct server *server = connection.server;
	free(context);
	for (bool on = true; on;) {
		struct seen *seen = server_malloc(sizeof *seen);
		seen->body = NULL;
		seen->connection = connection.number;
		if (!server_receive(connection.socket, seen)) {
			free(seen->body);
			free(seen);
			break;
		}
		(void)pthread_mutex_lock(&server->lock);
		bool kept = server->seen_count < SERVER_REQUESTS;
		server->busy++;
		if (kept) server->seen[server->seen_count++] = seen;
		(void)pthread_cond_broadcast(&server->changed);
		(void)pthread_mutex_unlock(&server->lock);
		on = server_answer(server, connection.socket, seen, kept);
		(void)pthread_mutex_lock(&server->lock);
		server->busy--;
		(void)pthread_cond_broadcast(&server->changed);
		(void)pthread_mutex_unlock(&server->lock);
		if (kept) continue;
		free(seen->body);
		free(seen);
	}
	(void)pthread_mutex_lock(&server->lock);
	server->sockets[connection.number] = -1;
	(void)close(connection.socket);
	(void)pthread_mutex_unlock(&server->lock);
	return NULL;
}

static void *server_listen(void *context)
{
	struct server *server = context;
	for (;;) {
		int client = accept(server->listener, NULL, NULL);
		if (client < 0) return NULL;
		(void)pthread_mutex_lock(&server->lock);
		bool room = server->connections < SERVER_CONNECTIONS && !server->stopping;
		struct server_connection *connection = room ? server_malloc(sizeof *connection) : NULL;
		if (room) {
			*connection = (struct server_connection){server, client, (int)server->connections};
			server->sockets[server->connections] = client;
			room = pthread_create(&server->handlers[server->connections], NULL, server_talk, connection) == 0;
		}
		if (room)
			server->connections++;
		else
			(void)close(client);
		(void)pthread_mutex_unlock(&server->lock);
	}
}

static void server_start(struct server *server)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof at;
	memset(server, 0, sizeof *server);
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server->listener, (struct sockaddr *)&at, bytes), 0);
	assert_int_equal(listen(server->listener, 128), 0);
	assert_int_equal(getsockname(server->listener, (struct sockaddr *)&at, &bytes), 0);
	server->port = ntohs(at.sin_port);
	(void)pthread_mutex_init(&server->lock, NULL);
	(void)pthread_cond_init(&server->changed, NULL);
	assert_int_equal(pthread_create(&server->thread, NULL, server_listen, server), 0);
}

/* Everything that was sent so far and is not answered yet is answered with a closed connection. */
static void server_stop(struct server *server)
{
	(void)pthread_mutex_lock(&server->lock);
	server->stopping = true;
	(void)pthread_cond_broadcast(&server->changed);
	(void)shutdown(server->listener, SHUT_RDWR);
	for (size_t i = 0; i < server->connections; i++)
		if (server->sockets[i] >= 0) (void)shutdown(server->sockets[i], SHUT_RDWR);
	(void)pthread_mutex_unlock(&server->lock);
	(void)pthread_join(server->thread, NULL);
	for (size_t i = 0; i < server->connections; i++) (void)pthread_join(server->handlers[i], NULL);
	(void)close(server->listener);
	for (size_t i = 0; i < server->answer_count; i++) free(server->answers[i].bytes);
	for (size_t i = 0; i < server->seen_count; i++) {
		free(server->seen[i]->body);
		free(server->seen[i]);
	}
	(void)pthread_mutex_destroy(&server->lock);
	(void)pthread_cond_destroy(&server->changed);
	assert_int_equal(server->unexpected, 0);
}

/* Forgets script and requests, once all is answered. */
static inline void server_forget(struct server *server)
{
	(void)pthread_mutex_lock(&server->lock);
	while (server->busy > 0) (void)pthread_cond_wait(&server->changed, &server->lock);
	for (size_t i = 0; i < server->answer_count; i++) free(server->answers[i].bytes);
	for (size_t i = 0; i < server->seen_count; i++) {
		free(server->seen[i]->body);
		free(server->seen[i]);
	}
	server->answer_count = server->seen_count = 0;
	server->released = false;
	(void)pthread_mutex_unlock(&server->lock);
}

static inline void server_release(struct server *server)
{
	(void)pthread_mutex_lock(&server->lock);
	server->released = true;
	(void)pthread_cond_broadcast(&server->changed);
	(void)pthread_mutex_unlock(&server->lock);
}

/* Until so many requests have come. */
static inline void server_await(struct server *server, size_t requests)
{
	(void)pthread_mutex_lock(&server->lock);
	while (server->seen_count < requests) (void)pthread_cond_wait(&server->changed, &server->lock);
	(void)pthread_mutex_unlock(&server->lock);
}

static inline size_t seen_count(struct server *server)
{
	(void)pthread_mutex_lock(&server->lock);
	size_t count = server->seen_count;
	(void)pthread_mutex_unlock(&server->lock);
	return count;
}

static inline size_t connection_count(struct server *server)
{
	(void)pthread_mutex_lock(&server->lock);
	size_t count = server->connections;
	(void)pthread_mutex_unlock(&server->lock);
	return count;
}

/* A request that has been answered, or is being. */
static inline const struct seen *seen_at(struct server *server, size_t i)
{
	(void)pthread_mutex_lock(&server->lock);
	const struct seen *seen = i < server->seen_count ? server->seen[i] : NULL;
	(void)pthread_mutex_unlock(&server->lock);
	assert_non_null(seen);
	return seen;
}

/* Adds an answer, of bytes as they are sent. What is special about it is set before a request can match it. */
static inline struct answer *answer_bytes(struct server *server, const char *match, const void *bytes, size_t n)
{
	assert_true(server->answer_count < SERVER_ANSWERS);
	struct answer *answer = &server->answers[server->answer_count];
	*answer = (struct answer){.match = match, .bytes = server_malloc(n + 1), .n = n};
	memcpy(answer->bytes, bytes, n);
	answer->bytes[n] = '\0';
	(void)pthread_mutex_lock(&server->lock);
	server->answer_count++;
	(void)pthread_mutex_unlock(&server->lock);
	return answer;
}

static inline struct answer *answer_raw(struct server *server, const char *match, const char *text)
{
	return answer_bytes(server, match, text, strlen(text));
}

/* A whole answer. headers: lines that each end in CR LF. */
static inline char *whole_answer(int status, const char *headers, const void *body, size_t n, size_t *total)
{
	size_t room = strlen(headers) + n + 128;
	char *text = server_malloc(room);
	int head = snprintf(text, room, "HTTP/1.1 %d Some reason\r\n%sContent-Length: %zu\r\n\r\n", status, headers, n);
	if (n > 0) memcpy(text + head, body, n);
	*total = (size_t)head + n;
	return text;
}

static inline struct answer *answer(struct server *server, const char *match, int status, const char *headers,
                                    const char *body)
{
	size_t n;
	char *text = whole_answer(status, headers, body, strlen(body), &n);
	struct answer *added = answer_bytes(server, match, text, n);
	free(text);
	return added;
}

#endif
