"""What the tests of clusters of daemons share: a cluster below a directory of its own, our command
line, patience, and the loop that runs a script's checks.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))

from local_cluster import Cluster

PATIENCE = 20
checks = []


def check(function):
    checks.append(function)
    return function


def expect(found, wanted):
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"


def until(what, true_soon, patience=PATIENCE):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = true_soon()
        if found:
            return found
        time.sleep(0.05)
    raise TimeoutError(f"{what}: not within {patience} s")


class Scene:
    """A cluster below a directory of its own, and our command line."""

    def __init__(self, build, size=3, **settings):
        self.build = build
        self.dir = tempfile.mkdtemp(prefix="novacron-test-")
        self.cluster = Cluster(self.dir, build, size, **settings)
        self.members = self.cluster.members

    def __enter__(self):
        self.cluster.start()
        self.cluster.leader()
        return self

    def __exit__(self, kind, *_):
        if kind:
            for member in self.members:
                print(f"# {member.name}:\n" + member.log.read_text()[-1500:])
        self.cluster.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def run(self, *args, members=None):
        flags = []
        if members is not None:
            flags = ["--endpoints", ",".join(m.client_url for m in members)]
        return subprocess.run([self.build / "cli/novacron", *args, *flags], text=True,
                              capture_output=True, timeout=PATIENCE)

    def put(self, key, value, members=None):
        done = self.run("kv", "put", key, value, members=members or self.members)
        expect((done.returncode, done.stdout, done.stderr), (0, "OK\n", ""))

    def get(self, key, members):
        return self.run("kv", "get", key, members=members).stdout

    def kill(self, *members):
        for member in members:
            member.kill()


def run_checks():
    build = Path(sys.argv[1]).resolve()
    wanted = sys.argv[2:]
    failed = 0
    print(f"1..{len(checks)}")
    for number, function in enumerate(checks, 1):
        if wanted and function.__name__ not in wanted:
            continue
        try:
            function(build)
            print(f"ok {number} - {function.__name__}", flush=True)
        except (AssertionError, OSError, subprocess.TimeoutExpired, LookupError, TypeError,
                ValueError) as e:
            failed += 1
            print(f"not ok {number} - {function.__name__}\n# {e!r}", flush=True)
    return 1 if failed else 0
