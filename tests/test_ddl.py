"""The statements of `gristmill catalog JOB ddl` are run by the engines they are for, and what is read by the tables they make is what
was written: values, types, comments. Athena itself cannot be had: its statement is compared with one written by hand from its User Guide,
Spark's parser, which has Hive's grammar, takes it, and what it says of partitions is read by a Trino, which Athena's engine is."""
import datetime
import json
import re

import pytest

import delta_engines
import harness

T0 = 1710108084084  # 2024-03-10T22:01:24.084Z
DAY = 86400000
COMMENT = "it's \"a\" `b` \\c \\u0041 ${spark.app.name} %_ -- d; /* é\n*/ end"
JOB = """\
version: 1
job: Sound-check
source: {location: ./input, format: json}
table:
  location: ./table
  database: sounds
  name: takes
  comment: %(comment)s
  partition_by: [%(partitions)s]
columns:
  - {name: id, type: bigint, from: id, comment: %(comment)s}
  - {name: at, type: timestamp, from: t, unit: ms}
  - {name: Text, type: string, from: s}
  - {name: we--ird|é, type: int, from: w}
  - {name: select, type: double, from: x}
  - {name: ok, type: boolean, from: ok}
  - {name: born, type: date, from: b}
catalog: {type: none, format: %(format)s, partitions: %(listing)s}
"""
YEAR = """{name: year, type: string, expr: "date_format(at, '%Y')", comment: %(comment)s}"""
MONTH = """{name: month, type: string, expr: "date_format(at, '%m')"}"""
DAY_TEXT = """{name: day, type: string, expr: "date_format(at, '%Y-%m-%d')"}"""
NUMBER = "{name: number, type: int, expr: cast(id as int)}"
BORN = "{name: day, type: date, expr: born}"
WORD = "{name: word, type: string, expr: Text}"
CAPITAL = "{name: Cap, type: string, expr: Text}"
TEXTS = ["a", "b-c", "d e", "!&()+-.;<>@_`|~", "00"]
HOSTILE = ["it's", "a,b", " a", "a/b=c", "%2F", "\u00e9", "$1", "\\", '"', None, "x\ny"]
ACUTE = "\u00e9"
COLUMNS = ["id", "at", "Text", "we--ird|\u00e9", "select", "ok", "born"]


def job(folder, *partitions, format="both", listing="projection"):
    values = {"comment": json.dumps(COMMENT).replace("${", "$${"), "partitions": ", ".join(partitions), "format": format, "listing": listing}
    text = JOB % {**values, "partitions": values["partitions"].replace("%(comment)s", values["comment"])}
    return harness.write(folder / "job.yaml", text.encode())


def put(folder, texts=TEXTS, days=(0, 1, 370)):
    """An object with a record for each text and day; the rows that come of it, without partition columns."""
    documents, rows = [], []
    for number, (day, text) in enumerate((d, t) for d in days for t in texts):
        at, born = T0 + day * DAY, (datetime.date(2024, 3, 10) + datetime.timedelta(day)).isoformat()
        documents.append({"id": number - 3, "t": at, "s": text, "w": number, "x": number / 4, "ok": number % 2 == 0, "b": born})
        rows.append((number - 3, at * 1000, text, number, number / 4, number % 2 == 0, born))
    harness.write(folder / "input" / "1.json", harness.lines(documents))
    return rows


def run(folder, table):
    harness.gristmill("run", folder / "job.yaml", "--source", folder / "input", "--table", table, "--json")


def ddl(folder, table, dialect, status=0):
    return harness.gristmill("catalog", folder / "job.yaml", "ddl", "--table", table, "--dialect", dialect, status=status).out


def statements(text, escapes=False):
    """One by one: what stands between ";" outside of quotes and comments. escapes: a backslash is one in a literal."""
    word = r"""'(?:[^'\\]|\\.)*'""" if escapes else r"""'[^']*'"""
    parts, found = re.compile(rf"""--[^\n]*\n|{word}|"[^"]*"|`[^`]*`|[^;]|(;)""", re.S), []
    start = 0
    for match in parts.finditer(text):
        if match[1]:
            found.append(re.sub(r"\A(\s|--[^\n]*\n)+", "", text[start:match.start()]))
            start = match.end()
    assert not text[start:].strip()
    return found


def with_partitions(rows, *of):
    """Rows with what each function of an expected row says of its partition columns."""
    return delta_engines.order((*row, *(f(row) for f in of)) for row in rows)


def year(row):
    return harness.iso_of_us(row[1])[:4]


def month(row):
    return harness.iso_of_us(row[1])[5:7]


def text(row):
    return row[2]


def born(row):
    return row[6]


def number(row):
    return row[0]


# --- DuckDB ---------------------------------------------------------------------------------------------------------------

def duckdb_rows(connection, view):
    """As the expected rows have them, with the types of the partition columns."""
    names = [row[0] for row in connection.execute(f"describe {view}").fetchall()]
    types = {row[0]: row[1] for row in connection.execute(f"describe {view}").fetchall()}
    cells = [f'epoch_us("{n}")' if "TIMESTAMP" in types[n] else f'"{n}"::varchar' if types[n] == "DATE" else f'"{n}"' for n in names]
    return delta_engines.order(connection.execute(f"select {', '.join(cells)} from {view}").fetchall()), names, types


def test_duckdb_reads_the_folders(tmp_path):
    import duckdb

    job(tmp_path, YEAR, MONTH, BORN, NUMBER, format="hive")
    rows, table = put(tmp_path), tmp_path / "ta'b -- [1]*?{a}"
    run(tmp_path, table)
    connection = duckdb.connect()
    connection.execute(ddl(tmp_path, table, "duckdb"))
    read, names, types = duckdb_rows(connection, "sounds.takes")
    assert names == [*COLUMNS, "year", "month", "day", "number"]
    assert [types[n] for n in names[-4:]] == ["VARCHAR", "VARCHAR", "DATE", "INTEGER"]
    assert read == with_partitions(rows, year, month, born, number)
    assert connection.execute("select count(*) from sounds.takes where month = '03'").fetchall() == [(len(rows),)]
    assert connection.execute("select comment from duckdb_views() where view_name = 'takes'").fetchall() == [(COMMENT,)]
    commented = connection.execute("select column_name, comment from duckdb_columns() where table_name = 'takes' and comment is not null")
    assert sorted(commented.fetchall()) == [("id", COMMENT), ("year", COMMENT)]


def test_duckdb_reads_folders_of_any_name_and_none(tmp_path):
    import duckdb

    for folder, partitions in ((tmp_path / "1", [WORD]), (tmp_path / "2", [])):
        job(folder, *partitions, format="hive")
        rows = put(folder, HOSTILE, days=(0,))
        run(folder, folder / "table")
        connection = duckdb.connect()
        connection.execute(ddl(folder, folder / "table", "duckdb"))
        assert duckdb_rows(connection, "sounds.takes")[0] == with_partitions(rows, *([text] if partitions else []))


def test_duckdb_reads_the_log(tmp_path, duckdb):
    job(tmp_path, YEAR, MONTH, format="delta")
    rows, table = put(tmp_path), tmp_path / "ta'b -- [1]"
    run(tmp_path, table)
    for statement in statements(ddl(tmp_path, table, "duckdb")):
        duckdb.query(statement)
    read = duckdb.query('select id, "at", "Text", "we--ird|\u00e9", "select", ok, born, year, month from sounds.takes')
    assert delta_engines.order(read) == with_partitions(rows, year, month)


# --- Spark ----------------------------------------------------------------------------------------------------------------

def spark_rows(spark, table, partitions):
    names = ", ".join(f"`{n}`" if n != "at" else "unix_micros(at)" for n in [*COLUMNS, *partitions])
    return delta_engines.order(spark.sql(f"select {names} from {table}"))


def spark_comments(spark, table):
    rows = spark.sql(f"describe table extended {table}")
    return {row[0]: row[2] or row[1] for row in rows if COMMENT in (row[1], row[2])}


def test_spark_reads_folders_and_log(tmp_path, spark):
    job(tmp_path, YEAR, MONTH, BORN, NUMBER)
    rows, table = put(tmp_path, ["a"]), tmp_path / "ta'b\\l -- ${spark.app.name}"
    run(tmp_path, table)
    for statement in statements(ddl(tmp_path, table, "spark"), escapes=True):
        spark.sql(statement)
    expected = with_partitions(rows, year, month, born, number)
    for name in ("sounds.takes", "sounds.takes_delta"):
        assert spark_rows(spark, name, ["year", "month", "day", "number"]) == expected, name
        types = {row[0]: row[1] for row in spark.sql(f"describe {name}")}
        assert [types[n] for n in ("year", "month", "day", "number")] == ["string", "string", "date", "int"]
    assert spark_comments(spark, "sounds.takes") == {"id": COMMENT, "year": COMMENT, "Comment": COMMENT}
    spark.sql("drop database sounds cascade")


def test_spark_finds_partitions_that_came_later(tmp_path, spark):
    """The statement can be had before the first run; names that are not plain, and null, are folders as others."""
    table = tmp_path / "table"
    job(tmp_path, WORD, format="hive")
    table.mkdir()
    made = statements(ddl(tmp_path, table, "spark"), escapes=True)
    for statement in made:
        spark.sql(statement)
    assert spark.sql("select * from sounds.takes") == []
    rows = put(tmp_path, HOSTILE)
    run(tmp_path, table)
    spark.sql(made[-1])
    assert spark_rows(spark, "sounds.takes", ["word"]) == with_partitions(rows, text)
    spark.sql("drop database sounds cascade")


# --- Athena ---------------------------------------------------------------------------------------------------------------

ATHENA = """\
CREATE DATABASE IF NOT EXISTS `sounds`;
CREATE EXTERNAL TABLE IF NOT EXISTS `sounds`.`takes` (
  `id` bigint COMMENT '{comment}',
  `at` timestamp,
  `text` string,
  `we--ird|\u00e9` int,
  `select` double,
  `ok` boolean,
  `born` date
)
COMMENT '{comment}'
PARTITIONED BY (
  `year` string COMMENT '{comment}',
  `month` string,
  `day` date,
  `number` int
)
STORED AS PARQUET
LOCATION 's3://lake/so''unds/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'projection.year.type' = 'enum',
  'projection.year.values' = '2024,2025',
  'projection.month.type' = 'integer',
  'projection.month.range' = '1,12',
  'projection.month.digits' = '2',
  'projection.day.type' = 'date',
  'projection.day.range' = '2024-03-10,2025-03-15',
  'projection.day.format' = 'yyyy-MM-dd',
  'projection.number.type' = 'integer',
  'projection.number.range' = '-3,11'
);
CREATE EXTERNAL TABLE IF NOT EXISTS `sounds`.`takes_delta`
LOCATION 's3://lake/so''unds/'
TBLPROPERTIES ('table_type' = 'DELTA');
"""


def parse_hive(spark, statement):
    """Spark's plan of a statement of Hive's."""
    return spark.worker.ask("spark._jsparkSession.sessionState().sqlParser().parsePlan(statement).toString()", statement=statement)


def test_athenas_statement_is_that_of_its_guide(tmp_path, spark):
    job(tmp_path, YEAR, MONTH, BORN, NUMBER)
    put(tmp_path, days=(0, 1, 370))
    table = tmp_path / "table"
    run(tmp_path, table)
    made = ddl(tmp_path, table, "athena")
    note, _, made = made.partition("\n")
    assert note == "-- Athena reads S3 alone, and this table lies in a directory"
    remark, _, rest = made.partition("\n")[2].partition("\n")
    assert remark.startswith("-- projection makes 133560 partitions, of which 15 exist")  # 2 x 12 x 371 x 15
    comment = r"""it\'s "a" `b` \\c \\u0041 \u0024{spark.app.name} %_ -- d; /* \u00e9 */ end""".replace(r"\u00e9", "\u00e9")
    place = f"'{table}/'"
    assert made.partition("\n")[0] + "\n" + rest == ATHENA.format(comment=comment).replace("'s3://lake/so''unds/'", place)
    for statement in statements(made, escapes=True)[:2]:
        plan = parse_hive(spark, statement)
    assert "CreateTable" in plan and COMMENT.replace("\n", " ") in plan, plan


def test_athena_is_told_of_partitions_that_it_cannot_compute(tmp_path, spark):
    job(tmp_path, CAPITAL, format="hive")
    put(tmp_path, ["it's", None], days=(0,))
    table = tmp_path / "table"
    run(tmp_path, table)
    made = ddl(tmp_path, table, "athena")
    assert "-- partition column 'Cap' has capitals in its folders' names" in made
    last = statements(made, escapes=True)[-1]
    assert last == ("ALTER TABLE `sounds`.`takes` ADD IF NOT EXISTS\n"
                    f"  PARTITION (`cap` = '__HIVE_DEFAULT_PARTITION__') LOCATION '{table}/Cap=__HIVE_DEFAULT_PARTITION__/'\n"
                    f"  PARTITION (`cap` = 'it\\'s') LOCATION '{table}/Cap=it%27s/'")
    assert "AddPartitions" in parse_hive(spark, last)
    job(tmp_path, WORD, format="hive", listing="register")
    assert ddl(tmp_path, tmp_path / "none", "athena").endswith(");\nMSCK REPAIR TABLE `sounds`.`takes`;\n")


def test_a_long_comment_is_cut_for_glue_alone(tmp_path):
    text = JOB % {"comment": json.dumps(ACUTE * 2000), "partitions": "", "format": "hive", "listing": "projection"}
    harness.write(tmp_path / "job.yaml", text.encode())
    made = {dialect: ddl(tmp_path, tmp_path / "none", dialect) for dialect in ("athena", "spark", "trino", "duckdb")}
    assert f"`id` bigint COMMENT '{ACUTE * 126}...',\n" in made["athena"]  # 255 bytes
    assert f"\nCOMMENT '{ACUTE * 1022}...'\n" in made["athena"]  # 2,048 bytes
    assert all(made[d].count(ACUTE * 2000) == 2 for d in ("spark", "trino", "duckdb"))


# --- Trino ----------------------------------------------------------------------------------------------------------------

@pytest.fixture
def on_s3(tmp_path, lake, monkeypatch):
    """make(name, partitions, ...): a table in the lake, made known to Trino by its statements. Those of the Hive connector go to the
    catalog `files`: over the Glue of moto it cannot make a table. Gives the rows that were written."""
    for variable, value in lake.env.items():
        monkeypatch.setenv(variable, str(value))

    def make(name, *partitions, texts=TEXTS, days=(0, 1, 370), **options):
        folder, table = tmp_path / name, f"{lake.bucket.url('ddl/')}{name}/"
        path = job(folder, *partitions, **options)
        harness.write(path, path.read_bytes().replace(b"name: takes", b"name: " + name.encode()))
        rows = put(folder, texts, days)
        run(folder, table)
        for statement in statements(ddl(folder, table, "trino")):
            lake.sql(re.sub(r"\bhive\.", "files.", statement, count=1), "files", "sounds")
        return rows

    return make


def trino_rows(lake, table, partitions):
    names = [*(f'"{n}"' if n != "at" else "to_unixtime(at)" for n in COLUMNS), *partitions]
    rows = lake.sql(f"select {', '.join(names)} from {table}", "files", "sounds")
    return delta_engines.order((row[0], round(row[1] * 1000) * 1000, *row[2:]) for row in rows)


CASES = {  # rule -> partitions, how many are expected, its values, options
    "enum_and_months": ([YEAR, MONTH], (year, month), {}),
    "numbers_and_dates": ([NUMBER, BORN], (number, born), {"days": (0, 1, 30)}),
    "one_date": ([BORN], (born,), {"days": (0,)}),
    "days": ([DAY_TEXT], (born,), {"days": (0, 1, 9)}),
    "words": ([WORD], (text,), {}),
    "registered": ([WORD], (text,), {"texts": HOSTILE, "listing": "register"}),
    "capitals": ([CAPITAL], (text,), {"texts": ["it's", "B", None]}),
    "unpartitioned": ([], (), {}),
}


@pytest.mark.trino
@pytest.mark.parametrize("case", CASES)
def test_trino_reads_folders(lake, on_s3, case):
    partitions, of, options = CASES[case]
    rows = on_s3(case, *partitions, format="hive", **options)
    names = re.findall(r"name: (\w+)", " ".join(partitions))
    assert trino_rows(lake, case, names) == with_partitions(rows, *of)
    made = lake.sql(f"show create table {case}", "files", "sounds")[0][0]
    assert made.count(COMMENT.replace("'", "''")) == 2 + ("year" in names)
    assert ("partition_projection_enabled = true" in made) == (case not in ("registered", "capitals", "unpartitioned"))


@pytest.mark.trino
def test_trino_prunes_projected_partitions(lake, on_s3):
    rows = on_s3("pruned", YEAR, MONTH, format="hive")
    some = [row for row in rows if year(row) == "2024"]
    answer = lake.query("select id from pruned where year = '2024' and month = '03'", "files", "sounds")
    assert sorted(row[0] for row in answer.rows) == sorted(row[0] for row in some)
    everything = lake.query("select id from pruned", "files", "sounds")
    assert answer.stats["processedRows"] == len(some) < everything.stats["processedRows"] == len(rows)


@pytest.mark.trino
def test_trino_reads_the_log(lake, on_s3):
    rows = on_s3("log", WORD, texts=HOSTILE, format="delta")
    assert trino_rows(lake, "delta.sounds.log", ["word"]) == with_partitions(rows, text)


def test_trino_is_not_told_to_compute_the_folders_of_a_directory(tmp_path):
    """It would fail at the first that is not there."""
    job(tmp_path, YEAR, MONTH, format="hive")
    put(tmp_path)
    run(tmp_path, tmp_path / "table")
    made = ddl(tmp_path, tmp_path / "table", "trino")
    assert "partition_projection" not in made and statements(made)[-1].startswith("CALL hive.system.sync_partition_metadata(")
    assert "-- not projected: of a directory every projected folder would have to exist\n" in made


# --- The command ----------------------------------------------------------------------------------------------------------

def test_all_dialects_are_printed_below_their_names(tmp_path):
    job(tmp_path, YEAR)
    one = {dialect: ddl(tmp_path, tmp_path / "none", dialect.lower()) for dialect in ("Athena", "Spark", "Trino", "DuckDB")}
    command = ["catalog", tmp_path / "job.yaml", "ddl", "--table", tmp_path / "none"]
    assert harness.gristmill(*command).out == "\n".join(f"-- {name}\n{made}" for name, made in one.items())
    assert json.loads(harness.gristmill(*command, "--json").out) == {name.lower(): made for name, made in one.items()}
    assert not (tmp_path / "none").exists()
    assert "there is no dialect 'trinq'" in harness.gristmill(*command, "--dialect", "trinq", status=2).err


def test_a_table_without_name_is_called_by_its_job(tmp_path):
    text = JOB % {"comment": "c", "partitions": "", "format": "both", "listing": "projection"}
    harness.write(tmp_path / "job.yaml", re.sub("  (database|name): (sounds|takes)\n", "", text).encode())
    assert '"sound_check" AS SELECT * FROM' in ddl(tmp_path, tmp_path / "none", "duckdb")
    assert "`default`.`sound_check_delta`" in ddl(tmp_path, tmp_path / "none", "athena")


def test_a_log_that_cannot_be_read_is_told(tmp_path):
    job(tmp_path, YEAR)
    harness.write(tmp_path / "table" / "_delta_log" / f"{0:020}.json", b"{")
    command = ["catalog", tmp_path / "job.yaml", "ddl", "--table", tmp_path / "table"]
    assert "00000000000000000000.json" in harness.gristmill(*command, status=1).err
    assert json.loads(harness.gristmill(*command, "--json", status=1).out)["error"]["code"] == "CORRUPT"
