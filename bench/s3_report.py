"""Makes the table of bench/results from the lines that bench/s3 collects."""

import json
import sys

from report import head, ms, span


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        facts = [json.loads(line) for line in file]
    of = lambda kind: [fact for fact in facts if fact["kind"] == kind]
    head("Sessions in a bucket", "bench/s3", "; the bucket is that of a small S3 server on the same disk")
    print("## When a run is answered: `x = (globalThis.x ?? 0) + 1`, a warm session for each client\n")
    print("Median of the rounds, range in parentheses.\n")
    print("| kept | clients | runs/s | p50 ms | p99 ms | errors |")
    print("|---|---|---|---|---|---|")
    for kept in dict.fromkeys(fact["kept"] for fact in of("warm")):
        for clients in sorted({fact["concurrency"] for fact in of("warm")}):
            rounds = [fact for fact in of("warm") if (fact["kept"], fact["concurrency"]) == (kept, clients)]
            column = lambda key: [fact[key] for fact in rounds]
            print(f"| {kept} | {clients} | {span(column('per_second'), '{:.0f}'.format)} | {span(column('p50_us'), ms)} | "
                  f"{span(column('p99_us'), ms)} | {sum(column('errors'))} |")
    print("\n## A session without a process: until its next run has answered\n")
    print("From the bucket means that the node has no copy of its blobs.\n")
    print("| heap, MB | from | p50 ms | p99 ms |")
    print("|---|---|---|---|")
    for fact in sorted(of("cold"), key=lambda fact: (fact["mb"], fact["source"])):
        print(f"| {fact['mb']} | {fact['source']} | {fact['p50_ms']:.0f} | {fact['p99_ms']:.0f} |")


main()
