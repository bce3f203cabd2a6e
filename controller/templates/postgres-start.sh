# Starts the server. No process of an earlier start is left when this runs, so its lock file says nothing.
set -eu
rm -f "$POD_DATA/cluster/postmaster.pid"
exec "$POSTGRES_BIN/postgres" -D "$POD_DATA/cluster" -c config_file="$POD_TEMPLATE/postgres.conf" \
    -c hba_file="$POD_TEMPLATE/postgres-hba.conf" -c ident_file="$POD_TEMPLATE/postgres-ident.conf" \
    -c unix_socket_directories="$POD_RUN" -c listen_addresses="$POD_LISTEN" \
    -c max_connections="$PARAM_MAX_CONNECTIONS" -c shared_buffers="$PARAM_SHARED_BUFFERS"
