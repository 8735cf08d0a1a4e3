/* deaths.c - what becomes of requests when their receiver has died: sent again, failed, or set aside.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "actors/runtime/peers.h"
#include "base/log.h"

#define BLAMED_MAX  2  /* deaths that are put down to a request, and it is set aside */
#define CRASHES_MAX 25 /* deaths that are put down to none, and it is set aside too */

static bool is_culprit(const struct request *request, const struct control_message *culprit)
{
	const struct actor *self = request->peer->self;

	return culprit->ref == request->ref && culprit->from_generation == self->generation &&
	       strcmp(culprit->from, self->name) == 0;
}

/* Whether request is sent to the next generation, too. Not if two have died of it. A death from
 * outside, or one that is put down to another message, says nothing about it, however often that
 * happens: an operator may kill its receiver all day. If a receiver keeps ending itself and cannot
 * say why, all that it was sent are suspects, up to a number far below the root's intensity. */
static bool survives_death(struct request *request, const struct control_message *culprit,
			   bool own_fault)
{
	if ((request->message->flags & MESSAGE_IDEMPOTENT) == 0)
		return false;
	if (request->state != REQUEST_SENT)
		return request->state == REQUEST_QUEUED;
	if (is_culprit(request, culprit))
		request->blamed++;
	else if (own_fault && culprit->ref == 0)
		request->crashes++;
	request->set_aside = request->blamed >= BLAMED_MAX || request->crashes >= CRASHES_MAX;
	return !request->set_aside;
}

struct request *deaths_take_lost(struct peer *peer, const struct control_message *culprit,
				 bool own_fault)
{
	struct request *lost = NULL;
	struct request **tail = &lost;

	for (struct request **link = &peer->first; *link != NULL;) {
		struct request *request = *link;

		if (survives_death(request, culprit, own_fault)) {
			request->state = REQUEST_QUEUED;
			link = &request->next;
			continue;
		}
		*link = request->next;
		request->next = NULL;
		*tail = request;
		tail = &request->next;
	}
	peer->last = &peer->first;
	while (*peer->last != NULL)
		peer->last = &(*peer->last)->next;
	return lost;
}

static void fail_set_aside(struct request *request)
{
	struct actor *self = request->peer->self;
	unsigned deaths = request->blamed > 0 ? request->blamed : request->crashes;
	char message[256];

	self->count.set_aside++;
	log_error("request.set_aside", "method=%s to=%s ref=%" PRId64 " trace=%s deaths=%u",
		  request->message->method, request->peer->name, request->ref, request->trace,
		  deaths);
	(void)snprintf(message, sizeof(message), "%s died %u times of this: it is not tried again",
		       request->peer->name, deaths);
	request_fail(request, ERR_SET_ASIDE, message);
}

void deaths_fail_lost(struct actor *self, struct request *lost, const struct actor_news *news)
{
	char message[256];

	(void)snprintf(message, sizeof(message), "%s is down: %s", news->name,
		       news->reason[0] == '\0' ? "it was replaced" : news->reason);
	while (lost != NULL) {
		struct request *request = lost;

		lost = request->next;
		if (request->set_aside) {
			fail_set_aside(request);
			continue;
		}
		if (request->fn == NULL)
			self->count.dropped++;
		else
			self->count.downs++;
		request_fail(request, ERR_DOWN, message);
	}
}
