"""Engines that read and write Delta tables, each behind the same few calls. Those that cannot share a process with the rest of
the tests run in one of their own (this file, as a program): Spark, whose session must be made with Delta's jars, and DuckDB, whose
delta extension is of an older version. They are asked with Python source, one JSON object a line, and answer with what it gives.

Rows are tuples of plain values in the order of the columns asked for, sorted; times are microseconds since 1970."""
import functools
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"


@functools.cache
def missing():
    """None when scripts/delta-engines has put them in place, else why not."""
    done = subprocess.run([ROOT / "scripts/delta-engines"], capture_output=True, text=True)
    return f"scripts/delta-engines could not fetch what reads Delta tables: {done.stderr[-300:]}" if done.returncode != 0 else None


def order(rows):
    return sorted((tuple(row) for row in rows), key=lambda row: [(v is not None, str(type(v)), v) for v in row])


class Worker:
    """A process of this file that evaluates what it is sent."""

    def __init__(self, kind, environment, errors):
        self.errors = open(errors, "wb")
        self.process = subprocess.Popen([sys.executable, __file__, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=self.errors, env={**os.environ, **environment})

    def ask(self, source, **values):
        self.process.stdin.write(json.dumps({"source": source, "values": values}) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("answer: "):
                answer = json.loads(line[len("answer: "):])
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return answer["value"]
        raise RuntimeError(f"the worker ended; see {self.errors.name}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.errors.close()


# --- Readers: rows(table, columns, version=None, where=None), versions(table) ---------------------------------------------

class DeltaRs:
    name = "delta-rs"

    def rows(self, table, columns, version=None, where=None):
        from deltalake import DeltaTable, QueryBuilder

        condition = f" where {where}" if where else ""
        query = QueryBuilder().register("t", DeltaTable(str(table), version=version))
        arrow = _whole(query.execute(f"select {', '.join(columns)} from t{condition}"))
        return _from_arrow(arrow, columns)

    def versions(self, table):
        from deltalake import DeltaTable

        return {entry["version"]: entry for entry in DeltaTable(str(table)).history()}


class Polars:
    name = "polars"

    def rows(self, table, columns, version=None, where=None):
        import polars as pl

        frame = pl.scan_delta(str(table), version=version)
        if where:  # its SQL has no times with a zone: those come as column and value
            frame = frame.filter(pl.sql_expr(where) if isinstance(where, str) else pl.col(where[0]) == where[1])
        return _from_arrow(frame.select(columns).collect().to_arrow(), columns)


class DuckDB:
    name = "duckdb"

    def __init__(self, folder):
        self.worker = Worker("duckdb", {"PYTHONPATH": str(CACHE / "duckdb-delta")}, folder / "duckdb.log")

    def query(self, text):
        return self.worker.ask("rows(query)", query=text)

    def use_s3(self, server):
        """From now on s3:// is there."""
        self.worker.ask("use_s3(**values)", values={"key_id": server.access, "secret": server.secret, "region": "us-east-1", "url_style": "path",
                                                    "endpoint": f"127.0.0.1:{server.port}", "use_ssl": "false"})

    def rows(self, table, columns, version=None, where=None):
        of = f", version => {version}" if version is not None else ""
        condition = f" where {where}" if where else ""
        query = f"select {', '.join(columns)} from delta_scan('{table}'{of}){condition}"
        return order(self.worker.ask("rows(query)", query=query))

    def close(self):
        self.worker.close()


class Spark:
    name = "spark"

    def __init__(self, folder):
        self.worker = Worker("spark", {"SPARK_LOCAL_IP": "127.0.0.1"}, folder / "spark.log")

    def rows(self, table, columns, version=None, where=None):
        return order(self.worker.ask("rows(table, columns, version, where)", table=str(table), columns=columns, version=version,
                                     where=where))

    def versions(self, table):
        return {entry["version"]: entry for entry in self.worker.ask("history(table)", table=str(table))}

    def sql(self, statement):
        return self.worker.ask("[tuple(row) for row in spark.sql(statement).collect()]", statement=statement)

    def close(self):
        self.worker.close()


def _whole(answer):
    import pyarrow as pa

    return pa.table(answer.read_all()) if hasattr(answer, "read_all") else pa.table(answer)


def _from_arrow(table, columns):
    import pyarrow as pa

    out = []
    for name in columns:
        column = table.column(name)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.int64())
        values = column.cast(column.type.value_type).to_pylist() if pa.types.is_dictionary(column.type) else column.to_pylist()
        out.append([v.isoformat() if hasattr(v, "isoformat") else v for v in values])
    return order(zip(*out))


# --- The workers ----------------------------------------------------------------------------------------------------------

def _spark_tools():
    from pyspark.sql import SparkSession

    settings = {
        "spark.jars": ",".join(map(str, sorted((CACHE / "delta-spark").glob("*.jar")))),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.databricks.delta.snapshotPartitions": "1", "spark.sql.session.timeZone": "UTC", "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "1", "spark.driver.memory": "1g", "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1", "spark.log.level": "ERROR", "spark.ui.showConsoleProgress": "false",
        # A few rows: to compile anything for them takes longer than to read them.
        "spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN", "spark.sql.adaptive.enabled": "false",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()

    def rows(table, columns, version, where):
        reader = spark.read.format("delta")
        frame = (reader if version is None else reader.option("versionAsOf", version)).load(table)
        frame = frame if where is None else frame.where(where)
        kinds = dict(frame.dtypes)
        frame = frame.selectExpr(*(f"unix_micros({n})" if kinds[n] == "timestamp" else n for n in columns))
        return [tuple(row) for row in frame.collect()]

    def history(table):
        return [{"version": row.version, "operation": row.operation, "metrics": row.operationMetrics, "engine": row.engineInfo,
                 "parameters": row.operationParameters} for row in spark.sql(f"describe history delta.`{table}`").collect()]

    return {"spark": spark, "rows": rows, "history": history}


def _duckdb_tools():
    import duckdb
    import duckdb_extension_delta

    connection = duckdb.connect()
    connection.execute(f"load '{_extension(duckdb_extension_delta)}'")
    connection.execute("set timezone = 'UTC'")

    def rows(query):
        import datetime

        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        out = []
        for row in connection.execute(query).fetchall():
            out.append([(v - epoch) // datetime.timedelta(microseconds=1) if isinstance(v, datetime.datetime) else v for v in row])
        return out

    def use_s3(**values):
        import duckdb_extension_httpfs

        connection.execute(f"load '{_extension(duckdb_extension_httpfs)}'")
        settings = ", ".join(f"{name} '{value}'" for name, value in values.items())
        connection.execute(f"create or replace secret s3 (type s3, {settings})")
        connection.execute("set enable_external_file_cache = false")  # what a query reads does not depend on those before it

    return {"rows": rows, "use_s3": use_s3}


def _extension(package):
    return sorted(pathlib.Path(package.__file__).parent.glob("**/*.duckdb_extension"))[-1]


def _serve(tools):
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"value": eval(request["source"], {**tools, **request["values"]})}
        except Exception as error:  # whatever it is, whoever asked shall know
            answer = {"error": f"{type(error).__name__}: {error}"[:4000]}
        print("answer: " + json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    _serve(_spark_tools() if sys.argv[1] == "spark" else _duckdb_tools())
