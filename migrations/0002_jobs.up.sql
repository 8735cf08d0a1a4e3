-- The vacancies that were found, one row each however many users found it. external_id is the job
-- board's own id and what everybody else refers to; hh_vacancy_id repeats it for the BFF.
--
-- published_at, archived and full_description are ours. full_description says that description and
-- skills are those of the vacancy's page: a search, which knows only a snippet, must not overwrite
-- them.

create table jobs (
	id               uuid primary key default gen_random_uuid(),
	external_id      varchar(255) not null unique,
	title            varchar(255) not null,
	company          varchar(255),
	salary           varchar(255),
	area             varchar(255),
	url              text,
	description      text,
	source           varchar(50) default 'hh.ru',
	search_query     text,
	fetched_at       timestamp default now(),
	hh_vacancy_id    varchar(255),
	has_test         boolean not null default false,
	test_required    boolean not null default false,
	employer_id      varchar(255),
	skills           varchar[] default '{}',
	published_at     timestamptz,
	archived         boolean not null default false,
	full_description boolean not null default false,
	created_at       timestamp default now(),
	updated_at       timestamp default now()
);

create index jobs_hh_vacancy_id on jobs (hh_vacancy_id);
create index jobs_fetched_at on jobs (fetched_at);
