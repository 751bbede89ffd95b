#!/usr/bin/env python3
"""test_metrics.py BUILD: what members serve at /metrics, and what deploy/ makes of it: Prometheus'
conventions, etcd's names, alert rules, the dashboard. Without promtool (Debian's package
prometheus) what needs it is skipped.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from checks import Checks, Skip, run_checks
from scene import with_cluster

ROOT = Path(__file__).resolve().parent.parent.parent

PROMTOOL = shutil.which("promtool")
PATIENCE = 30

# What etcd's dashboards and alerts ask for, and that means the same here.
ETCD_NAMES = """
etcd_cluster_version etcd_disk_wal_fsync_duration_seconds etcd_mvcc_db_total_size_in_bytes
etcd_mvcc_db_total_size_in_use_in_bytes etcd_network_active_peers
etcd_network_client_grpc_received_bytes_total etcd_network_client_grpc_sent_bytes_total
etcd_network_peer_received_bytes_total etcd_network_peer_sent_bytes_total
etcd_network_peer_sent_failures_total etcd_server_has_leader etcd_server_id etcd_server_is_leader
etcd_server_is_learner etcd_server_leader_changes_seen_total etcd_server_proposals_applied_total
etcd_server_proposals_committed_total etcd_server_proposals_failed_total
etcd_server_proposals_pending etcd_server_quota_backend_bytes
etcd_server_read_indexes_failed_total etcd_server_version grpc_server_handled_total
grpc_server_handling_seconds grpc_server_msg_received_total grpc_server_msg_sent_total
grpc_server_started_total process_cpu_seconds_total process_max_fds process_open_fds
process_resident_memory_bytes process_start_time_seconds process_virtual_memory_bytes
""".split()

# Of a member with certificates alone.
WITH_TLS = {"novacron_peer_certificate_expiry_timestamp_seconds"}

# Of a member that runs machines alone.
WITH_MACHINES = {"novacron_agent_is_served", "novacron_host_lease_seconds", "novacron_vm_health",
                 "novacron_vm_unwell_ends_total"}

# Those of Prometheus itself, about what it asks.
OF_PROMETHEUS = {"up"}

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)$')

check = Checks()


def promtool(*args, given=None):
    if PROMTOOL is None:
        raise Skip("there is no promtool; apt-get install prometheus")
    done = subprocess.run([PROMTOOL, *args], input=given, text=True, capture_output=True,
                          timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    return said


class Page:
    """A page of metrics, taken apart: types and helps by name, samples as (name, labels, value)."""

    def __init__(self, text):
        self.text = text
        self.types, self.helps, self.samples = {}, {}, []
        assert text.endswith("\n")
        for line in text.splitlines():
            if line.startswith("# "):
                _, kind, name, rest = line.split(" ", 3)
                table = {"TYPE": self.types, "HELP": self.helps}[kind]
                assert name not in table, f"{kind} of {name} is there twice"
                table[name] = rest
                self.last = name
                continue
            found = SAMPLE.match(line)
            assert found, f"no sample: {line!r}"
            name, labels, value = found.groups()
            assert self.family(name) == self.last, f"{name} is not behind its head"
            self.samples.append((name, labels or "", float(value)))

    def family(self, name):
        if name in self.types:
            return name
        for suffix in ("_bucket", "_sum", "_count"):
            base = name.removesuffix(suffix)
            if base != name and self.types.get(base) == "histogram":
                return base
        raise AssertionError(f"{name} has no TYPE")

    def value(self, name, labels=""):
        return {(n, l): v for n, l, v in self.samples}[name, labels]


def load(cluster):
    """Something of each kind, so that no page is full of zeros."""
    novacron = [cluster.build / "cli/novacron"]
    flags = ["--endpoints", cluster.endpoints]
    for i in range(20):
        subprocess.run([*novacron, "kv", "put", f"key-{i}", "x" * 100, *flags], check=True,
                       stdout=subprocess.DEVNULL, timeout=PATIENCE)
    for args in (["kv", "get", "key", "--prefix"], ["kv", "del", "key-1"], ["member", "list"],
                 ["cluster", "status"], ["members"], ["snapshot", "save", cluster.dir / "backup"], ["kv", "watch", "key-1", "--rev", "2",
                                                                "--count", "1"]):
        subprocess.run([*novacron, *args, *flags], check=True, stdout=subprocess.DEVNULL,
                       timeout=PATIENCE)
    subprocess.run([*novacron, "kv", "get", "x", "--rev", "99999", *flags], timeout=PATIENCE,
                   capture_output=True)


# --- the pages ------------------------------------------------------------------------------------


@check
def gives_each_metric_one_head_and_its_samples_behind_it(pages):
    for page in pages:
        assert page.types.keys() == page.helps.keys()
        sampled = {page.family(name) for name, _, _ in page.samples}
        assert sampled == page.types.keys(), page.types.keys() - sampled
        seen = [(name, labels) for name, labels, _ in page.samples]
        assert len(seen) == len(set(seen)), "a sample is there twice"
        assert all(help.endswith(".") for help in page.helps.values()), page.helps


@check
def counts_nothing_that_cannot_be(pages):
    for page in pages:
        for name, labels, value in page.samples:
            assert 0 <= value < 2**53, f"{name}{labels} {value}"


@check
def keeps_to_the_conventions_of_names_and_units(pages):
    for page in pages:
        said = promtool("check", "metrics", given=page.text)
        assert said == "", said
        for name, kind in page.types.items():
            assert kind in ("counter", "gauge", "histogram"), name
            assert (kind == "counter") == name.endswith("_total"), name


@check
def has_the_names_that_dashboards_of_etcd_ask_for(pages):
    for page in pages:
        missing = [name for name in ETCD_NAMES if name not in page.types]
        assert not missing, missing


@check
def fills_histograms_from_below(pages):
    for page in pages:
        rows = {}
        for name, labels, value in page.samples:
            if name.endswith("_bucket"):
                bound = re.search(r'le="([^"]*)"', labels).group(1)
                rest = re.sub(r',?le="[^"]*"', "", labels)
                rows.setdefault((name, rest), []).append((float(bound), value))
        assert len(rows) >= 2
        for (name, labels), row in rows.items():
            assert row == sorted(row) and row[-1][0] == float("inf"), name
            assert all(a[1] <= b[1] for a, b in zip(row, row[1:])), name
            count = name.removesuffix("_bucket") + "_count"
            assert page.value(count, "" if labels == "{}" else labels) == row[-1][1]


@check
def says_what_was_done(pages):
    put = '{grpc_type="unary",grpc_service="etcdserverpb.KV",grpc_method="Put"}'
    assert sum(p.value("grpc_server_handling_seconds_count", put) for p in pages
               if f"grpc_server_handling_seconds_count{put}" in p.text) == 20
    assert sum(p.value("novacron_proposals_total") for p in pages) >= 21
    assert sum(p.value("novacron_read_indexes_total") for p in pages) >= 1
    ours = '{grpc_type="unary",grpc_service="novacronpb.Health",grpc_method="Members"}'
    assert sum(p.value("grpc_server_started_total", ours) for p in pages) == 1
    leaders = [p for p in pages if p.value("etcd_server_is_leader") == 1]
    assert len(leaders) == 1
    silent = [v for n, _, v in leaders[0].samples if n == "novacron_peer_silent_seconds"]
    assert len(silent) == 2 and all(v < 5 for v in silent), silent
    for page in pages:
        assert page.value("novacron_raft_voters") == 3
        assert page.value("etcd_disk_wal_fsync_duration_seconds_count") > 0
        assert 0 < page.value("novacron_disk_available_bytes") <= page.value("novacron_disk_size_bytes")
        sent = [v for n, _, v in page.samples if n == "etcd_network_peer_sent_bytes_total"]
        assert len(sent) == 2 and max(sent) > 0, sent  # followers say nothing to each other


# --- what deploy/ makes of them -------------------------------------------------------------------


def names_of(expression):
    """The metrics that an expression of PromQL asks for."""
    text = re.sub(r'"(?:[^"\\]|\\.)*"', "", expression)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    words = re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\w)(?!\s*\()", text)
    return {w for w in words if w not in ("and", "or", "unless", "bool", "offset", "by", "inf")}


def known_names(pages):
    page = pages[0]
    known = set(OF_PROMETHEUS) | WITH_TLS | WITH_MACHINES
    for page in pages:
        for name, kind in page.types.items():
            known |= {name + s for s in ("_bucket", "_sum", "_count")} if kind == "histogram" \
                else {name}
    return known


def expressions_of_rules():
    """Of each rule, its lines joined: a reader of YAML is not among what tests need."""
    text = (ROOT / "deploy/alerts.yaml").read_text()
    found = re.findall(r"\n        expr: (?:\|\n((?:          .*\n)+)|(.*)\n)", text)
    return [block or line for block, line in found]


def expressions_of_dashboard():
    dashboard = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
    found = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", [])]
    found += [a["expr"] for a in dashboard["annotations"]["list"] if "expr" in a]
    return [e.replace("$__rate_interval", "1m").replace("$job", "novacron")
            .replace("$instance", ".*") for e in found]


@check
def asks_for_metrics_that_exist(pages):
    known = known_names(pages)
    rules, dashboard = expressions_of_rules(), expressions_of_dashboard()
    assert len(rules) > 20 and len(dashboard) > 40, (len(rules), len(dashboard))
    for expression in rules + dashboard:
        names = names_of(expression)
        assert names and names <= known, f"{expression}: {names - known}"


@check
def names_runbooks_that_exist(pages):
    books = re.findall(r"runbook: (\S+)", (ROOT / "deploy/alerts.yaml").read_text())
    assert len(books) > 10
    missing = [book for book in books if not (ROOT / book).is_file()]
    assert not missing, missing


@check
def has_rules_that_promtool_accepts(pages):
    said = promtool("check", "rules", ROOT / "deploy/alerts.yaml")
    assert "SUCCESS" in said, said
    promtool("check", "config", "--syntax-only", ROOT / "deploy/prometheus.yaml")


@check
def fires_each_alert_where_it_should(pages):
    promtool("test", "rules", ROOT / "tests/deploy/alerts_test.yaml")
    alerts = set(re.findall(r"alert: (\w+)", (ROOT / "deploy/alerts.yaml").read_text()))
    text = (ROOT / "tests/deploy/alerts_test.yaml").read_text()
    tried = set(re.findall(r"alertname: (\w+)\n        exp_alerts:\n", text))
    assert alerts == tried, alerts ^ tried


@check
def has_a_dashboard_whose_expressions_promtool_parses(pages):
    rules = [{"record": f"panel:{i}", "expr": e} for i, e in enumerate(expressions_of_dashboard())]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)  # JSON is YAML, too
        file.flush()
        promtool("check", "rules", file.name)


@check
def has_a_dashboard_without_two_panels_in_one_place(pages):
    dashboard = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
    panels = dashboard["panels"]
    ids = [p["id"] for p in panels]
    assert len(ids) == len(set(ids))
    places = set()
    for p in panels:
        at = p["gridPos"]
        assert at["x"] + at["w"] <= 24, p["title"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & places, p["title"]
        places |= cells
        assert p["type"] == "row" or p["description"], p["title"]


def run(cluster):
    cluster.start()
    cluster.leader()
    load(cluster)
    pages = [Page(member.page("/metrics")) for member in cluster.members]
    return run_checks(check.functions, (pages,)) == 0


def main():
    return with_cluster(run)


if __name__ == "__main__":
    sys.exit(main())
