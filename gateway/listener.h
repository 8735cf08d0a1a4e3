/* listener.h - the sockets of civetweb, to end them without losing anybody.
 *
 * Closing a listening socket resets the connections that the kernel has accepted and the program
 * has not; civetweb closes its at once when it is stopped. So before that the kernel is told to
 * ignore new ones (their clients try again within a second, and meet the next server or a refusal),
 * and what it had accepted is waited for.
 *
 * Then those connections are left that are kept alive and idle. civetweb notices in two seconds
 * only that it is stopped, and resets whoever sends a request meanwhile, so they are hung up first.
 */
#ifndef GATEWAY_LISTENER_H
#define GATEWAY_LISTENER_H

#include <stddef.h>

/* The descriptor of this process that listens on TCP port over IPv4; -1: none. Borrowed: it is
 * civetweb's. */
int listener_find(int port);

/* From now on the kernel ignores new connections on fd. Returns 0 or a negative errno. */
int listener_hush(int fd) __attribute__((warn_unused_result));

/* How many connections the kernel has accepted that the program has not; 0 when unknown. */
size_t listener_backlog(int fd);

/* Wakes whoever polls fd, and refuses new connections. What is in the backlog is lost. */
void listener_shut(int fd);

/* Ends the reading side of the connections at port: those that wait for a request find that there
 * is none, and are closed at once. What has come is still read, and answered. */
void listener_hang_up(int port);

#endif
