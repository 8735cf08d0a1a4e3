/* hh_pace.c - a ring of the last requests, and the window that a 429 widens; see hh_pace.h. */
#include "actors/hh_client/hh_pace.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define SECOND_US  1000000
/* How much later than another one a request may be counted by HH, and still not be too early. */
#define MARGIN_US  100000
#define SLOWED_MAX 3
#define CALM_US	   (10 * (int64_t)SECOND_US)

int hh_pace_init(struct hh_pace *p, double max_rps)
{
	int64_t limit = max_rps < 1 ? 1 : (int64_t)floor(max_rps);

	*p = (struct hh_pace){
		.written_us = calloc((size_t)limit, sizeof(*p->written_us)),
		.limit = limit,
		.window_us = (int64_t)((double)limit / max_rps * SECOND_US) + MARGIN_US,
	};
	/* Half of an even spacing. Timers count whole milliseconds: less than one is none. */
	p->gap_us = p->window_us / (2 * limit) / 1000 * 1000;
	return p->written_us == NULL ? -ENOMEM : 0;
}

void hh_pace_fini(struct hh_pace *p)
{
	free(p->written_us);
	p->written_us = NULL;
}

static int64_t window_us(const struct hh_pace *p)
{
	return p->window_us << p->slowed;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t hh_pace_ready_us(struct hh_pace *p, int64_t now_us)
{
	int64_t ready = later(p->next_us, p->pause_us);

	while (p->count > 0 && p->written_us[p->head] + window_us(p) <= now_us) {
		p->head = (p->head + 1) % p->limit;
		p->count--;
	}
	if (p->undated + p->count < p->limit)
		return ready;
	if (p->count == 0)
		return HH_PACE_NEVER;
	return later(ready, p->written_us[p->head] + window_us(p));
}

void hh_pace_take(struct hh_pace *p, int64_t now_us)
{
	p->undated++;
	p->next_us = now_us + (p->gap_us << p->slowed);
}

void hh_pace_written(struct hh_pace *p, int64_t now_us)
{
	if (p->undated > 0)
		p->undated--;
	if (p->count == p->limit) { /* libcurl wrote it anew on a fresh connection: one too many */
		p->head = (p->head + 1) % p->limit;
		p->count--;
	}
	p->written_us[(p->head + p->count) % p->limit] = now_us;
	p->count++;
}

void hh_pace_untake(struct hh_pace *p)
{
	if (p->undated > 0)
		p->undated--;
}

void hh_pace_slow_down(struct hh_pace *p, int64_t now_us, int64_t wait_ms)
{
	/* Several requests under way may all be told so: that is one lesson. */
	if (p->slowed < SLOWED_MAX && now_us >= p->pause_us)
		p->slowed++;
	p->pause_us = later(p->pause_us, now_us + wait_ms * 1000);
	p->calm_us = p->pause_us + CALM_US;
}

void hh_pace_content(struct hh_pace *p, int64_t now_us)
{
	if (p->slowed == 0 || now_us < p->calm_us)
		return;
	p->slowed--;
	p->calm_us = now_us + CALM_US;
}

int64_t hh_pace_estimate_ms(const struct hh_pace *p, int64_t now_us, int64_t turns)
{
	int64_t still = p->pause_us > now_us ? p->pause_us - now_us : 0;
	double each = (double)window_us(p) / (double)p->limit;

	return (int64_t)(((double)still + each * (double)turns) / 1000);
}
