"""Duplicates of what the table holds already: our own files and those that others wrote into it, each key once, and a row that
says something else than the one that was kept told as a conflict. What is expected is counted over the records in Python."""
import gzip
import json
import pathlib
import shutil
import tempfile
import uuid

import pytest

import harness
import readers

deltalake = pytest.importorskip("deltalake")

DAYS = ("2024-03-10", "2024-03-11", "2024-03-12")


def job_text(*unique_by):
    return harness.TINY_JOB.replace("  partition_by:", f"  unique_by: [{', '.join(unique_by)}]\n  partition_by:")


@pytest.fixture
def job(tmp_path):
    return harness.write(tmp_path / "unique.yaml", job_text("id").encode())


def record(number, day=0, said="said", **more):
    """Everything but `said` follows from number and day."""
    return {"id": number, "t": harness.T0 + day * harness.DAY_MS + number, "s": said, "x": number / 4, "ok": number % 2 == 0, **more}


def day_of(document):
    return DAYS[(document["t"] - harness.T0) // harness.DAY_MS]


class Model:
    """What a table with a unique key must hold, and what a run must have counted."""

    def __init__(self, *key):
        self.key, self.rows, self.loose = key, {}, []

    def add(self, documents):
        duplicates = conflicts = 0
        for document in documents:
            key = tuple(document.get(name) for name in self.key)
            row = {k: v for k, v in document.items() if v is not None}
            if None in key or "" in key:
                self.loose.append(row)
            elif (place := (day_of(document), *key)) in self.rows:
                duplicates += 1
                conflicts += self.rows[place] != row
            else:
                self.rows[place] = row
        return duplicates, conflicts

    def check(self, table):
        rows = rows_of(table)
        expected = [*self.rows.values(), *self.loose]
        assert sorted(rows, key=repr) == sorted((dict(sorted(r.items())) for r in expected), key=repr)


def rows_of(table):
    """The rows that the log names, read by pyarrow, as the records they came from."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from urllib.parse import unquote

    rows = []
    for uri in deltalake.DeltaTable(str(table)).file_uris():
        data = pq.ParquetFile(unquote(uri.removeprefix("file://"))).read()
        moment = data.column("timestamp").cast(pa.timestamp("ns")).cast(pa.int64()).to_pylist()
        columns = {name: data.column(name).to_pylist() for name in data.column_names}
        for i, t in enumerate(moment):
            row = {name: values[i] for name, values in columns.items() if name not in ("timestamp", "day") and values[i] is not None}
            rows.append(dict(sorted({**row, "t": t // 1_000_000}.items())))
    return rows


def put(source, name, documents):
    harness.write_gz(source / name, harness.lines(documents))


def conflicts_of(table):
    return [json.loads(line) for path in sorted(table.glob("_gristmill/*/conflicts/*/*.ndjson.gz"))
            for line in gzip.open(path, "rt")]


def check_run(summary, expected):
    assert (summary["duplicates"], summary["conflicts"]) == expected
    assert summary["records_read"] == summary["rows_written"] + summary["duplicates"] + summary["filtered"] + summary["quarantined"]


# --- Files of others ----------------------------------------------------------------------------------------------------------


def arrow(documents, unit="us", tz="UTC"):
    import pyarrow as pa

    scale = {"ms": 1, "us": 1000, "ns": 1_000_000}[unit]
    return pa.table({
        "id": pa.array([d.get("id") for d in documents], pa.int64()),
        "timestamp": pa.array([d["t"] * scale for d in documents], pa.timestamp(unit, tz=tz)),
        "s": pa.array([d.get("s") for d in documents], pa.string()),
        "ok": pa.array([d.get("ok") for d in documents], pa.bool_()),
        "x": pa.array([d.get("x") for d in documents], pa.float64()),
    })


def by_pyarrow(unit="us", **options):
    def write(path, documents):
        import pyarrow.parquet as pq

        pq.write_table(arrow(documents, unit), path, row_group_size=150, **options)
    return write


def by_duckdb(path, documents):
    import duckdb

    data = arrow(documents, tz=None)  # noqa: F841 - read by the query
    duckdb.sql(f"copy (select * from data) to '{path}' (format parquet, row_group_size 2048)")


def by_polars(path, documents):
    import polars as pl

    pl.from_arrow(arrow(documents)).write_parquet(path, row_group_size=200)


def by_spark(path, documents):
    with tempfile.TemporaryDirectory() as folder:
        plain, out = pathlib.Path(folder, "plain.parquet"), pathlib.Path(folder, "out")
        by_pyarrow()(plain, documents)
        readers._spark().read.parquet(str(plain)).coalesce(1).write.parquet(str(out))
        shutil.copy(next(out.glob("part-*.parquet")), path)


WRITERS = {
    "pyarrow": by_pyarrow(),
    "pyarrow-plain": by_pyarrow(use_dictionary=False, compression="none"),
    "pyarrow-v2": by_pyarrow(data_page_version="2.0", compression="zstd"),
    "pyarrow-delta": by_pyarrow(use_dictionary=False, data_page_version="2.0", compression="gzip", column_encoding={
        "id": "DELTA_BINARY_PACKED", "timestamp": "DELTA_BINARY_PACKED", "s": "DELTA_BYTE_ARRAY", "x": "BYTE_STREAM_SPLIT"}),
    "pyarrow-lengths": by_pyarrow(use_dictionary=False, compression="brotli", column_encoding={"s": "DELTA_LENGTH_BYTE_ARRAY"}),
    "pyarrow-int96": by_pyarrow("ns", use_deprecated_int96_timestamps=True),
    "pyarrow-millis": by_pyarrow("ms", version="2.6"),
    "pyarrow-nanos": by_pyarrow("ns", version="2.6", compression="lz4"),
    "pyarrow-no-stats": by_pyarrow(write_statistics=False),
    "duckdb": by_duckdb,
    "polars": by_polars,
    "spark": by_spark,
}


def add_file(table, writer, day, documents):
    """Puts a file into a partition's folder and into the log, as delta-rs does it."""
    from deltalake.transaction import AddAction

    folder = table / f"day={day}"
    folder.mkdir(exist_ok=True)
    path = folder / f"foreign-{uuid.uuid4()}.parquet"
    writer(path, documents)
    delta = deltalake.DeltaTable(str(table))
    action = AddAction(path=str(path.relative_to(table)), size=path.stat().st_size, partition_values={"day": day},
                       modification_time=1, data_change=True, stats=json.dumps({"numRecords": len(documents)}))
    delta.create_write_transaction([action], mode="append", schema=delta.schema(), partition_by=["day"])
    return path


# --- Tests --------------------------------------------------------------------------------------------------------------------


def test_repeated_deliveries_over_runs(job, source, table):
    """Each run brings what earlier ones brought, in other objects, some of it changed, into late partitions too."""
    model = Model("id")
    for number in range(4):
        documents = [record(i, day, said=f"said {i % 5 if i % 11 else number}") for day in range(number, -1, -1) if day < 3
                     for i in range(number * 100, number * 100 + 250)]
        put(source, f"{9 - number}.json.gz", documents)  # later objects come earlier in plan order
        check_run(harness.run(job, source, table).json, model.add(documents))
        model.check(table)
    again = harness.run(job, source, table).json
    assert (again["inputs"], again["duplicates"]) == (0, 0)


KEYS = [("id",), ("s",), ("t",), ("s", "t", "id")]
# A Spark session is slow: two of its files do.
FOREIGN = [(name, key) for name in WRITERS for key in KEYS if name != "spark" or key in (KEYS[0], KEYS[-1])]


@pytest.mark.parametrize("name, key", FOREIGN, ids=[f"{name}-{'-'.join(key)}" for name, key in FOREIGN])
def test_files_of_others(name, key, tmp_path, source, table):
    columns = ["timestamp" if column == "t" else column for column in key]
    job = harness.write(tmp_path / "job.yaml", job_text(*columns).encode())
    model = Model(*key)
    first = [record(i, said=f"s {i}") for i in range(100)]
    put(source, "a.json.gz", first)
    check_run(harness.run(job, source, table).json, model.add(first))
    foreign = [record(i, said=f"s {i}", x=None if i % 3 else 0.5) for i in range(1000, 1400)]
    foreign += [record(i, said=None) for i in range(5000, 5010)]
    model.add(foreign)
    add_file(table, WRITERS[name], DAYS[0], foreign)
    documents = [record(i, said=f"s {i}", x=0.5) for i in range(900, 1500)] + [record(i, said=f"s {i}") for i in range(120)]
    documents += [record(i, day=1, said=f"s {i}") for i in range(1000, 1020)]  # another day: another row
    documents += [record(5005, said=None), record(5005, said="")]
    put(source, "b.json.gz", documents)
    check_run(harness.run(job, source, table).json, model.add(documents))
    model.check(table)


def test_rows_that_delta_rs_appends(job, source, table):
    import pyarrow as pa

    model = Model("id")
    first = [record(i) for i in range(50)]
    put(source, "a.json.gz", first)
    check_run(harness.run(job, source, table).json, model.add(first))
    foreign = [record(i, i % 3, said=f"s {i % 4}") for i in range(100, 400)]
    model.add(foreign)
    data = arrow(foreign).append_column("day", pa.array([day_of(d) for d in foreign]))
    deltalake.write_deltalake(str(table), data, mode="append")
    documents = [record(i, i % 3, said=f"s {i % 5}") for i in range(50, 450)]
    put(source, "b.json.gz", documents)
    check_run(harness.run(job, source, table).json, model.add(documents))
    model.check(table)


def test_a_file_that_lacks_columns(job, source, table):
    """What it lacks is null: a key column means that it has no keys, another that its rows say nothing there."""
    import pyarrow.parquet as pq

    def without(*names):
        return lambda path, documents: pq.write_table(arrow(documents).drop_columns(list(names)), path)

    put(source, "a.json.gz", [record(1)])
    harness.run(job, source, table)
    add_file(table, without("id"), DAYS[0], [record(2), record(3)])
    add_file(table, without("s"), DAYS[0], [record(4, said=None), record(5)])
    documents = [record(2), record(3), record(4, said=None), record(5)]
    put(source, "b.json.gz", documents)
    summary = harness.run(job, source, table).json
    assert (summary["rows_written"], summary["duplicates"], summary["conflicts"]) == (2, 2, 1)


def test_a_key_of_another_type_is_named(job, source, table):
    import pyarrow as pa
    import pyarrow.parquet as pq

    def as_text(path, documents):
        data = arrow(documents)
        pq.write_table(data.set_column(0, "id", data.column("id").cast(pa.string())), path)

    put(source, "a.json.gz", [record(1)])
    harness.run(job, source, table)
    path = add_file(table, as_text, DAYS[0], [record(2)])
    before = harness.fingerprint(table)
    put(source, "b.json.gz", [record(2, day=1)])  # a day without that file does not ask it
    assert harness.run(job, source, table).json["rows_written"] == 1
    put(source, "c.json.gz", [record(2)])
    result = harness.run(job, source, table, status=1)
    assert path.name in result.err and 'column "id" is BYTE_ARRAY (STRING) in this file, the job says bigint' in result.err
    assert set(before) < set(harness.fingerprint(table))


def test_conflicts_are_listed(job, source, table):
    put(source, "a.json.gz", [record(i, said="first") for i in range(10)])
    harness.run(job, source, table)
    documents = [record(3, said="first"), record(4, said="other"), record(20, said="a"), record(20, said="b"), record(5)]
    put(source, "b.json.gz", documents)
    result = harness.run(job, source, table)
    assert (result.json["duplicates"], result.json["conflicts"]) == (4, 3)
    listed = conflicts_of(table)
    (ours,) = [f"day={DAYS[0]}/{p.name}" for p in harness.data_files(table) if "-00000001-" in p.name]
    text = harness.lines(documents)
    starts = [i + 1 for i, byte in enumerate(text) if byte == 10]
    expected = [{"object": "b.json.gz", "record": 3, "offset": starts[2], "key": [20], "winner": "run"},
                {"object": "b.json.gz", "record": 1, "offset": starts[0], "key": [4], "winner": ours},
                {"object": "b.json.gz", "record": 4, "offset": starts[3], "key": [5], "winner": ours}]
    assert listed == [dict(e, partition=f"day={DAYS[0]}") for e in expected]
    assert result.err.count("conflict: ") == 3 and f"key 4 says something else than the row that was kept, in {ours}" in result.err
    (balance,) = [o for o in result.json["objects"] if o["key"] == "b.json.gz"]
    assert balance["conflicts"] == 3
    plain = harness.gristmill("run", job, "--source", source, "--table", table.parent / "again")
    assert "3 duplicates are conflicts" in plain.out


def test_conflicts_go_with_their_run(job, source, table):
    """Nothing is listed of a run that was not committed, and lists are no data to a reader of folders."""
    put(source, "a.json.gz", [record(1), record(1, said="other")] + [{"id": 1}] * 50)
    harness.run(job, source, table, "--max-quarantine", "0", status=3)
    assert not list(table.glob("_gristmill/*/conflicts/*/*"))
    assert not harness.data_files(table)


@pytest.mark.parametrize("threads,memory", [(1, "64M"), (2, "256M"), (4, "64M"), (4, "256M")])
def test_same_bytes(threads, memory, tmp_path):
    """Against a table that holds half of it already, and a foreign file: the same files and lists for any threads and memory."""
    job = harness.write(tmp_path / "job.yaml", job_text("s").encode())
    source = tmp_path / "source"
    documents = [record(i, day=i % 3, said=f"key {i % 4000}", x=float(i % 7)) for i in range(30000)]
    tables = []
    for name, flags in (("reference", ("--threads", "1", "--memory", "256M")), ("table", ("--threads", threads, "--memory", memory))):
        table = tmp_path / name
        shutil.rmtree(source, ignore_errors=True)
        put(source, "1.json.gz", documents[:6000])
        (table / "_gristmill").mkdir(parents=True)
        (table / "_gristmill" / "hash-key").write_bytes(bytes(range(192)))
        harness.run(job, source, table, *flags)
        foreign = table / f"day={DAYS[1]}" / "foreign.parquet"
        by_pyarrow(use_dictionary=False)(foreign, [record(i, 1, said=f"key {i}") for i in range(100000, 100500)])
        version = len(list((table / "_delta_log").glob("*.json")))
        add = {"path": str(foreign.relative_to(table)), "size": foreign.stat().st_size, "partitionValues": {"day": DAYS[1]},
               "modificationTime": 1, "dataChange": True}
        (table / "_delta_log" / f"{version:020}.json").write_text(json.dumps({"add": add}) + "\n")
        for i in range(4):
            put(source, f"0{i}.json.gz", documents[6000 * (i + 1):6000 * (i + 2)] + [record(100100 + i, 1, said=f"key {100100 + i}")])
        summary = harness.run(job, source, table, *flags).json
        lists = {str(p.relative_to(table)): p.read_bytes() for p in sorted(table.glob("_gristmill/*/*/*/*"))
                 if p.parts[-3] in ("conflicts", "duplicates")}
        tables.append((harness.fingerprint(table), lists, summary["duplicates"], summary["conflicts"]))
    assert tables[0] == tables[1]
    assert tables[0][2] > 12000 and len(tables[0][1]) >= 2


def test_cost_grows_with_what_is_touched(job, source, table):
    """A run that touches one day reads nothing of the others: their files may even be gone."""
    put(source, "a.json.gz", [record(i, day) for day in range(3) for i in range(50)])
    harness.run(job, source, table)
    for path in harness.data_files(table):
        if DAYS[1] in str(path):
            path.unlink()
    put(source, "b.json.gz", [record(i, day=0) for i in range(40, 60)])
    summary = harness.run(job, source, table).json
    assert (summary["rows_written"], summary["duplicates"]) == (10, 10)


@pytest.mark.parametrize("foreign,kept", [(3, False), (4, True)])
def test_a_foreign_commit_between_plan_and_commit(foreign, kept, job, source, table, tmp_path):
    """With a key of ours the plan is given up and made again; without, it is committed."""
    put(source, "a.json.gz", [record(1)])
    harness.run(job, source, table)
    # A plan that was written and not worked, as by a runner that died at once: at the version before the foreign commit.
    put(source, "b.json.gz", [record(2), record(3)])
    twin = tmp_path / "twin"
    shutil.copytree(table, twin, copy_function=shutil.copy2)
    harness.run(job, source, twin)
    for path in sorted(twin.glob("_gristmill/*/plans/*.json")):
        target = table / path.relative_to(twin)
        if not target.exists():
            shutil.copy2(path, target)
    add_file(table, by_pyarrow(), DAYS[0], [record(foreign), record(5)])
    result = harness.run(job, source, table)
    assert (result.json["runs"] == [2]) == kept
    assert ("holds a key of ours" in result.err) != kept
    assert (result.json["rows_written"], result.json["duplicates"]) == ((2, 0) if kept else (1, 1))
    assert sorted(row["id"] for row in rows_of(table)) == sorted({1, 2, 3, foreign, 5})


def test_dry_run_counts_the_same(job, source, table):
    put(source, "a.json.gz", [record(i) for i in range(20)])
    harness.run(job, source, table)
    put(source, "b.json.gz", [record(i, said="x" if i % 2 else "said") for i in range(10, 30)])
    before = {p: p.stat().st_mtime_ns for p in pathlib.Path(table).rglob("*")}
    dry = harness.run(job, source, table, "--dry-run").json
    assert {p: p.stat().st_mtime_ns for p in pathlib.Path(table).rglob("*")} == before
    real = harness.run(job, source, table).json
    for field in ("records_read", "rows_written", "duplicates", "conflicts"):
        assert dry[field] == real[field]
    assert (real["duplicates"], real["conflicts"]) == (10, 5)


def test_a_file_that_the_log_names_is_gone(job, source, table):
    """Damage, which planning again would meet each time: a message that names it, and a log that does not grow."""
    put(source, "a.json.gz", [record(i) for i in range(20)])
    harness.run(job, source, table)
    harness.data_files(table)[0].unlink()
    put(source, "b.json.gz", [record(i) for i in range(10, 30)])
    for _ in range(2):
        result = harness.run(job, source, table, status=1)
        assert ".parquet" in result.err and "gone" in result.err and "verify" in result.err, result
    assert len(list((table / "_delta_log").glob("*.json"))) == 1
