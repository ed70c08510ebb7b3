"""What the tests share: running the program, making input, reading tables.

Nothing here uses the program under test to judge it: rows are read by pyarrow, quarantine files by gzip and json."""
import base64
import datetime
import gzip
import hashlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("GRISTMILL", ROOT / "build" / "gristmill"))
SANITIZED = os.environ.get("GRISTMILL_SANITIZED", "") != ""  # an ASan or TSan build: slower, and far larger
JOBS = ROOT / "jobs"
MAIN_JOB = JOBS / "access-record.yaml"
MIB = 1 << 20
SLOW = 8 if SANITIZED else 1


@dataclass
class Result:
    """One finished process. `peak` is its largest resident set in bytes if that was measured, `cpu` user and system seconds."""

    status: int
    out: str
    err: str
    peak: int | None
    cpu: float
    seconds: float
    args: list = field(default_factory=list)

    @property
    def json(self):
        lines = [line for line in self.out.split("\n") if line.strip()]
        assert lines, f"no JSON on stdout; stderr was:\n{self.err}"
        return json.loads(lines[-1])

    def __str__(self):
        return f"{' '.join(map(str, self.args))}\nstatus {self.status}\n--- out\n{self.out[-4000:]}\n--- err\n{self.err[-4000:]}"


class Process:
    """A running gristmill whose output goes to files, so that no pipe can stall it.

    The kernel counts what the parent held at the fork as the child's: measure=True runs the program below GNU time, which
    is small, so that `peak` is the program's own. Signals then do not reach the program."""

    def __init__(self, *args, env=None, before=None, cwd=None, measure=False, binary=None):
        self.args = [str(binary or BINARY), *map(str, args)]
        self.usage = None
        if measure:
            self.usage = tempfile.NamedTemporaryFile("r", prefix="usage-")
            self.args = ["/usr/bin/time", "-q", "-f", "%M", "-o", self.usage.name, *self.args]
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.start = time.monotonic()
        environment = {**os.environ, **(env or {})}
        self.popen = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err,
                                      env=environment, preexec_fn=before, cwd=cwd)

    def wait(self, timeout=300):
        """Waits and returns a Result; a process that outlives its time is killed and fails the test."""
        late = threading.Timer(timeout * SLOW, self.kill)
        late.start()
        _, status, usage = os.wait4(self.popen.pid, 0)
        overdue = not late.is_alive()
        late.cancel()
        self.popen.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for stream in (self.out, self.err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
            stream.close()
        peak = int(self.usage.read()) * 1024 if self.usage else None
        result = Result(self.popen.returncode, *texts, peak, usage.ru_utime + usage.ru_stime,
                        time.monotonic() - self.start, self.args)
        assert not overdue, f"did not end within {timeout * SLOW} s: {result}"
        return result

    # Popen's own methods would reap the process, and its resource usage with it.
    def kill(self, number=signal.SIGKILL):
        os.kill(self.popen.pid, number)

    def ended(self):
        return os.waitid(os.P_PID, self.popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def gristmill(*args, status=0, timeout=300, **options):
    """Runs the program to its end and checks its exit status (None: whatever it is)."""
    result = Process(*args, **options).wait(timeout)
    assert status is None or result.status == status, f"expected status {status}: {result}"
    assert result.status >= 0 or status is not None and status < 0 or status is None, f"died by a signal: {result}"
    return result


def kill_some(random, processes, seconds, share):
    """Kills, by chance, that share of the processes while they run, which take about so long. What became of each."""
    for process in processes:
        time.sleep(random.random() * seconds / len(processes))
        if random.random() < share and not process.ended():
            process.kill()
    return [process.wait() for process in processes]


def run(job, source, table, *flags, **options):
    return gristmill("run", job, "--source", source, "--table", table, "--json", *flags, **options)


def limit_file_size(size):
    """For `before=`: no file may grow beyond size bytes (a disk that is full, seen from the program)."""

    def apply():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return apply


def counted(name, number=1):
    """Adds to a count that a long run of the tests prints at its end (scripts/soak)."""
    if "GRISTMILL_COUNTS" in os.environ:
        with open(os.environ["GRISTMILL_COUNTS"], "a") as stream:
            stream.write(f"{number} {name}\n")


def memory_folder():
    """Where a folder in memory may be made, or None: many small tables need not wait for a disk each time that they are
    flushed to it. GRISTMILL_DISK=1 has them on disk all the same."""
    folder = pathlib.Path("/dev/shm")
    if os.environ.get("GRISTMILL_DISK") or not os.access(folder, os.W_OK) or shutil.disk_usage(folder).free < 512 * MIB:
        return None
    return folder


# --- Input --------------------------------------------------------------------------------------------------------------

DAY_MS = 86_400_000
T0 = 1_710_028_800_000  # 2024-03-10T00:00:00Z


def access_record(number, **payload):
    """One document of the main job, complete and valid; keyword arguments replace payload values."""
    t = payload.pop("timestamp", T0 + number % DAY_MS)
    body = {
        "sessionId": f"{number:08x}-0000-4000-8000-000000000000", "timestamp": t, "userId": 3_300_000 + number % 1000,
        "method": ("GET", "POST", "PUT", "DELETE")[number % 4], "requestURL": f"/repo/v1/entity/syn{number}/bundle2",
        "userAgent": "synapseclient/4.1.0 python-requests/2.31.0", "host": "repo-prod.prod.sagebase.org",
        "origin": None, "xforwardedFor": f"10.0.{number // 250 % 250}.{number % 250}", "via": None, "threadId": 20 + number % 400,
        "elapseMS": number % 700, "success": number % 9 != 0, "stack": "prod", "instance": "000000490",
        "date": "2024-03-10", "vmId": "ab" * 20, "returnObjectId": None, "queryString": "limit=50",
        "responseStatus": 200, "oauthClientId": None, "basicAuthUsername": None, "authenticationMethod": "SESSIONTOKEN",
    }
    body.update(payload)
    return {"stack": "prod", "instance": "000000490", "timestamp": t, "payload": body}


def dump(document, ascii_only=False):
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=ascii_only)
    return text.encode("utf-8", "surrogatepass")


def lines(documents):
    return b"".join(dump(document) + b"\n" for document in documents)


def write(path, data):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def write_gz(path, data, level=1):
    return write(path, gzip.compress(data, level, mtime=0))


TINY_JOB = """\
job: tiny
source: {location: ./input, format: json}
table:
  location: ./table
  database: test
  name: tiny
  partition_by:
    - {name: day, type: string, expr: "date_format(timestamp, '%Y-%m-%d')", comment: the record's day}
columns:
  - {name: id, type: bigint, from: id, comment: a number}
  - {name: timestamp, type: timestamp, from: t, unit: ms, required: true, comment: when}
  - {name: s, type: string, from: s, comment: text}
  - {name: ok, type: boolean, from: ok, comment: a flag}
  - {name: x, type: double, from: x, comment: a measure}
"""


def tiny(number, **more):
    return {"id": number, "t": T0 + number, **more}


# --- Tables -------------------------------------------------------------------------------------------------------------

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def data_files(table):
    """Paths of what a Hive reader sees: Parquet files in folders that begin with neither '_' nor '.'."""
    table = pathlib.Path(table)
    found = []
    for folder, names, files in os.walk(table):
        names[:] = sorted(n for n in names if n[0] not in "_.")
        found += [pathlib.Path(folder, f) for f in files if f[0] not in "_."]
    return sorted(found)


def partition_of(table, path):
    from urllib.parse import unquote

    values = {}
    for part in path.relative_to(table).parts[:-1]:
        name, _, value = part.partition("=")
        values[unquote(name)] = None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
    return values


def plain(value):
    """A cell as JSON: times as ISO text in UTC with microseconds, dates as ISO text."""
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def iso(ms):
    return plain(EPOCH + datetime.timedelta(milliseconds=ms))


def iso_of_us(us):
    """As plain() of a timestamp; also for years that strftime does not pad."""
    if us is None:
        return None
    t = EPOCH + datetime.timedelta(microseconds=us)
    return f"{t.year:04}-{t.month:02}-{t.day:02}T{t.hour:02}:{t.minute:02}:{t.second:02}.{t.microsecond:06}Z"


def read_table(table):
    """All rows, by pyarrow, as dicts of plain values, partition columns behind the others, in the order of file names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = []
    for path in data_files(table):
        arrow = pq.ParquetFile(path).read()
        columns = {}
        for name, column in zip(arrow.schema.names, arrow.columns):
            if pa.types.is_timestamp(column.type):
                assert column.type == pa.timestamp("us", tz="UTC"), (name, column.type)
                columns[name] = [iso_of_us(v) for v in column.cast(pa.int64()).to_pylist()]
            else:
                columns[name] = [plain(v) for v in column.to_pylist()]
        partition = partition_of(table, path)
        names = list(columns)
        for values in zip(*columns.values()):
            rows.append({**dict(zip(names, values)), **partition})
    return rows


def row_key(row):
    return json.dumps(row, sort_keys=True, ensure_ascii=False)


def in_order(rows):
    return sorted(rows, key=row_key)


def fingerprint(table):
    """Name -> sha256 of every data file: equal for two tables that are the same bytes."""
    table = pathlib.Path(table)
    return {str(p.relative_to(table)): hashlib.sha256(p.read_bytes()).hexdigest() for p in data_files(table)}


def quarantine(table):
    """Every quarantine entry of a table, with `raw` decoded to bytes, in file order."""
    entries = []
    for path in sorted(pathlib.Path(table).glob("_gristmill/*/quarantine/*/*.ndjson.gz")):
        for line in gzip.open(path, "rb"):
            entry = json.loads(line)
            raw = entry["raw"]
            entry["raw"] = base64.b64decode(raw) if entry.get("encoding") == "base64" else raw.encode("utf-8")
            entries.append(entry)
    return entries


def leftovers(table, far=False):
    """Files of a table that no finished run needs: staged ones and key lists of runs that are over. Manifests stay. far: of a table
    that was on S3, where what lies below the oldest bookmark is swept when the next one is written.

    A put that dies can leave a hidden file of a few bytes, ".<32 hex digits>.tmp": no listing shows it, nothing reads it."""
    def oldest(job):
        return min((int(p.name) for p in (job / "bookmark").glob("*") if p.name.isdigit()), default=0) if far else 0

    found = []
    for job in pathlib.Path(table).glob("_gristmill/*"):
        first = oldest(job)
        found += [p for p in job.glob("work/*/**/*") if p.is_file() and int(p.relative_to(job).parts[1]) >= first
                  and p.suffix != ".json" and not re.fullmatch(r"\.[0-9a-f]{32}\.tmp", p.name)]
    return found


def assert_balanced(summary):
    """The promise: read = written + duplicates + filtered + quarantined; also in bytes where they are given."""
    parts = summary["rows_written"] + summary["duplicates"] + summary["filtered"] + summary["quarantined"]
    assert summary["records_read"] == parts, summary
    if "record_bytes" in summary:
        spans = summary["record_bytes"] + summary["separator_bytes"] + summary["quarantined_bytes"]
        assert summary["bytes_raw"] == spans, summary
    if "files" in summary:
        assert sum(f["rows"] for f in summary["files"]) == summary["rows_written"], summary
