#!/usr/bin/env python3
"""Management controllers without hardware: ipmi_sim (Debian's openipmi) on loopback, each with the
power switch of one "host", which is a set of processes. Fence agents talk to it as to any IPMI
controller (fence_ipmilan, lanplus, cipher 3); switching off kills the host's processes, all of them.

For tests, `make demo` and benches:

    bmc = LocalBmc(directory, "node-1")
    bmc.add("mark", "DEMO_HOST=node-1")
    bmc.start()
    bmc.set_faults(stays_on=1)
    bmc.stop()

A HOST is what was added to it, one line each in the file `host`, read at each switch:
    group N        a process group
    pid N          a process
    pidfile GLOB   the processes that these files name, once a line
    mark NAME=V    every process with this in its environment, which children inherit
    below DIR      every process that works in DIR, or below it
    network N      every process in the network namespace of the process N, which is not a part itself
With each go those that it has started, as far as they are still its children: fence agents that a
daemon runs, say. Whoever is a part of it is looked for again until nobody is found, so a process
that is born meanwhile does not escape.

FAULTS, which the power switch has until told otherwise (the file `faults`):
    stays_on=1         commands are accepted, and do nothing
    lies=1             likewise; and the power is told to be what was last commanded
    refuses=1          commands fail
    blind=1            the power cannot be read
    delay=SECONDS      everything takes so much longer
    lag=SECONDS        so much from command to power
    loses_answers=1    what is commanded is done, and from then on the controller is silent
set_unreachable makes the controller silent; stop takes it away.

By hand: local_bmc.py DIRECTORY NAME [KIND=VALUE ...] runs one until it is interrupted, and prints how
to talk to it.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

USERNAME = "admin"
PASSWORD = "secret"
CIPHER = "3"

# The power switch, called by ipmi_sim: `0x20 get power`, `0x20 set power 0`.
SWITCH = """\
#!/bin/sh
# Made by scripts/local_bmc.py, which says what it does.
dir='@DIR@'
stays_on= lies= refuses= blind= delay= lag= loses_answers=
[ -f "$dir/faults" ] && . "$dir/faults"
[ -n "$delay" ] && sleep "$delay"

alive() {
    case $(cat "/proc/$1/stat" 2>/dev/null) in
    *') Z '*|*') X '*|'') ;;
    *) [ "$1" != $$ ] && echo "$1" ;;
    esac
}

# Whose link /proc/N/NAME fits. One find for all processes: a readlink for each takes longer than
# all the rest.
linked() {
    name=$1
    shift
    for at in $(find /proc/[0-9]*/"$name" -maxdepth 0 "$@" 2>/dev/null); do
        pid=${at#/proc/}
        alive "${pid%%/*}"
    done
}

members() {
    while read -r kind value; do
        case $kind in
        group) kill -0 "-$value" 2>/dev/null && echo "-$value" ;;
        pid) kill -0 "$value" 2>/dev/null && echo "$value" ;;
        pidfile)
            for file in $value; do
                [ -f "$file" ] && read -r pid _ < "$file" && kill -0 "$pid" 2>/dev/null && echo "$pid"
            done ;;
        mark)
            for file in $(grep -lzsxF -- "$value" /proc/[0-9]*/environ); do
                pid=${file#/proc/}
                alive "${pid%/environ}"
            done ;;
        below) linked cwd -lname "$value" -o -lname "$value/*" ;;
        network)
            network=$(readlink "/proc/$value/ns/net") || continue
            network=${network#*[}
            linked ns/net -lname "net:?${network%]}?" | grep -vx "$value" ;;
        esac
    done < "$dir/host"
}

descendants() {
    cat /proc/[0-9]*/stat 2>/dev/null | sed 's/ (.*) . / /' | awk -v roots="$*" '
        { child[NR] = $1; parent[NR] = $2 }
        END {
            n = split(roots, root)
            for (i = 1; i <= n; i++) is_one[root[i]] = 1
            do {
                grew = 0
                for (i = 1; i <= NR; i++) {
                    if (parent[i] in is_one && !(child[i] in is_one)) {
                        is_one[child[i]] = grew = 1
                        print child[i]
                    }
                }
            } while (grew)
        }'
}

switch_off() {
    [ -n "$lag" ] && sleep "$lag"
    tries=0
    while [ $tries -lt 50 ]; do
        found=$(members)
        [ -z "$found" ] && break
        for member in $found $(descendants $found); do
            kill -9 "$member" 2>/dev/null
        done
        tries=$((tries + 1))
        [ $tries -gt 1 ] && sleep 0.02
    done
    echo 0 > "$dir/power"
}

switch_on() {
    [ -n "$lag" ] && sleep "$lag"
    was=$(cat "$dir/power")
    echo 1 > "$dir/power"
    if [ "$was" = 0 ] && [ -x "$dir/boot" ]; then
        setsid "$dir/boot" < /dev/null > /dev/null 2>&1 &
    fi
}

switch() {
    echo "$1" > "$dir/told"
    echo "$(date +%s.%N) $1" >> "$dir/commands"
    [ -n "$refuses" ] && exit 1
    [ -n "$stays_on$lies" ] && return
    if [ "$1" = 0 ]; then work=switch_off; else work=switch_on; fi
    if [ -n "$lag" ]; then $work > /dev/null 2>&1 & else $work; fi
    [ -n "$loses_answers" ] && kill -STOP "$(cat "$dir/pid")"
}

case "$2 $3 $4" in
'get power '*)
    [ -n "$blind" ] && exit 1
    if [ -n "$lies" ]; then echo "power:$(cat "$dir/told")"; else echo "power:$(cat "$dir/power")"; fi ;;
'set power 0'|'set shutdown '*) switch 0 ;;
'set power 1') switch 1 ;;
'set reset '*) switch 0; switch 1 ;;
esac
exit 0
"""

LAN = """\
name "@NAME@"
set_working_mc 0x20
  startlan 1
    addr @ADDRESS@ @PORT@
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "@SWITCH@ 0x20"
  user 2 true "@USERNAME@" "@PASSWORD@" admin 10 none md2 md5 straight
"""

EMULATOR = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
"""

# RMCP's "are you there" (an ASF presence ping), and what its answer begins with.
PING = bytes([6, 0, 0xFF, 6, 0, 0, 0x11, 0xBE, 0x80, 0, 0, 0])
PONG = bytes([6, 0])


def free_udp_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def is_installed():
    """Whether ipmi_sim, fence_ipmilan and what it calls are there."""
    path = "/usr/sbin:/usr/bin:" + os.environ.get("PATH", "")
    return all(shutil.which(p, path=path) for p in ("ipmi_sim", "fence_ipmilan", "ipmitool"))


class LocalBmc:
    def __init__(self, directory, name, port=None, address="127.0.0.1"):
        self.dir = Path(directory).resolve()
        self.name = name
        self.address = address
        self.port = port or free_udp_port()
        self.process = None
        (self.dir / "state").mkdir(parents=True, exist_ok=True)
        self.write("host", "")
        self.write("faults", "")
        self.write("power", "1\n")
        self.write("told", "1\n")
        self.write("commands", "")
        switch = self.dir / "switch"
        self.write("switch", SWITCH.replace("@DIR@", str(self.dir)))
        switch.chmod(0o755)
        words = {"NAME": name, "ADDRESS": address, "PORT": str(self.port), "SWITCH": str(switch),
                 "USERNAME": USERNAME, "PASSWORD": PASSWORD}
        lan = LAN
        for word, value in words.items():
            lan = lan.replace(f"@{word}@", value)
        self.write("lan.conf", lan)
        self.write("sim.emu", EMULATOR)

    def write(self, name, text):
        """As a whole: the switch may be reading."""
        new = self.dir / (name + ".new")
        new.write_text(text)
        new.rename(self.dir / name)

    # --- the host --------------------------------------------------------------------------------

    def add(self, kind, value):
        with open(self.dir / "host", "a") as host:
            host.write(f"{kind} {value}\n")

    def empty(self):
        """Nothing is a part of the host any more."""
        self.write("host", "")

    def boots_by(self, command):
        """A shell command that starts the host, when it is switched on after it was off."""
        self.write("boot", f"#!/bin/sh\n{command}\n")
        (self.dir / "boot").chmod(0o755)

    @property
    def is_on(self):
        return (self.dir / "power").read_text().strip() == "1"

    def lose_power(self):
        """The host is off at once, though nobody commanded it; the controller lives on."""
        subprocess.run([self.dir / "switch", "0x20", "set", "power", "0"], check=True)

    def commands(self):
        """What was commanded so far: 0 for off, 1 for on."""
        return [int(line.split()[1]) for line in (self.dir / "commands").read_text().splitlines()]

    # --- the controller --------------------------------------------------------------------------

    def start(self, patience=10):
        command = ["ipmi_sim", "-n", "-c", "lan.conf", "-f", "sim.emu", "-s", "state"]
        env = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/bin:/usr/sbin:/bin"}
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen(command, cwd=self.dir, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=env,
                                            start_new_session=True)
        self.write("pid", f"{self.process.pid}\n")
        end = time.monotonic() + patience
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"ipmi_sim does not start; its log is {self.dir / 'log'}")

    def answers(self, patience=0.2):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(patience)
            s.connect((self.address, self.port))
            try:
                s.send(PING)
                return s.recv(64).startswith(PONG)
            except OSError:
                time.sleep(0.02)
                return False

    def set_faults(self, **faults):
        """Instead of those before."""
        self.write("faults", "".join(f"{name}='{value}'\n" for name, value in faults.items()))

    def set_unreachable(self, is_so):
        self.process.send_signal(signal.SIGSTOP if is_so else signal.SIGCONT)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    # --- who talks to it -------------------------------------------------------------------------

    @property
    def params(self):
        """Of fence_ipmilan."""
        return {"ip": self.address, "ipport": str(self.port), "username": USERNAME,
                "password": PASSWORD, "lanplus": "1", "cipher": CIPHER}


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    bmc = LocalBmc(sys.argv[1], sys.argv[2])
    for part in sys.argv[3:]:
        bmc.add(*part.split("=", 1))
    bmc.start()
    print(f"{bmc.name}: {bmc.address} port {bmc.port}\n"
          f"  fence_ipmilan {' '.join(f'--{k}={v}' for k, v in bmc.params.items() if k != 'lanplus')}"
          f" --lanplus --action=status", flush=True)
    try:
        bmc.process.wait()
    except KeyboardInterrupt:
        bmc.stop()


if __name__ == "__main__":
    main()
