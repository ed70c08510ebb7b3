"""Three weeks of access records over the end of a year, in the shape in which the service writes them (seeded, so always the same), and the
rows that they must become: decoded by Python's json, derived by the rules of fuzz_functions.py. For tests that ask questions of a table.

Everything that queries/*.sql ask about happens here, and happens to somebody in particular:

    days 2023-12-15 .. 2024-01-06    the week under review is 2023-12-30 .. 2024-01-05, the two weeks before it are compared with it
    instance 490, 491                491 takes over in the night to 2 January; it is slower in one call and fails more in another
    ALICE, who works by script       is rate-limited, and comes from two addresses
    THIEF                            uses a personal access token from twelve addresses, and is refused
    the entity WANTED                is read, changed and, by anonymous callers, asked for in vain
    endpoints, clients               some end before the week under review, some begin in it; on the first and the last day of each period, and on
                                     the day before and behind, there are some that are seen on no other day but one
    one server                       fails more often than the others
    deliveries                       twice within a day, with one key on two days, without a key, and documents that are broken
"""
import datetime
import json
import random
import uuid

import fuzz_functions as rules
import harness

FIRST, LAST = datetime.date(2023, 12, 15), datetime.date(2024, 1, 6)
DAYS = [FIRST + datetime.timedelta(days) for days in range((LAST - FIRST).days + 1)]
WEEK = (datetime.date(2023, 12, 30), datetime.date(2024, 1, 5))
BEFORE = (datetime.date(2023, 12, 16), datetime.date(2023, 12, 29))
EDGES = [FIRST, *BEFORE, *WEEK, LAST]  # the day before, and behind, and what lies between
TAKEN_OVER = datetime.datetime(2024, 1, 2, 3, 30, tzinfo=datetime.timezone.utc)
ANONYMOUS, ALICE, THIEF, WANTED = 273950, 3350001, 3350002, 51234567
A_DAY, A_DAY_BEFORE = 700, 160  # records of a day: under review, and of another

# Method, path, how often, typical milliseconds.
CALLS = [
    ("GET", "/repo/v1/entity/{entity}", 30, 20), ("POST", "/repo/v1/entity/{entity}/bundle2", 22, 90), ("PUT", "/repo/v1/entity/{entity}", 5, 140),
    ("POST", "/repo/v1/entity/children", 9, 60), ("GET", "/repo/v1/entity/{entity}/version/{number}", 5, 25),
    ("DELETE", "/repo/v1/entity/{entity}", 1, 200),
    ("POST", "/file/v1/fileHandle/batch", 11, 70), ("GET", "/file/v1/file/{number}", 6, 30), ("POST", "/file/v1/file/multipart", 3, 350),
    ("PUT", "/file/v1/file/multipart/{number}/add/{number}", 4, 500), ("GET", "/repo/v1/userProfile/{number}", 8, 12),
    ("POST", "/repo/v1/entity/{entity}/table/query/async/start", 4, 40), ("GET", "/repo/v1/entity/{entity}/table/query/async/get/{number}", 9, 1800),
    ("GET", "/repo/v1/evaluation/{number}/submission/all", 2, 2500), ("POST", "/repo/v1/search", 3, 240), ("GET", "/repo/v1/entity/md5/{hex}", 2, 45),
    ("GET", "/auth/v1/oauth2/userinfo", 3, 15), ("POST", "/auth/v1/oauth2/token", 2, 55), ("POST", "/auth/v1/login", 2, 130),
    ("GET", "/repo/v1/version", 6, 2),
    ("GET", "/repo/v1/team/{number}/members", 2, 33), ("GET", "/repo/v1/entity/alias/caf%C3%A9%20{number}", 1, 22), ("GET", "/favicon.ico", 1, 1),
]
CALLS_BEFORE = [("GET", "/repo/v1/storageReport/async/get/{number}", 2, 900), ("POST", "/repo/v1/doi/async/start", 1, 300),
                ("GET", "/repo/v1/entity/{entity}/wiki2", 3, 35)]
CALLS_SINCE = [("POST", "/repo/v1/agent/chat/async/start", 2, 75), ("GET", "/repo/v1/drs/objects/syn{number}.{number}", 2, 28)]
CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.{}.0 Safari/537.36"
AGENTS = [(CHROME.format("Windows NT 10.0; Win64; x64", 6099), 26), (CHROME.format("X11; Linux x86_64", 6045), 6),
          ("synapseclient/3.2.0 python-requests/2.31.0", 14), ("synapseclient/4.0.0 python-requests/2.31.0", 12),
          ("synapsecommandlineclient/3.2.0 synapseclient/3.2.0 python-requests/2.28.1", 4),
          ("synapser/1.0.59 synapseclient/3.1.0 python-requests/2.22.0", 5), ("synapseRClient/1.15-0", 1), ("Synapse-Java-Client/480.0", 6),
          ("Synapse-Java-Client/480.0  Synapse-Web-Client/473.0", 8), ("Synpase-Java-Client/29.0-SNAPSHOT", 1), ("ELB-HealthChecker/2.0", 3),
          ("SynapseRepositoryStack/490.0", 1), ("curl/8.4.0", 2), ("", 1), (None, 1)]
AGENTS_BEFORE = [("synapseclient/2.7.2 python-requests/2.28.1", 5), ("Lynx/2.8.9rel.1 libwww-FM/2.14", 1)]
AGENTS_SINCE = [("synapseclient/4.1.0 python-requests/2.31.0", 6), ("Synapse-Java-Client/491.0", 3), ("Go-http-client/2.0", 2)]
STATUSES = [(200, 800), (201, 90), (204, 20), (400, 15), (401, 12), (403, 22), (404, 30), (409, 4), (412, 3), (499, 2), (500, 5), (503, 2)]
AUTHENTICATED = [("SESSIONTOKEN", 45), ("PERSONALACCESSTOKEN", 35), ("BEARERTOKEN", 14), ("APIKEY", 4), ("BASICAUTH", 2)]
ORIGINS = [(None, 6), ("https://www.synapse.org", 5), ("https://adknowledgeportal.synapse.org", 2), ("https://nf.synapse.org", 1)]
HOURS = [2, 1, 1, 1, 2, 3, 5, 8, 11, 14, 16, 15, 14, 17, 19, 18, 15, 12, 9, 7, 6, 5, 4, 3]
SICK = "c0ffee" + "0" * 34
SERVERS = [SICK] + [f"{n}a" * 20 for n in range(1, 6)]


class Weeks:
    """Makes the documents of one day after the other."""

    def __init__(self, seed=7):
        self.random = random.Random(seed)
        self.users = [3300000 + self.random.randrange(40000) for _ in range(60)]
        self.entities = [WANTED] + [self.random.randrange(10**6, 6 * 10**7) for _ in range(300)]
        self.addresses = [".".join(str(self.random.randrange(1, 255)) for _ in range(4)) for _ in range(150)]

    def pick(self, weighted):
        return self.random.choices(weighted, [row[-1] for row in weighted])[0][0]

    def ranked(self, things, exponent=1.0):
        """One of the things, the first ones more often."""
        return self.random.choices(things, [(i + 1) ** -exponent for i in range(len(things))])[0]

    def url(self, template):
        """Ids come with and without "syn", and in capitals."""
        entity = f"{self.random.choice(['syn', 'syn', 'SYN', ''])}{self.ranked(self.entities)}"
        while "{number}" in template:
            template = template.replace("{number}", str(self.random.randrange(100, 10**7)), 1)
        return template.replace("{entity}", entity).replace("{hex}", f"{self.random.getrandbits(128):032x}")

    def time(self, day):
        hour = self.random.choices(range(24), HOURS)[0]
        start = datetime.datetime.combine(day, datetime.time(hour), datetime.timezone.utc)
        return int(start.timestamp() * 1000) + self.random.randrange(3_600_000)

    def caller(self):
        """Who it is, how that is known, by which client id, from where."""
        chance = self.random.random()
        if chance < 0.22:
            return {"userId": self.random.choice([ANONYMOUS] * 9 + [None]), "authenticationMethod": None}
        user = self.ranked(self.users, 0.8)
        who = {"userId": user, "authenticationMethod": self.pick(AUTHENTICATED)}
        if who["authenticationMethod"] == "BEARERTOKEN":
            who["oauthClientId"] = str(100000 + self.ranked(range(7)))
        if who["authenticationMethod"] == "BASICAUTH":
            who["basicAuthUsername"] = f"user{user % 10}"
        who["xforwardedFor"] = self.addresses[user % 97 + self.random.choice([0] * 40 + [1, 2])]
        return who

    def document(self, day, **fixed):
        t, recent = self.time(day), day >= WEEK[0]
        method, template, _, typical = self.random.choices(*zip(*((c, c[2]) for c in CALLS + (CALLS_SINCE if recent else CALLS_BEFORE))))[0]
        status, elapse = self.pick(STATUSES), int(self.random.lognormvariate(0, 0.7) * typical)
        instance = "000000491" if t >= TAKEN_OVER.timestamp() * 1000 else "000000490"
        server = self.random.choice(SERVERS)
        if instance == "000000491" and "bundle2" in template:
            elapse *= 2
        if self.random.random() < 0.05 and (server == SICK or instance == "000000491" and "search" in template):
            status = self.random.choice([500, 500, 502])
        body = {
            "sessionId": str(uuid.UUID(int=self.random.getrandbits(128), version=4)), "timestamp": t, "userId": None, "method": method,
            "requestURL": self.url(template), "userAgent": self.pick(AGENTS + (AGENTS_SINCE if recent else AGENTS_BEFORE)),
            "host": "repo-prod.prod.sagebase.org", "origin": self.pick(ORIGINS), "xforwardedFor": self.random.choice(self.addresses), "via": None,
            "threadId": self.random.randrange(20, 420), "elapseMS": elapse, "success": status < 400, "stack": "prod", "instance": instance,
            "date": day.isoformat(), "vmId": server, "returnObjectId": None, "queryString": self.random.choice([None, "limit=50", "q=%22a%20b%22"]),
            "responseStatus": status, "oauthClientId": None, "basicAuthUsername": None, "authenticationMethod": None, **self.caller(), **fixed}
        if self.random.random() < 0.1 and body["xforwardedFor"]:
            body["xforwardedFor"] += ", 10.0.0.7"
        return {"stack": "prod", "instance": instance, "timestamp": body["timestamp"], "payload": body}

    def alice(self, day):
        """A script without a pause."""
        limited = self.random.random() < 0.4
        more = {"responseStatus": 429, "success": False, "elapseMS": 1} if limited else {"responseStatus": 200, "success": True}
        return self.document(day, userId=ALICE, authenticationMethod="PERSONALACCESSTOKEN", oauthClientId=None, method="GET",
                             requestURL=self.url(self.random.choice(["/repo/v1/entity/{entity}", "/file/v1/file/{number}"])),
                             userAgent="synapseclient/4.0.0 python-requests/2.31.0", xforwardedFor=self.random.choice(self.addresses[:2]), **more)

    def thief(self, day):
        return self.document(day, userId=THIEF, authenticationMethod="PERSONALACCESSTOKEN", oauthClientId=None, responseStatus=403, success=False,
                             xforwardedFor=self.random.choice(self.addresses[-12:]))

    def anybody_wants(self, day):
        return self.document(day, requestURL=f"/repo/v1/entity/syn{WANTED}", method="GET", userId=ANONYMOUS, authenticationMethod=None,
                             oauthClientId=None, responseStatus=403, success=False)

    def edges(self, day):
        """A client of each edge, seen on that day and on the third of the week; an endpoint, called on that day and on the sixth before the week."""
        for number, edge in enumerate(EDGES):
            if day in (edge, WEEK[0] + datetime.timedelta(2)):
                yield self.document(day, userAgent=f"synapseclient/0.{number}")
            if day in (edge, BEFORE[0] + datetime.timedelta(5)):
                yield self.document(day, requestURL=f"/repo/v1/edge{'abcdef'[number]}")

    def day(self, day):
        """Documents, and lines that are none."""
        recent = day >= WEEK[0]
        made = [self.document(day) for _ in range(A_DAY if recent else A_DAY_BEFORE)]
        made += [self.alice(day) for _ in range(40 if recent else 5)] + [self.thief(day) for _ in range(5)]
        made += [self.anybody_wants(day) for _ in range(3)] + [self.document(day, responseStatus=429, success=False) for _ in range(4)]
        made += [self.document(day, method="GET", requestURL="/repo/v1/seldom", elapseMS=30000) for _ in range(2)] + list(self.edges(day))
        made += [self.document(day, userId=ANONYMOUS, oauthClientId="100000", authenticationMethod="BEARERTOKEN")]
        made += [self.document(day, **odd) for odd in ({"sessionId": None}, {"sessionId": ""}, {"method": None}, {"elapseMS": -1})]
        self.random.shuffle(made)
        again = [made[7], made[8], made[-1]]  # one more delivery of each
        key = {"sessionId": made[9]["payload"]["sessionId"] or "once more"}  # of one more row, on the next day
        tomorrow = self.document(day, **{**(made[9]["payload"] if day.day % 2 else {}), **key})
        tomorrow["payload"]["timestamp"] += harness.DAY_MS
        return [*map(harness.dump, [*made, *again, tomorrow]), b'{"stack":"prod","payload":{"timestamp":', b'{"payload":{"timestamp":null}}']


def objects(seed=7):
    """Key -> bytes of each object of the source."""
    weeks = Weeks(seed)
    return {f"{day:year=%Y/month=%m/day=%d}/prodAccessRecord-1-{day}-23-59-00-{day:%Y%m%d}": b"\n".join(weeks.day(day)) + b"\n" for day in DAYS}


COLUMNS = {  # the table's columns, where nothing is derived -> payload's keys
    "session_id": "sessionId", "user_id": "userId", "method": "method", "request_url": "requestURL", "user_agent": "userAgent", "host": "host",
    "origin": "origin", "x_forwarded_for": "xforwardedFor", "via": "via", "thread_id": "threadId", "elapse_ms": "elapseMS", "success": "success",
    "stack": "stack", "vm_id": "vmId", "return_object_id": "returnObjectId", "query_string": "queryString", "response_status": "responseStatus",
    "oauth_client_id": "oauthClientId", "basic_auth_username": "basicAuthUsername", "auth_method": "authenticationMethod"}


def row_of(payload):
    """A row of the table as the rules have it; `timestamp` is a datetime, `date` (no column) the day of its partition."""
    row = {column: payload[key] for column, key in COLUMNS.items()}
    time = harness.EPOCH + datetime.timedelta(milliseconds=payload["timestamp"])
    known = row["method"] is not None and row["request_url"] is not None
    row.update(timestamp=time, date=time.date(), instance=payload["instance"].lstrip("0"), client=rules.client(row["user_agent"]),
               client_version=rules.client_version(row["user_agent"]), entity_id=rules.entity_id(row["request_url"]),
               normalized_method_signature=f"{row['method']} {rules.normalize_url(row['request_url'])}" if known else None)
    return row


def rows(objects):
    """The rows of a table made of these objects: of a key, the first one of a day is kept."""
    made, seen = [], set()
    for key in sorted(objects):
        for line in objects[key].splitlines():
            try:
                payload = json.loads(line)["payload"]
            except ValueError:
                continue
            if payload["timestamp"] is None:
                continue
            row = row_of(payload)
            name = row["session_id"], row["date"]
            if name in seen:
                continue
            if row["session_id"]:
                seen.add(name)
            made.append(row)
    return made
