"""The command line: flags, help, exit statuses, progress, the JSON objects; and the sample that `generate` writes."""
import collections
import fcntl
import gzip
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

import pytest

import harness
from harness import BINARY, MAIN_JOB, Process, gristmill

COMMANDS = ["run", "check", "preview", "status", "bookmark", "quarantine", "catalog", "verify", "why", "watch", "doctor", "policy", "plan", "work", "commit", "generate",
            "help"]
PLANNED = ["compact", "lambda"]
RUN_KEYS = ["run", "version", "committed", "runs", "inputs", "bytes_in", "bytes_raw", "records_read", "rows_written",
            "duplicates", "filtered", "quarantined", "files", "seconds"]


def flags_of(text):
    return set(re.findall(r"(?m)^  (--[a-z-]+)", text))


def all_flags_of(command):
    """Of a command, and of the words that it may take behind its operand."""
    text = gristmill("help", command).out
    words = re.findall(r"(?m)^  ([a-z]+)  ", text)
    return flags_of(text).union(*(flags_of(gristmill("help", command, word).out) for word in words))


# --- Help ---------------------------------------------------------------------------------------------------------------


def test_help_lists_every_command():
    text = gristmill("help").out
    assert text == gristmill("--help").out
    for command in COMMANDS:
        assert re.search(rf"(?m)^  {command} ", text)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command):
    text = gristmill("help", command).out
    assert text.startswith(f"usage: gristmill {command}")
    assert text == gristmill(command, "--help").out
    assert max(map(len, text.splitlines())) <= 100


def test_help_of_job_files_names_keys_and_functions():
    text = gristmill("help", "job").out
    for word in ("partition_by", "unique_by", "on_error", "synapse_client", "regexp_like"):
        assert word in text


def test_without_arguments_the_usage_goes_to_stderr():
    result = gristmill(status=2)
    assert result.out == "" and "usage: gristmill" in result.err


def test_version_names_the_libraries():
    first, second, _ = gristmill("--version").out.splitlines()  # the third: test_cpu.py
    assert re.fullmatch(r"gristmill \d+\.\d+\.\d+", first)
    for library in ("zstd", "snappy", "pcre2", "sqlite"):
        assert re.search(rf"{library} \d", second)


def test_manual_page_and_help_name_the_same_flags():
    page = (harness.ROOT / "docs/gristmill.1.md").read_text()
    sections = {part.split()[0]: part for part in page.split("\n### gristmill ")[1:]}
    for command in COMMANDS:
        told = all_flags_of(command)
        body = sections[command].split("\n## ")[0]
        defined = set(re.findall(r"(?m)^`(--[a-z-]+)`", body))
        shared = set(re.findall(r"`(--[a-z-]+)`", "".join(re.findall(r"(?:Takes|words take) [^.]*\.", body))))
        if command != "help":
            assert defined | shared == told, command


def test_manual_page_renders_without_complaint(tmp_path):
    page = tmp_path / "gristmill.1"
    subprocess.run([harness.ROOT / "scripts/make-man", harness.ROOT / "docs/gristmill.1.md", page, "1.2.3"], check=True)
    result = subprocess.run(["groff", "-man", "-ww", "-Tutf8", page], capture_output=True, check=True)
    assert result.stderr == b""
    text = re.sub(rb"\x1b\[[0-9;]*m|.\x08", b"", result.stdout).decode()
    for word in ("NAME", "EXIT STATUS", "--max-quarantine N|P%", "gristmill 1.2.3"):
        assert word in text


# --- Wrong usage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, message, hint", [
    (["rnu"], "unknown command 'rnu'", "did you mean 'run'?"),
    (["ccheck", "x"], "unknown command 'ccheck'", "did you mean 'check'?"),
    (["frobnicate"], "unknown command 'frobnicate'", "lists the commands"),
    (["--verison"], "unknown flag --verison", "help"),
    (["help", "rum"], "unknown command 'rum'", "did you mean 'run'?"),
    (["run"], "run: JOB is missing", "gristmill help run"),
    (["run", "a", "b"], "run: unexpected argument 'b'", "gristmill help run"),
    (["run", "a", "--tread", "1"], "run: unknown flag --tread", "did you mean --threads?"),
    (["run", "a", "--tabel=x"], "run: unknown flag --tabel", "did you mean --table?"),
    (["run", "a", "--mem", "1G"], "run: unknown flag --mem", "did you mean --memory?"),
    (["run", "a", "-n"], "run: unknown flag -n", "--like-this"),
    (["run", "a", "--dry-run=yes"], "--dry-run takes no value", ""),
    (["run", "a", "--threads"], "--threads takes a whole number from 0 to 1024", ""),
    (["run", "a", "--threads", "two"], "not 'two'", ""),
    (["run", "a", "--threads", "-1"], "not '-1'", ""),
    (["run", "a", "--threads", "1025"], "from 0 to 1024, not '1025'", ""),
    (["run", "a", "--limit", "0"], "at least 1, not '0'", ""),
    (["run", "a", "--limit", "99999999999999999999"], "--limit takes a whole number", ""),
    (["run", "a", "--memory", "1X"], "takes a size such as 256M", ""),
    (["run", "a", "--memory", "99999999T"], "takes a size such as 256M", ""),
    (["run", "a", "--memory", ""], "takes a size such as 256M", ""),
    (["run", "a", "--max-quarantine", "101%"], "not '101%'", ""),
    (["run", "a", "--max-quarantine", "nan%"], "not 'nan%'", ""),
    (["run", "a", "--set", "A"], "takes NAME=VALUE", ""),
    (["run", "a", "--set", "1A=2"], "takes NAME=VALUE", ""),
    (["run", "a", "--source="], "--source takes a value that is not empty", ""),
    (["preview", "a", "--rows", "0"], "from 1 to 100000, not '0'", ""),
    (["quarantine", "a", "replay", "--run", "0"], "--run takes a whole number, at least 1, not '0'", ""),
    (["quarantine", "a", "replay", "--run", "1", "--run", "x"], "not 'x'", ""),
    (["quarantine", "a", "show", "--raeson", "x"], "unknown flag --raeson", "did you mean --reason?"),
    (["quarantine", "a", "replya"], "'replya' is not one of list, show or replay", "did you mean 'replay'?"),
    (["generate", "d", "--start", "2023-02-29"], "takes a time in UTC", ""),
    (["generate", "d", "--start", "yesterday"], "takes a time in UTC", ""),
    (["generate", "d", "--bad", "1.5"], "from 0 to 1, not '1.5'", ""),
    (["generate", "d", "--bad", "1e-3"], "not '1e-3'", ""),
    (["generate", "d", "--hours", "0"], "hours", ""),
    (["generate", "d", "--level", "10"], "from 0 to 9", ""),
])
def test_wrong_usage(arguments, message, hint, tmp_path):
    result = gristmill(*arguments, status=2, cwd=tmp_path)
    assert result.out == ""
    assert message in result.err and hint in result.err
    assert result.err.startswith("gristmill: ")


@pytest.mark.parametrize("command", PLANNED)
def test_planned_commands_say_so(command):
    assert f"'{command}' is not part of this version" in gristmill(command, "x", status=2).err


def test_foreign_text_cannot_drive_the_terminal(tmp_path):
    result = gristmill("run", tmp_path / "\x1b[31m\n\u202e.yaml", status=2)
    assert "\x1b" not in result.err and "\u202e" not in result.err
    assert "\\x1B[31m\\n\\u{202E}.yaml" in result.err


# --- Standard streams ---------------------------------------------------------------------------------------------------


def shell(command, **options):
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, env={**os.environ, "G": str(BINARY)}, timeout=120,
                          **options)


def test_output_that_cannot_be_written_is_a_failure(tmp_path):
    for command in ("--version", "help", "help run", f"generate {tmp_path}/g --records 10"):
        result = shell(f"$G {command} > /dev/full")
        assert result.returncode == 1 and "cannot write to standard output: No space left" in result.stderr, command


def test_closed_standard_streams_are_not_reused_for_files(tmp_path):
    assert shell("$G help >&-").returncode == 1
    assert shell(f"$G generate {tmp_path}/g --records 2000 >&- 2>&- <&-").returncode == 1
    for path in (tmp_path / "g").rglob("*.gz"):
        assert all(json.loads(line) is not None for line in gzip.decompress(path.read_bytes()).splitlines()[:1])


def test_a_reader_that_leaves_is_no_failure():
    result = shell("$G help run | true; echo ${PIPESTATUS[0]}")
    assert result.stdout.strip() == "0" and result.stderr == ""


# --- Progress and signals -----------------------------------------------------------------------------------------------


def on_terminal(*arguments, columns=100, env=None, resize=None):
    """Runs the program on a pseudo terminal; all it wrote there, and its exit status."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.pop("NO_COLOR", None)
        os.environ.update({"TERM": "xterm", "LC_ALL": "C.UTF-8", **(env or {})})
        time.sleep(0.1)  # the window gets its size first
        os.execv(BINARY, [str(BINARY), *map(str, arguments)])
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    out = b""
    while True:
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        if not piece:
            break
        out += piece
        if resize and b"[K" in out:
            fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, resize, 0, 0))
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    return out.decode(), status


def bars(text):
    """The lines that were drawn in place, without colour."""
    return [part.split("\r\n")[0].replace("\x1b[32m", "").replace("\x1b[0m", "") for part in text.split("\r\x1b[K")[1:]]


@pytest.mark.parametrize("columns", [120, 80, 40, 12, 3])
def test_the_bar_fits_the_terminal(columns, tmp_path):
    text, status = on_terminal("generate", tmp_path / "g", "--records", "60000", columns=columns)
    drawn = [bar for bar in bars(text) if bar]
    assert status == 0 and (len(drawn) > 1 or columns < 5)
    assert all(len(bar) < columns for bar in drawn[1:-1])
    if columns >= 40:
        assert drawn[0] == "generate" and drawn[1].startswith("generate [") and "\x1b[32m" in text
    assert "records in" in text.split("\r\x1b[K")[-1]


def test_the_bar_follows_a_resized_window(tmp_path):
    text, _ = on_terminal("generate", tmp_path / "g", "--records", "60000", columns=120, resize=50)
    assert all(len(bar) < 50 for bar in bars(text)[3:-1])


@pytest.mark.parametrize("env, absent", [({"NO_COLOR": "1"}, "\x1b[32m"), ({"TERM": "dumb"}, "\x1b"), ({"LC_ALL": "C"}, "█")])
def test_the_environment_tames_the_bar(env, absent, tmp_path):
    text, status = on_terminal("generate", tmp_path / "g", "--records", "20000", env=env)
    assert status == 0 and absent not in text and "generate" in text


def test_a_pipe_gets_plain_lines(tmp_path):
    result = gristmill("generate", tmp_path / "g", "--records", "5000")
    assert result.err.splitlines()[0].startswith("gristmill: generate: 0/")
    assert "100 %" in result.err.splitlines()[-1]
    assert "\r" not in result.err and "\x1b" not in result.err
    assert gristmill("generate", tmp_path / "h", "--records", "5000", "--quiet").err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly(number, tmp_path):
    process = Process("generate", tmp_path / "g", "--records", "3000000")
    while not any((tmp_path / "g").rglob("*.gz")):
        time.sleep(0.01)
    process.kill(number)
    result = process.wait(20)
    assert result.status == 128 + number
    assert [path for path in (tmp_path / "g").rglob("*") if path.is_file() and path.suffix != ".gz"] == []
    for path in (tmp_path / "g").rglob("*.gz"):
        gzip.decompress(path.read_bytes())


# --- Jobs ---------------------------------------------------------------------------------------------------------------


def test_check_prints_the_schema():
    text = gristmill("check", MAIN_JOB, "--source", "x", "--table", "y").out
    for word in ("session_id", "normalized_method_signature", "timestamp", "bigint"):
        assert word in text
    assert isinstance(json.loads(gristmill("check", MAIN_JOB, "--source", "x", "--table", "y", "--json").out), dict)


def test_a_job_error_names_file_line_and_column(tmp_path):
    job = harness.write(tmp_path / "j.yaml", harness.TINY_JOB.replace("type: bigint", "type: bigimt").encode())
    line = harness.TINY_JOB[:harness.TINY_JOB.index("type: bigint")].count("\n") + 1
    for command in ("check", "run", "preview"):
        result = gristmill(command, job, status=2)
        assert re.match(rf"gristmill: {re.escape(str(job))}:{line}:\d+: .*bigimt", result.err), result
        assert re.search(r"(?m)^  hint: .*bigint", result.err), result
    for command in ("check", "run", "preview"):
        result = gristmill(command, job, "--json", status=2)
        error = json.loads(result.out)["error"]
        assert error["code"] == "JOB" and error["line"] == line and error["object"] == str(job)


def test_a_missing_job_file_is_wrong_usage(tmp_path):
    result = gristmill("run", tmp_path / "no.yaml", "--json", status=2)
    report = result.json
    assert report["committed"] is False and report["run"] is None and report["error"]["object"].endswith("no.yaml")


def test_run_prints_one_json_object(sample, tmp_path):
    result = gristmill("run", MAIN_JOB, "--source", sample, "--table", tmp_path / "t", "--json")
    assert result.out.count("\n") == 1
    report = json.loads(result.out)
    assert set(RUN_KEYS) <= set(report) and "error" not in report
    assert report["version"] == 0 and report["committed"] is True and report["runs"] == [report["run"]]
    assert report["records_read"] == sum(report[key] for key in ("rows_written", "duplicates", "filtered", "quarantined"))
    assert report["bytes_raw"] == sum(report[key] for key in ("record_bytes", "separator_bytes", "quarantined_bytes"))
    assert report["rows_written"] == sum(file["rows"] for file in report["files"])
    assert len(report["objects"]) == report["inputs"]
    for key in ("records_read", "rows_written", "duplicates", "quarantined", "bytes_raw"):
        assert report[key] == sum(one[key] for one in report["objects"])
    for file in report["files"]:
        assert os.path.getsize(tmp_path / "t" / file["path"]) == file["bytes"]
        assert set(file["partition"]) == {"year", "month", "day"}


def test_spill_files_go_where_they_are_told(sample, tmp_path):
    """The table is a directory, so no requests are counted; scratch that is no folder is named at once."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    ran = gristmill("run", MAIN_JOB, "--source", sample, "--table", tmp_path / "table", "--memory", "64M", "--json",
                    "--scratch", scratch)
    assert "requests" not in json.loads(ran.out)
    assert list(scratch.iterdir()) == []
    failed = gristmill("run", MAIN_JOB, "--source", sample, "--table", tmp_path / "other", "--scratch",
                       tmp_path / "none", status=1)
    assert str(tmp_path / "none") in failed.err


@pytest.mark.parametrize("table", ["s3://bucket", "s3://bucket/in/t/", "s3://bucket/in"])
def test_source_and_table_lie_apart_in_s3_too(table, tmp_path):
    """Told before anything is asked of the service."""
    env = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    result = gristmill("run", MAIN_JOB, "--source", "s3://bucket/in/", "--table", table, status=2, env=env)
    assert "must not lie one inside the other" in result.err


def test_run_prints_a_summary(sample, tmp_path):
    out = gristmill("run", MAIN_JOB, f"--source={sample}", f"--table={tmp_path / 't'}").out
    numbers = [int(n.replace(",", "")) for n in re.search(
        r"records +([\d,]+) read = ([\d,]+) written \+ ([\d,]+) duplicates \+ ([\d,]+) filtered \+ ([\d,]+) quarantined", out).groups()]
    assert numbers[0] == sum(numbers[1:])
    assert re.search(r"bytes +[\d,]+ inflated = ", out)
    assert re.search(r"year=2024/month=03/day=10 +[\d,]+ +\d+ +[\d.]+ [kM]B", out)
    assert gristmill("run", MAIN_JOB, f"--source={sample}", f"--table={tmp_path / 'u'}", "--quiet").out == ""


def test_the_generated_sample_is_what_the_job_finds(tmp_path):
    sample = gristmill("generate", tmp_path / "g", "--records", "50000", "--duplicates", "0.02", "--bad", "0.01", "--json").json
    assert sample["duplicates"] > 800 and sample["rejected"] > 250
    report = harness.run(MAIN_JOB, tmp_path / "g", tmp_path / "t", "--max-quarantine", "5%").json
    assert report["records_read"] == sample["records"]
    assert report["duplicates"] == sample["duplicates"]
    assert report["quarantined"] == sample["rejected"]
    assert report["bytes_raw"] == sample["bytes_raw"] and report["bytes_in"] == sample["bytes"]
    assert report["inputs"] == sample["objects"]


def test_dry_run_stores_nothing(sample, tmp_path):
    report = harness.run(MAIN_JOB, sample, tmp_path / "t", "--dry-run").json
    assert report["committed"] is False and report["run"] is None and report["rows_written"] > 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_quarantine_limit_is_status_3(sample, tmp_path):
    result = harness.run(MAIN_JOB, sample, tmp_path / "t", "--max-quarantine", "0", status=3)
    assert result.json["committed"] is False and result.json["error"]["code"] == "QUARANTINE"
    assert harness.data_files(tmp_path / "t") == []


def test_preview_shows_rows(sample):
    text = gristmill("preview", MAIN_JOB, "--source", sample, "--table", "/nonexistent/t", "--rows", "7").out
    assert "session_id" in text and "[7]" in text and max(map(len, text.splitlines())) <= 120
    report = gristmill("preview", MAIN_JOB, "--source", sample, "--table", "/nonexistent/t", "--rows", "7", "--json").json
    assert len(report["rows"]) == 7 and list(report["rows"][0]) == report["columns"]
    assert report["columns"][-3:] == ["year", "month", "day"]


# --- The sample ---------------------------------------------------------------------------------------------------------

NAME = re.compile(r"year=(\d{4})/month=(\d\d)/day=(\d\d)/prodAccessRecord-1-(\d{4})-(\d\d)-(\d\d)-\d\d-\d\d-\d\d-[0-9a-f-]{36}\.gz")
YEAR_10000_MS = 253402300800000


def documents(folder):
    """(good documents, bad lines) in the order of delivery."""
    good, bad = [], []
    for path in sorted(folder.rglob("*.gz")):
        assert NAME.fullmatch(str(path.relative_to(folder)))
        year, month, day, *name = NAME.fullmatch(str(path.relative_to(folder))).groups()
        assert [year, month, day] == name
        for line in gzip.decompress(path.read_bytes()).split(b"\n")[:-1]:
            try:
                document = json.loads(line.decode())
                assert isinstance(document["payload"]["timestamp"], int) and document["payload"]["timestamp"] < YEAR_10000_MS
                good.append(document)
            except (ValueError, TypeError, KeyError, AssertionError):
                bad.append(line)
    return good, bad


def test_generate_is_deterministic(tmp_path):
    flags = ["--records", "3000", "--seed", "9", "--quiet"]
    for folder, more in (("a", []), ("b", []), ("c", ["--seed", "10"])):
        gristmill("generate", tmp_path / folder, *flags, *more)
    files = {folder: {str(path.relative_to(tmp_path / folder)): path.read_bytes() for path in (tmp_path / folder).rglob("*.gz")}
             for folder in "abc"}
    assert files["a"] == files["b"] and not set(files["a"]) & set(files["c"])
    # The same everywhere and for ever: the JSON of a seed is part of what tests and figures rest on.
    good, _ = documents(tmp_path / "a")
    assert good[0]["payload"]["sessionId"] == "920f7f03-e9a9-4075-9137-6c0f544deaeb"


def test_generate_never_overwrites(tmp_path):
    gristmill("generate", tmp_path / "g", "--records", "500")
    before = {path: path.read_bytes() for path in (tmp_path / "g").rglob("*.gz")}
    result = gristmill("generate", tmp_path / "g", "--records", "500", status=1)
    assert "exists already" in result.err and "hint: " in result.err
    assert {path: path.read_bytes() for path in (tmp_path / "g").rglob("*.gz")} == before


def test_generate_nothing(tmp_path):
    assert gristmill("generate", tmp_path / "g", "--records", "0", "--json").json["objects"] == 0


@pytest.mark.parametrize("per_object, objects", [("100", 10), ("999", 2), ("1000", 1), ("0", 192)])
def test_records_per_object(per_object, objects, tmp_path):
    report = gristmill("generate", tmp_path / "g", "--records", "1000", "--per-object", per_object, "--json").json
    assert report["objects"] == objects == len(list((tmp_path / "g").rglob("*.gz")))


def test_the_sample_is_like_the_real_thing(tmp_path):
    report = gristmill("generate", tmp_path / "g", "--records", "100000", "--duplicates", "0.01", "--bad", "0.002", "--late", "0.01",
                       "--json").json
    good, bad = documents(tmp_path / "g")
    assert len(good) + len(bad) == report["records"] == 100000 + report["duplicates"]
    assert 130 < report["bad"] < 280 and 0 < report["rejected"] < report["bad"]
    assert report["rejected"] <= len(bad) <= report["bad"]
    assert 650 < report["bytes_raw"] / report["records"] < 800 and 7 < report["bytes_raw"] / report["bytes"] < 10
    payloads = [document["payload"] for document in good]
    count = {key: collections.Counter(payload[key] for payload in payloads) for key in ("sessionId", "userId", "userAgent", "method")}
    assert 900 < report["duplicates"] < 1100
    assert sum(count["sessionId"].values()) - len(count["sessionId"]) == report["duplicates"]
    users = count["userId"].most_common(2)
    assert users[0][0] == 273950 and 0.25 < users[0][1] / len(good) < 0.45 and users[1][1] > 1000
    assert 0.45 < count["method"]["GET"] / len(good) < 0.55
    agents = collections.Counter(re.split(r"[/ ]", agent or "-")[0] for agent in count["userAgent"].elements())
    for agent, share in (("Mozilla", 0.33), ("Synapse-Java-Client", 0.13), ("synapser", 0.07), ("ELB-HealthChecker", 0.015)):
        assert 0.7 * share < agents[agent] / len(good) < 1.4 * share, agent
    urls = collections.Counter(re.sub(r"\d+", "#", payload["requestURL"]) for payload in payloads)
    assert urls.most_common(1)[0][1] > 5000 and len(urls) > 500
    start = 1710028800000
    times = [document["timestamp"] for document in good]
    late = sum(time < start for time in times)
    assert 5 < late < 200 and max(times) < start + 48 * 3600 * 1000
    assert report["late"] > 800


def test_duplicates_come_in_the_same_object_and_in_others(tmp_path):
    gristmill("generate", tmp_path / "g", "--records", "20000", "--duplicates", "0.05", "--bad", "0", "--per-object", "1000")
    seen, same, other = {}, 0, 0
    for path in sorted((tmp_path / "g").rglob("*.gz")):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            key = json.loads(line)["payload"]["sessionId"]
            if key in seen:
                assert seen[key][1] == line
                same, other = same + (seen[key][0] == path), other + (seen[key][0] != path)
            seen.setdefault(key, (path, line))
    assert same > 300 and other > 300


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize("kind", ["file", "below a file", "dangling link"])
def test_a_table_that_can_be_no_folder_is_told(command, kind, sample, tmp_path):
    place = tmp_path / "place"
    if kind == "dangling link":
        place.symlink_to(tmp_path / "nowhere")
    else:
        place.write_text("mine")
    table = place / "table" if kind == "below a file" else place
    result = harness.gristmill(command, harness.MAIN_JOB, "--source", sample, "--table", table, status=1)
    assert f"{table}: " in result.err and ("it is not a folder" in result.err or "No such file or directory" in result.err)
    assert place.is_symlink() or place.read_text() == "mine"
