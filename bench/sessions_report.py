"""Makes the table of bench/results from the lines that bench/sessions collects."""

import json
import statistics
import sys

from report import head, ms, span

# What a warm run may cost beside a stateless one and an fdatasync, in ms.
WARM_MS_MAX = 1.0


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        facts = [json.loads(line) for line in file]
    of = lambda kind: [fact for fact in facts if fact["kind"] == kind]

    head("Sessions", "bench/sessions")
    print("## `x = (globalThis.x ?? 0) + 1`, closed loop\n")
    print("Median of the rounds, range in parentheses.\n")
    print("| | clients | runs/s | p50 ms | p99 ms | errors |")
    print("|---|---|---|---|---|---|")
    names = {
        "stateless": "one node, stateless",
        "warm": "one node, a session for each client",
        "round robin": "one node, 1,000 sessions in turn, 100 processes",
        "cluster": "three nodes, a session for each client",
    }
    for kind, name in names.items():
        for clients in sorted({fact["concurrency"] for fact in of(kind)}):
            rounds = [fact for fact in of(kind) if fact["concurrency"] == clients]
            column = lambda key: [fact[key] for fact in rounds]
            print(f"| {name} | {clients} | {span(column('per_second'), lambda it: f'{it:.0f}')} "
                  f"| {span(column('p50_us'), ms)} | {span(column('p99_us'), ms)} | {sum(column('errors'))} |")
    syncs = of("fdatasync")
    print(f"| a bare fdatasync of {syncs[0]['bytes']} B | 1 | {span([it['per_second'] for it in syncs], lambda it: f'{it:.0f}')} "
          f"| {span([it['p50_us'] for it in syncs], ms)} | {span([it['p99_us'] for it in syncs], ms)} | |")
    one = lambda kind: statistics.median(it["p50_us"] for it in of(kind) if it.get("concurrency", 1) == 1) / 1000
    over = one("warm") - one("stateless") - one("fdatasync")
    verdict = "reached" if over <= WARM_MS_MAX else "not reached"
    print(f"\nA warm run costs {over:.2f} ms more at p50 than a stateless one and a bare fdatasync "
          f"(wanted: at most {WARM_MS_MAX:.0f} ms; {verdict}).\n")

    print("## Kinds of run, one client, p50\n")
    print("| kind | in a session, ms | stateless, with what it needs, ms | delta, bytes |")
    print("|---|---|---|---|")
    for fact in of("kind"):
        delta = fact["delta_bytes"]
        print(f"| {fact['name']} | {fact['stateful_ms']:.2f} | {fact['stateless_ms']:.2f} "
              f"| {delta if delta is not None else ''}{' ' if delta is not None and fact['blobs'] else ''}"
              f"{'%d of 60 as blobs' % fact['blobs'] if fact['blobs'] else ''} |")

    print("\n## A session whose process was given up: its next run, from the local disk\n")
    print("| heap, MB | p50 ms | p99 ms | the run that made it, ms |")
    print("|---|---|---|---|")
    for fact in of("cold"):
        print(f"| {fact['mb']} | {fact['p50_ms']:.1f} | {fact['p99_ms']:.1f} | {fact['first_ms']:.0f} |")

    print("\n## A long history\n")
    print("| commits | a new branch's first run, ms | state, MiB | log, MiB | blobs, MiB |")
    print("|---|---|---|---|---|")
    for fact in of("commits"):
        mib = lambda key: f"{fact[key] / (1 << 20):.1f}"
        print(f"| {fact['commits']} | {fact['restore_ms']:.1f} | {mib('state_bytes')} | {mib('log_bytes')} | {mib('blob_bytes')} |")


if __name__ == "__main__":
    main()
