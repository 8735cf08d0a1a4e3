/* hh_key_rotation.c - sealing everything anew with ENCRYPTION_KEY; see hh_account.h.
 *
 * The store gives what another key has sealed, a batch at a time, and puts each back only where it
 * is still as it was: whoever writes meanwhile writes with the new key anyway.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/hh_client/hh_account.h"
#include "base/log.h"

#define AGAIN_MS 2000

struct pending {
	char kind[17];
	char id[129];
	char *old;
	char *first;
	char *second;
};

/* One at a time. */
struct rotation {
	struct hh_accounts *accounts;
	struct actor_call *call;
	struct pending *items;
	size_t count;
	size_t next;
	char kind[17]; /* how far it is */
	char id[129];
	struct keys_rotated done;
};

static void items_free(struct rotation *rotation)
{
	for (size_t i = 0; i < rotation->count; i++) {
		free(rotation->items[i].old);
		free(rotation->items[i].first);
		free(rotation->items[i].second);
	}
	free(rotation->items);
	rotation->items = NULL;
	rotation->count = 0;
	rotation->next = 0;
}

void hh_key_rotation_fini(struct hh_accounts *accounts)
{
	if (accounts->rotation == NULL)
		return;
	items_free(accounts->rotation);
	free(accounts->rotation);
	accounts->rotation = NULL;
}

static void fail(struct rotation *rotation, const struct failure *failure)
{
	struct actor_call *call = rotation->call;

	if (failure != NULL)
		actor_refuse_with(call, failure);
	else
		actor_refuse_until(call, ERR_OVERLOADED, AGAIN_MS, "out of memory");
	hh_key_rotation_fini(rotation->accounts);
}

/* --- one item --- */

/* Opens and seals a text; NULL stays NULL. Returns 0, -ENOMEM, or -EBADMSG. */
static int seal_anew(const struct hh_accounts *accounts, const char *name, const char *sealed,
		     char **out)
{
	char *plain;
	size_t len;
	int rc;

	if (sealed == NULL)
		return 0;
	rc = seal_ring_open(&accounts->keys, name, sealed, &plain, &len);
	if (rc < 0)
		return rc;
	rc = seal_close(&accounts->keys.keys[0], name, plain, len, out);
	seal_free(&plain);
	return rc;
}

static int seal_item(const struct hh_accounts *accounts, const struct sealed_item *item,
		     struct pending *out)
{
	char first[HH_SEALED_NAME_SIZE];
	char second[HH_SEALED_NAME_SIZE];
	int rc;

	if (strcmp(item->kind, "secret") == 0)
		(void)snprintf(first, sizeof(first), "%s", item->id);
	else
		(void)hh_sealed_name(first,
				     strcmp(item->kind, "account") == 0 ? "hh_access" : "exchange",
				     item->id);
	(void)hh_sealed_name(second, "hh_refresh", item->id);
	(void)snprintf(out->kind, sizeof(out->kind), "%s", item->kind);
	(void)snprintf(out->id, sizeof(out->id), "%s", item->id);
	rc = seal_anew(accounts, first, item->first, &out->first);
	if (rc == 0)
		rc = seal_anew(accounts, second, item->second, &out->second);
	if (rc == 0)
		out->old = strdup(item->first);
	return rc == 0 && out->old == NULL ? -ENOMEM : rc;
}

/* --- batches --- */

static void next_batch(struct rotation *rotation);
static void next_item(struct rotation *rotation);

static void on_swapped(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct rotation *rotation = context;

	(void)self;
	if (answer->error != ERR_NONE) {
		fail(rotation, answer->failure);
		return;
	}
	rotation->done.sealed++;
	next_item(rotation);
}

static void next_item(struct rotation *rotation)
{
	const struct hh_accounts *accounts = rotation->accounts;
	const struct pending *pending = &rotation->items[rotation->next];
	struct sealed_item item;
	struct sealed_swap request;

	if (rotation->next == rotation->count) {
		items_free(rotation);
		next_batch(rotation);
		return;
	}
	rotation->next++;
	item = (struct sealed_item){.kind = pending->kind,
				    .id = pending->id,
				    .first = pending->first,
				    .second = pending->second};
	request = (struct sealed_swap){
		.item = &item, .old = pending->old, .key_id = accounts->keys.keys[0].id};
	if (actor_call(accounts->self, MSG_STORE_SEALED_SWAP, &request, 0, on_swapped, rotation) <
	    0)
		fail(rotation, NULL);
}

static void finish(struct rotation *rotation)
{
	log_info("keys.rotated", "sealed=%" PRId64 " unreadable=%" PRId64 " key_id=%s",
		 rotation->done.sealed, rotation->done.unreadable,
		 rotation->accounts->keys.keys[0].id);
	actor_reply(rotation->call, &rotation->done);
	hh_key_rotation_fini(rotation->accounts);
}

static void on_batch(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct rotation *rotation = context;
	const struct sealed_items *batch = answer->body;
	int rc = 0;

	(void)self;
	if (answer->error != ERR_NONE) {
		fail(rotation, answer->failure);
		return;
	}
	if (batch->items.count == 0) {
		finish(rotation);
		return;
	}
	rotation->items = calloc(batch->items.count, sizeof(*rotation->items));
	for (size_t i = 0; i < batch->items.count && rotation->items != NULL; i++) {
		const struct sealed_item *item = &batch->items.items[i];
		struct pending *pending = &rotation->items[rotation->count];

		(void)snprintf(rotation->kind, sizeof(rotation->kind), "%s", item->kind);
		(void)snprintf(rotation->id, sizeof(rotation->id), "%s", item->id);
		rc = seal_item(rotation->accounts, item, pending);
		rotation->count++;
		if (rc == -ENOMEM)
			break;
		if (rc == 0)
			continue;
		log_error("keys.unreadable", "kind=%s id=%s", item->kind, item->id);
		free(pending->first);
		*pending = (struct pending){.kind = ""};
		rotation->count--;
		rotation->done.unreadable++;
	}
	if (rotation->items == NULL || rc == -ENOMEM)
		fail(rotation, NULL);
	else
		next_item(rotation);
}

static void next_batch(struct rotation *rotation)
{
	const struct hh_accounts *accounts = rotation->accounts;
	const struct sealed_after request = {
		.key_id = accounts->keys.keys[0].id, .kind = rotation->kind, .id = rotation->id};

	if (actor_call(accounts->self, MSG_STORE_SEALED_AFTER, &request, 0, on_batch, rotation) < 0)
		fail(rotation, NULL);
}

void hh_key_rotation_begin(struct hh_accounts *accounts, struct actor_call *call)
{
	if (!hh_accounts_ready(accounts, call))
		return;
	if (accounts->rotation != NULL) {
		actor_refuse_until(call, ERR_CONFLICT, AGAIN_MS, "a rotation is under way");
		return;
	}
	accounts->rotation = calloc(1, sizeof(*accounts->rotation));
	if (accounts->rotation == NULL) {
		actor_refuse_until(call, ERR_OVERLOADED, AGAIN_MS, "out of memory");
		return;
	}
	accounts->rotation->accounts = accounts;
	accounts->rotation->call = call;
	next_batch(accounts->rotation);
}
