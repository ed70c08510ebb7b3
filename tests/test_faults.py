"""Every allocation failed once, every call on files failed, lost, shortened, or killed at: whatever happens, the next run of
the job makes the table that a clean run makes.

The faults come from the libraries for LD_PRELOAD in tests/fault, which `make` builds."""
import os
import random

import pytest

import harness

SHIMS = harness.BINARY.resolve().parent.parent.parent / "tests" / "fault"
ALLOC, IO = SHIMS / "failalloc.so", SHIMS / "failio.so"
pytestmark = pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers replace the same functions")

# Two partitions, a key, a filter, one expression of each kind, a bad record, a duplicate.
JOB = harness.TINY_JOB.replace("columns:", """\
  unique_by: [id]
where: "id <> 5"
columns:""") + """\
  - {name: low, type: string, expr: "lower(s)", comment: native}
  - {name: kind, type: string, expr: "case when s like 'a%' then 'a' else regexp_extract(s, '[b-z]+') end", comment: by SQLite}
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """(job, source, rows of a clean run, number of quarantine entries)"""
    base = tmp_path_factory.mktemp("faults")
    job = harness.write(base / "job.yaml", JOB.encode())
    first = [harness.tiny(i, s=f"{'abc'[i % 3]}{i}") for i in range(8)] + [harness.tiny(3, s="again")]
    second = [harness.tiny(20 + i, s="Ä" * i, t=harness.T0 + harness.DAY_MS) for i in range(4)]
    harness.write_gz(base / "input" / "a.gz", harness.lines(first) + b'{"id":\n' + harness.lines([harness.tiny(9)]))
    harness.write(base / "input" / "b.json", harness.lines(second))
    harness.run(job, base / "input", base / "clean")
    rows = harness.in_order(harness.read_table(base / "clean"))
    assert len(rows) == 12 and len(harness.data_files(base / "clean")) == 2
    return job, base / "input", rows


def faulty(work, table, library, **settings):
    """One run with faults, on one thread; any exit status but that of a crash."""
    job, source, _ = work
    environment = {"LD_PRELOAD": str(library), **{name: str(value) for name, value in settings.items()}}
    result = harness.run(job, source, table, "--threads", "1", status=None, env=environment, timeout=60)
    assert result.status in (0, 1, 2, -9), f"{settings}: {result}"
    return result


def completed(work, table, what):
    """A clean run follows: all rows, once; nothing left over."""
    job, source, rows = work
    result = harness.run(job, source, table, "--threads", "1", status=None)
    assert result.status == 0, f"after {what}, a clean run ended with {result}"
    assert harness.in_order(harness.read_table(table)) == rows, f"after {what}"
    assert len(harness.quarantine(table)) == 1, f"after {what}"
    assert harness.leftovers(table) == [], f"after {what}"


def check(work, table, result, what):
    """What a faulty run left: all rows after success; after failure a message, and no row twice."""
    rows = harness.in_order(harness.read_table(table)) if table.exists() else []
    if result.status == 0:
        assert rows == work[2], f"{what}: success, and not all rows"
    else:
        assert result.status == -9 or result.err.strip(), f"{what}: status {result.status} without a word"
        assert all(row in work[2] for row in rows) and len(rows) == len({r["id"] for r in rows}), what
    completed(work, table, what)


def counted(work, tmp_path, library, prefix, **settings):
    report = tmp_path / "report"
    result = faulty(work, tmp_path / "counting", library, **{f"FAULT_{prefix}_REPORT": report}, **settings)
    assert result.status == 0
    return int(report.read_text().split()[0])


def test_every_allocation_fails_once(work, tmp_path):
    total = counted(work, tmp_path, ALLOC, "ALLOC")
    assert total > 100
    # The first hundreds belong to the program's start; everything is tried where there is time, else an even sample.
    step = int(os.environ.get("FAULT_STEP", 1)) if total < 3000 else total // 3000 + 1
    for n in range(1, total + 1, step):
        table = tmp_path / f"alloc-{n}"
        result = faulty(work, table, ALLOC, FAULT_ALLOC_AT=n)
        if result.status == 0 and n % 10:
            assert harness.in_order(harness.read_table(table)) == work[2], n
        else:
            check(work, table, result, f"allocation {n} of {total}")


def test_memory_is_gone_for_good(work, tmp_path):
    """From the Nth allocation on all fail: the way out needs none."""
    total = counted(work, tmp_path, ALLOC, "ALLOC")
    for n in range(1, total, max(1, total // 150)):
        table = tmp_path / f"from-{n}"
        check(work, table, faulty(work, table, ALLOC, FAULT_ALLOC_FROM=n), f"no memory from allocation {n} on")


ACTIONS = {
    "error": {"FAULT_IO_ACTION": "fail", "FAULT_IO_ERRNO": "EIO"},
    "no-space": {"FAULT_IO_ACTION": "fail", "FAULT_IO_ERRNO": "ENOSPC"},
    "denied": {"FAULT_IO_ACTION": "fail", "FAULT_IO_ERRNO": "EACCES"},
    "answer-lost": {"FAULT_IO_ACTION": "lose", "FAULT_IO_ERRNO": "EIO"},
    "kill": {"FAULT_IO_ACTION": "kill"},
    "kill-after": {"FAULT_IO_ACTION": "kill-after"},
}


@pytest.mark.parametrize("action", ACTIONS)
def test_every_call_on_files(action, work, tmp_path):
    total = counted(work, tmp_path, IO, "IO")
    assert total > 20
    for n in range(1, total + 1):
        table = tmp_path / f"io-{n}"
        result = faulty(work, table, IO, FAULT_IO_AT=n, **ACTIONS[action])
        check(work, table, result, f"{action} at call {n} of {total}")


@pytest.mark.parametrize("errno", ["EINTR"])
def test_interrupted_calls_are_repeated(errno, work, tmp_path):
    calls = "read,write,sync,open"
    total = counted(work, tmp_path, IO, "IO", FAULT_IO_CALLS=calls)
    for n in range(1, total + 1):
        table = tmp_path / f"intr-{n}"
        result = faulty(work, table, IO, FAULT_IO_AT=n, FAULT_IO_CALLS=calls, FAULT_IO_ERRNO=errno)
        assert result.status == 0, f"call {n}: {result}"
        assert harness.in_order(harness.read_table(table)) == work[2]


def test_short_reads_and_writes(work, tmp_path):
    """Each moves one byte only, all of them: the result is the same."""
    table = tmp_path / "short"
    result = faulty(work, table, IO, FAULT_IO_FROM=1, FAULT_IO_CALLS="read,write", FAULT_IO_ACTION="short")
    assert result.status == 0, result
    assert harness.fingerprint(table) == harness.fingerprint(work[1].parent / "clean")


def test_disk_stays_full(work, tmp_path):
    total = counted(work, tmp_path, IO, "IO")
    for n in range(1, total + 1):
        table = tmp_path / f"full-{n}"
        result = faulty(work, table, IO, FAULT_IO_FROM=n, FAULT_IO_ERRNO="ENOSPC", FAULT_IO_CALLS="write,open,link,mkdir,sync",)
        check(work, table, result, f"no space from call {n} on")


@pytest.mark.parametrize("seed", range(20))
def test_killed_again_and_again(seed, work, tmp_path):
    """Several runs in a row die at random calls; recovery from recovery."""
    chance = random.Random(seed)
    table = tmp_path / "table"
    total = counted(work, tmp_path, IO, "IO")
    moments = [chance.randrange(1, total + 1) for _ in range(chance.randrange(2, 6))]
    for n in moments:
        faulty(work, table, IO, FAULT_IO_AT=n, FAULT_IO_ACTION=chance.choice(["kill", "kill-after"]))
    completed(work, table, f"kills at calls {moments}")
