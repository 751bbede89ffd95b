/*
 * A machine is moved while it runs: ha_keeper_move.c, ha_agent_move.c, and QEMU between them.
 *
 * WHAT IS MODELLED. One machine on host A, which is moved to host B, again and again; a store whose
 * owner's record is changed by guarded transactions of whoever manages; an agent on each host, which
 * acts on a view that is as old as it likes but never goes back; reports that arrive late or never;
 * agents that die and begin anew at any time, while QEMU goes on; a source that is lost at any time.
 *
 *   here             code
 *   rec, att         the owner's record: RUNNING(A), MOVING(A to B), STARTING(B), RECOVERING(A), or
 *                    somewhere else; `issued`, numbered from 1
 *   see_a, see_b     ha_view of the hosts' members
 *   promised         ha_run.sending == HA_SEND_DONE, attempt
 *   told, told_boot  the report MOVED on its way, guarded by the registration of that agent
 *   promise          the report MOVED in the store: its to_epoch
 *   here, there      the two QEMU processes
 *
 * WHAT MUST HOLD. At most one copy of the guest runs (promise 2). A guest that goes on at B goes on from
 * where it stood: it has not run elsewhere since it was copied.
 *
 * WHAT IS LEFT OUT, AND WHY THAT IS SOUND.
 *   - Leases and proofs are those of ownership.pml: a lost source is gone here when it is recovered, and
 *     B's lease is one of a start.
 *   - The image's lock: it could only hide what is looked for.
 *   - The port, and B's report of it: B waits at once, and is found. Without either there is no move.
 *   - A dead B: whoever is not there does nothing.
 *   - Which leader: transactions are guarded, so there is one record.
 *
 * WRONG VARIANTS, by -D.
 *   TARGET_EAGER          B's guest goes on as soon as it has arrived
 *   PROMISE_TAKEN_BACK    A's guest goes on while its report is on its way
 *   ANY_PROMISE           a promise of an earlier move counts
 *   REPORT_UNGUARDED      an agent's report arrives after its successor has registered
 *   SUCCESSOR_FORGETS     an agent that begins anew does not keep what the one before has promised
 *   ARRIVED_IS_ENOUGH     no promise: that B has all of it decides
 *   COPY_IS_RESUMED       once a lost A is gone, B's copy goes on where there is one
 */
#define MOVES 2
#define BOOTS 2

#if defined(ARRIVED_IS_ENOUGH)
#define IS_TOLD (there == has)
#elif defined(ANY_PROMISE)
#define IS_TOLD (promise != 0)
#else
#define IS_TOLD (promise == att)
#endif

#ifdef PROMISE_TAKEN_BACK
#define IS_FREE (promised != see_a_att || told != 0)
#else
#define IS_FREE (promised != see_a_att)
#endif

#ifdef TARGET_EAGER
#define MAY_GO (see_b == moving)
#else
#define MAY_GO (see_b == at_b)
#endif

mtype = { at_a, moving, at_b, lost, elsewhere };
mtype = { runs, still, gone };
mtype = { nothing, waits, has, goes };

/* The store. */
mtype rec = at_a;
byte att;     /* the newest move that was begun */
byte promise; /* 0: none */
byte boot;    /* A's agent, as it is registered */

/* A's agent. */
mtype see_a = at_a;
byte see_a_att;
byte asked;    /* the newest move for which it has sent the guest */
byte promised; /* 0: none */
byte told;     /* the report on its way; 0: none */
byte told_boot;
bit is_up = 1;

/* B's agent. */
mtype see_b = at_a;
byte see_b_att;

/* QEMU. */
mtype here = runs;
bit is_sending;
mtype there = nothing;
byte waits_for; /* the move that B's machine was started for */
bit is_stale;   /* what B has was copied before A's guest ran on */
bit runs_elsewhere;

inline check() {
    assert((here == runs) + (there == goes) + runs_elsewhere <= 1);
    assert(!(there == goes && is_stale));
}

inline take_back() {
    here = runs;
    is_stale = (there == has);
    check()
}

init {
end:
    do
    /* The manager. */
    :: atomic { rec == at_a && att < MOVES -> rec = moving; att++ }
    :: atomic { rec == moving -> rec = at_a }
    :: atomic { rec == moving && waits_for == att && (there == waits || there == has) && IS_TOLD
            -> rec = at_b }
    :: atomic { rec == at_a || rec == moving -> rec = lost }
    :: atomic { rec == lost -> here = gone; is_sending = 0; is_up = 0;
#ifdef COPY_IS_RESUMED
            if
            :: there == has && waits_for == att -> rec = at_b
            :: else -> rec = elsewhere; runs_elsewhere = 1; check()
            fi
#else
            rec = elsewhere; runs_elsewhere = 1; check()
#endif
        }
    :: atomic { rec == lost && is_up -> rec = at_a } /* it was not */

    /* Views. */
    :: atomic { see_a != rec || see_a_att != att -> see_a = rec; see_a_att = att }
    :: atomic { see_b != rec || see_b_att != att -> see_b = rec; see_b_att = att }

    /* A's agent. */
    :: atomic { is_up && see_a == moving && here == runs && !is_sending && asked != see_a_att ->
            asked = see_a_att; is_sending = 1 }
    :: atomic { is_up && promised != 0 && told == 0 && promise != promised ->
            told = promised; told_boot = boot }
    :: atomic { is_up && here == still && see_a == at_a -> promised = 0; take_back() }
    :: atomic { is_up && here == still && see_a == moving && IS_FREE -> promised = 0; take_back() }
    :: atomic { is_up && (see_a == at_b || see_a == elsewhere) && here != gone ->
            here = gone; is_sending = 0 }
    :: atomic { is_up && boot < BOOTS -> is_up = 0; asked = 0; promised = 0 }
    :: atomic { !is_up && here != gone && boot < BOOTS -> is_up = 1; boot++;
            see_a = rec; see_a_att = att;
#ifndef SUCCESSOR_FORGETS
            promised = promise
#endif
        }

    /* Its report arrives, or does not. */
    :: atomic { told != 0 ->
            if
#ifdef REPORT_UNGUARDED
            :: true -> promise = told
#else
            :: told_boot == boot -> promise = told
#endif
            :: true -> skip
            fi;
            told = 0; told_boot = 0 }

    /* B's agent. */
    :: atomic { see_b == moving && there == nothing && waits_for < see_b_att ->
            there = waits; waits_for = see_b_att }
    :: atomic { (there == waits || there == has) && see_b != at_b &&
            (see_b != moving || see_b_att != waits_for) && see_b_att >= waits_for ->
            there = nothing; is_stale = 0 }
    :: atomic { there == has && waits_for == see_b_att && MAY_GO -> there = goes; check() }

    /* QEMU sends the guest: all of it is there, and A's stands still, which its agent hears if it lives;
     * or A's does not know that all of it is there, and runs on; or nothing is. */
    :: atomic { is_sending && here == runs && there == waits ->
            there = has; is_sending = 0; is_stale = 0;
            if
            :: here = still;
                if
                :: is_up && asked == waits_for -> promised = asked
                :: !is_up || asked != waits_for -> skip
                fi
            :: is_stale = 1
            fi }
    :: atomic { is_sending -> is_sending = 0 }
    od
}
