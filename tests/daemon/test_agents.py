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

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))

from checks import Checks, expect, run_checks, soon, until
from local_bmc import LocalBmc, is_installed
from local_cluster import Cluster, Member, free_ports
from local_hosts import BOOT, MARK
from test_machines import PATIENCE, Farm

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
        self.agents = []
        ports = free_ports(2 * len(AGENTS))
        for i, name in enumerate(AGENTS):
            client, peer = ports[2 * i], ports[2 * i + 1]
            folders = ", ".join(str(f) for f in [self.pool, self.build / "demo/guest"])
            text = agent_settings(self.cluster, name, client, peer) + (
                f"machines:\n  run_dir: {self.dir / name / 'machines'}\n"
                f"  folders: [{folders}]\n  storages: [pool]\n"
                f"  guard: {self.dir / name / 'guard.sock'}\n"
                "  move_address: 127.0.0.1\n"
                "  memory_mib: 2048\n  cpus: 8\n  accel: tcg\n")
            agent = Member(self.cluster, name, client, peer, text)
            boot = agent.dir / "boot"
            boot.write_text(BOOT.format(mark=MARK, dir=agent.dir, enter="",
                                        guard=self.build / "backend/guard/novacron-guard",
                                        daemon=self.cluster.program))
            boot.chmod(0o755)
            bmc = LocalBmc(self.dir / f"bmc-{name}", name)
            bmc.add("mark", f"{MARK}={agent.dir}")
            bmc.add("below", agent.dir)
            bmc.boots_by(str(boot))
            self.bmcs[name] = bmc
            self.agents.append(agent)
            self.names.append(name)

    def member(self, name):
        return next(m for m in self.cluster.members + self.agents if m.name == name)

    def is_ours(self, pid):
        if super().is_ours(pid):
            return True
        try:
            at = Path(f"/proc/{pid}/cwd").readlink()
        except OSError:
            return False
        return any(a.dir == at or a.dir in at.parents for a in self.agents)

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
    expect(farm.witness.end(), [])
    assert farm.witness.samples > 10


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
    until("the hosts are declared", lambda: subprocess.run(
        [cluster.build / "cli/novacron", "apply", "-f", "-", "--endpoints", cluster.endpoints,
         "--cacert", cluster.pki / "ca.crt", "--cert", cluster.pki / "client.crt",
         "--key", cluster.pki / "client.key"], input=manifest, text=True,
        capture_output=True).returncode == 0, PATIENCE)
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
    flags = ["--endpoints", cluster.endpoints, "--cacert", cluster.pki / "ca.crt",
             "--cert", cluster.pki / "client.crt", "--key", cluster.pki / "client.key"]
    novacron = cluster.build / "cli/novacron"
    before = subprocess.run([novacron, "member", "list", *flags], capture_output=True).stdout
    out = cluster.dir / "joined"
    words = [novacron, "cluster", "join", "host-9", "10.0.0.9", "--agent", "--ca", cluster.pki,
             "--dir", out, *flags]
    done = subprocess.run([*words, "--witness"], capture_output=True, text=True)
    assert done.returncode != 0 and "does not vote" in done.stderr, done
    done = subprocess.run(words, capture_output=True, text=True)
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
    after = subprocess.run([novacron, "member", "list", *flags], capture_output=True).stdout
    expect(after, before)


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


def main():
    build = Path(sys.argv[1]).resolve()
    wanted = sys.argv[2:]
    with_certificates(build)
    if not is_installed() or shutil.which("qemu-system-x86_64") is None or \
            not (build / "demo/guest/tiny-guest.elf").exists():
        print("# qemu, ipmi_sim, fence_ipmilan or the tiny guest is missing: no machines")
        return 0
    directory = tempfile.mkdtemp(prefix="novacron-test-")
    farm = AgentFarm(directory, build)
    failed = 1
    try:
        for name in farm.names:
            farm.bmcs[name].start()
            farm.boot(name)
            farm.member(name).process = True  # Cluster.leader asks those that have one
        farm.leader()
        hosts = [d.replace("agent: fence_ipmilan\n", "agent: fence_ipmilan\ntimeout_ms: 2000\n")
                 for d in farm.hosts_manifest()]
        expect(farm.declare("kind: settings\nlease_ms: 4000\n", *hosts).returncode, 0)
        soon(lambda: all(farm.read(f"/novacron/sights/bmc-{n}") for n in farm.names), PATIENCE)
        farm.witness.start()
        chosen = [f for f in check.functions if not wanted or f.__name__ in wanted]
        failed = run_checks(chosen, (farm,), stops_early=True)
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
