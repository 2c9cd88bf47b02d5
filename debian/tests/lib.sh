# shellcheck shell=sh
# What the tests share. Sourced: `. "$(dirname "$0")/lib.sh"`. Nothing is written to standard error but the reason of a
# failure: autopkgtest takes any word there for one.
set -eu
export LC_ALL=C.UTF-8
tests=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
secret=/etc/msmtp-password
# Not below /tmp: the unit has one of its own.
trust=/etc/msmtp-agent-tests.pem
user=alerts@example.test
operator=operator@example.test
# The mail server: its process, and where it listens.
server=''
export port=''

fail() {
    echo "FAILED: $*" >&2
    [ ! -e "$work/said" ] || sed 's/^/    said: /' "$work/said" >&2
    exit 1
}

# expect STATUS COMMAND...: runs it, keeps what it says in $work/said and $work/all-said, and wants this exit status.
expect() {
    wanted=$1 status=0
    shift
    "$@" >"$work/said" 2>&1 || status=$?
    cat "$work/said" >>"$work/all-said"
    [ "$status" -eq "$wanted" ] || fail "$*: exit status $status; expected $wanted"
    echo "ok: $* ends with $wanted"
}

said() {
    grep -qF -e "$1" "$work/said" || fail "not said: $1"
}

# is NAME OBSERVED EXPECTED
is() {
    [ "$2" = "$3" ] || fail "$1: observed '$2'; expected '$3'"
    echo "ok: $1 is '$2'"
}

absent() {
    for file; do
        if [ -e "$file" ] || [ -L "$file" ]; then fail "$file: exists"; fi
    done
}

# as_nobody COMMAND...: any user but root.
as_nobody() {
    if [ "$(id -u)" -eq 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi
}

# store PASSWORD OPTION...: the main job as provisioning runs it.
store() {
    password=$1
    shift
    printf %s "$password" | msmtp-config --password-stdin "$@"
}

# --- the machine

# Ours from here on. A machine that somebody has set up is not a testbed.
claim_host() {
    absent /etc/msmtprc /etc/aliases "$secret" /root/.msmtprc "$trust" /etc/credstore/msmtp.password
    claimed=yes
}

cleanup() {
    status=$?
    trap - EXIT
    stop_server
    if [ -n "${claimed:-}" ]; then
        rm -f /etc/msmtprc /etc/aliases "$secret" "$trust" /var/log/msmtp.log /etc/credstore/msmtp.password \
            /var/lib/msmtp-config/retry /usr/.probe /home/.probe
        rm -rf /run/systemd/system/msmtp-config.service.d
    fi
    rm -rf "$work"
    exit "$status"
}
claimed=''
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# configure PORT: what an administrator has, all but the password.
configure() {
    (umask 077 && cat >/etc/msmtprc) <<END
defaults
auth           on
tls            on
tls_starttls   on
tls_trust_file $trust
timeout        30
logfile        /var/log/msmtp.log
aliases        /etc/aliases

account        default
host           127.0.0.1
port           $1
from           $user
user           $user
passwordeval   "cat $secret"
END
    printf 'root: %s\ndefault: %s\n' "$operator" "$operator" >/etc/aliases
}

# --- the mail server

# start_server PASSWORD: sets $port. What arrives stands in $work/mails, one file each.
start_server() {
    chmod 0755 "$work"
    mkdir "$work/mails"
    accept "$1"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 2 -subj /CN=localhost \
        -addext 'subjectAltName=IP:127.0.0.1' -keyout "$work/server.key" -out "$work/server.pem" 2>"$work/openssl" ||
        fail "openssl: $(cat "$work/openssl")"
    install --mode=0644 "$work/server.pem" "$trust"
    run_server 0
}

# run_server PORT: 0 is any.
run_server() {
    rm -f "$work/port"
    python3 "$tests/smtp_server.py" "$work" "$user" "$1" >"$work/server.log" 2>&1 &
    server=$!
    wait_for "the mail server" test -s "$work/port"
    port=$(cat "$work/port")
}

stop_server() {
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=''
}

# accept PASSWORD: the one that the server takes from now on.
accept() { (umask 077 && printf %s "$1" >"$work/password"); }

# wait_for WHAT COMMAND...: until it succeeds, 30 seconds at most.
wait_for() {
    what=$1 tries=300
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "$what: waited for 30 seconds$(cat "$work/server.log" 2>/dev/null)"
        sleep 0.1
    done
}

# arrived NUMBER SUBSTRING: this many mails so far; the last one goes to the operator and holds this text.
arrived() {
    # The server writes a mail before it accepts it, so there is nothing to wait for.
    is "number of mails" "$(find "$work/mails" -type f | wc -l)" "$1"
    is "recipient" "$(sed -n 's/^X-Recipients: //p' "$work/mails/$1")" "$operator"
    is "sender" "$(sed -n 's/^X-Sender: //p' "$work/mails/$1")" "$user"
    grep -qF -e "$2" "$work/mails/$1" || fail "mail $1 does not hold: $2"
}
