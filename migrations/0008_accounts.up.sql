-- Who is who: a session and the user that it belongs to are one person, who has one account at HH, one
-- bucket for each rate limit, and applies to a vacancy once. And the accounts at HH: logins under way,
-- pairs of tokens and whose turn it is to refresh one, and what was done with them.

-- The user of a session that has one; else the id itself, a user's or that of a session without a user.
create function person_of(p_user uuid) returns uuid language sql stable as $$
	select coalesce((select user_id from sessions where session_id = p_user::text), p_user)
$$;

-- A pair of tokens has a version, which no other pair has had. HH takes a refresh token once, so
-- refresh_node has the right to use it until refresh_until. stale: HH says that the access token has
-- expired, whatever expires_at (in UTC) says. login_required: the pair is lost, and problem says why.
create sequence hh_token_versions;

alter table hh_tokens
	add column version bigint not null default nextval('hh_token_versions'),
	add column stale boolean not null default false,
	add column login_required boolean not null default false,
	add column problem text,
	add column refresh_node text,
	add column refresh_until timestamptz;

-- For the rotation of keys.
create index hh_tokens_key_id on hh_tokens (key_id);

-- Login pages that were asked for; the state itself is nowhere. user_id: the session that it is for.
create table oauth_states (
	hash       text primary key,
	user_id    uuid,
	expires_at timestamptz not null,
	used_at    timestamptz
);

-- Codes and refresh tokens that callers brought, by a hash: each goes to HH once, by `node` until `lease_until`,
-- and who comes again gets the first one's answer, which lies here sealed.
create table oauth_exchanges (
	key_hash    text primary key,
	kind        text not null,
	node        text,
	lease_until timestamptz,
	answer      text,
	key_id      text,
	error       text,
	created_at  timestamptz not null default now()
);

create index oauth_exchanges_created_at on oauth_exchanges (created_at);

-- Who did what to whose account. No secrets.
create table audit (
	id      bigserial primary key,
	at      timestamptz not null default now(),
	act     text not null,
	user_id uuid,
	detail  text
);

create index audit_user_id on audit (user_id, at);
create index audit_at on audit (at);

-- The account to act with for a user or a session: the own one, the person's, that of the person's newest
-- session; one that works before one that does not.
create function hh_account_of(p_user uuid) returns uuid language sql stable as $$
	select found.user_id from (
		select t.user_id, t.login_required, 1 as rank, null::timestamp as made
		from hh_tokens t where t.user_id = p_user
		union all
		select t.user_id, t.login_required, 2, null
		from hh_tokens t where t.user_id = person_of(p_user)
		union all
		select t.user_id, t.login_required, 3, s.created_at
		from sessions s join hh_tokens t on t.user_id::text = s.session_id
		where s.user_id = person_of(p_user)
	) found order by found.login_required, found.rank, found.made desc nulls last limit 1
$$;

-- The pair of that version is of no use any more: says so once, to p_told.
create function account_problem(p_version bigint, p_told uuid, p_problem text) returns void
language plpgsql as $$
declare
	account uuid;
begin
	update hh_tokens set login_required = true, problem = p_problem, refresh_node = null,
		refresh_until = null, updated_at = now() at time zone 'UTC'
	where version = p_version and not login_required returning user_id into account;
	if account is null then
		return;
	end if;
	insert into audit (act, user_id, detail) values ('login_required', account, p_problem);
	perform tell_user(p_told, 'hh_login_required', jsonb_build_object('error', 'hh_login_required',
		'reason', p_problem));
end
$$;

create function account_works(a hh_tokens, p_not_version bigint) returns boolean language sql volatile as $$
	select not a.login_required and not a.stale and a.version <> coalesce(p_not_version, 0)
		and (a.expires_at is null or a.expires_at > clock_timestamp() at time zone 'UTC')
$$;

-- The account of a user and what to do: `good`, use it; `refresh`, p_node and nobody else refreshes it now;
-- `busy`, another node does; `login`, it takes the person. No row: there is none.
create function account_claim(p_user uuid, p_node text, p_ttl_ms bigint, p_not_version bigint)
returns table (state text, account hh_tokens) language plpgsql as $$
declare
	a hh_tokens;
begin
	select * into a from hh_tokens t where t.user_id = hh_account_of(p_user);
	if a.user_id is null then
		return;
	end if;
	if not a.login_required and not account_works(a, p_not_version) then
		select * into a from hh_tokens t where t.user_id = a.user_id for update;
		if a.user_id is null then
			return;
		end if;
	end if;
	if a.login_required then
		return query select 'login'::text, a;
		return;
	elsif account_works(a, p_not_version) then
		return query select 'good'::text, a;
		return;
	end if;
	if a.version = p_not_version and not a.stale then
		update hh_tokens t set stale = true where t.user_id = a.user_id;
	end if;
	if a.refresh_token is null then
		perform account_problem(a.version, p_user, 'the token has expired, and there is none to refresh it with');
		select * into a from hh_tokens t where t.user_id = a.user_id;
		return query select 'login'::text, a;
	elsif a.refresh_until > clock_timestamp() and a.refresh_node <> p_node then
		return query select 'busy'::text, a;
	else
		update hh_tokens t set refresh_node = p_node,
			refresh_until = clock_timestamp() + p_ttl_ms * interval '1 ms'
		where t.user_id = a.user_id;
		return query select 'refresh'::text, a;
	end if;
end
$$;

-- Keeps a pair. p_replaces: only in the place of that version; null: of any, or as the first one. p_unless_works:
-- not where the user has an account, of whichever session, that works or can be refreshed. Returns the version
-- of what is there then; null: another one is.
create function account_put(p_user uuid, p_replaces bigint, p_access text, p_refresh text, p_key text,
	p_expires_in_s bigint, p_unless_works boolean) returns bigint language plpgsql as $$
declare
	ends timestamp := (clock_timestamp() + p_expires_in_s * interval '1 s') at time zone 'UTC';
	a hh_tokens;
begin
	if p_unless_works then
		select * into a from hh_tokens t where t.user_id = hh_account_of(p_user);
		if account_works(a, null) or (not a.login_required and a.refresh_token is not null) then
			return a.version;
		end if;
	end if;
	if p_replaces is null then
		insert into hh_tokens (user_id, access_token, refresh_token, key_id, expires_at, created_at)
		values (p_user, p_access, p_refresh, p_key, ends, now() at time zone 'UTC')
		on conflict (user_id) do nothing;
		if found then
			insert into audit (act, user_id) values ('connected', p_user);
		end if;
	end if;
	select * into a from hh_tokens t where t.user_id = p_user for update;
	if a.access_token = p_access then
		return a.version;
	elsif a.user_id is null or (p_replaces is not null and a.version <> p_replaces) then
		return null;
	end if;
	update hh_tokens t set access_token = p_access, refresh_token = p_refresh, key_id = p_key,
		expires_at = ends, version = nextval('hh_token_versions'), stale = false,
		login_required = false, problem = null, refresh_node = null, refresh_until = null,
		updated_at = now() at time zone 'UTC'
	where t.user_id = p_user returning * into a;
	insert into audit (act, user_id)
	values (case when p_replaces is null then 'connected' else 'refreshed' end, p_user);
	return a.version;
end
$$;

-- Begins the exchange of a code or a refresh token at HH: `mine`, p_node does it now; `busy`, another node does;
-- `done` and `failed`, with the first one's answer; `forbidden`, a login that is not this caller's to end.
create function exchange_begin(p_key text, p_kind text, p_node text, p_ttl_ms bigint, p_state_hash text,
	p_user uuid, p_trusted boolean)
returns table (state text, answer text, error text) language plpgsql as $$
declare
	e oauth_exchanges;
begin
	perform pg_advisory_xact_lock(hashtextextended(p_key, 0));
	select * into e from oauth_exchanges x where x.key_hash = p_key;
	if e.key_hash is null then
		if p_state_hash is not null then
			update oauth_states s set used_at = clock_timestamp()
			where s.hash = p_state_hash and s.used_at is null and s.expires_at > clock_timestamp()
			and (s.user_id = p_user or (s.user_id is null and (p_user is null or p_trusted)));
		end if;
		if p_kind = 'connect' and not (case when p_state_hash is null then p_trusted else found end) then
			insert into audit (act, user_id) values ('state_refused', p_user);
			return query select 'forbidden'::text, null::text, null::text;
			return;
		end if;
		insert into oauth_exchanges (key_hash, kind) values (p_key, p_kind) returning * into e;
	end if;
	if e.answer is not null then
		return query select 'done'::text, e.answer, null::text;
	elsif e.error is not null then
		return query select 'failed'::text, null::text, e.error;
	elsif e.lease_until > clock_timestamp() and e.node <> p_node then
		return query select 'busy'::text, null::text, null::text;
	else
		update oauth_exchanges x set node = p_node,
			lease_until = clock_timestamp() + p_ttl_ms * interval '1 ms'
		where x.key_hash = p_key;
		return query select 'mine'::text, null::text, null::text;
	end if;
end
$$;

-- What is sealed with another key than p_key, after (p_kind, p_id).
create function sealed_others(p_key text, p_kind text, p_id text, p_limit bigint)
returns table (kind text, id text, first text, second text) language sql stable as $$
	select * from (
		select 'account' as kind, user_id::text as id, access_token as first,
			refresh_token as second
		from hh_tokens where key_id is distinct from p_key
		union all
		select 'exchange', key_hash, oauth_exchanges.answer, null
		from oauth_exchanges where answer is not null and key_id is distinct from p_key
		union all
		select 'secret', name, ciphertext, null
		from shared_secrets where ciphertext is not null and key_id is distinct from p_key
	) sealed where (sealed.kind, sealed.id) > (p_kind, p_id) order by 1, 2 limit p_limit
$$;

-- Puts what was sealed anew in the place of p_old, if it is still there.
create function sealed_swap(p_kind text, p_id text, p_old text, p_first text, p_second text, p_key text)
returns boolean language plpgsql as $$
begin
	case p_kind
	when 'account' then
		update hh_tokens set access_token = p_first, refresh_token = p_second, key_id = p_key
		where user_id = p_id::uuid and access_token = p_old;
	when 'exchange' then
		update oauth_exchanges set answer = p_first, key_id = p_key
		where key_hash = p_id and answer = p_old;
	when 'secret' then
		update shared_secrets set ciphertext = p_first, key_id = p_key
		where name = p_id and ciphertext = p_old;
	end case;
	return found;
end
$$;
