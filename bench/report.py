"""Makes the table of bench/results from the lines that bench/run collects."""

import json
import os
import platform
import statistics
import sys

NAMES = {
    "mcp-v8": "mcp-v8, a process for each request",
    "workerd": "workerd, a loaded worker for each request",
    "deno": "Deno, a worker for each request",
    "floor": "an axum handler that answers at once",
}


def ms(us):
    return f"{us / 1000:.2f}"


def span(values, form):
    """The median, and the range where there is one."""
    middle = form(statistics.median(values))
    if len(values) < 2:
        return middle
    return f"{middle} ({form(min(values))}–{form(max(values))})"


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def head(title, command, more=""):
    """What stands above every table of bench/results but those of bench/run."""
    env = os.environ
    print(f"# {title}\n")
    print(f"* Machine: {os.cpu_count()} cores, {processor()}, Linux {platform.release()}, {env['FILE_SYSTEM']}; "
          f"load average at the end {os.getloadavg()[0]:.1f} (1 min), {os.getloadavg()[2]:.1f} (15 min)")
    print(f"* Commit: {env['COMMIT']}")
    print(f"* Command: `{command}{env['QUICK']}`, {env['ROUNDS']} rounds, {env['SECONDS_EACH']} s each{more}\n")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        facts = [json.loads(line) for line in file]
    closed = [fact for fact in facts if fact["kind"] == "closed"]
    groups = {}
    for fact in closed:
        groups.setdefault((fact["concurrency"], fact["server"]), []).append(fact)
    clients = sorted({concurrency for concurrency, _ in groups})
    env = os.environ

    print("# Benchmark\n")
    print(f"* Machine: {os.cpu_count()} cores, {processor()}, Linux {platform.release()}; "
          f"load average at the end {os.getloadavg()[0]:.1f} (1 min), {os.getloadavg()[2]:.1f} (15 min)")
    print(f"* Commit: {env['COMMIT']}")
    print(f"* Command: `bench/run`, {env['ROUNDS']} rounds in turn, {env['SECONDS_EACH']} s each "
          "after 1 s of warm-up, a fresh server for each"
          + (f"; servers as user {env['RUN_AS']}" if env.get("RUN_AS") else ""))
    for name in filter(None, env["MISSING"].split(";")):
        print(f"* Not measured: {name}")

    print("\n## `1 + 2`, keep-alive, closed loop\n")
    print("Median of the rounds, range in parentheses. Latency in ms, memory is the PSS of all "
          "processes of the server in the middle of the run.\n")
    print("| clients | server | requests/s | p50 | p99 | slowest | memory, MiB | errors |")
    print("|---|---|---|---|---|---|---|---|")
    for concurrency in clients:
        for server in NAMES:
            rounds = groups.get((concurrency, server))
            if not rounds:
                continue
            column = lambda key: [fact[key] for fact in rounds]
            memory = [fact["memory"]["pss_kb"] for fact in rounds if fact.get("memory")]
            print(f"| {concurrency} | {NAMES[server]} | {span(column('per_second'), lambda v: f'{v:.0f}')} "
                  f"| {span(column('p50_us'), ms)} | {span(column('p99_us'), ms)} "
                  f"| {ms(max(column('max_us')))} "
                  f"| {span(memory, lambda v: f'{v / 1024:.0f}') if memory else '–'} "
                  f"| {sum(column('errors'))} |")

    def middle(concurrency, server, key):
        rounds = groups.get((concurrency, server))
        return statistics.median(fact[key] for fact in rounds) if rounds else None

    print("\n## Ratios of the medians\n")
    print("| clients | requests/s: mcp-v8 / workerd | p99: mcp-v8 / workerd | requests/s: mcp-v8 / Deno "
          "| p99: mcp-v8 / Deno | requests/s: handler that answers at once / mcp-v8 |")
    print("|---|---|---|---|---|---|")

    def ratio(concurrency, above, below, key):
        top, bottom = middle(concurrency, above, key), middle(concurrency, below, key)
        return f"{top / bottom:.2f}" if top and bottom else "–"

    for concurrency in clients:
        print(f"| {concurrency} | {ratio(concurrency, 'mcp-v8', 'workerd', 'per_second')} "
              f"| {ratio(concurrency, 'mcp-v8', 'workerd', 'p99_us')} "
              f"| {ratio(concurrency, 'mcp-v8', 'deno', 'per_second')} "
              f"| {ratio(concurrency, 'mcp-v8', 'deno', 'p99_us')} "
              f"| {ratio(concurrency, 'floor', 'mcp-v8', 'per_second')} |")

    arrivals = [fact for fact in facts if fact["kind"] == "arrival"]
    if arrivals:
        print(f"\n## Eight small programs at a constant rate, {env['ARRIVAL_SECONDS']} s each\n")
        print("Latency in ms from the moment at which a request was due. Dropped: as many requests as "
              "the rate's were under way already.\n")
        print("| requests/s asked | answered right/s | ok % | dropped | mean | p50 | p95 | p99 | slowest |")
        print("|---|---|---|---|---|---|---|---|---|")
        for fact in arrivals:
            print(f"| {fact['rate']} | {fact['per_second']:.1f} | {fact['ok_percent']:.2f} "
                  f"| {fact['dropped']} | {ms(fact['mean_us'])} | {ms(fact['p50_us'])} "
                  f"| {ms(fact['p95_us'])} | {ms(fact['p99_us'])} | {ms(fact['max_us'])} |")

    forks = [fact for fact in facts if fact["kind"] == "fork"]
    if forks:
        print("\n## Fork, exit, reap in a bare loop\n")
        print("One at a time, from a process with one thread. Nothing is evaluated.\n")
        print("| memory written before, MiB | resident, MiB | forks/s | p50, ms | p99, ms |")
        print("|---|---|---|---|---|")
        for fact in forks:
            print(f"| {fact['touched_mb']} | {(fact['rss_kb'] or 0) / 1024:.1f} "
                  f"| {fact['per_second']:.0f} | {fact['p50_us'] / 1000:.3f} "
                  f"| {fact['p99_us'] / 1000:.3f} |")

    for fact in (fact for fact in facts if fact["kind"] == "run"):
        print(f"\n## Fork, evaluate `{fact['code']}`, exit, reap in a bare loop\n")
        print(f"The worker program without a node, one run at a time: {fact['per_second']:.0f} runs/s. "
              f"Times in ms.\n")
        print("| phase | p50 | p99 |")
        print("|---|---|---|")
        for phase in ("fork", "evaluate", "exit", "whole"):
            print(f"| {phase} | {fact[phase]['p50_us'] / 1000:.3f} | {fact[phase]['p99_us'] / 1000:.3f} |")
        if one := middle(1, "mcp-v8", "p50_us"):
            print(f"\nA request over HTTP at one client, p50: {one / fact['whole']['p50_us']:.2f} times "
                  "the whole. (A node forks ahead and reaps behind, so it can be under one.)")


if __name__ == "__main__":
    main()
