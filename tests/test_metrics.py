"""Metrics, the command on failure, and what is given away with them: units of systemd and alerts of Prometheus.

The format is judged by promtool, which scripts/promtool fetches, the units by systemd-analyze; what is not there is skipped."""
import contextlib
import functools
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import harness
from harness import gristmill, lines, tiny, write

JOB = harness.TINY_JOB.replace("  partition_by:", "  unique_by: [id]\n  partition_by:")
TOOL = harness.BINARY.parent / "tests/unit/watch/metrics_tool"
DEPLOY = harness.ROOT / "deploy"
LAST = "gristmill_last_run_"
BAD = b'{"id":\n'  # a record that cannot be used


@functools.cache
def promtool():
    done = subprocess.run([harness.ROOT / "scripts/promtool"], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def check_by_promtool(*arguments, text=None):
    if promtool() is None:
        pytest.skip("promtool cannot be had: see scripts/promtool")
    done = subprocess.run([promtool(), *map(str, arguments)], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def read(text):
    """The samples of a text in the exposition format: {(name, labels without the job's): number}. And {name: type}."""
    samples, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in types
            types[name] = kind
        elif not line.startswith("#"):
            name, labels, number = re.fullmatch(r"([a-z_0-9]+)(?:\{(.*)\})? (\S+)", line).groups()
            labels = dict(re.findall(r'(\w+)="([^"]*)"', labels or ""))
            labels.pop("gristmill_job", None)
            key = name, *labels.values()
            assert key not in samples
            samples[key] = float(number)
    return samples, types


@pytest.fixture
def scene(tmp_path):
    """A job with one good object. It is called with flags, and gives how the run went and the metrics it left."""
    write(tmp_path / "job.yaml", JOB.encode())
    write(tmp_path / "input/a.json", lines([tiny(i) for i in range(10)]))

    class Scene:
        folder, job, metrics, told = tmp_path, tmp_path / "job.yaml", tmp_path / "out.prom", tmp_path / "told"

        def run(self, *flags, status=0, command="run", **options):
            result = gristmill(command, self.job, "--metrics-file", self.metrics, "--json", *flags, status=status, cwd=tmp_path, **options)
            return result, read(self.metrics.read_text())[0]

        def hook(self, command, *flags, status=0, job=None, **options):
            """What GRISTMILL_* told the command, None if it was not run; and how the run went."""
            self.told.unlink(missing_ok=True)
            result = gristmill("run", job or self.job, "--on-failure", f"env -0 >{self.told}; {command}", *flags, status=status, cwd=tmp_path, **options)
            if not self.told.exists():
                return result, None
            told = dict(entry.split("=", 1) for entry in self.told.read_text().split("\0") if entry)
            return result, {name[10:]: value for name, value in told.items() if name.startswith("GRISTMILL_")}

    return Scene()


# --- The file -----------------------------------------------------------------------------------------------------------


def test_the_file_tells_what_the_summary_tells(scene):
    write(scene.folder / "input/b.json", lines([tiny(3), tiny(4, s="other")]) + BAD)
    result, told = scene.run()
    summary = result.json
    outcomes = {"written": "rows_written", "duplicate": "duplicates", "filtered": "filtered", "quarantined": "quarantined"}
    for outcome, key in outcomes.items():
        assert told[LAST + "records", outcome] == summary[key]
    assert (summary["rows_written"], summary["duplicates"], summary["quarantined"]) == (10, 2, 1)
    assert told[LAST + "record_conflicts",] == summary["conflicts"] == 1
    assert told[LAST + "objects",] == summary["inputs"] == 2
    assert told[LAST + "source_bytes",] == summary["bytes_in"] and told[LAST + "source_raw_bytes",] == summary["bytes_raw"]
    assert told[LAST + "written_files",] == len(summary["files"])
    assert told[LAST + "written_bytes",] == sum((scene.folder / "table" / file["path"]).stat().st_size for file in summary["files"])
    assert told["gristmill_table_version",] == summary["version"]
    assert told[LAST + "result", "ok"] == told[LAST + "success",] == 1
    assert abs(told[LAST + "timestamp_seconds",] - time.time()) < 60
    assert told[LAST + "duration_seconds",] == pytest.approx(summary["seconds"], abs=0.01)
    assert told[LAST + "peak_resident_memory_bytes",] > 1e6
    assert check_by_promtool("check", "metrics", text=scene.metrics.read_text()) == ""


def test_requests_to_s3_are_told(s3, tmp_path):
    s3.put("in/a.json", lines([tiny(1)]))
    job, path = write(tmp_path / "job.yaml", JOB.encode()), tmp_path / "x.prom"
    result = gristmill("run", job, "--source", s3.url("in/"), "--table", s3.url("lake/"), "--metrics-file", path, "--json", env=s3.environment())
    requests, (told, _) = result.json["requests"], read(path.read_text())
    for kind in ("list", "get", "head", "put", "delete", "multipart", "other"):
        assert told[LAST + "requests", "s3", kind] == requests[kind]
    assert requests["put"] > 0
    assert told[LAST + "request_retries", "s3"] == requests["retries"]
    assert told[LAST + "s3_received_bytes",] == requests["bytes_in"] and told[LAST + "s3_sent_bytes",] == requests["bytes_out"]


def test_runs_that_end_otherwise(scene):
    _, first = scene.run()
    time.sleep(0.01)
    _, nothing = scene.run()
    assert nothing[LAST + "result", "nothing"] == nothing[LAST + "success",] == 1
    assert nothing[LAST + "objects",] == 0
    assert nothing["gristmill_last_commit_timestamp_seconds",] == first["gristmill_last_commit_timestamp_seconds",]
    assert nothing["gristmill_last_success_timestamp_seconds",] > first["gristmill_last_success_timestamp_seconds",]

    # Too much is rejected: nothing is published, and nothing counted.
    write(scene.folder / "input/b.json", lines([tiny(20)]) + BAD * 5)
    result, refused = scene.run("--max-quarantine", "2", status=3)
    assert result.json["quarantined"] == 5
    assert refused[LAST + "result", "quarantine"] == 1 and refused[LAST + "success",] == 0
    assert sum(refused[LAST + "records", outcome] for outcome in ("written", "duplicate", "filtered", "quarantined")) == 0
    assert refused[LAST + "objects",] == refused[LAST + "source_bytes",] == 0

    # It fails before it begins: what was known of better days is kept.
    _, failed = scene.run("--source", "nowhere", status=1)
    assert failed[LAST + "result", "failed"] == 1
    for what in ("success", "commit"):
        assert failed[f"gristmill_last_{what}_timestamp_seconds",] == nothing[f"gristmill_last_{what}_timestamp_seconds",]
    assert failed[LAST + "timestamp_seconds",] > refused[LAST + "timestamp_seconds",]


def test_a_failure_in_the_middle_counts_what_was_committed(scene):
    """A plan takes one object: the second has too much to be rejected, the first is committed all the same."""
    scene.job.write_text(JOB.replace("format: json}", "format: json, plan_objects: 1}"))
    write(scene.folder / "input/b.json", lines([tiny(20)]) + BAD * 5)
    result, told = scene.run("--max-quarantine", "2", status=3)
    assert result.json["rows_written"] == 11  # of both
    assert told[LAST + "records", "written"] == 10 and told[LAST + "records", "quarantined"] == 0
    assert told[LAST + "objects",] == 1 and told[LAST + "written_files",] == 1
    assert told[LAST + "result", "quarantine"] == 1
    assert told["gristmill_last_commit_timestamp_seconds",] == told[LAST + "timestamp_seconds",]
    assert ("gristmill_last_success_timestamp_seconds",) not in told


def test_a_file_that_cannot_be_written_changes_nothing(scene):
    for path, message in (("none/x.prom", "No such file"), (scene.folder / "input", "something else than a file"), ("/dev/null", "something else")):
        result = gristmill("run", scene.job, "--metrics-file", path, "--json", cwd=scene.folder)
        assert result.json["version"] == 0
        assert "gristmill: warning: " in result.err and message in result.err
    gristmill("run", scene.job, "--metrics-file", "none/x.prom", "--source", "nowhere", status=1, cwd=scene.folder)
    assert os.path.exists("/dev/null") and not os.path.isfile("/dev/null")


def test_what_is_no_run_writes_no_metrics(scene):
    for flags in (["--dry-run"], ["--abandon"]):
        gristmill("run", scene.job, "--metrics-file", scene.metrics, *flags, cwd=scene.folder)
        assert not scene.metrics.exists()
    scene.job.write_text("job: [")
    gristmill("run", scene.job, "--metrics-file", scene.metrics, status=2, cwd=scene.folder)
    assert not scene.metrics.exists()


def test_only_a_whole_file_is_ever_seen(scene):
    """Written again and again while somebody reads: each text is whole, and no other file is left."""
    scene.metrics.write_text("old\n")
    process = harness.Process("run", scene.job, "--metrics-file", scene.metrics, "--quiet", cwd=scene.folder)
    seen = set()
    while not process.ended():
        seen.add(scene.metrics.read_text())
    seen.add(scene.metrics.read_text())
    assert process.wait().status == 0
    assert "old\n" in seen and len(seen) == 2
    assert sorted(path.name for path in scene.folder.iterdir()) == ["input", "job.yaml", "out.prom", "table"]


# --- The command on failure ---------------------------------------------------------------------------------------------


def test_the_command_learns_what_happened(scene):
    gristmill("run", scene.job, "--quiet", cwd=scene.folder)
    write(scene.folder / "input/b.json", BAD * 200)
    result, told = scene.hook("echo out; echo err >&2", "--json", status=3)
    assert told["JOB"] == "tiny" and told["STATUS"] == "QUARANTINE" and told["VERSION"] == str(result.json["version"])
    assert told["TABLE"].endswith("table")
    assert told["MESSAGE"] == result.json["error"]["message"]
    assert len(result.out.splitlines()) == 1  # what the command says is not among the JSON
    assert "out\n" in result.err and "err\n" in result.err


def test_the_command_is_for_failures_alone(scene):
    assert scene.hook("true")[1] is None
    assert scene.hook("true")[1] is None  # nothing is new
    assert scene.hook("true", "--tread", "1", status=2)[1] is None  # not even begun


def test_a_command_that_fails_changes_nothing(scene):
    for command, message in (("exit 7", "ended with status 7"), ("kill -9 $$", "ended by signal 9")):
        result, told = scene.hook(command, "--source", "nowhere", status=1)
        assert told["STATUS"] == "NOT_FOUND" and told["VERSION"] == ""
        assert f"gristmill: warning: the command on failure {'was ' if 'signal' in message else ''}{message}" in result.err


def test_a_wrong_job_file_is_a_failure(scene):
    bad = write(scene.folder / "bad.yaml", b"job: x\nsource: {}\n")
    _, told = scene.hook("true", status=2, job=bad)
    assert told["JOB"] == str(bad) and told["STATUS"] == "JOB" and told["TABLE"] == ""
    assert "\n" not in told["MESSAGE"] and "bad.yaml" in told["MESSAGE"]


def test_hostile_names_are_no_code(scene):
    """A message that a shell would like to run comes as data."""
    trap = scene.folder / "trap"
    _, told = scene.hook('test -n "$GRISTMILL_MESSAGE" && eval true', "--source", f"no'\"`touch {trap}`$(touch {trap})\nwhere", status=1)
    assert f"`touch {trap}`$(touch {trap}) where" in told["MESSAGE"]
    assert not trap.exists()


def alive(group):
    """The processes of a group that run; those that nobody has waited for yet do not."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, of = path.read_text().rsplit(")", 1)[1].split()[:3]
            if int(of) == group and state not in "ZX":
                found.append(path)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_does_not_wait_for_the_command(scene, number):
    begun = scene.folder / "begun"
    process = harness.Process("run", scene.job, "--source", "nowhere", "--quiet", "--on-failure",
                              f"trap '' INT TERM; echo $$ >{begun}.tmp; mv {begun}.tmp {begun}; sleep 40", cwd=scene.folder)
    while not begun.exists():
        assert not process.ended()
        time.sleep(0.01)
    start = time.monotonic()
    process.kill(number)
    result = process.wait()
    assert time.monotonic() - start < 5
    assert result.status == 1 and "stopped while the command on failure ran" in result.err
    assert not alive(int(begun.read_text()))


def test_a_stopped_run_is_no_failure(scene):
    """A big input, stopped while it is read."""
    write(scene.folder / "input/b.json", lines([tiny(i) for i in range(100, 2100)]) * 200)
    process = harness.Process("run", scene.job, "--threads", "1", "--metrics-file", scene.metrics, "--on-failure", f"touch {scene.told}", cwd=scene.folder)
    while not (scene.folder / "table/_gristmill/tiny/work").exists():
        assert not process.ended()
        time.sleep(0.005)
    process.kill(signal.SIGTERM)
    result = process.wait()
    assert result.status == 143, result
    assert not scene.told.exists()
    assert read(scene.metrics.read_text())[0][LAST + "result", "interrupted"] == 1


# --- What is served -----------------------------------------------------------------------------------------------------


def test_what_is_served():
    process = subprocess.Popen([TOOL, "serve", "127.0.0.1:0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(url + "/metrics", timeout=5) as answer:
            text = answer.read().decode()
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        samples, _ = read(text)
        assert 89 < samples["gristmill_lag_seconds",] < 150
        assert samples["gristmill_run_duration_seconds_bucket", "5"] == 1
        assert abs(samples["process_start_time_seconds",] - time.time()) < 60
        assert check_by_promtool("check", "metrics", text=text) == ""
        with urllib.request.urlopen(url + "/healthz", timeout=5) as answer:
            assert (answer.status, answer.read()) == (200, b"ok\n")
        print("sick", file=process.stdin, flush=True)
        process.stdout.readline()
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url + "/healthz", timeout=5)
        assert (caught.value.code, caught.value.read()) == (503, b"told to be unwell\n")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url + "/", timeout=5)
        assert caught.value.code == 404
    finally:
        process.stdin.close()
        assert process.wait(10) == 0
        process.stdout.close()


# --- Documentation ------------------------------------------------------------------------------------------------------


def documented():
    """Of the table in docs/metrics.md: {form: {name: type}}."""
    found = {"served": {}, "file": {}}
    page = (harness.ROOT / "docs/metrics.md").read_text().split("## All of them")[1].split("\n## ")[0]
    for served, file, kind in re.findall(r"(?m)^\| ([^|]*) \| ([^|]*) \| ([^|]*) \|", page):
        types = kind.split(" / ")
        found["served"].update({name: types[0] for name in re.findall(r"`(\w+)`", served)})
        found["file"].update({name: types[-1] for name in re.findall(r"`(\w+)`", file)})
    return found


@pytest.mark.parametrize("form", ["served", "file"])
def test_the_page_lists_what_is_told(form):
    text = subprocess.run([TOOL, form], capture_output=True, text=True, check=True).stdout
    assert documented()[form] == read(text)[1]
    page = (harness.ROOT / "docs/metrics.md").read_text()
    for name, value in set(re.findall(r'(\w+)="([^"]*)"', text)) - {("gristmill_job", "tool")}:
        assert f"`{name}`" in page, name
        assert name in ("version", "le") or f"`{value}`" in page, value
    for _, _, unit in re.findall(r"(?m)^# (HELP|TYPE) (\w+?)_(seconds|bytes|total)?\b", text):
        assert unit in ("seconds", "bytes", "total", "")


def test_what_explains_a_metric_in_files_stays_the_same():
    """The node exporter drops a metric that two files explain differently: those of two versions lie side by side. Whoever must
    change a text gives the metric another name, or says in the changelog that files of older versions are to be removed."""
    text = subprocess.run([TOOL, "file"], capture_output=True, text=True, check=True).stdout
    helps = "".join(sorted(re.findall(r"(?m)^# HELP .*\n", text)))
    assert hashlib.sha256(helps.encode()).hexdigest()[:16] == "5940e68e25579f99"


# --- Prometheus and systemd ---------------------------------------------------------------------------------------------


def test_alerts_are_about_metrics_that_there_are():
    text = (DEPLOY / "prometheus/alerts.yaml").read_text()
    known = {**documented()["served"], **documented()["file"]}
    used = set(re.findall(r"\b(?:gristmill|process)_\w+", re.sub(r"(?m)^\s*(summary|description|#).*$", "", text))) - {"gristmill_job"}
    assert used and used <= set(known)


def test_alerts_by_promtool():
    assert "SUCCESS" in check_by_promtool("check", "rules", DEPLOY / "prometheus/alerts.yaml")
    assert "SUCCESS" in check_by_promtool("test", "rules", DEPLOY / "prometheus/alerts_test.yaml")
    tested = (DEPLOY / "prometheus/alerts_test.yaml").read_text()
    for name in re.findall(r"alert: (\w+)", (DEPLOY / "prometheus/alerts.yaml").read_text()):
        assert len(re.findall(rf"alertname: {name}\b", tested)) >= 2, name


@pytest.fixture
def units(tmp_path):
    """The units as instances, of a program that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not there (Debian package systemd)")
    paths = []
    for template in sorted((DEPLOY / "systemd").glob("*@.*")):
        paths.append(tmp_path / template.name.replace("@.", "@job."))
        paths[-1].write_text(template.read_text().replace("/usr/local/bin/gristmill", str(harness.BINARY)))
    assert len(paths) == 3
    return paths


def test_units_are_what_systemd_understands(units):
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"})
    assert done.returncode == 0 and done.stderr == "", done.stderr


def test_units_are_confined(units):
    for unit in units:
        if unit.suffix != ".service":
            continue
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout  # the exposure is at most 2.0


def test_flags_of_units_are_flags_of_commands():
    for command, name in (("run", "gristmill-run@.service"),):
        text = (DEPLOY / "systemd" / name).read_text()
        help_text = gristmill("help", command).out
        for flag in re.findall(r"GRISTMILL_FLAGS=.*?(--[a-z-]+)", text):
            assert flag in help_text


def test_the_command_of_the_job_file(tmp_path):
    """watch.on_failure is of `run`, too; a flag goes before it."""
    told = tmp_path / "told"
    job = harness.write(tmp_path / "job.yaml", (harness.TINY_JOB + f"watch:\n  on_failure: 'echo \"$GRISTMILL_STATUS\" > {told}'\n").encode())
    harness.write(tmp_path / "in" / "a.json", harness.dump(harness.tiny(1)))
    harness.run(job, tmp_path / "missing", tmp_path / "out", status=1)
    assert told.read_text().strip() == "NOT_FOUND"
    told.unlink()
    harness.run(job, tmp_path / "missing", tmp_path / "out", "--on-failure", "true", status=1)
    harness.run(job, tmp_path / "in", tmp_path / "out")
    assert not told.exists()
