"""What we make of AWS's shared files and of regions, against botocore. tests/unit/aws/config_tool.c drives our side."""
import itertools
import json
import os
import random
import re
import subprocess

import botocore.configloader
import botocore.exceptions
import harness
import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.loaders import Loader

FILES = 150
KEYS = ["region", "output", "S3", "s3", "role_arn", "x"]
SECTIONS = ["[default]", "[profile a]", "[profile 'a b']", '[profile "a"]', "[profile a\\ b]", "[a]", "[services s]", "[sso-session a]",
            "[profile a] # x", "[profile 'open]", "[profile]", "[profile a b]", "[profiled c]", "  [c]", "[DEFAULT]", "[[c]]", "[profile default]"]
PROFILES = ["default", "a", "a b", "b", "c", "profile a", "DEFAULT", "[c]"]


def value(rng):
    return "".join(rng.choice(["v", "1", " ", "#", ";", "=", ":", "'", '"', "\t", "[", "]", "\u00e9", "\u00a0", "%"])
                   for _ in range(rng.randint(0, 6)))


def random_line(rng):
    kind = rng.random()
    indent = rng.choice(["", "", "", " ", "  ", "\t"])
    if kind < 0.5:
        return indent + rng.choice(KEYS) + rng.choice(["=", " = ", ":", " : "]) + value(rng)
    if kind < 0.75:
        return "  " + indent + rng.choice([value(rng), f"k{rng.randint(0, 2)} = {value(rng)}"])
    if kind < 0.85:
        return rng.choice(["", "  ", "# c", "; c", "   # c"])
    if kind < 0.97:
        return rng.choice(SECTIONS)
    return value(rng)


def random_file(rng):
    """At most one [DEFAULT]: of Python's sections it is the only one that may be repeated, and ours may not."""
    lines = [rng.choice(SECTIONS)] * rng.choice([0, 1, 1, 1, 1, 1, 1, 1]) + [random_line(rng) for _ in range(rng.randint(0, 7))]
    text = "".join(line + rng.choice(["\n", "\n", "\r\n"]) for line in lines)
    return text if text.count("[DEFAULT]") < 2 else random_file(rng)


def tool(env, questions):
    program = harness.BINARY.parent / "tests/unit/aws/config_tool"
    text = "".join("\t".join(question) + "\n" for question in questions)
    done = subprocess.run([program], input=text, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def botocores(config, credentials):
    """All settings of all profiles as {(profile, name): value}, or None if botocore refuses a file."""
    try:
        profiles = botocore.configloader.load_config(str(config))["profiles"]
        others = botocore.configloader.raw_config_parse(str(credentials))
    except botocore.exceptions.ConfigParseError:
        return None
    for profile, settings in others.items():  # as Session.full_config, which is slow to make
        profiles.setdefault(profile, {}).update(settings)
    found = {}
    for profile, settings in profiles.items():
        for name, content in settings.items():
            if isinstance(content, dict):
                found.update({(profile, f"{name}.{inner}"): text for inner, text in content.items()})
            else:
                found[profile, name] = content
    return found


@pytest.mark.parametrize("seed", [1, 2] + [random.SystemRandom().randrange(2**40)] * ("SOAK_ROUNDS" in os.environ))
def test_same_files_as_botocore(tmp_path, seed):
    rng = random.Random(seed)
    config, credentials = tmp_path / "config", tmp_path / "credentials"
    names = sorted({key.lower() for key in KEYS}) + [f"{key.lower()}.k{i}" for key in KEYS for i in range(3)]
    questions = [("get", profile, name) for profile in PROFILES for name in names]
    read = 0
    for i in range(FILES):
        config.write_text(random_file(rng), newline="")
        credentials.write_text(random_file(rng) if rng.random() < 0.3 else "", newline="")
        expected = botocores(config, credentials)
        answers = tool({"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(credentials)}, questions)
        where = (seed, i, config.read_bytes(), credentials.read_bytes())
        if expected is None:
            assert isinstance(answers[0], dict) and answers[0]["line"] > 0, where
            continue
        read += 1
        assert len(answers) == len(questions), where
        for (_, profile, name), answer in zip(questions, answers):
            ours = None if answer is None else bytes.fromhex(answer).decode()
            assert ours == expected.get((profile, name)), (where, profile, name)
    assert read > FILES / 4


# The regions of each partition that botocore knows, and what its rules make of them.
@pytest.mark.parametrize("service", ["s3", "sts", "glue", "sqs"])
def test_same_endpoints_as_botocore(tmp_path, service):
    loader = Loader()
    partitions = loader.load_data("partitions")
    rules = EndpointProvider(loader.load_service_model(service, "endpoint-rule-set-1"), partitions)
    regions = [region for partition in partitions["partitions"] for region in partition["regions"] if "global" not in region]
    assert len(regions) > 30
    compared = 0
    for fips, dualstack in itertools.product([False, True], repeat=2):
        env = {"HOME": str(tmp_path), "AWS_USE_FIPS_ENDPOINT": str(fips), "AWS_USE_DUALSTACK_ENDPOINT": str(dualstack)}
        answers = tool(env, [("endpoint", service, region) for region in regions])
        assert len(answers) == len(regions)
        for region, answer in zip(regions, answers):
            try:
                expected = rules.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dualstack).url
            except botocore.exceptions.BotoCoreError:
                continue  # AWS has no such endpoint; ours is a name that nobody answers to
            assert answer == expected, (region, fips, dualstack)
            compared += 1
    assert compared > 100


def test_the_page_names_every_variable_and_setting():
    page = (harness.ROOT / "docs/aws.md").read_text()
    source = "".join(path.read_text() for folder in ("aws", "store") for path in (harness.ROOT / "src" / folder).glob("*.c"))
    read = set(re.findall(r'"(AWS_[A-Z0-9_]*[A-Z0-9])"', source))
    told = set(re.findall(r"AWS_[A-Z0-9_]*[A-Z0-9]", page))
    assert len(read) > 25 and read - told == set()
    assert {name for name in told - read if not name.startswith("AWS_ENDPOINT_URL_")} == set()
    settings = set(re.findall(r'(?:gm_aws_config_get|setting|switched_on)\((?:[^();]|\([^()]*\))*"([a-z_0-9.]+)"\)', source))
    told = set(re.findall(r"[a-z0-9_]+", page))
    assert len(settings) > 15 and {name for name in settings if name.rpartition(".")[2] not in told} == set()
