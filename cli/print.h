/* print.h - replies for people, on standard output. Each takes the reply of its message as JSON. */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <jansson.h>

void print_json(const json_t *reply); /* the reply itself, indented: what --json gives */
void print_tree(const json_t *reply);
void print_killed(const json_t *reply);
void print_jobs(const json_t *reply);
void print_job(const json_t *reply);
void print_schedule(const json_t *reply);
void print_schedules(const json_t *reply);
void print_done(const json_t *reply);

#endif
