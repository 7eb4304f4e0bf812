. "$(dirname "$0")/../library.sh"
environment 3 0
"$SKEP" lab stop docker03 --now --name "$NAME" >/dev/null 2>&1; sleep 25
skep status
expect "voters: 2 of 3" says 'voters: 2 of 3 reachable'
expect "not 3 of 2" silent 'voters: 3 of 2'
finish
