"""status: the table, the job's commits, the bookmark, what waits, and each plan that is not settled. It writes nothing."""
import json
import os
import pathlib
import shutil

import pytest

import harness
from harness import gristmill

JOB = harness.TINY_JOB.replace("  partition_by:", "  unique_by: [id]\n  file_size: 4KiB\n  partition_by:")
SHIM = harness.BINARY.resolve().parent.parent.parent / "tests" / "fault" / "failio.so"
FORMATS = pathlib.Path(__file__).parent / "formats"
BASE = 1_700_000_000  # 2023-11-14T22:13:20Z


class Place:
    def __init__(self, folder, job=JOB):
        self.folder, self.source, self.table = folder, folder / "source", folder / "table"
        self.source.mkdir()
        self.job = harness.write(folder / "job.yaml", job.encode())

    def put(self, number, records=10):
        path = harness.write(self.source / f"o{number:02}.json", harness.lines([harness.tiny(number * 2000 + i) for i in range(records)]))
        os.utime(path, (BASE + number, BASE + number))
        return path

    def run(self, *flags, **options):
        return harness.run(self.job, self.source, self.table, *flags, **options)

    def call(self, command, *flags, job=None, **options):
        return gristmill(command, job or self.job, "--source", self.source, "--table", self.table, *flags, **options)

    def status(self, *flags, **options):
        """As JSON, and as text that says as much; the table must be as before."""
        before = snapshot(self.table)
        told = self.call("status", "--json", *flags, **options).json
        self.text = self.call("status", *flags, **options).out
        assert snapshot(self.table) == before
        return told

    def pending(self, **options):
        plans = self.status(**options)["pending"]
        assert len(plans) == 1, plans
        assert f"run {plans[0]['plan']} of job {plans[0]['job']}" in self.text and plans[0]["state"] in self.text and plans[0]["advice"] in self.text
        return plans[0]

    def killed(self, below="", **settings):
        """A run that is killed at a call on files."""
        environment = {"LD_PRELOAD": str(SHIM), "FAULT_IO_ACTION": "kill",
                       **({"FAULT_IO_BELOW": str(self.table.resolve() / below)} if below else {}),
                       **{f"FAULT_IO_{name}": str(value) for name, value in settings.items()}}
        self.run("--threads", "1", status=-9, env=environment)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def snapshot(folder):
    return sorted((str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in pathlib.Path(folder).rglob("*"))


# --- Table, bookmark, source --------------------------------------------------------------------------------------------


def test_before_the_first_run(place):
    place.put(0)
    status = place.status()
    assert (status["table"], status["version"], status["last_run"], status["runs"], status["pending"]) == (False, None, None, [], [])
    assert status["source"] == {"new": 1, "bytes": (place.source / "o00.json").stat().st_size, "oldest": "2023-11-14T22:13:20Z",
                                "changed": 0, "listed_since": None, "error": None}
    assert "does not exist yet" in place.text and not place.table.exists()


def test_what_is_processed_and_what_waits(place):
    for number in range(3):
        place.put(number)
    place.run()
    status = place.status()
    assert (status["version"], status["last_run"]) == (0, 1)
    assert status["bookmark"] == {"objects": 3, "newest": "2023-11-14T22:13:22Z", "changes": 3, "run": None, "bytes": 0}
    assert status["source"]["new"] == 0 and "nothing new" in place.text
    waiting = [place.put(7), place.put(5)]
    (place.source / "o09.json.tmp").write_bytes(b"{}")  # not an object: no run would take it
    status = place.status()["source"]
    assert (status["new"], status["oldest"]) == (2, "2023-11-14T22:13:25Z")
    assert status["bytes"] == sum(path.stat().st_size for path in waiting)
    assert "2 new objects" in place.text
    assert place.call("plan", "--json").json["objects"] == 2


def test_commits_are_told_newest_first(place):
    place.put(0)
    os.utime(harness.write(place.source / "bad.json", b'{"id":1}\n'), (BASE, BASE))
    place.run()
    place.put(1, records=25)
    place.run()
    place.call("bookmark", "rewind", "--to", "2023-11-14T22:13:20", "--reason", "a fix")
    place.run()
    runs = place.status()["runs"]
    assert [(r["run"], r["version"], r["what"]) for r in runs] == [(4, 3, "run"), (3, 2, "rewind"), (2, 1, "run"), (1, 0, "run")]
    assert [(r["objects"], r["records_read"], r["rows_written"], r["duplicates"], r["quarantined"]) for r in runs] == [
        (1, 25, 0, 25, 0), (0, 0, 0, 0, 0), (1, 25, 25, 0, 0), (2, 11, 10, 0, 1)]
    assert (runs[1]["detail"], runs[1]["reason"]) == ("to 2023-11-14T22:13:20.000000Z", "a fix") and "@" in runs[1]["who"]
    assert runs[0]["who"] is None and runs[0]["detail"] is None
    for version, run in zip((3, 2, 1, 0), runs):
        entry = (place.table / f"_delta_log/{version:020}.json").read_text().splitlines()
        stamp = next(json.loads(line)["commitInfo"]["timestamp"] for line in entry if "commitInfo" in line)
        assert harness.iso(stamp).replace(".000000", "") == run["time"]
    assert "a fix, by " in place.text
    assert [r["run"] for r in place.status("--runs", "2")["runs"]] == [4, 3]


def test_many_runs_and_entries_that_were_cleaned_away(place):
    """The last runs are found at the end of a long log of another job, too; what the log forgot is in plans and books."""
    other = harness.write(place.folder / "other.yaml", JOB.replace("job: tiny", "job: other").encode())
    place.put(0)
    place.run()
    for number in range(1, 13):
        place.put(number)
        harness.run(other, place.source, place.table, "--new")
    place.put(20)
    place.run()
    status = place.status()
    assert [(r["run"], r["version"]) for r in status["runs"]] == [(2, 13), (1, 0)] and status["bookmark"]["objects"] == 14
    assert [r["run"] for r in place.status("--runs", "3", job=other)["runs"]] == [12, 11, 10]
    bookmark = place.status(job=other)["bookmark"]
    assert bookmark["run"] >= 10 and bookmark["bytes"] > 0 and "written down as of run" in place.text
    assert list((place.table / "_delta_log").glob("*10.checkpoint.parquet"))
    for version in range(10):
        (place.table / f"_delta_log/{version:020}.json").unlink()
    runs = place.status()["runs"]
    assert [(r["run"], r["version"], r["records_read"], r["rows_written"], r["files"]) for r in runs] == [(2, 13, 130, 10, 1), (1, None, 10, 10, 1)]


def test_a_source_that_cannot_be_listed(place):
    place.put(0)
    place.run()
    place.source.rename(place.folder / "away")
    status = place.status()
    assert status["source"]["new"] is None and status["source"]["error"]["code"] == "NOT_FOUND"
    assert status["bookmark"]["objects"] == 1 and "cannot be listed" in place.text


def test_objects_that_changed(place):
    place.put(0)
    place.put(1)
    place.run()
    place.put(1, records=11)
    status = place.status()
    assert status["source"]["changed"] == 1 and status["source"]["new"] == 0
    assert "on_change is fail" in status["blocked"]["why"] and "1 object overwritten" in place.text
    harness.write(place.job, JOB.replace("format: json", "format: json, on_change: reprocess").encode())
    status = place.status()
    assert (status["source"]["changed"], status["source"]["new"], status["blocked"]) == (1, 1, None)


def test_a_job_that_would_be_refused(place):
    place.put(0)
    place.run()
    harness.write(place.job, JOB.replace("job: tiny", "job: renamed").encode())
    blocked = place.status()["blocked"]
    assert "job tiny has processed objects of the same source" in blocked["why"] and "--adopt tiny" in blocked["advice"]
    place.run("--adopt", "tiny")
    status = place.status()
    assert status["blocked"] is None
    assert [(r["what"], r["detail"]) for r in status["runs"]] == [("adopt", "of job tiny, up to its run 1")]


def test_a_table_of_an_older_format(tmp_path):
    folder = next(path for path in sorted(FORMATS.iterdir()) if path.is_dir())
    work = tmp_path / "copy"
    shutil.copytree(folder, work)
    before = snapshot(work / "table")
    told = gristmill("status", work / "job.yaml", "--source", work / "input", "--table", work / "table", "--json").json
    assert "older format" in told["blocked"]["why"] and told["version"] is None
    assert snapshot(work / "table") == before
    for path in (work / "input").iterdir():
        os.utime(path, (1_710_115_200, 1_710_115_200))
    harness.run(work / "job.yaml", work / "input", work / "table")
    told = gristmill("status", work / "job.yaml", "--source", work / "input", "--table", work / "table", "--json").json
    assert told["blocked"] is None and told["runs"][0]["what"] == "upgrade" and told["runs"][0]["rows_written"] > 0
    assert all(run["version"] is None for run in told["runs"][1:]) and told["source"]["new"] == 0


# --- Plans that are not settled -----------------------------------------------------------------------------------------


@pytest.fixture
def planned(place):
    """A plan of several units, none of them worked."""
    place.put(0)
    place.run()
    for number in range(1, 6):
        place.put(number, records=1500)
    assert len(place.call("plan", "--json").json["units"]) >= 3
    return place


def work(place, unit):
    place.call("work", "--plan", "2", "--unit", unit, "--threads", "1")


def test_a_plan_that_is_not_finished(planned):
    pending = planned.pending()
    assert (pending["plan"], pending["job"], pending["claimed"], pending["ours"]) == (2, "tiny", False, True)
    assert (pending["objects"], pending["units_done"]) == (5, 0) and pending["engine"].startswith("gristmill ")
    assert pending["state"] == "it is not finished" and "run again" in pending["advice"] and "--abandon" in pending["advice"]
    work(planned, 0)
    assert planned.pending()["units_done"] == 1
    for unit in range(1, pending["units"]):
        work(planned, unit)
    assert planned.pending()["state"] == "all its units are worked; it is to be published"
    planned.run()
    assert planned.status()["pending"] == []


def test_a_plan_whose_staged_file_is_gone(planned):
    work(planned, 0)
    next((planned.table / "_gristmill/tiny/work/00000002").glob("*.staged")).unlink()
    pending = planned.pending()
    assert "a staged file is gone: " in pending["state"] and "plans its objects anew" in pending["advice"]
    result = planned.run()
    assert result.json["committed"] and len(harness.read_table(planned.table)) == 10 + 5 * 1500
    assert planned.status()["pending"] == []


def test_a_plan_of_another_version_of_the_job(planned):
    harness.write(planned.job, JOB.replace("4KiB", "8KiB").encode())
    pending = planned.pending()
    assert not pending["ours"] and "another version of the job file" in pending["state"] and pending["advice"].startswith("nothing: ")
    planned.call("plan")
    plans = planned.status()["pending"]
    assert [(p["plan"], p["ours"]) for p in plans] == [(2, False), (3, True)]
    planned.run()
    assert planned.status()["pending"] == []


def test_a_plan_of_another_engine(planned):
    path = planned.table / "_gristmill/tiny/plans/00000002.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "engine": "gristmill 99.0.0"}))
    pending = planned.pending()
    assert pending["engine"] == "gristmill 99.0.0" and not pending["ours"] and "another version of gristmill" in pending["state"]


@pytest.mark.parametrize("content, state, advice", [
    (b'{"format":99}', "format 99", "version that made it"),
    (b'{"format":2, "pl', "plans/00000002.json", "plans its objects anew"),
    (b"", "plans/00000002.json", "plans its objects anew"),
])
def test_a_plan_that_cannot_be_read(content, state, advice, planned):
    (planned.table / "_gristmill/tiny/plans/00000002.json").write_bytes(content)
    pending = planned.pending()
    assert pending["state"].startswith("it cannot be looked at: ") and state in pending["state"] and advice in pending["advice"]
    assert (pending["engine"], pending["units"]) == (None, 0)
    assert planned.run().json["rows_written"] == 5 * 1500
    assert [p["plan"] for p in planned.status()["pending"]] == ([2] if b"99" in content else [])


def test_a_manifest_that_cannot_be_read(planned):
    work(planned, 0)
    (planned.table / "_gristmill/tiny/work/00000002/00000.json").write_bytes(b"{")
    pending = planned.pending()
    assert "work/00000002/00000.json" in pending["state"] and "plans its objects anew" in pending["advice"]
    assert planned.run().json["rows_written"] == 5 * 1500 and planned.status()["pending"] == []


def test_what_a_rewind_overtook_is_not_pending(planned):
    planned.call("bookmark", "rewind", "--to", "2023-01-01", "--reason", "x")
    assert planned.status()["pending"] == []


# A run between publish and commit: its claim stands, the log knows nothing of it.


@pytest.fixture
def claimed(place):
    if harness.SANITIZED:
        pytest.skip("needs LD_PRELOAD")
    place.put(0)
    place.run()
    for number in range(1, 4):
        place.put(number, records=1500)
    place.killed(below="_delta_log", AT=1, CALLS="link")
    return place


def test_a_run_that_was_being_published(claimed):
    pending = claimed.pending()
    assert (pending["plan"], pending["claimed"], pending["units_done"]) == (2, True, pending["units"])
    assert "being published" in pending["state"] and "any job finishes it" in pending["advice"]
    other = harness.write(claimed.folder / "other.yaml", JOB.replace("job: tiny", "job: other").encode())
    theirs = claimed.pending(job=other)
    assert (theirs["job"], theirs["plan"], theirs["claimed"]) == ("tiny", 2, True)
    harness.run(other, claimed.source, claimed.table, "--new")
    assert claimed.status()["pending"] == [] and claimed.status()["last_run"] == 2
    assert len(harness.read_table(claimed.table)) == 10 + 3 * 1500


def test_a_claimed_run_whose_manifest_is_gone(claimed):
    """Its files are visible, and nothing says which they are."""
    (claimed.table / "_gristmill/tiny/work/00000002/00000.json").unlink()
    pending = claimed.pending()
    assert "it was being published; " in pending["state"] and "work/00000002/00000.json" in pending["state"]
    assert "--abandon" in pending["advice"] and "-00000002-00000-" in pending["advice"]
    assert claimed.run(status=1).err
    for path in harness.data_files(claimed.table):
        if "-00000002-00000-" in path.name:
            path.unlink()
    assert "the manifest is gone of unit 0" in claimed.pending()["state"]
    assert claimed.run("--abandon").json["abandoned"] == 2
    assert claimed.status()["pending"] == []


def test_a_claimed_run_whose_plan_is_gone(claimed):
    (claimed.table / "_gristmill/tiny/plans/00000002.json").unlink()
    pending = claimed.pending()
    assert pending["claimed"] and pending["state"].startswith("it cannot be looked at: ") and "from a copy" in pending["advice"]


def test_a_claimed_run_whose_staged_files_are_gone(place):
    if harness.SANITIZED:
        pytest.skip("needs LD_PRELOAD")
    place.put(0)
    place.killed(below="day=2024-03-10", AT=1, CALLS="link")
    for path in place.table.glob("_gristmill/tiny/work/*/*.staged"):
        path.unlink()
    pending = place.pending()
    assert pending["claimed"] and "a staged file is gone: day=2024-03-10/" in pending["state"] and "plans its objects anew" in pending["advice"]
    assert place.run().json["rows_written"] == 10
    assert place.status()["pending"] == []


def test_a_log_that_was_put_back_under_another_job(place):
    """The claim of a run that was committed, and that the log has forgotten: no run waits for it for ever."""
    place.put(0)
    place.run()
    other = harness.write(place.folder / "other.yaml", JOB.replace("job: tiny", "job: other").encode())
    for number in (1, 2):
        place.put(number)
        harness.run(other, place.source, place.table, "--new")
    for version in (2, 1):
        (place.table / f"_delta_log/{version:020}.json").unlink()
    pending = place.pending()
    assert (pending["plan"], pending["job"], pending["claimed"]) == (2, "other", True)
    assert "the log does not know run 1 of job other" in pending["state"] and "put back to an older state" in pending["advice"]
    for flags in ([], ["--abandon"]):
        assert "the log does not know run 1 of job other" in place.run(*flags, status=1, timeout=20).err


def test_a_damaged_log_is_told_by_name(place):
    place.put(0)
    place.run()
    (place.table / "_delta_log/00000000000000000000.json").write_bytes(b"garbage\n")
    result = place.call("status", "--json", status=1)
    assert "00000000000000000000.json" in result.err and result.json["error"]["code"] == "CORRUPT"
