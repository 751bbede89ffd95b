"""What the tests of whole processes share: named checks that run in order and are told as TAP,
assertions that say what was found, and patience.
"""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PATIENCE = 20
FAILURES = (AssertionError, OSError, TimeoutError, LookupError, TypeError, ValueError,
            StopIteration, subprocess.TimeoutExpired)


class Skip(Exception):
    """Raised by a check that cannot be made here; says why."""


class Checks:
    def __init__(self):
        self.functions = []

    def __call__(self, function):
        """Decorates a check: its name is the sentence that it proves."""
        self.functions.append(function)
        return function

    def chosen(self, names):
        """Those of these names, or all. A name that none has is a mistake, and would run nothing."""
        unknown = set(names) - {f.__name__ for f in self.functions}
        if unknown:
            raise ValueError(f"no such check: {', '.join(sorted(unknown))}")
        return [f for f in self.functions if not names or f.__name__ in names]


def run_check(number, function, args):
    """Is it right, or cannot be made here?"""
    began = time.monotonic()
    try:
        function(*args)
        print(f"ok {number} - {function.__name__} # {time.monotonic() - began:.1f} s", flush=True)
    except Skip as e:
        print(f"ok {number} - {function.__name__} # SKIP {e}", flush=True)
    except FAILURES as e:
        print(f"not ok {number} - {function.__name__}\n# {e!r}", flush=True)
        return False
    return True


def run_checks(functions, args, stops_early=False, at_once=False):
    """How many of the checks fail. With stops_early none goes on from where one failed; with at_once
    they run beside each other: for those that mostly wait, each for its own processes.
    """
    print(f"1..{len(functions)}", flush=True)
    if at_once:
        with ThreadPoolExecutor(len(functions)) as pool:
            numbers = range(1, len(functions) + 1)
            return list(pool.map(run_check, numbers, functions,
                                 [args] * len(functions))).count(False)
    failed = 0
    for number, function in enumerate(functions, 1):
        failed += not run_check(number, function, args)
        if failed and stops_early:
            break
    return failed


def sanitizers_said(directory):
    """What sanitizers wrote into the logs below a directory: a process may outlive it."""
    words = ("Sanitizer", "runtime error:")
    return [f"{log.name}: {line}" for log in sorted(Path(directory).rglob("*log*")) if log.is_file()
            for line in log.read_text(errors="replace").splitlines()
            if any(word in line for word in words)]


def expect(found, wanted):
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"


def until(what, true_soon, patience=PATIENCE):
    """What `true_soon` finds, once it finds something."""
    found = soon(true_soon, patience)
    if not found:
        raise TimeoutError(f"{what}: not within {patience} s")
    return found


def soon(find, patience=PATIENCE):
    """What `find` finds, once it finds something; else what it said last."""
    end = time.monotonic() + patience
    found = find()
    while not found and time.monotonic() < end:
        time.sleep(0.05)
        found = find()
    return found
