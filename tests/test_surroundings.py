"""What is around a run and not as it should be: file systems that are full or may only be read, files of other users, links in
strange places, clocks that are wrong, sources that are gone."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import harness
import judge
import scene as scenes

JOB = scenes.JOB
pytestmark = pytest.mark.skipif(harness.SANITIZED, reason="needs LD_PRELOAD")


def small(folder, runs=2):
    """A table of a few runs, and one more object."""
    folder.mkdir(exist_ok=True)
    scene = scenes.Scene(folder, {"tiny": JOB})
    for run in range(runs):
        scene.put(f"a{run}.json", range(run * 10, run * 10 + 12), f"a{run}")
        scene.run()
    scene.put("b.json", range(15, 40), "b", bad=1)
    return scene


def let_in(folder):
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o555)


# --- Full ---------------------------------------------------------------------------------------------------------------

# In a mount of its own: the table in a file system that has room for a few more pages.
FILL = """
import json, os, shutil, subprocess, sys
template, mount, command, pages, outside = json.load(sys.stdin)
results = []
for free in pages:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", mount], check=True)
    if template is not None:
        shutil.copytree(template, mount + "/table")
    stats = os.statvfs(mount)
    filler = os.open(mount + "/filler", os.O_WRONLY | os.O_CREAT)
    os.posix_fallocate(filler, 0, max(1, stats.f_bavail - free) * stats.f_frsize)
    os.close(filler)
    done = subprocess.run(command, capture_output=True, text=True)
    shutil.copytree(mount + "/table", f"{outside}/{free}")
    results.append([free, done.returncode, done.stderr])
    subprocess.run(["umount", mount], check=True)
json.dump(results, sys.stdout)
"""


def can_mount():
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], stderr=subprocess.DEVNULL).returncode == 0


def with_pages(template, scene, pages, folder):
    """Runs in file systems with that many free pages: (pages, status, what was said, the table)."""
    mount, outside = folder / "mount", folder / "outside"
    mount.mkdir()
    outside.mkdir()
    command = [harness.BINARY, "run", scene.folder / "tiny.yaml", "--source", scene.source("tiny"), "--table", mount / "table", "--threads", "1"]
    question = json.dumps([str(template) if template else None, str(mount), [str(word) for word in command], list(pages), str(outside)])
    answer = subprocess.run(["unshare", "-m", sys.executable, "-c", FILL], input=question, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return [(free, status, said, outside / str(free)) for free, status, said in json.loads(answer.stdout)]


@pytest.mark.skipif(not can_mount(), reason="mounting a small tmpfs is not allowed here")
@pytest.mark.parametrize("runs", [0, 10], ids=["new", "old"])
def test_full_file_system(runs, quick):
    """However few pages are left, the message says what they were wanted for, and when there is room the run is completed."""
    scene = small(quick, runs)
    if runs > 0:
        scene.put("c.json", range(500, 520), "c")
        scene.die("/_delta_log/", action="kill")
        scene.put("d.json", range(510, 530), "d")
    wanted = set()
    for free, status, said, table in with_pages(scene.table if runs else None, scene, range(0, 40), quick):
        judge.assert_once(table, f"{free} pages")
        if status != 0:
            assert status == 1 and "No space left on device" in said, said
        wanted |= {name for name in ("plans", "work", "claims", "runs") if re.search(f"/{name}/.*No space left", said)}
        wanted |= {name for name in ("_delta_log/0", "hash-key") if re.search(f"{name}.*No space left", said)}
        scene.completed(table, f"{free} free pages")
    # The checkpoint and the bookmark want less than what is swept before them: tests/test_faults.py fails these.
    expected = {"work", "claims", "_delta_log/0"} | ({"runs"} if runs else {"plans", "hash-key"})
    assert expected <= wanted, wanted


# --- Not to be written to -----------------------------------------------------------------------------------------------

QUESTIONS = ("run --dry-run", "status", "bookmark show", "verify", "verify --quick")


@pytest.mark.parametrize("moment", ["", "work/00000003/00000.json", "claims/", "/day=", "_delta_log/"],
                         ids=["at rest", "worked", "claimed", "half published", "committed"])
def test_state_that_may_only_be_read(moment, quick, other_user):
    """By permissions: a run says what it may not do; who only asks is answered."""
    scene = small(quick)
    if moment:
        scene.die(moment)
    everything = [scene.folder, *scene.folder.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    let_in(quick)
    before = sorted(str(path) for path in scene.table.rglob("*"))
    # What is committed needs no more than tidying up, which can wait.
    result = scene.command("run", status=0 if moment == "_delta_log/" else 1, **other_user)
    assert "Permission denied" in result.err or "cannot be linked" in result.err, result
    for question in QUESTIONS:
        answer = scene.command(question, status=None, **other_user)
        assert answer.status == 0 or (question.startswith("verify") and moment), answer
        assert "denied" not in answer.err, answer
    assert sorted(str(path) for path in scene.table.rglob("*")) == before
    for path in everything:
        path.chmod(0o755 if path.is_dir() else 0o644)
    scene.completed(scene.table, f"a run that might only read, {moment}")


@pytest.mark.skipif(not can_mount(), reason="mounting is not allowed here")
def test_file_system_that_may_only_be_read(quick):
    scene = small(quick)
    for command, status in (("run", 1), *((question, 0) for question in QUESTIONS)):
        words = command.split()
        line = [harness.BINARY, words[0], scene.folder / "tiny.yaml", *words[1:], "--source", scene.source("tiny"), "--table", scene.table]
        mount = f"mount --bind {scene.table} {scene.table} && mount -o remount,ro,bind {scene.table} && exec "
        done = subprocess.run(["unshare", "-m", "sh", "-c", mount + " ".join(map(str, line))], capture_output=True, text=True)
        assert done.returncode == status, (command, done)
        assert ("Read-only file system" in done.stderr) == (status == 1), (command, done)
    scene.completed(scene.table, "a file system that might only be read")


def test_files_that_another_user_staged(quick, other_user):
    """The kernel may refuse to link them: then the message says whose business it is; nothing is lost."""
    scene = small(quick)
    scene.die("claims/")
    for path in [scene.folder, *scene.folder.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o644)
    let_in(quick)
    result = scene.command("run", status=None, **other_user)
    protected = pathlib.Path("/proc/sys/fs/protected_hardlinks")
    if os.geteuid() == 0 and protected.exists() and protected.read_text().strip() == "1":
        assert result.status == 1 and "another user staged it" in result.err and "umask" in result.err, result
    else:
        assert result.status == 0, result
    scene.completed(scene.table, "another user's run")


# --- Links and places ---------------------------------------------------------------------------------------------------

def test_a_table_that_moved(quick):
    """Nothing in it says where it is, nor where the source was."""
    scene = small(quick)
    scene.table.rename(quick / "elsewhere")
    scene.source("tiny").rename(quick / "other-input")
    (quick / "input").symlink_to(quick / "other-input")
    result = scene.completed(quick / "elsewhere", "the table moved")
    assert result.json["inputs"] == 1


def test_a_table_behind_a_link(quick):
    scene = small(quick)
    (quick / "link").symlink_to(scene.table)
    scene.completed(quick / "link", "a table behind a link")


@pytest.mark.parametrize("folder", ["_delta_log", "_gristmill", "_gristmill/tiny/work", f"day={scenes.DAYS[0]}"])
def test_links_inside_a_table_are_not_written_through(folder, quick):
    """Somebody moved a part of it to another disk: hard links would not go there, and nobody could tell what is visible."""
    scene = small(quick)
    (scene.table / folder).rename(quick / "part")
    (scene.table / folder).symlink_to(quick / "part")
    before = sorted((quick / "part").rglob("*"))
    result = scene.run(status=1)
    assert "symbolic link" in result.err and folder.split("/")[-1] in result.err, result
    assert sorted((quick / "part").rglob("*")) == before
    (scene.table / folder).unlink()
    (quick / "part").rename(scene.table / folder)
    judge.assert_once(scene.table)
    scene.completed(scene.table, f"{folder} was a link")


def test_a_source_made_of_links(quick):
    scene = small(quick)
    for name in ("a0.json", "b.json"):
        path = scene.source("tiny") / name
        path.rename(quick / name)
        path.symlink_to(quick / name)
    (scene.source("tiny") / "more").symlink_to(quick / "folder")  # leads nowhere yet
    scene.completed(scene.table, "links in the source")
    (quick / "folder").mkdir()
    scene.expected[(900, scenes.DAYS[0])] = "far"
    harness.write(quick / "folder/far.json", harness.lines([harness.tiny(900, s="far")]))
    assert scene.completed(scene.table, "a folder behind a link").json["inputs"] == 1


# --- Sources ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("moment", ["", "plans/00000003.json", "work/00000003/00000.json", "claims/"],
                         ids=["at rest", "planned", "worked", "claimed"])
@pytest.mark.parametrize("how", ["gone", "empty"])
def test_a_source_that_is_gone(how, moment, quick):
    """As when its disk is not mounted: never taken for "all was deleted"."""
    scene = small(quick)
    if moment:
        scene.die(moment)
    source, away = scene.source("tiny"), quick / "away"
    source.rename(away)
    if how == "empty":
        source.mkdir()
    rows = judge.delta_rows(scene.table)
    for _ in range(2):
        result = scene.run(status=None)
        if how == "gone":
            assert result.status == 1 and "input" in result.err and "No such file" in result.err, result
        else:
            assert result.status == 0, result
    assert set(judge.delta_rows(scene.table)) >= set(rows)
    shutil.rmtree(source, ignore_errors=True)
    away.rename(source)
    scene.completed(scene.table, f"the source was {how}")


# --- Clocks -------------------------------------------------------------------------------------------------------------

CLOCK = scenes.IO.with_name("failclock.so")
YEAR = 365 * 86400


@pytest.mark.parametrize("shifts", [[0, -10 * YEAR, 0], [0, 10 * YEAR, 0], [-50 * YEAR, 0, -60 * YEAR], [0, -1, -2, -3600, 0]],
                         ids=["back", "ahead", "before 1970", "a little"])
def test_clocks_of_different_times(shifts, quick):
    """Each run has another idea of what time it is, also whether a checkpoint's removes or the log's entries are old."""
    scene = scenes.Scene(quick, {"tiny": JOB})
    for run in range(14):
        scene.put(f"{run:02}.json", range(run * 10, run * 10 + 15), f"{run}")
        scene.run(LD_PRELOAD=CLOCK, FAULT_CLOCK_SHIFT=shifts[run % len(shifts)])
        judge.assert_once(scene.table)
    scene.completed(scene.table, "clocks of different times")


@pytest.mark.parametrize("shift", [-10 * YEAR, 10 * YEAR])
def test_a_clock_that_is_set_while_a_run_is_on(shift, quick):
    scene = small(quick / "scene")
    report = quick / "report"
    scene.run(scene.copy(quick / "table"), LD_PRELOAD=CLOCK, FAULT_CLOCK_SHIFT=0, FAULT_CLOCK_REPORT=report)
    readings = int(report.read_text().split()[0])
    assert readings >= 3
    for n in range(1, readings + 1):
        table = scene.copy(quick / "table")
        scene.run(table, LD_PRELOAD=CLOCK, FAULT_CLOCK_SHIFT=shift, FAULT_CLOCK_FROM=n)
        scene.completed(table, f"a clock that was set at reading {n}")


def test_a_plan_from_the_future(quick):
    """Its maker's clock was ahead: whoever takes it up goes by what it says."""
    scene = small(quick)
    scene.die("plans/00000003.json")
    path = scene.table / "_gristmill/tiny/plans/00000003.json"
    path.write_text(re.sub(r'"created_us":\d+', '"created_us":99999999999999999', path.read_text()))
    assert "resuming run 3" in scene.completed(scene.table, "a plan from the future").err
