"""The demo's cluster from outside: `make demo KEEP=1` leaves it running, and says how to talk to it and
how to end it.

The hosts are in networks of their own, so what talks to them has to go there first: for each thing
to do there is a small script in the demo's directory. They are there from the beginning, so that a
demo which was killed can be ended, too.
"""

SCRIPT = "#!/bin/sh\n# Made by scripts/demo_keep.py.\n"

NOVACRON = "exec {enter} {program} \"$@\" --endpoints {endpoints}\n"

POWER = """\
case $2 in on) to=1 ;; off) to=0 ;; *) to= ;; esac
if [ -z "$to" ] || [ ! -x "{dir}/bmc-$1/switch" ]; then
    echo "power HOST on|off, where HOST is one of: {names}" >&2
    exit 2
fi
exec {enter} "{dir}/bmc-$1/switch" 0x20 set power $to
"""

CABLE = """\
case $1 in {cases} *) port= ;; esac
case $2 in in) how="master br0" ;; out) how=nomaster ;; *) how= ;; esac
if [ -z "$port" ] || [ -z "$how" ]; then
    echo "cable HOST in|out, where HOST is one of: {names}" >&2
    exit 2
fi
exec {enter} ip link set "$port" $how
"""

# Guards do not end on SIGTERM, by design. What else works below the directory are controllers and
# what holds the networks.
END = """\
cd /
for switch in "{dir}"/bmc-*/switch; do
    {enter} "$switch" 0x20 set power 0
done
for tries in 1 2 3; do
    for at in $(find /proc/[0-9]*/cwd -maxdepth 0 -lname "{dir}" -o -lname "{dir}/*" 2>/dev/null); do
        pid=${{at#/proc/}}
        kill -9 "${{pid%/cwd}}" 2>/dev/null
    done
done
rm -rf "{dir}"
"""


def make_scripts(farm):
    enter = " ".join(farm.lab.prefix_from_outside()) if farm.lab else ""
    words = {"dir": farm.dir, "enter": enter, "names": " ".join(farm.names),
             "program": farm.build / "cli/novacron", "endpoints": farm.endpoints,
             "cases": " ".join(f"{name}) port=p{i + 1} ;;" for i, name in enumerate(farm.names))}
    scripts = {"novacron": NOVACRON, "power": POWER, "end": END}
    if farm.lab:
        scripts["cable"] = CABLE
    for name, text in scripts.items():
        path = farm.dir / name
        path.write_text(SCRIPT + text.format(**words))
        path.chmod(0o755)


def leave_it(farm):
    machine = "vm-1"
    host = farm.owner(machine).get("host", farm.names[0])
    lines = [("novacron status", "all on one screen"),
             ("novacron vm list", "machines, and where they run"),
             (f"novacron vm explain {machine}", "why it is where it is"),
             ("novacron host list", "hosts"),
             ("novacron events", "what was decided, and why"),
             ("novacron incident list", "what was lost, and how long it took"),
             (f"novacron vm stop {machine}", "and `vm start`"),
             (f"power {host} off", "the plug is pulled; `on` boots the host")]
    if farm.lab:
        lines.append((f"cable {host} out", "the host is cut off; `in` puts it back"))
    print(f"\nIt runs on. Talk to it from another terminal:\n\n    cd {farm.dir}")
    for command, meaning in lines:
        print(f"    ./{command:<28} # {meaning}")
    print(f"    tail -f {host}/machines/{machine}/console.log   # its guest's console, while it is on "
          f"{host}\n\nand end it, with all that is below that directory:\n\n    {farm.dir}/end",
          flush=True)
