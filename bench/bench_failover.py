#!/usr/bin/env python3
"""bench_failover.py BUILD: how long a virtual machine is away when its host loses power, on real
processes: three hosts on loopback with default settings, fence_ipmilan against ipmi_sim, one QEMU
machine of the tiny guest on shared storage whose writes in flight need no wait (flight_ms 0).

Each run has a cluster of its own, so that all have the same history. It switches off the host that
runs the machine, in turns one that leads and one that follows, and looks for a QEMU process
elsewhere every 5 ms. In every other pair of runs daemons of the other hosts are stopped for 800 ms,
at random, all the time. RUNS=30 unless said; a run takes some 9 s.
"""

import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from local_hosts import HostFarm, kill, missing

RUNS = int(os.environ.get("RUNS", "30"))
CRASHES = int(os.environ.get("CRASHES", "10"))
QUIET_S = float(os.environ.get("QUIET_S", "2"))  # the machine runs, before its host loses power
STALL_S = 0.8
VM = "web"


def report(name, value, unit):
    print(f"{name}: {value:.4g} {unit}", flush=True)


def until(what, find, patience=60, pause=0.02):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = find()
        if found:
            return found
        time.sleep(pause)
    raise TimeoutError(f"{what}: not within {patience} s")


class Stalls(threading.Thread):
    """Daemons of other hosts stand still for 800 ms, one at a time."""

    def __init__(self, farm, spared, dice):
        super().__init__(daemon=True)
        self.farm, self.dice, self.count = farm, dice, 0
        self.names = [n for n in farm.names if n != spared]
        self.is_over = threading.Event()

    def run(self):
        while not self.is_over.wait(self.dice.uniform(0, 0.6)):
            pid = self.farm.daemon_pid(self.dice.choice(self.names))
            os.kill(pid, signal.SIGSTOP)
            time.sleep(STALL_S)
            os.kill(pid, signal.SIGCONT)
            self.count += 1

    def end(self):
        self.is_over.set()
        self.join()
        return self.count


class Bench:
    def __init__(self):
        self.farm = None  # of this run
        self.wrongly_fenced = 0
        self.totals = {"calm": [], "stalled": []}
        self.phases = {}
        self.of_leader = {True: [], False: []}

    def runs_at(self):
        owner = self.farm.owner(VM)
        return owner["host"] if owner.get("phase") == "running" else ""

    def pids(self):
        return set(self.farm.machine_pids().get(VM, []))

    def newest_incident(self, host):
        lines = self.farm.novacron("incident", "list", "--json").splitlines()
        mine = [i for i in map(json.loads, lines) if i["host"] == host]
        return mine[-1] if mine else None

    def is_ready(self, host):
        """Its controller has answered, and its agent has tried the storage."""
        agent = self.farm.read(f"/novacron/agents/{host}") or {}
        return self.farm.read(f"/novacron/sights/bmc-{host}") and agent.get("storages")

    def loss(self, number, dice):
        farm = self.farm
        leader = farm.start()
        others = [n for n in farm.names if n != leader]
        host = others[number // 2 % 2] if number % 2 else leader
        farm.apply(farm.hosts_manifest())
        until(f"machines may go to {host}", lambda: self.is_ready(host))
        farm.apply([farm.machine(VM, f"preferred: [{host}]\n")])
        until(f"{VM} runs", lambda: self.runs_at())
        host = self.runs_at()  # the first that was ready, if that was another
        time.sleep(QUIET_S)
        leads = farm.leader() == host
        is_stalled = number // 2 % 2 == 1
        before = {n: farm.bmcs[n].commands().count(0) for n in farm.names}
        old = self.pids()
        stalls = Stalls(farm, host, dice) if is_stalled else None
        if stalls:
            stalls.start()
            time.sleep(1)
        began, wall = time.monotonic(), time.time()
        farm.lose_power(host)
        until("a QEMU process lives elsewhere", lambda: self.pids() - old, pause=0.005)
        took = time.monotonic() - began
        if stalls:
            stalls.end()
        until("it runs", lambda: self.runs_at() not in ("", host))
        for name in farm.names:  # the host itself has lost power by the same switch
            if name != host and farm.bmcs[name].commands().count(0) != before[name]:
                self.wrongly_fenced += 1
                print(f"  {name} was switched off, and had not failed")
        incident = until("its incident is closed", lambda: (
            lambda i: i if i and i["closed"] else None)(self.newest_incident(host)))
        self.note(incident, wall, took, leads, is_stalled)

    def note(self, incident, wall, took, leads, is_stalled):
        at = {}
        for step in incident["steps"]:
            at.setdefault(step["what"], step["at_ms"] / 1e3)
        detect = incident["opened_wall_ms"] / 1e3 - wall
        phases = {"detect": detect, "decide": at["fence"] - at["detected"],
                  "fence": at["fenced"] - at["fence"], "place": at["placed"] - at["fenced"],
                  "start": at["started"] - at["placed"]}
        for name, value in phases.items():
            self.phases.setdefault(name, []).append(value)
        # What the manager itself took: all but detection, the device and QEMU.
        self.phases.setdefault("decision", []).append(phases["decide"] + phases["place"])
        self.totals["stalled" if is_stalled else "calm"].append(took)
        self.of_leader[leads].append(detect)
        said = ", ".join(f"{k} {v:.3f}" for k, v in phases.items())
        print(f"  {took:.3f} s: {incident['host']}{', which led' if leads else ''}"
              f"{', others stopped at random' if is_stalled else ''}: {said}", flush=True)

    def crash(self):
        """From the death of its process to the next one, less the delay that its policy draws."""
        old = self.pids()
        began = time.monotonic()
        for pid in old:
            kill(pid)
        until("another process lives", lambda: self.pids() - old, pause=0.005)
        took = time.monotonic() - began
        until("it runs", self.runs_at)
        return took

    def tell(self):
        every = self.totals["calm"] + self.totals["stalled"]
        if not every:
            return
        report("failover_runs", len(every), "runs")
        report("failover_p50_s", statistics.median(every), "s")
        report("failover_max_s", max(every), "s")
        for kind, values in self.totals.items():
            if values:
                report(f"failover_{kind}_p50_s", statistics.median(values), "s")
                report(f"failover_{kind}_max_s", max(values), "s")
        report("failover_decision_max_s", max(self.phases["decision"]), "s")
        for name in ("detect", "fence", "place", "start"):
            report(f"failover_{name}_p50_s", statistics.median(self.phases[name]), "s")
            report(f"failover_{name}_max_s", max(self.phases[name]), "s")
        for leads, name in ((True, "leader"), (False, "follower")):
            if self.of_leader[leads]:
                report(f"failover_detect_{name}_p50_s", statistics.median(self.of_leader[leads]), "s")
        report("failover_wrongly_fenced", self.wrongly_fenced, "hosts")


    def crashes(self):
        self.farm.start()
        self.farm.apply(self.farm.hosts_manifest())
        self.farm.apply([self.farm.machine(VM, "restart: {delay_ms: 0, stable_s: 1}\n")])
        until(f"{VM} runs", self.runs_at)
        times = []
        for _ in range(CRASHES):
            time.sleep(1.5)  # a run so long forgives the crash before
            times.append(self.crash())
        report("crash_restart_p50_s", statistics.median(times), "s")
        report("crash_restart_max_s", max(times), "s")

    def with_farm(self, build, act, *args):
        directory = tempfile.mkdtemp(prefix="novacron-bench-", dir=os.environ.get("DIR", "/var/tmp"))
        self.farm = HostFarm(directory, build)
        is_whole = False
        try:
            act(*args)
            is_whole = True
        finally:
            self.farm.close()
            if is_whole:
                shutil.rmtree(directory, ignore_errors=True)
            else:
                print(f"bench-failover: the logs are left in {directory}", file=sys.stderr)


def main():
    build = Path(sys.argv[1]).resolve()
    why_not = missing(build)
    if why_not:
        print(f"bench-failover: {why_not}; nothing was measured")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    bench = Bench()
    dice = random.Random(7)
    try:
        bench.with_farm(build, bench.crashes)
        for number in range(RUNS):
            bench.with_farm(build, bench.loss, number, dice)
    finally:
        bench.tell()
    return 0


if __name__ == "__main__":
    sys.exit(main())
