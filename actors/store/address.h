/* address.h - finds the database's addresses without blocking, which libpq would do.
 */
#ifndef ACTORS_STORE_ADDRESS_H
#define ACTORS_STORE_ADDRESS_H

#include <stddef.h>

#include "actors/runtime/actor.h"

/* Room for as many addresses as anybody publishes for one name, and the name as often. */
#define ADDRESS_LIST_SIZE 2048

/* libpq's `host` and `hostaddr`: lists of the same length. Both empty: libpq needs no help. */
struct address {
	char host[ADDRESS_LIST_SIZE];
	char hostaddr[ADDRESS_LIST_SIZE];
};

struct address_lookup; /* one that is under way */

/* address is NULL when the name could not be resolved; why then says it. Both are borrowed until
 * the function returns. */
typedef void address_fn(void *context, const struct address *address, const char *why);

/* Looks up the host that conninfo (a URL or libpq's keywords) names. Where there is nothing to look
 * up (a socket's folder, a numeric address, a list of hosts) fn is called at once, before this
 * returns; else later, unless address_cancel() was called. *out is the lookup under way or NULL.
 * Returns 0, -EINVAL (conninfo cannot be parsed) or -ENOMEM. */
int address_find(struct actor *self, const char *conninfo, address_fn *fn, void *context,
		 struct address_lookup **out) __attribute__((warn_unused_result));

/* Forgets *lookup, clears it. NULL is fine. */
void address_cancel(struct address_lookup **lookup);

#endif
