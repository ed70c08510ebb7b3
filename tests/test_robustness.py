"""Kills, signals, full disks, and inputs that fail: what is left behind is nothing, or a table that the next run completes."""
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

import harness

AS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Input large enough that a run takes a while, and the rows that a clean run gives."""
    base = tmp_path_factory.mktemp("robust")
    harness.gristmill("generate", base / "input", "--records", "60000", "--seed", "11")
    result = harness.run(harness.MAIN_JOB, base / "input", base / "clean", "--threads", "2")
    return base / "input", harness.fingerprint(base / "clean"), result


def complete(source, table, clean, *flags):
    """What the next run makes of a table that a dead one left: all rows once, nothing else."""
    harness.run(harness.MAIN_JOB, source, table, *flags)
    # Names hold the number of the run, which a swept predecessor may have used up: rows are compared.
    assert [row["session_id"] for row in harness.in_order(harness.read_table(table))] == clean
    assert harness.leftovers(table) == []


@pytest.fixture(scope="module")
def clean_keys(work, tmp_path_factory):
    table = tmp_path_factory.mktemp("clean") / "table"
    harness.run(harness.MAIN_JOB, work[0], table)
    return [row["session_id"] for row in harness.in_order(harness.read_table(table))]


@pytest.mark.parametrize("seed", range(12))
def test_kill_at_a_random_moment(seed, work, clean_keys, table):
    source, _, result = work
    moment = random.Random(seed)
    for _ in range(moment.randrange(1, 4)):
        process = harness.Process("run", harness.MAIN_JOB, "--source", source, "--table", table, "--json", "--threads", "2")
        time.sleep(moment.random() * result.seconds * 1.05)
        process.kill()
        process.wait()
    complete(source, table, clean_keys)


def test_two_runs_at_once(work, clean_keys, table):
    """Started twice at the same moment, the table is as after one run."""
    source = work[0]
    processes = [harness.Process("run", harness.MAIN_JOB, "--source", source, "--table", table, "--json") for _ in range(2)]
    results = [process.wait() for process in processes]
    assert any(result.status == 0 for result in results), results
    rows = [row["session_id"] for row in harness.in_order(harness.read_table(table))]
    assert rows == clean_keys


@pytest.mark.parametrize("seed", range(6))
def test_two_versions_of_a_job_at_once(seed, work, clean_keys, table, tmp_path):
    """A job file is edited while runs of the old one go on: one of them reads each input, also if some are killed."""
    source, _, result = work
    other = harness.write(tmp_path / "other.yaml", harness.MAIN_JOB.read_bytes().replace(b"table:\n", b"table:\n  compression_level: 2\n", 1))
    moment = random.Random(seed)
    processes = [harness.Process("run", job, "--source", source, "--table", table, "--json", "--threads", "1")
                 for job in (harness.MAIN_JOB, other, harness.MAIN_JOB)]
    if seed % 2:
        time.sleep(moment.random() * 2 * result.seconds)
        moment.choice(processes).kill()
    results = [process.wait() for process in processes]
    assert all(r.status in (0, -signal.SIGKILL) for r in results), results
    complete(source, table, clean_keys)


def test_repeating_changes_nothing(work, table):
    source = work[0]
    harness.run(harness.MAIN_JOB, source, table)
    before = harness.fingerprint(table)
    harness.run(harness.MAIN_JOB, source, table)
    assert harness.fingerprint(table) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("part", [0.2, 0.6])
def test_signal_stops_cleanly(number, part, work, clean_keys, table):
    source, _, clean = work
    for attempt in range(1, 8):  # a run may be over before the signal comes: then sooner
        shutil.rmtree(table, ignore_errors=True)
        process = harness.Process("run", harness.MAIN_JOB, "--source", source, "--table", table, "--threads", "2")
        time.sleep(clean.seconds * part / attempt)
        process.kill(number)
        sent = time.monotonic()
        result = process.wait()
        assert time.monotonic() - sent < 2 * harness.SLOW, "slow to stop"
        if result.status != 0:
            break
    assert result.status == 128 + number, result
    assert harness.data_files(table) == [] if table.exists() else True
    assert "stop" in result.err.lower() or "interrupt" in result.err.lower(), result
    complete(source, table, clean_keys)


def test_full_disk(work, clean_keys, table):
    """No file may grow beyond a limit: an error that says so, nothing published, and the next run completes."""
    source = work[0]
    for size in (0, 100, 10_000, 300_000):
        # Through pipes: the limit would hold for files that take the messages, too.
        result = subprocess.run([harness.BINARY, "run", harness.MAIN_JOB, "--source", source, "--table", table],
                                preexec_fn=harness.limit_file_size(size), capture_output=True, text=True)
        assert result.returncode == 1, result
        assert "too large" in result.stderr, result
        assert harness.data_files(table) == [] if table.exists() else True
    complete(source, table, clean_keys)


def _can_mount():
    return AS_ROOT and subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], stderr=subprocess.DEVNULL).returncode == 0


@pytest.mark.skipif(not _can_mount(), reason="mounting a small tmpfs is not allowed here")
@pytest.mark.parametrize("size", ["16k", "256k", "2m"])
def test_full_file_system(size, work, tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    script = (f"mount -t tmpfs -o size={size} none {mount} && "
              f"{harness.BINARY} run {harness.MAIN_JOB} --source {work[0]} --table {mount}/table; status=$?; "
              f"find {mount} -name '*.parquet' -path '*year=*' ! -path '*/_gristmill/*' | grep -q . && exit 99; exit $status")
    result = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    assert result.returncode == 1, result
    assert "space" in result.stderr, result.stderr


def test_unreadable_input(source, tmp_path, tiny_job, other_user):
    harness.write(source / "a.json", harness.lines([harness.tiny(1)]))
    secret = harness.write(source / "b.json", harness.lines([harness.tiny(2)]))
    secret.chmod(0)
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o777)
    tiny_job.chmod(0o644)
    result = harness.run(tiny_job, source, out / "table", status=1, **other_user)
    assert "b.json" in result.err and "denied" in result.err, result
    assert not (out / "table").exists() or harness.data_files(out / "table") == []


def test_table_that_cannot_be_written(source, tmp_path, tiny_job, other_user):
    harness.write(source / "a.json", harness.lines([harness.tiny(1)]))
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    result = harness.run(tiny_job, source, closed / "table", status=1, **other_user)
    assert "closed" in result.err and "denied" in result.err, result


@pytest.mark.parametrize("what", ["missing", "file"])
def test_source_that_is_no_directory(what, tmp_path, table, tiny_job):
    source = tmp_path / "nowhere"
    if what == "file":
        source.write_bytes(b"{}")
    result = harness.run(tiny_job, source, table, status=None)
    assert result.status in (0, 1, 2), result
    if what == "missing":
        assert result.status != 0 and "nowhere" in result.err, result
        assert not table.exists() or harness.data_files(table) == []


@pytest.mark.parametrize("change", ["grow", "shrink", "vanish", "replace"])
def test_input_that_changes_while_it_is_read(change, source, table, tiny_job):
    """Whatever happens to a file during the run: what it was, or what it is then, or an error that names it; never a part."""
    documents = [harness.tiny(i, s="x" * 200) for i in range(150_000)]
    parts = [documents[i::4] for i in range(4)]
    for i, part in enumerate(parts):
        harness.write(source / f"{i}.json", harness.lines(part))
    before = set(range(150_000))
    others = {d["id"] for part in parts[:3] for d in part}
    after = {"grow": before | {999_999}, "shrink": others | {d["id"] for d in parts[3][:10_000]}, "vanish": others,
             "replace": others | {d["id"] for d in documents[:10]}}[change]
    process = harness.Process("run", tiny_job, "--source", source, "--table", table, "--json", "--threads", "1")
    # The last file is changed as soon as the plan is written, which is long before it is read.
    deadline = time.monotonic() + 20
    while not process.ended() and not list(table.glob("_gristmill/*/plans/*")) and time.monotonic() < deadline:
        time.sleep(0.001)
    last = source / "3.json"
    if change == "grow":
        with open(last, "ab") as stream:
            stream.write(harness.lines([harness.tiny(999_999)]))
    elif change == "shrink":
        os.truncate(last, len(harness.lines(parts[3][:10_000])))
    elif change == "vanish":
        last.unlink()
    else:
        other = harness.write(source / ".new", harness.lines(documents[:10]))
        os.replace(other, last)
    result = process.wait()
    if result.status == 0:
        ids = {row["id"] for row in harness.read_table(table)}
        assert ids in (before, after), f"{len(ids)} rows: part of an input was taken without a word"
    else:
        # Changed after it had been taken whole: the next plan finds that and says so.
        assert result.status == 1 and "3.json" in result.err, result
        assert {row["id"] for row in harness.read_table(table)} in (set(), before)


def test_broken_pipe(work, table):
    """The reader of stdout goes away."""
    process = subprocess.Popen([str(harness.BINARY), "run", str(harness.MAIN_JOB), "--source", str(work[0]), "--table", str(table),
                                "--json", "--limit", "1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.close()
    assert process.wait(60) in (0, 1, -signal.SIGPIPE)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_stdout_that_is_full(work, table):
    """A summary that cannot be written is an error, not silence."""
    with open("/dev/full", "w") as full:
        status = subprocess.run([str(harness.BINARY), "run", str(harness.MAIN_JOB), "--source", str(work[0]), "--table", str(table),
                                 "--json", "--limit", "1"], stdout=full, stderr=subprocess.DEVNULL).returncode
    assert status == 1
