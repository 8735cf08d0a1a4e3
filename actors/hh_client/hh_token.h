/* hh_token.h - the token that HH's searches are asked with.
 *
 * HH_ACCESS_TOKEN where it is set. Else the application's token, which HH gives for the client's id
 * and secret: each new one ends the one before, and it may be asked for once in five minutes. So
 * all nodes share it through the store, where it lies sealed, and the store says whose turn it is
 * to fetch one. With neither, HH is asked anonymously (and answers with a captcha).
 *
 * A token that we have is used whatever becomes of the store. None of this is ever logged.
 */
#ifndef HH_CLIENT_HH_TOKEN_H
#define HH_CLIENT_HH_TOKEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "actors/hh_client/hh_retry.h"
#include "actors/runtime/actor.h"
#include "base/seal.h"
#include "base/settings.h"

enum hh_token_state {
	HH_TOKEN_HELD,	   /* ready; perhaps for asking anonymously */
	HH_TOKEN_CLAIMING, /* the store was asked */
	HH_TOKEN_PAUSED,   /* the store is asked again later */
	HH_TOKEN_GRANTED,  /* it is for us to fetch one, as soon as a request may be sent */
	HH_TOKEN_FETCHING, /* HH was asked */
};

struct hh_token {
	struct actor *self;
	void (*changed)(void *context); /* state, text or error did */
	void *context;
	enum hh_token_state state;
	char *text;	 /* the token; NULL: none */
	bool fixed;	 /* it is HH_ACCESS_TOKEN, or anonymous: there is no other */
	uint64_t serial; /* grows with each new text */
	int64_t version; /* the store's, of text; 0: not known yet */
	int64_t stale_version;
	int fetch_failures; /* in a row */
	struct actor_timer *claim_timer;

	/* what could not be got, and why; error ERR_NONE: nothing is known to be wrong */
	enum msg_error error;
	char why[256];
	int64_t again_ms; /* when it is tried again, on the monotonic clock */

	struct seal_ring keys;
	char *unsaved;		/* sealed, on its way to the store */
	uint64_t saving_serial; /* of the text that the store was sent; 0: nothing is sent */
	struct actor_timer *save_timer;
	char node[SETTING_NODE_NAME_SIZE];
};

/* Reads the settings and starts to get a token. Returns 0 or a negative errno. */
int hh_token_init(struct hh_token *t, struct actor *self, void (*changed)(void *context),
		  void *context) __attribute__((warn_unused_result));

void hh_token_fini(struct hh_token *t);

/* Whether requests may be sent, with t->text if there is one. */
bool hh_token_ready(const struct hh_token *t);

/* Whether there is a reason to expect none soon. */
bool hh_token_hopeless(const struct hh_token *t);

/* The token of that serial was not accepted by HH. */
void hh_token_rejected(struct hh_token *t, uint64_t serial);

/* --- fetching; the caller sends the request in its turn --- */

bool hh_token_wants_fetch(const struct hh_token *t);

/* The form to POST to the token's URL, malloc'ed (seal_free() it); NULL when out of memory. From
 * now on the fetch is under way. */
char *hh_token_form(struct hh_token *t);

/* Where to; buf is used when the setting does not say it whole. */
const char *hh_token_url(char *buf, size_t size);

/* HH's answer. */
void hh_token_fetched(struct hh_token *t, const struct hh_judgement *judgement, const json_t *json);

/* Whether a token that HH gave would be lost by stopping now. */
bool hh_token_busy(const struct hh_token *t);

#endif
