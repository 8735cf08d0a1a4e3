/* bare_civetweb.c - what civetweb alone can do: answers every request with the bytes of a file.
 *
 *     bare_civetweb FILE THREADS
 *
 * The peer of bench/http_bench.py: the gateway's options and bytes, and none of its work. Prints
 * its port, and ends with its standard input.
 */
#include <civetweb.h>
#include <stdio.h>
#include <unistd.h>

#define BYTES_MAX (4 * 1024 * 1024)

static char bytes[BYTES_MAX];
static size_t size;

static int on_request(struct mg_connection *conn)
{
	(void)mg_write(conn, bytes, size);
	return 200;
}

static size_t read_bytes(const char *path)
{
	FILE *file = fopen(path, "rb");
	size_t n;

	if (file == NULL)
		return 0;
	n = fread(bytes, 1, sizeof(bytes), file);
	(void)fclose(file);
	return n;
}

int main(int argc, char **argv)
{
	const struct mg_callbacks callbacks = {.begin_request = on_request};
	const char *options[] = {"listening_ports",
				 "127.0.0.1:0",
				 "num_threads",
				 argc == 3 ? argv[2] : "",
				 "enable_keep_alive",
				 "yes",
				 "keep_alive_timeout_ms",
				 "5000",
				 "tcp_nodelay",
				 "1",
				 "listen_backlog",
				 "1024",
				 NULL};
	struct mg_server_port port;
	struct mg_context *civetweb;
	char c;

	if (argc != 3 || (size = read_bytes(argv[1])) == 0) {
		(void)fprintf(stderr, "usage: bare_civetweb FILE THREADS\n");
		return 64;
	}
	civetweb = mg_start(&callbacks, NULL, options);
	if (civetweb == NULL || mg_get_server_ports(civetweb, 1, &port) != 1)
		return 71;
	(void)printf("%d\n", port.port);
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		continue;
	mg_stop(civetweb);
	return 0;
}
