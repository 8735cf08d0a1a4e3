/* hh_token.c - claims the token from the store, fetches one from HH when it is our turn, saves
 * it; see hh_token.h. */
#include "actors/hh_client/hh_token.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define SECRET_NAME    "hh_app_token"
#define CLAIM_TTL_MS   60000
#define OTHERS_MS      500   /* another node fetches: look again */
#define STORE_AGAIN_MS 1000  /* the store did not answer */
#define REFUSED_MS     60000 /* HH refuses: no use in insisting */
#define SAVE_AGAIN_MS  2000

static void claim(struct actor *self, void *context);
static void save(struct actor *self, void *context);

static void tell(struct hh_token *t)
{
	t->changed(t->context);
}

static void hold(struct hh_token *t, char *text, int64_t version)
{
	seal_free(&t->text);
	t->text = text;
	t->version = version;
	t->stale_version = 0;
	t->serial++;
	t->fetch_failures = 0;
	t->error = ERR_NONE;
	t->state = HH_TOKEN_HELD;
}

static void claim_later(struct hh_token *t, int64_t wait_ms)
{
	t->state = HH_TOKEN_PAUSED;
	t->again_ms = clock_mono_ms() + wait_ms;
	actor_timer_stop(&t->claim_timer);
	t->claim_timer = actor_timer_start(t->self, wait_ms, 0, claim, t);
	if (t->claim_timer == NULL)
		fatal("token.no_memory", "a timer");
}

static void no_token(struct hh_token *t, enum msg_error error, const char *why, const char *more,
		     int64_t again_ms)
{
	t->error = error;
	(void)snprintf(t->why, sizeof(t->why), "%s%s%s", why, more[0] == '\0' ? "" : ": ", more);
	log_warn("token.none", "error=%s why=\"%s\" again_in_ms=%" PRId64, error_code(error),
		 t->why, again_ms);
	claim_later(t, again_ms);
	tell(t);
}

/* --- the store
 * --------------------------------------------------------------------------------------
 */

static void on_kept(struct hh_token *t, const struct sealed *kept)
{
	char *text;
	size_t len;
	int rc = seal_ring_open(&t->keys, SECRET_NAME, kept->ciphertext, &text, &len);

	if (rc == 0) {
		hold(t, text, kept->version);
		/* What HH gave us and the store has not yet is older than this. */
		actor_timer_stop(&t->save_timer);
		free(t->unsaved);
		t->unsaved = NULL;
		tell(t);
		return;
	}
	/* Sealed with a key that is no more: as good as none. */
	log_warn("token.sealed", "version=%" PRId64 " key_id=%s ours=%s", kept->version,
		 kept->key_id == NULL ? "" : kept->key_id, t->keys.keys[0].id);
	t->stale_version = kept->version;
	claim_later(t, OTHERS_MS);
}

static void on_claimed(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct hh_token *t = context;
	const struct sealed *kept = answer->body;

	(void)self;
	if (answer->error != ERR_NONE) {
		no_token(t, ERR_UNAVAILABLE, "the store that keeps HH's token is not to be had",
			 error_code(answer->error), STORE_AGAIN_MS);
	} else if (kept->ciphertext != NULL && kept->version > t->stale_version) {
		on_kept(t, kept);
	} else if (kept->may_fetch) {
		t->state = HH_TOKEN_GRANTED;
		tell(t);
	} else {
		claim_later(t, OTHERS_MS);
	}
}

static void claim(struct actor *self, void *context)
{
	struct hh_token *t = context;
	const struct secret_claim request = {
		.name = SECRET_NAME,
		.node = t->node,
		.ttl_ms = CLAIM_TTL_MS,
		.stale_version = t->stale_version,
	};

	t->claim_timer = NULL;
	t->state = HH_TOKEN_CLAIMING;
	if (actor_call(self, MSG_SECRET_CLAIM, &request, 0, on_claimed, t) < 0)
		claim_later(t, STORE_AGAIN_MS);
}

static void save_later(struct hh_token *t)
{
	t->save_timer = actor_timer_start(t->self, SAVE_AGAIN_MS, 0, save, t);
	if (t->save_timer == NULL)
		fatal("token.no_memory", "a timer");
}

static void on_saved(struct actor *self, const struct actor_answer *answer, void *context)
{
	struct hh_token *t = context;
	const struct sealed *kept = answer->body;
	bool newest = t->saving_serial == t->serial;

	t->saving_serial = 0;
	if (t->unsaved == NULL) {
		tell(t); /* overtaken by another node's */
	} else if (answer->error != ERR_NONE) {
		log_warn("token.unsaved", "error=%s", error_code(answer->error));
		save_later(t);
	} else if (!newest) {
		save(self, t); /* a newer one came meanwhile */
	} else {
		t->version = kept->version;
		free(t->unsaved);
		t->unsaved = NULL;
		tell(t);
	}
}

/* Until the store has the token, only this process has it, and HH gives no other for five minutes.
 */
static void save(struct actor *self, void *context)
{
	struct hh_token *t = context;
	const struct sealed request = {
		.name = SECRET_NAME,
		.version = t->version,
		.ciphertext = t->unsaved,
		.key_id = t->keys.keys[0].id,
	};

	t->save_timer = NULL;
	if (actor_call(self, MSG_SECRET_PUT, &request, 0, on_saved, t) < 0)
		save_later(t);
	else
		t->saving_serial = t->serial;
}

/* --- HH
 * ---------------------------------------------------------------------------------------------
 */

bool hh_token_wants_fetch(const struct hh_token *t)
{
	return t->state == HH_TOKEN_GRANTED;
}

const char *hh_token_url(char *buf, size_t size)
{
	const char *whole = setting_text(HH_TOKEN_URL);

	if (whole != NULL)
		return whole;
	(void)snprintf(buf, size, "%s/token", setting_text(HH_BASE_URL));
	return buf;
}

char *hh_token_form(struct hh_token *t)
{
	char *id = curl_easy_escape(NULL, setting_text(HH_CLIENT_ID), 0);
	char *secret = curl_easy_escape(NULL, setting_text(HH_CLIENT_SECRET), 0);
	char *form = NULL;

	t->state = HH_TOKEN_FETCHING;
	if (id != NULL && secret != NULL &&
	    asprintf(&form, "grant_type=client_credentials&client_id=%s&client_secret=%s", id,
		     secret) < 0)
		form = NULL;
	curl_free(id);
	curl_free(secret);
	return form;
}

static void keep_new(struct hh_token *t, const char *given)
{
	char *text = strdup(given);

	free(t->unsaved);
	t->unsaved = NULL;
	if (text == NULL ||
	    seal_close(&t->keys.keys[0], SECRET_NAME, given, strlen(given), &t->unsaved) < 0)
		fatal("token.no_memory", "a token");
	hold(t, text, 0);
	log_info("token.fetched", "key_id=%s", t->keys.keys[0].id);
	actor_timer_stop(&t->save_timer);
	if (t->saving_serial == 0) /* else on_saved() sees that there is a newer one */
		save(t->self, t);
	tell(t);
}

void hh_token_fetched(struct hh_token *t, const struct hh_judgement *judgement, const json_t *json)
{
	const char *given = hh_text(json, "access_token");
	const char *description = hh_text(json, "error_description");
	int64_t wait_ms;

	if (judgement->verdict == HH_DONE && given[0] != '\0') {
		keep_new(t, given);
		return;
	}
	if (judgement->verdict == HH_TRY_AGAIN) {
		wait_ms = hh_backoff_ms(++t->fetch_failures, (uint32_t)random());
		no_token(t, ERR_UNAVAILABLE, "HH gives no token now", judgement->why, wait_ms);
		return;
	}
	/* "app token refresh too early" among them: five minutes are over some time. */
	no_token(t, ERR_HH_AUTH, "HH gives our application no token",
		 description[0] != '\0' ? description : judgement->why, REFUSED_MS);
}

/* --- its user
 * ---------------------------------------------------------------------------------------
 */

bool hh_token_ready(const struct hh_token *t)
{
	return t->state == HH_TOKEN_HELD;
}

bool hh_token_hopeless(const struct hh_token *t)
{
	return t->state != HH_TOKEN_HELD && t->error != ERR_NONE;
}

void hh_token_rejected(struct hh_token *t, uint64_t serial)
{
	if (t->state != HH_TOKEN_HELD || t->serial != serial || t->fixed)
		return; /* it is being replaced already, or was */
	log_warn("token.rejected", "version=%" PRId64, t->version);
	t->stale_version = t->version;
	seal_free(&t->text);
	actor_timer_stop(&t->claim_timer);
	claim(t->self, t);
	tell(t);
}

bool hh_token_busy(const struct hh_token *t)
{
	return t->state == HH_TOKEN_FETCHING || t->unsaved != NULL;
}

static int fixed_token(struct hh_token *t, const char *text)
{
	t->fixed = true;
	t->state = HH_TOKEN_HELD;
	if (text == NULL) {
		log_warn("token.anonymous", "HH wants a captcha from who has no token");
		return 0;
	}
	t->text = strdup(text);
	return t->text == NULL ? -ENOMEM : 0;
}

int hh_token_init(struct hh_token *t, struct actor *self, void (*changed)(void *context),
		  void *context)
{
	const char *given = setting_text(HH_ACCESS_TOKEN);
	const char *encryption_key = setting_text(ENCRYPTION_KEY);
	bool client = setting_text(HH_CLIENT_ID) != NULL &&
		      setting_text(HH_CLIENT_SECRET) != NULL && encryption_key != NULL;
	int rc;

	t->self = self;
	t->changed = changed;
	t->context = context;
	if (given != NULL || !client)
		return fixed_token(t, given);
	rc = seal_ring_init(&t->keys, encryption_key, setting_text(ENCRYPTION_KEYS_OLD));
	if (rc < 0)
		return rc;
	(void)setting_node_name(t->node);
	claim(self, t);
	return 0;
}

void hh_token_fini(struct hh_token *t)
{
	actor_timer_stop(&t->claim_timer);
	actor_timer_stop(&t->save_timer);
	seal_free(&t->text);
	seal_ring_wipe(&t->keys);
	free(t->unsaved);
	t->unsaved = NULL;
}
