-- Workflows: vacancies that a person wants to apply to, one after the other. The items are the BFF's
-- application_queue, into which the BFF may write as well; a workflow that only it knows gets its row when
-- it is first named here.
--
--   waiting --start--> running --> done           customize: prepares the items in any state that goes on
--                      running <--> paused        by the person, or by itself: paused_reason; resume_at: until then
--   any of them but done --cancel--> cancelled
--
-- An item: pending, customizing (is being prepared), ready, then as its application goes: submitting,
-- rate_limited, and at last submitted, failed or cancelled. What was prepared is in payload, as
-- customized_cv and cover_letter. An application is committed in the transaction that marks its item as
-- submitting, and a person has one item at a time in flight, over all workflows.
--
-- Whoever changes a workflow or an item locks the person's lane first (workflow_lock()), as 0010 has it.

create table workflows (
	id            uuid primary key,
	user_id       uuid not null,
	person        uuid not null,
	cv_id         uuid not null references cvs (id) on delete cascade,
	state         text not null default 'waiting'
	              check (state in ('waiting', 'running', 'paused', 'cancelled', 'done')),
	paused_reason text,
	resume_at     timestamptz,
	place         bigint generated always as identity,
	created_at    timestamptz not null default now(),
	started_at    timestamptz,
	finished_at   timestamptz
);

create index workflows_person on workflows (person, place);
create index workflows_resume on workflows (resume_at) where resume_at is not null;
create index workflows_cv_id on workflows (cv_id);

-- The order of insertion: rows of one transaction have the same created_at.
alter table application_queue add column place bigint generated always as identity;

create index application_queue_order on application_queue (workflow_id, priority desc, place);
create index application_queue_customizing on application_queue (place) where status = 'customizing';
create index application_queue_in_flight on application_queue (user_id)
	where status in ('submitting', 'rate_limited');

create function workflow_lock(p_person uuid) returns void language sql as $$
	insert into application_lanes as l (person, due_at) values (p_person, clock_timestamp())
	on conflict (person) do update set due_at = l.due_at
$$;

-- --- what is sent ------------------------------------------------------------------------------------

-- The fields of a CV under one spelling, first_name for firstName, without those that say nothing, so that
-- one CV can be laid over another.
create function cv_fields(p_cv jsonb) returns jsonb language sql immutable as $$
	select coalesce(jsonb_object_agg(
		trim(leading '_' from lower(regexp_replace(f.key, '([A-Z])', '_\1', 'g'))), f.value), '{}')
	from jsonb_each(case when jsonb_typeof(p_cv) = 'object' then p_cv else '{}' end) f
	where f.value not in ('null', '[]', '{}') and f.value::text !~ '^"(\s|\\[nrt])*"$'
$$;

-- What a resume for the vacancy says: what was parsed of the CV, and over it what was customized.
create function customized_cv(p_cv uuid, p_custom jsonb) returns jsonb language sql stable as $$
	select coalesce((
		-- The row that was parsed from this file; else the person's newest.
		select cv_fields(to_jsonb(p) - array['id', 'user_id', 'full_text', 'original_filename',
			'file_path', 'model_used', 'created_at', 'updated_at'])
		from parsed_cvs p where p.user_id = c.user_id
		order by p.file_path is not distinct from c.file_path desc,
			p.original_filename is not distinct from c.original_filename desc, p.created_at desc
		limit 1), '{}')
		|| (cv_fields(c.parsed_data) - 'full_text') || cv_fields(p_custom)
	from cvs c where c.id = p_cv
$$;

-- A letter for whoever wrote none, in the vacancy's language (without a vacancy, the CV's), of what is
-- known of both: no word of it is invented.
create function plain_letter(p_title text, p_company text, p_skills text[], p_description text, p_cv jsonb)
returns text language plpgsql immutable as $$
declare
	russian constant boolean := coalesce(p_title || ' ' || coalesce(p_description, ''),
		concat_ws(' ', p_cv ->> 'title', p_cv ->> 'first_name', p_cv ->> 'summary')) ~ '[а-яА-ЯёЁ]';
	person constant text := nullif(trim(concat_ws(' ', p_cv ->> 'first_name', p_cv ->> 'last_name')), '');
	profession constant text := nullif(trim(p_cv ->> 'title'), '');
	summary constant text := nullif(trim(case when jsonb_typeof(p_cv -> 'summary') = 'string'
		then p_cv ->> 'summary' end), '');
	contacts constant text := nullif(concat_ws(', ', p_cv ->> 'phone', p_cv ->> 'email'), '');
	skills text;
	parts text[];
begin
	-- Those that the vacancy names first.
	select string_agg(s.skill, ', ' order by s.named desc, s.n) into skills from (
		select min(x.n) as n, min(x.skill) as skill,
			bool_or(lower(x.skill) in (select lower(v) from unnest(p_skills) v)) as named
		from (select trim(e.skill) as skill, e.n from (
			select case jsonb_typeof(value) when 'object' then value ->> 'name' else value #>> '{}' end
				as skill, ordinality as n
			from jsonb_array_elements(
				case when jsonb_typeof(p_cv -> 'skills') = 'array' then p_cv -> 'skills' else '[]' end)
				with ordinality
			union all
			select skill, ordinality from unnest(regexp_split_to_array(
				case when jsonb_typeof(p_cv -> 'skills') = 'string' then p_cv ->> 'skills' end, '[,;\n]'))
				with ordinality as u (skill)) e) x
		where x.skill <> '' and length(x.skill) <= 100
		group by lower(x.skill) order by named desc, n limit 8) s;
	if russian then
		parts := array[
			'Здравствуйте!',
			case when p_title is null then 'Прошу рассмотреть мою кандидатуру на эту вакансию.'
			 when p_company is null then format('Меня заинтересовала вакансия «%s».', p_title)
			 else format('Меня заинтересовала вакансия «%s» в компании «%s».', p_title, p_company) end
			|| coalesce(' Моя специальность: ' || profession || '.', '')
			|| coalesce(' Мои навыки: ' || skills || '.', ''),
			left(summary, 1000),
			'С удовольствием расскажу о своём опыте подробнее.',
			concat_ws(E'\n', 'С уважением' || coalesce(E',\n' || person, ''), contacts)];
	else
		parts := array[
			'Hello,',
			case when p_title is null then 'Please consider me for this position.'
			 when p_company is null then format('I would like to apply for the position "%s".', p_title)
			 else format('I would like to apply for the position "%s" at %s.', p_title, p_company) end
			|| coalesce(' My profession: ' || profession || '.', '')
			|| coalesce(' My skills: ' || skills || '.', ''),
			left(summary, 1000),
			'I would be glad to tell you more about my experience.',
			concat_ws(E'\n', 'Kind regards' || coalesce(E',\n' || person, ''), contacts)];
	end if;
	return array_to_string(array_remove(parts, null), E'\n\n');
end
$$;

-- Prepares an item: its payload gets customized_cv and cover_letter, of what is in it already, else of the
-- newest custom_cvs of CV and vacancy, else of the CV. Its status is the caller's.
create function workflow_prepare(p_item uuid) returns application_queue language plpgsql as $$
declare
	item application_queue;
	job jobs;
	custom custom_cvs;
	given jsonb;
	cv jsonb;
	letter text;
begin
	select * into item from application_queue where id = p_item for update;
	select * into job from jobs where external_id = item.job_external_id;
	select * into custom from custom_cvs
	where cv_id = item.cv_id and job_id = coalesce(item.job_id, job.id)
	order by coalesce(updated_at, created_at) desc limit 1;
	given := cv_fields(item.payload);
	cv := customized_cv(item.cv_id, case when jsonb_typeof(given -> 'customized_cv') = 'object'
		then given -> 'customized_cv' else custom.customized_data end);
	letter := coalesce(nullif(trim(given ->> 'cover_letter'), ''), nullif(trim(custom.cover_letter), ''),
		plain_letter(job.title, nullif(trim(job.company), ''), job.skills::text[], job.description, cv));
	update application_queue set job_id = coalesce(job_id, job.id), updated_at = now(),
		payload = case when jsonb_typeof(payload) = 'object' then payload else '{}' end
			|| jsonb_strip_nulls(jsonb_build_object('customized_cv', cv,
			 'cover_letter', left(letter, 10000), 'custom_cv_id', custom.id))
	where id = p_item returning * into item;
	return item;
end
$$;

-- --- walking -----------------------------------------------------------------------------------------

-- Tells how far a workflow is, with p_type application_progress or customization_progress. p_item: what
-- it is about.
create function workflow_tell(p_flow workflows, p_type text, p_item application_queue) returns void
language sql as $$
	select tell_user(p_flow.user_id, p_type, jsonb_strip_nulls(jsonb_build_object(
		'workflow_id', p_flow.id, 'state', p_flow.state, 'paused_reason', p_flow.paused_reason,
		'completed', case p_type when 'application_progress' then n.over else n.prepared end,
		'total', n.total, 'submitted', n.submitted,
		'current_job', coalesce((select title from jobs where external_id = p_item.job_external_id),
			p_item.job_external_id),
		'job_external_id', p_item.job_external_id, 'status', p_item.status)))
	from (select count(*) as total, count(*) filter (where status = 'submitted') as submitted,
		count(*) filter (where status in ('submitted', 'failed', 'cancelled')) as over,
		count(*) filter (where status not in ('pending', 'customizing')) as prepared
		from application_queue where workflow_id = p_flow.id) n
$$;

-- An item that can be no application, e.g. whose letter is too long: it fails, and stops nobody else.
create function workflow_spoiled(p_item uuid) returns application_queue language sql as $$
	update application_queue set status = 'failed', last_error = 'bad_request', updated_at = now()
	where id = p_item returning *
$$;

-- Takes an application that waits from its item, in a workflow that goes on no more: it is cancelled if the
-- workflow made it, and goes on without the item if somebody else did.
create function workflow_let_go(p_application applications, p_state text) returns void
language plpgsql as $$
begin
	if p_application.workflow_id is not null then
		perform application_cancel(p_application.id);
		return;
	end if;
	update applications set queue_item_id = null where id = p_application.id;
	update application_queue set updated_at = now(),
		status = case p_state when 'cancelled' then 'cancelled' else 'ready' end
	where id = p_application.queue_item_id;
end
$$;

-- Sends the next item of a person who has none in flight: of the running workflows the one of the highest
-- priority, the first inserted. Workflows of which nothing is left are done. With the person locked.
create function workflow_next(p_person uuid) returns void language plpgsql as $$
declare
	item application_queue;
	flow workflows;
	app applications;
begin
	-- Whatever else may have written that, an item is in flight with its application.
	update application_queue q set status = 'ready', updated_at = now()
	where q.user_id = p_person and q.status in ('submitting', 'rate_limited') and not exists (
		select from applications a where a.queue_item_id = q.id
		 and (a.lease_token is not null or a.next_attempt_at is not null));
	loop
		perform 1 from application_queue
		where user_id = p_person and status in ('submitting', 'rate_limited') limit 1;
		exit when found;
		select q.* into item from application_queue q join workflows w on w.id = q.workflow_id
		where w.person = p_person and w.state = 'running'
		 and q.status in ('pending', 'customizing', 'ready')
		order by q.priority desc, q.place limit 1;
		exit when not found;
		select * into flow from workflows where id = item.workflow_id;
		begin
			if item.status <> 'ready' or item.payload -> 'cover_letter' is null then
				item := workflow_prepare(item.id);
			end if;
			app := application_put(flow.user_id, item.job_external_id,
				item.payload -> 'customized_cv', item.payload ->> 'cover_letter', null,
				item.priority, flow.id, item.id);
		exception when data_exception or program_limit_exceeded then
			item := workflow_spoiled(item.id);
			perform workflow_tell(flow, 'application_progress', item);
			continue;
		end;
		if app.status <> 'submitted' and not exists (
			select from application_queue where id = app.queue_item_id) then
			-- Under way, of somebody who has applied without a workflow or of one that is deleted.
			update applications set queue_item_id = item.id,
				workflow_id = case when workflow_id is not null then flow.id end
			where id = app.id returning * into app;
		end if;
		update application_queue set updated_at = now(), attempts = app.attempts, last_error = null,
			status = case when app.status in ('submitted', 'rate_limited') then app.status
			 when app.queue_item_id = item.id then 'submitting' else 'failed' end
		where id = item.id returning * into item;
		if item.status = 'failed' then -- another item's is under way
			update application_queue set last_error = 'already_applied' where id = item.id;
		end if;
		perform workflow_tell(flow, 'application_progress', item);
	end loop;
	update workflows w set state = 'done', finished_at = now()
	where w.person = p_person and w.state = 'running' and not exists (
		select from application_queue q where q.workflow_id = w.id
		 and q.status not in ('submitted', 'failed', 'cancelled'));
end
$$;

-- Pauses a person's running workflows for a reason that is the same for all of them. HH counts the
-- applications of the last 24 hours: one more is possible when the oldest of ours is older.
create function workflow_pause_all(p_person uuid, p_reason text) returns void language sql as $$
	update workflows set state = 'paused', paused_reason = p_reason,
		resume_at = case when p_reason = 'limit_exceeded' then greatest(
			clock_timestamp() + interval '15 minutes', coalesce(
			(select min(a.submitted_at) at time zone 'UTC' + interval '24 hours' from applications a
			 where a.person = p_person and a.idempotency_key is not null and a.status = 'submitted'
			  and a.submitted_at > now() at time zone 'UTC' - interval '24 hours'),
			clock_timestamp() + interval '1 hour')) end
	where person = p_person and state = 'running'
$$;

-- An item goes as its application goes; see 0010.
create or replace function application_moved(p_application applications) returns void
language plpgsql as $$
declare
	a alias for p_application;
	item application_queue;
	flow workflows;
	before text;
	person_needed constant boolean := a.status in ('failed', 'dead') and a.error_code in
		('hh_login_required', 'hh_closed', 'hh_captcha', 'limit_exceeded');
begin
	select * into item from application_queue where id = a.queue_item_id for update;
	select * into flow from workflows where id = item.workflow_id;
	if flow.id is null then -- deleted, with its CV
		if a.next_attempt_at is not null and a.workflow_id is not null then
			perform application_cancel(a.id);
		elsif a.next_attempt_at is null and a.lease_token is null then
			perform workflow_next(a.person);
		end if;
		return;
	end if;
	before := item.status;
	update application_queue set updated_at = now(), attempts = a.attempts,
		last_error = a.error_code,
		next_run_at = coalesce(a.rate_limited_until, a.next_attempt_at at time zone 'UTC', next_run_at),
		status = case
			when a.status = 'pending' then 'submitting'
			when flow.state = 'cancelled' and (person_needed or a.status = 'cancelled') then 'cancelled'
			when person_needed or (a.status = 'cancelled' and flow.state = 'paused') then 'ready'
			when a.status = 'dead' then 'failed'
			else a.status end
	where id = item.id returning * into item;
	if person_needed and flow.state = 'running' then
		perform workflow_pause_all(flow.person, a.error_code);
		select * into flow from workflows where id = flow.id;
	end if;
	if item.status <> before then
		perform workflow_tell(flow, 'application_progress', item);
	end if;
	if a.next_attempt_at is not null and flow.state in ('paused', 'cancelled') then
		perform workflow_let_go(a, flow.state); -- it was in flight then, and is not now
	elsif item.status not in ('submitting', 'rate_limited') then
		perform workflow_next(flow.person);
	end if;
end
$$;

-- --- what a person asks for ----------------------------------------------------------------------

-- Finds a workflow, p_user's if it is given, and makes its row where only the BFF's items are there.
create function workflow_find(p_id uuid, p_user uuid) returns workflows language plpgsql as $$
declare
	flow workflows;
begin
	insert into workflows (id, user_id, person, cv_id)
	select q.workflow_id, q.user_id, person_of(q.user_id), q.cv_id
	from application_queue q where q.workflow_id = p_id order by q.place limit 1
	on conflict (id) do nothing;
	select * into flow from workflows
	where id = p_id and (p_user is null or user_id = p_user or person = person_of(p_user));
	return flow;
end
$$;

-- Puts vacancies into a workflow, p_id, which is made if it is not there. One that the person has in a
-- workflow already is left out, unless it failed there. Gives how many were added; null, with a field:
-- that is not the user's. The same again adds nothing, and gives the same.
create function workflow_add(p_id uuid, p_user uuid, p_cv uuid, p_vacancies text[], out added bigint,
	out wrong text) language plpgsql as $$
declare
	who constant uuid := person_of(p_user);
	flow workflows;
begin
	perform workflow_lock(who);
	if not exists (select from cvs where id = p_cv and user_id = who) then
		wrong := 'cv_id';
		return;
	end if;
	perform workflow_find(p_id, null);
	insert into workflows (id, user_id, person, cv_id) values (p_id, p_user, who, p_cv)
	on conflict (id) do nothing;
	select * into flow from workflows where id = p_id;
	if flow.person <> who or flow.state = 'cancelled' then
		wrong := 'workflow_id';
		return;
	end if;
	insert into application_queue (workflow_id, user_id, cv_id, job_id, job_external_id)
	select p_id, who, p_cv, (select id from jobs where external_id = v.id), v.id
	from (select id, min(n) as n from unnest(p_vacancies) with ordinality as u (id, n) group by id) v
	where not exists (select from application_queue q join workflows w on w.id = q.workflow_id
		where w.person = who and q.job_external_id = v.id and q.status not in ('failed', 'cancelled'))
	order by v.n;
	get diagnostics added = row_count;
	if added = 0 then -- said twice?
		select count(*) into added from application_queue
		where workflow_id = p_id and job_external_id = any (p_vacancies)
		 and created_at > now() at time zone 'UTC' - interval '1 minute';
	end if;
	if flow.state = 'done' and added > 0 then
		update workflows set state = 'waiting', finished_at = null where id = p_id;
	end if;
	perform workflow_next(who);
end
$$;

-- Does p_verb: start, resume, pause, cancel, customize or look. Gives null, or not_found or conflict.
create function workflow_do(p_id uuid, p_user uuid, p_verb text) returns text language plpgsql as $$
declare
	flow workflows := workflow_find(p_id, p_user);
begin
	if flow.id is null then
		return 'not_found';
	elsif p_verb = 'look' then
		return null;
	end if;
	perform workflow_lock(flow.person);
	select * into flow from workflows where id = p_id;
	if flow.state = 'cancelled' then
		return case when p_verb <> 'cancel' then 'conflict' end;
	elsif flow.state = 'done' and p_verb in ('pause', 'cancel') then
		return null;
	end if;

	if p_verb in ('start', 'resume', 'customize') then
		update application_queue set status = 'customizing', updated_at = now()
		where workflow_id = p_id and status = 'pending';
	end if;
	if p_verb in ('start', 'resume') then
		update workflows set state = 'running', paused_reason = null, resume_at = null,
			user_id = coalesce(p_user, user_id), started_at = coalesce(started_at, now())
		where id = p_id;
	elsif p_verb = 'pause' then
		update workflows set state = 'paused', paused_reason = null, resume_at = null
		where id = p_id returning * into flow;
	elsif p_verb = 'cancel' then
		update workflows set state = 'cancelled', paused_reason = null, resume_at = null,
			finished_at = now()
		where id = p_id returning * into flow;
		update application_queue set status = 'cancelled', updated_at = now()
		where workflow_id = p_id and status in ('pending', 'customizing', 'ready');
	end if;
	if p_verb in ('pause', 'cancel') then -- what waits in the durable queue; what is in flight goes on
		perform workflow_let_go(a, flow.state) from application_queue q
		join applications a on a.queue_item_id = q.id
		where q.workflow_id = p_id and q.status in ('submitting', 'rate_limited')
		 and a.next_attempt_at is not null;
	end if;
	perform workflow_next(flow.person);
	return null;
end
$$;

-- What happens by itself: workflows that paused until now go on, and up to p_limit items are prepared.
-- Gives how many: 0, nothing is left to do.
create function workflow_work(p_limit integer) returns bigint language plpgsql as $$
declare
	flow workflows;
	who uuid;
	item application_queue;
	done bigint := 0;
begin
	for flow in select * from workflows where resume_at <= clock_timestamp() order by person limit p_limit
	loop
		perform workflow_lock(flow.person);
		update workflows set state = 'running', paused_reason = null, resume_at = null
		where id = flow.id and state = 'paused' and resume_at <= clock_timestamp();
		if found then
			perform workflow_next(flow.person);
			done := done + 1;
		end if;
	end loop;
	if done > 0 then
		return done;
	end if;

	select user_id into who from application_queue where status = 'customizing'
	order by place limit 1;
	if not found then
		return 0;
	end if;
	perform workflow_lock(who);
	for item in
		select * from application_queue where status = 'customizing' and user_id = who
		order by priority desc, place limit p_limit
	loop
		begin
			item := workflow_prepare(item.id);
			update application_queue set status = 'ready' where id = item.id
			returning * into item;
		exception when data_exception or program_limit_exceeded then
			item := workflow_spoiled(item.id);
		end;
		done := done + 1;
		perform workflow_tell(w, 'customization_progress', item) from workflows w
		where w.id = item.workflow_id;
	end loop;
	return done;
end
$$;

-- When a person's running workflows will be done, as the bucket fills; null when none is running.
create function workflow_estimate(p_person uuid, p_capacity integer, p_per_hour integer)
returns timestamptz language sql volatile as $$
	select clock_timestamp() + ceil(greatest(0, o.unpaid - p.tokens) * 3600000 / p_per_hour
		+ o.all_open * 2000) * interval '1 ms'
	from (select count(*) as all_open, count(*) filter (where a.token_at is null) as unpaid
		from application_queue q join workflows w on w.id = q.workflow_id
		left join applications a on a.queue_item_id = q.id
		where w.person = p_person and w.state = 'running'
		 and q.status not in ('submitted', 'failed', 'cancelled')) o,
	 limiter_peek(p_person, 'application', 1, p_capacity, p_per_hour) p
	where o.all_open > 0
$$;

create function workflows_of_deleted_user() returns trigger language plpgsql as $$
begin
	delete from workflows where person = old.id;
	return null;
end
$$;

create trigger workflows_of_deleted_user after delete on users
for each row execute function workflows_of_deleted_user();
