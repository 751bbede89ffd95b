#!/usr/bin/env python3
"""test_flaps.py BUILD: a host loses its network five times, for longer than its lease, and comes back
each time: real QEMU machines on three hosts in network namespaces, whose cable is pulled and put
back. Each machine moves at most twice, nobody else is switched off, and the host ends in quarantine,
which is said. The scenarios `flapping-...` are the same with other times, in the simulator.

FLAPS=5, and PERIOD_S=40 from one to the next, of which DOWN_S=10 without a network.
"""

import os
import sys
import time

from checks import Checks, expect, until
from farm import SKIPPED, Farm, with_farm

from net_lab import NetLab, missing

FLAPS = int(os.environ.get("FLAPS", "5"))
PERIOD_S = float(os.environ.get("PERIOD_S", "40"))
DOWN_S = float(os.environ.get("DOWN_S", "10"))
PATIENCE = 90
PINNED = "vm-pinned"  # may be nowhere else
FREE = ["vm-a", "vm-b"]
SETTINGS = "kind: settings\nlease_ms: 4000\n"
check = Checks()


class FlapFarm(Farm):
    def __init__(self, directory, build):
        lab = NetLab(3, has_management=True, has_filter=False, at=directory)
        super().__init__(directory, build, lab=lab)
        self.host = ""  # which loses its network
        self.epochs = {}

    def fate_record(self):
        return self.read(f"/novacron/fates/{self.host}") or {}

    def moves(self):
        """Each start has its epoch."""
        return {m: self.owner(m)["epoch"] - e for m, e in self.epochs.items()}

    def is_off(self):
        try:
            os.kill(self.daemon_pid(self.host), 0)
        except ProcessLookupError:
            return True
        return False

    def flap(self):
        began = time.monotonic()
        self.cut_off(self.host)
        time.sleep(DOWN_S)
        self.join(self.host)
        if self.is_off():  # it was fenced; somebody switches it on
            self.power_on(self.host)
        time.sleep(max(0, began + PERIOD_S - time.monotonic()))


@check
def each_machine_moves_at_most_twice(farm):
    leader = farm.leader()
    farm.host = next(n for n in farm.names if n != leader)
    farm.apply([farm.machine(m, f"preferred: [{farm.host}]\nstop_ms: 1000\n") for m in FREE] +
               [farm.machine(PINNED, f"allowed: [{farm.host}]\nstop_ms: 1000\n")])
    for machine in [*FREE, PINNED]:
        until(f"{machine} runs", lambda m=machine: farm.runs_at(m) == farm.host, PATIENCE)
        farm.epochs[machine] = farm.owner(machine)["epoch"]
    for number in range(FLAPS):
        farm.flap()
        fate = farm.fate_record()
        print(f"# flap {number + 1}: {fate['phase']}, {fate['losses']} losses, moves "
              f"{farm.moves()}", flush=True)
    moves = farm.moves()
    assert all(n <= 2 for n in moves.values()), moves
    assert all(moves[m] >= 1 for m in FREE), moves
    for machine in FREE:
        until(f"{machine} runs elsewhere",
              lambda m=machine: farm.runs_at(m) not in ("", farm.host), PATIENCE)


@check
def nobody_else_was_switched_off(farm):
    for name in farm.names:
        if name != farm.host:
            expect((name, farm.bmcs[name].commands().count(0)), (name, 0))


@check
def the_host_is_in_quarantine_and_that_is_said(farm):
    fate = until("the host is back", lambda: (
        lambda f: f if f.get("phase") == "up" else None)(farm.fate_record()), PATIENCE)
    assert fate["losses"] >= 3 and fate["quarantined"], fate
    assert "quarantined: it was lost" in fate["reason"], fate
    assert "quarantined" in farm.novacron("host", "show", farm.host)
    assert "quarantined" in farm.novacron("status")
    if farm.runs_at(PINNED) != farm.host:
        until("the machine that may be nowhere else says why it waits",
              lambda: "it is quarantined" in farm.owner(PINNED).get("reason", ""), PATIENCE)


@check
def no_machine_lived_twice_and_no_counter_went_backwards(farm):
    farm.witness_saw_nothing_wrong()


def begin(farm):
    farm.begin(SETTINGS)
    farm.witness.start()


def main():
    why_not = missing()
    if why_not:
        print(f"1..0 # SKIP {why_not}")
        return SKIPPED
    return with_farm(check, begin, FlapFarm)


if __name__ == "__main__":
    sys.exit(main())
