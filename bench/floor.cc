// floor.cc - the least that anybody could spend on this input: ISA-L inflates, simdjson's On-Demand parser visits every value
// of every record once, as text or number, and nothing is kept. What a whole job costs is told as a multiple of this.
//
//   floor DIRECTORY      every *.gz below it; prints records, bytes and a checksum that stops the compiler from leaving work out
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <isa-l/igzip_lib.h>
#include <simdjson.h>

using namespace simdjson;

static size_t inflate_all(const std::vector<uint8_t> &in, std::vector<uint8_t> &out)
{
	struct inflate_state state;
	isal_inflate_init(&state);
	state.crc_flag = ISAL_GZIP;
	state.next_in = const_cast<uint8_t *>(in.data());
	state.avail_in = static_cast<uint32_t>(in.size());
	size_t used = 0;
	for (;;) {
		if (out.size() - used < (16u << 20)) out.resize(out.size() + (64u << 20));
		state.next_out = out.data() + used;
		state.avail_out = 16u << 20;
		int rc = isal_inflate(&state);
		used = static_cast<size_t>(state.next_out - out.data());
		if (rc != ISAL_DECOMP_OK) return 0;
		if (state.block_state == ISAL_BLOCK_FINISH) {
			if (state.avail_in == 0) return used;
			uint8_t *next = state.next_in;
			uint32_t left = state.avail_in;
			isal_inflate_init(&state);
			state.crc_flag = ISAL_GZIP;
			state.next_in = next;
			state.avail_in = left;
		} else if (state.avail_in == 0 && state.avail_out != 0) {
			return used;
		}
	}
}

// Strings are left as they stand (no unescaping), numbers and booleans are read.
static uint64_t visit(ondemand::object object)
{
	uint64_t sum = 0;
	for (auto field : object) {
		ondemand::value value;
		ondemand::json_type type;
		if (field.value().get(value) || value.type().get(type)) return sum;
		if (type == ondemand::json_type::object) {
			ondemand::object inner;
			if (!value.get_object().get(inner)) sum += visit(inner);
		} else if (type == ondemand::json_type::string) {
			ondemand::raw_json_string text;
			if (!value.get_raw_json_string().get(text)) sum += static_cast<uint8_t>(text.raw()[0]);
		} else if (type == ondemand::json_type::number) {
			int64_t number;
			if (!value.get_int64().get(number)) sum += static_cast<uint64_t>(number);
		} else if (type == ondemand::json_type::boolean) {
			bool flag;
			if (!value.get_bool().get(flag)) sum += flag;
		}
	}
	return sum;
}

static bool read_all(const std::filesystem::path &path, std::vector<uint8_t> &into)
{
	into.resize(std::filesystem::file_size(path));
	std::ifstream stream(path, std::ios::binary);
	return static_cast<bool>(stream.read(reinterpret_cast<char *>(into.data()), static_cast<std::streamsize>(into.size())));
}

int main(int argc, char **argv)
{
	if (argc != 2) return 2;
	std::vector<uint8_t> packed, raw(64u << 20);
	ondemand::parser parser;
	uint64_t records = 0, bytes = 0, sum = 0;
	for (auto &entry : std::filesystem::recursive_directory_iterator(argv[1])) {
		if (entry.path().extension() != ".gz") continue;
		if (!read_all(entry.path(), packed)) return 1;
		size_t length = inflate_all(packed, raw);
		if (raw.size() < length + SIMDJSON_PADDING) raw.resize(length + SIMDJSON_PADDING);
		bytes += length;
		const char *at = reinterpret_cast<const char *>(raw.data()), *end = at + length;
		while (at < end) {
			const char *stop = static_cast<const char *>(memchr(at, '\n', static_cast<size_t>(end - at)));
			if (stop == nullptr) stop = end;
			ondemand::document document;
			ondemand::object object;
			size_t room = static_cast<size_t>(end - at) + SIMDJSON_PADDING;
			if (stop > at && !parser.iterate(at, static_cast<size_t>(stop - at), room).get(document) &&
			    !document.get_object().get(object)) {
				records++;
				sum += visit(object);
			}
			at = stop + 1;
		}
	}
	printf("%llu records, %llu bytes, checksum %llx\n", static_cast<unsigned long long>(records),
	       static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(sum));
	return records > 0 ? 0 : 1;
}
