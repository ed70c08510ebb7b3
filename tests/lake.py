"""A lake as on AWS, all of it on the loopback interface: objects in versitygw, the Glue Data Catalog in moto, and over both a Trino, which
is what Athena's engine is. There is one for all tests (the fixture `lake` of conftest.py), since a Trino takes half a minute to start:

    harness.run(job, source, lake.bucket.url("table/"), env=lake.env)
    lake.glue.create_table(...)
    lake.sql("select count(*) from t")                      # by Trino's Hive connector
    lake.sql("select count(*) from t", catalog="delta")     # by its Delta connector

Nobody waits for Trino before the first question to it. It is fetched by scripts/trino-server (800 MB, once). Its catalogs:

    hive    the catalog's tables as Hive tables; partition projection is heeded; those marked as Delta tables are handed to `delta`
    delta   the catalog's Delta tables
    files   Hive tables that Trino makes itself, over the same bucket; their catalog lies there, too
    local   Delta tables of folders, in a catalog of its own: Trino.register()

What is not set as Athena has it, and why: timestamps of Hive tables have microseconds (Athena shows milliseconds); statistics of tables
are not asked for, since moto has none of partitions and its errors cost seconds."""
import dataclasses
import functools
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import harness
import s3_servers

DATABASE = "synapse"  # of the jobs, and where statements look that name none

JVM = """-server
-Xmx768M
-XX:+UseSerialGC
-XX:TieredStopAtLevel=1
-XX:ReservedCodeCacheSize=128M
-XX:+ExitOnOutOfMemoryError
-Djdk.attach.allowAttachSelf=true
-Djdk.nio.maxCachedBufferSize=2000000
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
FILES = """connector.name=hive
hive.metastore=file
hive.metastore.catalog.dir=s3://lake/catalog-of-files
hive.partition-projection-enabled=true
"""
LOCAL = """connector.name=delta_lake
hive.metastore=file
hive.metastore.catalog.dir=local:///metastore
fs.native-local.enabled=true
local.location={lake}
delta.register-table-procedure.enabled=true
delta.metadata.cache-ttl=0s
"""
GLUE = """hive.metastore=glue
hive.metastore.glue.region={region}
hive.metastore.glue.endpoint-url={glue}
hive.metastore.glue.aws-access-key={access}
hive.metastore.glue.aws-secret-key={secret}
"""
S3 = """fs.native-s3.enabled=true
s3.endpoint={s3}
s3.region={region}
s3.path-style-access=true
s3.aws-access-key={access}
s3.aws-secret-key={secret}
"""
HIVE = """connector.name=hive
hive.partition-projection-enabled=true
hive.delta-lake-catalog-name=delta
hive.timestamp-precision=MICROSECONDS
hive.table-statistics-enabled=false
"""
DELTA = """connector.name=delta_lake
delta.register-table-procedure.enabled=true
delta.metadata.cache-ttl=0s
"""


@functools.cache
def _stubs():
    """None, or why there is no moto."""
    done = subprocess.run([harness.ROOT / "scripts/aws-stubs"], capture_output=True, text=True)
    return None if done.returncode == 0 else f"scripts/aws-stubs: {done.stderr.strip()[-300:]}"


class Moto(s3_servers.Server):
    """Glue. It checks no signature, and keeps what it is told in memory."""

    name = "moto"
    ready_path = "/moto-api/"

    def find(self):
        if why := _stubs():
            pytest.skip(why)
        return harness.ROOT / ".cache/aws-stubs/bin/moto_server"

    def command(self):
        return [self.program, "-H", "127.0.0.1", "-p", str(self.port)]


@functools.cache
def _java():
    """Of a machine that has Trino, the Java that runs it; else why there is none."""
    done = subprocess.run([harness.ROOT / "scripts/trino-server"], capture_output=True, text=True)
    return (done.stdout.split()[-1], None) if done.returncode == 0 else (None, f"scripts/trino-server: {done.stderr.strip()[-300:]}")


@dataclasses.dataclass
class Answer:
    """Rows are lists of what JSON can hold, as the columns' types are written in it: times and dates are text."""

    rows: list
    columns: list  # of {"name": ..., "type": ...}
    stats: dict  # completedSplits, processedRows, physicalInputBytes, ...


class Trino(s3_servers.Server):
    """The server, and its HTTP interface. Entering it does not wait: the first question does. If it cannot be had, who asks is skipped."""

    name = "trino"

    def __init__(self, folder, glue, s3):
        super().__init__(folder)
        self.lake, self.etc, self.data, self.ready = folder / "lake", folder / "etc", folder / "data", False
        self.lake.mkdir()
        values = {"region": s3_servers.REGION, "glue": glue.url, "s3": s3.url, "access": s3.access, "secret": s3.secret}
        both, only_s3 = (GLUE + S3).format(**values), S3.format(**values)
        for name, text in (("jvm.config", JVM), ("node.properties", NODE.format(data=self.data)), ("catalog/hive.properties", HIVE + both),
                           ("catalog/delta.properties", DELTA + both), ("catalog/files.properties", FILES + only_s3),
                           ("catalog/local.properties", LOCAL.format(lake=self.lake))):
            harness.write(self.etc / name, text.encode())

    def find(self):
        java, self.why = _java()
        if self.why:
            return None
        self.environ = {"JAVA_HOME": java, "PATH": f"{java}/bin:{os.environ['PATH']}"}
        return harness.ROOT / ".cache/trino/bin/launcher"

    def command(self):
        harness.write(self.etc / "config.properties", CONFIG.format(port=self.port).encode())
        return [self.program, "run", f"--etc-dir={self.etc}", f"--data-dir={self.data}"]

    def wait_ready(self, seconds=30):
        return True

    def __enter__(self):
        return self if self.why else super().__enter__()

    def __exit__(self, *_):
        if not self.why:
            super().__exit__()

    def wait(self, seconds=240):
        """Until a query that needs a worker is answered: the server says that it has started before that."""
        if self.why:
            pytest.skip(self.why)
        end = time.monotonic() + seconds
        while not self.ready:
            assert self.process.poll() is None, f"Trino ended: {self.said()}"
            try:
                self._query("select count(*) from local.information_schema.schemata", "local", DATABASE)
                self.ready = True
            except (urllib.error.URLError, ConnectionError, RuntimeError):
                assert time.monotonic() < end, f"Trino does not answer: {self.said()}"
                time.sleep(0.3)

    def query(self, statement, catalog="hive", schema=DATABASE, seconds=120):
        """The answer; RuntimeError with Trino's words if it has none. A server that has started may have no node to work on it for some
        seconds more: then it is asked again."""
        self.wait()
        end = time.monotonic() + seconds
        while True:
            try:
                return self._query(statement, catalog, schema)
            except RuntimeError as error:
                if "NO_NODES_AVAILABLE" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(0.3)

    def sql(self, statement, catalog="hive", schema=DATABASE):
        """The rows."""
        return self.query(statement, catalog, schema).rows

    def _query(self, statement, catalog, schema):
        headers = {"X-Trino-User": "test", "X-Trino-Catalog": catalog, "X-Trino-Schema": schema, "X-Trino-Time-Zone": "UTC",
                   "X-Trino-Client-Capabilities": "PARAMETRIC_DATETIME"}  # without it times have milliseconds, whatever they had
        answer, rows, columns = self._get(f"{self.url}/v1/statement", headers, statement.encode()), [], []
        while True:
            if "error" in answer:
                raise RuntimeError(f"{answer['error'].get('errorName')}: {answer['error']['message']}")
            rows += answer.get("data", [])
            columns = answer.get("columns", columns)
            if "nextUri" not in answer:
                return Answer(rows, columns, answer["stats"])
            answer = self._get(answer["nextUri"], headers)

    def _get(self, url, headers, data=None):
        with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=headers), timeout=60) as answer:
            return json.load(answer)

    def register(self, table):
        """Puts a copy of a folder's table into the catalog `local`, under the name of the folder."""
        shutil.copytree(table, self.lake / table.name)
        self.sql(f"create schema if not exists local.{DATABASE}", "local")
        self.sql(f"call local.system.register_table('{DATABASE}', '{table.name}', 'local:///{table.name}')", "local")
        return table.name


class Lake:
    """The three servers, as a context manager. bucket: a bucket of versitygw (s3_servers.Bucket); s3, glue: clients of boto3; env: for the
    program under test, and what else understands AWS's variables."""

    def __init__(self, folder):
        self.moto, self.versitygw = Moto(folder / "moto"), s3_servers.Versitygw(folder / "versitygw", keeps_requests=True)
        self.trino = Trino(folder / "trino", self.moto, self.versitygw)
        self.servers = []

    def __enter__(self):
        try:
            for server in (self.trino, self.versitygw, self.moto):
                self.servers.append(server.__enter__())
            self._connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        while self.servers:
            self.servers.pop().__exit__(None, None, None)

    def _connect(self):
        import boto3
        from botocore.config import Config

        self.bucket, self.s3 = self.versitygw.make_bucket("lake"), self.versitygw.client()
        session = boto3.session.Session(self.versitygw.access, self.versitygw.secret, region_name=s3_servers.REGION)
        self.glue = session.client("glue", endpoint_url=self.moto.url, config=Config(retries={"total_max_attempts": 1}))
        self.env = {**self.versitygw.environment(AWS_ENDPOINT_URL_S3=self.versitygw.url), "AWS_ENDPOINT_URL_GLUE": self.moto.url}
        del self.env["AWS_ENDPOINT_URL"]

    def sql(self, statement, catalog="hive", schema=DATABASE):
        return self.trino.sql(statement, catalog, schema)

    def query(self, statement, catalog="hive", schema=DATABASE):
        """Rows, columns and figures: Answer."""
        return self.trino.query(statement, catalog, schema)
