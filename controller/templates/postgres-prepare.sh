# Makes the pod's cluster with its database and roles, once. It is whole when it is called `cluster`: it is made under
# another name, and what an interrupted run left is thrown away. Until then the server listens on another socket, in the
# same directory that only the pod's own user may enter.
set -eu
cluster=$POD_DATA/cluster
new=$POD_DATA/cluster.new
if [ -e "$cluster" ]; then exit 0; fi

rm -rf "$new"
cp -R "$POD_CACHE" "$new"
chmod -R go= "$new"

# A failing statement is never logged: it might hold a password. Durability comes at the end, all at once.
"$POSTGRES_BIN/postgres" -D "$new" -c config_file="$POD_TEMPLATE/postgres.conf" \
    -c hba_file="$POD_TEMPLATE/postgres-prepare-hba.conf" -c ident_file="$POD_TEMPLATE/postgres-ident.conf" \
    -c unix_socket_directories="$POD_RUN" -p 1 \
    -c log_min_messages=fatal -c log_min_error_statement=panic -c fsync=off &
server=$!
trap 'kill -QUIT $server 2>/dev/null || true; wait $server || true' EXIT

sql() {
    PGHOST=$POD_RUN PGPORT=1 PGUSER=postgres PGOPTIONS=--client-min-messages=warning \
        "$POSTGRES_BIN/psql" --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname="$1"
}
until sql postgres </dev/null 2>/dev/null; do
    kill -0 $server # ends this script if the server did
    sleep 0.02
done

sql postgres <<'SQL'
\getenv database POD_DATABASE
\getenv owner SECRET_OWNER
\getenv writer SECRET_WRITE
\getenv reader SECRET_READ
CREATE ROLE owner LOGIN PASSWORD :'owner';
CREATE ROLE writer LOGIN PASSWORD :'writer';
CREATE ROLE reader LOGIN PASSWORD :'reader';
ALTER ROLE reader SET default_transaction_read_only = on;
CREATE DATABASE :"database" OWNER owner;
REVOKE ALL ON DATABASE :"database", postgres, template1 FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE :"database" TO writer;
GRANT CONNECT ON DATABASE :"database" TO reader;
SQL

# Not the roles pg_read_all_data and pg_write_all_data: they reach the system's catalogs too, password verifiers and all.
sql "$POD_DATABASE" <<'SQL'
ALTER SCHEMA public OWNER TO owner;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO writer, reader;
ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT USAGE ON SCHEMAS TO writer, reader;
ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO writer;
ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT SELECT ON TABLES TO reader;
ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO writer;
ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT SELECT ON SEQUENCES TO reader;
-- Large objects can be made without any privilege but these; a reader makes none.
REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) TO owner, writer;
SQL

kill -INT $server
wait $server
trap - EXIT
"$POSTGRES_BIN/initdb" --sync-only --pgdata="$new" >/dev/null
mv "$new" "$cluster"
sync "$POD_DATA"
