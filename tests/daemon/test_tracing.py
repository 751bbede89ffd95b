#!/usr/bin/env python3
"""test_tracing.py BUILD: calls of a running cluster as spans at a collector, which is a small HTTP
server of this test's own: their shape, identities, parents and times; and collectors that are down,
slow, or none.
"""

import base64
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from checks import PATIENCE, Checks, run_checks
from scene import with_cluster

from local_cluster import Cluster, free_ports

check = Checks()


class Collector:
    """Takes OTLP/HTTP JSON, checks its form, and keeps the spans. `mood` says how it answers."""

    def __init__(self, port=0):
        self.spans, self.faults, self.requests = [], [], 0
        self.mood = "good"
        self.lock = threading.Lock()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(self, body)

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, handler, body):
        with self.lock:
            self.requests += 1
        if self.mood == "slow":
            time.sleep(8)
        if self.mood == "garbage":
            handler.wfile.write(os.urandom(200))
            handler.close_connection = True
            return
        if self.mood == "busy":
            handler.send_response(503)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        try:
            spans = parse(handler, body)
            with self.lock:
                self.spans += spans
        except (AssertionError, KeyError, ValueError, TypeError) as e:
            self.faults.append(repr(e))
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"{}")

    def wait(self, wanted, patience=PATIENCE):
        """The spans for which `wanted` holds, once there are any."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            with self.lock:
                found = [s for s in self.spans if wanted(s)]
            assert not self.faults, self.faults
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"no such span; there are {sorted({s['name'] for s in self.spans})}")

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def is_hex(text, digits):
    return len(text) == digits and all(c in "0123456789abcdef" for c in text) and int(text, 16) != 0


def value_of(attribute):
    value = attribute["value"]
    assert len(value) == 1
    if "intValue" in value:
        assert isinstance(value["intValue"], str)
        return int(value["intValue"])
    return value["stringValue"]


def attributes_of(thing):
    found = {a["key"]: value_of(a) for a in thing["attributes"]}
    assert len(found) == len(thing["attributes"]), "a key is there twice"
    return found


def parse(handler, body):
    """An ExportTraceServiceRequest; every assertion is a rule of OTLP's."""
    assert handler.path == "/v1/traces"
    assert handler.headers["Content-Type"] == "application/json"
    spans = []
    for rs in json.loads(body)["resourceSpans"]:
        resource = attributes_of(rs["resource"])
        assert resource["service.name"] == "novacrond" and resource["novacron.cluster"] == "local"
        for ss in rs["scopeSpans"]:
            assert ss["scope"]["name"] == "novacron"
            for span in ss["spans"]:
                assert is_hex(span["traceId"], 32) and is_hex(span["spanId"], 16), span
                parent = span.get("parentSpanId", "")
                assert parent == "" or is_hex(parent, 16), span
                begin, end = span["startTimeUnixNano"], span["endTimeUnixNano"]
                assert isinstance(begin, str) and int(begin) <= int(end), span
                assert abs(int(end) / 1e9 - time.time()) < 60, span
                assert span["kind"] in (1, 2, 3) and span["status"].get("code", 0) in (0, 2), span
                spans.append({**span, "parent": parent, "begin": int(begin), "end": int(end),
                              "who": resource["service.instance.id"],
                              "attributes": attributes_of(span)})
    return spans


def parent(sampled=True):
    trace, span = random.getrandbits(127) + 1, random.getrandbits(63) + 1
    return f"{trace:032x}", f"{span:016x}", f"00-{trace:032x}-{span:016x}-{int(sampled):02x}"


def call(member, path, message, traceparent=None, patience=PATIENCE):
    """A call by the JSON gateway."""
    headers = {"traceparent": traceparent} if traceparent else {}
    request = urllib.request.Request(member.client_url + path, json.dumps(message).encode(), headers)
    with urllib.request.urlopen(request, timeout=patience) as answer:
        return json.loads(answer.read())


def put(member, traceparent=None):
    key = base64.b64encode(b"key").decode()
    return call(member, "/v3/kv/put", {"key": key, "value": key}, traceparent)


def metric(member, name):
    for line in member.page("/metrics").splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


@check
def tells_where_a_put_spent_its_time(cluster, collector):
    for member in cluster.members:  # one leads, two pass it on
        trace, span, header = parent()
        put(member, header)
        call_span = collector.wait(lambda s: s["traceId"] == trace and s["kind"] == 2)
        assert len(call_span) == 1
        top = call_span[0]
        assert top["parent"] == span and top["name"] == "etcdserverpb.KV/Put", top
        assert top["who"] == member.name
        assert top["attributes"]["rpc.grpc.status_code"] == 0, top
        assert top["attributes"]["rpc.service"] == "etcdserverpb.KV", top
        stages = sorted((s for s in collector.spans if s["traceId"] == trace and s is not top),
                        key=lambda s: s["begin"])
        names = [s["name"] for s in stages]
        assert names == ["raft.propose", "raft.commit", "store.apply"], names
        assert all(s["parent"] == top["spanId"] for s in stages)
        times = [top["begin"]] + [t for s in stages for t in (s["begin"], s["end"])] + [top["end"]]
        assert times == sorted(times), times
        assert stages[1]["end"] > stages[1]["begin"], "a commit takes time"


@check
def tells_of_reads_that_asked_the_leader(cluster, collector):
    trace, span, header = parent()
    key = base64.b64encode(b"key").decode()
    call(cluster.members[0], "/v3/kv/range", {"key": key}, header)
    collector.wait(lambda s: s["traceId"] == trace and s["kind"] == 2)
    stages = [s["name"] for s in collector.spans if s["traceId"] == trace and s["kind"] == 1]
    assert stages == ["raft.read_index"], stages
    trace, span, header = parent()
    call(cluster.members[0], "/v3/kv/range", {"key": key, "serializable": True}, header)
    collector.wait(lambda s: s["traceId"] == trace and s["kind"] == 2)
    assert not [s for s in collector.spans if s["traceId"] == trace and s["kind"] == 1]


@check
def takes_the_context_of_grpc_too(cluster, collector):
    trace, span, header = parent()
    done = subprocess.run([cluster.build / "cli/novacron", "kv", "put", "a", "b", "--endpoints",
                           cluster.endpoints], capture_output=True, text=True, timeout=PATIENCE,
                          env={**os.environ, "TRACEPARENT": header})
    assert done.returncode == 0, done
    found = collector.wait(lambda s: s["traceId"] == trace and s["kind"] == 2)
    assert found[0]["attributes"]["novacron.encoding"] == "protobuf", found


@check
def says_how_calls_failed(cluster, collector):
    trace, span, header = parent()
    try:
        call(cluster.members[0], "/v3/lease/revoke", {"ID": 12345}, header)
    except urllib.error.HTTPError:
        pass
    found = collector.wait(lambda s: s["traceId"] == trace and s["kind"] == 2)
    assert found[0]["attributes"]["rpc.grpc.status_code"] == 5, found
    assert found[0]["status"] == {}, "that there is no such lease is an answer"


@check
def ignores_contexts_that_are_malformed_or_not_sampled(cluster, collector):
    member = cluster.members[0]
    before = metric(member, "novacron_traces_malformed_parents_total")
    trace, span, header = parent(sampled=False)
    put(member, header)
    for bad in (f"00-{trace.upper()}-{span}-01" if trace.upper() != trace else f"01-{trace}",
                f"00-{trace}-{'0' * 16}-01", f"00-{trace}-{span}-01-x", "nonsense"):
        put(member, bad)
    last, _, good = parent()
    put(member, good)
    collector.wait(lambda s: s["traceId"] == last)
    assert not [s for s in collector.spans if s["traceId"] == trace]
    assert metric(member, "novacron_traces_malformed_parents_total") == before + 4


@check
def draws_a_part_of_calls_that_bring_no_context(cluster, collector):
    drawn = tempfile.mkdtemp(dir=cluster.dir)
    extra = f"tracing:\n  endpoint: http://127.0.0.1:{collector.port}\n  ratio: 0.5\n"
    single = Cluster(drawn, cluster.build, size=1, extra=extra)
    try:
        single.start()
        member = single.leader()
        for _ in range(60):
            put(member)
        assert 12 <= metric(member, "novacron_traces_total") <= 48
        found = collector.wait(lambda s: s["parent"] == "" and s["name"] == "etcdserverpb.KV/Put")
        assert found[0]["kind"] == 2
    finally:
        single.stop()


@check
def sends_what_it_has_when_it_is_stopped(cluster, collector):
    extra = f"tracing:\n  endpoint: http://127.0.0.1:{collector.port}\n  ratio: 1\n"
    single = Cluster(tempfile.mkdtemp(dir=cluster.dir), cluster.build, size=1, extra=extra)
    single.start()
    member = single.leader()
    trace, _, header = parent()
    put(member, header)
    assert member.stop() == 0
    assert [s for s in collector.spans if s["traceId"] == trace]


def feels_nothing(cluster, collector, mood):
    """Puts go on as if nothing was, and what is lost is counted."""
    collector.mood = mood
    member = cluster.leader()
    slowest, begin = 0, time.monotonic()
    for _ in range(60):
        at = time.monotonic()
        put(member, parent()[2])
        slowest = max(slowest, time.monotonic() - at)
    assert slowest < 2, f"{mood}: a put took {slowest:.2f} s"
    return member, time.monotonic() - begin


@check
def feels_nothing_of_a_collector_that_answers_garbage(cluster, collector):
    member, _ = feels_nothing(cluster, collector, "garbage")
    end = time.monotonic() + PATIENCE
    while metric(member, "novacron_trace_requests_failed_total") == 0:
        assert time.monotonic() < end
        time.sleep(0.05)
    collector.mood = "good"


@check
def brings_spans_later_to_a_collector_that_was_busy(cluster, collector):
    collector.mood = "busy"
    trace, _, header = parent()
    put(cluster.members[0], header)
    seen = collector.requests
    while collector.requests == seen:
        time.sleep(0.02)
    collector.mood = "good"
    collector.wait(lambda s: s["traceId"] == trace)


@check
def feels_nothing_of_a_collector_that_is_slow(cluster, collector):
    feels_nothing(cluster, collector, "slow")
    collector.mood = "good"


@check
def drops_and_counts_what_nobody_takes(cluster, collector):
    extra = f"tracing:\n  endpoint: http://127.0.0.1:{free_ports(1)[0]}\n  ratio: 1\n"
    single = Cluster(tempfile.mkdtemp(dir=cluster.dir), cluster.build, size=1, extra=extra)
    try:
        single.start()
        member = single.leader()
        bench = [cluster.build / "bench/novacron-bench", "put", "--endpoints", member.client_url,
                 "--clients", "32", "--total", "4000"]
        done = subprocess.run(bench, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "failures: 0" in done.stdout, done
        dropped = metric(member, "novacron_trace_spans_dropped_total")
        taken = metric(member, "novacron_trace_spans_total")
        assert dropped > 8000 and taken + dropped >= 16000, (taken, dropped)
        at = time.monotonic()
        assert member.stop() == 0
        assert time.monotonic() - at < 5
    finally:
        single.stop()


@check
def gives_a_collector_that_is_gone_a_rest_and_finds_it_again(cluster, collector):
    port = free_ports(1)[0]
    extra = f"tracing:\n  endpoint: http://127.0.0.1:{port}\n  ratio: 1\n"
    single = Cluster(tempfile.mkdtemp(dir=cluster.dir), cluster.build, size=1, extra=extra)
    late = None
    try:
        single.start()
        member = single.leader()

        def trace_until(what, wanted, patience):
            end = time.monotonic() + patience
            while not wanted():
                assert time.monotonic() < end, what
                put(member, parent()[2])
                time.sleep(0.2)
        state = 'novacron_breaker_state{breaker="collector"}'
        trace_until("the breaker opens", lambda: metric(member, state) == 1, 60)
        failed = metric(member, "novacron_trace_spans_failed_total")
        trace_until("spans are given up",
                    lambda: metric(member, "novacron_trace_spans_failed_total") > failed, 10)
        late = Collector(port)
        trace_until("the collector is found again",
                    lambda: metric(member, "novacron_trace_spans_exported_total") > 0, 90)
        expect_closed = metric(member, state)
        assert expect_closed == 0, expect_closed
    finally:
        single.stop()
        if late is not None:
            late.close()


BAD = [
    ("tracing:\n  endpoint: https://collector:4318\n", "is https"),
    ("tracing:\n  endpoint: collector:4318\n", "write it as in http://127.0.0.1:4318/v1/traces"),
    ("tracing:\n  endpoint: http://127.0.0.1\n  ratio: 2\n", "write a number from 0 to 1"),
    ("tracing:\n  endpoint: http://127.0.0.1\n  ratio: some\n", "write a number from 0 to 1"),
    ("tracing:\n  ratio: 0.1\n", "is of no use without tracing.endpoint"),
    ("tracing:\n  endpint: http://127.0.0.1\n", 'did you mean "endpoint"?'),
]


@check
def says_what_is_wrong_with_its_settings(cluster, collector):
    good = cluster.members[0].config.read_text().split("tracing:")[0]
    for text, wanted in BAD:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(good + text)
            file.flush()
            done = subprocess.run([cluster.program, "--config", file.name, "--check"],
                                  capture_output=True, text=True, timeout=PATIENCE, env=cluster.env)
            assert done.returncode == 2 and wanted in done.stderr, (text, done.stderr)


def run(cluster, collector):
    cluster.start()
    cluster.leader()
    return run_checks(check.functions, (cluster, collector)) == 0


def main():
    collector = Collector()
    extra = f"tracing:\n  endpoint: http://127.0.0.1:{collector.port}/v1/traces\n  ratio: 0\n"
    try:
        return with_cluster(lambda cluster: run(cluster, collector), extra=extra)
    finally:
        collector.close()


if __name__ == "__main__":
    sys.exit(main())
