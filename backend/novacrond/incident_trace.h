/*
 * One trace for one incident: the record of a host's loss, from its detection to the last machine
 * that runs again, as spans.
 *
 *     incident                      from when the host was heard last, to the end
 *       incident.detect             until its loss was found
 *       incident.decide             until it was decided to fence it
 *       incident.fence              until it was proved off, or the fence ended otherwise: an error
 *         incident.device           one command to one device, with its answer
 *       incident.prove              until a proof that is no fence: time, or an operator's word
 *       incident.place              of a machine, from the proof to its new owner's record
 *       incident.start              from there to its agent's report that it runs; an error where
 *                                   there was none
 *       incident.verify             from there to the record that it runs
 *
 * A pure function of the record: whichever leader closes the incident sends all of it, and who
 * sends it twice sends the same identities. The trace id is the record's, drawn when it was opened.
 * Where the record had no room for a step, or a leader died with it, its span is missing.
 */
#ifndef NOVACRON_NOVACROND_INCIDENT_TRACE_H
#define NOVACRON_NOVACROND_INCIDENT_TRACE_H

#include "core/ha/ha_record.h"
#include "core/monitoring/trace.h"

/* One for the incident, and two for each step at most. */
#define INCIDENT_SPANS_MAX (1 + 2 * HA_STEPS_MAX)

/* Fills `ret`, which has room for INCIDENT_SPANS_MAX, the incident's own span first. `opened`: when
 * the incident was opened, by the clock of spans; it may lie before that clock's beginning, and
 * then wraps. Returns how many; 0: the record has no trace id. */
size_t incident_trace(const struct ha_incident *incident, nanos opened, struct trace_span *ret);

#endif
