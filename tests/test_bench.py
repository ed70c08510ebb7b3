"""What the benchmark compares is equal work on the inputs it says: jobs of ours, schemas of the peers, PySpark's functions."""
import gzip
import hashlib
import json
import random
import subprocess
import sys

import numpy
import pyarrow
import pyarrow.parquet
import pytest

import harness

sys.path.insert(0, str(harness.ROOT / "bench"))
import pages  # noqa: E402
import shapes  # noqa: E402
import spark_job  # noqa: E402

MADE = [shape for shape in shapes.SHAPES.values() if shape.lines]
TYPES = {"s": "string", "i": "bigint", "d": "double", "b": "boolean"}


def test_python_functions_agree_with_the_vectors():
    for line in (harness.ROOT / "tests" / "vectors" / "access-record.ndjson").read_text(encoding="utf-8").splitlines():
        pair = json.loads(line)
        if "request_url" in pair:
            wanted = pair["normalized"] and f"GET {pair['normalized']}", pair["entity_id"]
            assert (spark_job.signature("GET", pair["request_url"]), spark_job.entity_id(pair["request_url"])) == wanted, pair
        else:
            agent = pair["user_agent"]
            assert (spark_job.client(agent), spark_job.client_version(agent)) == (pair["client"], pair["client_version"]), pair


@pytest.mark.parametrize("shape", shapes.SHAPES.values(), ids=list(shapes.SHAPES))
def test_our_job_asks_for_the_columns_of_the_shape(shape):
    columns = [line.strip() for line in shape.copy_job.read_text().partition("\ncolumns:\n")[2].splitlines()]
    assert columns == [
        f"- {{name: {name}, type: timestamp, from: {'.'.join(path)}, unit: ms, required: true}}" if name == "timestamp"
        else f"- {{name: {name}, type: {TYPES[kind]}, from: {'.'.join(path)}}}" for path, name, kind in shape.columns]


@pytest.mark.parametrize("shape", MADE, ids=lambda shape: shape.name)
def test_made_documents_are_what_the_title_says(shape):
    lines = list(shape.lines(random.Random(1), 0, 400, 1000))
    documents = [json.loads(line) for line in lines]
    assert len(lines) == 400
    known = {path[0] for path, _, _ in shape.columns}
    if shape is shapes.WIDE:
        assert {len(document) for document in documents} == {200} and len(shape.columns) == 20
        assert known < set(documents[0])
    else:
        assert set(documents[0]) == known
        assert sum(len(document["message"]) for document in documents) > 400 * 500
        assert "\\u04" in "".join(lines) and "п" in "".join(lines) and "\\n" in "".join(lines) and "\\\"" in "".join(lines)
    for path, name, kind in shape.columns:
        values = [document[path[0]] for document in documents if document[path[0]] is not None]
        assert values and {type(value) for value in values} == {{"s": str, "i": int, "d": float, "b": bool}[kind]}, name


def contents(folder):
    return {path.name: hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() for path in folder.rglob("*.gz")}


@pytest.mark.parametrize("shape", MADE, ids=lambda shape: shape.name)
def test_same_seed_same_input_and_same_rows_by_all(shape, tmp_path):
    """Of 240 records; every peer must read from them what we do."""
    source = tmp_path / "in"
    shape.make(source, 240, 7)
    shape.make(tmp_path / "again", 240, 7)
    assert len(contents(source)) == shapes.OBJECTS and contents(source) == contents(tmp_path / "again")

    def rows(folder):
        tables = [pyarrow.parquet.ParquetFile(path).read() for path in sorted(folder.rglob("*.parquet")) if "_delta_log" not in path.parts]
        names = [name for _, name, _ in shape.columns]
        found = [tuple(row[name].timestamp() if name == "timestamp" else row[name] for name in names)
                 for table in tables for row in table.select(names).to_pylist()]
        return sorted(found, key=repr)

    harness.run(shape.copy_job, source, tmp_path / "ours")
    ours = rows(tmp_path / "ours")
    assert len(ours) == 240
    for peer in ("clickhouse", "duckdb", "polars"):
        target = tmp_path / peer
        target.mkdir()
        done = subprocess.run([sys.executable, harness.ROOT / "bench" / "peers.py", peer, shape.name, source, target], capture_output=True, text=True,
                              env={"TZ": "UTC", "HOME": str(tmp_path), "POLARS_MAX_THREADS": "1", "PATH": "/usr/bin:/bin"})
        assert done.returncode == 0, done.stderr[-2000:]
        assert rows(target) == ours, peer


def test_pages_for_the_floor(tmp_path):
    """PLAIN pages of a required column are its values, so that nothing is lost of them and nothing doubled."""
    values = numpy.arange(50_000, dtype="int64") * 7919
    schema = pyarrow.schema([pyarrow.field("a", pyarrow.int64(), nullable=False), pyarrow.field("b", pyarrow.int64(), nullable=False)])
    (tmp_path / "table").mkdir()
    pyarrow.parquet.write_table(pyarrow.table([values, values[::-1]], schema), tmp_path / "table" / "a.parquet", compression="zstd", use_dictionary=False,
                                row_group_size=20_000, data_page_size=30_000)
    pages.write(tmp_path / "table", tmp_path / "pages")
    data, bodies, at = (tmp_path / "pages").read_bytes(), [], 0
    while at < len(data):
        length = int.from_bytes(data[at:at + 4], "little")
        bodies.append(data[at + 4:at + 4 + length])
        at += 4 + length
    wanted = b"".join(part[i:i + 20_000].tobytes() for i in range(0, 50_000, 20_000) for part in (values, values[::-1]))
    assert len(bodies) > 6 and b"".join(bodies) == wanted
