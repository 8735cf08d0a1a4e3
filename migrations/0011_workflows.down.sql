drop trigger workflows_of_deleted_user on users;
drop function workflows_of_deleted_user;
drop function workflow_estimate;
drop function workflow_work;
drop function workflow_do;
drop function workflow_add;
drop function workflow_find;
create or replace function application_moved(p_application applications) returns void language sql as $$
	select null::void
$$;
drop function workflow_pause_all;
drop function workflow_next;
drop function workflow_let_go;
drop function workflow_spoiled;
drop function workflow_tell;
drop function workflow_prepare;
drop function plain_letter;
drop function customized_cv;
drop function cv_fields;
drop function workflow_lock;
alter table application_queue drop column place;
drop index application_queue_in_flight;
drop table workflows;
