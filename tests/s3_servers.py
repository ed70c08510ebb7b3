"""Servers that speak S3, each on a free port of the loopback interface, and Toxiproxy, which breaks connections to them:

    with Versitygw(folder) as server:
        bucket = server.make_bucket()
        bucket.put("in/a.json", b"...")
        harness.run(job, bucket.url("in/"), bucket.url("lake/"), env=server.environment())

scripts/s3-servers makes them, when the first of a kind is asked for; one that cannot be had skips the test, with the reason. They
die with the thread that started them, so that none outlives the tests. What they say is kept in their folder and shown with the
tests that fail (conftest.py)."""
import contextlib
import ctypes
import functools
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

import harness

BIN = harness.ROOT / ".cache/s3/bin"
REGION = "us-east-1"
PR_SET_PDEATHSIG = 1
running = []  # servers, for what they have said


@functools.cache
def _made(name):
    """None, or why there is no such server."""
    done = subprocess.run([harness.ROOT / "scripts/s3-servers", name], capture_output=True, text=True)
    return None if done.returncode == 0 else done.stderr.strip().rpartition("\n")[2]


def program(name):
    if why := _made(name):
        pytest.skip(why)
    return BIN / name


def free_port():
    """One below those that the kernel gives to connections, if there are such: connections are many, of several runs of tests at once,
    and none of them shall take it before the server does that it is for."""
    end = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", secrets.choice(range(10_000, end)) if end > 11_000 else 0))
            return probe.getsockname()[1]


def without_environment():
    """For pytest_sessionstart: nothing of the developer's own accounts reaches a test, or what it starts."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update({"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"})


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """A process that listens on a port. Subclasses say with what command, and how to see that it is ready."""

    name = None
    ready_path = "/"
    environ = {}

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.program = self.find()
        self.log = folder / f"{self.name}.log"
        self.process = None
        self.port = free_port()

    scheme = "http"

    def find(self):
        return program(self.name)

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def address(self):
        return "127.0.0.1", self.port

    def command(self):
        raise NotImplementedError

    def __enter__(self):
        for last in (False, False, True):  # somebody else may have taken the port meanwhile
            self.start()
            if self.wait_ready():
                running.append(self)
                return self
            self.stop()
            if not last:
                self.port = free_port()
        raise RuntimeError(f"{self.name} does not start: {self.said()}")

    def __exit__(self, *_):
        self.stop()
        running.remove(self)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                            env={**os.environ, **self.environ}, preexec_fn=_die_with_parent)

    def stop(self, number=signal.SIGKILL):
        if self.process:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def wait_ready(self, seconds=30):
        end = time.monotonic() + seconds * harness.SLOW
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self.ask(self.ready_path)
                return True
            except (OSError, urllib.error.URLError):
                time.sleep(0.02)
        return False

    def ask(self, path, body=None, method=None):
        """One request of plain HTTP; the answer's body."""
        request = urllib.request.Request(self.url + path, body and json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
        trust = ssl._create_unverified_context() if self.scheme == "https" else None
        with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
            return answer.read()

    def said(self, most=4000):
        return self.log.read_text(errors="replace")[-most:] if self.log.exists() else ""


class S3(Server):
    """A server of objects, and how to talk to it."""

    access, secret = "gristmilltest", "s3cret/of+the=tests/GRISTMILL"
    ca = None

    def __init__(self, folder):
        super().__init__(folder)
        self.buckets, self.clients = 0, {}

    def environment(self, **more):
        """For the program under test: whose requests these are, and where they go. more: other variables, or other values."""
        values = {"AWS_ACCESS_KEY_ID": self.access, "AWS_SECRET_ACCESS_KEY": self.secret, "AWS_REGION": REGION, "AWS_ENDPOINT_URL": self.url}
        if self.ca:
            values["AWS_CA_BUNDLE"] = str(self.ca)
        return {**values, **more}

    def storage_options(self):
        """The same for delta-rs and polars."""
        more = {"AWS_ALLOW_HTTP": "true"} if self.scheme == "http" else {}
        return {**self.environment(), **more}

    def filesystem(self):
        """The same for pyarrow."""
        from pyarrow import fs

        return fs.S3FileSystem(access_key=self.access, secret_key=self.secret, region=REGION, scheme=self.scheme,
                               endpoint_override=f"127.0.0.1:{self.port}", **({"tls_ca_file_path": str(self.ca)} if self.ca else {}))

    def client(self, url=None, access=None, secret=None):
        """A boto3 client; another URL (of a proxy) or another user on demand."""
        import boto3
        from botocore.config import Config

        which = (url or self.url, access or self.access, secret or self.secret)
        if which in self.clients:  # they take long to make, and any thread may use them
            return self.clients[which]
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, max_pool_connections=32,
                        request_checksum_calculation="when_required", response_checksum_validation="when_required")
        session = boto3.session.Session(*which[1:], region_name=REGION)
        made = session.client("s3", endpoint_url=which[0], config=config, verify=str(self.ca) if self.ca else None)
        return self.clients.setdefault(which, made)

    def make_bucket(self, name=None, versioned=False):
        self.buckets += 1
        name = name or f"bucket-{self.buckets}"
        self.client().create_bucket(Bucket=name)
        if versioned:
            self.client().put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return Bucket(self, name)


class Bucket:
    """A bucket and what a test does to it behind the back of the program under test."""

    def __init__(self, server, name):
        self.server, self.name, self.client = server, name, server.client()

    def url(self, prefix=""):
        return f"s3://{self.name}/{prefix}"

    def environment(self, **more):
        return self.server.environment(**more)

    def put(self, key, data, **more):
        return self.client.put_object(Bucket=self.name, Key=key, Body=data, **more)

    def get(self, key):
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def remove(self, key):
        self.client.delete_object(Bucket=self.name, Key=key)

    def sizes(self, prefix=""):
        """Key -> size of everything below a prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}

    def uploads(self):
        """Keys of the uploads that are neither completed nor aborted."""
        return sorted(item["Key"] for item in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads") or [])

    def abort_uploads(self):
        """All of them, as a lifecycle rule would."""
        for item in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads") or []:
            self.client.abort_multipart_upload(Bucket=self.name, Key=item["Key"], UploadId=item["UploadId"])

    def put_tree(self, folder, prefix=""):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(prefix + str(path.relative_to(folder)), path.read_bytes())

    def path(self, prefix=""):
        """Where the server keeps it, if it keeps each object as a file of its name; else None."""
        return self.server.root / self.name / prefix if isinstance(self.server, Versitygw) else None

    def tree(self, prefix, folder):
        """Everything below a prefix as files, so that whatever judges folders judges a table on S3: in `folder`, or where the
        server keeps them."""
        if path := self.path(prefix):
            return path
        shutil.rmtree(folder, ignore_errors=True)
        return self.get_tree(prefix, folder)

    def get_tree(self, prefix, folder):
        folder.mkdir(parents=True, exist_ok=True)
        for key in self.sizes(prefix):
            harness.write(folder / key[len(prefix):], self.get(key))
        return folder


class Versitygw(S3):
    """Checks signatures. tls: HTTPS with a certificate of a CA of its own, whose certificate is `ca`; versions: buckets may be
    versioned; users: others than the owner may be made; root: a folder that another process serves, too; keeps_requests: requests()
    tells them."""

    name = "versitygw"
    ready_path = "/health"

    def __init__(self, folder, tls=None, versions=False, users=False, root=None, keeps_requests=False):
        super().__init__(folder)
        self.root, self.tls, self.versions, self.users = root or folder / "objects", tls, versions, users
        self.request_log = folder / "requests.log" if keeps_requests else None
        self.root.mkdir(exist_ok=True)
        try:  # where it keeps what it knows of an object
            os.setxattr(self.root, "user.gristmill", b"")
        except OSError as error:
            pytest.skip(f"versitygw needs extended attributes, and {self.root} has none: {error}")
        if tls:
            self.scheme, self.ca = "https", tls.ca

    def command(self):
        words = [self.program, "--access", self.access, "--secret", self.secret, "--region", REGION, "--port", f"127.0.0.1:{self.port}",
                 "--keep-alive", "--health", "/health", "--quiet"]
        if self.tls:
            words += ["--cert", self.tls.certificate, "--key", self.tls.key]
        if self.users:
            words += ["--iam-dir", self.made("accounts")]
        if self.request_log:
            words += ["--access-log", self.request_log]
        words += ["posix"]
        if self.versions:  # its path may not begin as the root's does
            words += ["--versioning-dir", self.made("versions")]
        return [*words, self.root]

    def made(self, name):
        (self.folder / name).mkdir(exist_ok=True)
        return self.folder / name

    @contextlib.contextmanager
    def requests(self):
        """A list that holds, after the block, what was asked meanwhile: operation and URL, decoded. A request is logged before it is answered."""
        start, seen = self.request_log.stat().st_size, []
        yield seen
        with open(self.request_log, "rb") as log:
            log.seek(start)
            for line in log.read().decode().splitlines():  # owner bucket [time zone] address requester id operation key URL ...
                words = line.split(" ")
                seen.append((words[7].removeprefix("s3_"), urllib.parse.unquote(words[9])))

    def make_user(self, access, secret, role="user"):
        subprocess.run([self.program, "admin", "--access", self.access, "--secret", self.secret, "--region", REGION, "--endpoint-url", self.url,
                        *(["--allow-insecure"] if self.tls else []),
                        "create-user", "--access", access, "--secret", secret, "--role", role], check=True, capture_output=True)

    def allow(self, bucket, access, actions, resource="/*"):
        """Lets another user do some things to the bucket's objects (or, resource="", to the bucket)."""
        policy = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": [access]}, "Action": f"s3:{action}", "Resource": f"arn:aws:s3:::{bucket.name}{where}"}
            for action in actions for where in ([""] if action.startswith("ListBucket") else [resource])]}
        self.client().put_bucket_policy(Bucket=bucket.name, Policy=json.dumps(policy))


class Minio(S3):
    """Nearer to AWS in what it refuses; slower to start."""

    name = "minio"
    ready_path = "/minio/health/live"

    def command(self):
        self.environ = {"MINIO_ROOT_USER": self.access, "MINIO_ROOT_PASSWORD": self.secret, "MINIO_BROWSER": "off",
                        "MINIO_UPDATE": "off", "HOME": str(self.folder)}
        return [self.program, "server", "--address", f"127.0.0.1:{self.port}", self.folder / "objects"]


class S3sFs(S3):
    """Its put-if-absent does not hold: of several at once more than one is told that it was the first."""

    name = "s3s-fs"

    def command(self):
        (self.folder / "objects").mkdir(exist_ok=True)
        return [self.program, "--access-key", self.access, "--secret-key", self.secret, "--host", "127.0.0.1", "--port", str(self.port),
                self.folder / "objects"]

    def wait_ready(self, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(self.address, 1).close()
                return True
            except OSError:
                time.sleep(0.02)
        return False


class Authority:
    """A certificate authority of our own, and one certificate of it for the loopback interface."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.ca, self.certificate, self.key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
        extensions = harness.write(folder / "server.ext", b"subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n"
                                                          b"extendedKeyUsage=serverAuth\n")

        def openssl(*words):
            subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", self.ca, "-days", "2", "-subj", "/CN=test-ca",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        openssl("req", *key, "-keyout", self.key, "-out", "server.csr", "-subj", "/CN=localhost")
        openssl("x509", "-req", "-in", "server.csr", "-CA", self.ca, "-CAkey", "ca.key", "-CAcreateserial", "-out", self.certificate,
                "-days", "2", "-extfile", extensions)


class Toxiproxy(Server):
    """TCP faults: `before(server)` is a way to a server that toxics are put on."""

    name = "toxiproxy"
    ready_path = "/version"

    def command(self):
        return [self.program, "-host", "127.0.0.1", "-port", str(self.port)]

    def before(self, server):
        way = ToxicWay(self, f"way-{free_port()}")
        answer = self.ask("/proxies", {"name": way.name, "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{server.port}", "enabled": True})
        way.listen = json.loads(answer)["listen"]
        return way


class ToxicWay:
    """As a context manager it is gone afterwards, with all connections."""

    def __init__(self, toxiproxy, name):
        self.toxiproxy, self.name, self.listen = toxiproxy, name, None

    @property
    def url(self):
        return f"http://{self.listen}"

    def add(self, kind, stream="downstream", toxicity=1.0, **attributes):
        """latency(latency, jitter), reset_peer(timeout), bandwidth(rate), limit_data(bytes), timeout(timeout), slicer(...), slow_close(delay)"""
        toxic = {"name": kind, "type": kind, "stream": stream, "toxicity": toxicity, "attributes": attributes}
        self.toxiproxy.ask(f"/proxies/{self.name}/toxics", toxic)

    def remove(self, kind):
        self.toxiproxy.ask(f"/proxies/{self.name}/toxics/{kind}", method="DELETE")

    def enable(self, on):
        """Off: connections are closed, new ones refused."""
        self.toxiproxy.ask(f"/proxies/{self.name}", {"enabled": on, "listen": self.listen}, method="POST")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.toxiproxy.ask(f"/proxies/{self.name}", method="DELETE")
