/* hh_share.c - trees of requests and of pages by their keys; the oldest page goes first; see
 * hh_share.h. */
#include "actors/hh_client/hh_share.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* What is older will do for nobody: the catalogue's limit of max_age_ms. */
#define AGE_MAX_MS 600000

struct hh_kept {
	const char *key; /* first: pages are compared by it, as flights are */
	struct hh_kept *newer;
	struct hh_kept *older;
	struct arena arena;
	struct jobs_page page;
	int64_t since_ms;
	size_t bytes;
};

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void hh_share_init(struct hh_share *share, size_t limit_bytes)
{
	*share = (struct hh_share){.limit_bytes = limit_bytes};
}

/* --- requests under way
 * --------------------------------------------------------------------------- */

int hh_share_depart(struct hh_share *share, struct hh_flight *flight)
{
	return tsearch(flight, &share->flights, compare_keys) == NULL ? -ENOMEM : 0;
}

struct hh_flight *hh_share_flight(struct hh_share *share, const char *key)
{
	const struct hh_flight wanted = {.key = key};
	struct hh_flight **found = tfind(&wanted, &share->flights, compare_keys);

	return found == NULL ? NULL : *found;
}

void hh_share_land(struct hh_share *share, struct hh_flight *flight)
{
	if (hh_share_flight(share, flight->key) == flight)
		(void)tdelete(flight, &share->flights, compare_keys);
}

/* --- pages kept
 * ------------------------------------------------------------------------------------ */

static struct hh_kept *kept_find(struct hh_share *share, const char *key)
{
	const struct hh_flight wanted = {.key = key};
	struct hh_kept **found = tfind(&wanted, &share->pages, compare_keys);

	return found == NULL ? NULL : *found;
}

static void kept_unlink(struct hh_share *share, struct hh_kept *kept)
{
	if (kept->newer != NULL)
		kept->newer->older = kept->older;
	else
		share->newest = kept->older;
	if (kept->older != NULL)
		kept->older->newer = kept->newer;
	else
		share->oldest = kept->newer;
}

static void kept_link(struct hh_share *share, struct hh_kept *kept)
{
	kept->newer = NULL;
	kept->older = share->newest;
	if (share->newest != NULL)
		share->newest->newer = kept;
	else
		share->oldest = kept;
	share->newest = kept;
}

static void kept_free(struct hh_share *share, struct hh_kept *kept)
{
	(void)tdelete(kept, &share->pages, compare_keys);
	kept_unlink(share, kept);
	share->bytes -= kept->bytes;
	arena_fini(&kept->arena);
	free(kept);
}

void hh_share_fini(struct hh_share *share)
{
	while (share->oldest != NULL)
		kept_free(share, share->oldest);
}

/* Takes what arena holds. NULL: no memory, and arena still holds it. */
static struct hh_kept *kept_new(const char *key, struct arena *arena, const struct jobs_page *page,
				int64_t now_ms)
{
	struct hh_kept *kept = calloc(1, sizeof(*kept));

	if (kept == NULL)
		return NULL;
	kept->key = arena_strdup(arena, key);
	if (kept->key == NULL) {
		free(kept);
		return NULL;
	}
	kept->page = *page;
	kept->since_ms = now_ms;
	kept->bytes = sizeof(*kept) + arena->used_bytes;
	kept->arena = *arena;
	arena_init(arena, arena->limit_bytes);
	return kept;
}

void hh_share_keep(struct hh_share *share, const char *key, struct arena *arena,
		   const struct jobs_page *page, int64_t now_ms)
{
	struct hh_kept *kept = kept_find(share, key);

	if (kept != NULL)
		kept_free(share, kept);
	kept = kept_new(key, arena, page, now_ms);
	if (kept == NULL) {
		arena_fini(arena);
		return;
	}
	if (kept->bytes > share->limit_bytes ||
	    tsearch(kept, &share->pages, compare_keys) == NULL) {
		arena_fini(&kept->arena);
		free(kept);
		return;
	}
	kept_link(share, kept);
	share->bytes += kept->bytes;
	while (share->bytes > share->limit_bytes ||
	       (share->oldest != NULL && now_ms - share->oldest->since_ms > AGE_MAX_MS))
		kept_free(share, share->oldest);
}

const struct jobs_page *hh_share_page(struct hh_share *share, const char *key, int64_t max_age_ms,
				      int64_t now_ms)
{
	struct hh_kept *kept = kept_find(share, key);

	if (kept == NULL || now_ms - kept->since_ms > max_age_ms)
		return NULL;
	kept_unlink(share, kept);
	kept_link(share, kept);
	return &kept->page;
}
