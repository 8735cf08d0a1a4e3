-- Rate limits: a bucket of tokens for each person and action, spent in the transaction of what it is
-- spent for, so that a token stays spent whoever is killed, and for all nodes.
--
-- All is integer: a token is 3,600,000 units, of which per_hour come in each millisecond. A bucket is
-- the level that it had at at_ms; one without a row is full. What a bucket holds and how fast it fills
-- are settings, hence parameters here.
--
-- Time is the row of limiter_clock, in milliseconds since it was made. The rate limiters of all nodes
-- advance it by their monotonic clocks and nothing turns it back; a wall clock only fills in what
-- passed since, up to 3 s. So a wall clock that jumps gives nothing away, and whoever sets at_ms
-- forward has moved time for all. boot is the boot whose boot_ms (CLOCK_BOOTTIME) belongs to at_ms: a
-- limiter that is started again on it knows how much time it missed.

create table limiter_clock (
	one        boolean primary key default true check (one),
	at_ms      bigint not null default 0,
	updated_at timestamptz not null default clock_timestamp(),
	boot       text,
	boot_ms    bigint
) with (fillfactor = 20);

insert into limiter_clock default values;

create table rate_limits (
	person uuid not null,
	action text not null,
	level  bigint not null,
	at_ms  bigint not null,
	primary key (person, action)
) with (fillfactor = 60);

-- What was spent under a key is not spent again under it. Rows are deleted after a while.
create table limiter_spends (
	person   uuid not null,
	action   text not null,
	key      text not null,
	cost     integer not null,
	spent_at timestamptz not null default now(),
	primary key (person, action, key)
);

create index limiter_spends_spent_at on limiter_spends (spent_at);

-- The last batch of checks of each series (a rate limiter has a few), and its answers: a batch whose
-- answer was lost comes again with the same number.
create table limiter_batches (
	batch      text primary key,
	number     bigint not null,
	answers    jsonb not null,
	written_at timestamptz not null default now()
) with (fillfactor = 40);

create function limiter_now() returns bigint language sql volatile as $$
	select at_ms + greatest(0, least(3000,
		(extract(epoch from clock_timestamp() - updated_at) * 1000)::bigint))
	from limiter_clock
$$;

-- Advances the clock for the node that says boot and boot_ms: to at_ms, or for a limiter that does not
-- know the time yet (null) by what passed on its boot. Returns the time, which may be later still.
create function limiter_tick(p_boot text, p_boot_ms bigint, p_at_ms bigint) returns bigint
language plpgsql as $$
declare
	clock limiter_clock;
	wanted bigint := p_at_ms;
begin
	-- A tick that a crash of the server loses was followed by no spending, which would have kept it.
	perform set_config('synchronous_commit', 'off', true);
	select * into clock from limiter_clock for update;
	if wanted is null and clock.boot = p_boot then
		wanted := clock.at_ms + p_boot_ms - clock.boot_ms;
	end if;
	if wanted > clock.at_ms or clock.boot is null then
		update limiter_clock set at_ms = greatest(at_ms, wanted), updated_at = clock_timestamp(),
			boot = p_boot, boot_ms = p_boot_ms;
	end if;
	return greatest(clock.at_ms, wanted);
end
$$;

-- The units in a bucket at p_now. A bucket that another node filled a moment ahead of p_now gains nothing.
create function limiter_level(p_level bigint, p_at_ms bigint, p_now bigint, p_full bigint,
	p_per_hour bigint) returns bigint language sql immutable as $$
	select least(p_full, least(p_level, p_full)
		+ least(greatest(p_now - p_at_ms, 0), p_full / p_per_hour + 1) * p_per_hour)
$$;

-- How a bucket of p_level answers to p_need units. retry_ms is null when it never can hold so much.
create function limiter_verdict(p_level bigint, p_need bigint, p_full bigint, p_per_hour bigint,
	out allowed boolean, out tokens double precision, out retry_ms bigint)
language sql immutable as $$
	select p_level >= p_need, p_level / 3600000.0::double precision,
		case when p_level >= p_need then 0
		 when p_need <= p_full then (p_need - p_level + p_per_hour - 1) / p_per_hour end
$$;

-- Whether p_cost tokens are there now, how many there are, and after how long p_cost will be.
create function limiter_peek(p_person uuid, p_action text, p_cost integer, p_capacity integer,
	p_per_hour integer, out allowed boolean, out tokens double precision, out retry_ms bigint)
language sql volatile as $$
	select v.* from (select p_capacity * 3600000::bigint as units) f
	left join rate_limits r on r.person = p_person and r.action = p_action
	cross join limiter_verdict(
		case when r.person is null then f.units
		 else limiter_level(r.level, r.at_ms, limiter_now(), f.units, p_per_hour) end,
		p_cost * 3600000::bigint, f.units, p_per_hour) v
$$;

-- Spends p_cost tokens if they are there. tokens: what is left then. The bucket stays locked until the
-- transaction ends; a refusal writes nothing.
create function limiter_take(p_person uuid, p_action text, p_cost integer, p_capacity integer,
	p_per_hour integer, out allowed boolean, out tokens double precision, out retry_ms bigint)
language plpgsql as $$
declare
	units constant bigint := p_capacity * 3600000::bigint;
	need constant bigint := p_cost * 3600000::bigint;
	now_ms bigint;
	rest bigint;
begin
	loop
		now_ms := limiter_now();
		update rate_limits r set
			level = limiter_level(r.level, r.at_ms, now_ms, units, p_per_hour) - need,
			at_ms = greatest(r.at_ms, now_ms)
		where r.person = p_person and r.action = p_action
		 and limiter_level(r.level, r.at_ms, now_ms, units, p_per_hour) >= need
		returning r.level into rest;
		exit when found;
		if need <= units then
			insert into rate_limits values (p_person, p_action, units - need, now_ms)
			on conflict do nothing returning level into rest;
			exit when found;
		end if;
		select v.* into allowed, tokens, retry_ms
		from limiter_peek(p_person, p_action, p_cost, p_capacity, p_per_hour) v;
		if not allowed then
			return;
		end if;
		-- filled meanwhile
	end loop;
	allowed := true;
	tokens := rest / 3600000.0::double precision;
	retry_ms := 0;
end
$$;

-- limiter_take() under a key, if there is one: what it spent once it does not spend again. After a refusal
-- the key is as good as new. otherwise: it was spent, at another cost.
create function limiter_take_once(p_person uuid, p_action text, p_cost integer, p_capacity integer,
	p_per_hour integer, p_key text, out allowed boolean, out tokens double precision,
	out retry_ms bigint, out otherwise boolean)
language plpgsql as $$
begin
	if p_key is not null then
		insert into limiter_spends (person, action, key, cost)
		values (p_person, p_action, p_key, p_cost) on conflict do nothing;
	end if;
	if p_key is not null and not found then
		select s.cost <> p_cost into otherwise from limiter_spends s
		where s.person = p_person and s.action = p_action and s.key = p_key;
		allowed := not otherwise;
		retry_ms := case when allowed then 0 end;
		select p.tokens into tokens
		from limiter_peek(p_person, p_action, p_cost, p_capacity, p_per_hour) p;
		return;
	end if;
	otherwise := false;
	select t.* into allowed, tokens, retry_ms
	from limiter_take(p_person, p_action, p_cost, p_capacity, p_per_hour) t;
	if not allowed and p_key is not null then
		delete from limiter_spends where person = p_person and action = p_action and key = p_key;
	end if;
end
$$;

-- Checks of which each is of another bucket, and none has a key, in one statement; p_checks is an array
-- as below, with person. Gives {n, allowed, tokens, retry_ms}; one whose bucket was made by somebody else
-- at this moment is left out.
create function limiter_take_many(p_checks jsonb)
returns table (n bigint, allowed boolean, tokens double precision, retry_ms bigint)
language plpgsql as $$
#variable_conflict use_column
begin
	return query
	with checks as materialized (
		select c.n, c.person, c.action, c.per_hour, c.cost * 3600000::bigint as need,
			c.capacity * 3600000::bigint as units
		from jsonb_to_recordset(p_checks) as c (n bigint, person uuid, action text, cost integer,
			capacity integer, per_hour bigint)
	), present as materialized (
		-- Locked in one order everywhere, so that two batches never wait for each other in a circle.
		select c.*, r.level, r.at_ms from checks c
		join rate_limits r on r.person = c.person and r.action = c.action
		order by c.person, c.action for update of r
	), moment as materialized (
		-- After the locks: others may have filled a bucket up to a later time than that before.
		select limiter_now() as now_ms from (select count(*) from present) locked
	), known as materialized (
		select p.*, m.now_ms, limiter_level(p.level, p.at_ms, m.now_ms, p.units, p.per_hour) as held
		from present p, moment m
	), spent as (
		update rate_limits r set level = k.held - k.need, at_ms = greatest(k.at_ms, k.now_ms)
		from known k where r.person = k.person and r.action = k.action and k.held >= k.need
	), made as (
		insert into rate_limits as r (person, action, level, at_ms)
		select c.person, c.action, c.units - c.need, m.now_ms from checks c, moment m
		where c.need <= c.units and c.n not in (select p.n from present p)
		order by c.person, c.action
		on conflict do nothing returning r.person, r.action, r.level
	)
	select k.n, k.held >= k.need,
		(case when k.held >= k.need then k.held - k.need else k.held end) / 3600000.0::double precision,
		v.retry_ms
	from known k cross join limiter_verdict(k.held, k.need, k.units, k.per_hour) v
	union all
	select c.n, true, m.level / 3600000.0::double precision, 0
	from made m join checks c on c.person = m.person and c.action = m.action
	union all
	select c.n, false, c.units / 3600000.0::double precision, null
	from checks c where c.need > c.units and c.n not in (select p.n from present p);
end
$$;

-- Does the checks of a batch, an array of {user_id, action, cost, key, capacity, per_hour, tell}, and
-- gives an array of {allowed, tokens, retry_ms} in their order. A batch that was done is not done again.
create function limiter_spend(p_batch text, p_number bigint, p_spends jsonb) returns jsonb
language plpgsql as $$
declare
	last limiter_batches;
	checks jsonb;
	plain boolean;
	one record;
	answers jsonb[];
	spent boolean := false;
begin
	select * into last from limiter_batches where batch = p_batch for update;
	if last.number = p_number then
		return last.answers;
	end if;

	select jsonb_agg(to_jsonb(c)), count(distinct (c.person, c.action)) = count(*) and count(c.key) = 0
	into checks, plain
	from (select s.n, person_of(s.user_id) as person, s.user_id, s.action, s.cost, s.key, s.capacity,
		s.per_hour, s.tell
		from rows from (jsonb_to_recordset(p_spends) as (user_id uuid, action text, cost integer,
			key text, capacity integer, per_hour integer, tell boolean))
		 with ordinality as s (user_id, action, cost, key, capacity, per_hour, tell, n)) c;
	if plain then
		for one in select * from limiter_take_many(checks) loop
			answers[one.n] := jsonb_build_object('allowed', one.allowed, 'tokens', one.tokens,
				'retry_ms', one.retry_ms);
			spent := spent or one.allowed;
		end loop;
	end if;
	for one in
		select c.* from jsonb_to_recordset(checks) as c (n bigint, person uuid, action text,
			cost integer, key text, capacity integer, per_hour integer)
		where answers[c.n] is null
		order by c.person, c.action, c.n
	loop
		answers[one.n] := to_jsonb(limiter_take_once(one.person, one.action, one.cost,
			one.capacity, one.per_hour, one.key));
		spent := spent or (answers[one.n] ->> 'allowed')::boolean;
	end loop;

	if spent then
		perform tell_rate_limit(told.user_id, told.person, told.action, told.capacity, told.per_hour)
		from (
			select distinct c.user_id, c.person, c.action, c.capacity, c.per_hour
			from jsonb_to_recordset(checks) as c (n bigint, user_id uuid, person uuid, action text,
				capacity integer, per_hour integer, tell boolean)
			where c.tell and (answers[c.n] ->> 'allowed')::boolean
			order by c.user_id
		) told;
		insert into limiter_batches as b (batch, number, answers)
		values (p_batch, p_number, to_jsonb(answers))
		on conflict (batch) do update set number = excluded.number, answers = excluded.answers,
			written_at = now() where b.number < excluded.number;
		if not found then
			raise serialization_failure using message = 'the same batch at the same time';
		end if;
	end if;
	return to_jsonb(answers);
end
$$;

-- Tells whoever waits for a token that one may be there sooner than they were told: a person's bucket
-- was filled, or (null) time leapt. What waits in tables of its own is woken here too, by a later
-- migration that replaces this function.
create function limiter_wake(p_person uuid) returns void language sql as $$
	select pg_notify('ugtj_limits', coalesce(p_person::text, ''))
$$;

-- Fills a person's buckets, or with p_action one of them.
create function limiter_reset(p_person uuid, p_action text) returns void language plpgsql as $$
begin
	perform limiter_wake(p_person); -- first: whoever spends for what waits locks that before the bucket
	-- Not deleted: one that spends at this moment finds its row. More than full is full.
	update rate_limits set level = 1e15::bigint
	where person = p_person and (p_action is null or action = p_action);
end
$$;

create function limiter_clock_leapt() returns trigger language plpgsql as $$
begin
	perform limiter_wake(null);
	return null;
end
$$;

create trigger limiter_clock_leapt after update on limiter_clock
for each row when (new.at_ms > old.at_ms + 10000) execute function limiter_clock_leapt();

-- Writes an event to a user's topic and rings the bell, in the transaction of the fact that it tells
-- of. p_data becomes the payload's `data`; it is not for the webhook. Locks the topic: call it last.
create function tell_user(p_user uuid, p_type text, p_data jsonb) returns bigint
language plpgsql as $$
declare
	number bigint;
begin
	insert into topics as t (topic, last_seq) values ('user:' || p_user, 1)
	on conflict (topic) do update set last_seq = t.last_seq + 1 returning last_seq into number;
	insert into outbox (topic, seq, type, payload) values ('user:' || p_user, number, p_type,
		jsonb_build_object('data', p_data, 'timestamp',
			to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')));
	perform pg_notify('ugtj_events', 'user:' || p_user || ' ' || number);
	return number;
end
$$;

-- When the next whole token is there, ISO 8601 in UTC; null when the bucket is full.
create function limiter_next_refill(p_tokens double precision, p_capacity integer, p_per_hour integer)
returns text language sql stable as $$
	select case when p_tokens < p_capacity then
		to_char((now() + ceil((floor(p_tokens) + 1 - p_tokens) * 3600000 / p_per_hour)
			* interval '1 ms') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') end
$$;

-- rate_limit_update of what is in a person's bucket now, to p_user, who is that person or one of the
-- person's sessions.
create function tell_rate_limit(p_user uuid, p_person uuid, p_action text, p_capacity integer,
	p_per_hour integer) returns bigint language sql as $$
	select tell_user(p_user, 'rate_limit_update', jsonb_build_object(
		'tokens', p.tokens, 'capacity', p_capacity, 'refill_rate', p_per_hour,
		'can_apply', p.allowed,
		'next_refill', limiter_next_refill(p.tokens, p_capacity, p_per_hour)))
	from limiter_peek(p_person, p_action, 1, p_capacity, p_per_hour) p
$$;
