"""Every allocation failed once, every call on files failed, lost, shortened, or killed at: whatever happens, nobody sees a key
twice, and the next run makes the table that a clean run makes.

The faults come from the libraries for LD_PRELOAD in tests/fault, which `make` builds. Two scenes: a table that does not exist
yet, and one with a past of which everything is to be done at once. An even sample of the calls is tried, all of them with
GRISTMILL_FAULT_STEP=1 (scripts/soak); GRISTMILL_SEED moves the sample."""
import os
import random
import shutil
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import harness
import judge
import scene as scenes

IO = scenes.IO
ALLOC = IO.with_name("failalloc.so")
STEP = int(os.environ.get("GRISTMILL_FAULT_STEP", "0"))
SEED = os.environ.get("GRISTMILL_SEED", "")
pytestmark = pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers replace the same functions")

# Two partitions, a key, a filter, one expression of each kind.
JOB = scenes.JOB.replace("columns:", 'where: "id <> 5"\ncolumns:') + """\
  - {name: low, type: string, expr: "lower(s)", comment: native}
  - {name: kind, type: string, expr: "case when s like 'a%' then 'a' else regexp_extract(s, '[b-z]+') end", comment: by SQLite}
"""


class Scene(scenes.Scene):
    """With faults."""

    def __init__(self, folder):
        super().__init__(folder, {"tiny": JOB, "edited": scenes.edited(JOB), "other": scenes.other(JOB)})
        self.calls = {}

    def put(self, name, ids, s, job="tiny", bad=0):
        super().put(name, ids, s, job, bad, filtered=[5])

    def faulty(self, table, library, **settings):
        """One run with faults; any exit status but that of a crash."""
        result = self.run(table, status=None, LD_PRELOAD=library, **settings)
        assert result.status in (0, 1, 2, -9), f"{settings}: {result}"
        harness.counted("faults" if result.status >= 0 else "kills")
        return result

    def check(self, table, result, what):
        """What a faulty run left: all rows after success; after failure a message; and no key twice."""
        assert result.status in (0, -9) or result.err.strip(), f"{what}: status {result.status} without a word"
        if result.status == 0:
            assert {(i, day): s for i, day, s in judge.delta_rows(table, "id, day, s")} == self.expected, f"{what}: success"
        elif table.exists():
            judge.assert_once(table, what)
        self.completed(table, what)
        shutil.rmtree(table, ignore_errors=True)

    def total(self, library, **settings):
        """How many calls a run without faults makes."""
        kind = "ALLOC" if library == ALLOC else "IO"
        key = (kind, tuple(settings.items()))
        if key not in self.calls:
            report = self.folder / "report"
            report.unlink(missing_ok=True)
            table = self.copy(self.folder / "counting")
            assert self.faulty(table, library, **{f"FAULT_{kind}_REPORT": report}, **settings).status == 0
            self.check(table, self.run(table), "counting")
            self.calls[key] = int(report.read_text().split()[0])
            assert self.calls[key] > 20
        return self.calls[key]


def fresh(scene):
    """There is no table."""
    scene.put("a.gz", [*range(8), 3], "a", bad=1)
    scene.put("b.gz", range(20, 24), "Ä", bad=0)


def busy(scene):
    """A table of many runs: its bookmark and the log's checkpoint are due; a run has died before it could tidy up, another
    version's plan is dead and not swept, another job's run is half published, somebody put a file into a folder, and the new
    objects repeat keys of all of them."""
    for run in range(8):
        scene.put(f"old{run}.gz", range(run * 10, run * 10 + 12), f"old{run}")
        scene.run(scene.table)
    scene.put("theirs0.gz", range(200, 204), "other", job="other")
    scene.run(scene.table, "other")
    scene.put("edited.gz", range(100, 110), "edited")
    scene.die("/tiny/work/", "edited", 2)
    scene.die("/_delta_log/")
    scene.put("theirs1.gz", range(204, 210), "other", job="other")
    scene.die("/day=", "other")
    foreign = [i for i in range(300, 310, 2)]
    path = scene.table / f"day={scenes.DAYS[0]}" / "part-0001.parquet"
    pq.write_table(pa.table({"id": pa.array(foreign, pa.int64()), "s": ["foreign"] * len(foreign)}), path)
    scene.expected.update({(i, scenes.DAYS[0]): "foreign" for i in foreign})
    scene.put("new0.gz", [*range(75, 105), *range(198, 212), 300, 302, 303], "new0", bad=2)
    scene.put("new1.gz", [*range(95, 120), *range(300, 306)], "new1")
    state = scene.table / "_gristmill"
    assert list((state / "tiny/work").glob("*/*.staged")), "nothing is left to tidy up"
    assert len(list((state / "tiny/plans").glob("*.json"))) == 10 and not list((state / "tiny/plans").glob("*.closed"))
    assert not (state / "tiny/bookmark").exists() and not list((scene.table / "_delta_log").glob("*.parquet"))


SCENES = {"fresh": fresh, "busy": busy}


@pytest.fixture(scope="module", params=SCENES)
def scene(request, quick_base):
    folder = quick_base / f"scene-{request.param}"
    folder.mkdir()
    made = Scene(folder)
    SCENES[request.param](made)
    made.name = request.param
    return made


def points(scene, total, most, what):
    """The numbers of the calls to fail: in a soak all, else an even sample of at most `most` that begins somewhere."""
    step = STEP or max(1, -(-total // most))
    return range(1 + zlib.crc32(f"{scene.name} {what} {SEED}".encode()) % step, total + 1, step)


def test_the_busy_scene_does_everything(scene, quick):
    """What the faults are to meet is met: else they would test nothing."""
    if scene.name != "busy":
        return
    table, log = scene.copy(quick / "table"), quick / "log"
    result = scene.run(table, LD_PRELOAD=IO, FAULT_IO_LOG=log)
    calls = log.read_text()
    for path in ("/_delta_log/00000000000000000010.json", ".checkpoint.parquet", "/_delta_log/_last_checkpoint", "/tiny/bookmark/000",
                 ".closed", "/claims/", "/other/runs/", "/tiny/runs/", "/tiny/quarantine/", "/tiny/duplicates/", "/tiny/work/"):
        assert path in calls, f"{path} is not written: {result}"
    assert "part-0001.parquet" in result.err and "job other" in result.err and "swept" in result.err, result
    assert result.json["duplicates"] > 30


def test_every_allocation_fails_once(scene, quick):
    total = scene.total(ALLOC)
    for n in points(scene, total, 80, "allocation"):
        table = scene.copy(quick / "table")
        scene.check(table, scene.faulty(table, ALLOC, FAULT_ALLOC_AT=n), f"allocation {n} of {total}")


def test_memory_is_gone_for_good(scene, quick):
    """From the Nth allocation on all fail: the way out needs none."""
    total = scene.total(ALLOC)
    for n in points(scene, total, 30, "memory"):
        table = scene.copy(quick / "table")
        scene.check(table, scene.faulty(table, ALLOC, FAULT_ALLOC_FROM=n), f"no memory from allocation {n} on")


ACTIONS = {
    "error": {"FAULT_IO_ACTION": "fail", "FAULT_IO_ERRNO": "EIO"},
    "no-space": {"FAULT_IO_ACTION": "fail", "FAULT_IO_ERRNO": "ENOSPC"},
    "denied": {"FAULT_IO_ACTION": "fail", "FAULT_IO_ERRNO": "EACCES"},
    "answer-lost": {"FAULT_IO_ACTION": "lose", "FAULT_IO_ERRNO": "EIO"},
    "kill": {"FAULT_IO_ACTION": "kill"},
    "kill-after": {"FAULT_IO_ACTION": "kill-after"},
}


@pytest.mark.parametrize("action", ACTIONS)
def test_every_call_on_files(action, scene, quick):
    total = scene.total(IO)
    for n in points(scene, total, 20, action):
        table = scene.copy(quick / "table")
        scene.check(table, scene.faulty(table, IO, FAULT_IO_AT=n, **ACTIONS[action]), f"{action} at call {n} of {total}")


def test_interrupted_calls_are_repeated(scene, quick):
    calls = "read,write,sync,open"
    total = scene.total(IO, FAULT_IO_CALLS=calls)
    for n in points(scene, total, 15, "interrupted"):
        table = scene.copy(quick / "table")
        result = scene.faulty(table, IO, FAULT_IO_AT=n, FAULT_IO_CALLS=calls, FAULT_IO_ERRNO="EINTR")
        assert result.status == 0, f"call {n}: {result}"
        scene.check(table, result, f"interrupted at call {n}")


def test_short_reads_and_writes(scene, quick):
    """Each moves one byte only, all of them: the result is the same."""
    clean, table = scene.copy(quick / "clean"), scene.copy(quick / "table")
    scene.run(clean)
    result = scene.faulty(table, IO, FAULT_IO_FROM=1, FAULT_IO_CALLS="read,write", FAULT_IO_ACTION="short")
    assert result.status == 0, result
    assert harness.fingerprint(table) == harness.fingerprint(clean)
    scene.check(table, result, "short reads and writes")


def test_disk_stays_full(scene, quick):
    total = scene.total(IO)
    for n in points(scene, total, 25, "full"):
        table = scene.copy(quick / "table")
        result = scene.faulty(table, IO, FAULT_IO_FROM=n, FAULT_IO_ERRNO="ENOSPC", FAULT_IO_CALLS="write,open,link,mkdir,sync")
        assert result.status == 0 or "No space left" in result.err, result
        scene.check(table, result, f"no space from call {n} on")


@pytest.mark.parametrize("seed", range(10))
def test_killed_again_and_again(seed, scene, quick):
    """Several runs in a row die at random calls; recovery from recovery."""
    chance = random.Random(f"{seed}{SEED}")
    table = scene.copy(quick / "table")
    total = scene.total(IO)
    moments = [chance.randrange(1, total + 1) for _ in range(chance.randrange(2, 6))]
    for n in moments:
        scene.faulty(table, IO, FAULT_IO_AT=n, FAULT_IO_ACTION=chance.choice(["kill", "kill-after"]))
        if table.exists():
            judge.assert_once(table, f"kills at calls {moments}")
    scene.completed(table, f"kills at calls {moments}")
