/* generate_data.h - the vocabulary of the sample generator: what Synapse's REST API is asked, by whom, from where. */
#ifndef GM_RUN_GENERATE_DATA_H
#define GM_RUN_GENERATE_DATA_H

#include <stddef.h>
#include <stdint.h>

/* A list of strings; an entry may be NULL where the field of a record may be null. */
struct gm_words {
	const char *const *at;
	size_t count;
};

/* URL templates below the service prefix, "{name}" standing for an identifier. The popular ones come first, in the
 * order of their popularity; the others have no order of their own. */
extern const struct gm_words gm_words_popular_urls, gm_words_other_urls;
/* Identifiers that test how URLs are normalized: escapes, dots, other scripts. */
extern const struct gm_words gm_words_odd_ids;
extern const struct gm_words gm_words_methods, gm_words_hosts, gm_words_origins, gm_words_instances,
    gm_words_auth_methods;

/* A user agent with two placeholders at most: %a, %b take each word of their lists in turn. */
struct gm_agent_family {
	const char *pattern;
	struct gm_words a, b;
};
struct gm_agent_group { /* agents of one kind of client; `share` of 100 requests come from it */
	const struct gm_agent_family *families;
	size_t count;
	unsigned share;
};
extern const struct gm_agent_group gm_agent_groups[];
extern const size_t gm_agent_group_count;

/* HTTP status codes and how often they occur among 1,000 answers. */
struct gm_weighted {
	int value;
	unsigned weight;
};
extern const struct gm_weighted gm_weighted_statuses[];
extern const size_t gm_weighted_status_count;

/* Milliseconds that requests take, a log-normal law: exp(3.2 + 1.3 z) in 1/256 ms for z = -6, -5.75 .. 6. As a table,
 * since exp() need not give the same last bit everywhere. */
enum { GM_ELAPSE_STEPS = 49 };
extern const uint32_t gm_elapse_256ths[GM_ELAPSE_STEPS];

#endif
