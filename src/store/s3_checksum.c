/* s3_checksum.c - is what was sent what arrives?
 *
 * What we put carries checksums, and a store keeps one with the object. What we read is compared with that one where
 * there is one that we know. Where there is none, and no TLS guards the bytes on their way, the ETag must do: of an
 * object put by one request and not encrypted with a key it is the MD5 of the content (S3 API Reference, "Object").
 * Stores are free to have other ETags of that form: that is told from a fault of the transfer by asking again, for two
 * faults do not give the same bytes. */
#include "store/s3.h"

#include <isa-l/crc.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

void gm_s3_checksum(const void *data, size_t bytes, char out[GM_S3_CHECKSUM_BYTES])
{
	enum { STEP_BYTES = 1 << 30 };                     /* a length is an int there */
	unsigned char crc[4], *at = (unsigned char *)data; /* it only reads */
	uint32_t value = UINT32_MAX;
	for (size_t n; bytes > 0; at += n, bytes -= n) {
		n = bytes < STEP_BYTES ? bytes : STEP_BYTES;
		value = crc32_iscsi(at, (int)n, value);
	}
	value = ~value;
	for (int i = 0; i < 4; i++) crc[i] = (unsigned char)(value >> (24 - 8 * i));
	(void)EVP_EncodeBlock((unsigned char *)out, crc, sizeof crc);
}

bool gm_s3_content_md5(const void *data, size_t bytes, char out[GM_S3_MD5_BYTES])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	if (EVP_Digest(data, bytes, digest, &n, EVP_md5(), NULL) != 1 || n != 16) return false;
	(void)EVP_EncodeBlock((unsigned char *)out, digest, (int)n);
	return true;
}

static bool md5_hex(const void *data, size_t bytes, char out[GM_S3_MD5_HEX_BYTES])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	if (EVP_Digest(data, bytes, digest, &n, EVP_md5(), NULL) != 1 || n != 16) return false;
	for (size_t i = 0; i < n; i++) (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
	return true;
}

/* Could it be the MD5 of the content? That of a multipart upload has the number of parts behind it. */
static bool is_md5(const struct gm_call_response *response, const char *etag)
{
	const char *encryption = gm_http_header(&response->http, "x-amz-server-side-encryption");
	bool keyed = encryption != NULL && strncmp(encryption, "aws:kms", strlen("aws:kms")) == 0;
	if (gm_http_header(&response->http, "x-amz-server-side-encryption-customer-algorithm") != NULL) keyed = true;
	return !keyed && strlen(etag) == GM_S3_MD5_HEX_BYTES - 1 && strspn(etag, "0123456789abcdef") == strlen(etag);
}

bool gm_s3_is_intact(struct gm_s3 *s3, const struct gm_call_response *response, const char *etag, const void *data,
                     size_t bytes, char seen[GM_S3_MD5_HEX_BYTES])
{
	const char *kept = gm_http_header(&response->http, "x-amz-checksum-crc32c");
	char checksum[GM_S3_CHECKSUM_BYTES], digest[GM_S3_MD5_HEX_BYTES];
	if (kept != NULL && strchr(kept, '-') == NULL) { /* of an upload it is one of the checksums of parts */
		gm_s3_checksum(data, bytes, checksum);
		return strcmp(kept, checksum) == 0;
	}
	if (!__atomic_load_n(&s3->etags_are_md5, __ATOMIC_RELAXED) || !is_md5(response, etag)) return true;
	if (!md5_hex(data, bytes, digest) || strcmp(digest, etag) == 0) return true;
	bool same = strcmp(digest, seen) == 0;
	memcpy(seen, digest, sizeof digest);
	if (same) __atomic_store_n(&s3->etags_are_md5, false, __ATOMIC_RELAXED);
	return same;
}
