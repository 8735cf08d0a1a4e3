/* node.h - the tree while it runs. Shared by the files of this folder only.
 *
 *   supervisor.c  the loop: epoll, signals, deadlines        supervisor_run()
 *   child.c       the life of a node: start, ready, death    node_*, tree_start()
 *   shutdown.c    stopping in order                          node_stop*(), tree_stop()
 *   deadlines.c   when a child's time is up                  node_due()
 *   dynamic.c     children made on request                   dynamic_*
 *   children.c    OTP's start_child, terminate_child, ...    children_*
 *   askers.c      who waits for a child to be up or stopped  askers_*
 *   roll.c        the rolling restart                        roll_*
 *   restart.c     the policy                                 restart_*
 *   spawn.c       fork and exec                              spawn_*, newborn_*
 *   zygote.c      fork without exec, ahead of time           zygote_*
 *   child_env.c   what a child finds in its environment      child_env_*
 *   reap.c        waitpid, and how a process ended in words  reap_*
 *   memory.c      how much memory a child holds              memory_*
 *   note.c        what a child wrote down before it died     note_*
 *   crash.c       reports of deaths, the last ones kept      crash_*
 *   control.c     packets of proto/control.h, in and out     control_*
 *   request.c     what a child may ask for                   request_*
 *   news.c        who hears of whose ups and downs           news_*
 *   node.c        nodes, their names and pids                node_new(), node_find()
 *   run_dir.c     RUN_DIR, its lock, the sockets in it       run_dir_*
 *   signals.c     the mask and the signalfd                  signals_*
 *   notify.c      systemd's readiness protocol               notify_*
 */
#ifndef SUPERVISOR_NODE_H
#define SUPERVISOR_NODE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "proto/control.h"
#include "supervisor/restart.h"
#include "supervisor/spec.h"
#include "supervisor/supervisor.h"

#define NEVER	    INT64_MAX /* a deadline that is none */
#define CRASHES_MAX 64	      /* reports that are kept */

struct asker;
struct crash;
struct reply;
struct subject;
struct watch;
struct zygote;

LIST_HEAD(watch_list, watch);
LIST_HEAD(zygote_list, zygote);
TAILQ_HEAD(watch_queue, watch);
TAILQ_HEAD(node_queue, node);

/* The supervisor's end of a child's control socket. */
struct control_link {
	int fd;		       /* -1: closed */
	bool wants_out;	       /* something waits for room in the socket */
	struct reply *replies; /* do not fit yet, oldest first; until they do, nothing is read */
	struct watch_list watches; /* whom it monitors */
	struct watch_queue untold; /* of those, the ones with news */
	unsigned watch_count;
	bool refused; /* a request of it was; said once in the log */
};

/* What follows when a supervisor has stopped the children that it set out to stop. Later ones win
 * over earlier ones. */
enum after_stop {
	THEN_RESTART, /* start them again: the strategy */
	THEN_END,     /* it has nothing left to do: auto_shutdown */
	THEN_DIE,     /* it gave up, or was killed: its parent decides */
	THEN_STOPPED, /* its parent stops it */
};

/* A row of the tree that is alive: a worker, or a supervisor. */
struct node {
	const struct child_spec *spec;
	struct node *parent; /* NULL: the root */
	char name[CONTROL_NAME_SIZE];
	enum control_child_state state;
	TAILQ_ENTRY(node) in_tree;    /* all nodes, parents before children, in start order */
	TAILQ_ENTRY(node) in_parent;  /* its parent's children, in start order */
	TAILQ_ENTRY(node) in_waiting; /* dynamic children in CHILD_WAITING */

	bool passed;		   /* those after it need not wait for it any more */
	bool dynamic;		   /* made from a template */
	bool in_queue;		   /* in its parent's queue of waiting children */
	bool forget;		   /* once stopped, it leaves the tree ... */
	bool again;		   /* ... but somebody asked for it anew meanwhile */
	bool deleted;		   /* not a child any more, until its supervisor starts anew */
	bool to_renew;		   /* its turn in the rolling restart has not come */
	bool renewing;		   /* it stops, to be started again */
	bool condemned;		   /* we sent SIGKILL for the reason in end, ... */
	enum control_death death;  /* ... and that was it */
	uint64_t generation;	   /* starts so far; see node_new() */
	uint64_t up_generation;	   /* the last one that was up; 0: none */
	uint64_t first_generation; /* of this node: its restarts are counted from there */
	unsigned failed_starts;	   /* in a row */
	struct restart_window
		window; /* a supervisor's: its children's deaths; a dynamic child's: its */
	char end[CONTROL_REASON_SIZE]; /* how the generation before ended, or why we killed this */
	struct asker *askers;	       /* who waits for it to be up, or stopped */
	char *degraded;		       /* what is missing outside, in CHILD_DEGRADED. Else NULL */

	pid_t pid; /* 0: no process */
	bool by_zygote;
	int64_t started_ms;
	int64_t up_since_ms; /* 0: not up */
	int64_t heard_ms;    /* last packet from it */
	int64_t due_ms;	     /* when its state ends by itself: see node_due() */
	struct control_link link;
	int note_fd;			/* what it wrote down; -1: it has no process */
	bool own_fault;			/* of the generation before: it ended itself ... */
	struct control_message culprit; /* ... and died of that message, if of one */

	/* supervisors only */
	struct node_queue children;
	struct node_queue waiting; /* dynamic children whose turn to start has not come */
	unsigned child_count;
	unsigned starting_count;       /* of them, those in CHILD_STARTING */
	uint64_t forgotten_generation; /* the highest of the children that were forgotten */
	bool stopping;		       /* children, in reverse order ... */
	struct node *stop_from;	       /* ... back to this one; NULL: all */
	enum after_stop then;
	bool brutal; /* by SIGKILL, all at once */
};

enum supervisor_phase { PHASE_BOOT, PHASE_RUN, PHASE_STOP };

/* The whole: one per process. */
struct supervisor {
	const struct supervisor_options *options;
	struct node *root;
	struct node_queue tree; /* all nodes */
	void *names;		/* tsearch() trees of nodes by name and pid */
	void *pids;
	void *subjects; /* and of what is monitored */
	enum supervisor_phase phase;
	bool done; /* the root has stopped */
	int exit_code;
	int epoll_fd;
	int signal_fd;
	int run_dir_fd;
	int lock_fd;
	int64_t run_dir_seen_ms; /* when it was last found in its place */
	int64_t now_ms;		 /* CLOCK_MONOTONIC, read once per turn of the loop */
	int64_t due_ms;		 /* no deadline of any node is before this */
	int64_t watchdog_ms;	 /* how often systemd is told that the loop turns; 0: never */
	int64_t watchdog_due_ms; /* when next; NEVER when it is not */
	unsigned max_children;
	struct node *cursor; /* node number cursor_index of NEXT_CHILD; NULL: not known */
	int64_t cursor_index;
	struct crash *crashes[CRASHES_MAX]; /* a ring: number n is at n % CRASHES_MAX */
	int64_t last_crash;		    /* number of the last report; 0: none yet */
	bool rolling;			    /* workers are renewed one by one */
	struct zygote_list zygotes;
	int64_t standbys_due_ms; /* of zygote_provide_standbys(); NEVER: not before a child is up */
};

/* --- node.c --- */

/* Makes a node in CHILD_WAITING at the end of parent's children (NULL: the root) and puts it into
 * the tree. A dynamic child's generations go on from the highest that its supervisor ever forgot,
 * so that no socket name is used twice in the life of the program. Returns 0, -EEXIST or -ENOMEM.
 */
int node_new(struct supervisor *s, const struct child_spec *spec, const char *name,
	     struct node *parent, struct node **out) __attribute__((warn_unused_result));

/* Takes a node without a process out of the tree and frees it. */
void node_free(struct supervisor *s, struct node *n);

/* NULL: no such node. */
struct node *node_find(const struct supervisor *s, const char *name);
struct node *node_find_pid(const struct supervisor *s, pid_t pid);

/* Gives the node a process that node_find_pid() finds, or takes it away. Returns 0 or -ENOMEM. */
int node_set_pid(struct supervisor *s, struct node *n, pid_t pid)
	__attribute__((warn_unused_result));
void node_forget_pid(struct supervisor *s, struct node *n);

/* Node number index of the tree, the root left out, or NULL past the end. */
struct node *node_at(struct supervisor *s, int64_t index);

static inline bool node_is_supervisor(const struct node *n)
{
	return spec_is_supervisor(n->spec);
}

static inline bool node_is_up(const struct node *n)
{
	return n->state == CHILD_UP || n->state == CHILD_DEGRADED;
}

/* --- child.c --- */

/* Starts the tree from its root. */
void tree_start(struct supervisor *s);

/* Lets a node start; it must not be running. */
void node_start(struct supervisor *s, struct node *n);

/* Starts those of a supervisor's children that wait and whose turn it is. The last one makes the
 * supervisor itself up, and that lets its parent go on. */
void node_start_children(struct supervisor *s, struct node *sup);

/* Those after the node need not wait for it any more. */
void node_let_pass(struct supervisor *s, struct node *n);

/* The worker said READY. Said twice, it is ignored. */
void node_ready(struct supervisor *s, struct node *n);

/* The worker said in a heartbeat that it is degraded, or with NULL that it is not. */
void node_set_degraded(struct node *n, const char *why);

/* Kills a worker that cannot go on; its death is then like any other. death is what its report
 * says. */
void node_condemn(struct supervisor *s, struct node *n, enum control_death death, const char *fmt,
		  ...) __attribute__((format(printf, 4, 5)));

/* The worker's process ended as waitpid() says in status. */
void node_exited(struct supervisor *s, struct node *n, int status);

/* The node has ended, n->end says how: what follows is decided and done. */
void node_ended(struct supervisor *s, struct node *n, enum restart_event event, bool was_up,
		int64_t uptime_ms);

/* Sets the node's state, and when node_due() is called for it; NEVER: not at all. */
void node_set_state(struct supervisor *s, struct node *n, enum control_child_state state,
		    int64_t due_ms);
void node_set_due(struct supervisor *s, struct node *n, int64_t due_ms);

/* --- shutdown.c --- */

/* Stops the tree in reverse start order; the loop ends with exit_code when that is done. A second
 * call with brutal set makes haste. */
void tree_stop(struct supervisor *s, int exit_code, bool brutal);

/* Asks a node to stop. Returns true when it is stopped already. */
bool node_stop(struct supervisor *s, struct node *n, bool brutal);

/* Stops a supervisor's children back to that one (NULL: all), in reverse order; then follows what
 * then says. */
void node_stop_children(struct supervisor *s, struct node *sup, struct node *from,
			enum after_stop then, bool brutal);

/* One of the children that a supervisor set out to stop has stopped: goes on with the next one, or
 * with what comes after. */
void node_go_on_stopping(struct supervisor *s, struct node *sup);

/* Whether the child's end, which is for good, is the end of its supervisor; and that end. */
bool auto_shutdown_is_due(const struct node *n);
void auto_shutdown(struct supervisor *s, struct node *sup);

/* --- deadlines.c --- */

/* The node's deadline has passed. What it is depends on the state: a start timeout, the end of the
 * shutdown time, the next try, the next look at a child that is up. May free the node. */
void node_due(struct supervisor *s, struct node *n);

/* When a child that is up is to be looked at. */
int64_t node_next_look_ms(const struct supervisor *s, const struct node *n);

/* --- dynamic.c --- */

/* A child of the template whose prefix name has. 0, -EINVAL, -ENOENT, -EEXIST, -ENOSPC, -ENOMEM,
 * -ESHUTDOWN. */
int dynamic_start(struct supervisor *s, const char *name);

/* Stops and forgets it. 0 or -ENOENT. */
int dynamic_terminate(struct supervisor *s, const char *name);

/* Puts a child in the queue of those that wait for a start token, and starts the next ones. */
void dynamic_enqueue(struct supervisor *s, struct node *n);

/* Starts waiting children while there are start tokens. */
void dynamic_start_waiting(struct supervisor *s, struct node *sup);

/* A child has stopped that was to be forgotten. */
void dynamic_forget(struct supervisor *s, struct node *n);

/* --- spawn.c, zygote.c, child_env.c --- */

/* A process that is to become a worker, and our side of it. */
struct newborn {
	pid_t pid;
	int control_fd; /* our end of its control socket; -1: closed */
	int note_fd;	/* -1: closed */
};

/* Makes a control socket and a note; *childs_end is the caller's to close, and pid is 0 until the caller
 * sets it. Returns 0 or a negative errno, and then nothing is open. */
int newborn_open(struct newborn *out, int *childs_end) __attribute__((warn_unused_result));
void newborn_close(struct newborn *newborn);

/* Starts the worker's process, by its zygote if that can, else by exec (n->by_zygote says which), and
 * opens its control socket. Returns 0 or a negative errno. */
int spawn_worker(struct supervisor *s, struct node *n) __attribute__((warn_unused_result));

/* Forks and execs the spec's program. control_fd is its end of the control socket; note_fd its note,
 * -1 for a zygote, which has no name (NULL) and no generation. Borrows both. Returns the pid or a
 * negative errno. */
pid_t spawn_program(struct supervisor *s, const struct child_spec *spec, char *name,
		    uint64_t generation, int control_fd, int note_fd);

/* A process for the worker: its spec's standby, or a new copy of its zygote. Waits for the zygote a second
 * at most. Returns 0 and gives *out, whose descriptors are the caller's; or a negative errno, and *out is
 * untouched: -ENOENT, there is no zygote or it is not linked yet; another, it failed and is ended. */
int zygote_birth(struct supervisor *s, const struct node *n, struct newborn *out)
	__attribute__((warn_unused_result));

/* The spec's program has proved to work: lets there be a zygote, if the spec says so, and in a while its
 * standby. */
void zygote_provide(struct supervisor *s, const struct child_spec *spec);

/* At s->standbys_due_ms: asks each zygote that has none for a standby, ends those that were not linked
 * within start_timeout_ms, and comes again while one is being linked. */
void zygote_provide_standbys(struct supervisor *s);

/* Kills the spec's zygote and its standby, if there are any: the next child is the program as it is on
 * the disk. */
void zygote_discard(struct supervisor *s, const struct child_spec *spec);

/* A process ended, with that status of waitpid(), that is no node's: a zygote, a standby, whose socket is
 * removed, or an orphan. */
void zygote_exited(struct supervisor *s, pid_t pid, int status);

/* Kills all zygotes and standbys and waits for their ends. */
void zygote_discard_all(struct supervisor *s);

/* The environment of a child: ours without the secrets that its spec does not name, and what the
 * treaty promises. name: NULL for a zygote. Gives a block to free with child_env_free(). Returns 0 or
 * -ENOMEM. */
int child_env_new(const struct child_spec *spec, const char *name, uint64_t generation, char ***out)
	__attribute__((warn_unused_result));
void child_env_free(char ***env);

/* --- reap.c, memory.c, note.c, crash.c --- */

/* Takes leave of all processes that ended. */
void reap_all(struct supervisor *s);

/* Writes how a process ended, e.g. "exit 70 (panic)" or "killed by SIGKILL". */
void reap_describe(int status, char *buf, size_t size);

/* Kills and reaps what the children left behind when they ended: their own orphans. */
void reap_orphans(void);

/* Megabytes of memory that a process holds, 0 when that cannot be read. */
int64_t memory_resident_mb(pid_t pid);

/* Makes an empty note for a new child. Returns its descriptor or a negative errno. */
int note_new(void) __attribute__((warn_unused_result));

/* Reads what a child wrote down, closes *fd and sets it to -1. Its texts end, are printable, and
 * its counts are in range, whatever the child wrote. Without a note (-1) it is empty. */
void note_take(int *fd, struct control_note *out);

/* Reports a death: a line in the log, and a place among the reports that are kept. crash has what
 * the caller knows (death, code, was_up, uptime_ms, pid); what stands in note is added to it. Sets
 * n->own_fault and n->culprit. */
void crash_report(struct supervisor *s, struct node *n, struct control_crash *crash,
		  const struct control_note *note);

/* Serves NEXT_CRASH and CRASH_FRAME. Return 0 or -ENOENT. */
int crash_next(const struct supervisor *s, int64_t number, struct control_packet *reply);
int crash_frame(const struct supervisor *s, int64_t number_and_index, struct control_packet *reply);

/* Frees all reports. */
void crash_forget(struct supervisor *s);

/* --- control.c, request.c, news.c --- */

/* Takes over our end of a new child's socket. Returns 0 or a negative errno (fd is closed). */
int control_open(struct supervisor *s, struct node *n, int fd) __attribute__((warn_unused_result));

/* Forgets the link and whom it monitored. */
void control_close(struct supervisor *s, struct node *n);

/* Reads a bounded number of packets and acts on them. */
void control_read(struct supervisor *s, struct node *n);

/* Whether the child said something that we have not read, and would. */
bool control_has_unread(const struct node *n);

/* There is room in the socket again. */
void control_writable(struct supervisor *s, struct node *n);

/* Sends one packet, never blocking. Returns 0 or a negative errno; -EAGAIN: there is no room, and
 * control_writable() will be called. */
int control_send(struct supervisor *s, struct node *n, const struct control_packet *packet);

/* Sends an answer, behind those that wait for room. */
void control_reply(struct supervisor *s, struct node *n, const struct control_packet *reply);

/* Serves a request: fills in what its reply says. Returns false when it is answered later. */
bool request_serve(struct supervisor *s, struct node *from, const struct control_packet *request,
		   struct control_packet *reply);

/* --- children.c, askers.c, roll.c --- */

/* OTP's functions on a child of a supervisor; by is the one that asks. What they return, their
 * requests in proto/control.h say. */
int children_start(struct supervisor *s, const char *name);
int children_terminate(struct supervisor *s, const struct node *by, const char *name);
int children_restart(struct supervisor *s, const char *name);
int children_delete(struct supervisor *s, const struct node *by, const char *name);

/* from waits for the child to be up (or stopped) and is answered then. Returns 0, -ENOMEM, or -EBUSY
 * when too many wait for that child. */
int askers_add(struct node *n, const struct node *from, const struct control_packet *request)
	__attribute__((warn_unused_result));

/* The child came to be up: true, or to have ended: false. Those who wait for it are answered. */
void askers_answer(struct supervisor *s, struct node *n, bool up);

/* Whether somebody waits for its start: then a start that fails is not tried again, but said. */
bool askers_of_start(const struct node *n);

/* Stops the worker called name, or with "" one worker after the other in start order, and starts it
 * again when it has stopped; none of this counts as a restart. Returns 0, -ENOENT, -ESRCH (not up),
 * -EINVAL (a supervisor), -EBUSY (one is under way), -ESHUTDOWN. */
int roll_start(struct supervisor *s, const char *name);

/* A worker is up again, has failed to start, or left the tree: goes on or ends. */
void roll_step(struct supervisor *s);
void roll_fail(struct supervisor *s, const struct node *n);

/* From now on watcher hears of name. Returns 0, -ENOMEM or -ENOSPC (it monitors too many). */
int news_monitor(struct supervisor *s, struct node *watcher, const char *name)
	__attribute__((warn_unused_result));

/* The node went up or down: tells all who monitor it. */
void news_up(struct supervisor *s, const struct node *n);
void news_down(struct supervisor *s, const struct node *n);

/* Sends what watcher has not been told, as far as there is room. */
void news_flush(struct supervisor *s, struct node *watcher);

/* watcher monitors nobody any more. */
void news_forget(struct supervisor *s, struct node *watcher);

/* --- run_dir.c, signals.c, notify.c --- */

/* Makes RUN_DIR, locks it, takes leftover sockets away, writes supervisor.pid. Returns 0 or an exit
 * code; what is wrong is in the log. */
int run_dir_open(const char *path, int *dir_fd, int *lock_fd) __attribute__((warn_unused_result));

/* Whether RUN_DIR, at path, still is the directory that we locked: whoever removes it takes the lock
 * and the children's addresses away. */
bool run_dir_is_ours(const char *path, int dir_fd, int lock_fd);

/* Removes the socket of a generation that is gone. */
void run_dir_remove_socket(int dir_fd, const char *name, uint64_t generation);

/* Removes all that is ours, the lock last, and closes both. */
void run_dir_close(int *dir_fd, int *lock_fd);

/* Blocks the signals that the loop takes and makes the descriptor for them. Returns it or a
 * negative errno. *before: the mask to restore. */
int signals_open(sigset_t *before) __attribute__((warn_unused_result));

/* Which signals came. */
struct signals_seen {
	bool child;
	unsigned stops;	     /* SIGTERM and SIGINT together */
	unsigned interrupts; /* SIGINT */
};
void signals_read(int signal_fd, struct signals_seen *out);

/* In a child between fork and exec: an empty mask, default actions, SIGINT ignored. */
void signals_reset_in_child(void);

/* Tells systemd ("READY=1", "STOPPING=1", "WATCHDOG=1"), when it asked for it. */
void notify_send(const char *state);

/* How often systemd wants to hear WATCHDOG=1: a third of its limit. 0: not at all. */
int64_t notify_watchdog_ms(void);

#endif
