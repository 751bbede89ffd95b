#!/usr/bin/env python3
"""test_machines.py BUILD: real QEMU machines on three hosts with guards and management controllers:
what befalls a machine, a daemon, a host and a controller, and what the command line says to it.
Nothing here is bound to a time: a guest that lives twice, a wrong order and a wrong count are faults.
"""

import json
import os
import signal
import subprocess
import sys
import time

from checks import Checks, expect, until
from farm import Farm, with_farm

from local_hosts import kill

PATIENCE = Farm.patience
check = Checks()


def declared(farm):
    """All machines that are declared, as `vm list --json` has them."""
    lines = farm.run("vm", "list", "--json").stdout.splitlines()
    return sorted(json.loads(line)["spec"]["name"] for line in lines)


# --- one machine ----------------------------------------------------------------------------------

@check
def three_hosts_survive_the_loss_of_one_whatever_room_there_is(farm):
    said = json.loads(farm.novacron("status", "--json"))
    assert said["losses_survived"] == 1 and said["is_well"], said
    page = farm.member(farm.names[0]).page("/metrics")
    assert 'novacron_machine_hosts{phase="up"} 3' in page, page


@check
def a_machine_that_crashes_is_restarted_in_its_next_epoch(farm):
    host = farm.make("crashes")
    before = farm.owner("crashes")
    old = farm.pids("crashes")
    expect(len(old), 1)
    kill(old[0])
    until("it runs in a later epoch", lambda: farm.runs_at("crashes") and
          farm.owner("crashes")["epoch"] > before["epoch"], PATIENCE)
    after = farm.owner("crashes")
    expect((after["host"], after["restarts"]), (host, before.get("restarts", 0) + 1))
    until("another process lives", lambda: len(farm.pids("crashes")) == 1 and
          farm.pids("crashes") != old, PATIENCE)
    farm.remove("crashes")


@check
def machines_are_stopped_started_moved_and_deleted_by_command(farm):
    host = farm.make("vm-1")
    done = farm.run("vm", "stop", "vm-1", "--wait", str(PATIENCE))
    expect((done.returncode, done.stderr), (0, ""))
    expect((farm.owner("vm-1")["phase"], farm.pids("vm-1")), ("stopped", []))
    counted = farm.counter("vm-1")
    time.sleep(1)
    expect((farm.owner("vm-1")["phase"], farm.counter("vm-1")), ("stopped", counted))
    done = farm.run("vm", "start", "vm-1", "--wait", str(PATIENCE))
    expect((done.returncode, done.stderr), (0, ""))
    expect(len(farm.pids("vm-1")), 1)
    until("it counts on", lambda: farm.counter("vm-1") > counted, PATIENCE)
    to = farm.other_than(host, farm.runs_at("vm-1"))
    done = farm.run("vm", "migrate", "vm-1", to, "--wait", str(PATIENCE))
    expect((done.returncode, done.stderr), (0, ""))
    expect(farm.runs_at("vm-1"), to)
    until("one process is left", lambda: len(farm.pids("vm-1")) == 1, PATIENCE)
    farm.remove("vm-1")
    expect(farm.owner("vm-1"), {})
    expect(farm.run("vm", "stop", "vm-1").returncode, 2)
    expect(farm.run("vm", "migrate", "vm-1", "nowhere").returncode, 2)


@check
def a_second_start_is_refused_by_the_lock_of_the_image(farm):
    expect(farm.declare(farm.machine("locked", "desired: stopped\n")).returncode, 0)
    alien = subprocess.Popen(
        ["qemu-system-x86_64", "-accel", "tcg", "-nographic", "-nodefaults", "-S", "-drive",
         f"file={farm.pool / 'locked.img'},format=raw,if=ide"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        expect(alien.poll(), None)
        expect(farm.run("vm", "start", "locked").returncode, 0)
        until("its start has failed twice", lambda: farm.owner("locked").get("restarts", 0) >= 2,
              PATIENCE)
        holder = f"another process has it open: process {alien.pid} of this host"
        until("it is said why", lambda: holder in farm.reason("locked"), PATIENCE)
        expect(farm.counter("locked"), 0)
    finally:
        alien.kill()
        alien.wait()
    until("it runs once the lock is free", lambda: farm.runs_at("locked"), PATIENCE)
    farm.remove("locked")


@check
def bad_manifests_are_refused_by_their_lines_and_nothing_is_half_done(farm):
    known = declared(farm)
    good = farm.machine("good")
    bad = farm.machine("bad")
    lines = good.count("\n") + 2  # what is before the second document's first line
    for change, line, words in (
            (("cpus: 1", "cpu: 1"), 4, ["cpu:", "no such field"]),
            (("memory_mib: 16", "memory_mib: 99999999999"), 3, ["memory_mib", "too large"]),
            (("memory_mib: 16", "memory_mib: 0"), 3, ["memory_mib", "too small"]),
            (("memory_mib: 16", "memory_mib: much"), 3, ["memory_mib"]),
            (("name: bad", "name: good"), 1, ["name", "earlier document"]),
            (("name: bad", "name: Bad/.."), 2, ["name"]),
            (("kind: vm", "kind: vmm"), 1, ["kind"]),
            (("storage: pool", "storage: pool\nname: twice"), 7, ["this key was there before"])):
        assert change[0] in bad, change
        done = farm.declare(good, bad.replace(*change))
        expect((change, done.returncode, done.stdout), (change, 64, ""))
        for word in [f":{lines - 1 + line}: ", *words]:
            assert word in done.stderr, (word, change, done.stderr)
        expect(declared(farm), known)


@check
def what_a_manifest_alone_cannot_show_is_told_of_the_machine(farm):
    done = farm.declare(farm.machine("lost-storage").replace("storage: pool", "storage: nowhere"))
    expect(done.returncode, 0)
    assert ":6: note: " in done.stderr and "nowhere" in done.stderr, done.stderr
    status = farm.run("status")
    assert status.returncode == 1 and "nowhere" in status.stdout, status.stdout
    expect(farm.declare(farm.machine("no-image").replace("no-image.img", "never.img"),
                        farm.machine("too-large").replace("memory_mib: 16", "memory_mib: 1000000"))
           .returncode, 0)
    until("it waits", lambda: "no record says" in farm.reason("lost-storage"), PATIENCE)
    until("it waits", lambda: "MiB of memory are needed" in farm.reason("too-large"), PATIENCE)
    missed = f"could not be started: the image {farm.pool / 'never.img'}: No such file or directory"
    until("its image is missed", lambda: missed in farm.reason("no-image"), PATIENCE)
    said = farm.run("events").stdout
    assert missed in said, said
    assert not (farm.pool / "never.img").exists()
    for name in ("lost-storage", "no-image", "too-large"):
        done = farm.run("vm", "explain", name)
        assert f"{name} " in done.stdout and "Reason" in done.stdout, done.stdout
        expect(farm.pids(name), [])
        farm.remove(name)


# --- daemons and hosts ----------------------------------------------------------------------------

@check
def machines_outlive_their_daemon_and_are_adopted(farm):
    host = farm.make("vm-a")
    farm.make("vm-b", f"preferred: [{host}]\n")
    before, epochs = farm.machine_pids(), [farm.owner(m)["epoch"] for m in ("vm-a", "vm-b")]
    boot = farm.read(f"/novacron/agents/{host}")["boot"]
    farm.kill_daemon(host)
    farm.boot(host)
    until("its agent has another boot",
          lambda: (farm.read(f"/novacron/agents/{host}") or {}).get("boot") != boot, PATIENCE)
    until("all are well", lambda: farm.run("vm", "list").returncode == 0, PATIENCE)
    time.sleep(1)
    expect(farm.machine_pids(), before)
    expect([farm.owner(m)["epoch"] for m in ("vm-a", "vm-b")], epochs)
    done = farm.run("vm", "stop", "vm-a", "--wait", str(PATIENCE))  # it is really in its hands
    expect((done.returncode, farm.pids("vm-a")), (0, []))
    farm.remove("vm-a")
    farm.remove("vm-b")


@check
def a_host_without_power_is_fenced_and_its_machines_run_elsewhere(farm):
    host = farm.make("vm-a")
    farm.make("vm-b", f"preferred: [{host}]\n")
    lost = [m for m in ("vm-a", "vm-b") if farm.runs_at(m) == host]
    known = len(farm.incidents(host))
    farm.lose_power(host)
    for machine in lost:
        until(f"{machine} runs elsewhere", lambda m=machine: farm.runs_at(m) not in ("", host),
              PATIENCE)
    until("the incident is closed", lambda: len(farm.incidents(host)) == known + 1 and
          farm.incidents(host)[-1]["closed"], PATIENCE)
    steps = farm.incidents(host)[-1]["steps"]
    order = [s["what"] for s in steps]
    for machine in lost:
        mine = [s["what"] for s in steps if s["who"] in (host, machine)]
        expect(mine[:5], ["detected", "fence", "fenced", "placed", "started"])
    expect((order.count("fenced"), order.count("started")), (1, len(lost)))
    times = [s["at_ms"] for s in steps]
    expect(times, sorted(times))
    shown = farm.run("incident", "show", farm.incidents(host)[-1]["id"]).stdout
    assert shown.count("\n") == len(steps) + 1, shown
    for name in farm.names:  # and nobody else was switched off
        expect((name, farm.bmcs[name].commands().count(0) > 0), (name, name == host))
    farm.is_back(host)
    for machine in ("vm-a", "vm-b"):
        farm.remove(machine)


@check
def a_controller_that_leaves_the_power_on_proves_nothing_but_a_person_may(farm):
    host = farm.make("vm-c")
    epoch = farm.owner("vm-c")["epoch"]
    commands = len(farm.bmcs[host].commands())
    farm.bmcs[host].set_faults(stays_on=1)
    farm.crash(host)
    until("it was told to switch off", lambda: len(farm.bmcs[host].commands()) > commands, PATIENCE)
    said = until("it is said why", lambda: (
        lambda text: text if f"bmc-{host}: " in text else None)(
            farm.run("host", "show", host).stdout.split("as declared")[0]), 10)
    assert "it is not up" in said and "confirm-off" in said, said
    expect((farm.runs_at("vm-c"), farm.owner("vm-c")["epoch"], farm.pids("vm-c")), ("", epoch, []))
    expect(farm.run("host", "confirm-off", host, "--by", "test").returncode, 64)
    expect(farm.run("host", "confirm-off", farm.other_than(host), "--by", "test", "--reason",
                    "a slip").returncode, 2)
    done = farm.run("host", "confirm-off", host, "--by", "test", "--reason", "its lamp is dark")
    expect((done.returncode, done.stderr), (0, ""))
    until("it runs elsewhere", lambda: farm.runs_at("vm-c") not in ("", host), PATIENCE)
    assert "confirmed" in [s["what"] for s in farm.incidents(host)[-1]["steps"]]
    farm.bmcs[host].set_faults()
    farm.boot(host)
    farm.is_back(host)
    farm.remove("vm-c")


@check
def the_guard_ends_the_machines_of_a_daemon_that_stands_still(farm):
    host = farm.make("vm-g")
    epoch = farm.owner("vm-g")["epoch"]
    bmc = farm.bmcs[host]
    bmc.set_unreachable(True)
    os.kill(farm.daemon_pid(host), signal.SIGSTOP)
    until("it is lost", lambda: farm.fate(host) != "up", PATIENCE)
    until("the guard has ended its machine", lambda: farm.pids("vm-g") == [], PATIENCE)
    time.sleep(1)
    expect((farm.runs_at("vm-g"), farm.owner("vm-g")["epoch"], farm.pids("vm-g")), ("", epoch, []))
    bmc.set_unreachable(False)
    until("it is fenced, and its machine runs elsewhere",
          lambda: farm.runs_at("vm-g") not in ("", host), 2 * PATIENCE)
    assert not bmc.is_on
    farm.is_back(host)
    farm.remove("vm-g")


@check
def no_machine_lived_twice_and_no_counter_went_backwards(farm):
    farm.witness_saw_nothing_wrong()


def begin(farm):
    # A fence agent waits for its power to fall, 20 s long.
    farm.begin("kind: settings\nlease_ms: 4000\n", device="timeout_ms: 2000\n")
    farm.witness.start()


def main():
    return with_farm(check, begin)


if __name__ == "__main__":
    sys.exit(main())
