"""State that is damaged while nobody runs: cut by a full disk, lost in a power cut, removed or put back by hand. The next run
makes the table all the same, or it stops, says what is wrong, where, and what to do, and changes nothing; never a wrong row."""
import os
import re
import shutil

import pytest

import harness
import judge
import scene as scenes

pytestmark = pytest.mark.skipif(harness.SANITIZED, reason="needs LD_PRELOAD")
JOB = scenes.JOB.replace("  unique_by:", "  file_size: 4KiB\n  unique_by:")  # units of 64 KiB of input

# Right after which link a run of two units died.
MOMENTS = {"planned": "plans/00000004.json", "half worked": "work/00000004/00000.json", "worked": "work/00000004/00001.json",
           "claimed": "claims/00000004.json", "half published": "/day=", "published": "runs/00000004.json.zst",
           "committed": "_delta_log/"}


def make(scene, moment):
    """Three committed runs of the job, and one of two units, of which some keys are in both, that died at the moment."""
    for run in range(3):
        scene.put(f"a{run}.json", range(run * 10, run * 10 + 12), f"a{run}")
        scene.run()
    scene.put("b0.json", range(100, 800), "b0" * 30)
    scene.put("b1.json", range(700, 1400), "b1" * 30)
    if moment in MOMENTS:
        scene.die(MOMENTS[moment])


def make_long(scene, _):
    """Thirteen runs: the log has a checkpoint at version 10, the bookmark is of run 10; one more object waits."""
    for run in range(13):
        scene.put(f"a{run:02}.json", range(run * 10, run * 10 + 12), f"a{run}")
        scene.run()
    scene.put("b.json", range(110, 150), "b")


def make_other(scene, _):
    """Another job's run died while it was published."""
    make(scene, "")
    scene.put("o.json", range(2000, 2800), "o" * 60, job="other")
    scene.die("/day=", "other")


MAKERS = {**dict.fromkeys(MOMENTS, make), "long": make_long, "other's": make_other, "at rest": make}
made = {}


@pytest.fixture
def scene_of(quick_base):
    """Scenes by name, made once: their tables are copied before they are damaged."""

    def get(name):
        if name not in made:
            folder = quick_base / f"damage-{name.replace(' ', '-')}"
            made[name] = scenes.Scene(folder, {"tiny": JOB, "edited": scenes.edited(JOB), "other": scenes.other(JOB)})
            MAKERS[name](made[name], name)
        return made[name]

    return get


def damage(path, how):
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "zeros": bytes(len(data)),
                          "garbage": bytes(i * 37 % 251 for i in range(len(data))),
                          "sizeless": re.sub(rb'("(?:file_bytes|group_rows|group_weight)":)\d+', rb"\g<1>0", data)}[how])


PLAN, WORK, CLAIM, KEY = "_gristmill/tiny/plans/00000004.json", "_gristmill/tiny/work/00000004", "_gristmill/claims/00000004.json", "_gristmill/hash-key"

# Nobody has published anything of it: what is damaged is made again, and told.
AGAIN = [
    ("planned", PLAN, "cut zeros empty garbage sizeless", "planned again"), ("planned", PLAN, "gone", ""),
    ("half worked", PLAN, "cut zeros", "planned again"), ("half worked", PLAN, "gone", "does not match its plan; planning again"),
    ("half worked", f"{WORK}/00000.json", "cut zeros empty", "damaged.*planning again"), ("half worked", f"{WORK}/00000.json", "gone", ""),
    ("half worked", f"{WORK}/00000.keys", "cut zeros empty", "list of keys.*planning again"),
    ("half worked", f"{WORK}/00000.keys", "gone", "list of keys.*gone.*planning again"),
    ("half worked", f"{WORK}/*.staged", "cut zeros", "changed before it was published"),
    ("half worked", f"{WORK}/*.staged", "gone", "gone before it was published"),
    ("half worked", KEY, "gone garbage", "another key.*planning again"),
    ("worked", PLAN, "cut zeros", "planned again"), ("worked", PLAN, "gone", "does not match its plan; planning again"),
    ("worked", f"{WORK}/00001.json", "cut zeros", "damaged.*planning again"), ("worked", f"{WORK}/00001.json", "gone", ""),
    ("worked", f"{WORK}/00000.keys", "cut gone", "planning again"), ("worked", f"{WORK}/00001.keys", "cut gone", ""),
    ("worked", f"{WORK}/*.staged", "zeros", "changed before it was published"),
    ("worked", KEY, "gone garbage", "another key.*planning again"),
    ("claimed", CLAIM, "gone", ""), ("claimed", f"{WORK}/*.keys", "cut gone", ""), ("claimed", KEY, "cut gone zeros", ""),
    ("claimed", f"{WORK}/*.staged", "cut zeros gone", "cannot be finished.*before it was published"),
    ("half published", f"{WORK}/*.staged", "cut gone", ""), ("half published", "day=*/*-00000004-*", "gone", ""),
    ("published", "_gristmill/tiny/runs/00000004.json.zst", "cut zeros gone", ""),
    ("committed", CLAIM, "cut gone", ""), ("committed", f"{WORK}/00000.json", "cut gone", ""), ("committed", f"{WORK}/*.staged", "cut", ""),
    ("other's", "_gristmill/other/work/00000001/*.staged", "zeros", "cannot be finished"),
    # What newer files cover.
    ("long", "_delta_log/00000000000000000012.json", "gone", "finishing run 13"),
    ("long", "_delta_log/*.checkpoint.parquet", "gone", ""), ("long", "_delta_log/_last_checkpoint", "cut empty zeros garbage gone", ""),
    ("long", "_gristmill/tiny/bookmark/00000010", "gone", ""), ("long", KEY, "gone", ""),
    ("long", "_gristmill/claims/00000013.json", "cut gone", ""),
]
# Covered, too; but `verify`, which looks at everything, finds it.
COVERED = [
    ("long", "_delta_log/00000000000000000005.json", "cut empty zeros garbage gone", "00000000000000000005.json"),
    ("long", "_delta_log/00000000000000000010.json", "cut gone", "00000000000000000010.json"),
    ("long", "_delta_log/*.checkpoint.parquet", "cut empty zeros garbage", "checkpoint"),
    ("long", "_gristmill/tiny/plans/00000005.json", "cut", "00000005.json"),
    ("long", "_gristmill/tiny/runs/00000013.json.zst", "cut zeros gone", "00000013.json.zst|run 13"),
]
# What somebody relies on: (moment, path, how, what is said, what may be done instead of restoring the file).
STOPS = [
    ("claimed", PLAN, "cut zeros gone", "restore the file", ""), ("half published", PLAN, "cut gone", "restore the file", ""),
    ("claimed", CLAIM, "cut zeros empty", "restore it.*remove it", "remove"), ("half published", CLAIM, "cut", "restore it", "remove"),
    ("claimed", f"{WORK}/00001.json", "cut zeros", "restore it.*--abandon", "abandon"),
    ("claimed", f"{WORK}/00001.json", "gone", "gone.*restore it.*--abandon", "abandon"),
    ("half published", f"{WORK}/00000.json", "cut zeros", "restore it.*--abandon", ""),
    ("half published", f"{WORK}/00001.json", "cut gone", "restore it.*--abandon", "abandon"),
    ("half published", "day=*/*-00000004-*", "cut zeros", "other bytes.*remove it", "remove"),
    ("half worked", KEY, "cut zeros empty", "hash key.*restore it.*remove it", "remove"),
    ("worked", KEY, "cut zeros", "hash key.*restore it.*remove it", "remove"),
    ("other's", "_gristmill/other/plans/00000001.json", "cut gone", "restore the file", ""),
    ("other's", "_gristmill/other/work/00000001/00000.json", "cut", "restore it.*--abandon", ""),
    ("long", "_delta_log/00000000000000000012.json", "cut empty zeros garbage", "restore it", ""),
    ("long", "_delta_log/00000000000000000011.json", "cut empty zeros garbage", "restore it", ""),
    ("long", "_delta_log/00000000000000000011.json", "gone", "hole.*restore", ""),
    ("long", "_gristmill/tiny/bookmark/00000010", "cut empty zeros garbage", "bookmark is damaged.*remove it", "remove"),
    ("long", "_gristmill/tiny/plans/00000012.json", "cut zeros gone", "restore it", ""),
    ("long", "_gristmill/tiny/plans/00000013.json", "cut zeros gone", "restore it", ""),
    ("long", KEY, "cut zeros", "hash key.*restore it.*remove it", "remove"),
]


def each(cases):
    return [pytest.param(moment, path, how, *rest, id=f"{moment}-{path.removeprefix('_gristmill/')}-{how}".replace("/", ":"))
            for moment, path, hows, *rest in cases for how in hows.split()]


def damaged(scene, path, how, table):
    """The table with the last file of that name damaged; the file's path and what it held."""
    scene.copy(table)
    file = sorted(table.glob(path))[-1]
    data = file.read_bytes()
    damage(file, how)
    return file, data


@pytest.mark.parametrize("moment, path, how, said", each(AGAIN))
def test_damage_that_is_made_good(moment, path, how, said, scene_of, quick):
    scene, table = scene_of(moment), quick / "table"
    damaged(scene, path, how, table)
    result = scene.completed(table, f"{path} {how}")
    assert re.search(said, result.err, re.DOTALL), result


@pytest.mark.parametrize("moment, path, how, fault", each(COVERED))
def test_damage_that_is_covered(moment, path, how, fault, scene_of, quick):
    scene, table = scene_of(moment), quick / "table"
    damaged(scene, path, how, table)
    scene.completed(table, f"{path} {how}", fault)


@pytest.mark.parametrize("moment, path, how, said, instead", each(STOPS))
def test_damage_that_stops(moment, path, how, said, instead, scene_of, quick):
    scene, table = scene_of(moment), quick / "table"
    file, data = damaged(scene, path, how, table)
    before = harness.fingerprint(table)
    result = scene.run(table, status=1)
    named = file.name if "hole" not in said else "_delta_log"
    assert named in result.err and "hint: " in result.err and re.search(said, result.err, re.DOTALL), result
    assert harness.fingerprint(table) == before
    status = scene.command("status", table=table, status=None)
    assert "pending" in status.out or named in status.err or path == KEY or named == "00000010", status
    if instead == "abandon":
        scene.command("run --abandon", table=table)
    elif instead == "remove":
        file.unlink()
    else:
        file.write_bytes(data)
    scene.completed(table, f"{path} {how}, {instead or 'restore'}")


@pytest.mark.parametrize("how", ["cut", "gone"])
def test_a_manifest_of_what_is_published_must_not_be_lost(how, scene_of, quick):
    """Giving up such a run would leave its files in the folders, and its rows there twice when they are made again."""
    scene, table = scene_of("half published"), quick / "table"
    damaged(scene, f"{WORK}/00000.json", how, table)
    result = scene.command("run --abandon", table=table, status=1)
    prefix = re.search(r"the files named (\S+-00000004-00000-)\*", result.err).group(1)
    judge.assert_once(table)
    for path in table.glob(f"day=*/{prefix}*"):
        path.unlink()
    scene.command("run --abandon", table=table)
    scene.completed(table, "files removed by hand")


def test_books_of_another_plan_are_replaced(scene_of, quick):
    scene, table = scene_of("published"), quick / "table"
    runs = scene.copy(table) / "_gristmill/tiny/runs"
    right = (runs / "00000004.json.zst").read_bytes()
    shutil.copy(runs / "00000003.json.zst", runs / "00000004.json.zst")
    scene.completed(table, "other books")
    assert (runs / "00000004.json.zst").read_bytes() == right


# --- The log ------------------------------------------------------------------------------------------------------------

def put_back(table, version):
    """The log as it was at that version."""
    for path in (table / "_delta_log").iterdir():
        if path.name[0] == "_" or int(path.name[:20]) > version:
            path.unlink()


@pytest.mark.parametrize("version", [0, 5, 8, 9, 10])
@pytest.mark.parametrize("bookmark", [True, False], ids=["with bookmark", "without bookmark"])
def test_a_log_that_was_put_back_is_refused(version, bookmark, scene_of, quick):
    scene, table, fresh = scene_of("long"), quick / "table", quick / "fresh"
    shutil.copytree(scene.copy(table) / "_delta_log", fresh)
    put_back(table, version)
    if not bookmark:
        shutil.rmtree(table / "_gristmill/tiny/bookmark")
    before = harness.fingerprint(table)
    for command in ("run", "run --dry-run", "status"):
        result = scene.command(command, table=table, status=1)
        assert "_delta_log" in result.err and "restore it" in result.err, result
    assert harness.fingerprint(table) == before
    shutil.rmtree(table / "_delta_log")
    fresh.rename(table / "_delta_log")
    scene.completed(table, "the log was restored")


def test_a_log_that_was_put_back_behind_another_jobs_claim(scene_of, quick):
    """The claimed run of the other job follows one that the log has forgotten: whoever runs first must tell."""
    scene, table = scene_of("other's"), quick / "table"
    scene.copy(table)
    scene.run(table)
    more = scenes.Scene(quick / "more", {"other": scenes.other(JOB)})
    for number in range(2):
        more.put(f"{number}.json", range(5000 + number, 5001 + number), "more", job="other")
        more.run(table, "other")
    newest = sorted((table / "_delta_log").glob("*.json"))
    for path in newest[-2:]:
        path.unlink()
    result = scene.run(table, status=1)
    assert "of job other" in result.err and "restore it" in result.err, result


def test_the_last_commit_is_made_again(scene_of, quick):
    """A log that lost its newest entry alone: that run's claim, manifests and files are all there."""
    scene, table = scene_of("long"), quick / "table"
    put_back(scene.copy(table), 11)
    scene.completed(table, "the newest entry was lost")


def test_a_log_that_is_gone_after_one_run(scene_of, quick):
    scene, table = scenes.Scene(quick, {"tiny": JOB}), quick / "table"
    scene.put("a.json", range(10), "a")
    scene.run()
    shutil.rmtree(table / "_delta_log")
    scene.put("b.json", range(5, 20), "b")
    scene.completed(table, "the log was removed")


@pytest.mark.parametrize("folder", ["_gristmill", "_gristmill/tiny"])
def test_state_that_is_gone(folder, scene_of, quick):
    scene, table = scene_of("long"), quick / "table"
    shutil.rmtree(scene.copy(table) / folder)
    before = harness.fingerprint(table)
    result = scene.run(table, status=1)
    assert "plans/00000013.json" in result.err and "restore it" in result.err, result
    assert harness.fingerprint(table) == before


def test_log_and_state_are_gone(scene_of, quick):
    """What is left are files that gristmill wrote: their keys are known by themselves."""
    scene, table = scene_of("long"), quick / "table"
    scene.copy(table)
    for folder in ("_gristmill", "_delta_log"):
        shutil.rmtree(table / folder)
    result = scene.completed(table, "log and state were removed", "no books of a committed run name it")
    assert "put 13 files into the log" in result.err or "files into the log" in result.err, result


def test_log_and_state_of_a_table_without_keys_are_gone(quick, tiny_job):
    harness.write(quick / "input/a.json", harness.lines([harness.tiny(i) for i in range(5)]))
    harness.run(tiny_job, quick / "input", quick / "table")
    before = harness.fingerprint(quick / "table")
    for folder in ("_gristmill", "_delta_log"):
        shutil.rmtree(quick / "table" / folder)
    result = harness.run(tiny_job, quick / "input", quick / "table", status=1)
    assert ".parquet" in result.err and "_delta_log and _gristmill" in result.err, result
    assert harness.fingerprint(quick / "table") == before


def test_a_pointer_to_a_checkpoint_that_lies(scene_of, quick):
    """Only who cannot list needs it; a reader that believes it is misled until the next checkpoint moves it."""
    scene, table = scene_of("long"), quick / "table"
    for text in ('{"version":3,"size":1}', '{"version":99,"size":1}', '{"version":-1}', "{}"):
        (scene.copy(table) / "_delta_log/_last_checkpoint").write_text(text)
        assert scene.run(table).json["records_read"] == 40
        (table / "_delta_log/_last_checkpoint").unlink()
        scene.assert_complete(table, text)


def test_a_copy_that_was_restored(scene_of, quick):
    """All of the table as it was some runs ago: what came since is new again."""
    scene, table = scenes.Scene(quick, {"tiny": JOB}), quick / "table"
    for run in range(6):
        scene.put(f"{run}.json", range(run * 10, run * 10 + 12), f"{run}")
        scene.run()
        if run == 2:
            shutil.copytree(table, quick / "copy")
    shutil.rmtree(table)
    (quick / "copy").rename(table)
    assert scene.completed(table, "a copy was restored").json["inputs"] == 3
