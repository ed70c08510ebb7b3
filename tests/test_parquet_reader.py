"""Foreign writers feed the Parquet reader: what pyarrow, DuckDB, Polars and Spark write in every codec, page version and
encoding, and what apache/parquet-testing collects, is read by parquet_dump (tests/unit/parquet/dump.c) and compared, value by
value and level by level, with what pyarrow reads."""
import datetime
import decimal
import functools
import json
import math
import os
import random
import struct
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import harness
import readers

DUMP = harness.BINARY.parent / "tests/unit/parquet/parquet_dump"
VECTORS = harness.ROOT / "tests/vectors/parquet-testing"
ROWS = 6000


# --- What the reader says ------------------------------------------------------------------------------------------------

class Dump:
    """refused: the footer's failure, or None. chunks[group][leaf]: {"values": .., "definition": .., "repetition": .., "error": ..}."""

    def __init__(self, path, *args):
        result = subprocess.run([DUMP, path, *map(str, args)], capture_output=True, text=True, check=True)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        self.refused = lines[0] if "refused" in lines[0] else None
        if self.refused:
            return
        self.footer, self.leaves, self.chunks = lines[0], lines[0]["leaves"], []
        self.reprs = set()
        for line in lines[1:]:
            if "leaf" in line:
                while len(self.chunks) <= line["group"]:
                    self.chunks.append([])
                self.chunks[line["group"]].append({"values": [], "definition": [], "repetition": [], "error": None})
                continue
            chunk = self.chunks[-1][-1]
            if "error" in line:
                chunk["error"] = line
                continue
            self.reprs.add(line["repr"])
            chunk["values"] += line["values"]
            for levels in ("definition", "repetition"):
                chunk[levels] += bytes.fromhex(line.get(levels, ""))
            assert line["slots"] > 0 and line["defined"] == sum(value is not None for value in line["values"])

    def errors(self):
        return [chunk["error"] for group in self.chunks for chunk in group if chunk["error"]]


# --- What it should say --------------------------------------------------------------------------------------------------

def double_text(value):
    return "nan" if math.isnan(value) else struct.pack(">d", value).hex()


EPOCH = datetime.datetime(1970, 1, 1)


def micros(value):
    """Of a datetime, or of pandas' timestamps in nanoseconds, floored."""
    if hasattr(value, "value") and hasattr(value, "unit"):
        return value.as_unit("ns").value // 1000
    return (value.replace(tzinfo=None) - EPOCH) // datetime.timedelta(microseconds=1)


def plain(value):
    """A leaf's value in the form of the dump."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, decimal.Decimal)):
        return value
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, str):
        return value.encode().hex()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime.datetime):
        return micros(value)
    if isinstance(value, datetime.date):
        return (value - EPOCH.date()).days
    raise TypeError(type(value))


def leaf_count(kind):
    if pa.types.is_struct(kind) or pa.types.is_map(kind):
        return sum(leaf_count(kind.field(i).type) for i in range(kind.num_fields)) if pa.types.is_struct(kind) else (
            leaf_count(kind.key_type) + leaf_count(kind.item_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return leaf_count(kind.value_type)
    return 1


def shred(kind, nullable, value, out, repetition=0, definition=0, lists=0):
    """Puts a value into the leaf columns below it: out is a list of lists of (repetition, definition, value)."""
    if value is None:
        for leaf in out:
            leaf.append((repetition, definition, None))
        return
    definition += nullable
    if pa.types.is_struct(kind):
        at = 0
        for i in range(kind.num_fields):
            field = kind.field(i)
            count = leaf_count(field.type)
            shred(field.type, field.nullable, value[field.name], out[at:at + count], repetition, definition, lists)
            at += count
    elif pa.types.is_map(kind):
        keys = leaf_count(kind.key_type)
        if not value:
            shred(kind, False, None, out, repetition, definition)
        for i, (key, item) in enumerate(value):
            again = lists + 1 if i else repetition
            shred(kind.key_type, False, key, out[:keys], again, definition + 1, lists + 1)
            shred(kind.item_type, kind.item_field.nullable, item, out[keys:], again, definition + 1, lists + 1)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        if not value:
            shred(kind, False, None, out, repetition, definition)
        for i, item in enumerate(value):
            shred(kind.value_type, kind.value_field.nullable, item, out, lists + 1 if i else repetition, definition + 1, lists + 1)
    else:
        out[0].append((repetition, definition, plain(value)))


def values_of(column):
    """Python values of an Arrow column that plain() knows."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if pa.types.is_date32(kind):
        return column.cast(pa.int32()).to_pylist()
    if pa.types.is_timestamp(kind):
        scale = {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}[kind.unit]
        return [v if v is None else v * scale // 1000 for v in column.cast(pa.int64()).to_pylist()]
    return column.to_pylist()


def expect(path, source=None, **options):
    """Per row group, per leaf: (repetition, definition, value) of each slot, as pyarrow reads the file, or as the table it was made of
    has them."""
    file = pq.ParquetFile(path, **options)
    groups, row = [], 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        table = file.read_row_group(group) if source is None else source.slice(row, rows)
        row += rows
        leaves = []
        for field in table.schema:
            out = [[] for _ in range(leaf_count(field.type))]
            for value in values_of(table.column(field.name)):
                shred(field.type, field.nullable, value, out)
            leaves += out
        groups.append(leaves)
    return groups


def check(path, batches=(4096,), refused=(), **options):
    """Compares all columns but those whose description holds one of `refused`, which must be refused."""
    wanted = expect(path, **options)
    for batch in batches:
        dump = Dump(path, "--batch", batch)
        assert dump.refused is None
        assert len(dump.chunks) == len(wanted)
        for group, leaves in zip(dump.chunks, wanted):
            assert len(group) == len(leaves) == len(dump.leaves)
            for leaf, chunk, slots in zip(dump.leaves, group, leaves):
                where = f"{path} {leaf['path']}"
                if any(word in leaf["described"] for word in refused):
                    assert chunk["error"]["error"] == "UNSUPPORTED" and leaf["described"] in chunk["error"]["message"], where
                    assert not leaf["readable"], where
                    continue
                assert chunk["error"] is None, where
                if leaf["repetition"] > 0 or leaf["definition"] > 1:
                    assert chunk["repetition"] == [slot[0] for slot in slots], where
                    assert chunk["definition"] == [slot[1] for slot in slots], where
                    slots = [slot for slot in slots if slot[1] == leaf["definition"]]
                assert chunk["values"] == [slot[2] for slot in slots], where
    return dump


# --- Data ----------------------------------------------------------------------------------------------------------------

def fill(rng, make, rows, nulls):
    return [None if rng.random() < nulls else make() for _ in range(rows)]


@functools.cache
def flat_table(rows=ROWS, nulls=0.1, seed=1):
    """A column of every type that has a place in a batch, and of some that have none."""
    rng = random.Random(seed)
    words = ["", "a", "größe", "x" * 100] + [f"word-{i}" for i in range(40)]
    columns = {
        "boolean": pa.array(fill(rng, lambda: rng.random() < 0.3, rows, nulls)),
        "runs": pa.array([row // 700 % 2 == 0 for row in range(rows)]),
        "i64": pa.array(fill(rng, lambda: rng.randint(-2**63, 2**63 - 1), rows, nulls), pa.int64()),
        "u64": pa.array(fill(rng, lambda: rng.randint(0, 2**63 - 1), rows, nulls), pa.uint64()),
        "near": pa.array(fill(rng, lambda: rng.randint(0, 5), rows, nulls), pa.int64()),
        "date": pa.array(fill(rng, lambda: rng.randint(-10**6, 10**6), rows, nulls), pa.int32()).cast(pa.date32()),
        "f32": pa.array(fill(rng, lambda: rng.choice([0.0, -0.0, math.inf, math.nan, rng.gauss(0, 1e20)]), rows, nulls), pa.float32()),
        "f64": pa.array(fill(rng, lambda: rng.choice([0.0, -0.0, math.inf, math.nan, rng.gauss(0, 1e200)]), rows, nulls), pa.float64()),
        "word": pa.array(fill(rng, lambda: rng.choice(words), rows, nulls)),
        "text": pa.array(fill(rng, lambda: "".join(chr(rng.randint(32, 0x2FF)) for _ in range(rng.randint(0, 60))), rows, nulls)),
        "bytes": pa.array(fill(rng, lambda: rng.randbytes(rng.randint(0, 40)), rows, nulls), pa.binary()),
        "sorted": pa.array([f"2024-03-10/session-{row:08}" for row in range(rows)]),
        # A dictionary that is given up far into the chunk.
        "mixed": pa.array([f"value-{row % 50 if row < rows // 3 else row}" for row in range(rows)]),
        "all_null": pa.nulls(rows, pa.string()),
        "required": pa.array(range(rows), pa.int64()),
        "required_text": pa.array([f"{rng.getrandbits(128):032x}" for _ in range(rows)]),
    }
    for bits in (8, 16, 32):
        columns[f"i{bits}"] = pa.array(fill(rng, lambda b=bits: rng.randint(-2**(b - 1), 2**(b - 1) - 1), rows, nulls), pa.type_for_alias(f"int{bits}"))
        columns[f"u{bits}"] = pa.array(fill(rng, lambda b=bits: rng.randint(0, 2**b - 1), rows, nulls), pa.type_for_alias(f"uint{bits}"))
    for unit, limit in (("ms", 10**13), ("us", 10**17), ("ns", 2**62)):
        columns[f"ts_{unit}"] = pa.array(fill(rng, lambda m=limit: rng.randint(-m, m), rows, nulls), pa.int64()).cast(pa.timestamp(unit, tz="UTC"))
    required = [name for name in columns if name.startswith("required")]
    schema = pa.schema([pa.field(name, array.type, nullable=name not in required) for name, array in columns.items()])
    return pa.table(list(columns.values()), schema=schema)


@functools.cache
def nested_table(rows=1500, seed=2):
    rng = random.Random(seed)

    def text():
        return rng.choice(["", "x", f"text {rng.randint(0, 10**6)}"])

    def some(make, most=4):
        return None if rng.random() < 0.15 else [make() if rng.random() > 0.15 else None for _ in range(rng.randint(0, most))]

    def point():
        return {"x": rng.choice([None, 1.5, -0.0]), "tags": some(text), "inner": rng.choice([None, {"deep": rng.choice([None, 7])}])}

    def pairs():
        return None if rng.random() < 0.15 else [(f"k{i}", rng.choice([None, text()])) for i in range(rng.randint(0, 3))]

    kind = pa.struct([("x", pa.float64()), ("tags", pa.list_(pa.string())), ("inner", pa.struct([("deep", pa.int32())]))])
    return pa.table({
        "id": pa.array(range(rows), pa.int64()),
        "list": pa.array([some(text) for _ in range(rows)], pa.list_(pa.string())),
        "lists": pa.array([some(lambda: some(lambda: rng.randint(0, 9))) for _ in range(rows)], pa.list_(pa.list_(pa.int64()))),
        "struct": pa.array([None if rng.random() < 0.1 else point() for _ in range(rows)], kind),
        "points": pa.array([some(point) for _ in range(rows)], pa.list_(kind)),
        "map": pa.array([pairs() for _ in range(rows)], pa.map_(pa.string(), pa.string())),
        "maps": pa.array([some(pairs) for _ in range(rows)], pa.list_(pa.map_(pa.string(), pa.string()))),
    })


# --- pyarrow -------------------------------------------------------------------------------------------------------------

CODECS = ["none", "snappy", "gzip", "brotli", "lz4", "zstd"]


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", CODECS)
def test_codecs(tmp_path, codec, version):
    path = tmp_path / "t.parquet"
    pq.write_table(flat_table(), path, compression=codec, data_page_version=version, row_group_size=ROWS // 3 + 7, data_page_size=3000,
                   dictionary_pagesize_limit=4000, write_page_checksum=True, version="2.6", write_batch_size=100)
    dump = check(path, batches=(4096, 77))
    assert dump.reprs == {"bool", "i64", "f64", "dict", "plain"}


ENCODINGS = {
    "PLAIN": lambda kind: True,
    "DELTA_BINARY_PACKED": lambda kind: pa.types.is_integer(kind) or pa.types.is_temporal(kind),
    "DELTA_LENGTH_BYTE_ARRAY": lambda kind: kind in (pa.string(), pa.binary()),
    "DELTA_BYTE_ARRAY": lambda kind: kind in (pa.string(), pa.binary()),
    "BYTE_STREAM_SPLIT": lambda kind: pa.types.is_integer(kind) or pa.types.is_temporal(kind) or pa.types.is_floating(kind),
    "RLE": lambda kind: kind == pa.bool_(),
}


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings(tmp_path, encoding, version):
    table = flat_table()
    names = [field.name for field in table.schema if ENCODINGS[encoding](field.type)]
    assert names
    path = tmp_path / "t.parquet"
    pq.write_table(table.select(names), path, use_dictionary=False, column_encoding={name: encoding for name in names}, compression="snappy",
                   data_page_version=version, row_group_size=ROWS // 2, data_page_size=2000, write_batch_size=100)
    used = {encoding for i in range(len(names)) for encoding in pq.ParquetFile(path).metadata.row_group(0).column(i).encodings}
    assert encoding in used
    check(path, batches=(4096, 77))


@pytest.mark.parametrize("nulls", [0, 0.5, 1])
def test_nulls(tmp_path, nulls):
    path = tmp_path / "t.parquet"
    pq.write_table(flat_table(2000, nulls, 3), path, data_page_size=1000, write_batch_size=64)
    check(path, batches=(100000,))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [False, True])
def test_nested(tmp_path, dictionary, version):
    path = tmp_path / "t.parquet"
    pq.write_table(nested_table(), path, use_dictionary=dictionary, data_page_version=version, row_group_size=700, data_page_size=500,
                   write_batch_size=50, compression="zstd")
    check(path, batches=(4096, 13))


def test_no_rows_and_no_groups(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(flat_table().slice(0, 0), path)
    check(path)
    with pq.ParquetWriter(path, flat_table().schema):
        pass
    assert Dump(path).footer["groups"] == []


def test_int96(tmp_path):
    path = tmp_path / "t.parquet"
    table = flat_table().select(["ts_us", "ts_ns"])
    pq.write_table(table, path, use_deprecated_int96_timestamps=True, data_page_size=1000)
    got = Dump(path)
    assert [leaf["described"] for leaf in got.leaves] == ["INT96", "INT96"]
    assert got.chunks[0][1]["values"] == values_of(table.column("ts_ns"))
    assert got.chunks[0][0]["values"] == values_of(table.column("ts_us"))


def test_types_without_a_place_are_refused_by_name(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({
        "fixed": pa.array([b"abcd"], pa.binary(4)), "uuid": pa.array([b"0" * 16], pa.uuid()), "half": pa.array([1.5], pa.float16()),
        "decimal": pa.array([decimal.Decimal("1.23")], pa.decimal128(9, 2)), "time": pa.array([1], pa.int64()).cast(pa.time64("us")),
        "fine": pa.array([1])}), path)
    dump = Dump(path)
    said = {leaf["path"][0]: leaf["described"] for leaf in dump.leaves}
    assert said == {"fixed": "FIXED_LEN_BYTE_ARRAY(4)", "uuid": "FIXED_LEN_BYTE_ARRAY(16) (UUID)", "half": "FIXED_LEN_BYTE_ARRAY(2) (FLOAT16)",
                    "decimal": "FIXED_LEN_BYTE_ARRAY(4) (DECIMAL(9,2))", "time": "INT64 (TIME(MICROS))", "fine": "INT64"}
    assert [error["error"] for error in dump.errors()] == ["UNSUPPORTED"] * 5
    assert dump.chunks[0][5]["values"] == [1]


def test_what_does_not_fit_is_refused_where_it_is(tmp_path):
    path = tmp_path / "t.parquet"
    for values, kind in (([1, 2**63], pa.uint64()), ([2**60], pa.timestamp("ms"))):
        for dictionary in (False, True):
            pq.write_table(pa.table({"v": pa.array(values, kind)}), path, use_dictionary=dictionary)
            assert [error["error"] for error in Dump(path).errors()] == ["UNSUPPORTED"]


def test_memory_is_bounded(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"v": pa.array(["x" * 1000000] * 5)}), path, use_dictionary=False)
    assert "5000" in Dump(path, "--memory", 2000000).errors()[0]["message"]
    assert not Dump(path, "--memory", 6000000).errors()
    pq.write_table(pa.table({f"column {i}": pa.array([1]) for i in range(2000)}), path)
    assert Dump(path, "--memory", 400000).refused["refused"] == "UNSUPPORTED"


def test_few_bytes_do_not_become_many(tmp_path):
    """A long start that many values share: a batch ends early, and memory stays where it is."""
    path, values = tmp_path / "t.parquet", [None if i % 7 == 3 else "x" * 100000 + str(i) for i in range(100)]
    pq.write_table(pa.table({"v": pa.array(values)}), path, use_dictionary=False, column_encoding={"v": "DELTA_BYTE_ARRAY"},
                   data_page_size=2**30)
    dump = Dump(path, "--memory", 250000)
    assert not dump.errors() and dump.chunks[0][0]["values"] == [plain(value) for value in values]


def test_compressed_pages_that_say_they_are_not(tmp_path):
    """As Arrow wrote them before 3.0."""
    path = tmp_path / "t.parquet"
    table = pa.table({"v": pa.array([f"value {i}" for i in range(1000)])}, schema=pa.schema([pa.field("v", pa.string(), nullable=False)]))
    pq.write_table(table, path, data_page_version="2.0", compression="zstd", use_dictionary=False)
    data = path.read_bytes()
    flag = b"\x15\x00\x15\x00\x11"  # no bytes of levels, is_compressed true
    assert data.count(flag) == 1
    path.write_bytes(data.replace(flag, flag[:-1] + b"\x12"))
    assert Dump(path).chunks[0][0]["values"] == [plain(value) for value in table["v"].to_pylist()]


# --- Statistics and bloom filters -----------------------------------------------------------------------------------------

def test_statistics(tmp_path):
    path = tmp_path / "t.parquet"
    table = flat_table().append_column("day", pa.array(range(ROWS), pa.int32()).cast(pa.date32()))
    pq.write_table(table, path, row_group_size=ROWS // 3)
    dump, metadata = Dump(path), pq.ParquetFile(path).metadata
    forms = {"int": "<i", "date": "<i", "bigint": "<q", "timestamp": "<q", "double": "<d", "boolean": "<?"}
    told = 0
    for group, info in enumerate(dump.footer["groups"]):
        assert info["rows"] == metadata.row_group(group).num_rows
        for leaf, (described, chunk) in enumerate(zip(dump.leaves, info["chunks"])):
            column = metadata.row_group(group).column(leaf)
            stats, name = column.statistics, described["path"][0]
            values = [plain(v) for v in values_of(table.column(name).slice(group * (ROWS // 3), ROWS // 3)) if v is not None]
            assert chunk["values"] == column.num_values and chunk["compressed"] == column.total_compressed_size
            assert chunk["nulls"] == stats.null_count == ROWS // 3 - len(values)
            assert ("min" in chunk) == (stats.has_min_max and bool(values)), name
            if "min" not in chunk:
                continue
            told += 1
            if described["type"] == "string":
                assert (chunk["min"], chunk["max"]) == (min(values), max(values)), name
                continue
            low, high = (struct.unpack(forms[described["type"]], bytes.fromhex(chunk[key]))[0] for key in ("min", "max"))
            if described["type"] == "double":
                values = [struct.unpack(">d", bytes.fromhex(v))[0] for v in values if v != "nan"]
            assert (low, high) == (min(values), max(values)), name
    assert told > 60


def has(path, group, leaf, text):
    return json.loads(subprocess.run([DUMP, path, "--has", str(group), str(leaf), text], capture_output=True, text=True, check=True).stdout)


def check_bloom(path, leaf, values, group=0):
    assert all(has(path, group, leaf, value) is True for value in values)
    wrong = sum(has(path, group, leaf, f"no {i} {value}") is True for i, value in enumerate(values))
    assert wrong < len(values) / 3


def test_bloom_filter_of_pyarrow(tmp_path):
    path, values = tmp_path / "t.parquet", [f"key-{i}" for i in range(50)]
    pq.write_table(pa.table({"n": pa.array(range(50)), "v": pa.array(values)}), path, use_dictionary=False,
                   bloom_filter_options={"v": {"ndv": 100, "fpp": 0.01}})
    check_bloom(path, 1, values)
    assert has(path, 0, 0, "x")["error"] == "NOT_FOUND"


def test_bloom_filter_of_duckdb(tmp_path):
    import duckdb

    path = tmp_path / "t.parquet"
    duckdb.sql(f"copy (select 'key-' || (range % 50) as v from range(5000)) to '{path}' (format parquet)")
    check_bloom(path, 0, [f"key-{i}" for i in range(50)])


# --- Our own writer --------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def own_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    subprocess.run([harness.BINARY.parent / "tests/unit/parquet/parquet_cases", folder, "4", "1"], check=True)
    return folder


@pytest.mark.parametrize("name", ["nested", "nested_pages", "nested_zero", "fallback", "names", "pages", "empty_strings", "random_0001", "random_0004"])
def test_own_files(own_files, name):
    check(own_files / f"{name}.parquet", batches=(4096, 50))


# --- Other writers ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", ["V1", "V2"])
@pytest.mark.parametrize("codec", ["uncompressed", "snappy", "gzip", "zstd", "brotli", "lz4_raw"])
def test_duckdb(tmp_path, codec, version):
    import duckdb

    path = tmp_path / "t.parquet"
    flat, nested = flat_table(), nested_table()
    connection = duckdb.connect()
    connection.register("flat", flat)
    connection.register("nested", nested)
    options = f"format parquet, compression {codec}, parquet_version {version}, row_group_size 2048"
    connection.execute(f"copy flat to '{path}' ({options})")
    # DuckDB 2.0.0 packs differences of 32-bit columns into 33 bits, which pyarrow refuses.
    check(path, source=flat)
    connection.execute(f"copy nested to '{path}' ({options})")
    check(path, batches=(4096, 100))


@pytest.mark.parametrize("codec", ["uncompressed", "snappy", "gzip", "brotli", "lz4", "zstd"])
def test_polars(tmp_path, codec):
    import polars as pl

    path = tmp_path / "t.parquet"
    pl.from_arrow(flat_table()).write_parquet(path, compression=codec, row_group_size=2500, data_page_size=3000)
    check(path)
    nested = nested_table().drop_columns(["map", "maps"])
    pl.from_arrow(nested).write_parquet(path, compression=codec, row_group_size=700)
    check(path, batches=(4096, 100))


SPARK = {  # name -> settings, options of the writer
    "snappy": ({}, {}),
    "gzip": ({}, {}),
    "zstd": ({}, {"parquet.page.size": "2000", "parquet.page.row.count.limit": "300"}),
    "lz4": ({}, {"parquet.enable.dictionary": "false"}),
    "lz4_raw": ({}, {"parquet.writer.version": "v2"}),
    "uncompressed": ({"spark.sql.parquet.outputTimestampType": "TIMESTAMP_MILLIS"}, {"parquet.writer.version": "v2", "parquet.enable.dictionary": "false"}),
}


@pytest.fixture(scope="module")
def spark_input(tmp_path_factory):
    """What Spark is to write, as files it can read itself."""
    folder = tmp_path_factory.mktemp("spark")
    keep = [name for name in flat_table().column_names if not name.startswith("u") and name != "ts_ns"]
    pq.write_table(flat_table().select(keep), folder / "flat.parquet")
    pq.write_table(nested_table(), folder / "nested.parquet")
    return folder


@pytest.mark.parametrize("kind", ["flat", "nested"])
@pytest.mark.parametrize("codec", SPARK)
def test_spark(tmp_path, spark_input, codec, kind):
    spark = readers._spark()
    settings, options = SPARK[codec]
    before = {name: spark.conf.get(name, None) for name in ("spark.sql.parquet.outputTimestampType", *settings)}
    spark.conf.set("spark.sql.parquet.outputTimestampType", "INT96")
    for name, value in settings.items():
        spark.conf.set(name, value)
    try:
        frame = spark.read.parquet(str(spark_input / f"{kind}.parquet")).coalesce(1)
        frame.write.options(compression=codec, **options).parquet(str(tmp_path / "out"))
    finally:
        for name, value in before.items():
            spark.conf.unset(name) if value is None else spark.conf.set(name, value)
    path, = (tmp_path / "out").glob("*.parquet")
    assert pq.ParquetFile(path).metadata.created_by.startswith("parquet-mr")
    check(path, batches=(4096, 100), coerce_int96_timestamp_unit="us")


def test_bloom_filter_of_spark(tmp_path):
    spark, values = readers._spark(), [f"key-{i}" for i in range(50)]
    frame = spark.createDataFrame([(value,) for value in values], "v string").coalesce(1)
    frame.write.options(**{"parquet.bloom.filter.enabled#v": "true", "parquet.bloom.filter.expected.ndv#v": "50",
                           "parquet.enable.dictionary": "false"}).parquet(str(tmp_path / "out"))
    path, = (tmp_path / "out").glob("*.parquet")
    check_bloom(path, 0, values)


# --- Files of apache/parquet-testing ----------------------------------------------------------------------------------------

REFUSED = ("FIXED_LEN_BYTE_ARRAY", "DECIMAL")
# What pyarrow does not read as it is, or at all.
SPECIAL = {"int96_from_spark", "incorrect_map_schema", "large_string_map.brotli", "rle-dict-uncompressed-corrupt-checksum",
           "encrypt_columns_and_footer", "encrypt_columns_plaintext_footer"}


def vectors(folder):
    return sorted(path.name for path in (VECTORS / folder).iterdir())


@pytest.mark.parametrize("name", [name for name in vectors("data") if name.split(".parquet")[0] not in SPECIAL])
def test_good_vectors(name):
    check(VECTORS / "data" / name, batches=(4096, 3), refused=REFUSED)


def test_times_of_spark_beyond_the_reach_of_nanoseconds():
    dump = Dump(VECTORS / "data/int96_from_spark.parquet")
    assert dump.chunks[0][0]["values"] == [1704141296123456, 1704070800000000, 253402225200000000, 1735599600000000, None, 9089380393200000000]


def test_map_without_required_keys():
    import duckdb

    path = VECTORS / "data/incorrect_map_schema.parquet"
    maps = [row[0] for row in duckdb.sql(f"select * from '{path}'").fetchall()]
    keys, values = Dump(path).chunks[0]
    assert keys["values"] == [plain(key) for row in maps for key in row]
    assert values["values"] == [plain(value) for row in maps for value in row.values()]


def test_page_of_a_gigabyte_in_two_kilobytes():
    error, = Dump(VECTORS / "data/large_string_map.brotli.parquet").errors()[:1]
    assert error["error"] == "UNSUPPORTED" and "1073741828 bytes (1627 compressed)" in error["message"]


def test_wrong_checksums_are_found():
    dump = Dump(VECTORS / "data/rle-dict-uncompressed-corrupt-checksum.parquet")
    assert [error["error"] for error in dump.errors()] == ["CORRUPT", "CORRUPT"]
    assert all("CRC" in error["message"] and error["offset"] in (4, 57) for error in dump.errors())


@pytest.mark.parametrize("name", ["encrypt_columns_and_footer", "encrypt_columns_plaintext_footer"])
def test_encrypted_files_are_refused_by_name(name):
    refused = Dump(VECTORS / f"data/{name}.parquet.encrypted").refused
    assert refused["refused"] == "UNSUPPORTED" and "encrypted" in refused["message"]


BAD = {  # name -> what is said
    "ARROW-GH-43605.parquet": None,  # indices of 0 bits: right, if odd
    "ARROW-GH-45185.parquet": ("CORRUPT", "begins in the middle of a row"),
    "ARROW-GH-47662.parquet": ("UNSUPPORTED", "FIXED_LEN_BYTE_ARRAY(4)"),
    "ARROW-RS-GH-6229-DICTHEADER.parquet": ("CORRUPT", "does not lie in the file"),
    "ARROW-RS-GH-6229-LEVELS.parquet": ("CORRUPT", "a page has 21 values, and the column 1 more"),
    "PARQUET-1481.parquet": ("CORRUPT", "has the type -7"),
}


@pytest.mark.parametrize("name", vectors("bad_data"))
def test_bad_vectors(name):
    path = VECTORS / "bad_data" / name
    if BAD[name] is None:
        check(path)
        return
    dump = Dump(path)
    said = dump.refused or dump.errors()[0]
    assert (said.get("refused") or said["error"], BAD[name][1] in said["message"]) == (BAD[name][0], True), said
