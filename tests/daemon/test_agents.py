#!/usr/bin/env python3
"""test_agents.py BUILD: hosts that run machines and do not vote: three members, two such hosts with
real QEMU machines, guards and management controllers; and who is served with which certificate.
Nothing here is bound to a time: a guest that lives twice, a wrong order and a wrong count are faults.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from checks import Checks, expect, until
from farm import SKIPPED, Farm, with_farm

from local_cluster import Cluster, Member, free_ports

PATIENCE = Farm.patience
AGENTS = ["agent-1", "agent-2"]
check = Checks()


def agent_settings(cluster, name, client_port, peer_port, certificate=None):
    """Of a daemon that does not vote; `certificate`: of whom, where it is not its own."""
    members = "".join(f"    - name: {n}\n      peer: {cluster.host_of(n)}:{p}\n"
                      for n, _, p in cluster.founders)
    tls = cluster.tls_settings(certificate or name)
    return (f"name: {name}\nrole: agent\ndata_dir: {cluster.dir / name / 'data'}\n"
            f"cluster:\n  name: local\n  members:\n{members}"
            f"peer:\n  listen: 127.0.0.1:{peer_port}\n{tls}"
            f"client:\n  listen: 127.0.0.1:{client_port}\n{tls}{cluster.extra}")


class AgentFarm(Farm):
    """Three members and the hosts behind them."""

    def __init__(self, directory, build):
        super().__init__(directory, build)
        ports = free_ports(2 * len(AGENTS))
        for i, name in enumerate(AGENTS):
            client, peer = ports[2 * i], ports[2 * i + 1]
            text = agent_settings(self.cluster, name, client, peer)
            self.add_host(Member(self.cluster, name, client, peer,
                                 text + self.cluster.machine_settings(name)))

    def session(self, name):
        """What the host says of who serves it; {} where it does not answer."""
        try:
            return json.loads(self.member(name).page("/debug/ha")).get("session", {})
        except OSError:
            return {}

    def is_served(self, name):
        return self.session(name).get("served") in (True, "true")


@check
def hosts_that_do_not_vote_are_served(farm):
    for name in AGENTS:
        until(f"{name} is served", lambda n=name: farm.is_served(n), PATIENCE)
        until("its agent is registered", lambda n=name: farm.read(f"/novacron/agents/{n}"), PATIENCE)
        expect(json.loads(farm.member(name).page("/health"))["health"], "true")
        assert "novacron_agent_is_served 1" in farm.member(name).page("/metrics")
    served = [json.loads(m.page("/debug/ha"))["agents"] for m in farm.cluster.members]
    expect(sorted(sum(served, [])), AGENTS)
    rows = [json.loads(line) for line in farm.run("host", "list", "--json").stdout.splitlines()]
    expect({r["spec"]["name"]: r["votes"] for r in rows},
           {n: n not in AGENTS for n in farm.names})
    said = json.loads(farm.run("status", "--json").stdout)
    expect((said["hosts"], said["hosts_up"], said["is_well"]), (5, 5, True))
    expect(said["hosts_not_voting"], 2)
    expect(said["losses_survived"], 1)  # of any hosts: of three that vote one may be lost


@check
def a_machine_runs_on_a_host_that_does_not_vote(farm):
    host = farm.make("vm-a", f"preferred: [{AGENTS[0]}]\n")
    expect(host, AGENTS[0])
    expect(len(farm.pids("vm-a")), 1)
    done = farm.run("vm", "migrate", "vm-a", AGENTS[1], "--wait", str(PATIENCE))
    expect((done.returncode, done.stdout + done.stderr if done.returncode else ""), (0, ""))
    expect(farm.runs_at("vm-a"), AGENTS[1])
    done = farm.run("vm", "migrate", "vm-a", AGENTS[0], "--wait", str(PATIENCE))
    expect((done.returncode, done.stderr), (0, ""))


@check
def its_daemon_dies_and_adopts_the_machine(farm):
    before = (farm.pids("vm-a"), farm.owner("vm-a")["epoch"])
    farm.kill_daemon(AGENTS[0])
    farm.boot(AGENTS[0])
    until("it is served again", lambda: farm.is_served(AGENTS[0]), PATIENCE)
    until("it says that it runs", lambda: farm.runs_at("vm-a") == AGENTS[0], PATIENCE)
    expect((farm.pids("vm-a"), farm.owner("vm-a")["epoch"]), before)


@check
def the_member_that_serves_it_dies_and_the_machine_runs_on(farm):
    before = (farm.pids("vm-a"), farm.owner("vm-a")["epoch"])
    by = farm.session(AGENTS[0])["by"]
    farm.kill_daemon(by)
    until("another serves it", lambda: farm.is_served(AGENTS[0]) and
          farm.session(AGENTS[0])["by"] != by, PATIENCE)
    farm.boot(by)
    farm.leader()
    time.sleep(5)  # more than a lease
    expect((farm.pids("vm-a"), farm.owner("vm-a")["epoch"]), before)
    expect(farm.fate(AGENTS[0]), "up")


@check
def its_power_is_lost_and_the_machine_runs_elsewhere(farm):
    farm.lose_power(AGENTS[0])
    until("its machine runs elsewhere", lambda: farm.runs_at("vm-a") not in ("", AGENTS[0]),
          2 * PATIENCE)
    expect(len(farm.pids("vm-a")), 1)
    assert farm.incidents(AGENTS[0])
    said = json.loads(farm.run("status", "--json").stdout)
    expect((said["hosts_up"], said["losses_survived"]), (4, 1))  # all three that vote are there
    farm.is_back(AGENTS[0])
    until("it is served again", lambda: farm.is_served(AGENTS[0]), PATIENCE)
    assert farm.runs_at("vm-a") != AGENTS[0]
    farm.remove("vm-a")


@check
def no_machine_lived_twice_and_no_counter_went_backwards(farm):
    farm.witness_saw_nothing_wrong()


# --- certificates ---------------------------------------------------------------------------------

class Locked(Cluster):
    """Members with certificates, and hosts that do not vote with theirs, or with others'."""

    def __init__(self, directory, build):
        super().__init__(directory, build, has_tls=True)
        for name in AGENTS:
            self.issue(name)

    def issue(self, name):
        subprocess.run([self.build / "cli/novacron", "ca", "issue", self.pki, name, "--host",
                        "127.0.0.1,localhost"], check=True, stdout=subprocess.DEVNULL)

    def run(self, *args, text=None):
        command = [self.build / "cli/novacron", *args, "--endpoints", self.endpoints, "--cacert",
                   self.pki / "ca.crt", "--cert", self.pki / "client.crt", "--key",
                   self.pki / "client.key"]
        return subprocess.run(command, input=text, text=True, capture_output=True)

    def agent(self, name, certificate=None):
        client, peer = free_ports(2)
        text = agent_settings(self, name, client, peer, certificate) + (
            f"machines:\n  run_dir: {self.dir / name / 'machines'}\n  folders: [{self.dir}]\n"
            "  accel: tcg\n")
        member = Member(self, name, client, peer, text)
        member.start()
        return member


def agent_log_has(member, text):
    return member.log.exists() and text in member.log.read_text()


def only_the_host_that_a_certificate_names_is_served(cluster):
    manifest = "---\n".join(f"kind: host\nname: {n}\n" for n in AGENTS)
    until("the hosts are declared", lambda: cluster.run("apply", "-f", "-", text=manifest)
          .returncode == 0, PATIENCE)
    good = cluster.agent(AGENTS[0])
    until("the one with its own certificate is served",
          lambda: agent_log_has(good, "msg=served"), PATIENCE)
    bad = cluster.agent(AGENTS[1], certificate=AGENTS[0])
    until("the one with another's is refused",
          lambda: agent_log_has(bad, "does not bear the name of this host"), PATIENCE)
    assert not agent_log_has(bad, "msg=served")
    stranger = "agent-3"
    cluster.issue(stranger)
    unknown = cluster.agent(stranger)
    until("one that nobody has declared is refused",
          lambda: agent_log_has(unknown, "novacron apply"), PATIENCE)
    joins_by_command(cluster)
    for member in (good, bad, unknown):
        expect(member.stop(), 0)


def joins_by_command(cluster):
    """What `cluster join --agent` writes is a configuration that the daemon understands; the cluster
    is as it was."""
    before = cluster.run("member", "list")
    expect(before.returncode, 0)
    out = cluster.dir / "joined"
    words = ["cluster", "join", "host-9", "10.0.0.9", "--agent", "--ca", cluster.pki, "--dir", out]
    done = cluster.run(*words, "--witness")
    assert done.returncode != 0 and "does not vote" in done.stderr, done
    done = cluster.run(*words)
    expect((done.returncode, done.stderr), (0, ""))
    assert "novacron apply" in done.stdout, done.stdout
    text = (out / "host-9/novacrond.yaml").read_text()
    assert "role: agent" in text and "\nid:" not in text, text
    expect(sorted(p.name for p in (out / "host-9").iterdir()),
           ["ca.crt", "health.keys", "host-9.crt", "host-9.key", "novacrond.yaml"])
    said = subprocess.run([cluster.program, "--config", out / "host-9/novacrond.yaml", "--check"],
                          capture_output=True, text=True)
    expect((said.returncode, said.stderr), (0, ""))
    assert said.stdout.startswith("agent host-9"), said.stdout
    expect(cluster.run("member", "list").stdout, before.stdout)


def with_certificates(build):
    directory = tempfile.mkdtemp(prefix="novacron-test-")
    cluster = Locked(directory, build)
    try:
        cluster.start()
        cluster.leader()
        only_the_host_that_a_certificate_names_is_served(cluster)
        print("ok - only the host that a certificate names is served")
    finally:
        cluster.stop()
        for member in list(cluster.dir.glob("agent-*/log")):
            print(f"# {member}: " + "\n# ".join(member.read_text().splitlines()[-5:]))
        shutil.rmtree(directory, ignore_errors=True)


def begin(farm):
    farm.begin("kind: settings\nlease_ms: 4000\n", device="timeout_ms: 2000\n")
    farm.witness.start()


def main():
    with_certificates(Path(sys.argv[1]).resolve())
    status = with_farm(check, begin, AgentFarm)
    return 0 if status == SKIPPED else status  # what takes no machines was looked at


if __name__ == "__main__":
    sys.exit(main())
