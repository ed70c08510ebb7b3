#include "job/expr_lex.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum gm_code gm_expr_fail_code(const struct gm_expr_source *source, size_t offset, enum gm_code code,
                               struct gm_error *err, const char *message)
{
	if (offset > source->bytes) offset = source->bytes;
	size_t character = 1;
	for (size_t i = 0; i < offset; i++) character += ((unsigned char)source->text[i] & 0xC0) != 0x80;
	(void)gm_error_set(err, code, "%s: %s (at character %zu of the expression)", source->what, message, character);
	if (err == NULL) return code;
	struct gm_place place = gm_place_at(source->place, source->text, offset);
	err->line = place.line;
	err->column = place.column;
	err->offset = offset;
	return gm_error_object(err, code, source->job_path, strlen(source->job_path));
}

void gm_expr_set_error(const struct gm_expr_source *source, size_t offset, struct gm_error *err, const char *format,
                       ...)
{
	char message[400];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(message, sizeof message, format, args);
	va_end(args);
	(void)gm_expr_fail_code(source, offset, GM_JOB, err, message);
}

bool gm_token_is_word(const struct gm_token *token, const char *word)
{
	return token->kind == GM_TOKEN_WORD && strcasecmp(token->text, word) == 0;
}

bool gm_token_is_symbol(const struct gm_token *token, const char *symbol)
{
	return token->kind == GM_TOKEN_SYMBOL && strcmp(token->text, symbol) == 0;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A text between two `quote`s, a doubled one standing for one. */
static enum gm_code lex_quoted(const struct gm_expr_source *source, char quote, struct gm_arena *arena,
                               struct gm_token *token, struct gm_error *err)
{
	const char *from = source->text + token->offset + 1;
	size_t left = source->bytes - token->offset - 1, end = 0, n = 0;
	while (end < left && (from[end] != quote || (end + 1 < left && from[end + 1] == quote)))
		end += from[end] == quote ? 2 : 1;
	if (end >= left)
		return gm_expr_fail(source, token->offset, err, "the text that begins here with %c has no end", quote);
	char *text = gm_arena_alloc(arena, end + 1);
	if (text == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for an expression");
	for (size_t i = 0; i < end; i++) {
		text[n++] = from[i];
		if (from[i] == quote) i++;
	}
	text[n] = '\0';
	token->kind = quote == '"' ? GM_TOKEN_QUOTED : GM_TOKEN_STRING;
	token->text = text;
	token->bytes = n;
	token->end = token->offset + end + 2;
	if (n == 0 && quote == '"') return gm_expr_fail(source, token->offset, err, "a name cannot be empty");
	return GM_OK;
}

static size_t skip_digits(const struct gm_expr_source *source, size_t at)
{
	while (at < source->bytes && is_digit(source->text[at])) at++;
	return at;
}

/* digits [. digits] [e [sign] digits] */
static enum gm_code lex_number(const struct gm_expr_source *source, struct gm_token *token, struct gm_error *err)
{
	const char *text = source->text;
	size_t at = skip_digits(source, token->offset);
	token->kind = GM_TOKEN_INTEGER;
	if (at < source->bytes && text[at] == '.') {
		token->kind = GM_TOKEN_DOUBLE;
		at = skip_digits(source, at + 1);
	}
	if (at < source->bytes && (text[at] == 'e' || text[at] == 'E')) {
		size_t digits = at + 1;
		if (digits < source->bytes && (text[digits] == '+' || text[digits] == '-')) digits++;
		at = skip_digits(source, digits);
		if (at == digits) return gm_expr_fail(source, token->offset, err, "a number's exponent has no digits");
		token->kind = GM_TOKEN_DOUBLE;
	}
	if (at < source->bytes && (is_letter(text[at]) || text[at] == '.'))
		return gm_expr_fail(source, token->offset, err, "a number is followed by '%c'", text[at]);
	token->end = at;
	return GM_OK;
}

static enum gm_code lex_symbol(const struct gm_expr_source *source, struct gm_token *token, struct gm_error *err)
{
	static const char *const symbols[] = {"||", "<>", "!=", "<=", ">=", "<", ">", "=", "(",
	                                      ")",  ",",  ".",  "+",  "-",  "*", "/", "%"};
	const char *text = source->text + token->offset;
	size_t left = source->bytes - token->offset;
	token->kind = GM_TOKEN_SYMBOL;
	for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
		size_t n = strlen(symbols[i]);
		if (n > left || memcmp(text, symbols[i], n) != 0) continue;
		token->text = i == 2 ? symbols[1] : symbols[i];
		token->bytes = n;
		token->end = token->offset + n;
		bool comment = left > 1 && ((text[0] == '-' && text[1] == '-') || (text[0] == '/' && text[1] == '*'));
		if (comment) return gm_expr_fail(source, token->offset, err, "comments are not part of expressions");
		return GM_OK;
	}
	if (*text == ';') return gm_expr_fail(source, token->offset, err, "';' is not part of expressions");
	if (*text == '`') return gm_expr_fail(source, token->offset, err, "names stand in double quotes, not in `");
	if ((unsigned char)*text > ' ' && (unsigned char)*text < 0x7F)
		return gm_expr_fail(source, token->offset, err, "'%c' is not part of expressions", *text);
	return gm_expr_fail(source, token->offset, err, "the byte 0x%02x is not part of expressions", (unsigned char)*text);
}

enum gm_code gm_expr_lex(const struct gm_expr_source *source, size_t offset, struct gm_arena *arena,
                         struct gm_token *token, struct gm_error *err)
{
	while (offset < source->bytes && is_space(source->text[offset])) offset++;
	*token = (struct gm_token){.kind = GM_TOKEN_END, .offset = offset, .end = offset, .text = ""};
	if (offset == source->bytes) return GM_OK;
	char c = source->text[offset];
	if (c == '\'' || c == '"') return lex_quoted(source, c, arena, token, err);
	bool fraction = c == '.' && offset + 1 < source->bytes && is_digit(source->text[offset + 1]);
	if (is_digit(c) || (fraction && (offset == 0 || !is_letter(source->text[offset - 1])))) {
		GM_TRY(lex_number(source, token, err));
	} else if (is_letter(c)) {
		token->kind = GM_TOKEN_WORD;
		while (token->end < source->bytes &&
		       (is_letter(source->text[token->end]) || is_digit(source->text[token->end])))
			token->end++;
	} else {
		return lex_symbol(source, token, err);
	}
	token->bytes = token->end - offset;
	token->text = gm_arena_strndup(arena, source->text + offset, token->bytes);
	if (token->text == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for an expression");
	return GM_OK;
}
