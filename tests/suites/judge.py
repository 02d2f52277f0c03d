"""Holds the results of suites against what is expected of them, and prints a table.

    judge.py [--partly] EXPECTED RESULTS SUITE...

A line of EXPECTED/SUITE.txt is `NAME | REASON`. NAME may end in `*`. REASON begins with one of the kinds below. A suite
whose tests are named `PART: NAME` has a line in the table for each part.
"""

import collections
import pathlib
import sys

KINDS = ("service feature we do not have", "needs Azure", "broken upstream", "skipped by the suite")


def main() -> int:
    arguments = sys.argv[1:]
    partly = arguments[0] == "--partly"
    expected, results, *suites = arguments[partly:]
    faults, rows = [], []
    for suite in suites:
        reasons = read_expected(pathlib.Path(expected, f"{suite}.txt"), faults)
        outcomes = read_results(pathlib.Path(results, suite))
        if not outcomes:
            faults.append(f"{suite}: no test was run")
        seen = set()
        for name, outcome in outcomes.items():
            pattern = next((pattern for pattern in reasons if matches(pattern, name)), None)
            if outcome == "passed" and pattern and not pattern.endswith("*"):
                faults.append(f"{suite}: begins to pass: {name} ({reasons[pattern]})")
            elif outcome != "passed" and not pattern:
                faults.append(f"{suite}: {outcome}: {name}")
            if outcome != "passed":
                seen.add(pattern)
        if not partly:
            faults += [f"{suite}: expected not to pass, but it passes or is not there: {p}" for p in reasons if p not in seen]
        parts = {}
        for name, outcome in outcomes.items():
            part = f"{suite} {name.partition(': ')[0]}" if ": " in name else suite
            parts.setdefault(part, collections.Counter())[outcome] += 1
        rows += [(part, n["passed"], n["passed"] + n["failed"], n["skipped"]) for part, n in parts.items()]
    print(f"\n{'suite':30} {'passed':>7} {'of':>6} {'share':>7} {'skipped':>8}")
    for suite, passed, all_of, skipped in rows:
        print(f"{suite:30} {passed:7} {all_of:6} {100 * passed / max(all_of, 1):6.1f}% {skipped:8}")
    print()
    for fault in faults:
        print(fault)
    print("as expected" if not faults else f"{len(faults)} not as expected")
    return 1 if faults else 0


def matches(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def read_expected(path: pathlib.Path, faults: list[str]) -> dict[str, str]:
    reasons = {}
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        name, _, reason = line.partition(" | ")
        if not reason.startswith(KINDS):
            faults.append(f"{path.name}: no reason of a known kind: {line}")
        reasons[name] = reason
    return reasons


def read_results(path: pathlib.Path) -> dict[str, str]:
    outcomes = {}
    for line in path.read_text().splitlines():
        outcome, _, name = line.partition(" ")
        outcomes[name] = outcome
    return outcomes


sys.exit(main())
