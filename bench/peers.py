"""What the peers are asked to do, each in its own process:

    peers.py NAME SHAPE INPUT OUTPUT     NAME: clickhouse, duckdb, duckdb-derived, polars; SHAPE: of shapes.py
    peers.py NAME --import-only          the cost of starting Python and the engine, which the benchmark takes off

clickhouse, duckdb and polars read the same gzip files with the schema given (nothing is inferred), take over the columns of the
shape as they are, and write zstd-1 Parquet in folders by the record's day; no derived columns, no duplicates dropped.
duckdb-derived adds instance, normalized_method_signature, client, client_version and entity_id to access records in SQL, as near
to the rules as its functions allow. All of them: one thread. docs/benchmarks.md says which settings were tried."""
import pathlib
import sys

import shapes

BROWSERS = "mozilla|safari|opera|lynx|ucweb|chrome|firefox"


def tree(shape, passed_by=False):
    """{key: kind or {key: kind}}: the document as far as a reader must know it."""
    root = {}
    for path, kind in [(path, kind) for path, _, kind in shape.columns] + (list(shape.passed_by) if passed_by else []):
        at = root
        for key in path[:-1]:
            at = at.setdefault(key, {})
        at[path[-1]] = kind
    return root


def clickhouse(shape, source, target):
    import chdb

    if shape is None:
        return
    kinds = {"s": "Nullable(String)", "i": "Nullable(Int64)", "d": "Nullable(Float64)", "b": "Nullable(Bool)"}

    def declare(fields):
        return ", ".join(f"{key} Tuple({declare(kind)})" if isinstance(kind, dict) else f"{key} {kinds[kind]}" for key, kind in fields.items())

    columns = ", ".join(
        f"fromUnixTimestamp64Milli(assumeNotNull({'.'.join(path)}), 'UTC') as time" if name == "timestamp" else f"{'.'.join(path)} as {name}"
        for path, name, _ in shape.columns)
    wanted = ", ".join("time as timestamp" if name == "timestamp" else name for _, name, _ in shape.columns)
    time = next(".".join(path) for path, name, _ in shape.columns if name == "timestamp")
    chdb.query(f"""
        insert into function file('{target}/{{_partition_id}}/data.parquet', Parquet)
        partition by formatDateTime(timestamp, '%Y-%m-%d')
        select {wanted} from (select {columns} from file('{source}/**/*.gz', JSONEachRow, '{declare(tree(shape))}') where {time} is not null)
        settings max_threads = 1, max_insert_threads = 1, max_parsing_threads = 1, input_format_parallel_parsing = 0,
                 output_format_parquet_parallel_encoding = 0, output_format_parallel_formatting = 0,
                 input_format_skip_unknown_fields = 1,
                 output_format_parquet_compression_method = 'zstd', output_format_compression_level = 1,
                 output_format_parquet_row_group_size = 250000, output_format_parquet_write_bloom_filter = 0,
                 output_format_parquet_write_page_index = 0,
                 engine_file_truncate_on_insert = 1""")


def _duckdb(shape, source, target, derived):
    import duckdb

    if shape is None:
        return
    kinds = {"s": "VARCHAR", "i": "BIGINT", "d": "DOUBLE", "b": "BOOLEAN"}

    def declare(fields, colon, quote):
        return ", ".join(f'"{key}"{colon} {quote}{_duckdb_type(kind, kinds)}{quote}' for key, kind in fields.items())

    columns = ", ".join(f"epoch_ms({'.'.join(path)}) as timestamp" if name == "timestamp" else f"{'.'.join(path)} as {name}"
                        for path, name, _ in shape.columns)
    time = next(".".join(path) for path, name, _ in shape.columns if name == "timestamp")
    # Of access records, keys at the top that no column asks for would cost DuckDB eight times as much as reading them.
    select = f"""select {columns} from read_json('{source}/**/*.gz', format = 'newline_delimited',
                 columns = {{{declare(tree(shape, True), ':', "'")}}}, hive_partitioning = false) where {time} is not null"""
    if derived:
        select = _derive(select)
    connection = duckdb.connect()
    connection.execute("set threads = 1; set timezone = 'UTC'; set preserve_insertion_order = true")
    connection.execute(f"""copy (select *, strftime(timestamp, '%Y') as year, strftime(timestamp, '%m') as month,
                           strftime(timestamp, '%d') as day from ({select}))
                           to '{target}' (format parquet, partition_by (year, month, day), compression zstd, compression_level 1, parquet_version v2)""")


def _duckdb_type(kind, kinds):
    return f"STRUCT({', '.join(f'{key} {_duckdb_type(inner, kinds)}' for key, inner in kind.items())})" if isinstance(kind, dict) else kinds[kind]


def _derive(select):
    """The rules of the main job, as SQL over RE2 and ASCII classes."""
    space = r"\s"
    with_version = {"Synapse-Java-Client": "JAVA", "Synpase-Java-Client": "JAVA", "synapser": "SYNAPSER", "synapseRClient": "R",
                    "synapsecommandlineclient": "COMMAND_LINE", "synapseclient": "PYTHON", "ELB-HealthChecker": "ELB_HEALTHCHECKER",
                    "SynapseRepositoryStack": "STACK"}
    client = " ".join(f"when contains(user_agent, '{text}') then '{name}'" for text, name in with_version.items())
    version = " ".join(f"when contains(user_agent, '{text}') then nullif(regexp_extract(user_agent, '{text}/([^{space}]+)', 1), '')"
                       for text in with_version)
    return rf"""
        select * exclude (rest, u), method || ' ' || case
            when rest is null then 'INVALID URL'
            when starts_with(rest, '/entity/md5') then '/entity/md5/#'
            when starts_with(rest, '/evaluation/name') then '/evaluation/name/#'
            when starts_with(rest, '/entity/alias') then '/entity/alias/#'
            when starts_with(rest, '/2fa') then rest
            when starts_with(rest, '/user/bundle') then '/user/bundle'
            when contains(rest, '/access/') then '/objects/#/access/#'
            when contains(rest, '/schema/type/registered/') then '/schema/type/registered/#'
            else regexp_replace(regexp_replace(regexp_replace(regexp_replace(rest, ';[^/]+', '', 'g'), '[^\w/]', '', 'g'),
                 '\b(syn|fh)\d+(\.\d+)?\b|\b\d+(\w+)?[^/]\b', '#', 'g'), '/\d+', '/#', 'g') end as normalized_method_signature,
            case when user_agent is null then 'UNKNOWN' when contains(user_agent, 'Synapse-Web-Client') then 'WEB'
                 when regexp_matches(user_agent, '(?i){BROWSERS}') then 'WEB' {client} else 'UNKNOWN' end as client,
            case when user_agent is null then null
                 when regexp_matches(user_agent, '(?i){BROWSERS}') then
                      nullif(regexp_extract(user_agent, '(?i)^({BROWSERS})/([^{space}]+)', 2), '')
                 when contains(user_agent, 'Synapse-Web-Client') then
                      nullif(regexp_extract(user_agent, 'Synapse-Web-Client/([^{space}]+)', 1), '')
                 {version} end as client_version,
            try_cast(nullif(regexp_extract(u, '/entity/(?:syn)?(\d+)', 1), '') as bigint) as entity_id
        from (select *, case when position('/v1/' in d) = 0 then null else substr(d, position('/v1/' in d) + 3) end as rest
              from (select * replace (ltrim(instance, '0') as instance), lower(request_url) as u,
                    regexp_replace(url_decode(lower(request_url)), '{space}', '', 'g') as d from ({select})))"""


def duckdb(shape, source, target):
    _duckdb(shape, source, target, False)


def duckdb_derived(shape, source, target):
    _duckdb(shape, source, target, True)


def polars(shape, source, target):
    import polars as pl

    if shape is None:
        return
    kinds = {"s": pl.String, "i": pl.Int64, "d": pl.Float64, "b": pl.Boolean}

    def declare(fields):
        return {key: pl.Struct(declare(kind)) if isinstance(kind, dict) else kinds[kind] for key, kind in fields.items()}

    def column(path):
        at = pl.col(path[0])
        for key in path[1:]:
            at = at.struct.field(key)
        return at

    frame = (
        pl.scan_ndjson(sorted(pathlib.Path(source).rglob("*.gz")), schema=declare(tree(shape)))
        .select([column(path).alias(name) for path, name, _ in shape.columns])
        .filter(pl.col("timestamp").is_not_null())
        .with_columns(pl.from_epoch("timestamp", time_unit="ms").dt.replace_time_zone("UTC"))
        .with_columns(pl.col("timestamp").dt.strftime("%Y").alias("year"), pl.col("timestamp").dt.strftime("%m").alias("month"),
                      pl.col("timestamp").dt.strftime("%d").alias("day"))
    )
    frame.sink_parquet(pl.PartitionBy(target, key=["year", "month", "day"], include_key=False), compression="zstd",
                       compression_level=1, mkdir=True)


PEERS = {"clickhouse": clickhouse, "duckdb": duckdb, "duckdb-derived": duckdb_derived, "polars": polars}

if __name__ == "__main__":
    if sys.argv[2] == "--import-only":
        PEERS[sys.argv[1]](None, None, None)
    else:
        PEERS[sys.argv[1]](shapes.SHAPES[sys.argv[2]], sys.argv[3], sys.argv[4])
