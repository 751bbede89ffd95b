#!/usr/bin/env python3
"""demo.py [--keep] [--guest tiny|linux] [--build DIR]: virtual machines survive what befalls their
hosts, on this machine, with real processes: `make demo`.

Ends with 0 if all came back, no machine ever lived twice and no counter went backwards; with 1 if
not, with 2 where it cannot run here, and with 130 after a ctrl-C. Whatever happens, nothing of it
stays, but for the logs of a demo that failed and for all of it with --keep.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import demo_keep
import net_lab
from demo_acts import Demo, say
from guest_kernel import NoKernel
from local_bmc import is_installed
from local_cluster import ROOT
from local_guests import LinuxGuest, TinyGuest
from local_hosts import HostFarm

SIZE = 3


def leave(number, _):
    sys.exit(128 + number)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true",
                        help="leave it running, and say how to talk to it")
    parser.add_argument("--guest", choices=("tiny", "linux"), default="tiny")
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    return parser.parse_args()


def network(directory):
    """The hosts' network, and what to say of it; None where there can be none."""
    why_not = net_lab.missing(("ip", "nsenter", "unshare"))
    if not why_not:
        try:
            lab = net_lab.NetLab(SIZE, has_management=True, has_filter=False, at=directory,
                                 seconds="infinity")
            return lab, ("each host in a network namespace of its own, a bridge between them, and "
                         "one for controllers")
        except OSError as e:
            why_not = str(e)
    return None, (f"loopback, for {why_not}:\n              where a host is to be cut off, its "
                  "daemon is stopped instead")


def prepare(args, directory):
    build = args.build.resolve()
    # The kernel comes from Debian's mirror, which is out of reach from a network of our own.
    guest = LinuxGuest(build, directory) if args.guest == "linux" else TinyGuest(build)
    lab, of_network = network(directory)
    try:
        farm = HostFarm(directory, build, size=SIZE, lab=lab, guest=guest)
    except BaseException:
        if lab:
            lab.close()
        raise
    say(f"NovaCron's demo: {SIZE} hosts, 4 virtual machines, and what can befall them. "
        "Ctrl-C ends it.\n"
        f"   machines   QEMU; in each, {guest.what}\n"
        f"   network    {of_network}\n"
        f"   files      {directory}, removed in the end; if this is killed, its `end` ends all")
    return farm


def end(farm, directory, is_kept, is_right):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it takes no second, and is to be whole
    if is_kept:
        return
    if farm:
        farm.close()
    if is_right:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        say(f"   All processes are ended. The logs are below {directory}")


def main():
    args = arguments()
    if not is_installed() or shutil.which("qemu-system-x86_64") is None:
        say("demo: QEMU, ipmi_sim or fence_ipmilan is missing; `make setup` installs them")
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    began = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="novacron-demo-")).resolve()
    farm, demo, is_kept, status = None, None, False, 1
    try:
        farm = prepare(args, directory)
        demo_keep.make_scripts(farm)
        demo = Demo(farm)
        status = demo.run()
        say(f"   It took {time.monotonic() - began:.0f} s.")
        if args.keep and status == 0:
            demo_keep.leave_it(farm)
            is_kept = True
    except NoKernel as e:
        say(f"demo: {e}")
        status = 2
    except (TimeoutError, RuntimeError, OSError) as e:
        say(f"   FAIL {e}")
        status = 1
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except SystemExit as e:
        status = e.code
    finally:
        if status > 128:
            say("\n   Interrupted: it is cleaned up.")
        end(farm, directory, is_kept, status != 1)
    return status


if __name__ == "__main__":
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"
    sys.exit(main())
