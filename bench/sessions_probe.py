"""One client of a node, for what bench/sessions asks one request at a time. Prints lines of JSON."""

import http.client
import json
import os
import sys
import time
from urllib.parse import urlsplit

KINDS = {
    "a counter": ("x = (globalThis.x ?? 0) + 1", None),
    "an entry of a Map": ("m.set('k' + m.size, {a: m.size}).size", "var m = new Map(); 0"),
    "a call of a closure": ("next()", "var next = (n => () => ++n)(0); 0"),
    "parse 100 KB of JSON": ("var rows = JSON.parse(text); rows.length", "var text = JSON.stringify(Array.from({length: 2000}, (_, i) => ({id: i, name: 'row ' + i, ok: true}))); 0"),
    "map 2,000 rows": ("var mapped = rows.map(r => ({...r, id: r.id + 1})); mapped.length", "var rows = Array.from({length: 2000}, (_, i) => ({id: i, name: 'row ' + i})); 0"),
    "a loop of 1,000,000": ("(() => { let s = 0; for (let i = 0; i < 1e6; i++) s = (s * 31 + i) | 0; return s })()", None),
    "churn of 200,000 objects": ("{ let last; for (let i = 0; i < 2e5; i++) last = {i, a: [i]}; last.i }", None),
    "write 1 MB of bytes": ("bytes.fill(++fill); fill", "var bytes = new Uint8Array(1 << 20), fill = 0; 0"),
    "a caught exception": ("try { null.x } catch (e) { e.message.length }", None),
    "an async function": ("await f(); n", "var n = 0; async function f() { await null; n++ }; 0"),
}


class Client:
    def __init__(self, url):
        parts = urlsplit(url)
        self.path = parts.path
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=600)

    def post(self, path, body):
        self.connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        reply = self.connection.getresponse()
        return reply.status, json.loads(reply.read() or b"null")

    def get(self, path):
        self.connection.request("GET", path)
        return json.loads(self.connection.getresponse().read())

    def run(self, code, session=None, **more):
        body = {"code": code, **more}
        if session:
            body["session"] = session
        begun = time.perf_counter()
        status, reply = self.post(self.path, body)
        ms = (time.perf_counter() - begun) * 1e3
        if status != 200 or reply["status"] != "completed":
            sys.exit(f"{code}: {status} {reply}")
        return ms, reply


def tell(**fact):
    print(json.dumps(fact), flush=True)
    print(json.dumps(fact), file=sys.stderr)


def middle(values, part=0.5):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def forget():
    """Removes a node's copies of blobs, where they are named: whatever has them else gives them then."""
    directory = os.environ.get("FORGET")
    for at, _, names in os.walk(directory) if directory else ():
        for name in names:
            if len(name) == 64:
                os.remove(os.path.join(at, name))


def cold(client, times, sizes):
    """A session whose process was given up: the time until its next run has answered."""
    large = {"memory_mb": 2000, "heap_mb": 2000, "array_buffer_mb": 2000, "timeout_ms": 600000}
    for size in map(int, sizes):
        name = f"cold-{size}"
        # Objects, strings and numbers that look like data; 1 MB is about 7,000 of them.
        fill = f"""var all = []; var seed = 1; const draw = () => (seed = seed * 48271 % 2147483647);
            for (let i = 0; i < {size} * 7000; i++) all.push({{id: i, name: 'row ' + draw(), value: draw() / 7, tags: [i % 9, i % 13]}}); all.length"""
        _, filled = client.run(fill, name, **large)
        took = []
        for _ in range(int(times)):
            # Others take its place.
            for other in range(3):
                client.run("1", f"other-{other}")
            forget()
            ms, _ = client.run("all.length", name, **large)
            took.append(ms)
        tell(kind="cold", source=os.environ.get("FROM", "the disk"), mb=size, p50_ms=middle(took), p99_ms=middle(took, 0.99), first_ms=filled["duration_ms"])


def kinds(client):
    """What a kind of run costs in a session, beside the same run without one, and what it changes."""
    for number, (kind, (code, opening)) in enumerate(KINDS.items()):
        name = f"kind-{number}"
        if opening:
            client.run(opening, name)
        alone = f"{opening or ''}\n{code}"
        stateful, stateless = [], []
        for _ in range(60):
            stateful.append(client.run(code, name)[0])
            stateless.append(client.run(alone)[0])
        log = client.get(f"/api/sessions/{name}/log?limit=60")["commits"]
        deltas = [commit["delta_bytes"] for commit in log if "delta_bytes" in commit]
        tell(
            kind="kind",
            name=kind,
            stateful_ms=middle(stateful),
            stateless_ms=middle(stateless),
            delta_bytes=middle(deltas) if deltas else None,
            blobs=sum("delta_bytes" not in commit for commit in log),
        )


def size_of(directory):
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(directory) for name in names)


def commits(client, directory, counts):
    """A long history: what a restore of its end costs, and what it takes up."""
    done = 0
    for count in map(int, counts):
        while done < count:
            client.run("x = (globalThis.x ?? 0) + 1", "long")
            done += 1
        heap = client.get("/api/sessions/long")["heap"]
        took = []
        for number in range(5):
            # A branch of its own has no process yet.
            client.post("/api/sessions", {"name": f"at-{count}-{number}", "heap": heap})
            took.append(client.run("x", f"at-{count}-{number}")[0])
        tell(
            kind="commits",
            commits=count,
            restore_ms=middle(took),
            state_bytes=size_of(f"{directory}/state"),
            log_bytes=size_of(f"{directory}/raft"),
            blob_bytes=size_of(f"{directory}/blobs"),
        )


if __name__ == "__main__":
    what, url, *rest = sys.argv[1:]
    client = Client(url)
    if what == "cold":
        cold(client, rest[0], rest[1:])
    elif what == "kinds":
        kinds(client)
    else:
        commits(client, rest[0], rest[1:])
