/* batch.c - gathers entries while a call is under way, for the next one; see batch.h. */
#include "actors/submitter/batch.h"

#include <stddef.h>
#include <string.h>

#include "base/log.h"

#define BYTES_MAX ((size_t)4 * 1024 * 1024)
#define AGAIN_MS  300

static void schedule(struct batch *batch, int64_t delay_ms);

void batch_init(struct batch *batch, struct actor *self, const struct batch_kind *kind)
{
	*batch = (struct batch){.kind = kind, .self = self, .last = &batch->first};
}

static void put_last(struct batch *batch, struct entry *entry)
{
	entry->next = NULL;
	*batch->last = entry;
	batch->last = &entry->next;
}

static struct entry *take_first(struct batch *batch)
{
	struct entry *entry = batch->first;

	batch->first = entry->next;
	if (batch->first == NULL)
		batch->last = &batch->first;
	return entry;
}

/* Whether time can mend it, so that the same is worth saying again. */
static bool passes(enum msg_error error)
{
	return error == ERR_UNAVAILABLE || error == ERR_OVERLOADED || error == ERR_DOWN ||
	       error == ERR_TIMEOUT;
}

static void on_refused(struct batch *batch, struct entry *const *entries, size_t count,
		       const struct actor_answer *answer)
{
	bool again = passes(answer->error) && batch->kind->insists;
	bool alone = !passes(answer->error) && count > 1;

	log_warn("submitter.refused", "method=%s entries=%zu error=%s",
		 message_by_id(batch->kind->id)->method, count, answer->failure->error);
	for (size_t i = 0; i < count; i++)
		if (again || alone) {
			entries[i]->alone = alone;
			put_last(batch, entries[i]);
		} else {
			batch->kind->failed(batch->self, entries[i], answer->failure);
		}
	if (batch->first != NULL)
		schedule(batch, again ? AGAIN_MS : 0);
}

static void on_answer(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct batch *batch = context;
	struct entry *entries[BATCH_MAX];
	size_t count = batch->count;

	for (size_t i = 0; i < count; i++)
		entries[i] = batch->sent[i];
	batch->count = 0;
	if (answer->error != ERR_NONE) {
		on_refused(batch, entries, count, answer);
		return;
	}
	if (batch->first != NULL)
		schedule(batch, 0);
	batch->kind->done(self, entries, count, answer->body);
}

static void send_some(struct batch *batch)
{
	size_t bytes = 0;
	int rc;

	while (batch->first != NULL && batch->count < BATCH_MAX) {
		struct entry *entry = batch->first;

		if (batch->count > 0 && (entry->alone || bytes + entry->bytes > BYTES_MAX))
			break;
		bytes += entry->bytes;
		batch->sent[batch->count++] = take_first(batch);
		if (entry->alone)
			break;
	}
	if (batch->count == 0)
		return;
	rc = batch->kind->send(batch->self, batch->sent, batch->count, on_answer, batch);
	if (rc == 0)
		return;
	log_error("submitter.unsent", "method=%s entries=%zu error=%s",
		  message_by_id(batch->kind->id)->method, batch->count, strerror(-rc));
	for (size_t i = 0; i < batch->count; i++)
		batch->kind->failed(batch->self, batch->sent[i], NULL);
	batch->count = 0;
	if (batch->first != NULL)
		schedule(batch, AGAIN_MS);
}

static void on_turn(struct actor *self, void *context)
{
	struct batch *batch = context;

	(void)self;
	batch->timer = NULL;
	if (batch->count == 0)
		send_some(batch);
}

static void schedule(struct batch *batch, int64_t delay_ms)
{
	if (batch->timer != NULL || batch->count > 0)
		return;
	batch->timer = actor_timer_start(batch->self, delay_ms, 0, on_turn, batch);
	if (batch->timer == NULL)
		send_some(batch);
}

void batch_add(struct batch *batch, struct entry *entry)
{
	put_last(batch, entry);
	schedule(batch, 0);
}

bool batch_idle(const struct batch *batch)
{
	return batch->count == 0 && batch->first == NULL;
}

void batch_fini(struct batch *batch)
{
	actor_timer_stop(&batch->timer);
}
