drop table parsed_cvs;
drop table cvs;
drop table users;
