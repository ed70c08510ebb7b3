"""plan, work and commit as commands of their own: whatever the order, however many processes, whoever dies, the table is the
one that a plain run makes, byte for byte."""
import os
import pathlib
import random
import shutil

import pytest

import harness
from harness import Process, gristmill

JOB = harness.TINY_JOB.replace("  partition_by:", "  unique_by: [id]\n  file_size: 4KiB\n  partition_by:")
SHIM = harness.BINARY.resolve().parent.parent.parent / "tests" / "fault" / "failio.so"
EXTRA = {"_gristmill/tiny/duplicates", "_gristmill/tiny/conflicts", "_gristmill/tiny/quarantine", "_gristmill/tiny/runs"}


def documents(first, count, day=0):
    return [harness.tiny(i, s="é" * (i % 50), x=i / 7, t=harness.T0 + i + harness.DAY_MS * day) for i in range(first, first + count)]


class Place:
    """A job, its source, and a table that has had one run; what is new since has keys of that run, keys of its own twice
    over (also in other units), other content under an old key, and records that cannot be used."""

    def __init__(self, folder, job=JOB):
        self.folder, self.source, self.table = folder, folder / "source", folder / "table"
        self.job = harness.write(folder / "job.yaml", job.encode())
        self.objects(0, [documents(0, 900), documents(900, 300, day=1)])
        assert harness.run(self.job, self.source, self.table).json["committed"]
        batches = [documents(800 + i * 350, 700) for i in range(6)]
        batches[2] += [harness.tiny(10, s="another"), {"id": 1}]
        batches[4] += documents(1000, 50, day=1) + [{"id": 2, "t": "never"}]
        self.objects(1, batches)

    def objects(self, generation, batches):
        for number, batch in enumerate(batches):
            path = harness.write(self.source / f"{generation}-{number}.json", harness.lines(batch))
            os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))

    def copy(self, name):
        table = self.folder / name
        shutil.copytree(self.table, table, copy_function=shutil.copy2)
        return table

    def args(self, command, table, *flags):
        return [command, self.job, "--source", self.source, "--table", table, "--json", "--quiet", *flags]

    def plan(self, table, *flags, **options):
        return gristmill(*self.args("plan", table, *flags), **options).json

    def work(self, table, plan, unit, *flags, **options):
        return gristmill(*self.args("work", table, "--plan", plan, "--unit", unit, "--threads", "1", *flags), **options)

    def commit(self, table, plan, *flags, **options):
        return gristmill(*self.args("commit", table, "--plan", plan, *flags), **options)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("plumbing"))


@pytest.fixture(scope="module")
def plain(place):
    """What a plain run makes of the same."""
    table = place.copy("plain")
    result = harness.run(place.job, place.source, table).json
    assert result["duplicates"] > 1000 and result["conflicts"] > 0 and result["quarantined"] == 2
    return contents(table)


def contents(table):
    """Data files and everything that is kept beside them, by name and hash."""
    import hashlib

    table = pathlib.Path(table)
    files = dict(harness.fingerprint(table))
    for folder in EXTRA:
        for path in (table / folder).rglob("*"):
            if path.is_file():
                files[str(path.relative_to(table))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return files


def in_processes(place, table, calls):
    """Two at a time, in the order given."""
    waiting, running = list(calls), []
    while waiting or running:
        while waiting and len(running) < 2:
            running.append(Process(*place.args("work", table, "--threads", "1", *waiting.pop(0))))
        result = running.pop(0).wait()
        assert result.status == 0, result


@pytest.mark.parametrize("seed", range(3))
def test_keys_first_then_files_in_any_order(seed, place, plain):
    rng = random.Random(seed)
    table = place.copy(f"shuffled{seed}")
    plan = place.plan(table)
    units = list(range(len(plan["units"])))
    assert len(units) >= 4 and not plan["resumed"] and plan["parent"] == 1 and plan["version"] == 0
    for part in ("--keys", "--write"):
        order = units + rng.sample(units, 2)  # some of them twice
        rng.shuffle(order)
        in_processes(place, table, [["--plan", plan["plan"], "--unit", unit, part] for unit in order])
    result = place.commit(table, plan["plan"]).json
    assert (result["step"], result["committed"], result["run"], result["version"]) == ("done", True, 2, 1)
    harness.assert_balanced(result)
    assert contents(table) == plain
    assert [p for p in harness.leftovers(table) if p.suffix != ".json"] == []


def test_units_one_after_the_other(place, plain):
    table = place.copy("ordered")
    plan = place.plan(table)
    for unit in plan["units"]:
        result = place.work(table, plan["plan"], unit["unit"]).json
        assert result["step"] == "done"
        harness.assert_balanced(result)
    assert [unit["done"] for unit in place.plan(table)["units"]] == [True] * len(plan["units"])
    assert place.commit(table, plan["plan"]).json["step"] == "done"
    assert contents(table) == plain


def test_every_step_may_be_repeated(place, plain):
    table = place.copy("repeated")
    first, again = place.plan(table), place.plan(table)
    assert again == {**first, "resumed": True}
    number = first["plan"]
    assert place.work(table, number, 0, "--keys").json["step"] == "done"
    assert place.work(table, number, 0, "--keys").json["step"] == "before"
    assert place.plan(table)["units"][0]["keys"]
    done = place.work(table, number, 0).json
    before = place.work(table, number, 0).json
    assert before["step"] == "before" and before["files"] == done["files"] and before["rows_written"] == done["rows_written"] > 0
    for unit in range(1, len(first["units"])):
        place.work(table, number, unit)
    assert place.commit(table, number).json["step"] == "done"
    told = place.commit(table, number).json
    assert (told["step"], told["committed"], told["run"]) == ("committed", False, None)
    assert place.work(table, number, 1).json["step"] == "committed"
    assert place.plan(table)["plan"] is None
    assert contents(table) == plain


def test_a_run_takes_up_what_the_steps_left(place, plain):
    table = place.copy("taken")
    number = place.plan(table)["plan"]
    for unit in (0, 1):
        place.work(table, number, unit)
    place.work(table, number, 3, "--keys")
    result = harness.run(place.job, place.source, table)
    assert f"resuming run {number}" in result.err and result.json["run"] == number
    assert contents(table) == plain


def test_steps_take_up_what_a_run_left(place, plain):
    """The run is killed when its first manifest is there."""
    if harness.SANITIZED:
        pytest.skip("needs LD_PRELOAD")
    table = place.copy("left")
    environment = {"LD_PRELOAD": str(SHIM), "FAULT_IO_ACTION": "kill-after", "FAULT_IO_CALLS": "link", "FAULT_IO_AT": "3"}
    result = harness.run(place.job, place.source, table, "--threads", "1", status=None, env=environment)
    assert result.status == -9
    plan = place.plan(table)
    assert plan["resumed"] and [u["done"] for u in plan["units"]].count(True) == 1, plan
    for unit in plan["units"]:
        place.work(table, plan["plan"], unit["unit"])
    place.commit(table, plan["plan"])
    assert contents(table) == plain


# --- What is missing or wrong -------------------------------------------------------------------------------------------


def test_missing_pieces_are_named(place):
    table = place.copy("missing")
    number = place.plan(table)["plan"]
    place.work(table, number, 1, "--keys")
    result = place.work(table, number, 3, status=1)
    assert "needs the key lists of earlier units that have none: 0, 2" in result.err and "--keys" in result.err
    assert result.json["error"]["code"] == "NOT_FOUND" and result.json["step"] is None
    assert "unit 2 of plan 2 has no key list" in place.work(table, number, 2, "--write", status=1).err
    place.work(table, number, 0)
    assert "units that are not worked yet: 1, 2, 3" in place.commit(table, number, status=1).err
    assert f"job tiny has no plan {number + 1}" in place.work(table, number + 1, 0, status=1).err
    assert "numbered from 0: there is no unit 99" in place.work(table, number, 99, status=2).err
    assert harness.fingerprint(table) == harness.fingerprint(place.table)


@pytest.mark.parametrize("arguments, message", [
    (["work", "job.yaml", "--unit", "0"], "work: --plan is missing"),
    (["work", "job.yaml", "--plan", "1"], "work: --unit is missing"),
    (["work", "job.yaml", "--plan", "1", "--unit", "0", "--keys", "--write"], "--keys or --write, not both"),
    (["commit", "job.yaml"], "commit: --plan is missing"),
    (["commit", "job.yaml", "--plan", "0"], "at least 1, not '0'"),
])
def test_wrong_usage(arguments, message):
    result = gristmill(*arguments, status=2)
    assert message in result.err and result.out == ""


def test_work_and_commit_do_not_make_a_table(place, tmp_path):
    for command in (["work", "--unit", "0"], ["commit"]):
        result = gristmill(command[0], place.job, "--source", place.source, "--table", tmp_path / "none", "--plan", "1", *command[1:], status=1)
        assert "No such file or directory" in result.err and not (tmp_path / "none").exists()


def test_a_plan_of_another_job_version_is_left_alone_until_it_is_dead(place):
    table = place.copy("versions")
    number = place.plan(table)["plan"]
    place.work(table, number, 0)
    other = harness.write(place.folder / "other.yaml", JOB.replace("file_size: 4KiB", "file_size: 8KiB").encode())
    for command in (["work", "--unit", "1"], ["commit"]):
        result = gristmill(command[0], other, "--source", place.source, "--table", table, "--plan", number, *command[1:], status=1)
        assert "another version of the job file" in result.err, result
    assert harness.run(other, place.source, table).json["run"] == number + 1
    assert place.work(table, number, 1).json["step"] == "dead"
    assert place.commit(table, number).json["step"] == "dead"
    rows = [row["id"] for row in harness.read_table(table) if row["day"] == "2024-03-10"]
    assert len(rows) == len(set(rows))


def test_an_input_that_changed_ends_the_plan(tmp_path):
    place = Place(tmp_path)
    plan = place.plan(place.table)
    place.work(place.table, plan["plan"], 0)
    path = place.source / "1-5.json"
    path.write_bytes(path.read_bytes() + harness.lines([harness.tiny(77777)]))
    last = len(plan["units"]) - 1
    for unit in range(1, last):
        place.work(place.table, plan["plan"], unit)
    result = place.work(place.table, plan["plan"], last, status=1)
    assert "1-5.json" in result.err and "given up" in result.err
    assert place.commit(place.table, plan["plan"]).json["step"] == "dead"
    again = place.plan(place.table)
    assert again["plan"] == plan["plan"] + 2 and not again["resumed"] and again["objects"] == plan["objects"]
    for unit in range(last + 1):
        place.work(place.table, again["plan"], unit)
    assert place.commit(place.table, again["plan"]).json["committed"]
    assert 77777 in {row["id"] for row in harness.read_table(place.table)}


def test_the_quarantine_limit_holds(place):
    table = place.copy("rejected")
    plan = place.plan(table)
    for unit in plan["units"]:
        place.work(table, plan["plan"], unit["unit"])
    result = place.commit(table, plan["plan"], "--max-quarantine", "1", status=3)
    assert result.json["quarantined"] == 2 and result.json["error"]["code"] == "QUARANTINE"
    assert harness.fingerprint(table) == harness.fingerprint(place.table)
    assert place.plan(table)["plan"] != plan["plan"]


def test_without_a_unique_key_units_need_no_lists(tmp_path):
    place = Place(tmp_path, JOB.replace("  unique_by: [id]\n", ""))
    copy = place.copy("copy")
    plan = place.plan(place.table)
    assert place.work(place.table, plan["plan"], 0, "--keys").json["step"] == "before"
    for unit in reversed(plan["units"]):
        assert place.work(place.table, plan["plan"], unit["unit"], "--write").json["step"] == "done"
    assert place.commit(place.table, plan["plan"]).json["duplicates"] == 0
    harness.run(place.job, place.source, copy)
    assert contents(place.table) == contents(copy)


# --- Others at the same time, and deaths --------------------------------------------------------------------------------


def test_two_of_everything_at_once(place, plain):
    table = place.copy("twice")
    plans = [p.wait().json for p in [Process(*place.args("plan", table)) for _ in range(2)]]
    assert plans[0]["plan"] == plans[1]["plan"] == 2
    for unit in plans[0]["units"]:
        flags = ["--plan", 2, "--unit", unit["unit"], "--threads", "1"]
        steps = [p.wait().json["step"] for p in [Process(*place.args("work", table, *flags)) for _ in range(2)]]
        assert set(steps) <= {"done", "before"} and "done" in steps
    results = [p.wait() for p in [Process(*place.args("commit", table, "--plan", 2)) for _ in range(3)]]
    assert [r.status for r in results] == [0, 0, 0], results
    steps = sorted(r.json["step"] for r in results)
    assert steps.count("done") == 1 and set(steps) <= {"done", "committed"}, steps
    assert contents(table) == plain


def killed(place, table, command, *flags, at):
    """One step, killed at a call on files; False if it ended before."""
    environment = {"LD_PRELOAD": str(SHIM), "FAULT_IO_ACTION": at[0], "FAULT_IO_AT": str(at[1])}
    result = gristmill(*place.args(command, table, *flags), status=None, env=environment)
    assert result.status in (0, -9), result
    return result.status == -9


@pytest.mark.skipif(harness.SANITIZED, reason="needs LD_PRELOAD")
@pytest.mark.parametrize("seed", range(4))
def test_steps_die_and_are_repeated(seed, place, plain):
    """Each step is killed again and again, later each time, until it comes to its end."""
    rng = random.Random(seed)
    table = place.copy(f"dying{seed}")
    deaths = 0

    def until_done(command, *flags):
        nonlocal deaths
        at = rng.randrange(1, 4)
        while killed(place, table, command, *flags, at=(rng.choice(["kill", "kill-after"]), at)):
            deaths += 1
            at = at * 2 + rng.randrange(3)

    until_done("plan")
    plan = place.plan(table)
    units = [unit["unit"] for unit in plan["units"]]
    for part in (["--keys"], ["--write"]) if seed % 2 else ([],):
        if part:
            rng.shuffle(units)
        for unit in units:
            until_done("work", "--plan", plan["plan"], "--unit", unit, "--threads", "1", *part)
    until_done("commit", "--plan", plan["plan"])
    result = place.commit(table, plan["plan"]).json
    assert result["step"] == "committed" and deaths > 10
    assert contents(table) == plain
    harness.run(place.job, place.source, table)
    assert [p for p in harness.leftovers(table) if p.suffix != ".json"] == []
