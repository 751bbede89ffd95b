#!/usr/bin/env python3
"""test_flaps.py BUILD: a host loses its network five times, for longer than its lease, and comes back
each time: real QEMU machines on three hosts in network namespaces, whose cable is pulled and put
back. Each machine moves at most twice, nobody else is switched off, and the host ends in quarantine,
which is said. The scenarios `flapping-...` are the same with other times, in the simulator.

FLAPS=5, and PERIOD_S=40 from one to the next, of which DOWN_S=10 without a network.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))

from checks import Checks, expect, run_checks, soon, until
from local_bmc import is_installed
from local_hosts import HostFarm, Witness
from net_lab import NetLab, missing

FLAPS = int(os.environ.get("FLAPS", "5"))
PERIOD_S = float(os.environ.get("PERIOD_S", "40"))
DOWN_S = float(os.environ.get("DOWN_S", "10"))
PATIENCE = 90
PINNED = "vm-pinned"  # may be nowhere else
FREE = ["vm-a", "vm-b"]
SETTINGS = "kind: settings\nlease_ms: 4000\n"
check = Checks()


class Flaps:
    def __init__(self, farm, witness):
        self.farm, self.witness = farm, witness
        self.host = ""
        self.epochs = {}

    def runs_at(self, machine):
        owner = self.farm.owner(machine)
        return owner["host"] if owner.get("phase") == "running" else ""

    def fate(self):
        return self.farm.read(f"/novacron/fates/{self.host}") or {}

    def moves(self):
        """Each start has its epoch."""
        return {m: self.farm.owner(m)["epoch"] - e for m, e in self.epochs.items()}

    def is_off(self):
        try:
            os.kill(self.farm.daemon_pid(self.host), 0)
        except ProcessLookupError:
            return True
        return False

    def flap(self):
        began = time.monotonic()
        self.farm.cut_off(self.host)
        time.sleep(DOWN_S)
        self.farm.join(self.host)
        if self.is_off():  # it was fenced; somebody switches it on
            self.farm.power_on(self.host)
        time.sleep(max(0, began + PERIOD_S - time.monotonic()))


@check
def each_machine_moves_at_most_twice(flaps):
    farm = flaps.farm
    leader = farm.leader()
    flaps.host = next(n for n in farm.names if n != leader)
    farm.apply([farm.machine(m, f"preferred: [{flaps.host}]\nstop_ms: 1000\n") for m in FREE] +
               [farm.machine(PINNED, f"allowed: [{flaps.host}]\nstop_ms: 1000\n")])
    for machine in [*FREE, PINNED]:
        until(f"{machine} runs", lambda m=machine: flaps.runs_at(m) == flaps.host, PATIENCE)
        flaps.epochs[machine] = farm.owner(machine)["epoch"]
    for number in range(FLAPS):
        flaps.flap()
        fate = flaps.fate()
        print(f"# flap {number + 1}: {fate['phase']}, {fate['losses']} losses, moves "
              f"{flaps.moves()}", flush=True)
    moves = flaps.moves()
    assert all(n <= 2 for n in moves.values()), moves
    assert all(moves[m] >= 1 for m in FREE), moves
    for machine in FREE:
        until(f"{machine} runs elsewhere",
              lambda m=machine: flaps.runs_at(m) not in ("", flaps.host), PATIENCE)


@check
def nobody_else_was_switched_off(flaps):
    for name in flaps.farm.names:
        if name != flaps.host:
            expect((name, flaps.farm.bmcs[name].commands().count(0)), (name, 0))


@check
def the_host_is_in_quarantine_and_that_is_said(flaps):
    farm = flaps.farm
    fate = until("the host is back", lambda: (
        lambda f: f if f.get("phase") == "up" else None)(flaps.fate()), PATIENCE)
    assert fate["losses"] >= 3 and fate["quarantined"], fate
    assert "quarantined: it was lost" in fate["reason"], fate
    assert "quarantined" in farm.novacron("host", "show", flaps.host)
    assert "quarantined" in farm.novacron("status")
    if flaps.runs_at(PINNED) != flaps.host:
        until("the machine that may be nowhere else says why it waits",
              lambda: "it is quarantined" in farm.owner(PINNED).get("reason", ""), PATIENCE)


@check
def no_machine_lived_twice_and_no_counter_went_backwards(flaps):
    expect(flaps.witness.end(), [])


def main():
    build = Path(sys.argv[1]).resolve()
    why = missing()
    if why is None and (not is_installed() or shutil.which("qemu-system-x86_64") is None or
                        not (build / "demo/guest/tiny-guest.elf").exists()):
        why = "qemu, ipmi_sim, fence_ipmilan or the tiny guest is missing"
    if why is not None:
        print(f"1..0 # SKIP {why}")
        return 77
    directory = tempfile.mkdtemp(prefix="novacron-test-")
    lab = NetLab(3, has_management=True, has_filter=False, at=directory)
    farm = HostFarm(directory, build, lab=lab)
    flaps = Flaps(farm, Witness(farm))
    failed = 1
    try:
        farm.start()
        farm.apply([SETTINGS, *farm.hosts_manifest()])
        soon(lambda: all(farm.read(f"/novacron/sights/bmc-{n}") for n in farm.names), PATIENCE)
        flaps.witness.start()
        failed = run_checks(check.functions, (flaps,), stops_early=True)
    finally:
        farm.close()
        if failed:
            for name in farm.names:
                print(f"# {name}: " + "\n# ".join(
                    farm.member(name).log.read_text().splitlines()[-25:]))
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
