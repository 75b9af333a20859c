#!/bin/sh
# The demonstration: send, let it come back, account for it.  $1 a workspace, $2 where mailblast is.
set -eu
cd "$1"
PATH="$2:$PATH"

run() { printf '\n$ %s\n' "$*"; "$@"; }

run mailblast send newsletter --yes
run mailblast bounces import .mailblast/sandbox/inbox.mbox
run mailblast report
run mailblast show back.p@bounces-postfix.example
