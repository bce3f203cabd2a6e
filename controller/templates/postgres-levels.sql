-- What the levels may do in the pod's new database. From here on it is its owner's, who may give and take more.
-- Not the roles pg_read_all_data and pg_write_all_data: they reach the system's catalogs too, password verifiers and all.
ALTER SCHEMA public OWNER TO owner;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO writer, reader;
