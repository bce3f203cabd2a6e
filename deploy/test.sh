#!/bin/sh
# Runs all tests, in two halves side by side, which takes two thirds of the time: controllers and what runs a whole
# Podgate, and the rest, whose report comes at the end. Usage: test.sh PYTEST
set -u
pytest=$1
report=$(mktemp)
"$pytest" --ignore=tests/controller --ignore=tests/scenarios >"$report" 2>&1 &
rest=$!
trap 'kill $rest 2>/dev/null; rm -f "$report"' EXIT
"$pytest" tests/controller tests/scenarios
status=$?
wait $rest || status=1
trap 'rm -f "$report"' EXIT
cat "$report"
exit $status
