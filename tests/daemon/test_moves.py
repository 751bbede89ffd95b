#!/usr/bin/env python3
"""test_moves.py BUILD: real QEMU machines are moved between hosts while they run, and daemons are
killed in the middle. A guest that goes on does not boot: of all that it has said, at whatever host,
there is one READY, and no tick twice. Nothing is bound to a time.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))

from checks import Checks, expect, run_checks, soon, until
from local_bmc import is_installed
from local_hosts import HostFarm, Witness

PATIENCE = 60
check = Checks()


class Farm(HostFarm):
    def __init__(self, directory, build):
        super().__init__(directory, build)
        self.witness = Witness(self)

    def machine(self, name, extra=""):
        return super().machine(name, extra + "stop_ms: 1000\n")

    def run(self, *args, text=None):
        command = [self.build / "cli/novacron", *args, "--endpoints", self.cluster.endpoints]
        return subprocess.run(command, capture_output=True, text=True, timeout=90, input=text)

    def declare(self, *documents):
        return self.run("apply", "-f", "-", text="---\n".join(documents))

    def runs_at(self, machine):
        owner = self.owner(machine)
        return owner["host"] if owner.get("phase") == "running" else ""

    def make(self, name, extra=""):
        expect(self.declare(self.machine(name, extra)).returncode, 0)
        host = until(f"{name} runs", lambda: self.runs_at(name), PATIENCE)
        until("it counts", lambda: self.counter(name) > 0, PATIENCE)
        return host

    def console(self, host, machine):
        """All that its guest has said there."""
        path = self.member(host).dir / "machines" / machine / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def consoles(self, machine):
        return "".join(self.console(n, machine) for n in self.names)

    def boots(self, machine):
        return self.consoles(machine).count("READY")

    def pids(self, machine):
        return sorted(self.machine_pids().get(machine, []))

    def other(self, *hosts):
        return next(n for n in self.names if n not in hosts)

    def events(self, what, machine):
        lines = self.run("events", "--json").stdout.splitlines()
        found = [json.loads(line) for line in lines if line.strip()]
        return [e for e in found if e.get("what") == what and e.get("vm") == machine]

    def counts_on(self, machine):
        before = self.counter(machine)
        until(f"{machine} counts on", lambda: self.counter(machine) > before + 3, PATIENCE)

    def remove(self, name):
        done = self.run("vm", "delete", name, "--wait", str(PATIENCE))
        expect((done.returncode, done.stderr), (0, ""))
        until("no process is left", lambda: self.pids(name) == [], PATIENCE)


def goes_on(farm, machine, host, boots=1):
    """It runs there, alone; it has not booted since, and nothing that it did was done twice."""
    until(f"one process of {machine} is left", lambda: len(farm.pids(machine)) == 1, PATIENCE)
    farm.counts_on(machine)
    assert "tick " in farm.console(host, machine)
    expect(farm.boots(machine), boots)
    ticks = [int(n) for n in re.findall(r"tick (\d+)\n", farm.consoles(machine))]
    expect(len(ticks), len(set(ticks)))


@check
def a_guest_runs_on_at_another_host_and_comes_back(farm):
    first = farm.make("mover")
    second = farm.other(first)
    before = farm.owner("mover")
    for to in (second, first):
        done = farm.run("vm", "migrate", "mover", to, "--wait", str(PATIENCE))
        expect((done.returncode, done.stderr), (0, ""))
        expect(farm.runs_at("mover"), to)
        goes_on(farm, "mover", to)
    after = farm.owner("mover")
    expect((after["moves"], after["restarts"]), (2, before["restarts"]))
    assert after["epoch"] >= before["epoch"] + 2, after
    told = farm.events("vm-moved", "mover")
    expect(len(told), 2)
    print(f"# {told[0]['detail']}; {told[1]['detail']}")
    said = farm.run("vm", "explain", "mover").stdout
    assert "It was moved while it ran 2 times" in said, said
    farm.remove("mover")


@check
def what_is_moved_offline_boots_there(farm):
    host = farm.make("stopper")
    to = farm.other(host)
    done = farm.run("vm", "migrate", "stopper", to, "--offline", "--wait", str(PATIENCE))
    expect((done.returncode, done.stderr), (0, ""))
    farm.counts_on("stopper")
    assert "READY" in farm.console(to, "stopper")
    expect(farm.boots("stopper"), 2)
    expect(farm.owner("stopper").get("moves", 0), 0)
    farm.remove("stopper")


@check
def what_cannot_be_moved_runs_on_and_says_why(farm):
    host = farm.make("stayer")
    to = farm.other(host)
    epoch = farm.owner("stayer")["epoch"]
    # QEMU there takes no guest of another shape: this one has had 16 MiB since it was started.
    changed = farm.machine("stayer").replace("memory_mib: 16", "memory_mib: 32")
    expect(farm.declare(changed).returncode, 0)
    done = farm.run("vm", "migrate", "stayer", to, "--wait", str(PATIENCE))
    expect(done.returncode, 1)
    assert "it was not moved to" in done.stdout, (done.stdout, done.stderr)
    expect((farm.runs_at("stayer"), farm.owner("stayer")["epoch"]), (host, epoch))
    until("no process but its own is left", lambda: len(farm.pids("stayer")) == 1, PATIENCE)
    goes_on(farm, "stayer", host)
    expect(len(farm.events("vm-not-moved", "stayer")), 1)
    expect(farm.read("/novacron/vms/stayer").get("move_to", ""), "")
    farm.remove("stayer")


def strike(farm, machine, victim, phase):
    """Kills the victim's daemon as soon as the record is in that phase of the move."""
    until(f"it is {phase}", lambda: farm.owner(machine).get("phase") != "running", PATIENCE)
    if phase == "sent":
        until("it is sent", lambda: farm.owner(machine).get("port", 1) != 0, PATIENCE)
    farm.kill_daemon(victim)
    time.sleep(0.2)
    farm.boot(victim)


@check
def a_daemon_that_is_killed_in_the_middle_leaves_one_copy(farm):
    host = farm.make("survivor")
    restarts = farm.owner("survivor")["restarts"]
    for phase in ("begun", "sent"):
        for which in (0, 1):
            host = until("it runs", lambda: farm.runs_at("survivor"), PATIENCE)
            to = farm.other(host)
            striker = threading.Thread(target=strike,
                                       args=(farm, "survivor", (host, to)[which], phase))
            striker.start()
            asked = farm.run("vm", "migrate", "survivor", to)
            expect((asked.returncode, asked.stderr), (0, ""))
            striker.join()
            until("its move is over", lambda: farm.runs_at("survivor") in (host, to), PATIENCE)
            until("one process is left", lambda: len(farm.pids("survivor")) == 1, PATIENCE)
            goes_on(farm, "survivor", farm.runs_at("survivor"))
            until("all hosts serve", lambda: farm.run("status").returncode == 0, PATIENCE)
    owner = farm.owner("survivor")
    print(f"# {owner.get('moves', 0)} of 4 moves were made, {owner['restarts']} restarts")
    expect(owner["restarts"], restarts)
    farm.remove("survivor")


@check
def nothing_of_all_this_was_seen_twice_or_going_back(farm):
    expect(farm.witness.end(), [])
    assert farm.witness.samples > 10, farm.witness.samples


def main():
    build = Path(sys.argv[1]).resolve()
    wanted = sys.argv[2:]
    if not is_installed() or shutil.which("qemu-system-x86_64") is None or \
            not (build / "demo/guest/tiny-guest.elf").exists():
        print("1..0 # SKIP qemu, ipmi_sim, fence_ipmilan or the tiny guest is missing")
        return 77
    directory = tempfile.mkdtemp(prefix="novacron-test-")
    farm = Farm(directory, build)
    failed = 1
    try:
        farm.start()
        expect(farm.declare(*farm.hosts_manifest()).returncode, 0)
        soon(lambda: all(farm.read(f"/novacron/sights/bmc-{n}") for n in farm.names), PATIENCE)
        farm.witness.start()
        chosen = [f for f in check.functions if not wanted or f.__name__ in wanted]
        failed = run_checks(chosen, (farm,), stops_early=True)
    finally:
        farm.close()
        if failed:
            for name in farm.names:
                print(f"# {name}: " + "\n# ".join(
                    farm.member(name).log.read_text().splitlines()[-15:]))
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
