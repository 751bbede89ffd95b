#!/usr/bin/env python3
"""test_blocked_udp.py BUILD: three processes in network namespaces, of which two do not hear each
other's datagrams, then nobody hears anybody's: a firewall that knows of the TCP port alone. Nobody is
called dead, and the command line and the log say how they are reached. Under a minute.
"""

import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))

import net_lab
from checks import until
from history_clients import report
from scene import Scene, tell_logs

SKIPPED = 77
SIZE = 3
WATCHES = 12  # s, far longer than a host that is silent takes to be called dead
PATIENCE = 30


class Blocked:
    def __init__(self, scene, lab):
        self.scene, self.lab = scene, lab
        self.members = scene.members

    def states(self, member):
        """State, and how it is reached, of each host as a member has it."""
        lines = self.scene.run("members", members=[member]).stdout.splitlines()
        hosts = [line for line in lines if re.match(r"[0-9a-f]+ +\w+ +\d+m", line)]
        return {line.split()[3]: (line.split()[1], "tcp-only" in line) for line in hosts}

    def all_live(self):
        return all(sorted(self.states(m)) == sorted(n.name for n in self.members) and
                   all(state == "alive" for state, _ in self.states(m).values())
                   for m in self.members)

    def tcp_only(self, a, b):
        return self.states(self.members[a]).get(self.members[b].name) == ("alive", True)

    def pairs_tcp_only(self):
        return {(a, b) for a in range(SIZE) for b in range(SIZE) if a != b and self.tcp_only(a, b)}

    def nobody_died(self):
        """Also not for a moment: the log has every death, and every cut."""
        logs = [m.log.read_text() for m in self.members]
        return not any(re.search(r"\b(is=died|host_is=lost)\b", log) for log in logs)

    def watch(self, span):
        end = time.monotonic() + span
        live = True
        while time.monotonic() < end:
            live = live and self.all_live()
            time.sleep(0.5)
        return live


def run(scene, lab):
    b = Blocked(scene, lab)
    said, results = [], []

    def note(holds, name):
        results.append((bool(holds), name))

    until("all are alive", b.all_live)
    lab.block_udp([(0, 1), (1, 0)])
    live = b.watch(WATCHES)
    until("the pair is reached by TCP", lambda: b.tcp_only(0, 1) and b.tcp_only(1, 0), PATIENCE)
    note(live and b.nobody_died(), "nobody_is_lost_where_udp_is_blocked_between_two")
    note(b.pairs_tcp_only() == {(0, 1), (1, 0)}, "members_says_who_is_reached_by_tcp_alone")
    note("UDP is blocked" in b.members[0].log.read_text(), "the_log_says_that_udp_is_blocked")
    health = scene.run("health", b.members[1].name, members=[b.members[0]]).stdout
    note("UDP is blocked" in health, "health_says_that_udp_is_blocked")
    lab.heal()
    until("UDP is used again", lambda: not b.pairs_tcp_only(), PATIENCE)
    note(b.all_live() and b.nobody_died(), "nobody_is_lost_when_udp_passes_again")
    lab.block_udp([(x, y) for x in range(SIZE) for y in range(SIZE) if x != y])
    live = b.watch(WATCHES)
    until("all are reached by TCP", lambda: len(b.pairs_tcp_only()) == SIZE * (SIZE - 1), PATIENCE)
    note(live and b.nobody_died(), "nobody_is_lost_where_no_datagram_passes")
    b.members[2].kill()
    names = [m.name for m in b.members]
    until("who died is dead", lambda: b.states(b.members[0]).get(names[2], ("",))[0] == "dead", 10)
    b.members[2].start()
    until("it is back", b.all_live, PATIENCE)
    note(b.all_live(), "who_dies_there_is_dead_and_comes_back")
    return report(results, said)


def main():
    why_not = net_lab.missing()
    if why_not:
        print(f"1..0 # SKIP {why_not}")
        return SKIPPED
    try:
        lab = net_lab.NetLab(SIZE)
    except OSError as error:
        print(f"1..0 # SKIP no network of our own: {error}")
        return SKIPPED
    try:
        scene = Scene(Path(sys.argv[1]).resolve(), SIZE, hosts=lab.hosts)
        for number, member in enumerate(scene.members):
            member.prefix = lab.prefix(number)
        with scene:
            is_right = run(scene, lab)
            if not is_right:
                tell_logs(scene.members)
            return 0 if is_right else 1
    finally:
        lab.close()


if __name__ == "__main__":
    sys.exit(main())
