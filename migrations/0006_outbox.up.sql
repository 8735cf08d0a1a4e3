-- Events, written in the transaction of the fact that they tell of, and delivered from here: to
-- subscribers, who resume after the last seq they saw, and to the BFF's webhook.
--
-- The row of topics is locked from taking the next seq to the commit, so a topic's events become
-- visible in the order of their seq and without gaps. webhook_due_at null: the BFF has it, or nobody
-- asked for a webhook.

create table topics (
	topic    text primary key,
	last_seq bigint not null
);

create table outbox (
	topic               text not null,
	seq                 bigint not null,
	type                text not null,
	payload             jsonb not null,
	created_at          timestamptz not null default now(),
	webhook_due_at      timestamptz,
	webhook_attempts    integer not null default 0,
	webhook_lease_until timestamptz,
	webhook_problem     text,
	primary key (topic, seq)
);

-- What is due, and what of a topic is the oldest that was not delivered.
create index outbox_webhook_due on outbox (webhook_due_at) where webhook_due_at is not null;
create index outbox_undelivered on outbox (topic, seq) where webhook_due_at is not null;

-- For deleting what is too old.
create index outbox_created_at on outbox (created_at);
