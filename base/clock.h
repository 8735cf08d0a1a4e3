/* clock.h - the clocks. Timers and deadlines use the monotonic one, people read the wall one.
 *
 * CLOCK_MONOTONIC is common to all processes of a node, so a deadline can be handed to another
 * process as it is; it never jumps when the wall clock is set.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Room for "2026-11-24T23:14:33.123Z" and its NUL. */
#define CLOCK_ISO8601_SIZE 32

/* Milliseconds on CLOCK_MONOTONIC. Cannot fail. */
int64_t clock_mono_ms(void);

/* Microseconds on CLOCK_MONOTONIC. Cannot fail. */
int64_t clock_mono_us(void);

/* Milliseconds on CLOCK_BOOTTIME: as CLOCK_MONOTONIC, and goes on while the machine sleeps. Cannot
 * fail. */
int64_t clock_boot_ms(void);

/* Milliseconds since 1970 on the wall clock. For display and for rows, never for a timer. */
int64_t clock_wall_ms(void);

/* Writes wall_ms as UTC ISO 8601 with milliseconds into buf. Returns buf. */
char *clock_iso8601(int64_t wall_ms, char buf[CLOCK_ISO8601_SIZE]);

#endif
