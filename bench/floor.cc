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

static uint64_t visit(ondemand::value value)
{
	uint64_t sum = 0;
	switch (value.type()) {
	case ondemand::json_type::object:
		for (auto field : value.get_object()) sum += visit(field.value());
		return sum;
	case ondemand::json_type::array:
		for (auto item : value.get_array()) sum += visit(item.value());
		return sum;
	case ondemand::json_type::number: {
		int64_t number = 0;
		if (value.get_int64().get(number) == SUCCESS) return static_cast<uint64_t>(number);
		return 1;
	}
	case ondemand::json_type::string: {
		std::string_view text;
		if (value.get_string().get(text) == SUCCESS) return text.size();
		return 1;
	}
	case ondemand::json_type::boolean: return 2;
	default: return 3;
	}
}

int main(int argc, char **argv)
{
	if (argc != 2) return 2;
	std::vector<uint8_t> raw(64u << 20);
	ondemand::parser parser;
	uint64_t records = 0, bytes = 0, sum = 0, bad = 0;
	for (auto &entry : std::filesystem::recursive_directory_iterator(argv[1])) {
		if (entry.path().extension() != ".gz") continue;
		std::ifstream stream(entry.path(), std::ios::binary);
		std::vector<uint8_t> packed((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
		size_t length = inflate_all(packed, raw);
		if (raw.size() < length + SIMDJSON_PADDING) raw.resize(length + SIMDJSON_PADDING);
		bytes += length;
		// Line by line: one bad record must not end the scan (iterate_many would stop there).
		const char *at = reinterpret_cast<const char *>(raw.data()), *end = at + length;
		while (at < end) {
			const char *stop = static_cast<const char *>(memchr(at, '\n', static_cast<size_t>(end - at)));
			if (stop == nullptr) stop = end;
			size_t size = static_cast<size_t>(stop - at);
			size_t room = static_cast<size_t>(reinterpret_cast<const char *>(raw.data()) + raw.size() - at);
			if (size > 0) {
				records++;
				try {
					auto document = parser.iterate(at, size, room);
					ondemand::object object = document.get_object();
					for (auto field : object) sum += visit(field.value());
				} catch (const simdjson_error &) {
					bad++;
				}
			}
			at = stop + 1;
		}
	}
	printf("%llu records, %llu bytes, %llu bad, checksum %llx\n", static_cast<unsigned long long>(records),
	       static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(bad), static_cast<unsigned long long>(sum));
	return 0;
}
