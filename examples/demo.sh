#!/bin/sh
# Start a real server, ask it 20 000 requests from a file, show the report, stop the server.
set -eu
cd "$(dirname "$0")/.."

url_file=$(mktemp)
opskit target --port 0 --quiet >"$url_file" &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || :; rm -f "$url_file"' EXIT INT TERM

# The server's URL is the first line it prints.
until read -r url <"$url_file"; do
  kill -0 "$server" || exit 3
  sleep 0.05
done

echo "\$ opskit bench -k -n 20000 -c 50 -R examples/requests.txt $url/search?q="
opskit bench -k -n 20000 -c 50 -R examples/requests.txt "$url/search?q="
