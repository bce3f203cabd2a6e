#!/bin/sh
# What `make bench` uses from the distribution: the proxies to compare with, the load tools, and a C compiler with
# OpenSSL's headers for our own. Traefik, Envoy and Caddy come with the bench extra.
set -eu
. "$(dirname "$0")/packages.sh"

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
install_missing "The experiments leave out what needs them and say so"
