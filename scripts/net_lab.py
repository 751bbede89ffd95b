"""A network of its own for the hosts of a cluster: a namespace for each, and a bridge between them.
Frames that shall not pass are dropped by nftables; or a host's cable is pulled out of the bridge,
while its interface stays as it was. On wish there is a second network, of management: controllers
are on it, and a host reaches them and no other host by it.

All of it is in namespaces that end with this process and what it has started in them. For root, and
for everybody else where the kernel lets them be root within a user namespace of their own; before
any thread is started.
"""

import ctypes
import os
import shutil
import subprocess
import time

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
TABLE = """
table bridge lab {
    set cut {
        type ifname . ifname
    }
    set no_udp {
        type ifname . ifname
    }
    chain forward {
        type filter hook forward priority 0; policy accept;
        iifname . oifname @cut drop
        iifname . oifname @no_udp ip protocol udp drop
    }
}
"""
ENV = {**os.environ, "PATH": os.environ.get("PATH", "") + ":" + SYSTEM_PATH}


def may_unshare(*flags):
    done = subprocess.run(["unshare", *flags, "true"], capture_output=True, env=ENV)
    return done.returncode == 0


def missing(needs=("ip", "nft", "nsenter", "unshare")):
    """Why there can be no such network here; None: there can."""
    for program in needs:
        if not shutil.which(program, path=SYSTEM_PATH):
            return f"{program} is not installed"
    if not may_unshare("-n") and not may_unshare("-U", "-r", "-n"):
        return "nobody may make network namespaces here"
    return None


class NetLab:
    """Hosts 10.99.0.1 and so on, which this process sees all of; by the network of management they
    are 10.98.0.1 and so on, their controllers 10.98.0.101 and so on. `at` is where the processes
    work that hold the namespaces."""

    def __init__(self, size, has_management=False, has_filter=True, at="/", seconds="3600"):
        self.hosts = [f"10.99.0.{i + 1}" for i in range(size)]
        self.controllers = [f"10.98.0.{i + 101}" for i in range(size)] if has_management else []
        self.holders = []
        self.at, self.seconds = at, seconds
        self.has_user = not may_unshare("-n")
        self.leave_the_world()
        self.run("ip", "link", "set", "lo", "up")
        try:
            self.hold()
            self.add_bridge("br0", "10.99.0.254")
            if has_management:
                self.add_bridge("br1", "10.98.0.254", *self.controllers)
            for number in range(size):
                self.add_host(number)
            if has_filter:
                self.nft(TABLE)
        except Exception:
            self.close()
            raise

    def leave_the_world(self):
        libc = ctypes.CDLL(None, use_errno=True)
        user, group = os.getuid(), os.getgid()
        if libc.unshare(CLONE_NEWNET | (CLONE_NEWUSER if self.has_user else 0)) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        if self.has_user:
            for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"),
                               ("gid_map", f"0 {group} 1")):
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(text)

    @staticmethod
    def run(*command, given=None):
        done = subprocess.run(command, input=given, capture_output=True, text=True, env=ENV)
        if done.returncode != 0:
            raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")

    def nft(self, rules):
        self.run("nft", "-f", "-", given=rules)

    def hold(self, *command):
        """A process that holds the namespace that it is in; not of this process's group, so that a
        ctrl-C is ours alone."""
        holder = subprocess.Popen([*command, "sleep", self.seconds], cwd=self.at, env=ENV,
                                  start_new_session=True, stdin=subprocess.DEVNULL)
        self.holders.append(holder)
        return holder

    def holder(self, number):
        """The process that holds a host's namespace, and is there as long as this is."""
        return self.holders[number + 1]

    def prefix(self, number):
        """What runs a command on a host."""
        return ["nsenter", "-t", str(self.holder(number).pid), "-n"]

    def prefix_from_outside(self):
        """What runs a command where this process is."""
        pid = str(self.holders[0].pid)
        return ["nsenter", "-t", pid, *(["-U", "--preserve-credentials"] if self.has_user else []),
                "-n"]

    def add_bridge(self, name, *addresses):
        self.run("ip", "link", "add", name, "type", "bridge", "stp_state", "0", "forward_delay",
                 "0", "mcast_snooping", "0")
        for address in addresses:
            self.run("ip", "addr", "add", f"{address}/24", "dev", name)
        self.run("ip", "link", "set", name, "up")

    def add_host(self, number):
        holder = self.hold("unshare", "-n")
        ours = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{holder.pid}/ns/net") == ours:
            time.sleep(0.005)
        self.add_cable(number, f"p{number + 1}", "br0", "eth0", self.hosts[number])
        if self.controllers:
            port = f"m{number + 1}"
            self.add_cable(number, port, "br1", "eth1", f"10.98.0.{number + 1}")
            self.run("ip", "link", "set", port, "type", "bridge_slave", "isolated", "on")
        self.run(*self.prefix(number), "ip", "link", "set", "lo", "up")

    def add_cable(self, number, port, bridge, device, address):
        self.run("ip", "link", "add", port, "type", "veth", "peer", "name", device, "netns",
                 str(self.holder(number).pid))
        self.run("ip", "link", "set", port, "master", bridge, "up")
        inside = self.prefix(number)
        self.run(*inside, "ip", "addr", "add", f"{address}/24", "dev", device)
        self.run(*inside, "ip", "link", "set", device, "up")

    def drop(self, what, pairs):
        if pairs:
            elements = ", ".join(f'"p{a + 1}" . "p{b + 1}"' for a, b in pairs)
            self.nft(f"add element bridge lab {what} {{ {elements} }}\n")

    def cut(self, pairs):
        """Nothing passes from the first of a pair to the second."""
        self.drop("cut", pairs)

    def block_udp(self, pairs):
        """No datagram passes from the first of a pair to the second."""
        self.drop("no_udp", pairs)

    def heal(self):
        self.nft("flush set bridge lab cut\nflush set bridge lab no_udp\n")

    def pull(self, number):
        """The host's cable is out of the bridge: nothing passes, and nobody is told."""
        self.run("ip", "link", "set", f"p{number + 1}", "nomaster")

    def plug(self, number):
        self.run("ip", "link", "set", f"p{number + 1}", "master", "br0")

    def close(self):
        for holder in self.holders:
            holder.kill()
            holder.wait()
