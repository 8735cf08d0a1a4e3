/* supervisor.c - the root supervisor: its one loop over control sockets, signals and deadlines, and
 * what is done before and after it. See node.h.
 *
 * One thread, nothing that blocks, nothing shared. Order matters in a turn: what children said is
 * read before their deaths are handled, so that a READY is not lost; nodes are freed only while
 * deaths and deadlines are handled, so that no event of the turn speaks of a freed one.
 */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "supervisor/node.h"

#define EVENTS_MAX	      128
#define RUN_DIR_EACH_MS	      2000 /* how often RUN_DIR is looked after */

/* Descriptors that the program with the most connections may need: so many per dynamic child, and
 * so many for everything else. */
#define DESCRIPTORS_PER_CHILD 4
#define DESCRIPTORS_SPARE     256

/* A turn of the loop that took longer, or began later than it should, says that we are starved or
 * were stopped: then the children's silence proves nothing. */
#define LATE_MS		      500

/* --- a turn of the loop --- */

static void handle_event(struct supervisor *s, const struct epoll_event *ev,
			 struct signals_seen *seen)
{
	struct node *n = ev->data.ptr;

	if (n == NULL) {
		signals_read(s->signal_fd, seen);
		return;
	}
	if (n->link.fd >= 0 && (ev->events & EPOLLOUT) != 0)
		control_writable(s, n);
	if (n->link.fd >= 0 && (ev->events & ~(unsigned)EPOLLOUT) != 0)
		control_read(s, n);
}

static void handle_signals(struct supervisor *s, const struct signals_seen *seen)
{
	bool stopping = s->phase == PHASE_STOP;

	if (seen->stops > 0)
		tree_stop(s, EXIT_OK, seen->interrupts > 0 && (stopping || seen->interrupts > 1));
	if (seen->child)
		reap_all(s);
}

/* Handles the deadlines that have passed and finds the next one. */
static void handle_deadlines(struct supervisor *s)
{
	struct node *next;

	if (s->now_ms < s->due_ms)
		return;
	s->due_ms = NEVER;
	for (struct node *n = TAILQ_FIRST(&s->tree); n != NULL; n = next) {
		next = TAILQ_NEXT(n, in_tree);
		if (n->due_ms <= s->now_ms)
			node_due(s, n); /* may free n, no other */
		else if (n->due_ms < s->due_ms)
			s->due_ms = n->due_ms;
	}
}

/* We were late: everybody is given a full period to be heard again. */
static void forgive_silence(struct supervisor *s, int64_t late_ms)
{
	struct node *n;

	log_warn("loop.late", "ms=%lld", (long long)late_ms);
	TAILQ_FOREACH (n, &s->tree, in_tree)
		n->heard_ms = s->now_ms;
}

static void feed_watchdog(struct supervisor *s)
{
	if (s->now_ms < s->watchdog_due_ms)
		return;
	s->watchdog_due_ms = s->now_ms + s->watchdog_ms;
	notify_send("WATCHDOG=1");
}

static int timeout_ms(const struct supervisor *s)
{
	int64_t due_ms = s->due_ms < s->watchdog_due_ms ? s->due_ms : s->watchdog_due_ms;
	int64_t left;

	if (s->standbys_due_ms < due_ms)
		due_ms = s->standbys_due_ms;
	if (due_ms == NEVER)
		return -1;
	left = due_ms - clock_mono_ms();
	if (left <= 0)
		return 0;
	return left < 60000 ? (int)left : 60000;
}

/* Without its directory the tree cannot be mended, and another server may already use the name: it
 * is better to end and be started again. */
static void look_after_run_dir(struct supervisor *s)
{
	if (s->phase == PHASE_STOP || s->now_ms - s->run_dir_seen_ms < RUN_DIR_EACH_MS)
		return;
	s->run_dir_seen_ms = s->now_ms;
	if (run_dir_is_ours(s->options->run_dir, s->run_dir_fd, s->lock_fd))
		return;
	log_error("run_dir.gone", "path=%s why=\"it was removed or replaced under the server\"",
		  s->options->run_dir);
	tree_stop(s, EXIT_WORLD, false);
}

static int turn(struct supervisor *s)
{
	struct epoll_event events[EVENTS_MAX];
	struct signals_seen seen = {0};
	int wait_ms = timeout_ms(s);
	int64_t expected_ms = wait_ms < 0 ? NEVER : clock_mono_ms() + wait_ms;
	int64_t worked_ms = clock_mono_ms() - s->now_ms;
	int n = epoll_wait(s->epoll_fd, events, EVENTS_MAX, wait_ms);

	if (n < 0 && errno != EINTR)
		return -errno;
	s->now_ms = clock_mono_ms();
	if (s->now_ms > expected_ms && s->now_ms - expected_ms > LATE_MS)
		forgive_silence(s, s->now_ms - expected_ms);
	else if (worked_ms > LATE_MS)
		forgive_silence(s, worked_ms);
	for (int i = 0; i < n; i++)
		handle_event(s, &events[i], &seen);
	handle_signals(s, &seen);
	handle_deadlines(s);
	if (s->now_ms >= s->standbys_due_ms)
		zygote_provide_standbys(s);
	feed_watchdog(s);
	look_after_run_dir(s);
	return 0;
}

/* --- before and after --- */

/* As many descriptors as we may have, for us and, inherited, for the children. Too few for all
 * dynamic children: fewer children. An actor that runs out of them while a peer connects is aborted
 * by libzmq. */
static int provide_descriptors(struct supervisor *s)
{
	struct rlimit limit;
	rlim_t room;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur < DESCRIPTORS_SPARE + DESCRIPTORS_PER_CHILD) {
		log_error("descriptors.too_few",
			  "limit=%llu at_least=%d hint=\"raise RLIMIT_NOFILE\"",
			  (unsigned long long)limit.rlim_cur,
			  DESCRIPTORS_SPARE + DESCRIPTORS_PER_CHILD);
		return -EMFILE;
	}
	room = (limit.rlim_cur - DESCRIPTORS_SPARE) / DESCRIPTORS_PER_CHILD;
	if (room < s->max_children) {
		log_warn("descriptors.few",
			 "limit=%llu max_children=%llu instead_of=%u hint=\"raise RLIMIT_NOFILE to "
			 "%u\"",
			 (unsigned long long)limit.rlim_cur, (unsigned long long)room,
			 s->max_children,
			 s->max_children * DESCRIPTORS_PER_CHILD + DESCRIPTORS_SPARE);
		s->max_children = (unsigned)room;
	}
	return 0;
}

/* OTP's rules for significant children. */
static bool is_sound(const struct child_spec *spec, const struct child_spec *sup)
{
	bool sound = !spec->significant || (spec->restart != RESTART_PERMANENT &&
					    sup->auto_shutdown != AUTO_SHUTDOWN_NEVER);

	if (!sound)
		log_error("tree.wrong",
			  "name=%s why=\"a significant child must not be permanent, and its "
			  "supervisor must have an auto_shutdown\"",
			  spec->name);
	return sound;
}

static int make_children(struct supervisor *s, struct node *parent)
{
	const struct child_spec *spec = parent->spec->children;
	struct node *n;
	int rc = 0;

	for (; rc == 0 && spec != NULL && spec->name != NULL; spec++) {
		rc = is_sound(spec, parent->spec) ? node_new(s, spec, spec->name, parent, &n)
						  : -EINVAL;
		if (rc == 0 && spec->template != NULL && !is_sound(spec->template, spec))
			rc = -EINVAL;
		if (rc == 0 && node_is_supervisor(n))
			rc = make_children(s, n);
		if (rc == 0 && spec->template != NULL && s->options->max_children == 0)
			s->max_children = spec->max_children;
	}
	return rc;
}

static int open_loop(struct supervisor *s, sigset_t *mask_before)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
	int fd = signals_open(mask_before);

	if (fd < 0)
		return fd;
	s->signal_fd = fd;
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll_fd < 0)
		return -errno;
	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->signal_fd, &ev) < 0)
		return -errno;
	return prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ? -errno : 0;
}

/* One may be pending since the log's reader has gone. */
static void forget_sigpipe(void)
{
	const struct timespec at_once = {0};
	sigset_t pipe;

	(void)sigemptyset(&pipe);
	(void)sigaddset(&pipe, SIGPIPE);
	(void)sigtimedwait(&pipe, NULL, &at_once);
}

static void close_all(struct supervisor *s, const sigset_t *mask_before)
{
	struct node *n;

	zygote_discard_all(s);
	reap_orphans();
	while ((n = TAILQ_LAST(&s->tree, node_queue)) != NULL) {
		control_close(s, n);
		node_forget_pid(s, n);
		if (n->note_fd >= 0)
			(void)close(n->note_fd);
		node_free(s, n);
	}
	crash_forget(s);
	run_dir_close(&s->run_dir_fd, &s->lock_fd);
	if (s->epoll_fd >= 0)
		(void)close(s->epoll_fd);
	if (s->signal_fd >= 0) {
		(void)close(s->signal_fd);
		forget_sigpipe(); /* or it would be our end, in place of the exit code */
		(void)sigprocmask(SIG_SETMASK, mask_before, NULL);
	}
}

static int run(struct supervisor *s)
{
	int rc = 0;

	tree_start(s);
	while (!s->done && rc == 0)
		rc = turn(s);
	if (rc < 0)
		log_error("loop.failed", "error=\"%s\"", strerror(-rc));
	else
		log_info("tree.stopped", "exit_code=%d", s->exit_code);
	return rc < 0 ? EXIT_WORLD : s->exit_code;
}

int supervisor_run(const struct supervisor_options *options)
{
	struct child_spec root = *options->root;
	struct supervisor s = {.options = options,
			       .tree = TAILQ_HEAD_INITIALIZER(s.tree),
			       .epoll_fd = -1,
			       .signal_fd = -1,
			       .run_dir_fd = -1,
			       .lock_fd = -1,
			       .now_ms = clock_mono_ms(),
			       .due_ms = NEVER,
			       .watchdog_ms = notify_watchdog_ms(),
			       .watchdog_due_ms = NEVER,
			       .standbys_due_ms = NEVER,
			       .max_children = options->max_children};
	sigset_t mask_before;
	int exit_code;
	int rc;

	if (s.watchdog_ms > 0)
		s.watchdog_due_ms = s.now_ms;
	if (options->period_ms > 0) {
		root.max_restarts = options->max_restarts;
		root.period_ms = options->period_ms;
	}
	exit_code = run_dir_open(options->run_dir, &s.run_dir_fd, &s.lock_fd);
	if (exit_code != EXIT_OK)
		return exit_code;
	rc = node_new(&s, &root, root.name, NULL, &s.root);
	if (rc == 0)
		rc = make_children(&s, s.root);
	if (rc == 0)
		rc = provide_descriptors(&s);
	if (rc == 0)
		rc = open_loop(&s, &mask_before);
	if (rc < 0)
		log_error("supervisor.failed", "error=\"%s\"", strerror(-rc));
	exit_code = rc < 0 ? EXIT_WORLD : run(&s);
	close_all(&s, &mask_before);
	return exit_code;
}
