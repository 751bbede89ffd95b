#!/usr/bin/env python3
"""test_certificates.py BUILD: certificates of the client port that expire and are renewed while the
daemon runs, told by SIGHUP. Ends with 77 where openssl is not installed, which makes the expired ones.
"""

import http.client
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))

from checks import Checks, expect, run_checks, until
from local_cluster import Cluster

PATIENCE = 15
check = Checks()


AUTHORITY = """
[ca]
default_ca = authority
[authority]
database = {dir}/index
serial = {dir}/serial
new_certs_dir = {dir}
default_md = sha256
policy = policy
copy_extensions = copyall
unique_subject = no
[policy]
commonName = supplied
"""


def sign_as_expired(pki, name):
    """The same certificate, but for its time, which is over."""
    place = Path(tempfile.mkdtemp(dir=pki))
    (place / "conf").write_text(AUTHORITY.format(dir=place))
    (place / "index").touch()
    (place / "serial").write_text("77\n")

    def openssl(*args):
        done = subprocess.run(["openssl", *args], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    openssl("x509", "-x509toreq", "-in", pki / f"{name}.crt", "-signkey", pki / f"{name}.key",
            "-copy_extensions", "copyall", "-out", place / "request")
    openssl("ca", "-batch", "-notext", "-config", place / "conf", "-in", place / "request",
            "-cert", pki / "ca.crt", "-keyfile", pki / "ca.key", "-startdate", "20200101000000Z",
            "-enddate", "20200102000000Z", "-out", place / "signed")
    (pki / f"{name}.crt").write_text((place / "signed").read_text())


def reload(member):
    """Tells it that its files have changed; waits until it has read them."""
    before = member.log.read_text().count("msg=reloaded")
    member.send(signal.SIGHUP)
    until("the reload", lambda: member.log.read_text().count("msg=reloaded") > before,
               PATIENCE)
    return member.log.read_text().split("msg=reloaded")[-1]


def ask(connection):
    connection.request("GET", "/version")
    return connection.getresponse().read()


def connect(cluster, name=None):
    """A new connection, with a client's certificate or without."""
    context = ssl.create_default_context(cafile=cluster.pki / "ca.crt")
    if name:
        context.load_cert_chain(cluster.pki / f"{name}.crt", cluster.pki / f"{name}.key")
    return http.client.HTTPSConnection("127.0.0.1", cluster.members[0].client_port,
                                       timeout=PATIENCE, context=context)


@check
def renews_a_certificate_that_has_expired(cluster):
    member = cluster.members[0]
    good = (cluster.pki / "node-1.crt").read_text()
    kept = connect(cluster)
    assert b"etcdserver" in ask(kept)
    sign_as_expired(cluster.pki, "node-1")
    reload(member)
    try:
        ask(connect(cluster))
        raise AssertionError("an expired certificate was taken for good")
    except ssl.SSLCertVerificationError as e:
        assert "expired" in str(e), e
    (cluster.pki / "node-1.crt").write_text(good)
    assert "outcome=ok" in reload(member)
    assert b"etcdserver" in ask(connect(cluster))
    assert b"etcdserver" in ask(kept), "a connection from before was cut"


@check
def refuses_a_client_whose_certificate_has_expired(cluster):
    good = (cluster.pki / "client.crt").read_text()
    assert b"etcdserver" in ask(connect(cluster, "client"))
    sign_as_expired(cluster.pki, "client")
    try:
        ask(connect(cluster, "client"))
        raise AssertionError("an expired certificate was taken for good")
    except (ssl.SSLError, OSError) as e:
        assert not isinstance(e, ssl.SSLCertVerificationError), e
    (cluster.pki / "client.crt").write_text(good)
    assert b"etcdserver" in ask(connect(cluster, "client"))


@check
def goes_on_with_what_it_has_when_the_new_files_do_not_fit(cluster):
    member = cluster.members[0]
    certificate = cluster.pki / "node-1.crt"
    good = certificate.read_text()
    certificate.write_text((cluster.pki / "client.crt").read_text())  # not of this key
    assert "outcome=failed" in reload(member)
    assert b"etcdserver" in ask(connect(cluster))
    certificate.write_text(good)
    assert "outcome=ok" in reload(member)
    expect(member.process.poll(), None)


def main():
    if shutil.which("openssl") is None:
        print("openssl is not installed")
        return 77
    directory = tempfile.mkdtemp(prefix="novacron-test-")
    cluster = Cluster(directory, sys.argv[1], size=1, has_tls=True)
    failed = 1
    try:
        cluster.start()
        cluster.leader()
        failed = run_checks(check.functions, (cluster,))
        if failed:
            print(cluster.members[0].log.read_text()[-3000:])
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
