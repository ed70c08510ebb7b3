"""Five foreign readers of a partitioned table, each giving the same thing: a list of column names and a list of rows as
tuples of plain Python values, both sorted: readers disagree on where partition columns stand. Times are microseconds
since 1970; partition values are text."""
import functools
import os

import harness


def _sorted(names, rows):
    """Columns by name, rows by value."""
    order = sorted(range(len(names)), key=lambda i: names[i])
    rows = [tuple(row[i] for i in order) for row in rows]
    return [names[i] for i in order], sorted(rows, key=lambda row: [(v is not None, str(type(v)), v) for v in row])


def _from_arrow(table):
    """An Arrow table's rows, its timestamps as integers."""
    import pyarrow as pa

    columns = []
    for column in table.columns:
        kind = column.type
        if pa.types.is_timestamp(kind):
            column = column.cast(pa.timestamp("us", tz=kind.tz)).cast(pa.int64())
        elif pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
        values = column.to_pylist()
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            values = [v if v is None else v.decode("utf-8") for v in values]
        columns.append(values)
    return _sorted(table.schema.names, zip(*columns))


def partition_names(table):
    return list(harness.partition_of(table, harness.data_files(table)[0]))


def pyarrow(table):
    import pyarrow as pa
    import pyarrow.dataset as ds

    schema = pa.schema([(name, pa.string()) for name in partition_names(table)])
    partitioning = ds.partitioning(schema, flavor="hive")
    return _from_arrow(ds.dataset(table, format="parquet", partitioning=partitioning).to_table())


def duckdb(table):
    import duckdb as engine

    glob = "/".join([str(table), *(f"{name}=*" for name in partition_names(table)), "*.parquet"])
    connection = engine.connect()
    connection.execute("set timezone = 'UTC'")
    relation = connection.sql(f"select * from read_parquet('{glob}', hive_partitioning = true, hive_types_autocast = false)")
    arrow = relation.to_arrow_table() if hasattr(relation, "to_arrow_table") else relation.arrow()
    return _from_arrow(arrow.read_all() if hasattr(arrow, "read_all") else arrow)


def polars(table):
    import polars as pl

    names = partition_names(table)
    frame = pl.scan_parquet(harness.data_files(table), hive_partitioning=True, try_parse_hive_dates=False,
                            hive_schema={name: pl.String for name in names}).collect()
    return _from_arrow(frame.to_arrow())


def chdb(table):
    import pyarrow as pa
    from chdb import query

    names = partition_names(table)
    files = "/".join([str(table), *(f"{name}=*" for name in names), "*.parquet"])
    # Hive values are read from the path by hand: what ClickHouse guesses as their type has changed over time.
    values = ", ".join(f"decodeURLComponent(extract(_path, '/{name}=([^/]*)/')) as {name}" for name in names)
    sql = (f"select *, {values} from file('{files}', Parquet) settings use_hive_partitioning = 0, "
           "session_timezone = 'UTC', output_format_arrow_string_as_string = 1, schema_inference_make_columns_nullable = 1")
    answer = query(sql, "ArrowStream")
    return _from_arrow(pa.ipc.open_stream(pa.py_buffer(answer.bytes())).read_all())


@functools.cache
def _spark():
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    from pyspark.sql import SparkSession

    settings = {
        "spark.sql.session.timeZone": "UTC", "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2",
        "spark.sql.sources.partitionColumnTypeInference.enabled": "false", "spark.driver.memory": "1g",
        "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1", "spark.log.level": "ERROR",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def pyspark(table):
    frame = _spark().read.parquet(str(table))
    names = frame.columns
    times = [name for name, kind in frame.dtypes if kind.startswith("timestamp")]
    frame = frame.selectExpr(*(f"unix_micros(`{n}`) as `{n}`" if n in times else f"`{n}`" for n in names))
    return _sorted(names, (tuple(row) for row in frame.collect()))


READERS = {"pyarrow": pyarrow, "duckdb": duckdb, "polars": polars, "chdb": chdb, "pyspark": pyspark}
