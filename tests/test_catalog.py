"""The Glue Data Catalog: what a run leaves there, what it leaves alone, and what it survives."""
import contextlib
import signal
import socket
import threading
import time

import pytest

import glue_servers
import harness
import s3_scene
import s3_servers
from fault_proxy import FaultProxy, lose
from glue_servers import answer, body, operation, refuse

PARQUET = "org.apache.hadoop.hive.ql.io.parquet"
JOB = """\
job: tiny
source: {{location: "${{SOURCE}}"}}
table:
  location: "${{TABLE}}"
  database: {database}
  name: tiny
  comment: One row for each request.
  partition_by:
    - {{name: year, type: string, expr: "date_format(timestamp, '%Y')", comment: of the record}}
    - {{name: month, type: string, expr: "date_format(timestamp, '%m')"}}
  unique_by: [id]
columns:
  - {{name: id, type: bigint, from: id, comment: "{long}"}}
  - {{name: timestamp, type: timestamp, from: t, unit: ms, required: true, comment: when}}
  - {{name: s, type: string, from: s}}
  - {{name: ok, type: boolean, from: ok}}
  - {{name: x, type: double, from: x}}
{more}catalog: {{type: glue{catalog}}}
"""
LONG = "ü" * 200  # of 400 bytes
BY_S = (("year, type: string, expr: \"date_format(timestamp, '%Y')\", comment: of the record", "part, type: string, expr: s"),
        ("    - {name: month, type: string, expr: \"date_format(timestamp, '%m')\"}\n", ""))
YEAR_MS = 366 * harness.DAY_MS


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    with glue_servers.Moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="module")
def ministack(tmp_path_factory):
    with glue_servers.Ministack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


class Scene:
    """A bucket with a source, one job whose table and catalog are new, and a proxy before the catalog that counts."""

    number = 0

    def __init__(self, versitygw, glue, folder):
        Scene.number += 1
        self.bucket, self.server, self.folder = versitygw.make_bucket(), glue, folder
        self.database = f"d{Scene.number}"
        self.glue = glue.client
        self.proxy = FaultProxy(glue.address)
        self.objects = 0
        self.write_job()

    def write_job(self, catalog="", more="", edits=()):
        text = JOB.format(database=self.database, long=LONG, catalog=catalog, more=more)
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        self.job = harness.write(self.folder / "job.yaml", text.encode())

    def put(self, *documents):
        self.objects += 1
        self.bucket.put(f"in/{self.objects:04}.json", harness.lines(documents))

    def environment(self, glue=None, **more):
        values = {"AWS_ENDPOINT_URL_GLUE": glue or self.proxy.url, "SOURCE": self.bucket.url("in/"), "TABLE": self.bucket.url("lake/")}
        return self.bucket.environment(**{**values, **more})

    def gristmill(self, *words, status=0, env=None):
        return harness.gristmill(*words, env=env or self.environment(), status=status, timeout=60)

    def run(self, *flags, **options):
        return self.gristmill("run", self.job, "--threads", "1", "--json", *flags, **options)

    def catalog(self, verb, *flags, **options):
        return self.gristmill("catalog", self.job, verb, "--json", *flags, **options)

    def table(self, name="tiny"):
        return self.glue.get_table(DatabaseName=self.database, Name=name)["Table"]

    def partitions(self):
        pages = self.glue.get_paginator("get_partitions").paginate(DatabaseName=self.database, TableName="tiny")
        return {tuple(p["Values"]): p for page in pages for p in page["Partitions"]}

    def update(self, change, name="tiny"):
        """As somebody else does it: change(TableInput)."""
        table = self.table(name)
        kept = ("Name", "Description", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters", "Owner")
        given = {key: table[key] for key in kept if table.get(key)}
        change(given)
        self.glue.update_table(DatabaseName=self.database, TableInput=given)

    def operations(self, forget=True):
        """What was asked of the catalog since the last time."""
        done = [operation(request) for request in self.proxy.requests]
        if forget:
            self.proxy.clear()
        return done

    def rows(self):
        return sorted(self.bucket.sizes("lake/year="))


@pytest.fixture(params=["moto", "ministack"])
def scene(request, versitygw, quick):
    made = Scene(versitygw, request.getfixturevalue(request.param), quick)
    with made.proxy:
        yield made


@pytest.fixture
def on_moto(versitygw, moto, quick):
    made = Scene(versitygw, moto, quick)
    with made.proxy:
        yield made


@pytest.fixture
def on_ministack(versitygw, ministack, quick):
    made = Scene(versitygw, ministack, quick)
    with made.proxy:
        yield made


def year(number, years):
    return harness.tiny(number, t=harness.T0 + number + years * YEAR_MS, s=f"s{number}")


def only(name, fault):
    """The fault for requests of one operation, once; all others pass."""
    left = [True]

    def choose(x):
        if operation(x.request) == name and left:
            left.clear()
            return fault(x)
        return x.pass_on()
    return choose


# --- What a run leaves ------------------------------------------------------------------------------------------------------

def test_entries(scene):
    scene.write_job(catalog=", format: both")
    scene.put(year(1, 0), year(2, 1))
    told = scene.run().json["catalog"]
    assert (told["state"], told["created"], told["updated"]) == ("synced", 2, 0)
    location = scene.bucket.url("lake/")
    hive = scene.table()
    storage = hive["StorageDescriptor"]
    assert hive["TableType"] == "EXTERNAL_TABLE" and hive["Description"] == "One row for each request."
    assert [(c["Name"], c["Type"]) for c in storage["Columns"]] == [
        ("id", "bigint"), ("timestamp", "timestamp"), ("s", "string"), ("ok", "boolean"), ("x", "double")]
    comment = storage["Columns"][0]["Comment"]
    assert len(comment.encode()) <= 255 and comment == "ü" * 126 + "…" and "Comment" not in storage["Columns"][2]
    assert hive["PartitionKeys"] == [{"Name": "year", "Type": "string", "Comment": "of the record"}, {"Name": "month", "Type": "string"}]
    assert storage["Location"] == location
    assert (storage["InputFormat"], storage["OutputFormat"]) == (f"{PARQUET}.MapredParquetInputFormat", f"{PARQUET}.MapredParquetOutputFormat")
    assert storage["SerdeInfo"] == {"SerializationLibrary": f"{PARQUET}.serde.ParquetHiveSerDe", "Parameters": {"serialization.format": "1"}}
    sizes = scene.bucket.sizes("lake/year=")
    parameters = hive["Parameters"]
    assert parameters["EXTERNAL"] == "TRUE" and parameters["classification"] == "parquet"
    assert (parameters["numFiles"], parameters["numRows"], parameters["totalSize"]) == ("2", "2", str(sum(sizes.values())))
    assert parameters["projection.enabled"] == "true" and "storage.location.template" not in parameters
    assert (parameters["projection.year.type"], parameters["projection.year.values"]) == ("enum", "2024,2025")
    assert [parameters[f"projection.month.{key}"] for key in ("type", "range", "digits")] == ["integer", "1,12", "2"]
    delta = scene.table("tiny_delta")
    assert delta.get("PartitionKeys", []) == []
    assert [c["Name"] for c in delta["StorageDescriptor"]["Columns"]] == ["id", "timestamp", "s", "ok", "x", "year", "month"]
    assert delta["StorageDescriptor"]["SerdeInfo"]["Parameters"]["path"] == delta["StorageDescriptor"]["Location"] == location
    assert {k: v for k, v in delta["Parameters"].items() if k != "comment"} == {
        "EXTERNAL": "TRUE", "classification": "delta", "table_type": "DELTA", "spark.sql.sources.provider": "delta"}


def test_nothing_is_written_where_nothing_changed(scene):
    scene.write_job(catalog=", format: both")
    scene.put(year(1, 0))
    scene.run()
    versions = [scene.table(name)["VersionId"] for name in ("tiny", "tiny_delta")]
    scene.operations()
    told = scene.run().json["catalog"]
    assert scene.operations() == ["GetTable", "GetTable"]
    assert (told["unchanged"], told["updated"], told["created"], told["requests"]) == (2, 0, 0, 2)
    assert [scene.table(name)["VersionId"] for name in ("tiny", "tiny_delta")] == versions
    scene.put(year(2, 0))  # other figures, the same columns and ranges
    assert scene.run().json["catalog"]["updated"] == 1
    assert scene.operations().count("UpdateTable") == 1 and scene.table()["Parameters"]["numRows"] == "2"


def test_years_columns_and_what_is_others(scene):
    scene.put(year(1, 0))
    scene.run()

    def theirs(table):
        table["Parameters"].update({"owner team": "web", "projection.elsewhere.type": "injected", "comment": "mine"})
        table["StorageDescriptor"]["Columns"].append({"Name": "extra", "Type": "array<int>"})
        table["StorageDescriptor"]["SerdeInfo"]["Parameters"]["ignore.malformed"] = "true"
        table["StorageDescriptor"]["Columns"][2]["Comment"] = "somebody's words"
        table["Owner"] = "somebody"
    scene.update(theirs)
    scene.write_job(more="  - {name: later, type: int, from: later, comment: new}\n")
    scene.put(year(2, 2))
    assert scene.run().json["catalog"]["updated"] == 1
    sent = next(body(r) for r in scene.proxy.requests if operation(r) == "UpdateTable")
    assert sent["SkipArchive"] is True and sent["VersionId"]
    table = scene.table()
    assert table["Owner"] == "somebody" and table["Parameters"]["owner team"] == "web"
    assert table["Parameters"]["projection.elsewhere.type"] == "injected"
    assert table["Parameters"]["projection.year.values"] == "2024,2026"
    assert table["Parameters"]["comment"] == "One row for each request."  # the job has one: it is ours
    columns = table["StorageDescriptor"]["Columns"]
    assert [c["Name"] for c in columns] == ["id", "timestamp", "s", "ok", "x", "later", "extra"]
    assert columns[2]["Comment"] == "somebody's words" and columns[5] == {"Name": "later", "Type": "int", "Comment": "new"}
    assert table["StorageDescriptor"]["SerdeInfo"]["Parameters"] == {"serialization.format": "1", "ignore.malformed": "true"}
    assert scene.catalog("show").json["current"] is True


def test_a_table_in_a_directory_is_not_told_of(on_moto, tmp_path):
    on_moto.put(year(1, 0))
    env = on_moto.environment(TABLE=str(tmp_path / "lake"))
    result = on_moto.run(env=env)
    assert result.json["committed"] and result.json["catalog"]["state"] == "skipped" and "directory" in result.err
    on_moto.catalog("sync", env=env, status=2)
    assert on_moto.operations() == []


def test_dry_runs_tell_nobody(on_moto):
    on_moto.put(year(1, 0))
    assert "catalog" not in on_moto.run("--dry-run").json and on_moto.operations() == []


def test_steps_of_a_run_do_it_too(on_moto):
    on_moto.put(year(1, 0))
    plan = str(on_moto.gristmill("plan", on_moto.job, "--json").json["plan"])
    on_moto.gristmill("work", on_moto.job, "--plan", plan, "--unit", "0")
    assert on_moto.operations() == []
    done = on_moto.gristmill("commit", on_moto.job, "--plan", plan, "--json").json
    assert done["catalog"]["created"] == 1 and on_moto.table()["Name"] == "tiny"


def test_catalog_id(on_moto):
    on_moto.write_job(catalog=', catalog_id: "123456789012"')
    on_moto.put(year(1, 0))
    on_moto.run()
    assert {body(r)["CatalogId"] for r in on_moto.proxy.requests} == {"123456789012"}


# --- What is refused --------------------------------------------------------------------------------------------------------

def test_a_type_that_the_job_changes(on_moto):
    """No run takes it; neither does a sync, for the entry would be another's."""
    on_moto.put(year(1, 0))
    on_moto.run()
    on_moto.write_job(edits=(("name: x, type: double", "name: x, type: bigint"),))
    on_moto.put(year(2, 0))
    on_moto.operations()
    for refused in (on_moto.run(status=1), on_moto.catalog("sync", status=1), on_moto.catalog("show", status=1)):
        assert "x" in refused.err and "is double in the table and bigint in the job" in refused.err, refused
    assert "UpdateTable" not in on_moto.operations()


def changed(scene, change, *words):
    """Somebody changes the entry so that it cannot be ours: the run is whole, says why, and changes nothing; so do the others."""
    scene.put(year(1, 0))
    scene.run()
    scene.update(change)
    before = scene.table()["VersionId"]
    scene.put(year(2, 2))
    result = scene.run()
    assert result.json["committed"] and result.json["catalog"]["state"] == "failed"
    for word in words:
        assert word in result.err and word in result.json["catalog"]["error"]["message"], result
    assert f"gristmill catalog {scene.job} sync" in result.err and f"{scene.database}.tiny: " in result.err
    shown = scene.catalog("show", status=1).json["entries"][0]
    assert shown["state"] == "refused" and shown["advice"]
    assert scene.table()["VersionId"] == before
    return scene.catalog("sync", status=None)


def test_another_type(scene):
    def change(table):
        table["StorageDescriptor"]["Columns"][4]["Type"] = "decimal(10,2)"
    assert "'x'" in changed(scene, change, "decimal(10,2)", "double").err


def test_other_partition_columns(on_moto):
    def change(table):
        table["PartitionKeys"] = [{"Name": "day", "Type": "date"}]
    assert changed(on_moto, change, "'day' 'date'", "'year' 'string'").status == 1


def test_a_view(on_ministack):
    def change(table):
        table["TableType"] = "VIRTUAL_VIEW"
    assert changed(on_ministack, change, "view").status == 2


def test_another_location_is_never_repointed(scene):
    scene.put(year(1, 0))
    scene.run()
    env = scene.environment(TABLE=scene.bucket.url("trial/"))
    trial = scene.run(env=env)
    assert trial.json["committed"] and trial.json["catalog"]["state"] == "failed"
    assert scene.bucket.url("trial") in trial.err and scene.bucket.url("lake") in trial.err
    assert scene.catalog("drop", env=env, status=2).json["dropped"] == 0
    assert scene.table()["StorageDescriptor"]["Location"] == scene.bucket.url("lake/")


def test_the_same_place_in_other_words(on_moto):
    on_moto.put(year(1, 0))
    on_moto.run()

    def change(table):
        table["StorageDescriptor"]["Location"] = on_moto.bucket.url("lake").replace("s3://", "s3a://")
    on_moto.update(change)
    assert on_moto.catalog("show").json["current"]
    assert on_moto.catalog("drop").json["dropped"] == 1


# --- Several at once --------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def held(scene, name):
    """A sync that is held just before one operation; others pass it by on the way past the proxy."""
    arrived, go_on = threading.Event(), threading.Event()

    def hold(x):
        arrived.set()
        assert go_on.wait(60)
        x.pass_on()
    scene.proxy.clear()
    scene.proxy.fail(only(name, hold), times=None)
    process = harness.Process("catalog", scene.job, "sync", "--json", env=scene.environment())
    try:
        assert arrived.wait(60)
        yield process
    finally:
        go_on.set()
        result = process.wait(60)
    assert result.status == 0, result
    process.result = result


def test_a_sleeper_does_not_shrink_ranges(on_ministack):
    scene = on_ministack
    aside = scene.environment(scene.server.url)
    scene.put(year(1, 0))
    scene.run()
    scene.put(year(2, 1))
    scene.run(env=scene.environment("http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1"))
    with held(scene, "UpdateTable") as sleeper:  # with 2024 and 2025 in its hand
        scene.put(year(3, 2))
        assert scene.run(env=aside).json["catalog"]["updated"] == 1
    assert scene.table()["Parameters"]["projection.year.values"] == "2024,2025,2026"
    assert sleeper.result.json["unchanged"] == 1 and scene.operations().count("UpdateTable") == 1


def test_the_log_is_read_after_the_entry(scene):
    """Who had its log in hand before it asked for the entry would now put 2024 and 2025 over the newer entry, whose version it knows."""
    scene.put(year(1, 0))
    scene.run()
    scene.put(year(2, 1))
    scene.run(env=scene.environment("http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1"))
    with held(scene, "GetTable") as sleeper:
        scene.put(year(3, 2))
        scene.run(env=scene.environment(scene.server.url))
    assert scene.table()["Parameters"]["projection.year.values"] == "2024,2025,2026"
    assert sleeper.result.json["unchanged"] == 1


def test_two_create_at_once(scene):
    scene.put(year(1, 0))
    scene.run(env=scene.environment("http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1"))
    with held(scene, "CreateTable") as sleeper:
        scene.put(year(2, 1))
        assert scene.run(env=scene.environment(scene.server.url)).json["catalog"]["created"] == 1
    assert sleeper.result.json["unchanged"] == 1 and sleeper.result.json["created"] == 0
    assert scene.table()["Parameters"]["projection.year.values"] == "2024,2025"


def test_many_at_once(on_ministack):
    scene = on_ministack
    for number in range(4):
        scene.put(year(number, number))
    scene.run("--limit", "1")
    processes = [harness.Process("run", scene.job, "--threads", "1", "--json", env=scene.environment(scene.server.url)) for _ in range(3)]
    assert [process.wait(120).status for process in processes] == [0, 0, 0]
    assert scene.table()["Parameters"]["projection.year.values"] == "2024,2025,2026,2027"
    assert scene.catalog("show").json["current"]


# --- What goes wrong --------------------------------------------------------------------------------------------------------

def test_a_catalog_that_is_down(scene):
    scene.put(year(1, 0))
    down = scene.environment(f"http://127.0.0.1:{s3_servers.free_port()}", AWS_MAX_ATTEMPTS="2")
    result = scene.run(env=down)
    assert result.json["committed"] and result.json["catalog"]["state"] == "failed"
    assert f"gristmill catalog {scene.job} sync" in result.err and scene.rows()
    assert s3_scene.secrets_in(scene.bucket, result.out, result.err) == []
    quiet = scene.run("--quiet", env=down).err  # it is no notice
    assert f"gristmill: {scene.database}.tiny: no answer" in quiet and f"gristmill catalog {scene.job} sync" in quiet
    assert scene.catalog("sync").json["created"] == 1
    scene.put(year(2, 1))
    scene.run(env=down)
    again = scene.run()  # nothing is new, and it is repaired all the same
    assert again.json["committed"] is False and again.json["catalog"]["updated"] == 1


def test_what_does_not_pass(on_moto):
    """A request that was made as often as requests are is the end of it: nothing begins it all over."""
    on_moto.put(year(1, 0))
    on_moto.run()
    on_moto.put(year(2, 1))
    on_moto.operations()

    def choose(x):
        return refuse("InternalServiceException", status=500)(x) if operation(x.request) == "UpdateTable" else x.pass_on()
    on_moto.proxy.fail(choose, times=None)
    assert on_moto.run(env=on_moto.environment(AWS_MAX_ATTEMPTS="2")).json["catalog"]["state"] == "failed"
    assert on_moto.operations() == ["GetTable", "UpdateTable", "UpdateTable"]


def test_who_is_to_stop_does_not_wait_for_a_silent_catalog(on_moto):
    on_moto.put(year(1, 0))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections are taken, and nobody speaks
        env = on_moto.environment(f"http://127.0.0.1:{silent.getsockname()[1]}")
        run = harness.Process("run", on_moto.job, "--threads", "1", "--json", env=env)
        silent.settimeout(60)
        connection, _ = silent.accept()
        connection.recv(1)
        start = time.monotonic()
        run.popen.send_signal(signal.SIGTERM)
        result = run.wait(60)
        assert time.monotonic() - start < 5 * harness.SLOW
    assert result.status == 0 and result.json["committed"] and result.json["catalog"]["error"]["code"] == "INTERRUPTED", result
    assert f"gristmill catalog {on_moto.job} sync" in result.err
    assert on_moto.catalog("sync").json["created"] == 1


def test_what_passes(scene):
    scene.put(year(1, 0))
    scene.proxy.fail(only("GetTable", refuse("ThrottlingException", "Rate exceeded")), times=None)
    told = scene.run().json["catalog"]
    assert (told["state"], told["created"], told["retries"]) == ("synced", 1, 1)
    for number, code in enumerate(("ConcurrentModificationException", "OperationTimeoutException", "ResourceNotReadyException")):
        scene.proxy.clear()
        scene.put(year(2 + number, 1 + number))
        scene.proxy.fail(only("UpdateTable", refuse(code)), times=None)
        told = scene.run().json["catalog"]
        assert (told["state"], told["updated"]) == ("synced", 1)
        assert scene.operations().count("GetTable") == 2


def test_lost_answers(scene):
    scene.put(year(1, 0))
    scene.proxy.fail(only("CreateTable", lose), times=None)
    told = scene.run().json["catalog"]
    assert (told["state"], told["created"], told["unchanged"]) == ("synced", 1, 0)
    scene.proxy.clear()
    scene.put(year(2, 1))
    scene.proxy.fail(only("UpdateTable", lose), times=None)
    told = scene.run().json["catalog"]
    assert (told["state"], told["updated"], told["unchanged"]) == ("synced", 1, 0)
    assert scene.table()["Parameters"]["projection.year.values"] == "2024,2025"


def test_who_may_not(on_moto):
    on_moto.put(year(1, 0))
    on_moto.proxy.fail(refuse("AccessDeniedException", "not authorized to perform: glue:GetTable"), times=None)
    result = on_moto.run()
    assert result.json["catalog"]["error"]["code"] == "DENIED" and "glue:GetTable" in result.err and "gristmill policy" in result.err


@pytest.mark.parametrize("absurd", [
    {}, {"Table": 1}, {"Table": {}}, {"Table": {"Name": 3}}, b"[]", b"<html>log in</html>", b"{",
    {"Table": {"Name": "tiny", "Parameters": {"a": {"b": "c"}}}},
    {"Table": {"Name": "tiny", "StorageDescriptor": {"Location": ["x"]}}},
    {"Table": {"Name": "tiny", "StorageDescriptor": {"Columns": [{"Type": "int"}]}}},
    {"Table": {"Name": "tiny", "StorageDescriptor": {"SerdeInfo": {"Parameters": []}}}},
    {"Table": {"Name": "tiny", "PartitionKeys": {"year": "string"}}},
    {"Table": {"Name": "tiny", "VersionId": "9" * 300}},
], ids=lambda value: str(value)[:60])
def test_absurd_answers(on_moto, absurd):
    on_moto.proxy.fail(answer(absurd), times=None)
    result = on_moto.catalog("sync", status=1)
    assert result.json["error"]["code"] == "CORRUPT", result
    assert set(on_moto.operations()) == {"GetTable"}


def test_partitions_without_end(on_moto):
    on_moto.write_job(catalog=", partitions: register")
    on_moto.put(year(1, 0))
    on_moto.run()
    one = {"Values": ["1999", "01"], "StorageDescriptor": {"Location": "s3://elsewhere/"}}
    for page in ({"Partitions": [one], "NextToken": "again"}, {"Partitions": [{"Values": ["1999"]}]}, {"Partitions": 3},
                 {"Partitions": [one], "NextToken": 7}):
        on_moto.proxy.clear()
        on_moto.proxy.fail(lambda x, page=page: answer(page)(x) if operation(x.request) == "GetPartitions" else x.pass_on(), times=None)
        result = on_moto.catalog("sync", status=1)
        assert result.json["error"]["code"] == "CORRUPT", result
        assert len(on_moto.operations()) <= 4


# --- Registered partitions --------------------------------------------------------------------------------------------------

def register(scene, more=""):
    scene.write_job(catalog=", partitions: register", more=more, edits=BY_S)


def part(number, value):
    return harness.tiny(number, s=value)


def test_registered_partitions(on_moto):
    scene = on_moto
    register(scene)
    odd = ["a b", "c/d=e", "50%", "ü", "__HIVE_DEFAULT_PARTITION_", None]
    values = [f"p{number:03}" for number in range(124)] + odd
    scene.put(*(part(number, value) for number, value in enumerate(values)))
    told = scene.run().json["catalog"]
    assert (told["created"], told["partitions_created"]) == (1, 130)
    assert [len(body(r)["PartitionInputList"]) for r in scene.proxy.requests if operation(r) == "BatchCreatePartition"] == [100, 30]
    found = scene.partitions()
    assert set(found) == {(value if value is not None else "__HIVE_DEFAULT_PARTITION__",) for value in values}
    folders = {key.rpartition("/")[0] + "/" for key in scene.bucket.sizes("lake/part=")}
    assert {p["StorageDescriptor"]["Location"] for p in found.values()} == {scene.bucket.url(folder) for folder in folders}
    size = dict(scene.bucket.sizes("lake/part=p000/"))
    assert found[("p000",)]["Parameters"] == {"numFiles": "1", "numRows": "1", "totalSize": str(*size.values())}
    assert not any(name.startswith("projection") for name in scene.table()["Parameters"])
    scene.operations()
    assert scene.run().json["catalog"]["unchanged"] == 1 and scene.operations() == ["GetTable", "GetPartitions"]


def test_partitions_follow_the_columns_and_the_log(on_moto):
    scene = on_moto
    register(scene)
    scene.put(*(part(number, f"p{number:03}") for number in range(110)))
    scene.run()
    theirs = scene.partitions()[("p001",)]
    scene.glue.update_partition(DatabaseName=scene.database, TableName="tiny", PartitionValueList=["p001"], PartitionInput={
        "Values": ["p001"], "StorageDescriptor": theirs["StorageDescriptor"], "Parameters": {**theirs["Parameters"], "note": "theirs"}})
    storage = dict(theirs["StorageDescriptor"])

    def more(values, location):
        return {"Values": [values], "StorageDescriptor": {**storage, "Location": location}}
    gone = [more(f"gone{number}", scene.bucket.url(f"lake/part=gone{number}/")) for number in range(30)]
    scene.glue.batch_create_partition(DatabaseName=scene.database, TableName="tiny",
                                      PartitionInputList=[*gone, more("far", "s3://elsewhere/far/")])
    register(scene, more="  - {name: later, type: int, from: later}\n")
    scene.put(part(200, "p200"))
    scene.operations()
    told = scene.run().json["catalog"]
    assert (told["updated"], told["partitions_created"], told["partitions_updated"], told["partitions_removed"]) == (1, 1, 110, 30)
    sent = [(operation(r), body(r)) for r in scene.proxy.requests]
    assert [len(b["Entries"]) for o, b in sent if o == "BatchUpdatePartition"] == [100, 10]
    assert [len(b["PartitionsToDelete"]) for o, b in sent if o == "BatchDeletePartition"] == [25, 5]
    # after a removal the log is looked at again
    assert [o for o, _ in sent].count("GetPartitions") == 2
    found = scene.partitions()
    assert set(found) == {(f"p{number:03}",) for number in [*range(110), 200]} | {("far",)}
    names = [c["Name"] for c in scene.table()["StorageDescriptor"]["Columns"]]
    assert names[-1] == "later"
    for values, partition in found.items():
        assert values == ("far",) or [c["Name"] for c in partition["StorageDescriptor"]["Columns"]] == names
    assert found[("p001",)]["Parameters"]["note"] == "theirs" and found[("far",)]["StorageDescriptor"]["Location"] == "s3://elsewhere/far/"


def test_a_sleeper_does_not_undo_partitions(on_moto):
    """It holds an update of older figures, or a removal by an older log, and makes it after another has made better ones."""
    scene = on_moto
    register(scene)
    scene.put(part(1, "a"))
    scene.run()
    scene.update(lambda table: table["Parameters"].update({"numFiles": "1"}))
    partition = scene.partitions()[("a",)]
    older = {**partition["Parameters"], "numRows": "77"}
    scene.glue.update_partition(DatabaseName=scene.database, TableName="tiny", PartitionValueList=["a"], PartitionInput={
        "Values": ["a"], "StorageDescriptor": partition["StorageDescriptor"], "Parameters": older})
    scene.update(lambda table: table["Parameters"].pop("numRows"))  # so that it looks at all figures
    gone = {**partition["StorageDescriptor"], "Location": scene.bucket.url("lake/part=b/")}
    scene.glue.batch_create_partition(DatabaseName=scene.database, TableName="tiny",
                                      PartitionInputList=[{"Values": ["b"], "StorageDescriptor": gone}])
    with held(scene, "BatchUpdatePartition") as sleeper:
        scene.put(part(2, "a"), part(3, "b"))
        scene.run(env=scene.environment(scene.server.url))
        assert scene.partitions()[("a",)]["Parameters"]["numRows"] == "2"
    found = scene.partitions()
    assert set(found) == {("a",), ("b",)} and found[("a",)]["Parameters"]["numRows"] == "2", sleeper.result
    assert sleeper.result.json["partitions_removed"] == 1 and sleeper.result.json["partitions_created"] == 1


def test_a_partition_that_somebody_registered_elsewhere(scene):
    register(scene)
    scene.put(part(1, "a"), part(2, "b"))
    scene.run()
    storage = {**scene.partitions()[("a",)]["StorageDescriptor"], "Location": "s3://elsewhere/c/"}
    scene.glue.batch_create_partition(DatabaseName=scene.database, TableName="tiny",
                                      PartitionInputList=[{"Values": ["c"], "StorageDescriptor": storage}])
    scene.put(part(3, "c"))
    result = scene.run()
    assert result.json["catalog"]["state"] == "synced" and "elsewhere" in result.err
    assert scene.partitions()[("c",)]["StorageDescriptor"]["Location"] == "s3://elsewhere/c/"
    assert scene.catalog("show").json["entries"][0]["partitions"]["foreign"] == 1


def test_partitions_come_in_pages(on_moto):
    """As AWS gives them: with an empty page in between, and a token on the last but one."""
    scene = on_moto
    register(scene)
    scene.put(*(part(number, f"p{number}") for number in range(7)))
    scene.run()
    everything = [{"Values": p["Values"], "StorageDescriptor": p["StorageDescriptor"], "Parameters": p["Parameters"]}
                  for p in scene.partitions().values()]
    pages = {"": (everything[:3], "a"), "a": ([], "b"), "b": (everything[3:6], "c"), "c": (everything[6:], "d"), "d": ([], None)}
    asked = []

    def page(x):
        if operation(x.request) != "GetPartitions":
            return x.pass_on()
        asked.append(body(x.request))
        partitions, token = pages[asked[-1].get("NextToken", "")]
        return answer({"Partitions": partitions, **({"NextToken": token} if token else {})})(x)
    scene.proxy.clear()
    scene.proxy.fail(page, times=None)
    told = scene.run().json["catalog"]
    assert told["unchanged"] == 1 and told["partitions_created"] + told["partitions_updated"] + told["partitions_removed"] == 0
    assert [request.get("NextToken") for request in asked] == [None, "a", "b", "c", "d"]
    assert all(1 <= request["MaxResults"] <= 1000 for request in asked)


def test_refused_partitions_are_tried_again(on_moto):
    scene = on_moto
    register(scene)
    scene.put(part(1, "a"))
    error = {"Errors": [{"PartitionValues": ["a"], "ErrorDetail": {"ErrorCode": "InternalServiceException", "ErrorMessage": "busy"}}]}
    scene.proxy.fail(only("BatchCreatePartition", answer(error)), times=None)
    told = scene.run().json["catalog"]
    assert (told["state"], told["created"], told["partitions_created"]) == ("synced", 1, 1)
    scene.proxy.clear()
    scene.put(part(2, "b"))
    scene.proxy.fail(only("BatchCreatePartition", lose), times=None)
    assert scene.run().json["catalog"]["state"] == "synced" and set(scene.partitions()) == {("a",), ("b",)}


def test_from_projection_to_registered_and_back(scene):
    scene.put(year(1, 0), year(2, 1))
    scene.run()
    scene.write_job(catalog=", partitions: register")
    told = scene.catalog("sync").json
    assert (told["updated"], told["partitions_created"]) == (1, 2)
    assert not any(name.startswith("projection") for name in scene.table()["Parameters"])
    scene.write_job()
    assert scene.catalog("sync").json["updated"] == 1 and scene.table()["Parameters"]["projection.enabled"] == "true"


def test_what_cannot_be_projected_is_told(scene):
    scene.write_job(edits=BY_S)
    scene.put(part(1, "a"), part(2, None))
    result = scene.run()
    assert result.json["catalog"]["state"] == "failed" and "null" in result.err and "register" in result.err
    scene.write_job(edits=BY_S, catalog=", partitions: register")
    assert scene.catalog("sync").json["partitions_created"] == 2


# --- By hand ----------------------------------------------------------------------------------------------------------------

def test_show(scene):
    scene.write_job(catalog=", format: both")
    scene.put(year(1, 0))
    scene.run(env=scene.environment("http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1"))
    shown = scene.catalog("show", status=1).json
    assert [(e["name"], e["state"], e["has"]) for e in shown["entries"]] == [("tiny", "missing", None), ("tiny_delta", "missing", None)]
    scene.run()
    shown = scene.catalog("show").json
    assert shown["current"] and [e["state"] for e in shown["entries"]] == ["current", "current"]
    assert shown["entries"][0]["has"]["StorageDescriptor"]["Location"] == scene.bucket.url("lake/")

    def change(table):
        table["Parameters"]["projection.year.values"] = "1999"
        table["Parameters"]["storage.location.template"] = "s3://elsewhere/${year}"
        del table["StorageDescriptor"]["Columns"][3]
    scene.update(change)
    scene.operations()
    shown = scene.catalog("show", status=1).json["entries"][0]
    assert set(scene.operations()) == {"GetTable"}
    text = "\n".join(shown["differences"])
    assert shown["state"] == "differs" and len(shown["differences"]) == 3
    for word in ("'ok'", "'1999'", "'2024'", "storage.location.template"):
        assert word in text
    people = scene.gristmill("catalog", scene.job, "show", status=1).out
    assert "1999" in people and "differs" in people and scene.bucket.url("lake/") in people
    assert shown["should"]["Parameters"]["projection.year.values"] == "2024"
    assert scene.catalog("sync").json["updated"] == 1 and scene.catalog("show").json["current"]


def test_drop(scene):
    scene.write_job(catalog=", format: both, delta_name: tiny_d")
    scene.put(year(1, 0))
    scene.run()
    files = scene.bucket.sizes("lake/")
    assert scene.catalog("drop").json["dropped"] == 2
    with pytest.raises(scene.glue.exceptions.EntityNotFoundException):
        scene.table("tiny_d")
    assert scene.catalog("drop").json["dropped"] == 0 and scene.bucket.sizes("lake/") == files
    assert scene.run().json["catalog"]["created"] == 2


def test_a_job_without_a_catalog(on_moto):
    on_moto.write_job(edits=[("catalog: {type: glue}", "catalog: {type: none}")])
    on_moto.put(year(1, 0))
    assert "catalog" not in on_moto.run().json
    assert "no catalog" in on_moto.catalog("sync", status=2).err
    assert on_moto.operations() == []


# --- Around it --------------------------------------------------------------------------------------------------------------

def steps(scene, **options):
    told = scene.gristmill("doctor", scene.job, "--json", **options).json
    return [(step["step"], step["result"], step["text"]) for step in told["steps"] if step["place"] == "catalog"]


def test_doctor(scene):
    scene.put(year(1, 0))
    (credentials, database, entry) = steps(scene)
    assert credentials[:2] == ("credentials", "ok") and "us-east-1" in credentials[2]
    assert database[:2] == ("database", "note") and entry[:2] == ("entry", "note") and "not there yet" in entry[2]
    scene.run()
    assert [step[:2] for step in steps(scene)] == [("credentials", "ok"), ("database", "ok"), ("entry", "ok")]

    def change(table):
        table["StorageDescriptor"]["Columns"][4]["Type"] = "int"
    scene.update(change)
    assert steps(scene, status=1)[2][:2] == ("entry", "FAIL")
    down = scene.environment(f"http://127.0.0.1:{s3_servers.free_port()}", AWS_MAX_ATTEMPTS="1")
    assert [step[:2] for step in steps(scene, status=1, env=down)][1:] == [("database", "FAIL"), ("entry", "FAIL")]


class Statements(dict):
    """Sid -> actions, ARNs."""

    def __init__(self, policy):
        super().__init__()
        for statement in policy["Statement"]:
            assert statement["Effect"] == "Allow"
            self[statement["Sid"]] = set(statement["Action"]), set(statement["Resource"])


def test_policy(on_moto):
    scene = on_moto
    env = scene.environment(AWS_REGION="eu-west-3", AWS_PROFILE="")

    def policy(**job):
        scene.write_job(**job)
        return scene.gristmill("policy", scene.job, "--json", env=env).json
    arn = f"arn:aws:glue:eu-west-3:*:{{}}/{scene.database}".format
    found = Statements(policy()["policy"])
    whole = {"arn:aws:glue:eu-west-3:*:catalog", arn("database")}
    assert found["ReadDatabase"] == ({"glue:GetDatabase", "glue:CreateDatabase"}, whole)
    assert found["DescribeTable"] == ({"glue:GetTable", "glue:CreateTable", "glue:UpdateTable"}, whole | {arn("table") + "/tiny"})
    assert "RegisterPartitions" not in found and "ReadSource" in found
    found = Statements(policy(catalog=', format: both, partitions: register, catalog_id: "123456789012"')["policy"])
    assert found["RegisterPartitions"][0] == {"glue:GetPartitions", "glue:BatchCreatePartition", "glue:BatchUpdatePartition",
                                              "glue:BatchDeletePartition"}
    database = f"arn:aws:glue:eu-west-3:123456789012:table/{scene.database}"
    assert {f"{database}/tiny", f"{database}/tiny_delta"} < found["DescribeTable"][1]
    apart = policy(catalog=", endpoint: http://127.0.0.1:9")
    assert set(apart) == {"policy", "catalog"} and set(Statements(apart["catalog"])) == {"ReadDatabase", "DescribeTable"}
    assert not any("glue" in str(statement) for statement in apart["policy"]["Statement"])


def test_policy_is_enough(on_moto):
    """No request but those that the policy names (drop is for people)."""
    scene = on_moto
    allowed = {"glue:GetDatabase", "glue:CreateDatabase", "glue:GetTable", "glue:CreateTable", "glue:UpdateTable", "glue:GetPartitions",
               "glue:BatchCreatePartition", "glue:BatchUpdatePartition", "glue:BatchDeletePartition"}
    register(scene)
    policy = Statements(scene.gristmill("policy", scene.job, "--json").json["policy"])
    assert {action for actions, _ in policy.values() for action in actions if action.startswith("glue:")} == allowed
    scene.put(part(1, "a"))
    scene.run()
    scene.put(part(2, "a"), part(3, "b"))
    scene.run()
    scene.catalog("show")
    scene.gristmill("doctor", scene.job)
    assert {f"glue:{name}" for name in scene.operations()} <= allowed
