#!/usr/bin/env python3
"""fmea.py [--self-test]: does all that docs/fmea.md calls a proof exist?

The last column of its tables names scenarios, which have a hyphen or are words of scenario.h, and
tests, which are functions of a test in C or Python, or files below tests/. Each row has one at least,
or says *open*.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 7
SEVERITIES = set("ABCD")


def known_proofs(root):
    """The names of all scenarios, and of all functions of tests."""
    names = set(re.findall(r'X\(\w+, "([a-z0-9-]+)"',
                           (root / "backend/core/chaos/scenario/scenario.h").read_text()))
    for path in (root / "tests").rglob("*"):
        if path.suffix == ".c":
            names |= set(re.findall(r"^static void (\w+)\(", path.read_text(), re.M))
        elif path.suffix == ".py":
            names |= set(re.findall(r"^def (\w+)\(", path.read_text(), re.M))
    return names


def rows_of(text):
    """Line and cells of each row of the tables of failures."""
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == COLUMNS and cells[0] != "what fails, by which cause":
            yield number, cells


def complaints(text, known, is_file):
    found = []
    n = 0
    for number, cells in rows_of(text):
        n += 1
        proofs = re.findall(r"`([^`]+)`", cells[-1])
        files = re.findall(r"tests/[\w/.]+", cells[-1])
        if not proofs and not files and cells[-1] != "*open*":
            found.append(f"{number}: names no proof, and does not say that it is open")
        if cells[-2] not in SEVERITIES:
            found.append(f"{number}: {cells[-2]!r} is no severity")
        found += [f"{number}: there is no scenario and no test {p}" for p in proofs if p not in known]
        found += [f"{number}: there is no file {f}" for f in files if not is_file(f)]
    if n < 40:
        found.append(f"1: only {n} rows were understood")
    return found


def self_test():
    good = "| a | b | c | d | e | A | `known`, `a-scenario` |\n" * 40
    known = {"known", "a-scenario"}

    def bites(text):
        return bool(complaints(text, known, lambda f: f == "tests/there.py"))
    assert not bites(good)
    assert not bites(good + "| a | b | c | d | e | B | tests/there.py |\n")
    assert not bites(good + "| a | b | c | d | e | B | *open* |\n")
    assert bites(good + "| a | b | c | d | e | B | `unknown` |\n")
    assert bites(good + "| a | b | c | d | e | B | tests/gone.py |\n")
    assert bites(good + "| a | b | c | d | e | B | somehow |\n")
    assert bites(good + "| a | b | c | d | e | Z | `known` |\n")
    assert bites("")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    found = complaints((ROOT / "docs/fmea.md").read_text(), known_proofs(ROOT),
                       lambda f: (ROOT / f).is_file())
    for complaint in found:
        print(f"docs/fmea.md:{complaint}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
