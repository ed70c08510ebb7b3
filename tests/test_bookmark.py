"""The bookmark by command: shown, rewound, made to forget, adopted by another job. Each change is a commit with who and why;
what is processed again does not double a row."""
import json
import os
import pathlib
import random
import re
import shutil

import pytest

import harness
from harness import Process, gristmill

JOB = harness.TINY_JOB.replace("  partition_by:", "  unique_by: [id]\n  partition_by:")
SHIM = harness.BINARY.resolve().parent.parent.parent / "tests" / "fault" / "failio.so"
HOUR = 3600
BASE = 1_700_000_000  # 2023-11-14T22:13:20Z


@pytest.fixture
def job(tmp_path):
    return harness.write(tmp_path / "job.yaml", JOB.encode())


@pytest.fixture
def processed(job, source, table):
    """Four objects, an hour apart, of ten records each, all processed."""
    for number in range(4):
        put(source, number)
    assert harness.run(job, source, table).json["rows_written"] == 40
    return job, source, table


def put(source, number):
    path = harness.write(source / f"h{number}/o{number}.json", harness.lines([harness.tiny(number * 10 + i) for i in range(10)]))
    os.utime(path, (BASE + number * HOUR, BASE + number * HOUR))


def bookmark(place, word, *arguments, **options):
    job, source, table = place
    return gristmill("bookmark", job, word, "--source", source, "--table", table, *arguments, **options)


def shown(place, *flags):
    return [json.loads(line) for line in bookmark(place, "show", "--json", *flags).out.splitlines()]


def keys(place):
    return [entry["key"] for entry in shown(place)]


def commits(table):
    """commitInfo of every version, by reading the log's text."""
    found = []
    for path in sorted((pathlib.Path(table) / "_delta_log").glob("*.json")):
        found += [json.loads(line)["commitInfo"] for line in path.read_text().splitlines() if "commitInfo" in json.loads(line)]
    return found


def ids(table):
    return sorted(row["id"] for row in harness.read_table(table))


# --- show ---------------------------------------------------------------------------------------------------------------


def test_show_lists_what_is_processed_in_order(processed):
    _, source, _ = processed
    entries = shown(processed)
    assert [e["key"] for e in entries] == [f"h{n}/o{n}.json" for n in range(4)]
    for number, entry in enumerate(entries):
        assert entry["bytes"] == (source / entry["key"]).stat().st_size and entry["run"] == 1
        assert entry["modified"] == harness.iso((BASE + number * HOUR) * 1000).replace(".000000", "")
    text = bookmark(processed, "show").out
    assert len(text.splitlines()) == 5 and "h2/o2.json" in text and "2023-11-15T00:13:20Z" in text


def test_show_by_prefix(processed):
    assert [e["key"] for e in shown(processed, "--prefix", "h2")] == ["h2/o2.json"]
    assert shown(processed, "--prefix", "h9") == [] == shown(processed, "--prefix", "a")
    assert "begins so" in bookmark(processed, "show", "--prefix", "h9").out


def test_flags_may_stand_anywhere(processed):
    job, source, table = processed
    for flags in (["--table", table, job, "--json", "show", "--source", source], [job, f"--table={table}", "--prefix", "h", "--source", source, "show", "--json"]):
        assert len(gristmill("bookmark", *flags).out.splitlines()) == 4


def test_show_before_the_first_run(job, source, table):
    assert bookmark((job, source, table), "show", "--json").out == ""
    assert "nothing is processed yet" in bookmark((job, source, table), "show").out
    assert not table.exists()


def test_show_survives_many_runs_and_a_closed_pipe(processed):
    """Beyond the runs after which the bookmark is written down as a file of its own."""
    job, source, table = processed
    for number in range(4, 16):
        put(source, number)
        harness.run(job, source, table)
    assert list((table / "_gristmill/tiny/bookmark").iterdir())
    assert sorted(keys(processed)) == sorted(f"h{n}/o{n}.json" for n in range(16))
    assert {e["key"]: e["run"] for e in shown(processed)}["h7/o7.json"] == 5
    import subprocess

    command = f"{harness.BINARY} bookmark {job} show --source {source} --table {table} | head -2; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "0" and result.stderr == ""


# --- rewind and forget --------------------------------------------------------------------------------------------------


def test_rewind_processes_again_what_is_newer(processed):
    job, source, table = processed
    before = ids(table)
    result = bookmark(processed, "rewind", "--to", "2023-11-14T23:13:20", "--reason", "a late fix", "--json").json
    assert result == {"run": 2, "version": 1, "committed": True, "objects": 2, "dry_run": False}
    assert keys(processed) == ["h0/o0.json", "h1/o1.json"]  # the time itself is not later
    again = harness.run(job, source, table).json
    assert (again["inputs"], again["records_read"], again["duplicates"], again["rows_written"]) == (2, 20, 20, 0)
    assert ids(table) == before
    assert {e["key"]: e["run"] for e in shown(processed)} == {"h0/o0.json": 1, "h1/o1.json": 1, "h2/o2.json": 3, "h3/o3.json": 3}


def test_a_change_is_a_commit_with_who_and_why(processed):
    _, _, table = processed
    bookmark(processed, "rewind", "--to", "2023-11-15", "--reason", "wrong clock: é\n")
    bookmark(processed, "forget", "h0/o0.json", "--reason", "by hand")
    first, rewind, forget = commits(table)
    assert first["operation"] == "WRITE"
    assert rewind["operation"] == "gristmill rewind" and forget["operation"] == "gristmill forget"
    assert rewind["operationParameters"]["to"] == "2023-11-15T00:00:00.000000Z"
    assert rewind["operationParameters"]["reason"] == "wrong clock: é\n"
    for info in (rewind, forget):
        assert re.fullmatch(r".+@.+", info["operationParameters"]["who"])
    assert forget["operationParameters"]["keys"] == "1"


def test_rewind_to_where_nothing_is_newer_is_no_commit(processed):
    _, _, table = processed
    result = bookmark(processed, "rewind", "--to", "2024-01-01", "--reason", "x", "--json").json
    assert (result["run"], result["committed"], result["objects"]) == (None, False, 0)
    assert "nothing to forget" in bookmark(processed, "rewind", "--to", "2024-01-01", "--reason", "x").out
    assert len(commits(table)) == 1


def test_forget_names_objects(processed):
    job, source, table = processed
    result = bookmark(processed, "forget", "h3/o3.json", "h1/o1.json", "h3/o3.json", "--reason", "x", "--json").json
    assert result["objects"] == 2 and result["committed"]
    assert keys(processed) == ["h0/o0.json", "h2/o2.json"]
    again = harness.run(job, source, table).json
    assert (again["inputs"], again["rows_written"]) == (2, 0) and len(ids(table)) == 40


def test_forgetting_what_is_not_known_forgets_nothing(processed):
    _, _, table = processed
    for wrong in ("h1/o2.json", "/h1/o1.json", "h1", "\udcff", "x" * 5000):
        result = bookmark(processed, "forget", "h0/o0.json", wrong, "--reason", "x", "--json", status=1)
        assert "not among those processed" in result.err and "relative to the source" in result.err
        assert result.json["error"]["code"] == "NOT_FOUND"
        assert result.json["objects"] == 0 and not result.json["committed"]
    assert len(keys(processed)) == 4 and len(commits(table)) == 1


@pytest.mark.parametrize("word, arguments, objects", [("rewind", ["--to", "2023-11-15"], 2), ("forget", ["h2/o2.json"], 1)])
def test_dry_run_tells_and_changes_nothing(word, arguments, objects, processed):
    _, _, table = processed
    result = bookmark(processed, word, *arguments, "--dry-run", "--json").json
    assert (result["objects"], result["committed"], result["run"], result["dry_run"]) == (objects, False, None, True)
    assert "would be forgotten" in bookmark(processed, word, *arguments, "--dry-run").out
    assert len(keys(processed)) == 4 and len(commits(table)) == 1


@pytest.mark.parametrize("word, arguments", [("rewind", ["--to", "2023-01-01"]), ("forget", ["h0/o0.json"])])
def test_refused_without_a_unique_key(word, arguments, source, table, tiny_job):
    harness.write(source / "h0/o0.json", harness.lines([harness.tiny(1)]))
    harness.run(tiny_job, source, table)
    for flags in (["--reason", "x"], ["--dry-run"]):
        result = bookmark((tiny_job, source, table), word, *arguments, *flags, status=2)
        assert "without table.unique_by" in result.err and "in the table twice" in result.err
    assert len(commits(table)) == 1


def test_changes_at_once_with_runs(processed):
    job, source, table = processed
    put(source, 4)
    where = ["--source", source, "--table", table, "--json"]
    processes = [
        Process("bookmark", job, "rewind", "--to", "2023-11-14T22:30:00", "--reason", "one", *where),
        Process("run", job, "--threads", "1", *where),
        Process("bookmark", job, "forget", "h0/o0.json", "--reason", "two", *where),
        Process("bookmark", job, "rewind", "--to", "2023-11-14T22:30:00", "--reason", "three", *where),
    ]
    results = [process.wait() for process in processes]
    assert [r.status for r in results] == [0] * 4, results
    harness.run(job, source, table)
    assert ids(table) == list(range(50)) and len(keys(processed)) == 5
    numbers = [int(c["operationParameters"]["run"]) for c in commits(table)]
    assert numbers == sorted(set(numbers)), "a run number was committed twice"


@pytest.mark.skipif(harness.SANITIZED, reason="needs LD_PRELOAD")
def test_what_is_being_published_is_finished_first(processed):
    job, source, table = processed
    put(source, 4)
    environment = {"LD_PRELOAD": str(SHIM), "FAULT_IO_ACTION": "kill", "FAULT_IO_AT": "1", "FAULT_IO_CALLS": "link",
                   "FAULT_IO_BELOW": str(table.resolve() / "_delta_log")}
    harness.run(job, source, table, status=-9, env=environment)
    assert len(commits(table)) == 1 and (table / "_gristmill/claims/00000002.json").exists()
    result = bookmark(processed, "rewind", "--to", "2023-11-15T01:30:00", "--reason", "x", "--json")
    assert "finishing run 2" in result.err and (result.json["objects"], result.json["run"]) == (1, 3), result
    assert keys(processed) == [f"h{n}/o{n}.json" for n in range(4)] and len(ids(table)) == 50


@pytest.mark.skipif(harness.SANITIZED, reason="needs LD_PRELOAD")
@pytest.mark.parametrize("action", ["kill", "kill-after", "lose", "fail"])
def test_a_change_that_dies_anywhere_can_be_repeated(action, processed, tmp_path):
    """Never half a change: what is newer is forgotten, or nothing is; and the same command again ends well."""
    job, source, table = processed
    rewind = ["rewind", "--to", "2023-11-14T23:00:00", "--reason", "x", "--json"]
    report = tmp_path / "report"

    def faulty(name, **settings):
        copy = shutil.copytree(table, tmp_path / name, copy_function=shutil.copy2)
        environment = {"LD_PRELOAD": str(SHIM), **{f"FAULT_IO_{key}": str(value) for key, value in settings.items()}}
        return (job, source, copy), bookmark((job, source, copy), *rewind, status=None, env=environment)

    faulty("count", REPORT=report)
    calls = int(report.read_text().split()[0])
    for at in random.Random(action).sample(range(1, calls + 1), min(calls, 8)):
        place, result = faulty(f"at{at}", ACTION=action, AT=at)
        assert result.status in (0, 1, -9), (at, result)
        known, changes = keys(place), len(commits(place[2])) - 1
        assert known == (["h0/o0.json"] if changes else [f"h{n}/o{n}.json" for n in range(4)]), (at, result)
        assert result.status != 0 or changes == 1, (at, result)
        bookmark(place, *rewind)
        assert keys(place) == ["h0/o0.json"] and len(commits(place[2])) == 2, at


# --- Usage --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, message, hint", [
    ([], "bookmark: JOB and then one of show, rewind or forget are missing", "gristmill bookmark JOB WORD"),
    (["--table", "show"], "are missing", ""),
    (["j"], "bookmark: one of show, rewind or forget must follow JOB", "gristmill bookmark JOB WORD"),
    (["show", "j"], "must follow JOB", "gristmill bookmark JOB show"),
    (["j", "showw"], "bookmark: 'showw' is not one of show, rewind or forget", "did you mean 'show'?"),
    (["j", "--table", "t", "--json"], "must follow JOB", ""),
    (["j", "--tabel", "show"], "bookmark show: unknown flag --tabel", "did you mean --table?"),
    (["j", "show", "x"], "bookmark show: unexpected argument 'x'", "gristmill help bookmark show"),
    (["j", "show", "--perfix", "x"], "bookmark show: unknown flag --perfix", "did you mean --prefix?"),
    (["j", "rewind", "--reason", "x"], "bookmark rewind: --to is missing", ""),
    (["j", "rewind", "--to", "2024-01-01"], "bookmark rewind: --reason is missing", ""),
    (["j", "rewind", "--to", "yesterday", "--reason", "x"], "takes a time in UTC", ""),
    (["j", "forget", "--reason", "x"], "bookmark forget: KEY... is missing", "gristmill help bookmark forget"),
    (["j", "forget", "k"], "bookmark forget: --reason is missing", ""),
])
def test_wrong_usage(arguments, message, hint):
    result = gristmill("bookmark", *arguments, status=2)
    assert message in result.err and hint in result.err and result.out == ""


def test_help_of_words():
    text = gristmill("help", "bookmark").out
    assert text == gristmill("bookmark", "--help").out == gristmill("bookmark", "j", "--help").out
    for word in ("show", "rewind", "forget"):
        assert re.search(rf"(?m)^  {word} ", text)
        own = gristmill("help", "bookmark", word).out
        assert own.startswith(f"usage: gristmill bookmark JOB {word}") and "--source" in own
        assert own == gristmill("bookmark", "j", word, "--help").out
    assert "did you mean 'rewind'?" in gristmill("help", "bookmark", "rewnd", status=2).err
    assert "unexpected argument 'x'" in gristmill("help", "bookmark", "show", "x", status=2).err
    assert "unexpected argument 'x'" in gristmill("help", "run", "x", status=2).err


# --- A job without state ------------------------------------------------------------------------------------------------


@pytest.fixture
def renamed(processed):
    """The same job under another name, on the same source and table."""
    job, source, table = processed
    return harness.write(job.parent / "renamed.yaml", JOB.replace("job: tiny", "job: renamed").encode()), source, table


def run(place, *flags, **options):
    job, source, table = place
    return harness.run(job, source, table, *flags, **options)


def test_a_job_without_state_is_refused_beside_another(renamed):
    job, source, table = renamed
    for where in (source, f"{source}/", f"{source}/../input", f"file://{source}"):
        for flags in ([], ["--dry-run"]):
            result = run((job, where, table), *flags, status=2)
            assert "job tiny has processed objects of the same source, up to run 1" in result.err
            assert "--adopt tiny takes over" in result.err and "--new" in result.err
    result = gristmill("plan", job, "--source", source, "--table", table, status=2)
    assert "--adopt tiny" in result.err
    assert len(commits(table)) == 1 and not (table / "_gristmill/renamed").exists()


def test_another_source_is_no_reason_to_refuse(renamed, tmp_path):
    job, _, table = renamed
    other = tmp_path / "other"
    harness.write(other / "a.json", harness.lines([harness.tiny(500)]))
    assert run((job, other, table)).json["rows_written"] == 1


def test_adopting_takes_over_what_is_processed(renamed):
    job, source, table = renamed
    put(source, 4)
    result = run(renamed, "--adopt", "tiny", "--reason", "renamed")
    assert "adopted what job tiny has processed up to its run 1" in result.err
    assert (result.json["inputs"], result.json["rows_written"]) == (1, 10)
    adopted = commits(table)[1]
    assert adopted["operation"] == "gristmill adopt" and adopted["operationParameters"]["adopts"] == "tiny"
    assert adopted["operationParameters"]["reason"] == "renamed" and adopted["operationParameters"]["job"] == "renamed"
    assert len(keys(renamed)) == 5
    # The same command again, as a script would give it; and without the flag, from now on.
    for flags in (["--adopt", "tiny"], []):
        assert run(renamed, *flags).json["inputs"] == 0
    assert len(commits(table)) == 3
    # It lasts: also where the bookmark is written down as a file.
    for number in range(5, 16):
        put(source, number)
        run(renamed)
    assert (table / "_gristmill/renamed/bookmark").is_dir() and len(keys(renamed)) == 16
    assert ids(table) == list(range(160))


def test_as_a_new_job_it_processes_everything(renamed):
    _, _, table = renamed
    assert run(renamed, "--new").json["duplicates"] == 40
    assert run(renamed).json["inputs"] == 0 and ids(table) == list(range(40))
    assert run(renamed, "--new").json["inputs"] == 0, "it may be given again"


def test_adopting_needs_a_job_and_no_state(renamed, processed):
    assert "no job nobody has committed anything" in run(renamed, "--adopt", "nobody", status=2).err
    assert "cannot adopt itself" in run(renamed, "--adopt", "renamed", status=2).err
    assert "not both" in run(renamed, "--adopt", "tiny", "--new", status=2).err
    assert "a dry run cannot do it" in run(renamed, "--adopt", "tiny", "--dry-run", status=2).err
    run(renamed, "--new")
    assert "job renamed has state on this table" in run(renamed, "--adopt", "tiny", status=2).err
    assert "job tiny has state on this table" in run(processed, "--adopt", "renamed", status=2).err


def test_adopting_a_job_that_adopted(renamed):
    _, source, table = renamed
    run(renamed, "--adopt", "tiny")
    third = harness.write(source.parent / "third.yaml", JOB.replace("job: tiny", "job: third").encode())
    assert run((third, source, table), "--adopt", "renamed").json["inputs"] == 0
    assert len(keys((third, source, table))) == 4


def test_plans_that_adopt_one_another_without_end_are_refused(renamed):
    _, _, table = renamed
    run(renamed, "--adopt", "tiny")
    path = table / "_gristmill/renamed/plans/00000001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "adopts": "renamed"}))
    result = run(renamed, status=1)
    assert "adopt one another without end" in result.err


def test_two_that_adopt_at_once(renamed):
    job, source, table = renamed
    put(source, 4)
    flags = ["run", job, "--source", source, "--table", table, "--json", "--threads", "1", "--adopt", "tiny"]
    results = [p.wait() for p in [Process(*flags) for _ in range(3)]]
    assert [r.status for r in results] == [0] * 3, results
    assert ids(table) == list(range(50))
    assert [c["operation"] for c in commits(table)].count("gristmill adopt") == 1
