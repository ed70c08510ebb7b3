#include "aws/xml.h"

#include "aws/secret_memory.h"
#include "base/arena.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>

struct reading {
	XML_Parser parser;
	gm_xml_fn *each;
	void *context;
	struct gm_error *err;
	enum gm_code code;
	char path[GM_XML_PATH_MAX];
	size_t path_bytes, depth;
	struct gm_buf text;
};

static void stop(struct reading *reading, enum gm_code code)
{
	reading->code = code;
	(void)XML_StopParser(reading->parser, XML_FALSE);
}

static void corrupt(struct reading *reading, const char *what)
{
	stop(reading, gm_error_set(reading->err, GM_CORRUPT, "%s", what));
}

static void XMLCALL begin_element(void *context, const XML_Char *name, const XML_Char **attributes)
{
	struct reading *reading = context;
	size_t n = strlen(name);
	(void)attributes;
	if (reading->code != GM_OK) return;
	if (++reading->depth > GM_XML_DEPTH_MAX || n + 2 > sizeof reading->path - reading->path_bytes) {
		corrupt(reading, "its elements are nested too deep");
		return;
	}
	if (reading->path_bytes > 0) reading->path[reading->path_bytes++] = '/';
	memcpy(reading->path + reading->path_bytes, name, n + 1);
	reading->path_bytes += n;
	reading->text.len = 0; /* only leaves have text that counts */
}

static void XMLCALL take_text(void *context, const XML_Char *text, int n)
{
	struct reading *reading = context;
	if (reading->code != GM_OK) return;
	enum gm_code code = gm_buf_append(&reading->text, text, (size_t)n, reading->err);
	if (code == GM_VALUE)
		corrupt(reading, "the text of an element is too long");
	else if (code != GM_OK)
		stop(reading, code);
}

static void XMLCALL end_element(void *context, const XML_Char *name)
{
	struct reading *reading = context;
	size_t n = strlen(name);
	if (reading->code != GM_OK) return;
	enum gm_code code = gm_buf_append(&reading->text, "", 1, reading->err);
	if (code == GM_VALUE) code = gm_error_set(reading->err, GM_CORRUPT, "the text of an element is too long");
	if (code == GM_OK)
		code = reading->each(reading->context, reading->path, (const char *)reading->text.data, reading->text.len - 1,
		                     reading->err);
	reading->text.len = 0;
	reading->depth--;
	reading->path_bytes -= reading->path_bytes > n ? n + 1 : n;
	reading->path[reading->path_bytes] = '\0';
	if (code != GM_OK) stop(reading, code);
}

static void XMLCALL refuse_doctype(void *context, const XML_Char *name, const XML_Char *system_id,
                                   const XML_Char *public_id, int has_subset)
{
	(void)name;
	(void)system_id;
	(void)public_id;
	(void)has_subset;
	corrupt(context, "it has a document type declaration");
}

enum gm_code gm_xml_parse(const void *data, size_t bytes, gm_xml_fn *each, void *context, struct gm_error *err)
{
	/* Answers of STS hold secrets. */
	static const XML_Memory_Handling_Suite wiping = {malloc, gm_wiping_realloc, gm_wiping_free};
	struct reading reading = {.each = each, .context = context, .err = err};
	if (bytes > INT32_MAX) GM_FAIL(err, GM_CORRUPT, "it is too long");
	gm_buf_init(&reading.text, GM_XML_TEXT_MAX);
	GM_TRY(gm_buf_reserve(&reading.text, GM_XML_TEXT_MAX, err)); /* it never moves, and leaves no copy behind */
	reading.parser = XML_ParserCreate_MM("UTF-8", &wiping, NULL);
	if (reading.parser == NULL) {
		gm_buf_release(&reading.text);
		GM_FAIL(err, GM_NOMEM, "out of memory for XML");
	}
	XML_SetUserData(reading.parser, &reading);
	XML_SetElementHandler(reading.parser, begin_element, end_element);
	XML_SetCharacterDataHandler(reading.parser, take_text);
	XML_SetStartDoctypeDeclHandler(reading.parser, refuse_doctype);
	bool whole = XML_Parse(reading.parser, data, (int)bytes, 1) == XML_STATUS_OK;
	enum XML_Error why = XML_GetErrorCode(reading.parser);
	if (!whole && reading.code == GM_OK)
		reading.code = why == XML_ERROR_NO_MEMORY
		                   ? gm_error_set(err, GM_NOMEM, "out of memory for XML")
		                   : gm_error_set(err, GM_CORRUPT, "it is not well-formed XML: %s", XML_ErrorString(why));
	explicit_bzero(reading.text.data, reading.text.cap);
	gm_buf_release(&reading.text);
	XML_ParserFree(reading.parser);
	return reading.code;
}
