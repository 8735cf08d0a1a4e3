-- The applications of those who have no row in users go: the schema before cannot hold them.
create or replace function limiter_wake(p_person uuid) returns void language sql as $$
	select pg_notify('ugtj_limits', coalesce(p_person::text, ''))
$$;
drop function application_cancel;
drop function application_retry;
drop function application_end;
drop function application_claim;
drop function application_put;
drop function application_moved;
drop function tell_users;
drop function applications_ring;
drop trigger applications_of_deleted_job on jobs;
drop function applications_of_deleted_job;
drop trigger applications_of_deleted_user on users;
drop function applications_of_deleted_user;
drop table application_lanes;
delete from applications a where not exists (select from users u where u.id = a.user_id);
alter table applications
	drop column person,
	drop column idempotency_key,
	drop column customized_cv,
	drop column priority,
	drop column place,
	drop column attempts,
	drop column failures,
	drop column next_attempt_at,
	drop column token_at,
	drop column sent_at,
	drop column resume_made_at,
	drop column resume_replaced,
	drop column lease_node,
	drop column lease_token,
	drop column lease_until,
	drop column workflow_id,
	drop column queue_item_id,
	drop column external_url,
	drop column error_code,
	drop column error_details,
	add constraint applications_user_id_fkey foreign key (user_id) references users (id)
		on delete cascade;
drop sequence application_lease_tokens;
