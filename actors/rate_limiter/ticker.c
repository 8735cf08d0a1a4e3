/* ticker.c - how far the common clock is, by our monotonic one; see ticker.h. */
#include "actors/rate_limiter/ticker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

struct opt_int ticker_at(const struct ticker *ticker, int64_t boot_ms)
{
	if (!ticker->known)
		return (struct opt_int){0};
	return OPT_INT_OF(ticker->at_ms + boot_ms - ticker->boot_ms);
}

void ticker_heard(struct ticker *ticker, const struct limiter_time *time, int64_t boot_ms)
{
	if (time->boot_ms.set) /* by our own clock: exact */
		*ticker = (struct ticker){true, time->at_ms, time->boot_ms.value};
	else if (!ticker->known || time->at_ms > ticker_at(ticker, boot_ms).value)
		*ticker = (struct ticker){true, time->at_ms, boot_ms};
}

static bool read_boot_id(char buf[TICKER_BOOT_SIZE])
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
	bool read = file != NULL && fgets(buf, 64, file) != NULL;

	if (file != NULL)
		(void)fclose(file);
	if (read)
		buf[strcspn(buf, "\n")] = '\0';
	return read && buf[0] != '\0';
}

char *ticker_boot(char buf[TICKER_BOOT_SIZE])
{
	char *end;
	ssize_t len;

	if (!read_boot_id(buf)) {
		(void)snprintf(buf, TICKER_BOOT_SIZE, "%" PRId64 ".%" PRId64 ".%d", clock_wall_ms(),
			       clock_mono_us(), (int)getpid());
		return buf;
	}
	end = buf + strlen(buf);
	len = readlink("/proc/self/ns/time", end + 1, 30);
	if (len > 0) {
		*end = ' ';
		end[1 + len] = '\0';
	}
	return buf;
}
