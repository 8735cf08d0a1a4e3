/* print.h - replies for people, on standard output. Each takes the reply of its message as JSON. */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <jansson.h>

void print_json(const json_t *reply); /* the reply itself, indented: what --json gives */

/* Takes what could steer a terminal out of all texts of reply: titles and names come from
 * strangers. (--json has them as \u001b and the like.) */
void print_make_safe(json_t *reply);

void print_tree(const json_t *reply);
void print_killed(const json_t *reply);
void print_restarting(const json_t *reply);
void print_crashes(const json_t *reply);
void print_jobs(const json_t *reply);
void print_job(const json_t *reply);
void print_schedule(const json_t *reply);
void print_schedules(const json_t *reply);
void print_bucket(const json_t *reply);
void print_application(const json_t *reply);
void print_applications(const json_t *reply);
void print_done(const json_t *reply);

#endif
