#include "job/expr.h"

#include "base/utf8.h"
#include "job/expr_lex.h"
#include "job/suggest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct parser {
	const struct gm_expr_source *source;
	struct gm_arena *arena;
	struct gm_error *err;
	struct gm_token now, next; /* the token looked at, and the one behind it */
	int depth;                 /* of calls of parse_expression */
};

/* How tightly operators bind: an operand of one at level n is parsed at level n + 1. */
enum level {
	LEVEL_OR = 1,
	LEVEL_AND,
	LEVEL_NOT,
	LEVEL_PREDICATE,
	LEVEL_CONCAT,
	LEVEL_SUM,
	LEVEL_PRODUCT,
	LEVEL_SIGN,
};

static const struct {
	const char *symbol;
	enum level level;
	enum gm_ast_kind kind;
} binaries[] = {
    {"=", LEVEL_PREDICATE, GM_AST_EQ},     {"<>", LEVEL_PREDICATE, GM_AST_NE},  {"<", LEVEL_PREDICATE, GM_AST_LT},
    {"<=", LEVEL_PREDICATE, GM_AST_LE},    {">", LEVEL_PREDICATE, GM_AST_GT},   {">=", LEVEL_PREDICATE, GM_AST_GE},
    {"||", LEVEL_CONCAT, GM_AST_CONCAT},   {"+", LEVEL_SUM, GM_AST_ADD},        {"-", LEVEL_SUM, GM_AST_SUBTRACT},
    {"*", LEVEL_PRODUCT, GM_AST_MULTIPLY}, {"/", LEVEL_PRODUCT, GM_AST_DIVIDE}, {"%", LEVEL_PRODUCT, GM_AST_MODULO},
};

/* Words that mean something by themselves; a column of such a name stands in double quotes. */
static const char *const reserved[] = {"and",    "or",       "not",      "is",   "null",  "in",   "between",
                                       "like",   "escape",   "case",     "when", "then",  "else", "end",
                                       "cast",   "try_cast", "as",       "true", "false", "from", "distinct",
                                       "select", "exists",   "interval", NULL};

static enum gm_code parse_expression(struct parser *p, enum level level, struct gm_ast **out);

static enum gm_code advance(struct parser *p)
{
	p->now = p->next;
	if (p->now.kind == GM_TOKEN_END) return GM_OK;
	return gm_expr_lex(p->source, p->now.end, p->arena, &p->next, p->err);
}

static bool at_word(const struct parser *p, const char *word)
{
	return gm_token_is_word(&p->now, word);
}

static bool at_symbol(const struct parser *p, const char *symbol)
{
	return gm_token_is_symbol(&p->now, symbol);
}

/* Text of the job file as messages quote it. */
static enum gm_code unexpected(struct parser *p, const char *wanted)
{
	const struct gm_token *now = &p->now;
	if (now->kind == GM_TOKEN_END)
		return gm_expr_fail(p->source, now->offset, p->err, "the expression ends where %s should stand", wanted);
	size_t n = now->end - now->offset;
	return gm_expr_fail(p->source, now->offset, p->err, "'%.*s' stands where %s should", (int)(n < 40 ? n : 40),
	                    p->source->text + now->offset, wanted);
}

static enum gm_code expect_symbol(struct parser *p, const char *symbol)
{
	char wanted[8] = {'\'', symbol[0], '\''};
	if (!at_symbol(p, symbol)) return unexpected(p, wanted);
	return advance(p);
}

static enum gm_code expect_word(struct parser *p, const char *word)
{
	if (!at_word(p, word)) return unexpected(p, word);
	return advance(p);
}

/* A node that begins where the current token does. */
static enum gm_code new_node(struct parser *p, enum gm_ast_kind kind, struct gm_ast **out)
{
	struct gm_ast *node = gm_arena_zalloc(p->arena, sizeof *node);
	if (node == NULL) GM_FAIL(p->err, GM_NOMEM, "out of memory for an expression");
	node->kind = kind;
	node->depth = 1;
	node->offset = p->now.offset;
	node->end = p->now.end;
	*out = node;
	return GM_OK;
}

static enum gm_code add_arg(struct parser *p, struct gm_ast *node, struct gm_ast *arg)
{
	if (node->count == GM_EXPR_ARGS_MAX)
		return gm_expr_fail(p->source, arg->offset, p->err, "more than %d values stand side by side", GM_EXPR_ARGS_MAX);
	if (node->last != NULL)
		node->last->next = arg;
	else
		node->args = arg;
	node->last = arg;
	node->count++;
	node->end = arg->end;
	if (arg->depth >= node->depth) node->depth = arg->depth + 1;
	if (node->depth > GM_EXPR_DEPTH_MAX)
		return gm_expr_fail(p->source, arg->offset, p->err, "the expression is nested more than %d deep",
		                    GM_EXPR_DEPTH_MAX);
	return GM_OK;
}

/* Parses one operand and makes it an argument. */
static enum gm_code parse_arg(struct parser *p, enum level level, struct gm_ast *node)
{
	struct gm_ast *arg = NULL;
	GM_TRY(parse_expression(p, level, &arg));
	if (arg == NULL) GM_FAIL(p->err, GM_BUG, "an operand was parsed to nothing"); /* analyzers cannot see it */
	return add_arg(p, node, arg);
}

static enum gm_code parse_arg_list(struct parser *p, struct gm_ast *node)
{
	for (;;) {
		GM_TRY(parse_arg(p, LEVEL_OR, node));
		if (!at_symbol(p, ",")) break;
		GM_TRY(advance(p));
	}
	node->end = p->now.end;
	return expect_symbol(p, ")");
}

static enum gm_code take_text(struct parser *p, enum gm_ast_kind kind, struct gm_ast **out)
{
	GM_TRY(new_node(p, kind, out));
	(*out)->text = p->now.text;
	(*out)->text_bytes = p->now.bytes;
	(*out)->quoted = p->now.kind == GM_TOKEN_QUOTED;
	if (gm_utf8_valid_prefix((const uint8_t *)p->now.text, p->now.bytes) != p->now.bytes)
		return gm_expr_fail(p->source, p->now.offset, p->err, "this text is not UTF-8");
	return advance(p);
}

/* -12 is one literal, or the smallest bigint could not be written. */
static enum gm_code parse_number(struct parser *p, bool negative, struct gm_ast **out)
{
	GM_TRY(new_node(p, p->now.kind == GM_TOKEN_DOUBLE ? GM_AST_DOUBLE : GM_AST_INTEGER, out));
	char *end = NULL;
	errno = 0;
	if ((*out)->kind == GM_AST_DOUBLE) {
		double value = strtod(p->now.text, &end);
		if (*end != '\0' || value > 1.7976931348623157e308)
			return gm_expr_fail(p->source, p->now.offset, p->err, "this number is not a double");
		(*out)->real = negative ? -value : value;
		return advance(p);
	}
	unsigned long long value = strtoull(p->now.text, &end, 10);
	if (errno != 0 || *end != '\0' || value > (uint64_t)INT64_MAX + negative)
		return gm_expr_fail(p->source, p->now.offset, p->err, "this number does not fit 64 bits");
	(*out)->integer = (int64_t)(negative ? 0 - (uint64_t)value : (uint64_t)value);
	return advance(p);
}

static enum gm_code parse_cast(struct parser *p, struct gm_ast **out)
{
	GM_TRY(new_node(p, GM_AST_CAST, out));
	struct gm_ast *node = *out;
	node->negated = at_word(p, "try_cast");
	GM_TRY(advance(p));
	GM_TRY(expect_symbol(p, "("));
	GM_TRY(parse_arg(p, LEVEL_OR, node));
	GM_TRY(expect_word(p, "as"));
	if (p->now.kind != GM_TOKEN_WORD) return unexpected(p, "the name of a type");
	if (!gm_expr_type_named(p->now.text, p->now.bytes, &node->type)) {
		enum gm_code code = gm_expr_fail(p->source, p->now.offset, p->err, "there is no type '%.40s'", p->now.text);
		return gm_error_hint(p->err, code, "types: boolean, int, bigint, double, string, date, timestamp");
	}
	GM_TRY(advance(p));
	node->end = p->now.end;
	return expect_symbol(p, ")");
}

static enum gm_code parse_case(struct parser *p, struct gm_ast **out)
{
	GM_TRY(new_node(p, GM_AST_CASE, out));
	struct gm_ast *node = *out;
	GM_TRY(advance(p));
	node->has_operand = !at_word(p, "when");
	if (node->has_operand) GM_TRY(parse_arg(p, LEVEL_OR, node));
	do {
		GM_TRY(expect_word(p, "when"));
		GM_TRY(parse_arg(p, LEVEL_OR, node));
		GM_TRY(expect_word(p, "then"));
		GM_TRY(parse_arg(p, LEVEL_OR, node));
	} while (at_word(p, "when"));
	if (at_word(p, "else")) {
		GM_TRY(advance(p));
		GM_TRY(parse_arg(p, LEVEL_OR, node));
		node->has_else = true;
	}
	node->end = p->now.end;
	return expect_word(p, "end");
}

static bool is_reserved(const char *word)
{
	for (size_t i = 0; reserved[i] != NULL; i++)
		if (strcasecmp(word, reserved[i]) == 0) return true;
	return false;
}

/* name, name.name..., name(...), DATE 'text', TIMESTAMP 'text' */
static enum gm_code parse_name(struct parser *p, struct gm_ast **out)
{
	if (p->now.kind == GM_TOKEN_WORD && is_reserved(p->now.text)) {
		enum gm_code code = unexpected(p, "a value");
		if (at_word(p, "select") || at_word(p, "exists"))
			return gm_error_hint(p->err, code, "there are no sub-selects");
		return gm_error_hint(p->err, code, "a column of that name is written \"%s\"", p->now.text);
	}
	bool typed = p->now.kind == GM_TOKEN_WORD && p->next.kind == GM_TOKEN_STRING;
	if (typed && (at_word(p, "date") || at_word(p, "timestamp"))) {
		enum gm_ast_kind kind = at_word(p, "date") ? GM_AST_DATE : GM_AST_TIMESTAMP;
		GM_TRY(advance(p));
		return take_text(p, kind, out);
	}
	GM_TRY(take_text(p, GM_AST_NAME, out));
	if (at_symbol(p, "(")) {
		struct gm_ast *call = *out;
		if (call->quoted) return gm_expr_fail(p->source, call->offset, p->err, "a function's name cannot be quoted");
		call->kind = GM_AST_CALL;
		GM_TRY(advance(p));
		if (!at_symbol(p, ")")) return parse_arg_list(p, call);
		call->end = p->now.end;
		return advance(p);
	}
	if (!at_symbol(p, ".")) return GM_OK;
	struct gm_ast *path = NULL, *name = *out;
	GM_TRY(new_node(p, GM_AST_PATH, &path));
	path->offset = name->offset;
	GM_TRY(add_arg(p, path, name));
	while (at_symbol(p, ".")) {
		GM_TRY(advance(p));
		if (p->now.kind != GM_TOKEN_WORD && p->now.kind != GM_TOKEN_QUOTED) return unexpected(p, "a key of the source");
		GM_TRY(take_text(p, GM_AST_NAME, &name));
		GM_TRY(add_arg(p, path, name));
	}
	*out = path;
	return GM_OK;
}

static enum gm_code parse_word(struct parser *p, struct gm_ast **out)
{
	if (at_word(p, "case")) return parse_case(p, out);
	if (at_word(p, "cast") || at_word(p, "try_cast")) return parse_cast(p, out);
	if (at_word(p, "null")) {
		GM_TRY(new_node(p, GM_AST_NULL, out));
		return advance(p);
	}
	if (at_word(p, "true") || at_word(p, "false")) {
		GM_TRY(new_node(p, GM_AST_BOOLEAN, out));
		(*out)->boolean = at_word(p, "true");
		return advance(p);
	}
	return parse_name(p, out);
}

static enum gm_code parse_sign(struct parser *p, struct gm_ast **out)
{
	bool negative = at_symbol(p, "-");
	size_t offset = p->now.offset;
	GM_TRY(advance(p));
	if (p->now.kind == GM_TOKEN_INTEGER || p->now.kind == GM_TOKEN_DOUBLE) {
		GM_TRY(parse_number(p, negative, out));
		(*out)->offset = offset;
		return GM_OK;
	}
	if (!negative) return parse_expression(p, LEVEL_SIGN, out);
	GM_TRY(new_node(p, GM_AST_NEGATE, out));
	(*out)->offset = offset;
	return parse_arg(p, LEVEL_SIGN, *out);
}

static enum gm_code parse_primary(struct parser *p, struct gm_ast **out)
{
	switch (p->now.kind) {
	case GM_TOKEN_STRING: return take_text(p, GM_AST_STRING, out);
	case GM_TOKEN_INTEGER:
	case GM_TOKEN_DOUBLE: return parse_number(p, false, out);
	case GM_TOKEN_WORD: return parse_word(p, out);
	case GM_TOKEN_QUOTED: return parse_name(p, out);
	default: break;
	}
	if (at_symbol(p, "-") || at_symbol(p, "+")) return parse_sign(p, out);
	if (!at_symbol(p, "(")) return unexpected(p, "a value");
	GM_TRY(advance(p));
	GM_TRY(parse_expression(p, LEVEL_OR, out));
	(*out)->enclosed = true;
	return expect_symbol(p, ")");
}

static enum gm_code parse_is(struct parser *p, struct gm_ast *node)
{
	GM_TRY(advance(p));
	node->negated = at_word(p, "not");
	if (node->negated) GM_TRY(advance(p));
	node->end = p->now.end;
	if (at_word(p, "null")) {
		node->kind = GM_AST_IS_NULL;
		return advance(p);
	}
	if (!at_word(p, "distinct")) return unexpected(p, "NULL or DISTINCT FROM");
	node->kind = GM_AST_DISTINCT;
	GM_TRY(advance(p));
	GM_TRY(expect_word(p, "from"));
	return parse_arg(p, LEVEL_CONCAT, node);
}

/* What follows a value: IS ..., [NOT] IN (...), [NOT] BETWEEN ..., [NOT] LIKE ... */
static enum gm_code parse_predicate(struct parser *p, struct gm_ast *left, struct gm_ast **out)
{
	GM_TRY(new_node(p, GM_AST_IS_NULL, out));
	struct gm_ast *node = *out;
	node->offset = left->offset;
	GM_TRY(add_arg(p, node, left));
	if (at_word(p, "is")) return parse_is(p, node);
	node->negated = at_word(p, "not");
	if (node->negated) GM_TRY(advance(p));
	if (at_word(p, "in")) {
		node->kind = GM_AST_IN;
		GM_TRY(advance(p));
		GM_TRY(expect_symbol(p, "("));
		return parse_arg_list(p, node);
	}
	if (at_word(p, "between")) {
		node->kind = GM_AST_BETWEEN;
		GM_TRY(advance(p));
		GM_TRY(parse_arg(p, LEVEL_CONCAT, node));
		GM_TRY(expect_word(p, "and"));
		return parse_arg(p, LEVEL_CONCAT, node);
	}
	if (!at_word(p, "like")) return unexpected(p, "IN, BETWEEN or LIKE");
	node->kind = GM_AST_LIKE;
	GM_TRY(advance(p));
	GM_TRY(parse_arg(p, LEVEL_CONCAT, node));
	if (!at_word(p, "escape")) return GM_OK;
	GM_TRY(advance(p));
	return parse_arg(p, LEVEL_CONCAT, node);
}

static bool begins_predicate(const struct parser *p)
{
	return at_word(p, "is") || at_word(p, "in") || at_word(p, "between") || at_word(p, "like") ||
	       (at_word(p, "not") && (gm_token_is_word(&p->next, "in") || gm_token_is_word(&p->next, "between") ||
	                              gm_token_is_word(&p->next, "like")));
}

/* The operator at hand, its level, or 0 when there is none. */
static enum level find_operator(const struct parser *p, enum gm_ast_kind *kind)
{
	if (at_word(p, "or")) {
		*kind = GM_AST_OR;
		return LEVEL_OR;
	}
	if (at_word(p, "and")) {
		*kind = GM_AST_AND;
		return LEVEL_AND;
	}
	if (begins_predicate(p)) {
		*kind = GM_AST_IS_NULL;
		return LEVEL_PREDICATE;
	}
	for (size_t i = 0; i < sizeof binaries / sizeof binaries[0]; i++) {
		if (!at_symbol(p, binaries[i].symbol)) continue;
		*kind = binaries[i].kind;
		return binaries[i].level;
	}
	return (enum level)0;
}

/* left OP right, where a row of ||, AND or OR becomes one node with many arguments. */
static enum gm_code parse_binary(struct parser *p, enum gm_ast_kind kind, enum level level, struct gm_ast **left)
{
	bool joins = kind == GM_AST_CONCAT || kind == GM_AST_AND || kind == GM_AST_OR;
	struct gm_ast *node = *left;
	if (!joins || node->kind != kind || node->enclosed) {
		GM_TRY(new_node(p, kind, &node));
		node->offset = (*left)->offset;
		GM_TRY(add_arg(p, node, *left));
	}
	GM_TRY(advance(p));
	*left = node;
	return parse_arg(p, (enum level)(level + 1), node);
}

static enum gm_code parse_operators(struct parser *p, enum level level, struct gm_ast **out)
{
	*out = NULL;
	if (level <= LEVEL_NOT && at_word(p, "not")) {
		GM_TRY(new_node(p, GM_AST_NOT, out));
		GM_TRY(advance(p));
		GM_TRY(parse_arg(p, LEVEL_NOT, *out));
	} else {
		GM_TRY(parse_primary(p, out));
	}
	bool predicate = false;
	for (;;) {
		enum gm_ast_kind kind;
		enum level found = find_operator(p, &kind);
		if (found == 0 || found < level) return GM_OK;
		if (found == LEVEL_PREDICATE) {
			if (predicate)
				return gm_expr_fail(p->source, p->now.offset, p->err,
				                    "comparisons do not chain; use AND or parentheses");
			predicate = true;
		} else if (found < LEVEL_PREDICATE) {
			predicate = false;
		}
		if (kind == GM_AST_IS_NULL)
			GM_TRY(parse_predicate(p, *out, out));
		else
			GM_TRY(parse_binary(p, kind, found, out));
	}
}

static enum gm_code parse_expression(struct parser *p, enum level level, struct gm_ast **out)
{
	if (p->depth == GM_EXPR_DEPTH_MAX)
		return gm_expr_fail(p->source, p->now.offset, p->err, "the expression is nested more than %d deep",
		                    GM_EXPR_DEPTH_MAX);
	p->depth++;
	enum gm_code code = parse_operators(p, level, out);
	p->depth--;
	return code;
}

enum gm_code gm_expr_parse(const struct gm_expr_source *source, struct gm_arena *arena, struct gm_ast **out,
                           struct gm_error *err)
{
	if (source->bytes > GM_EXPR_BYTES_MAX)
		return gm_expr_fail(source, 0, err, "the expression is longer than %d bytes", GM_EXPR_BYTES_MAX);
	struct parser p = {.source = source, .arena = arena, .err = err};
	GM_TRY(gm_expr_lex(source, 0, arena, &p.now, err));
	p.next = p.now;
	if (p.now.kind == GM_TOKEN_END) return gm_expr_fail(source, 0, err, "the expression is empty");
	GM_TRY(gm_expr_lex(source, p.now.end, arena, &p.next, err));
	GM_TRY(parse_expression(&p, LEVEL_OR, out));
	if (p.now.kind == GM_TOKEN_END) return GM_OK;
	return unexpected(&p, "an operator or the end of the expression");
}

bool gm_expr_type_named(const char *name, size_t bytes, enum gm_type *type)
{
	static const struct {
		const char *name;
		enum gm_type type;
	} types[] = {
	    {"boolean", GM_TYPE_BOOLEAN}, {"int", GM_TYPE_INT},       {"integer", GM_TYPE_INT},
	    {"bigint", GM_TYPE_BIGINT},   {"double", GM_TYPE_DOUBLE}, {"string", GM_TYPE_STRING},
	    {"varchar", GM_TYPE_STRING},  {"date", GM_TYPE_DATE},     {"timestamp", GM_TYPE_TIMESTAMP},
	};
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		if (strlen(types[i].name) != bytes || strncasecmp(types[i].name, name, bytes) != 0) continue;
		*type = types[i].type;
		return true;
	}
	return false;
}
