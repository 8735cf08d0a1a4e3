drop table hh_tokens;
drop table sessions;
