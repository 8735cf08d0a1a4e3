/* hh_queue.h - whose turn it is: the requests that wait to be sent, in the order of fairness. Pure.
 *
 * There are two classes. Somebody waits for an interactive request, so it goes first; but while
 * background requests wait, at least one turn in four is theirs. Within a class the users take
 * turns, one request each, whatever number each of them has waiting; a user's own go in order.
 * Requests of no user share one place among the users.
 *
 * Entries are embedded in the caller's struct and belong to it. A class holds a bounded number.
 */
#ifndef HH_CLIENT_HH_QUEUE_H
#define HH_CLIENT_HH_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#define HH_QUEUE_USER_SIZE 37 /* a UUID and its NUL */

enum hh_class { HH_INTERACTIVE, HH_BACKGROUND, HH_CLASSES };

struct hh_lane; /* a user's place in a class */

struct hh_entry {
	struct hh_entry *next; /* in its lane */
	struct hh_lane *lane;  /* NULL: not in the queue */
	bool personal;	       /* brings a token of its own; set before it is put in */
};

struct hh_lanes {
	void *by_user;	       /* tree of lanes, for tsearch(3) */
	struct hh_lane *first; /* in the order of their turns */
	struct hh_lane *last;
	size_t users;	 /* lanes */
	size_t count;	 /* entries */
	size_t personal; /* of those, with a token of their own */
	size_t max;	 /* of entries */
};

struct hh_queue {
	struct hh_lanes classes[HH_CLASSES];
	int interactive_run; /* turns in a row that background requests have let pass */
};

void hh_queue_init(struct hh_queue *q, size_t max_interactive, size_t max_background);

/* Entries that are left belong to the caller and are forgotten. */
void hh_queue_fini(struct hh_queue *q);

/* Puts entry at the end of user's requests; user "" is no user. Returns 0, -ENOSPC when the class
 * is full, or -ENOMEM. */
int hh_queue_push(struct hh_queue *q, enum hh_class class, const char *user, struct hh_entry *entry)
	__attribute__((warn_unused_result));

/* The same, at the front and beyond the bound: for a request that had its turn and failed. Returns
 * 0 or -ENOMEM. */
int hh_queue_push_front(struct hh_queue *q, enum hh_class class, const char *user,
			struct hh_entry *entry) __attribute__((warn_unused_result));

/* Takes the entry whose turn it is, NULL when there is none. It counts as a turn. */
struct hh_entry *hh_queue_pop(struct hh_queue *q);

/* The same among interactive entries with a token of their own, while there is none for the others.
 */
struct hh_entry *hh_queue_pop_personal(struct hh_queue *q);

/* Takes entry out, wherever it is. Nothing happens when it is in no queue. */
void hh_queue_remove(struct hh_entry *entry);

bool hh_queue_holds(const struct hh_entry *entry);

size_t hh_queue_count(const struct hh_queue *q, enum hh_class class);

/* Interactive entries with a token of their own. */
size_t hh_queue_count_personal(const struct hh_queue *q);

/* How many turns pass, about, until a new request of that class and of a user with no other has
 * had its own. */
size_t hh_queue_turns(const struct hh_queue *q, enum hh_class class);

#endif
