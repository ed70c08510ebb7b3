"""Foreign engines judge the Delta log: delta-rs, Polars, DuckDB and Spark read what we write, with and without the entries before
a checkpoint, at any version; and we read what delta-rs and Spark write. tests/unit/table/delta_tool.c drives our side; the data
files are pyarrow's, the rows expected are those that were put into them."""
import datetime
import json
import os
import shutil
import subprocess
import time

import pytest

import delta_engines
import harness

VERSIONS = 25
COLUMNS = ["id", "seen", "s", "x", "d", "year", "day"]
FIELDS = [["id", "bigint", "a number"], ["seen", "timestamp", "when"], ["s", "string", ""], ["x", "double", ""], ["d", "date", ""],
          ["year", "string", "of seen"], ["day", "string", ""]]
PARTITIONS = [("2024", "10:30"), ("2024", "a b"), ("20%", "x/y"), (None, "ü☃"), ("2024", None), ("=", "'q'"), ("a\\b", "{[^#?*\"]}")]
UUID = "6e1f7a3c-0f0e-4c55-9d2a-3f1f7a0b5c11"
T0 = 1_710_108_084_084_000  # a whole millisecond
DAY_MS = 86_400_000


def tool(table, *commands):
    """The answers of our side to commands, see delta_tool.c."""
    text = "".join(json.dumps(command) + "\n" for command in commands)
    program = harness.BINARY.parent / "tests/unit/table/delta_tool"
    done = subprocess.run([program, table], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(commands)
    return answers


def must(table, *commands):
    answers = tool(table, *commands)
    for answer in answers:
        assert "error" not in answer, answer
    return answers


def escape(value):
    """As Hive escapes a partition value in a path."""
    if value in (None, ""):
        return "__HIVE_DEFAULT_PARTITION__"
    return "".join(f"%{ord(c):02X}" if c in "\"#%'*/:=?\\{[]^" or ord(c) < 0x20 else c for c in value)


def hive(names, values):
    return "/".join(f"{name}={escape(value)}" for name, value in zip(names, values))


# --- A table of ours ------------------------------------------------------------------------------------------------------

def rows_of(version):
    """Three rows, one of them all null; strings beyond 32 characters, times between milliseconds."""
    values = PARTITIONS[version % len(PARTITIONS)]
    day = datetime.date(2024, 3, 1 + version).isoformat()
    return [(10 * version, T0 + version * 1_000_000, "p" * 40 + chr(0x61 + version), version / 4, day, *values),
            (10 * version + 1, T0 + version * 1_000_000 + 1, "é" * 31 + "\U0010FFFF" + "z", -version / 3, day, *values),
            (None, None, None, None, None, *values)]


def write_file(table, version):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = rows_of(version)
    partition = hive(["year", "day"], rows[0][-2:])
    path = f"{partition}/part-{version} é+&.parquet"
    columns = list(zip(*rows))
    arrow = pa.table({"id": pa.array(columns[0], pa.int64()), "seen": pa.array(columns[1], pa.timestamp("us", "UTC")),
                      "s": pa.array(columns[2], pa.string()), "x": pa.array(columns[3], pa.float64()),
                      "d": pa.array([d and datetime.date.fromisoformat(d) for d in columns[4]], pa.date32())})
    (table / path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(arrow, table / path)
    return {"path": path, "partition": partition, "bytes": (table / path).stat().st_size, "mtime_ms": 1_710_000_000_000 + version}


def stats_of(rows):
    def column(name, kind, position, convert=lambda value: value):
        values = [convert(row[position]) for row in rows if row[position] is not None]
        return {"name": name, "type": kind, "nulls": len(rows) - len(values), "min": min(values), "max": max(values)}

    def days(text):
        return (datetime.date.fromisoformat(text) - datetime.date(1970, 1, 1)).days

    return {"stats": {"rows": len(rows), "columns": [column("id", "bigint", 0), column("seen", "timestamp", 1), column("s", "string", 2),
                                                     column("x", "double", 3), column("d", "date", 4, days)]}}


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """A table of 25 commits with checkpoints at 10 and 20."""
    table = tmp_path_factory.mktemp("delta") / "ours"
    table.mkdir()
    schema, *stats = must(table, {"schema": {"fields": FIELDS}}, *(stats_of(rows_of(v)) for v in range(VERSIONS)))
    commands = []
    for version in range(VERSIONS):
        file = write_file(table, version)
        put = {"version": version, "timestamp_ms": 1_710_108_084_000 + version, "parameters": {"mode": "Append", "run": str(version)},
               "metrics": {"numFiles": "1", "numOutputRows": "3"}, "txns": [["gristmill/j", version + 1], [f"other-{version}", version]],
               "adds": [{**file, "stats": stats[version]["stats"], "tags": json.dumps({"run": str(version), "unit": "é"})}]}
        if version == 0:
            put["metadata"] = {"id": UUID, "name": "access", "description": "one row per \"thing\"", "schema": schema["schema"],
                               "partition_columns": ["year", "day"], "configuration": '{"delta.appendOnly":"true"}',
                               "created_ms": 1_710_108_084_000}
        commands.append({"put": put})
        if version in (10, 20):
            commands.append({"checkpoint": {"now_ms": 1_710_108_085_000}})
    must(table, *commands)
    return table


@pytest.fixture(scope="module")
def cleaned(ours, tmp_path_factory):
    """The same, when the entries up to 21 have become old and were cleaned away up to the checkpoint."""
    table = tmp_path_factory.mktemp("delta") / "cleaned"
    shutil.copytree(ours, table)
    now = time.time()
    for version in range(22):
        os.utime(table / f"_delta_log/{version:020}.json", (now - 40 * 86_400, now - 40 * 86_400))
    must(table, {"clean": {"now_ms": int(now * 1000)}})
    for version in (20, 21):  # Spark goes to no version that is older than a week
        os.utime(table / f"_delta_log/{version:020}.json", (now, now))
    left = sorted(path.name for path in (table / "_delta_log").iterdir())
    assert left == [f"{20:020}.checkpoint.parquet", *(f"{v:020}.json" for v in range(20, VERSIONS)), "_last_checkpoint"]
    return table


@pytest.fixture(params=["delta-rs", "polars", "duckdb", "spark"])
def engine(request):
    if request.param in ("duckdb", "spark"):
        return request.getfixturevalue(request.param)
    return {"delta-rs": delta_engines.DeltaRs, "polars": delta_engines.Polars}[request.param]()


@pytest.fixture(params=["ours", "cleaned"])
def table(request):
    return request.getfixturevalue(request.param)


def expected(versions):
    return delta_engines.order(row for version in versions for row in rows_of(version))


def test_snapshot(engine, table):
    assert engine.rows(table, COLUMNS) == expected(range(VERSIONS))


def test_time_travel(engine, ours, cleaned):
    for version in (0, 10, 13, 23):
        assert engine.rows(ours, COLUMNS, version) == expected(range(version + 1))
    for version in (20, 23):
        assert engine.rows(cleaned, COLUMNS, version) == expected(range(version + 1))
    with pytest.raises(Exception, match=r"(?i)version|segment|log"):
        engine.rows(cleaned, COLUMNS, 13)


@pytest.mark.parametrize("where, keep", [
    (f"id = 101", lambda row: row[0] == 101),
    (f"id >= 230", lambda row: row[0] >= 230),
    ("s = '" + "é" * 31 + "\U0010FFFF" + "z'", lambda row: row[2] == "é" * 31 + "\U0010FFFF" + "z"),
    ("s > '" + "p" * 40 + "s'", lambda row: row[2] > "p" * 40 + "s"),
    ("x < -7.5", lambda row: row[3] < -7.5),
])
def test_statistics_leave_no_row_out(engine, table, where, keep):
    rows = [row for row in expected(range(VERSIONS)) if row[0] is not None and keep(row)]
    assert rows and engine.rows(table, COLUMNS, where=where) == rows


def test_statistics_of_times(engine, table):
    """The largest time of a file lies a microsecond behind a millisecond."""
    at = T0 + 7 * 1_000_000 + 1
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(microseconds=at)
    where = {"spark": f"seen = timestamp'{moment}'", "duckdb": f"seen = timestamptz '{moment}'", "polars": ("seen", moment),
             "delta-rs": f"seen = arrow_cast('{moment.isoformat()}', 'Timestamp(Microsecond, Some(\"UTC\"))')"}[engine.name]
    assert engine.rows(table, COLUMNS, where=where) == [row for row in expected(range(VERSIONS)) if row[1] == at]


def test_history(spark, ours, cleaned):
    for engine in (delta_engines.DeltaRs(), spark):
        for table, first in ((ours, 0), (cleaned, 20)):
            versions = engine.versions(table)
            assert sorted(versions) == list(range(first, VERSIONS))
            entry = versions[23]
            assert entry["operation"] == "WRITE"
            assert (entry.get("metrics") or entry["operationMetrics"])["numOutputRows"] == "3"
            assert (entry.get("parameters") or entry["operationParameters"])["run"] == "23"
            assert (entry.get("engine") or entry["engineInfo"]) == "gristmill/0.1.0"


def test_head_and_transactions(spark, table):
    from deltalake import DeltaTable

    delta = DeltaTable(str(table))
    assert delta.transaction_version("gristmill/j") == VERSIONS and delta.transaction_version("other-3") == 3
    metadata = delta.metadata()
    assert (str(metadata.id), metadata.name, metadata.description) == (UUID, "access", 'one row per "thing"')
    assert metadata.partition_columns == ["year", "day"] and metadata.configuration == {"delta.appendOnly": "true"}
    assert (delta.protocol().min_reader_version, delta.protocol().min_writer_version) == (1, 2)
    fields = {field.name: field for field in delta.schema().fields}
    assert list(fields) == COLUMNS and fields["id"].metadata == {"comment": "a number"} and fields["seen"].type.type == "timestamp"
    detail = spark.worker.ask("spark.sql(f'describe detail delta.`{table}`').collect()[0].asDict()", table=str(table))
    assert detail["numFiles"] == VERSIONS and detail["name"] == "access" and detail["partitionColumns"] == ["year", "day"]
    types = spark.worker.ask("spark.read.format('delta').load(table).dtypes", table=str(table))
    assert [tuple(column) for column in types][:5] == [("id", "bigint"), ("seen", "timestamp"), ("s", "string"), ("x", "double"), ("d", "date")]


def test_files_and_their_tags(table):
    from deltalake import DeltaTable

    actions = actions_of(DeltaTable(str(table)))
    dump, = must(table, {"dump": {}})
    assert {file["path"]: file["bytes"] for file in dump["files"]} == {path: action["size_bytes"] for path, action in actions.items()}
    assert json.loads(dump["files"][0]["tags"])["unit"] == "é"


def test_the_checkpoint_has_the_columns_of_the_protocol(ours):
    import pyarrow.parquet as pq

    rows = pq.read_table(ours / f"_delta_log/{20:020}.checkpoint.parquet").to_pylist()
    kinds = [[name for name, value in row.items() if value is not None] for row in rows]
    assert all(len(kind) == 1 for kind in kinds)
    assert sorted({kind[0] for kind in kinds}) == ["add", "metaData", "protocol", "txn"]
    add = next(row["add"] for row in rows if row["add"] and "a%20b" in row["add"]["path"])
    assert add["path"] == "year=2024/day=a%20b/part-1%20%C3%A9%2B%26.parquet"
    assert dict(add["partitionValues"]) == {"year": "2024", "day": "a b"}
    assert json.loads(add["stats"])["numRecords"] == 3 and dict(add["tags"]) == {"run": "1", "unit": "é"}
    pointer = json.loads((ours / "_delta_log/_last_checkpoint").read_text())
    assert pointer["version"] == 20 and pointer["size"] == len(rows) and pointer["numOfAddFiles"] == 21


# --- Tables of others -----------------------------------------------------------------------------------------------------

def actions_of(delta):
    """Path -> what delta-rs knows of the file."""
    import pyarrow as pa
    from urllib.parse import unquote

    rows = pa.table(delta.get_add_actions(flatten=True)).to_pylist()
    return {unquote(row["path"]): row for row in rows}


def check_dump(table, delta, dump):
    """Our side sees what delta-rs does: files, sizes, partitions, head."""
    actions = actions_of(delta)
    names = delta.metadata().partition_columns
    assert dump["version"] == delta.version() and dump["count"] == len(actions)
    assert dump["metadata"]["id"] == str(delta.metadata().id) and dump["metadata"]["partition_columns"] == names
    assert {file["path"] for file in dump["files"]} == set(actions)
    for file in dump["files"]:
        action = actions[file["path"]]
        assert file["bytes"] == action["size_bytes"] == (table / file["path"]).stat().st_size
        values = [action[f"partition.{name}"] for name in names]
        assert file["partition"] == hive(names, [v if v is None else str(v) for v in values])
        assert file["stats"] is None or json.loads(file["stats"])["numRecords"] == action["num_records"]


def rewrite_log(table, version):
    """Our checkpoint takes the place of everything before it."""
    must(table, {"checkpoint": {"now_ms": int(time.time() * 1000)}})
    ours = table / f"_delta_log/{version:020}.checkpoint.parquet"
    for path in (table / "_delta_log").iterdir():
        if path != ours and path.is_file() and path.name != f"{version:020}.json":
            path.unlink()


def write_with_delta_rs(table):
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

    def batch(start):
        partitions = [PARTITIONS[i % len(PARTITIONS)] for i in range(start, start + 8)]
        return pa.table({"id": pa.array(range(start, start + 8), pa.int64()), "s": [f"s{i}" for i in range(start, start + 8)],
                         "year": pa.array([p[0] for p in partitions], pa.string()), "day": pa.array([p[1] for p in partitions], pa.string())})

    for i in range(14):
        properties = CommitProperties(app_transactions=[Transaction("stream", i)])
        write_deltalake(str(table), batch(8 * i), mode="append", partition_by=["year", "day"], commit_properties=properties)
        if i == 6:
            DeltaTable(str(table)).create_checkpoint()
    delta = DeltaTable(str(table))
    delta.delete("id between 3 and 30")
    delta.optimize.compact()
    delta.alter.set_table_properties({"delta.checkpointInterval": "50"})
    return DeltaTable(str(table))


def test_a_log_of_delta_rs(tmp_path):
    from deltalake import DeltaTable

    delta = write_with_delta_rs(tmp_path)
    before = delta_engines.DeltaRs().rows(tmp_path, ["id", "s", "year", "day"])
    old, new, entries = must(tmp_path, {"dump": {"version": 9, "apps": ["stream"]}}, {"dump": {"apps": ["stream"]}},
                             {"entries": {"first": 0}})
    check_dump(tmp_path, DeltaTable(str(tmp_path), version=9), old)
    check_dump(tmp_path, delta, new)
    assert old["txns"] == {"stream": 9} and new["txns"] == {"stream": 13} and new["refused"] is None
    assert [entry["version"] for entry in entries["entries"]] == list(range(delta.version() + 1))
    removed = {file["path"] for entry in entries["entries"] for file in entry["removes"]}
    added = {file["path"] for entry in entries["entries"] for file in entry["adds"]}
    assert added - removed == {file["path"] for file in new["files"]} and removed
    rewrite_log(tmp_path, delta.version())
    assert delta_engines.DeltaRs().rows(tmp_path, ["id", "s", "year", "day"]) == before
    again = DeltaTable(str(tmp_path))
    assert again.transaction_version("stream") == 13
    assert actions_of(again).keys() == actions_of(delta).keys()


@pytest.fixture(scope="module")
def spark_table(spark, tmp_path_factory):
    """Many commits, removes, a change of the schema, checkpoints (of parts), an application's transactions."""
    table = tmp_path_factory.mktemp("delta") / "spark"
    spark.sql("set spark.databricks.delta.checkpoint.partSize = 5")
    spark.sql(f"create table delta.`{table}` (id bigint comment 'a number', s string, year string, day string) using delta "
              "partitioned by (year, day) tblproperties ('delta.checkpointInterval' = '5')")
    for i in range(7):  # the checkpoint at 5 has parts
        rows = [[8 * i + k, f"s{k}", *PARTITIONS[(8 * i + k) % len(PARTITIONS)]] for k in range(8)]
        spark.worker.ask("spark.createDataFrame(data, 'id long, s string, year string, day string').coalesce(1).write.format('delta')"
                         ".mode('append').option('txnAppId', 'job').option('txnVersion', n).save(table)",
                         data=rows, n=i, table=str(table))
    spark.sql("reset spark.databricks.delta.checkpoint.partSize")
    spark.sql(f"delete from delta.`{table}` where id between 3 and 20")
    spark.sql(f"update delta.`{table}` set s = 'updated' where id > 50")
    spark.sql(f"alter table delta.`{table}` add columns (more double)")
    spark.sql(f"optimize delta.`{table}`")
    return table


def test_a_log_of_spark(spark, spark_table, tmp_path):
    from deltalake import DeltaTable

    names = [path.name for path in (spark_table / "_delta_log").iterdir()]
    assert any(".checkpoint.0000000001." in name for name in names), names
    delta = DeltaTable(str(spark_table))
    for version in (3, 5, 6, 8, delta.version()):
        dump, = must(spark_table, {"dump": {"version": version, "apps": ["job"]}})
        check_dump(spark_table, DeltaTable(str(spark_table), version=version), dump)
        assert dump["txns"] == {"job": min(version - 1, 6)} and dump["refused"] is None
    # Without the entries before its checkpoint, and of our making.
    copy = tmp_path / "copy"
    shutil.copytree(spark_table, copy)
    for version in range(5):
        (copy / f"_delta_log/{version:020}.json").unlink()
    dump, = must(copy, {"dump": {}})
    check_dump(copy, delta, dump)
    rewrite_log(copy, delta.version())
    columns = ["id", "s", "year", "day", "more"]
    assert spark.rows(copy, columns) == spark.rows(spark_table, columns) == delta_engines.DeltaRs().rows(copy, columns)


def test_spark_goes_on_after_us(spark, ours, tmp_path):
    """It appends to our table and checkpoints it; we read that, append, and it reads us."""
    table = tmp_path / "table"
    shutil.copytree(ours, table)
    spark.sql(f"alter table delta.`{table}` set tblproperties ('delta.appendOnly' = 'false', 'delta.checkpointInterval' = '2')")
    spark.sql(f"insert into delta.`{table}` (id, s, year, day) values (-1, 'by spark', '2024', '10:30')")
    spark.sql(f"delete from delta.`{table}` where id = 100")
    answer, = must(table, {"dump": {"apps": ["gristmill/j", "other-7"]}})
    assert answer["version"] == VERSIONS + 2 and answer["count"] == VERSIONS + 1 and answer["refused"] is None
    assert answer["txns"] == {"gristmill/j": VERSIONS, "other-7": 7}
    file = write_file(table, 30)
    must(table, {"put": {"version": VERSIONS + 3, "timestamp_ms": 1, "adds": [file]}}, {"checkpoint": {"now_ms": int(time.time() * 1000)}})
    ids = [row[0] for row in spark.rows(table, ["id"])]
    want = [row[0] for version in (*range(VERSIONS), 30) for row in rows_of(version) if row[0] != 100] + [-1]
    assert sorted(ids, key=lambda n: (n is not None, n)) == sorted(want, key=lambda n: (n is not None, n))


@pytest.mark.parametrize("properties, reason", [
    ("'delta.enableDeletionVectors' = 'true'", "deletionVectors"),
    ("'delta.columnMapping.mode' = 'name'", "reader version 2|columnMapping"),
    ("'delta.checkpointPolicy' = 'v2'", "v2Checkpoint"),
    ("'delta.enableChangeDataFeed' = 'true'", "writer version|changeDataFeed"),
    ("'delta.enableRowTracking' = 'true'", "feature"),
    ("'delta.setTransactionRetentionDuration' = 'interval 30 days'", "setTransactionRetentionDuration"),
])
def test_what_spark_can_and_we_cannot_is_refused_by_name(spark, tmp_path, properties, reason):
    import re

    table = tmp_path / "table"
    spark.sql(f"create table delta.`{table}` (id bigint) using delta tblproperties ({properties})")
    answer, = tool(table, {"dump": {}})
    assert answer.get("error") == "UNSUPPORTED" or answer["refused"]
    assert re.search(reason, answer.get("message") or answer["refused"])


def test_constraints_of_spark_are_refused_by_name(spark, tmp_path):
    spark.sql(f"create table delta.`{tmp_path}` (id bigint) using delta")
    spark.sql(f"alter table delta.`{tmp_path}` add constraint positive check (id > 0)")
    answer, = must(tmp_path, {"dump": {}})
    assert "writer version 3" in answer["refused"] or "checkConstraints" in answer["refused"]
