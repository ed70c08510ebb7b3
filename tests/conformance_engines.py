"""The engines of the conformance matrix: each reads a table of the lake (lake_tables.py) in one way, and gives its rows as the others do.

A row is a tuple: the table's columns, then its partition columns, in the order of the job file. Times are microseconds since 1970, dates
text, doubles their hexadecimal form, so that equal means equal to the bit. What an engine shows of partition values is taken as it shows
it, once its types have been told to it where it can be told."""
import datetime
import functools
import re

import delta_engines
import harness
from s3_servers import REGION

EPOCH = datetime.datetime(1970, 1, 1)
READ = (harness.ROOT / "tests/requirements.txt").read_text()


def pinned(package):
    return re.search(rf"^{package}==(\S+)$", READ, re.MULTILINE)[1]


def fetched(script, name):
    """The version of something that a script fetches."""
    return re.search(rf"^{name}=(\S+)$", (harness.ROOT / "scripts" / script).read_text(), re.MULTILINE)[1]


def exact(value):
    return value.hex() if isinstance(value, float) else value


def in_order(rows):
    return delta_engines.order(tuple(map(exact, row)) for row in rows)


class Where:
    """A filter: values of partition columns, or the earliest time of a column of type timestamp."""

    def __init__(self, partition=None, since=None):
        self.partition, self.since = partition or {}, since

    def sql(self, time):
        """time: how the engine writes a moment in UTC."""
        terms = [f"{name} = '{value}'" for name, value in self.partition.items()]
        terms += [f"{name} >= {time.format(at)}" for name, at in (self.since or {}).items()]
        return " where " + " and ".join(terms)


class Engine:
    """name and version: for the matrix. way: how it finds the table's files. ask: gives a fixture of conftest.py by its name, for those that
    have a process of their own. near: it is to read the folder in which the server keeps the objects."""

    name = version = way = None
    time_travel = False
    time = "timestamp '{}'"

    def __init__(self, lake, ask, near=False):
        self.lake, self.ask, self.near = lake, ask, near

    def place(self, table):
        return f"{table.folder}/" if self.near else table.url

    def where(self, where):
        return where.sql(self.time) if where else ""

    def rows(self, table, version=None, where=None):
        """version: for those that have time_travel."""
        raise NotImplementedError


# --- Trino ------------------------------------------------------------------------------------------------------------------

LAST = 253_402_300_800_000_000  # the year 10000, which Python does not know


def micros(text):
    """Of Trino's text of a time, with a zone (always UTC) or without."""
    text = text.removesuffix(" UTC")
    if text == "+10000-01-01 00:00:00.000":
        return LAST
    return (datetime.datetime.fromisoformat(text) - EPOCH) // datetime.timedelta(microseconds=1)


class Trino(Engine):
    name, version = "Trino", fetched("trino-server", "version")
    entry, catalog = None, "hive"

    def rows(self, table, version=None, where=None):
        of = "" if version is None else f" for version as of {version}"
        answer = self.lake.query(f"select {', '.join(table.types)} from {table.entries[self.entry]}{of}{self.where(where)}", self.catalog)
        read = [{"timestamp": micros, "double": float}.get(kind, lambda value: value) for kind in table.types.values()]
        return in_order([value if value is None else of(value) for of, value in zip(read, row)] for row in answer.rows)


class TrinoProjection(Trino):
    way, entry = "Glue: Hive table, partition projection", "projected"


class TrinoRegistered(Trino):
    way, entry = "Glue: Hive table, registered partitions", "registered"


class TrinoDelta(Trino):
    way, entry, catalog, time_travel, time = "Glue: Delta table", "delta", "delta", True, "timestamp '{} UTC'"


# --- Arrow: delta-rs, Polars, pyarrow ---------------------------------------------------------------------------------------

def from_arrow(arrow, table):
    import pyarrow as pa

    out = []
    for name in table.types:
        column = arrow.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", tz=column.type.tz)).cast(pa.int64())
        values = column.to_pylist()
        if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
            values = [v if v is None else v.decode() for v in values]
        out.append([v.isoformat() if isinstance(v, datetime.date) else v for v in values])
    return in_order(zip(*out))


class DeltaRs(Engine):
    name, version, way, time_travel = "delta-rs", pinned("deltalake"), "Delta log", True
    time = "arrow_cast('{}', 'Timestamp(Microsecond, Some(\"UTC\"))')"

    def rows(self, table, version=None, where=None):
        import pyarrow as pa
        from deltalake import DeltaTable, QueryBuilder

        delta = DeltaTable(self.place(table), version=version, storage_options=self.lake.versitygw.storage_options())
        answer = QueryBuilder().register("t", delta).execute(f"select {', '.join(table.types)} from t{self.where(where)}")
        return from_arrow(pa.table(answer.read_all()), table)


class Polars(Engine):
    name, version = "Polars", pinned("polars")

    def collect(self, frame, table, where):
        import polars as pl

        for name, value in where.partition.items() if where else ():
            frame = frame.filter(pl.col(name) == value)
        for name, at in (where and where.since or {}).items():
            frame = frame.filter(pl.col(name) >= datetime.datetime.fromisoformat(at + "+00:00"))
        return from_arrow(frame.select(list(table.types)).collect().to_arrow(), table)


class PolarsDelta(Polars):
    way, time_travel = "Delta log", True

    def rows(self, table, version=None, where=None):
        import polars as pl

        frame = pl.scan_delta(self.place(table), version=version, storage_options=self.lake.versitygw.storage_options())
        return self.collect(frame, table, where)


class PolarsHive(Polars):
    way = "folders"

    def rows(self, table, version=None, where=None):
        import polars as pl

        kinds = {"string": pl.String, "int": pl.Int32, "date": pl.Date}
        frame = pl.scan_parquet(self.place(table) + table.glob, hive_partitioning=True, storage_options=self.lake.versitygw.storage_options(),
                                hive_schema={name: kinds[kind] for name, kind in table.partitions.items()})
        return self.collect(frame, table, where)


class PyArrow(Engine):
    name, version, way = "pyarrow", pinned("pyarrow"), "folders"

    def rows(self, table, version=None, where=None):
        import pyarrow as pa
        import pyarrow.dataset as ds

        kinds = {"string": pa.string(), "int": pa.int32(), "date": pa.date32()}
        schema = pa.schema([(name, kinds[kind]) for name, kind in table.partitions.items()])
        data = ds.dataset(table.url.removeprefix("s3://"), filesystem=self.lake.versitygw.filesystem(), format="parquet",
                          partitioning=ds.partitioning(schema, flavor="hive"))
        terms = [ds.field(name) == value for name, value in where.partition.items()] if where else []
        terms += [ds.field(name) >= datetime.datetime.fromisoformat(at + "+00:00") for name, at in (where and where.since or {}).items()]
        return from_arrow(data.to_table(filter=functools.reduce(lambda a, b: a & b, terms) if terms else None), table)


# --- DuckDB -----------------------------------------------------------------------------------------------------------------

def read_parquet(table, files):
    """With the types of the partition columns: DuckDB would guess them, and take "03" for 3."""
    kinds = {"string": "varchar", "int": "integer", "date": "date"}
    types = ", ".join(f"{name}: {kinds[kind]}" for name, kind in table.partitions.items())
    return f"read_parquet({files!r}, hive_partitioning = true, hive_types = {{{types}}})"


def duckdb_columns(table):
    """Dates and times as text and number: Python's types do not reach as far."""
    shown = {"date": "cast({} as varchar)", "timestamp": "epoch_us({})"}
    return ", ".join(shown.get(kind, "{}").format(name) for name, kind in table.types.items())


def reference(table, files):
    """What all engines are compared with: DuckDB on files of the table's folder."""
    import duckdb

    query = f"select {duckdb_columns(table)} from {read_parquet(table, list(map(str, files)))}"
    return in_order(duckdb.connect().execute(query).fetchall())


class DuckDB(Engine):
    name, version, time = "DuckDB", fetched("delta-engines", "duckdb"), "timestamptz '{}+00'"

    def rows(self, table, version=None, where=None):
        duckdb = self.ask("duckdb")
        duckdb.use_s3(self.lake.versitygw)
        return in_order(duckdb.query(f"select {duckdb_columns(table)} from {self.source(table, version)}{self.where(where)}"))


class DuckDBHive(DuckDB):
    way = "folders"

    def source(self, table, version):
        return read_parquet(table, self.place(table) + table.glob)


class DuckDBDelta(DuckDB):
    way, time_travel = "Delta log", True

    def source(self, table, version):
        of = "" if version is None else f", version => {version}"
        return f"delta_scan('{self.place(table)}'{of})"


# --- Spark, ClickHouse ------------------------------------------------------------------------------------------------------

class SparkDelta(Engine):
    """From the folder alone: what would tell it of S3 is larger than all the rest."""

    name, version, time_travel = "Spark", f"{pinned('pyspark')}, Delta {fetched('delta-engines', 'delta_spark')}", True
    way = "Delta log, in a folder"

    def __init__(self, lake, ask, near=True):
        super().__init__(lake, ask, near)

    def rows(self, table, version=None, where=None):
        condition = self.where(where).removeprefix(" where ") if where else None
        return in_order(self.ask("spark").rows(table.folder, list(table.types), version, condition))


class ClickHouse(Engine):
    name, version, time = "ClickHouse", f"{pinned('chdb-core')} (chdb)", "toDateTime64('{}', 6, 'UTC')"

    def rows(self, table, version=None, where=None):
        import pyarrow as pa
        from chdb import query

        server, (function, path, *more) = self.lake.versitygw, self.source(table)
        words = [f"{server.url}/{self.lake.bucket.name}/{table.name}/{path}", server.access, server.secret, *more]
        words = ["'" + word.replace("'", "\\'") + "'" for word in words]
        shown = {"timestamp": "toUnixTimestamp64Micro({0})", "date": "toString({0})"}
        columns = ", ".join(shown.get(kind, "{0}").format(name) + f" as c{place}" for place, (name, kind) in enumerate(table.types.items()))
        settings = "session_timezone = 'UTC', output_format_arrow_string_as_string = 1"
        settings += "" if version is None else f", delta_lake_snapshot_version = {version}"
        answer = query(f"select {columns} from {function}({', '.join(words)}){self.where(where)} settings {settings}", "ArrowStream")
        arrow = pa.ipc.open_stream(pa.py_buffer(answer.bytes())).read_all()
        return from_arrow(arrow.rename_columns(list(table.types)), table)


class ClickHouseDelta(ClickHouse):
    way, time_travel = "Delta log", True

    def source(self, table):
        return "deltaLake", ""


class ClickHouseHive(ClickHouse):
    """With the types of the columns: it would guess those of partition columns, and take "03" for 3. Days as text, since it has no null
    there."""

    way = "folders"

    def source(self, table):
        kinds = {"string": "String", "int": "Int32", "bigint": "Int64", "double": "Float64", "boolean": "Bool", "date": "Date32",
                 "timestamp": "DateTime64(6, 'UTC')"}
        structure = [f"{name} Nullable({kinds[kind]})" for name, kind in table.columns.items()]
        structure += [f"{name} {'String' if kind == 'date' else kinds[kind]}" for name, kind in table.partitions.items()]
        return "s3", table.glob, "Parquet", ", ".join(structure)


ENGINES = [TrinoProjection, TrinoRegistered, TrinoDelta, SparkDelta, DeltaRs, DuckDBDelta, DuckDBHive, PolarsDelta, PolarsHive,
           ClickHouseDelta, ClickHouseHive, PyArrow]
