"""Files that others put into the table's folders without a commit: the next run makes them part of the table, or says why not."""
import datetime
import os
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import harness

deltalake = pytest.importorskip("deltalake")
JOB = harness.TINY_JOB.replace("  partition_by:", "  unique_by: [id]\n  partition_by:")
DAY = "day=2024-03-10"
SCHEMA = pa.schema([("id", pa.int64()), ("timestamp", pa.timestamp("us", tz="UTC")), ("s", pa.string()), ("ok", pa.bool_()), ("x", pa.float64())])


@pytest.fixture
def job(tmp_path):
    return harness.write(tmp_path / "job.yaml", JOB.encode())


def rows(ids):
    day = datetime.datetime(2024, 3, 10, tzinfo=datetime.timezone.utc)
    return pa.table({"id": list(ids), "timestamp": [day] * len(ids), "s": ["foreign"] * len(ids), "ok": [True] * len(ids), "x": [1.5] * len(ids)}, SCHEMA)


def put(path, table, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def delta_ids(table):
    from urllib.parse import unquote

    log = deltalake.DeltaTable(str(table))
    ids = [i for uri in log.file_uris() for i in pq.ParquetFile(unquote(uri.removeprefix("file://"))).read(["id"])["id"].to_pylist()]
    return sorted(ids)


def hive_ids(table):
    return sorted(row["id"] for row in harness.read_table(table))


def by_pyarrow(path, ids):
    put(path, rows(ids), compression="gzip", data_page_version="2.0", use_dictionary=False, column_encoding={"id": "DELTA_BINARY_PACKED"})


def by_duckdb(path, ids):
    import duckdb

    path.parent.mkdir(parents=True, exist_ok=True)
    source = rows(ids)  # noqa: F841 - DuckDB finds it by its name
    duckdb.sql(f"copy (select * from source) to '{path}' (format parquet, codec 'snappy')")


def by_polars(path, ids):
    import polars

    path.parent.mkdir(parents=True, exist_ok=True)
    polars.from_arrow(rows(ids)).write_parquet(path, compression="lz4")


@pytest.mark.parametrize("writer", [by_pyarrow, by_duckdb, by_polars])
def test_rows_of_others_are_rows_of_the_table(writer, job, source, table):
    harness.write(source / "a.json", harness.lines([harness.tiny(i) for i in range(10)]))
    harness.run(job, source, table)
    writer(table / DAY / "part-0001.parquet", range(100, 110))
    harness.write(source / "b.json", harness.lines([harness.tiny(i) for i in (*range(5, 15), *range(105, 115))]))
    result = harness.run(job, source, table)
    assert "part-0001.parquet" in result.err
    assert (result.json["rows_written"], result.json["duplicates"]) == (10, 10)
    expected = sorted([*range(15), *range(100, 115)])
    assert hive_ids(table) == delta_ids(table) == expected
    assert harness.run(job, source, table).json["committed"] is False


def test_a_table_that_was_there_before(job, source, table):
    """Folders of Parquet files without a log, as old as can be: the first run goes on from them."""
    old = put(table / DAY / "part-0.snappy.parquet", rows(range(20)))
    os.utime(old, (0, 0))
    harness.write(source / "a.json", harness.lines([harness.tiny(i) for i in range(10, 30)]))
    result = harness.run(job, source, table).json
    assert (result["rows_written"], result["duplicates"]) == (10, 10)
    assert hive_ids(table) == delta_ids(table) == list(range(30))


def old_file(table):
    path = put(table / DAY / "old.parquet", rows([900]))
    os.utime(path, (time.time() - 8 * 86_400,) * 2)


def cut_file(table):
    path = put(table / DAY / "cut.parquet", rows([900]))
    path.write_bytes(path.read_bytes()[:-7])


def other_type(table):
    put(table / DAY / "typed.parquet", pa.table({"id": ["900"]}))


def unsigned(table):
    """A number in it need not fit the table's column: each run that met it as a key would end there."""
    put(table / DAY / "unsigned.parquet", pa.table({"id": pa.array([2**64 - 1], pa.uint64())}))


def no_partition(table):
    put(table / "stray.parquet", rows([900]))


def test_partitions_of_others_are_spelled_as_ours(source, table, tmp_path):
    """hour=07 is hour=7, so keys there are compared; day=unknown is no date, and no reader could open a table with it."""
    by = 'partition_by:\n    - {name: day, type: date, expr: date(timestamp)}\n    - {name: hour, type: int, expr: cast(hour(timestamp) as int)}'
    job = harness.write(tmp_path / "job.yaml", (JOB[: JOB.index("partition_by:")] + by + JOB[JOB.index("\ncolumns:") :]).encode())
    put(table / DAY / "hour=0000" / "a.parquet", rows([1]))
    for folder in ("day=unknown/hour=1", "day=2024-03-10/hour=%FF", "day=2024-3-10/hour=1", "day=2024-03-10/hour=1x", "day=2024-03-10/hour=-", "day=2024-03-10/hour=3000000000"):
        put(table / folder / "b.parquet", rows([900]))
    first = harness.lines([harness.tiny(i, t=1710028800000) for i in (1, 2)])
    harness.write(source / "a.json", first)
    result = harness.run(job, source, table)
    assert result.err.count("its folder is no partition of the table") == 5 and "left alone besides: 1" in result.err, result
    assert (result.json["rows_written"], result.json["duplicates"]) == (1, 1)
    read = deltalake.DeltaTable(str(table)).to_pyarrow_table()
    assert sorted(read["id"].to_pylist()) == [1, 2] and set(read["hour"].to_pylist()) == {0}


@pytest.mark.parametrize("make, why", [(old_file, "removed it"), (cut_file, ""), (other_type, "column id"), (unsigned, "UINT(64)"), (no_partition, "partition")])
def test_what_is_left_alone_is_told(make, why, job, source, table):
    harness.write(source / "a.json", harness.lines([harness.tiny(1)]))
    harness.run(job, source, table)
    make(table)
    harness.write(source / "b.json", harness.lines([harness.tiny(2)]))
    result = harness.run(job, source, table)
    assert "left alone" in result.err and why in result.err, result
    assert delta_ids(table) == [1, 2]


def test_a_column_that_only_the_table_has(job, source, table):
    """Another writer's column is not in the job, but a file in which it has another type would make the table unreadable."""
    harness.write(source / "a.json", harness.lines([harness.tiny(1)]))
    harness.run(job, source, table)
    more = rows([2]).append_column("more", pa.array([7])).append_column("day", pa.array(["2024-03-10"]))
    deltalake.write_deltalake(str(table), more, mode="append", schema_mode="merge")
    put(table / DAY / "text.parquet", rows([900]).append_column("more", pa.array(["seven"])))
    put(table / DAY / "number.parquet", rows([3]).append_column("more", pa.array([8])).append_column("else", pa.array(["x"])))
    put(table / DAY / "x.parquet", rows([901])).rename(table / DAY / os.fsdecode(b"name\xff.parquet"))
    result = harness.run(job, source, table)
    assert "text.parquet" in result.err and "its column more is" in result.err and "not UTF-8" in result.err, result
    read = deltalake.DeltaTable(str(table)).to_pyarrow_table().sort_by("id")
    assert read["id"].to_pylist() == [1, 2, 3] and read["more"].to_pylist() == [None, 7, 8]


def test_a_removed_file_stays_removed(job, source, table):
    """Delta keeps removed files until they are vacuumed: they are no files of others."""
    harness.write(source / "a.json", harness.lines([harness.tiny(i) for i in range(10)]))
    harness.run(job, source, table)
    put(table / DAY / "theirs.parquet", rows(range(50, 60)))
    harness.run(job, source, table)
    deltalake.DeltaTable(str(table)).delete("id >= 50")
    assert (table / DAY / "theirs.parquet").exists()
    harness.write(source / "b.json", harness.lines([harness.tiny(20)]))
    harness.run(job, source, table)
    assert delta_ids(table) == [*range(10), 20]


def test_hidden_files_are_nobodys(job, source, table):
    harness.write(source / "a.json", harness.lines([harness.tiny(1)]))
    put(table / "_temporary" / "0" / "x.parquet", rows([900]))
    put(table / DAY / ".hidden.parquet", rows([901]))
    put(table / DAY / "_SUCCESS.parquet", rows([902]))
    result = harness.run(job, source, table)
    assert "log" not in result.err
    assert delta_ids(table) == [1]
