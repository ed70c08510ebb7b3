"""Foreign readers judge the Parquet writer. tests/unit/parquet/cases.c writes files and, beside them, the rows that must be
read; pyarrow, DuckDB, Polars, ClickHouse and Spark read the files; and the metadata that no reader shows is checked byte by
byte (parquet_file.py)."""
import functools
import json
import math
import struct
import subprocess

import pytest

import harness
import readers
from parquet_file import File

SEEDS = 24
FLAT = ["zero_rows", "one_row", "all_null", "few_zstd", "few_snappy", "many_none", "many_zstd", "full_snappy", "wide", "groups", "fallback",
        "empty_strings", "huge", "pages", "names", "bloom", "compact"] + [f"random_{seed:04}" for seed in range(1, SEEDS + 1)]
NESTED = ["nested", "nested_pages", "nested_zero"]


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parquet")
    subprocess.run([harness.BINARY.parent / "tests/unit/parquet/parquet_cases", folder, str(SEEDS), "1"], check=True)
    return folder


@functools.cache
def expected_rows(path):
    with open(path, encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def expected(cases, name):
    """Column name -> values."""
    rows = expected_rows(cases / f"{name}.jsonl")
    return {column: [row[column] for row in rows] for column in types(cases, name)}


def types(cases, name):
    return json.loads((cases / f"{name}.schema.json").read_text(encoding="utf-8"))


def double_text(value):
    """The form in which the expected rows hold doubles: -0.0 and 0.0 differ, NaNs do not."""
    return None if value is None else "nan" if math.isnan(value) else struct.pack(">d", value).hex()


# --- Values -------------------------------------------------------------------------------------------------------------

def from_arrow(table, kinds):
    """Column name -> values in the form of the expected rows."""
    import pyarrow as pa

    columns = {}
    for name, kind in kinds.items():
        column = table.column(name)
        if kind == "timestamp":
            assert pa.types.is_timestamp(column.type) and column.type.tz is not None, column.type
            column = column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.int64())
        elif kind == "date":
            assert pa.types.is_date(column.type), column.type
            column = column.cast(pa.date32()).cast(pa.int32())
        values = column.to_pylist()
        columns[name] = [double_text(value) for value in values] if kind == "double" else values
    return columns


def read_pyarrow(path, kinds):
    import pyarrow.parquet as pq

    table = pq.read_table(path, page_checksum_verification=True)
    want = {"boolean": "bool", "int": "int32", "bigint": "int64", "double": "double", "string": "string", "date": "date32[day]",
            "timestamp": "timestamp[us, tz=UTC]"}
    assert {field.name: str(field.type) for field in table.schema} == {name: want[kind] for name, kind in kinds.items()}
    return from_arrow(table, kinds)


def read_duckdb(path, kinds):
    import duckdb

    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    want = {"boolean": "BOOLEAN", "int": "INTEGER", "bigint": "BIGINT", "double": "DOUBLE", "string": "VARCHAR", "date": "DATE",
            "timestamp": "TIMESTAMP WITH TIME ZONE"}
    relation = connection.sql(f"select * from read_parquet('{path}')")
    assert dict(zip(relation.columns, map(str, relation.types))) == {name: want[kind] for name, kind in kinds.items()}
    table = relation.to_arrow_table() if hasattr(relation, "to_arrow_table") else relation.arrow()
    return from_arrow(table, kinds)


def read_polars(path, kinds):
    import polars

    return from_arrow(polars.read_parquet(path).to_arrow(), kinds)


def read_chdb(path, kinds):
    import pyarrow as pa
    from chdb import query

    # Times as numbers: ClickHouse's own calendar types do not reach from year 1 to 9999.
    fields = ", ".join(f"toUnixTimestamp64Micro(`{n}`) as `{n}`" if kind == "timestamp" else f"`{n}`" for n, kind in kinds.items())
    structure = {"boolean": "Bool", "int": "Int32", "bigint": "Int64", "double": "Float64", "string": "String", "date": "Int32",
                 "timestamp": "DateTime64(6, 'UTC')"}
    columns = ", ".join(f"`{n}` Nullable({structure[kind]})" for n, kind in kinds.items())
    answer = query(f"select {fields} from file('{path}', Parquet, '{columns.replace(chr(39), chr(39) * 2)}') settings max_threads = 1, "
                   "input_format_parquet_preserve_order = 1, output_format_arrow_string_as_string = 1", "ArrowStream")
    table = pa.ipc.open_stream(pa.py_buffer(answer.bytes())).read_all()
    return from_arrow(table, {n: "bigint" if kind in ("timestamp", "date") else kind for n, kind in kinds.items()})


def quoted(name):
    return "`" + name.replace("`", "``") + "`"


def read_pyspark(path, kinds):
    spark = readers._spark()
    spark.conf.set("spark.sql.parquet.datetimeRebaseModeInRead", "CORRECTED")
    frame = spark.read.parquet(str(path))
    assert dict(frame.dtypes) == kinds
    shown = {"timestamp": "unix_micros({0}) as {0}", "date": "unix_date({0}) as {0}"}
    rows = frame.selectExpr(*(shown.get(kind, "{0}").format(quoted(name)) for name, kind in kinds.items())).collect()
    columns = {name: [row[i] for row in rows] for i, name in enumerate(kinds)}
    return {name: [double_text(v) for v in values] if kinds[name] == "double" else values for name, values in columns.items()}


READ = {"pyarrow": read_pyarrow, "duckdb": read_duckdb, "polars": read_polars, "chdb": read_chdb, "pyspark": read_pyspark}


@pytest.mark.parametrize("reader", READ)
@pytest.mark.parametrize("name", FLAT)
def test_values(cases, name, reader):
    got, want = READ[reader](cases / f"{name}.parquet", types(cases, name)), expected(cases, name)
    assert got.keys() == want.keys()
    for column in want:
        assert len(got[column]) == len(want[column])
        wrong = [i for i, (a, b) in enumerate(zip(got[column], want[column])) if a != b]
        assert not wrong, f"{column}[{wrong[0]}]: {got[column][wrong[0]]!r:.200}, not {want[column][wrong[0]]!r:.200}; {len(wrong)} in all"


def plain(value):
    """A nested value in the form of the expected rows."""
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def nested_pyarrow(path):
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pylist()


def with_pairs(row):
    """The map as a list of pairs, sorted: not every reader keeps its order."""
    pairs = row["attrs"].items() if isinstance(row["attrs"], dict) else row["attrs"]
    return dict(row, attrs=None if pairs is None else sorted(map(list, pairs)))


def nested_duckdb(path):
    import duckdb

    relation = duckdb.connect().sql(f"select * from read_parquet('{path}')")
    return [dict(zip(relation.columns, row)) for row in relation.fetchall()]


def nested_pyspark(path):
    frame = readers._spark().read.parquet(str(path))
    return [row.asDict(recursive=True) for row in frame.collect()]


def nested_polars(path):
    import polars

    return polars.read_parquet(path).to_dicts()


@pytest.mark.parametrize("reader", [nested_pyarrow, nested_duckdb, nested_pyspark, nested_polars])
@pytest.mark.parametrize("name", NESTED)
def test_nested_values(cases, name, reader):
    got, want = reader(cases / f"{name}.parquet"), expected_rows(cases / f"{name}.jsonl")
    assert len(got) == len(want)
    for a, b in zip(got, want):
        assert with_pairs(plain(a)) == with_pairs(b)


# --- Metadata -----------------------------------------------------------------------------------------------------------

PHYSICAL = {"boolean": 0, "int": 1, "bigint": 2, "double": 5, "string": 6, "date": 1, "timestamp": 2}


def plain_bytes(kind, value):
    """A value as statistics hold it."""
    if kind == "boolean":
        return bytes([value])
    if kind == "double":
        return bytes.fromhex(value)[::-1]
    if kind == "string":
        return value.encode()
    return struct.pack("<i" if PHYSICAL[kind] == 1 else "<q", value)


def order_of(kind, data):
    """A sort key for what statistics hold."""
    if kind == "boolean":
        return data[0]
    if kind == "double":
        return struct.unpack("<d", data)[0]
    return data if kind == "string" else int.from_bytes(data, "little", signed=True)


def check_bounds(kind, values, low, high, limit, low_exact=None, high_exact=None):
    """Bounds of values that are neither null nor NaN."""
    keys = [order_of(kind, plain_bytes(kind, value)) for value in values]
    least, most = min(keys), max(keys)
    assert order_of(kind, low) <= least and order_of(kind, high) >= most
    if kind == "string":
        assert len(low) <= limit and len(high) <= limit
        low.decode(), high.decode()
        assert len(least) > limit or low == least
        assert len(most) > limit or high == most
        assert low_exact in (None, len(least) <= limit) and high_exact in (None, len(most) <= limit)
    else:
        assert order_of(kind, low) == least and order_of(kind, high) == most
        assert low_exact in (None, True) and high_exact in (None, True)
    if kind == "double":
        assert least != 0 or low == struct.pack("<d", -0.0)
        assert most != 0 or high == struct.pack("<d", 0.0)


def check_statistics(kind, meta, values):
    stats, real = meta[12], [v for v in values if v is not None and v != "nan"]
    if kind == "string":
        real = [v for v in values if v is not None]
    assert 1 not in stats and 2 not in stats, "the deprecated bounds have the wrong order"
    assert stats[3] == values.count(None)
    if kind == "double":
        assert stats[9] == values.count("nan")
    if real and 5 in stats:
        check_bounds(kind, real, stats[6], stats[5], 256, stats[8], stats[7])
    else:
        assert 5 not in stats and 6 not in stats
        assert not real or kind == "string" and max(v.encode() for v in real).startswith(b"\xf4\x8f\xbf\xbf")


def check_page_index(file, kind, group, chunk, values):
    pages = [page for page in file.pages(chunk) if page[1][1] == 0]
    places = file.structure(chunk[4], chunk[5])[1]
    assert [(place[1], place[2]) for place in places] == [(at, size) for at, _, size in pages]
    starts = [place[3] for place in places] + [group[3]]
    assert starts[0] == 0 and starts == sorted(set(starts))
    assert [page[1][5][1] for page in pages] == [b - a for a, b in zip(starts, starts[1:])]
    parts = [values[a:b] for a, b in zip(starts, starts[1:])]
    reals = [[v for v in part if v is not None and (kind != "double" or v != "nan")] for part in parts]
    if 6 not in chunk:
        odd = [real for part, real in zip(parts, reals) if not real and part.count(None) < len(part)]
        assert odd or kind == "string" and any(max(v.encode() for v in r).startswith(b"\xf4\x8f\xbf\xbf" * 16) for r in reals if r)
        return
    index = file.structure(chunk[6], chunk[7])
    assert index[1] == [not real for real in reals]
    assert index[5] == [part.count(None) for part in parts]
    assert (8 in index) == (kind == "double")
    if kind == "double":
        assert index[8] == [part.count("nan") for part in parts]
    keys = []
    for real, low, high in zip(reals, index[2], index[3]):
        if real:
            check_bounds(kind, real, low, high, 64)
            keys.append((order_of(kind, low), order_of(kind, high)))
        else:
            assert low == high == b""
    up = all(a[0] <= b[0] and a[1] <= b[1] for a, b in zip(keys, keys[1:]))
    down = all(a[0] >= b[0] and a[1] >= b[1] for a, b in zip(keys, keys[1:]))
    assert index[4] == (1 if up else 2 if down else 0)


DELTAS = {"boolean": {3}, "int": {5}, "bigint": {5}, "double": set(), "string": {6, 7}, "date": {5}, "timestamp": {5}}


def is_compact(name):
    """Written in the compact profile: see model_random."""
    return name == "compact" or name.startswith("random_") and int(name.removeprefix("random_")) % 2 == 1


def check_encodings(kind, meta, headers, compact):
    """One encoding for all data pages, and the metadata says so."""
    dictionary = 11 in meta
    assert [h[1] for h in headers] == ([2] if dictionary else []) + [0] * (len(headers) - dictionary)
    encoding = headers[dictionary][5][2]
    assert encoding in ({8} if dictionary else {0} | DELTAS[kind] if compact else {0})
    assert all(h[5][2] == encoding and h[5][3] == h[5][4] == 3 for h in headers[dictionary:])
    assert sorted(meta[2]) == sorted({0, 3, 8} if dictionary else {encoding, 3})
    stats = {(s[1], s[2]): s[3] for s in meta[13]}
    assert stats == ({(2, 0): 1, (0, 8): len(headers) - 1} if dictionary else {(0, encoding): len(headers)})
    if dictionary:
        assert headers[0][7][2] == 0 and headers[0][7][1] > 0


@pytest.mark.parametrize("name", FLAT)
def test_metadata(cases, name):
    file, kinds, want = File(cases / f"{name}.parquet"), types(cases, name), expected(cases, name)
    footer, names = file.footer, list(kinds)
    rows = len(next(iter(want.values())))
    assert footer[1] == 1 and footer[3] == rows
    assert footer[6] == b"gristmill version 0.1.0 (build test)"
    assert [(pair[1], len(pair[2])) for pair in footer[5]] == [(b"gristmill.job", 4), (b"gristmill.content_hash", 32)]
    assert footer[7] == [{1: {}}] * len(names)
    assert footer[2][0] == {4: b"schema", 5: len(names)}
    assert [(node[4].decode(), node[1]) for node in footer[2][1:]] == [(n, PHYSICAL[kinds[n]]) for n in names]
    first, end = 0, 4
    for number, group in enumerate(footer[4]):
        assert group[5] == end and group[7] == number
        assert group[6] == sum(chunk[3][7] for chunk in group[1]) and group[2] == sum(chunk[3][6] for chunk in group[1])
        for column, chunk in zip(names, group[1]):
            meta, values = chunk[3], want[column][first:first + group[3]]
            assert chunk[2] == 0 and meta[3] == [column.encode()] and meta[5] == group[3]
            assert meta.get(11, meta[9]) == end and meta[9] >= end
            headers = [header for _, header, _ in file.pages(chunk)]
            check_encodings(kinds[column], meta, headers, is_compact(name))
            assert 11 not in meta or next(file.pages(chunk))[2] == meta[9] - meta[11]
            check_statistics(kinds[column], meta, values)
            check_page_index(file, kinds[column], group, chunk, values)
            end += meta[7]
        for chunk in group[1]:
            if 14 in chunk[3]:
                assert chunk[3][14] == end
                end += chunk[3][15]
        first += group[3]
    assert first == rows
    assert end + sum(chunk.get(5, 0) + chunk.get(7, 0) for _, _, chunk in file.chunks()) == file.footer_start


def test_dictionary_verdicts(cases):
    """What repeats gets a dictionary; what stops repeating far into the chunk has none at all."""
    chunks = [chunk for _, _, chunk in File(cases / "fallback.parquet").chunks()]
    assert {chunk[3][3][0]: 11 in chunk[3] for chunk in chunks} == {b"text": False, b"number": False, b"kept": True}


def test_compact_encodings(cases):
    """Each encoding is chosen where it is made for; noise stays as it is."""
    found = {chunk[3][3][0].decode(): chunk[3][13][-1][2] for number, _, chunk in File(cases / "compact.parquet").chunks() if number == 0}
    numbers = dict.fromkeys(["wrap", "wrap32", "jump", "jump32", "seen", "late", "day"], 5)
    assert found == {**numbers, "path": 7, "uuid": 6, "url": 8, "skew": 8, "flag": 3, "noise": 0}


def test_spark_without_vectors(cases):
    spark = readers._spark()
    spark.conf.set("spark.sql.parquet.enableVectorizedReader", "false")
    try:
        for name in ["compact", "random_0001", "random_0003"]:
            assert read_pyspark(cases / f"{name}.parquet", types(cases, name)) == expected(cases, name)
    finally:
        spark.conf.unset("spark.sql.parquet.enableVectorizedReader")


@pytest.mark.parametrize("name", ["bloom", "names"] + [f"random_{seed:04}" for seed in range(1, SEEDS + 1)])
def test_bloom_filters(cases, name):
    """Each value of the row group is in its filter, and few others are."""
    file, kinds, want = File(cases / f"{name}.parquet"), types(cases, name), expected(cases, name)
    first = 0
    for group in file.footer[4]:
        for column, chunk in zip(kinds, group[1]):
            bloom = file.bloom(chunk)
            if bloom is None:
                continue
            values = {v for v in want[column][first:first + group[3]] if v is not None and v != "nan"}
            assert all(bloom.may_hold(plain_bytes(kinds[column], value)) for value in list(values)[:2000])
            if name == "bloom" and column == "key":
                strangers = sum(bloom.may_hold(f"stranger-{i}".encode()) for i in range(3000))
                assert strangers < 3000 * 0.02
        first += group[3]
    assert name != "bloom" or all(14 in chunk[3] for _, _, chunk in file.chunks())


# --- Skipping -----------------------------------------------------------------------------------------------------------
# Statistics, page index, dictionaries and bloom filters let readers skip: they must find all the same what there is.

CONDITIONS = {
    "pages": ["up = 12340", "up between 4990 and 5010", "up > 39980", "up < 0", "same = 42", "same <> 42", "mixed = -1999", "mixed > 1990",
              "gaps = 'pa'", "gaps is null", "gaps > 'page'", "zeros = 0", "zeros < 0", "zeros >= 0", "nans = 100", "nans > 3990",
              "prefix > 'p'", "prefix is not null"],
    "bloom": ["key = '00000000-key-0'", "key = 'nothing'", "number = 1000003", "number = 5", "few = 'few-3'", "few = 'few-11'"],
    "few_zstd": ["c_string = ''", "c_string > 'a'", "c_bigint > 500000000000", "c_boolean", "c_int is null", "c_double < 0"],
}


def matches(want, condition):
    import sqlite3

    db = sqlite3.connect(":memory:")
    db.execute(f"create table t ({', '.join(want)})")
    columns = [[None if v is None else struct.unpack('>d', bytes.fromhex(v))[0] if kind == "double" and v != "nan" else v for v in values]
               for values, kind in want.values()]
    db.executemany(f"insert into t values ({', '.join('?' * len(want))})", zip(*columns))
    return db.execute(f"select count(*) from t where {condition}").fetchall()[0][0]


@pytest.mark.parametrize("reader", ["duckdb", "polars", "chdb", "pyspark"])
@pytest.mark.parametrize("name", CONDITIONS)
def test_filters(cases, name, reader):
    path, kinds, want = cases / f"{name}.parquet", types(cases, name), expected(cases, name)
    for condition in CONDITIONS[name]:
        used = {n: (want[n], kinds[n]) for n in want if n in condition}
        if "nan" in str(condition):
            # SQLite has no NaN; engines disagree on its order. Equality and what lies in other pages is the same for all.
            count = sum(1 for v in want["nans"] if v != "nan" and eval(condition.replace("nans", "x").replace(" = ", " == "),
                                                                      {"x": struct.unpack(">d", bytes.fromhex(v))[0]}))
            condition = f"({condition}) and nans <= 1e300"
        else:
            count = matches(used, condition)
        assert count_where(reader, path, condition) == count, condition


def count_where(reader, path, condition):
    if reader == "duckdb":
        import duckdb

        return duckdb.connect().sql(f"select count(*) from read_parquet('{path}') where {condition}").fetchall()[0][0]
    if reader == "chdb":
        from chdb import query

        return int(query(f"select count() from file('{path}', Parquet) where {condition} settings session_timezone = 'UTC'", "CSV").bytes())
    if reader == "polars":
        import polars

        return polars.SQLContext(t=polars.scan_parquet(path)).execute(f"select count(*) as n from t where {condition}").collect()["n"][0]
    frame = readers._spark().read.parquet(str(path))
    return frame.where(condition).count()


def test_duckdb_uses_the_bloom_filter(cases):
    import duckdb

    probe = "select bloom_filter_excludes from parquet_bloom_probe('{}', 'key', '{}')"
    excludes = [row[0] for row in duckdb.connect().sql(probe.format(cases / "bloom.parquet", "00000000-key-0")).fetchall()]
    assert excludes[0] is False
    excludes = [row[0] for row in duckdb.connect().sql(probe.format(cases / "bloom.parquet", "stranger-77")).fetchall()]
    assert all(excludes) and len(excludes) == 3
