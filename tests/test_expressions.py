"""Expressions against another engine: random ones over random rows give in Gristmill what they give in DuckDB.

Only what DuckDB and Trino agree about is generated. Where the spelling differs, both are written: `/` of integers is `//`
in DuckDB, and gives null, not a failure, for a zero."""
import ctypes
import os
import random
import re

import duckdb
import pytest

import harness


class Row(ctypes.Structure):
    """struct fx_row of tests/unit/job/expr_fixture.h"""
    _fields_ = [("s", ctypes.c_char_p), ("t", ctypes.c_char_p), ("i", ctypes.c_int64), ("n", ctypes.c_int32),
                ("d", ctypes.c_double), ("b", ctypes.c_bool), ("ts", ctypes.c_int64), ("nulls", ctypes.c_char_p)]


BYTES = 256


@pytest.fixture(scope="module")
def probe():
    # Below the build may be others, with a sanitizer that ends a process which it was not there first in.
    found = sorted(harness.BINARY.parent.rglob("libexpr_probe.so"), key=lambda path: len(path.parts))
    if not found:
        pytest.skip("libexpr_probe.so has not been built")
    library = ctypes.CDLL(str(found[0]))
    library.probe_function.restype = ctypes.c_char_p
    return library


class Generator:
    """Pairs of texts, ours and DuckDB's, of a random expression of a type."""

    def __init__(self, rnd):
        self.rnd = rnd

    def make(self, kind, depth):
        return getattr(self, kind)(depth)

    def leaf(self, *choices):
        choice = self.rnd.choice(choices)
        return choice, choice

    def call(self, template, *kinds, depth, duck=None):
        args = [self.make(kind, depth - 1) for kind in kinds]
        return template.format(*(a[0] for a in args)), (duck or template).format(*(a[1] for a in args))

    def string(self, depth):
        if depth <= 0:
            return self.leaf("s", "t", "'a'", "'Ab'", "''", "'é%'", "CAST(NULL AS varchar)")
        pick = self.rnd.choice([
            ("({} || {})", "string", "string"), ("lower({})", "string"), ("upper({})", "string"),
            ("CASE WHEN {} THEN {} ELSE {} END", "boolean", "string", "string"),
            ("CASE WHEN {} THEN {} WHEN {} THEN {} END", "boolean", "string", "boolean", "string"),
            ("COALESCE({}, {})", "string", "string"), ("NULLIF({}, {})", "string", "string"),
            ("replace({}, 'a', 'xy')", "string"), ("substr({}, 2, 3)", "string"),
            ("reverse({})", "string"), ("concat_({}, {})", "string", "string"),
            ("CAST({} AS varchar)", "integer"), ("CAST({} AS varchar)", "boolean"),
            ("regexp_replace_({})", "string"), ("date_format_", ),
        ])
        template, kinds = pick[0], pick[1:]
        if template == "concat_({}, {})":  # DuckDB's concat takes null for ''
            return self.call("concat({}, {})", *kinds, depth=depth, duck="({} || {})")
        if template == "regexp_replace_({})":
            return self.call("regexp_replace({}, '[aA]+b', '<$0>')", *kinds, depth=depth,
                             duck="regexp_replace({}, '[aA]+b', '<\\0>', 'g')")
        if template == "date_format_":
            return "date_format(ts, '%Y-%m-%d %H')", "strftime(ts, '%Y-%m-%d %H')"
        return self.call(template, *kinds, depth=depth)

    def integer(self, depth):
        if depth <= 0:
            return self.leaf("i", "n", "0", "1", "-2", "7", "CAST(NULL AS bigint)")
        pick = self.rnd.choice([
            ("TRY({} + {})", "integer", "integer"), ("TRY({} - {})", "integer", "integer"),
            ("TRY({} * {})", "integer", "integer"), ("(- {})", "integer"), ("abs({})", "integer"),
            ("length({})", "string"), ("strpos({}, 'a')", "string"), ("COALESCE({}, {})", "integer", "integer"),
            ("CASE {} WHEN {} THEN {} ELSE {} END", "integer", "integer", "integer", "integer"),
            ("NULLIF({}, {})", "integer", "integer"), ("year(ts)",), ("month(ts)",), ("day(ts)",), ("hour(ts)",),
            ("DIV({}, {})", "integer", "integer"), ("MOD({}, {})", "integer", "integer"),
            ("TRY_CAST({} AS bigint)", "digits"),
        ])
        template, kinds = pick[0], pick[1:]
        if template.startswith("DIV"):
            return self.call("TRY({} / {})", *kinds, depth=depth, duck="({} // {})")
        if template.startswith("MOD"):
            return self.call("TRY({} % {})", *kinds, depth=depth, duck="({} % {})")
        return self.call(template, *kinds, depth=depth)

    def digits(self, depth):
        return self.leaf("'12'", "'-7'", "'x'", "''", "'99999999999999999999'")

    def boolean(self, depth):
        if depth <= 0:
            return self.leaf("b", "true", "false", "CAST(NULL AS boolean)")
        pick = self.rnd.choice([
            ("({} AND {})", "boolean", "boolean"), ("({} OR {})", "boolean", "boolean"), ("(NOT {})", "boolean"),
            ("({} IS NULL)", "string"), ("({} IS NOT NULL)", "integer"), ("({} IN ({}, {}))", "string", "string", "string"),
            ("({} NOT IN ({}, {}))", "integer", "integer", "integer"),
            ("({} BETWEEN {} AND {})", "integer", "integer", "integer"),
            ("({} NOT BETWEEN {} AND {})", "string", "string", "string"),
            ("({} IS DISTINCT FROM {})", "integer", "integer"), ("({} IS NOT DISTINCT FROM {})", "string", "string"),
            ("starts_with({}, {})", "string", "string"),
            ("({} %s {})" % self.rnd.choice(["=", "<>", "<", "<=", ">", ">="]), "string", "string"),
            ("({} %s {})" % self.rnd.choice(["=", "<>", "<", "<=", ">", ">="]), "integer", "integer"),
            ("({} %s d)" % self.rnd.choice(["=", "<>", "<", "<=", ">", ">="]), "integer"),
            ("({} LIKE '%s')" % self.rnd.choice(["a%", "%b", "_", "%a_b%", "", "%", "A%b", "é%"]), "string"),
            ("({} NOT LIKE '%s' ESCAPE '!')" % self.rnd.choice(["a!%", "%!_%", "!!%"]), "string"),
            ("regexp_like_({})", "string"), ("(ts < TIMESTAMP '2001-01-01 00:00:00')",),
        ])
        template, kinds = pick[0], pick[1:]
        if template == "regexp_like_({})":
            return self.call("regexp_like({}, '^a|b$')", *kinds, depth=depth, duck="regexp_matches({}, '^a|b$')")
        return self.call(template, *kinds, depth=depth)


def random_rows(rnd, count):
    def text():
        return None if rnd.random() < 0.15 else "".join(rnd.choice("aAbB%_é!z") for _ in range(rnd.randrange(6)))
    rows = []
    for _ in range(count):
        nulls = "".join(c for c in "indbT" if rnd.random() < 0.15)
        rows.append({"s": text(), "t": text(), "i": rnd.randrange(-3, 4), "n": rnd.randrange(-9, 10),
                     "d": rnd.randrange(-4, 5) / 2, "b": rnd.random() < 0.5,
                     "ts": rnd.randrange(-2 * 10**15, 3 * 10**15), "nulls": nulls})
    return rows


def as_struct(row):
    return Row(*((row[k].encode() if isinstance(row[k], str) else row[k]) for k in ("s", "t", "i", "n", "d", "b", "ts", "nulls")))


def load(connection, rows):
    connection.execute("CREATE OR REPLACE TABLE r (k int, s varchar, t varchar, i bigint, n int, d double, b boolean, ts timestamp)")
    for k, row in enumerate(rows):
        value = {c: None if ("T" if c == "ts" else c) in row["nulls"] else row[c] for c in ("i", "n", "d", "b", "ts")}
        connection.execute("INSERT INTO r VALUES (?, ?, ?, ?, ?, ?, ?, make_timestamp(?::bigint))",
                           [k, row["s"], row["t"], value["i"], value["n"], value["d"], value["b"], value["ts"]])


def spell(value):
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("kind,type_", [("string", "string"), ("integer", "bigint"), ("boolean", "boolean")])
def test_random_expressions_agree_with_duckdb(probe, kind, type_):
    seed = int(os.environ.get("SEED", "1"))
    rnd = random.Random(f"{seed} {kind}")
    connection = duckdb.connect()
    connection.execute("SET error_on_division_by_zero = false")
    generator = Generator(rnd)
    count, skipped = 40, 0
    for turn in range(int(os.environ.get("EXPRESSIONS", "250"))):
        if turn % 50 == 0:
            rows = random_rows(rnd, count)
            load(connection, rows)
            array = (Row * count)(*(as_struct(row) for row in rows))
        ours, theirs = generator.make(kind, rnd.randrange(1, 5))
        try:
            want = [spell(r[0]) for r in connection.execute(f"SELECT {theirs} FROM r ORDER BY k").fetchall()]
        except duckdb.Error:  # its planner gives up on some, rarely
            skipped += 1
            assert skipped <= 1 + turn // 50, theirs
            continue
        out = ((ctypes.c_char * BYTES) * count)()
        status = probe.probe_expr(type_.encode(), ours.encode(), array, count, turn % 3, out)
        assert status == 0, f"seed {seed}: {ours}: {out[0].value.decode()}"
        got = [out[k].value.decode() for k in range(count)]
        for k in range(count):
            assert got[k] == want[k][:BYTES - 1] or len(want[k].encode()) >= BYTES, \
                f"seed {seed}: {ours}\n{theirs}\nrow {rows[k]}: {got[k]!r}, DuckDB {want[k]!r}"


def examples():
    """(expression, type, value) of each example of docs/functions.md."""
    text = (harness.ROOT / "docs" / "functions.md").read_text()
    for line in text.splitlines():
        cells = re.split(r"(?<!\\)\|", line.replace("\\|", "\0"))
        if len(cells) == 5 and cells[1].strip().startswith("`"):
            expression, type_, value = (cell.strip().strip("`").replace("\0", "|") for cell in cells[1:4])
            yield expression, type_, value


def test_the_manual_is_right(probe):
    found = list(examples())
    assert len(found) > 100
    for expression, type_, value in found:
        out = ((ctypes.c_char * BYTES) * 1)()
        # In a job file ${ is a variable; the examples are bare expressions without one.
        status = probe.probe_expr(type_.encode(), expression.encode(), (Row * 1)(), 1, 0, out)
        assert status == 0, f"{expression}: {out[0].value.decode()}"
        assert out[0].value.decode() == value, expression


def test_the_manual_is_complete(probe):
    text = " ".join(expression for expression, _, _ in examples())
    number = 0
    while signature := probe.probe_function(number):
        name = signature.decode().split("(")[0]
        assert re.search(rf"\b{re.escape(name)}\(", text, re.I), f"docs/functions.md has no example of {name}"
        number += 1
    assert number > 50
