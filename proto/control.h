/* control.h - the treaty between a supervisor and its children.
 *
 * A child is started with its end of a SOCK_SEQPACKET socketpair as descriptor CONTROL_FD, its
 * working directory in RUN_DIR, SIGINT ignored, the environment CONTROL_ENV_NAME (its name),
 * CONTROL_ENV_GENERATION (its generation, decimal) and, for a dynamic child, CONTROL_ENV_ARGUMENT.
 * Descriptor CONTROL_NOTE_FD is a memfd of struct control_note's size, which cannot be resized: the
 * child maps it, closes the descriptor, and keeps in it what it is doing (docs/decisions/0009).
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
 *   - What is in the note when a child dies becomes part of its crash report. The supervisor copies
 *     it and believes nothing of it: texts are cut to what is printable.
 *   - A program whose child spec says zygote is also started, when a child of it is up and there is none,
 *     with CONTROL_ENV_ZYGOTE in place of the name and generation, and without a note. It says ZYGOTE
 *     when it is linked, and from then on answers each BIRTH with BORN: a copy of itself, a child of the
 *     supervisor, with a control socket and a note of its own. The zygote does nothing else. The copy gets
 *     ready as far as it can without a name, says nothing, and waits for its ROLE; end of file instead
 *     means that nobody needs it. Its mailbox is bound before, as ipc://CONTROL_STANDBY.PID, and then
 *     renamed; from there on it is a child like any other. If it ends before READY, the program is execed
 *     instead.
 *   - Requests have a ref; the answer is a REPLY with the same ref. Only children whose spec says
 *     so (may_control) are served.
 *
 * All packets have this one fixed layout, native byte order: both ends are the same host.
 */
#ifndef PROTO_CONTROL_H
#define PROTO_CONTROL_H

#include <stdint.h>

#define CONTROL_FD	       3
#define CONTROL_NOTE_FD	       4
#define CONTROL_VERSION	       3
#define CONTROL_NAME_SIZE      64 /* with its NUL */
#define CONTROL_REASON_SIZE    128
#define CONTROL_WAIT	       1 /* value of START_CHILD, RESTART_CHILD and TERMINATE_CHILD: */
/* they are answered when the child is up or has stopped. A start that fails then is not tried again:
 * it is answered with -ECHILD and, in reason, how the child ended; -ECANCELED: somebody else stopped
 * it meanwhile; -EBUSY: too many wait for that child. */
#define CONTROL_TRACE_SIZE     72
#define CONTROL_DOING_SIZE     16
#define CONTROL_FRAME_SIZE     96
#define CONTROL_FRAMES_MAX     32
#define CONTROL_HEARTBEAT_MS   500
#define CONTROL_ENV_NAME       "UGTJ_ACTOR_NAME"
#define CONTROL_ENV_GENERATION "UGTJ_ACTOR_GENERATION"
#define CONTROL_ENV_ARGUMENT   "UGTJ_ACTOR_ARGUMENT"
#define CONTROL_ENV_ZYGOTE     "UGTJ_ACTOR_ZYGOTE"
#define CONTROL_STANDBY	       "standby" /* in place of a name, with the pid as generation */

enum control_type {
	/* child to supervisor */
	CONTROL_READY = 1,
	CONTROL_HEARTBEAT, /* value: 1 while degraded, else 0; reason: why */
	CONTROL_MONITOR,   /* name */
	/* child to supervisor, requests */
	CONTROL_START_CHILD, /* name: the new child, "PREFIX:ARGUMENT"; the dynamic supervisor is
			      * the one whose template has that prefix. One in quarantine is tried
			      * again, one that is being terminated comes back. Answered before it
			      * is up. A static child that was deleted is one again, and starts.
			      * -EEXIST (it runs or is being restarted), -EALREADY (a static one that
			      * is there and does not run: RESTART_CHILD), -ENOSPC, -ENOENT, -EINVAL,
			      * -ESHUTDOWN */
	CONTROL_TERMINATE_CHILD, /* name: stop a child in order. A dynamic one is forgotten, and so is
				  * a temporary one; another is there until it is restarted or
				  * deleted, or restarted with others by its supervisor's strategy.
				  * Answered before it has stopped. -ENOENT; -EDEADLK of oneself and
				  * of the supervisor above */
	CONTROL_KILL_CHILD,	 /* name: SIGKILL; its restart type decides what follows. Of a
				  * supervisor: all its children, and then it counts as dead itself.
				  * -ENOENT, -ESRCH when it is not running */
	CONTROL_NEXT_CHILD,	 /* value: index from 0; answered with control_child, -ENOENT at the
				  * end. Indices stay valid while no child is added or forgotten */
	CONTROL_NEXT_CRASH,	 /* value: a serial number; answered with control_crash, the first
				  * kept report of this number (in the packet's value) or a higher
				  * one; name, generation and reason are the dead one's. -ENOENT */
	CONTROL_CRASH_FRAME,	 /* value: a report's serial number * CONTROL_FRAMES_MAX + the index
				  * of a frame of its backtrace, from 0; answered with the frame in
				  * reason. -ENOENT */
	CONTROL_RESTART_CHILD,	 /* name: start a static child that was terminated or has ended.
				  * -ENOENT, -EEXIST (it runs), -EALREADY (it is being restarted),
				  * -EOPNOTSUPP (of a dynamic one), -ESHUTDOWN */
	CONTROL_DELETE_CHILD, /* name: forget a static child that does not run, until its supervisor
				  * is started anew. -ENOENT, -EBUSY (it runs), -EALREADY, -EOPNOTSUPP */
	CONTROL_RENEW_CHILD,  /* name: stop a worker in order and start it again, as a newly
				  * installed program; no restart is counted. Without a name: all
				  * workers, one after the other, in start order; a failed start ends
				  * it. Answered when the first has been told to stop. -ENOENT,
				  * -ESRCH (not up), -EINVAL (a supervisor), -EBUSY, -ESHUTDOWN */
	/* supervisor to child */
	CONTROL_UP,   /* name, generation */
	CONTROL_DOWN, /* name, generation (0: was not up), reason; value: 1 if it ended itself, by a
			* fault of its own; culprit: the message that it died of, if that is known.
			* Both may be missing for a watcher that reads late */
	CONTROL_REPLY, /* ref, result: 0 or a negative errno; what else, its request says */
	/* zygote to supervisor */
	CONTROL_ZYGOTE, /* it is linked and waits */
	CONTROL_BORN,	/* value: the pid; result: 0 or a negative errno */
	/* supervisor to zygote */
	CONTROL_BIRTH, /* value: 1: the copy is made ahead, 0: its role follows at once; with two
			* descriptors: the copy's end of its control socket, and its note */
	/* supervisor to a zygote's copy */
	CONTROL_ROLE, /* name, generation */
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
	uint32_t is_dynamic;	/* 1: made from a template; of a supervisor: it has one */
	uint32_t deleted;	/* 1: no child of its supervisor for now; see DELETE_CHILD */
};

/* A message that a child has in hand. Never its body. All texts end with a NUL. */
struct control_message {
	char method[CONTROL_NAME_SIZE]; /* empty: none in hand */
	char from[CONTROL_NAME_SIZE];	/* a call's sender, ... */
	char trace[CONTROL_TRACE_SIZE]; /* ... its trace id, ... */
	uint64_t from_generation;	/* ... and its generation; */
	int64_t ref;			/* its ref for the call. 0: not a call's business */
	int64_t since_ms;		/* CLOCK_MONOTONIC, taken in hand */
};

/* What a child writes down while it lives, in its note. The order of writing is such that whatever
 * is there at any instant can be believed: in_hand is 0 while the message changes. */
struct control_note {
	uint32_t in_hand;		/* 1: doing and message hold */
	char doing[CONTROL_DOING_SIZE]; /* "init", "call", "cast", "answer", "news", "stop" */
	struct control_message message;
	/* By the handler of a fatal signal, innermost frame first. */
	int32_t signal;	      /* 0: none came */
	uint32_t outside;     /* 1: another process sent it */
	uint32_t frame_count; /* grows with each frame that is whole */
	char frames[CONTROL_FRAMES_MAX][CONTROL_FRAME_SIZE];
};

/* How a child died. */
enum control_death {
	DEATH_EXIT,	 /* it exited; code: its exit code */
	DEATH_SIGNAL,	 /* code: the signal */
	DEATH_HEARTBEAT, /* it was silent, and was killed */
	DEATH_MEMORY,	 /* it held too much memory, and was killed */
	DEATH_START,	 /* it could not be started, or was not ready in time */
	DEATH_TREATY,	 /* it broke this treaty, and was killed */
	DEATH_STOP,	 /* it did not stop in time, and was killed */
	DEATH_REQUESTED, /* KILL_CHILD */
};

struct control_crash {
	struct control_message message; /* in hand; since_ms is how long it was */
	char doing[CONTROL_DOING_SIZE];
	int64_t at_ms;	      /* milliseconds since 1970 */
	int64_t uptime_ms;    /* since READY; 0: it was never up */
	int64_t pid;	      /* 0: it had no process */
	uint32_t death;	      /* enum control_death */
	int32_t code;	      /* see there */
	uint32_t was_up;      /* 0: a failed start */
	uint32_t blamed;      /* 1: the message counts as what it died of; see restart.h */
	uint32_t frame_count; /* of the backtrace; 0: there is none */
	uint32_t reserved;
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
	union {
		struct control_child child;	/* NEXT_CHILD's answer */
		struct control_crash crash;	/* NEXT_CRASH's answer */
		struct control_message culprit; /* DOWN */
	};
};

#endif
