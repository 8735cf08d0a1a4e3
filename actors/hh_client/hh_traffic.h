/* hh_traffic.h - all requests to HH, from the moment they are wanted until everybody who waited is
 * answered.
 *
 *   hh_request.c   a request and those who wait for it
 *   hh_traffic.c   who waits in vain, whose turn it is, sending
 *   hh_answer.c    what HH's answers lead to
 *   hh_personal.c  a user's own requests: one caller, the user's token
 *   hh_exchange.c  a code or a refresh token, on its way to HH
 *
 * A request belongs to nobody in particular: whoever asks for the same joins it. It lives while
 * somebody waits, its deadline is the latest of theirs, and each is answered when its own deadline
 * passes, whatever becomes of the request.
 *
 *   queued -> in flight -> answered
 *      ^          |
 *      +- resting +          after a failure that time may mend
 */
#ifndef HH_CLIENT_HH_TRAFFIC_H
#define HH_CLIENT_HH_TRAFFIC_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "actors/hh_client/hh_http.h"
#include "actors/hh_client/hh_pace.h"
#include "actors/hh_client/hh_queue.h"
#include "actors/hh_client/hh_retry.h"
#include "actors/hh_client/hh_share.h"
#include "actors/hh_client/hh_token.h"
#include "actors/runtime/actor.h"

struct hh_request;
struct hh_traffic;

/* What is asked for, and how its answer is read. A new kind of request (a user's resumes, an
 * application) is a new one of these. */
struct hh_kind {
	const char *name;  /* for the log */
	size_t reply_size; /* of the catalogue's reply */
	/* Reads HH's answer into reply; texts live in arena. 0, -EBADMSG (it cannot be), -ENOMEM.
	 */
	int (*read)(const struct hh_request *request, const json_t *json, struct arena *arena,
		    void *reply);
	/* Says in the reply that another's request brought it. May be NULL. */
	void (*share)(void *reply, bool shared);
	/* Keeps a reply; takes arena's memory. Only for requests that say keep. */
	void (*keep)(struct hh_traffic *traffic, const struct hh_request *request,
		     struct arena *arena, const void *reply);
};

/* Somebody who waits; lives in its call's arena. */
struct hh_waiter {
	struct hh_waiter *next;
	struct actor_call *call;
	enum hh_class class;
	bool joined; /* another one asked first */
};

struct hh_personal; /* of hh_personal.h */
struct hh_exchange; /* of hh_exchange.h */
struct hh_user_tokens;

struct hh_request {
	struct hh_flight flight;      /* first; its key is path and query */
	struct hh_personal *personal; /* NULL: of nobody in particular */
	struct hh_entry entry;
	struct hh_request *next;
	struct hh_request **link;
	struct hh_traffic *traffic;
	const struct hh_kind *kind;
	struct hh_waiter *waiters;
	enum hh_class class;
	char user[HH_QUEUE_USER_SIZE];
	char *key;
	int64_t page;
	int64_t per_page;
	bool keep;
	bool probe; /* nobody waits: it is to find out whether HH is back */
	int attempts;
	bool in_flight;
	bool written;
	bool hurried;	   /* sent with a short time limit */
	bool second_token; /* was sent again with another token */
	uint64_t token_serial;
	struct actor_timer *rest; /* until the next attempt; NULL: not resting */
};

struct hh_traffic {
	struct actor *self;
	struct hh_http *http;
	struct hh_pace pace;
	struct hh_queue queue;
	struct hh_breaker breaker;
	struct hh_token token;
	const struct hh_user_tokens *tokens; /* of the users; NULL: none are kept */
	struct hh_exchange *exchanges;	     /* all; those that wait go before every request */
	int unsettled;			     /* answers of HH that would be lost by stopping now */
	struct hh_share share;
	struct hh_request *requests; /* all */
	struct actor_timer *pump;    /* when the next one may be sent */
	struct actor_timer *sweep;   /* repeats while there are requests */
	bool token_written;	     /* of the fetch of a token under way */
	bool degraded;
	struct {
		int64_t requests, shared, failed, retried;
	} count;
};

/* What a handler wants of HH. */
struct hh_want {
	const struct hh_kind *kind;
	enum hh_class class;
	const char *user; /* "": nobody's */
	const char *key;  /* "/vacancies?..." */
	int64_t page;
	int64_t per_page;
	bool keep;
};

/* --- hh_traffic.c --- */

int hh_traffic_init(struct hh_traffic *traffic, struct actor *self)
	__attribute__((warn_unused_result));
void hh_traffic_fini(struct hh_traffic *traffic);

/* Takes call, and answers it: now, or when HH has answered, or when its deadline passes. */
void hh_traffic_ask(struct hh_traffic *traffic, struct actor_call *call,
		    const struct hh_want *want);

/* Answers call with page, which is kept. */
void hh_traffic_give_kept(struct hh_traffic *traffic, struct actor_call *call,
			  const struct jobs_page *page);

/* Sends nothing more; ends the actor when what is under way is answered, or soon. */
void hh_traffic_stop(struct hh_traffic *traffic);

/* How long a new background request waits, about. */
int64_t hh_traffic_wait_ms(const struct hh_traffic *traffic);

/* Looks at everybody who waits: whose deadline passed, or who waits in vain, is told so. */
void hh_traffic_sweep(struct hh_traffic *traffic);

/* Whether there is no use in waiting for a turn for so long; fills in what to say. A scheduled
 * search has patience: it waits for an HH that is down, but not for a token that HH will not give.
 * personal: a user's own token is used.
 */
bool hh_traffic_in_vain(const struct hh_traffic *traffic, enum hh_class class, bool personal,
			int64_t remaining_ms, struct failure *failure);

/* An error that says when trying again may help. message is borrowed. */
struct failure hh_traffic_failure(enum msg_error error, const char *message, int64_t wait_ms);

/* How long HH wants nobody to ask. */
int64_t hh_traffic_pause_ms(const struct hh_traffic *traffic);

/* Says in the actor's status what is missing, if something is. */
void hh_traffic_tell_health(struct hh_traffic *traffic);

/* Sends what may be sent now, and sees to it that it is called again for the rest. */
void hh_traffic_pump(struct hh_traffic *traffic);

/* The same, soon: for those in whose name somebody could be answered from within. */
void hh_traffic_pump_soon(struct hh_traffic *traffic);

/* Sends a request of any sort; afterwards the slot is taken and the circuit knows. note_written is
 * called when it is being written. Returns 0 or a negative errno. */
int hh_traffic_send(struct hh_traffic *traffic, const struct hh_http_request *http,
		    hh_http_written_fn *written, hh_http_done_fn *done, void *context);
void hh_traffic_note_written(struct hh_traffic *traffic, bool *written);

/* Sees to it that those who wait are looked at. */
void hh_traffic_keep_sweeping(struct hh_traffic *traffic);

/* Ends the actor if it was asked to stop and nothing is under way. */
void hh_traffic_check_stopped(struct hh_traffic *traffic);

/* --- hh_answer.c --- */

/* What became of a request (context: struct hh_request) and of the token's (struct hh_traffic). */
void hh_answer_request(void *context, const struct hh_http_response *response);
void hh_answer_token(void *context, const struct hh_http_response *response);

/* Reads the answer of the token's endpoint; json is the caller's. What HH says of itself is noted. */
struct hh_judgement hh_answer_read(struct hh_traffic *traffic, bool written,
				   const struct hh_http_response *response, json_t **json);

/* --- hh_request.c --- */

/* A new request; nobody waits yet. It is known by its key, unless it is somebody's own
 * (personal is taken). NULL: no memory. */
struct hh_request *hh_request_new(struct hh_traffic *traffic, const struct hh_want *want,
				  struct hh_personal *personal);

/* Ends it, wherever it is. Those who wait are not answered. */
void hh_request_free(struct hh_request *request);

/* Lets call wait for it. Returns 0 or -ENOMEM. */
int hh_request_join(struct hh_request *request, struct actor_call *call, enum hh_class class,
		    bool joined);

/* The latest deadline of those who wait, in milliseconds from now. */
int64_t hh_request_remaining_ms(const struct hh_request *request);

/* Puts it into the queue; first: before its user's others. Returns 0 or a negative errno. */
int hh_request_queue(struct hh_request *request, bool first);

/* Refuses each who waits and for whom decide() fills in a failure. */
typedef bool hh_request_decide_fn(struct hh_request *request, const struct hh_waiter *waiter,
				  void *context, struct failure *failure);
void hh_request_refuse(struct hh_request *request, hh_request_decide_fn *decide, void *context);

/* Refuses everybody. */
void hh_request_refuse_all(struct hh_request *request, const struct failure *failure);

/* Replies to everybody. */
void hh_request_reply_all(struct hh_request *request, void *reply);

#endif
