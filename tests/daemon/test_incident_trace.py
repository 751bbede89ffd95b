#!/usr/bin/env python3
"""test_incident_trace.py BUILD: the loss of a host as one trace at a collector: real QEMU machines on
three hosts with management controllers, whose power is cut; also when the leader's daemon is killed
in the middle, so that another one closes the incident. Counts and order are looked at, no times.
"""

import sys

from checks import Checks, expect, until
from farm import Farm, with_farm
from test_tracing import Collector

PATIENCE = 60
check = Checks()


class TracedFarm(Farm):
    patience = PATIENCE

    def __init__(self, directory, build, collector):
        super().__init__(directory, build)
        self.collector = collector
        for member in self.cluster.members:
            with member.config.open("a") as file:
                file.write(f"tracing:\n  endpoint: http://127.0.0.1:{collector.port}\n  ratio: 0\n")

    def make_at(self, name, host):
        self.make(name, f"preferred: [{host}]\nstop_ms: 1000\n")

    def incident(self, host):
        mine = self.incidents(host)
        return mine[-1] if mine else None

    def closed(self, host):
        return until("the incident is closed", lambda: (
            lambda i: i if i and i["closed"] else None)(self.incident(host)), PATIENCE)

    def trace(self, incident):
        """Its spans, each once: who leads next may send them again."""
        spans = self.collector.wait(lambda s: s["traceId"] == incident["trace"] and
                                    s["name"] == "incident", PATIENCE)
        ids = {s["spanId"]: s for s in self.collector.spans if s["traceId"] == incident["trace"]}
        expect({s["spanId"] for s in spans}, {spans[0]["spanId"]})
        return spans[0], ids


def nests(root, ids):
    """Every span but the root has a parent that is there, and that lasts as long at least."""
    for span in ids.values():
        if span is root or span["spanId"] == root["spanId"]:
            expect(span["parent"], "")
            continue
        parent = ids[span["parent"]]
        assert parent["begin"] <= span["begin"] <= span["end"] <= parent["end"], (parent, span)


def named(ids, name):
    return sorted((s for s in ids.values() if s["name"] == name), key=lambda s: s["begin"])


@check
def the_loss_of_a_host_is_one_trace(farm):
    leader = farm.leader()
    host = next(n for n in farm.names if n != leader)
    farm.make_at("vm-a", host)
    farm.make_at("vm-b", host)
    lost = [m for m in ("vm-a", "vm-b") if farm.runs_at(m) == host]
    assert lost
    farm.lose_power(host)
    incident = farm.closed(host)
    root, ids = farm.trace(incident)
    nests(root, ids)
    expect(root["attributes"]["novacron.incident"], incident["id"])
    expect(root["attributes"]["novacron.host"], host)
    expect(root["attributes"]["novacron.proof"], "fenced")
    expect(root["attributes"]["novacron.machines"], len(lost))
    expect(root["status"], {})
    expect(abs(root["end"] - root["begin"] - (incident["steps"][-1]["at_ms"] +
                                              incident["unheard_ms"]) * 1000000) < 1000000, True)
    detect, decide, fence = (named(ids, f"incident.{n}")[0] for n in ("detect", "decide", "fence"))
    assert detect["end"] <= decide["begin"] <= decide["end"] <= fence["begin"]
    expect(fence["attributes"]["novacron.result"], "fenced")
    devices = named(ids, "incident.device")
    expect({d["attributes"]["novacron.device"] for d in devices}, {f"bmc-{host}"})
    expect({d["parent"] for d in devices}, {fence["spanId"]})
    expect(devices[0]["attributes"]["novacron.command"], "off")
    expect(devices[-1]["attributes"]["novacron.result"], "read-off")
    for vm in lost:
        way = [s for n in ("place", "start", "verify") for s in named(ids, f"incident.{n}")
               if s["attributes"]["novacron.vm"] == vm]
        expect([s["name"] for s in way], ["incident.place", "incident.start", "incident.verify"])
        assert fence["end"] <= way[0]["begin"]
        assert way[0]["end"] <= way[1]["begin"] and way[1]["end"] <= way[2]["begin"], way
        owner = farm.owner(vm)
        expect({s["attributes"]["novacron.epoch"] for s in way}, {owner["epoch"]})
        expect({s["attributes"]["novacron.host"] for s in way}, {owner["host"]})
        expect(way[0]["attributes"]["novacron.proof"], "fenced")
    assert incident["trace"] in farm.novacron("incident", "show", incident["id"])
    farm.power_on(host)
    until(f"{host} is up", lambda: farm.fate(host) == "up", PATIENCE)


@check
def another_leader_sends_all_of_it(farm):
    leader = farm.leader()
    host = next(n for n in farm.names if n != leader and n != farm.runs_at("vm-a"))
    farm.make_at("vm-c", host)
    host = farm.runs_at("vm-c")
    if host == leader:
        farm.make_at("vm-d", next(n for n in farm.names if n != leader))
        host = farm.runs_at("vm-d")
    known = (farm.incident(host) or {}).get("id")
    leader = farm.leader()
    farm.lose_power(host)
    until("an incident is open", lambda: (farm.incident(host) or {}).get("id") not in (None, known),
          PATIENCE)
    if leader != host:
        farm.kill_daemon(leader)
        farm.boot(leader)
    incident = farm.closed(host)
    root, ids = farm.trace(incident)
    nests(root, ids)
    expect(root["attributes"]["novacron.incident"], incident["id"])
    placed = {s["who"] for s in incident["steps"] if s["what"] == "placed"}
    expect({s["attributes"]["novacron.vm"] for s in named(ids, "incident.place")}, placed)
    expect(len(named(ids, "incident.detect")), 1)


def main():
    collector = Collector()
    try:
        return with_farm(check, Farm.begin, lambda *where: TracedFarm(*where, collector))
    finally:
        collector.close()


if __name__ == "__main__":
    sys.exit(main())
