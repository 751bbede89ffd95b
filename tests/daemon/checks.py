"""What the tests of whole processes share: named checks that run in order and are told as TAP,
assertions that say what was found, and patience.
"""

import subprocess
import time

PATIENCE = 20
FAILURES = (AssertionError, OSError, TimeoutError, LookupError, TypeError, ValueError,
            StopIteration, subprocess.TimeoutExpired)


class Checks:
    def __init__(self):
        self.functions = []

    def __call__(self, function):
        """Decorates a check: its name is the sentence that it proves."""
        self.functions.append(function)
        return function


def run_checks(functions, args, stops_early=False):
    """How many of the checks fail. With stops_early none goes on from where one failed."""
    print(f"1..{len(functions)}")
    failed = 0
    for number, function in enumerate(functions, 1):
        began = time.monotonic()
        try:
            function(*args)
            print(f"ok {number} - {function.__name__} # {time.monotonic() - began:.1f} s",
                  flush=True)
        except FAILURES as e:
            failed += 1
            print(f"not ok {number} - {function.__name__}\n# {e!r}", flush=True)
            if stops_early:
                break
    return failed


def expect(found, wanted):
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"


def until(what, true_soon, patience=PATIENCE):
    """What `true_soon` finds, once it finds something."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = true_soon()
        if found:
            return found
        time.sleep(0.05)
    raise TimeoutError(f"{what}: not within {patience} s")
