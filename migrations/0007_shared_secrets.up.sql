-- Secrets that all nodes share, such as HH's application token: it may be fetched only every few
-- minutes and each new one ends the one before, so one node fetches it for all. The database holds
-- ciphertext only.
--
-- fetch_node has the right to fetch until fetch_until. stale: somebody found that this version does
-- not work any more.

create table shared_secrets (
	name        text primary key,
	version     bigint not null default 0,
	ciphertext  text,
	key_id      text,
	stale       boolean not null default false,
	fetch_node  text,
	fetch_until timestamptz,
	updated_at  timestamptz not null default now()
);
