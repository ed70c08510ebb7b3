"""Memory stays inside --memory, under a limit that the kernel enforces: the process may not map more, and its largest
resident set is measured. bench/memory.py does the same with ten million records."""
import base64
import gzip
import hashlib
import json
import random
import resource
import sys

import pytest

import harness
from harness import MIB

sys.path.insert(0, str(harness.ROOT / "bench"))
from memory import TEXT_JOB as JOB  # noqa: E402

# What is mapped and never touched: stacks of threads (8 MiB each), and room for the worst case of compression.
STACK = 8 * MIB
UNTOUCHED = 96 * MIB


def run_within(memory_mib, threads, job, source, table):
    """A run that cannot map more than its budget and what it does not touch, and whose resident set stays inside the budget."""
    def limit():
        if not harness.SANITIZED:
            most = memory_mib * MIB + threads * STACK + UNTOUCHED
            resource.setrlimit(resource.RLIMIT_DATA, (most, most))

    result = harness.run(job, source, table, "--memory", f"{memory_mib}M", "--threads", threads, measure=True, before=limit)
    if not harness.SANITIZED:
        assert result.peak <= memory_mib * MIB, f"peak {result.peak / MIB:.0f} MiB with --memory {memory_mib}M, {threads} threads"
    return result


@pytest.fixture
def job(tmp_path):
    return harness.write(tmp_path / "job.yaml", JOB.encode())


def text(rng, pieces, size):
    """As hard to compress as text can be, put together of a few pieces."""
    parts = []
    while size > 0:
        parts.append(rng.choice(pieces)[:size])
        size -= len(parts[-1])
    return "".join(parts)


def write_records(path, rng, sizes, first):
    """What the table must hold of them: a hash of each text by its id."""
    hashes = {}
    pieces = [base64.b64encode(rng.randbytes(MIB)).decode() for _ in range(4)]
    with path.open("w") as stream:
        for i, size in enumerate(sizes, first):
            value = text(rng, pieces, size)
            hashes[i] = hashlib.md5(value.encode()).digest()
            stream.write(json.dumps({"id": i, "t": harness.T0 + i, "s": value}) + "\n")
    return hashes


def assert_holds(table, hashes):
    assert {row["id"]: hashlib.md5(row["s"].encode()).digest() for row in harness.read_table(table)} == hashes


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated") / "input"
    harness.gristmill("generate", folder, "--records", "300000", "--seed", "9")
    return folder


def test_many_records(generated, tmp_path):
    """Several times what the budget holds. A small budget costs time, but not much, and no byte."""
    runs = {memory: run_within(memory, threads, harness.MAIN_JOB, generated, tmp_path / f"{memory}")
            for memory, threads in ((256, 1), (256, 6), (128, 1), (128, 3))}
    for result in runs.values():
        harness.assert_balanced(result.json)
    if not harness.SANITIZED:
        assert runs[128].cpu < 5 * runs[256].cpu


@pytest.mark.parametrize("threads", [1, 6])
def test_records_of_an_eighth_of_the_budget(threads, job, source, table):
    """Among small ones, in several objects at once: all of them are in one wanted column of one partition."""
    rng, hashes = random.Random(3), {}
    for name in range(2):
        hashes |= write_records(source / f"{name}.json", rng, [10] * 500 + [31 * MIB, 10, 31 * MIB + MIB // 2] + [10] * 500, name * 10_000)
    summary = run_within(256, threads, job, source, table).json
    assert (summary["rows_written"], summary["quarantined"]) == (2006, 0)
    assert_holds(table, hashes)


def test_large_records_are_not_tried(job, source, table):
    """In the compact profile nothing that fills a page by itself is encoded in several ways: there is no room for these."""
    rng, hashes = random.Random(6), {}
    job.write_text(JOB.replace("\ntable:\n", "\ntable:\n  encoding: compact\n"))
    for name in range(2):
        hashes |= write_records(source / f"{name}.json", rng, [31 * MIB, 31 * MIB, 10], name * 10_000)
    run_within(256, 6, job, source, table)
    assert_holds(table, hashes)


def test_long_messages(job, source, table):
    """A row group's weight lies in one column, and six workers could each read back a group of their own."""
    rng, hashes = random.Random(4), {}
    for name in range(4):
        hashes |= write_records(source / f"{name}.json", rng, [rng.randrange(4_000, 12_000) for _ in range(8_000)], name * 10_000)
    run_within(256, 6, job, source, table)
    assert_holds(table, hashes)


def test_hundreds_of_columns(tmp_path, source, table):
    rng = random.Random(5)
    columns = "".join(f"  - {{name: c{i}, type: {'string' if i % 2 else 'bigint'}, from: c{i}}}\n" for i in range(400))
    job = harness.write(tmp_path / "job.yaml", (JOB + columns).encode())
    for name in range(3):
        with (source / f"{name}.json").open("w") as stream:
            for i in range(2_000):
                values = {f"c{c}": f"v{rng.getrandbits(40):x}" if c % 2 else rng.getrandbits(40) for c in range(400)}
                stream.write(json.dumps({"id": name * 10_000 + i, "t": harness.T0 + i, "s": "x", **values}) + "\n")
    assert run_within(256, 6, job, source, table).json["rows_written"] == 6_000


def test_late_records(job, source, table):
    """A record in a hundred is of an earlier day: none of them may hold the half megabyte around it until the run ends."""
    rng = random.Random(6)
    texts = [rng.randbytes(120).hex() for _ in range(1000)]
    late = [24 * 3_600_000 * (1 + i % 20) if i % 100 == 0 else 0 for i in range(2000)]
    with (source / "0.json").open("w") as stream:
        for i in range(700_000):
            stream.write(f'{{"id":{i},"t":{harness.T0 - late[i % 2000]},"s":"{i}{texts[i % 1000]}"}}\n')
    job.write_text(job.read_text().replace("  unique_by: [id]\n", "  file_size: 4MiB\n"))  # row groups of a few chunks each
    assert run_within(128, 1, job, source, table).json["rows_written"] == 700_000


def test_failure_beside_a_rejected_span(job, source, table):
    """When one object fails the run, what others reject goes nowhere, and so must not be read on into memory."""
    with gzip.open(source / "0.json.gz", "wb", compresslevel=1) as stream:
        for _ in range(400):
            stream.write(b"x" * MIB)
    (source / "1.json").write_text(f'{{"id":"no","t":{harness.T0}}}\n')
    job.write_text(job.read_text().replace("from: id}", "from: id, on_error: fail}"))
    result = harness.run(job, source, table, "--memory", "256M", "--threads", 2, measure=True, status=None)
    assert result.status != 0 and "the value cannot be converted" in result.err
    if not harness.SANITIZED:
        assert result.peak <= 256 * MIB
