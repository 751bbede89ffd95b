#!/usr/bin/env python3
"""test_transcripts.py BUILD [--record]: Debian's etcdctl gets from our members what it gets from etcd's,
by the transcripts in etcdctl/ (transcript.py says what they are). Where etcd-server is installed, its
answers are compared with the transcripts, too; --record writes them anew. Ends with 77 where etcdctl
is not installed.
"""

import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "scripts"))

from local_cluster import Cluster
from local_etcd import Etcd
from transcript import Session, Step, parse, unpadded, write

AT_ONCE = 4  # clusters; most of the time they wait


def play(cluster, clients, peers, parts):
    """What was said, for each step; and what went wrong."""
    said = {}
    session = None
    try:
        cluster.start()
        cluster.leader()
        session = Session(clients, peers)
        for step in parts:
            if not isinstance(step, Step):
                continue
            said[step.number] = session.do(step)
    except (OSError, TimeoutError, subprocess.TimeoutExpired) as e:
        return said, repr(e)
    finally:
        if session:
            session.close()
        cluster.stop()
    return said, None


def differences(parts, is_ours, said, trouble):
    lines = [trouble] if trouble else []
    for step in parts:
        if not isinstance(step, Step) or said.get(step.number) == step.wanted(is_ours):
            continue
        lines.append(f"line {step.number}: {step.words}")
        if step.number not in said:
            return [*lines, "  was not reached"]
        lines += [f"  found  {line}" for line in said[step.number]]
        lines += [f"  wanted {line}" for line in step.wanted(is_ours)]
    return lines


def play_ours(build, directory, parts):
    cluster = Cluster(directory, build)
    clients = [f"127.0.0.1:{m.client_port}" for m in cluster.members]
    peers = [f"127.0.0.1:{m.peer_port}" for m in cluster.members]
    return play(cluster, clients, peers, parts)


def play_theirs(directory, parts):
    cluster = Etcd(directory)
    clients = [f"127.0.0.1:{port}" for port in cluster.ports]
    return play(cluster, clients, [f"127.0.0.1:{port}" for port in cluster.peers], parts)


def main():
    build = Path(sys.argv[1]).resolve()
    records = sys.argv[2:3] == ["--record"]
    if shutil.which("etcdctl") is None:
        print("etcdctl is not installed (package etcd-client)")
        return 77
    has_etcd = shutil.which("etcd") is not None
    paths = sorted((HERE / "etcdctl").glob("*.txt"))
    if sys.argv[3:]:
        paths = [path for path in paths if path.stem in sys.argv[3:]]

    def run(play_one, parts):
        directory = tempfile.mkdtemp(prefix="novacron-test-")
        try:
            return play_one(directory, parts)
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    players = {"ours": partial(play_ours, build), "etcd": play_theirs}
    steps = {path: parse(path.read_text()) for path in paths}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        plays = {(path, who): pool.submit(run, players[who], steps[path])
                 for path in paths for who in players if who == "ours" or has_etcd}
    print(f"1..{1 + len(paths) * len(players)}")
    number = 1
    failed = int(unpadded("Member  1a added to cluster   2b") != "Member 1a added to cluster 2b")
    print(("not ok" if failed else "ok") + " 1 - ids with a digit less")
    for path in paths:
        parts = steps[path]
        if records:
            for part in parts:
                if isinstance(part, Step):
                    part.theirs = plays[path, "etcd"].result()[0].get(part.number, part.theirs)
            path.write_text(write(parts))
        for who in players:
            number += 1
            what = f"{number} - {path.stem}, {who}"
            if (path, who) not in plays:
                print(f"ok {what} # SKIP etcd-server is not installed")
                continue
            lines = differences(parts, who == "ours", *plays[path, who].result())
            failed += bool(lines)
            print(("not ok " if lines else "ok ") + what)
            print("".join(f"# {line}\n" for line in lines), end="", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
