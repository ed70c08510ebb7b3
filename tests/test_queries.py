"""queries/*.sql, run by a Trino on the lake of lake.py, as they are. Each answer is compared with what plain Python makes of the records that
the table was made of (weeks.py); what a query reads is taken from the S3 server's own log. Percentiles are approximate: what Trino says must
lie between the values that stand two of a hundred places, and one more, before and behind the exact place."""
import collections
import datetime
import functools
import math
import re

import pytest

import harness
import weeks
from weeks import ANONYMOUS, BEFORE, WEEK

pytestmark = pytest.mark.trino

QUERIES = {path.stem: path for path in sorted((harness.ROOT / "queries").glob("*.sql"))}
DOC = harness.ROOT / "docs/queries.md"
HIVE, DELTA = ("hive", "review"), ("delta", "review_delta")  # catalog and database: the same table, by either connector
PARAMETER = re.compile(r"^        (.+?) AS (\w+),?(?: -- .+)?$", re.M)  # its value, its name
# --- Answers, by Python -----------------------------------------------------------------------------------------------------


class About:
    """Equal to any number between two."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    def __eq__(self, value):
        return value is not None and self.low <= value <= self.high

    def __repr__(self):
        return f"{self.low}..{self.high}"


def rounded(value, digits):
    half = 0.5 * 10**-digits + 1e-9
    return About(value - half, value + half)


def percent(part, whole):
    """Of whole, the rows; of part, those that count. Two digits."""
    return rounded(100 * len(part) / len(whole), 2) if whole else None


def percentile(share, rows):
    values = sorted(row["elapse_ms"] for row in rows)
    last = len(values) - 1
    return About(values[max(0, math.floor((share - 0.02) * last) - 1)], values[min(last, math.ceil((share + 0.02) * last) + 1)]) if values else None


def group(rows, *by):
    """Groups of rows: their values of some columns -> the rows. by: names of columns, or functions of a row."""
    groups = collections.defaultdict(list)
    for row in rows:
        groups[tuple(column(row) if callable(column) else row[column] for column in by)].append(row)
    return groups


def nulls_last(*values):
    """A key to sort by."""
    return [(value is None, value) for value in values]


def with_status(rows, low, high=599):
    return [row for row in rows if low <= row["response_status"] <= high]


def refused(rows):
    return [row for row in rows if row["response_status"] in (401, 403)]


def anonymous(rows):
    return [row for row in rows if row["user_id"] in (None, ANONYMOUS)]


def users(rows):
    return len({row["user_id"] for row in rows} - {None, ANONYMOUS})


def different(rows, column):
    """How many values a column has, or which, in order, with null at the end."""
    return sorted({row[column] for row in rows}, key=nulls_last)


def kinds(rows):
    return len(set(different(rows, "normalized_method_signature")) - {None})


def address(row):
    return row["x_forwarded_for"].split(",")[0].strip()


def addresses(rows):
    return len({address(row) for row in rows})


def text(time):
    """A time as Trino writes it."""
    return time.strftime("%Y-%m-%d %H:%M:%S.") + f"{time.microsecond // 1000:03}"


def first(rows):
    return text(min(row["timestamp"] for row in rows))


def last(rows):
    return text(max(row["timestamp"] for row in rows))


def counted(rows, column):
    """A histogram as JSON has it."""
    return {str(value): number for value, number in collections.Counter(row[column] for row in rows).items()}


def overview_by_day(now, _):
    return [[day.isoformat(), len(rows), users(rows), percent(anonymous(rows), rows), len(with_status(rows, 400, 499)), len(with_status(rows, 500)),
             percentile(0.95, rows)] for (day,), rows in sorted(group(now, "date").items())]


def traffic_by_client(now, _):
    groups = sorted(group(now, "client", "client_version").items(), key=lambda of: nulls_last(-len(of[1]), *of[0]))
    return [[*key, len(rows), percent(rows, now), users(rows), percent(with_status(rows, 400), rows)] for key, rows in groups]


def traffic_by_portal(now, _):
    groups = sorted(group(now, "origin").items(), key=lambda of: nulls_last(-len(of[1]), *of[0]))
    return [[origin, len(rows), users(rows), percent(anonymous(rows), rows), kinds(rows), percent(with_status(rows, 400), rows)]
            for (origin,), rows in groups]


def slowest_calls(now, _):
    """All of them: which ones are shown, and in which order, is as approximate as the percentiles."""
    return [[call, len(rows), percentile(0.5, rows), percentile(0.95, rows), percentile(0.99, rows), max(row["elapse_ms"] for row in rows),
             rounded(sum(row["elapse_ms"] for row in rows) / 1000, 1)]
            for (call,), rows in group(now, "normalized_method_signature").items() if len(rows) >= 20]


def errors_by_call_and_client(now, _):
    answer = []
    for key, rows in group(now, "normalized_method_signature", "client").items():
        if failed := with_status(rows, 400):
            answer.append([*key, len(rows), len(with_status(rows, 400, 499)), len(with_status(rows, 500)), percent(failed, rows),
                           counted(failed, "response_status")])
    assert len(answer) > 100
    return sorted(answer, key=lambda row: nulls_last(-row[4], -row[3], row[0], row[1]))[:100]


def errors_by_server(now, _):
    def worst_first(of):
        return -math.floor(10000 * len(with_status(of[1], 500)) / len(of[1]) + 0.5), of[0]

    return [[*key, len(rows), len(with_status(rows, 500)), percent(with_status(rows, 500), rows), percentile(0.95, rows), first(rows), last(rows)]
            for key, rows in sorted(group(now, "vm_id", "instance").items(), key=worst_first)]


def instance_against_last(now, _):
    """Without the ratio, and in any order, as slowest_calls()."""
    answer = []
    for (call,), rows in group(now, "normalized_method_signature").items():
        sides = [[row for row in rows if row["instance"] == instance] for instance in ("491", "490")]
        answer.append([call, *map(len, sides), *(percent(with_status(side, 500), side) for side in sides),
                       *(percentile(0.5, side) for side in sides), *(percentile(0.95, side) for side in sides)])
    return answer


def busiest_hours(now, _):
    def hour(row):
        return row["timestamp"].replace(minute=0, second=0, microsecond=0)

    answer = []
    for (begin,), rows in group(now, hour).items():
        minutes = collections.Counter(row["timestamp"].minute for row in rows)
        answer.append([text(begin), len(rows), max(minutes.values()), rounded(sum(row["elapse_ms"] for row in rows) / len(rows), 1),
                       len(with_status(rows, 429, 429)), len(with_status(rows, 500))])
    return sorted(answer, key=lambda row: (-row[1], row[0]))[:24]


def rate_limited(now, _):
    answer = []
    for key, rows in group(now, "user_id", "client", "client_version").items():
        if limited := with_status(rows, 429, 429):
            answer.append([*key, len(rows), len(limited), percent(limited, rows), kinds(limited), first(limited), last(limited)])
    return sorted(answer, key=lambda row: nulls_last(-row[4], *row[:3]))


def top_users(now, _):
    groups = [(user, rows) for (user,), rows in group(now, "user_id").items() if user not in (None, ANONYMOUS)]
    groups.sort(key=lambda of: (-len(of[1]), of[0]))
    assert len(groups) > 25
    return [[user, len(rows), percent(rows, now), len(different(rows, "date")), kinds(rows), different(rows, "client"),
             percent(with_status(rows, 400), rows), last(rows)] for user, rows in groups[:25]]


def top_entities(now, _):
    answer = []
    for (entity,), rows in group(now, "entity_id").items():
        if entity is not None:
            methods = counted([row for row in rows if row["method"] is not None], "method")
            answer.append([f"syn{entity}", len(rows), users(rows), percent(anonymous(rows), rows), len(refused(rows)), methods])
    assert len(answer) > 25
    return sorted(answer, key=lambda row: (-row[1], row[0]))[:25]


def anonymous_share(now, _):
    def line(client, rows):
        return [client, len(rows), len(anonymous(rows)), percent(anonymous(rows), rows), addresses(anonymous(rows))]

    lines = [line(client, rows) for (client,), rows in group(now, "client").items()]
    return [line("all", now), *sorted(lines, key=lambda row: (-row[1], row[0]))]


def unused_endpoints(now, before):
    used = set(different(now, "normalized_method_signature"))
    answer = [[call, len(rows), users(rows), different(rows, "client"), last(rows)]
              for (call,), rows in group(before, "normalized_method_signature").items() if call not in used]
    return sorted(answer, key=lambda row: (-row[1], row[0]))


def new_clients(now, before):
    known = set(group(before, "client", "client_version"))
    answer = [[*key, min(row["user_agent"] for row in rows), len(rows), users(rows), first(rows), percent(with_status(rows, 400), rows)]
              for key, rows in group(now, "client", "client_version").items() if key not in known]
    return sorted(answer, key=lambda row: nulls_last(-row[3], row[0], row[1]))


def logins_by_method(now, _):
    answer = [[*key, len(rows), percent(rows, now), users(rows), len(with_status(rows, 401, 401))]
              for key, rows in group(now, lambda row: row["auth_method"] or "none", "client").items()]
    return sorted(answer, key=lambda row: (row[0], -row[2], row[1]))


def oauth_clients(now, _):
    answer = [[client, len(rows), users(rows), kinds(rows), len(set(different(rows, "entity_id")) - {None}), percent(with_status(rows, 400), rows),
               first(rows), last(rows)] for (client,), rows in group(now, "oauth_client_id").items() if client is not None]
    return sorted(answer, key=lambda row: (-row[1], row[0]))


def access_refused(now, _):
    answer = []
    for key, rows in group(now, "user_id", address).items():
        if no := refused(rows):
            answer.append([*key, len(no), len(set(different(no, "entity_id")) - {None}), len(rows), first(no), last(no)])
    assert len(answer) > 50
    return sorted(answer, key=lambda row: nulls_last(-row[2], row[0], row[1]))[:50]


def addresses_by_user(now, _):
    answer = [[user, addresses(rows), len(rows), different(rows, "auth_method"), len(refused(rows))]
              for (user,), rows in group(now, "user_id").items() if user not in (None, ANONYMOUS) and addresses(rows) >= 3]
    return sorted(answer, key=lambda row: (-row[1], row[0]))


def entity_audit(now, _):
    wanted = [row for row in now if row["entity_id"] == weeks.WANTED]
    answer = [[*key, len(rows), len(refused(rows)), different(rows, "client"), addresses(rows), first(rows), last(rows)]
              for key, rows in group(wanted, "user_id", "normalized_method_signature").items()]
    return sorted(answer, key=lambda row: nulls_last(row[0], row[1]))


def user_audit(now, _):
    names = ["method", "request_url", "query_string", "response_status", "entity_id", "client", "client_version", "auth_method", "oauth_client_id"]
    return sorted(([text(row["timestamp"]), *(row[name] for name in names), address(row), row["session_id"]]
                   for row in now if row["user_id"] == weeks.THIEF), key=lambda row: (row[0], row[-1]))


def duplicates(now, _):
    keys = sorted(group(filter(lambda row: row["session_id"], now), "session_id").items())
    return [[key, len(rows), [day.isoformat() for day in different(rows, "date")], len(group(rows, "user_id", "method", "request_url")) == 1,
             first(rows), last(rows)] for (key,), rows in keys if len(rows) > 1]


def quality(now, _):
    def line(day, rows):
        odd = [[row for row in rows if not row["session_id"]], [row for row in rows if row["normalized_method_signature"] is None],
               [row for row in rows if "INVALID URL" in (row["normalized_method_signature"] or "")],
               [row for row in rows if row["client"] == "UNKNOWN"], [row for row in rows if row["user_id"] is None],
               [row for row in rows if row["elapse_ms"] < 0]]
        assert all(odd), "nothing of a kind to find"
        return [day.isoformat(), len(rows), 0, 0, *map(len, odd)]

    return [line(day, rows) for (day,), rows in sorted(group(now, "date").items())]


# --- The table, and what Trino says -----------------------------------------------------------------------------------------

class Scene:
    """The table of the weeks' records in the lake, and the same records as rows."""

    def __init__(self, lake, folder):
        self.lake, objects = lake, weeks.objects()
        self.rows = weeks.rows(objects)
        for name, data in objects.items():
            harness.write(folder / name, data)
        url, job = lake.bucket.url("weeks/"), harness.MAIN_JOB.read_text()
        summary = harness.run(harness.MAIN_JOB, folder, url, env=lake.env).json
        assert summary["rows_written"] == len(self.rows) and summary["duplicates"] > 0 and summary["quarantined"] > 0
        for connector, database in (HIVE, DELTA):
            path = harness.write(folder.parent / f"{connector}.yaml", job.replace("format: hive", f"format: {connector}").encode())
            harness.gristmill("catalog", path, "sync", "--table", url, "--quiet", env={**lake.env, "CATALOG": "glue", "DATABASE": database})

    def between(self, days):
        return [row for row in self.rows if days[0] <= row["date"] <= days[1]]

    def ask(self, statement, where):
        """The answer, and the days whose folders were listed or whose files were read for it."""
        with self.lake.versitygw.requests() as requests:
            answer = self.lake.query(statement, *where)
        found = [re.search(r"year=(\d{4})/month=(\d\d)/day=(\d\d)", url) for _, url in requests]
        return answer, {"-".join(day.groups()) for day in found if day}

    @functools.cache
    def answer(self, name, where):
        """To one of the files, as it is."""
        return self.ask(QUERIES[name].read_text(), where)


@pytest.fixture(scope="module")
def scene(lake, tmp_path_factory):
    return Scene(lake, tmp_path_factory.mktemp("weeks") / "input")


def days_between(first, last):
    return {day.isoformat() for day in weeks.DAYS if first <= day <= last}


def in_any_order(rows):
    return sorted(rows, key=lambda row: row[0] or "")


def check_rows(name, rows, now, before):
    """Of an answer to a file, for these rows of the table."""
    expected = globals()[name.replace("-", "_")](now, before)
    assert expected, "a question without an answer tests nothing"
    if name == "slowest-calls":
        p95 = {row[0]: row[3] for row in expected}
        assert len(expected) > len(rows) == 15 and [row[3] for row in rows] == sorted((row[3] for row in rows), reverse=True)
        shown = {row[0] for row in rows}
        assert all(p95[call].low <= rows[-1][3] for call in p95 if call not in shown)
        expected = [row for row in expected if row[0] in shown]
    if name == "instance-against-last":
        ratios = [row[-1] for row in rows]
        assert ratios == sorted(ratios, key=lambda ratio: math.inf if ratio is None else -ratio) and None not in ratios[:10]
        assert ratios == [row[-3] and row[-2] and rounded(row[-3] / row[-2], 2) for row in rows]
        rows = [row[:-1] for row in rows]
    if name in ("slowest-calls", "instance-against-last"):
        rows, expected = in_any_order(rows), in_any_order(expected)
    for got, want in zip(rows, expected):
        assert want == got
    assert len(rows) == len(expected)


@pytest.mark.parametrize("where", [HIVE, DELTA], ids=["hive", "delta"])
@pytest.mark.parametrize("name", QUERIES)
def test_answer(scene, name, where):
    answer, _ = scene.answer(name, where)
    check_rows(name, answer.rows, scene.between(WEEK), scene.between(BEFORE))


@pytest.mark.parametrize("where", [HIVE, DELTA], ids=["hive", "delta"])
@pytest.mark.parametrize("name", QUERIES)
def test_reads_no_day_but_those_asked_for(scene, name, where):
    """Neither lists its folder nor opens a file of it. The days are taken from the file, which checks that test_answer() has the same."""
    values = {parameter: value for value, parameter in PARAMETER.findall(QUERIES[name].read_text())}
    ranges = [tuple(datetime.date.fromisoformat(values[f"{end}_day{suffix}"][6:-1]) for end in ("first", "last"))
              for suffix in ("", "_before") if f"first_day{suffix}" in values]
    assert ranges in ([WEEK], [WEEK, BEFORE])
    _, read = scene.answer(name, where)
    assert read == set().union(*(days_between(*pair) for pair in ranges))


@pytest.mark.parametrize("name", QUERIES)
def test_head(scene, name):
    """Each file is one statement, says what is asked and what each column of the answer is, in their order; and has its parameters, each of which
    is used, at its top."""
    text = QUERIES[name].read_text()
    head = re.match(r"-- Question: .+\?\n-- Columns:\n((?:--   .+\n)+)WITH parameters AS \(\n    SELECT\n((?:        .+\n)+)\), calls AS \(\n", text)
    assert head and ";" not in text[head.start(2):] and max(map(len, text.splitlines())) <= 140
    assert re.findall(r"^--   (\w+) ", head[1], re.M) == [column["name"] for column in scene.answer(name, HIVE)[0].columns]
    parameters = [parameter for _, parameter in PARAMETER.findall(head[2])]
    assert len(parameters) == head[2].count("\n") and parameters[:2] == ["first_day", "last_day"]
    assert all(re.search(rf"\b{parameter}\b", text[head.end():]) for parameter in parameters)


def test_quality_finds_what_no_table_of_ours_has(scene):
    """A key twice on a day, and a row on a day that is not its own."""
    rows = ", ".join(f"('{key}', TIMESTAMP '2024-01-0{time} 10:00:00', '2024', '01', '0{day}', 'GET /version', 'WEB', BIGINT '1', BIGINT '5')"
                     for key, time, day in (("a", 2, 2), ("a", 2, 2), ("b", 2, 2), ("a", 3, 3), ("c", 2, 3)))
    names = 'session_id, "timestamp", year, month, day, normalized_method_signature, client, user_id, elapse_ms'
    faulty = f"WITH access_record ({names}) AS (VALUES {rows}), parameters AS"
    answer, _ = scene.ask(QUERIES["quality"].read_text().replace("WITH parameters AS", faulty), HIVE)
    assert answer.rows == [["2024-01-02", 3, 1, 0, 0, 0, 0, 0, 0, 0], ["2024-01-03", 2, 0, 1, 0, 0, 0, 0, 0, 0]]


# --- Parameters -------------------------------------------------------------------------------------------------------------

OTHER = (datetime.date(2023, 12, 20), datetime.date(2023, 12, 31))


def edited(name, **values):
    """The text of a file with other values of its parameters, as SQL has them."""
    return PARAMETER.sub(lambda found: found[0].replace(found[1], values.get(found[2], found[1]), 1), QUERIES[name].read_text())


@pytest.mark.parametrize("where", [HIVE, DELTA], ids=["hive", "delta"])
@pytest.mark.parametrize("how", ["edited", "given", "relative"])
def test_parameters(scene, where, how):
    """The ways that docs/queries.md tells: by text, as people and Redash do it; by question marks, as Athena and JDBC do it; counted from today."""
    first, last = (day.isoformat() for day in OTHER)
    if how == "edited":
        statement = edited("slowest-calls", first_day=f"DATE '{first}'", last_day=f"DATE '{last}'", least_calls="25")
    elif how == "given":
        text = edited("slowest-calls", first_day="date(?)", last_day="date(?)", least_calls="?").replace("'", "''")
        statement = f"EXECUTE IMMEDIATE '{text}' USING '{first}', '{last}', 25"
    else:
        today = datetime.date.fromisoformat(scene.lake.sql("SELECT CAST(current_date AS varchar)")[0][0])
        ago = [f"current_date - INTERVAL '{(today - day).days}' DAY" for day in OTHER]
        statement = edited("slowest-calls", first_day=ago[0], last_day=ago[1], least_calls="25")
    answer, read = scene.ask(statement, where)
    assert read == days_between(*OTHER)
    calls = {call: len(rows) for (call,), rows in group(scene.between(OTHER), "normalized_method_signature").items() if len(rows) >= 25}
    shown = {row[0]: row[1] for row in answer.rows}
    assert shown.items() <= calls.items() and len(shown) == min(15, len(calls))


@pytest.mark.parametrize("day", ["2024-02-30", "2024-13-01", "1.2.2024", ""])
def test_a_day_that_is_none_is_refused(scene, day):
    """Instead of comparing as text in some way."""
    with pytest.raises(RuntimeError):
        scene.lake.query(edited("overview-by-day", last_day=f"DATE '{day}'"), *HIVE)


# --- What prunes, and what does not -----------------------------------------------------------------------------------------

CASES = {  # condition -> days listed, of the 744 of two years that the program's projection has; 24 exist
    "year BETWEEN '2023' AND '2024' AND year || '-' || month || '-' || day BETWEEN '2023-12-30' AND '2024-01-05'": 7,
    "year || '-' || month || '-' || day BETWEEN '2023-12-30' AND '2024-01-05'": 7,
    "year = '2023' AND month = '12' AND day >= '30' OR year = '2024' AND month = '01' AND day <= '05'": 7,
    "(year, month, day) BETWEEN ('2023', '12', '30') AND ('2024', '01', '05')": 7,
    "date(year || '-' || month || '-' || day) BETWEEN DATE '2023-12-30' AND DATE '2024-01-05'": 20,
    "try(date(year || '-' || month || '-' || day)) BETWEEN DATE '2023-12-30' AND DATE '2024-01-05'": 744,
    "\"timestamp\" >= TIMESTAMP '2023-12-30' AND \"timestamp\" < TIMESTAMP '2024-01-06'": 744,
}


@pytest.mark.parametrize("condition", CASES, ids=["year and text", "text", "columns", "rows", "date", "try", "timestamp"])
def test_what_prunes(scene, condition):
    """All conditions ask for the same rows. What is listed is what docs/queries.md says."""
    answer, read = scene.ask(f"SELECT count(*) FROM access_record WHERE {condition}", HIVE)
    assert answer.rows == [[len(scene.between(WEEK))]]
    assert len(read) == CASES[condition]
    assert f"\n{len(read):3}  {condition}\n" in DOC.read_text()


# --- The page ---------------------------------------------------------------------------------------------------------------


def test_page_lists_every_file():
    text = DOC.read_text()
    listed = dict(re.findall(r"^\| \[([\w-]+)\.sql\]\(\.\./queries/\1\.sql\) \| (.+) \|$", text, re.M))
    assert listed == {name: re.search("-- Question: (.+)", path.read_text())[1] for name, path in QUERIES.items()}


def test_page_shows_an_answer(scene):
    """That of traffic-by-client.sql, to the letter."""
    answer, _ = scene.answer("traffic-by-client", HIVE)
    lines = [[column["name"] for column in answer.columns]] + [["" if value is None else str(value) for value in row] for row in answer.rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    shown = "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)
    assert f"```\n{shown}\n```" in DOC.read_text(), shown
