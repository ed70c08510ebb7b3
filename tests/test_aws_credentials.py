"""Credentials from each source that AWS tools know, against stubs that speak the real wire formats (aws_stub.py):
tests/unit/aws/credentials_tool.c asks for them and tells secrets by their hashes alone. No answer may hold a secret."""
import hashlib
import itertools
import json
import os
import re
import resource
import shlex
import signal
import struct
import subprocess
import sys
import time

import pytest

import aws_stub
import harness
from aws_stub import Answer, Instance, Keys, Sts, Stub, assumed, document, in_turn, refused

TOOL = harness.BINARY.parent / "tests/unit/aws/credentials_tool"
ARN = "arn:aws:iam::123456789012:role/"
_numbers = itertools.count(1)
SECRETS = []  # all that were given out: none may come out again


def keys(token=True):
    """New ones, which look like AWS's."""
    digits = hashlib.sha256(f"{next(_numbers)} {time.time_ns()}".encode()).hexdigest()
    made = Keys("ASIA" + digits[:16].upper(), f"{digits[:19]}/+{digits[19:38]}", f"IQoJb3JpZ2lu{digits}=={digits[::-1]}" if token else "")
    SECRETS.extend(secret for secret in (made.secret, made.token) if secret)
    return made


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Tool:
    """A running credentials_tool, in an environment that has nothing of this machine's."""

    def __init__(self, folder, *args, config="", credentials="", before=None, **env):
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true", **env}
        for name, text in (("AWS_CONFIG_FILE", config), ("AWS_SHARED_CREDENTIALS_FILE", credentials)):
            path = harness.write(folder / name.lower(), text.encode())
            environment[name] = str(path)
        self.environment = {name: value for name, value in environment.items() if value is not None}
        self.popen = subprocess.Popen([TOOL, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                      env=self.environment, cwd=folder, preexec_fn=before)
        self.first = self.read()

    def __enter__(self):
        return self

    def __exit__(self, failure, *unused):
        """It ends by itself, and well: sanitizers then say what they have found."""
        if failure is None and self.popen.returncode is None:
            _, errors = self.popen.communicate(timeout=30 * harness.SLOW)
            assert (self.popen.returncode, errors) == (0, "")
        self.popen.kill()
        self.popen.communicate()

    def read(self):
        line = self.popen.stdout.readline()
        assert line, f"the tool has died: {self.popen.communicate()}"
        assert not [secret for secret in SECRETS if secret in line], "a secret in an answer"
        return json.loads(line)

    def ask(self, command):
        self.popen.stdin.write(command + "\n")
        self.popen.stdin.flush()
        return self.read()

    def gets(self, expected, command="get"):
        answer = self.ask(command)
        assert answer["code"] == "OK", answer
        assert (answer["access_key"], answer["secret_sha256"], answer["token_sha256"]) == (
            expected.access, sha256(expected.secret), sha256(expected.token))
        return answer

    def fails(self, code, *words, command="get"):
        answer = self.ask(command)
        check_failure(answer, code, *words)
        return answer


def check_failure(answer, code, *words):
    text = f"{answer.get('message')} ({answer.get('hint')})"
    assert answer["code"] == code, answer
    assert not [word for word in words if word not in text], text


def profile_keys(name, keys):
    token = f"aws_session_token = {keys.token}\n" if keys.token else ""
    return f"[{name}]\naws_access_key_id = {keys.access}\naws_secret_access_key = {keys.secret}\n{token}"


def environment(keys):
    return {"AWS_ACCESS_KEY_ID": keys.access, "AWS_SECRET_ACCESS_KEY": keys.secret, "AWS_SESSION_TOKEN": keys.token or None}


# --- Written down ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("token", [False, True])
def test_environment(tmp_path, token):
    expected = keys(token)
    with Tool(tmp_path, **environment(expected), credentials=profile_keys("default", keys())) as tool:
        assert tool.first["description"] == "the environment: AWS_ACCESS_KEY_ID"
        assert tool.gets(expected)["expires_us"] == 2**63 - 1
        tool.gets(expected, "force")


@pytest.mark.parametrize("token", [False, True])
def test_profile(tmp_path, token):
    default, other = keys(token), keys(token)
    files = profile_keys("default", default) + profile_keys("other", other)
    with Tool(tmp_path, credentials=files) as tool:
        assert tool.first["description"] == "profile 'default': keys"
        tool.gets(default)
    with Tool(tmp_path, credentials=files, AWS_PROFILE="other") as tool:
        assert tool.first["description"] == "profile 'other': keys"
        tool.gets(other)


def test_the_job_s_profile_goes_before_the_environment(tmp_path):
    env, other = keys(), keys()
    files = profile_keys("default", keys()) + profile_keys("other", other)
    with Tool(tmp_path, "other", credentials=files, **environment(env)) as tool:
        tool.gets(other)
    with Tool(tmp_path, credentials=files, AWS_PROFILE="other", **environment(env)) as tool:
        tool.gets(env)
    with Tool(tmp_path, "bare", credentials=files + "[bare]\nregion = eu-west-1\n", **environment(env)) as tool:
        check_failure(tool.first, "DENIED", "no credentials: none in profile 'bare' or from a container")


@pytest.mark.parametrize("config, env, words", [
    ("", {"AWS_ACCESS_KEY_ID": "AKID"}, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY is not"]),
    ("", {"AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}, ["AWS_ROLE_ARN is not"]),
    ("[default]\naws_access_key_id = AKID\n", {}, ["'default'", "not aws_secret_access_key"]),
    ("[default]\naws_secret_access_key = xyzzyxyzzy\n", {}, ["'default'", "not aws_access_key_id"]),
    ("[default]\nsso_session = my-sso\nsso_account_id = 1\n", {}, ["sso_session", "credential_process"]),
    ("[default]\nrole_arn = r\n", {}, ["'default'", "neither source_profile nor credential_source"]),
    ("[default]\nrole_arn = r\nsource_profile = x\ncredential_source = Environment\n", {}, ["both source_profile and"]),
    ("[default]\nrole_arn = r\nsource_profile = x\n", {}, ["source_profile 'x' does not exist"]),
    ("[default]\nrole_arn = r\nsource_profile = x\n[profile x]\nregion = y\n", {}, ["profile 'x' has no credentials", "'default'"]),
    ("[default]\nrole_arn = r\nsource_profile = x\nmfa_serial = m\n[profile x]\naws_access_key_id = y\n", {}, ["mfa_serial"]),
    ("[default]\nrole_arn = r\nsource_profile = default\n", {}, ["'default' leads in a circle"]),
    ("[default]\nrole_arn = r\nsource_profile = a\n[profile a]\nrole_arn = r\nsource_profile = b\n"
     "[profile b]\nrole_arn = r\nsource_profile = a\n", {}, ["profile 'b'", "source_profile 'a' leads in a circle"]),
    ("[default]\nrole_arn = r\ncredential_source = Sky\n", {}, ["'Sky'", "EcsContainer"]),
    ("[default]\nrole_arn = r\ncredential_source = Environment\n", {}, ["Environment", "no credentials"]),
    ("[default]\nrole_arn = r\ncredential_source = EcsContainer\n", {}, ["EcsContainer", "no credentials"]),
    ("[default]\nrole_arn = r\ncredential_source = Ec2InstanceMetadata\n", {}, ["Ec2InstanceMetadata", "no credentials"]),
    ("[default]\nweb_identity_token_file = /t\n", {}, ["web_identity_token_file", "not role_arn"]),
    ("[default]\ncredential_process = a 'b\n", {}, ["'default'", "credential_process", "does not end"]),
    ("", {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": ".example.com/x"}, ["RELATIVE_URI", "'/'"]),
])
def test_what_is_configured_wrongly_is_named(tmp_path, config, env, words):
    with Tool(tmp_path, config=config, **env) as tool:
        check_failure(tool.first, "USAGE", *words)


def test_characters_that_keys_cannot_have(tmp_path):
    with Tool(tmp_path, AWS_ACCESS_KEY_ID="AKID", AWS_SECRET_ACCESS_KEY="geheim nis", AWS_SESSION_TOKEN="t\r\nX-Evil: 1") as tool:
        answer = tool.fails("DENIED", "the environment", "secret access key")
        assert "geheim" not in json.dumps(answer)


def test_nothing_is_configured(tmp_path):
    with Tool(tmp_path) as tool:
        check_failure(tool.first, "DENIED", "none in the environment, in profile 'default' or from a container",
                      "AWS_EC2_METADATA_DISABLED", "set AWS_PROFILE")


# --- Roles -------------------------------------------------------------------------------------------------------------

def test_role_of_a_profile(tmp_path):
    base, role = keys(False), keys()
    with Stub(Sts({ARN + "etl": (base, role)}, region="eu-west-1")) as stub:
        config = (f"[profile etl]\nrole_arn = {ARN}etl\nsource_profile = base\nexternal_id = a b&c=ü\nrole_session_name = nightly\n"
                  f"duration_seconds = 1800\n")
        with Tool(tmp_path, "etl", "eu-west-1", config=config, credentials=profile_keys("base", base), AWS_ENDPOINT_URL_STS=stub.url) as tool:
            assert tool.first["description"] == f"profile 'etl': role {ARN}etl by way of profile 'base': keys"
            assert stub.requests == []
            answer = tool.gets(role)
            assert 3590e6 < answer["expires_us"] - time.time() * 1e6 < 3610e6
            for _ in range(5):
                tool.gets(role)
        assert [request.form for request in stub.requests] == [{
            "Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": ARN + "etl", "RoleSessionName": "nightly",
            "DurationSeconds": "1800", "ExternalId": "a b&c=ü"}]


def test_roles_by_way_of_roles(tmp_path):
    """The middle profile has keys, but only the last one's count as long as no role is assumed with them."""
    base, first, second, third = keys(), keys(), keys(), keys()
    roles = {ARN + "a": (second, third), ARN + "b": (first, second), ARN + "c": (base, first)}
    config = "".join(f"[profile {name}]\nrole_arn = {ARN}{name}\nsource_profile = {source}\n" for name, source in ("ab", "bc", ("c", "base")))
    with Stub(Sts(roles)) as stub, Tool(tmp_path, config=config, credentials=profile_keys("base", base), AWS_PROFILE="a",
                                        AWS_ENDPOINT_URL_STS=stub.url) as tool:
        assert tool.first["description"].count(" by way of ") == 3
        tool.gets(third)
        assert [request.form["RoleArn"] for request in stub.requests] == [ARN + "c", ARN + "b", ARN + "a"]
        assert all(request.form["RoleSessionName"].startswith("gristmill-") for request in stub.requests)
        tool.gets(third, "force")
        assert len(stub.requests) == 6


def test_a_source_s_own_keys_go_before_its_role(tmp_path):
    """A profile that names itself has role and keys in one place; so has the source of another."""
    base, role = keys(False), keys()
    own = profile_keys("profile both", base) + f"role_arn = {ARN}x\nsource_profile = both\n"
    other = f"[profile other]\nrole_arn = {ARN}x\nsource_profile = both\n"
    with Stub(Sts({ARN + "x": (base, role)})) as stub:
        for name in ("both", "other"):
            with Tool(tmp_path, name, config=own + other, AWS_ENDPOINT_URL_STS=stub.url) as tool:
                tool.gets(role)
        assert len(stub.requests) == 2


@pytest.mark.parametrize("place", ["Environment", "EcsContainer", "Ec2InstanceMetadata"])
def test_role_with_the_keys_of_a_place(tmp_path, place):
    base, role = keys(), keys()
    config = f"[default]\nrole_arn = {ARN}x\ncredential_source = {place}\n"
    with Stub(Sts({ARN + "x": (base, role)})) as sts, Stub(Instance(document(base, Code="Success"))) as instance, \
            Stub(lambda request: document(base)) as container:
        env = {"Environment": environment(base), "EcsContainer": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": container.url},
               "Ec2InstanceMetadata": {"AWS_EC2_METADATA_SERVICE_ENDPOINT": instance.url, "AWS_EC2_METADATA_DISABLED": None}}[place]
        # The environment's own keys would go first, but not before the job's profile.
        with Tool(tmp_path, "default", config=config, AWS_ENDPOINT_URL_STS=sts.url, **env) as tool:
            tool.gets(role)


@pytest.mark.parametrize("answer, code, words", [
    (refused(403, "AccessDenied", "User: arn:aws:iam::1:user/u is not authorized to perform: sts:AssumeRole"), "DENIED",
     ["403", "AccessDenied: User: arn", "trust policy"]),
    (refused(403, "InvalidClientTokenId", "The security token included in the request is invalid."), "DENIED", ["does not exist any more"]),
    (Answer(403, b"<html>not XML"), "DENIED", ["403"]),
    (Answer(404, b""), "DENIED", ["404"]),
    (Answer(301, b"", {"Location": "http://127.0.0.1:1/"}), "DENIED", ["301"]),
    (Answer(200, b""), "DENIED", ["of no use"]),
    (Answer(200, b"{}"), "DENIED", ["of no use"]),
    (Answer(200, b"<AssumeRoleResponse></AssumeRoleResponse>"), "DENIED", ["access key id is missing"]),
    (Answer(200, b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"), "DENIED", ["of no use"]),
    (Answer(200, b"x" * 100_000), "DENIED", ["longer than"]),
    (Answer(200, b"<a>" * 20_000), "DENIED", ["of no use"]),
])
def test_sts_answers_badly(tmp_path, answer, code, words):
    base = keys()
    config = f"[default]\nrole_arn = {ARN}x\nsource_profile = base\n" + profile_keys("profile base", base)
    with Stub(lambda request: answer) as stub, Tool(tmp_path, config=config, AWS_ENDPOINT_URL_STS=stub.url) as tool:
        tool.fails(code, stub.url, *words)
        assert len(stub.requests) == 1


def good_sts_answer(expected):
    return assumed("AssumeRole", expected).body


@pytest.mark.parametrize("change", [
    ("<AccessKeyId>", "<AccessKeyID>"), ("</Credentials>", "</Credential>"), ("<SessionToken>", "<SessionToken>x y"),
    ("<Expiration>", "<Expiration>in "), ("<Credentials>", "<Credentials><AccessKeyId>AKID</AccessKeyId>")])
def test_sts_gives_odd_credentials(tmp_path, change):
    base, role = keys(), keys()
    body = good_sts_answer(role).decode().replace(*change).encode()
    config = f"[default]\nrole_arn = {ARN}x\nsource_profile = base\n" + profile_keys("profile base", base)
    with Stub(lambda request: Answer(200, body)) as stub, Tool(tmp_path, config=config, AWS_ENDPOINT_URL_STS=stub.url) as tool:
        tool.fails("DENIED", stub.url)


def test_sts_answers_are_cut(tmp_path):
    """Each beginning of an answer, as a whole body: never other credentials, never a part of them in an error."""
    base, role = keys(), keys()
    config = f"[default]\nrole_arn = {ARN}x\nsource_profile = base\n" + profile_keys("profile base", base)
    body = good_sts_answer(role).rstrip()
    lengths = iter(range(0, len(body), 23))
    with Stub(lambda request: Answer(200, body[:next(lengths)])) as stub, Tool(tmp_path, config=config, AWS_ENDPOINT_URL_STS=stub.url) as tool:
        for _ in range(0, len(body), 23):
            answer = tool.fails("DENIED", stub.url)
            assert role.secret[:8] not in json.dumps(answer) and role.token[:16] not in json.dumps(answer)


def test_sts_repeats_what_it_was_sent(tmp_path):
    """As it does when a signature does not match: the session token is a line of the canonical request."""
    base = keys()
    config = f"[default]\nrole_arn = {ARN}x\nsource_profile = base\n" + profile_keys("profile base", base)
    message = f"The request signature we calculated does not match.\n\nThe Canonical String should have been\nx-amz-security-token:{base.token}\n"
    for text in (message, message.replace("\n", " "), base.token, base.token[20:50]):
        with Stub(lambda request: refused(403, "SignatureDoesNotMatch", text)) as stub, Tool(tmp_path, config=config, AWS_ENDPOINT_URL_STS=stub.url) as tool:
            answer = tool.fails("DENIED", "403", "its secret is another one")
            assert base.token[20:50] not in json.dumps(answer)


PASSING = [Answer(500, b"oops"), Answer(503), Answer(429, b"slow down"), refused(400, "Throttling", "Rate exceeded"), Answer(200, b"x" * 50, cut=20)]


@pytest.mark.parametrize("failure", PASSING, ids=lambda answer: f"{answer.status}")
def test_sts_fails_in_passing(tmp_path, failure):
    base, role = keys(), keys()
    config = f"[default]\nrole_arn = {ARN}x\nsource_profile = base\n" + profile_keys("profile base", base)
    with Stub(in_turn(failure, failure, Sts({ARN + "x": (base, role)}))) as stub, \
            Tool(tmp_path, config=config, AWS_ENDPOINT_URL_STS=stub.url) as tool:
        tool.gets(role)
        assert len(stub.requests) == 3
        stub.answer = lambda request: failure
        assert len(stub.requests) == 3
        start = time.monotonic()
        tool.fails("TRANSIENT", stub.url, command="force")
        assert len(stub.requests) == 7 and time.monotonic() - start < 10
        tool.gets(role)  # what is valid is still good


def test_the_clock_is_wrong(tmp_path):
    """The service says what time it is, and gets a signature of that time; once."""
    base, role = keys(), keys()
    sts = Sts({ARN + "x": (base, role)})
    config = f"[default]\nrole_arn = {ARN}x\nsource_profile = base\n" + profile_keys("profile base", base)

    def strict(request):
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + stub.ahead))
        minutes = abs(int(request.headers["x-amz-date"][9:13]) - int(stamp[9:13]))
        return sts(request) if minutes < 5 else refused(403, "SignatureDoesNotMatch", "Signature expired: it is now earlier than")

    with Stub(strict) as stub, Tool(tmp_path, config=config, AWS_ENDPOINT_URL_STS=stub.url) as tool:
        tool.ask("clock -1200")
        tool.gets(role)
        assert len(stub.requests) == 2
        stub.answer = lambda request: refused(403, "SignatureDoesNotMatch", "never")
        tool.fails("DENIED", "SignatureDoesNotMatch", command="force")
        assert len(stub.requests) == 4


@pytest.mark.parametrize("seconds", ["899", "43201", "an hour", "-1", "1e3"])
def test_duration_seconds_is_checked(tmp_path, seconds):
    config = f"[default]\nrole_arn = {ARN}x\nsource_profile = base\nduration_seconds = {seconds}\n" + profile_keys("profile base", keys())
    with Tool(tmp_path, config=config, AWS_ENDPOINT_URL_STS="http://127.0.0.1:1") as tool:
        tool.fails("USAGE", "duration_seconds")


# --- Web identity ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("where", ["environment", "profile"])
def test_web_identity(tmp_path, where):
    """The token is read anew each time: whoever made it replaces the file."""
    first, second = keys(), keys()
    path = harness.write(tmp_path / "token", b"eyJhbGciOi.first+/=.token\n")
    env = {"AWS_ROLE_ARN": ARN + "w", "AWS_WEB_IDENTITY_TOKEN_FILE": str(path), "AWS_ROLE_SESSION_NAME": "pod-1"}
    config = f"[default]\nrole_arn = {ARN}w\nweb_identity_token_file = {path}\nrole_session_name = pod-1\n"
    sts = Sts(tokens={ARN + "w": ("eyJhbGciOi.first+/=.token", first)})
    with Stub(sts) as stub, Tool(tmp_path, AWS_ENDPOINT_URL_STS=stub.url, **(env if where == "environment" else {}),
                                 config=config if where == "profile" else "") as tool:
        assert f"role {ARN}w for the web identity token in {path}" in tool.first["description"]
        tool.gets(first)
        assert stub.requests[0].form["RoleSessionName"] == "pod-1"
        sts.tokens[ARN + "w"] = ("eyJhbGciOi.second.token", second)
        path.write_bytes(b"eyJhbGciOi.second.token")
        tool.gets(first)
        tool.gets(second, "force")
        path.write_bytes(b"another")
        tool.fails("DENIED", "InvalidIdentityToken", command="force")
        tool.gets(second)


@pytest.mark.parametrize("content, code, words", [
    (None, "NOT_FOUND", []), (b"", "DENIED", ["is empty"]), (b" \n\n", "DENIED", ["is empty"]), (b"a\nb", "DENIED", ["characters"]),
    (b"a\0b", "DENIED", ["characters"]), (b"\xc3\xa4", "DENIED", ["characters"]), (b"x" * 70_000, "DENIED", ["64 KiB"])])
def test_token_file_is_odd(tmp_path, content, code, words):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with Stub(Sts()) as stub, Tool(tmp_path, AWS_ROLE_ARN=ARN + "w", AWS_WEB_IDENTITY_TOKEN_FILE=str(path), AWS_ENDPOINT_URL_STS=stub.url) as tool:
        answer = tool.fails(code, *words)
        assert str(path) in answer["message"] + answer["object"]
        assert stub.requests == []


def test_web_identity_is_refused(tmp_path):
    token = keys().token
    path = harness.write(tmp_path / "token", token.encode())
    with Stub(in_turn(refused(400, "IDPCommunicationError", "later"), refused(400, "ExpiredTokenException", f"Token expired: {token}"))) as stub, \
            Tool(tmp_path, AWS_ROLE_ARN=ARN + "w", AWS_WEB_IDENTITY_TOKEN_FILE=str(path), AWS_ENDPOINT_URL_STS=stub.url) as tool:
        tool.fails("DENIED", "400", "not renewed")
        assert len(stub.requests) == 2


# --- Containers --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["nothing", "variable", "file"])
def test_container(tmp_path, how):
    expected, token = keys(), "Basic abc def=="
    path = harness.write(tmp_path / "token", token.encode() + b"\n")
    env = {"nothing": {}, "variable": {"AWS_CONTAINER_AUTHORIZATION_TOKEN": token},
           "file": {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(path), "AWS_CONTAINER_AUTHORIZATION_TOKEN": "not this"}}[how]
    with Stub(lambda request: document(expected, RoleArn="arn")) as stub, \
            Tool(tmp_path, AWS_CONTAINER_CREDENTIALS_FULL_URI=stub.url + "/v1/x?id=hidden", **env) as tool:
        assert tool.first["description"] == "the container's endpoint at " + stub.url
        tool.gets(expected)
        request = stub.requests[0]
        assert (request.method, request.path, request.headers.get("authorization")) == (
            "GET", "/v1/x?id=hidden", None if how == "nothing" else token)
        path.write_text("Bearer new")
        tool.gets(expected, "force")
        assert how != "file" or stub.requests[1].headers["authorization"] == "Bearer new"


@pytest.mark.parametrize("url, good", [
    ("https://example.com/x", True), ("http://localhost/x", True), ("http://127.8.9.1:80/x", True), ("http://[::1]:8080/x", True),
    ("http://169.254.170.2/x", True), ("http://169.254.170.23/v1/credentials", True), ("http://[fd00:ec2::23]/v1/credentials", True),
    ("http://example.com/x", False), ("http://169.254.170.3/x", False), ("http://127.0.0.1.example.com/", False), ("http://[fd00:ec2::24]/", False),
    ("http://localhost.example.com/", False), ("http://127.0.0.1@example.com/", False), ("http://127.0.0.1:80@example.com/", False),
    ("http://user@127.0.0.1/", False), ("https://user:password@example.com/", False), ("ftp://127.0.0.1/x", False), ("file:///etc/passwd", False),
    ("/relative", False), ("http://", False), ("http://127.0.0.1:port/", False), ("http://127.0.0.1\\@example.com/", False), ("", None)])
def test_container_url(tmp_path, url, good):
    """Plain HTTP goes nowhere but to the machine itself and to the addresses of ECS and EKS. Nothing is asked here."""
    with Tool(tmp_path, AWS_CONTAINER_CREDENTIALS_FULL_URI=url) as tool:
        if good:
            assert tool.first["description"].startswith("the container's endpoint at ")
        else:
            check_failure(tool.first, "USAGE" if good is not None else "DENIED", "CONTAINER_CREDENTIALS" if good is not None else "no credentials")


DAMAGE = [lambda text: text[:len(text) // 2], lambda text: text[:-1], lambda text: b"", lambda text: b"null", lambda text: b"[" + text + b"]",
          lambda text: text.replace(b'"AccessKeyId"', b'"accessKeyId"'), lambda text: text.replace(b'"SecretAccessKey": "', b'"SecretAccessKey": 1, "x": "'),
          lambda text: text.replace(b'"SecretAccessKey": "', b'"SecretAccessKey": ["a"], "x": "'), lambda text: text.replace(b'"Expiration": "', b'"Expiration": "x'),
          lambda text: text + text, lambda text: text.replace(b'"Token": "', b'"Token": "\\n'), lambda text: b"x" * 100_000, lambda text: b"{" * 5000]


@pytest.mark.parametrize("damage", range(len(DAMAGE)))
def test_container_answers_garbage(tmp_path, damage):
    expected = keys()
    good = document(expected).body
    with Stub(lambda request: Answer(200, DAMAGE[damage](good))) as stub, Tool(tmp_path, AWS_CONTAINER_CREDENTIALS_FULL_URI=stub.url) as tool:
        answer = tool.fails("DENIED", stub.url)
        assert expected.secret[:8] not in json.dumps(answer) and expected.token[:16] not in json.dumps(answer)
        assert len(stub.requests) == 1


def test_container_refuses(tmp_path):
    token = keys().token
    body = json.dumps({"code": "AccessDenied", "message": "no such task"}).encode()
    echo = json.dumps({"code": "AccessDenied", "message": f"your token {token} is bad"}).encode()
    with Stub(in_turn(Answer(403, body), Answer(403, echo), Answer(404, b"<html>"))) as stub, \
            Tool(tmp_path, AWS_CONTAINER_CREDENTIALS_FULL_URI=stub.url, AWS_CONTAINER_AUTHORIZATION_TOKEN=token) as tool:
        tool.fails("DENIED", "answered 403: AccessDenied: no such task")
        tool.fails("DENIED", "answered 403")
        tool.fails("DENIED", "answered 404")


def test_container_gives_keys_for_ever(tmp_path):
    """Servers of other makers leave out token and expiry."""
    expected = keys(False)
    with Stub(lambda request: document(expected, Token=..., Expiration=None)) as stub, Tool(tmp_path, AWS_CONTAINER_CREDENTIALS_FULL_URI=stub.url) as tool:
        assert tool.gets(expected)["expires_us"] == 2**63 - 1


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "a\x01b", "ä"])
def test_container_token_cannot_add_headers(tmp_path, token):
    with Stub(lambda request: document(keys())) as stub, \
            Tool(tmp_path, AWS_CONTAINER_CREDENTIALS_FULL_URI=stub.url, AWS_CONTAINER_AUTHORIZATION_TOKEN=token) as tool:
        tool.fails("DENIED", "AWS_CONTAINER_AUTHORIZATION_TOKEN")
        assert stub.requests == []


# --- Instances ---------------------------------------------------------------------------------------------------------

def instance_environment(url, **more):
    return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": url, "AWS_EC2_METADATA_DISABLED": None, **more}


def test_instance(tmp_path):
    expected = keys()
    with Stub(Instance(document(expected, Code="Success", Type="AWS-HMAC", LastUpdated=aws_stub.iso(0)))) as stub, \
            Tool(tmp_path, **instance_environment(stub.url + "/")) as tool:
        assert tool.first["description"] == "the instance's metadata service at " + stub.url
        tool.gets(expected)
        assert [(request.method, request.path) for request in stub.requests] == [
            ("PUT", "/latest/api/token"), ("GET", aws_stub.ROLE), ("GET", aws_stub.ROLE + "app-role")]


@pytest.mark.parametrize("token, word", [
    (Answer(403), "403"), (Answer(404), "404"), (Answer(405), "405"),
    (Answer(200, b""), "cannot be one"), (Answer(200, b"a\r\nb"), "cannot be one"), (Answer(200, b"a\0b"), "cannot be one")])
def test_instance_gives_no_token(tmp_path, token, word):
    """There is no going back to version 1, whatever happens: a GET never comes without a token."""
    with Stub(lambda request: token if request.method == "PUT" else document(keys())) as stub, Tool(tmp_path, **instance_environment(stub.url)) as tool:
        tool.fails("DENIED", "no credentials: none in the environment, in profile 'default' or from a container", stub.url, word)
        assert [request.method for request in stub.requests] == ["PUT"]


@pytest.mark.parametrize("role, words", [("", ["cannot be one"]), ("a/../b", ["cannot be one"]), ("x" * 200, ["cannot be one"]), ("ok\nsecond", [])])
def test_instance_role_names(tmp_path, role, words):
    expected = keys()
    instance = Instance(document(expected, Code="Success"), role)
    with Stub(lambda request: document(expected) if request.path == aws_stub.ROLE + "ok" else instance(request)) as stub, \
            Tool(tmp_path, **instance_environment(stub.url)) as tool:
        tool.fails("DENIED", stub.url, *words) if words else tool.gets(expected)


def test_instance_has_no_role_or_no_keys(tmp_path):
    unauthorized = Answer(200, json.dumps({"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume the role", "LastUpdated": "x"}).encode())
    instance = Instance(in_turn(unauthorized, Answer(404), Answer(200, b"{"), document(keys(), Code="Success", SecretAccessKey=...)))
    with Stub(instance) as stub, Tool(tmp_path, **instance_environment(stub.url)) as tool:
        tool.fails("DENIED", "app-role", "AssumeRoleUnauthorizedAccess: EC2 cannot")
        tool.fails("DENIED", "app-role", "404")
        tool.fails("DENIED", "of no use")
        tool.fails("DENIED", "secret access key is missing")
        stub.answer = lambda request: instance(request) if request.path != aws_stub.ROLE else Answer(404)
        tool.fails("DENIED", "has no role", "attach an instance profile")


def test_instance_fails_in_passing(tmp_path):
    expected = keys()
    instance = Instance(in_turn(Answer(500), Answer(503), document(expected, Code="Success")))
    with Stub(in_turn(Answer(500), instance)) as stub, Tool(tmp_path, **instance_environment(stub.url)) as tool:
        tool.gets(expected)
        assert len(stub.requests) == 6


def test_no_instance(tmp_path):
    """Nobody refuses, nobody answers: it is told within three seconds where it was looked."""
    with Stub(lambda request: Answer(200, b"late", delay=8)) as stub:
        with Tool(tmp_path, **instance_environment(stub.url)) as tool:
            start = time.monotonic()
            tool.fails("DENIED", "none in the environment, in profile 'default' or from a container", stub.url, "did not answer", "set AWS_PROFILE")
            assert time.monotonic() - start < 3 * harness.SLOW
        assert len(stub.requests) == 2
        with Tool(tmp_path, **instance_environment(stub.url, AWS_METADATA_SERVICE_NUM_ATTEMPTS="1")) as tool:
            tool.fails("DENIED", "did not answer")
        assert len(stub.requests) == 3
    with Tool(tmp_path, **instance_environment(stub.url)) as tool:
        tool.fails("DENIED", "no credentials", "cannot be reached")
    config = f"[default]\nrole_arn = {ARN}x\ncredential_source = Ec2InstanceMetadata\n"
    with Tool(tmp_path, config=config, **instance_environment(stub.url)) as tool:
        tool.fails("TRANSIENT", stub.url, "cannot be reached")


@pytest.mark.parametrize("env, words", [
    ({"AWS_METADATA_SERVICE_TIMEOUT": "0"}, ["AWS_METADATA_SERVICE_TIMEOUT"]), ({"AWS_METADATA_SERVICE_NUM_ATTEMPTS": "x"}, ["NUM_ATTEMPTS"]),
    ({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "169.254.169.254"}, ["SERVICE_ENDPOINT"]),
    ({"AWS_EC2_METADATA_SERVICE_ENDPOINT": None, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv5"}, ["IPv4 nor IPv6"])])
def test_instance_settings_are_checked(tmp_path, env, words):
    with Tool(tmp_path, **instance_environment("http://127.0.0.1:1", **{})| env) as tool:
        check_failure(tool.first, "USAGE", *words)


def test_instance_addresses(tmp_path):
    """Of the real service only the name is asked here."""
    with Tool(tmp_path, AWS_EC2_METADATA_DISABLED="false") as tool:
        assert tool.first["description"].endswith(" at http://169.254.169.254")
    with Tool(tmp_path, config="[default]\nec2_metadata_service_endpoint_mode = IPv6\n", AWS_EC2_METADATA_DISABLED=None) as tool:
        assert tool.first["description"].endswith(" at http://[fd00:ec2::254]")


# --- Programs ----------------------------------------------------------------------------------------------------------

def process_config(*command):
    return f"[default]\ncredential_process = {shlex.join(map(str, command))}\n"


def script(folder, text):
    """A program in a folder whose name must be quoted."""
    path = harness.write(folder / "my programs" / "give keys", f"#!{sys.executable}\nimport json, os, sys, time\n{text}\n".encode())
    path.chmod(0o755)
    return path


def test_process(tmp_path):
    expected = keys()
    body = {"Version": 1, "AccessKeyId": expected.access, "SecretAccessKey": expected.secret, "SessionToken": expected.token, "Expiration": aws_stub.iso(3600)}
    program = script(tmp_path, f"""
assert sys.argv[1:] == ["a b", "$HOME", "c;d", ""], sys.argv
assert sys.stdin.read() == ""
assert sorted(map(int, os.listdir("/proc/self/fd")))[:4] == [0, 1, 2, 3] and len(os.listdir("/proc/self/fd")) == 4
assert os.getpgid(0) == os.getpid()
print("noise", file=sys.stderr)
open({str(tmp_path / 'count')!r}, "a").write("x")
print({json.dumps(body)!r})
""")
    # Descriptors that whoever started us has left open are not passed on, either.
    leaky = lambda: os.dup2(os.open("/dev/null", os.O_RDONLY), 50)
    with Tool(tmp_path, config=process_config(program, "a b", "$HOME", "c;d", ""), before=leaky) as tool:
        assert tool.first["description"] == "profile 'default': credential_process"
        tool.gets(expected)
        tool.gets(expected)
        assert (tmp_path / "count").read_text() == "x"
        tool.gets(expected, "force")
        assert (tmp_path / "count").read_text() == "xx"
        assert tool.popen.poll() is None


def test_process_without_token_and_expiry(tmp_path):
    expected = keys(False)
    text = json.dumps({"Version": 1, "AccessKeyId": expected.access, "SecretAccessKey": expected.secret})
    with Tool(tmp_path, config=process_config("printf", "%s", text)) as tool:
        assert tool.gets(expected)["expires_us"] == 2**63 - 1


@pytest.mark.parametrize("text, words", [
    ("sys.exit(3)", ["ended with status 3"]),
    ("print(SECRET, file=sys.stderr); print(SECRET); sys.exit(1)", ["status 1", "standard error"]),
    ("os.kill(os.getpid(), 11)", ["ended by signal 11"]),
    ("print(SECRET)", ["of no use"]),
    ("print(json.dumps({'Version': 2, 'AccessKeyId': 'A', 'SecretAccessKey': SECRET}))", ['"Version": 1']),
    ("print(json.dumps({'Version': '1', 'AccessKeyId': 'A', 'SecretAccessKey': SECRET}))", ["Version is not an integer"]),
    ("print(json.dumps({'AccessKeyId': 'A', 'SecretAccessKey': SECRET}))", ['"Version": 1']),
    ("print(json.dumps({'Version': 1, 'AccessKeyId': 'A'}))", ["secret access key is missing"]),
    ("print('x' * 100_000)", ["more than 64 KiB"]),
    ("while True: print('x' * 1000)", ["more than 64 KiB"]),
    ("print(json.dumps({'Version': 1, 'AccessKeyId': 'A', 'SecretAccessKey': SECRET, 'Expiration': '2020-01-01T00:00:00Z'}))", ["expired at 2020"]),
])
def test_process_fails(tmp_path, text, words):
    secret = keys().secret
    program = script(tmp_path, f"SECRET = {secret!r}\n{text}")
    with Tool(tmp_path, config=process_config(program)) as tool:
        answer = tool.fails("DENIED", *words)
        assert "profile 'default'" in answer["message"] or "expired" in answer["message"]


def test_process_is_not_there(tmp_path):
    with Tool(tmp_path, config=process_config("/no/such/program", keys().secret)) as tool:
        tool.fails("DENIED", "cannot be run", "No such file")


# --- Keeping them ------------------------------------------------------------------------------------------------------

def container(tmp_path, stub):
    return Tool(tmp_path, AWS_CONTAINER_CREDENTIALS_FULL_URI=stub.url)


def test_refreshed_before_they_expire(tmp_path):
    first, second, third = keys(), keys(), keys()
    with Stub(in_turn(document(first, 3600), document(second, 7200), document(third, 10800))) as stub, container(tmp_path, stub) as tool:
        tool.gets(first)
        tool.ask("clock 3200")  # 400 s are left
        tool.gets(first)
        assert len(stub.requests) == 1
        tool.ask("clock 3400")  # 200 s are left
        tool.gets(second)
        tool.gets(second)
        assert len(stub.requests) == 2
        tool.ask("clock 9000")  # they have expired
        tool.gets(third)


def test_kept_while_refreshing_fails(tmp_path):
    """Until they expire; and the service is asked now and then, not at each call."""
    first, second = keys(), keys()
    with Stub(in_turn(document(first, 3600), Answer(403))) as stub, container(tmp_path, stub) as tool:
        tool.gets(first)
        tool.ask("clock 3400")
        for _ in range(10):
            tool.gets(first)
        assert len(stub.requests) == 2
        tool.ask("clock 3440")
        tool.gets(first)
        assert len(stub.requests) == 3
        tool.ask("clock 3601")
        tool.fails("DENIED", "403")
        tool.fails("DENIED", "403")
        assert len(stub.requests) == 5
        stub.answer = lambda request: document(second, 7200)
        tool.gets(second)


def test_short_lived_credentials_are_not_asked_for_all_the_time(tmp_path):
    """A service that keeps credentials itself gives out the same until they have nearly expired."""
    expected = keys()
    with Stub(lambda request: document(expected, 100)) as stub, container(tmp_path, stub) as tool:
        for _ in range(20):
            tool.gets(expected)
        assert len(stub.requests) == 1
        tool.ask("clock 31")
        tool.gets(expected)
        tool.gets(expected)
        assert len(stub.requests) == 2


def test_expired_from_the_start(tmp_path):
    with Stub(lambda request: document(keys(), -10)) as stub, container(tmp_path, stub) as tool:
        tool.fails("DENIED", stub.url, "expired at", "clock")


def test_forced(tmp_path):
    first, second = keys(), keys()
    with Stub(in_turn(document(first), document(second), Answer(500))) as stub, container(tmp_path, stub) as tool:
        tool.gets(first)
        tool.gets(second, "force")
        tool.fails("TRANSIENT", "500", command="force")
        tool.gets(second)


def test_one_thread_asks(tmp_path):
    """All wait for its answer while there is none; when there is, the others go on with that."""
    first, second = keys(), keys()
    with Stub(in_turn(document(first), Answer(**{**document(second, 7200).__dict__, "delay": 0.5}))) as stub, container(tmp_path, stub) as tool:
        answers = tool.ask("threads 16")["answers"]
        assert {answer["access_key"] for answer in answers} == {first.access} and len(stub.requests) == 1
        tool.ask("clock 3400")
        answers = tool.ask("threads 16")["answers"]
        assert sorted(answer["access_key"] for answer in answers) == sorted([first.access] * 15 + [second.access])
        assert len(stub.requests) == 2
        tool.ask("clock 7300")
        stub.answer = lambda request: Answer(403, delay=0.3)
        assert {answer["code"] for answer in tool.ask("threads 16")["answers"]} == {"DENIED"}
        assert len(stub.requests) < 2 + 16


# --- As another implementation sees it ---------------------------------------------------------------------------------

BOTOCORE = """
import botocore.session, json
keys = botocore.session.get_session().get_credentials().get_frozen_credentials()
print(json.dumps([keys.access_key, keys.secret_key, keys.token or ""]))
"""
ROLE_OF = "[profile {}]\nrole_arn = " + ARN + "{}\nsource_profile = {}\n"
WEB = "web_identity_token_file = {folder}/token\n"
SCENARIOS = {  # name: (config, credentials file, environment); $a to $d are keys, and roles are assumed by whoever asks
    "environment before profile": ("", "[default]\n$a", {"keys": "b"}),
    "environment before the environment's profile": ("", "[other]\n$a", {"keys": "b", "AWS_PROFILE": "other"}),
    "credentials file before config file": ("[default]\n$a", "[default]\n$b", {}),
    "AWS_DEFAULT_PROFILE": ("[profile x]\n$a", "[default]\n$b", {"AWS_DEFAULT_PROFILE": "x"}),
    "role before keys": (f"[default]\n$a\nrole_arn = {ARN}r\nsource_profile = base\n", "[base]\n$b", {}),
    "role of itself": (f"[default]\n$a\nrole_arn = {ARN}r\nsource_profile = default\n", "", {}),
    "keys of a source before its role": (ROLE_OF.format("x", "r", "y") + ROLE_OF.format("y", "s", "x") + "$a", "", {"AWS_PROFILE": "x"}),
    "roles by way of roles": (ROLE_OF.format("x", "r", "y") + ROLE_OF.format("y", "s", "z"), "[z]\n$a", {"AWS_PROFILE": "x"}),
    "web identity before role": (f"[default]\nrole_arn = {ARN}w\nsource_profile = base\n{WEB}", "[base]\n$a", {}),
    "web identity before keys": (f"[default]\nrole_arn = {ARN}w\n{WEB}$a", "", {}),
    "web identity of a source": (ROLE_OF.format("x", "r", "y") + f"[profile y]\nrole_arn = {ARN}w\n{WEB}", "", {"AWS_PROFILE": "x"}),
    "the environment's web identity before keys": ("", "[default]\n$a", {"AWS_ROLE_ARN": ARN + "w", "AWS_WEB_IDENTITY_TOKEN_FILE": "{folder}/token"}),
    "keys before process": ("[default]\ncredential_process = false\n", "[default]\n$a", {}),
    "process of a source": (ROLE_OF.format("x", "r", "y") + "[profile y]\ncredential_process = cat '{folder}/a.json'\n", "", {"AWS_PROFILE": "x"}),
    "process with quotation": ("[default]\ncredential_process = sh -c \"cat '{folder}/a.json' # \\\"x\\\"\"\n", "", {}),
    "profile before container": ("", "[default]\n$a", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "container"}),
    "container before instance": ("[default]\nregion = eu-west-1\n", "", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "container"}),
    "instance": ("[profile x]\n$a", "", {}),
    "role with the environment's keys": (f"[profile x]\nrole_arn = {ARN}r\ncredential_source = Environment\n", "", {"keys": "b", "AWS_PROFILE": "x"}),
    "role with the container's keys": (f"[default]\nrole_arn = {ARN}r\ncredential_source = EcsContainer\n", "", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "container"}),
    "role with the instance's keys": (f"[default]\nrole_arn = {ARN}r\ncredential_source = Ec2InstanceMetadata\n", "", {}),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_botocore_finds_the_same(tmp_path, scenario):
    """What STS gives depends on who asks for what, so that the ways by which keys came are compared, too."""
    config, credentials, env = SCENARIOS[scenario]
    given = {name: keys() for name in "abcd"}
    given_out = {}  # (arn, access key or token): keys

    def sts(request):
        form = request.form
        asker = form.get("WebIdentityToken") or re.search("Credential=([^/]+)/", request.headers["authorization"])[1]
        return assumed(form["Action"], given_out.setdefault((form["RoleArn"], asker), keys()))

    def fill(text):
        text = re.sub(r"\$([abcd])", lambda m: "\n".join(profile_keys("x", given[m[1]]).splitlines()[1:]) + "\n", text)
        return text.replace("{folder}", str(tmp_path))

    harness.write(tmp_path / "token", b"a.web.token")
    harness.write(tmp_path / "a.json", json.dumps({"Version": 1, "AccessKeyId": given["a"].access, "SecretAccessKey": given["a"].secret,
                                                   "SessionToken": given["a"].token, "Expiration": aws_stub.iso(3600)}).encode())
    with Stub(sts) as service, Stub(lambda request: document(given["c"])) as container, \
            Stub(Instance(document(given["d"], Code="Success", Type="AWS-HMAC", LastUpdated=aws_stub.iso(0)))) as instance:
        variables = {name: fill(value) for name, value in env.items() if name != "keys"} | (environment(given[env["keys"]]) if "keys" in env else {})
        if variables.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
            variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = container.url
        variables |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL_STS": service.url, **instance_environment(instance.url)}
        with Tool(tmp_path, config=fill(config), credentials=fill(credentials), **variables) as tool:
            judge = subprocess.run([sys.executable, "-c", BOTOCORE], env=tool.environment, capture_output=True, text=True, timeout=60 * harness.SLOW)
            assert judge.returncode == 0, judge.stderr
            tool.gets(Keys(*json.loads(judge.stdout)))


# --- Secrets -----------------------------------------------------------------------------------------------------------

def holds(data, text):
    return text.encode() in data


def dumped_memory(tool):
    """What a core dump of the process would hold: all memory that is not marked to be left out. (Registers, which it would hold
    as well, nobody can keep clean: what was copied last stands in them until something else is.)"""
    pieces = []
    with open(f"/proc/{tool.popen.pid}/smaps") as smaps, open(f"/proc/{tool.popen.pid}/mem", "rb") as memory:
        for line in smaps:
            if mapping := re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line):
                begin, end = (int(address, 16) for address in mapping.groups())
            elif re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                begin = end = 0
            elif line.startswith("VmFlags:") and not {"dd", "io", "pf"} & set(line.split()):
                memory.seek(begin)
                pieces.append(memory.read(end - begin))
    return b"".join(pieces)


def memory_in(core):
    """The memory in a core dump (ELF, 64 bits)."""
    offset, size, count = *struct.unpack_from("<Q", core, 32), *struct.unpack_from("<HH", core, 54)
    headers = [struct.unpack_from("<IIQQQQ", core, offset + i * size) for i in range(count)]
    return b"".join(core[at:at + length] for kind, _, at, _, _, length in headers if kind == 1)


@pytest.mark.skipif(harness.SANITIZED, reason="sanitizers keep what is freed")
@pytest.mark.parametrize("source", ["profile", "process", "container", "instance", "role", "web identity"])
def test_core_dumps_hold_no_secrets(tmp_path, source):
    base, expected = keys(), keys()
    token = keys().token
    path = harness.write(tmp_path / "token", token.encode())
    program = script(tmp_path, f"print({json.dumps({'Version': 1, 'AccessKeyId': expected.access, 'SecretAccessKey': expected.secret, 'SessionToken': expected.token})!r})")
    with Stub(lambda request: document(expected)) as endpoint, Stub(Instance(document(expected, Code="Success"))) as instance, \
            Stub(Sts({ARN + "x": (base, expected)}, {ARN + "x": (token, expected)})) as sts:
        settings = {
            "profile": {"credentials": profile_keys("default", expected)},
            "process": {"config": process_config(program)},
            "container": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint.url, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(path)},
            "instance": instance_environment(instance.url),
            "role": {"config": f"[default]\nrole_arn = {ARN}x\nsource_profile = base\n", "credentials": profile_keys("base", base)},
            "web identity": {"config": f"[default]\nrole_arn = {ARN}x\nweb_identity_token_file = {path}\n"},
        }[source]
        with Tool(tmp_path, AWS_ENDPOINT_URL_STS=sts.url, **settings) as tool:
            tool.gets(expected)
            tool.gets(expected, "force")
            core = dumped_memory(tool)
    assert holds(core, "AWS_CONFIG_FILE=")  # it is a dump of the right thing
    found = [name for name, secret in (("secret key", expected.secret), ("session token", expected.token), ("source's secret key", base.secret),
                                       ("source's token", base.token), ("web identity token", token)) if holds(core, secret)]
    assert found == []


@pytest.mark.skipif(harness.SANITIZED, reason="sanitizers keep what is freed")
def test_the_kernel_s_core_dump_holds_no_secrets(tmp_path):
    """Where the kernel puts core dumps into the process's folder. Where it does not, the test above has said the same."""
    expected = keys()
    unlimited = lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    with Stub(lambda request: document(expected)) as stub, Tool(tmp_path, AWS_CONTAINER_CREDENTIALS_FULL_URI=stub.url, before=unlimited) as tool:
        tool.gets(expected)
        tool.popen.stdin.write("abort\n")
        tool.popen.stdin.flush()
        assert tool.popen.wait(timeout=20) == -signal.SIGABRT
        for core in (path.read_bytes() for path in tmp_path.iterdir()):
            if core[:4] == b"\x7fELF":
                data = memory_in(core)
                assert holds(data, "AWS_CONFIG_FILE=") and not holds(data, expected.secret) and not holds(data, expected.token)
