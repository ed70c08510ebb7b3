"""gristmill policy: which actions on which resources, as AWS's Service Authorization Reference has them."""
import json

import pytest

import harness
from harness import gristmill

JOB = """
job: x
source: {{location: "{source}"{source_more}}}
table: {{location: "{table}"{table_more}}}
columns: [{{name: a, type: string, from: a}}]
"""
# Which resource an action is about: the bucket, or what is in it.
BUCKET = {"s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:GetLifecycleConfiguration"}
READ = {"s3:GetObject"}
ALLOC = harness.BINARY.resolve().parent.parent.parent / "tests/fault/failalloc.so"
WRITE = READ | {"s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}


@pytest.fixture
def policy(tmp_path, monkeypatch):
    """Runs the command on a job with these locations and keys; neither environment nor files say anything but what a test says."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))

    def run(*arguments, source="s3://logs-bucket/raw/records/", table="s3://lake-bucket/access_record", source_more="", table_more="", more="", status=0):
        job = harness.write(tmp_path / "job.yaml", JOB.format(source=source, table=table, source_more=source_more, table_more=table_more).encode() + more.encode())
        return gristmill("policy", job, *arguments, status=status)
    run.folder = tmp_path
    return run


def listed(value):
    return value if isinstance(value, list) else [value]


def statements(document):
    """Sid -> statement, after what holds for every policy."""
    assert list(document) == ["Version", "Statement"] and document["Version"] == "2012-10-17"
    found = {}
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow" and statement["Sid"].isalnum() and statement["Sid"] not in found
        for action in listed(statement["Action"]):
            of_bucket = "/" not in statement["Resource"]
            assert action.startswith("kms:") or of_bucket == (action in BUCKET), statement
        assert "*" not in listed(statement["Action"])
        found[statement["Sid"]] = statement
    return found


def test_a_queue_that_is_watched(policy):
    """Its ARN by its URL (SQS Developer Guide, "Queue and message identifiers"); a batch needs the permission of one message."""
    actions = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"}
    for url, more, arn in (("https://sqs.us-east-2.amazonaws.com/123456789012/MyQueue", "", "arn:aws:sqs:us-east-2:123456789012:MyQueue"),
                           ("https://us-west-2.queue.amazonaws.com/123456789012/MyQueue", "", "arn:aws:sqs:us-west-2:123456789012:MyQueue"),
                           ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q", "", "arn:aws-cn:sqs:cn-north-1:123456789012:q"),
                           ("http://127.0.0.1:4566/000000000000/q", ", region: eu-west-1", "arn:aws:sqs:eu-west-1:000000000000:q"),
                           ("http://127.0.0.1:4566/000000000000/q", "", "arn:aws:sqs:*:000000000000:q")):
        found = json.loads(policy(more=f'watch: {{queue: "{url}"{more}}}').out)["Statement"]
        watch = [statement for statement in found if statement["Sid"] == "WatchSource"]
        assert [(set(s["Action"]), s["Resource"], s["Effect"]) for s in watch] == [(actions, arn, "Allow")]
    assert "WatchSource" not in policy().out
    for url in ("queue", "ftp://sqs.us-east-2.amazonaws.com/1/q", "https://sqs.us-east-2.amazonaws.com/MyQueue", "https://host/1/2/3", "https://host/1/", "https://sqs.us-east-2.amazonaws.com/123456789012/*"):
        assert "not the URL of a queue" in policy(more=f'watch: {{queue: "{url}"}}', status=2).err


def test_source_and_table(policy):
    result = policy()
    assert result.err == ""
    found = statements(json.loads(result.out))
    assert found["ListSource"]["Resource"] == "arn:aws:s3:::logs-bucket"
    assert found["ListSource"]["Condition"] == {"StringLike": {"s3:prefix": "raw/records/*"}}
    assert found["ReadSource"]["Resource"] == "arn:aws:s3:::logs-bucket/raw/records/*"
    assert set(listed(found["ReadSource"]["Action"])) == READ
    assert found["ListTable"]["Condition"] == {"StringLike": {"s3:prefix": "access_record/*"}}
    assert found["ReadAndWriteTable"]["Resource"] == "arn:aws:s3:::lake-bucket/access_record/*"
    assert set(found["ReadAndWriteTable"]["Action"]) == WRITE
    assert found["SweepTable"]["Action"] == "s3:ListBucketMultipartUploads"
    assert found["DoctorTable"]["Action"] == "s3:GetLifecycleConfiguration"
    assert len(found) == 6
    assert policy("--json").json == {"policy": json.loads(result.out)}


def test_whole_buckets_and_pinned_versions(policy):
    found = statements(policy("--json", source="s3://logs-bucket", table="s3://lake-bucket/", source_more=", version_ids: true").json["policy"])
    assert "Condition" not in found["ListSource"] and "Condition" not in found["ListTable"]
    assert found["ReadSource"]["Resource"] == "arn:aws:s3:::logs-bucket/*"
    assert set(found["ReadSource"]["Action"]) == READ | {"s3:GetObjectVersion"}
    assert found["ReadAndWriteTable"]["Resource"] == "arn:aws:s3:::lake-bucket/*"


def test_prefixes_are_no_patterns(policy):
    """IAM takes * and ? for wildcards, ${ for a variable: User Guide, "IAM policy elements: variables and tags"."""
    found = statements(policy("--json", source="s3://logs-bucket/a*b?c$d/\u00e9 x").json["policy"])
    assert found["ReadSource"]["Resource"] == "arn:aws:s3:::logs-bucket/a${*}b${?}c${$}d/\u00e9 x/*"
    assert found["ListSource"]["Condition"]["StringLike"]["s3:prefix"] == "a${*}b${?}c${$}d/\u00e9 x/*"


@pytest.mark.parametrize("region, partition", [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")])
def test_partitions(policy, monkeypatch, region, partition):
    def arns(**job):
        return {statement["Resource"].split(":")[1] for statement in policy("--json", **job).json["policy"]["Statement"]}

    more = f", region: {region}"
    assert arns(source_more=more, table_more=more) == {partition}
    assert arns(source_more=more) == {partition, "aws"}
    (policy.folder / "config").write_text(f"[profile p]\nregion = {region}\n")
    assert arns(source_more=", profile: p", table_more=", profile: p") == {partition}
    monkeypatch.setenv("AWS_REGION", region)
    assert arns() == {partition}


@pytest.mark.parametrize("key, resource, alias", [
    ("arn:aws:kms:eu-west-1:1:key/k", "arn:aws:kms:eu-west-1:1:key/k", None),
    ("arn:aws:kms:eu-west-1:1:alias/a/b", "arn:aws:kms:eu-west-1:1:key/*", "alias/a/b"),
    ("alias/a", "arn:aws:kms:eu-west-1:*:key/*", "alias/a"),
    ("1234abcd-12ab-34cd-56ef-1234567890ab", "arn:aws:kms:eu-west-1:*:key/1234abcd-12ab-34cd-56ef-1234567890ab", None),
])
def test_keys(policy, key, resource, alias):
    more = f', region: eu-west-1, encryption: "aws:kms", kms_key: "{key}"'
    statement = statements(policy("--json", table_more=more).json["policy"])["EncryptTable"]
    assert set(statement["Action"]) == {"kms:GenerateDataKey", "kms:Decrypt"}
    assert statement["Resource"] == resource
    expected = {"StringLike": {"kms:ViaService": "s3.*"}}
    if alias:
        expected["ForAnyValue:StringEquals"] = {"kms:ResourceAliases": alias}
    assert statement["Condition"] == expected


def test_a_policy_for_each_profile(policy):
    (policy.folder / "config").write_text("[profile a]\nregion = eu-west-1\n[profile b]\nregion = cn-north-1\n")
    job = {"source_more": ", profile: a", "table_more": ", profile: b"}
    both = policy("--json", **job).json
    assert set(both) == {"source", "table"}
    assert set(statements(both["source"])) == {"ListSource", "ReadSource"}
    assert set(statements(both["table"])) == {"ListTable", "ReadAndWriteTable", "SweepTable", "DoctorTable"}
    assert both["table"]["Statement"][0]["Resource"] == "arn:aws-cn:s3:::lake-bucket"
    text = policy(**job)
    first, end = json.JSONDecoder().raw_decode(text.out)
    assert [first, json.loads(text.out[end:])] == [both["source"], both["table"]]
    assert text.err == "for the source:\nfor the table:\n"
    same = policy("--json", source_more=", profile: a", table_more=", profile: a").json
    assert list(same) == ["policy"]
    elsewhere = policy("--json", source_more=', endpoint: "http://127.0.0.1:9000"').json
    assert set(elsewhere) == {"source", "table"}


def test_directories_need_none(policy, tmp_path):
    result = policy(source=tmp_path, table=tmp_path / "t")
    assert result.out == "" and "no policy is needed" in result.err
    assert policy("--json", source=tmp_path, table=tmp_path / "t").json == {"policy": None}
    one = policy("--json", table=tmp_path / "t").json["policy"]
    assert set(statements(one)) == {"ListSource", "ReadSource"}
    other = policy("--json", source=tmp_path).json["policy"]
    assert set(statements(other)) == {"ListTable", "ReadAndWriteTable", "SweepTable", "DoctorTable"}


def test_errors(policy):
    result = policy(source="s3://x", status=2)
    assert "s3://x" in result.err and "not a location of S3" in result.err
    result = policy("--json", source_more=", profile: gone", status=2)
    assert "there is no profile 'gone'" in result.err and "gone" in result.json["error"]["message"]
    (policy.folder / "config").write_text("[default]\nregion = eu-west-1\naws_secret_access_key S3CRET\n")
    result = policy(status=2)
    assert "config:3" in result.err and "S3CRET" not in result.err
    assert "ListTable" in policy(source_more=", region: eu-west-1", table_more=", region: eu-west-1").out  # then the files do not matter


@pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers replace the same functions")
def test_every_allocation_fails_once(policy):
    """A policy that lacks a few characters would be worse than none."""
    (policy.folder / "config").write_text("[profile a]\nregion = eu-west-1\n[profile b]\nregion = cn-north-1\n")
    good = policy("--json", source_more=", profile: a", table_more=', profile: b, encryption: "aws:kms", kms_key: "alias/x"')
    job, report = policy.folder / "job.yaml", policy.folder / "report"

    def total(*flags):
        report.unlink(missing_ok=True)
        gristmill("policy", job, "--json", *flags, env={"LD_PRELOAD": str(ALLOC), "FAULT_ALLOC_REPORT": str(report)})
        return int(report.read_text().split()[0])

    loading, everything = total("--source", policy.folder, "--table", policy.folder), total()
    assert everything > loading + 100
    for n in range(loading, everything + 1):
        result = gristmill("policy", job, "--json", env={"LD_PRELOAD": str(ALLOC), "FAULT_ALLOC_AT": str(n)}, status=None)
        if result.status == 0:
            assert result.out == good.out, n
        else:
            assert result.status == 1 and "memory" in result.err and result.out.count("\n") <= 1, (n, str(result))
