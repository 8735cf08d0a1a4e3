/* identity.c - Authorization and X-Session-Id; see identity.h. */
#include "gateway/identity.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* What follows "Bearer " in the header, NULL when it is another scheme or empty. */
static const char *bearer_token(const char *authorization)
{
	static const char scheme[] = "Bearer ";
	const char *token;

	if (strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
		return NULL;
	token = authorization + sizeof(scheme) - 1;
	token += strspn(token, " ");
	return *token == '\0' || strpbrk(token, " \t,") != NULL ? NULL : token;
}

static int identity_of_bearer(const struct session_key *key, const char *authorization,
			      int64_t now_ms, struct identity *out)
{
	const char *token = bearer_token(authorization);
	int rc;

	if (token == NULL)
		return -EINVAL;
	rc = session_token_read(key, token, now_ms, out->user_id);
	if (rc != -EBADMSG)
		return rc;
	if (strlen(token) > ACCESS_TOKEN_MAX_CHARS)
		return -EINVAL;
	out->access_token = token;
	return 0;
}

int identity_of(const struct session_key *key, const struct identity_headers *headers, bool trusted,
		int64_t now_ms, struct identity *out)
{
	const char *session_id = headers->session_id;

	*out = (struct identity){0};
	if (headers->authorization != NULL)
		return identity_of_bearer(key, headers->authorization, now_ms, out);
	if (session_id == NULL || !trusted)
		return 0;
	return uuid_canonical(session_id, strlen(session_id), out->user_id);
}
