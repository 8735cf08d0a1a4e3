/* answer.h - what a request is answered with: status, body and when to try again. */
#ifndef GATEWAY_ANSWER_H
#define GATEWAY_ANSWER_H

#include <stddef.h>
#include <stdint.h>

struct answer {
	int status;	       /* of HTTP */
	int64_t retry_after_s; /* the header Retry-After; 0: none */
	char *body;	       /* JSON from malloc; NULL: memory ran out, and the writer says so */
	size_t len;
};

/* Takes body, a text from malloc or NULL, as the answer. */
void answer_set(struct answer *answer, int status, char *body);

/* The answer is head, then the members of object, a JSON object's text: '{"success":true' and
 * '{"a":1}' make '{"success":true,"a":1}'. */
void answer_set_merged(struct answer *answer, int status, const char *head, const char *object);

/* The answer is head, text, tail. */
void answer_set_joined(struct answer *answer, int status, const char *head, const char *text,
		       const char *tail);

/* Frees the body. An all-zero answer is fine. */
void answer_fini(struct answer *answer);

#endif
