/* ticker.h - the limiter's time as this node knows it: a reading of the common clock, and the reading
 * of our own monotonic clock that belongs to it.
 *
 * The common clock is a row that all nodes advance and none turns back; whoever is ahead is right.
 * A node that hears a time notes it for the moment at which it hears it, a little late, so two nodes
 * never push each other ahead of real time.
 */
#ifndef ACTORS_RATE_LIMITER_TICKER_H
#define ACTORS_RATE_LIMITER_TICKER_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/catalogue.h"

#define TICKER_BOOT_SIZE 97

/* All zero: the time is not known yet. */
struct ticker {
	bool known;
	int64_t at_ms;
	int64_t boot_ms;
};

/* The limiter's time when our clock reads boot_ms; not set while it is not known. */
struct opt_int ticker_at(const struct ticker *ticker, int64_t boot_ms);

/* Takes in what the common clock says, heard at boot_ms. */
void ticker_heard(struct ticker *ticker, const struct limiter_time *time, int64_t boot_ms);

/* Names the clock that clock_boot_ms() reads: the machine's boot and the time namespace. Where the
 * system does not tell, a name of our own, so that nobody else goes on from our readings. buf is
 * written and returned. */
char *ticker_boot(char buf[TICKER_BOOT_SIZE]);

#endif
