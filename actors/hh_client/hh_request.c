/* hh_request.c - a request to HH and those who wait for it; see hh_traffic.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/hh_client/hh_personal.h"
#include "actors/hh_client/hh_traffic.h"

struct hh_request *hh_request_new(struct hh_traffic *traffic, const struct hh_want *want,
				  struct hh_personal *personal)
{
	struct hh_request *request = calloc(1, sizeof(*request));

	if (request == NULL)
		return NULL;
	request->key = strdup(want->key);
	request->flight.key = request->key;
	if (request->key == NULL ||
	    (personal == NULL && hh_share_depart(&traffic->share, &request->flight) < 0)) {
		free(request->key);
		free(request);
		return NULL;
	}
	request->personal = personal;
	request->entry.personal = personal != NULL;
	request->traffic = traffic;
	request->kind = want->kind;
	request->class = want->class;
	request->page = want->page;
	request->per_page = want->per_page;
	request->keep = want->keep;
	(void)snprintf(request->user, sizeof(request->user), "%s", want->user);
	request->next = traffic->requests;
	if (request->next != NULL)
		request->next->link = &request->next;
	request->link = &traffic->requests;
	traffic->requests = request;
	return request;
}

void hh_request_free(struct hh_request *request)
{
	hh_queue_remove(&request->entry);
	actor_timer_stop(&request->rest);
	if (request->personal == NULL)
		hh_share_land(&request->traffic->share, &request->flight);
	hh_personal_free(&request->personal);
	*request->link = request->next;
	if (request->next != NULL)
		request->next->link = request->link;
	free(request->key);
	free(request);
}

/* Interactive as soon as one of those who wait is. */
static enum hh_class class_of(const struct hh_request *request)
{
	for (const struct hh_waiter *w = request->waiters; w != NULL; w = w->next)
		if (w->class == HH_INTERACTIVE)
			return HH_INTERACTIVE;
	return HH_BACKGROUND;
}

/* Gives it the place of its class, which may have changed. Where there is none it keeps the old. */
static void reclass(struct hh_request *request)
{
	enum hh_class class = class_of(request);
	enum hh_class before = request->class;

	if (class == before || request->waiters == NULL)
		return;
	request->class = class;
	if (!hh_queue_holds(&request->entry))
		return;
	hh_queue_remove(&request->entry);
	if (hh_request_queue(request, false) == 0)
		return;
	request->class = before;
	if (hh_request_queue(request, true) < 0)
		hh_request_refuse_all(request,
				      &(struct failure){.error = error_code(ERR_OVERLOADED)});
}

int hh_request_join(struct hh_request *request, struct actor_call *call, enum hh_class class,
		    bool joined)
{
	struct hh_waiter *waiter = arena_alloc(actor_call_arena(call), sizeof(*waiter));

	if (waiter == NULL)
		return -ENOMEM;
	waiter->call = call;
	waiter->class = class;
	waiter->joined = joined;
	waiter->next = request->waiters;
	request->waiters = waiter;
	reclass(request);
	return 0;
}

int64_t hh_request_remaining_ms(const struct hh_request *request)
{
	int64_t latest = 0;

	for (const struct hh_waiter *w = request->waiters; w != NULL; w = w->next) {
		int64_t remaining = actor_call_remaining_ms(w->call);

		if (remaining > latest)
			latest = remaining;
	}
	return latest;
}

int hh_request_queue(struct hh_request *request, bool first)
{
	struct hh_queue *queue = &request->traffic->queue;

	if (first)
		return hh_queue_push_front(queue, request->class, request->user, &request->entry);
	return hh_queue_push(queue, request->class, request->user, &request->entry);
}

static void refuse(struct hh_request *request, struct actor_call *call,
		   const struct failure *failure)
{
	if (request->personal != NULL)
		hh_personal_refuse(request, failure);
	else
		actor_refuse_with(call, failure);
}

void hh_request_refuse(struct hh_request *request, hh_request_decide_fn *decide, void *context)
{
	struct hh_waiter **link = &request->waiters;

	while (*link != NULL) {
		struct hh_waiter *waiter = *link;
		struct failure failure = {0};

		if (!decide(request, waiter, context, &failure)) {
			link = &waiter->next;
			continue;
		}
		*link = waiter->next;
		refuse(request, waiter->call, &failure); /* frees the waiter */
	}
	reclass(request);
}

void hh_request_refuse_all(struct hh_request *request, const struct failure *failure)
{
	while (request->waiters != NULL) {
		struct actor_call *call = request->waiters->call;

		request->waiters = request->waiters->next;
		refuse(request, call, failure);
	}
}

void hh_request_reply_all(struct hh_request *request, void *reply)
{
	while (request->waiters != NULL) {
		struct actor_call *call = request->waiters->call;

		if (request->kind->share != NULL)
			request->kind->share(reply, request->waiters->joined);
		request->waiters = request->waiters->next;
		actor_reply(call, reply);
	}
}
