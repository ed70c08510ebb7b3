"""Servers that stand in for the AWS Glue Data Catalog. Neither is it in all things:

    moto        keeps versions of tables, and takes an update whatever VersionId it names; no pages; any size of batch
    ministack   refuses an update with a VersionId that is not the newest; has no BatchDeletePartition, and gives null for members
                that are not there; no pages; any size of batch

Both keep what they are told in memory and check no signature."""
import functools
import json
import subprocess

import pytest

import harness
import s3_servers


@functools.cache
def _made():
    """None, or why there are none."""
    done = subprocess.run([harness.ROOT / "scripts/aws-stubs"], capture_output=True, text=True)
    return None if done.returncode == 0 else f"scripts/aws-stubs: {done.stderr.strip()[-300:]}"


class Stub(s3_servers.Server):
    def find(self):
        if why := _made():
            pytest.skip(why)
        return harness.ROOT / ".cache/aws-stubs/bin" / self.script

    @functools.cached_property
    def client(self):
        """Of boto3; it takes long to make."""
        import boto3
        from botocore.config import Config

        session = boto3.session.Session("testing", "testing", region_name=s3_servers.REGION)
        return session.client("glue", endpoint_url=self.url, config=Config(retries={"total_max_attempts": 1}))


class Moto(Stub):
    name, script, ready_path = "moto", "moto_server", "/moto-api/"

    def command(self):
        return [self.program, "-H", "127.0.0.1", "-p", str(self.port)]


class Ministack(Stub):
    name, script, ready_path = "ministack", "ministack", "/_ministack/health"

    def command(self):
        self.environ = {"BIND_HOST": "127.0.0.1", "MINISTACK_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port), "HOME": str(self.folder),
                        "IOT_MTLS_ENABLED": "0"}  # it would listen to the world
        return [self.program]


def operation(request):
    """Of a request to Glue that a fault proxy has seen: "GetTable"."""
    return request.headers.get("x-amz-target", "").rpartition(".")[2]


def body(request):
    return json.loads(request.raw[len(request.raw) - int(request.headers["content-length"]):])


def refuse(code, text="made by the fault proxy", status=400):
    """A fault: Glue's own way to say no, with nothing done."""
    def fault(x):
        x.answer(status, "Error", json.dumps({"__type": code, "message": text}).encode())
    return fault


def answer(value):
    """A fault: an answer of our own, of which the server knows nothing."""
    return lambda x: x.answer(200, "OK", value if isinstance(value, bytes) else json.dumps(value).encode())
