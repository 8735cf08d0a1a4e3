/* exit_codes.h - how a process of the tree says why it ended, for the supervisor and for systemd.
 *
 * The numbers follow sysexits(3) where it has a fitting one. The supervisor restarts a child after
 * any of them but EXIT_CONFIG: a configuration that is wrong stays wrong however often it is read.
 */
#ifndef BASE_EXIT_CODES_H
#define BASE_EXIT_CODES_H

enum exit_code {
	EXIT_OK = 0,
	EXIT_USAGE = 64,       /* the command line was not understood */
	EXIT_UNAVAILABLE = 69, /* what was asked for cannot be had now */
	EXIT_PANIC = 70,       /* a promise in our own code was broken */
	EXIT_WORLD = 71,   /* the operating system or a service failed us: a fresh start may help */
	EXIT_GAVE_UP = 75, /* the root supervisor passed its restart intensity */
	EXIT_CONFIG = 78,  /* settings are wrong: do not restart */
};

#endif
