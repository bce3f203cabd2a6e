#!/bin/sh
# Install what `make demo` and `make test` use from the distribution, and only what is missing: psql and pgbench of the
# system, Chromium for screenshots, openssl, curl and certutil.
# As root (or with sudo that asks nothing) it uses apt-get and says so; otherwise it says what is missing and goes on.
set -eu

missing=""
need() { # command, package
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/lib/postgresql/15/bin/$1" ] || missing="$missing $2"
}
need psql postgresql-client
need pgbench postgresql-contrib
need chromium chromium
need curl curl
need openssl openssl
# The Neo4j driver asks the resolver for names below .localhost; browsers and curl know them by themselves.
getent hosts podgate.localhost >/dev/null 2>&1 || missing="$missing libnss-myhostname"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then as_root=""; elif sudo -n true 2>/dev/null; then as_root="sudo -n"; else as_root="no"; fi
if [ "$as_root" = no ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "==> not installed:$missing. What needs them is skipped with a line that says so; install them to have all."
    exit 0
fi
echo "==> installing from the distribution (apt-get):$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086  # a list of words, none of them from outside
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
