#!/usr/bin/env bash
# Installs the brokers that mombroker is compared with, as far as this user may; `make bench-setup` runs it. No service
# is left running: the benchmark starts and stops every broker itself. What cannot be installed is reported as missing
# by the benchmark, and nothing else depends on it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

missing=()
command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing+=(mosquitto)
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing+=(rabbitmq-server)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)

# Debian starts a service when its package is installed, unless this program says no.
policy=/usr/sbin/policy-rc.d
forbid_services() {
    [ -e "$policy" ] && return
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
}

if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        forbid_services
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } </dev/null ||
            echo "could not install: ${missing[*]}" >&2
    else
        echo "missing, and not installed without root: ${missing[*]}" >&2
    fi
fi

if command -v npm >/dev/null; then
    (cd npm && npm ci --no-audit --no-fund --loglevel=error) || echo "could not install aedes" >&2
fi
