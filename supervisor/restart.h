/* restart.h - the restart policy: what to do with a child that ended. Pure: no clock, no process,
 * no randomness of its own; the same arguments give the same answer. */
#ifndef SUPERVISOR_RESTART_H
#define SUPERVISOR_RESTART_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/control.h"
#include "supervisor/spec.h"

/* The delay after the first failed start; it doubles with each one that follows, up to the second
 * number. Each delay is spread by half of itself in both directions, so that children which failed
 * together do not come back together. */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS	 30000

/* A message that a child had in hand for so long: its handler did not return, as each must at once.
 */
#define BLAME_HELD_MS	 1000

/* The last deaths that count. */
struct restart_window {
	unsigned max;	   /* restarts allowed ... */
	int64_t period_ms; /* ... within so long */
	int64_t *times;	   /* a ring of max monotonic times */
	unsigned next;	   /* where in the ring the next one goes, over the oldest */
	unsigned kept;
};

/* Makes an empty window. Returns 0 or -ENOMEM. */
int restart_window_init(struct restart_window *w, unsigned max, int64_t period_ms)
	__attribute__((warn_unused_result));

/* Forgets all deaths: the budget is whole again. */
void restart_window_clear(struct restart_window *w);

/* Counts a death at now_ms. Returns false when it is one too many. */
bool restart_window_add(struct restart_window *w, int64_t now_ms);

/* How many counted deaths are within the period at now_ms. */
unsigned restart_window_count(const struct restart_window *w, int64_t now_ms);

/* Frees what the window holds. A zeroed window is fine. */
void restart_window_fini(struct restart_window *w);

/* How a child ended. */
enum restart_event {
	ENDED_NORMALLY, /* exit code 0 */
	ENDED_BADLY,	/* another exit code, a signal, or we had to kill it */
	ENDED_CONFIG,	/* EXIT_CONFIG: its settings are wrong, and stay wrong */
};

/* What the policy knows about a child. */
struct restart_state {
	enum restart_type type;
	bool was_up;		/* it had said READY in the life that ended */
	bool dynamic;		/* has a window of its own, is put aside rather than escalated */
	unsigned failed_starts; /* in a row, before this one */
	unsigned max_failed_starts; /* 0: no limit */
};

enum restart_action {
	DO_RESTART,    /* now, by the supervisor's strategy */
	DO_RETRY,      /* the start failed: again in delay_ms */
	DO_NOTHING,    /* it has ended, and that is that */
	DO_ESCALATE,   /* the supervisor gives up */
	DO_QUARANTINE, /* this child is put aside */
	DO_REFUSE,     /* wrong configuration: not restarted */
};

struct restart_decision {
	enum restart_action action;
	int64_t delay_ms; /* DO_RETRY */
	unsigned attempt; /* for the log: restart or failed start number attempt ... */
	unsigned limit;	  /* ... of so many allowed; 0: any number */
};

/* Decides. window is the one that counts for this child, and gets this death if it counts. random
 * is 32 random bits, for the jitter. */
struct restart_decision restart_decide(const struct restart_state *state, enum restart_event event,
				       struct restart_window *window, int64_t now_ms,
				       uint32_t random);

/* Whether a child that died with a message in hand died of it. It did if it ended itself (an exit
 * code, a signal that it raised: not outside). A death that came from outside says nothing about the
 * message: whoever kills at random hits some handler sooner or later, and the same message again.
 * Only if the handler had not returned for BLAME_HELD_MS is it the message's doing: an endless loop
 * that missed its heartbeat, memory until the kernel helped. death and code are of control.h. */
bool restart_blames_message(enum control_death death, int32_t code, bool outside, int64_t held_ms);

/* The delay after so many failed starts in a row (from 1), jitter included. */
int64_t restart_backoff_ms(unsigned failed_starts, uint32_t random);

#endif
