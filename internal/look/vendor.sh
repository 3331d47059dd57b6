#!/bin/sh
# Copies what the program embeds from the npm packages that package-lock.json pins, with
# their licences. Run it after a change of package.json, and commit what it writes.
set -eu
cd "$(dirname "$0")"
npm ci --silent --no-audit --no-fund --ignore-scripts
# Copies the licence and the named files of a package.
vendor() {
  package=$1
  shift
  rm -rf "vendored/$package"
  mkdir -p "vendored/$package"
  cp "node_modules/$package/LICENSE" "vendored/$package/LICENSE"
  for file in "$@"; do
    cp "node_modules/$package/$file" "vendored/$package/"
  done
  chmod 644 "vendored/$package"/*
}
vendor htmx.org dist/htmx.min.js
vendor uplot dist/uPlot.iife.min.js dist/uPlot.min.css
