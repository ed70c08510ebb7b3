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
NUMBER = "{name: number, type: int, expr: cast(id as int)}"
BORN = "{name: day, type: date, expr: born}"
WORD = "{name: word, type: string, expr: Text}"
TEXTS = ["a", "b-c", "d e", "!&()+-.;<>@_`|~", "00", None]
HOSTILE = ["it's", "a,b", " a", "a/b=c", "%2F", "\u00e9", "$1", "\\", '"', None, "x\ny"]


def job(folder, *partitions, format="both", listing="projection"):
    values = {"comment": json.dumps(COMMENT).replace("${", "$${"), "partitions": ", ".join(partitions), "format": format, "listing": listing}
    text = JOB % {**values, "partitions": values["partitions"].replace("%(comment)s", values["comment"])}
    return harness.write(folder / "job.yaml", text.encode())


def put(folder, texts=TEXTS, days=(0, 1, 370), first=-3):
    """An object with a record for each text and day."""
    documents = []
    for number, (day, text) in enumerate(((d, t) for d in days for t in texts)):
        at = T0 + day * DAY
        born = (datetime.date(2024, 3, 10) + datetime.timedelta(day)).isoformat()
        documents.append({"id": first + number, "t": at, "s": text, "w": number, "x": number / 4, "ok": number % 2 == 0, "b": born})
    harness.write(folder / "input" / f"{first + 1000}.json", harness.lines(documents))


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
