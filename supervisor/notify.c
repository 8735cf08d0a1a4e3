/* notify.c - sd_notify(3) by hand: one datagram to the socket that systemd named. See node.h.
 *
 * The watchdog is fed from the loop, as a deadline among the others, so that a supervisor whose loop
 * does not turn any more is killed and started anew by systemd.
 */
#include "supervisor/node.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

int64_t notify_watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	int64_t us = usec == NULL ? 0 : strtoll(usec, NULL, 10);

	/* systemd names the process that it means; it may not be us but a shell around us. */
	if (us <= 0 || (pid != NULL && strtoll(pid, NULL, 10) != getpid()))
		return 0;
	return us / 3000 > 0 ? us / 3000 : 1;
}

void notify_send(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = path == NULL ? 0 : strlen(path);
	int fd;

	if (len == 0 || len >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, len);
	if (to.sun_path[0] == '@') /* an abstract name */
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
		   (const struct sockaddr *)&to,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warn("notify.failed", "state=%s", state);
	(void)close(fd);
}
