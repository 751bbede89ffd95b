#!/usr/bin/env python3
"""demo.py [--keep] [--build DIR]: virtual machines survive what befalls their hosts, on this machine.

Three hosts on loopback, each with a guard and a management controller (ipmi_sim), and real QEMU
machines that count on their disks. Then: a machine dies, a daemon dies, the host of the leader loses
power, a host falls silent, and both come back. After each, what was decided, and how long it took.
Ends with 0 if no machine ever lived twice, no counter went backwards, and all of them run.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time

from local_bmc import is_installed
from local_cluster import ROOT
from local_hosts import HostFarm, Witness

MACHINES = ["vm-1", "vm-2", "vm-3", "vm-4"]
failures = []


def say(text=""):
    print(text, flush=True)


def title(text):
    say(f"\n== {text}")


def check(what, is_so):
    say(f"   {'ok  ' if is_so else 'FAIL'} {what}")
    if not is_so:
        failures.append(what)


def runs(farm, machine):
    return farm.owner(machine).get("phase") == "running"


def homes(farm):
    return {m: farm.owner(m).get("host", "") for m in MACHINES}


def wait_all(farm, patience=60):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if all(runs(farm, m) for m in MACHINES):
            return True
        time.sleep(0.05)
    return False


def tell_incident(farm, host):
    """The newest incident of the host, step by step."""
    lines = [line for line in farm.novacron("incident", "list").splitlines() if f" {host} " in line]
    if lines:
        name = next(word for word in lines[-1].split() if word.startswith("inc-"))
        for line in farm.novacron("incident", "show", name).splitlines():
            say("     " + line)


def begin(farm):
    title("three hosts, each with a guard and a management controller")
    leader = farm.start()
    say(f"   {leader} leads; everything is below {farm.dir}")
    extra = {m: f"preferred: [{farm.names[i % 3]}]\n" for i, m in enumerate(MACHINES)}
    farm.apply(farm.hosts_manifest())
    time.sleep(1)  # agents try the storage
    began = time.monotonic()
    farm.apply([farm.machine(m, extra[m]) for m in MACHINES])
    check("four machines run", wait_all(farm))
    say(f"   {time.monotonic() - began:.2f} s from their manifests to four guests that count")
    say("     " + farm.novacron("vm", "list").rstrip().replace("\n", "\n     "))


def a_machine_dies(farm):
    title("a machine's process is killed")
    machine = MACHINES[0]
    epoch = farm.owner(machine).get("epoch", 0)
    began = time.monotonic()
    for pid in farm.machine_pids().get(machine, []):
        os.kill(pid, signal.SIGKILL)
    took = farm.wait(machine, lambda o: o.get("phase") == "running" and o.get("epoch", 0) > epoch)
    check(f"{machine} runs again, in its next epoch", took is not None)
    if took:
        say(f"   {time.monotonic() - began:.2f} s, of which 0.5 s are the first delay of its policy")


def a_daemon_dies(farm):
    title("a daemon is killed, and started again after a second")
    host = farm.owner(MACHINES[1])["host"]
    before = farm.machine_pids()
    farm.kill_daemon(host)
    time.sleep(1)
    farm.boot(host)
    time.sleep(3)
    after = farm.machine_pids()
    check(f"the machines of {host} ran on, and were adopted: the same processes", before == after)
    check("all machines run", wait_all(farm))


def lose(farm, host, how, what):
    """A host is lost: how long until each of its machines runs elsewhere."""
    lost = [m for m, at in homes(farm).items() if at == host]
    say(f"   {host} runs {', '.join(lost) or 'nothing'}")
    others = [n for n in farm.names if n != host]
    began = time.monotonic()
    how(host)
    done = {}
    while len(done) < len(lost) and time.monotonic() - began < 60:
        for machine in lost:
            owner = farm.owner(machine, others[0])
            if machine not in done and owner.get("phase") == "running" and owner["host"] != host:
                done[machine] = time.monotonic() - began
        time.sleep(0.02)
    check(f"{what}: its machines run elsewhere", len(done) == len(lost))
    for machine, took in done.items():
        say(f"   {machine}: {took:.2f} s from the loss to its guest on {farm.owner(machine)['host']}")
    tell_incident(farm, host)


def comes_back(farm, host):
    """Somebody switches it on."""
    farm.power_on(host)
    back = None
    end = time.monotonic() + 60
    while back is None and time.monotonic() < end:
        fate = farm.read(f"/novacron/fates/{host}") or {}
        back = True if fate.get("phase") == "up" else None
        time.sleep(0.1)
    check(f"{host} is back, and starts nothing of what it ran", back is not None)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave it running, and say how to talk to it")
    parser.add_argument("--build", default=ROOT / "build")
    args = parser.parse_args()
    if not is_installed() or shutil.which("qemu-system-x86_64") is None:
        say("QEMU, ipmi_sim or fence_ipmilan is missing; `make setup` installs them")
        return 2
    directory = tempfile.mkdtemp(prefix="novacron-demo-")
    farm = HostFarm(directory, args.build)
    witness = Witness(farm)
    kept = False
    try:
        begin(farm)
        witness.start()
        a_machine_dies(farm)
        a_daemon_dies(farm)
        title("the host of the leader loses power")
        leader = farm.leader()
        lose(farm, leader, farm.lose_power, "the leader and its host are gone")
        comes_back(farm, leader)
        title("a host falls silent: its daemon stands still, its machines run on")
        silent = next(h for h in homes(farm).values() if h != farm.leader())
        lose(farm, silent, lambda h: os.kill(farm.daemon_pid(h), signal.SIGSTOP),
             "it was switched off before anything was started elsewhere")
        comes_back(farm, silent)
        title("in the end")
        check("all machines run", wait_all(farm))
        say("     " + farm.novacron("status").rstrip().replace("\n", "\n     "))
        troubles = witness.end()
        check("no machine lived twice, and no counter went backwards", not troubles)
        for trouble in troubles:
            say(f"     {trouble}")
        say(f"   {witness.samples} looks; counters: {witness.counters}")
        if args.keep:
            kept = True
            say(f"\nIt runs on. Talk to it:\n    {farm.build}/cli/novacron status --endpoints "
                f"{farm.cluster.endpoints}\nand end it:\n    kill $(grep -lzs DEMO_HOST={farm.dir}/ "
                "/proc/[0-9]*/environ | cut -d/ -f3)")
    finally:
        if not kept:
            farm.close()
            if not failures:
                shutil.rmtree(directory, ignore_errors=True)
    say(f"\n{'All went well.' if not failures else 'Failed: ' + '; '.join(failures)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
