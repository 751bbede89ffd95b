#!/usr/bin/env python3
"""test_disks.py BUILD: disks of real processes that are full, whose writes and syncs fail, and that
vanish, under load. A full one steps down, refuses with the reason, goes on voting, and is as before
when there is room again. A failed one ends its process, with status 3 and the reason; the others go
on, and a restart puts it right. What the clients saw is judged.

NOVACRON_SEED chooses what fails; NOVACRON_SCALE multiplies how often.
"""

import errno
import os
import random
import sys
import threading
import time
from pathlib import Path

import disk_shim
import small_disk
from checks import PATIENCE, soon
from history_clients import (SETTLE_PATIENCE, begin, coded, judge, post, put_works, report,
                             states_agree)
from scene import with_cluster

DISK_MIB = 360
HALTED = 3


class Stuffer(threading.Thread):
    """Fills logs: large values, one key, at whoever takes them; what was refused is kept."""

    def __init__(self, members):
        super().__init__()
        self.members = members
        self.over = threading.Event()
        self.said = {}
        self.taken = 0

    def run(self):
        value = coded("x" * 1_000_000)
        while not self.over.is_set():
            for member in self.members:
                try:
                    status, answer = post(member, "/v3/kv/put", {"key": coded("big"), "value": value})
                except (OSError, ValueError):
                    continue
                if status == 200:
                    self.taken += 1
                else:
                    text = answer.get("message", str(answer))
                    self.said[text] = self.said.get(text, 0) + 1
                    self.over.wait(0.02)


def state(member):
    return member.raft() or {}


def refusal(member):
    try:
        status, answer = post(member, "/v3/kv/put", {"key": coded("probe"), "value": coded("x")})
    except (OSError, ValueError):
        return None
    return None if status == 200 else answer.get("message")


def loaded(cluster, seed, act):
    """Runs `act` under clients that are judged, and stuffing of the log: (history, what it says)."""
    ends = threading.Event()
    history, clients = begin(cluster, seed, time.monotonic() + 600)
    stuffer = Stuffer(cluster.members)
    stuffer.start()
    try:
        said = act(stuffer)
    finally:
        ends.set()
        stuffer.over.set()
        for client in clients:
            client.end = 0
        for thread in [stuffer, *clients]:
            thread.join()
    return history, said


# --- full ------------------------------------------------------------------------------------------


def one_full(cluster, disks, stuffer):
    """The leader's disk fills up, then another member dies, then there is room again."""
    full = cluster.leader()
    others = [m for m in cluster.members if m is not full]
    disks[full.name].fill()
    lacks = soon(lambda: state(full).get("lacks_space"))
    leader = soon(lambda: next((m for m in others if state(m).get("role") == "leader"), None))
    goes_on = soon(lambda: any(put_works(m) for m in others))
    said = soon(lambda: refusal(full))
    term = state(full).get("term", 0)
    leader.kill()
    rest = next(m for m in others if m is not leader)
    votes = soon(lambda: state(rest).get("role") == "leader" and state(rest)["term"] > term)
    leader.start()
    cluster_lives = soon(lambda: any(put_works(m) for m in others))
    disks[full.name].empty()
    heals = soon(lambda: state(full).get("lacks_space") == 0 and put_works(full))
    return [(bool(lacks), "a_full_disk_is_noticed"),
            (leader is not None, "a_full_leader_gives_the_lead_away"),
            (bool(goes_on), "the_others_go_on_without_the_full_one"),
            (said == "etcdserver: mvcc: database space exceeded", f"a_full_member_says_why {said!r}"),
            (bool(votes), "a_full_member_votes"),
            (bool(cluster_lives), "the_group_lives_with_one_full_and_one_restarted"),
            (bool(heals), "with_room_it_is_as_before")]


def all_full(cluster, disks, stuffer):
    stuffer.said.clear()
    for member in cluster.members:
        disks[member.name].fill()
    lack = soon(lambda: all(state(m).get("lacks_space") for m in cluster.members), 40)
    said = soon(lambda: [text for text in map(refusal, cluster.members) if text])
    body = {"key": coded("probe"), "serializable": True}
    reads = [post(m, "/v3/kv/range", body)[0] == 200 for m in cluster.members]
    alive = [m.process.poll() is None for m in cluster.members]
    for member in cluster.members:
        disks[member.name].empty()
    heals = soon(lambda: all(put_works(m) for m in cluster.members))
    return [(bool(lack) and all(alive), "all_may_be_full_and_none_ends"),
            (bool(said) and any("space exceeded" in text for text in said),
             f"who_is_full_says_so {said}"),
            (all(reads), "what_is_there_can_be_read_when_all_are_full"),
            (bool(heals), "with_room_the_group_is_as_before")]


def full_disks(cluster, build, seed):
    disks = {member.name: small_disk.SmallDisk(member, DISK_MIB) for member in cluster.members}
    try:
        cluster.start()
        cluster.leader()
        history, results = loaded(cluster, seed, lambda stuffer:
                                  one_full(cluster, disks, stuffer) +
                                  all_full(cluster, disks, stuffer))
        cluster.leader(SETTLE_PATIENCE)
        is_right, said = judge(history, build, cluster.dir / "history")
        results += [(is_right, "clients_saw_one_linearizable_history_on_full_disks"),
                    (states_agree(cluster), "all_members_hold_the_same_after_full_disks"),
                    vanished(cluster, disks)]
        return results, said
    finally:
        cluster.stop()
        for disk in disks.values():
            disk.close()


def vanished(cluster, disks):
    """The kernel's own errors: the file system is cut from under the leader."""
    victim = cluster.leader()
    disks[victim.name].cut()
    put_works(victim)
    status = victim.wait(PATIENCE)
    others = [m for m in cluster.members if m is not victim]
    goes_on = soon(lambda: all(put_works(m) for m in others))
    disks[victim.name].mend()
    victim.start()
    back = soon(lambda: put_works(victim))
    return (status == HALTED and bool(goes_on) and bool(back),
            f"a_device_that_vanishes_ends_its_process_and_nothing_else {status} {goes_on} {back}")


# --- failing ---------------------------------------------------------------------------------------

# what fails, with what, in which files; does the process end?
FAULTS = [
    ("a_sync_of_the_log", disk_shim.SYNC | disk_shim.WRITE, errno.EIO, "/wal/", True),
    ("a_write_of_the_log", disk_shim.WRITE, errno.EIO, "/wal/", True),
    ("a_write_without_room_in_a_segment", disk_shim.WRITE, errno.ENOSPC, "/wal/", True),
    ("a_snapshot", disk_shim.WRITE | disk_shim.SYNC, errno.EIO, "/snap/", False),
    ("the_next_segment", disk_shim.ALLOCATE | disk_shim.CREATE | disk_shim.LINK, errno.ENOSPC,
     "wal", False),
]


def strike(cluster, shims, rng, fault):
    name, kinds, error, match, ends = fault
    victim = cluster.leader(SETTLE_PATIENCE) if rng.random() < 0.6 else rng.choice(cluster.members)
    others = [m for m in cluster.members if m is not victim]
    shim = shims[victim.name]
    before = shim.failed
    if ends:
        shim.fail(kinds, error, skip=rng.randrange(20), match=match, count=1)
    else:
        shim.fail(kinds, error, match=match)
    if ends:
        status = victim.wait(PATIENCE)
        log = victim.log.read_text()
        says = 'msg=halted' in log and 'why="a write or sync of the log failed' in log
        goes_on = soon(lambda: all(put_works(m) for m in others))
        shim.heal()
        victim.start()
        back = soon(lambda: put_works(victim))
        right = status == HALTED and says and goes_on and back
        return bool(right), f"{name}_that_fails_ends_its_process_and_no_other " \
                            f"{victim.name} {status} {says} {goes_on} {back}"
    failed = soon(lambda: shim.failed > before)
    lives = victim.process.poll() is None and soon(lambda: any(put_works(m) for m in others))
    shim.heal()
    back = soon(lambda: put_works(victim))
    return bool(failed and lives and back), \
        f"{name}_that_fails_is_tried_again {victim.name} {bool(failed)} {bool(lives)} {bool(back)}"


def failing_disks(cluster, build, seed, rounds):
    rng = random.Random(seed)
    shims = {member.name: disk_shim.DiskShim(build, member) for member in cluster.members}
    cluster.start()
    cluster.leader()
    faults = [fault for _ in range(rounds) for fault in rng.sample(FAULTS, len(FAULTS))]
    history, results = loaded(cluster, seed, lambda stuffer:
                              [strike(cluster, shims, rng, fault) for fault in faults])
    cluster.leader(SETTLE_PATIENCE)
    is_right, said = judge(history, build, cluster.dir / "history")
    results += [(is_right, "clients_saw_one_linearizable_history_on_failing_disks"),
                (states_agree(cluster), "all_members_hold_the_same_after_failing_disks")]
    return results, said


def trial(act, extra=""):
    """What `act` finds with a cluster of its own: results, and what the judge said."""
    results, said = [], []

    def on_cluster(cluster):
        found, says = act(cluster)
        results.extend(found)
        said.append(says)
        return all(is_right for is_right, _ in results)

    with_cluster(on_cluster, extra=extra)
    return results, "".join(said)


def main():
    build = Path(sys.argv[1]).resolve()
    seed = os.environ.get("NOVACRON_SEED") or str(random.randrange(1 << 32))
    rounds = max(1, int(float(os.environ.get("NOVACRON_SCALE", "1"))))
    print(f"# seed {seed}")
    results, said = trial(lambda c: failing_disks(c, build, seed, rounds),
                          "snapshot_entries: 300\n")
    why_not = small_disk.missing()
    if why_not:
        print(f"# skip: full disks: {why_not}")
    else:
        more, says = trial(lambda c: full_disks(c, build, seed))
        results += more
        said += says
    return 0 if report(results, said) else 1


if __name__ == "__main__":
    sys.exit(main())
