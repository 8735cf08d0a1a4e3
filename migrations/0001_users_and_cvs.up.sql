-- The people, and the CVs that they uploaded. The BFF writes these tables and Core owns their shape:
-- columns and types are those that the BFF's own schema names, so that both run on one database.
--
-- A parsed CV may be kept before anybody has signed up, hence its user may be null.

create table users (
	id            uuid primary key default gen_random_uuid(),
	email         varchar(255) not null unique,
	password_hash varchar(255) not null,
	created_at    timestamp default now(),
	updated_at    timestamp default now()
);

create table cvs (
	id                uuid primary key default gen_random_uuid(),
	user_id           uuid not null references users (id) on delete cascade,
	name              varchar(255) not null,
	file_path         text not null,
	original_filename varchar(255),
	content_type      varchar(100),
	parsed_data       jsonb,
	is_active         boolean default true,
	created_at        timestamp default now(),
	updated_at        timestamp default now()
);

create index cvs_user_id on cvs (user_id);

create table parsed_cvs (
	id                uuid primary key default gen_random_uuid(),
	user_id           uuid references users (id) on delete cascade,
	first_name        varchar(100),
	last_name         varchar(100),
	email             varchar(255),
	phone             varchar(50),
	title             varchar(255),
	summary           text,
	experience        text,
	education         text,
	skills            varchar[] default '{}',
	projects          text,
	full_text         text,
	original_filename varchar(255),
	file_path         text,
	model_used        varchar(100),
	created_at        timestamp default now(),
	updated_at        timestamp default now()
);

create index parsed_cvs_user_id on parsed_cvs (user_id);
