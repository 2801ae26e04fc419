"""Makes the table of bench/results from the lines that bench/raft collects."""

import json
import os
import platform
import statistics
import sys

from report import ms, processor, span

NAMES = {"etcd": "etcd", "mcp-v8": "mcp-v8"}
# What we want to be, beside etcd.
THROUGHPUT_RATIO_MIN = 1.5
P99_RATIO_MAX = 1.0


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        facts = [json.loads(line) for line in file]
    env = os.environ
    groups = {}
    for fact in facts:
        if fact["kind"] == "put":
            groups.setdefault((fact["clients"], fact["system"]), []).append(fact)
    clients = sorted({count for count, _ in groups})
    sizes = [fact for fact in facts if fact["kind"] == "fdatasync"]

    print("# Committed writes: mcp-v8 and etcd\n")
    print(f"* Machine: {os.cpu_count()} cores, {processor()}, Linux {platform.release()}, {env['FILE_SYSTEM']}; "
          f"load average at the end {os.getloadavg()[0]:.1f} (1 min), {os.getloadavg()[2]:.1f} (15 min)")
    print(f"* Commit: {env['COMMIT']}; etcd {env['VERSION_OF_ETCD'] or 'not there'}, Debian's `etcd-server`")
    print(f"* Command: `bench/raft{env['QUICK']}`, {env['ROUNDS']} rounds in turn, {env['SECONDS_EACH']} s each after "
          f"{env['WARMUP_SECONDS']} s of warm-up, three fresh nodes on loopback for each")
    print("* Both: heartbeat 100 ms, elections after 300–600 ms (ours) or 600 ms (etcd, which draws from 600–1,200), "
          "no TLS, defaults otherwise")
    print("* The machine is virtual: whether its disk keeps what it says it has synced is not ours to tell, "
          "and the same for both")

    print("\n## 256 B, closed loop, clients spread evenly over the three nodes\n")
    print("Median of the rounds, range in parentheses. Latency in ms. Processor time and disk are those of all "
          "three nodes for each write; the client's processor time comes on top.\n")
    print("| clients | system | writes/s | p50 | p99 | slowest | nodes, µs/write | client, µs/write "
          "| disk, B/write | errors |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for count in clients:
        for system in NAMES:
            rounds = groups.get((count, system))
            if not rounds:
                continue
            column = lambda key: [fact[key] for fact in rounds]
            whole = lambda value: f"{value:.0f}"
            print(f"| {count} | {NAMES[system]} | {span(column('per_second'), whole)} "
                  f"| {span(column('p50_us'), ms)} | {span(column('p99_us'), ms)} | {ms(max(column('max_us')))} "
                  f"| {span(column('server_us_per_write'), whole)} | {span(column('client_us_per_write'), whole)} "
                  f"| {span(column('disk_bytes_per_write'), whole)} | {sum(column('errors'))} |")

    def middle(count, system, key):
        rounds = groups.get((count, system))
        return statistics.median(fact[key] for fact in rounds) if rounds else None

    if any((count, "etcd") in groups and (count, "mcp-v8") in groups for count in clients):
        print("\n## Ratios of the medians, mcp-v8 / etcd\n")
        print(f"Wanted: at least {THROUGHPUT_RATIO_MIN} times the writes, and a p99 that is not longer.\n")
        print("| clients | writes/s | p50 | p99 | processor time of the nodes | reached |")
        print("|---|---|---|---|---|---|")
        for count in clients:
            ratios = {}
            for key in ("per_second", "p50_us", "p99_us", "server_us_per_write"):
                ours, theirs = middle(count, "mcp-v8", key), middle(count, "etcd", key)
                ratios[key] = ours / theirs if ours and theirs else None
            told = " | ".join(f"{ratio:.2f}" if ratio else "–" for ratio in ratios.values())
            reached = (ratios["per_second"] or 0) >= THROUGHPUT_RATIO_MIN \
                and (ratios["p99_us"] or P99_RATIO_MAX + 1) <= P99_RATIO_MAX
            print(f"| {count} | {told} | {'yes' if reached else 'no'} |")

    print("\n## The disk: append 300 B, fdatasync, in a bare loop\n")
    print(f"Between the rounds, one second each, {len(sizes)} times: "
          f"p50 {span([fact['p50_us'] for fact in sizes], ms)} ms, "
          f"p99 {span([fact['p99_us'] for fact in sizes], ms)} ms, "
          f"slowest {ms(max(fact['max_us'] for fact in sizes))} ms, "
          f"{span([fact['per_second'] for fact in sizes], lambda value: f'{value:.0f}')} syncs/s.")

    proofs = [fact for fact in facts if fact["kind"] == "proof"]
    if proofs:
        print("\n## What was on disk when a write was acknowledged\n")
        print("One `strace` over all three nodes, one client at the leader, one write at a time. A node has a write "
              "on disk when an `fdatasync` (or `fsync`) of its log that began after the write's record was in the "
              "file has returned 0. A majority is two; syncs are those of all three nodes.\n")
        print("| system | writes traced | on a majority's disks before the answer | on the leader's | on all three "
              "| answered too early | fdatasync/write | fsync/write |")
        print("|---|---|---|---|---|---|---|---|")
        for fact in proofs:
            print(f"| {NAMES[fact['system']]} | {fact['traced']} of {fact['writes']} | {fact['on_majority']} "
                  f"| {fact['on_leader']} | {fact['on_all']} | {fact['too_early']} "
                  f"| {fact['fdatasync_per_write']:.2f} | {fact['fsync_per_write']:.2f} |")
        for fact in proofs:
            if fact["example"]:
                print(f"\nOne write of {NAMES[fact['system']]}, in the order of the trace: {'; '.join(fact['example'])}.")


if __name__ == "__main__":
    main()
