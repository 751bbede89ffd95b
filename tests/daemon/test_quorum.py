#!/usr/bin/env python3
"""test_quorum.py BUILD: what members of whole processes say, by gRPC and JSON, with a quorum and without:
ranges in parts, reads that may be stale, writes that are refused and why.
"""

import json
import subprocess
import sys
import urllib.error
import urllib.request

from checks import PATIENCE, Checks, expect, run_checks, until
from history_clients import coded
from scene import with_cluster

KEYS = 4000
check = Checks()


def post(member, path, body, headers={}):
    """Status, headers and text of what the gateway answers."""
    request = urllib.request.Request(f"{member.client_url}/v3/{path}", json.dumps(body).encode(),
                                     headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def novacron(member, *args):
    command = [member.cluster.build / "cli/novacron", *args, "--endpoints", member.client_url]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


@check
def streams_a_range_as_a_line_a_part(cluster):
    member = cluster.members[0]
    for start in range(0, KEYS, 100):
        puts = [{"request_put": {"key": coded(f"k{n:05}"), "value": coded("v" * 500)}}
                for n in range(start, start + 100)]
        expect(post(member, "kv/txn", {"success": puts})[0], 200)
    span = {"key": coded("k"), "range_end": coded("l")}
    status, headers, text = post(member, "kv/rangestream", span)
    expect((status, headers["novacron-stale"]), (200, None))
    parts = [json.loads(line)["result"]["range_response"] for line in text.splitlines()]
    whole = json.loads(post(member, "kv/range", span)[2])
    assert len(parts) > 4, len(parts)
    expect([kv for part in parts for kv in part.get("kvs", [])], whole["kvs"])
    expect(parts[-1]["count"], whole["count"])
    expect(parts[-1]["header"], whole["header"])
    assert not any("header" in part for part in parts[:-1])
    status, _, text = post(member, "kv/rangestream", {})
    expect((status, json.loads(text)["message"]), (400, "etcdserver: key is not provided"))


@check
def marks_what_may_be_stale_and_says_why_it_refuses(cluster):
    left = cluster.members[0]
    read = {"key": coded("k00000"), "serializable": True}
    expect(post(left, "kv/range", read)[1]["novacron-stale"], None)
    expect(novacron(left, "kv", "get", "k00000", "--serializable").stderr, "")
    for member in cluster.members[1:]:
        member.kill()
    until("the loss of the leader", lambda: left.raft()["leader"] in (None, "0"), PATIENCE)
    reason = "no leader; 1 of 3 voters reachable, not "

    status, headers, text = post(left, "kv/range", read)
    expect((status, headers["novacron-stale"]), (200, "true"))
    expect(json.loads(text)["count"], "1")
    expect(post(left, "kv/rangestream", read)[1]["novacron-stale"], "true")
    impatient = {"Grpc-Metadata-hasleader": "true"}
    status, headers, text = post(left, "kv/put", {"key": coded("k")}, impatient)
    expect((status, json.loads(text)["message"]), (503, "etcdserver: no leader"))
    assert headers["novacron-reason"].startswith(reason), headers["novacron-reason"]
    assert {"node-2", "node-3"} == set(headers["novacron-reason"][len(reason):].split(", "))

    got = novacron(left, "kv", "get", "k00000", "--serializable")
    assert got.returncode == 0 and "knows of no leader" in got.stderr, got
    put = novacron(left, "kv", "put", "k", "v")
    assert put.returncode == 2 and f"no leader ({reason}" in put.stderr, put
    health = health_of(left)
    assert reason in health["detail"] and health["reason"] == "RAFT NO LEADER", health

    for member in cluster.members[1:]:
        member.start()
    cluster.leader(PATIENCE)
    until("a write", lambda: novacron(left, "kv", "put", "k", "v").returncode == 0)
    expect(post(left, "kv/range", read)[1]["novacron-stale"], None)


def health_of(member):
    try:
        return json.loads(member.page("/health"))
    except urllib.error.HTTPError as error:
        return json.loads(error.read())


def run(cluster):
    cluster.start()
    cluster.leader()
    return run_checks(check.functions, (cluster,)) == 0


def main():
    return with_cluster(run)


if __name__ == "__main__":
    sys.exit(main())
