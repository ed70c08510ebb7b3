"""Tables of the lake (lake.py), made by the program, and their entries in the catalog:

    access  jobs/access-record.yaml on generated records of two years and three months; three runs, so three versions
    kinds   all types, with what is hard to carry in each; partition columns of all types, some of them null

Of each the catalog has three entries: NAME, a Hive table with partition projection; NAME_registered, a Hive table whose partitions are
registered; NAME_delta, a Delta table."""
import harness
from lake import DATABASE

PARQUET = {"InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
           "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"}
SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


class Table:
    """A job's table in the lake's bucket. columns, partitions, types of both: name -> type. projection: of each partition column, what
    the catalog is told of its values."""

    def __init__(self, lake, job, projection):
        self.lake, self.job, self.projection = lake, job, projection
        described = harness.gristmill("check", job, "--json").json
        self.name = described["table"]["name"]
        self.columns = {column["name"]: column["type"] for column in described["columns"]}
        self.partitions = {column["name"]: column["type"] for column in described["table"]["partition_by"]}
        self.types = {**self.columns, **self.partitions}
        self.url = lake.bucket.url(f"{self.name}/")
        self.folder = lake.bucket.path(self.name)  # the same objects, as the server keeps them
        self.glob = "/".join([*(f"{column}=*" for column in self.partitions), "*.parquet"])

    def run(self, source):
        assert harness.run(self.job, source, self.url, env=self.lake.env).json["committed"]

    def files(self):
        """Of the newest version: there is no other file, since nothing is ever removed."""
        return harness.data_files(self.folder)

    def partition_values(self):
        """The values of each partition that there is, in order; None for null."""
        folders = {path.parent: harness.partition_of(self.folder, path) for path in self.files()}
        return [list(values.values()) for _, values in sorted(folders.items())]

    def files_of(self, version):
        """Those that were there at a version: a file is named by its run, and each run here makes the next version."""
        return [path for path in self.files() if int(path.name.split("-")[1]) <= version + 1]


# --- The main job -----------------------------------------------------------------------------------------------------------

ACCESS_RUNS = [("2024-12-30", 48, 2000), ("2024-12-31", 48, 1500), ("2025-02-03", 30, 1000)]  # start, hours, records


def two_digits(last):
    return {"type": "integer", "range": f"1,{last}", "digits": "2"}


def make_access(lake, folder):
    table = Table(lake, harness.MAIN_JOB, {"year": {"type": "integer", "range": "2024,2025", "digits": "4"}, "month": two_digits(12),
                                           "day": two_digits(31)})
    for seed, (start, hours, records) in enumerate(ACCESS_RUNS, 1):
        harness.gristmill("generate", folder, "--start", start, "--hours", str(hours), "--records", str(records), "--seed", str(seed),
                          "--per-object", "250", "--bad", "0.002", "--quiet")
        table.run(folder)
    return table


# --- All types --------------------------------------------------------------------------------------------------------------

KINDS_JOB = f"""\
job: kinds
source: {{location: ./input, format: json}}
table:
  location: ./table
  database: {DATABASE}
  name: kinds
  comment: Every type, and what is hard to carry in each.
  partition_by:
    - {{name: region, type: string, expr: area, comment: null in some rows}}
    - {{name: size, type: int, expr: extent, comment: a number}}
    - {{name: day, type: date, expr: born, comment: "a day, null in some rows"}}
columns:
  - {{name: id, type: bigint, from: id, required: true, comment: the number of the row}}
  - {{name: flag, type: boolean, from: flag}}
  - {{name: small, type: int, from: small}}
  - {{name: big, type: bigint, from: big}}
  - {{name: ratio, type: double, from: ratio}}
  - {{name: word, type: string, from: word, comment: "text, \\"quoted\\" and ☃"}}
  - {{name: born, type: date, from: born}}
  - {{name: noted, type: date, from: noted}}
  - {{name: moment, type: timestamp, from: moment, unit: us}}
  - {{name: area, type: string, from: area}}
  - {{name: extent, type: int, from: extent}}
"""
HARD = {
    "flag": [True, False, None],
    "small": [0, -1, 2**31 - 1, -2**31, None],
    "big": [0, -1, 2**53 + 1, 2**63 - 1, -2**63, None],
    "ratio": [0.0, -0.0, 0.1, -1 / 3, 5e-324, 1.7976931348623157e308, -2.2250738585072014e-308, 1e22, None],
    "word": ["", "plain", "é☃𝄞", "Ａ\u0301", "say \"it's\"", "a,b\tc\nd\\n", "\u0000nul", "NULL", "x" * 300, " ", None],
    "noted": ["1970-01-01", "1969-12-31", "2024-02-29", "1900-01-01", "1582-10-04", "1582-10-15", "0001-01-01", "9999-12-31", None],
    "moment": [0, -1, -1_000_000, 1_710_108_000_084_123, -2_208_988_800_000_001, 1_500, -1_500, -62_135_596_800_000_000,
               253_402_300_799_999_999, None],
}
AREAS = ["north-1.2_b", "süd west", "a/b=c", "100%", "'q'", None, ""]
DAYS = ["1969-12-31", "1970-01-01", "1970-01-02", None]
SIZES = [2, -5]


def kinds_documents(numbers):
    for number in numbers:
        document = {name: values[number * (1 + place) % len(values)] for place, (name, values) in enumerate(HARD.items())}
        yield {"id": number, **document, "area": AREAS[number % len(AREAS)], "extent": SIZES[number % len(SIZES)],
               "born": DAYS[number // 2 % len(DAYS)]}


def kinds_rows(numbers):
    """What was put in, as rows of the table: its columns, then its partition columns."""
    columns = ["id", "flag", "small", "big", "ratio", "word", "born", "noted", "moment", "area", "extent"]
    return [(*(document[name] for name in columns), document["area"] or None, document["extent"], document["born"])
            for document in kinds_documents(numbers)]


KINDS_RUNS = [range(120), range(120, 200)]


def make_kinds(lake, folder):
    job = harness.write(folder / "kinds.yaml", KINDS_JOB.encode())
    table = Table(lake, job, {
        "region": {"type": "enum", "values": ",".join([*(area for area in AREAS if area), NO_VALUE])}, "size": {"type": "integer", "range": "-5,2"},
        "day": {"type": "date", "range": "1969-12-31,1970-01-02", "format": "yyyy-MM-dd"}})
    for number, ids in enumerate(KINDS_RUNS):
        harness.write(folder / f"input/{number}.json", harness.lines(kinds_documents(ids)))
        table.run(folder / "input")
    return table


# --- The catalog ------------------------------------------------------------------------------------------------------------

def storage(columns, location, **serde):
    return {**PARQUET, "Columns": columns, "Location": location, "SerdeInfo": {"SerializationLibrary": SERDE, "Parameters": serde}}


def enter(table):
    """The three entries of a table."""
    glue = table.lake.glue
    if DATABASE not in [database["Name"] for database in glue.get_databases()["DatabaseList"]]:
        glue.create_database(DatabaseInput={"Name": DATABASE})
    columns = [{"Name": name, "Type": kind} for name, kind in table.columns.items()]
    keys = [{"Name": name, "Type": kind} for name, kind in table.partitions.items()]
    hive = {"TableType": "EXTERNAL_TABLE", "PartitionKeys": keys,
            "StorageDescriptor": storage(columns, table.url, **{"serialization.format": "1"})}
    projection = {f"projection.{name}.{key}": value for name, settings in table.projection.items() for key, value in settings.items()}
    common = {"EXTERNAL": "TRUE", "classification": "parquet"}
    glue.create_table(DatabaseName=DATABASE, TableInput={**hive, "Name": table.name, "Parameters": {
        **common, "projection.enabled": "true", **projection}})  # no storage.location.template: its values would not be escaped
    glue.create_table(DatabaseName=DATABASE, TableInput={**hive, "Name": f"{table.name}_registered", "Parameters": common})
    folders = sorted({path.parent for path in table.files()})
    values = table.partition_values()
    partitions = [{"Values": [NO_VALUE if value is None else value for value in some],
                   "StorageDescriptor": storage(columns, table.url + str(folder.relative_to(table.folder)) + "/")}
                  for some, folder in zip(values, folders)]
    for first in range(0, len(partitions), 100):
        answer = glue.batch_create_partition(DatabaseName=DATABASE, TableName=f"{table.name}_registered",
                                             PartitionInputList=partitions[first:first + 100])
        assert not answer.get("Errors"), answer
    glue.create_table(DatabaseName=DATABASE, TableInput={
        "Name": f"{table.name}_delta", "TableType": "EXTERNAL_TABLE", "PartitionKeys": [],
        "Parameters": {"EXTERNAL": "TRUE", "classification": "delta", "table_type": "delta", "spark.sql.sources.provider": "delta"},
        "StorageDescriptor": storage(columns + keys, table.url, path=table.url)})
