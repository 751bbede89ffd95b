#!/usr/bin/env python3
"""test_overload.py BUILD: many times more than three members on slow disks can serve, in large values.
While it lasts nobody loses the lead and no lease ends, memory stays within bounds, and who is refused
hears why; when it is over, everything is as fast as before.

NOVACRON_SCALE multiplies the time of the overload, 8 s.
"""

import os
import re
import subprocess
import sys
import threading
import time

from disk_shim import DiskShim
from history_clients import coded, post, report
from scene import memory_kib, with_cluster

SYNC_US = 4000
DISK_BYTES_PER_S = 24_000_000
CLIENTS = 2000
VALUE_BYTES = 64 * 1024
LEASE_TTL = 4  # s
RENEW_EVERY = 0.4
SLOW_RENEWAL = 2.0  # s, of a TTL of LEASE_TTL, on a machine that others use, too
MEMORY_MIB = 400  # above what the values themselves take


class Load:
    """What novacron-bench says of so many clients."""

    def __init__(self, build, cluster, clients, seconds, value_bytes):
        endpoints = ",".join(f"{m.host}:{m.client_port}" for m in cluster.members)
        command = [build / "bench/novacron-bench", "put", "--endpoints", endpoints,
                   "--clients", clients, "--seconds", seconds, "--value-bytes", value_bytes,
                   "--key-space", "500"]
        self.text = subprocess.run([str(word) for word in command], capture_output=True,
                                   text=True, timeout=seconds + 60).stdout

    def number(self, name):
        found = re.search(rf"^ *{name}: ([\d.]+)", self.text, re.MULTILINE)
        return float(found[1]) if found else 0.0


class Renewer(threading.Thread):
    """Keeps a lease alive at one member, and notes how long that took."""

    def __init__(self, member, lease):
        super().__init__()
        self.member = member
        self.lease = lease
        self.spans = []
        self.bad = []
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(RENEW_EVERY):
            began = time.monotonic()
            try:
                status, answer = post(self.member, "/v3/lease/keepalive", {"ID": self.lease})
                if status != 200 or int(answer["result"].get("TTL", 0)) <= 0:
                    self.bad.append(answer)
            except (OSError, ValueError, KeyError) as error:
                self.bad.append(repr(error))
            self.spans.append(time.monotonic() - began)


class Watcher(threading.Thread):
    """The most memory that each member had."""

    def __init__(self, cluster):
        super().__init__()
        self.cluster = cluster
        self.most = [0] * len(cluster.members)
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.2):
            self.most = [max(most, memory_kib(member) // 1024)
                         for most, member in zip(self.most, self.cluster.members)]


def revision(cluster):
    return int(post(cluster.members[0], "/v3/kv/range", {"key": coded("x")})[1]["header"]["revision"])


def run(cluster, seconds):
    build = cluster.build
    disks = [DiskShim(build, member) for member in cluster.members]
    cluster.start()
    leader = cluster.leader()
    for disk in disks:
        disk.slow(SYNC_US, DISK_BYTES_PER_S)
    term = leader.raft()["term"]
    follower = next(m for m in cluster.members if m is not leader)
    before = Load(build, cluster, 16, 2, 256)
    leases = [101, 102]
    for lease in leases:
        post(follower, "/v3/lease/grant", {"ID": lease, "TTL": LEASE_TTL})
        post(follower, "/v3/kv/put",
             {"key": coded(f"lease-{lease}"), "value": coded("held"), "lease": lease})
    renewers = [Renewer(leader, leases[0]), Renewer(follower, leases[1])]
    watcher = Watcher(cluster)
    others = [*renewers, watcher]
    for thread in others:
        thread.start()
    began_at = revision(cluster)
    try:
        during = Load(build, cluster, CLIENTS, seconds, VALUE_BYTES)
        held = [post(follower, "/v3/kv/range", {"key": coded(f"lease-{lease}")})[1].get("count")
                for lease in leases]
    finally:
        for thread in others:
            thread.over.set()
        for thread in others:
            thread.join()
    values_mib = (revision(cluster) - began_at) * VALUE_BYTES / 2**20
    after = [Load(build, cluster, 16, 2, 256) for _ in range(2)]
    recovered = max(load.number("rate") for load in after)
    states = [member.raft() or {} for member in cluster.members]
    spans = sorted(span for renewer in renewers for span in renewer.spans)
    bad = [answer for renewer in renewers for answer in renewer.bad]
    print(f"# before {before.number('rate'):.0f}/s, p99 {before.number('p99')} ms; "
          f"overload {during.number('rate'):.0f}/s of {VALUE_BYTES} bytes, "
          f"p99 {during.number('p99')} ms, {during.number('ResourceExhausted'):.0f} refused, "
          f"{during.number('failures'):.0f} failed in all; after {recovered:.0f}/s, "
          f"p99 {after[-1].number('p99')} ms")
    print(f"# {len(spans)} renewals, the slowest {spans[-1]:.2f} s; memory at most {watcher.most} MiB "
          f"with {values_mib:.0f} MiB of values")
    unknown = during.number("failures") - during.number("ResourceExhausted")
    results = [
        (all(s.get("term") == term for s in states), "nobody_loses_the_lead_to_overload"),
        (held == ["1", "1"] and not bad, "no_lease_ends_in_overload"),
        (spans[-1] < SLOW_RENEWAL, "renewals_do_not_stand_in_line_with_puts"),
        (during.number("ResourceExhausted") > 0, "what_is_too_much_is_refused"),
        (unknown <= 0.02 * during.number("calls"), "hardly_a_client_is_left_in_doubt"),
        (max(watcher.most) < values_mib * 1.3 + MEMORY_MIB, "memory_is_bounded"),
        (recovered > 0.5 * before.number("rate"), "all_is_well_by_itself_when_it_is_over"),
    ]
    return report(results, f"{during.text}\nheld {held}, bad {bad[:3]}, states {states}")


def main():
    seconds = int(8 * float(os.environ.get("NOVACRON_SCALE", "1")))
    return with_cluster(lambda cluster: run(cluster, seconds))


if __name__ == "__main__":
    sys.exit(main())
