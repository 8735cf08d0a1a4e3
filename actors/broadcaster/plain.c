/* plain.c - the protocol of /ws?clientId=...&token=JWT[&after=SEQ], or userId=UUID: plain JSON, one
 * topic.
 *
 * A client that names a user is greeted once it is known where the user's topic ends, or at once
 * when the store does not say: then it is told what comes after the store is back. Until it is
 * greeted it is not read from, so that the greeting is the first thing that it hears.
 */
#include "actors/broadcaster/session.h"
#include "actors/broadcaster/ws_messages.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"

struct plain {
	struct plain_hello hello;
	struct listener *listener; /* NULL without a user */
	bool greeted;
	bool resuming; /* a replay was asked for and did not begin */
};

static int plain_request(struct session *s, const char *query)
{
	struct plain *p = session_state(s);

	switch (plain_hello_read(session_door(s), query, clock_wall_ms(), &p->hello)) {
	case 0:
		return 0;
	case -EACCES:
		return 401;
	default:
		return 400;
	}
}

static void greet(struct session *s, int64_t last)
{
	struct plain *p = session_state(s);

	p->greeted = true;
	session_answer(s, plain_connected(p->hello.user_id, last));
	session_hold(s, false);
}

static void plain_open(struct session *s)
{
	struct plain *p = session_state(s);
	char topic[TOPIC_NAME_SIZE];

	if (p->hello.user_id[0] == '\0') {
		greet(s, -1);
		return;
	}
	(void)snprintf(topic, sizeof(topic), "user:%s", p->hello.user_id);
	session_hold(s, true);
	p->listener = session_listen(s, topic, p->hello.resumes ? p->hello.after : FEED_FROM_NOW);
	if (p->listener == NULL)
		session_answer(s, NULL);
}

static void plain_placed(struct session *s, struct listener *l, int64_t last)
{
	struct plain *p = session_state(s);

	if (!p->greeted)
		greet(s, last);
	if (p->resuming && last >= 0) {
		p->resuming = false;
		session_answer(s, plain_resumed(l->sub.cursor, last));
	}
}

static void plain_text(struct session *s, const char *text, size_t len)
{
	struct plain *p = session_state(s);
	struct plain_wish wish;

	if (plain_read(text, len, p->hello.client_id, clock_wall_ms(), &wish) < 0) {
		session_answer(s, NULL);
	} else if (wish.answer != NULL) {
		session_answer(s, wish.answer);
	} else if (p->listener == NULL) {
		session_answer(s, plain_error("this connection names no userId to resume"));
	} else {
		p->resuming = true;
		session_go_back(s, p->listener, wish.after);
	}
}

const struct protocol plain_protocol = {
	.path = "/ws",
	.state_size = sizeof(struct plain),
	.request = plain_request,
	.open = plain_open,
	.text = plain_text,
	.placed = plain_placed,
	.event = plain_event,
};
