/* response.c - status line, headers and body; see response.h. */
#include "gateway/response.h"

#include <civetweb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_SIZE 1024

/* Said when there was no memory to say it better. */
static const char no_memory[] =
	"{\"success\":false,\"error\":\"internal\",\"message\":\"out of memory\"}";

static size_t write_head(struct mg_connection *conn, const struct response *r, int status,
			 size_t len, char head[HEAD_SIZE])
{
	char retry_after[48] = "";
	char allow[128] = "";
	char connection[64] = "close";
	int n;

	if (r->answer->retry_after_s > 0)
		(void)snprintf(retry_after, sizeof(retry_after), "Retry-After: %lld\r\n",
			       (long long)r->answer->retry_after_s);
	if (r->allow != NULL)
		(void)snprintf(allow, sizeof(allow), "Allow: %s\r\n", r->allow);
	if (r->keep_alive)
		(void)snprintf(connection, sizeof(connection),
			       "keep-alive\r\nKeep-Alive: timeout=%d",
			       RESPONSE_KEEP_ALIVE_MS / 1000);
	n = snprintf(head, HEAD_SIZE,
		     "HTTP/1.1 %d %s\r\n"
		     "Content-Type: application/json; charset=utf-8\r\n"
		     "Content-Length: %zu\r\n"
		     "Connection: %s\r\n"
		     "Cache-Control: no-store\r\n"
		     "X-Content-Type-Options: nosniff\r\n"
		     "X-Request-ID: %s\r\n"
		     "%s%s\r\n",
		     status, mg_get_response_code_text(conn, status), len, connection,
		     r->request_id, retry_after, allow);
	return n < 0 || n >= HEAD_SIZE ? 0 : (size_t)n;
}

void response_write(struct mg_connection *conn, const struct response *r)
{
	const bool has_body = r->answer->body != NULL;
	const char *body = has_body ? r->answer->body : no_memory;
	const size_t len = has_body ? r->answer->len : sizeof(no_memory) - 1;
	const int status = has_body ? r->answer->status : 500;
	char head[HEAD_SIZE];
	size_t head_len = write_head(conn, r, status, len, head);
	char *whole;

	if (r->head_only) {
		(void)mg_write(conn, head, head_len);
		return;
	}
	whole = malloc(head_len + len);
	if (whole == NULL) {
		(void)mg_write(conn, head, head_len);
		(void)mg_write(conn, body, len);
		return;
	}
	memcpy(whole, head, head_len);
	memcpy(whole + head_len, body, len);
	(void)mg_write(conn, whole, head_len + len);
	free(whole);
}
