"""What `make demo` shows, one act after the other, and what it says of it."""

import os
import signal
import threading
import time

from local_hosts import Witness
from machine_watch import MachineWatch

MACHINES = ["vm-1", "vm-2", "vm-3", "vm-4"]
RESTART_S = 0.1  # systemd's RestartSec
PATIENCE = 60  # s, for whatever takes 15 at most


def say(text=""):
    print(text, flush=True)


def seconds(value):
    return f"{value:6.2f} s" if value is not None else "  never "


class Demo:
    def __init__(self, farm):
        self.farm = farm
        self.witness = Witness(farm)
        self.failures = []
        self.checks = 0
        self.acts = []  # title, the longest that a guest did not count

    # --- what it says ----------------------------------------------------------------------------

    def title(self, text, *lines):
        say(f"\n== {len(self.acts) + 1}. {text}")
        for line in lines:
            say(f"   {line}")
        self.acts.append([text, None])

    def check(self, what, is_so):
        self.checks += 1
        say(f"   {'ok  ' if is_so else 'FAIL'} {what}")
        if not is_so:
            self.failures.append(what)
        return is_so

    def quote(self, text):
        for line in text.rstrip().splitlines():
            say(f"      | {line.rstrip()}")

    def tell_machines(self):
        say("      machine   host      its counter")
        for m in MACHINES:
            say(f"      {m:<9} {self.farm.owner(m).get('host', '-'):<9} {self.farm.counter(m)}")

    def tell_watch(self, watch, homes):
        """Seconds are from the moment at which the thing happened."""
        say("      machine   its process ended      the next one began     its guest counts again")
        for m in watch.machines:
            at = self.farm.owner(m).get("host", "-")
            ended = f"{seconds(watch.ended.get(m))} on {homes[m]}"
            began = f"{seconds(watch.began.get(m))} on {at}"
            say(f"      {m:<9} {ended:<22} {began:<22} {seconds(watch.counted.get(m))}, "
                f"from {watch.last.get(m, '?')} on")
        self.acts[-1][1] = f"{watch.longest:.2f} s"

    def newest_incident(self, host):
        """The name of the host's newest incident; None: it has none."""
        lines = [line for line in self.farm.novacron("incident", "list").splitlines()
                 if f" {host} " in line]
        return next((w for w in lines[-1].split() if w.startswith("inc-")), None) if lines else None

    def tell_incident(self, host):
        name = self.newest_incident(host)
        if name:
            say(f"   What the cluster noted of it (novacron incident show {name}):")
            said = self.farm.novacron("incident", "show", name)
            self.quote(said)
            if "its lease has ended" in said:
                say("   (A host that was away within the last minute is not believed as a witness "
                    "yet: so it was not two\n   witnesses who decided here, but the end of "
                    f"{host}'s lease of 9 s. By then its machines had been\n   stopped on the host "
                    "itself.)")

    # --- what it waits for ------------------------------------------------------------------------

    def until(self, what, is_so, patience=PATIENCE):
        """How long it took; a TimeoutError ends the demo."""
        began = time.monotonic()
        while not is_so():
            if time.monotonic() - began > patience:
                raise TimeoutError(f"{what}: not within {patience} s")
            time.sleep(0.05)
        return time.monotonic() - began

    def homes(self):
        return {m: self.farm.owner(m).get("host", "") for m in MACHINES}

    def all_run(self):
        return all(self.farm.owner(m).get("phase") == "running" for m in MACHINES)

    def is_up(self, host):
        return (self.farm.read(f"/novacron/fates/{host}") or {}).get("phase", "up") == "up"

    def is_well(self):
        return "All is well." in self.farm.novacron("status")

    # --- acts -------------------------------------------------------------------------------------

    def begin(self):
        self.title("Three hosts and four virtual machines",
                   "A host is here a daemon (novacrond), a guard (novacron-guard), and a management "
                   "controller (BMC,",
                   "ipmi_sim) that can switch it off. The machines' disks are on storage that all "
                   "hosts share. Each",
                   "guest writes a counter to its disk ten times a second.")
        leader = self.farm.start()
        self.farm.apply(self.farm.hosts_manifest())
        self.until("all hosts may have machines", lambda: all(map(self.may_have, self.farm.names)))
        preferred = {m: self.farm.names[i % len(self.farm.names)] for i, m in enumerate(MACHINES)}
        began = time.monotonic()
        self.farm.apply([self.farm.machine(m, f"preferred: [{preferred[m]}]\n") for m in MACHINES])
        self.until("all guests count", lambda: all(self.farm.counter(m) > 0 for m in MACHINES))
        took = time.monotonic() - began
        self.until("all machines run", self.all_run)
        self.check(f"all machines run: {took:.2f} s from their manifests to four guests that count",
                   True)
        say(f"   {leader} leads the cluster")
        self.tell_machines()

    def may_have(self, host):
        """Its agent has tried the storage, and its controller was seen to answer."""
        return ("pool" in str(self.farm.read(f"/novacron/agents/{host}")) and
                self.farm.read(f"/novacron/sights/bmc-{host}") is not None)

    def a_machine_dies(self):
        machine = MACHINES[0]
        self.title(f"The process of {machine} is killed (kill -9)",
                   "It is to be started again where it was, after the delay of its restart policy: "
                   "at first 0.375 to 0.5 s.")
        homes = self.homes()
        watch = MachineWatch(self.farm, [machine])
        for pid in watch.old[machine]:
            os.kill(pid, signal.SIGKILL)
        is_back = watch.wait(watch.all_count, PATIENCE)
        self.until("it runs", self.all_run)
        self.tell_watch(watch, homes)
        self.check(f"{machine} is back, and counts on", is_back)

    def a_daemon_dies(self):
        host = self.farm.owner(MACHINES[1])["host"]
        self.title(f"The daemon of {host} is killed (kill -9), and started anew at once",
                   f"As systemd would do it, {RESTART_S} s later. Its machines are to run on, and "
                   "the next daemon is to take them",
                   "for its own. (One that stays away for longer than a second is a lost host, "
                   "as in the next act.)")
        mine = [m for m in MACHINES if self.homes()[m] == host]
        watch = MachineWatch(self.farm, mine)
        self.farm.kill_daemon(host)
        watch.wait(lambda: False, RESTART_S)
        self.farm.boot(host)
        booted = time.monotonic()
        is_adopted = watch.wait(lambda: self.has_adopted(host), PATIENCE)
        took = time.monotonic() - booted
        self.check(f"the next daemon found {', '.join(mine)} {took:.2f} s after it was started, and "
                   "goes on with them", is_adopted)
        self.until("all is well", self.is_well)
        watch.look()
        self.check("they ran on all the time: their processes are the same, and no counter stood "
                   f"still for longer than {watch.longest:.2f} s",
                   not watch.ended and not watch.began)
        self.acts[-1][1] = f"{watch.longest:.2f} s"

    def has_adopted(self, host):
        log = (self.farm.member(host).dir / "log").read_text(errors="replace")
        return "adopted" in log

    def a_machine_moves(self):
        to = self.farm.leader()  # which is lost in the next act
        homes = self.homes()
        machine = next(m for m in reversed(MACHINES) if homes[m] != to)
        home = homes[machine]
        self.title(f"{machine} is moved from {home} to {to}, while it runs",
                   "Its memory is sent while its guest goes on. The step from one host to the other "
                   "is decided in the",
                   "cluster's records, so that one copy runs, and never two, whatever fails "
                   "meanwhile.")
        boots = self.boots(machine)
        watch = MachineWatch(self.farm, [machine])
        order = threading.Thread(target=self.farm.novacron,
                                 args=("vm", "migrate", machine, to, "--wait", str(PATIENCE // 2)))
        order.start()
        is_there = watch.wait(lambda: self.is_at(machine, to), PATIENCE)
        took = time.monotonic() - watch.moment
        counter = self.farm.counter(machine)
        goes_on = watch.wait(lambda: self.farm.counter(machine) > counter + 1, PATIENCE)
        order.join()
        self.check(f"it runs on {to} after {took:.2f} s; it did not boot, and its counter stood "
                   f"still for {watch.longest:.2f} s at most",
                   is_there and goes_on and self.boots(machine) == boots)
        self.until("all is well", self.is_well)
        self.acts[-1][1] = f"{watch.longest:.2f} s"

    def is_at(self, machine, host):
        owner = self.farm.owner(machine)
        return owner.get("phase") == "running" and owner.get("host") == host

    def boots(self, machine):
        """How often its guests have said that they are ready, on all hosts."""
        consoles = (self.farm.member(n).dir / "machines" / machine / "console.log"
                    for n in self.farm.names)
        return sum(c.read_text(errors="replace").count("READY") for c in consoles if c.exists())

    def power_is_lost(self):
        host = self.farm.leader()
        self.title(f"The host of the leader, {host}, loses its power",
                   "All of its processes die at once. The others are to notice, to elect a leader, "
                   "to have the host",
                   "switched off by its controller, for a host that is silent may still be running, "
                   "and then to start",
                   "its machines.")
        homes = self.homes()
        lost = [m for m in MACHINES if homes[m] == host]
        self.farm.unreached.add(host)
        watch = MachineWatch(self.farm, lost)
        cut = threading.Thread(target=self.farm.lose_power, args=(host,))
        cut.start()
        is_back = watch.wait(watch.all_count, PATIENCE)
        cut.join()
        self.until("all run", self.all_run)
        self.tell_watch(watch, homes)
        self.check(f"the machines of {host} are back on other hosts",
                   is_back and all(self.homes()[m] != host for m in lost))
        self.tell_incident(host)
        self.comes_back(host)

    def one_to_cut_off(self, homes):
        """One that runs machines; the leader if all are there."""
        leader = self.farm.leader()
        return next((h for h in homes.values() if h != leader), leader)

    def how_it_is_cut_off(self):
        return ("Its cable is pulled out of the switch." if self.farm.lab else
                "Its daemon is stopped, since there is no network here that could be cut.")

    def host_is_cut_off(self):
        homes = self.homes()
        host = self.one_to_cut_off(homes)
        lost = [m for m in MACHINES if homes[m] == host]
        self.title(f"{host} is cut off from the network, while its machines run on",
                   f"{self.how_it_is_cut_off()} From outside this looks like a power loss;",
                   "but its machines write to their disks as before. Started elsewhere now they "
                   "would run twice: the",
                   "host has to be switched off first, by its controller, which is on a network of "
                   "its own.")
        watch = MachineWatch(self.farm, lost)
        self.farm.cut_off(host)
        is_back = watch.wait(watch.all_count, PATIENCE)
        self.until("all run", self.all_run)
        self.tell_watch(watch, homes)
        self.check("each process on the host that was cut off ended before the next one began",
                   all(watch.ended.get(m, 1e9) <= watch.began.get(m, 0) for m in lost))
        self.check(f"the machines of {host} are back on other hosts",
                   is_back and all(self.homes()[m] != host for m in lost))
        self.tell_incident(host)
        self.farm.join(host)
        self.comes_back(host)

    def nobody_can_switch_it_off(self):
        homes = self.homes()
        host = self.one_to_cut_off(homes)
        lost = [m for m in MACHINES if homes[m] == host]
        self.title(f"{host} is cut off, and its controller does not answer either",
                   "Nothing proves that it is off, so its machines are to be started nowhere, "
                   "however long that takes.",
                   "On the host itself they are to be stopped when its lease of 9 s runs out: at "
                   "half of it the guests are",
                   "asked to shut down, and what still runs near its end is killed.")
        watch = MachineWatch(self.farm, lost)
        self.farm.bmcs[host].set_unreachable(True)
        self.farm.cut_off(host)
        has_stopped = watch.wait(watch.all_ended, PATIENCE)
        self.check(f"on {host} its machines were stopped within the lease, with nobody to tell it: "
                   f"after {seconds(max(watch.ended.values(), default=None)).strip()}", has_stopped)
        self.until("the cluster says that nothing is proved", lambda: all(
            "unproven" in self.farm.owner(m).get("reason", "") for m in lost))
        say(f"   What an operator is told (novacron vm explain {lost[0]}):")
        self.quote(self.farm.novacron("vm", "explain", lost[0]))
        watch.look()
        self.check("none of its machines was started elsewhere", not watch.began)
        say("   An operator pulls the plug of the host, and gives their word for it:")
        say(f"      $ novacron host confirm-off {host} --by operator --reason 'its plug is pulled'")
        self.farm.lose_power(host)
        given = time.monotonic() - watch.moment
        self.farm.novacron("host", "confirm-off", host, "--by", "operator", "--reason",
                           "its plug is pulled")
        is_back = watch.wait(watch.all_count, PATIENCE)
        self.until("all run", self.all_run)
        self.tell_watch(watch, homes)
        if is_back:
            say(f"   {max(watch.counted.values()) - given:.2f} s from that word to the last guest")
        self.check(f"the machines of {host} are back on other hosts", is_back)
        self.acts[-1][1] = "a person decides"
        self.farm.bmcs[host].set_unreachable(False)
        self.farm.join(host)
        self.comes_back(host)

    def comes_back(self, host):
        """Somebody switches it on."""
        self.farm.unreached.discard(host)
        self.farm.power_on(host)
        took = self.until(f"{host} is up", lambda: self.is_up(host))
        homes = self.homes()
        self.until("all is well", self.is_well)
        self.check(f"{host} is switched on, and a part of the cluster again after {took:.1f} s; it "
                   "starts nothing of what it ran", homes == self.homes())

    def in_the_end(self):
        self.title("In the end")
        self.quote(self.farm.novacron("status"))
        self.tell_machines()
        troubles = self.witness.end()
        self.check(f"no machine ever lived twice, and no counter went backwards, in "
                   f"{self.witness.samples} looks, ten a second", not troubles)
        for trouble in troubles:
            say(f"        {trouble}")

    def summary(self):
        say("\n== Summary: what happened, and the longest that a guest did not count")
        for number, (text, longest) in enumerate(self.acts, 1):
            if longest:
                say(f"   {number}. {text:<74} {longest:>8}")
        if self.failures:
            say(f"   {len(self.failures)} of {self.checks} checks failed:")
            for failure in self.failures:
                say(f"      {failure}")
        else:
            say(f"   All of {self.checks} checks passed.")

    def run(self):
        """All acts; 0: all went well."""
        self.begin()
        self.witness.start()
        self.a_machine_dies()
        self.a_daemon_dies()
        self.a_machine_moves()
        self.power_is_lost()
        self.host_is_cut_off()
        self.nobody_can_switch_it_off()
        self.in_the_end()
        self.summary()
        return 1 if self.failures else 0
