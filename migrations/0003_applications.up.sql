-- Applying: the CV as it was customized for a vacancy, the application that was sent with it, and the
-- durable queue of those that are to be sent. Again the BFF's columns.
--
-- An application that waits in the queue may name a vacancy that was never stored: job_external_id is
-- what counts, job_id only joins. When a vacancy is deleted its applications go, the queue's entries
-- and the customized CVs stay.

create table custom_cvs (
	id              uuid primary key default gen_random_uuid(),
	cv_id           uuid not null references cvs (id) on delete cascade,
	job_id          uuid references jobs (id) on delete set null,
	job_title       varchar(255),
	customized_data jsonb,
	cover_letter    text,
	ai_suggestions  jsonb,
	created_at      timestamp default now(),
	updated_at      timestamp default now()
);

create index custom_cvs_cv_id on custom_cvs (cv_id);
create index custom_cvs_job_id on custom_cvs (job_id);

create table applications (
	id                 uuid primary key default gen_random_uuid(),
	user_id            uuid not null references users (id) on delete cascade,
	job_id             uuid references jobs (id) on delete cascade,
	custom_cv_id       uuid references custom_cvs (id) on delete set null,
	job_external_id    varchar(255) not null,
	cover_letter       text,
	status             varchar(50) default 'pending',
	submitted_at       timestamp,
	response_data      jsonb,
	error_message      text,
	hh_resume_id       varchar(255),
	hh_negotiation_id  varchar(255),
	hh_status          varchar(255),
	rate_limited_until timestamp,
	created_at         timestamp default now(),
	updated_at         timestamp default now()
);

create index applications_user_job on applications (user_id, job_external_id);
create index applications_job_id on applications (job_id);
create index applications_custom_cv_id on applications (custom_cv_id);

create table application_queue (
	id              uuid primary key default gen_random_uuid(),
	workflow_id     uuid not null,
	user_id         uuid not null references users (id) on delete cascade,
	cv_id           uuid not null references cvs (id) on delete cascade,
	job_id          uuid references jobs (id) on delete set null,
	job_external_id varchar(255) not null,
	status          varchar(50) default 'pending',
	payload         jsonb,
	attempts        integer default 0,
	next_run_at     timestamp default now(),
	priority        integer default 0,
	last_error      text,
	created_at      timestamp default now(),
	updated_at      timestamp default now()
);

create index application_queue_workflow on application_queue (workflow_id, status);
create index application_queue_user_id on application_queue (user_id);
create index application_queue_cv_id on application_queue (cv_id);
create index application_queue_job_id on application_queue (job_id);
create index application_queue_next on application_queue (status, next_run_at);
