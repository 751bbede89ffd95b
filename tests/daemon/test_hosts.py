#!/usr/bin/env python3
"""test_hosts.py BUILD: hosts that watch each other: who is alive, dead and lost, by the command line
alone, and keys that are exchanged while they run. Under a minute.
"""

import signal
import sys
import tempfile
import time
from pathlib import Path

from scene import Scene, check, expect, run_checks, until


def hosts(scene, member):
    """State and view of each host by its name, as `members` has it."""
    lines = scene.run("members", members=[member]).stdout.splitlines()
    return {line.split()[3]: (line.split()[1], line.split()[5]) for line in lines}


@check
def hosts_that_die_are_lost_and_come_back_alive(build):
    with Scene(build) as scene:
        leader = scene.cluster.leader()
        one, two = (m for m in scene.members if m is not leader)
        names = {m.name for m in scene.members}
        for member in scene.members:
            until("all are alive", lambda m=member: {n for n, (state, _) in hosts(scene, m).items()
                                                     if state == "alive"} == names)
        expect(scene.run("members", members=[one]).returncode, 0)
        alive = scene.run("health", two.name, members=[one])
        assert alive.returncode == 0 and "network to it    ok" in alive.stdout, alive.stdout
        itself = scene.run("health", one.name, members=[one]).stdout
        assert "not observed from here" in itself and "score" not in itself, itself
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
            keys.write_text("ab" * 32 + "\n" + "cd" * 32 + "\n")
            for member in scene.members:
                member.process.send_signal(signal.SIGHUP)
            time.sleep(0.5)
            keys.write_text("cd" * 32 + "\n" + "ab" * 32 + "\n")
            for member in scene.members:
                member.process.send_signal(signal.SIGHUP)
            time.sleep(3)
            assert alive()
            # One that knows the new key alone is heard by those who took it in while they ran.
            keys.write_text("cd" * 32 + "\n")
            two = scene.members[1]
            two.kill()
            until("it is dead", lambda: not alive())
            two.start()
            until("it lives", alive)


if __name__ == "__main__":
    sys.exit(run_checks())
