#!/usr/bin/env python3
"""Checks the dependencies against deny.toml: licences, bans, sources.

`cargo deny check` does more (advisories among it) but needs a program of its own and a database from
the network; this needs Python alone and reads the same rules.
"""
import json
import re
import subprocess
import sys
import tomllib


def allowed(expression: str, licences: set[str]) -> bool:
    """Whether an SPDX expression can be satisfied with these licences."""
    words = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def alternatives() -> bool:
        found = parts()
        while words and words[0] == "OR":
            words.pop(0)
            found = parts() or found
        return found

    def parts() -> bool:
        found = one()
        while words and words[0] == "AND":
            words.pop(0)
            found = one() and found
        return found

    def one() -> bool:
        word = words.pop(0)
        if word == "(":
            found = alternatives()
            words.pop(0)
            return found
        if words and words[0] == "WITH":
            word = " ".join([word, words.pop(0), words.pop(0)])
        return word in licences

    return alternatives()


def main() -> int:
    with open("deny.toml", "rb") as file:
        rules = tomllib.load(file)
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    for target in rules["graph"]["targets"]:
        command += ["--filter-platform", target]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    licences = set(rules["licenses"]["allow"])
    banned = {ban["crate"]: ban["reason"] for ban in rules["bans"]["deny"]}
    faults = []
    for package in metadata["packages"]:
        name = f"{package['name']} {package['version']}"
        if package["name"] in banned:
            faults.append(f"{name} is banned: {banned[package['name']]}")
        if package["source"] is None:
            continue
        if package["source"] != "registry+https://github.com/rust-lang/crates.io-index":
            faults.append(f"{name} comes from {package['source']}")
        if not package["license"] or not allowed(package["license"], licences):
            faults.append(f"{name} has the licence {package['license']}")
    for package in metadata["packages"]:
        for dependency in package["dependencies"] if package["source"] is None else []:
            if dependency["req"] == "*" and "path" not in dependency:
                faults.append(f"{package['name']} takes any version of {dependency['name']}")
    for fault in faults:
        print(f"dependencies: {fault}", file=sys.stderr)
    print(f"dependencies: {len(metadata['packages'])} checked, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
