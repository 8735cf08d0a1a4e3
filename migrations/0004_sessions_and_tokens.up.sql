-- The BFF's sessions, and the tokens that HH gave us for a user.
--
-- A token's user is the session's user id, whom the users table may not know: no foreign key. Tokens
-- are stored encrypted; key_id names the key, so that keys can be rotated without an outage.

create table sessions (
	id               uuid primary key default gen_random_uuid(),
	session_id       varchar(255) not null unique,
	user_id          uuid references users (id) on delete cascade,
	token            text not null,
	expires_at       timestamp not null,
	revoked_at       timestamp,
	last_activity_at timestamp default now(),
	ip_address       varchar(45),
	user_agent       text,
	created_at       timestamp default now(),
	updated_at       timestamp default now()
);

create index sessions_user_id on sessions (user_id);
create index sessions_expires_at on sessions (expires_at);

create table hh_tokens (
	id            uuid primary key default gen_random_uuid(),
	user_id       uuid not null unique,
	access_token  text not null,
	refresh_token text,
	key_id        varchar(32) not null,
	expires_at    timestamp,
	created_at    timestamp default now(),
	updated_at    timestamp default now()
);
