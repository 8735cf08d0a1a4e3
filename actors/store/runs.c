/* runs.c - a run of a scheduled search: its plan, its pages, its end.
 *
 * Each names the lease's token. When that is not the one in the row, another node may be running
 * the schedule, and nothing is written: the caller gets `conflict`.
 */
#include "actors/store/rows.h"
#include "actors/store/store.h"

/* A run asks HH from a little before the last one began, since HH's index lags behind, and from a
 * round time, so that identical searches of several users can share an answer. Once a day it asks
 * for everything: what the index had skipped, and what came back, is found then. */
#define OVERLAP	     "interval '10 minutes'"
#define ROUND_S	     "300"
#define WHOLE_EACH   "interval '24 hours'"

#define THE_INTERVAL "interval_s * interval '1 second'"
#define CLOCK_SLACK  "interval '1 minute'" /* what a primary and its standby may differ by */

static void refuse_lost(struct actor_call *call)
{
	actor_refuse(call, ERR_CONFLICT, "lease_token", "lease lost");
}

/* --- the plan --- */

/* What lies in the future was written by a clock that has been set back since: the run is due, and
 * asks for everything. The row is locked, so that a plan that is read while the schedule is being changed is of the
 * changed one. See demanded_at in schedules.c. */
/* clang-format off */
static const struct sql run_plan = {
	"run_plan",
	"select search, interval_s,"
	" case when next_run_at <= clock_timestamp() + " THE_INTERVAL " + " CLOCK_SLACK " then"
	"  ceil(greatest(0, extract(epoch from next_run_at - clock_timestamp()) * 1000))::bigint"
	"  else 0 end,"
	" fetched_from is null,"
	" case when full_at between clock_timestamp() - " WHOLE_EACH " and clock_timestamp() + " CLOCK_SLACK
	"  and fetched_from <= clock_timestamp() + " CLOCK_SLACK " then"
	"  floor(extract(epoch from fetched_from - " OVERLAP ") / " ROUND_S ")::bigint"
	"   * " ROUND_S " * 1000 end,"
	" " SQL_MS("clock_timestamp()") ", failures"
	" from schedules where user_id = $1::uuid and lease_token = $2::bigint"
	" for no key update",
};
/* clang-format on */

/* Answers with the plan that the unit's last statement read. */
static void answer_plan(struct unit *unit, const PGresult *rows)
{
	struct actor_call *call = unit_call(unit);
	struct run_plan plan;

	if (row_count(rows) == 0) {
		refuse_lost(call);
		return;
	}
	plan = (struct run_plan){
		.search = row_search(rows, 0, 0, actor_call_arena(call)),
		.interval_s = row_int(rows, 0, 1),
		.due_in_ms = row_int(rows, 0, 2),
		.first = row_bool(rows, 0, 3),
		.date_from_ms = row_opt_int(rows, 0, 4),
		.now_ms = row_int(rows, 0, 5),
		.failures = row_int(rows, 0, 6),
	};
	if (plan.search == NULL)
		actor_refuse(call, ERR_INTERNAL, NULL, "the stored search cannot be read");
	else
		actor_reply(call, &plan);
}

static void run_plan_done(struct actor *self, struct unit *unit)
{
	(void)self;
	answer_plan(unit, unit_result(unit, 0));
}

static void read_plan(struct unit *unit, const char *user_id, int64_t lease_token)
{
	unit_statement(unit, &run_plan);
	unit_text(unit, user_id);
	unit_int(unit, lease_token);
}

void store_on_run_plan(struct actor *self, struct actor_call *call, const void *request)
{
	const struct run_ref *run = request;
	struct unit *unit;

	unit = store_unit(self, call, run_plan_done);
	if (unit == NULL)
		return;
	read_plan(unit, run->user_id, run->lease_token);
	unit_submit(unit, false);
}

/* --- a page --------------------------------------------------------------------------------------
 *
 * One statement, so that it is one round trip without a decision in between. $1 is the message as
 * JSON, $2 whether the event is for the webhook too.
 *
 *   lease    the schedule, if the lease is still ours, locked: pages of one user come one by one
 *   page     the vacancies, each once
 *   wanted   those whose row is missing or differs. Most pages of most runs bring nothing new, and
 *            then nothing at all is written or locked here
 *   stored   their rows, in the order of their ids, so that two pages never wait for each other in
 *            a circle. A snippet does not overwrite what a vacancy's page had said
 *   seen     those that the user had not been told of
 *   event    the topic's next number, if there were any
 *   told     the event
 *   counted  the schedule's count of them
 *
 * A page that comes again finds everything in place and adds nothing.
 */

/* A hundred vacancies of this size fit into an event; a larger one is told without its description.
 */
#define TOLD_BYTES "65536"

/* What a page says of a vacancy: a search's item, or a vacancy's page, which alone has the texts.
 */
#define JOB_FACTS(of)                                                                              \
	"(" of ".title, " of ".company, " of ".salary, " of ".area, " of ".url, " of               \
	".has_test, " of ".test_required, " of ".employer_id, " of ".published_at, " of            \
	".archived)"
#define JOB_TEXTS(of) "(" of ".description, " of ".skills, " of ".full_description)"
#define KEEPS	      "j.full_description and not excluded.full_description"

/* clang-format off */
static const struct sql run_page = {
	"run_page",
	"with message as materialized (select $1::jsonb as body),"
	" lease as materialized ("
	"  select s.user_id, s.search ->> 'text' as query from schedules s, message m"
	"  where s.user_id = (m.body ->> 'user_id')::uuid"
	"   and s.lease_token = (m.body ->> 'lease_token')::bigint"
	"  for no key update of s),"
	" page as materialized ("
	"  select distinct on (id) e.n, e.job, r.*,"
	"   coalesce((job ->> 'archived')::boolean, false) as archived,"
	"   coalesce((job ->> 'full_description_loaded')::boolean, false) as full_description"
	"  from message, lease, jsonb_array_elements(body -> 'jobs') with ordinality as e (job, n),"
	"   jsonb_to_record(job) as r (id text, hh_vacancy_id text, title text, company text,"
	"    salary text, area text, url text, skills varchar[], description text,"
	"    has_test boolean, test_required boolean, employer_id text, published_at timestamptz)"
	"  order by id, n),"
	" wanted as materialized ("
	"  select p.* from page p left join jobs j on j.external_id = p.id"
	"  where j.id is null or " JOB_FACTS("j") " is distinct from " JOB_FACTS("p")
	"   or (p.full_description or not j.full_description)"
	"    and " JOB_TEXTS("j") " is distinct from " JOB_TEXTS("p") "),"
	" stored as ("
	"  insert into jobs as j (external_id, hh_vacancy_id, search_query, title, company, salary,"
	"   area, url, description, skills, has_test, test_required, employer_id, published_at,"
	"   archived, full_description)"
	"  select w.id, w.hh_vacancy_id, l.query, w.title, w.company, w.salary, w.area, w.url,"
	"   w.description, w.skills, w.has_test, w.test_required, w.employer_id, w.published_at,"
	"   w.archived, w.full_description"
	"  from wanted w, lease l order by w.id"
	"  on conflict (external_id) do update set title = excluded.title,"
	"   company = excluded.company, salary = excluded.salary, area = excluded.area,"
	"   url = excluded.url, has_test = excluded.has_test,"
	"   test_required = excluded.test_required, employer_id = excluded.employer_id,"
	"   published_at = excluded.published_at, archived = excluded.archived,"
	"   description = case when " KEEPS " then j.description else excluded.description end,"
	"   skills = case when " KEEPS " then j.skills else excluded.skills end,"
	"   full_description = j.full_description or excluded.full_description,"
	"   fetched_at = now(), updated_at = now()"
	"  returning 1),"
	" seen as ("
	"  insert into user_jobs (user_id, job_external_id)"
	"  select l.user_id, p.id from page p, lease l order by p.id"
	"  on conflict do nothing returning job_external_id),"
	" event as ("
	"  insert into topics as t (topic, last_seq)"
	"  select 'user:' || l.user_id, 1 from lease l where exists (select from seen)"
	"  on conflict (topic) do update set last_seq = t.last_seq + 1 returning topic, last_seq),"
	" told as ("
	"  insert into outbox (topic, seq, type, payload, webhook_due_at)"
	"  select e.topic, e.last_seq, 'new_jobs', jsonb_build_object("
	"    'jobs', (select jsonb_agg(case when octet_length(p.job::text) <= " TOLD_BYTES
	"      then p.job else p.job || '{\"description\": \"\"}' end order by p.n)"
	"     from page p join seen on seen.job_external_id = p.id),"
	"    'stats', jsonb_build_object('new', (select count(*) from seen),"
	"     'user_id', l.user_id,"
	"     'fetched_at', to_char(now() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'))),"
	"   case when $2::boolean then now() end"
	"  from event e, lease l returning topic, seq),"
	" counted as ("
	"  update schedules s set jobs_seen = s.jobs_seen + (select count(*) from seen)"
	"  from lease l where s.user_id = l.user_id and exists (select from seen))"
	" select (select count(*) from lease), (select count(*) from seen),"
	"  (select count(*) from stored),"
	"  (select pg_notify('" CHANNEL_EVENTS "', topic || ' ' || seq) from told)",
};
/* clang-format on */

static void run_page_done(struct actor *self, struct unit *unit)
{
	const PGresult *rows = unit_result(unit, 0);
	const struct run_page_stored reply = {
		.new_to_user = row_int(rows, 0, 1),
		.changed = row_int(rows, 0, 2),
	};

	(void)self;
	if (row_int(rows, 0, 0) == 0)
		refuse_lost(unit_call(unit));
	else
		actor_reply(unit_call(unit), &reply);
}

void store_on_run_page(struct actor *self, struct actor_call *call, const void *request)
{
	const struct run_page *page = request;
	struct store *store = actor_state(self);
	struct unit *unit;

	unit = store_unit(self, call, run_page_done);
	if (unit == NULL)
		return;
	unit_statement(unit, &run_page);
	unit_json(unit, RECORD_OF(run_page), page);
	unit_bool(unit, store->webhook);
	unit_submit(unit, false);
}

/* --- the end -------------------------------------------------------------------------------------
 *
 * $5 is when the run began. A report that comes again has the same, and is not counted twice. A run
 * that had begun before somebody asked for one (demanded_at) leaves the next one due, and, if it
 * was another search that was asked for, leaves no watermark.
 */

#define STARTED	     "to_timestamp($5::bigint / 1000.0)"
#define OUTDATED     "demanded_at > " STARTED
#define OTHER_SEARCH "(" OUTDATED " and fetched_from is null)"

/* clang-format off */
static const struct sql run_end = {
	"run_end",
	"update schedules set"
	" last_started = " STARTED ","
	" last_run_at = now(),"
	" last_status = case when $3::boolean then 'ok' else 'failed' end,"
	" last_error = case when not $3::boolean then $4::text end,"
	" runs = runs + $3::boolean::int,"
	" failures = case when $3::boolean then 0 else failures + 1 end,"
	" last_lag_ms = case when $3::boolean"
	"  then greatest(0, $5::bigint - " SQL_MS("next_run_at") ") else last_lag_ms end,"
	" fetched_from = case when $3::boolean and not " OTHER_SEARCH
	"  then " STARTED " else fetched_from end,"
	" full_at = case when $3::boolean and $6::boolean and not " OTHER_SEARCH
	"  then " STARTED " else full_at end,"
	" next_run_at = case when " OUTDATED " then next_run_at"
	"  when $3::boolean then"
	"   least(greatest(next_run_at, now() - " THE_INTERVAL "), now()) + " THE_INTERVAL
	"  else now() + coalesce($7::bigint * interval '1 ms', " THE_INTERVAL ") end"
	" where user_id = $1::uuid and lease_token = $2::bigint"
	"  and last_started is distinct from " STARTED,
};
/* clang-format on */

static void run_end_done(struct actor *self, struct unit *unit)
{
	(void)self;
	answer_plan(unit, unit_result(unit, 1));
}

void store_on_run_end(struct actor *self, struct actor_call *call, const void *request)
{
	const struct run_end *end = request;
	struct unit *unit;

	unit = store_unit(self, call, run_end_done);
	if (unit == NULL)
		return;
	unit_statement(unit, &run_end);
	unit_text(unit, end->user_id);
	unit_int(unit, end->lease_token);
	unit_bool(unit, end->ok);
	unit_text(unit, end->error);
	unit_int(unit, end->started_ms);
	unit_bool(unit, end->whole);
	unit_opt_int(unit, end->retry_in_ms);
	read_plan(unit, end->user_id, end->lease_token);
	unit_submit(unit, false);
}
