#!/usr/bin/env python3
"""test_faults.py BUILD: three processes under load, killed, stopped and halted at random moments. What
the clients saw must be linearizable (novacron-sim check): nothing acknowledged is lost, nothing read
is out of date; and after the last fault all three must hold the same state.

NOVACRON_SEED chooses the faults; NOVACRON_SCALE multiplies the time, 12 s.
"""

import os
import random
import signal
import sys
import time

from history_clients import SETTLE_PATIENCE, begin, judge, report, states_agree
from scene import with_cluster


def kill(cluster, victim, rng):
    victim.kill()
    time.sleep(rng.uniform(0, 0.6))
    victim.start()


def freeze(cluster, victim, rng):
    victim.send(signal.SIGSTOP)
    time.sleep(rng.uniform(0.1, 2.5))
    victim.send(signal.SIGCONT)


def restart(cluster, victim, rng):
    assert victim.stop() == 0, f"{victim.name} did not stop as it was told"
    victim.start()


def kill_all(cluster, victim, rng):
    for member in cluster.members:
        member.kill()
    for member in cluster.members:
        member.start()


def strike(cluster, rng, end):
    """Faults one after the other; what was done, for the log."""
    done = []
    while time.monotonic() < end:
        time.sleep(rng.uniform(0.1, 0.8))
        fault = rng.choices((kill, freeze, restart, kill_all), (5, 3, 2, 1))[0]
        leads = [m for m in cluster.members if (m.raft() or {}).get("role") == "leader"]
        victim = leads[0] if leads and rng.random() < 0.6 else rng.choice(cluster.members)
        fault(cluster, victim, rng)
        done.append(f"{fault.__name__} {victim.name}")
    return done


def run(cluster, seed, seconds):
    rng = random.Random(seed)
    cluster.start()
    cluster.leader()
    end = time.monotonic() + seconds
    history, clients = begin(cluster, seed, end + 1)
    done = strike(cluster, rng, end)
    for client in clients:
        client.join()
    cluster.leader(SETTLE_PATIENCE)
    answered = sum(client.answered for client in clients)
    print(f"# seed {seed}: {answered} calls answered through {len(done)} faults: {', '.join(done)}")
    is_right, said = judge(history, cluster.build, cluster.dir / "history")
    return report([(is_right, "clients_saw_one_linearizable_history"),
                   (answered > 100, "most_of_the_time_somebody_answers"),
                   (states_agree(cluster), "all_members_hold_the_same_in_the_end")], said)


def main():
    seed = os.environ.get("NOVACRON_SEED") or str(random.randrange(1 << 32))
    seconds = 12 * float(os.environ.get("NOVACRON_SCALE", "1"))
    return with_cluster(lambda cluster: run(cluster, seed, seconds), extra="snapshot_entries: 500\n")


if __name__ == "__main__":
    sys.exit(main())
