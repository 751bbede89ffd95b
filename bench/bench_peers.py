#!/usr/bin/env python3
"""bench_peers.py BUILD: Debian's memberlist beside our model of it, in the same cells.

bench/peers/peers.go runs memberlist itself, in real time; `novacron-sim detect peers` runs the model.
The model is valid where false positives are within a factor of two and detection times within 10 %;
where it is not, nothing may be claimed by it. Takes some 50 minutes, nearly all of them waiting. A
run in which the machine was too busy is void, and done again.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOPATH = Path("/usr/share/gocode")
TRIES = 4
RUNS = 3

# Cell of the model: arguments of peers, once for each of RUNS seeds.
CELLS = {
    "crash_32": ["crash", "-nodes", "32", "-kills", "8"],
    "crash_128": ["crash", "-nodes", "128", "-kills", "8"],
    "block_8_plain": ["block", "-nodes", "64", "-anomalous", "8", "-plain"],
    "block_8": ["block", "-nodes", "64", "-anomalous", "8"],
    "block_16_plain": ["block", "-nodes", "64", "-anomalous", "16", "-plain"],
    "block_16": ["block", "-nodes", "64", "-anomalous", "16"],
}

# What is compared: figure of peers, of the model, and how far apart they may be.
TIMES = {"peers_crash_first_p50_s": "first_s", "peers_crash_full_p50_s": "full_s"}
COUNTS = {"peers_block_originations": "originations", "peers_block_events": "events"}
TIMES_RATIO = 1.1
COUNTS_RATIO = 2.0


def figures(text):
    return {m[1]: float(m[2]) for m in re.finditer(r"(?m)^(\w+): (\S+) \S+$", text)}


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def run_peers(program, arguments, seed):
    """The figures of one run that the machine was fit for; None where there was none."""
    for attempt in range(TRIES):
        done = subprocess.run(
            [program, *arguments, "-seed", str(seed + 100 * attempt)],
            capture_output=True, text=True, check=False,
        )
        if done.returncode == 0:
            return figures(done.stdout)
        print(f"  void: {done.stderr.strip()}", flush=True)
    return None


def are_alike(a, b, ratio):
    """Counts of one or two say nothing: each is given one more."""
    slack = 0 if ratio < COUNTS_RATIO else 1
    return (a + slack) <= ratio * (b + slack) and (b + slack) <= ratio * (a + slack)


def compare(cell, runs, model):
    verdicts = []
    for table, ratio in ((TIMES, TIMES_RATIO), (COUNTS, COUNTS_RATIO)):
        for name, column in table.items():
            measured = [run[name] for run in runs if name in run]
            if measured:
                ours = model[f"model_{cell}_{column}"]
                is_good = are_alike(median(measured), ours, ratio)
                verdicts.append(is_good)
                print(f"  {column}: memberlist {median(measured):.6g} of {sorted(measured)}, "
                      f"model {ours:.6g}: {'alike' if is_good else 'NOT ALIKE'}", flush=True)
    if not verdicts:
        print("  no run that the machine was fit for: NOT COMPARED", flush=True)
    return all(verdicts) and verdicts != []


def main(build):
    if shutil.which("go") is None or not (GOPATH / "src/github.com/hashicorp/memberlist").exists():
        print("left out: golang-go and golang-github-hashicorp-memberlist-dev are not installed")
        return 0
    simulator = ROOT / build / "cli/sim/novacron-sim"
    model = figures(subprocess.run([simulator, "detect", "peers"], capture_output=True, text=True,
                                   check=True).stdout)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "peers"
        environment = os.environ | {"GO111MODULE": "off", "GOPATH": str(GOPATH),
                                    "GOCACHE": str(Path(folder) / "cache")}
        subprocess.run(["go", "build", "-o", program, ROOT / "bench/peers/peers.go"],
                       env=environment, check=True)
        alike = 0
        for cell, arguments in CELLS.items():
            print(f"{cell}: {' '.join(arguments)}", flush=True)
            runs = [run for seed in range(1, RUNS + 1)
                    if (run := run_peers(program, arguments, seed)) is not None]
            alike += compare(cell, runs, model)
    print(f"peers_cells: {len(CELLS)} cells")
    print(f"peers_cells_alike: {alike} cells")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
