"""What the tests of whole processes share: named checks that run in order and are told as TAP, and
assertions that say what was found.
"""

import subprocess
import time

FAILURES = (AssertionError, OSError, TimeoutError, LookupError, ValueError,
            subprocess.TimeoutExpired)


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


def wait_until(what, is_so, patience=60):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if is_so():
            return
        time.sleep(0.1)
    raise TimeoutError(f"{what}: not within {patience} s")
