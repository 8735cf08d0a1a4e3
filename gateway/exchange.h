/* exchange.h - one HTTP request and its answer, from the headers on.
 *
 * In this order, so that nobody unknown makes us read, parse or ask anything: where does it go, who
 * asks, what is the body, is it signed, for whom is it, does it fit the catalogue; then the
 * message, over the bridge.
 */
#ifndef GATEWAY_EXCHANGE_H
#define GATEWAY_EXCHANGE_H

#include "gateway/auth.h"
#include "gateway/bridge.h"
#include "gateway/server.h"

struct mg_connection;

struct exchange_door {
	const struct auth *auth;
	struct bridge *bridge;
	const struct server *server;
};

/* Answers the request that civetweb has read the headers of. Called from civetweb's threads. */
void exchange_handle(const struct exchange_door *door, struct mg_connection *conn);

#endif
