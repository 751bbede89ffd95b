"""A cluster of novacrond processes on loopback, below one directory: for scripts/cluster.py, the
tests of the daemon and the benches. Ports are picked by the system; each process is ended by its id.
"""

import json
import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def free_ports(count):
    """Ports that nobody listened on a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Member:
    def __init__(self, cluster, name, client_port, peer_port, settings):
        self.cluster = cluster
        self.name = name
        self.client_port = client_port
        self.peer_port = peer_port
        self.dir = cluster.dir / name
        self.dir.mkdir(exist_ok=True)
        self.process = None
        self.host = cluster.host_of(name)
        self.prefix = []  # a command that runs the daemon: in another namespace
        self.env = {}  # over the cluster's
        self.config = self.dir / "novacrond.yaml"
        self.config.write_text(settings)

    @property
    def client_url(self):
        return f"{self.cluster.scheme}://{self.host}:{self.client_port}"

    @property
    def peer(self):
        return f"{self.host}:{self.peer_port}"

    @property
    def log(self):
        return self.dir / "log"

    def start(self, *args):
        with open(self.log, "ab") as log:
            command = [*self.prefix, self.cluster.program, "--config", self.config, *args]
            self.process = subprocess.Popen(command, stderr=log,
                                            env={**self.cluster.env, **self.env})

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        """As a crash would."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self, patience=10):
        """As an operator would; its exit status, or None where it had to be killed."""
        if not self.process:
            return None
        self.send(signal.SIGTERM)
        return self.wait(patience)

    def wait(self, patience):
        try:
            status = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        self.process = None
        return status

    def page(self, path, patience=2):
        with urllib.request.urlopen(self.client_url + path, timeout=patience,
                                    context=self.cluster.context) as answer:
            return answer.read().decode()

    def raft(self):
        """What /debug/raft says; None where it does not answer."""
        try:
            return json.loads(self.page("/debug/raft"))
        except (OSError, ValueError):
            return None


class Cluster:
    def __init__(self, directory, build, size=3, has_tls=False, extra="", traits=None, hosts=None):
        """`traits` gives further settings of founders by their name: {"node-3": ["witness: true"]};
        `hosts`, addresses of the members in networks of their own, in their order; else all are on
        loopback, at ports that are free."""
        self.dir = Path(directory)
        self.build = Path(build)
        self.program = self.build / "backend/novacrond/novacrond"
        self.has_tls = has_tls
        self.scheme = "https" if has_tls else "http"
        self.extra = extra
        self.traits = traits or {}
        self.hosts = dict(zip((f"node-{i + 1}" for i in range(size)), hosts or []))
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("NOVACRON_")}
        ports = [2379, 2380] * size if hosts else free_ports(2 * size)
        self.founders = [(f"node-{i + 1}", ports[2 * i], ports[2 * i + 1]) for i in range(size)]
        self.members = []
        self.context = None
        if has_tls:
            self.make_authority()
            self.context = ssl.create_default_context(cafile=self.pki / "ca.crt")
            self.context.load_cert_chain(self.pki / "client.crt", self.pki / "client.key")
        for founder in self.founders:
            self.add(*founder)

    def host_of(self, name):
        return self.hosts.get(name, "127.0.0.1")

    def make_authority(self):
        novacron = self.build / "cli/novacron"
        self.pki = self.dir / "pki"
        subprocess.run([novacron, "ca", "init", self.pki], check=True, stdout=subprocess.DEVNULL)
        for name in [name for name, _, _ in self.founders] + ["client"]:
            command = [novacron, "ca", "issue", self.pki, name, "--host", "127.0.0.1,localhost"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        if "health:" not in self.extra:  # with which hosts watch each other
            keys = self.pki / "health.keys"
            keys.touch(mode=0o600)
            keys.write_text(os.urandom(32).hex() + "\n")
            self.extra += f"health:\n  keys: {keys}\n"

    def tls_settings(self, name):
        if not self.has_tls:
            return ""
        return (f"  tls:\n    ca: {self.pki}/ca.crt\n    cert: {self.pki}/{name}.crt\n"
                f"    key: {self.pki}/{name}.key\n")

    def settings(self, name, client_port, peer_port, state="new", member_id=None):
        tls = self.tls_settings(name)
        lines = [f"name: {name}", f"data_dir: {self.dir / name / 'data'}", "cluster:",
                 "  name: local", f"  state: {state}", "  members:"]
        for founder, _, port in self.founders:
            lines += [f"    - name: {founder}", f"      peer: {self.host_of(founder)}:{port}"]
            lines += [f"      {trait}" for trait in self.traits.get(founder, [])]
        lines += [f"id: {member_id}"] if member_id else []
        host = self.host_of(name)
        plain = "  allow_plaintext: true\n" if self.hosts and not self.has_tls else ""
        return ("\n".join(lines) + f"\npeer:\n  listen: {host}:{peer_port}\n{tls}{plain}"
                f"client:\n  listen: {host}:{client_port}\n{tls}{plain}{self.extra}")

    def add(self, name, client_port, peer_port, state="new", member_id=None):
        text = self.settings(name, client_port, peer_port, state, member_id)
        member = Member(self, name, client_port, peer_port, text)
        self.members.append(member)
        return member

    @property
    def endpoints(self):
        return ",".join(m.client_url for m in self.members)

    def start(self):
        for member in self.members:
            member.start()

    def leader(self, patience=10):
        """The member that leads, and that all that run follow; waits for it."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            states = [(m, m.raft()) for m in self.members if m.process]
            said = {s.get("leader") for _, s in states if s}
            leads = [m for m, s in states if s and s.get("role") == "leader"]
            if len(leads) == 1 and len(said) == 1 and None not in said:
                return leads[0]
            time.sleep(0.02)
        raise TimeoutError(f"no leader within {patience} s; the logs are below {self.dir}")

    def stop(self):
        for member in self.members:
            if member.process:
                member.process.send_signal(signal.SIGCONT)
                member.send(signal.SIGTERM)
        for member in self.members:
            if member.process:
                member.wait(8)
