/* answer.c - see answer.h. The texts are joined as they are: they come from the codec, and parsing
 * a page of vacancies only to put a word before it would cost more than all the rest. */
#include "gateway/answer.h"

#include <stdlib.h>
#include <string.h>

void answer_set(struct answer *answer, int status, char *body)
{
	free(answer->body);
	answer->status = status;
	answer->body = body;
	answer->len = body == NULL ? 0 : strlen(body);
}

void answer_set_joined(struct answer *answer, int status, const char *head, const char *text,
		       const char *tail)
{
	const size_t head_len = strlen(head);
	const size_t text_len = strlen(text);
	const size_t tail_size = strlen(tail) + 1;
	char *body = malloc(head_len + text_len + tail_size);

	if (body != NULL) {
		memcpy(body, head, head_len);
		memcpy(body + head_len, text, text_len);
		memcpy(body + head_len + text_len, tail, tail_size);
	}
	answer_set(answer, status, body);
}

void answer_set_merged(struct answer *answer, int status, const char *head, const char *object)
{
	if (strcmp(object, "{}") == 0)
		answer_set_joined(answer, status, head, "", "}");
	else
		answer_set_joined(answer, status, head, ",", object + 1);
}

void answer_fini(struct answer *answer)
{
	free(answer->body);
	*answer = (struct answer){0};
}
