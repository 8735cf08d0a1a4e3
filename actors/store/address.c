/* address.c - a name resolved by a thread, so that the loop does not wait; see address.h.
 *
 * libpq connects without blocking, except for the name: it calls getaddrinfo(), which may wait for
 * a name server for many seconds, longer than a supervisor waits for a heartbeat. So the name is
 * resolved in libuv's thread pool, and libpq gets numeric addresses next to the name, which it
 * still needs for TLS.
 */
#include "actors/store/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libpq-fe.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct address_lookup {
	uv_getaddrinfo_t request;
	char host[256];
	address_fn *fn;
	void *context;
	bool cancelled;
};

static const char *option(const PQconninfoOption *options, const char *keyword)
{
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
		if (strcmp(o->keyword, keyword) == 0)
			return o->val == NULL ? "" : o->val;
	return "";
}

static bool is_numeric(const char *host)
{
	unsigned char binary[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, binary) == 1 || inet_pton(AF_INET6, host, binary) == 1;
}

/* Copies the one host name that conninfo has into host; "" where there is nothing to look up. */
static int host_of(const char *conninfo, char *host, size_t size)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	const char *name;

	if (options == NULL)
		return -EINVAL; /* libpq's words for it may quote the password */
	name = option(options, "host");
	if (option(options, "hostaddr")[0] != '\0' || name[0] == '/' || name[0] == '@' ||
	    strchr(name, ',') != NULL || strlen(name) >= size || is_numeric(name))
		name = "";
	(void)snprintf(host, size, "%s", name);
	PQconninfoFree(options);
	return 0;
}

/* Appends ",item"; false when there is no room. */
static bool list_add(char *list, const char *item)
{
	size_t len = strlen(list);
	int n = snprintf(list + len, ADDRESS_LIST_SIZE - len, "%s%s", len > 0 ? "," : "", item);

	if (n < 0 || (size_t)n >= ADDRESS_LIST_SIZE - len) {
		list[len] = '\0';
		return false;
	}
	return true;
}

static void list_addresses(const char *host, const struct addrinfo *info, struct address *out)
{
	for (; info != NULL; info = info->ai_next) {
		char number[INET6_ADDRSTRLEN];

		if (getnameinfo(info->ai_addr, info->ai_addrlen, number, sizeof(number), NULL, 0,
				NI_NUMERICHOST) != 0)
			continue;
		if (strlen(out->host) + strlen(host) + 2 > ADDRESS_LIST_SIZE ||
		    !list_add(out->hostaddr, number))
			return;
		(void)list_add(out->host, host); /* there is room */
	}
}

static void on_addresses(uv_getaddrinfo_t *request, int status, struct addrinfo *info)
{
	struct address_lookup *lookup = request->data;
	struct address address = {.host = "", .hostaddr = ""};
	char why[512];

	if (lookup->cancelled) {
		uv_freeaddrinfo(info);
		free(lookup);
		return;
	}
	if (status == 0)
		list_addresses(lookup->host, info, &address);
	uv_freeaddrinfo(info);
	(void)snprintf(why, sizeof(why), "could not find the address of host \"%s\": %s",
		       lookup->host, status == 0 ? "it has none" : uv_strerror(status));
	lookup->fn(lookup->context, address.hostaddr[0] == '\0' ? NULL : &address, why);
	free(lookup);
}

int address_find(struct actor *self, const char *conninfo, address_fn *fn, void *context,
		 struct address_lookup **out)
{
	static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	static const struct address no_help;
	struct address_lookup *lookup = calloc(1, sizeof(*lookup));
	int rc = -ENOMEM;

	if (lookup == NULL)
		goto out;
	rc = host_of(conninfo, lookup->host, sizeof(lookup->host));
	if (rc < 0)
		goto out;
	if (lookup->host[0] == '\0') {
		*out = NULL;
		fn(context, &no_help, NULL);
		goto out;
	}
	lookup->fn = fn;
	lookup->context = context;
	lookup->request.data = lookup;
	rc = uv_getaddrinfo(actor_loop(self), &lookup->request, on_addresses, lookup->host, NULL,
			    &hints);
	if (rc < 0)
		goto out;
	*out = lookup; /* freed by on_addresses() */
	lookup = NULL;
out:
	free(lookup);
	return rc;
}

void address_cancel(struct address_lookup **lookup)
{
	if (*lookup == NULL)
		return;
	(*lookup)->cancelled = true;
	(void)uv_cancel(
		(uv_req_t *)&(*lookup)->request); /* where it runs already it ends unheard */
	*lookup = NULL;
}
