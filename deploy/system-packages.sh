#!/bin/sh
# What `make demo` and `make test` use from the distribution: psql and pgbench of the system, Chromium and the program
# that tells it whom to trust, openssl and curl.
set -eu
. "$(dirname "$0")/packages.sh"

need psql postgresql-client
[ -x /usr/lib/postgresql/15/bin/pgbench ] || need pgbench postgresql-contrib
need chromium chromium
need certutil libnss3-tools
need curl curl
need openssl openssl
# The Neo4j driver asks the resolver for names below .localhost; browsers and curl know them by themselves.
getent hosts podgate.localhost >/dev/null 2>&1 || missing="$missing libnss-myhostname"
install_missing "What needs them is skipped with a line that says so"
