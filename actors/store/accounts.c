/* accounts.c - accounts at HH: logins under way, pairs of tokens and the right to refresh one, which
 * one node has at a time, and the rotation of keys. Secrets come sealed and stay so. */
#include <string.h>

#include "actors/store/rows.h"
#include "actors/store/store.h"

#define ITEMS_MAX 100

static const struct sql account_claim = {
	"account_claim",
	"select c.state, (c.account).user_id, (c.account).version,"
	" case c.state when 'good' then (c.account).access_token end,"
	" case c.state when 'refresh' then (c.account).refresh_token end,"
	" " SQL_MS("(c.account).expires_at") ", (c.account).problem"
					     " from account_claim($1::uuid, $2::text, $3::bigint, "
					     "$4::bigint) c",
};

static const struct sql account_put = {
	"account_put",
	"select account_put($1::uuid, nullif($2::bigint, 0), $3::text, $4::text, $5::text,"
	" $6::bigint, $7::boolean)",
};

static const struct sql account_problem = {
	"account_problem",
	"select account_problem($1::bigint, $2::uuid, $3::text)",
};

/* $3: the token has not expired. */
static const struct sql account_release = {
	"account_release",
	"update hh_tokens set refresh_node = null, refresh_until = null,"
	" stale = stale and not $3::boolean,"
	" expires_at = case when $3::boolean then greatest(expires_at,"
	"  (now() + interval '1 minute') at time zone 'UTC') else expires_at end"
	" where version = $1::bigint and refresh_node = $2::text",
};

static const struct sql oauth_state = {
	"oauth_state",
	"insert into oauth_states (hash, user_id, expires_at)"
	" values ($1::text, $2::uuid, now() + interval '10 minutes') on conflict (hash) do nothing",
};

static const struct sql exchange_begin = {
	"exchange_begin",
	"select state, answer, error from exchange_begin($1::text, $2::text, $3::text, $4::bigint,"
	" $5::text, $6::uuid, $7::boolean)",
};

static const struct sql exchange_end = {
	"exchange_end",
	"update oauth_exchanges set answer = $2::text, key_id = $3::text, error = $4::text,"
	" node = null, lease_until = null where key_hash = $1::text and answer is null",
};

static const struct sql sealed_after = {
	"sealed_after",
	"select kind, id, first, second"
	" from sealed_others($1::text, $2::text, $3::text, $4::bigint)",
};

static const struct sql sealed_swap = {
	"sealed_swap",
	"select sealed_swap($1::text, $2::text, $3::text, $4::text, $5::text, $6::text)",
};

/* Whoever comes again later than this is not the same call any more. */
static const struct sql prune_exchanges = {
	"prune_exchanges",
	"delete from oauth_exchanges where created_at < now() - interval '1 hour'",
};

static const struct sql prune_states = {
	"prune_states",
	"delete from oauth_states where expires_at < now() - interval '1 hour'",
};

static const struct sql prune_audit = {
	"prune_audit",
	"delete from audit where at < now() - interval '1 year'",
};

static void done_empty(struct actor *self, struct unit *unit)
{
	(void)self;
	actor_reply(unit_call(unit), &(struct empty){0});
}

/* --- tokens --- */

static void claim_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 0);
	struct account account = {.state = "none"};

	(void)self;
	if (row_count(rows) > 0)
		account = (struct account){
			.state = row_text(rows, 0, 0),
			.user_id = row_text(rows, 0, 1),
			.version = row_int(rows, 0, 2),
			.access_token = row_text(rows, 0, 3),
			.refresh_token = row_text(rows, 0, 4),
			.expires_ms = row_int(rows, 0, 5),
			.problem = row_text(rows, 0, 6),
		};
	actor_reply(unit_call(unit), &account);
}

void store_on_account_claim(struct actor *self, struct actor_call *call, const void *request)
{
	const struct account_claim *claim = request;
	struct unit *unit = store_unit(self, call, claim_done);

	if (unit == NULL)
		return;
	unit_statement(unit, &account_claim);
	unit_text(unit, claim->user_id);
	unit_text(unit, claim->node);
	unit_int(unit, claim->ttl_ms);
	unit_int(unit, claim->not_version);
	unit_submit(unit, false);
}

static void put_account(struct unit *unit, const struct account_put *put)
{
	unit_statement(unit, &account_put);
	unit_text(unit, put->user_id);
	unit_int(unit, put->replaces);
	unit_text(unit, put->access_token);
	unit_text(unit, put->refresh_token);
	unit_text(unit, put->key_id);
	unit_opt_int(unit, put->expires_in_s);
	unit_bool(unit, put->unless_works);
}

static void put_done(struct actor *self, struct unit *unit)
{
	const struct account_version reply = {.version = row_int(unit_result(unit, 0), 0, 0)};

	(void)self;
	actor_reply(unit_call(unit), &reply);
}

void store_on_account_put(struct actor *self, struct actor_call *call, const void *request)
{
	struct unit *unit = store_unit(self, call, put_done);

	if (unit == NULL)
		return;
	put_account(unit, request);
	unit_submit(unit, true); /* until it is kept, only one process has the pair */
}

void store_on_account_problem(struct actor *self, struct actor_call *call, const void *request)
{
	const struct account_problem *problem = request;
	struct unit *unit = store_unit(self, call, done_empty);

	if (unit == NULL)
		return;
	unit_statement(unit, &account_problem);
	unit_int(unit, problem->version);
	unit_text(unit, problem->user_id);
	unit_text(unit, problem->problem);
	unit_submit(unit, false);
}

void store_on_account_release(struct actor *self, struct actor_call *call, const void *request)
{
	const struct account_release *release = request;
	struct unit *unit = store_unit(self, call, done_empty);

	if (unit == NULL)
		return;
	unit_statement(unit, &account_release);
	unit_int(unit, release->version);
	unit_text(unit, release->node);
	unit_bool(unit, release->fresh);
	unit_submit(unit, false);
}

/* --- logins --- */

void store_on_oauth_state(struct actor *self, struct actor_call *call, const void *request)
{
	const struct oauth_state *state = request;
	struct unit *unit = store_unit(self, call, done_empty);

	if (unit == NULL)
		return;
	unit_statement(unit, &oauth_state);
	unit_text(unit, state->hash);
	unit_text(unit, state->user_id);
	unit_submit(unit, false);
}

static void begin_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 0);
	const struct oauth_exchange exchange = {
		.state = row_text(rows, 0, 0),
		.answer = row_text(rows, 0, 1),
		.error = row_text(rows, 0, 2),
	};

	(void)self;
	actor_reply(unit_call(unit), &exchange);
}

void store_on_exchange_begin(struct actor *self, struct actor_call *call, const void *request)
{
	const struct exchange_begin *begin = request;
	struct unit *unit = store_unit(self, call, begin_done);

	if (unit == NULL)
		return;
	unit_statement(unit, &exchange_begin);
	unit_text(unit, begin->key_hash);
	unit_text(unit, begin->kind);
	unit_text(unit, begin->node);
	unit_int(unit, begin->ttl_ms);
	unit_text(unit, begin->state_hash);
	unit_text(unit, begin->user_id);
	unit_bool(unit, begin->trusted);
	unit_submit(unit, false);
}

void store_on_exchange_end(struct actor *self, struct actor_call *call, const void *request)
{
	const struct exchange_end *end = request;
	struct unit *unit = store_unit(self, call, done_empty);

	if (unit == NULL)
		return;
	unit_statement(unit, &exchange_end);
	unit_text(unit, end->key_hash);
	unit_text(unit, end->answer);
	unit_text(unit, end->key_id);
	unit_text(unit, end->error);
	if (end->account != NULL)
		put_account(unit, end->account);
	unit_submit(unit, true);
}

/* --- keys --- */

static void items_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 0);
	struct sealed_item items[ITEMS_MAX];
	struct sealed_items reply = {.items.items = items};

	(void)self;
	for (size_t i = 0; i < row_count(rows) && i < ITEMS_MAX; i++) {
		items[i] = (struct sealed_item){
			.kind = row_text(rows, i, 0),
			.id = row_text(rows, i, 1),
			.first = row_text(rows, i, 2),
			.second = row_text(rows, i, 3),
		};
		reply.items.count++;
	}
	actor_reply(unit_call(unit), &reply);
}

void store_on_sealed_after(struct actor *self, struct actor_call *call, const void *request)
{
	const struct sealed_after *after = request;
	struct unit *unit = store_unit(self, call, items_done);

	if (unit == NULL)
		return;
	unit_statement(unit, &sealed_after);
	unit_text(unit, after->key_id);
	unit_text(unit, after->kind);
	unit_text(unit, after->id);
	unit_int(unit, ITEMS_MAX);
	unit_submit(unit, false);
}

void store_on_sealed_swap(struct actor *self, struct actor_call *call, const void *request)
{
	const struct sealed_swap *swap = request;
	struct unit *unit = store_unit(self, call, done_empty);

	if (unit == NULL)
		return;
	unit_statement(unit, &sealed_swap);
	unit_text(unit, swap->item->kind);
	unit_text(unit, swap->item->id);
	unit_text(unit, swap->old);
	unit_text(unit, swap->item->first);
	unit_text(unit, swap->item->second);
	unit_text(unit, swap->key_id);
	unit_submit(unit, false);
}

/* --- pruning --- */

static void prune_done(struct actor *self, struct unit *unit)
{
	(void)self;
	(void)unit;
}

static void prune_failed(struct actor *self, struct unit *unit, const struct unit_failure *failure)
{
	(void)self;
	(void)unit;
	(void)failure; /* the pool has logged it; the next round does it */
}

void store_prune_accounts(struct actor *self)
{
	struct store *store = actor_state(self);
	struct unit *unit = unit_new(store->pool, NULL, 30000, prune_done, prune_failed);

	if (unit == NULL)
		return;
	unit_statement(unit, &prune_exchanges);
	unit_statement(unit, &prune_states);
	unit_statement(unit, &prune_audit);
	unit_submit(unit, false);
}
