/* listener.c - see listener.h. civetweb does not tell its descriptors, so they are looked for. */
#include "gateway/listener.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#define TCP_FLAGS_OFFSET 13 /* in the header */
#define TCP_FLAG_SYN	 0x02
#define TCP_FLAG_ACK	 0x10

static bool is_at(int fd, int port)
{
	struct sockaddr_in address = {0};
	socklen_t len = sizeof(address);

	return getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
	       address.sin_family == AF_INET && ntohs(address.sin_port) == port;
}

static bool listens(int fd)
{
	int listening = 0;
	socklen_t len = sizeof(listening);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening;
}

/* Calls fn for each socket at port until it returns true; gives that one, or -1. */
static int each_socket(int port, bool (*fn)(int fd))
{
	DIR *fds = opendir("/proc/self/fd");
	const struct dirent *entry;
	int found = -1;

	if (fds == NULL)
		return -1;
	while (found < 0 && (entry = readdir(fds)) != NULL) {
		char *end;
		long fd = strtol(entry->d_name, &end, 10);

		if (end != entry->d_name && *end == '\0' && is_at((int)fd, port) && fn((int)fd))
			found = (int)fd;
	}
	(void)closedir(fds);
	return found;
}

int listener_find(int port)
{
	return each_socket(port, listens);
}

static bool hang_up(int fd)
{
	if (!listens(fd))
		(void)shutdown(fd, SHUT_RD); /* fails only for what is closed already */
	return false;
}

void listener_hang_up(int port)
{
	(void)each_socket(port, hang_up);
}

/* The filter of a TCP socket sees the segment from its header on. Only what opens a connection is
 * dropped: handshakes that have begun are let through, and end in the backlog. */
int listener_hush(int fd)
{
	struct sock_filter drop_openings[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_FLAGS_OFFSET),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TCP_FLAG_SYN | TCP_FLAG_ACK),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TCP_FLAG_SYN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	const struct sock_fprog program = {
		.len = sizeof(drop_openings) / sizeof(drop_openings[0]),
		.filter = drop_openings,
	};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return -errno;
	return 0;
}

/* For a socket that listens, the kernel counts its backlog in tcpi_unacked. */
size_t listener_backlog(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return 0;
	return info.tcpi_unacked;
}

void listener_shut(int fd)
{
	(void)shutdown(fd, SHUT_RD); /* fails only for what is closed already */
}
