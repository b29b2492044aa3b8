#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A million routes in each table: in, out, changed, taken away; and what cannot be imported changes nothing.
. "$(dirname "$0")/lib.sh"

if [ -n "${XSR_VM:-}" ]; then
	MANY=50000 TABLE=65536
else
	MANY=1000000 TABLE=1048576
fi

# Runs a command and says how long it took.
timed() { # WHAT COMMAND...
	local start
	start=$(milliseconds)
	"${@:2}" || wrong "$1: status $?"
	say "    $1: $(($(milliseconds) - start)) ms"
}

# N routes as `route export` writes them: dense IDs, or hashed ones whose high bits are all over.
dense_routes() { awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "0x%x worker %d\n", i, i % 64 }'; }
hashed_routes() { # N PREFIX
	awk -v n="$1" -v prefix="$2" 'BEGIN {
		for (i = 0; i < n; i++)
			printf "0x%s%02x%06xfe %s\n", prefix, i * 7 % 256, i, i % 5 ? "worker " i % 64 : "pass"
	}'
}

import() { # SERVICE FILE
	try xsr route import "$1" "$2"
	[ "$STATUS" = 0 ] && [[ $OUT == "imported $(wc -l <"$2") route(s) in "* ]] || wrong "import: $STATUS '$OUT' '$ERR'"
}

export_sorted() { xsr route export "$1" | sort >"$TMP/out"; }

# Every route of the service, once, with its target and generation.
routes_are() { # SERVICE SORTED-FILE GENERATION
	export_sorted "$1"
	cmp -s "$2" "$TMP/out" || wrong "what was exported is not what was imported: $(diff "$2" "$TMP/out" | head -5)"
	assert_eq "routes of generation $3" "$(wc -l <"$2")" "$(xsr route show "$1" | grep -c " generation $3\$")"
}

count() { xsr route export "$1" | wc -l; }

# One table's whole story.
service_holds() { # SERVICE SORTED-FILE
	timed "import" import "$1" "$2"
	timed "export, show, compare" routes_are "$1" "$2" 1
	timed "import again" import "$1" "$2"
	routes_are "$1" "$2" 2
	timed "flush" service_flushes "$1"
}

service_flushes() { # SERVICE
	try xsr route flush "$1"
	assert_eq "stdout" "flushed $MANY route(s)" "$OUT"
	assert_eq "routes that are left" 0 "$(count "$1")"
}

hosts_make
xsr prog load dense $TABLE routes $TABLE >/dev/null || fail "cannot load the program"
done_quietly xsr service add hashed udp 10.77.0.1:5000 id xsr default drop
dense_routes $MANY | sort >"$TMP/dense"
hashed_routes $MANY fade >"$TMP/hashed.unsorted"
sort "$TMP/hashed.unsorted" >"$TMP/hashed"

step "$MANY hashed routes"
service_holds hashed "$TMP/hashed"

step "$MANY dense routes"
refused 1 "the dense table has $TABLE free in a row" xsr service add dense udp 10.77.0.1:5001 id xsr dense $((TABLE + 1))
done_quietly xsr service add dense udp 10.77.0.1:5001 id xsr default drop dense $TABLE
service_holds dense "$TMP/dense"
done_quietly xsr service delete dense

step "some are replaced, some deleted; the others stay"
import hashed "$TMP/hashed"
ids=$(sed -n '1p;1000p;10000p' "$TMP/hashed" | cut -d' ' -f1)
for id in $ids; do
	try xsr route replace hashed "$id" drop
	assert_eq "route of $id" "hashed $id drop generation 2" "$(xsr route show hashed "$id")"
done
sed '1s/ .*/ drop/; 1000s/ .*/ drop/; 10000s/ .*/ drop/' "$TMP/hashed" >"$TMP/changed"
export_sorted hashed
cmp -s "$TMP/changed" "$TMP/out" || wrong "other routes changed too"
for id in $ids; do
	done_quietly xsr route delete hashed "$id"
	refused 1 "service 'hashed' has no route for $id" xsr route show hashed "$id"
	refused 1 "service 'hashed' has no route for $id" xsr route delete hashed "$id"
done
assert_eq "routes" $((MANY - 3)) "$(count hashed)"

step "a bad line far down: nothing is imported"
line=$((MANY * 7 / 10))
sed "${line}s/ .*/ worker 64/" "$TMP/hashed" >"$TMP/bad"
refused 1 "$TMP/bad:$line: worker 64: an instance has at most 64 workers, 0 to 63; nothing was imported" \
	xsr route import hashed "$TMP/bad"
assert_eq "routes" $((MANY - 3)) "$(count hashed)"
assert_eq "routes of generation 1" $((MANY - 3)) "$(xsr route show hashed | grep -c ' generation 1$')"

step "more than the table takes: nothing is imported"
hashed_routes $((TABLE - MANY + 4)) beef >"$TMP/more"
refused 1 "the table takes $TABLE routes in all; nothing was imported" xsr route import hashed "$TMP/more"
assert_eq "routes" $((MANY - 3)) "$(count hashed)"
sed -i '$d' "$TMP/more"
import hashed "$TMP/more"
assert_eq "routes" $TABLE "$(count hashed)"
refused 1 "the table of routes is full: $TABLE" xsr route add hashed 1 drop
# What is there can be changed in a full table.
try xsr route replace hashed "$(sed -n 2p "$TMP/hashed" | cut -d' ' -f1)" drop
assert_eq "status of a replace in the full table" 0 "$STATUS"
timed "import over the full table" import hashed "$TMP/more"

step "from a pipe, with comments and blank lines"
done_quietly xsr route flush hashed
{ printf '# of today\n\n'; head -1000 "$TMP/hashed"; } | xsr route import hashed - >/dev/null 2>&1 || wrong "import -: status $?"
assert_eq "routes" 1000 "$(count hashed)"
