#!/usr/bin/env python3
"""bench.py - CPU seconds, peak memory and output size of gristmill beside its peers and the floor, in one sitting.

    bench.py                 the tables of docs/benchmarks.md (--write puts them there)
    bench.py --base REV      this tree beside another revision of it
    bench.py --shapes wide   only some of the shapes of input (shapes.py)

Every contender runs on one CPU (taskset) with one thread, in turn, BENCH_RUNS times (default 5); medians are shown. CPU is
user + system time from wait4, peak the largest resident set. Of the peers, which are Python packages, the cost of
starting Python and loading the engine is measured alone and taken off their CPU time. Every contender must write the same
number of rows. PySpark, which is slow, runs once, on all CPUs, beside gristmill on as many threads."""
import argparse
import ctypes
import datetime
import hashlib
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from pages import data_files
from shapes import ROOT, SHAPES

BENCH = ROOT / "bench"
CACHE = ROOT / ".cache" / "bench"
MIB = 1 << 20
PR_SET_CHILD_SUBREAPER = 36
COPY_PEERS = {"clickhouse": "ClickHouse (chdb): copy", "duckdb": "DuckDB: copy", "polars": "Polars: copy"}
PEERS = {**COPY_PEERS, "duckdb-derived": "DuckDB: with derived columns"}
FLOOR_STAGES = ("inflate", "scan", "zstd")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}


# --- Running ------------------------------------------------------------------------------------------------------------

class Usage:
    """What a finished command took: CPU and wall-clock seconds, peak bytes, and what it printed to standard output."""

    def __init__(self, cpu, wall, peak, out):
        self.cpu, self.wall, self.peak, self.out = cpu, wall, peak, out


def run(command, cpu=None, environment=None, whole_tree=False, **options):
    """Runs one command, which must succeed. whole_tree: the CPU time of all that it starts, also of what it does not wait for.

    The kernel counts what the parent held at the fork as the child's peak, so GNU time, which is small, comes in between."""
    if cpu is not None and shutil.which("taskset"):
        command = ["taskset", "-c", str(cpu), *command]
    command = [str(part) for part in command]
    if whole_tree:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    with tempfile.TemporaryFile() as log, tempfile.TemporaryFile() as out, tempfile.NamedTemporaryFile("r") as peak:
        begin = time.monotonic()
        process = subprocess.Popen(["/usr/bin/time", "-q", "-f", "%M", "-o", peak.name, *command], stdin=subprocess.DEVNULL, stdout=out, stderr=log, cwd=ROOT,
                                   env={**os.environ, **(ONE_THREAD if environment is None else environment)}, **options)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        left = orphans() if whole_tree else []
        log.seek(0)
        out.seek(0)
        text = out.read().decode("utf-8", "replace")
        if process.returncode != 0:
            sys.exit(f"bench: {' '.join(command)} ended with {process.returncode}:\n{text[-1000:]}{log.read().decode('utf-8', 'replace')[-3000:]}")
        most = max([int(peak.read()), *(u.ru_maxrss for u in left)])
    return Usage(sum(u.ru_utime + u.ru_stime for u in [usage, *left]), wall, most * 1024, text)


def orphans():
    """The usage of processes that came to us when those that had started them ended."""
    usages = []
    try:
        while True:
            usages.append(os.wait4(-1, 0)[2])
    except ChildProcessError:
        return usages


def rows_of(table):
    """Counted by another process, so that this one does without Arrow."""
    return int(run([sys.executable, BENCH / "pages.py", "--rows", table]).out)


class Measured:
    """The runs of one contender."""

    def __init__(self, cpu_off=0.0):
        self.cpu_off, self.usages, self.sizes, self.rows = cpu_off, [], [], None

    def add(self, usage, table):
        self.usages.append(usage)
        self.sizes.append(sum(path.stat().st_size for path in data_files(table)) if table.exists() else 0)
        if self.rows is None and table.exists():
            self.rows = rows_of(table)

    @property
    def cpus(self):
        return [usage.cpu - self.cpu_off for usage in self.usages]

    @property
    def cpu(self):
        return statistics.median(self.cpus)

    @property
    def peak(self):
        return statistics.median(usage.peak for usage in self.usages)

    @property
    def size(self):
        return statistics.median(self.sizes)


def measure(contenders, runs, cpu, starting=None):
    """contenders: name -> function(target) -> command. Interleaved, so that a slow minute of the machine meets everybody."""
    results = {name: Measured((starting or {}).get(name, 0.0)) for name in contenders}
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="out-") as scratch:
        for turn in range(runs):
            for name, command in contenders.items():
                target = pathlib.Path(scratch, f"{name}-{turn}".replace(" ", "-").replace("/", "-"))
                target.mkdir()
                usage = run(command(target), cpu)
                results[name].add(usage, target)
                shutil.rmtree(target, ignore_errors=True)
                print(f"  run {turn + 1}/{runs}  {name:30} {usage.cpu:7.2f} s  {usage.peak / MIB:6.0f} MiB", file=sys.stderr)
    return results


# --- What is measured ---------------------------------------------------------------------------------------------------

def gristmill_version(binary):
    return subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def make_input(binary, shape, records, seed):
    """The generated input, kept between runs; a new generator makes a new one."""
    folder = CACHE / (shape.key(records, seed) if shape.lines else f"input-{gristmill_version(binary).split()[1]}-{records}-{seed}")
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"generating {records:,} records into {folder.relative_to(ROOT)}", file=sys.stderr)
        if shape.lines:
            shape.make(folder / "in", records, seed)
        else:
            run([binary, "generate", folder / "in", "--records", records, "--seed", seed, "--bad", 0, "--quiet"])
        (folder / "done").touch()
    return folder / "in"


def make_floor():
    """bench/floor.cc, compiled for this CPU alone; made anew when source, compiler, libraries or CPU are others than last time."""
    program, stamp, source = CACHE / "floor", CACHE / "floor.sha256", BENCH / "floor.cc"
    tools = subprocess.run("g++ --version && pkg-config --modversion simdjson libisal libzstd", shell=True, capture_output=True, text=True)
    if tools.returncode != 0:
        sys.exit(f"bench: the floor needs g++, simdjson, ISA-L and zstd (scripts/install-deps build bench): {tools.stderr}")
    flags = next((line for line in open("/proc/cpuinfo") if line.startswith(("flags", "Features"))), "")
    wanted = hashlib.sha256(source.read_bytes() + (tools.stdout + flags).encode()).hexdigest()
    if not program.exists() or not stamp.exists() or stamp.read_text() != wanted:
        stamp.unlink(missing_ok=True)
        subprocess.run(["g++", "-std=c++17", "-O3", "-march=native", "-o", program, source, "-lsimdjson", "-lisal", "-lzstd"], check=True)
        stamp.write_text(wanted)
    return program


def gristmill_command(binary, source, target, job, threads=1):
    return [binary, "run", job, "--source", source, "--table", target, "--threads", threads, "--memory", "256M", "--json", "--quiet"]


def make_compact_job(job):
    """The same job, its files in the compact profile."""
    compact = CACHE / "compact.yaml"
    compact.write_text(job.read_text().replace("\ntable:\n", "\ntable:\n  encoding: compact\n", 1))
    return compact


def measure_shape(binary, shape, arguments, starting):
    """The results of all contenders on one shape, the floor's under "floor"."""
    records = arguments.records if shape.lines is None else shape.records * arguments.records // 1_000_000
    source, floor, pages = make_input(binary, shape, records, arguments.seed), make_floor(), CACHE / f"pages-{shape.name}"
    jobs = {"gristmill": shape.copy_job}
    if shape.whole_job:
        jobs = {"gristmill": shape.whole_job, "gristmill-compact": make_compact_job(shape.whole_job), "gristmill-copy": shape.copy_job}
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="pages-") as table:  # of the program as it is today
        run(gristmill_command(binary, source, table, jobs["gristmill"]))
        run([sys.executable, BENCH / "pages.py", table, pages])
    contenders = {name: lambda target, job=job: gristmill_command(binary, source, target, job) for name, job in jobs.items()}
    for peer in PEERS if shape.whole_job else COPY_PEERS:
        contenders[peer] = lambda target, peer=peer: [sys.executable, BENCH / "peers.py", peer, shape.name, source, target]
    contenders["floor"] = lambda target: [floor, source, pages]
    results = measure(contenders, arguments.runs, arguments.cpu, starting)
    pages.unlink()
    rows = {name: result.rows for name, result in results.items() if name not in ("gristmill", "gristmill-compact", "floor") or name == "gristmill" and not shape.whole_job}
    if len(set(rows.values())) != 1:
        sys.exit(f"bench: not all wrote the same rows: {rows}")
    return results, source


def floor_stages(result):
    """Medians of the floor's stages, and of their sum."""
    told = [json.loads(usage.out) for usage in result.usages]
    stages = {name: statistics.median(figures[name] for figures in told) for name in FLOOR_STAGES}
    return stages, statistics.median(sum(figures[name] for name in FLOOR_STAGES) for figures in told)


def measure_spark(binary, source, arguments, rows):
    """(PySpark once, gristmill's median) on all CPUs, each as a Usage. PySpark, which drops no duplicates, must write so many rows."""
    cpus = os.cpu_count()
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="spark-") as scratch:
        scratch = pathlib.Path(scratch)
        spark = run([sys.executable, BENCH / "spark_job.py", source, scratch / "spark", f"local[{cpus}]"],
                    environment={"TMPDIR": str(scratch)}, whole_tree=True)
        print(f"  PySpark {spark.wall:.1f} s of wall-clock time, {spark.cpu:.1f} s of CPU", file=sys.stderr)
        ours = []
        for turn in range(arguments.runs):
            ours.append(run(gristmill_command(binary, source, scratch / f"ours-{turn}", SHAPES["access"].whole_job, cpus)))
        written = rows_of(scratch / "spark")
    if written != rows:
        sys.exit(f"bench: PySpark wrote {written} rows, the others {rows}")
    return spark, Usage(*(statistics.median(getattr(usage, name) for usage in ours) for name in ("cpu", "wall", "peak")), "")


# --- Telling ------------------------------------------------------------------------------------------------------------

def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{model}, {os.cpu_count()} CPUs, {memory:.0f} GiB, Linux {platform.release().split('-')[0]}"


def versions(binary):
    import importlib.metadata as meta

    names = {"chdb-core": "ClickHouse (chdb)", "duckdb": "DuckDB", "polars": "Polars", "pyspark": "PySpark"}
    libraries = subprocess.run(["pkg-config", "--modversion", "simdjson", "libisal", "libzstd"], capture_output=True, text=True).stdout.split()
    return [gristmill_version(binary), *(f"{label} {meta.version(package)}" for package, label in names.items()), f"Python {platform.python_version()}",
            *(f"{name} {version}" for name, version in zip(("simdjson", "ISA-L", "zstd"), libraries))]


def shape_table(binary, shape, source, results):
    """The lines about one shape."""
    whole = shape.whole_job is not None
    labels = {"gristmill": "**gristmill: the whole job**" if whole else "**gristmill: copy**", "gristmill-compact": "gristmill: the whole job, `encoding: compact`", "gristmill-copy": "gristmill: copy",
              **PEERS}
    with tempfile.TemporaryDirectory(dir=CACHE) as never:
        told = json.loads(run(gristmill_command(binary, source, pathlib.Path(never, "t"), shape.whole_job or shape.copy_job) + ["--dry-run"]).out)
    ours = results["gristmill"].cpu
    lines = [f"### {shape.title[0].upper()}{shape.title[1:]}", "",
             f"{told['records_read']:,} records, {told['bytes_raw'] / 1e6:.0f} MB of JSON in {told['inputs']} gzip objects of together {told['bytes_in'] / 1e6:.0f} MB.", "",
             "| one CPU, one thread | CPU s | range | against gristmill | peak MiB | output MB |", "|---|---:|---:|---:|---:|---:|"]
    for name, result in results.items():
        if name != "floor":
            lines.append(f"| {labels[name]} | {result.cpu:.2f} | {min(result.cpus):.2f}-{max(result.cpus):.2f} | {result.cpu / ours:.2f} | "
                         f"{result.peak / MIB:.0f} | {result.size / 1e6:.1f} |")
    stages, total = floor_stages(results["floor"])
    lines.append(f"| floor: {' + '.join(f'{name} {seconds:.2f}' for name, seconds in stages.items())} | {total:.2f} | | {total / ours:.2f} | | |")
    return lines + [""]


def goals(access, spark, ours_on_all):
    """How far the main job is ahead, and how near to the floor, beside what was set out to be reached."""
    ours, (_, floor) = access["gristmill"], floor_stages(access["floor"])
    copy, derived = access["gristmill-copy"].size, access["duckdb-derived"]
    lines = ["### What was set out to be reached", "", "| access records | figure | goal |", "|---|---:|---:|",
             f"| the whole job, in floors | {ours.cpu / floor:.2f} | at most 1.9 |",
             f"| ClickHouse's copy, in whole jobs | {access['clickhouse'].cpu / ours.cpu:.1f} | at least 4 |",
             f"| DuckDB with derived columns, in whole jobs | {derived.cpu / ours.cpu:.1f} | at least 8 |"]
    if spark:
        lines.append(f"| the Python job in PySpark, CPU, in whole jobs | {spark.cpu / ours.cpu:.0f} | at least 40 |")
    lines += [f"| bytes of our copy, by those of {label} | {copy / access[peer].size:.3f} | at most 1 |"
              for peer, label in (("polars", "Polars'"), ("clickhouse", "ClickHouse's"))]
    lines.append(f"| bytes with derived columns, by those of DuckDB's | {ours.size / derived.size:.3f} | |")
    lines.append(f"| bytes in the compact profile, by those in the standard one | {access['gristmill-compact'].size / ours.size:.3f} | at most 0.92 |")
    if spark:
        lines += ["", f"| {os.cpu_count()} CPUs, as many threads | wall s | CPU s | peak MiB |", "|---|---:|---:|---:|",
                  f"| gristmill: the whole job | {ours_on_all.wall:.2f} | {ours_on_all.cpu:.2f} | {ours_on_all.peak / MIB:.0f} |",
                  f"| PySpark: the job with Python functions, one run | {spark.wall:.1f} | {spark.cpu:.1f} | {spark.peak / MIB:.0f} (largest process) |"]
    return lines + [""]


def summary(access, spark):
    """The table of the README."""
    labels = {"gristmill": "**gristmill: the whole job** (26 columns, five derived, duplicates dropped)",
              "gristmill-compact": "the same, `encoding: compact`", "gristmill-copy": "gristmill: copy (22 columns as they are)", **PEERS}
    _, floor = floor_stages(access["floor"])
    return ["| access records, one thread on one CPU | CPU s | peak MiB | output MB |", "|---|---:|---:|---:|",
            *(f"| {label} | {access[name].cpu:.2f} | {access[name].peak / MIB:.0f} | {access[name].size / 1e6:.1f} |" for name, label in labels.items()),
            *([f"| PySpark: the job with Python functions, on {os.cpu_count()} CPUs | {spark.cpu:.0f} | {spark.peak / MIB:.0f} | |"] if spark else []),
            f"| floor: inflate, scan, and zstd of the same pages, nothing kept | {floor:.2f} | | |"]


def compare(binary, arguments):
    starting = {peer: statistics.median(run([sys.executable, BENCH / "peers.py", peer, "--import-only"], arguments.cpu).cpu for _ in range(3)) for peer in PEERS}
    lines, access, spark, ours = [], None, None, None
    for name in arguments.shapes:
        print(name, file=sys.stderr)
        results, source = measure_shape(binary, SHAPES[name], arguments, starting)
        lines += shape_table(binary, SHAPES[name], source, results)
        if name == "access":
            access = results
            if not arguments.no_spark:
                spark, ours = measure_spark(binary, source, arguments, results["gristmill-copy"].rows)
    if access:
        lines += goals(access, spark, ours)
    started = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in starting.items())
    text = "\n".join([
        f"Medians of {arguments.runs} interleaved runs" + (", PySpark's of one" if spark else "") + f". Machine: {machine()}. "
        f"Versions: {'; '.join(versions(binary))}.", f"Already taken off the peers: starting Python and loading the engine ({started}).", "", *lines])
    print(text)
    if arguments.write:
        write("bench", text.rstrip("\n"))
    if arguments.write and access:
        write("bench", "\n".join(summary(access, spark)), ROOT / "README.md")


def write(mark, text, page=ROOT / "docs" / "benchmarks.md"):
    """Replaces what stands between two marks of a page."""
    head, _, rest = page.read_text().partition(f"<!-- begin: {mark} -->")
    _, _, tail = rest.partition(f"<!-- end: {mark} -->")
    page.write_text(f"{head}<!-- begin: {mark} -->\n{text}\n\nMeasured {datetime.date.today().isoformat()}.\n<!-- end: {mark} -->{tail}")


# --- Two revisions ------------------------------------------------------------------------------------------------------

def compare_revisions(binary, arguments):
    """The same work by this tree and by another revision, built the same way in a work tree of its own."""
    with tempfile.TemporaryDirectory(prefix="gristmill-base-") as folder:
        tree = pathlib.Path(folder, "tree")
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, arguments.base], cwd=ROOT, check=True)
        try:
            subprocess.run(["meson", "setup", tree / "build", tree, "-Dtests=disabled"], check=True, stdout=subprocess.DEVNULL)
            subprocess.run(["ninja", "--quiet", "-C", tree / "build"], check=True)
            for name in arguments.shapes:
                compare_shape(binary, tree, SHAPES[name], arguments)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT)


def compare_shape(binary, tree, shape, arguments):
    """One shape by both; each runs its own main job, and both this tree's job for the other shapes."""
    records = arguments.records if shape.lines is None else shape.records * arguments.records // 1_000_000
    source, base = make_input(binary, shape, records, arguments.seed), tree / "build" / "src" / "cli" / "gristmill"
    jobs = [tree / shape.whole_job.relative_to(ROOT), shape.whole_job] if shape.whole_job else [shape.copy_job] * 2
    results = measure({
        f"base {arguments.base}": lambda target: gristmill_command(base, source, target, jobs[0]),
        "this tree": lambda target: gristmill_command(binary, source, target, jobs[1]),
    }, max(arguments.runs, 5), arguments.cpu)
    old, new = results.values()
    if old.rows != new.rows:
        sys.exit(f"bench: {old.rows} rows by {arguments.base}, {new.rows} by this tree")
    print(f"{shape.title}:")
    for label, a, b, unit in (("CPU", old.cpu, new.cpu, "s"), ("least", min(old.cpus), min(new.cpus), "s"),
                              ("peak", old.peak / MIB, new.peak / MIB, "MiB"), ("output", old.size / 1e6, new.size / 1e6, "MB")):
        print(f"    {label:7} {arguments.base} {a:9.2f} {unit:4} this tree {b:9.2f} {unit:4} {(b / a - 1) * 100:+6.1f} %")
    spread = max((max(result.cpus) - min(result.cpus)) / result.cpu for result in results.values())
    print(f"    CPU times of one revision spread over {spread * 100:.0f} %: a difference below that says nothing")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=int(os.environ.get("BENCH_RECORDS", 1_000_000)),
                        help="access records; of the other shapes as many fewer as of these")
    parser.add_argument("--runs", type=int, default=int(os.environ.get("BENCH_RUNS", 5)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cpu", type=int, default=os.cpu_count() - 1, help="the CPU that everything runs on")
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--no-spark", action="store_true", help="leave PySpark out")
    parser.add_argument("--base", help="compare with this revision instead of the peers")
    parser.add_argument("--write", action="store_true", default=bool(os.environ.get("BENCH_WRITE")), help="put the tables into docs/benchmarks.md")
    arguments = parser.parse_args()
    binary = ROOT / "build" / "gristmill"
    CACHE.mkdir(parents=True, exist_ok=True)
    (compare_revisions if arguments.base else compare)(binary, arguments)


if __name__ == "__main__":
    main()
