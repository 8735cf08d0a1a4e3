drop table application_queue;
drop table applications;
drop table custom_cvs;
