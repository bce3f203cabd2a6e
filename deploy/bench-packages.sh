#!/bin/sh
# Install what `make bench` uses from the distribution, and only what is missing: the proxies to compare with, the load
# tools, and a C compiler with OpenSSL's headers for our own. Traefik, Envoy and Caddy come with the bench extra.
# As root (or with sudo that asks nothing) it uses apt-get and says so; otherwise it says what is missing and goes on.
# The services that these packages would start are not started: the benchmarks run their own.
set -eu

missing=""
need() { # what must be there, package
    command -v "$1" >/dev/null 2>&1 || [ -e "$1" ] || [ -x "/usr/sbin/$1" ] || missing="$missing $2"
}
need haproxy haproxy
need nginx nginx-light
need /usr/lib/nginx/modules/ngx_stream_module.so libnginx-mod-stream
need hitch hitch
need pgbouncer pgbouncer
need wrk wrk
need cc gcc
need setpriv util-linux
need /usr/include/stdio.h libc6-dev
need /usr/include/openssl/ssl.h libssl-dev
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then as_root=""; elif sudo -n true 2>/dev/null; then as_root="sudo -n"; else as_root="no"; fi
if [ "$as_root" = no ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "==> not installed:$missing. The experiments leave out what needs them and say so; install them to have all."
    exit 0
fi
echo "==> installing from the distribution (apt-get):$missing"
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d # asked before a package starts a service; 101: do not
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
    trap '$as_root rm -f "$policy"' EXIT
fi
$as_root apt-get update -qq
# shellcheck disable=SC2086  # a list of words, none of them from outside
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
