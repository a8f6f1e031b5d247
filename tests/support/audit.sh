#!/bin/sh
# Audits the dependencies, part by part: tests/support/audit.sh PYTHON ENVIRONMENT. PYTHON is the one whose packages
# are looked at, ENVIRONMENT the directory of the virtual environment for pip-audit. Every part is tried; the exit code
# is 1 when one found something or could not ask. What needs a network, and did not get it, is told from what is wrong.
set -u
python=$1
environment=$2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
summary=
failed=0

# part NAME NEEDS COMMAND...: runs it, and notes how it ended; NEEDS is what has to be reached, or nothing.
part() {
	name=$1 needs=$2
	shift 2
	echo "== $name"
	if "$@" >"$log" 2>&1; then
		cat "$log"
		outcome=ok
	else
		cat "$log"
		failed=1
		outcome=FAILED
		if [ -n "$needs" ] && grep -qiE "$unreachable" "$log" && ! grep -qE "$found_something" "$log"; then
			outcome="NOT ASKED, $needs cannot be reached"
		fi
	fi
	summary="$summary$name: $outcome
"
}

unreachable='failed to fetch advisory database|failed to connect|could not (resolve|connect)|connection (refused|reset|error)|network is unreachable|timed out|temporary failure in name resolution|403 forbidden|proxyerror|failed to establish|not found on pypi'

# The texts of advisories may tell of connections that fail, too.
found_something='^Found [0-9]|^(error|warning)\[(vulnerability|unsound|unmaintained|notice|yanked)'

pip_audit() {
	python3 -m venv "$environment" &&
		"$environment/bin/python" -m pip install --quiet --disable-pip-version-check pip-audit &&
		"$environment/bin/python" -m pip_audit --progress-spinner off --skip-editable --path \
			"$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" >"$environment/found" || found=1
	cat "$environment/found"
	# A mirror of PyPI without its JSON pages knows no package, which pip-audit takes for nothing to find.
	! grep -q 'not found on PyPI and could not be audited' "$environment/found" && [ -z "${found:-}" ]
}

cd "$(dirname "$0")/../../ext" || exit 1
part "crates: licences, bans and sources" "" cargo deny --locked check --hide-inclusion-graph licenses bans sources
part "crates: advisories and yanked versions" "github.com or crates.io" cargo deny --locked check advisories
cd .. || exit 1
part "Python packages: advisories" "pypi.org" pip_audit

printf '\n%s' "$summary"
exit $failed
