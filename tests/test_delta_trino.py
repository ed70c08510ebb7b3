"""Trino judges the Delta log. A module of its own, since it needs a server: scripts/trino-server fetches it (800 MB, once), it is started
once, and ends with the module. `-m "not trino"` leaves it out. It reads only: on a local disk it has no way to commit."""
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import harness
from test_delta_log import COLUMNS, T0, VERSIONS, cleaned, expected, ours  # noqa: F401

pytestmark = pytest.mark.trino

JVM = """-server
-Xmx768M
-XX:+UseSerialGC
-XX:TieredStopAtLevel=1
-XX:ReservedCodeCacheSize=128M
-XX:+ExitOnOutOfMemoryError
-Djdk.attach.allowAttachSelf=true
-Dfile.encoding=UTF-8
--enable-native-access=ALL-UNNAMED
--sun-misc-unsafe-memory-access=allow
"""
NODE = """node.environment=test
node.id=ffffffff-ffff-ffff-ffff-ffffffffffff
node.data-dir={data}
node.bind-ip=127.0.0.1
"""
CONFIG = """coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port={port}
discovery.uri=http://127.0.0.1:{port}
node.internal-address=127.0.0.1
query.max-memory=150MB
query.max-memory-per-node=150MB
memory.heap-headroom-per-node=150MB
catalog.management=static
web-ui.enabled=false
"""
CATALOG = """connector.name=delta_lake
hive.metastore=file
hive.metastore.catalog.dir=local:///metastore
fs.native-local.enabled=true
local.location={lake}
delta.register-table-procedure.enabled=true
delta.metadata.cache-ttl=0s
"""


class Trino:
    """A server on one folder, and its HTTP interface."""

    def __init__(self, folder):
        done = subprocess.run([harness.ROOT / "scripts/trino-server"], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"scripts/trino-server: {done.stderr.strip()[-300:]}")
        java, home = done.stdout.split()[-1], harness.ROOT / ".cache/trino"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.lake, etc = folder / "lake", folder / "etc"
        self.lake.mkdir()
        for name, text in (("jvm.config", JVM), ("node.properties", NODE.format(data=folder / "data")), ("config.properties", CONFIG.format(port=self.port)),
                           ("catalog/delta.properties", CATALOG.format(lake=self.lake))):
            harness.write(etc / name, text.encode())
        self.log = open(folder / "server.log", "wb")
        environment = {**os.environ, "JAVA_HOME": java, "PATH": f"{java}/bin:{os.environ['PATH']}"}
        self.process = subprocess.Popen([home / "bin/launcher", "run", f"--etc-dir={etc}", f"--data-dir={folder / 'data'}"], env=environment,
                                        stdout=self.log, stderr=subprocess.STDOUT)

    def wait(self, seconds=240):
        """Until a query that needs a worker is answered: the server says that it has started before that."""
        end = time.monotonic() + seconds
        while True:
            assert self.process.poll() is None, f"Trino ended; see {self.log.name}"
            try:
                return self.sql("select count(*) from delta.information_schema.schemata")
            except (urllib.error.URLError, ConnectionError, RuntimeError):
                assert time.monotonic() < end, f"Trino does not answer; see {self.log.name}"
                time.sleep(0.3)

    def _get(self, url, data=None):
        request = urllib.request.Request(url, data=data, headers={"X-Trino-User": "test", "X-Trino-Catalog": "delta", "X-Trino-Schema": "s",
                                                                  "X-Trino-Time-Zone": "UTC"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def sql(self, statement, seconds=120):
        """The rows. A server that has started may have no node to work on it for some seconds more: then it is asked again."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self._sql(statement)
            except RuntimeError as error:
                if "NO_NODES_AVAILABLE" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(0.3)

    def _sql(self, statement):
        answer, rows = self._get(f"http://127.0.0.1:{self.port}/v1/statement", statement.encode()), []
        while True:
            if "error" in answer:
                raise RuntimeError(f"{answer['error'].get('errorName')}: {answer['error']['message']}")
            rows += answer.get("data", [])
            if "nextUri" not in answer:
                return rows
            answer = self._get(answer["nextUri"])

    def register(self, table):
        """Puts a copy of a table into the lake, under the name of its folder."""
        shutil.copytree(table, self.lake / table.name)
        self.sql(f"call delta.system.register_table('s', '{table.name}', 'local:///{table.name}')")
        return table.name

    def close(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


@pytest.fixture(scope="module")
def trino(tmp_path_factory):
    server = Trino(tmp_path_factory.mktemp("trino"))
    try:
        server.wait()
        server.sql("create schema delta.s")
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def tables(trino, ours, cleaned):  # noqa: F811
    return {"ours": trino.register(ours), "cleaned": trino.register(cleaned)}


def in_milliseconds(rows):
    """Trino has no microseconds in Delta tables."""
    return [(row[0], row[1] and row[1] // 1000, *row[2:]) for row in rows]


def rows_of(trino, table, of="", where="true"):
    columns = ["cast(to_unixtime(seen) * 1000 as bigint)" if name == "seen" else "cast(d as varchar)" if name == "d" else name for name in COLUMNS]
    rows = trino.sql(f"select {', '.join(columns)} from {table} {of} where {where}")
    return sorted((tuple(row) for row in rows), key=lambda row: [(v is not None, str(type(v)), v) for v in row])


@pytest.mark.parametrize("name", ["ours", "cleaned"])
def test_snapshot_and_time_travel(trino, tables, name):
    table, first = tables[name], 20 if name == "cleaned" else 0
    assert rows_of(trino, table) == in_milliseconds(expected(range(VERSIONS)))
    for version in (0, 10, 13, 20, 23):
        if version >= first:
            assert rows_of(trino, table, f"for version as of {version}") == in_milliseconds(expected(range(version + 1)))
    if first:
        with pytest.raises(RuntimeError):
            rows_of(trino, table, "for version as of 13")
    history = trino.sql(f'select version, operation, operation_parameters from "{table}$history" order by version')
    assert [row[0] for row in history] == list(range(first, VERSIONS))
    assert history[-1][1] == "WRITE" and history[-1][2]["run"] == str(VERSIONS - 1)


@pytest.mark.parametrize("name", ["ours", "cleaned"])
@pytest.mark.parametrize("where, keep", [
    ("id = 101", lambda row: row[0] == 101),
    ("s > '" + "p" * 40 + "s'", lambda row: row[2] > "p" * 40 + "s"),
    ("s = '" + "é" * 31 + "\U0010FFFF" + "z'", lambda row: row[2] == "é" * 31 + "\U0010FFFF" + "z"),
    ("seen = timestamp '2024-03-10 22:01:31.084 UTC'", lambda row: row[1] // 1000 == T0 // 1000 + 7000),
    ("day = 'x/y' and d >= date '2024-03-10'", lambda row: row[6] == "x/y" and row[4] >= "2024-03-10"),
])
def test_statistics_leave_no_row_out(trino, tables, name, where, keep):
    want = [row for row in expected(range(VERSIONS)) if row[0] is not None and keep(row)]
    assert want and rows_of(trino, tables[name], where=where) == in_milliseconds(want)


def test_comments_and_types(trino, tables):
    columns = {row[0]: row[1:] for row in trino.sql(f"show columns from {tables['ours']}")}
    assert columns["id"] == ["bigint", "", "a number"] and columns["seen"][0] == "timestamp(3) with time zone" and columns["year"][2] == "of seen"
