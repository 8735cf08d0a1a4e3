/* spec.h - a child specification: what is started, when it is restarted, how it is stopped.
 *
 * OTP's child_spec and supervisor flags in one row. A row with a program is a worker, a process of
 * its own; a row without one is a supervisor, a node of the tree inside the root process. A
 * supervisor has either children, started in their order, or a template, from which children are
 * made on request (OTP's simple_one_for_one). tree.c holds the product's rows.
 */
#ifndef SUPERVISOR_SPEC_H
#define SUPERVISOR_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* When a child that ended is started again. Exit code 0 is a normal end, all else is not; a child
 * that ended because its supervisor stopped it is not restarted by this rule. */
enum restart_type {
	RESTART_PERMANENT, /* always */
	RESTART_TRANSIENT, /* unless it ended normally */
	RESTART_TEMPORARY, /* never */
};

/* Which other children are restarted with one that was up and died. */
enum restart_strategy {
	ONE_FOR_ONE,  /* none */
	ONE_FOR_ALL,  /* all */
	REST_FOR_ONE, /* those started after it */
};

/* Whether a supervisor ends by itself, normally and with all its children, when children whose row
 * says significant have ended by themselves and are not restarted. (One that is terminated by request
 * or by its supervisor does not count.) */
enum auto_shutdown {
	AUTO_SHUTDOWN_NEVER,
	AUTO_SHUTDOWN_ANY, /* one of them has */
	AUTO_SHUTDOWN_ALL, /* all of them have */
};

/* Values of shutdown_ms with a meaning of their own. */
#define SHUTDOWN_BRUTAL_KILL 0	  /* SIGKILL at once */
#define SHUTDOWN_INFINITY    (-1) /* SIGTERM, then as long as it takes */

#define HEARTBEAT_OFF	     0

/* Secret settings that one row may name. */
#define SPEC_SECRETS_MAX     6

struct child_spec {
	const char *name;    /* unique; of a template: the part of the name before ':' */
	const char *program; /* in the libexec directory; NULL: a supervisor */
	enum restart_type restart;
	int64_t shutdown_ms;	  /* from SIGTERM to SIGKILL */
	int64_t start_timeout_ms; /* from fork or ROLE to READY; past it, killed and tried again */
	int64_t heartbeat_ms;	  /* silence that means stuck; HEARTBEAT_OFF: not watched */
	int64_t memory_max_mb;	  /* resident; past it, it is killed and restarted. 0: no limit */
	bool may_control;	  /* its requests (proto/control.h) are served */
	const char *secrets[SPEC_SECRETS_MAX]; /* the secret settings in its environment */
	bool zygote; /* its program knows how to be one (proto/control.h): the next generations are
			   * forked from a process that is linked already, not read in anew */
	bool significant; /* not of a permanent child; its supervisor has an auto_shutdown */

	/* Supervisors only. */
	enum restart_strategy strategy; /* of its children */
	enum auto_shutdown auto_shutdown;
	unsigned max_restarts;		   /* more than so many restarts ... */
	int64_t period_ms;		   /* ... within so long, and it gives up: see below */
	const struct child_spec *children; /* ends with a row that has no name */
	const struct child_spec *template; /* of its dynamic children; always one_for_one */
	unsigned max_failed_starts;	   /* in a row, of one dynamic child. 0: no limit */
	unsigned max_children;		   /* dynamic children */
	unsigned max_starting;		   /* of them, not ready yet at a time */
};

/* Restart intensity. Deaths of children that were up count, in a sliding window. For static
 * children it is their supervisor's: past it all of them are stopped and the supervisor counts as
 * dead for its own parent; the root ends the program. A dynamic child has a window of its own:
 * past it that child alone is put aside (CHILD_QUARANTINED) until somebody starts it again. A child
 * that ends before it was ready does not count: it is tried again after a growing delay. */

/* Whether the row is a supervisor. */
static inline bool spec_is_supervisor(const struct child_spec *spec)
{
	return spec->program == NULL;
}

#endif
