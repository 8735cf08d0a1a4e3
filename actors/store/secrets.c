/* secrets.c - secrets that all nodes share, and the right to fetch a new one, which one node has at
 * a time. They come encrypted and stay so. */
#include "actors/store/rows.h"
#include "actors/store/store.h"

/* Nothing to give: never written, found stale before, or found stale by this caller ($4). */
#define WANTED "(s.ciphertext is null or s.stale or $4::bigint >= s.version)"

/* Takes the right to fetch where there is nothing to give and nobody else has it; else writes
 * nothing. A caller that asks again has it still. */
static const struct sql secret_claim = {
	"secret_claim",
	"insert into shared_secrets as s (name, fetch_node, fetch_until)"
	" values ($1::text, $2::text, now() + $3::bigint * interval '1 ms')"
	" on conflict (name) do update set stale = s.ciphertext is not null,"
	"  fetch_node = case when s.fetch_until > now() and s.fetch_node <> $2::text"
	"   then s.fetch_node else $2::text end,"
	"  fetch_until = case when s.fetch_until > now() and s.fetch_node <> $2::text"
	"   then s.fetch_until else excluded.fetch_until end"
	" where " WANTED,
};

/* What there is; $2 is the caller, or null for none. */
static const struct sql secret_read = {
	"secret_read",
	"select name, version, case when not stale then ciphertext end,"
	" case when not stale then key_id end,"
	" (stale or ciphertext is null) and fetch_node = $2::text and fetch_until > now()"
	" from shared_secrets where name = $1::text",
};

/* The same text again is the same write again. */
static const struct sql secret_put = {
	"secret_put",
	"insert into shared_secrets as s (name, version, ciphertext, key_id)"
	" values ($1::text, 1, $2::text, $3::text)"
	" on conflict (name) do update set version = s.version + 1,"
	"  ciphertext = excluded.ciphertext, key_id = excluded.key_id, stale = false,"
	"  fetch_node = null, fetch_until = null, updated_at = now()"
	" where s.ciphertext is distinct from excluded.ciphertext",
};

static void secret_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 1);
	struct sealed reply;

	(void)self;
	if (row_count(rows) == 0) {
		actor_refuse(unit_call(unit), ERR_CONFLICT, "name", "deleted meanwhile");
		return;
	}
	reply = (struct sealed){
		.name = row_text(rows, 0, 0),
		.version = row_int(rows, 0, 1),
		.ciphertext = row_text(rows, 0, 2),
		.key_id = row_text(rows, 0, 3),
		.may_fetch = row_bool(rows, 0, 4),
	};
	actor_reply(unit_call(unit), &reply);
}

void store_on_secret_claim(struct actor *self, struct actor_call *call, const void *request)
{
	const struct secret_claim *claim = request;
	struct unit *unit = store_unit(self, call, secret_done);

	if (unit == NULL)
		return;
	unit_statement(unit, &secret_claim);
	unit_text(unit, claim->name);
	unit_text(unit, claim->node);
	unit_int(unit, claim->ttl_ms);
	unit_int(unit, claim->stale_version);
	unit_statement(unit, &secret_read);
	unit_text(unit, claim->name);
	unit_text(unit, claim->node);
	unit_submit(unit, false);
}

void store_on_secret_put(struct actor *self, struct actor_call *call, const void *request)
{
	const struct sealed *secret = request;
	struct unit *unit;

	if (secret->ciphertext == NULL || secret->key_id == NULL) {
		actor_refuse(call, ERR_BAD_REQUEST,
			     secret->ciphertext == NULL ? "ciphertext" : "key_id", "is missing");
		return;
	}
	unit = store_unit(self, call, secret_done);
	if (unit == NULL)
		return;
	unit_statement(unit, &secret_put);
	unit_text(unit, secret->name);
	unit_text(unit, secret->ciphertext);
	unit_text(unit, secret->key_id);
	unit_statement(unit, &secret_read);
	unit_text(unit, secret->name);
	unit_text(unit, NULL);
	unit_submit(unit, false);
}
