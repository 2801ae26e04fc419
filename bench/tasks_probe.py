"""The client of bench/tasks. Prints rows of a table in Markdown."""

import http.client
import json
import re
import sys
import threading
import time
from urllib.parse import urlsplit

CODE = "1 + 2"
CLIENTS = 16


class Client:
    def __init__(self, url):
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)

    def ask(self, method, path, body=None):
        text = None if body is None else json.dumps(body)
        self.connection.request(method, path, text, {"content-type": "application/json"})
        reply = self.connection.getresponse()
        return reply.status, reply.read()

    def post(self, path, body, expected):
        status, reply = self.ask("POST", path, body)
        if status != expected:
            sys.exit(f"{path}: {status} {reply[:400]}")
        return json.loads(reply)

    def get(self, path):
        status, reply = self.ask("GET", path)
        if status != 200:
            sys.exit(f"{path}: {status} {reply[:400]}")
        return reply


def row(what, measured):
    print(f"| {what} | {measured} |", flush=True)


def in_parallel(urls, count, each):
    """Has CLIENTS clients share so many calls, a third of them at each node."""
    numbers, lock = iter(range(count)), threading.Lock()

    def work(index):
        client = Client(urls[index % len(urls)])
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            each(client, number)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(CLIENTS)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begun


def counts(client):
    text = client.get("/metrics").decode()
    return {state: int(count) for state, count in re.findall(r'^mcp_v8_tasks\{state="(\w+)"\} (\d+)', text, re.M)}


def until_all_ended(client):
    while True:
        now = counts(client)
        if now["queued"] + now["running"] == 0:
            return
        time.sleep(0.05)


def drain(urls, count, label):
    watcher = Client(urls[0])
    # In an hour: so that none runs while they are made.
    later = {"code": CODE, "labels": {"round": label}}
    at = time.time() + max(20, count / 150)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    make = in_parallel(urls, count, lambda client, _: client.post("/api/tasks", {**later, "run_at": stamp}, 201))
    assert time.time() < int(at), "the tasks were made too slowly"
    time.sleep(max(0, int(at) - time.time()))
    begun = time.perf_counter()
    until_all_ended(watcher)
    took = time.perf_counter() - begun
    page = json.loads(watcher.get(f"/api/tasks?limit=1000&status=succeeded&labels=round={label}"))
    assert page["tasks"], "none has succeeded"
    plain = in_parallel(urls, count, lambda client, _: client.post("/api/exec", {"code": CODE}, 200))
    row(f"{count} tasks made, {CLIENTS} clients", f"{make:.1f} s, {count / make:.0f}/s")
    row(f"{count} waiting tasks run to their ends", f"{took:.1f} s, {count / took:.0f}/s")
    row("the same runs through `/api/exec`, 16 clients", f"{plain:.1f} s, {count / plain:.0f}/s")
    row("a task beside a run: drain / exec, and the difference for each",
        f"{took / plain:.2f}, {(took - plain) / count * 1e3:.2f} ms")


def fill(urls, count):
    """Tasks that end without running: made for later, and cancelled."""
    watcher = Client(urls[0])
    missing = count - counts(watcher)["ended"]
    if missing <= 0:
        return

    def one(client, _):
        made = client.post("/api/tasks", {"code": CODE, "delay_ms": 3_600_000}, 201)
        client.post(f"/api/tasks/{made['task_id']}/cancel", None, 200)

    took = in_parallel(urls, missing, one)
    row(f"{missing} more that have ended", f"made and cancelled in {took:.0f} s")


def read(urls):
    client = Client(urls[1])
    kept = counts(client)["ended"]

    def middle(path):
        took = []
        for _ in range(50):
            begun = time.perf_counter()
            reply = client.get(path)
            took.append((time.perf_counter() - begun) * 1e3)
        took.sort()
        return f"p50 {took[25]:.1f} ms, slowest {took[-1]:.1f} ms", reply

    text, reply = middle("/api/tasks?limit=100")
    row(f"of {kept} tasks, list the newest 100", text)
    one = json.loads(reply)["tasks"][50]["task_id"]
    row("get one", middle(f"/api/tasks/{one}")[0])
    row("a page of a filter that finds nothing (it looks at 10,000)", middle("/api/tasks?labels=none=1")[0])


def main():
    urls, what, *rest = sys.argv[1].split(","), *sys.argv[2:]
    match what:
        case "drain":
            drain(urls, int(rest[0]), rest[1])
        case "fill":
            fill(urls, int(rest[0]))
        case "read":
            read(urls)


main()
