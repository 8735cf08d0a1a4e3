/* request_id.h - the name under which a request is followed through all processes and logs. */
#ifndef GATEWAY_REQUEST_ID_H
#define GATEWAY_REQUEST_ID_H

/* What an envelope's trace may hold, and its NUL. */
#define REQUEST_ID_SIZE 65

/* Writes given, the header X-Request-ID or NULL, into id if it can be used (1 to 64 printable
 * characters, no space), else a new one. Returns id. */
char *request_id_of(const char *given, char id[REQUEST_ID_SIZE]);

/* Writes a new one, a random UUID. Returns id. */
char *request_id_new(char id[REQUEST_ID_SIZE]);

#endif
