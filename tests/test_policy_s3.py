"""The policy that `gristmill policy` prints, before a server that evaluates it: it is enough for all that a job does, it is not more than the
job's own prefixes, and each part of it is needed."""
import base64
import json
import random

import boto3
import botocore.exceptions
import pytest

import harness

JOB = b"""
job: x
source: {location: "s3://policy-source/raw/"}
table: {location: "s3://policy-table/t/x"}
columns:
  - {name: id, type: bigint, from: id, required: true}
  - {name: text, type: string, from: text}
"""
RECORDS = 1600  # of 8 KiB that do not compress much: a file of more than one part


@pytest.fixture(scope="module")
def world(minio, tmp_path_factory):
    """The server with both buckets and a job file."""
    minio.job = harness.write(tmp_path_factory.mktemp("policy") / "job.yaml", JOB)
    minio.source, minio.table = minio.make_bucket("policy-source"), minio.make_bucket("policy-table")
    minio.source.put("other/a.json", b"{}")
    minio.table.put("other/a.json", b"{}")
    minio.table.put("t/xy/a.json", b"{}")
    return minio


def policy_of(world):
    return harness.gristmill("policy", world.job, "--json").json["policy"]


def assume(world, policy):
    """Keys of a session that may do what the policy says, and nothing else."""
    client = boto3.client("sts", endpoint_url=world.url, region_name="us-east-1", aws_access_key_id=world.access,
                          aws_secret_access_key=world.secret)
    answer = client.assume_role(RoleArn="arn:aws:iam::111122223333:role/test", RoleSessionName="policy", Policy=json.dumps(policy))
    return answer["Credentials"]


def environment(world, policy):
    keys = assume(world, policy)
    return world.environment(AWS_ACCESS_KEY_ID=keys["AccessKeyId"], AWS_SECRET_ACCESS_KEY=keys["SecretAccessKey"],
                             AWS_SESSION_TOKEN=keys["SessionToken"])


def put_records(world, name, count=RECORDS, bad=b""):
    rng = random.Random(name)
    lines = [json.dumps({"id": i, "text": base64.b64encode(rng.randbytes(6144)).decode()}).encode() for i in range(count)]
    world.source.put(f"raw/{name}.json", b"\n".join([*lines, bad]))


def steps(world, env, status=0):
    """A run in its three steps, each a process of its own; what the last one says."""
    plan = harness.gristmill("plan", world.job, "--json", "--quiet", env=env).json
    for unit in plan["units"]:
        harness.gristmill("work", world.job, "--plan", plan["plan"], "--unit", unit["unit"], "--quiet", env=env)
    return harness.gristmill("commit", world.job, "--plan", plan["plan"], "--max-quarantine", "99", "--json", "--quiet", env=env, status=status)


def test_it_is_enough(world):
    env = environment(world, policy_of(world))
    put_records(world, "first")
    result = harness.gristmill("run", world.job, "--json", "--quiet", env=env).json
    assert result["rows_written"] == RECORDS and result["requests"]["multipart"] > 2
    put_records(world, "second")
    assert steps(world, env).json["rows_written"] == RECORDS
    put_records(world, "third", bad=b"not JSON")
    harness.gristmill("run", world.job, "--max-quarantine", "0", "--quiet", env=env, status=3)  # aborts its upload
    assert world.table.uploads() == []
    put_records(world, "fourth", 3)
    assert harness.gristmill("run", world.job, "--json", "--quiet", env=env).json["quarantined"] == 1
    assert harness.gristmill("status", world.job, "--json", env=env).json["source"]["new"] == 0
    harness.gristmill("verify", world.job, env=env)
    harness.gristmill("doctor", world.job, env=env)


def test_doctor_tells_what_it_may_not_look_at(world):
    allowed = harness.gristmill("doctor", world.job, env=environment(world, policy_of(world)))
    assert "s3:GetLifecycleConfiguration" not in allowed.out + allowed.err
    env = environment(world, without(policy_of(world), "DoctorTable", "s3:GetLifecycleConfiguration"))
    result = harness.gristmill("doctor", world.job, env=env)  # a note, no failure
    assert "allow s3:GetLifecycleConfiguration" in result.out + result.err


def test_it_is_no_more(world):
    keys = assume(world, policy_of(world))
    client = boto3.client("s3", endpoint_url=world.url, region_name="us-east-1", aws_access_key_id=keys["AccessKeyId"],
                          aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"])
    source, table = world.source.name, world.table.name
    world.source.put("raw/zero", b"")
    client.get_object(Bucket=source, Key="raw/zero")
    world.source.remove("raw/zero")
    for call, arguments in [
            (client.list_objects_v2, {"Bucket": source}), (client.list_objects_v2, {"Bucket": table, "Prefix": ""}),
            (client.list_objects_v2, {"Bucket": source, "Prefix": "raw"}), (client.list_objects_v2, {"Bucket": table, "Prefix": "t/xy/"}),
            (client.get_object, {"Bucket": source, "Key": "other/a.json"}), (client.get_object, {"Bucket": table, "Key": "other/a.json"}),
            (client.get_object, {"Bucket": table, "Key": "t/xy/a.json"}), (client.put_object, {"Bucket": source, "Key": "raw/new"}),
            (client.delete_object, {"Bucket": source, "Key": "raw/first.json"}), (client.put_object, {"Bucket": table, "Key": "new"}),
            (client.put_object, {"Bucket": table, "Key": "t/xy/new"}), (client.delete_object, {"Bucket": table, "Key": "other/a.json"})]:
        with pytest.raises(botocore.exceptions.ClientError) as raised:
            call(**arguments)
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, arguments


def without(policy, sid, action):
    """The policy less one action of a statement."""
    kept = []
    for statement in policy["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        left = [name for name in actions if (statement["Sid"], name) != (sid, action)]
        if left:
            kept.append({**statement, "Action": left})
    assert kept != policy["Statement"]
    return {**policy, "Statement": kept}


@pytest.mark.parametrize("sid, action", [
    ("ListSource", "s3:ListBucket"), ("ReadSource", "s3:GetObject"), ("ListTable", "s3:ListBucket"), ("ReadAndWriteTable", "s3:GetObject"),
    ("ReadAndWriteTable", "s3:PutObject"),
])
def test_a_run_needs(world, sid, action):
    env = environment(world, without(policy_of(world), sid, action))
    put_records(world, f"{sid}-{action[3:]}", 3)
    result = harness.gristmill("run", world.job, "--quiet", env=env, status=1)
    assert "403 AccessDenied" in result.err and "gristmill policy JOB" in result.err


def test_without_abort_uploads_are_left(world):
    env = environment(world, without(policy_of(world), "ReadAndWriteTable", "s3:AbortMultipartUpload"))
    put_records(world, "uploads", bad=b"not JSON")
    harness.gristmill("run", world.job, "--max-quarantine", "0", "--quiet", env=env, status=None)
    assert world.table.uploads() != []


def test_without_delete_work_is_left(world):
    env = environment(world, without(policy_of(world), "ReadAndWriteTable", "s3:DeleteObject"))
    put_records(world, "work", 3)
    harness.gristmill("run", world.job, "--max-quarantine", "99", "--quiet", env=env, status=None)
    assert [key for key in world.table.sizes("t/x/") if key.endswith(".staged")]


def test_commit_in_another_process_needs_list_parts(world):
    env = environment(world, without(policy_of(world), "ReadAndWriteTable", "s3:ListMultipartUploadParts"))
    put_records(world, "parts")
    result = steps(world, env, status=1)
    assert "could not look at an upload" in result.err and "403 AccessDenied" in result.err
