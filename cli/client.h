/* client.h - one call through the ZeroMQ door of the server on this machine, JSON in and out. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <jansson.h>
#include <stdint.h>

#include "proto/catalogue.h"

/* Sends request, which is borrowed and may be NULL for none, as the catalogue's call m to
 * 127.0.0.1:ZMQ_PORT and waits for the answer. Writes the answer's body to *answer (json_decref()
 * it): a reply, or a `failure` record. Returns 0 for a reply, 1 for a failure, and a negative errno
 * when there was no answer: -EINVAL (request does not fit; the problem is printed), -EAGAIN or
 * -ENOENT (no server), -ETIMEDOUT, -ENOMEM, -EPROTO. With ZMQ_PORT=0 the port is read from RUN_DIR.
 */
int client_call(const struct message *m, const json_t *request, json_t **answer)
	__attribute__((warn_unused_result));

#endif
