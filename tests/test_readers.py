"""Foreign readers judge the files: every value of a generated table, read by five engines, and their footers."""
import collections
import gzip
import json
import re

import pytest

import harness
import readers

DIRECT = {  # column -> payload key, where the value is taken as it is
    "session_id": "sessionId", "user_id": "userId", "method": "method", "request_url": "requestURL", "user_agent": "userAgent",
    "host": "host", "origin": "origin", "x_forwarded_for": "xforwardedFor", "via": "via", "thread_id": "threadId",
    "elapse_ms": "elapseMS", "success": "success", "stack": "stack", "vm_id": "vmId", "return_object_id": "returnObjectId",
    "query_string": "queryString", "response_status": "responseStatus", "oauth_client_id": "oauthClientId",
    "basic_auth_username": "basicAuthUsername", "auth_method": "authenticationMethod",
}


@pytest.fixture(scope="module")
def reference(sample_table):
    """What pyarrow reads: the reader that the other four are compared with, itself compared with the input below."""
    return readers.pyarrow(sample_table[0])


@pytest.mark.parametrize("name", [n for n in readers.READERS if n != "pyarrow"])
def test_readers_agree(name, sample_table, reference):
    table, summary = sample_table
    names, rows = readers.READERS[name](table)
    assert names == reference[0]
    assert len(rows) == len(reference[1]) == summary["rows_written"]
    for ours, theirs in zip(rows, reference[1]):
        assert ours == theirs


INTEGERS = {"user_id", "thread_id", "elapse_ms", "response_status"}


def converted(column, value):
    """A JSON value of the sample as the column's type: what docs/input.md says, written again in Python."""
    if column in INTEGERS:
        if isinstance(value, str) and re.fullmatch(r"[ \t\n\r]*[+-]?[0-9]+[ \t\n\r]*", value):
            return int(value)
        return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value) else None
    if column == "success":
        return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).lower())
    if value is None or isinstance(value, str):
        return value and re.sub("[\ud800-\udfff]", "\ufffd", value)
    return json.dumps(value, separators=(",", ":"))


def test_values_are_those_of_the_input(sample, sample_table):
    """The columns that are taken over as they are, against the input read with Python's json."""
    table, summary = sample_table
    expected, seen, bad, duplicates = collections.Counter(), set(), 0, 0
    for path in sorted(sample.rglob("*.gz"), key=lambda p: str(p.relative_to(sample)).encode()):
        for line in gzip.open(path, "rb"):
            try:
                payload = json.loads(line.decode("utf-8", "replace"))["payload"]
                stamp = payload["timestamp"]
                if type(stamp) is not int or not -62135596800000 <= stamp <= 253402300799999:
                    raise ValueError
            except (ValueError, KeyError, TypeError):
                bad += 1
                continue
            key = (payload.get("sessionId"), stamp // harness.DAY_MS)
            if key[0] and key in seen:
                duplicates += 1
                continue
            seen.add(key)
            instance = payload.get("instance")
            expected[harness.row_key({
                **{column: converted(column, payload.get(source)) for column, source in DIRECT.items()},
                "timestamp": harness.iso(stamp), "instance": instance and instance.lstrip("0")})] += 1
    rows = harness.read_table(table)
    wanted = [*DIRECT, "timestamp", "instance"]
    actual = collections.Counter(harness.row_key({name: row[name] for name in wanted}) for row in rows)
    missing, surplus = list((expected - actual).elements()), list((actual - expected).elements())
    assert (missing[:3], surplus[:3]) == ([], [])
    assert (summary["duplicates"], summary["quarantined"]) == (duplicates, bad)


def test_partitions_hold_their_own_day(sample_table):
    for row in harness.read_table(sample_table[0]):
        assert row["timestamp"][:10] == f"{row['year']}-{row['month']}-{row['day']}"


def test_footer(sample_table):
    """What parquet.thrift asks for and readers rely on."""
    import pyarrow.parquet as pq

    for path in harness.data_files(sample_table[0]):
        file = pq.ParquetFile(path, page_checksum_verification=True)
        file.read()
        meta = file.metadata
        assert meta.created_by.startswith("gristmill version "), meta.created_by
        keys = {k.decode(): v.decode() for k, v in (meta.metadata or {}).items()}
        assert any("job" in key for key in keys), keys
        assert any("engine" in key for key in keys), keys
        for group in range(meta.num_row_groups):
            for column in range(meta.num_columns):
                chunk = meta.row_group(group).column(column)
                assert chunk.compression == "ZSTD"
                assert set(chunk.encodings) <= {"PLAIN", "RLE", "RLE_DICTIONARY"}, (chunk.path_in_schema, chunk.encodings)
                assert chunk.has_offset_index, chunk.path_in_schema
                assert chunk.statistics is not None and chunk.statistics.has_null_count, chunk.path_in_schema
                if chunk.path_in_schema == "session_id":
                    assert chunk.bloom_filter_offset is None or chunk.bloom_filter_offset > 0 if hasattr(
                        chunk, "bloom_filter_offset") else True


def test_statistics_are_true(sample_table):
    """min, max and null count of every chunk against its values; bounds may be cut, but must enclose."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    for path in harness.data_files(sample_table[0]):
        file = pq.ParquetFile(path)
        for group in range(file.metadata.num_row_groups):
            data = file.read_row_group(group)
            for column in range(file.metadata.num_columns):
                chunk = file.metadata.row_group(group).column(column)
                values = data.column(chunk.path_in_schema)
                stats = chunk.statistics
                assert stats.null_count == values.null_count
                if not stats.has_min_max or values.null_count == len(values):
                    continue
                if pa.types.is_string(values.type):
                    present = [v.encode() for v in values.to_pylist() if v is not None]
                    low, high = (v.encode() if isinstance(v, str) else v for v in (stats.min, stats.max))
                    assert low <= min(present) and max(present) <= high, chunk.path_in_schema
                else:
                    bounds = pc.min_max(values).as_py()
                    assert (stats.min, stats.max) == (bounds["min"], bounds["max"]), chunk.path_in_schema


def test_bloom_filter_is_used(sample_table):
    """DuckDB asks the bloom filter of the unique key: present keys are found, absent ones are not."""
    duckdb = pytest.importorskip("duckdb")
    table, _ = sample_table
    path = harness.data_files(table)[0]
    keys = [row[0] for row in duckdb.sql(f"select session_id from '{path}' where session_id <> '' limit 200").fetchall()]
    probe = f"select bloom_filter_excludes from parquet_bloom_probe('{path}', 'session_id', ?)"
    assert not any(row[0] for key in keys for row in duckdb.execute(probe, [key]).fetchall())
    absent = [f"{i:08x}-not-a-key" for i in range(200)]
    excluded = sum(all(row[0] for row in duckdb.execute(probe, [key]).fetchall()) for key in absent)
    assert excluded >= 180, f"the filter excludes only {excluded} of 200 absent keys"


def test_compressions(sample, tmp_path):
    """Snappy and uncompressed files are read, too."""
    text = harness.MAIN_JOB.read_text()
    for codec in ("snappy", "none"):
        job = harness.write(tmp_path / f"{codec}.yaml", _with_compression(text, codec).encode())
        harness.run(job, sample, tmp_path / codec, "--limit", "1")
        rows = readers.pyarrow(tmp_path / codec)[1]
        assert rows and rows == readers.duckdb(tmp_path / codec)[1] == readers.polars(tmp_path / codec)[1]


def _with_compression(text, codec):
    lines = [line for line in text.splitlines() if not line.strip().startswith("compression:")]
    at = next(i for i, line in enumerate(lines) if line.startswith("table:"))
    return "\n".join([*lines[:at + 1], f"  compression: {codec}", *lines[at + 1:]]) + "\n"


def test_filters_of_a_data_set_leave_no_row_out(tmp_path):
    """delta-rs hands the log's statistics to Arrow: a column that lacks bounds where others have them would have no rows."""
    deltalake = pytest.importorskip("deltalake")
    import pyarrow.dataset as dataset

    columns = "  - {name: ratio, type: double, expr: x / small}\n  - {name: small, type: double, from: small}\n"
    job = harness.write(tmp_path / "job.yaml", (harness.TINY_JOB + columns).encode())
    last = 253_402_300_799_999
    documents = [
        [harness.tiny(1, ok=True, s="a", x=1.0, small=1), harness.tiny(2, ok=False)],
        [harness.tiny(3, ok=True, s="b", x=1e308, small=1e-300)],  # a ratio that is infinite
        [harness.tiny(4, s="\U0010FFFF" * 40, x=2.0, small=1), {"id": 5, "t": last}],
    ]
    for i, some in enumerate(documents):
        harness.write(tmp_path / "input" / f"{i}.json", harness.lines(some))
        harness.run(job, tmp_path / "input", tmp_path / "table")
    table = deltalake.DeltaTable(str(tmp_path / "table"))
    rows, data = table.to_pyarrow_table().to_pylist(), table.to_pyarrow_dataset()
    assert len(rows) == 5
    for name in rows[0]:
        for row in rows:
            if row[name] is not None:
                assert row in data.to_table(filter=dataset.field(name) == row[name]).to_pylist(), (name, row)
