# Makes an empty cluster that every pod's own is a copy of: copying takes a tenth of the time initdb takes.
set -eu
"$POSTGRES_BIN/initdb" --pgdata="$OUT" --username=postgres --encoding=UTF8 --locale=C.UTF-8 \
    --auth=reject --data-checksums
rm "$OUT/postgresql.conf" "$OUT/pg_hba.conf" "$OUT/pg_ident.conf" # the template has its own
