/* server.h - civetweb: started, counted, and stopped without losing anybody who was let in.
 *
 * civetweb gives a connection a thread for as long as it lasts, so there are more threads than
 * requests that may wait at once, and not all connections are kept alive: somebody new always finds
 * a thread. Functions marked [loop] are called from the actor's thread.
 */
#ifndef GATEWAY_SERVER_H
#define GATEWAY_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct mg_connection;
struct mg_context;

/* Answers one request, in one of civetweb's threads. */
typedef void server_handle_fn(struct mg_connection *conn, void *context);

struct server {
	server_handle_fn *handle;
	void *context;
	struct mg_context *civetweb; /* NULL: not started */
	bool library;		     /* civetweb's, is initialised */
	int port;		     /* the one it listens on */
	int listener;		     /* the descriptor, borrowed from civetweb; -1: unknown */
	size_t threads;
	size_t keep_max; /* with more connections than this, none is kept alive */
	atomic_size_t open;
	atomic_size_t fresh; /* of these, those without a request yet */
	atomic_size_t busy;  /* requests that are being answered */
	atomic_bool draining;
};

#define SERVER_PROBLEM_SIZE 256

/* [loop] Listens on address:port (0: one that is free) and answers up to requests_max requests at
 * once, and a few more that do not wait. Returns 0, or a negative errno (problem says why). */
int server_start(struct server *server, const char *address, int port, size_t requests_max,
		 char problem[SERVER_PROBLEM_SIZE]) __attribute__((warn_unused_result));

/* Whether a connection may stay open after an answer. Called from any thread. */
bool server_may_keep_alive(const struct server *server);

/* [loop] No connection is let in any more, and none is kept alive. Those that were let in are
 * served. */
void server_drain(struct server *server);

/* Whether nobody is being served, or about to be. patient: wait for those as well who connected and
 * have sent nothing so far. */
bool server_is_idle(const struct server *server, bool patient);

/* [loop] Ends the connections that nobody uses. Call it when the server is idle, and wait until
 * none is open. */
void server_hang_up(const struct server *server);

/* Ends all threads and closes all connections. Blocks until it is done, so not in the loop's thread
 * while requests wait for it. Not started is fine. */
void server_stop(struct server *server);

#endif
