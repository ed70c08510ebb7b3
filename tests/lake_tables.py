"""Tables of the lake (lake.py), made by the program, which also makes their entries in the catalog:

    access  jobs/access-record.yaml on generated records of two years and three months; three runs, so three versions
    kinds   all types, with what is hard to carry in each; partition columns of all types, some of them null
    plain   the rows of `kinds` whose partitions can be projected

`entries` of a table says by what name the catalog has it: as a Hive table whose partitions are projected, as one whose partitions are
registered, as a Delta table."""
import re

import harness
from lake import DATABASE

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def with_catalog(job, format, partitions, name=None):
    """The text of a job file with another catalog section, and perhaps another name in the catalog."""
    job = re.sub(r"^catalog:.*\n(?:  .*\n)*", "", job, flags=re.MULTILINE)
    job += f"catalog: {{type: glue, format: {format}, partitions: {partitions}}}\n"
    return re.sub(r"^  name: .*$", f"  name: {name}", job, count=1, flags=re.MULTILINE) if name else job


class Table:
    """A job's table in the lake's bucket. columns, partitions, types of both: name -> type."""

    def __init__(self, lake, folder, text):
        self.lake, self.folder_of_jobs, self.text = lake, folder, text
        self.job = harness.write(folder / "job.yaml", text.encode())
        described = harness.gristmill("check", self.job, "--json").json
        self.name, columns, partitions = described["table"]["name"], described["columns"], described["table"]["partition_by"]
        self.columns = {column["name"]: column["type"] for column in columns}
        self.partitions = {column["name"]: column["type"] for column in partitions}
        self.comments = {column["name"]: column.get("comment") or "" for column in [*columns, *partitions]}
        self.types = {**self.columns, **self.partitions}
        self.url = lake.bucket.url(f"{self.name}/")
        self.folder = lake.bucket.path(self.name)  # the same objects, as the server keeps them
        self.glob = "/".join([*(f"{column}=*" for column in self.partitions), "*.parquet"])
        self.entries = {}

    def run(self, source, compact=False):
        job = self.job
        if compact:
            job = harness.write(self.folder_of_jobs / "compact.yaml", self.text.replace("\ntable:\n", "\ntable:\n  encoding: compact\n", 1).encode())
        summary = harness.run(job, source, self.url, env=self.lake.env).json
        assert summary["committed"] and summary["catalog"]["state"] == "synced", summary

    def enter(self, kind, format, partitions, status=0):
        """A further entry, by hand."""
        job = harness.write(self.folder_of_jobs / f"{kind}.yaml", with_catalog(self.text, format, partitions, f"{self.name}_{kind}").encode())
        result = harness.gristmill("catalog", job, "sync", "--table", self.url, env=self.lake.env, status=status)
        if result.status == 0:
            self.entries[kind] = f"{self.name}_{kind}"
        return result

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


def make_access(lake, folder):
    table = Table(lake, folder, with_catalog(harness.MAIN_JOB.read_text(), "both", "projection"))
    table.entries = {"projected": table.name, "delta": f"{table.name}_delta"}
    source = folder / "input"
    for seed, (start, hours, records) in enumerate(ACCESS_RUNS, 1):
        harness.gristmill("generate", source, "--start", start, "--hours", str(hours), "--records", str(records), "--seed", str(seed),
                          "--per-object", "250", "--bad", "0.002", "--quiet")
        table.run(source, compact=seed > 1)  # so that every engine reads a table whose files are of both kinds
    table.enter("registered", "hive", "register")
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
AREAS = ["north-1.2_b", "two words", "süd west", "a/b=c", "100%'s", None, ""]
PLAIN = AREAS[:2]
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
KINDS_LAST = len(KINDS_RUNS) - 1


def runs_of_kinds(lake, folder, text, entries):
    table = Table(lake, folder, text)
    table.entries = entries
    for number, ids in enumerate(KINDS_RUNS):
        harness.write(folder / f"input/{number}.json", harness.lines(kinds_documents(ids)))
        table.run(folder / "input")
    return table


def make_kinds(lake, folder):
    text = with_catalog(KINDS_JOB, "both", "register")
    return runs_of_kinds(lake, folder, text, {"registered": "kinds", "delta": "kinds_delta"})


def make_plain(lake, folder):
    where = "where: \"born is not null and area in (" + ", ".join(f"'{area}'" for area in PLAIN) + ")\"\n"
    text = with_catalog(KINDS_JOB.replace("columns:\n", where + "columns:\n", 1), "hive", "projection", "plain")
    return runs_of_kinds(lake, folder, text, {"projected": "plain"})
