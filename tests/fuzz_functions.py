#!/usr/bin/env python3
"""Compares the native functions with Python's own re, str.lower and urllib on random Unicode strings.

    tests/fuzz_functions.py BUILD_DIR [--seconds N] [--seed N] [--vectors FILE]

The reference below is written from the rules as the production job applies them, with its original regular
expressions. A failure prints the seed of the round; --seed with that number repeats it alone. Python must have the
Unicode version of the tables (CPython 3.11: 14.0.0).
"""
import argparse
import ctypes
import json
import pathlib
import random
import re
import sys
import time
import unicodedata
import urllib.parse
from datetime import datetime, timedelta, timezone

# --- The reference ---------------------------------------------------------------------------------------------------

BROWSERS = "mozilla|safari|opera|lynx|ucweb|chrome|firefox"
ANY_BROWSER = re.compile(f"(?i){BROWSERS}")
FIRST_BROWSER = re.compile(rf"(?i)^(?:{BROWSERS})/(\S+)")
ID = re.compile(r"\b(syn|fh)\d+(\.\d+)?\b|\b\d+(\w+)?[^/]\b")
CLIENTS = [("Synapse-Java-Client", "JAVA"), ("Synpase-Java-Client", "JAVA"), ("synapser", "SYNAPSER"),
           ("synapseRClient", "R"), ("synapsecommandlineclient", "COMMAND_LINE"), ("synapseclient", "PYTHON"),
           ("ELB-HealthChecker", "ELB_HEALTHCHECKER"), ("SynapseRepositoryStack", "STACK")]


def normalize_url(url):
    url = urllib.parse.unquote(url.lower(), errors="replace")
    url = re.sub(r"\s", "", url)
    at = url.find("/v1/")
    if at < 0:
        return "INVALID URL"
    url = url[at + 3 :]
    for prefix in ("/entity/md5", "/evaluation/name", "/entity/alias"):
        if url.startswith(prefix):
            return prefix + "/#"
    if url.startswith("/2fa"):
        return url
    if url.startswith("/user/bundle"):
        return "/user/bundle"
    if "/access/" in url:
        return "/objects/#/access/#"
    if "/schema/type/registered/" in url:
        return "/schema/type/registered/#"
    url = re.sub(r";[^/]+", "", url)
    url = re.sub(r"[^\w/]", "", url)
    url = ID.sub("#", url)
    return re.sub(r"/\d+", "/#", url)


def client(agent):
    if agent is None:
        return "UNKNOWN"
    if "Synapse-Web-Client" in agent or ANY_BROWSER.search(agent):
        return "WEB"
    return next((name for word, name in CLIENTS if word in agent), "UNKNOWN")


def client_version(agent):
    if agent is None:
        return None
    name = client(agent)
    if name == "UNKNOWN":
        return None
    if name == "WEB":
        browser = ANY_BROWSER.search(agent)
        match = FIRST_BROWSER.search(agent) if browser else re.search(r"Synapse-Web-Client/(\S+)", agent)
    elif name == "JAVA":
        word = "Synpase" if agent.startswith("Synpase") else "Synapse"
        match = re.search(word + r"-Java-Client/(\S+)", agent)
    else:
        word = next(word for word, other in CLIENTS if other == name)
        match = re.search(re.escape(word) + r"/(\S+)", agent)
    return match and match.group(1)


def entity_id(url):
    match = re.search(r"/entity/(?:syn)?(\d+)", url.lower())
    number = int(match.group(1)) if match else None
    return number if number is not None and number <= 2**63 - 1 else None


def simple_lower(text):
    return "".join("i" if char == "\u0130" else char.lower() for char in text)


def simple_upper(text):
    def upper(char):
        for mapped in (char.upper(), char.title()):
            if len(mapped) == 1:
                return mapped
        return char

    return "".join(map(upper, text))


JAVA_SPACE = "".join(c for c in map(chr, range(0x3001)) if c.isspace() and c not in "\x85\xa0\u2007\u202f")


def substr(text, start, length=None):
    if start == 0 or (length is not None and length <= 0) or start < -len(text):
        return ""
    start = start - 1 if start > 0 else start + len(text)
    return text[start:] if length is None else text[start : start + length]


def strpos(text, part, instance=1):
    if instance == 0:
        raise ValueError
    if part == "":
        return 1
    places = [i for i in range(len(text)) if text.startswith(part, i)]
    if len(places) < abs(instance):
        return 0
    return places[instance - 1 if instance > 0 else instance] + 1


def split_part(text, delimiter, index):
    if index <= 0:
        raise ValueError
    parts = list(text) if delimiter == "" else text.split(delimiter)
    return parts[index - 1] if index <= len(parts) else None


def pad(text, size, padding, left):
    if padding == "" or not 0 <= size < 2**31:
        raise ValueError
    if size <= len(text):
        return text[:size]
    more = (padding * size)[: size - len(text)]
    return more + text if left else text + more


def url_decode(text):
    if re.search(r"%(?![0-9a-fA-F]{2})", text):
        raise ValueError
    return urllib.parse.unquote_plus(text, errors="replace")


def code_point(text):
    if len(text) != 1:
        raise ValueError
    return ord(text)


def character(number):
    if not 0 <= number <= 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        raise ValueError
    return chr(number)


def moment(us):
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=us)


def date_pattern(us, pattern):
    """The directives that Python's strftime has too, under its own letters; years from 1000 on, as it does not pad."""
    letters = {"i": "M", "s": "S", "f": "f", "W": "A", "M": "B", "x": "G", "v": "V", "h": "I", "T": "H:%M:%S",
               "r": "I:%M:%S %p"}
    return moment(us).strftime(re.sub("%(.)", lambda m: "%" + letters.get(m[1], m[1]), pattern))


# --- Random text ---------------------------------------------------------------------------------------------------

def assigned():
    """Code points by category, without surrogates and private use."""
    groups = {}
    for number in range(0x110000):
        char = chr(number)
        category = unicodedata.category(char)
        if category not in ("Cs", "Co", "Cn"):
            groups.setdefault(category, []).append(char)
    return groups


GROUPS = assigned()
SPACES = [chr(c) for c in range(0x3001) if chr(c).isspace()] + ["\u200b", "\ufeff", "\u180e", "\u2060"]
CASED = GROUPS["Lu"] + GROUPS["Lt"]
ODD = [
    "\u03a3", "\u03c3", "\u03c2", "\u0130", "\u0131", "\u017f", "\u212a", "\u00df", "\u1e9e", "\u0345", "\u0307",
    "'", "\u2019", "\u00ad", ":", ".", "^", "\u02b0", "\u0149", "\u1fb3", "\u01c5", "_", "\u203f", "\u00b2",
    "\u00bd", "\u2460", "\u3007", "\u4e00", "\u0e33", "\U0001d7ce", "\U0001f600", "\x00", "\x1c", "\x7f", "\ufffd",
    "\u10a0", "\u13a0", "\uab70",
]
URL_PIECES = [
    "/v1/", "/V1/", "/v1", "/repo/v1/", "/auth/v1/", "/file/v1/", "https://repo-prod.prod.sagebase.org/repo/v1/",
    "/entity/", "/entity/md5", "/evaluation/name", "/entity/alias", "/2fa", "/user/bundle", "/access/", "/access",
    "/schema/type/registered/", "schema/type/registered", "entity", "ENTITY", "syn", "SYN", "Syn", "fh", "FH",
    "syn123", "fh77", "syn12.3", "1", "12", "12a", "a12", "1_", "_1", "5", "/", "//", ";", ";a", ";;", ";/", ".",
    "-", "?", "=", "&", "#", "+", "%", "%%", "%2", "%2f", "%2F", "%73yn1", "%53yn1", "%20", "%09", "%C3%A9", "%c3",
    "%E2%80", "%A8", "%F0%9F%98%80", "%ED%A0%80", "%F4%90%80%80", "%FF", "%D9%A3", "%41", "%2541", "%3b", "%3B",
    "%00", "%85", "%C2%85", "%e3%80%80", "%CE%A3", "%zz", "%4", "table", "query", "async", "get",
    "9223372036854775807", "9223372036854775808", "00009223372036854775807", "18446744073709551616", "000",
]
AGENT_PIECES = [word for word, _ in CLIENTS] + BROWSERS.split("|") + [
    "Synapse-Web-Client", "Synpase", "Synapse", "Mozilla/5.0", "Safari/537.36", "/1.2", "/", "/ ", " ", "; ",
    "python-requests/2.1", "synapseclient/2.7", "moz\u0131lla/1", "moz\u0130lla", "\u017fafari/2", "f\u0131refox/",
    "SAFAR\u0130/9", "LYNX/3", "(x)", "Apache-HttpClient/4.5", "Java/1.8", "synapse", "client", "/\u3000x",
    "/\x85x", "/\xa0", "/\u200bx", "\n", "\t", "Synapse-Java-Client/", "synapser/", "synapseRClient/0.1",
    "ELB-HealthChecker/2.0", "\x00",
]


def random_piece(rng):
    kind = rng.randrange(12)
    if kind < 3:
        return rng.choice(URL_PIECES)
    if kind == 3:
        return rng.choice(SPACES)
    if kind == 4:
        return rng.choice(GROUPS["Nd"])
    if kind == 5:
        return rng.choice(ODD)
    if kind == 6:
        return rng.choice(CASED)
    if kind == 7:
        return "%" + rng.choice(["%02x", "%02X"]) % rng.randrange(256)
    if kind == 8:
        return chr(rng.randrange(128))
    if kind == 9:
        text = rng.choice(rng.choice(list(GROUPS.values())))
        return urllib.parse.quote(text) if rng.random() < 0.3 else text
    if kind == 10:
        digits = [rng.choice(GROUPS["Nd"] if rng.random() < 0.3 else "0123456789") for _ in range(rng.randrange(22))]
        return rng.choice(["syn", "fh", "/", "/1", "/syn", "/entity/", "/entity/syn"]) + "".join(digits)
    word = rng.choice(URL_PIECES + AGENT_PIECES)
    return "".join(c.upper() if rng.random() < 0.5 else c for c in word)


def random_url(rng):
    ascii_only = rng.random() < 0.4
    text = "" if rng.random() < 0.1 else rng.choice(URL_PIECES[:7])
    for _ in range(rng.randrange(12)):
        piece = rng.choice(URL_PIECES) if rng.random() < 0.5 else random_piece(rng)
        text += piece if not ascii_only else piece.encode("ascii", "ignore").decode()
    if rng.random() < 0.3 and text:  # a stranger in the middle of something
        at = rng.randrange(len(text) + 1)
        text = text[:at] + random_piece(rng) + text[at:]
    return text


def random_agent(rng):
    text = ""
    for _ in range(rng.randrange(1, 7)):
        text += rng.choice(AGENT_PIECES) if rng.random() < 0.75 else random_piece(rng)
        text += rng.choice(["", "", " ", "/", "/1.0", "/" + rng.choice(SPACES)])
    if rng.random() < 0.3:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + text[at + 1 :]
    return text


def random_text(rng):
    if rng.random() < 0.3:
        return "".join(rng.choice("abAB\u03a3 ") for _ in range(rng.randrange(20)))
    return "".join(random_piece(rng) for _ in range(rng.randrange(8)))


# --- The functions ---------------------------------------------------------------------------------------------------

class Value(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_char_p), ("len", ctypes.c_uint64), ("integer", ctypes.c_int64),
                ("null", ctypes.c_int32)]


class Result(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_void_p), ("len", ctypes.c_uint64), ("integer", ctypes.c_int64),
                ("null", ctypes.c_int32)]


REFUSED = "refused"


class Library:
    def __init__(self, build):
        # The shallowest: sanitized builds may lie below a plain one, and Python cannot load those.
        paths = sorted(pathlib.Path(build).rglob("libfunction_probe.so"), key=lambda path: (len(path.parts), path))
        if not paths:
            sys.exit(f"no libfunction_probe.so below {build}")
        self.library = ctypes.CDLL(str(paths[0]))

    def raw(self, name, *args):
        values = (Value * max(1, len(args)))()
        for value, arg in zip(values, args):
            if arg is None:
                value.null = 1
            elif isinstance(arg, bytes):
                value.bytes, value.len = arg, len(arg)
            else:
                value.integer = arg
        result = Result()
        code = self.library.probe_call(name.encode(), values, ctypes.c_size_t(len(args)), ctypes.byref(result))
        assert code >= 0, (name, code)
        if code != 0:
            return REFUSED
        if result.null:
            return None
        return ctypes.string_at(result.bytes, result.len) if result.bytes else result.integer

    def call(self, name, *args):
        result = self.raw(name, *(arg.encode() if isinstance(arg, str) else arg for arg in args))
        return result.decode() if isinstance(result, bytes) and result != REFUSED else result


class Mismatch(Exception):
    pass


def check(library, name, reference, *args):
    try:
        expected = reference(*args)
    except ValueError:
        expected = REFUSED
    actual = library.call(name, *args)
    if actual != expected:
        raise Mismatch(f"{name}{ascii(args)}\n  expected {ascii(expected)}\n  got      {ascii(actual)}")


def check_business(library, rng):
    url, agent = random_url(rng), random_agent(rng)
    check(library, "synapse_normalize_url", normalize_url, url)
    check(library, "normalize_general", normalize_url, url)
    if library.call("normalize_ascii", url) is not None:
        check(library, "normalize_ascii", normalize_url, url)
    elif url.isascii() and urllib.parse.unquote_to_bytes(url).isascii():
        raise Mismatch(f"normalize_ascii declined {ascii(url)}")
    check(library, "synapse_entity_id", entity_id, url)
    check(library, "synapse_client", client, agent)
    check(library, "synapse_client_version", client_version, agent)
    zeros = "0" * rng.randrange(4) + random_piece(rng)
    check(library, "strip_leading_zeros", lambda text: text.lstrip("0"), zeros)


def check_text(library, rng):
    text, other, third = (random_text(rng) for _ in range(3))
    part = text[(at := rng.randrange(len(text) + 1)) : at + rng.randrange(4)]
    small = rng.choice([0, 1, 2, 3, 5, 30, -1, -2, -3, -30, 2**31, 2**62, -(2**63), 2**63 - 1])
    for name in ("full_lower", "full_lower_general"):
        check(library, name, str.lower, text)
    for name, reference in (("lower", simple_lower), ("upper", simple_upper)):
        check(library, name, reference, text)
        check(library, name + "_general", reference, text)
    spaced = rng.choice(SPACES) * rng.randrange(3) + text + rng.choice(SPACES) + rng.choice(SPACES)
    check(library, "trim", lambda t: t.strip(JAVA_SPACE), spaced)
    check(library, "ltrim", lambda t: t.lstrip(JAVA_SPACE), spaced)
    check(library, "rtrim", lambda t: t.rstrip(JAVA_SPACE), spaced)
    characters = "".join(rng.sample(text, min(len(text), 3)))
    check(library, "trim", lambda t, c: t.strip(c) if c else t, text, characters)
    check(library, "ltrim", lambda t, c: t.lstrip(c) if c else t, text, characters)
    check(library, "rtrim", lambda t, c: t.rstrip(c) if c else t, text, characters)
    check(library, "replace", lambda t, a, b: t.replace(a, b), text, part, other)
    check(library, "replace", lambda t, a: t.replace(a, ""), text, part)
    check(library, "length", len, text)
    check(library, "substr", substr, text, small)
    check(library, "substr", substr, text, small, rng.choice([0, 1, 2, 5, 100, -1, 2**63 - 1]))
    check(library, "strpos", strpos, text, part)
    check(library, "strpos", strpos, text, other)
    check(library, "strpos", strpos, text, part[:1], small)
    check(library, "split_part", split_part, text, part, small)
    check(library, "concat", lambda *all: "".join(all), text, other, third)
    check(library, "url_decode", url_decode, text)
    check(library, "url_decode", url_decode, urllib.parse.quote_plus(text) + third)
    check(library, "reverse", lambda t: t[::-1], text)
    check(library, "starts_with", str.startswith, text, part)
    check(library, "starts_with", str.startswith, text, text[:3])
    for name, left in (("lpad", True), ("rpad", False)):
        size = rng.choice([0, 1, 2, 5, 30, -1, 2**31, -(2**63)])
        check(library, name, lambda t, n, p, left=left: pad(t, n, p, left), text, size, part)
    check(library, "chr", character, rng.choice([0, 65, 0xD7FF, 0xD800, 0xDFFF, 0xE000, 0x10FFFF, 0x110000, small]))
    check(library, "codepoint", code_point, part)
    check(library, "abs", lambda n: abs(n) if n > -(2**63) else int("x"), small)


def check_bytes(library, rng):
    """Ill-formed UTF-8, as Python's own decoder replaces it."""
    pieces = [b"\xc3\xa9", b"\xf0\x9f\x98\x80", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf",
              b"\xe0\x80"]
    data = b""
    for _ in range(rng.randrange(12)):
        kind = rng.randrange(4)
        data += (rng.choice(pieces), bytes([rng.randrange(256)]), bytes([rng.randrange(0x80, 0xF8)]),
                 b"x" * rng.randrange(40))[kind]
        if rng.random() < 0.2:
            data = data[:-1]
    expected, actual = data.decode("utf-8", "replace").encode(), library.raw("mend", data)
    if actual != expected:
        raise Mismatch(f"mend({data!r})\n  expected {expected!r}\n  got      {actual!r}")


def check_time(library, rng):
    us = rng.choice([rng.randrange(-62135596800000000, 253402300800000000), rng.randrange(0, 2 * 10**15),
                     86400000000 * rng.randrange(-719162, 2932896) + rng.choice([0, -1, 1])])
    us = max(us, -62135596800000000)
    check(library, "iso", lambda n: moment(n).strftime("%04d-" % moment(n).year + "%m-%dT%H:%M:%S.%fZ"), us)
    if moment(us).year >= 1000 and moment(us).isocalendar()[0] < 10000:
        letters = "YymdHisSfWaMbjxvhIpTr%"
        pattern = "".join(rng.choice(["%" + letter for letter in letters] + ["-", " ", "\u00e9"])
                          for _ in range(rng.randrange(8)))
        check(library, "date_pattern", date_pattern, us, pattern)


def check_every_code_point(library):
    for number in range(0x110000):
        char = chr(number)
        properties = library.library.probe_properties(number)
        digit = unicodedata.decimal(char, 15)
        assert properties & 15 == digit, hex(number)
        assert bool(properties & 16) == bool(re.match(r"\w", char)), hex(number)
        assert bool(properties & 32) == char.isspace(), hex(number)
        assert library.library.probe_simple_case(number, 0) == ord(simple_lower(char)), hex(number)
        assert library.library.probe_simple_case(number, 1) == ord(simple_upper(char)), hex(number)
    for start in range(0, 0x110000, 256):
        if 0xD800 <= start < 0xE000:
            continue
        sigma = "\u03a3"  # a line break keeps the contexts of the final sigma apart
        block = map(chr, range(start, start + 256))
        text = "\n".join(f"{c}{sigma}\nA{c}{sigma}\nA{sigma}{c}\nA{sigma}{c}a" for c in block)
        check(library, "full_lower", str.lower, text)


def check_vectors(library, path):
    count = 0
    for line in pathlib.Path(path).read_text(encoding="utf-8").split("\n"):
        if not line:
            continue
        row = json.loads(line)
        count += 1
        if "request_url" in row:
            check(library, "synapse_normalize_url", lambda _, row=row: row["normalized"], row["request_url"])
            check(library, "synapse_entity_id", lambda _, row=row: row["entity_id"], row["request_url"])
            assert normalize_url(row["request_url"]) == row["normalized"]
            assert entity_id(row["request_url"]) == row["entity_id"]
        else:
            check(library, "synapse_client", lambda _, row=row: row["client"], row["user_agent"])
            assert client(row["user_agent"]) == row["client"]
            if row["user_agent"] is not None:
                check(library, "synapse_client_version", lambda _, row=row: row["client_version"], row["user_agent"])
            assert client_version(row["user_agent"]) == row["client_version"]
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", help="a build directory that holds libfunction_probe.so")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, help="repeat this round alone")
    parser.add_argument("--vectors", default=pathlib.Path(__file__).parent / "vectors" / "access-record.ndjson")
    options = parser.parse_args()
    if unicodedata.unidata_version != "14.0.0":
        sys.exit(f"this Python has Unicode {unicodedata.unidata_version}, the tables have 14.0.0: use CPython 3.11")
    library = Library(options.build)
    checks = [check_business, check_business, check_text, check_bytes, check_time]

    def one_round(seed):
        rng = random.Random(seed)
        for step in checks:
            step(library, rng)

    if options.seed is not None:
        one_round(options.seed)
        return
    vectors = check_vectors(library, options.vectors)
    check_every_code_point(library)
    seed, rounds, end = random.SystemRandom().randrange(2**40), 0, time.monotonic() + options.seconds
    while time.monotonic() < end:
        try:
            one_round(seed)
        except Mismatch as mismatch:
            sys.exit(f"seed {seed}: {mismatch}")
        except Exception:
            print(f"seed {seed}", file=sys.stderr)
            raise
        seed, rounds = seed + 1, rounds + 1
    print(f"{vectors} vectors, every code point, {rounds} random rounds: all agree")


if __name__ == "__main__":
    main()
