drop table outbox;
drop table topics;
