/* actor.h - the behaviour that every actor has: one process, one loop, one mailbox.
 *
 * An actor is a table (struct actor_spec) and its handlers; everything else is here. Its program is
 *     int main(int argc, char **argv) { return actor_main(&store_spec, argc, argv); }
 * It is started by the supervisor (proto/control.h), binds its mailbox, runs init, says ready, and
 * from then on handles one thing at a time: a message, an answer, a timer, a descriptor, news of
 * another actor. No handler may block. All functions here are called from the loop's thread only.
 *
 * Calls. actor_call() sends a request of the catalogue to its receiver and returns; the answer
 * function is called exactly once, later, with a reply, or with an error: the receiver's own, or
 * ERR_TIMEOUT at the deadline, or ERR_DOWN when the receiver died. (Only the end of the actor
 * itself comes before that: then it is not called, and terminate() frees what context points to.) A
 * message that is idempotent in the catalogue is not failed by a death: it waits for the next
 * generation within its deadline. One of which two generations died is answered with ERR_SET_ASIDE
 * (docs/decisions/0010). A call made while handling a call carries that call's trace id on.
 *
 * Answers. A handler of a call answers it with actor_reply() or actor_refuse(), at once or later,
 * exactly once; the request stays valid until then. More open calls than the spec's mailbox_max
 * are refused with ERR_OVERLOADED, expired ones are dropped unseen.
 */
#ifndef ACTORS_RUNTIME_ACTOR_H
#define ACTORS_RUNTIME_ACTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/arena.h"
#include "proto/catalogue.h"

struct actor;	   /* the running actor */
struct actor_call; /* a request that waits for its answer from us */

/* Handles a call. request is the decoded struct of the catalogue's request record; it and call are
 * valid until the call is answered. */
typedef void actor_call_fn(struct actor *self, struct actor_call *call, const void *request);

/* Handles a cast. body is valid until the handler returns. */
typedef void actor_cast_fn(struct actor *self, const void *body);

struct actor_call_clause {
	enum msg_id id; /* MSG_NONE ends the table */
	actor_call_fn *handle;
};

struct actor_cast_clause {
	enum msg_id id; /* MSG_NONE ends the table */
	actor_cast_fn *handle;
};

/* Another actor went up or down. */
struct actor_news {
	const char *name;
	uint64_t generation; /* 0: it was not up */
	bool up;
	const char *reason; /* how it ended; "" for up */
};

/* What an actor may do beyond the least. The least is: threads, the files of RUN_DIR, the sockets of
 * its peers there. No network, no other file but libraries, no program, no process. It holds from
 * before init; docs/decisions/0014. */
enum actor_may {
	MAY_CONNECT =
		1, /* by TCP and UDP to anywhere; look names up, so reads /etc and certificates */
	MAY_LISTEN = 2, /* for TCP, at any port */
};

typedef void actor_path_fn(void *context, const char *path);

struct actor_spec {
	size_t state_size;		 /* actor_state() gives so many zeroed bytes */
	int (*init)(struct actor *self); /* 0 or a negative errno, which ends the process. Must
					  * not need anything outside: start degraded instead */
	const struct actor_call_clause *calls;				 /* may be NULL */
	const struct actor_cast_clause *casts;				 /* may be NULL */
	void (*news)(struct actor *self, const struct actor_news *news); /* may be NULL */
	void (*stop)(struct actor *self);      /* asked to stop; calls actor_stopped() when what it
						* accepted is finished. NULL: stops when no call is open */
	void (*terminate)(struct actor *self); /* last: free everything. May be NULL */
	size_t mailbox_max;		       /* open calls; 0: 1000 */
	bool one_of_many; /* there are as many of it as users: it is small rather than fast */
	bool many_peers;  /* it speaks to each of those of whom there are as many as users */
	bool ready_later; /* true: init's end is not ready yet, actor_ready() says it */
	unsigned may;	  /* besides talking to the tree: MAY_..., added up */
	/* More files and folders that it may read; "~/" is the user's home. Ends with NULL; may be NULL */
	const char *const *reads;
	/* Adds files that settings name, each with its folder. May be NULL */
	void (*reads_also)(actor_path_fn *add, void *context);
};

/* Runs the actor until it is stopped. The arguments are main's. Returns the process's exit code. */
int actor_main(const struct actor_spec *spec, int argc, char **argv);

/* The actor's own struct of spec->state_size bytes. */
void *actor_state(struct actor *self);

/* The name and generation under which the supervisor knows us; the part of the name after ':', or
 * "" (a fetcher's user). Borrowed for ever. */
const char *actor_name(const struct actor *self);
uint64_t actor_generation(const struct actor *self);
const char *actor_argument(const struct actor *self);

/* libuv's loop, for descriptors (uv_poll_t) and libraries. Handles that are still open when the
 * actor ends are closed by the runtime; those of the actor's own live in its state. */
uv_loop_t *actor_loop(struct actor *self);

/* The trace id of the calls made until the handler that runs now returns; "" or NULL: none. A
 * handler of a call has that call's by itself. Copied, at most 64 characters. */
void actor_trace(struct actor *self, const char *trace);

/* Says that the actor is up (only with spec->ready_later). */
void actor_ready(struct actor *self);

/* Says that something outside is missing (why is shown in the status), or, with NULL, that all is
 * well again. Burns no restart. */
void actor_degraded(struct actor *self, const char *why);

/* Ends spec->stop: nothing is left to do. */
void actor_stopped(struct actor *self);

/* Whether the actor was asked to stop. */
bool actor_stopping(const struct actor *self);

/* --- timers --- */

struct actor_timer; /* opaque */

typedef void actor_timer_fn(struct actor *self, void *context);

/* Calls fn after delay_ms on the monotonic clock, then every repeat_ms if that is not 0. Returns
 * the timer, or NULL when out of memory. A timer that does not repeat is freed after its call; one
 * that repeats lives until actor_timer_stop(). */
struct actor_timer *actor_timer_start(struct actor *self, int64_t delay_ms, int64_t repeat_ms,
				      actor_timer_fn *fn, void *context);

/* Stops and frees *timer, clears it. NULL is fine. Must not be called with a timer that has fired
 * and does not repeat: clear the pointer in its function. */
void actor_timer_stop(struct actor_timer **timer);

/* --- calling others --- */

/* What became of a call. Valid until the answer function returns. */
struct actor_answer {
	enum msg_error error;	       /* ERR_NONE: a reply */
	const void *body;	       /* the reply's struct; NULL for an error */
	const struct failure *failure; /* the error in words; NULL for a reply */
};

typedef void actor_answer_fn(struct actor *self, const struct actor_answer *answer, void *context);

/* Sends the catalogue's call id to its receiver. request is its struct, borrowed until return.
 * timeout_ms 0: the catalogue's. Returns 0, after which fn is called exactly once (never from
 * within this function); or a negative errno, after which it is not: -EINVAL (the request does not
 * fit; logged with the field), -ENOMEM, -ENOBUFS (too many calls are waiting). */
int actor_call(struct actor *self, enum msg_id id, const void *request, int64_t timeout_ms,
	       actor_answer_fn *fn, void *context) __attribute__((warn_unused_result));

/* actor_call() to the actor called name, where the catalogue's receiver is a kind ("fetcher"). */
int actor_call_to(struct actor *self, const char *name, enum msg_id id, const void *request,
		  int64_t timeout_ms, actor_answer_fn *fn, void *context)
	__attribute__((warn_unused_result));

/* Sends a cast; name NULL: to the catalogue's receiver. At most once: it is dropped, and counted,
 * when the receiver is not up. Returns 0 or a negative errno: -EINVAL, -ENOMEM, -ESRCH (not up),
 * -EAGAIN (its mailbox is full). */
int actor_cast(struct actor *self, const char *name, enum msg_id id, const void *body);

/* From now on spec->news hears of name's ups and downs. The receivers of our calls are monitored
 * by themselves. Returns 0 or a negative errno. */
int actor_monitor(struct actor *self, const char *name);

/* --- answering --- */

/* Answers with the catalogue's reply struct; frees call. A body that does not fit the catalogue is
 * logged and answered with ERR_INTERNAL. */
void actor_reply(struct actor_call *call, const void *body);

/* Answers with an error; frees call. field may be NULL. */
void actor_refuse(struct actor_call *call, enum msg_error error, const char *field, const char *fmt,
		  ...) __attribute__((format(printf, 4, 5)));

/* Answers with an error that says when trying again may help; frees call. */
void actor_refuse_until(struct actor_call *call, enum msg_error error, int64_t retry_after_ms,
			const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Answers with a ready failure record, e.g. one that another actor gave us; frees call. */
void actor_refuse_with(struct actor_call *call, const struct failure *failure);

/* Says that what the actor does until the loop turns, it does for that call. The runtime knows by
 * itself while a handler of the call runs, in the answers to what it called and in the timers that it
 * started; only a callback of libuv or of a library must say it, so that a death is put down to the
 * message that it was due to. */
void actor_resume(const struct actor_call *call);

/* Milliseconds until nobody waits for this call any more; 0 when that has passed. */
int64_t actor_call_remaining_ms(const struct actor_call *call);

/* The message, the sender's name, the trace id ("" when there is none), and memory that lives as
 * long as the call. Borrowed until it is answered. */
const struct message *actor_call_message(const struct actor_call *call);
const char *actor_call_from(const struct actor_call *call);
const char *actor_call_trace(const struct actor_call *call);
struct arena *actor_call_arena(struct actor_call *call);

/* --- the tree --- */

struct control_packet;

typedef void actor_control_fn(struct actor *self, const struct control_packet *reply,
			      void *context);

/* Sends a request of control.h (type, name, value) to the supervisor; fn hears the reply. Returns 0
 * or a negative errno, after which fn is not called. */
int actor_control(struct actor *self, int type, const char *name, int64_t value,
		  actor_control_fn *fn, void *context) __attribute__((warn_unused_result));

#endif
