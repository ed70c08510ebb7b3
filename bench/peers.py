"""What the peers are asked to do, each in its own process:

    peers.py NAME INPUT OUTPUT       NAME: clickhouse, duckdb, duckdb-derived, polars
    peers.py NAME --import-only      the cost of starting Python and the engine, which the benchmark takes off

clickhouse, duckdb and polars read the same gzip files with the schema given (nothing is inferred), take over the 22 columns
of the main job as they are, and write zstd-1 Parquet in folders by the record's day; no derived columns, no duplicates
dropped. duckdb-derived adds instance, normalized_method_signature, client, client_version and entity_id in SQL, as near to the
rules as its functions allow. All of them: one thread."""
import pathlib
import sys

FIELDS = {  # payload key -> column, type
    "sessionId": ("session_id", "s"), "timestamp": ("timestamp", "i"), "userId": ("user_id", "i"), "method": ("method", "s"),
    "requestURL": ("request_url", "s"), "userAgent": ("user_agent", "s"), "host": ("host", "s"), "origin": ("origin", "s"),
    "xforwardedFor": ("x_forwarded_for", "s"), "via": ("via", "s"), "threadId": ("thread_id", "i"), "elapseMS": ("elapse_ms", "i"),
    "success": ("success", "b"), "stack": ("stack", "s"), "instance": ("instance", "s"), "vmId": ("vm_id", "s"),
    "returnObjectId": ("return_object_id", "s"), "queryString": ("query_string", "s"), "responseStatus": ("response_status", "i"),
    "oauthClientId": ("oauth_client_id", "s"), "basicAuthUsername": ("basic_auth_username", "s"),
    "authenticationMethod": ("auth_method", "s"),
}
BROWSERS = "mozilla|safari|opera|lynx|ucweb|chrome|firefox"


def clickhouse(source, target):
    import chdb

    if source is None:
        return
    kinds = {"s": "Nullable(String)", "i": "Nullable(Int64)", "b": "Nullable(Bool)"}
    payload = ", ".join(f"{key} {kinds[kind]}" for key, (_, kind) in FIELDS.items())
    columns = ", ".join(
        f"fromUnixTimestamp64Milli(assumeNotNull(payload.{key}), 'UTC') as timestamp" if key == "timestamp" else f"payload.{key} as {name}"
        for key, (name, _) in FIELDS.items())
    chdb.query(f"""
        insert into function file('{target}/{{_partition_id}}/data.parquet', Parquet)
        partition by formatDateTime(timestamp, '%Y-%m-%d')
        select {columns} from file('{source}/**/*.gz', JSONEachRow, 'payload Tuple({payload})')
        where payload.timestamp is not null
        settings max_threads = 1, max_insert_threads = 1, max_parsing_threads = 1, input_format_parallel_parsing = 0,
                 output_format_parquet_parallel_encoding = 0, output_format_parallel_formatting = 0,
                 input_format_skip_unknown_fields = 1,
                 output_format_parquet_compression_method = 'zstd', output_format_compression_level = 1,
                 engine_file_truncate_on_insert = 1""")


def _duckdb(source, target, derived):
    import duckdb

    if source is None:
        return
    kinds = {"s": "VARCHAR", "i": "BIGINT", "b": "BOOLEAN"}
    payload = ", ".join(f'"{key}" {kinds[kind]}' for key, (_, kind) in FIELDS.items())
    columns = ", ".join(f"epoch_ms(payload.{key}) as timestamp" if key == "timestamp" else f"payload.{key} as {name}"
                        for key, (name, _) in FIELDS.items())
    # Keys at the top that no column asks for would cost DuckDB eight times as much as reading them.
    top = f"{{stack: 'VARCHAR', instance: 'VARCHAR', timestamp: 'BIGINT', payload: 'STRUCT({payload})'}}"
    select = f"""select {columns} from read_json('{source}/**/*.gz', format = 'newline_delimited', columns = {top},
                 hive_partitioning = false) where payload.timestamp is not null"""
    if derived:
        select = _derive(select)
    connection = duckdb.connect()
    connection.execute("set threads = 1; set timezone = 'UTC'; set preserve_insertion_order = true")
    connection.execute(f"""copy (select *, strftime(timestamp, '%Y') as year, strftime(timestamp, '%m') as month,
                           strftime(timestamp, '%d') as day from ({select}))
                           to '{target}' (format parquet, partition_by (year, month, day), compression zstd, compression_level 1)""")


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


def duckdb(source, target):
    _duckdb(source, target, False)


def duckdb_derived(source, target):
    _duckdb(source, target, True)


def polars(source, target):
    import polars as pl

    if source is None:
        return
    kinds = {"s": pl.String, "i": pl.Int64, "b": pl.Boolean}
    payload = pl.Struct({key: kinds[kind] for key, (_, kind) in FIELDS.items()})
    frame = (
        pl.scan_ndjson(sorted(pathlib.Path(source).rglob("*.gz")), schema={"payload": payload})
        .select([pl.col("payload").struct.field(key).alias(name) for key, (name, _) in FIELDS.items()])
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
        PEERS[sys.argv[1]](None, None)
    else:
        PEERS[sys.argv[1]](sys.argv[2], sys.argv[3])
