/* print.c - tables and lines for people; see print.h. */
#include "cli/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* A question mark for each control character but newline and tab, C1 ones (U+0080 to U+009F, two
 * bytes of UTF-8) included. */
static void blunt(char *s)
{
	for (unsigned char *p = (unsigned char *)s; *p != '\0'; p++) {
		if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
			p[0] = p[1] = '?';
		else if ((p[0] < ' ' && p[0] != '\n' && p[0] != '\t') || p[0] == 0x7f)
			p[0] = '?';
	}
}

static void blunt_string(json_t *string)
{
	char *copy = strdup(json_string_value(string));

	if (copy == NULL)
		return;
	blunt(copy);
	(void)json_string_set_nocheck(string, copy);
	free(copy);
}

void print_make_safe(json_t *value)
{
	const char *key;
	json_t *inner;
	size_t i;

	if (json_is_string(value))
		blunt_string(value);
	json_array_foreach(value, i, inner)
	{
		print_make_safe(inner);
	}
	json_object_foreach(value, key, inner)
	{
		print_make_safe(inner);
	}
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value == NULL ? "-" : value;
}

static int64_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* "3d 4h", "5m 12s", "0.4s": as much as an eye takes in. */
static const char *duration(int64_t ms, char buf[32])
{
	int64_t s = ms / 1000;

	if (s < 10)
		(void)snprintf(buf, 32, "%.1fs", (double)ms / 1000);
	else if (s < 60)
		(void)snprintf(buf, 32, "%" PRId64 "s", s);
	else if (s < 3600)
		(void)snprintf(buf, 32, "%" PRId64 "m %" PRId64 "s", s / 60, s % 60);
	else if (s < 86400)
		(void)snprintf(buf, 32, "%" PRId64 "h %" PRId64 "m", s / 3600, s % 3600 / 60);
	else
		(void)snprintf(buf, 32, "%" PRId64 "d %" PRId64 "h", s / 86400, s % 86400 / 3600);
	return buf;
}

void print_json(const json_t *reply)
{
	(void)json_dumpf(reply, stdout, JSON_INDENT(2));
	(void)putchar('\n');
}

void print_done(const json_t *reply)
{
	(void)reply;
	(void)puts("done");
}

static void print_child(const json_t *child)
{
	const char *supervisor = text(child, "supervisor");
	char up[32];
	char name[80];

	(void)snprintf(name, sizeof(name), "%s%s", supervisor[0] == '\0' ? "" : "  ",
		       text(child, "name"));
	(void)printf("%-46s %-11s %8" PRId64 " %8" PRId64 " %9s  %s\n", name, text(child, "state"),
		     number(child, "pid"), number(child, "restarts"),
		     number(child, "uptime_ms") == 0 ? "-"
						     : duration(number(child, "uptime_ms"), up),
		     json_object_get(child, "last_exit") == NULL ? "" : text(child, "last_exit"));
}

void print_tree(const json_t *reply)
{
	const json_t *children = json_object_get(reply, "children");
	const json_t *child;
	char up[32];
	size_t i;

	(void)printf("node %s, version %s, up %s\n\n", text(reply, "node"), text(reply, "version"),
		     duration(number(reply, "uptime_ms"), up));
	(void)printf("%-46s %-11s %8s %8s %9s  %s\n", "ACTOR", "STATE", "PID", "RESTARTS", "UP",
		     "LAST END");
	json_array_foreach(children, i, child)
	{
		print_child(child);
	}
}

void print_killed(const json_t *reply)
{
	(void)printf("killed %s, pid %" PRId64 "\n", text(reply, "name"), number(reply, "pid"));
}

void print_restarting(const json_t *reply)
{
	(void)printf("restarting %zu, one after the other\n",
		     json_array_size(json_object_get(reply, "children")));
}

static void print_crash(const json_t *crash)
{
	const json_t *frames = json_object_get(crash, "backtrace");
	char when[CLOCK_ISO8601_SIZE];
	char time[32];
	const json_t *frame;
	size_t i;

	(void)printf("%s  %s.%" PRId64 "  %s, ", clock_iso8601(number(crash, "at_ms"), when),
		     text(crash, "name"), number(crash, "generation"), text(crash, "reason"));
	if (json_is_true(json_object_get(crash, "was_up")))
		(void)printf("up for %s\n", duration(number(crash, "uptime_ms"), time));
	else
		(void)printf("before it was ready\n");
	if (json_object_get(crash, "method") != NULL)
		(void)printf("    in hand: %s %s from %s, trace %s, for %s%s\n",
			     text(crash, "doing"), text(crash, "method"), text(crash, "from"),
			     text(crash, "trace"), duration(number(crash, "held_ms"), time),
			     json_is_true(json_object_get(crash, "blamed")) ? "; it died of it"
									    : "");
	else if (json_object_get(crash, "doing") != NULL)
		(void)printf("    in hand: %s\n", text(crash, "doing"));
	json_array_foreach(frames, i, frame)
	{
		(void)printf("    #%-2zu %s\n", i, json_string_value(frame));
	}
}

void print_crashes(const json_t *reply)
{
	const json_t *crash;
	size_t i;

	json_array_foreach(json_object_get(reply, "crashes"), i, crash)
	{
		print_crash(crash);
	}
	if (i == 0)
		(void)puts("no actor has died since the server was started");
}

void print_jobs(const json_t *reply)
{
	const json_t *jobs = json_object_get(reply, "jobs");
	const json_t *job;
	size_t i;

	json_array_foreach(jobs, i, job)
	{
		(void)printf("%-12s %s\n             %s, %s, %s\n", text(job, "id"),
			     text(job, "title"), text(job, "company"), text(job, "area"),
			     text(job, "salary"));
	}
	(void)printf("%zu of %" PRId64 " found, page %" PRId64 " of %" PRId64 "\n",
		     json_array_size(jobs), number(reply, "found"), number(reply, "page") + 1,
		     number(reply, "pages"));
}

void print_job(const json_t *reply)
{
	const json_t *job = json_object_get(reply, "job");
	const json_t *skill;
	size_t i;

	(void)printf("%s\n%s, %s, %s\n%s\n", text(job, "title"), text(job, "company"),
		     text(job, "area"), text(job, "salary"), text(job, "url"));
	json_array_foreach(json_object_get(job, "skills"), i, skill)
	{
		(void)printf("%s%s", i == 0 ? "skills: " : ", ", json_string_value(skill));
	}
	(void)printf("\n\n%s\n", text(job, "description"));
}

static void print_schedule_row(const json_t *schedule)
{
	char *search = json_dumps(json_object_get(schedule, "search"), JSON_COMPACT);
	char lag[32];
	char when[CLOCK_ISO8601_SIZE];

	(void)printf("%s every %" PRId64 "s %s runs=%" PRId64 " jobs=%" PRId64 " last=%s next=%s "
		     "lag=%s%s%s\n    %s\n",
		     text(schedule, "user_id"), number(schedule, "interval_s"),
		     json_is_true(json_object_get(schedule, "paused")) ? "paused" : "active",
		     number(schedule, "runs"), number(schedule, "jobs_seen"),
		     text(schedule, "last_status"),
		     clock_iso8601(number(schedule, "next_run_ms"), when),
		     duration(number(schedule, "lag_ms"), lag),
		     json_is_string(json_object_get(schedule, "last_error")) ? " error=" : "",
		     json_is_string(json_object_get(schedule, "last_error"))
			     ? text(schedule, "last_error")
			     : "",
		     search == NULL ? "" : search);
	free(search);
}

void print_bucket(const json_t *reply)
{
	(void)printf("%.2f of %" PRId64 " tokens, %g an hour, the next at %s; %" PRId64
		     " applications today\n",
		     json_number_value(json_object_get(reply, "tokens")), number(reply, "capacity"),
		     json_number_value(json_object_get(reply, "refill_rate")),
		     text(reply, "next_refill"), number(reply, "applications_today"));
}

void print_schedule(const json_t *reply)
{
	print_schedule_row(reply);
}

void print_schedules(const json_t *reply)
{
	const json_t *schedules = json_object_get(reply, "schedules");
	const json_t *schedule;
	char lag[32];
	size_t i;

	json_array_foreach(schedules, i, schedule)
	{
		print_schedule_row(schedule);
	}
	(void)printf("%" PRId64 " schedules, %" PRId64 " overdue, the latest by %s\n",
		     number(reply, "total"), number(reply, "overdue"),
		     duration(number(reply, "max_lag_ms"), lag));
}

void print_application(const json_t *reply)
{
	static const char *const shown[] = {"resume_id",     "negotiation_id", "submitted_at",
					    "external_url",  "retry_at",       "error",
					    "error_message", "idempotency_key"};

	(void)printf("%s: vacancy %s, %s\n", text(reply, "id"), text(reply, "job_external_id"),
		     text(reply, "status"));
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		if (json_is_string(json_object_get(reply, shown[i])))
			(void)printf("  %-16s %s\n", shown[i], text(reply, shown[i]));
}

void print_applications(const json_t *reply)
{
	const json_t *applications = json_object_get(reply, "applications");
	const json_t *one;
	size_t i;

	(void)printf("%-36s %-36s %-12s %-12s %5s  %-24s  %s\n", "APPLICATION", "USER", "VACANCY",
		     "STATUS", "TRIES", "CREATED", "WHY");
	json_array_foreach(applications, i, one)
	{
		(void)printf("%-36s %-36s %-12s %-12s %5" PRId64 "  %-24s  %s\n", text(one, "id"),
			     text(one, "user_id"), text(one, "job_external_id"),
			     text(one, "status"), number(one, "attempts"), text(one, "created_at"),
			     json_is_string(json_object_get(one, "error")) ? text(one, "error")
									   : "");
	}
	(void)printf("%zu of %" PRId64 "\n", json_array_size(applications), number(reply, "total"));
}
