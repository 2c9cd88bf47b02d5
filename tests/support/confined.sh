#!/bin/sh
# Every job of the program on a host where msmtp's AppArmor profile is in force: what it says, how it ends, and, between
# the marks in the kernel's log, what was denied meanwhile. Runs in the guest, behind
# what every guest looks at (looked.py).
seen=/outcome
# The kernel is to leave no denial out.
sysctl -q kernel.printk_ratelimit=0

mark() { echo "<5>job $1" >/dev/kmsg; }
job() {
  name=$1
  shift
  mark "$name"
  "$@" >"$seen/$name" 2>"$seen/$name.errors" </dev/null
  echo $? >"$seen/$name.status"
}
# Paste the line that a failed test mail, or the audit, has for it. The terminal is for `systemctl edit`.
paste() {
  python3 /mend.py "$2" "$3" <"$seen/$2" >"$seen/$1.line"
  cp "$seen/$1.line" /run/line
  job "$1" env EDITOR=/edit.py script -qec "sh /run/line" /dev/null
}

systemctl show msmtp-config.service -p Result,NoNewPrivileges >$seen/unit.show
cat /sys/kernel/security/apparmor/profiles >$seen/profiles
chmod 755 /edit.py

# What the profile allows.
printf 'Subject: from sendmail\n\n' >/run/mail
job sendmail sh -c 'sendmail root </run/mail'
job diagnose msmtp-config diagnose
job audit-unit systemctl start msmtp-config-audit.service
journalctl -b --no-pager -o cat -u msmtp-config-audit.service >$seen/audit-unit.journal
cp /srv/pin.msmtprc /etc/msmtprc
job pin msmtp-config pin --accept
job apply msmtp-config apply --json /srv/smtp.config.yaml
cat /etc/msmtprc >$seen/apply.msmtprc
stat -c '%a %U:%G %s' /etc/msmtp-password >$seen/apply.rights
job elsewhere sh -c 'msmtp -C /srv/good.msmtprc root </run/mail'

# Everything that it refuses, in one account, and the mends one after the other.
install -m 644 /srv/report.service /etc/systemd/system/report.service
install -D -m 644 /etc/ssl/certs/test-ca.pem /etc/msmtp/ca.pem
install -D -m 644 /etc/aliases /srv/aliases
systemd-creds encrypt --with-key=host --name=mail /etc/msmtp-password /etc/mail.cred
cp /srv/refused.msmtprc /etc/msmtprc
job audit msmtp-config audit --format json
for number in 1 2 3 4; do
  job "refused-$number" msmtp-config test --json
  paste "mend-$number" "refused-$number"
done
job mended msmtp-config test --json
cat /var/log/msmtp.log >$seen/mended.log
# The same for the other kind of mend: a secret command that is to be `cat`.
cp /srv/python.msmtprc /etc/msmtprc
job python msmtp-config test --json
paste python-mend python
job python-mended msmtp-config test --json
# A service.
job service systemctl start report.service
cat /run/report >$seen/service.told
paste service-mend audit apparmor-no-new-privileges
job service-mended systemctl start report.service
mark end
dmesg >$seen/kernel
