/* timer.c - timers on the monotonic clock, each a libuv handle that frees itself. */
#include <stdlib.h>

#include "actors/runtime/internal.h"

struct actor_timer {
	uv_timer_t handle;
	struct actor *self;
	actor_timer_fn *fn;
	void *context;
	bool repeats;
	struct control_message origin; /* what was in hand when it was started; not if it repeats */
};

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_timeout(uv_timer_t *handle)
{
	struct actor_timer *timer = handle->data;

	/* Closed first: fn may start and stop other timers, but must not stop this one. */
	if (!timer->repeats)
		uv_close((uv_handle_t *)handle, on_closed);
	note_begin("timer", &timer->origin);
	timer->fn(timer->self, timer->context);
	note_end();
}

struct actor_timer *actor_timer_start(struct actor *self, int64_t delay_ms, int64_t repeat_ms,
				      actor_timer_fn *fn, void *context)
{
	struct actor_timer *timer = calloc(1, sizeof(*timer));

	if (timer == NULL)
		return NULL;
	timer->self = self;
	timer->fn = fn;
	timer->context = context;
	timer->repeats = repeat_ms > 0;
	if (!timer->repeats)
		timer->origin = *note_in_hand();
	(void)uv_timer_init(&self->loop, &timer->handle); /* cannot fail, nor can the start */
	timer->handle.data = timer;
	uv_update_time(&self->loop);
	(void)uv_timer_start(&timer->handle, on_timeout, delay_ms < 0 ? 0 : (uint64_t)delay_ms,
			     repeat_ms < 0 ? 0 : (uint64_t)repeat_ms);
	return timer;
}

void actor_timer_stop(struct actor_timer **timer)
{
	if (*timer == NULL)
		return;
	uv_close((uv_handle_t *)&(*timer)->handle, on_closed);
	*timer = NULL;
}

/* At the actor's end: whatever timer is still running is closed and freed. */
void timer_close_handle(uv_handle_t *handle)
{
	uv_close(handle, on_closed);
}

bool timer_owns_handle(const uv_handle_t *handle)
{
	return handle->type == UV_TIMER && ((const uv_timer_t *)handle)->timer_cb == on_timeout;
}
