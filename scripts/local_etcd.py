"""Three processes of Debian's etcd-server on loopback, below one directory: for what compares ours with
theirs. As local_cluster.py, whose counterpart this is.
"""

import http.client
import json
import subprocess
import time
from pathlib import Path

from local_cluster import free_ports


def post(port, path, body, patience=5.0):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        return json.loads(text) if answer.status == 200 else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


class Etcd:
    """Three of Debian's etcd-server, with its defaults."""

    def __init__(self, directory):
        self.dir = Path(directory)
        ports = free_ports(6)
        self.ports = ports[:3]
        self.peers = ports[3:]
        self.processes = [None] * 3

    def start_one(self, i):
        initial = ",".join(f"node-{k + 1}=http://127.0.0.1:{p}" for k, p in enumerate(self.peers))
        client, peer = f"http://127.0.0.1:{self.ports[i]}", f"http://127.0.0.1:{self.peers[i]}"
        command = ["etcd", "--name", f"node-{i + 1}", "--data-dir", self.dir / f"node-{i + 1}",
                   "--listen-client-urls", client, "--advertise-client-urls", client,
                   "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                   "--initial-cluster", initial, "--log-level", "error"]
        with open(self.dir / f"node-{i + 1}.log", "ab") as log:
            self.processes[i] = subprocess.Popen(command, stdout=log, stderr=log)

    def start(self):
        for i in range(3):
            self.start_one(i)

    @property
    def endpoints(self):
        return ",".join(f"http://127.0.0.1:{p}" for p in self.ports)

    def leader(self, patience=20):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            for i, port in enumerate(self.ports):
                status = post(port, "/v3/maintenance/status", {})
                if status and status.get("leader") == status["header"]["member_id"]:
                    return i
            time.sleep(0.05)
        raise TimeoutError("etcd has no leader")

    def kill_leader(self):
        i = self.leader()
        self.processes[i].kill()
        began = time.monotonic()
        self.processes[i].wait()
        return i, began

    def restart(self, i):
        self.start_one(i)

    def stop(self):
        for process in self.processes:
            if process:
                process.kill()
                process.wait()
