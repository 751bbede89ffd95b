"""What the tests of clusters of daemons share: a cluster below a directory of its own, our command
line, patience, and the loop that runs a script's checks.
"""

import os
import re
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


def memory_kib(member):
    status = Path(f"/proc/{member.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def open_files(member):
    return len(os.listdir(f"/proc/{member.process.pid}/fd"))


def tell_logs(members):
    for member in members:
        if member.log.exists():
            print(f"# {member.name}:\n" + member.log.read_text()[-3000:])


def with_cluster(act, size=3, **settings):
    """An exit status: 0 where `act` finds all right with a cluster below a directory of its own, which
    it starts, and which is gone then; else its members' logs are shown.
    """
    directory = tempfile.mkdtemp(prefix="novacron-test-")
    cluster = Cluster(directory, Path(sys.argv[1]).resolve(), size, **settings)
    is_right = False
    try:
        is_right = act(cluster)
    finally:
        if not is_right:
            tell_logs(cluster.members)
        cluster.stop()
        said = checks.sanitizers_said(directory)
        shutil.rmtree(directory, ignore_errors=True)
    print("".join(f"# {line}\n" for line in said), end="")
    return 0 if is_right and not said else 1


class Scene:
    """A cluster below a directory of its own, and our command line."""

    def __init__(self, build, size=3, **settings):
        self.build = build
        self.dir = tempfile.mkdtemp(prefix="novacron-test-")
        self.cluster = Cluster(self.dir, build, size, **settings)
        self.members = self.cluster.members

    def __enter__(self):
        try:
            self.cluster.start()
            self.cluster.leader(PATIENCE)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        if kind:
            tell_logs(self.members)
        self.cluster.stop()
        said = checks.sanitizers_said(self.dir)
        shutil.rmtree(self.dir, ignore_errors=True)
        if not kind:
            expect(said, [])

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


def run_checks(at_once=False):
    """Those that the command line names, or all."""
    build = Path(sys.argv[1]).resolve()
    chosen = check.chosen(sys.argv[2:])
    return 1 if checks.run_checks(chosen, (build,), at_once=at_once) else 0
