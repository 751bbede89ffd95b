#!/usr/bin/env python3
"""test_compare.py BUILD: random requests to one of our members and one of Debian's etcd-server, by
tests/api/etcd_compare.py, whose answers must be the same. NOVACRON_SEED is the first seed, and
NOVACRON_SCALE how many times more requests there are. Ends with 77 where etcd-server is not installed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from local_cluster import Cluster
from local_etcd import Etcd

SEEDS = 2
REQUESTS = 1500
PATIENCE = 3000


def compare(build, seed, count):
    directory = tempfile.mkdtemp(prefix="novacron-test-")
    (Path(directory) / "ours").mkdir()
    (Path(directory) / "theirs").mkdir()
    ours = Cluster(Path(directory) / "ours", build, size=1)
    theirs = Etcd(Path(directory) / "theirs")
    try:
        ours.start()
        theirs.start()
        ours.leader()
        theirs.leader()
        command = [ROOT / "tests/api/etcd_compare.py", f"127.0.0.1:{ours.members[0].client_port}",
                   f"127.0.0.1:{theirs.ports[0]}", str(seed), str(count)]
        return subprocess.run(command, timeout=PATIENCE).returncode
    finally:
        ours.stop()
        theirs.stop()
        shutil.rmtree(directory, ignore_errors=True)


def main():
    if shutil.which("etcd") is None:
        print("etcd is not installed (package etcd-server)")
        return 77
    build = Path(sys.argv[1]).resolve()
    first = int(os.environ.get("NOVACRON_SEED", "1"), 0) % 1000000
    count = REQUESTS * int(os.environ.get("NOVACRON_SCALE", "1"))
    print(f"1..{SEEDS}")
    failed = 0
    for number in range(1, SEEDS + 1):
        status = compare(build, first + number - 1, count)
        failed += status != 0
        print(f"{'not ok' if status else 'ok'} {number} - answers seed {first + number - 1} alike",
              flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
