#include "run/generate_record.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* --- Random numbers ----------------------------------------------------------------------------------------------- */

static uint64_t splitmix64(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

void gm_random_seed(struct gm_random *random, uint64_t seed)
{
	for (int i = 0; i < 4; i++) random->state[i] = splitmix64(&seed);
}

static uint64_t rotate_left(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

uint64_t gm_random_next(struct gm_random *random)
{
	uint64_t *s = random->state;
	uint64_t result = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate_left(s[3], 45);
	return result;
}

uint64_t gm_random_below(struct gm_random *random, uint64_t bound)
{
	return (uint64_t)(((unsigned __int128)gm_random_next(random) * bound) >> 64);
}

bool gm_random_chance(struct gm_random *random, double share)
{
	/* Exact: both sides are multiples of 2^-53. */
	return (double)(gm_random_next(random) >> 11) < share * 9007199254740992.0;
}

/* `percent` of 100. */
static bool percent(struct gm_random *random, unsigned percent)
{
	return gm_random_below(random, 100) < percent;
}

static uint64_t between(struct gm_random *random, uint64_t first, uint64_t last)
{
	return first + gm_random_below(random, last - first + 1);
}

/* A number whose magnitude is even on a logarithmic scale, within [2^low_bit, 2^(high_bit + 1)). */
static uint64_t any_magnitude(struct gm_random *random, unsigned low_bit, unsigned high_bit)
{
	uint64_t power = UINT64_C(1) << between(random, low_bit, high_bit);
	return power + gm_random_below(random, power);
}

/* --- Population --------------------------------------------------------------------------------------------------- */

enum {
	ANONYMOUS = 273950, /* the user id of those who have not signed in */
	USERS = 6001,
	ADDRESSES = 9000,
	ADDRESS_BYTES = 16,
	MACHINES = 12,
	MACHINE_BYTES = 41,
	POPULAR_IDS = 20000,
};

struct gm_population {
	struct gm_words urls;
	uint64_t *url_weights;   /* cumulated, as all weights below */
	struct gm_words *agents; /* per group */
	uint64_t *agent_weights;
	uint64_t *status_weights;
	uint64_t users[USERS], user_weights[USERS];
	uint64_t ids[POPULAR_IDS], id_weights[POPULAR_IDS];
	char addresses[ADDRESSES][ADDRESS_BYTES];
	char machines[MACHINES][MACHINE_BYTES];
};

/* The weights of ranks 1 .. n under a law of Zipf, 1 / rank^(eighths / 8), cumulated. The exponent is built of square
 * roots, which IEEE 754 rounds the same way everywhere; pow() would not do. */
static void zipf(uint64_t *weights, size_t n, unsigned eighths)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < n; i++) {
		double rank = (double)(i + 1), half = sqrt(rank), quarter = sqrt(half), power = 1;
		if (eighths & 8) power *= rank;
		if (eighths & 4) power *= half;
		if (eighths & 2) power *= quarter;
		if (eighths & 1) power *= sqrt(quarter);
		sum += (uint64_t)(1e12 / power);
		weights[i] = sum;
	}
}

/* The index of the first cumulated weight above a random number. */
static size_t pick(struct gm_random *random, const uint64_t *weights, size_t n)
{
	uint64_t x = gm_random_below(random, weights[n - 1]);
	size_t low = 0, high = n - 1;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (weights[middle] > x)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static const char *word(struct gm_random *random, const struct gm_words *words)
{
	return words->at[gm_random_below(random, words->count)];
}

/* Writes pattern with its placeholders replaced; 256 bytes hold every agent of the tables. */
static const char *agent_of(struct gm_arena *arena, const char *pattern, const char *a, const char *b)
{
	char text[256];
	size_t n = 0;
	for (const char *at = pattern; *at != '\0' && n < sizeof text - 1; at++) {
		const char *insert = at[0] != '%' ? NULL : at[1] == 'a' ? a : b;
		if (insert == NULL) {
			text[n++] = *at;
			continue;
		}
		for (at++; *insert != '\0' && n < sizeof text - 1; insert++) text[n++] = *insert;
	}
	return gm_arena_strndup(arena, text, n);
}

static size_t family_size(const struct gm_agent_family *family)
{
	return (family->a.count ? family->a.count : 1) * (family->b.count ? family->b.count : 1);
}

/* Every agent of a group, one as likely as another. */
static bool expand_group(const struct gm_agent_group *group, struct gm_arena *arena, struct gm_words *out)
{
	size_t count = 0, n = 0;
	for (size_t i = 0; i < group->count; i++) count += family_size(&group->families[i]);
	const char **at = gm_arena_alloc(arena, count * sizeof *at);
	if (at == NULL) return false;
	for (size_t i = 0; i < group->count; i++) {
		const struct gm_agent_family *family = &group->families[i];
		for (size_t k = 0; k < family_size(family); k++) {
			size_t as = family->a.count ? family->a.count : 1;
			const char *a = family->a.count ? family->a.at[k % as] : NULL;
			const char *b = family->b.count ? family->b.at[k / as] : NULL;
			at[n] = family->pattern != NULL ? agent_of(arena, family->pattern, a, b) : NULL;
			if (at[n++] == NULL && family->pattern != NULL) return false;
		}
	}
	*out = (struct gm_words){at, count};
	return true;
}

static bool make_agents(struct gm_population *p, struct gm_arena *arena)
{
	p->agents = gm_arena_alloc(arena, gm_agent_group_count * sizeof *p->agents);
	p->agent_weights = gm_arena_alloc(arena, gm_agent_group_count * sizeof *p->agent_weights);
	if (p->agents == NULL || p->agent_weights == NULL) return false;
	uint64_t sum = 0;
	for (size_t i = 0; i < gm_agent_group_count; i++) {
		if (!expand_group(&gm_agent_groups[i], arena, &p->agents[i])) return false;
		p->agent_weights[i] = sum += gm_agent_groups[i].share;
	}
	return true;
}

/* The popular templates in their order, the others shuffled behind them. */
static bool make_urls(struct gm_population *p, struct gm_random *random, struct gm_arena *arena)
{
	size_t first = gm_words_popular_urls.count, n = first + gm_words_other_urls.count;
	const char **at = gm_arena_alloc(arena, n * sizeof *at);
	p->url_weights = gm_arena_alloc(arena, n * sizeof *p->url_weights);
	if (at == NULL || p->url_weights == NULL) return false;
	for (size_t i = 0; i < n; i++) at[i] = i < first ? gm_words_popular_urls.at[i] : gm_words_other_urls.at[i - first];
	for (size_t i = n - 1; i > first; i--) {
		size_t k = (size_t)between(random, first, i);
		const char *swap = at[i];
		at[i] = at[k];
		at[k] = swap;
	}
	zipf(p->url_weights, n, 9);
	p->urls = (struct gm_words){at, n};
	return true;
}

static bool make_statuses(struct gm_population *p, struct gm_arena *arena)
{
	p->status_weights = gm_arena_alloc(arena, gm_weighted_status_count * sizeof *p->status_weights);
	uint64_t sum = 0;
	for (size_t i = 0; p->status_weights != NULL && i < gm_weighted_status_count; i++)
		p->status_weights[i] = sum += gm_weighted_statuses[i].weight;
	return p->status_weights != NULL;
}

static void make_people(struct gm_population *p, struct gm_random *random)
{
	p->users[0] = ANONYMOUS;
	for (size_t i = 1; i < USERS; i++) p->users[i] = between(random, 3319000, 3489999);
	zipf(p->user_weights, USERS, 7);
	for (size_t i = 0; i < POPULAR_IDS; i++) p->ids[i] = between(random, 1000000, 59999999);
	zipf(p->id_weights, POPULAR_IDS, 6);
	for (size_t i = 0; i < ADDRESSES; i++) {
		unsigned part[4];
		for (int k = 0; k < 4; k++) part[k] = (unsigned)between(random, 1, 254) & 0xFF;
		(void)snprintf(p->addresses[i], ADDRESS_BYTES, "%u.%u.%u.%u", part[0], part[1], part[2], part[3]);
	}
	for (size_t i = 0; i < MACHINES; i++) {
		for (size_t k = 0; k < MACHINE_BYTES - 1; k++)
			p->machines[i][k] = "0123456789abcdef"[gm_random_below(random, 16)];
	}
}

enum gm_code gm_population_new(struct gm_random *random, struct gm_arena *arena, struct gm_population **out,
                               struct gm_error *err)
{
	struct gm_population *p = gm_arena_zalloc(arena, sizeof *p);
	if (p == NULL || !make_urls(p, random, arena) || !make_agents(p, arena) || !make_statuses(p, arena))
		GM_FAIL(err, GM_NOMEM, "out of memory for the sample's vocabulary");
	make_people(p, random);
	*out = p;
	return GM_OK;
}

/* --- Text --------------------------------------------------------------------------------------------------------- */

/* Where the next character goes. What does not fit is cut off; the fields below add up to half of the room at most. */
struct text {
	char *at, *end;
};

static void put(struct text *t, const char *bytes, size_t n)
{
	size_t room = (size_t)(t->end - t->at);
	if (n > room) n = room;
	memcpy(t->at, bytes, n);
	t->at += n;
}

static void put_string(struct text *t, const char *string)
{
	put(t, string, strlen(string));
}

#define PUT(t, literal) put((t), "" literal, sizeof(literal) - 1)

static void put_number(struct text *t, uint64_t number)
{
	char digits[20];
	size_t n = sizeof digits;
	do digits[--n] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	put(t, digits + n, sizeof digits - n);
}

static void put_uuid(struct text *t, struct gm_random *random)
{
	char uuid[GM_UUID_BYTES];
	gm_uuid_write(random, uuid);
	put(t, uuid, sizeof uuid);
}

/* A JSON string or null. The words of this generator need no escapes. */
static void put_quoted(struct text *t, const char *string)
{
	if (string == NULL) {
		PUT(t, "null");
		return;
	}
	PUT(t, "\"");
	put_string(t, string);
	PUT(t, "\"");
}

void gm_uuid_write(struct gm_random *random, char *text)
{
	static const char hex[] = "0123456789abcdef";
	uint64_t high = gm_random_next(random), low = gm_random_next(random);
	high = (high & ~UINT64_C(0xF000)) | UINT64_C(0x4000);     /* version 4 */
	low = (low & ~(UINT64_C(3) << 62)) | (UINT64_C(1) << 63); /* variant 10 */
	for (int i = 0, nibble = 0; i < GM_UUID_BYTES; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			text[i] = '-';
			continue;
		}
		uint64_t half = nibble < 16 ? high : low;
		text[i] = hex[(half >> (60 - 4 * (nibble & 15))) & 15];
		nibble++;
	}
}

/* --- Fields ------------------------------------------------------------------------------------------------------- */

/* Whether a placeholder's name, which ends at `end`, holds `part`. */
static bool names(const char *name, const char *end, const char *part)
{
	size_t n = strlen(part);
	for (const char *at = name; (size_t)(end - at) >= n; at++) {
		if (strncasecmp(at, part, n) == 0) return true;
	}
	return false;
}

static void put_any_id(struct text *t, struct gm_random *random)
{
	uint64_t kind = gm_random_below(random, 100);
	if (kind < 62) {
		PUT(t, "syn");
		put_number(t, any_magnitude(random, 10, 25));
	} else if (kind < 90) {
		put_number(t, any_magnitude(random, 0, 26));
	} else if (kind < 94) {
		PUT(t, "syn");
		put_number(t, between(random, 1000000, 59999999));
		PUT(t, ".");
		put_number(t, between(random, 1, 8));
	} else if (kind < 97) {
		put_string(t, word(random, &gm_words_odd_ids));
	} else {
		put_uuid(t, random);
	}
}

static void put_placeholder(struct text *t, const struct gm_population *p, struct gm_random *random, const char *name,
                            const char *end)
{
	static const char *const types[] = {"FILE", "ENTITY", "table", "dataset"};
	if (names(name, end, "id") && percent(random, 55)) {
		PUT(t, "syn");
		put_number(t, p->ids[pick(random, p->id_weights, POPULAR_IDS)]);
	} else if (names(name, end, "version")) {
		put_number(t, between(random, 1, 29));
	} else if (names(name, end, "token") || names(name, end, "job")) {
		put_number(t, between(random, 10000000, 99999999));
	} else if (names(name, end, "type")) {
		put_string(t, types[gm_random_below(random, 4)]);
	} else {
		put_any_id(t, random);
	}
}

static const char *service_of(const char *url)
{
	static const struct {
		const char *start, *service;
	} table[] = {{"/oauth2", "/auth/v1"},  {"/2fa", "/auth/v1"},  {"/login", "/auth/v1"},
	             {"/session", "/auth/v1"}, {"/file", "/file/v1"}, {"/externalFile", "/file/v1"},
	             {"/create", "/file/v1"}};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		if (strncmp(url, table[i].start, strlen(table[i].start)) == 0) return table[i].service;
	}
	return "/repo/v1";
}

static void put_url(struct text *t, const struct gm_population *p, struct gm_random *random)
{
	const char *url = p->urls.at[pick(random, p->url_weights, p->urls.count)];
	put_string(t, service_of(url));
	while (*url != '\0') {
		size_t plain = strcspn(url, "{");
		put(t, url, plain);
		url += plain;
		if (*url == '\0') break;
		const char *end = url + strcspn(url, "}");
		put_placeholder(t, p, random, url + 1, end);
		url = *end != '\0' ? end + 1 : end;
	}
}

/* One to three different parameters, in random order. */
static void put_query(struct text *t, struct gm_random *random)
{
	static const char *const keys[] = {
	    "limit=", "offset=", "mask=", "includeEntity=", "q=", "domain=", "nextPageToken="};
	unsigned order[] = {0, 1, 2, 3, 4, 5, 6}, count = (unsigned)between(random, 1, 3);
	for (unsigned i = 0; i < count; i++) {
		unsigned k = (unsigned)between(random, i, 6), which = order[k];
		order[k] = order[i];
		if (i > 0) PUT(t, "&");
		put_string(t, keys[which]);
		switch (which) {
		case 0: PUT(t, "50"); break;
		case 1: put_number(t, 50 * gm_random_below(random, 10)); break;
		case 2: put_number(t, between(random, 1, 8191)); break;
		case 3: PUT(t, "true"); break;
		case 4: PUT(t, "%22breast%20cancer%22"); break;
		case 5: PUT(t, "SYNAPSE"); break;
		default: put_number(t, gm_random_below(random, 1000000)); break;
		}
	}
}

/* Log-normal: the sum of twelve even numbers is nearly normal; the table holds the exponential. */
static uint64_t elapse_ms(struct gm_random *random)
{
	uint64_t sum = 0; /* of twelve in 0 .. 2^16 - 1: 0 .. 12 in units of 2^-16 */
	for (int i = 0; i < 3; i++) {
		uint64_t r = gm_random_next(random);
		sum += (r & 0xFFFF) + ((r >> 16) & 0xFFFF) + ((r >> 32) & 0xFFFF) + (r >> 48);
	}
	uint64_t step = sum >> 14, rest = sum & 0x3FFF; /* a quarter a step */
	uint64_t low = gm_elapse_256ths[step], high = gm_elapse_256ths[step + 1];
	return (low + (((high - low) * rest) >> 14)) >> 8;
}

static void put_date(struct text *t, int64_t time_ms)
{
	struct tm tm;
	time_t seconds = (time_t)(time_ms / 1000);
	char date[32];
	if (gmtime_r(&seconds, &tm) == NULL) return;
	put(t, date, strftime(date, sizeof date, "%Y-%m-%d", &tm));
}

static void put_addresses(struct text *t, const struct gm_population *p, struct gm_random *random)
{
	PUT(t, ",\"xforwardedFor\":\"");
	put_string(t, p->addresses[gm_random_below(random, ADDRESSES)]);
	if (percent(random, 8)) {
		PUT(t, ", ");
		put_string(t, p->addresses[gm_random_below(random, ADDRESSES)]);
	}
	PUT(t, "\",\"via\":");
	if (!percent(random, 3)) {
		PUT(t, "null");
		return;
	}
	PUT(t, "\"1.1 proxy");
	put_number(t, gm_random_below(random, 9));
	PUT(t, ".example.org (squid/4.15)\"");
}

static void put_agent(struct text *t, const struct gm_population *p, struct gm_random *random, enum gm_bad bad)
{
	PUT(t, ",\"userAgent\":");
	if (bad == GM_BAD_UTF8) {
		PUT(t, "\"curl/8.4.0 caf\xE9 \xF0\x9F\x98\"");
	} else if (bad == GM_BAD_SURROGATE) {
		PUT(t, "\"okhttp/4.9.3 \\ud83d\"");
	} else {
		size_t group = pick(random, p->agent_weights, gm_agent_group_count);
		put_quoted(t, word(random, &p->agents[group]));
	}
}

/* The payload's timestamp, with its comma, as `bad` wants it. */
static void put_timestamp(struct text *t, int64_t time_ms, enum gm_bad bad)
{
	if (bad == GM_BAD_NO_TIMESTAMP) return;
	PUT(t, ",\"timestamp\":");
	if (bad == GM_BAD_NULL_TIMESTAMP) {
		PUT(t, "null");
	} else if (bad == GM_BAD_TEXT_TIMESTAMP) {
		PUT(t, "\"");
		put_date(t, time_ms);
		PUT(t, " 12:00\"");
	} else {
		const int64_t year_10000_ms = INT64_C(253402300800000);
		put_number(t, (uint64_t)(time_ms + (bad == GM_BAD_FAR_TIMESTAMP ? year_10000_ms : 0)));
	}
}

static void put_who(struct text *t, const struct gm_population *p, struct gm_random *random, bool anonymous,
                    enum gm_bad bad)
{
	PUT(t, ",\"userId\":");
	if (bad == GM_BAD_WRONG_TYPES)
		PUT(t, "\"nobody\"");
	else
		put_number(t, anonymous ? ANONYMOUS : p->users[pick(random, p->user_weights, USERS)]);
	PUT(t, ",\"method\":");
	put_quoted(t, word(random, &gm_words_methods));
	PUT(t, ",\"requestURL\":\"");
	put_url(t, p, random);
	PUT(t, "\"");
	put_agent(t, p, random, bad);
	PUT(t, ",\"host\":");
	put_quoted(t, word(random, &gm_words_hosts));
	PUT(t, ",\"origin\":");
	put_quoted(t, word(random, &gm_words_origins));
	put_addresses(t, p, random);
}

static void put_service(struct text *t, const struct gm_population *p, struct gm_random *random, int64_t time_ms,
                        const char *instance, int status, enum gm_bad bad)
{
	PUT(t, ",\"threadId\":");
	put_number(t, between(random, 20, 419));
	PUT(t, ",\"elapseMS\":");
	put_number(t, elapse_ms(random));
	if (bad == GM_BAD_WRONG_TYPES) PUT(t, ".5");
	PUT(t, ",\"success\":");
	put_string(t, status < 400 ? "true" : "false");
	PUT(t, ",\"stack\":\"prod\",\"instance\":");
	put_quoted(t, instance);
	PUT(t, ",\"date\":\"");
	put_date(t, time_ms);
	PUT(t, "\",\"vmId\":");
	put_quoted(t, p->machines[gm_random_below(random, MACHINES)]);
}

static void put_answer(struct text *t, struct gm_random *random, bool anonymous, int status)
{
	PUT(t, ",\"returnObjectId\":");
	if (percent(random, 12)) {
		PUT(t, "\"syn");
		put_number(t, between(random, 10000000, 59999999));
		PUT(t, "\",\"queryString\":");
	} else {
		PUT(t, "null,\"queryString\":");
	}
	if (percent(random, 35)) {
		PUT(t, "\"");
		put_query(t, random);
		PUT(t, "\",\"responseStatus\":");
	} else {
		PUT(t, "null,\"responseStatus\":");
	}
	put_number(t, (uint64_t)status);
	PUT(t, ",\"oauthClientId\":");
	if (percent(random, 10)) {
		PUT(t, "\"");
		put_number(t, between(random, 100000, 100299));
		PUT(t, "\",\"basicAuthUsername\":");
	} else {
		PUT(t, "null,\"basicAuthUsername\":");
	}
	if (percent(random, 1)) {
		PUT(t, "\"user");
		put_number(t, gm_random_below(random, 100));
		PUT(t, "\",\"authenticationMethod\":");
	} else {
		PUT(t, "null,\"authenticationMethod\":");
	}
	put_quoted(t, anonymous ? NULL : word(random, &gm_words_auth_methods));
}

/* --- Records ------------------------------------------------------------------------------------------------------ */

static void put_payload(struct text *t, const struct gm_population *p, struct gm_random *random, int64_t time_ms,
                        const char *instance, enum gm_bad bad)
{
	bool anonymous = percent(random, 30);
	int status = gm_weighted_statuses[pick(random, p->status_weights, gm_weighted_status_count)].value;
	if (bad == GM_BAD_TEXT_PAYLOAD) {
		PUT(t, "\"unreadable\"");
		return;
	}
	PUT(t, "{\"sessionId\":\"");
	put_uuid(t, random);
	PUT(t, "\"");
	put_timestamp(t, time_ms, bad);
	if (bad == GM_BAD_BROKEN) PUT(t, ",");
	put_who(t, p, random, anonymous, bad);
	put_service(t, p, random, time_ms, instance, status, bad);
	put_answer(t, random, anonymous, status);
	PUT(t, "}");
}

size_t gm_record_write(const struct gm_population *p, struct gm_random *random, int64_t time_ms, enum gm_bad bad,
                       char *text)
{
	static const char *const scalars[] = {"\"lost connection\"", "42", "null"};
	struct text t = {text, text + GM_RECORD_MAX_BYTES};
	if (bad == GM_BAD_NOT_OBJECT) {
		put_string(&t, scalars[gm_random_below(random, 3)]);
		return (size_t)(t.at - text);
	}
	const char *instance = word(random, &gm_words_instances);
	PUT(&t, "{\"stack\":\"prod\",\"instance\":");
	put_quoted(&t, instance);
	PUT(&t, ",\"timestamp\":");
	put_number(&t, (uint64_t)time_ms);
	PUT(&t, ",\"payload\":");
	put_payload(&t, p, random, time_ms, instance, bad);
	PUT(&t, "}");
	size_t n = (size_t)(t.at - text);
	return bad == GM_BAD_TRUNCATED ? (size_t)between(random, 1, n - 1) : n;
}
