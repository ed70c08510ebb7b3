"""What input is accepted: containers, separators, sizes, spellings (docs/input.md)."""
import gzip
import json
import os
import subprocess

import pytest

import harness

GOOD = [harness.tiny(i, s=f"value {i}", ok=i % 2 == 0, x=i / 4) for i in range(100)]


def zstd(data, *flags):
    pa = pytest.importorskip("pyarrow")
    return pa.compress(data, codec="zstd", asbytes=True)


def ids(table):
    return sorted(row["id"] for row in harness.read_table(table))


def accept(job, source, table, *flags, expected=None):
    """Runs and checks that all of GOOD (or `expected` ids) arrived, and nothing was rejected."""
    summary = harness.run(job, source, table, *flags).json
    harness.assert_balanced(summary)
    assert summary["quarantined"] == 0, harness.quarantine(table)
    assert ids(table) == (list(range(len(GOOD))) if expected is None else expected)
    return summary


TEXTS = {
    "lines": harness.lines(GOOD),
    "no-last-line-break": harness.lines(GOOD)[:-1],
    "crlf": b"\r\n".join(harness.dump(d) for d in GOOD) + b"\r\n",
    "nothing-between": b"".join(harness.dump(d) for d in GOOD),
    "spaces-and-tabs": b" \t ".join(harness.dump(d) for d in GOOD),
    "blank-lines": b"\n\n \n".join(harness.dump(d) for d in GOOD) + b"\n\n\n",
    "pretty": b"\n".join(json.dumps(d, indent=2).encode() for d in GOOD),
    "pretty-crlf": b"\r\n".join(json.dumps(d, indent="\t").replace("\n", "\r\n").encode() for d in GOOD),
    "array": json.dumps(GOOD).encode(),
    "pretty-array": json.dumps(GOOD, indent=1).encode(),
    "arrays-and-documents": json.dumps(GOOD[:10]).encode() + b"[]" + harness.lines(GOOD[10:50]) + b"[ ]\n" + json.dumps(GOOD[50:]).encode(),
    "bom": b"\xef\xbb\xbf" + harness.lines(GOOD),
    "bom-array": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "escaped-keys": harness.lines(GOOD).replace(b'"id"', b'"\\u0069\\u0064"').replace(b'"t"', b'"\\u0074"'),
    "spaces-inside": b"\n".join(json.dumps(d, separators=(" \t, ", " : ")).encode() for d in GOOD),
    "unknown-keys": harness.lines([{"a": {"id": -1, "b": [{"t": 0}]}, **d, "z": [[], {}, "}{", None]} for d in GOOD]),
    "other-order": harness.lines([dict(reversed(d.items())) for d in GOOD]),
}


@pytest.mark.parametrize("text", TEXTS)
def test_texts(text, source, table, tiny_job):
    harness.write(source / "a.json", TEXTS[text])
    accept(tiny_job, source, table)


LINES = TEXTS["lines"]
CONTAINERS = {
    "plain": LINES,
    "gzip": gzip.compress(LINES),
    "gzip-stored": gzip.compress(LINES, 0),
    "gzip-members": b"".join(gzip.compress(harness.dump(d) + b"\n") for d in GOOD),
    "gzip-members-inside-records": b"".join(gzip.compress(LINES[i:i + 7]) for i in range(0, len(LINES), 7)),
    "gzip-empty-members": gzip.compress(b"") + gzip.compress(LINES) + gzip.compress(b""),
    "gzip-zero-padding": gzip.compress(LINES) + bytes(512),
    "gzip-name-comment": None,
    "zstd": None,
    "zstd-frames": None,
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_containers(container, source, table, tiny_job):
    data = CONTAINERS[container]
    if container == "gzip-name-comment":
        body = gzip.compress(LINES, mtime=0)
        data = body[:3] + bytes([0x08 | 0x10 | 0x04]) + body[4:10] + b"\x04\x00ab\x00\x00" + b"name\x00" + b"comment\x00" + body[10:]
        assert gzip.decompress(data) == LINES
    elif container == "zstd":
        data = zstd(LINES)
    elif container == "zstd-frames":
        data = zstd(LINES[:1000]) + zstd(LINES[1000:])
    harness.write(source / "misleading.txt", data)  # told by content, not by name
    summary = accept(tiny_job, source, table)
    assert summary["bytes_in"] == len(data) and summary["bytes_raw"] == len(LINES)


def test_many_objects_of_all_kinds(source, table, tiny_job):
    for i, document in enumerate(GOOD):
        data = harness.dump(document)
        harness.write(source / f"d{i % 7}" / f"{i}", [data, gzip.compress(data), zstd(data)][i % 3])
    accept(tiny_job, source, table, "--threads", "3")


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\t", b"[]", b"[ ]\n[\n]", b"\xef\xbb\xbf", gzip.compress(b"")],
                         ids=["empty", "newline", "white", "array", "arrays", "bom", "gzip"])
def test_nothing(data, source, table, tiny_job):
    harness.write(source / "a", data)
    summary = harness.run(tiny_job, source, table).json
    assert summary["inputs"] == 1 and summary["records_read"] == 0 and summary["files"] == []
    harness.assert_balanced(summary)


def test_hidden_and_temporary_files(source, table, tiny_job):
    harness.write(source / "a.json", LINES)
    for name in (".hidden", "_SUCCESS", ".git/x", "_temporary/0/x", "x.tmp", "sub/.y.json.swp", "b._COPYING_"):
        harness.write(source / name, b"not json at all")
    accept(tiny_job, source, table)


def test_symbolic_link_to_source(source, table, tiny_job, tmp_path):
    harness.write(source / "sub" / "a.json", LINES)
    os.symlink(source, tmp_path / "link")
    accept(tiny_job, tmp_path / "link", table)


@pytest.mark.parametrize("pad", list(range(0, 40)) + [1000, 4095, 4096, 4097])
def test_records_straddle_window_ends(pad, source, table, tiny_job):
    """Records whose bytes lie on the ends of 64 KiB, 256 KiB and 1 MiB windows, shifted byte by byte."""
    first = harness.dump(harness.tiny(0, s="x" * pad)) + b"\n"
    records = [harness.dump(harness.tiny(i, s="é\\\"" * 40 + str(i))) + b"\n" for i in range(1, 6000)]
    harness.write(source / "a.json", first + b"".join(records))
    accept(tiny_job, source, table, expected=list(range(6000)))


def test_values_survive_window_ends(source, table, tiny_job):
    texts = [("é€😀\\\"\n\u2028" * (i % 37)) + str(i) for i in range(20_000)]
    harness.write_gz(source / "a.gz", harness.lines(harness.tiny(i, s=s) for i, s in enumerate(texts)))
    harness.run(tiny_job, source, table)
    rows = {row["id"]: row["s"] for row in harness.read_table(table)}
    assert [rows[i] for i in range(len(texts))] == texts


# --- Large and deep -----------------------------------------------------------------------------------------------------

def test_record_of_100_megabytes(source, tmp_path, table):
    job = harness.write(tmp_path / "job.yaml", harness.TINY_JOB.replace("format: json", "format: json, max_record: 128M").encode())
    big = harness.dump(harness.tiny(1, s="y" * 100_000_000))
    harness.write_gz(source / "a.gz", harness.dump(harness.tiny(0)) + b"\n" + big + b"\n" + harness.dump(harness.tiny(2)))
    result = harness.run(job, source, table, "--memory", "1G", timeout=120, measure=True)
    assert result.json["rows_written"] == 3
    assert sorted(len(row["s"] or "") for row in harness.read_table(table)) == [0, 0, 100_000_000]
    if not harness.SANITIZED:
        assert result.peak < 1100 * harness.MIB


def test_record_over_the_limit(source, table, tiny_job):
    """The default limit is 32 MiB: one entry, the records around it survive, memory stays."""
    big = harness.dump(harness.tiny(1, s="y" * (40 << 20)))
    harness.write_gz(source / "a.gz", harness.dump(harness.tiny(0)) + b"\n" + big + b"\n" + harness.dump(harness.tiny(2)))
    result = harness.run(tiny_job, source, table, measure=True)
    assert ids(table) == [0, 2]
    (entry,) = harness.quarantine(table)
    assert entry["reason"] == "record_too_large" and entry["raw"].rstrip(b"\n") == big
    if not harness.SANITIZED:
        assert result.peak < 300 * harness.MIB


@pytest.mark.parametrize("where", ["unknown", "text"])
@pytest.mark.parametrize("open_, close", [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
def test_nesting(where, open_, close, source, table, tiny_job):
    """200,000-fold nesting, skipped or taken as text, without recursion (8 MiB of stack, less in threads)."""
    deep = open_ * 200_000 + (b"" if open_ == b"[" else b"1") + close * 200_000
    key = {"unknown": b"deep", "text": b"s"}[where]
    harness.write(source / "a.json", b'{"id":0,"t":%d,"%s": %s }\n' % (harness.T0, key, deep) + harness.dump(harness.tiny(1)))
    accept(tiny_job, source, table, expected=[0, 1])
    rows = {row["id"]: row["s"] for row in harness.read_table(table)}
    assert rows[0] == (deep.decode() if where == "text" else None)


def test_unclosed_nesting(source, table, tiny_job):
    harness.write(source / "a.json", harness.dump(harness.tiny(0)) + b"\n" + b"[" * 200_000)
    harness.run(tiny_job, source, table)
    assert ids(table) == [0]


# --- Values -------------------------------------------------------------------------------------------------------------

def one(source, table, job, body):
    """The only row of a document given as text; {T} stands for a good timestamp."""
    harness.write(source / "a.json", body.replace(b"{T}", b'"t":%d' % harness.T0))
    harness.run(job, source, table)
    (row,) = harness.read_table(table)
    return row


@pytest.mark.parametrize("text, value", [
    (b'"\\u0000a\\u0000"', "\0a\0"), (b'"\\ud83d\\ude00"', "😀"), (b'"\\ud83d"', "�"), (b'"\\ude00\\ud83d"', "��"),
    (b'"\\ud83dx"', "�x"), (b'"\\ud83d\\u0041"', "�A"), (b'"\\ud83d\\ud83d\\ude00"', "�😀"),
    (b'"\xff"', "�"), (b'"\xc3"', "�"), (b'"a\xe2\x82z"', "a�z"), (b'"\xed\xa0\x80"', "���"), (b'"\xf4\x90\x80\x80"', "����"),
    (b'"\xc0\xaf"', "��"), (b'"\xf0\x9f\x98"', "�"), (b'"\\\\\\/\\b\\f\\n\\r\\t\\""', '\\/\b\f\n\r\t"'), (b'"\\u00e9\\u20AC"', "é€"), (b'""', ""),
    (b"12", "12"), (b"-0", "-0"), (b"1.50", "1.50"), (b"1E+400", "1E+400"), (b"123456789012345678901234567890", "123456789012345678901234567890"),
    (b"true", "true"), (b"false", "false"), (b"null", None),
    (b'{ "a" : [ 1 , "b c" , { } ] }', '{"a":[1,"b c",{}]}'), (b"[ ]", "[]"), (b'["\\u0041  b"]', '["\\u0041  b"]'),
])
def test_string_column(text, value, source, table, tiny_job):
    assert one(source, table, tiny_job, b'{"id":1,{T},"s":' + text + b"}")["s"] == value


BIG = 2**63
@pytest.mark.parametrize("text, value", [
    (b"12", 12), (b"-12", -12), (b"12.0", 12), (b"1.2e1", 12), (b"120e-1", 12), (b"0", 0), (b"-0", 0), (b"-0.0e5", 0), (b"0e999999999", 0),
    (b"12.5", None), (b"1e18", 10**18), (b"9.223372036854775807e18", BIG - 1), (b"9223372036854775807", BIG - 1),
    (b"9223372036854775808", None), (b"-9223372036854775808", -BIG), (b"-9223372036854775809", None), (b"1e19", None), (b"1e-1", None),
    (b"1e999999999999", None), (b"10000000000000000000000e-4", 10**18), (b"0.000001e6", 1), (b"100000000000000000000000000000e-29", 1),
    (b'"12"', 12), (b'" \\t12\\n"', 12), (b'"+12"', 12), (b'"-12"', -12), (b'"12.0"', None), (b'"1e1"', None), (b'""', None), (b'" "', None),
    (b'"+"', None), (b'"0x10"', None), (b'"9223372036854775807"', BIG - 1), (b'"9223372036854775808"', None), (b'"-9223372036854775808"', -BIG),
    (b'"00012"', 12), (b'"1 2"', None), (b'"\\u0661"', None), (b'"\\u00a012"', None), (b'"12\\u0000"', None),
    (b"true", None), (b"{}", None), (b"[1]", None), (b"null", None),
])
def test_bigint_column(text, value, source, table, tiny_job):
    assert one(source, table, tiny_job, b'{"id":' + text + b',{T}}')["id"] == value


@pytest.mark.parametrize("text, value", [
    (b"true", True), (b"false", False), (b'"true"', True), (b'"FALSE"', False), (b'"tRuE"', True), (b'" true"', None), (b'"1"', None),
    (b'"yes"', None), (b"1", None), (b"0", None), (b"null", None), (b"[]", None), (b"{}", None),
])
def test_boolean_column(text, value, source, table, tiny_job):
    assert one(source, table, tiny_job, b'{"id":1,{T},"ok":' + text + b"}")["ok"] == value


@pytest.mark.parametrize("text", [b"1.5", b"-0.0", b"1e308", b"5e-324", b"0.1", b"123456789012345678901234567890", b"2.2250738585072011e-308",
                                  b"9007199254740993", b"1e-400", b"179769313486231570000000000000000000000e270"])
def test_double_column(text, source, table, tiny_job):
    value = one(source, table, tiny_job, b'{"id":1,{T},"x":' + text + b"}")["x"]
    assert repr(value) == repr(float(text))


def test_conversions_are_counted(source, table, tiny_job):
    harness.write(source / "a.json", b'{"id":"x","t":1,"ok":"maybe"}\n{"id":1,"t":2}\n')
    summary = harness.run(tiny_job, source, table).json
    assert summary.get("converted_null", 2) == 2


def test_duplicate_keys(source, table, tiny_job):
    """The last one wins."""
    assert one(source, table, tiny_job, b'{"id":1,"id":2,"s":"a",{T},"s":null,"\\u0069d":3}')["id"] == 3


def test_a_later_null_clears(source, table, tiny_job):
    row = one(source, table, tiny_job, b'{"id":1,"s":"a",{T},"id":null,"s":"b","s":null}')
    assert (row["id"], row["s"]) == (None, None)


# --- Damage -------------------------------------------------------------------------------------------------------------

def reject(job, source, table, data, name="a"):
    harness.write(source / name, data)
    summary = harness.run(job, source, table, "--max-quarantine", "100%").json
    harness.assert_balanced(summary)
    return harness.quarantine(table)


def test_truncated_gzip(source, table, tiny_job):
    data = gzip.compress(LINES)
    entries = reject(tiny_job, source, table, data[:len(data) // 2])
    assert len(entries) == 1 and entries[0]["reason"] in ("damaged_stream", "truncated")
    kept = ids(table)
    assert kept == list(range(len(kept))) and 0 < len(kept) < 100


@pytest.mark.parametrize("cut", [1, 4, 8, 9])
def test_gzip_without_its_end(cut, source, table, tiny_job):
    """CRC and length are missing or cut: everything before is good, and the damage is told."""
    entries = reject(tiny_job, source, table, gzip.compress(LINES)[:-cut])
    assert len(entries) == 1 and entries[0]["reason"] == "damaged_stream"
    assert len(ids(table)) >= 99


@pytest.mark.parametrize("at", [-8, -4], ids=["crc", "length"])
def test_gzip_with_a_wrong_end(at, source, table, tiny_job):
    data = bytearray(gzip.compress(LINES))
    data[at] ^= 1
    entries = reject(tiny_job, source, table, bytes(data))
    assert len(entries) == 1 and entries[0]["reason"] == "damaged_stream"


def test_second_member_is_damaged(source, table, tiny_job):
    half = len(LINES) // 2
    second = bytearray(gzip.compress(LINES[half:]))
    second[10] |= 0x06  # block type 3 does not exist
    entries = reject(tiny_job, source, table, gzip.compress(LINES[:half]) + bytes(second))
    assert len(entries) == 1
    assert ids(table)[:40] == list(range(40))


def test_garbage_behind_gzip(source, table, tiny_job):
    entries = reject(tiny_job, source, table, gzip.compress(LINES) + b"garbage")
    assert ids(table) == list(range(100))
    assert len(entries) == 1 and entries[0]["reason"] == "damaged_stream"


def test_truncated_zstd(source, table, tiny_job):
    data = zstd(os.urandom(0) + LINES)
    entries = reject(tiny_job, source, table, data[:len(data) - 5])
    assert len(entries) == 1


def test_random_bytes(source, table, tiny_job):
    for i in range(20):
        harness.write(source / f"{i}", os.urandom(1000 * i + 1))
    entries = reject(tiny_job, source, table, LINES, "good")
    assert set(range(100)) <= set(ids(table)) and len(entries) >= 15


def test_other_files_in_the_way(source, table, tiny_job):
    """A Parquet file, an executable, a tar and UTF-16 text are garbage, not crashes."""
    harness.write(source / "program", (harness.ROOT / "build" / "gristmill").read_bytes()[:200_000] if harness.BINARY.exists() else b"\x7fELF")
    harness.write(source / "utf16", LINES.decode().encode("utf-16"))
    harness.write(source / "tar", subprocess.run(["tar", "c", "-C", str(source), "utf16"], stdout=subprocess.PIPE, check=True).stdout)
    reject(tiny_job, source, table, LINES, "good")
    assert set(range(100)) <= set(ids(table))


def test_resuming_after_garbage(source, table, tiny_job):
    """Reading resumes at the first line break after the broken document's start that '{' or '[' follows in column 0;
    garbage that adjoins is one entry with its span."""
    good = [harness.dump(harness.tiny(i)) + b"\n" for i in range(5)]
    garbage = b"oops\n  {not at column 0}\n}}}} ]\nmore oops\n"
    data = good[0] + garbage + good[1] + b'{"id":9,"t":\n' + good[2] + good[3].strip() + b" trailing words\n" + good[4]
    entries = reject(tiny_job, source, table, data)
    assert ids(table) == [0, 1, 2, 3, 4]
    assert [entry["offset"] for entry in entries] == [len(good[0]), data.index(b'{"id":9'), data.index(b"trailing")]
    assert entries[0]["raw"].rstrip(b"\n") == garbage.rstrip(b"\n")


def test_nothing_separates_documents(source, table, tiny_job):
    """One broken document costs the rest of the object, as one entry."""
    documents = [harness.dump(harness.tiny(i)) for i in range(10)]
    documents[4] = b'{"id":4,,}'
    data = b"".join(documents)
    (entry,) = reject(tiny_job, source, table, data)
    assert ids(table) == [0, 1, 2, 3]
    assert entry["raw"] == b"".join(documents[4:])


def test_object_ends_inside_a_document(source, table, tiny_job):
    (entry,) = reject(tiny_job, source, table, LINES + b'{"id":1000,"t":17')
    assert entry["reason"] == "truncated" and ids(table) == list(range(100))
    assert entry["offset"] == len(LINES) and entry["record"] == 100


@pytest.mark.parametrize("tail", [b'{"id":1', b'{"id":1,"t":1,"s":"a', b'{"id":1,"t":1,"s":"a\\', b'{"id":1,"t":1,"s":"a\\u00', b'{"id":1,"t":1}{',
                                  b"[", b'[{"id":1,"t":1}', b'[{"id":1,"t":1},', b"tru", b"-", b'"abc', b'{"id":1,"t":1,"s":"\xe2\x82'])
def test_every_way_to_end_too_early(tail, source, table, tiny_job):
    entries = reject(tiny_job, source, table, LINES + tail)
    assert len(entries) == 1
    assert [i for i in ids(table)][:1] == [0] and len(ids(table)) in (100, 101)


@pytest.mark.parametrize("line, lines, documents", [
    (b'{"id":0,"deeper":\n', 300_000, 300_000),
    (b'{"a":{},"deeper":[[\n', 300_000, 300_000),
    (b"[\n", 600_000, 300_000),  # one bracket opens an array, the next a value in it
], ids=["objects", "mixed", "arrays"])
def test_unclosed_documents_inside_each_other(line, lines, documents, source, table, tiny_job):
    """Each line begins a document that holds all that follow, and none ends: that must not take time for each pair of them."""
    harness.write(source / "a", line * lines + b"\n" + harness.dump(harness.tiny(1)))
    result = harness.run(tiny_job, source, table, "--max-quarantine", "100%", timeout=60)
    harness.assert_balanced(result.json)
    assert ids(table) == [1]
    entries = harness.quarantine(table)
    assert len(entries) == documents and {entry["reason"] for entry in entries} <= {"not_json", "truncated"}
    assert [entry["record"] for entry in entries] == list(range(documents))


def test_no_documents_inside_a_record_over_the_limit(source, tmp_path, table):
    """What lies within the limit is part of one value: its lines are no records, though they look like it."""
    job = harness.write(tmp_path / "job.yaml", harness.TINY_JOB.replace("format: json", "format: json, max_record: 1KiB").encode())
    inner = (harness.dump(harness.tiny(9)) + b",\n") * 30
    assert len(inner) < 1000
    big = b'{"records":[\n' + inner + b'"' + b"y" * 200 + b'"]}'
    harness.write(source / "a", big + b"\n" + harness.dump(harness.tiny(1)))
    (entry,) = reject(job, source, table, b"", "b")
    assert ids(table) == [1] and entry["reason"] == "record_too_large" and entry["raw"] == big
