#!/usr/bin/env python3
"""test_debug.py BUILD: the pages below /debug, in both forms, of members that lead, follow, lag, are
gone, or only vote.
"""

import json
import signal
import sys
import urllib.error

from scene import Scene, check, expect, run_checks, until


def lines_of(value, indent=0, key=None):
    """The page in YAML, of what it is in JSON."""
    pad = "  " * indent
    head = f"{pad}{key}:" if key is not None else pad + "-"
    if isinstance(value, dict):
        if not value:
            return [head + " {}"]
        lines = [head] if key is not None else []
        for k, v in value.items():
            lines += lines_of(v, indent + 1, k)
        if key is None:
            lines[0] = pad + "- " + lines[0].lstrip()
        return lines
    if isinstance(value, list):
        if not value:
            return [head + " []"]
        return [head] + [line for v in value for line in lines_of(v, indent + 1)]
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    return [f"{head} {text}"]


def yaml_of(page):
    parsed = json.loads(page, parse_float=str, parse_int=int)
    lines = []
    for key, value in parsed.items():
        lines += lines_of(value, 0, key)
    return lines


def keys_of(lines):
    return [line.split(":")[0] for line in lines]


@check
def says_the_same_in_both_forms(build):
    with Scene(build) as scene:
        leader = scene.cluster.leader()
        for member in scene.members:
            page = member.page("/debug/config")
            expect(member.page("/debug/config?format=text").splitlines(), yaml_of(page))
            in_force = json.loads(page)
            expect(in_force["snapshot_entries"], 100000)
            assert {"log_level", "tracing_ratio", "health_off",
                    "peer_allow_plaintext", "client_require_certificate"} <= set(in_force), in_force
            # Raft's figures move between two pages, and some are there only while something is
            # under way: what there is must be the same once they were taken at a quiet moment.
            until("both forms have the same", lambda m=member:
                  keys_of(m.page("/debug/raft?format=text").splitlines()) ==
                  keys_of(yaml_of(m.page("/debug/raft"))))
        assert any(line.startswith("    progress:") for line in
                   leader.page("/debug/raft?format=text").splitlines())
        index = leader.page("/debug/")
        for path in ("/debug/raft", "/debug/config", "/metrics"):
            assert path in index, index
        try:
            leader.page("/debug/nothing")
            raise AssertionError("a page that is none")
        except urllib.error.HTTPError as e:
            expect(e.code, 404)


@check
def tells_the_progress_of_each_peer(build):
    with Scene(build) as scene:
        leader = scene.cluster.leader()
        scene.put("a", "1")
        said = leader.raft()
        expect(len(said["peers"]), 2)
        others = {m["id"] for m in said["members"]} - {said["id"]}
        expect({p["id"] for p in said["peers"]}, others)
        for peer in said["peers"]:
            assert peer["log_stream_out"] and peer["log_stream_in"], peer
            assert peer["bytes_sent"] > 0 and peer["bytes_received"] > 0, peer
            expect(peer["progress"]["state"], "replicate")
            assert peer["progress"]["match"] <= said["last"], peer
            assert peer["progress"]["inflight_messages_max"] > 0, peer
        assert said["election"]["leads_for"] > 0 and said["config"]["election_timeout"] == 1.0
        follower = [m for m in scene.members if m is not leader][0].raft()
        expect(len(follower["peers"]), 2)
        assert all("progress" not in p for p in follower["peers"]), follower
        assert follower["election"]["leader_heard_ago"] < 5, follower["election"]


@check
def shows_a_peer_that_hangs_and_one_that_is_gone(build):
    with Scene(build) as scene:
        leader = scene.cluster.leader()
        hangs, goes = [m for m in scene.members if m is not leader]
        ids = {m.name: m.raft()["id"] for m in scene.members}

        def peer(member):
            return [p for p in leader.raft()["peers"] if p["id"] == ids[member.name]][0]

        hangs.send(signal.SIGSTOP)
        for i in range(20):
            scene.put(f"key-{i}", "x", [leader])
        until("it lags", lambda: peer(hangs)["progress"]["match"] < leader.raft()["last"])
        until("it is silent", lambda: peer(hangs)["progress"]["heard_ago"] > 0.5)
        hangs.send(signal.SIGCONT)
        until("it has caught up", lambda: peer(hangs)["progress"]["match"] == leader.raft()["last"])
        goes.kill()
        until("its streams have ended", lambda: not peer(goes)["log_stream_out"]
              and not peer(goes)["log_stream_in"])
        until("it is probed", lambda: peer(goes)["progress"]["state"] == "probe")


@check
def shows_who_is_in_sync_beside_a_witness(build):
    with Scene(build, traits={"node-3": ["witness: true"]}) as scene:
        leader = scene.cluster.leader()
        scene.put("a", "1", [leader])
        said = leader.raft()
        expect(said["changes"]["in_sync_rule"], 1)
        expect(len(said["changes"]["in_sync"]), 2)
        expect(sorted(m["role"] for m in said["members"]), ["voter", "voter", "witness"])
        expect(sum(m.get("in_sync", 0) for m in said["members"]), 2)
        other = [m for m in scene.members[:2] if m is not leader][0]
        other.kill()
        until("it is alone in sync", lambda: leader.raft()["changes"]["in_sync"] == [said["id"]])
        until("and says so, once that is agreed on", lambda: leader.raft()["exposed"] == 1)


if __name__ == "__main__":
    sys.exit(run_checks())
