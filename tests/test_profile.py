"""`--profile`: the table of stages is whole. What the kernel counts for the process is the judge."""
import re

import pytest

import harness
from harness import MAIN_JOB, gristmill

STAGES = ["plan", "read", "inflate", "shred", "intern", "derive", "hash", "dedupe", "route", "renumber", "encode", "statistics", "compress",
          "checksum", "write", "sync", "publish", "commit", "catalog", "transfer", "idle", "rest"]
BUSY = {"read", "inflate", "shred", "intern", "derive", "hash", "dedupe", "route", "renumber", "encode", "statistics", "compress", "checksum"}


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Enough that starting the program does not count."""
    path = tmp_path_factory.mktemp("large") / "input"
    gristmill("generate", path, "--records", "120000", "--per-object", "20000", "--bad", "0.0001", "--quiet")
    return path


def stages_of(report):
    profile = report["profile"]
    assert [stage["stage"] for stage in profile["stages"]] == STAGES
    assert profile["records"] == report["records_read"]
    for stage in profile["stages"]:
        assert stage["cpu_seconds"] >= 0 and stage["wait_seconds"] >= 0
        assert stage["share"] == pytest.approx(stage["cpu_seconds"] / profile["cpu_seconds"])
        assert stage["ns_per_record"] == pytest.approx(stage["cpu_seconds"] * 1e9 / profile["records"])
    assert sum(stage["share"] for stage in profile["stages"]) == pytest.approx(1)
    return {stage["stage"]: stage for stage in profile["stages"]}


def test_the_manual_names_the_stages():
    manual = (harness.ROOT / "docs" / "gristmill.1.md").read_text()
    section = manual[manual.index("## STAGES"):manual.index("## EXIT STATUS")]
    assert re.findall(r"(?m)^`([a-z]+)`$", section) == STAGES
    page = (harness.ROOT / "docs" / "performance.md").read_text()
    named = {word for words in re.findall(r"(?m)^\*\*([a-z, ]+)\*\*", page) for word in words.split(", ")}
    assert named >= set(STAGES) - {"catalog", "rest"}


@pytest.mark.parametrize("threads", ["1", "3"])
def test_the_stages_are_what_the_process_has_spent(threads, large, tmp_path):
    result = harness.run(MAIN_JOB, large, tmp_path / "t", "--profile", "--threads", threads, "--memory", "256M")
    report = result.json
    stages = stages_of(report)
    assert 0.9 * result.cpu <= report["profile"]["cpu_seconds"] <= 1.01 * result.cpu
    assert all(stages[name]["cpu_seconds"] > 0 for name in BUSY)
    assert stages["rest"]["share"] < 0.1
    assert stages["read"]["bytes"] == report["bytes_in"]
    assert stages["inflate"]["bytes"] == stages["shred"]["bytes"] == report["bytes_raw"]
    assert stages["write"]["bytes"] == sum(file["bytes"] for file in report["files"])
    assert stages["compress"]["bytes"] > stages["write"]["bytes"] / 2
    assert stages["transfer"]["cpu_seconds"] == 0
    assert harness.fingerprint(tmp_path / "t") == harness.fingerprint(plain_table(large, tmp_path))


def plain_table(source, tmp_path):
    assert "profile" not in harness.run(MAIN_JOB, source, tmp_path / "plain").json
    return tmp_path / "plain"


def test_the_table_for_people(sample, tmp_path):
    out = gristmill("run", MAIN_JOB, "--source", sample, "--table", tmp_path / "t", "--profile").out
    head, *rows = [line.split() for line in out[out.index("  stage "):].splitlines()]
    assert head == ["stage", "CPU", "s", "share", "ns/record", "MB/CPU", "s", "waited", "s"]
    assert [row[0] for row in rows] == [stage for stage in STAGES if stage in {row[0] for row in rows}] + ["all"]
    assert BUSY <= {row[0] for row in rows}
    shares = [float(row[2].rstrip("%")) for row in rows]
    assert shares[-1] == 100 and sum(shares[:-1]) == pytest.approx(100, abs=0.05 * len(rows))
    seconds = [float(row[1]) for row in rows]
    assert sum(seconds[:-1]) == pytest.approx(seconds[-1], abs=0.0005 * len(rows))
    records = int(re.search(r"records +([\d,]+) read", out)[1].replace(",", ""))
    assert int(rows[-1][3].replace(",", "")) == pytest.approx(seconds[-1] * 1e9 / records, rel=0.02)


def test_a_unit_alone(sample, tmp_path):
    where = ["--source", sample, "--table", tmp_path / "t", "--json"]
    plan = gristmill("plan", MAIN_JOB, *where).json["plan"]
    report = gristmill("work", MAIN_JOB, *where, "--plan", plan, "--unit", 0, "--profile").json
    assert stages_of(report)["shred"]["cpu_seconds"] > 0


def test_a_run_with_nothing_to_do(sample_table, sample, tmp_path):
    """No records: there is nothing to divide by."""
    (tmp_path / "empty").mkdir()
    report = harness.run(MAIN_JOB, tmp_path / "empty", tmp_path / "t", "--profile").json
    assert {stage["ns_per_record"] for stage in report["profile"]["stages"]} == {None}
    assert sum(stage["share"] for stage in report["profile"]["stages"]) == pytest.approx(1)


def test_talking_to_s3_is_a_stage(s3, sample):
    for path in sorted(p for p in sample.rglob("*") if p.is_file()):
        s3.put(f"in/{path.relative_to(sample)}", path.read_bytes())
    result = gristmill("run", MAIN_JOB, "--source", s3.url("in/"), "--table", s3.url("lake/"), "--profile", "--json", env=s3.environment())
    stages = stages_of(result.json)
    assert stages["transfer"]["cpu_seconds"] > 0
    assert stages["rest"]["share"] < 0.1
    assert stages["read"]["bytes"] == result.json["bytes_in"]
