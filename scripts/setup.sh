#!/usr/bin/env bash
# Installs what building and testing need: a C linker, Rust, the programs of a PostgreSQL server, PgBouncer.
# On Debian and Ubuntu it installs; elsewhere it says what is missing. Running it again changes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=()
apt_updated=

say() { printf '%s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        return 1
    fi
}

# apt_install PACKAGE...: installs packages where there is apt and a way to be root.
apt_install() {
    command -v apt-get >/dev/null || return 1
    if [ -z "$apt_updated" ]; then
        as_root apt-get update -q >&2 || return 1
        apt_updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >&2
}

have_postgres() {
    [ -n "${SETPOINT_POSTGRES:-}" ] && return 0
    local dir
    for dir in "$(pg_config --bindir 2>/dev/null || true)" /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
        /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin /usr/local/pgsql/bin; do
        [ -n "$dir" ] && [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ] && return 0
    done
    command -v postgres >/dev/null && command -v initdb >/dev/null
}

# The distribution's default version. Its packages would also make a cluster and start it, which nobody here needs.
install_postgres() {
    command -v apt-get >/dev/null || return 1
    local dir=/etc/postgresql-common/createcluster.d
    local conf=$dir/setpoint-setup.conf status=0
    as_root mkdir -p "$dir" || return 1
    printf 'create_main_cluster = false\n' | as_root tee "$conf" >/dev/null || return 1
    apt_install postgresql postgresql-contrib || status=1
    as_root rm -f "$conf"
    return "$status"
}

have_pgbouncer() {
    [ -n "${SETPOINT_PGBOUNCER:-}" ] || [ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null
}

# Its package would also start it as a service, on a port that somebody may use.
install_pgbouncer() {
    command -v apt-get >/dev/null || return 1
    local policy=/usr/sbin/policy-rc.d ours= status=0
    if [ ! -e "$policy" ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null || return 1
        as_root chmod 755 "$policy"
    fi
    apt_install pgbouncer || status=1
    [ -z "$ours" ] || as_root rm -f "$policy"
    return "$status"
}

if ! command -v cc >/dev/null; then
    say "installing a C compiler, which links Rust programs"
    apt_install gcc libc6-dev || missing+=("a C compiler (cc)")
fi

if ! command -v make >/dev/null; then
    apt_install make || missing+=("make")
fi

export PATH="$PATH:$HOME/.cargo/bin"
if ! command -v cargo >/dev/null; then
    say "installing Rust with rustup"
    # rust-toolchain.toml names the version; rustup fetches it at first use.
    if apt_install rustup && command -v rustup >/dev/null; then
        :
    elif { command -v curl >/dev/null || apt_install curl ca-certificates; } &&
        curl --proto '=https' --tlsv1.2 -fsS https://sh.rustup.rs | sh -s -- -y --no-modify-path --profile minimal --default-toolchain none >&2; then
        :
    else
        missing+=("Rust (https://rustup.rs)")
    fi
fi

# Older versions of rustup fetch the toolchain at first use, newer ones want to be asked.
if command -v rustup >/dev/null && ! cargo --version >/dev/null 2>&1; then
    rustup toolchain install >&2 || missing+=("the Rust toolchain that rust-toolchain.toml names")
fi

if ! have_postgres; then
    say "installing the programs of a PostgreSQL server"
    install_postgres && have_postgres || missing+=("a PostgreSQL server, 13 or newer (postgres and initdb; SETPOINT_POSTGRES=DIR says where)")
fi

if ! have_pgbouncer; then
    say "installing PgBouncer, which the tests of poolers run"
    # Everything else works without it; those tests then say that they are ignored.
    install_pgbouncer && have_pgbouncer || say "PgBouncer is not to be had: the tests of poolers will be ignored (SETPOINT_PGBOUNCER=FILE says where it is)"
fi

# A server refuses to run as root.
if [ "$(id -u)" = 0 ] && ! id postgres >/dev/null 2>&1 && ! id nobody >/dev/null 2>&1; then
    missing+=("a user postgres or nobody, since PostgreSQL refuses to run as root")
fi

if [ "${#missing[@]}" -gt 0 ]; then
    say "still missing; please install:"
    printf '  - %s\n' "${missing[@]}" >&2
    exit 1
fi
say "everything is there"
