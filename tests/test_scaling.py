"""What grows with a table, and what must not: CPU time and memory of runs on large sources, logs and days.

Limits are several times what is measured (docs/scaling.md), so that a machine that is busy with other things passes."""
import datetime
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import pytest

import harness

OBJECTS = 100_000
LIVE_FILES, FILES_EACH = 20_000, 100
UNIQUE_JOB = harness.TINY_JOB.replace("columns:", "  unique_by: [id]\ncolumns:")
sized = pytest.mark.skipif(harness.SANITIZED, reason="sizes and times are those of an ordinary build")
pytestmark = sized


def job(tmp_path, source=""):
    return harness.write(tmp_path / "job.yaml", UNIQUE_JOB.replace("format: json", f"format: json{source}").encode())


def put(source, key, numbers, **more):
    return harness.write(source / key, harness.lines([harness.tiny(n, s=f"value {n % 100} of this record", **more) for n in numbers]))


def run(job, source, table, *flags):
    return harness.run(job, source, table, *flags, measure=True)


def test_small_things_are_cheap(tmp_path, source, table):
    """A run with nothing new, and one with a new object of 100 KB: this is what most runs are."""
    put(source, "a", range(1600))
    run(job(tmp_path), source, table)
    nothing = min((run(job(tmp_path), source, table) for _ in range(3)), key=lambda result: result.cpu)
    assert nothing.json["run"] is None
    assert nothing.cpu < 0.050
    assert nothing.peak < 20 * harness.MIB
    times = []
    for i in range(1, 4):
        path = put(source, f"b{i}", range(i * 1600, (i + 1) * 1600))
        assert 90_000 < path.stat().st_size < 140_000
        result = run(job(tmp_path), source, table)
        assert result.json["rows_written"] == 1600
        times.append(result.cpu)
    assert min(times) < 0.150


@pytest.fixture
def in_memory():
    """Where no disk is waited for: a run waits for it some 25 times, which says how fast that is and nothing of us."""
    folder = harness.memory_folder()
    if folder is None:
        pytest.skip("no folder in memory")
    with tempfile.TemporaryDirectory(dir=folder, prefix="gristmill-") as path:
        yield pathlib.Path(path)


def quickest(limit, attempt):
    """Seconds of the quickest of several attempts. On a machine that does other things as well most are slow for these: there may be
    many, and the first below the limit is enough."""
    best = float("inf")
    for _ in range(60):
        best = min(best, attempt())
        if best < limit:
            break
        time.sleep(0.2)
    return best


def test_small_things_are_quick(in_memory):
    """The same two runs by the clock, from the start of the process to its end."""
    source, table = in_memory / "source", in_memory / "table"
    put(source, "a", range(1600))
    run(job(in_memory), source, table)
    numbers = itertools.count(1)

    def new_object():
        number = next(numbers)
        put(source, f"b{number}", range(number * 1600, (number + 1) * 1600))
        result = run(job(in_memory), source, table)
        assert result.json["rows_written"] == 1600
        return result.seconds

    assert quickest(0.050, lambda: run(job(in_memory), source, table).seconds) < 0.050
    assert quickest(0.150, new_object) < 0.150


def test_nothing_is_set_up_anew_for_each_object(tmp_path, in_memory):
    """2,000 objects of a record each against one with all the records: what is left is opening, reading and the books."""
    objects = 2000
    for i in range(objects):
        put(in_memory / "many", f"{i:04}", [i])
    put(in_memory / "one", "0", range(objects))

    def least(name):
        results = [run(job(tmp_path), in_memory / name, in_memory / f"{name}-table-{i}") for i in range(3)]
        assert all(result.json["rows_written"] == objects for result in results)
        return min(result.cpu for result in results)

    assert (least("many") - least("one")) / objects < 0.000_500


def test_objects_that_are_processed_cost_no_memory(tmp_path, source, table):
    for hour in range(OBJECTS // 1000):
        folder = source / f"2024/03/{hour // 24 + 1:02}/{hour % 24:02}"
        folder.mkdir(parents=True)
        for i in range(1000):
            os.close(os.open(folder / f"{hour * 1000 + i:032x}", os.O_WRONLY | os.O_CREAT))
    first = run(job(tmp_path, ", plan_objects: 50000"), source, table)  # each plan waits for the disk a few times
    assert len(first.json["runs"]) == OBJECTS // 50_000
    nothing = run(job(tmp_path), source, table)
    assert nothing.json["run"] is None
    assert nothing.cpu < 2
    assert nothing.peak < 20 * harness.MIB  # a million may take 64: it does not grow at all


def test_files_of_other_days_are_not_looked_into(tmp_path, source, table):
    """A new object meets the files of its own days. Those of others can be missing without being missed."""
    days = range(10)
    for day in days:
        put(source, f"day{day}", range(day * 100, day * 100 + 100), t=harness.T0 + day * harness.DAY_MS)
    harness.run(job(tmp_path), source, table)
    files = harness.data_files(table)
    assert len(files) == len(days)
    for path in files[1:]:
        path.unlink()
    put(source, "late", range(50, 150), t=harness.T0)
    summary = harness.run(job(tmp_path), source, table).json
    assert (summary["duplicates"], summary["rows_written"]) == (50, 50)
    put(source, "later", range(100, 200), t=harness.T0 + harness.DAY_MS)
    result = harness.run(job(tmp_path), source, table, status=1)
    assert files[1].name in result.err


def add_live_files(table):
    """Entries as this program writes them, each with many files, which nobody opens when nothing is new."""
    log = table / "_delta_log"
    first = (log / f"{0:020}.json").read_text().splitlines()
    info = next(line for line in first if line.startswith('{"commitInfo"'))
    add = json.loads(next(line for line in first if line.startswith('{"add"')))
    for version in range(1, LIVE_FILES // FILES_EACH + 1):
        rows = [info]
        for number in range((version - 1) * FILES_EACH, version * FILES_EACH):
            day = str(datetime.date(2010, 1, 1) + datetime.timedelta(number // 100))
            add["add"].update(path=f"day={day}/0123abcd-{number:08}-00000-0000-{number:016x}.zstd.parquet", partitionValues={"day": day})
            rows.append(json.dumps(add, separators=(",", ":")))
        (log / f"{version:020}.json").write_text("\n".join(rows) + "\n")


def test_files_of_the_table_cost_little_memory(tmp_path, source, table):
    put(source, "a", range(1500))
    run(job(tmp_path), source, table)
    base = run(job(tmp_path), source, table)
    add_live_files(table)
    entries = run(job(tmp_path), source, table, "--dry-run")
    assert entries.peak - base.peak < LIVE_FILES * 200
    assert entries.cpu < 2
    run(job(tmp_path), source, table)
    assert len(list((table / "_delta_log").glob("*.checkpoint.parquet"))) == 1
    checkpoint = min((run(job(tmp_path), source, table) for _ in range(2)), key=lambda result: result.cpu)
    assert checkpoint.peak < 40 * harness.MIB
    assert checkpoint.cpu < 0.5
    assert checkpoint.json["version"] == LIVE_FILES // FILES_EACH


def test_the_bench_works(tmp_path):
    """bench/scaling.py in the small, so that it is not found broken by whoever needs it."""
    command = [sys.executable, harness.ROOT / "bench" / "scaling.py", "--objects", "20", "--runs", "2,3", "--log", "20x2", "--files", "2"]
    done = subprocess.run(command, env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.isalpha()] == ["objects", "runs", "log", "files"]
    assert list(tmp_path.iterdir()) == []
