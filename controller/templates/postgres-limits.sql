-- What a level may not do though everybody may elsewhere. It may run on a database that has been in use.

-- Of those there are already; postgres-defaults-functions.sql tells why.
SELECT format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC; GRANT EXECUTE ON ROUTINE %1$s TO writer', oid::regprocedure)
    FROM pg_proc WHERE prosecdef AND proacl IS NULL AND proowner = 'owner'::regrole \gexec

-- All sessions of a level are one role's, which could end each other's. A reader writes nothing at all: no large
-- objects, which take no other privilege to be made, nothing into the log that replicas follow, and holds no locks that
-- others wait for.
SELECT format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC; GRANT EXECUTE ON FUNCTION %1$s TO %s', oid::regprocedure,
        CASE WHEN proname ~ 'backend|emit' THEN 'owner' ELSE 'owner, writer' END)
    FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND (
        proname IN ('pg_terminate_backend', 'pg_cancel_backend', 'pg_logical_emit_message')
        OR proname IN ('lo_creat', 'lo_create', 'lo_from_bytea') OR proname ~ '^pg_(try_)?advisory_'
    ) \gexec
