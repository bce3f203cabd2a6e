#!/bin/sh
# Postgres clients of other languages that only tests use: the JDBC driver from the distribution, which runs on the JRE
# of the graph pods' wheel, and node.js' pg, as tests/scenarios/clients/package-lock.json pins it, into .venv/node.
set -eu
. "$(dirname "$0")/packages.sh"

need /usr/share/java/postgresql.jar libpostgresql-jdbc-java
need node nodejs
need npm npm
need pg_dump postgresql-client
need setsid util-linux
install_missing "The tests that need them are skipped"

wanted=$(dirname "$0")/../tests/scenarios/clients
place=$(dirname "$0")/../.venv/node
done=$place/installed.json # a copy of the lock file that all of was installed
command -v npm >/dev/null 2>&1 || exit 0
cmp -s "$wanted/package-lock.json" "$done" && exit 0
echo "==> installing node.js' pg into .venv/node (npm)"
mkdir -p "$place"
cp "$wanted/package.json" "$wanted/package-lock.json" "$place/"
if npm ci --prefix "$place" --ignore-scripts --no-audit --no-fund --loglevel=error; then
    cp "$wanted/package-lock.json" "$done"
else
    rm -rf "$place"
    echo "==> not installed: pg. The tests that need it are skipped."
fi
