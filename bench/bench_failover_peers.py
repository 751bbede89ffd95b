#!/usr/bin/env python3
"""bench_failover_peers.py BUILD: how long a virtual machine is away when its host loses power, ours
beside Debian's Pacemaker with Corosync, taking turns on one machine.

Ours is a calm run of bench_failover.py: three hosts with default settings, fence_ipmilan against
ipmi_sim. Theirs (peers/pacemaker.py) are three nodes in namespaces of their own, with the same QEMU
machine as a resource and a fence agent that takes no time at all: with Corosync's defaults, with a
token of 1 s, and with one of 0.3 s, both with coefficient 0. In both, every other run hits the host
that leads. A loss of power is the death of all of a host's processes; a machine is away until a QEMU
process of it lives elsewhere, looked for every 5 ms. RUNS=10 of each unless said: 11 minutes.
"""

import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE / "peers"))

import pacemaker
from bench_failover import Bench, report

import local_hosts

RUNS = int(os.environ.get("RUNS", "10"))
QUIET_S = float(os.environ.get("QUIET_S", "2"))
OURS = "novacron"
PATIENCE = 60
TOKENS = {"default": 0, "tuned": 1000, "fast": 300}  # ms


class Peers:
    def __init__(self, build, lab):
        self.build, self.lab = build, lab
        self.bench = Bench()
        self.dice = random.Random(7)
        self.times = {kind: [] for kind in [OURS, *TOKENS]}
        self.unrecovered = {kind: 0 for kind in self.times}
        self.wrongly_fenced = 0

    def ours(self, number):
        """Runs of that bench come in pairs, of which every other one is calm."""
        calm = number // 2 * 4 + number % 2
        before = len(self.bench.totals["calm"])
        try:
            self.bench.with_farm(self.build, self.bench.loss, calm, self.dice)
            self.times[OURS].append(self.bench.totals["calm"][before])
        except TimeoutError as e:
            self.give_up(OURS, str(e))

    def give_up(self, kind, what):
        """It counts as having taken all of the time that it was given."""
        self.times[kind].append(PATIENCE)
        self.unrecovered[kind] += 1
        print(f"  {what}", flush=True)

    def theirs(self, kind, number):
        lab = self.lab
        leader = lab.leader()
        host = leader if number % 2 == 0 else next(n for n in pacemaker.NAMES if n != leader)
        lab.place(host)
        fenced = len(lab.fenced)
        lab.tune(TOKENS[kind])
        time.sleep(QUIET_S)
        leads = lab.leader() == host
        wrongly = set(lab.fenced[fenced:])
        if wrongly:
            print(f"  void: pacemaker, {kind}: a node was lost before any had failed", flush=True)
        else:
            self.lose(kind, host, leads)
            wrongly = set(lab.fenced[fenced:]) - {host}
        for name in sorted(wrongly):
            print(f"  {name} was switched off, and had not failed", flush=True)
        self.wrongly_fenced += len(wrongly)
        lab.tune(0)
        lab.power_on()

    def lose(self, kind, host, leads):
        lab = self.lab
        old = lab.pids()
        began = time.monotonic()
        lab.lose_power(host)
        is_back = pacemaker.soon(lambda: lab.pids() - old, PATIENCE, 0.005)
        took = time.monotonic() - began
        said = f"pacemaker, {kind}, {host}{', which led' if leads else ''}"
        if is_back:
            pacemaker.soon(lambda: lab.runs_at() not in (None, host), PATIENCE)
            self.times[kind].append(took)
            print(f"  {took:.3f} s: {said}", flush=True)
        else:
            self.give_up(kind, f"{said}: nothing runs elsewhere after {PATIENCE} s")

    def round(self, number):
        kinds = list(self.times)
        for kind in kinds[number % len(kinds):] + kinds[:number % len(kinds)]:
            if kind == OURS:
                self.ours(number)
            else:
                self.theirs(kind, number)

    def tell(self):
        for kind, times in self.times.items():
            if not times:
                continue
            name = "failover_peers_" + (kind if kind == OURS else f"pacemaker_{kind}")
            report(f"{name}_runs", len(times), "runs")
            report(f"{name}_min_s", min(times), "s")
            report(f"{name}_p50_s", statistics.median(times), "s")
            report(f"{name}_max_s", max(times), "s")
            report(f"{name}_unrecovered", self.unrecovered[kind], "runs")
        report("failover_peers_novacron_led", len(self.bench.of_leader[True]), "runs")
        report("failover_peers_novacron_wrongly_fenced", self.bench.wrongly_fenced, "hosts")
        report("failover_peers_pacemaker_wrongly_fenced", self.wrongly_fenced, "hosts")
        if not self.times[OURS]:
            return
        for kind in TOKENS:
            if self.times[kind]:
                ratio = statistics.median(self.times[kind]) / statistics.median(self.times[OURS])
                report(f"failover_vs_pacemaker_{kind}", ratio, "times")


def main():
    build = Path(sys.argv[1]).resolve()
    why = pacemaker.missing() or local_hosts.missing(build)
    if why is not None:
        print(f"bench-failover-peers: {why}; nothing was measured")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    directory = tempfile.mkdtemp(prefix="novacron-peers-", dir=os.environ.get("DIR", "/var/tmp"))
    lab = pacemaker.Pacemaker(directory, build / "demo/guest/tiny-guest.elf")
    peers = Peers(build, lab)
    print(f"load: {os.getloadavg()[0]:.1f} before, {os.cpu_count()} processors")
    try:
        lab.start()
        for number in range(RUNS):
            peers.round(number)
    finally:
        lab.close()
        shutil.rmtree(directory, ignore_errors=True)
        peers.tell()
        print(f"load: {os.getloadavg()[0]:.1f} after")
    return 0


if __name__ == "__main__":
    sys.exit(main())
