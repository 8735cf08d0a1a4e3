/* hh_account.h - the accounts of users at HH: their tokens, logins, and the keys that seal them.
 *
 *   hh_account.c        whether an account works, keeping one
 *   hh_lookup.c         tokens: found, refreshed, given; the users' hh_user_tokens
 *   hh_login.c          login pages, codes and refresh tokens that callers bring
 *   hh_key_rotation.c   sealing everything anew with another key
 *
 * HH's rules: a refresh token works once, and only after the access token has expired, and a pair
 * that is lost takes the person. So the database says whose turn it is to refresh a pair, for all
 * processes and nodes; a new pair is committed before it is used; and a refresh whose outcome was
 * lost with a process is asked for again: HH says "already refreshed" then, and the person is told
 * once to log in. Tokens lie sealed in the store, and are wiped here after use.
 */
#ifndef HH_CLIENT_HH_ACCOUNT_H
#define HH_CLIENT_HH_ACCOUNT_H

#include "actors/hh_client/hh_personal.h"
#include "base/seal.h"

struct lookup;
struct login;
struct rotation;

struct hh_accounts {
	struct hh_traffic *traffic;
	struct actor *self;
	struct seal_ring keys; /* none: no accounts are kept */
	char node[SETTING_NODE_NAME_SIZE];
	struct hh_user_tokens tokens; /* of these accounts */
	struct lookup *lookups;
	struct login *logins;
	struct rotation *rotation;
};

/* Reads the settings, and gives the traffic the users' tokens from now
 * on. Returns 0 or a negative errno. */
int hh_accounts_init(struct hh_accounts *accounts, struct hh_traffic *traffic)
	__attribute__((warn_unused_result));

void hh_accounts_fini(struct hh_accounts *accounts);

/* Whether accounts can be kept; else the call is refused. */
bool hh_accounts_ready(const struct hh_accounts *accounts, struct actor_call *call);

/* --- messages --- */

void hh_account_status(struct hh_accounts *accounts, struct actor_call *call,
		       const struct acting *acting);
void hh_account_keep(struct hh_accounts *accounts, struct actor_call *call,
		     const struct acting *acting);
void hh_login_redirect(struct hh_accounts *accounts, struct actor_call *call,
		       const struct account_redirect *wanted);
void hh_login_connect(struct hh_accounts *accounts, struct actor_call *call,
		      const struct account_connect *given);
void hh_login_refresh(struct hh_accounts *accounts, struct actor_call *call,
		      const struct account_refresh *given);
void hh_key_rotation_begin(struct hh_accounts *accounts, struct actor_call *call);

/* --- between the files --- */

/* struct hh_user_tokens' two functions; keeper is the accounts. */
int hh_lookup_ask(void *keeper, const char *user_id, int64_t not_version, hh_user_token_fn *fn,
		  void *context);
void hh_lookup_refused(void *keeper, const char *user_id, int64_t version, bool expired);
void hh_lookups_fini(struct hh_accounts *accounts);
void hh_logins_fini(struct hh_accounts *accounts);
void hh_key_rotation_fini(struct hh_accounts *accounts);

/* A pair, sealed for the store under a user's name. */
struct sealed_pair {
	char *access;
	char *refresh; /* NULL: none */
};

/* Seals a pair; refresh "" is none. Returns 0 or -ENOMEM. */
int sealed_pair_make(const struct hh_accounts *accounts, const char *user_id, const char *access,
		     const char *refresh, struct sealed_pair *out)
	__attribute__((warn_unused_result));
void sealed_pair_free(struct sealed_pair *pair);

/* The names under which a user's two are sealed; buf of HH_SEALED_NAME_SIZE. */
#define HH_SEALED_NAME_SIZE 160
const char *hh_sealed_name(char *buf, const char *kind, const char *id);

/* HH's own words, or ours, for what it did not do: their first 200 characters, in words. */
#define HH_TOKEN_WORDS_CHARS 200
#define HH_TOKEN_WORDS_SIZE  (4 * HH_TOKEN_WORDS_CHARS + 1)
void hh_token_words(char words[HH_TOKEN_WORDS_SIZE], const struct hh_judgement *judgement,
		    const json_t *json);

/* How long HH says that a new access token lives, in seconds, at most 100 years. Not set: it does not say, which
 * it need not (RFC 6749, 5.1). */
struct opt_int hh_expires_in_s(const json_t *json);

/* Whether HH gave a pair, and one that the store takes: what does not fit would be saved for ever. */
bool hh_token_given(const struct hh_judgement *judgement, const json_t *json);

/* HH will never take this code or refresh token. */
bool hh_token_dead(const struct hh_judgement *judgement, const json_t *json);

#endif
