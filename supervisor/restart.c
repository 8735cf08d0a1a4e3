/* restart.c - windows of restarts, and the decision; see restart.h. */
#include "supervisor/restart.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/exit_codes.h"

int restart_window_init(struct restart_window *w, unsigned max, int64_t period_ms)
{
	int64_t *times = calloc(max > 0 ? max : 1, sizeof(*times));

	if (times == NULL)
		return -ENOMEM;
	*w = (struct restart_window){.max = max, .period_ms = period_ms, .times = times};
	return 0;
}

void restart_window_clear(struct restart_window *w)
{
	w->next = 0;
	w->kept = 0;
}

/* The ring holds the last max deaths. When the oldest of them is still within the period, this one
 * is number max + 1. */
bool restart_window_add(struct restart_window *w, int64_t now_ms)
{
	bool within;

	if (w->max == 0)
		return false;
	within = w->kept < w->max || now_ms - w->times[w->next] > w->period_ms;
	w->times[w->next] = now_ms;
	w->next = (w->next + 1) % w->max;
	if (w->kept < w->max)
		w->kept++;
	return within;
}

unsigned restart_window_count(const struct restart_window *w, int64_t now_ms)
{
	unsigned count = 0;

	for (unsigned i = 0; i < w->kept; i++)
		if (now_ms - w->times[i] <= w->period_ms)
			count++;
	return count;
}

void restart_window_fini(struct restart_window *w)
{
	free(w->times);
	w->times = NULL;
}

int64_t restart_backoff_ms(unsigned failed_starts, uint32_t random)
{
	int64_t delay = BACKOFF_FIRST_MS;

	for (unsigned i = 1; i < failed_starts && delay < BACKOFF_MAX_MS; i++)
		delay *= 2;
	if (delay > BACKOFF_MAX_MS)
		delay = BACKOFF_MAX_MS;
	return delay / 2 + (int64_t)(random % (uint64_t)(delay + 1));
}

bool restart_blames_message(enum control_death death, int32_t code, bool outside, int64_t held_ms)
{
	if (death == DEATH_EXIT)
		return code != EXIT_OK && code != EXIT_CONFIG;
	if (death == DEATH_SIGNAL && code != SIGKILL && !outside)
		return true;
	return death != DEATH_REQUESTED && held_ms >= BLAME_HELD_MS;
}

static bool wants_restart(enum restart_type type, enum restart_event event)
{
	switch (type) {
	case RESTART_PERMANENT:
		return true;
	case RESTART_TRANSIENT:
		return event != ENDED_NORMALLY;
	case RESTART_TEMPORARY:
		break;
	}
	return false;
}

/* Never served: a structural fault, or something outside is missing. Slow down, but go on. */
static struct restart_decision after_failed_start(const struct restart_state *state,
						  uint32_t random)
{
	unsigned failed = state->failed_starts + 1;
	struct restart_decision d = {
		.action = DO_RETRY, .attempt = failed, .limit = state->max_failed_starts};

	if (state->max_failed_starts > 0 && failed >= state->max_failed_starts)
		d.action = DO_QUARANTINE;
	else
		d.delay_ms = restart_backoff_ms(failed, random);
	return d;
}

/* Served, and died: replaced at once, as long as it does not happen all the time. */
static struct restart_decision after_death(const struct restart_state *state,
					   struct restart_window *window, int64_t now_ms)
{
	bool within = restart_window_add(window, now_ms);
	struct restart_decision d = {.action = DO_RESTART,
				     .attempt = restart_window_count(window, now_ms),
				     .limit = window->max};

	if (!within)
		d.action = state->dynamic ? DO_QUARANTINE : DO_ESCALATE;
	return d;
}

struct restart_decision restart_decide(const struct restart_state *state, enum restart_event event,
				       struct restart_window *window, int64_t now_ms,
				       uint32_t random)
{
	if (event == ENDED_CONFIG)
		return (struct restart_decision){.action = DO_REFUSE};
	if (!wants_restart(state->type, event))
		return (struct restart_decision){.action = DO_NOTHING};
	if (!state->was_up)
		return after_failed_start(state, random);
	return after_death(state, window, now_ms);
}
