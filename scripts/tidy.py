#!/usr/bin/env python3
"""Checks what docs/style.md says of the whole tree and a script can check.

    tidy.py                    the sources, against every check of tidy_checks.py
    tidy.py --symbols BUILD    what the core's archives under BUILD import and keep
    tidy.py --self-test        every check, against the samples of tidy_samples.py

Prints one finding a line, as compilers do, and exits with 1 where there is any. Functions that are
long, but not too long, are listed and fail nothing.
"""

import sys
from pathlib import Path

import tidy_checks
import tidy_samples
import tidy_symbols
from tidy_tree import Tree

ROOT = Path(__file__).resolve().parent.parent


def check_sources():
    tree = Tree.of_checkout(ROOT)
    for lines, function in tidy_checks.long_functions(tree):
        print(f"note: {function.path}:{function.line}: {function.name} has {lines} lines")
    findings = sorted(finding for check in tidy_checks.CHECKS for finding in check(tree))
    return [f"{f.path}:{f.line}: {f.message}" for f in findings]


def test_checks():
    """What the checks miss, or find where nothing is, in the samples."""
    failures = []
    for check in tidy_checks.CHECKS:
        samples = tidy_samples.SAMPLES.get(check.__name__)
        if samples is None:
            failures.append(f"{check.__name__} has no samples")
            continue
        for finding in check(Tree(samples["accepts"])):
            failures.append(f"{check.__name__} rejects a good tree: {finding}")
        for expected, texts in samples["rejects"]:
            found = [finding.message for finding in check(Tree(samples["accepts"] | texts))]
            if not any(expected in message for message in found):
                failures.append(f"{check.__name__} misses '{expected}' in {texts}: found {found}")
    for row, expected in tidy_samples.SYMBOL_ROWS:
        symbols = tidy_symbols.parse("libcore_base.a", row)
        if len(symbols) != 1 or list(tidy_symbols.forbidden(symbols)) != expected:
            failures.append(f"symbols: {list(tidy_symbols.forbidden(symbols))} for '{row}'")
    for names, expected in tidy_samples.SWITCH_ROWS:
        found = list(tidy_symbols.misplaced_switches(names))
        if found != expected:
            failures.append(f"switches: {found} for {names}")
    return failures


def main(arguments):
    if arguments == ["--self-test"]:
        failures = test_checks()
    elif len(arguments) == 2 and arguments[0] == "--symbols":
        failures = tidy_symbols.check_archives(Path(arguments[1]))
    elif not arguments:
        failures = check_sources()
    else:
        print(__doc__, file=sys.stderr)
        return 2
    for failure in failures:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
