drop table shared_secrets;
