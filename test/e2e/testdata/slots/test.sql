-- The first statement that fails ends psql with exit code 3.
\set ON_ERROR_STOP on
\i schema.sql

CREATE PROCEDURE expect(wanted text, places int) LANGUAGE plpgsql AS $$
BEGIN
	IF free(wanted) <> places THEN
		RAISE EXCEPTION '%: % places are free, want %', wanted, free(wanted), places;
	END IF;
	RAISE INFO '%: % places are free', wanted, places;
END
$$;

CALL expect('monday', 10);
INSERT INTO booking VALUES ('monday', 2), ('monday', 3), ('tuesday', 1);
CALL expect('monday', 5);
SELECT pg_sleep(1) AS slept \gset
CALL expect('tuesday', 9);
SELECT pg_sleep(1) AS slept \gset
CALL expect('sunday', 10);
