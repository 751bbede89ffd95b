"""What the tests of virtual machines share: hosts below a directory of their own, with real QEMU
machines and our command line, and what makes a script of its checks.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))

from checks import expect, run_checks, sanitizers_said, soon, until
from local_hosts import HostFarm, Witness, missing

SKIPPED = 77


class Farm(HostFarm):
    """With the command line as a process that has an exit status, and a witness once it is started."""

    patience = 40

    def __init__(self, directory, build, **settings):
        super().__init__(directory, build, **settings)
        self.witness = Witness(self)

    def run(self, *args, text=None):
        command = [self.build / "cli/novacron", *args, "--endpoints", self.cluster.endpoints]
        return subprocess.run(command, capture_output=True, text=True, timeout=1.5 * self.patience,
                              input=text)

    def declare(self, *documents):
        return self.run("apply", "-f", "-", text="---\n".join(documents))

    def begin(self, *documents, device=""):
        """All hosts run and are declared, with further documents before them and `device`, further
        lines of each fence device; and their controllers have answered."""
        self.start()
        expect(self.declare(*documents, *self.hosts_manifest(device)).returncode, 0)
        soon(lambda: all(self.read(f"/novacron/sights/bmc-{n}") for n in self.names), self.patience)

    def runs_at(self, machine):
        """Where it runs, by its record; "" where it does not."""
        owner = self.owner(machine)
        return owner["host"] if owner.get("phase") == "running" else ""

    def reason(self, machine):
        return self.owner(machine).get("reason", "")

    def pids(self, machine):
        return sorted(self.machine_pids().get(machine, []))

    def fate(self, host):
        return (self.read(f"/novacron/fates/{host}") or {}).get("phase", "up")

    def make(self, name, extra=""):
        """A machine that runs; where."""
        expect(self.declare(self.machine(name, extra)).returncode, 0)
        return until(f"{name} runs", lambda: self.runs_at(name), self.patience)

    def remove(self, name):
        done = self.run("vm", "delete", name, "--wait", str(self.patience))
        expect((done.returncode, done.stderr), (0, ""))
        expect(self.pids(name), [])

    def incidents(self, host):
        lines = self.run("incident", "list", "--json").stdout.splitlines()
        return [i for i in map(json.loads, lines) if i["host"] == host]

    def events(self, what, machine, *flags):
        lines = self.run("events", "--json", *flags).stdout.splitlines()
        return [e for e in map(json.loads, lines) if e["what"] == what and e.get("vm") == machine]

    def is_back(self, host):
        self.power_on(host)
        until(f"{host} is up", lambda: self.fate(host) == "up", self.patience)
        until("nothing is lost", lambda: self.run("host", "list").returncode == 0, self.patience)
        self.leader()

    def crash(self, host):
        """All that the host runs is gone at once; its controller knows nothing of it."""
        self.kill_all([self.member(host)])

    def other_than(self, *hosts):
        return next(n for n in self.names if n not in hosts)

    def witness_saw_nothing_wrong(self):
        """All the time until now: no machine lived twice, and no counter went backwards."""
        expect(self.witness.end(), [])
        assert self.witness.samples > 10, self.witness.samples

    def tell_logs(self):
        for host in self.hosts:
            if host.log.exists():
                print(f"# {host.name}: " + "\n# ".join(host.log.read_text().splitlines()[-25:]))


def with_farm(check, begin, make=Farm):
    """An exit status: 0 where the checks that the command line names, or all, find all right with a
    farm that `make` makes of a directory and the build folder, and `begin` begins. It is gone then;
    where one did not, its hosts' logs are shown.
    """
    build = Path(sys.argv[1]).resolve()
    why_not = missing(build)
    if why_not:
        print(f"1..0 # SKIP {why_not}")
        return SKIPPED
    chosen = check.chosen(sys.argv[2:])
    directory = tempfile.mkdtemp(prefix="novacron-test-")
    farm = make(directory, build)
    failed = 1
    try:
        begin(farm)
        failed = run_checks(chosen, (farm,), stops_early=True)
    finally:
        if farm.witness.is_alive():
            farm.witness.end()
        farm.close()
        said = sanitizers_said(directory)
        print("".join(f"# {line}\n" for line in said), end="")
        if failed:
            farm.tell_logs()
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if failed or said else 0
