-- Who is who: a session and the user that it belongs to are one person, who has one account at HH, one
-- bucket for each rate limit, and applies to a vacancy once.

-- The user of a session that has one; else the id itself, a user's or that of a session without a user.
create function person_of(p_user uuid) returns uuid language sql stable as $$
	select coalesce((select user_id from sessions where session_id = p_user::text), p_user)
$$;
