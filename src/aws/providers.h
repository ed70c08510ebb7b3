/* providers.h - the sources of credentials, one by one; what credentials.c is made of.
 *
 * A source is a place that is asked (struct gm_source), and roles that are assumed with what it gave, one after the
 * other (struct gm_role). Which it is, is decided once, from settings alone (providers.c); asking is done anew at each
 * refresh. All settings are the configuration's own strings. */
#ifndef GM_AWS_PROVIDERS_H
#define GM_AWS_PROVIDERS_H

#include "aws/credentials.h"
#include "aws/secret_memory.h"

/* --- Keys --------------------------------------------------------------------------------------------------------- */

/* Credentials as somebody gave them, nothing of it trusted; NULL: not given. */
struct gm_given_keys {
	const char *access_key, *secret_key, *session_token;
	const char *expiration; /* ISO 8601; NULL: never */
};

/* Credentials that have been looked at: their characters can stand in a header. Held by count, from any thread. */
struct gm_keys {
	unsigned holders;
	struct gm_secret_memory memory; /* of the strings, and of nothing else */
	const char *access_key, *secret_key, *session_token;
	int64_t expires_us;
};
/* DENIED: a part is missing or cannot be one; `whose` begins the message: "profile 'etl'". */
enum gm_code gm_keys_new(const struct gm_given_keys *given, const char *whose, struct gm_keys **out,
                         struct gm_error *err) GM_CHECK;
struct gm_keys *gm_keys_hold(struct gm_keys *keys);
void gm_keys_drop(struct gm_keys *keys); /* NULL is allowed */

/* --- Which source ------------------------------------------------------------------------------------------------- */

enum gm_source_kind {
	GM_SOURCE_KEYS,         /* written down */
	GM_SOURCE_WEB_IDENTITY, /* STS, for a token of somebody else */
	GM_SOURCE_PROCESS,      /* a program of the user's */
	GM_SOURCE_CONTAINER,    /* the endpoint of ECS or EKS */
	GM_SOURCE_INSTANCE      /* IMDSv2 of EC2 */
};

/* A role, and how it is assumed; NULL: not given. */
struct gm_role {
	const struct gm_role *next; /* to be assumed after this one */
	const char *profile;        /* in which it is written; NULL: the environment */
	const char *arn, *external_id, *session_name, *duration_seconds;
};

struct gm_source {
	enum gm_source_kind kind;
	const char *name; /* for people: "the environment", "profile 'etl'" */
	union {
		struct gm_given_keys keys;
		struct {
			struct gm_role role;
			const char *token_file;
		} web;
		const char *command;
		struct {
			const char *url, *token, *token_file;
		} container;
		struct {
			const char *endpoint;
			int64_t timeout_us;
			unsigned attempts;
			const char *others; /* where nothing was found, so that it is the last hope; NULL: it was named */
		} instance;
	};
};

/* What to do where none are found. */
#define GM_CREDENTIALS_HINT "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"

struct gm_sources {
	struct gm_source first;
	const struct gm_role *roles; /* NULL: none */
	const char *sts_url, *sts_region;
	const char *description; /* of all, for people */
};
/* Fills *out with strings of the configuration and of the arena; fails as gm_provider_new. region: as there. */
enum gm_code gm_sources_choose(const struct gm_aws_config *config, const char *region, struct gm_arena *arena,
                               struct gm_sources *out, struct gm_error *err) GM_CHECK;
/* The container's endpoint, if the environment names one. USAGE: it is not one that may be told a token. */
enum gm_code gm_container_configure(const struct gm_aws_config *config, struct gm_arena *arena, struct gm_source *out,
                                    bool *is_there, struct gm_error *err) GM_CHECK;
enum gm_code gm_instance_configure(const struct gm_aws_config *config, struct gm_arena *arena, struct gm_source *out,
                                   struct gm_error *err) GM_CHECK;
/* USAGE: a command line in which a quotation does not end, or nothing. */
enum gm_code gm_process_check(const char *command, const char *whose, struct gm_error *err) GM_CHECK;

/* --- Asking it ---------------------------------------------------------------------------------------------------- */

struct gm_asker {
	struct gm_http *http;
	int64_t (*now_us)(void *clock);
	void *clock;
};

/* Asks the source, then for each role; fails as gm_provider_get. */
enum gm_code gm_sources_ask(const struct gm_sources *sources, const struct gm_asker *asker, struct gm_keys **out,
                            struct gm_error *err) GM_CHECK;
enum gm_code gm_process_ask(const struct gm_source *source, struct gm_keys **out, struct gm_error *err) GM_CHECK;
enum gm_code gm_container_ask(const struct gm_source *source, const struct gm_asker *asker, struct gm_keys **out,
                              struct gm_error *err) GM_CHECK;
enum gm_code gm_instance_ask(const struct gm_source *source, const struct gm_asker *asker, struct gm_keys **out,
                             struct gm_error *err) GM_CHECK;
/* Where tokens and roles are turned into keys. */
struct gm_sts {
	const struct gm_asker *asker;
	const char *url, *region;
};
enum gm_code gm_sts_assume(const struct gm_sts *sts, const struct gm_role *role, const struct gm_keys *with,
                           struct gm_keys **out, struct gm_error *err) GM_CHECK;
enum gm_code gm_sts_assume_by_token(const struct gm_sts *sts, const struct gm_source *source, struct gm_keys **out,
                                    struct gm_error *err) GM_CHECK;
/* What its answer says, of whatever status; NULL: nothing of it. */
struct gm_sts_answer {
	struct gm_given_keys keys;
	const char *code, *message;
};
/* Strings are in memory. CORRUPT: it is no XML, or says a thing twice; *out holds what came before. */
enum gm_code gm_sts_answer_read(const char *text, size_t bytes, struct gm_secret_memory *memory,
                                struct gm_sts_answer *out, struct gm_error *err) GM_CHECK;

/* Of the memory for secrets that one asking needs. */
enum { GM_ASKING_BYTES_MAX = 2 << 20 };

/* One question to one of these services, repeated while it fails in passing. */
struct gm_question {
	const struct gm_http_request *request; /* its `into`, timeout_us, secret are set here */
	const char *whom;                      /* begins messages: "the instance's metadata service at http://..." */
	int64_t timeout_us;                    /* of one attempt */
	unsigned attempts, reach_attempts;     /* if it fails in passing, and if it is not reached or does not answer */
};
struct gm_reply {
	int status;
	char *text; /* in the memory given; NUL-terminated */
	size_t bytes;
	int64_t server_us; /* its Date; 0: it said none */
};
/* OK: there is an answer that another attempt would not better; its status may be anything but 5xx and 429. */
enum gm_code gm_question_ask(const struct gm_question *question, const struct gm_asker *asker,
                             struct gm_secret_memory *memory, struct gm_reply *out, struct gm_error *err) GM_CHECK;
/* Waits before attempt `attempt` + 1, a random time. */
void gm_question_pause(unsigned attempt);
/* ": CODE: MESSAGE" of an answer that refuses, or as much of it as there is (both may be NULL): one line of printable
 * ASCII, and nothing if it repeats a part of `sent`, the secret that it was asked with (NULL: none). */
enum { GM_REPLY_TEXT_BYTES = 256 };
void gm_reply_text(const char *code, const char *message, const char *sent, char out[GM_REPLY_TEXT_BYTES]);

/* A token that something else puts into a file and replaces there, without the white space at its end. NOT_FOUND,
 * DENIED and such: as reading it fails; DENIED: it is none. `setting` is what named the file. */
enum gm_code gm_token_file_read(const char *path, const char *setting, struct gm_secret_memory *memory,
                                const char **out, struct gm_error *err) GM_CHECK;
/* Printable ASCII, so that it can be a header's value, and not empty. */
bool gm_token_is_plain(const char *token);

#endif
