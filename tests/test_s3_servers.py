"""The servers are what the other tests take them for: they check signatures, hold put-if-absent (or do not), speak TLS, keep
versions. And the fault proxy and Toxiproxy stand before them without a signature breaking."""
import concurrent.futures
import urllib.request

import botocore.exceptions
import pytest

import s3_servers
from fault_proxy import FaultProxy

CLIENT_ERROR = botocore.exceptions.ClientError


def winners(bucket, rounds, putters=8):
    """How many of the putters of each round were told that they were the first."""

    def put(number, round_):
        try:
            bucket.client.put_object(Bucket=bucket.name, Key=f"race/{round_}", Body=b"%d" % number, IfNoneMatch="*")
            return number
        except CLIENT_ERROR as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412), error
            return None
        except botocore.exceptions.ConnectionClosedError:  # s3s-fs, now and then
            return None

    counts = []
    with concurrent.futures.ThreadPoolExecutor(putters) as pool:
        for round_ in range(rounds):
            won = [number for number in pool.map(put, range(putters), [round_] * putters) if number is not None]
            counts.append(len(won))
            assert len(won) != 1 or bucket.get(f"race/{round_}") == b"%d" % won[0]
    return counts


def test_put_if_absent(any_s3):
    assert winners(any_s3, 20) == [1] * 20


def test_put_if_absent_of_two_processes(tmp_path):
    with s3_servers.Versitygw(tmp_path / "a") as first, s3_servers.Versitygw(tmp_path / "b", root=first.root) as second:
        bucket = first.make_bucket()
        bucket.put("k", b"1", IfNoneMatch="*")
        with pytest.raises(CLIENT_ERROR, match="PreconditionFailed"):
            second.client().put_object(Bucket=bucket.name, Key="k", Body=b"2", IfNoneMatch="*")


def test_put_if_absent_that_does_not_hold(tmp_path):
    with s3_servers.S3sFs(tmp_path) as server:
        assert max(winners(server.make_bucket(), 20)) > 1


def test_signatures_are_checked(any_s3):
    with pytest.raises(CLIENT_ERROR, match="SignatureDoesNotMatch"):
        any_s3.server.client(secret="wrong").list_objects_v2(Bucket=any_s3.name)


def test_trees(s3, tmp_path):
    (tmp_path / "from/a b").mkdir(parents=True)
    (tmp_path / "from/a b/c%d").write_bytes(b"1")
    s3.put_tree(tmp_path / "from", "x/")
    assert s3.sizes() == {"x/a b/c%d": 1} and (s3.get_tree("x/", tmp_path / "to") / "a b/c%d").read_bytes() == b"1"
    s3.client.create_multipart_upload(Bucket=s3.name, Key="open")
    assert s3.uploads() == ["open"]


def test_tls(tmp_path):
    authority = s3_servers.Authority(tmp_path / "tls")
    with s3_servers.Versitygw(tmp_path / "s3", tls=authority) as server:
        server.make_bucket().put("k", b"1")
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(server.url + "/health", timeout=5)


def test_versions(tmp_path):
    with s3_servers.Versitygw(tmp_path, versions=True) as server:
        bucket = server.make_bucket(versioned=True)
        ids = [bucket.put("k", body)["VersionId"] for body in (b"1", b"2")]
        assert bucket.client.get_object(Bucket=bucket.name, Key="k", VersionId=ids[0])["Body"].read() == b"1"


def test_users(tmp_path):
    with s3_servers.Versitygw(tmp_path, users=True) as server:
        bucket = server.make_bucket()
        bucket.put("k", b"1")
        server.make_user("reader", "readersecret")
        client = server.client(access="reader", secret="readersecret")
        with pytest.raises(CLIENT_ERROR, match="AccessDenied"):
            client.list_objects_v2(Bucket=bucket.name)
        server.allow(bucket, "reader", ["ListBucket", "GetObject"])
        assert client.list_objects_v2(Bucket=bucket.name)["KeyCount"] == 1
        assert client.get_object(Bucket=bucket.name, Key="k")["Body"].read() == b"1"
        with pytest.raises(CLIENT_ERROR, match="AccessDenied"):
            client.put_object(Bucket=bucket.name, Key="j", Body=b"1")


def test_the_fault_proxy_keeps_signatures_valid(any_s3):
    with FaultProxy(any_s3.server.address) as proxy:
        client = any_s3.server.client(proxy.url)
        client.put_object(Bucket=any_s3.name, Key="k é", Body=b"x" * 100_000)
        assert client.get_object(Bucket=any_s3.name, Key="k é")["Body"].read() == b"x" * 100_000
        proxy.fail("lose", kind="put")
        with pytest.raises(botocore.exceptions.HTTPClientError):
            client.put_object(Bucket=any_s3.name, Key="lost", Body=b"1", IfNoneMatch="*")
        with pytest.raises(CLIENT_ERROR, match="PreconditionFailed"):
            client.put_object(Bucket=any_s3.name, Key="lost", Body=b"1", IfNoneMatch="*")
        upload = client.create_multipart_upload(Bucket=any_s3.name, Key="m")["UploadId"]
        part = client.upload_part(Bucket=any_s3.name, Key="m", UploadId=upload, PartNumber=1, Body=b"1")
        client.complete_multipart_upload(Bucket=any_s3.name, Key="m", UploadId=upload, MultipartUpload={
            "Parts": [{"ETag": part["ETag"], "PartNumber": 1}]})
        client.delete_objects(Bucket=any_s3.name, Delete={"Objects": [{"Key": "m"}]})
        assert [r.kind for r in proxy.requests] == ["put", "get", "put", "put", "create", "part", "complete", "multi-delete"]


def test_toxiproxy(toxiproxy, s3):
    with toxiproxy.before(s3.server) as way:
        client = s3.server.client(way.url)
        client.put_object(Bucket=s3.name, Key="k", Body=b"x" * 100_000)
        way.add("limit_data", bytes=50_000)
        with pytest.raises((botocore.exceptions.BotoCoreError, OSError)):
            client.get_object(Bucket=s3.name, Key="k")["Body"].read()
        way.remove("limit_data")
        assert len(client.get_object(Bucket=s3.name, Key="k")["Body"].read()) == 100_000
        way.enable(False)
        with pytest.raises(botocore.exceptions.EndpointConnectionError):
            client.get_object(Bucket=s3.name, Key="k")
