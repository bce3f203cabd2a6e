# Leaves what only the server may read where it reads it: root's password for its first start, and the other users' as
# arguments in a file, since those of a process can be read by everybody; run/ is emptied before each start. What the
# groups may do is ours to say, at each start: levels stand on it. Whoever writes needs `updateSchema`, since a label
# comes into being by being used.
set -eu
umask 077
printf %s "$SECRET_OWNER" > "$POD_RUN/root-password"
printf %s "-Darcadedb.server.defaultDatabases=$POD_DATABASE[root,writer:$SECRET_WRITE:writer,reader:$SECRET_READ:reader]" \
    > "$POD_RUN/users"
mkdir -p "$POD_DATA/config"
cp "$POD_TEMPLATE/graph-groups.json" "$POD_DATA/config/server-groups.json"
