#!/bin/bash
# Runs Postfix and Dovecot in an overlay over the peer's root tree until standard input ends; tests/support/peer.py starts it
# as the first process of a PID namespace of its own, so that nothing outlives it.
# usage: start.sh TREE PKI WORK MECHANISMS
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
config=$(dirname "$(realpath "$0")") tree=$1 pki=$2 work=$3 mechanisms=$4
root=$work/root

mkdir "$work/upper" "$work/workdir" "$root"
mount -n -t proc proc /proc
ip link set lo up
mount -n -t overlay overlay -o "lowerdir=$tree,upperdir=$work/upper,workdir=$work/workdir" "$root"
mount -n -t proc proc "$root/proc"
mount -n --rbind /dev "$root/dev"
mount -n -t tmpfs tmpfs "$root/run"
mkdir "$root/pki" "$root/users" "$root/run/dovecot"
install -d -o 5000 -g 5000 "$root/var/mail/peer"
cp "$pki"/*.pem "$pki"/*.key "$root/pki/"
cp "$config"/{main.cf,master.cf} "$root/etc/postfix/"
cp "$config/users.conf" "$root/etc/dovecot/"
sed "s/@MECHANISMS@/$mechanisms/" "$config/dovecot.conf" >"$root/etc/dovecot/dovecot.conf"

# await SECONDS COMMAND...
await() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" 2>/dev/null; do
    [ "$SECONDS" -le "$deadline" ] || {
      echo "not ready in time: $*" >&2
      cat "$root"/var/log/{postfix,dovecot}.log >&2 || true
      exit 1
    }
    sleep 0.02
  done
}
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }

exec 4<&0 </dev/null
chroot "$root" /usr/sbin/dovecot -F -c /etc/dovecot/dovecot.conf 4<&- >&2 &
chroot "$root" /usr/sbin/postfix -c /etc/postfix start-fg 4<&- >&2 &
await 20 test -S "$root/var/spool/postfix/private/auth"
for port in 12587 12465 12588 12589 12590 12525 12526; do await 20 listening "$port"; done
echo ready
exec cat <&4
