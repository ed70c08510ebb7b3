"""The pages of a table's Parquet files, decompressed, for floor.cc: what zstd at level 1 costs of them, and nothing else.

    pages.py TABLE FILE      each page's length in four bytes, little endian, and its bytes
    pages.py --rows TABLE    how many rows the files have

Footers and page headers are read by the tests' own decoder (tests/parquet_file.py) and decompressed by Arrow: nothing of
gristmill's readers is in it."""
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
from parquet_file import Thrift  # noqa: E402

ZSTD = 6  # CompressionCodec
# Fields of parquet.thrift: FileMetaData, RowGroup, ColumnChunk, ColumnMetaData, PageHeader.
ROW_GROUPS, COLUMNS, META_DATA = 4, 1, 3
CODEC, CHUNK_BYTES, DATA_PAGE, DICTIONARY_PAGE = 4, 7, 9, 11
PAGE_TYPE, RAW_BYTES, PACKED_BYTES = 1, 2, 3
DATA_PAGE_V2 = 3


def pages(data):
    """The bodies of all pages of a file that was compressed with zstd and has pages of version 1, decompressed."""
    import pyarrow

    assert data[:4] == data[-4:] == b"PAR1"
    footer = Thrift(data, len(data) - 8 - struct.unpack("<I", data[-8:-4])[0]).struct()
    for group in footer[ROW_GROUPS]:
        for chunk in group[COLUMNS]:
            meta = chunk[META_DATA]
            assert meta[CODEC] == ZSTD
            at = min(meta[DATA_PAGE], meta.get(DICTIONARY_PAGE, meta[DATA_PAGE]))
            end = at + meta[CHUNK_BYTES]
            while at < end:
                reader = Thrift(data, at)
                header = reader.struct()
                assert header[PAGE_TYPE] != DATA_PAGE_V2
                body = data[reader.at:reader.at + header[PACKED_BYTES]]
                yield pyarrow.decompress(body, header[RAW_BYTES], codec="zstd", asbytes=True)
                at = reader.at + header[PACKED_BYTES]


def data_files(table):
    """The data files of a table, ours or a peer's: what a log has beside them is not looked at."""
    return sorted(path for path in pathlib.Path(table).rglob("*.parquet") if not any(part.startswith("_") for part in path.relative_to(table).parts))


def write(table, path):
    """Puts the pages of all files of a table into one, each behind its length."""
    with open(path, "wb") as stream:
        for file in data_files(table):
            for page in pages(file.read_bytes()):
                stream.write(struct.pack("<I", len(page)) + page)


def rows(table):
    import pyarrow.parquet

    return sum(pyarrow.parquet.read_metadata(file).num_rows for file in data_files(table))


if __name__ == "__main__":
    if sys.argv[1] == "--rows":
        print(rows(sys.argv[2]))
    else:
        write(sys.argv[1], sys.argv[2])
