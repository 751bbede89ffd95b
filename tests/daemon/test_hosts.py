#!/usr/bin/env python3
"""test_hosts.py BUILD: hosts that watch each other: who is alive, dead and lost, by the command line
alone, what is wrong with those that live, and keys that are exchanged while they run. A minute, which
the disk takes to become slow and well again; the others run beside it.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from disk_shim import DiskShim
from scene import Scene, check, expect, run_checks, until


def hosts(scene, member):
    """State and view of each host by its name, as `members` has it."""
    lines = scene.run("members", members=[member]).stdout.splitlines()
    return {line.split()[3]: (line.split()[1], line.split()[5])
            for line in lines if not line.startswith("    ")}


def ladder(scene, member, host):
    """The states of a host's rungs, and the answer as a whole, as `health` has it at a member."""
    said = json.loads(scene.run("health", host, "--json", members=[member]).stdout)
    return {rung["name"]: rung["state"] for rung in said["rungs"]}, said


@check
def hosts_that_die_are_lost_and_come_back_alive(build):
    with Scene(build) as scene:
        leader = scene.cluster.leader()
        one, two = (m for m in scene.members if m is not leader)
        names = {m.name for m in scene.members}
        for member in scene.members:
            until("all are alive", lambda m=member: {n for n, (state, _) in hosts(scene, m).items()
                                                     if state == "alive"} == names)
        until("nothing is wrong", lambda: scene.run("members", members=[one]).returncode == 0)
        until("nothing is wrong with it",
              lambda: scene.run("health", two.name, members=[one]).returncode == 0)
        alive = scene.run("health", two.name, members=[one]).stdout
        assert "of ours came there" in alive, alive
        itself = scene.run("health", one.name, members=[one]).stdout
        assert "from here" not in itself and "score" in itself, itself
        two.kill()
        until("it is dead", lambda: hosts(scene, one)[two.name][0] == "dead", patience=5)
        expect(scene.run("members", members=[one]).returncode, 1)
        expect(scene.run("health", two.name, members=[one]).returncode, 1)
        expect(scene.run("members", "--json", members=[one]).returncode, 1)
        expect(scene.run("health", two.name, "--json", members=[one]).returncode, 1)
        until("it is lost", lambda: hosts(scene, leader)[two.name] == ("dead", "out"), patience=5)
        two.start()
        until("it lives", lambda: hosts(scene, one)[two.name][0] == "alive")
        expect(scene.run("health", "nobody", members=[one]).returncode, 2)


@check
def keys_of_health_are_read_and_exchanged(build):
    with tempfile.TemporaryDirectory() as directory:
        keys = Path(directory) / "keys"
        keys.write_text("ab" * 32 + "\n")
        with Scene(build, has_tls=True, extra=f"health:\n  keys: {keys}\n") as scene:
            one = scene.members[0]
            pki = scene.cluster.pki
            flags = ["--cacert", pki / "ca.crt", "--cert", pki / "client.crt",
                     "--key", pki / "client.key"]

            def alive():
                text = scene.run("members", *flags, members=[one]).stdout
                return text.count(" alive ") == 3
            until("all are alive", alive)
            # The commands of docs/novacrond.md, "Keys of `health`".
            for command in (f"echo {'cd' * 32} >> {keys}", f"sed -i '1h;1d;$G' {keys}"):
                subprocess.run(command, shell=True, check=True)
                for member in scene.members:
                    member.process.send_signal(signal.SIGHUP)
                time.sleep(3)
                assert alive()
            subprocess.run(f"sed -i '$d' {keys}", shell=True, check=True)
            expect(keys.read_text(), "cd" * 32 + "\n")
            for member in scene.members:
                member.process.send_signal(signal.SIGHUP)
            time.sleep(3)
            assert alive()
            # One that begins with the new key is heard by those who took it in while they ran.
            two = scene.members[1]
            two.kill()
            until("it is dead", lambda: not alive())
            two.start()
            until("it lives", alive)


@check
def a_disk_that_has_become_slow_is_told_by_every_member(build):
    scene = Scene(build)
    shims = [DiskShim(build, member) for member in scene.members]
    with scene:
        leader = scene.cluster.leader()
        slow = next(i for i, m in enumerate(scene.members) if m is not leader)
        name = scene.members[slow].name
        for member in scene.members:
            until("its storage is well", lambda m=member: ladder(scene, m, name)[0]["storage"] == "well")
        time.sleep(20)  # what is usual has to be known before anything can be slower
        shims[slow].slow(sync_us=1000000)
        for member in scene.members:
            until("its storage is degraded",
                  lambda m=member: ladder(scene, m, name)[0]["storage"] != "well", patience=30)
            _, said = ladder(scene, member, name)
            expect(said["member"]["state"], "alive")
            assert said["member"]["condition"] in ("degraded", "failing"), said
            assert "writes" in said["member"]["reason"], said
        done = scene.run("members", members=[leader])
        expect(done.returncode, 1)
        assert "writes" in done.stdout, done.stdout
        text = scene.run("health", name, members=[leader])
        expect(text.returncode, 1)
        assert "since" in text.stdout, text.stdout
        until("the leader's log has it", lambda: "host's condition" in leader.log.read_text())
        shims[slow].slow()
        until("it is well again", lambda: ladder(scene, leader, name)[0]["storage"] == "well",
              patience=90)


@check
def a_daemon_that_stalls_again_and_again_is_degraded_and_not_dead(build):
    with Scene(build) as scene:
        leader = scene.cluster.leader()
        one = next(m for m in scene.members if m is not leader)
        until("all are alive", lambda: len(hosts(scene, leader)) == 3)

        def stall():
            one.send(signal.SIGSTOP)
            time.sleep(0.85)
            one.send(signal.SIGCONT)
            time.sleep(3)
            return ladder(scene, leader, one.name)[0]["daemon"] == "degraded"
        until("it says that it stalls", stall, patience=60)
        _, said = ladder(scene, leader, one.name)
        rung = next(r for r in said["rungs"] if r["name"] == "daemon")
        assert "stalled" in rung["reason"] and int(rung["since"]) > 1700000000, rung


if __name__ == "__main__":
    sys.exit(run_checks(at_once=True))
