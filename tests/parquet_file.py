"""Reads what lies in a Parquet file byte by byte: footer, page headers, page index, bloom filters. Written from
parquet.thrift and the Thrift compact protocol; it shares nothing with the writer it judges. Structures are dicts from
field number to value."""
import struct
import zlib


class Thrift:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def zigzag(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def value(self, kind):
        if kind in (1, 2):
            return self.byte() == 1
        if kind == 3:
            return struct.unpack("b", bytes([self.byte()]))[0]
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind == 8:
            length = self.varint()
            self.at += length
            assert self.at <= len(self.data)
            return bytes(self.data[self.at - length:self.at])
        if kind in (9, 10):
            head = self.byte()
            count = head >> 4 if head >> 4 < 15 else self.varint()
            return [self.value(head & 15) for _ in range(count)]
        assert kind == 12, f"type {kind}"
        return self.struct()

    def struct(self):
        fields, last = {}, 0
        while True:
            head = self.byte()
            if head == 0:
                return fields
            last = last + (head >> 4) if head >> 4 else self.zigzag()
            assert last not in fields
            fields[last] = (head & 15) == 1 if head & 15 in (1, 2) else self.value(head & 15)


def xxh64(data):
    """XXH64 with seed 0, from the algorithm's description."""
    mask, p1, p2, p3, p4, p5 = (1 << 64) - 1, 11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579, 2870177450012600261

    def rotate(x, n):
        return (x << n | x >> 64 - n) & mask

    def turn(acc, lane):
        return rotate(acc + lane * p2 & mask, 31) * p1 & mask

    at, length = 0, len(data)
    if length >= 32:
        lanes = [p1 + p2 & mask, p2, 0, -p1 & mask]
        while at + 32 <= length:
            lanes = [turn(lane, word) for lane, word in zip(lanes, struct.unpack_from("<4Q", data, at))]
            at += 32
        acc = sum(rotate(lane, n) for lane, n in zip(lanes, (1, 7, 12, 18))) & mask
        for lane in lanes:
            acc = ((acc ^ turn(0, lane)) * p1 + p4) & mask
    else:
        acc = p5
    acc = acc + length & mask
    while at + 8 <= length:
        acc = rotate(acc ^ turn(0, struct.unpack_from("<Q", data, at)[0]), 27) * p1 + p4 & mask
        at += 8
    if at + 4 <= length:
        acc = rotate(acc ^ struct.unpack_from("<I", data, at)[0] * p1 & mask, 23) * p2 + p3 & mask
        at += 4
    while at < length:
        acc = rotate(acc ^ data[at] * p5 & mask, 11) * p1 & mask
        at += 1
    acc = (acc ^ acc >> 33) * p2 & mask
    acc = (acc ^ acc >> 29) * p3 & mask
    return acc ^ acc >> 32


class Bloom:
    SALT = (0x47B6137B, 0x44974D91, 0x8824AD5B, 0xA2B7289D, 0x705495C7, 0x2DF1424B, 0x9EFC4947, 0x5C6BFB31)

    def __init__(self, data):
        reader = Thrift(data)
        header = reader.struct()
        assert header[2] == header[3] == header[4] == {1: {}}
        assert header[1] == len(data) - reader.at
        self.words = struct.unpack_from(f"<{header[1] // 4}I", data, reader.at)

    def may_hold(self, plain):
        hash = xxh64(plain)
        block = (hash >> 32) * (len(self.words) // 8) >> 32
        bits = [((hash & 0xFFFFFFFF) * salt & 0xFFFFFFFF) >> 27 for salt in self.SALT]
        return all(self.words[block * 8 + i] >> bit & 1 for i, bit in enumerate(bits))


class File:
    """Everything in its place, or an assertion fails: magic, footer, pages that follow each other, checksums."""

    def __init__(self, path):
        with open(path, "rb") as stream:
            self.data = stream.read()
        assert self.data[:4] == self.data[-4:] == b"PAR1"
        length, = struct.unpack("<I", self.data[-8:-4])
        self.footer_start = len(self.data) - 8 - length
        reader = Thrift(self.data[:-8], self.footer_start)
        self.footer = reader.struct()
        assert reader.at == len(self.data) - 8

    def chunks(self):
        """(number of row group, row group, column chunk)"""
        for number, group in enumerate(self.footer[4]):
            for chunk in group[1]:
                yield number, group, chunk

    def pages(self, chunk):
        """(offset, header, size with header) of each page of a column chunk."""
        meta = chunk[3]
        at = meta.get(11, meta[9])
        end = at + meta[7]
        uncompressed = 0
        while at < end:
            reader = Thrift(self.data, at)
            header = reader.struct()
            body = self.data[reader.at:reader.at + header[3]]
            assert zlib.crc32(body) == header[4] & 0xFFFFFFFF
            uncompressed += reader.at - at + header[2]
            yield at, header, reader.at + header[3] - at
            at = reader.at + header[3]
        assert at == end
        assert uncompressed == meta[6]

    def structure(self, offset, length):
        reader = Thrift(self.data, offset)
        fields = reader.struct()
        assert reader.at == offset + length
        return fields

    def bloom(self, chunk):
        meta = chunk[3]
        return Bloom(self.data[meta[14]:meta[14] + meta[15]]) if 14 in meta else None
