"""Which objects of the source a run processes: late ones, changed ones, those of old folders, and how many at a time."""
import json
import os

import pytest

import harness


def job(tmp_path, source="", unique=True):
    """A small job with more keys in its source, in a file of its own."""
    text = harness.TINY_JOB.replace("format: json", f"format: json{source}")
    if unique:
        text = text.replace("columns:", "  unique_by: [id]\ncolumns:")
    return harness.write(tmp_path / "job.yaml", text.encode())


def put(source, key, *numbers, **more):
    """An object with one document for each number."""
    return harness.write(source / key, harness.lines([harness.tiny(number, **more) for number in numbers]))


def ids(table):
    return sorted(row["id"] for row in harness.read_table(table))


def at(path, seconds):
    os.utime(path, (seconds, seconds))


def test_late_objects_with_old_names_and_times(tmp_path, source, table):
    """New is what has not been processed: neither names nor times make an object old."""
    for key, number in (("2024/03/10/22/b", 1), ("2024/03/10/23/a", 2)):
        at(put(source, key, number), 1710108084)
    harness.run(job(tmp_path), source, table)
    for key, number in (("2024/03/10/22/a", 3), ("2024/03/10/22/c", 4), ("2019/01/01/00/z", 5)):
        at(put(source, key, number), 1710108084 if number < 5 else 1)
    summary = harness.run(job(tmp_path), source, table).json
    assert summary["inputs"] == 3
    assert ids(table) == [1, 2, 3, 4, 5]
    assert harness.run(job(tmp_path), source, table).json["inputs"] == 0


def test_a_changed_object_stops_the_run(tmp_path, source, table):
    for key, number in (("a", 1), ("b", 2), ("c", 3)):
        put(source, key, number)
    harness.run(job(tmp_path), source, table)
    put(source, "a", 1, 4)
    at(source / "c", 1)
    put(source, "d", 5)
    result = harness.run(job(tmp_path), source, table, status=1)
    size, before = (source / "a").stat().st_size, len(harness.lines([harness.tiny(1)]))
    assert f"a: the object has changed since run 1 processed it: it had {before} bytes and has {size}; 1 other has changed, too" in result.err
    assert "source.on_change" in result.err
    assert ids(table) == [1, 2, 3]


def test_a_changed_object_is_ignored_if_the_job_says_so(tmp_path, source, table):
    put(source, "a", 1)
    put(source, "b", 2)
    harness.run(job(tmp_path), source, table)
    put(source, "a", 1, 3)
    put(source, "c", 4)
    result = harness.run(job(tmp_path, ", on_change: ignore"), source, table)
    assert ids(table) == [1, 2, 4]
    assert result.err.count("and are ignored: 1\n") == 1
    assert "and are ignored: 1\n" in harness.run(job(tmp_path, ", on_change: ignore"), source, table).err


def test_a_changed_object_is_processed_again_if_the_job_says_so(tmp_path, source, table):
    """Its old rows are duplicates now, its new ones are new; and then it is processed."""
    again = job(tmp_path, ", on_change: reprocess")
    put(source, "a", 1, 2)
    harness.run(again, source, table)
    put(source, "a", 1, 2, 3)
    result = harness.run(again, source, table)
    assert result.json["inputs"] == 1 and result.json["records_read"] == 3
    assert "and are processed again: 1\n" in result.err
    assert set(ids(table)) == {1, 2, 3}
    assert harness.run(again, source, table).json["inputs"] == 0


@pytest.mark.parametrize("layout", ["{}/{:02}/{:02}/{:02}/", "year={}/month={:02}/day={:02}/hour={:02}/"])
def test_lookback_leaves_old_folders_for_the_daily_listing(layout, tmp_path, source, table):
    narrow = job(tmp_path, ", lookback: 2d")
    new, old = layout.format(2024, 3, 10, 22), layout.format(2023, 12, 31, 0)
    at(put(source, new + "a", 1), 1710108084)
    assert harness.run(narrow, source, table).json["inputs"] == 1  # in full: it is the first
    put(source, old + "late", 2)
    at(put(source, new + "b", 3), 1710108085)
    assert harness.run(narrow, source, table).json["inputs"] == 1
    assert ids(table) == [1, 3]
    assert harness.run(narrow, source, table).json["inputs"] == 0
    assert harness.run(job(tmp_path), source, table).json["inputs"] == 1  # without lookback everything is listed
    assert ids(table) == [1, 2, 3]


def test_a_run_takes_what_a_plan_may_hold_until_nothing_is_new(tmp_path, source, table):
    for number in range(5):
        put(source, f"{number}.json", number)
    summary = harness.run(job(tmp_path, ", plan_objects: 2, lookback: 1h"), source, table).json
    assert summary["inputs"] == 5 and len(summary["runs"]) == 3
    assert ids(table) == [0, 1, 2, 3, 4]


def test_plans_of_a_run_go_on_where_the_last_one_ended(tmp_path, source, table):
    """In the order of keys, over folders and files beside them; what lies before is found when all else is done."""
    keys = ["2024/03/10/22/a", "2024/03/10/22/b", "2024/03/10/23/a", "2024/03/11-x", "2024/03/11/00/a", "2024/04/a", "b", "c"]
    for number, key in enumerate(keys):
        put(source, key, number)
    summary = harness.run(job(tmp_path, ", plan_objects: 3"), source, table).json
    assert [entry["key"] for entry in summary["objects"]] == keys
    assert len(summary["runs"]) == 3
    put(source, "a", 100)
    assert harness.run(job(tmp_path, ", plan_objects: 3"), source, table).json["inputs"] == 1
    assert ids(table) == [*range(8), 100]


def test_check_shows_how_the_source_is_listed(tmp_path):
    text = harness.gristmill("check", job(tmp_path, ", lookback: 36h, on_change: ignore")).out
    assert "lookback   36h, and everything once a day\n" in text and "on change  ignore\n" in text
    told = json.loads(harness.gristmill("check", job(tmp_path), "--json").out)
    assert told["source"]["on_change"] == "fail" and told["source"]["plan_objects"] == 5000
