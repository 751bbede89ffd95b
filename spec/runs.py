"""Which configurations of which model are checked, and what each must come to.

Two verdicts: a model `holds` when its whole state space was searched without an error, and is `refuted`
when a counterexample was found. Hash compaction keeps 32 bits more of a hash for each state than its place
in the table: it may take two states for one, with a probability far below the reciprocal of their
number, and is used by long runs alone.
"""

from collections import namedtuple

Run = namedtuple("Run", "model flags expected compact note", defaults=[False, ""])

HOLDS, REFUTED = "holds", "refuted"
OPEN = "open: what the code does"


def refutes(model, bounds, *variants):
    return [Run(model, f"{bounds} -D{variant}".strip(), REFUTED) for variant in variants]


QUICK = [
    # Two replicas and a witness, as the code has it.
    Run("witness", "-DT=3 -DK=5", HOLDS),
    *refutes(
        "witness", "-DT=3 -DK=4",
        "COUNT_THE_WITNESS", "SET_DECIDES_AT_ONCE", "ACK_BEFORE_SYNC", "WITNESS_LEADS", "NO_CUT",
        "CUT_BY_WITNESSES_ONLY", "WITNESS_REFUSES_OUTSIDERS", "REFUSE_OUTSIDERS", "CHANGE_SENT_AT_ONCE",
    ),
    Run("witness", "-DT=3 -DK=4 -DOUTSIDER_CAMPAIGNS", HOLDS),
    # Three replicas and a witness, and two of each: safe, but one death can block (docs/models.md).
    Run("witness", "-DR=3 -DT=2 -DK=4 -DSAFETY_ONLY", HOLDS),
    Run("witness", "-DR=3 -DT=2 -DK=4", REFUTED, note=OPEN),
    Run("witness", "-DR=2 -DW=2 -DT=3 -DK=4", REFUTED, note=OPEN),
    # The rule that is proposed instead.
    Run("witness", "-DT=3 -DK=5 -DWITNESS_LAST", HOLDS),
    Run("witness", "-DR=2 -DW=2 -DT=3 -DK=4 -DWITNESS_LAST", HOLDS),
    Run("persist", "", HOLDS),
    Run("persist", "-DNO_PRE_VOTE", HOLDS),
    Run("persist", "-DASK_AT_ONCE", HOLDS),
    *refutes("persist", "", "ACK_BEFORE_SYNC", "VOTE_BEFORE_SYNC"),
    *refutes("persist", "-DASK_AT_ONCE", "LEAD_BEFORE_OWN_VOTE", "NO_PRE_VOTE"),
    Run("repair", "-DT=2 -DK=2", HOLDS),
    Run("repair", "-DT=2 -DK=2 -DLOSSES=2", HOLDS),
    Run("repair", "-DT=3 -DK=2 -DFLOOR_BEFORE_TERMS", REFUTED),
    Run("repair", "-DT=2 -DK=1 -DASK_AT_ONCE", REFUTED),
    *refutes(
        "repair", "-DT=2 -DK=2",
        "TRUNCATE_ON_DAMAGE", "AMNESIAC_VOTES", "LOST_LOG_VOTES", "NO_FLOOR", "LOST_VOTE_ACKS", "MAJORITY_TOLD",
        "VOTES_IN_TOLD_TERM", "DAMAGED_LEADS",
    ),
    Run("repair", "-DT=2 -DK=2 -DLOSSES=2 -DNO_NONCE", REFUTED),
    Run("founding", "", HOLDS),
    Run("founding", "-DANSWERS_STAY", HOLDS),
    Run("founding", "-DCRASHES=6 -DLOSSES=4", HOLDS),
    *refutes(
        "founding", "",
        "NOT_ASKED", "MAJORITY_IS_ENOUGH", "FRESH_BY_SNAPSHOT", "RESTARTED_IS_MORE",
    ),
    Run("lease", "", HOLDS),
    *refutes(
        "lease", "",
        "NO_DRIFT", "COUNT_FROM_ANSWER", "CLOCK_STOPS_ASLEEP", "LEASE_KEPT_OVER_PAUSE", "LEASE_KEPT_IN_TRANSFER",
        "VOTES_ANY_TIME", "RESTART_FORGETS", "CAMPAIGN_FORGETS", "TIME_READ_EARLY",
    ),
    Run("ownership", "", HOLDS),
    *refutes(
        "ownership", "",
        "LEASE_FROM_ARRIVAL", "GRANT_UNCONFIRMED", "CONFIRMED_BEFORE", "NEW_LEADER_AT_ONCE", "NO_DRIFT",
        "NO_WATCHDOG_TIME", "ONE_TIMEOUT", "NO_IO_TIME", "UNATTESTED", "KEEP", "VIRTUAL_HOST", "HOST_SLEEPS",
        "OFF_WITHOUT_READ_BACK", "FENCE_AT_ONCE", "STARTS_ALONE", "SAYS_STOPPED_EARLY",
    ),
    Run("moving", "", HOLDS),
    *refutes(
        "moving", "",
        "TARGET_EAGER", "PROMISE_TAKEN_BACK", "ANY_PROMISE", "REPORT_UNGUARDED", "SUCCESSOR_FORGETS",
        "ARRIVED_IS_ENOUGH", "COPY_IS_RESUMED",
    ),
]

LONG = [
    Run("witness", "-DR=3 -DT=2 -DK=4 -DWITNESS_LAST", HOLDS),
    Run("witness", "-DR=3 -DT=2 -DK=4 -DALIVE=4", HOLDS),
    Run("persist", "-DT=3 -DK=2", HOLDS, True),
    Run("persist", "-DT=2 -DK=3", HOLDS, True),
    Run("persist", "-DT=2 -DK=3 -DNO_PRE_VOTE", HOLDS, True),
    Run("repair", "-DT=3 -DK=2", HOLDS),
    Run("witness", "-DT=4 -DK=5", HOLDS),
    Run("witness", "-DT=4 -DK=5 -DCUT_AT_NEWEST_SET", HOLDS),
    Run("witness", "-DT=4 -DK=5 -DOUTSIDER_CAMPAIGNS", HOLDS),
    Run("witness", "-DR=3 -DT=3 -DK=4 -DSAFETY_ONLY", HOLDS, True),
    Run("witness", "-DR=3 -DT=3 -DK=4 -DALIVE=4", HOLDS, True),
    Run("witness", "-DR=3 -DW=2 -DT=2 -DK=4 -DSAFETY_ONLY", HOLDS, True),
    Run("witness", "-DT=4 -DK=5 -DWITNESS_LAST", HOLDS),
    Run("witness", "-DR=3 -DT=3 -DK=4 -DWITNESS_LAST", HOLDS, True),
    Run("witness", "-DR=3 -DW=2 -DT=2 -DK=4 -DWITNESS_LAST", HOLDS, True),
]
