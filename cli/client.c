/* client.c - a DEALER, one question and its answer; see client.h. */
#include "cli/client.h"

#include <czmq.h>
#include <inttypes.h>

#include "base/settings.h"
#include "proto/codec.h"

/* An answer may take as long as the catalogue says, and a little for the way; a server that takes
 * no connection for so long is not there. */
#define WAY_MS 2000

static int pack_request(const struct message *m, const json_t *request, void **bytes, size_t *len)
{
	struct codec_problem problem = {0};
	json_t *nothing = NULL;
	struct arena arena;
	void *value;
	int rc = -ENOMEM;

	arena_init(&arena, CODEC_PUBLIC_MAX_BYTES * 8);
	value = arena_alloc(&arena, m->request->size);
	if (request == NULL)
		request = nothing = json_object();
	if (value != NULL && request != NULL)
		rc = codec_from_json(m->request, request, &arena, value, &problem);
	if (rc == 0)
		rc = codec_pack(m->request, value, bytes, len, &problem);
	if (rc == -EINVAL)
		(void)fprintf(stderr, "%s: %s%s%s\n", m->method, problem.field,
			      problem.field[0] == '\0' ? "" : " ", problem.message);
	json_decref(nothing);
	arena_fini(&arena);
	return rc;
}

static int unpack_answer(const struct record *record, zframe_t *body, json_t **answer)
{
	struct arena arena;
	void *value;
	int rc = -ENOMEM;

	arena_init(&arena, CODEC_MESSAGE_MAX_BYTES * 4);
	value = arena_alloc(&arena, record->size);
	if (value != NULL)
		rc = codec_unpack(record, zframe_data(body), zframe_size(body), &arena, value,
				  NULL);
	if (rc == 0) {
		*answer = codec_to_json(record, value, NULL);
		rc = *answer == NULL ? -EPROTO : 0;
	}
	arena_fini(&arena);
	return rc;
}

static int send_call(zsock_t *dealer, const struct message *m, const void *bytes, size_t len)
{
	const struct envelope envelope = {
		.v = 1,
		.kind = "call",
		.ref = 1,
		.method = m->method,
		.from = "cli",
		.ttl_ms = OPT_INT_OF(m->timeout_ms),
	};
	void *head;
	size_t head_len;
	zmsg_t *msg = zmsg_new();
	int rc = codec_pack(RECORD_OF(envelope), &envelope, &head, &head_len, NULL);

	if (rc < 0) {
		zmsg_destroy(&msg);
		return rc;
	}
	if (zmsg_addmem(msg, head, head_len) < 0 || zmsg_addmem(msg, bytes, len) < 0)
		rc = -ENOMEM;
	else if (zmsg_send(&msg, dealer) < 0)
		rc = -errno;
	zmsg_destroy(&msg);
	free(head);
	return rc;
}

static int receive_answer(zsock_t *dealer, const struct message *m, json_t **answer)
{
	zmsg_t *msg = zmsg_recv(dealer);
	struct envelope envelope;
	struct arena arena;
	zframe_t *head;
	zframe_t *body;
	int rc;

	if (msg == NULL)
		return -ETIMEDOUT;
	arena_init(&arena, 8192);
	head = zmsg_first(msg);
	body = zmsg_next(msg);
	rc = body == NULL ? -EPROTO
			  : codec_unpack(RECORD_OF(envelope), zframe_data(head), zframe_size(head),
					 &arena, &envelope, NULL);
	if (rc == 0) {
		bool reply = strcmp(envelope.kind, "reply") == 0;

		rc = unpack_answer(reply ? m->reply : RECORD_OF(failure), body, answer);
		if (rc == 0 && !reply)
			rc = 1;
	}
	arena_fini(&arena);
	zmsg_destroy(&msg);
	return rc;
}

/* ZMQ_PORT; or, when the system chose one (0), what the server wrote into RUN_DIR. */
static int server_port(int64_t *port)
{
	char path[4096];
	char line[16];
	FILE *file;
	int rc = -ENOENT;

	*port = setting_int(ZMQ_PORT);
	if (*port != 0)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/zmq_port", setting_text(RUN_DIR));
	file = fopen(path, "re");
	if (file == NULL)
		return -errno;
	if (fgets(line, sizeof(line), file) != NULL)
		*port = strtoll(line, NULL, 10);
	if (*port > 0)
		rc = 0;
	(void)fclose(file);
	return rc;
}

static int client_connect(zsock_t *dealer, const struct message *m)
{
	int64_t port;
	int rc = server_port(&port);

	if (rc < 0)
		return rc;
	zsock_set_linger(dealer, 0);
	zsock_set_immediate(dealer, 1); /* who is not there is missed by the send, at once */
	zsock_set_sndtimeo(dealer, WAY_MS);
	zsock_set_rcvtimeo(dealer, (int)m->timeout_ms + WAY_MS);
	zsock_set_maxmsgsize(dealer, (int)CODEC_MESSAGE_MAX_BYTES);
	return zsock_connect(dealer, "tcp://127.0.0.1:%" PRId64, port) < 0 ? -errno : 0;
}

int client_call(const struct message *m, const json_t *request, json_t **answer)
{
	zsock_t *dealer = NULL;
	void *bytes = NULL;
	size_t len;
	int rc = pack_request(m, request, &bytes, &len);

	if (rc < 0)
		return rc;
	dealer = zsock_new(ZMQ_DEALER);
	rc = dealer == NULL ? -ENOMEM : client_connect(dealer, m);
	if (rc == 0)
		rc = send_call(dealer, m, bytes, len);
	if (rc == 0)
		rc = receive_answer(dealer, m, answer);
	zsock_destroy(&dealer);
	free(bytes);
	return rc;
}
