"""A cluster of Debian's Pacemaker and Corosync on one machine: three nodes, each in namespaces of its
own, with one QEMU machine of the tiny guest as its resource and a fence agent that takes no time.
For root alone; before any thread is started, for it takes this process to a network of its own, in
which the bridge is. All of it ends with this process, however that ends.

    lab = Pacemaker(directory, guest)
    lab.start()
    lab.tune(1000)
    lab.place("n2")
    lab.lose_power("n2")
    lab.power_on()
    lab.close()
"""

import ctypes
import os
import shutil
import subprocess
import threading
import time
import uuid
from pathlib import Path
from xml.etree import ElementTree

CLONE_NEWNET = 0x40000000
HERE = Path(__file__).resolve().parent / "pacemaker"
NAMES = ["n1", "n2", "n3"]
PROGRAMS = ["corosync", "pacemakerd", "crm_mon", "crm_resource", "crm_attribute", "cibadmin",
            "corosync-cfgtool", "corosync-cmapctl", "ip", "unshare", "nsenter", "setpriv",
            "qemu-system-x86_64"]
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
ONLINE_S = 120  # a first start waits 20 s for others that might lead (dc-deadtime)
RESOURCE = "web"

COROSYNC = """\
totem {{
    version: 2
    cluster_name: bench
    transport: knet
    crypto_cipher: none
    crypto_hash: none
{token}}}
nodelist {{
{nodes}}}
quorum {{
    provider: corosync_votequorum
}}
system {{
    sched_rr: no
    move_to_root_cgroup: no
}}
logging {{
    to_syslog: no
    to_stderr: yes
}}
"""
NODE = """\
    node {{
        ring0_addr: {address}
        name: {name}
        nodeid: {number}
    }}
"""
FENCE = """\
<primitive id="fence" class="stonith" type="fence_bench">
  <instance_attributes id="fence-attributes">
    <nvpair id="fence-list" name="pcmk_host_list" value="{names}"/>
    <nvpair id="fence-check" name="pcmk_host_check" value="static-list"/>
  </instance_attributes>
</primitive>
"""
GUEST = """\
<primitive id="{name}" class="ocf" provider="bench" type="guest">
  <operations>
    <op id="{name}-monitor" name="monitor" interval="10s" timeout="20s"/>
    <op id="{name}-start" name="start" interval="0" timeout="20s"/>
    <op id="{name}-stop" name="stop" interval="0" timeout="20s"/>
  </operations>
  <meta_attributes id="{name}-meta">
    <nvpair id="{name}-stays" name="resource-stickiness" value="1000"/>
  </meta_attributes>
</primitive>
"""


def missing():
    """Why there can be no such cluster here; None: there can."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    absent = [p for p in PROGRAMS if not shutil.which(p, path=PATH)]
    if absent:
        return f"{', '.join(absent)} not installed (pacemaker, corosync, pacemaker-cli-utils)"
    return None


def run(*command, given=None, check=True):
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PATH": PATH})
    if check and done.returncode != 0:
        raise OSError(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}".strip())
    return done.stdout


def soon(find, patience, pause=0.1):
    """What `find` finds, once it finds something; else None."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = find()
        if found:
            return found
        time.sleep(pause)
    return None


def until(what, find, patience, pause=0.1):
    found = soon(find, patience, pause)
    if not found:
        raise TimeoutError(f"{what}: not within {patience} s")
    return found


class Node:
    """Its first process is a child of `unshare`, which takes it along when it is killed."""

    def __init__(self, lab, number):
        self.lab, self.number = lab, number
        self.name = NAMES[number]
        self.address = f"10.98.0.{number + 1}"
        self.process = None
        self.lock = threading.Lock()

    def start(self):
        with open(self.lab.dir / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "-n", "-m", "-u", "-i", "-p", "-f",
                 "--mount-proc", "--kill-child=SIGKILL", HERE / "node.sh", self.name, self.lab.dir],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": PATH})
        ours = os.readlink("/proc/self/ns/net")
        until("a namespace", lambda: os.readlink(f"/proc/{self.process.pid}/ns/net") != ours, 10,
              0.005)
        port = f"p{self.number}"
        run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns",
            str(self.process.pid))
        run("ip", "link", "set", port, "master", "br0", "up")
        inside = ["nsenter", "-t", str(self.process.pid), "-n", "ip"]
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "addr", "add", f"{self.address}/24", "dev", "eth0")
        (self.lab.dir / "on" / self.name).touch()

    def first(self):
        """The first process of its namespaces; OSError: it is off, or just going."""
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        children = Path(path).read_text().split()
        if not children:
            raise OSError(f"{self.name} is off")
        return children[0]

    def lives(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """All that it runs is gone when this returns."""
        with self.lock:  # the fencer may be at it, too
            if self.lives():
                try:
                    first = self.first()
                except OSError:
                    first = "none"
                self.process.kill()
                self.process.wait()
                until("a node is dead", lambda: not Path(f"/proc/{first}").exists(), 10, 0.001)
        (self.lab.dir / "on" / self.name).unlink(missing_ok=True)

    def run(self, *command, check=True, given=None):
        return run("nsenter", "-t", self.first(), "-m", "-u", "-i", "-n", "-p", *command,
                   check=check, given=given)


class Pacemaker:
    def __init__(self, directory, guest):
        self.dir = Path(directory).resolve()
        self.id = f"bench-{uuid.uuid4().hex[:12]}"
        self.token = 0
        self.fenced = []
        for folder in ("sbin", "ocf/bench", "corosync", "pool", "on", "fence"):
            (self.dir / folder).mkdir(parents=True)
        shutil.copy(HERE / "fence_bench", self.dir / "sbin")
        shutil.copy(HERE / "guest", self.dir / "ocf/bench")
        for name in ("fence-metadata.xml", "guest-metadata.xml"):
            shutil.copy(HERE / name, self.dir)
        shutil.copy(guest, self.dir / "tiny-guest.elf")
        (self.dir / "id").write_text(self.id)
        (self.dir / "pool/web.img").write_bytes(bytes(1024 * 1024))
        self.nodes = [Node(self, i) for i in range(len(NAMES))]
        os.mkfifo(self.dir / "fence/asked")
        self.make_network()
        self.is_over = False
        self.fencer = threading.Thread(target=self.fence_those_asked_for, daemon=True)
        self.fencer.start()

    @staticmethod
    def make_network():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0",
            "mcast_snooping", "0")
        run("ip", "link", "set", "br0", "up")

    def node(self, name):
        return self.nodes[NAMES.index(name)]

    def alive(self):
        return [n for n in self.nodes if n.lives()]

    def fence_those_asked_for(self):
        while not self.is_over:
            for line in (self.dir / "fence/asked").read_text().splitlines():
                if not self.is_over:
                    name, answer = line.split()
                    answer = self.dir / "fence" / Path(answer).name
                    self.fenced.append(name)
                    self.node(name).kill()
                    answer.write_text("off\n")

    # --- configuration ---------------------------------------------------------------------------

    def write_corosync(self):
        nodes = "".join(NODE.format(address=n.address, name=n.name, number=n.number + 1)
                        for n in self.nodes)
        token = f"    token: {self.token}\n    token_coefficient: 0\n" if self.token else ""
        (self.dir / "corosync/corosync.conf").write_text(
            COROSYNC.format(token=token, nodes=nodes))

    def is_tuned(self, wanted):
        key = "runtime.config.totem.token"
        try:
            return all(f"= {wanted}" in n.run("corosync-cmapctl", "-g", key, check=False)
                       for n in self.alive())
        except OSError:  # one was just switched off
            return False

    def tune(self, token):
        """A token's time in ms, with coefficient 0; 0: Corosync's own defaults."""
        self.token = token
        self.write_corosync()
        wanted = token or 3000 + 650 * (len(NAMES) - 2)

        def is_done():
            self.alive()[0].run("corosync-cfgtool", "-R", check=False)
            return soon(lambda: self.is_tuned(wanted), 5)
        until(f"a token of {wanted} ms", is_done, 60)

    def start(self):
        self.write_corosync()
        for node in self.nodes:
            node.start()
        until("all nodes are online", self.all_online, ONLINE_S)
        one = self.nodes[0]
        one.run("crm_attribute", "-t", "crm_config", "-n", "stonith-action", "-v", "off")
        one.run("cibadmin", "-C", "-o", "resources", "--xml-text",
                FENCE.format(names=" ".join(NAMES)))
        one.run("cibadmin", "-C", "-o", "resources", "--xml-text", GUEST.format(name=RESOURCE))
        until("the machine runs", self.runs_at, ONLINE_S)

    # --- looking ---------------------------------------------------------------------------------

    def status(self):
        """What the first node that answers says, as XML; None: nobody does."""
        for node in self.alive():
            try:
                return ElementTree.fromstring(node.run("crm_mon", "-1", "--output-as=xml",
                                                       check=False))
            except (ElementTree.ParseError, OSError):  # it is not ready, or was just switched off
                continue
        return None

    def all_online(self):
        status = self.status()
        found = [] if status is None else status.findall("./nodes/node")
        return len(found) == len(NAMES) and self.leader() and all(
            n.get("online") == "true" and n.get("pending") == "false" and
            n.get("unclean") == "false" for n in found)

    def leader(self):
        """The designated coordinator."""
        status = self.status()
        dc = None if status is None else status.find("./summary/current_dc")
        return dc.get("name") if dc is not None else None

    def runs_at(self):
        status = self.status()
        for resource in [] if status is None else status.iter("resource"):
            if resource.get("id") == RESOURCE and resource.get("role") == "Started" and \
                    resource.get("active") == "true":
                at = resource.find("node")
                return at.get("name") if at is not None else None
        return None

    def pids(self):
        """QEMU processes of the machine, wherever."""
        mark = f"guest={self.id}".encode()
        found = set()
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                try:
                    words = Path(f"/proc/{entry.name}/cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if b"qemu-system" in words[0] and mark in words:
                    found.add(int(entry.name))
        return found

    # --- acting ----------------------------------------------------------------------------------

    def place(self, name):
        """The machine runs there, and nothing binds it to that node."""
        one = self.nodes[0]
        one.run("crm_resource", "-r", RESOURCE, "--clear", check=False)
        if self.runs_at() != name:
            one.run("crm_resource", "-r", RESOURCE, "--move", "-N", name)
            until(f"it runs on {name}", lambda: self.runs_at() == name, 60)
            one.run("crm_resource", "-r", RESOURCE, "--clear")
        until("it runs", lambda: self.runs_at() == name, 60)

    def lose_power(self, name):
        self.node(name).kill()

    def power_on(self):
        """All that are off; also one that is switched off again before it is online."""
        def are_online():
            for node in self.nodes:
                if not node.lives():
                    node.start()
            return self.all_online()
        until("all nodes are online", are_online, ONLINE_S)

    def close(self):
        self.is_over = True
        for node in self.nodes:
            node.kill()
        with open(os.open(self.dir / "fence/asked", os.O_RDWR | os.O_NONBLOCK), "w") as asked:
            asked.write("\n")
            asked.flush()
            self.fencer.join(5)
