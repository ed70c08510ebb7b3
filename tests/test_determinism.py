"""Same inputs, job and engine: the same file names and bytes, for any number of threads and any memory."""
import gzip
import random
import shutil

import pytest

import harness

COUNTS = ("records_read", "rows_written", "duplicates", "filtered", "quarantined", "bytes_raw", "inputs")


@pytest.fixture(scope="module")
def expected(sample_table):
    table, summary = sample_table
    return harness.fingerprint(table), summary


def _compare(table, summary, expected):
    assert harness.fingerprint(table) == expected[0]
    for name in COUNTS:
        assert summary[name] == expected[1][name]


@pytest.mark.parametrize("threads", [1, 2, 4, 7])
def test_threads(threads, sample, table, expected):
    _compare(table, harness.run(harness.MAIN_JOB, sample, table, "--threads", threads).json, expected)


@pytest.mark.parametrize("memory", ["64M", "128M", "1G"])
def test_memory(memory, sample, table, expected):
    _compare(table, harness.run(harness.MAIN_JOB, sample, table, "--memory", memory, "--threads", "3").json, expected)


def _one_object(path, rng):
    """30 MB in one gzip member: many blocks, broken records, one larger than several blocks, and the end is missing."""
    records = [harness.dump(harness.access_record(i, timestamp=harness.T0 + i * 997 % (3 * harness.DAY_MS))) for i in range(50_000)]
    for i in rng.sample(range(len(records)), 40):
        records[i] = records[i][:rng.randrange(20, len(records[i]))]
    records[30_000] = harness.dump(harness.access_record(30_000, queryString="q" * 3_000_000))
    packed = gzip.compress(b"\n".join(records), 1, mtime=0)
    harness.write(path / "one.gz", packed[:-100])


def _small_objects(path, rng):
    for i in range(1500):
        records = harness.lines(harness.access_record(i * 7 + k) for k in range(rng.randrange(8)))
        harness.write_gz(path / f"{i // 500}" / f"{i:04}.gz", records + (b"{oops}\n" if i % 100 == 0 else b""))


@pytest.mark.parametrize("make", [_one_object, _small_objects])
def test_threads_share_the_work_of_any_shape(make, tmp_path):
    """One object alone, which several threads work on, and many of a few records each."""
    make(tmp_path / "input", random.Random(7))
    seen = []
    for threads in (1, 2, 4):
        table = tmp_path / f"table-{threads}"
        summary = harness.run(harness.MAIN_JOB, tmp_path / "input", table, "--threads", threads, "--memory", "256M").json
        rejected = [(row["offset"], row["reason"]) for row in harness.quarantine(table)]
        files = {str(p.relative_to(table)): p.read_bytes() for p in table.glob("_gristmill/*/quarantine/*/*")}
        seen.append((harness.fingerprint(table), files, rejected, {name: summary[name] for name in COUNTS}))
        shutil.rmtree(table)
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][2] and seen[0][3]["rows_written"] > 4000


def test_place_does_not_matter(sample, sample_table, tmp_path, expected):
    """Another folder, other modification times, another working directory, another locale and time zone."""
    copy = tmp_path / "elsewhere" / "in put"
    shutil.copytree(sample, copy)
    table = tmp_path / "other" / "tab le"
    environment = {"LC_ALL": "C.UTF-8", "TZ": "America/St_Johns", "LANG": "de_DE.UTF-8"}
    result = harness.run(harness.MAIN_JOB, copy, table, cwd=tmp_path, env=environment)
    _compare(table, result.json, expected)


def test_quarantine_is_the_same(sample, sample_table, table):
    harness.run(harness.MAIN_JOB, sample, table, "--threads", "4", "--memory", "64M")
    files = lambda where: {str(p.relative_to(where)): p.read_bytes() for p in where.glob("_gristmill/*/quarantine/*/*")}  # noqa: E731
    assert files(table) == files(sample_table[0])


def test_generate_is_seeded(tmp_path):
    names = []
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        harness.gristmill("generate", tmp_path / folder, "--records", "3000", "--seed", seed)
        names.append({str(p.relative_to(tmp_path / folder)): p.read_bytes() for p in sorted((tmp_path / folder).rglob("*.gz"))})
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize("threads", [1, 5])
def test_spilling_keeps_bytes(threads, source, tmp_path):
    """Interleaved days, far more than fit into a small budget at once: the bytes stay those of a run with plenty."""
    for name in range(6):
        documents = (harness.access_record(i * 6 + name, timestamp=harness.T0 + (i * 7919 % 400) * harness.DAY_MS + i,
                                           queryString=f"q={i}" * 20) for i in range(8000))
        harness.write_gz(source / f"{name}.gz", harness.lines(documents))
    harness.run(harness.MAIN_JOB, source, tmp_path / "large", "--memory", "1G", "--threads", "2")
    harness.run(harness.MAIN_JOB, source, tmp_path / "small", "--memory", "64M", "--threads", threads)
    assert harness.fingerprint(tmp_path / "large") == harness.fingerprint(tmp_path / "small")
