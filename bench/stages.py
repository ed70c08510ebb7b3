#!/usr/bin/env python3
"""stages.py - where the time of the main job goes, stage by stage, beside the least that each could cost.

    stages.py              the table of docs/performance.md (--write puts it there)

The job runs with --profile on one CPU with one thread, --runs times; the run with the least CPU time is shown, since whatever
disturbs a run only adds to it. The floors (floor.cc, stage_floors.c) run in between, on the same input and on the pages and files
that came out; of them, too, the least counts."""
import argparse
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from bench import CACHE, ROOT, SHAPES, machine, make_floor, make_input

PAGE = ROOT / "docs" / "performance.md"
FLOORS = {"inflate": "inflate", "scan": "shred", "zstd": "compress"}  # what floor.cc measures, and of which stage it is the floor
HIDDEN = {"catalog", "transfer", "idle"}  # of no meaning here


def run(command, cpu):
    if shutil.which("taskset"):
        command = ["taskset", "-c", cpu, *command]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        sys.exit(f"stages: {command} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout)


def make_stage_floors():
    program, source = CACHE / "stage_floors", ROOT / "bench" / "stage_floors.c"
    subprocess.run(["cc", "-O3", "-march=native", "-D_GNU_SOURCE", "-o", program, source, "-lisal", "-lxxhash"], check=True)
    return program


def least(one, other):
    return {name: min(seconds, one.get(name, seconds)) for name, seconds in other.items() if isinstance(seconds, float)}


def measure(binary, source, arguments):
    """The run with the least CPU time, and stage -> seconds of its floor."""
    import pages as pages_of

    best, floors, floor, stage_floors = None, {}, make_floor(), make_stage_floors()
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="stages-") as scratch:
        pages = pathlib.Path(scratch, "pages")
        for turn in range(arguments.runs):
            table = pathlib.Path(scratch, f"table-{turn}")
            report = run([binary, "run", ROOT / "jobs" / "access-record.yaml", "--source", source, "--table", table, "--threads", 1, "--memory", "256M",
                          "--profile", "--json", "--quiet"], arguments.cpu)
            if best is None or report["profile"]["cpu_seconds"] < best["profile"]["cpu_seconds"]:
                best = report
            if not pages.exists():
                pages_of.write(table, pages)
            measured = run([floor, source, pages], arguments.cpu)
            floors = least(floors, {**{FLOORS[name]: measured[name] for name in FLOORS},
                                    **run([stage_floors, source, pages, table, report["rows_written"]], arguments.cpu)})
            shutil.rmtree(table)
            print(f"  run {turn + 1}/{arguments.runs}  {report['profile']['cpu_seconds']:.3f} s", file=sys.stderr)
    return best, floors


def text_of(report, floors):
    profile = report["profile"]
    records, all_ns = profile["records"], profile["cpu_seconds"] * 1e9
    lines = ["| stage | ns a record | share | MB a second | floor, ns | times the floor |", "|---|---:|---:|---:|---:|---:|"]
    for stage in profile["stages"]:
        if stage["stage"] in HIDDEN:
            continue
        ns, least_ns = stage["ns_per_record"], floors.get(stage["stage"], 0) * 1e9 / records
        rate = f"{stage['mb_per_cpu_second']:,.0f}" if stage["mb_per_cpu_second"] else ""
        floor = f"{least_ns:.0f} | {ns / least_ns:.1f}" if least_ns else "|"
        lines.append(f"| {stage['stage']} | {ns:.0f} | {stage['share'] * 100:.1f} % | {rate} | {floor} |")
    three = sum(floors[stage] for stage in FLOORS.values()) * 1e9 / records
    lines.append(f"| **all** | **{all_ns / records:.0f}** | 100 % | {report['bytes_raw'] / 1e6 / profile['cpu_seconds']:,.0f} | {three:.0f} | {all_ns / records / three:.2f} |")
    return "\n".join([
        f"{records:,} generated access records, {report['bytes_raw'] / 1e6:.0f} MB of JSON in {report['bytes_in'] / 1e6:.0f} MB of gzip, one thread on one CPU.", "",
        *lines, "", "The floor of all is that of inflate, shred and compress.", f"Machine: {machine()}."])


def write(mark, text):
    """Replaces what stands between two marks of docs/performance.md."""
    head, begin, rest = PAGE.read_text().partition(f"<!-- begin: {mark} -->")
    _, end, tail = rest.partition(f"<!-- end: {mark} -->")
    if not begin or not end:
        sys.exit(f"stages: {PAGE} has no marks to write between")
    PAGE.write_text(f"{head}{begin}\n{text}\n{end}{tail}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=int(os.environ.get("BENCH_RECORDS", 1_000_000)))
    parser.add_argument("--runs", type=int, default=int(os.environ.get("BENCH_RUNS", 5)))
    parser.add_argument("--cpu", type=int, default=os.cpu_count() - 1, help="the CPU that everything runs on")
    parser.add_argument("--write", action="store_true", default=bool(os.environ.get("BENCH_WRITE")), help="put the table into docs/performance.md")
    arguments = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    binary = ROOT / "build" / "gristmill"
    text = text_of(*measure(binary, make_input(binary, SHAPES["access"], arguments.records, 1), arguments))
    print(text)
    if arguments.write:
        write("stages", f"{text}\nMeasured {datetime.date.today().isoformat()}.")


if __name__ == "__main__":
    main()
