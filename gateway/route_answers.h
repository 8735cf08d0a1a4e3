/* route_answers.h - what the routes make of a message's outcome: the functions of the table's last
 * columns. The forms are those that the BFF reads. */
#ifndef GATEWAY_ROUTE_ANSWERS_H
#define GATEWAY_ROUTE_ANSWERS_H

#include "gateway/routes.h"

/* The reply as it is. */
route_answer_fn answer_bare;

/* {"success":true, and the reply's fields. */
route_answer_fn answer_success;

/* {"success":true,"schedule":the reply}, and so on. */
route_answer_fn answer_schedule;
route_answer_fn answer_application;

/* How the server is. */
route_answer_fn answer_health;

/* A login at HH came to its end: with a session its token, without one the tokens of HH. A code
 * that HH does not take is a 401. */
route_answer_fn answer_connected;

/* A pair of HH's tokens was refreshed. A pair that HH does not take is the caller's mistake: 400.
 */
route_answer_fn answer_refreshed;

/* An application: 200 when it was sent, 202 while it is under way, else why not. */
route_answer_fn answer_submitted;

/* A workflow was started: as answer_success(), and estimatedCompletion. */
route_answer_fn answer_started;

#endif
