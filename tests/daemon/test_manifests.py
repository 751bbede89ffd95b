#!/usr/bin/env python3
"""test_manifests.py BUILD: what docs/manifests.md shows is what `novacron apply` takes, and says.
Against three members without machines. A few seconds.
"""

import re
import subprocess
import sys

from checks import PATIENCE, Checks, expect, run_checks, until
from scene import with_cluster

from local_cluster import ROOT

check = Checks()

# Manifests that are wrong, and what is said of each; the page shows some of it.
BAD = [
    ("kind: vm\nname: web-1\nmemory_mib: 0\nvolume: web-1.img\nstorage: pool\n",
     "3: memory_mib: 0 is too small; 1 to 16777216 is allowed"),
    ("kind: vm\nname: web-1\nmemory_mib: 512\nvolume: web-1.img\nstorage: pool\nrestart:\n"
     "  delay_ms: 5000000\n", "7: restart.delay_ms: 5000000 is too large; 0 to 3600000 is allowed"),
    ("kind: host\nname: a\nname: b\n", "3: this key was there before"),
    ("kind: vm\nname: web-1\nmemory_mib: 512\nvolume: web-1.img\n",
     "1: storage: name the shared storage; or, for a disk that one host has, give that host alone "
     "in `allowed`: the machine is not protected then"),
    ("kind: host\nname: a\nfence_count: 1\n",
     "3: fence_count: commands write it (vm start, vm migrate, host fence); leave it out"),
    ("kind: host\nname: a\n---\nkind: host\nname: a\n",
     "4: name: an earlier document of this file has it, too"),
    ("kind: host\nname: a\nlevels:\n  - [b]\n  - [c,\n     C]\n",
     "6: levels[1][1]: it is no name: letters a to z, digits, '-', '_' and '.', at most 63, a letter "
     "or digit first"),
    ("kind: device\nname: a\nagent: fence_x\nparameters:\n  ip: '1'\n  action: 'on'\n",
     "6: parameters.action: what the agent does is not a parameter; leave it out"),
    ("name: a\n", "1: kind is missing: one of vm, host, device, storage, settings"),
]
SHOWN = 4


class Cli:
    def __init__(self, cluster):
        self.cluster = cluster
        self.program = cluster.build / "cli/novacron"
        self.flags = ["--endpoints", cluster.endpoints]

    def __call__(self, *args, given=None, status=0):
        done = subprocess.run([self.program, *args, *self.flags], text=True, input=given,
                              capture_output=True, timeout=PATIENCE)
        expect((done.returncode, done.stderr if status == 0 and "note" not in done.stderr else ""),
               (status, ""))
        return done.stdout + done.stderr


def page():
    return (ROOT / "docs/manifests.md").read_text()


def examples():
    """The indented blocks that are manifests."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", page(), re.M)
    texts = [re.sub(r"^    ", "", b, flags=re.M).strip() + "\n" for b in blocks]
    return [t for t in texts if t.startswith("kind:")]


def records(cli):
    return cli("kv", "get", "/novacron/", "--prefix", "--keys-only").split()


@check
def takes_every_example_of_the_page(cli):
    kinds = {re.match(r"kind: (\w+)", text)[1] for text in examples()}
    expect(kinds, {"vm", "host", "device", "storage", "settings"})
    for text in examples():
        said = cli("apply", "-f", "-", "--dry-run", given=text)
        assert "created (not written: --dry-run)" in said, (text, said)
    assert not [key for key in records(cli) if key != "/novacron/leader"], records(cli)


@check
def says_what_the_page_says_of_what_is_wrong(cli):
    for text, wanted in BAD:
        said = cli("apply", "-f", "-", given=text, status=64)
        expect(said, f"novacron apply: -:{wanted}\n")
    shown = re.findall(r"^    novacron apply: lab.yaml:(.*)$", page(), re.M)
    expect([text for text in shown if ": note: " not in text],
           [wanted for _, wanted in BAD[:SHOWN]])


@check
def says_what_is_wrong_with_a_file_without_a_server(cli):
    nowhere = Cli(cli.cluster)
    nowhere.flags = ["--endpoints", "127.0.0.1:1"]
    said = nowhere("apply", "-f", "-", given=BAD[0][0], status=64)
    expect(said, f"novacron apply: -:{BAD[0][1]}\n")


@check
def writes_all_of_a_file_or_nothing(cli):
    good = "kind: storage\nname: pool\ntype: file\npath: /srv/pool\n"
    cli("apply", "-f", "-", given=good + "---\n" + BAD[0][0], status=64)
    assert "/novacron/storages/pool" not in records(cli)
    expect(cli("apply", "-f", "-", given=good), "storages/pool created\n")
    expect(cli("apply", "-f", "-", given=good), "storages/pool changed\n")


@check
def notes_where_a_file_names_what_there_is_not(cli):
    text = ("kind: vm\nname: web-9\nmemory_mib: 64\nvolume: web.img\nstorage: pool-9\nallowed:\n"
            "  - a9\n  - b9\napart: [web-8]\n---\nkind: host\nname: a9\nlevels:\n  - [bmc-9,\n"
            "     bmc-8]\n---\nkind: device\nname: bmc-9\nagent: fence_x\n")
    said = cli("apply", "-f", "-", "--dry-run", given=text)
    notes = [line for line in said.splitlines() if "note" in line]
    expect(notes, [f"novacron apply: -:{note} yet" for note in (
        "5: note: storage: there is no storage pool-9",
        "8: note: allowed[1]: there is no host b9",
        "9: note: apart[0]: there is no machine web-8",
        "15: note: levels[0][1]: there is no fence device bmc-8")])


@check
def keeps_what_commands_have_set(cli):
    machine = "kind: vm\nname: web-1\nmemory_mib: 512\nvolume: web-1.img\nstorage: pool\n"
    cli("apply", "-f", "-", given=machine)
    cli("vm", "stop", "web-1")
    cli("apply", "-f", "-", given=machine + "cpus: 2\n")
    said = cli("vm", "show", "web-1")
    assert '"desired": "stopped"' in said and '"cpus": 2' in said, said


@check
def refuses_a_move_to_where_the_machine_does_not_fit(cli):
    cli("apply", "-f", "-", given="kind: host\nname: m1\n---\nkind: host\nname: m2\n---\n"
        "kind: storage\nname: pool\ntype: file\npath: /srv\n---\n"
        "kind: vm\nname: mover\nmemory_mib: 64\nvolume: m.img\nstorage: pool\nallowed: [m1]\n")
    expect(cli("vm", "migrate", "mover", "m2", status=2),
           "novacron vm migrate: mover does not fit there, and nothing was changed: m2: its agent has "
           "not said yet what it has\n")
    assert "move_to" not in cli("vm", "show", "mover")


@check
def forgets_a_move_that_is_allowed_no_more(cli):
    """The record as it is after `vm migrate`; nobody could read it with what is applied then."""
    moved = ('{"name":"mover","memory_mib":64,"volume":"m.img","storage":"pool","allowed":["m1"],'
             '"move_to":"m1","start_count":3}')
    cli("kv", "put", "/novacron/vms/mover", moved)
    manifest = "kind: vm\nname: mover\nmemory_mib: 64\nvolume: m.img\nstorage: pool\nallowed: [%s]\n"
    cli("apply", "-f", "-", given=manifest % "m1, m2")
    assert '"move_to": "m1"' in cli("vm", "show", "mover")
    cli("apply", "-f", "-", given=manifest % "m2")
    said = cli("vm", "show", "mover")
    assert "move_to" not in said and '"start_count": 3' in said, said


@check
def raises_counters_above_what_was_obeyed(cli):
    """Records that were declared anew begin at 0. What was obeyed for those before is remembered,
    and no leader obeys a count that is no more than that."""
    cli("apply", "-f", "-", given="kind: host\nname: anew\nlevels: [[bmc-anew]]\n---\n"
        "kind: vm\nname: anew\nmemory_mib: 64\nvolume: a.img\nstorage: pool\ndesired: stopped\n")
    cli("kv", "put", "/novacron/fates/anew", '{"host":"anew","phase":"up","fence_count":3}')
    cli("host", "fence", "anew")
    said = cli("host", "show", "anew")
    assert '"fence_count": 4' in said, said
    cli("kv", "put", "/novacron/owners/anew", '{"vm":"anew","phase":"stopped","start_count":6}')
    cli("vm", "start", "anew")
    said = cli("vm", "show", "anew")
    assert '"start_count": 7' in said, said
    cli("vm", "start", "anew")
    assert '"start_count": 8' in cli("vm", "show", "anew")
    for key in ("hosts/anew", "vms/anew", "owners/anew", "fates/anew"):
        cli("kv", "del", "/novacron/" + key)


@check
def replaces_a_record_that_cannot_be_read(cli):
    cli("kv", "put", "/novacron/hosts/a", "{}")
    said = cli("status", status=1)
    assert "/novacron/hosts/a: name: it is missing" in said, said
    expect(cli("apply", "-f", "-", given="kind: host\nname: a\n"), "hosts/a changed\n")
    assert "cannot be read" not in cli("host", "show", "a")


@check
def names_of_nothing_end_with_2(cli):
    for command in (["vm", "show"], ["vm", "explain"], ["vm", "delete"], ["host", "show"],
                    ["host", "fence"], ["incident", "show"]):
        said = cli(*command, "nobody", status=2)
        assert "nobody" in said, said


def run(cluster):
    cli = Cli(cluster)
    cluster.start()
    cluster.leader()
    until("it serves", lambda: records(cli) or True)
    return run_checks(check.functions, (cli,)) == 0


def main():
    return with_cluster(run)


if __name__ == "__main__":
    sys.exit(main())
