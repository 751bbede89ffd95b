#!/usr/bin/env python3
"""test_full_store.py BUILD: a client fills the store, up to its quota. Clients are refused then, and a
machine whose host loses its power is recovered all the same, by a leader that begins in that state.
"""

import base64
import json
import sys

from checks import Checks, expect, until
from farm import with_farm
from history_clients import post

PATIENCE = 60
QUOTA_MIB = 16
check = Checks()


def put(member, key, size):
    """The status of the answer, and what it says."""
    body = {"key": base64.b64encode(key.encode()).decode(),
            "value": base64.b64encode(b"x" * size).decode()}
    status, answer = post(member, "/v3/kv/put", body, PATIENCE)
    return status, json.dumps(answer)


def has_alarm(member):
    return "NOSPACE" in json.dumps(post(member, "/v3/maintenance/alarm", {}, PATIENCE)[1])


@check
def a_client_that_fills_the_store_is_refused_wherever_it_writes(farm):
    member = farm.member(farm.names[0])
    said = ""
    for i in range(4 * QUOTA_MIB):
        status, said = put(member, f"fill/{i}", 512 * 1024)
        if status != 200:
            break
    assert "space exceeded" in said, said
    until("the alarm is raised", lambda: has_alarm(member), PATIENCE)
    status, said = put(member, "/novacron/vms/of-a-client", 1024)
    assert status != 200 and "space exceeded" in said, (status, said)


@check
def a_leader_that_begins_then_recovers_machines(farm):
    leader = farm.cluster.leader().name
    host = farm.owner("web")["host"]
    expect(host, leader)
    farm.lose_power(host)
    until("its machine runs elsewhere", lambda: farm.runs_at("web") not in ("", host), PATIENCE)
    others = [n for n in farm.names if n != host]
    assert has_alarm(farm.member(others[0]))


def begin(farm):
    for member in farm.cluster.members:
        with member.config.open("a") as file:
            file.write(f"quota_mib: {QUOTA_MIB}\n")
    farm.begin()
    leader = farm.leader()
    until("machines may go there",
          lambda: (farm.read(f"/novacron/agents/{leader}") or {}).get("storages"), PATIENCE)
    farm.make("web", f"preferred: [{leader}]\n")


def main():
    return with_farm(check, begin)


if __name__ == "__main__":
    sys.exit(main())
