"""From S3 to S3, before real servers: the same table as on a directory, whatever the keys, the endpoints, the credentials; and what
is wrong is told, without secrets."""
import concurrent.futures
import pathlib
import random
import re
import string

import pytest

import delta_engines
import harness
import judge
import s3_scene
import s3_servers
from fault_proxy import FaultProxy
from s3_scene import secrets_in

LETTERS = string.ascii_letters + string.digits + string.punctuation


def run(bucket, job, source="in/", table="lake/", status=0, env=None, flags=(), **options):
    """Source and table: prefixes of the bucket, or anything else as it is."""
    source, table = (bucket.url(place) if isinstance(place, str) and "://" not in place else place for place in (source, table))
    return harness.run(job, source, table, *flags, env=env or bucket.environment(), status=status, **options)


def ids_of(bucket, folder, prefix="lake/"):
    return sorted(i for i, _ in judge.delta_rows(bucket.tree(prefix, folder)))


# --- The same table --------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module", params=["versitygw", "minio"])
def main(request, sample, tmp_path_factory):
    """The main job from S3 to S3: the bucket, what the run said, and the table as files."""
    bucket = request.getfixturevalue(request.param).make_bucket()
    bucket.put_tree(sample, "in/")
    result = run(bucket, harness.MAIN_JOB)
    return bucket, result.json, bucket.get_tree("lake/", tmp_path_factory.mktemp("main-s3"))


def test_same_bytes_as_on_a_directory(main, sample_table):
    bucket, summary, files = main
    assert harness.fingerprint(files) == harness.fingerprint(sample_table[0])
    harness.assert_balanced(summary)
    same = ("inputs", "bytes_in", "bytes_raw", "records_read", "rows_written", "duplicates", "filtered", "quarantined", "files")
    assert {name: summary[name] for name in same} == {name: sample_table[1][name] for name in same}
    assert harness.leftovers(files) == [] and bucket.uploads() == []


def test_nothing_new_the_second_time(main):
    bucket, _, files = main
    before = bucket.sizes("lake/")
    again = run(bucket, harness.MAIN_JOB).json
    assert again["committed"] is False and again["inputs"] == 0
    assert bucket.sizes("lake/") == before


def test_delta_rs_reads_it_from_there(main):
    import deltalake

    bucket, summary, _ = main
    table = deltalake.DeltaTable(bucket.url("lake/"), storage_options=bucket.server.storage_options())
    assert table.to_pyarrow_table(columns=["session_id"]).num_rows == summary["rows_written"]


def test_pyarrow_reads_it_from_there(main):
    import pyarrow.dataset as ds

    bucket, summary, _ = main
    dataset = ds.dataset(f"{bucket.name}/lake", filesystem=bucket.server.filesystem(), format="parquet", partitioning="hive")
    assert dataset.count_rows() == summary["rows_written"]


def test_duckdb_reads_it_from_there(main, duckdb_s3):
    bucket, summary, _ = main
    duckdb_s3.use_s3(bucket.server)
    count = f"select count(*) from read_parquet('{bucket.url('lake/')}year=*/month=*/day=*/*.parquet', hive_partitioning=true)"
    assert duckdb_s3.query(count) == [[summary["rows_written"]]]
    assert duckdb_s3.query(f"select count(*) from delta_scan('{bucket.url('lake')}')") == [[summary["rows_written"]]]


@pytest.fixture(scope="module")
def duckdb_s3(tmp_path_factory):
    if why := delta_engines.missing():
        pytest.skip(why)
    engine = delta_engines.DuckDB(tmp_path_factory.mktemp("duckdb"))
    yield engine
    engine.close()


def test_from_s3_to_a_directory(main, sample_table, tmp_path):
    bucket = main[0]
    run(bucket, harness.MAIN_JOB, table=tmp_path / "table")
    assert harness.fingerprint(tmp_path / "table") == harness.fingerprint(sample_table[0])


def test_from_a_directory_to_s3(main, sample, sample_table, tmp_path):
    bucket = main[0]
    run(bucket, harness.MAIN_JOB, source=sample, table="other/", flags=["--threads", "3", "--memory", "96MiB"])
    assert harness.fingerprint(bucket.get_tree("other/", tmp_path / "table")) == harness.fingerprint(sample_table[0])


def test_it_is_proved_and_shown(main):
    """The commands that look at a table look at one on S3."""
    bucket, summary, _ = main
    places = ("--source", bucket.url("in/"), "--table", bucket.url("lake/"))
    for command in (["verify", harness.MAIN_JOB], ["status", harness.MAIN_JOB], ["bookmark", harness.MAIN_JOB, "show"],
                    ["quarantine", harness.MAIN_JOB, "list"]):
        harness.gristmill(*command[:2], *command[2:], *places, env=bucket.environment())
    preview = harness.gristmill("preview", harness.MAIN_JOB, "--source", bucket.url("in/"), "--rows", "3", env=bucket.environment())
    assert preview.out.strip()
    result = harness.gristmill("run", harness.MAIN_JOB, *places[:2], "--table", bucket.url("dry/"), "--dry-run", "--json", env=bucket.environment())
    assert result.json["rows_written"] == summary["rows_written"] and not bucket.sizes("dry/")


def test_in_steps(any_s3, tmp_path):
    """plan, work and commit, each a process: nothing but the bucket is shared, and the bytes are those of a plain run."""
    job = harness.write(tmp_path / "job.yaml", s3_scene.JOB.replace("  unique_by:", "  file_size: 4KiB\n  unique_by:").encode())
    for number in range(4):
        any_s3.put(f"in/{number}.json", harness.lines(harness.tiny(i, s="é" * (i % 50)) for i in range(number * 250, number * 250 + 400)))
    run(any_s3, job, table="plain/")
    places = ("--source", any_s3.url("in/"), "--table", any_s3.url("lake/"), "--json", "--quiet")

    def step(name, *flags):
        return harness.gristmill(name, job, *places, *flags, env=any_s3.environment()).json

    plan = step("plan")
    units = [unit["unit"] for unit in plan["units"]]
    assert len(units) > 1
    for flag in ("--keys", "--write"):
        for unit in reversed(units):
            step("work", "--plan", plan["plan"], "--unit", unit, flag)
    assert step("commit", "--plan", plan["plan"])["rows_written"] == 1150
    assert step("plan")["plan"] is None
    prints = [harness.fingerprint(any_s3.tree(f"{name}/", tmp_path / name)) for name in ("plain", "lake")]
    assert prints[0] == prints[1] and len(prints[0]) >= len(units)
    assert any_s3.uploads() == []


def test_prefixes_end_where_they_end(any_s3, tmp_path, tiny_job):
    """With a slash at the end or without: in/ and not inside/. And a table may be a bucket's root."""
    for number, key in enumerate(["in/a.json", "inside/b.json", "in.json", "in-2/c.json", "in/d/e.json"]):
        any_s3.put(key, harness.lines([harness.tiny(number)]))
    lake = any_s3.server.make_bucket()
    run(any_s3, tiny_job, source=any_s3.url("in"), table=f"s3://{lake.name}")
    assert ids_of(lake, tmp_path / "t", "") == [0, 4]
    assert run(any_s3, tiny_job, source=any_s3.url("in/"), table=f"s3://{lake.name}/").json["inputs"] == 0


# --- Many, and empty ---------------------------------------------------------------------------------------------------------

def test_more_objects_than_a_page(any_s3, tmp_path, tiny_job):
    """2,300 of them, some empty; and all of them are known the next time."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: any_s3.put(f"in/{i % 7}/{i:05}.json", harness.lines([harness.tiny(i)]) if i % 10 else b""), range(2300)))
    with FaultProxy(any_s3.server.address) as proxy:
        first = run(any_s3, tiny_job, env=any_s3.environment(AWS_ENDPOINT_URL=proxy.url)).json
        lists = proxy.counts["list"]
    assert first["inputs"] == 2300 and first["rows_written"] == 2070 and lists >= 3
    assert ids_of(any_s3, tmp_path / "t") == [i for i in range(2300) if i % 10]
    assert run(any_s3, tiny_job).json["inputs"] == 0
    any_s3.put("in/3/00500a.json", harness.lines([harness.tiny(9999)]))
    assert run(any_s3, tiny_job).json["rows_written"] == 1


def test_no_object_at_all(any_s3, tmp_path, tiny_job):
    result = run(any_s3, tiny_job)
    assert result.json["committed"] is False and not any_s3.sizes("lake/_delta_log/")
    any_s3.put("in/empty.json", b"")
    assert run(any_s3, tiny_job).json["inputs"] == 1


# --- Keys --------------------------------------------------------------------------------------------------------------------

KEYS = [
    "plain", "a space", " leading", "trailing ", "two  spaces", "plus+plus", "a%20b", "100%", "%", "%2F", "%zz", "é", "日本語", "\U0001f600", "e\u0301",
    "quote'", 'double"quote', "amp&amp;", "hash#hash", "question?x=1", "colon:colon", "at@at", "semi;", "comma,", "tilde~", "bang!", "star*",
    "(round)", "[square]", "{curly}", "pipe|pipe", "back\\slash", "caret^", "back`tick", "less<than", "greater>than", "equals=equals", "dollar$", "&",
    "<Key>x</Key>", "]]>", "&#10;", "a=1&b=2", "x" * 200, "d/e/f", "year=2024/month=03/x", "-dash", ".hidden", "_underscore", "..dots..", "a..b",
    "tab\there", "line\nfeed", "carriage\rreturn", "\x01", "\x7f", "\x1b[31m", "null.", "\u00a0nbsp", "\u202eover", "\ufeffbom", "~",
    "a//b", "//", "./x", "x/.", "../x", "x/../y", "dir/", "/absolute",
]


def test_every_legal_key(any_s3, tmp_path, tiny_job):
    """What the server takes, and lists as it was, is read, once."""
    taken = {}
    for number, key in enumerate(KEYS):
        try:
            any_s3.put(f"in/{number:02}/{key}", harness.lines([harness.tiny(number, s=key)]))
        except Exception as error:  # whatever it is that a server, or the client, has against this key
            print(f"{key!r}: {error}")
            continue
        taken[number] = f"in/{number:02}/{key}"
    for number in [number for number, key in taken.items() if key not in any_s3.sizes(f"in/{number:02}/")]:
        any_s3.remove(taken.pop(number))
    listed = set(any_s3.sizes("in/"))
    taken = {number: key for number, key in taken.items() if not re.search(r"/[._][^/]*(/|$)|~$", key)}  # the source leaves these out
    assert len(taken) >= 50 and listed >= set(taken.values()), sorted(set(KEYS) - {key[6:] for key in taken.values()})
    result = run(any_s3, tiny_job)
    rows = {i: s for i, s, _ in judge.rows_of(judge.delta_files(any_s3.tree("lake/", tmp_path / "t")), "id, s, day")}
    missing = {number: key for number, key in taken.items() if rows.get(number) != KEYS[number]}
    assert not missing and result.json["inputs"] == len(taken), (missing, listed - set(taken.values()), result)
    assert run(any_s3, tiny_job).json["inputs"] == 0


def test_partitions_with_odd_names(any_s3, tmp_path):
    """The table's own keys: a partition of any text."""
    job = harness.TINY_JOB.replace("expr: \"date_format(timestamp, '%Y-%m-%d')\"", "expr: s").replace("{name: day", "{name: kind")
    job = harness.write(tmp_path / "job.yaml", job.encode())
    texts = ["a b", "a+b", "100%", "ü/ö", "x=y", "a:b", "#", "?", "日本", "'", "&", "a%2Fb", "~", "*", "\\", "é" * 40]
    any_s3.put("in/a.json", harness.lines(harness.tiny(i, s=text) for i, text in enumerate(texts)))
    run(any_s3, job)
    run(any_s3, job, table=tmp_path / "directory")
    table = any_s3.get_tree("lake/", tmp_path / "t")
    assert harness.fingerprint(table) == harness.fingerprint(tmp_path / "directory")
    import deltalake

    seen = deltalake.DeltaTable(any_s3.url("lake"), storage_options=any_s3.server.storage_options()).to_pyarrow_table(columns=["id", "kind"])
    assert dict(zip(seen["id"].to_pylist(), seen["kind"].to_pylist())) == dict(enumerate(texts))


# --- Endpoints ---------------------------------------------------------------------------------------------------------------

def profiles(folder, **servers):
    """A config file and a credentials file: profile -> server. The environment that names them."""
    config = "".join(f"[profile {name}]\nregion = {s3_servers.REGION}\nendpoint_url = {server.url}\n\n" for name, server in servers.items())
    keys = "".join(f"[{name}]\naws_access_key_id = {s.access}\naws_secret_access_key = {s.secret}\n\n" for name, s in servers.items())
    return {"AWS_CONFIG_FILE": str(harness.write(folder / "config", config.encode())),
            "AWS_SHARED_CREDENTIALS_FILE": str(harness.write(folder / "credentials", keys.encode()))}


@pytest.fixture
def another(tmp_path):
    """A server of somebody else."""
    server = s3_servers.Versitygw(tmp_path / "another")
    server.access, server.secret = "somebodyelse", "another/secret+of=theirs"
    with server:
        yield server


def test_two_endpoints(s3, another, tmp_path):
    lake = another.make_bucket("lake")
    s3.put("in/a.json", harness.lines([harness.tiny(1)]))
    text = harness.TINY_JOB.replace("source: {", "source: {profile: theirs, ").replace("table:\n", "table:\n  profile: ours\n")
    job = harness.write(tmp_path / "job.yaml", text.encode())
    environment = profiles(tmp_path, theirs=s3.server, ours=another)
    for inputs in (1, 0):
        assert harness.run(job, s3.url("in/"), lake.url("t/"), env=environment).json["inputs"] == inputs
    assert ids_of(lake, tmp_path / "t", "t/") == [1]
    strange = harness.run(job, s3.url("in/"), lake.url("t/"), env=profiles(tmp_path, ours=another), status=None)
    assert strange.status in (1, 2) and "theirs" in strange.err, strange


def test_two_endpoints_by_the_environment(s3, another, tmp_path, tiny_job):
    """AWS_PROFILE, and the endpoint of S3 alone before that of all services."""
    lake = another.make_bucket("lake")
    lake.put("in/a.json", harness.lines([harness.tiny(1)]))
    environment = {**profiles(tmp_path, ours=another), "AWS_PROFILE": "ours"}
    assert harness.run(tiny_job, lake.url("in/"), lake.url("t/"), env=environment).json["inputs"] == 1
    s3.put("in/a.json", harness.lines([harness.tiny(1)]))
    assert run(s3, tiny_job, env=s3.environment(AWS_ENDPOINT_URL=another.url, AWS_ENDPOINT_URL_S3=s3.server.url)).json["inputs"] == 1


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return s3_servers.Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls(authority, tmp_path_factory):
    with s3_servers.Versitygw(tmp_path_factory.mktemp("s3-tls"), tls=authority) as server:
        yield server


def test_tls_with_a_ca_of_ones_own(tls, tmp_path, tiny_job):
    bucket = tls.make_bucket()
    bucket.put("in/a.json", harness.lines([harness.tiny(1)]))
    assert run(bucket, tiny_job).json["rows_written"] == 1
    config = harness.write(tmp_path / "config", f"[default]\nca_bundle = {tls.ca}\n".encode())
    environment = {**bucket.environment(AWS_CONFIG_FILE=str(config)), "AWS_CA_BUNDLE": ""}
    assert run(bucket, tiny_job, env=environment).json["inputs"] == 0


def test_tls_that_cannot_be_verified(tls, tmp_path, tiny_job):
    """By the system's authorities, by one that signed another certificate, by a name that is not the server's."""
    bucket = tls.make_bucket()
    bucket.put("in/a.json", harness.lines([harness.tiny(1)]))
    stranger = s3_servers.Authority(tmp_path / "stranger")
    for environment in ({"AWS_CA_BUNDLE": ""}, {"AWS_CA_BUNDLE": str(stranger.ca)},
                        {"AWS_ENDPOINT_URL": tls.url.replace("127.0.0.1", "127.0.0.2")}):
        result = run(bucket, tiny_job, env=bucket.environment(**environment), status=1, timeout=60)
        assert re.search("certificate|SSL|TLS|connect", result.err), result
        assert not bucket.sizes("lake/")
    nowhere = run(bucket, tiny_job, env=bucket.environment(AWS_CA_BUNDLE=str(tmp_path / "missing.pem")), status=None)
    assert nowhere.status in (1, 2) and "missing.pem" in nowhere.err, nowhere


def test_https_is_never_http(s3, tiny_job):
    """An endpoint that says https is not spoken to in clear, though the server would."""
    result = run(s3, tiny_job, env=s3.environment(AWS_ENDPOINT_URL=s3.server.url.replace("http:", "https:")), status=1, timeout=60)
    assert re.search("SSL|TLS", result.err), result


def test_no_redirect_is_followed(s3, tiny_job):
    """Elsewhere the request, and its signature, have no business."""
    with FaultProxy(s3.server.address) as proxy, FaultProxy(s3.server.address) as elsewhere:
        def redirect(x):
            x.answer(307, "Temporary Redirect", b"", f"Location: {elsewhere.url}{x.request.path}")

        proxy.fail(redirect, times=None)
        result = run(s3, tiny_job, env=s3.environment(AWS_ENDPOINT_URL=proxy.url), status=None)
        assert result.status in (1, 2) and proxy.requests and not elsewhere.requests and result.err.strip(), result


# --- Who may not -------------------------------------------------------------------------------------------------------------

WRONG = {
    "secret": ({"AWS_SECRET_ACCESS_KEY": "wr0ng/secret+for=nobody"}, "SignatureDoesNotMatch|403"),
    "key": ({"AWS_ACCESS_KEY_ID": "NOBODY"}, "InvalidAccessKeyId|XAdminUserNotFound|AccessDenied|403|404"),
    "region": ({"AWS_REGION": "eu-central-7"}, None),  # the server says which one it is: that may be taken up
    "token": ({"AWS_SESSION_TOKEN": "madeup"}, "InvalidToken|InvalidTokenId|token|403"),
    "none": ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "credentials"),
    "half": ({"AWS_SECRET_ACCESS_KEY": ""}, "AWS_SECRET_ACCESS_KEY|credentials"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_credentials(what, any_s3, tiny_job):
    changes, message = WRONG[what]
    any_s3.put("in/a.json", harness.lines([harness.tiny(1)]))
    result = run(any_s3, tiny_job, env=any_s3.environment(**changes), status=None, timeout=60)
    if result.status == 0:
        assert message is None, result
        return
    assert result.status in (1, 2) and f"s3://{any_s3.name}/" in result.err, result
    assert message is None or re.search(message, result.err), result
    assert not secrets_in(any_s3, result.out, result.err) and "wr0ng/secret" not in result.out + result.err
    assert not any_s3.sizes("lake/")


@pytest.mark.parametrize("place", ["source", "table"])
def test_a_bucket_that_is_not_there(place, any_s3, tiny_job):
    any_s3.put("in/a.json", harness.lines([harness.tiny(1)]))
    result = run(any_s3, tiny_job, status=2, **{place: "s3://gristmill-nowhere/x/"})
    assert "gristmill-nowhere" in result.err and "there is no bucket" in result.err, result


def test_a_server_that_is_not_there(s3, tiny_job):
    url = f"http://127.0.0.1:{s3_servers.free_port()}"
    result = run(s3, tiny_job, env=s3.environment(AWS_ENDPOINT_URL=url), status=1, timeout=60)
    assert url.removeprefix("http://") in result.err and result.seconds < 45, result


@pytest.fixture(scope="module")
def with_users(tmp_path_factory):
    with s3_servers.Versitygw(tmp_path_factory.mktemp("s3-users"), users=True) as server:
        yield server


GRANTS = {
    "nothing": [], "list": ["ListBucket"], "read": ["ListBucket", "GetObject"],
    "not delete": ["ListBucket", "GetObject", "PutObject"], "all": ["ListBucket", "GetObject", "PutObject", "DeleteObject"],
}


@pytest.mark.parametrize("grant", GRANTS)
def test_permissions(grant, with_users, tmp_path, tiny_job):
    """Who may not do what a run needs is told what was refused; what was begun is finished by who may."""
    bucket, user = with_users.make_bucket(), f"user{list(GRANTS).index(grant)}"
    secret = f"theirs/{user}+secret"
    with_users.make_user(user, secret)
    bucket.put("in/a.json", harness.lines([harness.tiny(1)]))
    if GRANTS[grant]:
        with_users.allow(bucket, user, [*GRANTS[grant], "AbortMultipartUpload"])
    result = run(bucket, tiny_job, env=bucket.environment(AWS_ACCESS_KEY_ID=user, AWS_SECRET_ACCESS_KEY=secret), status=None)
    assert secret not in result.out + result.err
    if grant == "all":
        assert result.status == 0, result
    elif grant != "not delete":
        assert result.status == 1 and re.search("AccessDenied|denied", result.err) and f"s3://{bucket.name}" in result.err, result
    run(bucket, tiny_job)
    assert ids_of(bucket, tmp_path / "t") == [1]


def test_no_secret_anywhere(any_s3, tmp_path, tiny_job):
    """Not in what is said, at whatever level, nor in the table, nor in what other users of the machine see."""
    any_s3.put("in/a.json", harness.lines([harness.tiny(1)]))
    any_s3.put("in/b.json", b'{"id":')
    seen = []

    def look(x):
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.append(path.read_bytes().decode("utf-8", "replace"))
            except OSError:
                pass
        x.pass_on()

    with FaultProxy(any_s3.server.address) as proxy:
        proxy.fail(look, kind="put")
        result = run(any_s3, tiny_job, env=any_s3.environment(AWS_ENDPOINT_URL=proxy.url))
    ours = [line for line in seen if "--table" in line]
    assert ours and not secrets_in(any_s3, result.out, result.err, *ours)
    assert not secrets_in(any_s3, any_s3.get_tree("lake/", tmp_path / "t"))


# --- Sources that change -----------------------------------------------------------------------------------------------------

def changing(bucket, job, key, change, nth=1):
    """A run before whose nth GET of an object somebody changes it."""
    with FaultProxy(bucket.server.address) as proxy:
        def meddle(x):
            change()
            x.pass_on()

        rule = proxy.fail(meddle, kind="get", match=f"^{re.escape(key)}$", nth=nth)
        result = run(bucket, job, env=bucket.environment(AWS_ENDPOINT_URL=proxy.url), status=None, flags=["--threads", "1"])
        assert rule.fired == 1, [(r.kind, r.key) for r in proxy.requests]
        return result


def large(s, count=3000, size=8000):
    """More than two segments of 8 MiB."""
    return harness.lines(harness.tiny(i, s=s * size) for i in range(count))


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("size", [1, 3000])
def test_overwritten_while_it_is_read(size, nth, any_s3, tmp_path, tiny_job):
    """All rows are of one version, the same length or not."""
    if nth > 1 and size == 1:
        return
    any_s3.put("in/a.json", large("a", size))
    any_s3.put("in/b.json", harness.lines([harness.tiny(10**6)]))
    result = changing(any_s3, tiny_job, "in/a.json", lambda: any_s3.put("in/a.json", large("b", size)), nth)
    assert result.status == 0 or result.status == 1 and "a.json" in result.err, result
    if result.status == 1:
        assert not judge.delta_files(any_s3.tree("lake/", tmp_path / "t"))
        run(any_s3, tiny_job)
    rows = judge.rows_of(judge.delta_files(any_s3.tree("lake/", tmp_path / "t")), "id, s[1]")
    letters = {letter for i, letter in rows if i < 10**6}
    assert len(rows) == size + 1 and letters == {"b"}, (len(rows), letters)


@pytest.mark.parametrize("nth", [1, 2])
def test_deleted_while_it_is_read(nth, any_s3, tmp_path, tiny_job):
    any_s3.put("in/a.json", large("a", 3000 if nth > 1 else 1))
    any_s3.put("in/b.json", harness.lines([harness.tiny(10**6)]))
    result = changing(any_s3, tiny_job, "in/a.json", lambda: any_s3.remove("in/a.json"), nth)
    assert result.status == 0 or result.status == 1 and "a.json" in result.err, result
    run(any_s3, tiny_job)
    assert ids_of(any_s3, tmp_path / "t") == [10**6]


@pytest.mark.parametrize("change", ["overwrite", "delete"])
def test_changed_between_plan_and_work(change, any_s3, tmp_path, tiny_job):
    any_s3.put("in/a.json", harness.lines([harness.tiny(1, s="a")]))
    places = ("--source", any_s3.url("in/"), "--table", any_s3.url("lake/"), "--json", "--quiet")
    plan = harness.gristmill("plan", tiny_job, *places, env=any_s3.environment()).json["plan"]
    if change == "overwrite":
        any_s3.put("in/a.json", harness.lines([harness.tiny(1, s="b")]))  # of the same length
    else:
        any_s3.remove("in/a.json")
        any_s3.put("in/b.json", harness.lines([harness.tiny(1, s="b")]))
    work = harness.gristmill("work", tiny_job, *places, "--plan", plan, "--unit", "0", env=any_s3.environment(), status=1)
    assert "a.json" in work.err, work
    run(any_s3, tiny_job)
    rows = judge.rows_of(judge.delta_files(any_s3.tree("lake/", tmp_path / "t")), "id, s")
    assert rows == [(1, "b")]


def test_a_bucket_with_versions(tmp_path, tiny_job):
    """Old versions and delete markers are nobody's input, and the table's own deletes leave it whole."""
    with s3_servers.Versitygw(tmp_path / "s3", versions=True) as server:
        bucket = server.make_bucket(versioned=True)
        for s in ("old", "new"):
            bucket.put("in/a.json", harness.lines([harness.tiny(1, s=s)]))
        bucket.put("in/gone.json", harness.lines([harness.tiny(2)]))
        bucket.remove("in/gone.json")
        assert run(bucket, tiny_job).json["inputs"] == 1
        bucket.put("in/b.json", harness.lines([harness.tiny(3, s="b")]))
        assert run(bucket, tiny_job).json["inputs"] == 1
        files = bucket.get_tree("lake/", tmp_path / "t")
        assert judge.rows_of(judge.delta_files(files), "id, s") == [(1, "new"), (3, "b")]
        assert harness.leftovers(files) == []
        harness.gristmill("verify", tiny_job, "--source", bucket.url("in/"), "--table", bucket.url("lake/"), env=bucket.environment())


# --- What was staged is gone -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("what", ["object", "upload"])
def test_what_was_staged_is_gone(what, any_s3, tmp_path, tiny_job):
    """A lifecycle rule has taken it between work and commit: the plan is given up, the next run does it all again."""
    rows = 1 if what == "object" else 3000
    chance = random.Random(1)
    any_s3.put("in/a.json", harness.lines(harness.tiny(i, s="".join(chance.choices(LETTERS, k=5000))) for i in range(rows)))
    places = ("--source", any_s3.url("in/"), "--table", any_s3.url("lake/"), "--json", "--quiet")
    environment = any_s3.environment()
    plan = harness.gristmill("plan", tiny_job, *places, env=environment).json["plan"]
    harness.gristmill("work", tiny_job, *places, "--plan", plan, "--unit", "0", env=environment)
    if what == "object":
        staged = [key for key in any_s3.sizes("lake/") if key.endswith(".staged")]
        for key in staged:
            any_s3.remove(key)
    else:
        staged = any_s3.uploads()
        any_s3.abort_uploads()
    assert staged
    commit = harness.gristmill("commit", tiny_job, *places, "--plan", plan, env=environment, status=1)
    assert commit.err.strip() and not judge.delta_files(any_s3.tree("lake/", tmp_path / "t"))
    assert run(any_s3, tiny_job).json["rows_written"] == rows
    assert ids_of(any_s3, tmp_path / "t") == list(range(rows)) and any_s3.uploads() == []
