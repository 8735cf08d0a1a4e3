/* http_error.h - the one form in which the HTTP door says no:
 *
 *     {"success":false,"error":"bad_request","message":"...","field":"user_id","details":...,
 *      "request_id":"..."}
 *
 * error is a code of errors.def, field and details are left out where there are none. A refusal,
 * which a person is told, has message_ru as well, and details.description, which is what the BFF
 * shows. 503 and 429 have the header Retry-After.
 */
#ifndef GATEWAY_HTTP_ERROR_H
#define GATEWAY_HTTP_ERROR_H

#include <stdint.h>

#include "gateway/answer.h"
#include "proto/catalogue.h"

struct http_error {
	enum msg_error error;
	int status;		/* 0: the error's own */
	const char *message;	/* NULL: the error's own, or its code */
	const char *field;	/* NULL or "": none */
	const char *details;	/* JSON text; NULL: none */
	int64_t retry_after_ms; /* 0: not known */
	const char *request_id;
};

/* Makes answer say it. */
void http_error_answer(const struct http_error *error, struct answer *answer);

/* Makes answer say what an actor said. failure may be NULL. */
void http_error_of_failure(enum msg_error error, const struct failure *failure,
			   const char *request_id, struct answer *answer);

#endif
