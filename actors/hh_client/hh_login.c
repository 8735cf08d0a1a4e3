/* hh_login.c - login pages, codes and refresh tokens that callers bring; see hh_account.h.
 *
 * A code or refresh token goes to HH once. Whoever brings the same again, at the same time or later,
 * here or on another node, gets the first one's answer, which is kept, sealed, before it is given.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/hh_client/hh_account.h"
#include "actors/hh_client/hh_exchange.h"
#include "base/clock.h"
#include "base/log.h"

#define BUSY_MS	      100
#define SAVE_AGAIN_MS 500
#define AGAIN_MS      2000

struct login {
	struct login *next;
	struct hh_accounts *accounts;
	struct actor_call *call; /* open: whoever asked may have given up */
	char key_hash[SEAL_HASH_SIZE];
	char state_hash[SEAL_HASH_SIZE];       /* "": none */
	const struct account_connect *connect; /* of the call; NULL: a refresh */
	const struct account_refresh *refresh;
	bool leads; /* of those here who brought the same, this one asks the store and HH */
	bool mine;  /* HH is asked, or was and the store has not the answer yet */
	struct actor_timer *timer;

	/* HH's answer */
	char *plain;  /* what the caller is told, as JSON */
	char *sealed; /* the same */
	struct sealed_pair pair;
	struct opt_int expires_in_s;
	char error[HH_TOKEN_WORDS_SIZE];
};

static void begin(struct actor *self, void *context);
static void save(struct actor *self, void *context);

static void login_free(struct login *login)
{
	struct login **link = &login->accounts->logins;

	while (*link != login)
		link = &(*link)->next;
	*link = login->next;
	actor_timer_stop(&login->timer);
	seal_free(&login->plain);
	free(login->sealed);
	sealed_pair_free(&login->pair);
	free(login);
}

void hh_logins_fini(struct hh_accounts *accounts)
{
	while (accounts->logins != NULL)
		login_free(accounts->logins);
}

static void later(struct login *login, int64_t wait_ms, actor_timer_fn *fn)
{
	login->timer = actor_timer_start(login->accounts->self, wait_ms, 0, fn, login);
	if (login->timer == NULL)
		fatal("login.no_memory", "a timer");
}

static void settle(struct login *login)
{
	struct hh_traffic *traffic = login->accounts->traffic;

	if (!login->mine)
		return;
	login->mine = false;
	traffic->unsettled--;
	hh_traffic_check_stopped(traffic);
}

/* --- the caller --- */

static void refuse(struct login *login, enum msg_error error, const char *why)
{
	if (error == ERR_UNAVAILABLE || error == ERR_OVERLOADED)
		actor_refuse_until(login->call, error, AGAIN_MS, "%s", why);
	else
		actor_refuse(login->call, error, error == ERR_FORBIDDEN ? "state" : NULL, "%s",
			     why);
	login_free(login);
}

static void reply(struct login *login, const char *plain)
{
	json_t *json = json_loads(plain, 0, NULL);
	const char *access = hh_text(json, "access_token");
	const char *refresh = hh_text(json, "refresh_token");
	const char *expires_at = hh_text(json, "expires_at");
	const struct tokens tokens = {
		.access_token = access,
		.refresh_token = refresh[0] == '\0' ? NULL : refresh,
		.expires_at = expires_at[0] == '\0' ? NULL : expires_at,
	};
	const struct account_connected connected = {
		.user_id = login->connect == NULL ? NULL : login->connect->session_id,
		.connected_ms = json_integer_value(json_object_get(json, "connected_ms")),
		.tokens = access[0] == '\0' ? NULL : &tokens,
	};
	const struct account_refreshed refreshed = {.tokens = &tokens};

	if (json == NULL)
		actor_refuse_until(login->call, ERR_OVERLOADED, AGAIN_MS, "out of memory");
	else if (login->connect != NULL)
		actor_reply(login->call, &connected);
	else
		actor_reply(login->call, &refreshed);
	json_decref(json);
	login_free(login);
}

/* --- the store, afterwards --- */

static void on_saved(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct login *login = context;

	(void)self;
	if (answer->error != ERR_NONE) {
		log_warn("login.unsaved", "error=%s", error_code(answer->error));
		later(login, SAVE_AGAIN_MS, save);
		return;
	}
	settle(login);
	if (login->plain != NULL)
		reply(login, login->plain);
	else
		refuse(login, ERR_HH_REFUSED, login->error);
}

static void save(struct actor *self, void *context)
{
	struct login *login = context;
	const char *key_id = login->accounts->keys.keys[0].id;
	const struct account_put account = {
		.user_id = login->connect == NULL ? NULL : login->connect->session_id,
		.access_token = login->pair.access,
		.refresh_token = login->pair.refresh,
		.key_id = key_id,
		.expires_in_s = login->expires_in_s,
	};
	const struct exchange_end request = {
		.key_hash = login->key_hash,
		.answer = login->sealed,
		.key_id = login->sealed == NULL ? NULL : key_id,
		.error = login->sealed == NULL ? login->error : NULL,
		.account = login->pair.access == NULL ? NULL : &account,
	};

	login->timer = NULL;
	if (actor_call(self, MSG_STORE_EXCHANGE_END, &request, 0, on_saved, login) < 0)
		later(login, SAVE_AGAIN_MS, save);
}

static void on_released(struct actor *self, const struct actor_answer *answer, void *context)
{
	(void)self;
	(void)context;
	if (answer->error != ERR_NONE)
		log_warn("login.unreleased", "error=%s", error_code(answer->error));
}

/* It may be brought again. */
static void give_back(struct login *login, enum msg_error error, const char *why)
{
	const struct exchange_end request = {.key_hash = login->key_hash};

	if (actor_call(login->accounts->self, MSG_STORE_EXCHANGE_END, &request, 0, on_released,
		       NULL) < 0)
		log_warn("login.unreleased", "error=overloaded"); /* it ends by itself */
	settle(login);
	refuse(login, error, why);
}

/* --- HH --- */

/* What the caller is told: the tokens, unless they are kept here. */
static char *answer_of(const struct login *login, const json_t *json)
{
	bool kept = login->connect != NULL && login->connect->session_id != NULL;
	int64_t now_ms = clock_wall_ms();
	char when[CLOCK_ISO8601_SIZE] = "";
	json_t *answer = json_pack("{s:I}", "connected_ms", (json_int_t)now_ms);
	char *text;

	if (login->expires_in_s.set)
		(void)clock_iso8601(now_ms + login->expires_in_s.value * 1000, when);
	if (!kept && (json_object_set_new(answer, "access_token",
					  json_string(hh_text(json, "access_token"))) < 0 ||
		      json_object_set_new(answer, "refresh_token",
					  json_string(hh_text(json, "refresh_token"))) < 0 ||
		      json_object_set_new(answer, "expires_at", json_string(when)) < 0)) {
		json_decref(answer);
		return NULL;
	}
	text = json_dumps(answer, JSON_COMPACT);
	json_decref(answer);
	return text;
}

static void keep_answer(struct login *login, const json_t *json)
{
	struct hh_accounts *accounts = login->accounts;
	const char *user = login->connect == NULL ? NULL : login->connect->session_id;
	char name[HH_SEALED_NAME_SIZE];

	login->expires_in_s = hh_expires_in_s(json);
	login->plain = answer_of(login, json);
	if (login->plain == NULL ||
	    seal_close(&accounts->keys.keys[0], hh_sealed_name(name, "exchange", login->key_hash),
		       login->plain, strlen(login->plain), &login->sealed) < 0 ||
	    (user != NULL && sealed_pair_make(accounts, user, hh_text(json, "access_token"),
					      hh_text(json, "refresh_token"), &login->pair) < 0))
		fatal("login.no_memory", "a pair");
	save(accounts->self, login);
}

static void on_answer(void *context, const struct hh_judgement *judgement, const json_t *json)
{
	struct login *login = context;
	char words[HH_TOKEN_WORDS_SIZE];

	hh_token_words(words, judgement, json);
	if (hh_token_given(judgement, json)) {
		keep_answer(login, json);
	} else if (hh_token_dead(judgement, json)) {
		(void)snprintf(login->error, sizeof(login->error), "%s", words);
		save(login->accounts->self, login);
	} else if (judgement->verdict == HH_TRY_AGAIN || judgement->verdict == HH_DONE) {
		give_back(login, ERR_UNAVAILABLE, words);
	} else {
		give_back(login,
			  judgement->error == ERR_HH_CAPTCHA			 ? ERR_HH_CAPTCHA
			  : strcmp(hh_text(json, "error"), "invalid_grant") == 0 ? ERR_HH_REFUSED
										 : ERR_HH_AUTH,
			  words);
	}
}

static char *form_of(const struct login *login)
{
	const char *redirect_uri = setting_text(HH_REDIRECT_URI);

	if (login->connect == NULL)
		return hh_exchange_form((const char *const[]){"grant_type", "refresh_token",
							      "refresh_token",
							      login->refresh->refresh_token, NULL});
	return hh_exchange_form((const char *const[]){
		"grant_type", "authorization_code", "client_id", setting_text(HH_CLIENT_ID),
		"client_secret", setting_text(HH_CLIENT_SECRET), "code", login->connect->code,
		redirect_uri == NULL ? NULL : "redirect_uri", redirect_uri, NULL});
}

static void ask_hh(struct login *login)
{
	struct hh_traffic *traffic = login->accounts->traffic;
	char *form = form_of(login);
	int rc = form == NULL ? -ENOMEM : hh_exchange_send(traffic, form, on_answer, login);

	if (rc < 0) {
		give_back(login, ERR_UNAVAILABLE,
			  rc == -EAGAIN ? "HH does not answer" : "out of memory");
		return;
	}
	login->mine = true;
	traffic->unsettled++;
}

/* --- the store, before --- */

static void give_kept(struct login *login, const char *sealed)
{
	char name[HH_SEALED_NAME_SIZE];
	char *plain = NULL;
	size_t len;

	if (sealed == NULL || seal_ring_open(&login->accounts->keys,
					     hh_sealed_name(name, "exchange", login->key_hash),
					     sealed, &plain, &len) < 0) {
		log_error("login.unreadable", "key_id=%s", login->accounts->keys.keys[0].id);
		refuse(login, ERR_UNAVAILABLE, "no key that is set opens the first one's answer");
		return;
	}
	reply(login, plain);
	seal_free(&plain);
}

static bool led_by_another(const struct login *login)
{
	for (const struct login *l = login->accounts->logins; l != NULL; l = l->next)
		if (l != login && l->leads && strcmp(l->key_hash, login->key_hash) == 0)
			return true;
	return false;
}

static void wait_for_others(struct login *login)
{
	login->leads = false;
	if (actor_call_remaining_ms(login->call) == 0)
		refuse(login, ERR_TIMEOUT, "HH was not heard in time");
	else
		later(login, BUSY_MS, begin);
}

static void on_begun(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct login *login = context;
	const struct oauth_exchange *exchange = answer->body;

	(void)self;
	if (answer->error != ERR_NONE)
		refuse(login, ERR_UNAVAILABLE, "the store is away");
	else if (strcmp(exchange->state, "done") == 0)
		give_kept(login, exchange->answer);
	else if (strcmp(exchange->state, "failed") == 0)
		refuse(login, ERR_HH_REFUSED, exchange->error);
	else if (strcmp(exchange->state, "forbidden") == 0)
		refuse(login, ERR_FORBIDDEN,
		       "the login is not this caller's, was ended before, or began more than ten "
		       "minutes ago");
	else if (strcmp(exchange->state, "busy") == 0 || actor_stopping(login->accounts->self))
		wait_for_others(login);
	else
		ask_hh(login);
}

static void begin(struct actor *self, void *context)
{
	struct login *login = context;
	const struct account_connect *connect = login->connect;
	const struct exchange_begin request = {
		.key_hash = login->key_hash,
		.kind = connect == NULL ? "refresh" : "connect",
		.node = login->accounts->node,
		.ttl_ms = HH_RIGHT_TTL_MS,
		.state_hash = login->state_hash[0] == '\0' ? NULL : login->state_hash,
		.user_id = connect == NULL ? NULL : connect->session_id,
		.trusted = connect == NULL || connect->trusted,
	};

	login->timer = NULL;
	if (led_by_another(login)) {
		wait_for_others(login);
		return;
	}
	login->leads = true;
	if (actor_call(self, MSG_STORE_EXCHANGE_BEGIN, &request, HH_RIGHT_ASKED_MS, on_begun,
		       login) < 0)
		refuse(login, ERR_OVERLOADED, "too many calls wait");
}

/* --- messages --- */

static int hash_state(const char *state, char out[SEAL_HASH_SIZE])
{
	return seal_hash((const char *const[]){"state", state}, 2, out);
}

/* parts: all that the caller gave; what differs in any of it is another exchange. */
static void begin_login(struct hh_accounts *accounts, const struct login *made,
			const char *const *parts, size_t count, const char *state)
{
	struct actor_call *call = made->call;
	struct login *login = calloc(1, sizeof(*login));

	if (login != NULL) {
		*login = *made;
		login->accounts = accounts;
		login->next = accounts->logins;
		accounts->logins = login;
	}
	if (login == NULL || seal_hash(parts, count, login->key_hash) < 0 ||
	    (state != NULL && hash_state(state, login->state_hash) < 0)) {
		if (login != NULL)
			login_free(login);
		actor_refuse_until(call, ERR_OVERLOADED, AGAIN_MS, "out of memory");
		return;
	}
	begin(accounts->self, login);
}

void hh_login_connect(struct hh_accounts *accounts, struct actor_call *call,
		      const struct account_connect *given)
{
	const struct login login = {.call = call, .connect = given};
	const char *const parts[] = {"connect", given->code, given->session_id, given->state};

	if (!hh_accounts_ready(accounts, call))
		return;
	if (!given->trusted && given->state == NULL) {
		actor_refuse(call, ERR_FORBIDDEN, "state", "is missing");
		return;
	}
	begin_login(accounts, &login, parts, sizeof(parts) / sizeof(parts[0]), given->state);
}

void hh_login_refresh(struct hh_accounts *accounts, struct actor_call *call,
		      const struct account_refresh *given)
{
	const struct login login = {.call = call, .refresh = given};
	const char *const parts[] = {"refresh", given->refresh_token};

	if (hh_accounts_ready(accounts, call))
		begin_login(accounts, &login, parts, sizeof(parts) / sizeof(parts[0]), NULL);
}

/* --- the login page --- */

struct page {
	struct actor_call *call;
	struct login_page reply;
};

static void on_state_kept(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct page *page = context; /* in the call's arena */

	(void)self;
	if (answer->error != ERR_NONE)
		actor_refuse_with(page->call, answer->failure);
	else
		actor_reply(page->call, &page->reply);
}

/* Makes the page in the call's arena; NULL: no memory. */
static struct page *make_page(struct actor_call *call, const char *state)
{
	const char *redirect_uri = setting_text(HH_REDIRECT_URI);
	struct arena *arena = actor_call_arena(call);
	struct page *page = arena_alloc(arena, sizeof(*page));
	char *query = hh_exchange_form((const char *const[]){
		"response_type", "code", "client_id", setting_text(HH_CLIENT_ID), "state", state,
		redirect_uri == NULL ? NULL : "redirect_uri", redirect_uri, NULL});

	if (page != NULL && query != NULL)
		*page = (struct page){
			.call = call,
			.reply.url = arena_printf(arena, "%s/oauth/authorize?%s",
						  setting_text(HH_OAUTH_URL), query),
			.reply.state = arena_strdup(arena, state),
		};
	if (query == NULL || page == NULL || page->reply.url == NULL || page->reply.state == NULL)
		page = NULL;
	seal_free(&query);
	return page;
}

void hh_login_redirect(struct hh_accounts *accounts, struct actor_call *call,
		       const struct account_redirect *wanted)
{
	char state[SEAL_RANDOM_SIZE];
	char hash[SEAL_HASH_SIZE];
	const struct oauth_state request = {.hash = hash, .user_id = wanted->user_id};
	struct page *page;

	if (!hh_accounts_ready(accounts, call))
		return;
	seal_random(state);
	page = make_page(call, state);
	if (page == NULL || hash_state(state, hash) < 0 ||
	    actor_call(accounts->self, MSG_STORE_OAUTH_STATE, &request, 0, on_state_kept, page) < 0)
		actor_refuse_until(call, ERR_OVERLOADED, AGAIN_MS, "too many calls wait");
}
