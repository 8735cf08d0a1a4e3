/* hh_lookup.c - tokens: found, refreshed, given; see hh_account.h.
 *
 * A lookup is one user's question to the store, and everybody of this process who waits for its
 * answer:  asking -> [ refreshing -> saving ] -> told
 */
#include "actors/hh_client/hh_account.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/hh_client/hh_exchange.h"
#include "base/clock.h"
#include "base/log.h"

#define BUSY_MS	      100 /* somebody else refreshes: look again */
#define LOOKUP_MS     25000
#define SAVE_AGAIN_MS 500
#define AGAIN_MS      2000
#define NOT_YET_MS    60000

struct asker {
	struct asker *next;
	int64_t not_version;
	hh_user_token_fn *fn;
	void *context;
};

struct lookup {
	struct lookup *next;
	struct hh_accounts *accounts;
	char user[HH_QUEUE_USER_SIZE];
	int64_t not_version;
	int64_t until_ms;
	struct asker *askers;
	struct actor_timer *timer;

	/* the refresh */
	char account[HH_QUEUE_USER_SIZE]; /* "": there is none */
	int64_t version;
	char *access;
	struct opt_int expires_in_s;
	struct sealed_pair sealed;
	bool unsettled;
};

/* --- a lookup's end --- */

static void lookup_free(struct lookup *lookup)
{
	struct lookup **link = &lookup->accounts->lookups;
	struct asker *next;

	while (*link != lookup)
		link = &(*link)->next;
	*link = lookup->next;
	for (; lookup->askers != NULL; lookup->askers = next) {
		next = lookup->askers->next;
		free(lookup->askers);
	}
	actor_timer_stop(&lookup->timer);
	seal_free(&lookup->access);
	sealed_pair_free(&lookup->sealed);
	free(lookup);
}

void hh_lookups_fini(struct hh_accounts *accounts)
{
	while (accounts->lookups != NULL)
		lookup_free(accounts->lookups);
}

/* Tells everybody. Who has come for another version than this one goes on asking. */
static void tell(struct lookup *lookup, const struct hh_user_token *token)
{
	struct hh_accounts *accounts = lookup->accounts;
	struct asker *askers = lookup->askers;
	struct asker *next;
	const struct hh_user_token not_now = {.error = ERR_UNAVAILABLE,
					      .why = "HH does not accept the account's token",
					      .wait_ms = AGAIN_MS};
	char user[HH_QUEUE_USER_SIZE];

	memcpy(user, lookup->user, sizeof(user));
	lookup->user[0] = '\0'; /* nobody joins this one any more */
	lookup->askers = NULL;
	for (; askers != NULL; askers = next) {
		next = askers->next;
		if (token->error == ERR_NONE && askers->not_version == token->version) {
			if (hh_lookup_ask(accounts, user, askers->not_version, askers->fn,
					  askers->context) < 0)
				askers->fn(askers->context, &not_now);
		} else {
			askers->fn(askers->context, token);
		}
		free(askers);
	}
	lookup_free(lookup);
}

static void tell_error(struct lookup *lookup, enum msg_error error, const char *why,
		       int64_t wait_ms)
{
	const struct hh_user_token token = {.error = error, .why = why, .wait_ms = wait_ms};

	tell(lookup, &token);
}

/* --- the store --- */

static void claim(struct actor *self, void *context);
static void save(struct actor *self, void *context);

static void later(struct lookup *lookup, int64_t wait_ms, actor_timer_fn *fn)
{
	lookup->timer = actor_timer_start(lookup->accounts->self, wait_ms, 0, fn, lookup);
	if (lookup->timer == NULL)
		fatal("account.no_memory", "a timer");
}

static void wait_for_others(struct lookup *lookup)
{
	if (clock_mono_ms() >= lookup->until_ms)
		tell_error(lookup, ERR_UNAVAILABLE, "the token is still being refreshed", AGAIN_MS);
	else
		later(lookup, BUSY_MS, claim);
}

static void ignore(struct actor *self, const struct actor_answer *answer, void *context)
{
	(void)self;
	(void)context;
	if (answer->error != ERR_NONE)
		log_warn("account.unsaid", "error=%s", error_code(answer->error));
}

/* Gives the right to refresh back. fresh: HH says that the token has not expired. */
static void release(struct lookup *lookup, bool fresh)
{
	const struct account_release request = {
		.node = lookup->accounts->node, .version = lookup->version, .fresh = fresh};

	if (actor_call(lookup->accounts->self, MSG_STORE_ACCOUNT_RELEASE, &request, 0, ignore,
		       NULL) < 0)
		log_warn("account.unsaid", "error=overloaded"); /* it ends by itself */
}

static void settle(struct lookup *lookup)
{
	struct hh_traffic *traffic = lookup->accounts->traffic;

	if (!lookup->unsettled)
		return;
	lookup->unsettled = false;
	traffic->unsettled--;
	hh_traffic_check_stopped(traffic);
}

static void on_saved(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct lookup *lookup = context;
	const struct account_version *now = answer->body;
	struct hh_user_token token = {.text = lookup->access};

	if (answer->error != ERR_NONE) {
		log_warn("account.unsaved", "user=%s error=%s", lookup->account,
			 error_code(answer->error));
		later(lookup, SAVE_AGAIN_MS, save);
		return;
	}
	settle(lookup);
	log_info("account.refreshed", "user=%s version=%" PRId64, lookup->account, now->version);
	if (now->version == 0) { /* the person has logged in meanwhile, or is gone */
		lookup->account[0] = '\0';
		seal_free(&lookup->access);
		sealed_pair_free(&lookup->sealed);
		claim(self, lookup);
		return;
	}
	token.version = now->version;
	if (lookup->expires_in_s.set)
		token.expires_ms = clock_wall_ms() + lookup->expires_in_s.value * 1000;
	tell(lookup, &token);
}

static void save(struct actor *self, void *context)
{
	struct lookup *lookup = context;
	const struct account_put request = {
		.user_id = lookup->account,
		.replaces = lookup->version,
		.access_token = lookup->sealed.access,
		.refresh_token = lookup->sealed.refresh,
		.key_id = lookup->accounts->keys.keys[0].id,
		.expires_in_s = lookup->expires_in_s,
	};

	lookup->timer = NULL;
	if (actor_call(self, MSG_STORE_ACCOUNT_PUT, &request, 0, on_saved, lookup) < 0)
		later(lookup, SAVE_AGAIN_MS, save);
}

static void on_lost(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct lookup *lookup = context;

	lookup->account[0] = '\0';
	if (answer->error != ERR_NONE)
		tell_error(lookup, ERR_UNAVAILABLE, "the store does not answer", AGAIN_MS);
	else
		claim(self, lookup); /* which says what is to be told */
}

/* Says of a pair that it takes the person. */
static int lose(struct hh_accounts *accounts, const char *user, int64_t version, const char *why,
		actor_answer_fn *fn, void *context)
{
	const struct account_problem request = {
		.user_id = user, .version = version, .problem = why};

	log_warn("account.lost", "user=%s version=%" PRId64 " why=\"%s\"", user, version, why);
	return actor_call(accounts->self, MSG_STORE_ACCOUNT_PROBLEM, &request, 0, fn, context);
}

/* --- HH --- */

static void keep_new(struct lookup *lookup, const json_t *json)
{
	const char *access = hh_text(json, "access_token");

	lookup->access = strdup(access);
	lookup->expires_in_s = hh_expires_in_s(json);
	if (lookup->access == NULL ||
	    sealed_pair_make(lookup->accounts, lookup->account, access,
			     hh_text(json, "refresh_token"), &lookup->sealed) < 0)
		fatal("account.no_memory", "a pair");
	save(lookup->accounts->self, lookup);
}

static void on_refreshed(void *context, const struct hh_judgement *judgement, const json_t *json)
{
	struct lookup *lookup = context;
	char words[HH_TOKEN_WORDS_SIZE];

	if (hh_token_given(judgement, json)) {
		keep_new(lookup, json);
		return;
	}
	hh_token_words(words, judgement, json);
	settle(lookup);
	if (hh_token_dead(judgement, json)) {
		if (lose(lookup->accounts, lookup->user, lookup->version, words, on_lost, lookup) <
		    0)
			tell_error(lookup, ERR_UNAVAILABLE, "too many calls wait", AGAIN_MS);
		return;
	}
	if (strcmp(hh_text(json, "error_description"), "token not expired") == 0) {
		release(lookup, true);
		tell_error(lookup, ERR_UNAVAILABLE,
			   "HH says both that the token has expired and that it has not",
			   NOT_YET_MS);
		return;
	}
	release(lookup, false);
	tell_error(lookup, ERR_UNAVAILABLE, words, AGAIN_MS);
}

static bool refreshed_here(const struct lookup *lookup, const char *account)
{
	for (const struct lookup *l = lookup->accounts->lookups; l != NULL; l = l->next)
		if (l != lookup && strcmp(l->account, account) == 0)
			return true;
	return false;
}

static char *refresh_form(struct lookup *lookup, const char *sealed)
{
	char name[HH_SEALED_NAME_SIZE];
	char *token = NULL;
	char *form = NULL;
	size_t len;

	if (sealed != NULL && seal_ring_open(&lookup->accounts->keys,
					     hh_sealed_name(name, "hh_refresh", lookup->account),
					     sealed, &token, &len) == 0)
		form = hh_exchange_form((const char *const[]){"grant_type", "refresh_token",
							      "refresh_token", token, NULL});
	seal_free(&token);
	return form;
}

static void unreadable(struct lookup *lookup, const struct account *account)
{
	log_error("account.unreadable", "user=%s version=%" PRId64, account->user_id,
		  account->version);
	tell_error(lookup, ERR_UNAVAILABLE, "no key that is set opens the account's tokens",
		   NOT_YET_MS);
}

static void refresh(struct lookup *lookup, const struct account *account)
{
	struct hh_traffic *traffic = lookup->accounts->traffic;
	char *form;
	int rc;

	if (actor_stopping(traffic->self) || refreshed_here(lookup, account->user_id)) {
		wait_for_others(lookup);
		return;
	}
	(void)snprintf(lookup->account, sizeof(lookup->account), "%s", account->user_id);
	lookup->version = account->version;
	form = refresh_form(lookup, account->refresh_token);
	if (form == NULL) {
		release(lookup, false);
		unreadable(lookup, account);
		return;
	}
	rc = hh_exchange_send(traffic, form, on_refreshed, lookup);
	if (rc < 0) {
		release(lookup, false);
		tell_error(lookup, ERR_UNAVAILABLE,
			   rc == -EAGAIN ? "HH does not answer" : "out of memory", AGAIN_MS);
		return;
	}
	lookup->unsettled = true;
	traffic->unsettled++;
}

/* --- asking --- */

static void give(struct lookup *lookup, const struct account *account)
{
	char name[HH_SEALED_NAME_SIZE];
	char *text = NULL;
	size_t len;
	struct hh_user_token token = {
		.version = account->version,
		.expires_ms = account->expires_ms,
	};

	if (account->access_token == NULL ||
	    seal_ring_open(&lookup->accounts->keys,
			   hh_sealed_name(name, "hh_access", account->user_id),
			   account->access_token, &text, &len) < 0) {
		unreadable(lookup, account);
		return;
	}
	token.text = text;
	tell(lookup, &token);
	seal_free(&text);
}

static void on_claimed(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct lookup *lookup = context;
	const struct account *account = answer->body;

	(void)self;
	if (answer->error != ERR_NONE)
		tell_error(lookup, ERR_UNAVAILABLE, "the store that keeps the tokens is away",
			   AGAIN_MS);
	else if (strcmp(account->state, "good") == 0)
		give(lookup, account);
	else if (strcmp(account->state, "refresh") == 0)
		refresh(lookup, account);
	else if (strcmp(account->state, "busy") == 0)
		wait_for_others(lookup);
	else if (strcmp(account->state, "login") == 0)
		tell_error(lookup, ERR_HH_LOGIN_REQUIRED,
			   account->problem == NULL ? "the tokens are lost" : account->problem, 0);
	else
		tell_error(lookup, ERR_HH_LOGIN_REQUIRED, "no account at HH is connected", 0);
}

static void claim(struct actor *self, void *context)
{
	struct lookup *lookup = context;
	const struct account_claim request = {
		.user_id = lookup->user,
		.node = lookup->accounts->node,
		.ttl_ms = HH_RIGHT_TTL_MS,
		.not_version = lookup->not_version,
	};

	lookup->timer = NULL;
	if (actor_call(self, MSG_STORE_ACCOUNT_CLAIM, &request, HH_RIGHT_ASKED_MS, on_claimed,
		       lookup) < 0)
		later(lookup, BUSY_MS, claim);
}

static struct lookup *find_lookup(struct hh_accounts *accounts, const char *user)
{
	for (struct lookup *lookup = accounts->lookups; lookup != NULL; lookup = lookup->next)
		if (strcmp(lookup->user, user) == 0)
			return lookup;
	return NULL;
}

/* Starts a lookup; it asks in the loop's next turn. */
static struct lookup *begin_lookup(struct hh_accounts *accounts, const char *user,
				   int64_t not_version)
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));

	if (lookup == NULL)
		return NULL;
	lookup->accounts = accounts;
	lookup->not_version = not_version;
	lookup->until_ms = clock_mono_ms() + LOOKUP_MS;
	(void)snprintf(lookup->user, sizeof(lookup->user), "%s", user);
	lookup->next = accounts->lookups;
	accounts->lookups = lookup;
	later(lookup, 0, claim);
	return lookup;
}

int hh_lookup_ask(void *keeper, const char *user_id, int64_t not_version, hh_user_token_fn *fn,
		  void *context)
{
	struct hh_accounts *accounts = keeper;
	struct lookup *lookup = find_lookup(accounts, user_id);
	struct asker *asker;

	if (accounts->keys.count == 0)
		return -ENOENT;
	asker = calloc(1, sizeof(*asker));
	if (asker != NULL && lookup == NULL)
		lookup = begin_lookup(accounts, user_id, not_version);
	if (asker == NULL || lookup == NULL) {
		free(asker);
		return -ENOMEM;
	}
	*asker = (struct asker){
		.next = lookup->askers, .not_version = not_version, .fn = fn, .context = context};
	lookup->askers = asker;
	return 0;
}

static void on_refused_said(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct lookup *lookup = context;

	if (answer->error != ERR_NONE)
		log_warn("account.unsaid", "error=%s", error_code(answer->error));
	claim(self, lookup);
}

/* HH will not take this pair again: that is said before anybody is given it. */
void hh_lookup_refused(void *keeper, const char *user_id, int64_t version, bool expired)
{
	struct hh_accounts *accounts = keeper;
	struct lookup *lookup;

	if (expired) /* hh_lookup_ask() is told the version */
		return;
	lookup = find_lookup(accounts, user_id) == NULL ? begin_lookup(accounts, user_id, version)
							: NULL;
	if (lookup != NULL)
		actor_timer_stop(&lookup->timer);
	if (lose(accounts, user_id, version, "HH does not accept the token any more",
		 lookup == NULL ? ignore : on_refused_said, lookup) < 0 &&
	    lookup != NULL)
		later(lookup, BUSY_MS, claim);
}
