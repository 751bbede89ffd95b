#!/usr/bin/env python3
"""test_recovery.py BUILD: a majority of the members is lost for good, and one goes on; by the command
line alone, as an operator would. What was thought lost comes back and is refused. Under a minute.
"""

import json
import shutil
import sys
import time
from pathlib import Path

from scene import PATIENCE, Scene, check, expect, run_checks, until

HALTED = 3


def known(scene):
    """How many members each of them knows; 0: it does not answer."""
    return [len((m.raft() or {}).get("members", [])) for m in scene.members]


def data(member):
    return str(member.dir / "data")


def accept(scene, *members):
    """Gives the order that the first goes on; its output."""
    dirs = [data(m) for m in members]
    asked = scene.run("cluster", "recover", *dirs)
    expect(asked.returncode, 1)
    assert "Nothing was done" in asked.stdout, asked
    assert not (members[0].dir / "data/recovery").exists()
    word = asked.stdout.split("--accept-data-loss ")[1].split()[0]
    done = scene.run("cluster", "recover", *dirs, "--accept-data-loss", word)
    expect(done.returncode, 0)
    return done.stdout


def goes_on_alone(scene, member):
    member.start()
    until("it recovers", lambda: (member.dir / "data/recovery.done").exists())
    raft = until("it answers", member.raft)
    expect((raft["role"], len(raft["members"]), raft["lineage"] >> 24), ("leader", 1, 1))


@check
def one_of_three_goes_on_by_an_order(build):
    with Scene(build) as scene:
        one, two, three = scene.members
        scene.put("kept", "yes")
        running = scene.run("cluster", "survivors", data(one))
        expect(running.returncode, 2)
        assert "stop it first" in running.stderr, running
        scene.kill(*scene.members)
        all_of_them = scene.run("cluster", "survivors", *[data(m) for m in scene.members])
        expect(all_of_them.returncode, 1)
        assert "That is a majority: start them" in all_of_them.stdout, all_of_them
        refused = scene.run("cluster", "recover", data(one), data(two), "--accept-data-loss", "1")
        expect(refused.returncode, 1)
        assert "these are a majority" in refused.stderr, refused
        wrong = scene.run("cluster", "recover", data(one), "--accept-data-loss", "yes")
        expect(wrong.returncode, 1)
        assert "Nothing was done" in wrong.stdout, wrong
        said = accept(scene, one)
        assert "Only 1 of 3 voters were looked at" in said, said
        goes_on_alone(scene, one)
        expect(scene.get("kept", [one]), "kept\nyes\n")
        scene.put("later", "too", [one])
        assert '"kept_up_to"' in scene.get("novacron/recovery/1", [one])
        expect(len(scene.run("member", "list", members=[one]).stdout.splitlines()), 1)
        log = one.log.read_text()
        assert "recovers without a quorum" in log and "a quorum was forced" in log, log
        # two of three, which think that they are a majority
        for member in (two, three):
            member.start()
        for member in (two, three):
            expect(member.wait(PATIENCE), HALTED)
            assert "log is of the history that ended" in member.log.read_text()
        assert "belongs to the history that ended" in one.log.read_text()
        # it restarts as what it is, and does nothing again
        one.stop()
        one.start()
        until("it leads", lambda: (one.raft() or {}).get("role") == "leader")
        expect(scene.get("later", [one]), "later\ntoo\n")


@check
def an_order_does_nothing_where_there_is_a_quorum(build):
    with Scene(build) as scene:
        one, two, three = scene.members
        scene.put("kept", "yes")
        one.stop()
        accept(scene, one)
        one.start()
        until("it is refused", lambda: (one.dir / "data/recovery.refused").exists())
        assert "refused to recover without a quorum" in one.log.read_text()
        until("it follows", lambda: scene.cluster.leader() and
              known(scene) == [3, 3, 3])
        scene.put("later", "too", [two, three])
        # nor is an order carried out that was given for another state of the log
        one.stop()
        accept(scene, one)
        order = (one.dir / "data/recovery").read_text()
        (one.dir / "data/recovery").unlink()
        one.start()
        scene.cluster.leader()
        scene.put("later", "still", [two, three])
        until("it has it", lambda: "still" in scene.run("kv", "get", "later", "--serializable",
                                                        members=[one]).stdout)
        scene.kill(*scene.members)
        (one.dir / "data/recovery").write_text(order)
        (one.dir / "data/recovery.refused").unlink()
        one.start()
        until("it is refused", lambda: (one.dir / "data/recovery.refused").exists())
        assert "the log has changed since" in one.log.read_text()


@check
def a_file_that_is_no_order_does_nothing(build):
    with Scene(build) as scene:
        one = scene.members[0]
        one.stop()
        good = accept(scene, one) and (one.dir / "data/recovery").read_text()
        for text in ("", "recover!", good[:-3], good + " ", good.replace("member=", "member=1"),
                     good.replace("cluster=", "cluster=0")):
            (one.dir / "data/recovery.refused").unlink(missing_ok=True)
            (one.dir / "data/recovery").write_text(text)
            one.start()
            until("it is refused", lambda: (one.dir / "data/recovery.refused").exists())
            one.stop()
        assert "is no order for this member" in one.log.read_text()
        one.start()
        until("it follows", lambda: scene.cluster.leader() and
              known(scene) == [3, 3, 3])


@check
def the_newest_of_five_is_found_by_reports_of_two_hosts(build):
    with Scene(build, 5) as scene:
        scene.put("kept", "yes")
        leader = scene.cluster.leader()
        stale, fresh = [m for m in scene.members if m is not leader][:2]
        stale.kill()
        scene.put("later", "too", [m for m in scene.members if m is not stale])
        until("it has it", lambda: "too" in scene.run("kv", "get", "later", "--serializable",
                                                      members=[fresh]).stdout)
        scene.kill(*scene.members)
        report = Path(scene.dir) / "report"
        report.write_text(scene.run("cluster", "survivors", data(fresh), "--report").stdout)
        looked = scene.run("cluster", "survivors", data(stale), str(report))
        spoken = scene.run("cluster", "survivors", data(stale), str(report), "--json")
        said = json.loads(spoken.stdout)
        assert spoken.returncode == looked.returncode and len(said["members"]) == 2, spoken
        expect(looked.returncode, 0)
        assert f"in {data(fresh)}: its log has the most" in looked.stdout, looked
        refused = scene.run("cluster", "recover", data(stale), str(report))
        expect(refused.returncode, 1)
        assert "is not the newest: choose " + data(fresh) in refused.stderr, refused
        accept(scene, fresh, stale)
        # the other survivor runs beside it, and its history ends under it
        stale.start()
        goes_on_alone(scene, fresh)
        expect(scene.get("later", [fresh]), "later\ntoo\n")
        expect(stale.wait(PATIENCE), HALTED)


def lose_everything(member):
    member.kill()
    shutil.rmtree(member.dir / "data")


@check
def who_lost_its_whole_data_dir_is_a_lost_disk(build):
    with Scene(build) as scene:
        one = scene.members[0]
        scene.put("kept", "yes")
        lose_everything(one)
        one.start()
        until("it asks", lambda: "verdict=wiped" in one.log.read_text())
        until("it is filled", lambda: scene.run("kv", "get", "kept", "--serializable",
                                                members=[one]).stdout == "kept\nyes\n")
        until("it is whole", lambda: (one.raft() or {}).get("impaired") == 0)
        assert (one.dir / "data/member").exists()


@check
def a_majority_that_lost_everything_does_not_found_the_cluster_again(build):
    with Scene(build) as scene:
        one, two, three = scene.members
        scene.put("kept", "yes")
        scene.kill(three)
        for member in (one, two):
            lose_everything(member)
        for member in (one, two):
            member.start()
        for member in (one, two):
            until("it waits", lambda m=member: "waits for another founder before it founds the "
                  "cluster\" name=node-3" in m.log.read_text())
            expect(until("it answers", member.raft)["ready"], "false")
        three.start()
        for member in (one, two):
            until("it knows", lambda m=member: "verdict=wiped" in m.log.read_text())
        time.sleep(3)
        expect({(m.raft() or {}).get("leader") for m in scene.members}, {"0"})
        # what is left is for an operator to decide
        for member in scene.members:
            member.stop()
        said = scene.run("cluster", "survivors", *[data(m) for m in scene.members])
        if said.returncode == 2:  # those that waited have no disk to look at
            said = scene.run("cluster", "survivors", data(three))
        expect(said.returncode, 0)
        accept(scene, three)
        goes_on_alone(scene, three)
        expect(scene.get("kept", [three]), "kept\nyes\n")


if __name__ == "__main__":
    sys.exit(run_checks())
