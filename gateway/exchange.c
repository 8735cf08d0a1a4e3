/* exchange.c - a request, step by step, until it has its answer; see exchange.h. */
#include "gateway/exchange.h"

#include <civetweb.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/body.h"
#include "gateway/http_error.h"
#include "gateway/identity.h"
#include "gateway/request.h"
#include "gateway/response.h"
#include "proto/codec.h"

struct exchange {
	const struct exchange_door *door;
	struct mg_connection *conn;
	const struct mg_request_info *info;
	struct bridge_job *job; /* its answer is ours */
	struct route_match match;
	struct identity who;
	bool asks_who; /* the route's flags did, and it is known */
	struct body body;
	int64_t began_ms;
	bool body_read; /* nothing of this request is left on the connection */
	bool broken;	/* and what is left cannot be read */
};

/* --- saying no --- */

/* Always false, so that a step can end with it. */
static bool refuse_field(struct exchange *x, enum msg_error error, const char *field,
			 const char *message)
{
	const struct http_error said = {
		.error = error,
		.field = field,
		.message = message,
		.request_id = x->job->request_id,
	};

	http_error_answer(&said, &x->job->answer);
	return false;
}

static bool refuse(struct exchange *x, enum msg_error error, const char *message)
{
	return refuse_field(x, error, NULL, message);
}

/* --- steps: false when the answer is made --- */

static bool step_framing(struct exchange *x)
{
	if (body_framing_is_clear(x->conn))
		return true;
	x->broken = true;
	return refuse(x, ERR_BAD_REQUEST, "the headers are contradictory or too many");
}

/* A proxy may have looked at the one and we at the other. */
static bool step_single_headers(struct exchange *x)
{
	static const char *const single[] = {"Authorization", "X-Session-Id", "X-Core-Secret",
					     "X-Signature", "Idempotency-Key"};

	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
		int count = 0;

		for (int h = 0; h < x->info->num_headers; h++)
			count += strcasecmp(x->info->http_headers[h].name, single[i]) == 0;
		if (count > 1)
			return refuse_field(x, ERR_BAD_REQUEST, single[i], "is there twice");
	}
	return true;
}

/* Nobody unknown learns which paths there are. */
static bool step_who(struct exchange *x, enum msg_error found)
{
	const struct route *route = x->match.route;
	const char *secret = mg_get_header(x->conn, "X-Core-Secret");

	x->job->trusted = auth_knows_secret(x->door->auth, secret);
	if (x->job->trusted || (found == ERR_NONE && (route->flags & ROUTE_OPEN) != 0))
		return true;
	log_warn("gateway.refused", "from=%s secret=%s request=%s", x->info->remote_addr,
		 secret == NULL ? "missing" : "wrong", x->job->request_id);
	return refuse(x, ERR_UNAUTHORIZED, "X-Core-Secret is missing or wrong");
}

static bool step_where(struct exchange *x, enum msg_error found)
{
	switch (found) {
	case ERR_NONE:
		x->job->route = x->match.route;
		x->job->deadline_ms = x->began_ms + x->match.route->timeout_ms;
		return true;
	case ERR_NOT_FOUND:
		return refuse(x, found, "there is no such path");
	case ERR_METHOD_NOT_ALLOWED:
		return refuse(x, found, "the path exists, not with this verb");
	case ERR_BAD_REQUEST:
		return refuse(x, found, "the path cannot be read");
	default:
		return refuse(x, found, "out of memory");
	}
}

/* civetweb bounds the time for each piece of a body without a length, not for the whole: such
 * bodies are read from those who know the secret, and from nobody else. */
static bool step_body(struct exchange *x)
{
	if (!x->job->trusted)
		return true;
	switch (body_read(x->conn, CODEC_PUBLIC_MAX_BYTES, &x->body)) {
	case 0:
		x->body_read = true;
		return true;
	case -EMSGSIZE:
		return refuse_field(x, ERR_TOO_LARGE, "body", "is larger than 1 MiB");
	case -EPROTO:
		x->broken = true;
		return refuse_field(x, ERR_BAD_REQUEST, "body", "is broken or ended early");
	default:
		return refuse(x, ERR_INTERNAL, "out of memory");
	}
}

static bool step_signature(struct exchange *x)
{
	const char *signature = mg_get_header(x->conn, "X-Signature");

	if (!x->job->trusted) /* an open route: nobody claims to be anybody */
		return true;
	if (auth_signature_fits(x->door->auth, signature, x->body.data, x->body.len))
		return true;
	log_warn("gateway.refused", "from=%s signature=%s request=%s", x->info->remote_addr,
		 signature == NULL ? "missing" : "wrong", x->job->request_id);
	return refuse(x, ERR_UNAUTHORIZED,
		      signature == NULL ? "X-Signature is missing"
					: "X-Signature does not fit the body");
}

/* Who acts, by the headers. Somebody who is about to log in may well come with what is void:
 * at an open door that counts as nothing. */
static int read_identity(struct exchange *x, bool open)
{
	struct identity_headers headers = {
		.authorization = mg_get_header(x->conn, "Authorization"),
		.session_id = mg_get_header(x->conn, "X-Session-Id"),
	};
	const struct session_key *key = &x->door->auth->sessions;
	int rc = identity_of(key, &headers, x->job->trusted, clock_wall_ms(), &x->who);

	if (!open || (rc != -EKEYEXPIRED && rc != -EKEYREJECTED && rc != -EINVAL))
		return rc;
	headers.authorization = NULL;
	rc = identity_of(key, &headers, x->job->trusted, clock_wall_ms(), &x->who);
	return rc == -EINVAL ? 0 : rc;
}

/* For whom? */
static bool step_identity(struct exchange *x)
{
	const unsigned flags = x->job->route->flags;

	if ((flags & ROUTE_ISSUES) != 0 && !x->door->auth->sessions.set)
		return refuse(x, ERR_INTERNAL, "SECRET_KEY_BASE is not set: nobody can log in");
	if ((flags & (ROUTE_ACTS | ROUTE_NAMES)) == 0)
		return true;
	switch (read_identity(x, (flags & ROUTE_OPEN) != 0)) {
	case 0:
		break;
	case -EKEYEXPIRED:
		return refuse(x, ERR_UNAUTHORIZED, "the session has expired: log in again");
	case -EKEYREJECTED:
		return refuse(x, ERR_UNAUTHORIZED, "the session is not known: log in again");
	case -EINVAL:
		return refuse(x, ERR_UNAUTHORIZED,
			      "Authorization is no Bearer token of up to 4096 characters, or "
			      "X-Session-Id no UUID");
	default:
		return refuse(x, ERR_INTERNAL, "out of memory");
	}
	x->asks_who = true;
	if ((flags & ROUTE_NEEDS_ACCOUNT) != 0 && x->who.user_id[0] == '\0' &&
	    x->who.access_token == NULL)
		return refuse(x, ERR_UNAUTHORIZED,
			      "whose account? Authorization or X-Session-Id has to say");
	return true;
}

static bool step_request(struct exchange *x)
{
	struct bridge_job *job = x->job;
	const bool wants_body = (job->route->flags & ROUTE_BODY) != 0;
	const struct request_parts parts = {
		.flags = job->route->flags,
		.who = x->asks_who ? &x->who : NULL,
		.trusted = job->trusted,
		.hurry = (job->route->flags & ROUTE_WAITS) != 0 &&
			 bridge_is_crowded(x->door->bridge),
		.idempotency_key = mg_get_header(x->conn, "Idempotency-Key"),
		.path_params = x->match.params,
		.path_param_count = x->match.param_count,
		.query = x->info->query_string,
		.body = !wants_body	       ? NULL
			: x->body.data == NULL ? ""
					       : x->body.data,
		.body_len = x->body.len,
	};
	struct codec_problem problem;
	int rc = request_assemble(message_by_id(job->route->message)->request, &parts, &job->arena,
				  &job->request, &problem);

	body_fini(&x->body); /* decoded: need not wait with us */
	if (rc == 0)
		return true;
	if (rc == -EINVAL)
		return refuse_field(x, ERR_BAD_REQUEST, problem.field, problem.message);
	if (rc == -EACCES)
		return refuse_field(x, ERR_UNAUTHORIZED, "user_id",
				    "is missing, and Authorization names no user of ours");
	return refuse(x, ERR_TOO_LARGE, "the request takes too much memory");
}

/* --- the whole --- */

/* As civetweb decides it, so that the header Connection tells the truth. */
static bool client_keeps_alive(const struct exchange *x)
{
	const char *connection = mg_get_header(x->conn, "Connection");

	if (connection == NULL)
		return strcmp(x->info->http_version, "1.1") == 0;
	return strcasecmp(connection, "keep-alive") == 0;
}

static void run_steps(struct exchange *x)
{
	enum msg_error found;

	if (!step_framing(x) || !step_single_headers(x))
		return;
	found = route_find(x->info->request_method, x->info->local_uri_raw, &x->job->arena,
			   &x->match);
	x->job->sessions = &x->door->auth->sessions;
	if (step_who(x, found) && step_where(x, found) && step_body(x) && step_signature(x) &&
	    step_identity(x) && step_request(x))
		bridge_run(x->job);
}

static void log_exchange(const struct exchange *x)
{
	const int status = x->job->answer.status;

	log_line(status >= 500 ? LEVEL_WARN : LEVEL_DEBUG, "gateway.request",
		 "method=%s path=%s status=%d ms=%lld request=%s", x->info->request_method,
		 x->match.route == NULL ? "-" : x->match.route->path, status,
		 (long long)(clock_mono_ms() - x->began_ms), x->job->request_id);
}

/* A client that is still sending reads its answer only after that. One that waits to be asked, or
 * whose body never ends, is not listened to. */
static bool worth_discarding(const struct exchange *x)
{
	return !x->broken && mg_get_header(x->conn, "Expect") == NULL &&
	       (x->job->trusted || x->info->content_length > 0);
}

static bool has_body(const struct exchange *x)
{
	return x->info->content_length > 0 || mg_get_header(x->conn, "Transfer-Encoding") != NULL;
}

static void finish(struct exchange *x)
{
	const bool unread = has_body(x) && !x->body_read;
	const struct response response = {
		.answer = &x->job->answer,
		.request_id = x->job->request_id,
		.allow = x->match.allow[0] == '\0' || !x->job->trusted ? NULL : x->match.allow,
		.keep_alive = !x->broken && !unread && client_keeps_alive(x) &&
			      server_may_keep_alive(x->door->server),
		.head_only = strcmp(x->info->request_method, "HEAD") == 0,
	};

	log_exchange(x);
	if (!response.keep_alive)
		mg_disable_connection_keep_alive(x->conn);
	response_write(x->conn, &response);
	if (unread && worth_discarding(x))
		body_discard(x->conn);
}

void exchange_handle(const struct exchange_door *door, struct mg_connection *conn)
{
	static const struct answer nothing;
	static const struct response no_memory = {.answer = &nothing, .request_id = "-"};
	struct exchange x = {
		.door = door,
		.conn = conn,
		.info = mg_get_request_info(conn),
		.job = bridge_job_new(door->bridge),
		.began_ms = clock_mono_ms(),
	};

	if (x.job == NULL) {
		mg_disable_connection_keep_alive(conn);
		response_write(conn, &no_memory);
		return;
	}
	(void)request_id_of(mg_get_header(conn, "X-Request-ID"), x.job->request_id);
	run_steps(&x);
	finish(&x);
	body_fini(&x.body);
	bridge_job_release(&x.job);
}
