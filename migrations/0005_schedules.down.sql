drop table user_jobs;
drop table schedules;
drop sequence schedule_lease_tokens;
