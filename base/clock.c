/* clock.c - readings of the clocks, and ISO 8601; see clock.h. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts); /* cannot fail for these clocks */
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
	return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t clock_boot_ms(void)
{
	return read_us(CLOCK_BOOTTIME) / 1000;
}

int64_t clock_wall_ms(void)
{
	return read_us(CLOCK_REALTIME) / 1000;
}

char *clock_iso8601(int64_t wall_ms, char buf[CLOCK_ISO8601_SIZE])
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;
	size_t n;

	if (gmtime_r(&seconds, &tm) == NULL) {
		buf[0] = '\0';
		return buf;
	}
	n = strftime(buf, CLOCK_ISO8601_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(buf + n, CLOCK_ISO8601_SIZE - n, ".%03dZ", (int)(wall_ms % 1000));
	return buf;
}
