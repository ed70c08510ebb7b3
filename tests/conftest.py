"""Fixtures. `pytest tests/` needs a built binary: build/gristmill, or what GRISTMILL names."""
import contextlib
import os
import pathlib
import shutil
import signal
import tempfile

import pytest

import delta_engines
import harness
import lake as lakes
import s3_servers


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than ten seconds")
    config.addinivalue_line("markers", "trino: needs a Trino server, which scripts/trino-server fetches")


def pytest_sessionstart(session):
    if not harness.BINARY.exists() and not session.config.option.collectonly:
        pytest.exit(f"{harness.BINARY} is not there: run `make` first", returncode=4)
    s3_servers.without_environment()
    # A shell has what it starts with & ignore interrupts, and so would the programs under test: none of them inherits that from us.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """What the servers have said is shown with what failed."""
    report = yield
    if report.failed:
        report.sections += [(f"the end of {server.log}", server.said()) for server in s3_servers.running if server.said()]
    return report


@pytest.fixture(scope="session")
def quick_base(tmp_path_factory):
    """A folder in memory where there is one: for tests that make many tables, of whom none asks what a disk does."""
    parent = harness.memory_folder()
    if parent is None:
        yield tmp_path_factory.mktemp("quick")
        return
    with tempfile.TemporaryDirectory(prefix="gristmill-", dir=parent, ignore_cleanup_errors=True) as folder:
        yield pathlib.Path(folder)


@pytest.fixture
def quick(quick_base):
    """As tmp_path, in quick_base, and gone after the test."""
    with tempfile.TemporaryDirectory(dir=quick_base, ignore_cleanup_errors=True) as folder:
        yield pathlib.Path(folder)


@pytest.fixture
def table(tmp_path):
    return tmp_path / "table"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "input"
    path.mkdir()
    return path


@pytest.fixture
def tiny_job(tmp_path):
    """The path of a small job: id bigint, timestamp (t, ms, required), s string, ok boolean, x double; by day."""
    return harness.write(tmp_path / "tiny.yaml", harness.TINY_JOB.encode())


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """30,000 generated access records in several objects: read only."""
    path = tmp_path_factory.mktemp("sample") / "input"
    harness.gristmill("generate", path, "--records", "30000", "--seed", "5", "--bad", "0.002", "--quiet")
    return path


@pytest.fixture(scope="session")
def sample_table(sample, tmp_path_factory):
    """The main job's table of `sample`, and the run's summary: read only."""
    path = tmp_path_factory.mktemp("sample-table") / "table"
    result = harness.run(harness.MAIN_JOB, sample, path)
    return path, result.json


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory):
    with s3_servers.Versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(scope="session")
def minio(tmp_path_factory):
    with s3_servers.Minio(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="session")
def lake(tmp_path_factory):
    """S3, Glue and Trino."""
    with lakes.Lake(tmp_path_factory.mktemp("lake")) as lake:
        yield lake


@pytest.fixture(scope="session")
def engines():
    if why := delta_engines.missing():
        pytest.skip(why)


@pytest.fixture(scope="session")
def spark(engines, tmp_path_factory):
    with contextlib.closing(delta_engines.Spark(tmp_path_factory.mktemp("spark"))) as engine:
        yield engine


@pytest.fixture(scope="session")
def duckdb(engines, tmp_path_factory):
    with contextlib.closing(delta_engines.DuckDB(tmp_path_factory.mktemp("duckdb"))) as engine:
        yield engine


@pytest.fixture
def s3(versitygw):
    """A fresh bucket."""
    return versitygw.make_bucket()


@pytest.fixture(params=["versitygw", "minio"])
def any_s3(request):
    """A fresh bucket of each server that is to agree with the others."""
    return request.getfixturevalue(request.param).make_bucket()


@pytest.fixture(scope="session")
def toxiproxy(tmp_path_factory):
    with s3_servers.Toxiproxy(tmp_path_factory.mktemp("toxiproxy")) as server:
        yield server


def as_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


def open_up(path):
    """Lets another user walk to path."""
    path = path.resolve()
    for folder in [path, *path.parents]:
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o755)


@pytest.fixture
def other_user(tmp_path):
    """Options that make a run heed permissions: they do not bind root, so then it runs as nobody, from a copy of the program
    that nobody can reach, wherever the checkout is."""
    open_up(tmp_path)
    if os.geteuid() != 0:
        return {}
    program = tmp_path / "gristmill"
    shutil.copy(harness.BINARY, program)
    program.chmod(0o755)
    return {"before": as_nobody, "binary": program, "cwd": "/"}
