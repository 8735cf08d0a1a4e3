/* control.h - the treaty between a supervisor and its children.
 *
 * A child is started with its end of a SOCK_SEQPACKET socketpair as descriptor CONTROL_FD, its
 * working directory in RUN_DIR, SIGINT ignored, the environment CONTROL_ENV_NAME (its name),
 * CONTROL_ENV_GENERATION (its generation, decimal) and, for a dynamic child, CONTROL_ENV_ARGUMENT.
 * Every other descriptor above standard error is closed.
 *
 *   - The child sends READY once its init is done; before that it is not up. It binds its mailbox
 *     as ipc://NAME.GENERATION, relative to its working directory, before READY.
 *   - It sends HEARTBEAT every CONTROL_HEARTBEAT_MS from its own loop. Silence for the child spec's
 *     heartbeat_ms (at least three times that) means that it is stuck: it is killed.
 *   - End of file on CONTROL_FD means that the supervisor is gone: the child exits at once.
 *   - SIGTERM asks it to stop: it finishes what it accepted, and exits with 0 within the child
 *     spec's shutdown time. Then comes SIGKILL.
 *   - MONITOR name: from now on the child gets UP and DOWN of that name, and at once the one that
 *     holds. News are coalesced for a child that does not read: it may see only the last DOWN and
 *     UP, never an UP of a generation that is gone without the DOWN of it.
 *   - Requests have a ref; the answer is a REPLY with the same ref. Only children whose spec says
 *     so (may_control) are served.
 *
 * All packets have this one fixed layout, native byte order: both ends are the same host.
 */
#ifndef PROTO_CONTROL_H
#define PROTO_CONTROL_H

#include <stdint.h>

#define CONTROL_FD	       3
#define CONTROL_VERSION	       1
#define CONTROL_NAME_SIZE      64 /* with its NUL */
#define CONTROL_REASON_SIZE    128
#define CONTROL_HEARTBEAT_MS   500
#define CONTROL_ENV_NAME       "UGTJ_ACTOR_NAME"
#define CONTROL_ENV_GENERATION "UGTJ_ACTOR_GENERATION"
#define CONTROL_ENV_ARGUMENT   "UGTJ_ACTOR_ARGUMENT"

enum control_type {
	/* child to supervisor */
	CONTROL_READY = 1,
	CONTROL_HEARTBEAT, /* value: 1 while degraded, else 0; reason: why */
	CONTROL_MONITOR,   /* name */
	/* child to supervisor, requests */
	CONTROL_START_CHILD, /* name: the new child, "PREFIX:ARGUMENT"; the dynamic supervisor is
			      * the one whose template has that prefix. One in quarantine is tried
			      * again, one that is being terminated comes back. Answered before it
			      * is up. -EEXIST, -ENOSPC, -ENOENT, -EINVAL, -ESHUTDOWN */
	CONTROL_TERMINATE_CHILD, /* name: stop a dynamic child in order and forget it. Answered
				  * before it has stopped. -ENOENT */
	CONTROL_KILL_CHILD,	 /* name: SIGKILL; its restart type decides what follows. Of a
				  * supervisor: all its children, and then it counts as dead itself.
				  * -ENOENT, -ESRCH when it is not running */
	CONTROL_NEXT_CHILD,	 /* value: index from 0; answered with control_child, -ENOENT at the
				  * end. Indices stay valid while no child is added or forgotten */
	/* supervisor to child */
	CONTROL_UP,    /* name, generation */
	CONTROL_DOWN,  /* name, generation (0: was not up), reason */
	CONTROL_REPLY, /* ref, result: 0 or a negative errno; after NEXT_CHILD also child */
};

enum control_child_state {
	CHILD_STOPPED,	   /* not running, and not to be */
	CHILD_WAITING,	   /* its turn to start has not come */
	CHILD_STARTING,	   /* forked, not ready */
	CHILD_UP,	   /* ready */
	CHILD_DEGRADED,	   /* ready, and says that something outside is missing */
	CHILD_STOPPING,	   /* asked to stop */
	CHILD_BACKOFF,	   /* failed to start; tried again later */
	CHILD_QUARANTINED, /* kept dying; not tried again until somebody asks */
};

struct control_child {
	char supervisor[CONTROL_NAME_SIZE]; /* empty for the root */
	uint64_t generation;		    /* starts so far */
	int64_t pid;			    /* 0 when it is not running */
	int64_t up_since_ms;		    /* CLOCK_MONOTONIC; 0 when it is not up */
	uint64_t restarts;
	uint32_t state;		/* enum control_child_state */
	uint32_t is_supervisor; /* 1: a supervisor, 0: a worker */
};

struct control_packet {
	uint16_t version;
	uint16_t type; /* enum control_type */
	uint32_t ref;
	uint64_t generation;
	int64_t value;
	int32_t result;
	uint32_t reserved;
	char name[CONTROL_NAME_SIZE];
	char reason[CONTROL_REASON_SIZE]; /* NEXT_CHILD's answer: how the generation before ended;
					   * of a degraded child: why it is */
	struct control_child child;
};

#endif
