#!/usr/bin/env python3
"""test_certificates.py BUILD: certificates that expire in a running cluster, that bear a wrong name, or
come from another authority, and a member of another cluster: on the peers' port and the clients'.
Each is refused with a reason at both ends, the others go on, and new files and a SIGHUP put it right.
"""

import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

from checks import PATIENCE, soon
from history_clients import report
from scene import with_cluster

from local_cluster import free_ports

SKIPPED = 77
SHORT = 6  # s, until a certificate expires; meanwhile a SIGHUP must have been heard
CONFIG = """
[ca]
default_ca = lab
[lab]
database = {dir}/index
new_certs_dir = {dir}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[member]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:{name}, DNS:localhost, IP:127.0.0.1
"""


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def issue(pki, to, name, seconds=86400):
    """A certificate of the authority in `pki`, as files `to`.crt and .key, for so many seconds."""
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        (work / "index").touch()
        (work / "config").write_text(CONFIG.format(dir=work, name=name))
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", work / "key", "-out", work / "csr", "-subj", f"/CN={name}")
        until = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        begin = datetime.now(timezone.utc) - timedelta(days=1)
        run("openssl", "ca", "-batch", "-config", work / "config", "-notext", "-in", work / "csr",
            "-out", work / "crt", "-cert", pki / "ca.crt", "-keyfile", pki / "ca.key", "-extensions",
            "member", "-startdate", f"{begin:%Y%m%d%H%M%S}Z", "-enddate", f"{until:%Y%m%d%H%M%S}Z")
        os.chmod(work / "key", 0o600)
        shutil.copy(work / "crt", f"{to}.crt")
        shutil.copy(work / "key", f"{to}.key")
        os.chmod(f"{to}.key", 0o600)


class Logs:
    """What members say from here on."""

    def __init__(self, members):
        self.members = members
        self.at = {m.name: m.log.stat().st_size for m in members}

    def says(self, member, *words):
        text = member.log.read_bytes()[self.at[member.name]:].decode(errors="replace").lower()
        return any(all(word in line for word in words) for line in text.splitlines())

    def wait(self, member, *words):
        return bool(soon(lambda: self.says(member, *words)))


class Cli:
    def __init__(self, build, cluster):
        self.program = build / "cli/novacron"
        self.cluster = cluster

    def put(self, member, certificate="client", pki=None):
        """(worked, what it said)"""
        pki = pki or self.cluster.pki
        done = subprocess.run([self.program, "kv", "put", "k", "v", "--endpoints", member.client_url,
                               "--cacert", self.cluster.pki / "ca.crt",
                               "--cert", pki / f"{certificate}.crt", "--key",
                               pki / f"{certificate}.key"], capture_output=True, text=True,
                              timeout=PATIENCE)
        return done.returncode == 0, (done.stdout + done.stderr).strip()

    def works(self, member):
        return self.put(member)[0]


def cast(cluster):
    """(one that connects anew, the leader, and whose certificate is no good): the two that follow do
    not need each other while the leader speaks with both."""
    leader = cluster.leader(PATIENCE)
    first, victim = [m for m in cluster.members if m is not leader]
    return first, leader, victim


def restart(member):
    member.stop()
    member.start()


def expires(cluster, cli):
    """A member's certificate runs out while it runs; then a peer has to connect anew."""
    first, leader, victim = cast(cluster)
    path = cluster.pki / victim.name
    issue(cluster.pki, path, victim.name, SHORT)
    logs = Logs(cluster.members)
    victim.send(signal.SIGHUP)
    took = logs.wait(victim, "msg=reloaded", "outcome=ok")
    time.sleep(SHORT + 0.5)
    goes_on = cli.works(first)
    restart(first)
    refused = logs.wait(first, "refused a peer", "expired")
    told = logs.wait(victim, "refused a peer", "expired")
    others = bool(soon(lambda: cli.works(first)))
    client = cli.put(victim)
    issue(cluster.pki, path, victim.name)
    victim.send(signal.SIGHUP)
    leader.stop()  # a majority is now these two, if they speak to each other
    healed = bool(soon(lambda: cli.works(victim) and cli.works(first)))
    leader.start()
    soon(lambda: cli.works(leader))
    return [(took and goes_on and others, "a_certificate_that_expires_stops_nobody_else"),
            (refused and told, f"an_expired_certificate_is_refused_at_both_ends {refused} {told}"),
            (not client[0] and "expired" in client[1], f"clients_hear_of_it_too {client[1]!r}"),
            (healed, "a_new_certificate_and_a_sighup_heal_it")]


def bears_wrong_name(cluster, cli):
    first, leader, victim = cast(cluster)
    path = cluster.pki / victim.name
    issue(cluster.pki, path, "somebody-else")
    logs = Logs(cluster.members)
    victim.send(signal.SIGHUP)
    logs.wait(victim, "msg=reloaded")
    restart(first)
    refused = logs.wait(first, "refused", "does not bear")
    told = logs.wait(victim, "does not bear")
    others = bool(soon(lambda: cli.works(first)))
    issue(cluster.pki, path, victim.name)
    victim.send(signal.SIGHUP)
    leader.stop()
    healed = bool(soon(lambda: cli.works(victim) and cli.works(first)))
    leader.start()
    soon(lambda: cli.works(leader))
    return [(refused and told and others, f"a_wrong_name_is_refused_at_both_ends {refused} {told}"),
            (healed, "the_right_name_and_a_sighup_heal_it")]


def comes_from_elsewhere(cluster, cli):
    """Another authority's certificate is no use to a member of this one; on either port."""
    first, _, victim = cast(cluster)
    other = cluster.dir / "other-pki"
    run(cli.program, "ca", "init", other)
    issue(other, other / "client", "client")
    kept = {suffix: Path(f"{cluster.pki / victim.name}{suffix}").read_bytes()
            for suffix in (".crt", ".key")}
    logs = Logs(cluster.members)
    issue(other, cluster.pki / victim.name, victim.name)
    victim.send(signal.SIGHUP)
    stays = logs.wait(victim, "stay as they were")
    client = cli.put(first, pki=other)
    heard = logs.wait(first, "refused a client")
    victim.config.write_text(victim.config.read_text().replace(f"ca: {cluster.pki}/ca.crt",
                                                               f"ca: {other}/ca.crt"))
    restart(victim)
    refused = logs.wait(first, "refused a peer", "err_denied")
    told = logs.wait(victim, "refused a peer", "err_denied")
    others = bool(soon(lambda: cli.works(first)))
    for suffix, text in kept.items():
        Path(f"{cluster.pki / victim.name}{suffix}").write_bytes(text)
    victim.config.write_text(victim.config.read_text().replace(f"ca: {other}/ca.crt",
                                                               f"ca: {cluster.pki}/ca.crt"))
    restart(victim)
    healed = bool(soon(lambda: cli.works(victim)))
    return [(stays, "files_of_another_authority_change_nothing_at_a_sighup"),
            (refused and told and others,
             f"another_authority_is_refused_at_both_ends {refused} {told} {others}"),
            (not client[0] and "unknown ca" in client[1] and heard,
             f"a_client_of_another_authority_is_refused_at_both_ends {client[1]!r} {heard}"),
            (healed, "the_right_authority_heals_it")]


def is_of_another_cluster(cluster, cli):
    first = cluster.members[0]
    logs = Logs(cluster.members)
    directory = cluster.dir / "stranger"
    directory.mkdir()
    text = cluster.members[2].config.read_text()
    text = text.replace("name: local", "name: elsewhere")
    text = text.replace(str(cluster.dir / "node-3" / "data"), str(directory / "data"))
    for port in (cluster.members[2].client_port, cluster.members[2].peer_port):
        text = text.replace(f"listen: 127.0.0.1:{port}", f"listen: 127.0.0.1:{free_ports(1)[0]}")
    (directory / "config").write_text(text)
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen([cluster.program, "--config", directory / "config"], stderr=log,
                                   env=cluster.env)
    try:
        refused = logs.wait(first, "refused a stream", "another cluster")
        told = bool(soon(lambda: "belongs to another cluster" in
                             (directory / "log").read_text()))
        others = cli.works(first)
    finally:
        process.kill()
        process.wait()
    return [(refused and told and others,
             f"a_member_of_another_cluster_is_refused_at_both_ends {refused} {told} {others}")]


def demands_certificates(cluster):
    """With require_certificate, who shows none hears nothing."""
    member = cluster.members[0]
    context = ssl.create_default_context(cafile=cluster.pki / "ca.crt")
    try:
        with urllib.request.urlopen(member.client_url + "/health", context=context, timeout=5):
            return [(False, "a_client_without_a_certificate_is_refused")]
    except OSError as error:
        return [(True, "a_client_without_a_certificate_is_refused"),
                ("certificate" in str(error).lower(), f"and_hears_why {error}")]


def run_all(cluster):
    results = []
    cli = Cli(cluster.build, cluster)
    cluster.start()
    assert soon(lambda: all(cli.works(m) for m in cluster.members)), "no cluster"
    try:
        results += demands_certificates(cluster)
        results += expires(cluster, cli)
        results += bears_wrong_name(cluster, cli)
        results += comes_from_elsewhere(cluster, cli)
        results += is_of_another_cluster(cluster, cli)
    finally:
        is_right = report(results)
    return is_right


def main():
    if not shutil.which("openssl"):
        print("1..0 # SKIP openssl is not installed")
        return SKIPPED
    return with_cluster(run_all, has_tls=True, extra="  require_certificate: true\n")


if __name__ == "__main__":
    sys.exit(main())
