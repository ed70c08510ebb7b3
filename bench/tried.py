#!/usr/bin/env python3
"""tried.py - what was tried with the hot path, measured again: each change alone, beside the program as it is.

    tried.py [NAME...]     the second table of docs/performance.md (--write puts it there)

A change is a setting, an option of the build, or an edit of one place in the source: that is made in a copy of the tree, which
is built and thrown away. An edit whose place is gone is told and left out. Runs are interleaved, one CPU, one thread; of each
program the run with the least CPU time counts."""
import argparse
import datetime
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

import stages
from bench import CACHE, ROOT, SHAPES, machine, make_input

JOB = ROOT / "jobs" / "access-record.yaml"
TREE = ["src", "include", "docs", "jobs", "queries", "scripts", "meson.build", "meson_options.txt"]


@dataclass
class Change:
    name: str
    stage: str  # where it should show
    env: dict = field(default_factory=dict)
    job: tuple = ()    # (pattern, replacement) in the job file
    edit: tuple = ()   # (file, pattern, replacement)
    build: tuple = ()  # options of meson


CHANGES = [
    Change("zstd level 3 instead of 1", "compress", job=(r"(?m)^table:", "table:\n  compression_level: 3")),
    Change("snappy instead of zstd", "compress", job=(r"(?m)^table:", "table:\n  compression: snappy")),
    Change("zstd's own search for keys and numbers", "compress", edit=("src/parquet/page.c", r"SEARCHED_LEVEL = 1", "SEARCHED_LEVEL = 99")),
    Change("huge pages for all memory (glibc.malloc.hugetlb)", "intern", env={"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}),
    Change("no memory given back (glibc.malloc.trim_threshold)", "rest",
           env={"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=1073741824:glibc.malloc.mmap_threshold=33554432"}),
    Change("dictionaries without prefetch", "intern", edit=("src/column/dict.c", r"LARGE_SLOTS = \d+", "LARGE_SLOTS = INT32_MAX")),
    Change("windows of 256 KiB instead of 512", "shred", edit=("src/run/worker.c", r"window_bytes = 512 \* 1024", "window_bytes = 256 * 1024")),
    Change("windows of 1 MiB", "shred", edit=("src/run/worker.c", r"window_bytes = 512 \* 1024", "window_bytes = 1024 * 1024")),
    Change("keys looked up without prefetch", "dedupe", edit=("src/table/keytable.c", r"PREFETCH = \d+", "PREFETCH = 0")),
    Change("compiled for this processor alone (-march=native)", "shred", build=("-Dc_args=-march=native",)),
    Change("link-time optimization", "shred", build=("-Db_lto=true",)),
]


def ninja(tree):
    subprocess.run(["ninja", "--quiet", "-C", tree / "build", "src/cli/gristmill"], check=True, stdout=subprocess.DEVNULL)
    return tree / "build" / "src" / "cli" / "gristmill"


def copy_tree(into):
    for name in TREE:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, into / name)


def meson(tree, options):
    shutil.rmtree(tree / "build", ignore_errors=True)
    subprocess.run(["meson", "setup", tree / "build", tree, "-Dtests=disabled", *options], check=True, stdout=subprocess.DEVNULL)


def build_changed(change, tree, into):
    """The program with the change, as a copy; None: the place to be edited is not there any more."""
    if change.build:
        meson(tree, change.build)
        return shutil.copy(ninja(tree), into)
    path = tree / change.edit[0]
    before = path.read_text() if path.exists() else ""
    after, count = re.subn(*change.edit[1:], before)
    if count != 1:
        return None
    path.write_text(after)
    program = shutil.copy(ninja(tree), into)
    path.write_text(before)
    return program


def run(binary, change, source, scratch, cpu):
    """The report of one run."""
    job, table = scratch / "job.yaml", scratch / "table"
    job.write_text(re.sub(*change.job, JOB.read_text(), count=1) if change.job else JOB.read_text())
    os.environ.update(change.env)
    try:
        return stages.run([binary, "run", job, "--source", source, "--table", table, "--threads", 1, "--memory", "256M", "--profile", "--json", "--quiet"], cpu)
    finally:
        for name in change.env:
            del os.environ[name]
        shutil.rmtree(table, ignore_errors=True)


def measure(programs, source, scratch, arguments):
    """programs: (change, program); the least run of each."""
    best = {}
    for turn in range(arguments.runs):
        for change, program in programs:
            report = run(program, change, source, scratch, arguments.cpu)
            if change.name not in best or report["profile"]["cpu_seconds"] < best[change.name]["profile"]["cpu_seconds"]:
                best[change.name] = report
            print(f"  run {turn + 1}/{arguments.runs}  {report['profile']['cpu_seconds']:.3f} s  {change.name}", file=sys.stderr)
    return best


def figures(report, stage):
    profile = report["profile"]
    return (profile["cpu_seconds"] * 1e9 / profile["records"], next(s["ns_per_record"] for s in profile["stages"] if s["stage"] == stage),
            sum(file["bytes"] for file in report["files"]) / 1e6)


def text_of(programs, best):
    lines = ["| tried | all, ns a record | | its stage, ns a record | output MB |", "|---|---:|---:|---|---:|"]
    base = best[programs[0][0].name]
    for change, _ in programs[1:]:
        (all0, stage0, _), (all1, stage1, size) = figures(base, change.stage), figures(best[change.name], change.stage)
        lines.append(f"| {change.name} | {all1:.0f} | {(all1 / all0 - 1) * 100:+.0f} % | {change.stage} {stage0:.0f} -> {stage1:.0f} | {size:.1f} |")
    all0, _, size = figures(base, "rest")
    return "\n".join([f"The program as it is: {all0:.0f} ns a record, {size:.1f} MB.", "", *lines, "", f"Machine: {machine()}."])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="only changes whose names hold one of these words")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cpu", type=int, default=os.cpu_count() - 1)
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    arguments = parser.parse_args()
    wanted = [c for c in CHANGES if not arguments.names or any(name in c.name for name in arguments.names)]
    CACHE.mkdir(parents=True, exist_ok=True)
    source = make_input(ROOT / "build" / "gristmill", SHAPES["access"], 1_000_000, 1)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="tried-") as folder:
        scratch, tree = pathlib.Path(folder), pathlib.Path(folder, "tree")
        tree.mkdir()
        copy_tree(tree)
        meson(tree, ())
        programs = [(Change("as it is", "rest"), pathlib.Path(shutil.copy(ninja(tree), scratch / "as-it-is")))]
        for number, change in enumerate(sorted(wanted, key=lambda c: len(c.build))):  # what makes all be compiled anew comes last
            program = build_changed(change, tree, scratch / f"changed-{number}") if change.edit or change.build else programs[0][1]
            if program is None:
                print(f"stages: {change.name}: its place is not in {change.edit[0]} any more", file=sys.stderr)
            else:
                programs.append((change, program))
        text = text_of(programs, measure(programs, source, scratch, arguments))
    print(text)
    if arguments.write:
        stages.write("tried", f"{text}\nMeasured {datetime.date.today().isoformat()}.")


if __name__ == "__main__":
    main()
