/* peers.h - requests to others and those whom they are sent to; for peers.c and deaths.c only. */
#ifndef ACTORS_RUNTIME_PEERS_H
#define ACTORS_RUNTIME_PEERS_H

#include "actors/runtime/internal.h"

enum peer_state { PEER_UNKNOWN, PEER_DOWN, PEER_UP };

/* DOOMED: fails with `down` as soon as the loop turns, and is not sent any more. */
enum request_state { REQUEST_QUEUED, REQUEST_SENT, REQUEST_DOOMED };

struct request {
	struct request *next; /* in its peer's list, oldest first */
	struct peer *peer;
	const struct message *message;
	enum request_state state;
	unsigned blamed;  /* generations that died of it */
	unsigned crashes; /* those that died of nobody knows what while they had it */
	bool set_aside;
	int64_t ref;
	struct control_message origin; /* what was in hand when this was asked for */
	int64_t deadline_ms;
	struct actor_timer *timer;
	actor_answer_fn *fn; /* NULL: a cast */
	void *context;
	void *bytes; /* the packed body */
	size_t len;
	char trace[65];
};

struct peer {
	struct peer *next;
	struct actor *self;
	char name[CONTROL_NAME_SIZE];
	enum peer_state state;
	uint64_t generation;
	struct port *port; /* NULL: not connected */
	struct request *first;
	struct request **last;
};

/* Ends the request with that error: its answer function is called, and it is freed. */
void request_fail(struct request *request, enum msg_error error, const char *message);

/* Takes out of peer's list what nobody will answer, its generation being gone. The rest is to be sent
 * again. Gives the list, linked by next. culprit and own_fault: see peers_news(). */
struct request *deaths_take_lost(struct peer *peer, const struct control_message *culprit,
				 bool own_fault);

/* Fails all of that list. */
void deaths_fail_lost(struct actor *self, struct request *lost, const struct actor_news *news);

#endif
