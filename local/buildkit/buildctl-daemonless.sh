#!/bin/sh
# Runs buildctl against a buildkitd of its own, which ends with it: the interface of the program of that name in BuildKit's
# public image. BUILDKITD_FLAGS are flags for buildkitd, several separated by spaces.
set -eu

folder=$(mktemp -d)
address=unix://$folder/buildkitd.sock
# shellcheck disable=SC2086 # several flags
buildkitd --addr="$address" ${BUILDKITD_FLAGS:-} >"$folder/log" 2>&1 &
daemon=$!
trap 'kill "$daemon" 2>/dev/null || true; wait "$daemon" || true; rm -r "$folder"' EXIT

tries=0
until buildctl --addr="$address" debug workers >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ] || ! kill -0 "$daemon" 2>/dev/null; then
        echo "buildkitd did not start:" >&2
        cat "$folder/log" >&2
        exit 1
    fi
    sleep 0.1
done
status=0
buildctl --addr="$address" "$@" || status=$?
if [ "$status" -ne 0 ]; then
    echo "The end of buildkitd's log:" >&2
    tail -n 20 "$folder/log" >&2
fi
exit "$status"
