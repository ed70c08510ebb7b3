// floor.cc - the least that anybody could spend on this work: ISA-L inflates, simdjson's On-Demand parser visits every value of
// every record once, as text or number, and zstd at level 1 compresses the pages that gristmill's own files have, which were
// decompressed beforehand (pages.py). Nothing is kept, nothing is written. What a whole job costs is told as a multiple of this.
//
//   floor DIRECTORY PAGES   every *.gz below the one, every page in the other; prints a JSON object, CPU seconds among it
//
// A stage's time is that of its own calls alone, by the CPU clock of the process; reading the files counts as part of inflating.
// Buffers are as large as they will ever be before the clock runs: nobody must pay for a page fault twice.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <isa-l/igzip_lib.h>
#include <simdjson.h>
#include <zstd.h>

using namespace simdjson;

// Of JSON that simdjson indexes at once, the fastest of those tried; no record may be longer.
static const size_t BATCH_BYTES = 1000000;

static double cpu_seconds()
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Inflates every member of a gzip file, with its checksum. False: the buffer is too small, or the file is damaged.
static bool inflate_all(const std::vector<uint8_t> &in, size_t in_bytes, std::vector<uint8_t> &out, size_t &used)
{
	struct inflate_state state;
	isal_inflate_init(&state);
	state.crc_flag = ISAL_GZIP;
	state.next_in = const_cast<uint8_t *>(in.data());
	state.avail_in = static_cast<uint32_t>(in_bytes);
	used = 0;
	for (;;) {
		size_t room = out.size() - used - SIMDJSON_PADDING;
		state.next_out = out.data() + used;
		state.avail_out = static_cast<uint32_t>(room < UINT32_MAX ? room : UINT32_MAX);
		int rc = isal_inflate(&state);
		used = static_cast<size_t>(state.next_out - out.data());
		if (rc != ISAL_DECOMP_OK) return false;
		if (state.block_state != ISAL_BLOCK_FINISH) return false;
		if (state.avail_in == 0) return true;
		uint8_t *next = state.next_in;
		uint32_t left = state.avail_in;
		isal_inflate_init(&state);
		state.crc_flag = ISAL_GZIP;
		state.next_in = next;
		state.avail_in = left;
	}
}

// Strings are left as they stand (no unescaping), numbers and booleans are read. What stands directly in an object is read where
// the object is walked through: On-Demand is fast only where it is compiled as one piece.
static uint64_t visit_array(ondemand::array array);

static inline __attribute__((always_inline)) uint64_t visit_scalar(ondemand::value value, ondemand::json_type type)
{
	if (type == ondemand::json_type::string) {
		ondemand::raw_json_string text;
		return value.get_raw_json_string().get(text) ? 0 : static_cast<uint8_t>(text.raw()[0]);
	}
	if (type == ondemand::json_type::number) {
		int64_t whole;
		double fraction;
		if (!value.get_int64().get(whole)) return static_cast<uint64_t>(whole);
		return value.get_double().get(fraction) ? 0 : static_cast<uint64_t>(fraction);
	}
	bool flag;
	return type == ondemand::json_type::boolean && !value.get_bool().get(flag) && flag;
}

/* The same twice: a value that is handed to a function of its own makes the scan three times as long. */
static uint64_t visit_object(ondemand::object object)
{
	uint64_t sum = 0;
	for (auto field : object) {
		ondemand::value value;
		ondemand::json_type type;
		ondemand::object inner;
		ondemand::array items;
		if (field.value().get(value) || value.type().get(type)) return sum;
		if (type == ondemand::json_type::object)
			sum += value.get_object().get(inner) ? 0 : visit_object(inner);
		else if (type == ondemand::json_type::array)
			sum += value.get_array().get(items) ? 0 : visit_array(items);
		else
			sum += visit_scalar(value, type);
	}
	return sum;
}

static uint64_t visit_array(ondemand::array array)
{
	uint64_t sum = 0;
	for (auto item : array) {
		ondemand::value value;
		ondemand::json_type type;
		ondemand::object inner;
		ondemand::array items;
		if (item.get(value) || value.type().get(type)) return sum;
		if (type == ondemand::json_type::object)
			sum += value.get_object().get(inner) ? 0 : visit_object(inner);
		else if (type == ondemand::json_type::array)
			sum += value.get_array().get(items) ? 0 : visit_array(items);
		else
			sum += visit_scalar(value, type);
	}
	return sum;
}

static bool scan(ondemand::parser &parser, const std::vector<uint8_t> &raw, size_t length, uint64_t &records, uint64_t &sum)
{
	ondemand::document_stream stream;
	if (parser.iterate_many(raw.data(), length, BATCH_BYTES).get(stream)) return false;
	for (auto document : stream) {
		ondemand::object object;
		if (document.get_object().get(object)) return false;
		records++;
		sum += visit_object(object);
	}
	return true;
}

// The file's bytes; the buffer only ever grows.
static bool read_all(const std::filesystem::path &path, std::vector<uint8_t> &into, size_t &bytes)
{
	bytes = static_cast<size_t>(std::filesystem::file_size(path));
	if (into.size() < bytes) into.resize(bytes);
	std::ifstream stream(path, std::ios::binary);
	return static_cast<bool>(stream.read(reinterpret_cast<char *>(into.data()), static_cast<std::streamsize>(bytes)));
}

// What the gzip trailers claim: good enough for the size of a buffer, since a member that does not fit ends the program.
static bool prepare(const std::vector<std::filesystem::path> &paths, std::vector<uint8_t> &packed, std::vector<uint8_t> &raw)
{
	size_t most = 0, bytes;
	for (const auto &path : paths) {
		if (!read_all(path, packed, bytes) || bytes < 4) return false;
		uint32_t length;
		memcpy(&length, packed.data() + bytes - 4, 4);
		if (length > most) most = length;
	}
	raw.assign(most + 64 + SIMDJSON_PADDING, 0);
	return true;
}

struct Figures {
	double inflate = 0, scan = 0, zstd = 0;
	uint64_t records = 0, bytes = 0, sum = 0, page_bytes = 0, packed_bytes = 0;
};

static bool run_input(const std::filesystem::path &root, Figures &figures)
{
	std::vector<std::filesystem::path> paths;
	for (auto &entry : std::filesystem::recursive_directory_iterator(root))
		if (entry.path().extension() == ".gz") paths.push_back(entry.path());
	std::vector<uint8_t> packed, raw;
	if (!prepare(paths, packed, raw)) return false;
	ondemand::parser parser;
	for (const auto &path : paths) {
		size_t packed_bytes, length;
		double begin = cpu_seconds();
		if (!read_all(path, packed, packed_bytes) || !inflate_all(packed, packed_bytes, raw, length)) return false;
		double middle = cpu_seconds();
		if (!scan(parser, raw, length, figures.records, figures.sum)) return false;
		figures.inflate += middle - begin;
		figures.scan += cpu_seconds() - middle;
		figures.bytes += length;
	}
	return true;
}

// PAGES: each page's length in four bytes, little endian, and its bytes.
static bool run_pages(const std::filesystem::path &path, Figures &figures)
{
	std::vector<uint8_t> pages;
	size_t bytes, most = 0;
	if (!read_all(path, pages, bytes)) return false;
	std::vector<std::pair<size_t, size_t>> places;
	for (size_t at = 0; at < bytes;) {
		uint32_t length;
		if (bytes - at < 4) return false;
		memcpy(&length, pages.data() + at, 4);
		at += 4;
		if (bytes - at < length) return false;
		places.emplace_back(at, length);
		if (length > most) most = length;
		at += length;
	}
	std::vector<uint8_t> packed(ZSTD_compressBound(most));
	ZSTD_CCtx *context = ZSTD_createCCtx();
	double begin = cpu_seconds();
	for (auto [at, length] : places) {
		size_t got = ZSTD_compressCCtx(context, packed.data(), packed.size(), pages.data() + at, length, 1);
		if (ZSTD_isError(got)) return false;
		figures.page_bytes += length;
		figures.packed_bytes += got;
	}
	figures.zstd = cpu_seconds() - begin;
	ZSTD_freeCCtx(context);
	return true;
}

int main(int argc, char **argv)
{
	if (argc != 3) return 2;
	Figures figures;
	if (!run_input(argv[1], figures) || !run_pages(argv[2], figures)) {
		fprintf(stderr, "floor: cannot read all of %s and %s\n", argv[1], argv[2]);
		return 1;
	}
	printf("{\"inflate\":%.4f,\"scan\":%.4f,\"zstd\":%.4f,\"records\":%llu,\"bytes\":%llu,\"checksum\":\"%llx\",\"page_bytes\":%llu,"
	       "\"packed_bytes\":%llu}\n",
	       figures.inflate, figures.scan, figures.zstd, static_cast<unsigned long long>(figures.records),
	       static_cast<unsigned long long>(figures.bytes), static_cast<unsigned long long>(figures.sum),
	       static_cast<unsigned long long>(figures.page_bytes), static_cast<unsigned long long>(figures.packed_bytes));
	return figures.records > 0 && figures.page_bytes > 0 ? 0 : 1;
}
