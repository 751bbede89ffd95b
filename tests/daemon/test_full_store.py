#!/usr/bin/env python3
"""test_full_store.py BUILD: a client fills the store, up to its quota. Clients are refused then, and a
machine whose host loses its power is recovered all the same, by a leader that begins in that state.
"""

import base64
import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))

from checks import Checks, expect, run_checks, soon, until
from history_clients import post
from local_bmc import is_installed
from local_hosts import HostFarm

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

    def is_back():
        owner = farm.owner("web")
        return owner.get("phase") == "running" and owner["host"] != host
    until("its machine runs elsewhere", is_back, PATIENCE)
    others = [n for n in farm.names if n != host]
    assert has_alarm(farm.member(others[0]))


def begin(farm):
    for member in farm.cluster.members:
        settings = member.dir / "novacrond.yaml"
        settings.write_text(settings.read_text() + f"quota_mib: {QUOTA_MIB}\n")
    leader = farm.start()
    farm.apply(farm.hosts_manifest())
    soon(lambda: all(farm.read(f"/novacron/sights/bmc-{n}") for n in farm.names), PATIENCE)
    soon(lambda: (farm.read(f"/novacron/agents/{leader}") or {}).get("storages"), PATIENCE)
    farm.apply([farm.machine("web", f"preferred: [{leader}]\n")])
    until("it runs", lambda: farm.owner("web").get("phase") == "running", PATIENCE)


def main():
    build = Path(sys.argv[1]).resolve()
    if not is_installed() or shutil.which("qemu-system-x86_64") is None or \
            not (build / "demo/guest/tiny-guest.elf").exists():
        print("1..0 # SKIP qemu, ipmi_sim, fence_ipmilan or the tiny guest is missing")
        return 77
    directory = tempfile.mkdtemp(prefix="novacron-test-")
    farm = HostFarm(directory, build)
    failed = 1
    try:
        begin(farm)
        failed = run_checks(check.functions, (farm,), stops_early=True)
    finally:
        farm.close()
        if failed:
            for name in farm.names:
                print(f"# {name}: " + "\n# ".join(
                    farm.member(name).log.read_text().splitlines()[-15:]))
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
