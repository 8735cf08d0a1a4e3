/* conn.c - a connection: made, lost, and made again; see conn.h.
 *
 *   PAUSING -> RESOLVING -> CONNECTING -> SETTING_UP -> UP
 *      ^           |             |             |         |
 *      +-----------+-------------+-------------+---------+   lost, too late, refused
 *
 * libpq opens and closes sockets as it pleases while it connects, so the descriptor is watched by a
 * handle that is made anew after each step.
 */
#include "actors/store/conn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "actors/store/address.h"
#include "base/log.h"
#include "base/settings.h"

#define CONNECT_MS	5000 /* from the first packet to a session that is set up */
#define PAUSE_FIRST_MS	100
#define PAUSE_MAX_MS	5000
#define REASON_SIZE	512
#define APPLICATION_MAX 64 /* PostgreSQL cuts it there */

/* The server notices a dead peer at about the same time as we do. The time zone is UTC since the
 * columns of the BFF have none. Whoever holds a row for long makes those wait who want it, and for so
 * long only. */
#define SESSION                                                                                    \
	"select set_config('timezone', 'UTC', false),"                                             \
	" set_config('statement_timeout', '30s', false),"                                          \
	" set_config('lock_timeout', '5s', false),"                                                \
	" set_config('idle_in_transaction_session_timeout', '30s', false),"                        \
	" set_config('client_connection_check_interval', '2s', false);"

enum conn_state { PAUSING, RESOLVING, CONNECTING, SETTING_UP, UP };

struct conn {
	struct actor *self;
	const char *purpose;
	const char *setup;
	const struct conn_events *events;
	void *owner;
	enum conn_state state;
	PGconn *pg;
	uv_poll_t *poll; /* NULL: nothing is watched */
	int watched;	 /* the events that poll waits for */
	struct address_lookup *lookup;
	struct actor_timer *timer; /* the pause's end, or the limit of a try */
	unsigned failures;	   /* tries in a row that failed */
};

static void start(struct conn *conn);

/* --- the descriptor --- */

static void on_event(uv_poll_t *poll, int status, int events);

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

static void unwatch(struct conn *conn)
{
	if (conn->poll == NULL)
		return;
	(void)uv_poll_stop(conn->poll); /* while the descriptor is still the one it was */
	uv_close((uv_handle_t *)conn->poll, on_poll_closed);
	conn->poll = NULL;
	conn->watched = 0;
}

/* Waits for events of libpq's present socket. */
static int watch(struct conn *conn, int events)
{
	if (conn->poll == NULL) {
		uv_poll_t *poll = calloc(1, sizeof(*poll));

		if (poll == NULL ||
		    uv_poll_init(actor_loop(conn->self), poll, PQsocket(conn->pg)) < 0) {
			free(poll);
			return -ENOMEM;
		}
		poll->data = conn;
		conn->poll = poll;
	}
	if (conn->watched == events)
		return 0;
	conn->watched = events;
	return uv_poll_start(conn->poll, events, on_event);
}

/* --- lost, and the pause after it --- */

static void on_pause_end(struct actor *self, void *context)
{
	struct conn *conn = context;

	(void)self;
	conn->timer = NULL;
	start(conn);
}

static int64_t pause_ms(const struct conn *conn)
{
	int64_t most = PAUSE_MAX_MS;

	if (conn->failures < 6)
		most = PAUSE_FIRST_MS << conn->failures;
	return most / 2 + random() % (most / 2 + 1);
}

static void pause_before_next(struct conn *conn)
{
	conn->state = PAUSING;
	actor_timer_stop(&conn->timer);
	conn->timer = actor_timer_start(conn->self, pause_ms(conn), 0, on_pause_end, conn);
	if (conn->timer == NULL)
		fatal("db.no_memory", "a timer");
}

static void close_session(struct conn *conn)
{
	unwatch(conn);
	address_cancel(&conn->lookup);
	PQfinish(conn->pg);
	conn->pg = NULL;
}

/* libpq ends its lines, and has several of them when it tried several addresses. */
static void one_line(char *text)
{
	size_t len = strlen(text);

	while (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	for (; *text != '\0'; text++)
		if (*text == '\n' || *text == '\t')
			*text = ' ';
}

void conn_drop(struct conn *conn, const char *why)
{
	bool was_up = conn->state == UP;
	char reason[REASON_SIZE];

	(void)snprintf(reason, sizeof(reason), "%s", why); /* why may be libpq's and end with it */
	one_line(reason);
	close_session(conn);
	if (was_up || conn->failures == 0)
		log_warn(was_up ? "db.lost" : "db.no_connection", "for=%s why=\"%s\"",
			 conn->purpose, reason);
	pause_before_next(conn);
	if (!was_up)
		conn->failures++;
	conn->events->lost(conn, conn->owner, reason);
}

void conn_try_now(struct conn *conn)
{
	if (conn->state != PAUSING)
		return;
	actor_timer_stop(&conn->timer);
	start(conn);
}

/* --- connecting --- */

static void on_connect_late(struct actor *self, void *context)
{
	struct conn *conn = context;

	(void)self;
	conn->timer = NULL;
	conn_drop(conn, "no connection within 5 s");
}

static void ignore_notice(void *unused, const char *message)
{
	(void)unused; /* the server's notices are for people at a terminal */
	(void)message;
}

static void set_up(struct conn *conn)
{
	char sql[1024];

	conn->state = SETTING_UP;
	(void)snprintf(sql, sizeof(sql), "%s%s", SESSION, conn->setup);
	if (PQsetnonblocking(conn->pg, 1) < 0 || PQsendQuery(conn->pg, sql) == 0) {
		conn_drop(conn, PQerrorMessage(conn->pg));
		return;
	}
	conn_flush(conn);
}

static void connect_step(struct conn *conn)
{
	PostgresPollingStatusType step;

	unwatch(conn);
	step = PQconnectPoll(conn->pg);
	if (step == PGRES_POLLING_FAILED) {
		conn_drop(conn, PQerrorMessage(conn->pg));
	} else if (step == PGRES_POLLING_OK) {
		if (watch(conn, UV_READABLE) < 0)
			conn_drop(conn, "its socket cannot be watched");
		else
			set_up(conn);
	} else if (watch(conn, step == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE) < 0) {
		conn_drop(conn, "its socket cannot be watched");
	}
}

/* libpq's parameters: before DATABASE_URL what it may override, after it what it may not. */
static PGconn *connect_start(const struct conn *conn, const struct address *address)
{
	char application[APPLICATION_MAX];
	char node[SETTING_NODE_NAME_SIZE];
	const char *names[16];
	const char *values[16];
	size_t n = 0;

#define PARAMETER(name, value) (names[n] = (name), values[n++] = (value))
	(void)snprintf(application, sizeof(application), "ugtj %s %.40s", conn->purpose,
		       setting_node_name(node));
	PARAMETER("gssencmode", "disable");
	PARAMETER("target_session_attrs", "read-write"); /* not the standby after a failover */
	PARAMETER("keepalives_idle", "5");
	PARAMETER("keepalives_interval", "2");
	PARAMETER("keepalives_count", "3");
	PARAMETER("tcp_user_timeout", "10000");
	PARAMETER("application_name", application);
	PARAMETER("client_encoding", "UTF8");
	PARAMETER("dbname", setting_text(DATABASE_URL));
	if (address->hostaddr[0] != '\0') {
		PARAMETER("host", address->host);
		PARAMETER("hostaddr", address->hostaddr);
	}
#undef PARAMETER
	names[n] = NULL;
	values[n] = NULL;
	return PQconnectStartParams(names, values, 1);
}

static void on_address(void *context, const struct address *address, const char *why)
{
	struct conn *conn = context;

	conn->lookup = NULL;
	if (address == NULL) {
		conn_drop(conn, why);
		return;
	}
	conn->state = CONNECTING;
	conn->pg = connect_start(conn, address);
	if (conn->pg == NULL) {
		conn_drop(conn, "out of memory");
		return;
	}
	if (PQstatus(conn->pg) == CONNECTION_BAD) {
		conn_drop(conn, PQerrorMessage(conn->pg));
		return;
	}
	(void)PQsetNoticeProcessor(conn->pg, ignore_notice, NULL);
	if (watch(conn, UV_WRITABLE) < 0) /* as if PQconnectPoll() had said so */
		conn_drop(conn, "its socket cannot be watched");
}

static void start(struct conn *conn)
{
	const char *url = setting_text(DATABASE_URL);
	struct address_lookup *lookup = NULL;
	int rc;

	conn->state = RESOLVING;
	conn->timer = actor_timer_start(conn->self, CONNECT_MS, 0, on_connect_late, conn);
	if (conn->timer == NULL)
		fatal("db.no_memory", "a timer");
	rc = url == NULL ? -ENOENT : address_find(conn->self, url, on_address, conn, &lookup);
	if (rc == -ENOENT)
		conn_drop(conn, "DATABASE_URL is not set");
	else if (rc == -EINVAL)
		conn_drop(conn, "DATABASE_URL cannot be understood");
	else if (rc < 0)
		conn_drop(conn, strerror(-rc));
	else if (lookup != NULL)
		conn->lookup = lookup;
}

/* --- a session --- */

static void come_up(struct conn *conn)
{
	actor_timer_stop(&conn->timer);
	conn->state = UP;
	conn->failures = 0;
	log_info("db.connected", "for=%s server=%s", conn->purpose,
		 PQparameterStatus(conn->pg, "server_version"));
	conn->events->up(conn, conn->owner);
}

/* Reads the answers to the set-up; all of them must be good. */
static void read_setup(struct conn *conn)
{
	while (!PQisBusy(conn->pg)) {
		PGresult *result = PQgetResult(conn->pg);
		ExecStatusType status = PQresultStatus(result);

		if (result == NULL) {
			come_up(conn);
			return;
		}
		PQclear(result);
		if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
			conn_drop(conn, PQerrorMessage(conn->pg));
			return;
		}
	}
}

/* What the server said before it closed is worth more than that it closed. */
static void on_broken(struct conn *conn)
{
	char why[REASON_SIZE];

	(void)snprintf(why, sizeof(why), "%s", PQerrorMessage(conn->pg));
	if (conn->state == UP)
		conn->events->input(conn, conn->owner);
	if (conn->pg != NULL) /* the owner did not drop it itself */
		conn_drop(conn, why);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	struct conn *conn = poll->data;

	(void)status; /* whatever is wrong with the socket, libpq finds it out and says it in words
		       */
	(void)events;
	if (conn->state == CONNECTING) {
		connect_step(conn);
		return;
	}
	if (PQconsumeInput(conn->pg) == 0) {
		on_broken(conn);
		return;
	}
	conn_flush(conn);
	if (conn->state == SETTING_UP)
		read_setup(conn);
	else if (conn->state == UP)
		conn->events->input(conn, conn->owner);
}

void conn_flush(struct conn *conn)
{
	int more = PQflush(conn->pg);

	/* Where a write fails libpq reads as well, and may close the socket: nothing would ever be
	 * heard of it again. */
	if (more < 0 || PQstatus(conn->pg) == CONNECTION_BAD) {
		on_broken(conn);
		return;
	}
	if (watch(conn, more == 1 ? UV_READABLE | UV_WRITABLE : UV_READABLE) < 0)
		fatal("db.unwatched", "a socket cannot be watched");
}

PGconn *conn_pg(struct conn *conn)
{
	return conn->state == UP ? conn->pg : NULL;
}

/* --- birth and end --- */

int conn_new(struct actor *self, const char *purpose, const char *setup,
	     const struct conn_events *events, void *owner, struct conn **out)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (conn == NULL)
		return -ENOMEM;
	conn->self = self;
	conn->purpose = purpose;
	conn->setup = setup;
	conn->events = events;
	conn->owner = owner;
	conn->timer = actor_timer_start(self, 0, 0, on_pause_end, conn);
	if (conn->timer == NULL) {
		free(conn);
		return -ENOMEM;
	}
	*out = conn;
	return 0;
}

void conn_free(struct conn **conn)
{
	if (*conn == NULL)
		return;
	close_session(*conn);
	actor_timer_stop(&(*conn)->timer);
	free(*conn);
	*conn = NULL;
}
