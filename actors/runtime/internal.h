/* internal.h - what the runtime's files share. Actors include actor.h and nothing else.
 *
 *   actor.c    birth and end of the process, the loop
 *   mailbox.c  requests from others: receive, check, dispatch, answer
 *   peers.c    requests to others: queue, send, match answers, deadlines, deaths
 *   deaths.c   ... and which of them a receiver's death ends
 *   control.c  the supervisor: ready, heartbeat, news, requests
 *   wire.c     two frames of msgpack to and from a ZeroMQ socket
 *   timer.c    timers
 *   note.c     what the actor is doing, for the report of its death
 *   fatal.c    what a fatal signal adds to that: a backtrace
 *   sandbox_*  rights that are given up
 *   zygote.c   the program as a zygote: linked, and copied for each birth
 *   prefault.c ... with the pages that a copy will need
 */
#ifndef ACTORS_RUNTIME_INTERNAL_H
#define ACTORS_RUNTIME_INTERNAL_H

#include <zmq.h>

#include "actors/runtime/actor.h"
#include "actors/runtime/port.h"
#include "actors/runtime/wire.h"
#include "proto/codec.h"
#include "proto/control.h"

/* Nobody waits longer than a day, whatever he says: sums of times stay in range. */
#define WAIT_MAX_MS ((int64_t)24 * 3600 * 1000)

struct peer;
struct control_request;
struct control_unsent;

struct actor {
	const struct actor_spec *spec;
	void *state;
	char name[CONTROL_NAME_SIZE];
	const char *argument;
	uint64_t generation;
	uv_loop_t loop;
	void *zeromq; /* the context of all its sockets */

	/* actor.c */
	uv_signal_t sigterm;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle; /* runs while a port has more: the loop must not sleep */
	uint64_t round; /* over the ports */
	bool ready;
	bool stopping;
	bool stopped;

	/* mailbox.c */
	struct port *mailbox;
	size_t open_calls;
	struct actor_call *calls; /* all open ones */
	char trace[65];		  /* of the calls made now; see actor_trace() */

	/* peers.c */
	struct peer *peers;
	struct port *ports;
	uint64_t last_ref;
	size_t waiting; /* requests of ours without an answer */

	/* control.c */
	uv_poll_t control;
	uv_timer_t heartbeat;
	struct control_request *requests; /* oldest first: that is how they are answered */
	struct control_request **last_request;
	struct control_unsent *unsent; /* oldest first */
	struct control_unsent **last_unsent;
	uint32_t last_control_ref;
	char degraded[CONTROL_REASON_SIZE];

	/* every message is accounted for; logged at the end */
	struct {
		uint64_t received, answered, refused, expired, stale, malformed;
		uint64_t sent, replies, failures, timeouts, downs, set_aside, late, dropped;
	} count;
};

/* actor.c */
void actor_check_stopped(struct actor *self);

/* mailbox.c: binds it to ipc://NAME.GENERATION. mailbox_move() renames its file to that of another name,
 * before anybody was told of this one and before self has the new name; libzmq does not know the new file,
 * so the supervisor removes it. Return 0 or a negative errno. */
int mailbox_open(struct actor *self);
int mailbox_move(struct actor *self, const char *name, uint64_t generation);
void mailbox_close(struct actor *self);

/* peers.c */
/* culprit: the message that the peer died of, without a method if that is not known; own_fault: the
 * peer ended itself. */
void peers_news(struct actor *self, const struct actor_news *news,
		const struct control_message *culprit, bool own_fault);
void peers_close(struct actor *self);

/* control.c */
int control_open(struct actor *self);
void control_close(struct actor *self);
void control_ready(struct actor *self);
int control_monitor(struct actor *self, const char *name);

/* note.c. What is in hand from note_begin() to note_end(): doing is one word; message is copied.
 * note_begin() while something is in hand replaces it. */
int note_open(void);
void note_begin(const char *doing, const struct control_message *message);
void note_end(void);

/* What is in hand, or a message without a method. */
const struct control_message *note_in_hand(void);

/* A message of the note. Texts may be NULL and are cut to what fits. */
struct control_message note_message(const char *method, const char *from, uint64_t from_generation,
				    int64_t ref, const char *trace);

/* fatal.c: from now on a fatal signal adds a backtrace to note before it kills. */
void fatal_signals_open(struct control_note *note);

/* sandbox_files.c: from now on this thread and those it makes reach the files, ports and processes of
 * spec->may and spec->reads. Before the first thread. */
void sandbox_files(const struct actor_spec *spec);

/* Whether the paths still lead where they did then; a rule belongs to a file, and may be of one that was
 * replaced. */
bool sandbox_files_are_current(const struct actor_spec *spec);

/* sandbox_calls.c: makes the filters of the next two, which else do it themselves. For one spec in the
 * life of a process. */
void sandbox_prepare(const struct actor_spec *spec);

/* From now on there is no io_uring. Called by sandbox_files(), before the loop is made. */
void sandbox_rings(const struct actor_spec *spec);

/* From now on all threads may make the system calls of spec->may. When the mailbox is bound. */
void sandbox_calls(const struct actor_spec *spec);

/* zygote.c: returns in each copy that is born, which has no name yet; the zygote itself never does. The
 * arguments are main's; the last one is overwritten with what ps is to show. Returns whether the copy is
 * made ahead: it has time. */
bool zygote_serve(const struct actor_spec *spec, int argc, char **argv);

/* In a copy that has time: makes a context of ZeroMQ warm. Before sandbox_calls(), for whoever answers
 * must listen. */
void zygote_rehearse(void *context);

/* Waits, in a copy, until the supervisor says who it is: role has the name and the generation. Ends the
 * process when nobody needs it any more. */
void zygote_await_role(struct control_packet *role);

/* timer.c: for the end of the loop */
bool timer_owns_handle(const uv_handle_t *handle);
void timer_close_handle(uv_handle_t *handle);

#endif
