#!/bin/sh
# Runs all tests, in two halves side by side, which takes two thirds of the time: what runs a whole Podgate with most of
# the controller, and the rest with what runs pods and replicas, whose report comes at the end. Usage: test.sh PYTEST
set -u
pytest=$1
pods="tests/controller/runtimes tests/controller/replicas"
others=$(ls -d tests/test_*.py tests/*/ | grep -v -e tests/controller/ -e tests/scenarios/ -e tests/cluster/ -e __pycache__)
report=$(mktemp)
# shellcheck disable=SC2086  # lists of words
"$pytest" $others $pods >"$report" 2>&1 &
rest=$!
trap 'kill $rest 2>/dev/null; rm -f "$report"' EXIT
# shellcheck disable=SC2046
"$pytest" tests/controller tests/scenarios $(printf ' --ignore=%s' $pods)
status=$?
wait $rest || status=1
trap 'rm -f "$report"' EXIT
cat "$report"
exit $status
