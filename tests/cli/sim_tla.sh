#!/bin/sh
# sim_tla.sh SIM: every line of a trace is an event of etcd-raft's vocabulary, in an order that its
# model can take: nothing before the bootstrap of a node, sends before they are received.
set -eu
trace=$(mktemp)
trap 'rm -f "$trace"' EXIT
"$1" replay --seed 5 --profile quiet --tla-trace "$trace" >/dev/null
python3 - "$trace" <<'PYTHON'
import collections
import json
import sys

NAMES = {
    "InitState", "BecomeCandidate", "BecomeFollower", "BecomeLeader", "Commit", "Replicate", "ChangeConf",
    "ApplyConfChange", "Ready", "Bootstrap", "SendAppendEntriesRequest", "ReceiveAppendEntriesRequest",
    "SendAppendEntriesResponse", "ReceiveAppendEntriesResponse", "SendRequestVoteRequest",
    "ReceiveRequestVoteRequest", "SendRequestVoteResponse", "ReceiveRequestVoteResponse",
}
under_way = collections.Counter()
known, seen, terms = set(), collections.Counter(), collections.Counter()
for line in open(sys.argv[1]):
    record = json.loads(line)
    event = record["event"]
    name, nid = event["name"], event["nid"]
    assert record["tag"] == "trace" and name in NAMES, line
    assert nid in known or name in ("ApplyConfChange", "Bootstrap"), line
    assert event["state"]["term"] >= terms[nid] and event["state"]["commit"] <= event["log"], line
    assert isinstance(event["conf"][0], list) and isinstance(event["applied"], int), line
    terms[nid] = event["state"]["term"]
    known |= {nid} if name == "Bootstrap" else set()
    seen[name] += 1
    if "msg" in event:
        message = json.dumps(event["msg"], sort_keys=True)
        if name.startswith("Send"):
            under_way[message] += 1
        else:
            assert under_way[message] > 0, "received and never sent: " + line
            under_way[message] -= 1
assert seen["BecomeLeader"] >= 1 and seen["Commit"] > 10 and seen["ReceiveAppendEntriesResponse"] > 10, seen
print(sum(seen.values()), "events")
PYTHON
