/* ws_queue.c - the frames that a connection has to write: a ring, written many at a time.
 *
 * The first frame may have been written in part; nothing can come before its rest, and it can't be
 * dropped any more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "actors/broadcaster/ws_internal.h"

#define FRAMES_PER_CALL 64
#define BYTES_PER_TURN	((size_t)1024 * 1024) /* then the other connections have their turn */

static struct ws_out *at(struct ws_conn *conn, size_t i)
{
	return &conn->queue[(conn->first + i) & (conn->room - 1)];
}

static int grow(struct ws_conn *conn)
{
	size_t room = conn->room == 0 ? 4 : conn->room * 2; /* a power of two */
	struct ws_out *queue = calloc(room, sizeof(*queue));

	if (queue == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < conn->count; i++)
		queue[i] = *at(conn, i);
	free(conn->queue);
	conn->queue = queue;
	conn->room = room;
	conn->first = 0;
	return 0;
}

static void counted(struct ws_conn *conn, const struct ws_out *out)
{
	if (out->tag == NULL) {
		conn->answers_bytes += out->frame->len;
	} else {
		conn->events_bytes += out->frame->len;
		conn->events_count++;
	}
}

static void forget(struct ws_conn *conn, struct ws_out *out)
{
	if (out->tag == NULL) {
		conn->answers_bytes -= out->frame->len;
	} else {
		conn->events_bytes -= out->frame->len;
		conn->events_count--;
	}
	ws_frame_unref(&out->frame);
}

/* Takes a reference. urgent: before all of which nothing was written yet. */
int ws_queue_push(struct ws_conn *conn, struct ws_frame *frame, const void *tag, bool urgent)
{
	size_t place = conn->count;

	if (conn->count == conn->room && grow(conn) < 0)
		return -ENOMEM;
	if (conn->count++ == 0) /* from now on it has something to take */
		conn->progress_ms = (int64_t)uv_now(conn->server->config.loop);
	if (urgent) {
		conn->first = (conn->first + conn->room - 1) & (conn->room - 1);
		place = 0;
		if (conn->written > 0) {
			*at(conn, 0) = *at(conn, 1);
			place = 1;
		}
	}
	*at(conn, place) = (struct ws_out){.frame = ws_frame_ref(frame), .tag = tag};
	counted(conn, at(conn, place));
	return 0;
}

/* Drops the untouched frames with that tag, or all that have a tag. */
void ws_queue_drop(struct ws_conn *conn, const void *tag, bool all_events)
{
	size_t kept = 0;

	for (size_t i = 0; i < conn->count; i++) {
		struct ws_out *out = at(conn, i);
		bool touched = i == 0 && conn->written > 0;

		if (!touched && out->tag != NULL && (all_events || out->tag == tag))
			forget(conn, out);
		else
			*at(conn, kept++) = *out;
	}
	conn->count = kept;
}

void ws_queue_clear(struct ws_conn *conn)
{
	for (size_t i = 0; i < conn->count; i++)
		forget(conn, at(conn, i));
	conn->count = 0;
	free(conn->queue);
	conn->queue = NULL;
	conn->room = 0;
}

static void consume(struct ws_conn *conn, size_t n)
{
	while (n > 0) {
		struct ws_out *out = at(conn, 0);
		size_t rest = out->frame->len - conn->written;

		if (n < rest) {
			conn->written += n;
			return;
		}
		n -= rest;
		forget(conn, out);
		conn->first = (conn->first + 1) & (conn->room - 1);
		conn->count--;
		conn->written = 0;
	}
}

static size_t gather(struct ws_conn *conn, struct iovec iov[FRAMES_PER_CALL])
{
	size_t n = conn->count < FRAMES_PER_CALL ? conn->count : FRAMES_PER_CALL;

	for (size_t i = 0; i < n; i++) {
		struct ws_frame *frame = at(conn, i)->frame;
		size_t skip = i == 0 ? conn->written : 0;

		iov[i].iov_base = frame->bytes + skip;
		iov[i].iov_len = frame->len - skip;
	}
	return n;
}

/* Writes what the socket takes. Returns how many bytes that were, or a negative errno that means
 * the end of the connection. */
int ws_queue_write(struct ws_conn *conn)
{
	size_t total = 0;

	while (conn->count > 0 && total < BYTES_PER_TURN) {
		struct iovec iov[FRAMES_PER_CALL];
		struct msghdr message = {.msg_iov = iov, .msg_iovlen = gather(conn, iov)};
		ssize_t n = sendmsg(conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS))
			break;
		if (n < 0)
			return -errno;
		consume(conn, (size_t)n);
		total += (size_t)n;
	}
	return (int)total;
}
