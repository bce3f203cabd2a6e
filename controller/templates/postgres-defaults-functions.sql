-- A function with SECURITY DEFINER does with its owner's rights what whoever may call it asks: a reader calls none but
-- those that the owner grants.
-- It runs as postgres-defaults.sql does, and on a database that has been in use.
ALTER DEFAULT PRIVILEGES FOR ROLE owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT EXECUTE ON FUNCTIONS TO writer;
