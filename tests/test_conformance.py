"""Engines that people query with read the tables of lake_tables.py: every column and every row is what DuckDB reads from the files, which is
what was put in. What an engine does otherwise is a deviation: told below in words, and asserted to the last row. How many objects a filter
makes an engine open is taken from the S3 server's log.

What comes of it is the matrix of docs/conformance.md, which is compared; GRISTMILL_WRITE_DOCS=1 writes it."""
import functools
import os
import re

import pytest

import conformance_engines as engines
import harness
import lake_tables
from conformance_engines import Where
from lake import DATABASE
from lake_tables import KINDS_LAST

pytestmark = pytest.mark.trino

PAGE = harness.ROOT / "docs/conformance.md"
MONTH = Where(partition={"year": "2025", "month": "02"})
SINCE = Where(since={"timestamp": "2025-02-01 00:00:00"})
FEBRUARY = 1_738_368_000_000_000  # the same moment


# --- Deviations -------------------------------------------------------------------------------------------------------------

class Shows:
    """It reads without an error, and shows something else: what a function makes of the true rows."""

    def __init__(self, text, change):
        self.text, self.change = text, change

    def hold(self, scene, engine):
        table, want = scene.kinds, scene.want(scene.kinds, KINDS_LAST)
        changed = engines.in_order(filter(None, (self.change(row, dict(zip(table.types, range(len(row))))) for row in want)))
        assert changed != want, f"{self.text}: no longer"
        assert_same(engine.rows(table), changed)


class Refuses:
    """On S3 it fails with such an error; it reads the same files in a folder."""

    def __init__(self, text, error):
        self.text, self.error = text, error

    def hold(self, scene, engine):
        with pytest.raises(Exception, match=self.error):
            engine.rows(scene.kinds)
        assert_same(type(engine)(engine.lake, engine.ask, near=True).rows(scene.kinds), scene.want(scene.kinds, KINDS_LAST))


class NotEntered:
    """It would show fewer rows, so that the program makes no such entry. The rows that can be shown so are, in a table of their own."""

    def __init__(self, text, error):
        self.text, self.error = text, error

    def hold(self, scene, engine):
        refused = scene.kinds.enter("projected", "hive", "projection", status=None)
        assert refused.status != 0 and re.search(self.error, refused.err), refused
        assert all("projected" not in table["Name"] for table in scene.lake.glue.get_tables(DatabaseName=DATABASE)["TableList"])
        at = {name: place for place, name in enumerate(scene.kinds.types)}
        want = [row for row in scene.want(scene.kinds, KINDS_LAST) if row[at["region"]] in lake_tables.PLAIN and row[at["day"]] is not None]
        assert_same(engine.rows(scene.plain), want)


def in_milliseconds(row, at):
    """To the nearest, and halfway to the later."""
    time = row[at["moment"]]
    return row if time is None else (*row[:at["moment"]], (time + 500) // 1000 * 1000, *row[at["moment"] + 1:])


def as_in_the_path(row, at):
    """Hive's escapes of the values that there are, and its name for null."""
    def raw(value):
        return lake_tables.NO_VALUE if value is None else re.sub("[%'/=]", lambda c: f"%{ord(c[0]):02X}", value)

    return (*row[:at["region"]], raw(row[at["region"]]), row[at["size"]], raw(row[at["day"]]))


DEVIATIONS = {
    engines.TrinoProjection: NotEntered(
        "Projection computes values, and null is none: rows whose partition is null would not be seen. Gristmill refuses to make such an entry "
        "and says so; likewise for values that cannot stand in a list. The other rows are equal.", "projection cannot say.*register"),
    engines.TrinoDelta: Shows(
        "Times are rounded to milliseconds, 23:59:59.9996 to the next day: the connector has no microseconds.", in_milliseconds),
    engines.DuckDBHive: Refuses(
        "On S3 it does not find keys that hold a percent sign, as values have that Hive escapes (`/ % ' = :` and others). In a folder it does.",
        "404"),
    engines.PolarsDelta: Refuses(
        "On S3 it does not find keys with blanks or letters that are not ASCII in a partition value. In a folder it does.", "not found"),
    engines.ClickHouseHive: Shows(
        "Partition values are shown as they stand in the path: escaped (`a%2Fb%3Dc`), and `__HIVE_DEFAULT_PARTITION__` for null, so that a "
        "date with nulls must be read as text.", as_in_the_path),
}


# --- Outcomes ---------------------------------------------------------------------------------------------------------------

def assert_same(rows, want):
    if rows != want:
        lost, strange = sorted(set(want) - set(rows), key=str), sorted(set(rows) - set(want), key=str)
        raise AssertionError(f"{len(rows)} rows, not {len(want)}: lost {lost[:2]}, strange {strange[:2]}")


class Scene:
    """The tables, and what came of each engine. An outcome is asked for once, whichever test is first."""

    def __init__(self, lake, ask, folder):
        self.lake, self.ask = lake, ask
        self.access = lake_tables.make_access(lake, folder / "access")
        self.kinds = lake_tables.make_kinds(lake, folder / "kinds")
        self.plain = lake_tables.make_plain(lake, folder / "plain")
        self.last = len(lake_tables.ACCESS_RUNS) - 1
        self.known = functools.cache(lambda kind, check: check(self, kind(lake, ask)))

    @functools.cache
    def want(self, table, version):
        return engines.reference(table, table.files_of(version))

    def opened(self, engine, where):
        """How many data files of the main job's table a filter makes the engine open. The rows must be right, too."""
        at = list(self.access.types).index("timestamp")
        want = [row for row in self.want(self.access, self.last) if row[at] >= FEBRUARY]
        with self.lake.versitygw.requests() as requests:
            assert_same(engine.rows(self.access, where=where), want)
        keys = {url.partition("?")[0] for operation, url in requests if operation == "GetObject"}
        return len([key for key in keys if key.endswith(".parquet") and "/_" not in key])


def reads_access_records(scene, engine):
    assert_same(engine.rows(scene.access), scene.want(scene.access, scene.last))
    return "equal"


def reads_all_types(scene, engine):
    deviation = DEVIATIONS.get(type(engine))
    if deviation is None:
        assert_same(engine.rows(scene.kinds), scene.want(scene.kinds, KINDS_LAST))
        return "equal"
    deviation.hold(scene, engine)
    return f"[{list(DEVIATIONS).index(type(engine)) + 1}]"


def travels(scene, engine):
    if not engine.time_travel:
        return "-"
    for version in range(scene.last):
        assert_same(engine.rows(scene.access, version), scene.want(scene.access, version))
    return "equal"


def opens_for_a_month(scene, engine):
    return str(scene.opened(engine, MONTH)) if not engine.near else "-"


def opens_for_a_time(scene, engine):
    return str(scene.opened(engine, SINCE)) if not engine.near else "-"


CHECKS = {"access records": reads_access_records, "all types": reads_all_types, "earlier versions": travels,
          "opens: a month": opens_for_a_month, "opens: `timestamp`": opens_for_a_time}


@pytest.fixture(scope="module")
def scene(lake, request, tmp_path_factory):
    return Scene(lake, request.getfixturevalue, tmp_path_factory.mktemp("conformance"))


# --- Tests ------------------------------------------------------------------------------------------------------------------

def test_the_reference_reads_what_was_put_in(scene):
    rows = [row for numbers in lake_tables.KINDS_RUNS for row in lake_tables.kinds_rows(numbers)]
    assert_same(scene.want(scene.kinds, KINDS_LAST), engines.in_order(rows))
    assert len(scene.want(scene.access, 0)) < len(scene.want(scene.access, 1)) < len(scene.want(scene.access, 2))


@pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.__name__)
@pytest.mark.parametrize("engine", engines.ENGINES[::-1], ids=lambda engine: engine.__name__)  # Trino, which is still starting, at the end
def test_engine(scene, engine, check):
    scene.known(engine, check)


@pytest.mark.parametrize("engine", [engines.TrinoProjection, engines.TrinoRegistered, engines.TrinoDelta], ids=lambda engine: engine.__name__)
def test_trino_prunes(scene, engine):
    """By partition it opens that partition alone. By time alone it opens a Hive table whole, a Delta table where the log's bounds say so."""
    files = scene.access.files()
    month = [path for path in files if "/year=2025/month=02/" in str(path)]
    assert 0 < len(month) < len(files)
    assert scene.known(engine, opens_for_a_month) == str(len(month))
    assert scene.known(engine, opens_for_a_time) == str(len(month if engine is engines.TrinoDelta else files))


def test_trino_lists_every_partition_that_may_be(scene):
    """With projection: a year of days for each year in which there is one, unless the query prunes them."""
    def lists(where):
        with scene.lake.versitygw.requests() as requests:
            engines.TrinoProjection(scene.lake, scene.ask).rows(scene.access, where=where)
        return {url for operation, url in requests if operation == "ListObjectsV2"}

    assert len(lists(SINCE)) >= 2 * 12 * 31 and len(lists(MONTH)) <= 2 * 31


TRINO_TYPES = {"boolean": "boolean", "int": "integer", "bigint": "bigint", "double": "double", "string": "varchar", "date": "date"}


@pytest.mark.parametrize("entry", ["projected", "registered", "delta"])
def test_trino_shows_types_and_comments(scene, entry):
    """By its Hive connector, which hands Delta tables on to the other."""
    types = {**TRINO_TYPES, "timestamp": "timestamp(3) with time zone" if entry == "delta" else "timestamp(6)"}
    for table in (scene.access, scene.plain if entry == "projected" else scene.kinds):
        shown = scene.lake.sql(f"show columns from {table.entries[entry]}")
        assert [row[:2] for row in shown] == [[name, types[kind]] for name, kind in table.types.items()]
        assert {row[0]: row[3] for row in shown} == table.comments
    count = f"select count(*) from {scene.access.entries[entry]}"
    assert scene.lake.sql(count) == [[len(scene.want(scene.access, scene.last))]]


@pytest.mark.parametrize("name", ["access", "kinds", "plain"])
def test_the_catalog_counts_the_rows(scene, name):
    table = getattr(scene, name)
    for kind in set(table.entries) - {"delta"}:
        entry = scene.lake.glue.get_table(DatabaseName=DATABASE, Name=table.entries[kind])["Table"]
        assert entry["Parameters"]["numRows"] == str(len(engines.reference(table, table.files())))
        assert entry["Parameters"]["numFiles"] == str(len(table.files()))


def rendered(scene):
    lines = ["| engine | version | finds the files by | " + " | ".join(CHECKS) + " |", "|---" * (3 + len(CHECKS)) + "|"]
    for engine in engines.ENGINES:
        cells = [scene.known(engine, check) for check in CHECKS.values()]
        lines.append(f"| {engine.name} | {engine.version} | {engine.way} | {' | '.join(cells)} |")
    files, month = scene.access.files(), scene.known(engines.TrinoRegistered, opens_for_a_month)
    rows = len(scene.want(scene.access, scene.last)), len(scene.want(scene.kinds, KINDS_LAST))
    lines += ["", f"{rows[0]:,} access records in {len(files)} files, {month} of them of the month; {rows[1]} rows of all types in "
                  f"{len(scene.kinds.partition_values())} partitions.", ""]
    lines += [f"{number}. {kind.name}, {kind.way}: {deviation.text}" for number, (kind, deviation) in enumerate(DEVIATIONS.items(), 1)]
    return "\n".join(lines)


def test_the_page_has_the_matrix(scene):
    head, begin, rest = PAGE.read_text().partition("<!-- begin: matrix -->\n")
    written, end, tail = rest.partition("\n<!-- end: matrix -->")
    matrix = rendered(scene)
    if os.environ.get("GRISTMILL_WRITE_DOCS"):
        PAGE.write_text(head + begin + matrix + end + tail)
    else:
        assert written == matrix, "GRISTMILL_WRITE_DOCS=1 pytest tests/test_conformance.py writes it anew"
