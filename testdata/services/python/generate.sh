#!/bin/sh
# Makes the Python code of ../guestbook.proto, and of the APIs of the server that is
# current, below gen; and guestbook.binpb, which tells the server what the service speaks.
set -eu
cd "$(dirname "$0")"
for api in auth.v1.Auth config.v1.Config events.v1.Events registry.v1.Registry store.v1.Store; do
  micro describe "micro.$api" --files proto --yes >/dev/null
done
mkdir -p gen
protoc -I proto -I .. --python_out=gen --grpc_python_out=gen \
  --plugin=protoc-gen-grpc_python="$(command -v grpc_python_plugin)" \
  guestbook.proto $(cd proto && find micro -name '*.proto')
protoc -I .. --include_imports --include_source_info --descriptor_set_out=gen/guestbook.binpb guestbook.proto
