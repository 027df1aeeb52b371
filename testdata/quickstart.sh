#!/bin/sh
# The ten commands for a person: each is shown with what it printed, on a server of
# its own in a temporary directory. The exit code is 0 when every step did what it
# should. `make quickstart` runs it.
set -eu

PATH=$1:$PATH
for tool in go git; do
  command -v $tool >/dev/null || { echo "quickstart: $tool is needed and is not there" >&2; exit 1; }
done
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
MICRO_HOME=$work/home
export PATH MICRO_HOME
unset MICRO_ENV MICRO_NAMESPACE MICRO_TOKEN DBUS_SESSION_BUS_ADDRESS || true
server=
finish() {
  code=$?
  [ -z "$server" ] || { kill -INT "$server" 2>/dev/null && wait "$server" 2>/dev/null; } || true
  rm -rf "$work"
  [ $code = 0 ] || echo "quickstart: a step did not do what it should" >&2
  exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM

# step TEXT COMMAND: shows and runs a command line; what it prints must contain TEXT
step() {
  want=$1
  printf '\n$ %s\n' "$2"
  if ! eval "$2" >"$work/out" 2>&1; then
    cat "$work/out"
    return 1
  fi
  cat "$work/out"
  grep -q -- "$want" "$work/out" || {
    echo "quickstart: \"$want\" is not in what this printed" >&2
    return 1
  }
}

printf '$ micro server\n'
micro server --gateway 127.0.0.1:0 --proxy 127.0.0.1:0 >"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 200); do
  grep -q 'is ready' "$work/server.log" && break
  kill -0 "$server" 2>/dev/null || break
  sleep 0.05
done
cat "$work/server.log"
grep -q 'is ready' "$work/server.log"
gateway=$(sed -nE 's/.*gateway (http[^,]*),.*/\1/p' "$work/server.log")

cd "$work"
step 'is current' 'micro env set local'
step 'logged in as admin' 'echo micro | micro login --username admin --password-stdin'
step 'helloworld is in' 'micro new helloworld'
step '^ok' 'cd helloworld && go test ./...'
step 'helloworld is running' 'micro run .'
step 'running' 'micro status'
step 'started release 1' 'micro logs helloworld'
step '{"msg": "Hello Alice"}' 'micro helloworld --name=Alice'
step '^micro$' 'micro user namespace'
NAMESPACE=$(micro user namespace)
export NAMESPACE
if ! command -v curl >/dev/null; then
  go build -o "$work/get" "$here/get/main.go"
  curl() { "$work/get" "$4" "$3"; }
fi
step '{"msg":"Hello Alice"}' "curl -sS -H \"Micro-Namespace: \$NAMESPACE\" \"$gateway/helloworld?name=Alice\""
step 'helloworld is stopped' 'micro kill helloworld'

printf '\n$ # Ctrl-C at the server\n'
kill -INT "$server"
wait "$server"
server=
echo 'quickstart: every step did what it should'
