"""Runs the additions of bench/additions, mode by mode in turn, and prints a table of what the runs took."""

import statistics
import sys

from sessions_probe import Client

url, rounds, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
LOOP = f"for (let i = 0; i < {count}; i++) s = (s + i) | 0;"
FORMS = {
    "block": f"{{ let s = 0; {LOOP} s }}",
    "function": f"(() => {{ let s = 0; {LOOP} return s }})()",
    "top-level `let`": f"let s = 0; {LOOP} s",
}
client = Client(url)
# Only one session has a process: a run in the other one ends it.
client.run("globalThis.n = 0", session="measured")
took = {}
results = set()


def measure(form, mode, session):
    _, reply = client.run(FORMS[form], session=session, timeout_ms=120_000)
    results.add(reply["result"])
    took.setdefault((form, mode), []).append(reply["duration_ms"])


for _ in range(rounds):
    for form in FORMS:
        measure(form, "no session", None)
        client.run("n += 1", session="measured")
        measure(form, "warm", "measured")
        client.run("1", session="other")
        measure(form, "restored", "measured")
if len(results) != 1:
    sys.exit(f"the sums differ: {results}")
print("Median of a run in ms, from its start to its end in the worker; in brackets the ratio to a run without a session.\n")
print("| form | no session | warm | restored |")
print("|---|---|---|---|")
for form in FORMS:
    medians = [statistics.median(took[form, mode]) for mode in ("no session", "warm", "restored")]
    cells = [f"{ms:.0f} ({ms / medians[0]:.2f})" for ms in medians]
    print(f"| {form} | {' | '.join(cells)} |")
