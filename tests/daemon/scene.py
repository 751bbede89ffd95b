"""What the tests of clusters of daemons share: a cluster below a directory of its own, our command
line, patience, and the loop that runs a script's checks.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))

import checks
from checks import PATIENCE, Checks, expect, until
from local_cluster import Cluster

check = Checks()


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
    """Those that the command line names, or all."""
    build = Path(sys.argv[1]).resolve()
    wanted = sys.argv[2:]
    chosen = [f for f in check.functions if not wanted or f.__name__ in wanted]
    return 1 if checks.run_checks(chosen, (build,)) else 0
