"""Hosts of virtual machines on loopback: three members with a guard and a management controller each,
and real QEMU machines of the tiny guest on shared storage. For `make demo`, tests and benches.

    farm = HostFarm(directory, build)
    farm.start()
    farm.apply(farm.hosts_manifest() + [farm.machine("vm-1")])
    farm.lose_power("node-2")
    farm.power_on("node-2")
    farm.close()

A host is what its script `boot` starts: its guard, and its daemon, and the QEMU processes that the
daemon starts. They work below the host's directory, or have DEMO_HOST=DIRECTORY in their
environment, and switching the host off kills all of that, and what it has started.

With a net_lab each host is in a namespace of its own, and can be cut off from the others while its
machines, its disk and its controller go on. Without one its daemon is stopped in the place of that.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

from local_bmc import LocalBmc, is_installed
from local_cluster import Cluster
from local_guests import TinyGuest

MARK = "DEMO_HOST"
IMAGE_BYTES = 1024 * 1024
COUNTER_MARK = b"NOVACTR1"

BOOT = """\
#!/bin/sh
# Starts the host: its guard, unless it runs, and its daemon.
{enter}
export {mark}='{dir}'
cd '{dir}'
# A process that has its number proves nothing, after a power cut: the guard itself must answer.
if ! '{guard}' --status --socket '{dir}/guard.sock' > /dev/null 2>&1; then
    rm -f guard.sock
    '{guard}' --socket '{dir}/guard.sock' >> guard.log 2>&1 < /dev/null &
    echo $! > guard.pid
fi
'{daemon}' --config novacrond.yaml >> log 2>&1 < /dev/null &
echo $! > daemon.pid
"""


def missing(build):
    """Why there can be no such hosts here; None: there can."""
    if not is_installed() or shutil.which("qemu-system-x86_64") is None or \
            not (build / "demo/guest/tiny-guest.elf").exists():
        return "qemu, ipmi_sim, fence_ipmilan or the tiny guest is missing"
    return None


class HostCluster(Cluster):
    def __init__(self, *args, folders=(), **kwargs):
        self.folders = folders
        super().__init__(*args, **kwargs)

    def settings(self, name, client_port, peer_port, state="new", member_id=None):
        text = super().settings(name, client_port, peer_port, state, member_id)
        return text + self.machine_settings(name)

    def machine_settings(self, name):
        folders = ", ".join(str(f) for f in [self.dir / "pool", *self.folders])
        return (f"machines:\n  run_dir: {self.dir / name / 'machines'}\n"
                f"  folders: [{folders}]\n  storages: [pool]\n"
                f"  guard: {self.dir / name / 'guard.sock'}\n"
                f"  move_address: {self.host_of(name)}\n"
                "  memory_mib: 2048\n  cpus: 8\n  accel: tcg\n")


class HostFarm:
    def __init__(self, directory, build, size=3, lab=None, guest=None):
        """`lab`: a NetLab of that size, with management; the farm's from now on."""
        self.dir = Path(directory).resolve()
        self.build = Path(build).resolve()
        self.pool = self.dir / "pool"
        self.pool.mkdir(parents=True, exist_ok=True)
        self.lab = lab
        self.guest = guest or TinyGuest(self.build)
        self.cluster = HostCluster(self.dir, self.build, size=size, hosts=lab and lab.hosts,
                                   folders=self.guest.folders)
        self.hosts = []
        self.names = []
        self.unreached = set()  # hosts that nobody here should ask, for they are cut off
        self.bmcs = {}
        for member in self.cluster.members:
            self.add_host(member)

    # --- hosts -----------------------------------------------------------------------------------

    def add_host(self, member):
        """What starts the member's host, and its controller."""
        lab, number, boot = self.lab, len(self.hosts), member.dir / "boot"
        boot.write_text(BOOT.format(mark=MARK, dir=member.dir, enter=self.enter(number, boot),
                                    guard=self.build / "backend/guard/novacron-guard",
                                    daemon=self.cluster.program))
        boot.chmod(0o755)
        bmc = LocalBmc(self.dir / f"bmc-{member.name}", member.name,
                       **({"address": lab.controllers[number], "port": 623} if lab else {}))
        if lab:
            bmc.add("network", lab.holder(number).pid)
        else:
            bmc.add("mark", f"{MARK}={member.dir}")
            bmc.add("below", member.dir)
        bmc.boots_by(str(boot))
        self.bmcs[member.name] = bmc
        self.hosts.append(member)
        self.names.append(member.name)

    def member(self, name):
        return next(m for m in self.hosts if m.name == name)

    def boot(self, name):
        """The host's script, as a supervisor and the power button call it."""
        subprocess.run([self.member(name).dir / "boot"], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
                       start_new_session=True)

    def start(self):
        for name in self.names:
            self.bmcs[name].start()
            self.boot(name)
            self.member(name).process = True  # Cluster.leader asks those that have one
        return self.cluster.leader().name

    def daemon_pid(self, name):
        return int((self.member(name).dir / "daemon.pid").read_text())

    def kill_daemon(self, name):
        os.kill(self.daemon_pid(name), signal.SIGKILL)

    def signal_daemon(self, name, number):
        """If it lives still."""
        try:
            os.kill(self.daemon_pid(name), number)
        except ProcessLookupError:
            pass

    def lose_power(self, name):
        self.bmcs[name].lose_power()

    def power_on(self, name):
        bmc = self.bmcs[name]
        subprocess.run([bmc.dir / "switch", "0x20", "set", "power", "1"], check=True,
                       stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

    def leader(self):
        return self.cluster.leader().name

    def enter(self, number, boot):
        """How the host's script gets where the host is."""
        if not self.lab:
            return ""
        return f"[ \"$1\" = inside ] || exec {' '.join(self.lab.prefix(number))} '{boot}' inside"

    def cut_off(self, name):
        """The host and all others hear nothing of each other; it reaches controllers."""
        self.unreached.add(name)
        self.member(name).process = None
        if self.lab:
            self.lab.pull(self.names.index(name))
        else:
            os.kill(self.daemon_pid(name), signal.SIGSTOP)

    def join(self, name):
        if self.lab:
            self.lab.plug(self.names.index(name))
        else:
            self.signal_daemon(name, signal.SIGCONT)
        self.unreached.discard(name)
        self.member(name).process = True

    def close(self):
        for bmc in self.bmcs.values():
            bmc.set_faults()
            bmc.lose_power()
        self.kill_all(self.hosts)
        for bmc in self.bmcs.values():
            bmc.stop()
        if self.lab:
            self.lab.close()

    @staticmethod
    def kill_all(hosts):
        """The processes of hosts: each works below its host's directory."""
        homes = tuple(f"{host.dir}/" for host in hosts)
        for _ in range(2):  # what was started meanwhile, too
            for entry in os.scandir("/proc"):
                if entry.name.isdigit() and works_below(int(entry.name), homes):
                    kill(int(entry.name))

    # --- records ---------------------------------------------------------------------------------

    @property
    def endpoints(self):
        """Of all that should answer."""
        return ",".join(m.client_url for m in self.cluster.members if m.name not in self.unreached)

    def novacron(self, *args, check=True):
        command = [self.build / "cli/novacron", *args, "--endpoints", self.endpoints]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if check and done.returncode not in (0, 1):
            raise RuntimeError(f"{' '.join(map(str, args))}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def hosts_manifest(self, extra=""):
        """`extra`: further lines of each fence device."""
        documents = [f"kind: storage\nname: pool\ntype: file\nflight_ms: 0\npath: {self.pool}\n"]
        for name, bmc in self.bmcs.items():
            lines = "".join(f"  {k}: '{v}'\n" for k, v in bmc.params.items())
            documents.append(f"kind: device\nname: bmc-{name}\nagent: fence_ipmilan\n"
                             f"{extra}parameters:\n{lines}")
            documents.append(f"kind: host\nname: {name}\nstorages: [pool]\n"
                             f"levels: [[bmc-{name}]]\n")
        return documents

    def machine(self, name, extra=""):
        """The manifest of a machine of the guest, and its empty disk."""
        image = self.pool / f"{name}.img"
        if not image.exists():
            image.write_bytes(bytes(IMAGE_BYTES))
        return (f"kind: vm\nname: {name}\nmemory_mib: {self.guest.memory_mib}\ncpus: 1\n"
                f"volume: {name}.img\nstorage: pool\n{extra}definition:\n"
                f"{self.guest.definition}")

    def apply(self, documents):
        path = self.dir / "manifest.yaml"
        path.write_text("---\n".join(documents))
        said = self.novacron("apply", "-f", path)
        if "created" not in said and "changed" not in said:
            raise RuntimeError(said)
        return said

    def read(self, key, at=None):
        """A record, from whichever member answers."""
        body = json.dumps({"key": base64.b64encode(key.encode()).decode()}).encode()
        for member in [self.member(at)] if at else self.cluster.members:
            if member.name in self.unreached:
                continue
            try:
                request = urllib.request.Request(member.client_url + "/v3/kv/range", data=body)
                with urllib.request.urlopen(request, timeout=1) as answer:
                    kvs = json.load(answer).get("kvs", [])
                    return json.loads(base64.b64decode(kvs[0]["value"])) if kvs else None
            except OSError:
                continue
        return None

    def owner(self, machine, at=None):
        return self.read(f"/novacron/owners/{machine}", at) or {}

    def wait(self, machine, wanted, patience=30):
        """Until the owner's record is as wanted; how long it took, or None."""
        begin = time.monotonic()
        while time.monotonic() - begin < patience:
            if wanted(self.owner(machine)):
                return time.monotonic() - begin
            time.sleep(0.02)
        return None

    # --- machines, as the system sees them --------------------------------------------------------

    def machine_pids(self):
        """Of each image, the QEMU processes that live."""
        found = {}
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            try:
                words = Path(f"/proc/{entry.name}/cmdline").read_bytes()
            except OSError:
                continue
            if b"qemu-system" not in words.split(b"\0")[0]:
                continue
            for image in self.pool.glob("*.img"):
                if str(image).encode() in words:
                    found.setdefault(image.stem, []).append(int(entry.name))
        return found

    def lives_twice(self, pids):
        """Of the processes of one image, were two started by themselves, or have two a guest? One
        that waits for a guest, or whose guest has left, has no lock of its image."""
        begun = [p for p in pids if not self.is_incoming(p)]
        return len(begun) > 1 or len([p for p in pids if self.has_lock(p)]) > 1

    @staticmethod
    def is_incoming(pid):
        try:
            return b"-incoming" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return True

    @staticmethod
    def has_lock(pid):
        try:
            return any("OFDLCK" in Path(f.path).read_text()
                       for f in os.scandir(f"/proc/{pid}/fdinfo"))
        except OSError:
            return False

    def counter(self, machine):
        sector = (self.pool / f"{machine}.img").read_bytes()[:16]
        return int.from_bytes(sector[8:], "little") if sector.startswith(COUNTER_MARK) else 0


class Witness(threading.Thread):
    """Looks at the machines all the time: does one live twice, does a counter go backwards?"""

    def __init__(self, farm, period=0.1):
        super().__init__(daemon=True)
        self.farm = farm
        self.period = period
        self.troubles = []
        self.samples = 0
        self.counters = {}
        self.doubles = {}
        self.is_over = threading.Event()

    def run(self):
        try:
            while not self.is_over.wait(self.period):
                self.look()
        except Exception as e:  # who looks no more sees no trouble
            self.troubles.append(f"nobody looked any more: {e!r}")

    def look(self):
        self.samples += 1
        for machine, pids in self.farm.machine_pids().items():
            # One that is refused the image's lock lives for a moment, too.
            is_double = len(pids) > 1 and self.farm.lives_twice(pids)
            self.doubles[machine] = self.doubles.get(machine, 0) + 1 if is_double else 0
            if self.doubles[machine] == 3:
                self.troubles.append(f"{machine} lived twice: processes {pids}")
        for image in self.farm.pool.glob("*.img"):
            now = self.farm.counter(image.stem)
            before = self.counters.get(image.stem, 0)
            if now < before:
                self.troubles.append(f"{image.stem} went back from {before} to {now}")
            self.counters[image.stem] = now

    def end(self):
        self.is_over.set()
        self.join()
        return self.troubles


def works_below(pid, homes):
    """`homes`: directories, as a tuple of texts that end with a slash."""
    try:
        return pid != os.getpid() and (os.readlink(f"/proc/{pid}/cwd") + "/").startswith(homes)
    except OSError:
        return False


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
