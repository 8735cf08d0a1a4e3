-- The durable queue of applications: each is sent to HH once, one of a person at a time, each for one
-- token of the rate limit. Any number of submitters on any number of nodes work on it.
--
-- An application is ours when it has an idempotency_key; one without was inserted by the BFF and is only
-- kept. The user may be one that only a session knows, so there is no foreign key; person is whose
-- bucket, keys and turn it is (a user and all sessions of that user are one).
--
--   pending, rate_limited           waits: next_attempt_at is set
--   submitting                      in flight: lease_token is set, and held until lease_until
--   submitted, failed, dead, cancelled     over. dead: time did not mend it
--
-- token_at is when its token of the rate limit was spent: in the transaction of the first claim, and
-- never again. sent_at is committed before the request that applies is sent, and taken back when HH is
-- known not to have acted on it: where it is set, HH is asked before anything is sent again. attempts
-- counts claims, failures those that ended with a retry. resume_made_at: HH may not find such a resume yet.
--
-- A lane is a person's turn, and its row the lock of all that changes what waits or is in flight for the
-- person: whoever does locks the lane first. due_at is when to look at it: when the next application may
-- be due, at the end of the lease of the one in flight (busy), or when there may be a token (limited).

create sequence application_lease_tokens;
create sequence application_places;

alter table applications
	drop constraint applications_user_id_fkey,
	add column person          uuid,
	add column idempotency_key text,
	add column customized_cv   jsonb,
	add column priority        integer not null default 0,
	add column place           bigint not null default nextval('application_places'),
	add column attempts        integer not null default 0,
	add column failures        integer not null default 0,
	add column next_attempt_at timestamptz,
	add column token_at        timestamptz,
	add column sent_at         timestamptz,
	add column resume_made_at  timestamptz,
	add column resume_replaced boolean not null default false,
	add column lease_node      text,
	add column lease_token     bigint,
	add column lease_until     timestamptz,
	add column workflow_id     uuid,
	add column queue_item_id   uuid,
	add column external_url    text,
	add column error_code      text,
	add column error_details   jsonb;

alter sequence application_places owned by applications.place;

create unique index applications_key on applications (person, idempotency_key)
	where idempotency_key is not null;
-- At most one of a person is in flight, whatever else goes wrong.
create unique index applications_in_flight on applications (person) where lease_token is not null;
-- The order within a person. What was begun is finished first.
create index applications_waiting on applications (person, (token_at is null), priority desc, place)
	where next_attempt_at is not null;
create index applications_place on applications (place);
create index applications_queue_item on applications (queue_item_id) where queue_item_id is not null;
create index applications_submitted on applications (person, job_external_id)
	where idempotency_key is not null and status = 'submitted';
create index applications_old on applications (updated_at)
	where idempotency_key is not null and lease_token is null and next_attempt_at is null;

create table application_lanes (
	person  uuid primary key,
	due_at  timestamptz not null,
	busy    boolean not null default false,
	limited boolean not null default false
) with (fillfactor = 50);

create index application_lanes_due on application_lanes (due_at);

create function applications_of_deleted_user() returns trigger language plpgsql as $$
begin
	delete from applications where user_id = old.id;
	return null;
end
$$;

create trigger applications_of_deleted_user after delete on users
for each row execute function applications_of_deleted_user();

-- A vacancy takes the BFF's applications with it. Ours are why it is never applied to again.
create function applications_of_deleted_job() returns trigger language plpgsql as $$
begin
	update applications set job_id = null where job_id = old.id and idempotency_key is not null;
	return old;
end
$$;

create trigger applications_of_deleted_job before delete on jobs
for each row execute function applications_of_deleted_job();

-- Rings the submitters of all nodes; many within a transaction are one.
create function applications_ring() returns void language sql as $$
	select pg_notify('ugtj_applications', '')
$$;

-- tell_user() for many at once: p_events is an array of {user, type, data}.
create function tell_users(p_events jsonb) returns void language plpgsql as $$
declare
	rung bigint;
begin
	with events as materialized (
		select 'user:' || (e.event ->> 'user') as topic, e.event ->> 'type' as type,
			row_number() over (partition by e.event ->> 'user' order by e.n) as nth,
			jsonb_build_object('data', e.event -> 'data', 'timestamp', to_char(clock_timestamp()
				at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) as told
		from jsonb_array_elements(p_events) with ordinality as e (event, n)
	), topped as (
		insert into topics as t (topic, last_seq)
		select topic, count(*) from events group by topic order by topic
		on conflict (topic) do update set last_seq = t.last_seq + excluded.last_seq
		returning topic, last_seq
	), written as (
		insert into outbox (topic, seq, type, payload)
		select e.topic, t.last_seq - (max(e.nth) over (partition by e.topic)) + e.nth, e.type,
			e.told
		from events e join topped t using (topic)
		returning topic, seq
	)
	select count(pg_notify('ugtj_events', topic || ' ' || seq)) into rung from written;
end
$$;

-- Called for each application of a workflow that began to be sent, must wait for a token, waits for
-- another try, or is over, in the transaction that says so and with the lane locked. A later migration
-- replaces it.
create function application_moved(p_application applications) returns void language sql as $$
	select null::void
$$;

-- Commits an application, or finds the one that has its key already. Without a key it is made from the
-- vacancy: what such a key found failed, dead or cancelled is begun anew with what is given now. One that
-- was submitted never is, whatever its key: the same vacancy under a new key has failed from the start.
create function application_put(p_user uuid, p_vacancy text, p_cv jsonb, p_letter text, p_key text,
	p_priority integer, p_workflow uuid, p_item uuid) returns applications
language plpgsql as $$
declare
	who constant uuid := person_of(p_user);
	derived constant text := 'vacancy:' || p_vacancy;
	wanted constant text := coalesce(p_key, derived);
	found_one applications;
	applied applications;
begin
	select * into found_one from applications where person = who and idempotency_key = wanted;
	if found and (wanted <> derived or found_one.status not in ('failed', 'dead', 'cancelled')) then
		return found_one;
	end if;
	select * into applied from applications where person = who and job_external_id = p_vacancy
		and idempotency_key is not null and status = 'submitted' limit 1;
	if found and wanted = derived then
		return applied;
	end if;
	-- What no message could carry to a submitter.
	if length(p_vacancy) not between 1 and 32 or length(p_letter) > 10000
	 or octet_length(p_cv::text) > 524288 then
		raise string_data_right_truncation;
	end if;
	insert into application_lanes as l (person, due_at) values (who, clock_timestamp())
	on conflict (person) do update set due_at = case
		when l.busy or l.limited then l.due_at else least(l.due_at, excluded.due_at) end;
	insert into applications as a (user_id, person, job_id, job_external_id, customized_cv,
		cover_letter, idempotency_key, priority, workflow_id, queue_item_id, status, error_code,
		next_attempt_at)
	values (p_user, who, (select id from jobs where external_id = p_vacancy), p_vacancy, p_cv,
		p_letter, wanted, coalesce(p_priority, 0), p_workflow, p_item,
		case when applied.id is null then 'pending' else 'failed' end,
		case when applied.id is not null then 'already_applied' end,
		case when applied.id is null then clock_timestamp() end)
	on conflict (person, idempotency_key) where idempotency_key is not null do update set
		user_id = excluded.user_id, customized_cv = excluded.customized_cv,
		cover_letter = excluded.cover_letter, priority = excluded.priority,
		workflow_id = excluded.workflow_id, queue_item_id = excluded.queue_item_id,
		place = excluded.place, status = 'pending', next_attempt_at = clock_timestamp(),
		attempts = 0, failures = 0, hh_resume_id = null, resume_made_at = null,
		resume_replaced = false, error_code = null, error_message = null, error_details = null,
		external_url = null, updated_at = now()
	where wanted = derived and a.status in ('failed', 'dead', 'cancelled')
	returning * into found_one;
	if found then
		if found_one.token_at is not null then -- a limited lane need not wait for its sake
			update application_lanes set due_at = clock_timestamp()
			where person = who and limited and not busy;
		end if;
		perform applications_ring();
	else
		select * into found_one from applications where person = who and idempotency_key = wanted;
	end if;
	return found_one;
end
$$;

-- What p_node sends now: up to p_limit applications whose turn it is, leased for p_ttl_ms. The leases in
-- p_held are renewed; any other that the node has has no owner (its submitter died, or never heard of
-- it), and its application is claimed anew. Each that has not spent a token yet spends one here or waits
-- for it.
create function application_claim(p_node text, p_held bigint[], p_limit integer, p_ttl_ms bigint,
	p_capacity integer, p_per_hour integer) returns setof applications
language plpgsql as $$
declare
	now_at constant timestamptz := clock_timestamp();
	ends_at constant timestamptz := now_at + p_ttl_ms * interval '1 ms';
	stale_at constant timestamptz := now_at + p_ttl_ms * interval '0.75 ms';
	people uuid[];
	claimed uuid[];
	refused uuid[];
	told jsonb;
	one applications;
begin
	select array_agg(o.person) into people from (
		select l.person from application_lanes l join applications a on a.person = l.person
		where a.lease_token is not null and a.lease_node = p_node
		 and (a.lease_until < stale_at or a.lease_token <> all (p_held))
		order by l.person for update of l
	) o;
	if people is not null then
		with renewed as (
			update applications a
			set lease_until = case when a.lease_token = any (p_held) then ends_at else now_at end
			where a.person = any (people) and a.lease_token is not null and a.lease_node = p_node
			returning a.person, a.lease_until
		)
		update application_lanes l set due_at = r.lease_until from renewed r
		where l.person = r.person;
	end if;

	select array_agg(d.person order by d.person) into people from (
		select person from application_lanes where due_at <= now_at
		order by due_at limit p_limit for update skip locked
	) d;
	if people is null then
		return;
	end if;

	with found as materialized (
		select h.* from unnest(people) as p (person) cross join lateral (
			(select a.id, a.person, a.token_at, a.customized_cv from applications a
			 where a.person = p.person and a.lease_token is not null)
			union all
			(select a.id, a.person, a.token_at, a.customized_cv from applications a
			 where a.person = p.person and a.next_attempt_at <= now_at
			  and a.next_attempt_at is not null
			  and not exists (select from applications f
			   where f.person = p.person and f.lease_token is not null)
			 order by a.token_at is null, a.priority desc, a.place limit 1)
		) h
	), heads as materialized (
		-- As many as fit into a message; the others stay due.
		select * from (
			select id, person, token_at, row_number() over w as n,
				sum(octet_length(customized_cv::text)) over w as bytes
			from found window w as (order by person)
		) f where n = 1 or bytes is null or bytes <= 8000000
	), unpaid as materialized (
		select id, person from heads where token_at is null order by person
	), verdicts as materialized (
		select u.id, u.person, t.allowed, t.tokens, t.retry_ms from unpaid u
		cross join lateral limiter_take(u.person, 'application', 1, p_capacity, p_per_hour) t
	), begun as (
		update applications a set status = 'submitting', attempts = a.attempts + 1,
			lease_node = p_node, lease_token = nextval('application_lease_tokens'),
			lease_until = ends_at, next_attempt_at = null, rate_limited_until = null,
			token_at = coalesce(a.token_at, now_at), error_code = null,
			error_message = null, error_details = null, updated_at = now()
		from (select id from heads where token_at is not null
		 union all select id from verdicts where allowed) c
		where a.id = c.id and (a.lease_until <= now_at or a.next_attempt_at is not null)
		returning a.id, a.person
	), waiting as (
		update applications a set status = 'rate_limited', error_code = 'rate_limited',
			error_message = null, error_details = null, updated_at = now(),
			rate_limited_until = (now_at + v.retry_ms * interval '1 ms') at time zone 'UTC'
		from verdicts v where a.id = v.id and not v.allowed
		returning a.id, a.person, v.retry_ms
	), moved as (
		update application_lanes l set busy = m.busy, limited = not m.busy, due_at = m.due_at
		from (select person, true as busy, ends_at as due_at from begun
		 union all select w.person, false, least(now_at + w.retry_ms * interval '1 ms',
		  (select min(p.next_attempt_at) from applications p where p.person = w.person
		   and p.next_attempt_at is not null and p.token_at is not null)) from waiting w) m
		where l.person = m.person
		returning l.person
	)
	select array(select id from begun), array(select id from waiting),
		array(select unnest(people) except select person from moved),
		(select jsonb_agg(jsonb_build_object('user', a.user_id, 'type', 'rate_limit_update',
		  'data', jsonb_build_object('tokens', v.tokens, 'capacity', p_capacity,
		   'refill_rate', p_per_hour, 'can_apply', v.tokens >= 1,
		   'next_refill', limiter_next_refill(v.tokens, p_capacity, p_per_hour))))
		 from verdicts v join applications a on a.id = v.id
		 where v.allowed or a.status <> 'rate_limited')
	into claimed, refused, people, told;

	-- Nothing was due after all: a lease that lives, a retry that is later, or nothing that waits.
	if people <> '{}' then
		with later as (
			select p.person, min(coalesce(a.lease_until, a.next_attempt_at)) as due_at,
				bool_or(a.lease_token is not null) as busy
			from unnest(people) as p (person) join applications a on a.person = p.person
			where a.lease_token is not null or a.next_attempt_at is not null
			group by p.person
		), kept as (
			update application_lanes l set due_at = later.due_at, busy = later.busy,
				limited = false
			from later where l.person = later.person returning l.person
		)
		delete from application_lanes
		where person = any (people) and person not in (select person from later);
	end if;

	if refused <> '{}' then
		perform applications_ring(); -- somebody may wait for what becomes of it
	end if;
	perform tell_users(told);
	for one in select * from applications
		where id = any (claimed || refused) and queue_item_id is not null
	loop
		perform application_moved(one);
	end loop;
	return query select * from applications where id = any (claimed);
end
$$;

-- Ends p_items, an array of {id, token, status, ...}: as submitted, failed or dead, or as pending for
-- another try in retry_in_ms. One whose lease is not held any more is left as it is. A submission that
-- is said twice has no second effect.
create function application_end(p_items jsonb) returns void language plpgsql as $$
declare
	people uuid[];
	ended uuid[];
	one applications;
begin
	select array_agg(o.person) into people from (
		select l.person from application_lanes l where l.person in (
			select a.person from jsonb_to_recordset(p_items) as i (id uuid, token bigint)
			join applications a on a.id = i.id and a.lease_token = i.token)
		order by l.person for update
	) o;
	if people is null then
		return;
	end if;
	with done as (
		update applications a set status = i.status,
			submitted_at = case when i.status = 'submitted' then now() at time zone 'UTC' end,
			hh_negotiation_id = i.negotiation_id,
			hh_resume_id = coalesce(i.resume_id, a.hh_resume_id),
			external_url = i.external_url,
			error_code = i.error, error_message = i.message, error_details = i.details,
			failures = a.failures + (i.status = 'pending')::integer,
			sent_at = case when i.unsent is not true then a.sent_at end,
			next_attempt_at = case when i.status = 'pending' then clock_timestamp()
				+ coalesce(i.retry_in_ms, 0) * interval '1 ms' end,
			lease_node = null, lease_token = null, lease_until = null, updated_at = now()
		from jsonb_to_recordset(p_items) as i (id uuid, token bigint, status text,
			negotiation_id text, resume_id text, external_url text, error text, message text,
			details jsonb, retry_in_ms bigint, unsent boolean)
		where a.id = i.id and a.lease_token = i.token
		returning a.id
	) select array_agg(id) into ended from done;
	with waiting as (
		select p.person from unnest(people) as p (person) where exists (
			select from applications a where a.person = p.person and a.next_attempt_at is not null)
	), kept as (
		update application_lanes l set busy = false, due_at = clock_timestamp()
		from waiting w where l.person = w.person
	)
	delete from application_lanes
	where person = any (people) and person not in (select person from waiting);
	perform tell_users(jsonb_agg(jsonb_build_object('user', a.user_id,
		'type', 'application_completed', 'data', jsonb_strip_nulls(jsonb_build_object(
		'application_id', a.id, 'workflow_id', a.workflow_id,
		'job_external_id', a.job_external_id, 'negotiation_id', a.hh_negotiation_id,
		'error', a.error_code, 'error_message', a.error_message, 'external_url', a.external_url,
		'status', case a.status when 'submitted' then 'success' else 'failed' end))
		|| jsonb_build_object('job_title', j.title, 'company', j.company))))
	from applications a left join jobs j on j.external_id = a.job_external_id
	where a.id = any (ended) and a.next_attempt_at is null;
	for one in select * from applications where id = any (ended) and queue_item_id is not null loop
		perform application_moved(one);
	end loop;
	perform applications_ring();
end
$$;

-- Begins a dead or failed application anew. Returns whether it was one.
create function application_retry(p_id uuid) returns boolean language plpgsql as $$
begin
	insert into application_lanes as l (person, due_at)
	select person, clock_timestamp() from applications
	where id = p_id and idempotency_key is not null
	on conflict (person) do update set due_at = case
		when l.busy then l.due_at else least(l.due_at, excluded.due_at) end;
	update applications set status = 'pending', next_attempt_at = clock_timestamp(), attempts = 0,
		failures = 0, resume_made_at = null, resume_replaced = false, error_code = null,
		error_message = null, error_details = null, external_url = null, updated_at = now()
	where id = p_id and idempotency_key is not null and status in ('failed', 'dead');
	if found then
		perform applications_ring();
	end if;
	return found;
end
$$;

-- Cancels an application that waits. Returns whether it was one: one in flight goes on.
create function application_cancel(p_id uuid) returns boolean language plpgsql as $$
declare
	one applications;
begin
	perform 1 from application_lanes where person = (select person from applications where id = p_id)
	for update;
	update applications set status = 'cancelled', next_attempt_at = null, error_code = 'cancelled',
		error_message = null, error_details = null, rate_limited_until = null, updated_at = now()
	where id = p_id and next_attempt_at is not null returning * into one;
	if one.queue_item_id is not null then
		perform application_moved(one);
	end if;
	return one.id is not null;
end
$$;

-- Adds to 0009's: those who wait for a token are looked at again.
create or replace function limiter_wake(p_person uuid) returns void language plpgsql as $$
begin
	update application_lanes set due_at = clock_timestamp()
	where limited and (p_person is null or person = p_person);
	perform applications_ring();
	perform pg_notify('ugtj_limits', coalesce(p_person::text, ''));
end
$$;
