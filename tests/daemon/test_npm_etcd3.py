#!/usr/bin/env python3
"""test_npm_etcd3.py BUILD: the npm client `etcd3` against three members of ours, in plain text and with
certificates: tests/clients/etcd3 has its suite. Installs the client below BUILD, from its lock file;
ends with 77 where there is no node or npm, or nothing to install it from.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from local_cluster import Cluster

SOURCES = ROOT / "tests/clients/etcd3"
PATIENCE = 15
SUITE_PATIENCE = 300


def install(place):
    """Puts the client there; what went wrong, or None."""
    place.mkdir(parents=True, exist_ok=True)
    lock = (SOURCES / "package-lock.json").read_text()
    installed = place / "installed"
    if installed.exists() and installed.read_text() == lock:
        shutil.copy(SOURCES / "suite.js", place)
        return None
    for file in ("package.json", "package-lock.json", "suite.js"):
        shutil.copy(SOURCES / file, place)
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=place,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    if done.returncode:
        return (done.stdout + done.stderr)[-500:]
    installed.write_text(lock)
    return None


def serve(cluster, suite):
    """Does what the suite asks for, and passes on the rest of what it says."""
    for line in suite.stdout:
        if not line.startswith("!restart "):
            print(line, end="", flush=True)
            continue
        member = cluster.members[int(line.split()[1])]
        member.kill()
        time.sleep(0.3)
        member.start()
        cluster.leader(PATIENCE)
        suite.stdin.write("done\n")
        suite.stdin.flush()


def run(build, place, has_tls):
    directory = tempfile.mkdtemp(prefix="novacron-test-")
    cluster = Cluster(directory, build, has_tls=has_tls)
    settings = {"hosts": [member.client_url for member in cluster.members]}
    if has_tls:
        settings.update(ca=str(cluster.pki / "ca.crt"), cert=str(cluster.pki / "client.crt"),
                        key=str(cluster.pki / "client.key"))
    suite = None
    try:
        cluster.start()
        cluster.leader(PATIENCE)
        command = ["timeout", str(SUITE_PATIENCE), "node", "suite.js", json.dumps(settings)]
        suite = subprocess.Popen(command, cwd=place, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True)
        serve(cluster, suite)
        status = suite.wait(PATIENCE)
        if status:
            for member in cluster.members:
                print(f"# {member.name}:\n" + member.log.read_text()[-2000:])
        return status
    finally:
        if suite and suite.poll() is None:
            suite.kill()
            suite.wait()
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


def main():
    build = Path(sys.argv[1]).resolve()
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            print(f"{program} is not installed")
            return 77
    place = build / "tests/clients/etcd3"
    why = install(place)
    if why:
        print(f"etcd3 cannot be installed: {why}")
        return 77
    return max(run(build, place, has_tls) for has_tls in (False, True))


if __name__ == "__main__":
    sys.exit(main())
