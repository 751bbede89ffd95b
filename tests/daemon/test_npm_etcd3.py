#!/usr/bin/env python3
"""test_npm_etcd3.py BUILD: the npm client `etcd3` against three members of ours, in plain text and with
certificates: tests/clients/etcd3 has its suite. Installs the client below BUILD, from its lock file;
ends with 77 where there is no node or npm, or nothing to install it from.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from checks import PATIENCE
from scene import with_cluster

SOURCES = Path(__file__).resolve().parent.parent / "clients/etcd3"
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


def run(cluster, place, has_tls):
    settings = {"hosts": [member.client_url for member in cluster.members]}
    if has_tls:
        settings.update(ca=str(cluster.pki / "ca.crt"), cert=str(cluster.pki / "client.crt"),
                        key=str(cluster.pki / "client.key"))
    cluster.start()
    cluster.leader(PATIENCE)
    command = ["timeout", str(SUITE_PATIENCE), "node", "suite.js", json.dumps(settings)]
    suite = subprocess.Popen(command, cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             text=True)
    try:
        serve(cluster, suite)
        return suite.wait(PATIENCE) == 0
    finally:
        suite.kill()
        suite.wait()


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
    return max(with_cluster(lambda cluster, has_tls=has_tls: run(cluster, place, has_tls),
                            has_tls=has_tls) for has_tls in (False, True))


if __name__ == "__main__":
    sys.exit(main())
