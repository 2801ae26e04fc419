"""Tells from a trace of all three nodes what was on disk when each write was acknowledged.

    raft_proof.py TRACE DIRECTORY LEADER WRITES

TRACE is what one strace (-f -yy) wrote of all nodes, so its lines are in one order; DIRECTORY holds a
directory for each node; LEADER is the leader's number, from 1; WRITES is how many records one client wrote, one after the other, at the leader.

For each record the trace holds, by its name in the bytes: the read of the request from a connection; on
each node the write of the log and the first sync of that file that began after it; and the first write
to that connection of an HTTP/2 frame HEADERS or DATA after the request, which is the acknowledgement.
A call's begin is its line, its end the line in which it is resumed: a sync that ended on an earlier
line than the acknowledgement began had ended before it.
"""

import json
import re
import sys

READS = {"read", "readv", "recvfrom", "recvmsg"}
WRITES = {"write", "writev", "pwrite64", "pwritev", "pwritev2", "sendto", "sendmsg"}
SYNCS = {"fdatasync", "fsync"}
# The first writer of `raft fill`, and six digits for the number: see record.rs.
FIRST_WRITER = "100"

LINE = re.compile(r"^(\d+) +[\d.]+ (.*)$")
RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>,? ?(.*)$")
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Call:
    def __init__(self, name, arguments, begin, end):
        self.name = name
        self.begin = begin
        self.end = end
        # The descriptor with what it is: 7</path> or 9<TCP:[from->to]>.
        self.descriptor = arguments.split(",", 1)[0].split(") =", 1)[0].strip()
        self.data = b"".join(
            text.encode("latin-1", "replace").decode("unicode_escape").encode("latin-1", "replace")
            for text in TEXT.findall(arguments)
        )
        self.returned = arguments.rpartition(" = ")[2]


def calls(path):
    begun = {}
    with open(path, encoding="latin-1") as file:
        for number, line in enumerate(file):
            match = LINE.match(line.rstrip("\n"))
            if not match:
                continue
            thread, what = match.groups()
            if resumed := RESUMED.match(what):
                if thread not in begun:
                    continue
                name, arguments, begin = begun.pop(thread)
                yield Call(name, arguments + resumed.group(2), begin, number)
                continue
            name, parenthesis, arguments = what.partition("(")
            if not parenthesis:
                continue
            if arguments.endswith("<unfinished ...>"):
                begun[thread] = name, arguments.removesuffix("<unfinished ...>"), number
            else:
                yield Call(name, arguments, number, number)


def answers(data):
    """Whether the bytes, which begin with a frame of HTTP/2, hold one of an answer."""
    while len(data) >= 9:
        # DATA is 0, HEADERS is 1; stream 0 is the connection itself.
        if data[3] in (0, 1) and int.from_bytes(data[5:9], "big") & 0x7FFFFFFF:
            return True
        data = data[9 + int.from_bytes(data[:3], "big"):]
    return False


def first(found, default=None):
    return next(iter(found), default)


def main():
    trace, directory, leader, count = sys.argv[1], sys.argv[2].rstrip("/"), int(sys.argv[3]), int(sys.argv[4])
    everything = sorted(calls(trace), key=lambda call: call.begin)
    reads = [call for call in everything if call.name in READS and "<TCP" in call.descriptor]
    sends = [call for call in everything if call.name in WRITES and "<TCP" in call.descriptor]
    nodes = [f"{directory}/n{number}/" for number in (1, 2, 3)]
    stores = {node: [call for call in everything if call.name in WRITES and f"<{node}" in call.descriptor]
              for node in nodes}
    syncs = {node: [call for call in everything if call.name in SYNCS and f"<{node}" in call.descriptor]
             for node in nodes}

    found = {"traced": 0, "on_majority": 0, "on_leader": 0, "on_all": 0, "too_early": 0}
    window_begin = window_end = None
    example = None
    for number in range(count):
        name = f"{FIRST_WRITER}{number:06x}".encode()
        request = min((call for call in reads if name in call.data), key=lambda call: call.end, default=None)
        if not request:
            continue
        # The same connection seen from the node that answers: the same text.
        answer = first(call for call in sends if call.descriptor.split("<")[1] == request.descriptor.split("<")[1]
                       and call.begin > request.end and answers(call.data))
        if not answer:
            continue
        synced = {}
        for node in nodes:
            store = first(call for call in stores[node] if name in call.data and call.begin > request.end)
            sync = store and first(call for call in syncs[node] if call.descriptor == store.descriptor
                                   and call.begin > store.end and call.returned.startswith("0"))
            if sync and sync.end < answer.begin:
                synced[node] = store, sync
        found["traced"] += 1
        window_begin = window_begin or request.end
        window_end = answer.begin
        found["on_majority"] += len(synced) >= 2
        found["too_early"] += len(synced) < 2
        found["on_all"] += len(synced) == 3
        found["on_leader"] += nodes[leader - 1] in synced
        if not example and len(synced) >= 2:
            example = sorted(
                [["request read", request.end], ["acknowledgement sent", answer.begin]]
                + [[f"n{nodes.index(node) + 1}: log written", store.begin] for node, (store, _) in synced.items()]
                + [[f"n{nodes.index(node) + 1}: {sync.name} returned 0", sync.end] for node, (_, sync) in synced.items()],
                key=lambda event: event[1])
    window = range(window_begin or 0, window_end or 0)
    all_syncs = [call for node in nodes for call in syncs[node] if call.begin in window]
    found["writes"] = count
    found["fdatasync_per_write"] = sum(call.name == "fdatasync" for call in all_syncs) / max(found["traced"], 1)
    found["fsync_per_write"] = sum(call.name == "fsync" for call in all_syncs) / max(found["traced"], 1)
    found["example"] = [event for event, _ in example or []]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
