#!/usr/bin/env bash
# Runs the whole test suite on a stack that is there already (with-stack.sh):
# vet, the rooms under the race detector, the webhook service on bad days, then
# end to end. All of it runs even if a part fails; the last lines say how each
# went.
set -euo pipefail
cd "$(dirname "$0")/../.."

summary=()
failed=0

# stage runs one part of the suite and notes its outcome: stage NAME COMMAND…
stage() {
	local name=$1 start=$SECONDS outcome=passed
	shift
	echo "=== $name"
	"$@" || {
		outcome="FAILED (exit $?)"
		failed=1
	}
	summary+=("$(printf '%-12s %s after %d s' "$name" "$outcome" $((SECONDS - start)))")
}

mapfile -t rooms < <(go list ./... | grep -vE '/test/(e2e|chaos|bench|bench/webhook)$')
stage vet go vet ./...
stage vet-aws go vet -tags aws ./test/awslive
# The race detector lets every process linger for a second, and many tests run
# themselves as the program that they test. It also checks pointers, which in
# SQLite, that was C, takes a third of the time.
stage rooms env GORACE=atexit_sleep_ms=10 go test -race -gcflags=modernc.org/...=-d=checkptr=0 -timeout 30m "${rooms[@]}"
stage chaos go test -timeout 20m ./test/chaos
# More tests at once than processors: much of their time is waiting.
stage end-to-end go test -timeout 60m -parallel 4 ./test/e2e
printf '=== %s\n' "${summary[@]}"
exit $failed
