/* Regular expressions: PCRE2 with Unicode, meaning what they mean in Trino.
 *
 * Which characters \w, \d, \s and \b stand for differs between libraries and their versions. So a pattern is rewritten
 * before it is compiled: each of them, and \W, \D, \S, \B, becomes a class of our own (\w letters, numbers and
 * underscore; \d decimal digits; \s the list below). What PCRE2 reads otherwise than Trino without saying so is
 * refused: class arithmetic ([a-z&&[^b]]), verbs such as (*LIMIT_MATCH=1), \K.
 *
 * A pattern is a literal, compiled once per place and thread. A match that takes more than a bounded number of steps
 * ends the run: a null in its place would be wrong data. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "job/functions/result.h"

enum {
	PATTERN_BYTES_MAX = 16 * 1024,
	REWRITTEN_BYTES_MAX = 4 << 20,
	GROUPS_MAX = 1000,
	MATCH_STEPS_MAX = 10 * 1000 * 1000,
	MATCH_HEAP_KIB_MAX = 64 * 1024,
	JIT_STACK_MIN = 32 * 1024,
	JIT_STACK_MAX = 1024 * 1024,
};

/* --- Rewriting ---------------------------------------------------------------------------------------------------- */

/* Inside [...]. Each begins and ends with a property, which a hyphen beside it cannot make a range. \W names all other
 * categories, with Pc but for the underscore spelt out. */
#define WORD "\\p{L}_\\p{N}"
#define NOT_WORD                                                                                        \
	"\\p{M}\\p{S}\\p{Z}\\p{C}\\x{203f}\\x{2040}\\x{2054}\\x{fe33}\\x{fe34}\\x{fe4d}-\\x{fe4f}\\x{ff3f}" \
	"\\p{Pd}\\p{Ps}\\p{Pe}\\p{Pi}\\p{Pf}\\p{Po}"
#define SPACE                                                                                                  \
	"\\p{Zl}\\x{9}-\\x{d}\\x{1c}-\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}" \
	"\\x{205f}\\x{3000}\\p{Zp}"
#define NOT_SPACE                                                                                         \
	"\\p{L}\\x{0}-\\x{8}\\x{e}-\\x{1b}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}" \
	"\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}\\p{N}"

static const struct {
	char letter;
	const char *outside, *inside; /* NULL: stays as it is */
} rewrites[] = {
    {'w', "[" WORD "]", WORD},
    {'W', "[" NOT_WORD "]", NOT_WORD},
    {'d', "\\p{Nd}", "\\p{Nd}"},
    {'D', "\\P{Nd}", "\\P{Nd}"},
    {'s', "[" SPACE "]", SPACE},
    {'S', "[" NOT_SPACE "]", NOT_SPACE},
    {'b', "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))", NULL},
    {'B', "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))", NULL},
};

struct rewriter {
	const uint8_t *pattern;
	size_t bytes, at;
	struct gm_buf out;
	struct gm_buf origin; /* for each byte of out the offset (u32) it comes from */
	struct gm_error *err;
};

static enum gm_code refuse(struct rewriter *r, size_t offset, const char *why)
{
	(void)gm_error_set(r->err, GM_JOB, "the pattern cannot be used: %s", why);
	if (r->err != NULL) r->err->offset = offset, r->err->column = 2;
	return GM_JOB;
}

static enum gm_code emit(struct rewriter *r, const void *bytes, size_t n, size_t from)
{
	uint32_t origin = (uint32_t)from;
	GM_TRY(gm_buf_append(&r->out, bytes, n, r->err));
	for (size_t i = 0; i < n; i++) GM_TRY(gm_buf_append(&r->origin, &origin, sizeof origin, r->err));
	return GM_OK;
}

/* Passes the next n bytes on as they are. */
static enum gm_code copy(struct rewriter *r, size_t n)
{
	if (n > r->bytes - r->at) n = r->bytes - r->at;
	size_t from = r->at;
	r->at += n;
	return emit(r, r->pattern + from, n, from);
}

static bool looking_at(const struct rewriter *r, const char *text)
{
	size_t n = strlen(text);
	return r->bytes - r->at >= n && memcmp(r->pattern + r->at, text, n) == 0;
}

/* Passes on all up to and with the next `end`, or the rest. */
static enum gm_code copy_through(struct rewriter *r, const char *end)
{
	size_t n = strlen(end);
	while (r->at < r->bytes && !looking_at(r, end)) GM_TRY(copy(r, 1));
	return copy(r, n);
}

static enum gm_code rewrite_escape(struct rewriter *r, bool inside)
{
	size_t from = r->at;
	if (r->at + 1 == r->bytes) return refuse(r, from, "it ends in a backslash");
	char letter = (char)r->pattern[r->at + 1];
	for (size_t i = 0; i < sizeof rewrites / sizeof rewrites[0]; i++) {
		if (rewrites[i].letter != letter) continue;
		const char *text = inside ? rewrites[i].inside : rewrites[i].outside;
		if (text == NULL && letter == 'B') return refuse(r, from, "\\B stands inside [...]");
		if (text == NULL) break;
		r->at += 2;
		return emit(r, text, strlen(text), from);
	}
	if (letter == 'Q') return copy_through(r, "\\E");
	if (letter == 'K') return refuse(r, from, "\\K is not known to Trino");
	return copy(r, letter == 'c' ? 3 : 2);
}

static enum gm_code rewrite_class(struct rewriter *r)
{
	size_t from = r->at;
	GM_TRY(copy(r, 1));
	if (looking_at(r, "^")) GM_TRY(copy(r, 1));
	if (looking_at(r, "]")) return refuse(r, r->at, "write \\] for a ] at the start of [...]");
	while (r->at < r->bytes) {
		uint8_t c = r->pattern[r->at];
		if (c == ']') return copy(r, 1);
		if (looking_at(r, "&&")) return refuse(r, r->at, "&& inside [...] means different things in Trino and PCRE2");
		if (c == '\\') {
			GM_TRY(rewrite_escape(r, true));
		} else if (looking_at(r, "[:")) {
			GM_TRY(copy_through(r, ":]"));
		} else if (c == '[') {
			return refuse(r, r->at, "write \\[ for a [ inside [...]");
		} else {
			GM_TRY(copy(r, 1));
		}
	}
	return refuse(r, from, "the [ has no ]");
}

static enum gm_code rewrite(struct rewriter *r)
{
	while (r->at < r->bytes) {
		uint8_t c = r->pattern[r->at];
		if (c == '\\')
			GM_TRY(rewrite_escape(r, false));
		else if (c == '[')
			GM_TRY(rewrite_class(r));
		else if (looking_at(r, "(*"))
			return refuse(r, r->at, "(* begins a verb of PCRE2");
		else if (looking_at(r, "(?C"))
			return refuse(r, r->at, "(?C calls out of the match");
		else if (looking_at(r, "(?#"))
			GM_TRY(copy_through(r, ")"));
		else
			GM_TRY(copy(r, 1));
	}
	return GM_OK;
}

/* --- Patterns ----------------------------------------------------------------------------------------------------- */

/* A piece of a replacement: text, or what a group matched. */
struct piece {
	const uint8_t *text; /* NULL: a group */
	size_t bytes;
	uint32_t group;
};

struct pattern {
	pcre2_code *code;
	pcre2_match_context *limits;
	pcre2_match_data *match;
	pcre2_jit_stack *stack;
	uint32_t groups; /* without the whole match */
	uint32_t group;  /* of regexp_extract */
	uint8_t *replacement;
	struct piece *pieces;
	size_t piece_count;
};

static void pattern_free(void *state)
{
	struct pattern *p = state;
	if (p == NULL) return;
	pcre2_match_data_free(p->match);
	pcre2_match_context_free(p->limits);
	pcre2_jit_stack_free(p->stack);
	pcre2_code_free(p->code);
	free(p->replacement);
	free(p->pieces);
	free(p);
}

static enum gm_code no_memory(struct gm_error *err)
{
	GM_FAIL(err, GM_NOMEM, "out of memory for a regular expression");
}

static enum gm_code compile_rewritten(struct pattern *p, struct rewriter *r, struct gm_error *err)
{
	int number = 0;
	PCRE2_SIZE where = 0;
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	if (context == NULL) return no_memory(err);
	(void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
	(void)pcre2_set_bsr(context, PCRE2_BSR_UNICODE);
	uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
	PCRE2_SPTR text = r->out.data != NULL ? r->out.data : (PCRE2_SPTR) "";
	p->code = pcre2_compile(text, r->out.len, options, &number, &where, context);
	pcre2_compile_context_free(context);
	if (p->code != NULL) return GM_OK;
	if (number == PCRE2_ERROR_HEAP_FAILED || number == PCRE2_ERROR_NOMEMORY) return no_memory(err);
	char why[200] = "";
	(void)pcre2_get_error_message(number, (PCRE2_UCHAR *)why, sizeof why);
	uint32_t origin = (uint32_t)r->bytes;
	if (where < r->out.len) memcpy(&origin, r->origin.data + where * sizeof origin, sizeof origin);
	return refuse(r, origin, why);
}

static enum gm_code compile(struct pattern *p, const struct gm_value *text, struct gm_error *err)
{
	struct rewriter r = {.pattern = text->bytes, .bytes = text->len, .err = err};
	if (text->len > PATTERN_BYTES_MAX) return refuse(&r, 0, "it is longer than 16 KiB");
	gm_buf_init(&r.out, REWRITTEN_BYTES_MAX);
	gm_buf_init(&r.origin, (size_t)REWRITTEN_BYTES_MAX * sizeof(uint32_t));
	enum gm_code code = rewrite(&r);
	if (code == GM_OK) code = compile_rewritten(p, &r, err);
	gm_buf_release(&r.out);
	gm_buf_release(&r.origin);
	if (code == GM_VALUE) return refuse(&r, 0, "it is too long");
	if (code != GM_OK) return code;
	(void)pcre2_pattern_info(p->code, PCRE2_INFO_CAPTURECOUNT, &p->groups);
	if (p->groups > GROUPS_MAX) return refuse(&r, 0, "it has more than 1000 groups");
	return GM_OK;
}

static enum gm_code prepare_match(struct pattern *p, struct gm_error *err)
{
	p->match = pcre2_match_data_create_from_pattern(p->code, NULL);
	p->limits = pcre2_match_context_create(NULL);
	if (p->match == NULL || p->limits == NULL) return no_memory(err);
	(void)pcre2_set_match_limit(p->limits, MATCH_STEPS_MAX);
	(void)pcre2_set_depth_limit(p->limits, MATCH_STEPS_MAX);
	(void)pcre2_set_heap_limit(p->limits, MATCH_HEAP_KIB_MAX);
	/* Without JIT (no executable memory) the interpreter does the same, slower. */
	if (pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE) != 0) return GM_OK;
	p->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
	if (p->stack == NULL) return no_memory(err);
	pcre2_jit_stack_assign(p->limits, NULL, p->stack);
	return GM_OK;
}

static enum gm_code new_pattern(const struct gm_value *text, struct pattern **out, struct gm_error *err)
{
	struct pattern *p = calloc(1, sizeof *p);
	*out = NULL;
	if (p == NULL) return no_memory(err);
	enum gm_code code = compile(p, text, err);
	if (code == GM_OK) code = prepare_match(p, err);
	if (code != GM_OK) {
		pattern_free(p);
		return code;
	}
	*out = p;
	return GM_OK;
}

/* Looks for a match at or behind `start`. */
static enum gm_code find(struct pattern *p, const struct gm_value *text, size_t start, bool *found,
                         struct gm_error *err)
{
	int code = pcre2_match(p->code, text->bytes, text->len, start, PCRE2_NO_UTF_CHECK, p->match, p->limits);
	*found = code >= 0;
	switch (code) {
	case PCRE2_ERROR_NOMATCH: return GM_OK;
	case PCRE2_ERROR_NOMEMORY: return no_memory(err);
	case PCRE2_ERROR_MATCHLIMIT:
	case PCRE2_ERROR_DEPTHLIMIT:
	case PCRE2_ERROR_HEAPLIMIT:
	case PCRE2_ERROR_JIT_STACKLIMIT:
		GM_FAIL(err, GM_JOB, "the pattern takes too many steps on a value of %u bytes", text->len);
	default: break;
	}
	if (code < 0) GM_FAIL(err, GM_BUG, "PCRE2 failed with %d", code);
	return GM_OK;
}

/* What a group of the last match holds; false if it took no part. */
static bool group_of(const struct pattern *p, uint32_t group, PCRE2_SIZE *begin, PCRE2_SIZE *end)
{
	const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(p->match);
	*begin = ends[2 * group];
	*end = ends[2 * group + 1];
	return *begin != PCRE2_UNSET && *end != PCRE2_UNSET;
}

/* --- regexp_like -------------------------------------------------------------------------------------------------- */

static enum gm_code like_prepare(const struct gm_value *args, size_t count, void **state, bool *day_grain,
                                 struct gm_error *err)
{
	(void)count;
	struct pattern *p;
	*day_grain = false;
	GM_TRY(new_pattern(&args[1], &p, err));
	*state = p;
	return GM_OK;
}

static enum gm_code like_call(void *state, struct gm_function_scratch *scratch, const struct gm_value *args,
                              size_t count, struct gm_value *result, struct gm_error *err)
{
	bool found;
	(void)scratch, (void)count;
	GM_TRY(find(state, &args[0], 0, &found, err));
	return gm_result_boolean(result, found);
}

const struct gm_function_site gm_site_regexp_like = {
    .constant_args = 1 << 1, .prepare = like_prepare, .call = like_call, .release = pattern_free};

/* --- regexp_extract ----------------------------------------------------------------------------------------------- */

static enum gm_code extract_prepare(const struct gm_value *args, size_t count, void **state, bool *day_grain,
                                    struct gm_error *err)
{
	struct pattern *p;
	*day_grain = false;
	GM_TRY(new_pattern(&args[1], &p, err));
	int64_t group = count > 2 ? args[2].i64 : 0;
	if (group < 0 || group > p->groups) {
		(void)gm_error_set(err, GM_JOB, "the pattern has %u groups, there is no group %lld", p->groups,
		                   (long long)group);
		if (err != NULL) err->column = 3;
		pattern_free(p);
		return GM_JOB;
	}
	p->group = (uint32_t)group;
	*state = p;
	return GM_OK;
}

static enum gm_code extract_call(void *state, struct gm_function_scratch *scratch, const struct gm_value *args,
                                 size_t count, struct gm_value *result, struct gm_error *err)
{
	struct pattern *p = state;
	bool found;
	PCRE2_SIZE begin, end;
	(void)scratch, (void)count;
	GM_TRY(find(p, &args[0], 0, &found, err));
	if (!found || !group_of(p, p->group, &begin, &end)) return gm_result_null(result, GM_TYPE_STRING);
	return gm_result_string(result, args[0].bytes + begin, end - begin, err);
}

const struct gm_function_site gm_site_regexp_extract = {
    .constant_args = 1 << 1 | 1 << 2, .prepare = extract_prepare, .call = extract_call, .release = pattern_free};

/* --- regexp_replace ----------------------------------------------------------------------------------------------- */

static enum gm_code bad_replacement(size_t offset, const char *why, struct gm_error *err)
{
	(void)gm_error_set(err, GM_JOB, "the replacement cannot be used: %s", why);
	if (err != NULL) err->offset = offset, err->column = 3;
	return GM_JOB;
}

/* $n or ${name} at text[*at]: as many digits as still name a group, as in Java. */
static enum gm_code parse_group(struct pattern *p, size_t bytes, size_t *at, uint32_t *group, struct gm_error *err)
{
	const uint8_t *text = p->replacement;
	size_t from = *at, i = *at + 1;
	if (i < bytes && text[i] == '{') {
		char name[40];
		const uint8_t *end = memchr(text + i, '}', bytes - i);
		size_t n = end != NULL ? (size_t)(end - text) - i - 1 : 0;
		if (n == 0 || n >= sizeof name) return bad_replacement(from, "${ is not followed by name}", err);
		memcpy(name, text + i + 1, n);
		name[n] = '\0';
		int number = pcre2_substring_number_from_name(p->code, (PCRE2_SPTR)name);
		if (number < 0) return bad_replacement(from, "there is no group of that name", err);
		*group = (uint32_t)number;
		*at = i + n + 2;
		return GM_OK;
	}
	if (i >= bytes || text[i] < '0' || text[i] > '9')
		return bad_replacement(from, "$ is followed by no group (\\$ stands for itself)", err);
	*group = (uint32_t)(text[i++] - '0');
	if (*group > p->groups) return bad_replacement(from, "there is no group of that number", err);
	for (; i < bytes && text[i] >= '0' && text[i] <= '9'; i++) {
		uint32_t longer = *group * 10 + (uint32_t)(text[i] - '0');
		if (longer > p->groups) break;
		*group = longer;
	}
	*at = i;
	return GM_OK;
}

static enum gm_code parse_replacement(struct pattern *p, const struct gm_value *text, struct gm_error *err)
{
	p->replacement = malloc((size_t)text->len + 1);
	p->pieces = calloc((size_t)text->len + 1, sizeof *p->pieces);
	if (p->replacement == NULL || p->pieces == NULL) return no_memory(err);
	memcpy(p->replacement, text->bytes, text->len);
	for (size_t at = 0; at < text->len;) {
		struct piece *piece = &p->pieces[p->piece_count++];
		if (p->replacement[at] == '$') {
			GM_TRY(parse_group(p, text->len, &at, &piece->group, err));
			continue;
		}
		if (p->replacement[at] == '\\' && ++at == text->len)
			return bad_replacement(at - 1, "it ends in a backslash", err);
		piece->text = p->replacement + at;
		do {
			piece->bytes++;
			at++;
		} while (at < text->len && p->replacement[at] != '$' && p->replacement[at] != '\\');
	}
	return GM_OK;
}

static enum gm_code replace_prepare(const struct gm_value *args, size_t count, void **state, bool *day_grain,
                                    struct gm_error *err)
{
	struct pattern *p;
	*day_grain = false;
	GM_TRY(new_pattern(&args[1], &p, err));
	enum gm_code code = count > 2 ? parse_replacement(p, &args[2], err) : GM_OK;
	if (code != GM_OK) {
		pattern_free(p);
		return code;
	}
	*state = p;
	return GM_OK;
}

static enum gm_code append_replacement(const struct pattern *p, const struct gm_value *text, struct gm_buf *out,
                                       struct gm_error *err)
{
	for (size_t i = 0; i < p->piece_count; i++) {
		const struct piece *piece = &p->pieces[i];
		PCRE2_SIZE begin, end;
		if (piece->text != NULL)
			GM_TRY(gm_buf_append(out, piece->text, piece->bytes, err));
		else if (group_of(p, piece->group, &begin, &end))
			GM_TRY(gm_buf_append(out, text->bytes + begin, end - begin, err));
	}
	return GM_OK;
}

static enum gm_code replace_call(void *state, struct gm_function_scratch *scratch, const struct gm_value *args,
                                 size_t count, struct gm_value *result, struct gm_error *err)
{
	struct pattern *p = state;
	const struct gm_value *text = &args[0];
	size_t start = 0, copied = 0;
	(void)count;
	while (start <= text->len) {
		bool found;
		PCRE2_SIZE begin, end;
		GM_TRY(find(p, text, start, &found, err));
		if (!found || !group_of(p, 0, &begin, &end)) break;
		GM_TRY(gm_buf_append(&scratch->out, text->bytes + copied, begin - copied, err));
		GM_TRY(append_replacement(p, text, &scratch->out, err));
		copied = start = end;
		if (begin < end) continue;
		/* An empty match: go on behind the next character, which stays. */
		start++;
		while (start < text->len && (text->bytes[start] & 0xC0) == 0x80) start++;
	}
	if (copied == 0 && scratch->out.len == 0) return gm_result_string(result, text->bytes, text->len, err);
	GM_TRY(gm_buf_append(&scratch->out, text->bytes + copied, text->len - copied, err));
	return gm_result_out(result, scratch, err);
}

const struct gm_function_site gm_site_regexp_replace = {
    .constant_args = 1 << 1 | 1 << 2, .prepare = replace_prepare, .call = replace_call, .release = pattern_free};

/* --- The same without a place to keep the pattern ------------------------------------------------------------------
 */

static enum gm_code call_once(const struct gm_function_site *site, struct gm_function_scratch *scratch,
                              const struct gm_value *args, size_t count, struct gm_value *result, struct gm_error *err)
{
	void *state = NULL;
	bool day_grain;
	GM_TRY(site->prepare(args, count, &state, &day_grain, err));
	enum gm_code code = site->call(state, scratch, args, count, result, err);
	site->release(state);
	return code;
}

enum gm_code gm_fn_regexp_like(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                               struct gm_value *result, struct gm_error *err)
{
	return call_once(&gm_site_regexp_like, scratch, args, count, result, err);
}

enum gm_code gm_fn_regexp_extract(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                  struct gm_value *result, struct gm_error *err)
{
	return call_once(&gm_site_regexp_extract, scratch, args, count, result, err);
}

enum gm_code gm_fn_regexp_replace(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                  struct gm_value *result, struct gm_error *err)
{
	return call_once(&gm_site_regexp_replace, scratch, args, count, result, err);
}
