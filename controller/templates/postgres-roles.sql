-- The cluster's roles and databases. It may run on a cluster that has them already.
\getenv database POD_DATABASE
\getenv owner SECRET_OWNER
\getenv writer SECRET_WRITE
\getenv reader SECRET_READ
\getenv keeper SECRET_KEEPER
\getenv most PARAM_MAX_CONNECTIONS
-- Neither level takes all connections there are: the owner and the keeper are to get in.
SELECT :'most'::int - greatest(3, :'most'::int / 10) AS most \gset
SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['owner', 'writer', 'reader', 'keeper']) AS name
    WHERE name NOT IN (SELECT rolname FROM pg_roles) \gexec
ALTER ROLE owner LOGIN REPLICATION PASSWORD :'owner';
ALTER ROLE writer LOGIN CONNECTION LIMIT :most PASSWORD :'writer';
ALTER ROLE reader LOGIN CONNECTION LIMIT :most PASSWORD :'reader';
ALTER ROLE keeper LOGIN PASSWORD :'keeper';
ALTER ROLE reader SET default_transaction_read_only = on;
GRANT pg_read_all_stats, pg_signal_backend TO owner; -- to see and to end what the others run

SELECT format('CREATE DATABASE %I OWNER owner', :'database')
    WHERE :'database' NOT IN (SELECT datname FROM pg_database) \gexec
REVOKE ALL ON DATABASE :"database", postgres, template1 FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE :"database" TO writer;
GRANT CONNECT ON DATABASE :"database" TO reader;

-- PostgreSQL lets every role change its own password and settings, and a role here is shared by all who hold a level:
-- any of them could lock the others out. So the keeper, whom only the controller can be, sets them right again. It may
-- do nothing else, in a database that nobody else may enter.
GRANT CONNECT ON DATABASE postgres TO keeper;
CREATE SCHEMA IF NOT EXISTS podgate;
REVOKE ALL ON SCHEMA podgate, public FROM PUBLIC;
GRANT USAGE ON SCHEMA podgate TO keeper;

-- Sees that a role's password is the one of this verifier, and that its settings are those it began with; the owner's
-- settings are the owner's own. Gives whether anything had to be set right. For `podgate.keep` alone.
CREATE OR REPLACE FUNCTION podgate.set_right(whom text, verifier text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed boolean := false;
    began text[] := CASE whom WHEN 'reader' THEN ARRAY['default_transaction_read_only=on'] END;
    place record;
BEGIN
    IF (SELECT rolpassword IS DISTINCT FROM verifier FROM pg_authid WHERE rolname = whom) THEN
        EXECUTE format('ALTER ROLE %I PASSWORD %L', whom, verifier);
        changed := true;
    END IF;
    IF whom = 'owner' THEN
        RETURN changed;
    END IF;
    FOR place IN
        SELECT datname FROM pg_db_role_setting JOIN pg_roles ON pg_roles.oid = setrole
            LEFT JOIN pg_database ON pg_database.oid = setdatabase
            WHERE rolname = whom AND (setdatabase <> 0 OR setconfig IS DISTINCT FROM began)
    LOOP
        IF place.datname IS NULL THEN
            EXECUTE format('ALTER ROLE %I RESET ALL', whom);
        ELSE
            EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET ALL', whom, place.datname);
        END IF;
        changed := true;
    END LOOP;
    IF whom = 'reader' AND NOT EXISTS (
        SELECT FROM pg_db_role_setting JOIN pg_roles ON pg_roles.oid = setrole WHERE rolname = whom AND setdatabase = 0
    ) THEN
        ALTER ROLE reader SET default_transaction_read_only = on;
        changed := true;
    END IF;
    RETURN changed;
END
$$;
REVOKE ALL ON FUNCTION podgate.set_right(text, text) FROM PUBLIC;

-- Ends the sessions that are in the middle of changing a password or settings, which nobody below the owner has a reason
-- to; the owner's only where it is the owner's password that they hold. For `podgate.keep` alone.
CREATE OR REPLACE FUNCTION podgate.make_way(whom text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    session record;
BEGIN
    PERFORM pg_stat_clear_snapshot(); -- or a transaction sees the sessions that were there when it first looked
    FOR session IN
        SELECT pid FROM pg_stat_activity WHERE usename IN ('writer', 'reader', whom) AND pid IN (
            SELECT pid FROM pg_locks WHERE locktype = 'relation' AND database = 0 AND mode = 'RowExclusiveLock' AND (
                relation = 'pg_authid'::regclass OR relation = 'pg_db_role_setting'::regclass AND usename <> 'owner'
            )
        )
    LOOP
        PERFORM pg_terminate_backend(session.pid);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION podgate.make_way(text) FROM PUBLIC;

-- What the keeper calls: `podgate.set_right`, and who stands in its way by a transaction left open, or by changing the
-- same over and over, is put out of it.
CREATE OR REPLACE FUNCTION podgate.keep(whom text, verifier text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
BEGIN
    IF whom IS NULL OR whom NOT IN ('owner', 'writer', 'reader') OR verifier IS NULL
        OR verifier !~ '^SCRAM-SHA-256\$[0-9]{4,8}:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]{44}:[A-Za-z0-9+/=]{44}$' THEN
        RAISE EXCEPTION 'the keeper sets no such thing' USING ERRCODE = 'insufficient_privilege';
    END IF;
    FOR attempt IN 1..5 LOOP
        BEGIN
            RETURN podgate.set_right(whom, verifier);
        EXCEPTION -- the others: somebody did the same just now, "tuple concurrently updated"
            WHEN lock_not_available OR unique_violation OR internal_error THEN
                PERFORM podgate.make_way(whom);
        END;
    END LOOP;
    RETURN podgate.set_right(whom, verifier);
END
$$;
REVOKE ALL ON FUNCTION podgate.keep(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION podgate.keep(text, text) TO keeper;

-- Ends all sessions of a level below the owner's; gives what they called themselves.
CREATE OR REPLACE FUNCTION podgate.part(whom text) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    session record;
BEGIN
    IF whom IS NULL OR whom NOT IN ('writer', 'reader') THEN
        RAISE EXCEPTION 'the keeper ends no such sessions' USING ERRCODE = 'insufficient_privilege';
    END IF;
    FOR session IN SELECT pid, application_name FROM pg_stat_activity WHERE usename = whom LOOP
        IF pg_terminate_backend(session.pid) THEN
            RETURN NEXT session.application_name;
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION podgate.part(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION podgate.part(text) TO keeper;
