/* restart.c - see restart.h. The door and telemetry are restarted with the others, so a question that
 * is not answered is asked again. */
#include "cli/restart.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/exit_codes.h"
#include "cli/client.h"

#define LOOK_MS	    50	  /* between two looks at the tree */
#define PATIENCE_MS 60000 /* for the next of them to be up */

enum progress { STILL, DONE, FAILED };

struct follow {
	const json_t *children;
	char *done; /* by index: said already */
	size_t left;
	bool quiet;
};

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value == NULL ? "" : value;
}

static const json_t *find(const json_t *tree, const char *name)
{
	const json_t *child;
	size_t i;

	json_array_foreach(json_object_get(tree, "children"), i, child)
	{
		if (strcmp(text(child, "name"), name) == 0)
			return child;
	}
	return NULL;
}

static int64_t generation(const json_t *child)
{
	return json_integer_value(json_object_get(child, "generation"));
}

static enum progress look(const json_t *before, const json_t *now)
{
	const char *state = now == NULL ? "" : text(now, "state");

	if (now == NULL)
		return DONE; /* it ended, e.g. its schedule was deleted */
	if (generation(now) <= generation(before))
		return STILL;
	if (strcmp(state, "up") == 0 || strcmp(state, "degraded") == 0)
		return DONE;
	return strcmp(state, "backoff") == 0 || strcmp(state, "quarantined") == 0 ||
			       strcmp(state, "stopped") == 0
		       ? FAILED
		       : STILL;
}

/* Says what is new. Returns EXIT_OK to go on, and what to end with when one has failed. */
static int look_at_all(struct follow *f, const json_t *tree)
{
	const json_t *before;
	size_t i;

	json_array_foreach(f->children, i, before)
	{
		const json_t *now = find(tree, text(before, "name"));
		enum progress progress = f->done[i] ? STILL : look(before, now);

		if (progress == FAILED) {
			(void)fprintf(stderr,
				      "%s does not start: %s; the others are left as they are\n",
				      text(before, "name"), text(now, "last_exit"));
			return EXIT_UNAVAILABLE;
		}
		if (progress != DONE)
			continue;
		f->done[i] = 1;
		f->left--;
		if (!f->quiet)
			(void)printf("%s restarted, pid %" PRId64 "\n", text(before, "name"),
				     (int64_t)json_integer_value(json_object_get(now, "pid")));
	}
	return EXIT_OK;
}

static void wait_a_little(void)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};

	(void)nanosleep(&pause, NULL);
}

static int follow(struct follow *f)
{
	int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;
	int code = EXIT_OK;

	while (code == EXIT_OK && f->left > 0 && clock_mono_ms() < deadline_ms) {
		size_t left = f->left;
		json_t *tree = NULL;

		if (client_call(message_by_id(MSG_TREE_STATE), NULL, &tree) == 0)
			code = look_at_all(f, tree);
		json_decref(tree);
		if (f->left < left)
			deadline_ms = clock_mono_ms() + PATIENCE_MS;
		if (f->left > 0 && code == EXIT_OK)
			wait_a_little();
	}
	if (code == EXIT_OK && f->left > 0) {
		(void)fprintf(stderr, "%zu actors were not restarted in time: see `ugtj status`\n",
			      f->left);
		code = EXIT_UNAVAILABLE;
	}
	return code;
}

int restart_follow(const json_t *reply, bool quiet)
{
	struct follow f = {.children = json_object_get(reply, "children"), .quiet = quiet};
	int code;

	f.left = json_array_size(f.children);
	f.done = calloc(f.left + 1, 1);
	if (f.done == NULL)
		return EXIT_WORLD;
	code = follow(&f);
	free(f.done);
	return code;
}
