#!/usr/bin/env python3
"""test_partitions.py BUILD: three processes in network namespaces, whose network is cut in every way
that three can be cut, with restarts in between. Where a majority can speak it serves soon, when all
is whole again everybody serves soon, and what the clients saw is linearizable.

NOVACRON_SEED chooses the cuts, NOVACRON_SCALE multiplies their number, 7.
"""

import os
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))

import net_lab
from history_clients import SETTLE_PATIENCE, begin, judge, put_works, report, states_agree
from scene import with_cluster

SKIPPED = 77
SIZE = 3
CUTS = 7
SERVES_WITHIN = 8  # s: an election, and a busy machine
HEALS_WITHIN = 10  # s: as above, and what TCP waits before it tries again


def both_ways(pairs):
    return pairs + [(b, a) for a, b in pairs]


# Each is told who leads and who else there is; all leave a majority that can speak.
def isolated(leader, others, rng):
    return both_ways([(leader, other) for other in others]), others


def deaf(leader, others, rng):
    return [(other, leader) for other in others], others


def mute(leader, others, rng):
    return [(leader, other) for other in others], others


def lone_follower(leader, others, rng):
    alone, other = rng.sample(others, 2)
    return both_ways([(alone, leader), (alone, other)]), [leader, other]


def chain(leader, others, rng):
    """The leader and one other do not hear each other; the third hears both."""
    far, middle = rng.sample(others, 2)
    return both_ways([(leader, far)]), [leader, middle]


def chain_of_followers(leader, others, rng):
    return both_ways([tuple(others)]), [leader, *others]


def half_chain(leader, others, rng):
    far, middle = rng.sample(others, 2)
    return [(leader, far)], [leader, middle]


CASES = [isolated, deaf, mute, lone_follower, chain, chain_of_followers, half_chain]


def serves(member):
    return put_works(member, patience=1)


def time_until(what, patience):
    began = time.monotonic()
    while time.monotonic() < began + patience:
        if what():
            return time.monotonic() - began
        time.sleep(0.02)
    return None


class Cutter:
    def __init__(self, lab, cluster, rng):
        self.lab = lab
        self.cluster = cluster
        self.rng = rng
        self.done = []
        self.served = []
        self.healed = []

    def settle(self):
        self.lab.heal()
        took = time_until(lambda: all(serves(m) for m in self.cluster.members), 3 * HEALS_WITHIN)
        self.healed.append(took)

    def cut(self, case):
        members = self.cluster.members
        leader = members.index(self.cluster.leader(SETTLE_PATIENCE))
        others = [i for i in range(SIZE) if i != leader]
        pairs, majority = case(leader, others, self.rng)
        self.lab.cut(pairs)
        took = time_until(lambda: any(serves(members[i]) for i in majority), 3 * SERVES_WITHIN)
        self.served.append(took)
        time.sleep(self.rng.uniform(0, 2))
        return leader

    def strike(self, case):
        leader = self.cut(case)
        name = case.__name__
        if self.rng.random() < 0.4:
            victim = self.rng.choice(self.cluster.members)
            victim.kill()
            time.sleep(self.rng.uniform(0, 0.5))
            victim.start()
            name += f"+kill {victim.name}"
        self.done.append(f"{name} of node-{leader + 1}")
        self.settle()

    def flap(self):
        """A link that comes and goes faster than an election lasts."""
        leader = self.cluster.members.index(self.cluster.leader(SETTLE_PATIENCE))
        end = time.monotonic() + 3
        while time.monotonic() < end:
            case = self.rng.choice(CASES)
            others = [i for i in range(SIZE) if i != leader]
            self.lab.cut(case(leader, others, self.rng)[0])
            time.sleep(self.rng.uniform(0.03, 0.4))
            self.lab.heal()
            time.sleep(self.rng.uniform(0.03, 0.4))
        self.done.append("flapping")
        self.settle()


def run(lab, cluster, seed, rounds):
    rng = random.Random(seed)
    for number, member in enumerate(cluster.members):
        member.prefix = lab.prefix(number)
    cluster.start()
    cluster.leader()
    history, clients = begin(cluster, seed, time.monotonic() + 3600)
    cutter = Cutter(lab, cluster, rng)
    try:
        for round_number in range(rounds):
            cutter.strike(CASES[round_number % len(CASES)])
        cutter.flap()
    finally:
        for client in clients:
            client.end = 0
        for client in clients:
            client.join()
    cluster.leader(SETTLE_PATIENCE)
    answered = sum(client.answered for client in clients)
    served = [took if took is not None else 999.0 for took in cutter.served]
    healed = [took if took is not None else 999.0 for took in cutter.healed]
    print(f"# seed {seed}: {answered} calls answered through: {', '.join(cutter.done)}")
    print(f"# a majority served after {sorted(round(t, 2) for t in served)} s, "
          f"all after the cut {sorted(round(t, 2) for t in healed)} s")
    is_right, said = judge(history, cluster.build, cluster.dir / "history")
    return report([(is_right, "clients_saw_one_linearizable_history_through_partitions"),
                   (max(served) < SERVES_WITHIN, "a_majority_that_can_speak_serves_soon"),
                   (max(healed) < HEALS_WITHIN, "when_all_is_whole_everybody_serves_soon"),
                   (states_agree(cluster), "all_members_hold_the_same_after_partitions")], said)


def main():
    seed = os.environ.get("NOVACRON_SEED") or str(random.randrange(1 << 32))
    rounds = max(1, int(CUTS * float(os.environ.get("NOVACRON_SCALE", "1"))))
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
        return with_cluster(lambda cluster: run(lab, cluster, seed, rounds),
                            extra="snapshot_entries: 500\n", hosts=lab.hosts)
    finally:
        lab.close()


if __name__ == "__main__":
    sys.exit(main())
