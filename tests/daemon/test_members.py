#!/usr/bin/env python3
"""test_members.py BUILD: who belongs to a cluster of daemons, and with which part: witnesses,
priorities, learners; by the command line alone. Under a minute.
"""

import sys

from scene import Scene, check, expect, run_checks, until


def line_of(scene, member):
    """What `cluster status` says of a member."""
    return scene.run("cluster", "status", members=[member]).stdout


def names_of(scene, member):
    """`member list`, once all have said what they are called."""
    def listed():
        text = scene.run("member", "list", members=[member]).stdout
        return text if all(m.name in text for m in scene.members) else ""
    return until("all have names", listed)


def state_of(member, key):
    return (member.raft() or {}).get(key)


@check
def two_replicas_and_a_witness_lose_one_and_say_so(build):
    with Scene(build, traits={"node-3": ["witness: true"]}) as scene:
        leader = scene.cluster.leader()
        one, two, witness = scene.members
        assert leader is not witness
        other = two if leader is one else one
        until("the witness has a name", lambda: "witness" in scene.run(
            "member", "list", members=[leader]).stdout and "node-3" in scene.run(
            "member", "list", members=[leader]).stdout)
        scene.put("kept", "yes", [leader, other])
        assert " witness " in line_of(scene, witness), line_of(scene, witness)
        assert "EXPOSED" not in line_of(scene, leader)
        other.kill()
        scene.put("alone", "yes", [leader])  # waits until the other is out of the in-sync set
        until("it is exposed", lambda: "EXPOSED" in line_of(scene, leader))
        expect(scene.run("cluster", "status", members=[leader]).returncode, 1)
        expect(state_of(leader, "exposed"), 1)
        other.start()
        until("that ends", lambda: "EXPOSED" not in line_of(scene, leader) and
              state_of(leader, "exposed") == 0)
        # and it has what was written without it: the other may go
        leader.kill()
        until("it leads", lambda: state_of(other, "role") == "leader")
        expect(scene.get("alone", [other]), "alone\nyes\n")
        scene.put("later", "yes", [other])
        expect(scene.run("kv", "get", "kept", "--serializable", members=[witness]).returncode, 2)


@check
def the_member_of_the_highest_priority_takes_the_lead(build):
    with Scene(build, traits={"node-2": ["priority: 200"], "node-3": ["priority: 0"]}) as scene:
        one, two, three = scene.members
        until("node-2 leads", lambda: state_of(two, "role") == "leader")
        assert "  priority 200" in line_of(scene, two), line_of(scene, two)
        listed = names_of(scene, two)
        ids = {line.split()[3]: line.split()[0] for line in listed.splitlines()}
        expect(scene.run("member", "priority", ids["node-1"], "250", members=[two]).returncode, 0)
        until("node-1 leads", lambda: state_of(one, "role") == "leader")
        expect(scene.run("member", "priority", ids["node-1"], "256", members=[two]).returncode, 64)
        two.kill()
        one.kill()
        two.start()
        until("node-2 leads, and not node-3", lambda: state_of(two, "role") == "leader")


@check
def a_voter_becomes_a_learner_and_back(build):
    with Scene(build) as scene:
        leader = scene.cluster.leader()
        other = next(m for m in scene.members if m is not leader)
        listed = names_of(scene, leader)
        member = next(line.split()[0] for line in listed.splitlines() if other.name in line)
        demoted = scene.run("member", "demote", member, members=[leader])
        expect((demoted.returncode, demoted.stdout), (0, f"{member} is a learner now\n"))
        assert " learner " in line_of(scene, other), line_of(scene, other)
        until("it has caught up", lambda: scene.run("member", "promote", member,
                                                    members=[leader]).returncode == 0)
        until("it votes", lambda: " follower " in line_of(scene, other))
        moved = scene.run("member", "update", member, f"http://{other.peer}", members=[other])
        expect(moved.returncode, 0)


if __name__ == "__main__":
    sys.exit(run_checks())
