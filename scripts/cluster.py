#!/usr/bin/env python3
"""cluster.py [--tls] [--keep DIR] [--minutes N]: three members on loopback, and what to type next.

Ends with ctrl-C, or after an hour. Without --keep everything below a new directory is removed.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time

from local_cluster import ROOT, Cluster


def say_what_to_type(cluster):
    flags = ""
    if cluster.has_tls:
        pki = cluster.pki
        flags = f" --cacert {pki}/ca.crt --cert {pki}/client.crt --key {pki}/client.key"
    endpoints = cluster.endpoints
    print(f"""
Three members run below {cluster.dir}. In another terminal:

    export ETCDCTL_API=3
    etcdctl --endpoints {endpoints}{flags} endpoint status -w table
    etcdctl --endpoints {endpoints}{flags} put greeting hello
    etcdctl --endpoints {endpoints}{flags} get greeting
    build/cli/novacron cluster status --endpoints {endpoints}{flags}
    build/cli/novacron top --endpoints {endpoints}{flags}
    build/cli/novacron members --endpoints {endpoints}{flags}
    build/cli/novacron health node-2 --endpoints {endpoints}{flags}
    build/bench/novacron-bench put --endpoints {endpoints}{flags} --clients 64 --total 50000""")
    if not cluster.has_tls:
        print(f"    curl {cluster.members[0].client_url}/metrics")
    print("\nTo see one die:\n")
    for member in cluster.members:
        print(f"    kill -9 {member.process.pid}    # {member.name}, {member.client_url}")
    print("\nCtrl-C stops all.", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tls", action="store_true", help="certificates of an authority of its own")
    parser.add_argument("--keep", metavar="DIR", help="work below DIR, and leave it there")
    parser.add_argument("--minutes", type=float, default=60, help="end by itself after so long")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    directory = args.keep or tempfile.mkdtemp(prefix="novacron-")
    os.makedirs(directory, exist_ok=True)
    cluster = Cluster(directory, ROOT / "build", has_tls=args.tls)
    try:
        cluster.start()
        if not args.tls:
            print(f"{cluster.leader().name} leads")
        say_what_to_type(cluster)
        end = time.monotonic() + args.minutes * 60
        while time.monotonic() < end:
            time.sleep(0.5)
    except KeyboardInterrupt:
        print()
    except TimeoutError as e:
        print(e, file=sys.stderr)
        return 1
    finally:
        cluster.stop()
        if not args.keep:
            shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
