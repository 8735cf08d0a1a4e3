/* sandbox.h - what an actor may do besides talking to the tree, and how everything else is taken from it.
 *
 * An actor's spec declares it (struct actor_spec, may). The least is what all have: threads, the sockets
 * and files of RUN_DIR, a little of /proc. Nobody may start a program or a process, signal others, look into
 * them, or change anything of the system. docs/decisions/0014 says why, and what is left open.
 */
#ifndef ACTORS_RUNTIME_SANDBOX_H
#define ACTORS_RUNTIME_SANDBOX_H

enum sandbox_may {
	MAY_CONNECT =
		1,	/* to the network: sockets, names, and the system's files that these need */
	MAY_LISTEN = 2, /* to the network: accept connections */
	MAY_READ = 4, /* every file that its user may, as libraries do whose settings name files */
};

#define SANDBOX_MISSING 1 /* the kernel cannot do it: we go on without */

/* Confines the calling thread, and those that it will make, to the files and connections that may (a sum of
 * enum sandbox_may) names: Landlock. For good; to be called before there are other threads. Of what an older
 * kernel has not, connections may be left out. Returns 0, SANDBOX_MISSING, or a negative errno. */
int sandbox_files(unsigned may) __attribute__((warn_unused_result));

/* Makes what sandbox_calls() needs and keeps it: a zygote does it for all its copies. For one value of may in
 * the life of the process. Returns 0 or a negative errno. */
int sandbox_prepare(unsigned may) __attribute__((warn_unused_result));

/* Refuses all threads of the process the system calls that nobody needs: seccomp. For good. What is refused
 * fails with EPERM. Returns 0, SANDBOX_MISSING, or a negative errno. */
int sandbox_calls(unsigned may) __attribute__((warn_unused_result));

#endif
