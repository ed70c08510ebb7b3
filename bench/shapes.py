"""The inputs of the benchmark, each a shape of document: what its columns are, which jobs of ours read it, and how it is made.

    access     access records as `gristmill generate` makes them: 29 keys, 22 of them wanted, most below `payload`
    wide       events of 200 keys, of which 20 are wanted
    text       log lines with long messages: escapes, letters beyond ASCII, stack traces

wide and text are made here, from a seed, and kept in .cache/bench; VERSION is raised when what they are made of changes."""
import gzip
import json
import pathlib
import random
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent
VERSION = 1
T0 = 1_710_028_800_000  # 2024-03-10T00:00:00Z
DAYS_MS = 2 * 86_400_000
OBJECTS = 24


@dataclass(frozen=True)
class Shape:
    name: str
    title: str
    copy_job: pathlib.Path  # our job that does what the peers do
    columns: list  # (path, column, kind): kind s string, i bigint, d double, b boolean; the column `timestamp` is milliseconds
    passed_by: tuple = ()  # (path, kind) of further keys at the top that DuckDB reads at less cost than it passes them by
    whole_job: pathlib.Path = None  # our job with everything that we do besides
    records: int = 1_000_000
    lines: object = None  # lines(random, first, count): the documents; None: gristmill generate

    def key(self, records, seed):
        return f"{self.name}-{VERSION}-{records}-{seed}"

    def make(self, folder, records, seed):
        """Writes the objects below folder, the same ones for the same arguments."""
        for number in range(OBJECTS):
            first, end = records * number // OBJECTS, records * (number + 1) // OBJECTS
            path = folder / "2024" / "03" / f"{10 + number // 12:02}" / f"{self.name}-{number:03}.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            chooser = random.Random(f"{self.name} {seed} {number}")
            with open(path, "wb") as stream, gzip.GzipFile("", "wb", 6, stream, mtime=0) as packed:
                for start in range(first, end, 1000):
                    count = min(1000, end - start)
                    packed.write("".join(line + "\n" for line in self.lines(chooser, start, count, records)).encode())


# --- access -------------------------------------------------------------------------------------------------------------

_ACCESS = {
    "sessionId": ("session_id", "s"), "timestamp": ("timestamp", "i"), "userId": ("user_id", "i"), "method": ("method", "s"),
    "requestURL": ("request_url", "s"), "userAgent": ("user_agent", "s"), "host": ("host", "s"), "origin": ("origin", "s"),
    "xforwardedFor": ("x_forwarded_for", "s"), "via": ("via", "s"), "threadId": ("thread_id", "i"), "elapseMS": ("elapse_ms", "i"),
    "success": ("success", "b"), "stack": ("stack", "s"), "instance": ("instance", "s"), "vmId": ("vm_id", "s"),
    "returnObjectId": ("return_object_id", "s"), "queryString": ("query_string", "s"), "responseStatus": ("response_status", "i"),
    "oauthClientId": ("oauth_client_id", "s"), "basicAuthUsername": ("basic_auth_username", "s"),
    "authenticationMethod": ("auth_method", "s"),
}
ACCESS = Shape(
    "access", "access records", ROOT / "bench" / "copy.yaml", [(("payload", key), name, kind) for key, (name, kind) in _ACCESS.items()],
    ((("stack",), "s"), (("instance",), "s"), (("timestamp",), "i")), ROOT / "jobs" / "access-record.yaml")

# --- wide ---------------------------------------------------------------------------------------------------------------

_SUBJECTS = ("request", "response", "client", "server", "device", "session", "account", "network", "storage", "render")
_PARTS = ("id", "name", "kind", "state", "region", "version", "count", "bytes", "millis", "ratio",
          "score", "enabled", "cached", "label", "path", "tags", "limits", "parent", "reason", "owner")
_KIND_OF_PART = {"count": "i", "bytes": "i", "millis": "i", "ratio": "d", "score": "d", "enabled": "b", "cached": "b"}
# One key in ten is wanted, spread over the document: some at its start, some at its end, every type among them.
_WANTED = ("request_id", "request_name", "request_bytes", "response_state", "response_millis", "client_kind", "client_version", "server_region",
           "server_ratio", "device_label", "device_enabled", "session_path", "session_count", "account_owner", "network_reason", "network_score",
           "storage_bytes", "render_cached", "render_owner")
WIDE_KEYS = ["timestamp"] + [f"{subject}_{part}" for subject in _SUBJECTS for part in _PARTS if (subject, part) != ("render", "tags")]


def _kind(key):
    return "i" if key == "timestamp" else _KIND_OF_PART.get(key.rpartition("_")[2], "s")


def _wide_values(key):
    """The values that a key takes: few for labels, hundreds for names and figures, a structure for two, now and then null."""
    chooser, part = random.Random(key), key.rpartition("_")[2]
    words = [f"{chooser.choice(_PARTS)}-{chooser.getrandbits(20):x}" for _ in range(400)]
    values = {
        "i": lambda: [chooser.randrange(10 ** chooser.randrange(1, 9)) for _ in range(600)],
        "d": lambda: [round(chooser.random() * 100, 3) for _ in range(600)],
        "b": lambda: [True, False],
        "s": lambda: words[:6] if part in ("kind", "state", "region", "version", "reason") else [f"/{'/'.join(chooser.sample(words, 3))}" for _ in range(400)]
        if part == "path" else words,
    }[_kind(key)]()
    if part == "tags":
        values = [chooser.sample(words, chooser.randrange(4)) for _ in range(100)]
    if part == "limits":
        values = [{"soft": chooser.randrange(1000), "hard": chooser.randrange(10_000)} for _ in range(100)]
    return values + [None] * (len(values) // 8)


def _wide_lines(chooser, first, count, records):
    texts = _wide_texts()
    columns = []
    for key in WIDE_KEYS:
        if key == "timestamp":
            columns.append([f'"timestamp":{T0 + DAYS_MS * (first + i) // records}' for i in range(count)])
        elif key == "request_id":
            columns.append([f'"request_id":"{chooser.getrandbits(96):024x}"' for _ in range(count)])
        else:
            columns.append(chooser.choices(texts[key], k=count))
    return ("{" + ",".join(row) + "}" for row in zip(*columns))


def _wide_texts(cache={}):
    if not cache:
        for key in WIDE_KEYS:
            cache[key] = [f'"{key}":{json.dumps(value, separators=(",", ":"))}' for value in _wide_values(key)]
    return cache


WIDE = Shape(
    "wide", "wide documents: 20 keys of 200", ROOT / "bench" / "wide.yaml", [((key,), key, _kind(key)) for key in ("timestamp", *_WANTED)],
    records=60_000, lines=_wide_lines)

# --- text ---------------------------------------------------------------------------------------------------------------

_WORDS = {
    "english": "the worker could not reach its neighbour and will try again after a pause of some seconds because the answer was late".split(),
    "german": "für größere Anfragen muß der Schlüssel zuerst geprüft und über die Brücke geschickt werden, während das Übrige läuft".split(),
    "french": "le délai est dépassé et la requête a été annulée après l'échec du contrôle où la clé était déjà périmée".split(),
    "russian": "сервер не ответил вовремя поэтому запрос был отправлен ещё раз через другой узел сети".split(),
    "chinese": "无法 连接 到 服务器 请 稍后 重试 该 请求 已 被 取消 因为 令牌 已经 过期".split(),
    "signs": ["\U0001f600", "\U0001f4a5", "→", "…", "\u00a0", "“quoted”", "½", "€42"],
}
_BETWEEN = (" ", " ", " ", " ", ", ", "; ", "\n", "\n\t", " \"", "\" ", "\\", "/", "\r\n", ": ", " = ")


def _sentences(escaped, cache={}):
    """Inner parts of JSON strings, as a logger writes them that escapes all but ASCII, or as little as it must."""
    if escaped not in cache:
        chooser, out = random.Random("sentences"), []
        for _ in range(6000):
            words = _WORDS[chooser.choices(list(_WORDS), (10, 3, 3, 2, 2, 1))[0]]
            text = "".join(chooser.choice(words) + chooser.choice(_BETWEEN) for _ in range(chooser.randrange(3, 18))) + str(chooser.getrandbits(24))
            out.append(json.dumps(text, ensure_ascii=escaped)[1:-1])
        cache[escaped] = out
    return cache[escaped]


def _trace(chooser):
    frames = chooser.randrange(3, 25)
    inner = "".join(f"\\n\\tat org.example.{chooser.choice(_PARTS)}.{chooser.choice(_SUBJECTS)}.run(Main.java:{chooser.randrange(900)})" for _ in range(frames))
    return f'"java.lang.IllegalStateException: {chooser.choice(_sentences(False))}{inner}"'


def _text_lines(chooser, first, count, records):
    for i in range(first, first + count):
        sentences = _sentences(chooser.random() < 0.4)
        message = " ".join(chooser.choices(sentences, k=int(chooser.paretovariate(1.1) * 8) % 90 + 2))
        trace = _trace(chooser) if chooser.random() < 0.1 else "null"
        yield (f'{{"timestamp":{T0 + DAYS_MS * i // records},"level":"{chooser.choice(("INFO", "INFO", "INFO", "WARN", "ERROR"))}",'
               f'"logger":"org.example.{chooser.choice(_PARTS)}.{chooser.choice(_SUBJECTS)}","thread":"worker-{chooser.randrange(64)}",'
               f'"host":"node-{chooser.randrange(40)}.example.org","line":{chooser.randrange(2000)},"message":"{message}","trace":{trace}}}')


TEXT = Shape(
    "text", "long messages with escapes and other scripts", ROOT / "bench" / "text.yaml",
    [((key,), key, kind) for key, kind in (("timestamp", "i"), ("level", "s"), ("logger", "s"), ("thread", "s"), ("host", "s"), ("line", "i"),
                                           ("message", "s"), ("trace", "s"))],
    records=120_000, lines=_text_lines)

SHAPES = {shape.name: shape for shape in (ACCESS, WIDE, TEXT)}
