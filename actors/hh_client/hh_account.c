/* hh_account.c - the accounts as a whole: whether one works, keeping one, how tokens are sealed, and
 * HH's words; see hh_account.h.
 */
#include "actors/hh_client/hh_account.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proto/codec.h"

#define AGAIN_MS    2000 /* what cannot be taken now */
#define LIVES_MAX_S INT64_C(3153600000)
#define TOKEN_BYTES 4096 /* of the catalogue's tokens; sealed it is half as long again */

/* --- sealed texts --- */

const char *hh_sealed_name(char *buf, const char *kind, const char *id)
{
	(void)snprintf(buf, HH_SEALED_NAME_SIZE, "%s:%s", kind, id);
	return buf;
}

void sealed_pair_free(struct sealed_pair *pair)
{
	free(pair->access);
	free(pair->refresh);
	*pair = (struct sealed_pair){0};
}

int sealed_pair_make(const struct hh_accounts *accounts, const char *user_id, const char *access,
		     const char *refresh, struct sealed_pair *out)
{
	const struct seal_key *key = &accounts->keys.keys[0];
	char name[HH_SEALED_NAME_SIZE];
	int rc;

	*out = (struct sealed_pair){0};
	rc = seal_close(key, hh_sealed_name(name, "hh_access", user_id), access, strlen(access),
			&out->access);
	if (rc == 0 && refresh[0] != '\0')
		rc = seal_close(key, hh_sealed_name(name, "hh_refresh", user_id), refresh,
				strlen(refresh), &out->refresh);
	if (rc < 0)
		sealed_pair_free(out);
	return rc;
}

/* --- HH's words --- */

void hh_token_words(char words[HH_TOKEN_WORDS_SIZE], const struct hh_judgement *judgement,
		    const json_t *json)
{
	const char *all = hh_text(json, "error_description");

	if (all[0] == '\0')
		all = judgement->verdict == HH_DONE ? "HH's answer cannot be read" : judgement->why;
	(void)snprintf(words, HH_TOKEN_WORDS_SIZE, "%.*s",
		       (int)utf8_prefix(all, HH_TOKEN_WORDS_CHARS), all);
}

struct opt_int hh_expires_in_s(const json_t *json)
{
	const json_t *given = json_object_get(json, "expires_in");
	json_int_t seconds = json_integer_value(given);

	if (!json_is_integer(given))
		return (struct opt_int){0};
	return OPT_INT_OF(seconds < 0 ? 0 : seconds > LIVES_MAX_S ? LIVES_MAX_S : seconds);
}

bool hh_token_given(const struct hh_judgement *judgement, const json_t *json)
{
	size_t access_len = strlen(hh_text(json, "access_token"));
	size_t refresh_len = strlen(hh_text(json, "refresh_token"));

	return judgement->verdict == HH_DONE && access_len > 0 && access_len <= TOKEN_BYTES &&
	       refresh_len <= TOKEN_BYTES;
}

bool hh_token_dead(const struct hh_judgement *judgement, const json_t *json)
{
	const char *error = hh_text(json, "error");

	return judgement->verdict == HH_GIVE_UP &&
	       (strcmp(error, "invalid_grant") == 0 || strcmp(error, "invalid_request") == 0) &&
	       strcmp(hh_text(json, "error_description"), "token not expired") != 0;
}

/* --- messages --- */

bool hh_accounts_ready(const struct hh_accounts *accounts, struct actor_call *call)
{
	if (accounts->keys.count > 0)
		return true;
	actor_refuse(call, ERR_HH_AUTH, NULL,
		     "HH_CLIENT_ID, HH_CLIENT_SECRET and ENCRYPTION_KEY are not all set");
	return false;
}

static void on_status(void *context, const struct hh_user_token *token)
{
	struct actor_call *call = context;
	char when[CLOCK_ISO8601_SIZE];
	struct account_status status = {.connected = true};

	if (token->error != ERR_NONE && token->wait_ms > 0) {
		actor_refuse_until(call, token->error, token->wait_ms, "%s", token->why);
		return;
	}
	if (token->error != ERR_NONE) {
		actor_refuse(call, token->error, NULL, "%s", token->why);
		return;
	}
	if (token->expires_ms > 0)
		status.expires_at = clock_iso8601(token->expires_ms, when);
	actor_reply(call, &status);
}

/* A caller's own token: only HH knows whether it is any good. */
static int ask_me(struct hh_accounts *accounts, struct actor_call *call,
		  const struct acting *acting, hh_personal_done_fn *done, void *context)
{
	static const struct hh_kind me_kind = {.name = "me"};
	const struct hh_personal_want want = {
		.kind = &me_kind,
		.call = call,
		.acting = acting,
		.purpose = HH_READING,
		.path = "/me",
		.done = done,
		.context = context,
	};

	return hh_personal_ask(accounts->traffic, &want);
}

/* HH answers an application and an employer as well, who cannot apply. Refuses the call when it is not
 * an applicant's. */
static bool is_applicants(struct actor_call *call, const struct hh_personal_result *result)
{
	if (result->failure != NULL)
		actor_refuse_with(call, result->failure);
	else if (!json_is_true(json_object_get(result->json, "is_applicant")))
		actor_refuse(call, ERR_HH_LOGIN_REQUIRED, NULL, "the token is not an applicant's");
	else
		return true;
	return false;
}

static void on_me(void *context, const struct hh_personal_result *result)
{
	struct actor_call *call = context;

	if (is_applicants(call, result))
		actor_reply(call, &(struct account_status){.connected = true});
}

void hh_account_status(struct hh_accounts *accounts, struct actor_call *call,
		       const struct acting *acting)
{
	int rc;

	if (acting->access_token != NULL)
		rc = ask_me(accounts, call, acting, on_me, call);
	else if (acting->user_id != NULL)
		rc = hh_lookup_ask(accounts, acting->user_id, 0, on_status, call);
	else
		rc = -ENOENT;
	if (rc == -ENOENT)
		actor_refuse(call, ERR_HH_LOGIN_REQUIRED, NULL, "no account at HH is connected");
	else if (rc < 0)
		actor_refuse_until(call, ERR_OVERLOADED, AGAIN_MS, "too many requests wait");
}

/* --- keeping a token that a caller brought --- */

/* Nobody has looked at the token: it must not take the place of an account, and only HH can say that
 * it is worth being one.  account? -> [ HH? -> store ] -> reply */
struct keeping {
	struct hh_accounts *accounts;
	struct actor_call *call; /* in whose arena this is */
	const struct acting *acting;
};

static void on_kept(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct actor_call *call = context;

	(void)self;
	if (answer->error != ERR_NONE)
		actor_refuse_with(call, answer->failure);
	else
		actor_reply(call, &(struct empty){0});
}

static void keep(const struct keeping *k)
{
	struct account_put request = {.user_id = k->acting->user_id, .unless_works = true};
	struct sealed_pair pair;

	if (sealed_pair_make(k->accounts, request.user_id, k->acting->access_token, "", &pair) <
	    0) {
		actor_refuse_until(k->call, ERR_OVERLOADED, AGAIN_MS, "out of memory");
		return;
	}
	request.access_token = pair.access;
	request.key_id = k->accounts->keys.keys[0].id;
	if (actor_call(k->accounts->self, MSG_STORE_ACCOUNT_PUT, &request, 0, on_kept, k->call) < 0)
		actor_refuse_until(k->call, ERR_OVERLOADED, AGAIN_MS, "too many calls wait");
	sealed_pair_free(&pair);
}

static void on_worth(void *context, const struct hh_personal_result *result)
{
	const struct keeping *k = context;

	if (is_applicants(k->call, result))
		keep(k);
}

static void on_account(void *context, const struct hh_user_token *token)
{
	struct keeping *k = context;
	int rc;

	if (token->error != ERR_HH_LOGIN_REQUIRED) { /* there is one, and it will do in a while */
		actor_reply(k->call, &(struct empty){0});
		return;
	}
	rc = ask_me(k->accounts, k->call, k->acting, on_worth, k);
	if (rc < 0)
		hh_personal_refuse_call(k->call, rc);
}

void hh_account_keep(struct hh_accounts *accounts, struct actor_call *call,
		     const struct acting *acting)
{
	struct keeping *k;

	if (!hh_accounts_ready(accounts, call))
		return;
	if (acting->user_id == NULL || acting->access_token == NULL) {
		actor_refuse(call, ERR_BAD_REQUEST,
			     acting->user_id == NULL ? "user_id" : "access_token", "is missing");
		return;
	}
	k = arena_alloc(actor_call_arena(call), sizeof(*k));
	if (k != NULL)
		*k = (struct keeping){.accounts = accounts, .call = call, .acting = acting};
	if (k == NULL || hh_lookup_ask(accounts, acting->user_id, 0, on_account, k) < 0)
		actor_refuse_until(call, ERR_OVERLOADED, AGAIN_MS, "too many requests wait");
}

/* --- beginning and end --- */

/* Jansson's memory is wiped before it is given back: HH's answers have tokens in them. */
static void wipe_and_free(void *memory)
{
	if (memory != NULL)
		explicit_bzero(memory, malloc_usable_size(memory));
	free(memory);
}

int hh_accounts_init(struct hh_accounts *accounts, struct hh_traffic *traffic)
{
	const char *key = setting_text(ENCRYPTION_KEY);
	int rc = 0;

	accounts->traffic = traffic;
	accounts->self = traffic->self;
	accounts->tokens = (struct hh_user_tokens){
		.ask = hh_lookup_ask, .refused = hh_lookup_refused, .keeper = accounts};
	traffic->tokens = &accounts->tokens;
	json_set_alloc_funcs(malloc, wipe_and_free);
	(void)setting_node_name(accounts->node);
	if (key != NULL && setting_text(HH_CLIENT_ID) != NULL &&
	    setting_text(HH_CLIENT_SECRET) != NULL)
		rc = seal_ring_init(&accounts->keys, key, setting_text(ENCRYPTION_KEYS_OLD));
	if (rc == -E2BIG)
		log_error("account.keys", "ENCRYPTION_KEYS_OLD has more than %d keys",
			  SEAL_RING_MAX - 1);
	return rc;
}

void hh_accounts_fini(struct hh_accounts *accounts)
{
	hh_lookups_fini(accounts);
	hh_logins_fini(accounts);
	hh_key_rotation_fini(accounts);
	seal_ring_wipe(&accounts->keys);
}
