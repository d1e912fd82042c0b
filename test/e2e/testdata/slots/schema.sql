CREATE TABLE booking (day text NOT NULL, places int NOT NULL CHECK (places > 0));

CREATE FUNCTION free(wanted text) RETURNS int LANGUAGE sql AS $$
	SELECT 10 - coalesce(sum(places), 0)::int FROM booking WHERE day = wanted
$$;
