-- Each user's scheduled search: what to search and when, how it goes, and which node runs it.
--
-- The user may be one that only a session knows, so there is no foreign key. A node holds a schedule by
-- a lease: lease_token is new with each claim and fences off an earlier holder, whatever its clock
-- says. fetched_from is the watermark from which the next run asks HH, null: ask for everything.
-- demanded_at is when somebody last asked for a run at once: a run that had begun before does not
-- answer that. last_started tells a repeated report of a run from the next one.
--
-- A node renews its leases every few seconds. None of the columns that change then is indexed, and
-- pages keep room for the new row, so that this costs no index writes; the table is small enough to
-- be read whole by a claim.

create sequence schedule_lease_tokens;

create table schedules (
	user_id          uuid primary key,
	search           jsonb not null,
	interval_s       integer not null default 1800 check (interval_s > 0),
	paused           boolean not null default false,
	revision         bigint not null default 1,
	next_run_at      timestamptz not null default now(),
	demanded_at      timestamptz not null default now(),
	last_started     timestamptz,
	last_run_at      timestamptz,
	last_status      text,
	last_error       text,
	last_lag_ms      bigint not null default 0,
	failures         integer not null default 0,
	runs             bigint not null default 0,
	jobs_seen        bigint not null default 0,
	fetched_from     timestamptz,
	full_at          timestamptz,
	lease_node       text,
	lease_token      bigint,
	lease_expires_at timestamptz,
	created_at       timestamptz not null default now()
) with (fillfactor = 80);

-- Which vacancies a user was told of. A row is never updated.
create table user_jobs (
	user_id         uuid not null,
	job_external_id varchar(255) not null,
	first_seen_at   timestamptz not null default now(),
	primary key (user_id, job_external_id)
);
