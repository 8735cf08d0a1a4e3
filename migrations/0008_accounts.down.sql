drop function person_of;
