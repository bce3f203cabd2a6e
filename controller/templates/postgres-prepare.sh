# Makes the pod's cluster with its database and roles, once, or brings the one of an earlier version up to this one:
# the empty file `podgate-3` in it says that this was done. A new cluster is whole when it is called `cluster`: it is
# made under another name, and what an interrupted run left is thrown away. An old one is changed in place, by
# statements that may run twice. Until then the server listens on another socket, in the same directory that only the
# pod's own user may enter.
set -eu
cluster=$POD_DATA/cluster
new=$POD_DATA/cluster.new
if [ -e "$cluster/podgate-3" ]; then exit 0; fi

if [ -e "$cluster" ]; then
    made=$cluster
    rm -f "$made/postmaster.pid" # no process of an earlier start is left when this runs
else
    made=$new
    rm -rf "$new"
    # Where a cache cannot be shared by all pods there is none yet.
    [ -e "$POD_CACHE" ] || OUT=$POD_CACHE sh "$POD_TEMPLATE/postgres-cluster.sh"
    cp -R "$POD_CACHE" "$new"
    chmod -R go= "$new"
fi

# A failing statement is never logged: it might hold a password. A new cluster's durability comes at the end, all at
# once.
set -- -D "$made" -c config_file="$POD_TEMPLATE/postgres.conf" \
    -c hba_file="$POD_TEMPLATE/postgres-prepare-hba.conf" -c ident_file="$POD_TEMPLATE/postgres-ident.conf" \
    -c unix_socket_directories="$POD_RUN" -p 1 \
    -c log_min_messages=fatal -c log_min_error_statement=panic
if [ "$made" = "$new" ]; then set -- "$@" -c fsync=off; fi
"$POSTGRES_BIN/postgres" "$@" &
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

sql postgres <"$POD_TEMPLATE/postgres-roles.sql"
if [ "$made" = "$new" ]; then
    sql "$POD_DATABASE" <"$POD_TEMPLATE/postgres-levels.sql"
    sql "$POD_DATABASE" <"$POD_TEMPLATE/postgres-defaults.sql"
fi
sql "$POD_DATABASE" <"$POD_TEMPLATE/postgres-defaults-functions.sql"
sql "$POD_DATABASE" <"$POD_TEMPLATE/postgres-limits.sql"

kill -INT $server
wait $server
trap - EXIT
: >"$made/podgate-3"
"$POSTGRES_BIN/initdb" --sync-only --pgdata="$made" >/dev/null
if [ "$made" = "$new" ]; then mv "$new" "$cluster"; fi
sync "$POD_DATA"
