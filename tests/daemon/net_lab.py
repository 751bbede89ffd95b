"""A network of its own for the members of a cluster: a namespace for each, a bridge between them,
and nftables that drop what shall not pass. All of it is in namespaces that end with this process.
For root alone; before any thread is started.
"""

import ctypes
import os
import shutil
import subprocess
import time

CLONE_NEWNET = 0x40000000
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


def missing():
    """Why there can be no such network here; None: there can."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    for program in ("ip", "nft", "nsenter", "unshare"):
        if not shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin"):
            return f"{program} is not installed"
    return None


class NetLab:
    """Hosts 10.99.0.1 and so on; this process sees all of them."""

    def __init__(self, size):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        self.hosts = [f"10.99.0.{i + 1}" for i in range(size)]
        self.holders = []
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay",
                 "0", "mcast_snooping", "0")
        self.run("ip", "addr", "add", "10.99.0.254/24", "dev", "br0")
        self.run("ip", "link", "set", "br0", "up")
        try:
            for number in range(size):
                self.add_host(number)
            self.nft(TABLE)
        except Exception:
            self.close()
            raise

    @staticmethod
    def run(*command, given=None):
        done = subprocess.run(command, input=given, capture_output=True, text=True)
        if done.returncode != 0:
            raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")

    def nft(self, rules):
        self.run("nft", "-f", "-", given=rules)

    def prefix(self, number):
        """What runs a command on a host."""
        return ["nsenter", "-t", str(self.holders[number].pid), "-n"]

    def add_host(self, number):
        holder = subprocess.Popen(["unshare", "-n", "sleep", "3600"])
        self.holders.append(holder)
        ours = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{holder.pid}/ns/net") == ours:
            time.sleep(0.005)
        port = f"p{number + 1}"
        self.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns",
                 str(holder.pid))
        self.run("ip", "link", "set", port, "master", "br0", "up")
        inside = self.prefix(number)
        self.run(*inside, "ip", "addr", "add", f"{self.hosts[number]}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
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

    def close(self):
        for holder in self.holders:
            holder.kill()
            holder.wait()
