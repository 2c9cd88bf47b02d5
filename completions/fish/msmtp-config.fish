# Completion of msmtp-config(8) for fish. Static: nothing is started at TAB.
set -l main 'not __fish_seen_subcommand_from apply audit diagnose pin providers render test'
set -l verb '__fish_seen_subcommand_from test'
set -l apply '__fish_seen_subcommand_from apply'
set -l audit '__fish_seen_subcommand_from audit'
set -l diagnose '__fish_seen_subcommand_from diagnose'
set -l pin '__fish_seen_subcommand_from pin'
set -l providers '__fish_seen_subcommand_from providers'
set -l render '__fish_seen_subcommand_from render'
set -l names fastmail gmail icloud mailgun microsoft365 outlook postmark proton proton-bridge sendgrid ses yahoo zoho
set -l checks \
    secret-missing secret-type secret-links secret-owner secret-mode secret-acl secret-empty secret-blank \
    secret-lines secret-carriage-return secret-nul secret-byte-order-mark secret-utf8 secret-encrypted \
    secret-directories stray-secret stray-secret-copy stray-config stray-config-copy config-missing \
    config-type config-links config-owner config-mode config-acl config-line-length config-syntax \
    config-default-account config-incomplete config-placeholder config-inline-password config-secret-command \
    config-two-secret-commands config-shadowed config-from-override config-from-header config-timeout \
    config-domain config-scram tls-off tls-unchecked tls-465-starttls tls-587-implicit tls-no-trust \
    tls-trust-file tls-trust-expired tls-client-pair tls-client-files tls-client-expired tls-key-mode \
    aliases-unwired aliases-missing aliases-mode aliases-syntax aliases-root aliases-default \
    aliases-placeholder aliases-loop aliases-empty aliases-target aliases-local aliases-in-a-row log-none \
    log-not-writable log-owner log-mode log-rotation log-rotation-rights log-size sender-msmtp sender-sendmail \
    sender-mta sender-cron sender-unit sender-mailto sender-helper apparmor-command apparmor-trust \
    apparmor-log apparmor-no-new-privileges elsewhere-cloud elsewhere-config elsewhere-log elsewhere-history \
    elsewhere-bounded delivery-failing delivery-stale delivery-failures delivery-unproven

complete -c msmtp-config -f
complete -c msmtp-config -n $main -a apply -d 'Bring this host to what the settings say'
complete -c msmtp-config -n $main -a audit -d 'Find every reason why mail is unsafe or will not leave'
complete -c msmtp-config -n $main -a diagnose -d 'Find out why mail does not leave'
complete -c msmtp-config -n $main -a pin -d 'Trust the certificate that the server shows now'
complete -c msmtp-config -n $main -a providers -d 'What is known of the mail providers'
complete -c msmtp-config -n $main -a render -d 'Print what the settings become'
complete -c msmtp-config -n $main -a test -d 'Send a test mail with what is installed'

complete -c msmtp-config -n $main -l password-stdin -d 'Read the password from standard input'
complete -c msmtp-config -n $main -l credential -x -d 'Read it from a systemd credential'
complete -c msmtp-config -n $main -l to -x -d 'Send the test mail there, not to root'
complete -c msmtp-config -n $main -l no-mail -d 'Prove the password, and send no test mail'
complete -c msmtp-config -n $main -l offline -d 'No network: check the configuration, store unproven'
complete -c msmtp-config -n $main -l fix -d 'Put owner and mode of the files right'
complete -c msmtp-config -n $main -l force -d 'Store it although it is not used, or unproven'
complete -c msmtp-config -n $main -l timeout -x -d 'Deadline of every program that is started'
complete -c msmtp-config -n $main -l json -d 'Print one JSON object instead of text'
complete -c msmtp-config -n $main -l quiet -d 'Print warnings and failures alone'
complete -c msmtp-config -n $main -l version -d 'Print the version'
complete -c msmtp-config -n $main -s h -l help -d 'Show the options'

complete -c msmtp-config -n $verb -l to -x -d 'Send the test mail there, not to root'
complete -c msmtp-config -n $verb -l timeout -x -d 'Deadline of every program that is started'
complete -c msmtp-config -n $verb -l json -d 'Print one JSON object instead of text'
complete -c msmtp-config -n $verb -l quiet -d 'Print warnings and failures alone'
complete -c msmtp-config -n $verb -s h -l help -d 'Show the options'

complete -c msmtp-config -n $audit -l format -x -a 'text json nagios prometheus' -d 'How to tell it'
complete -c msmtp-config -n $audit -l output -r -F -d 'Replace a file by the metrics'
complete -c msmtp-config -n $audit -l fail-on -x -a 'error warning info' -d 'The mildest finding that counts'
complete -c msmtp-config -n $audit -l only -x -a "(__fish_complete_list , 'printf %s\\\\n $checks')" -d 'Run these checks alone'
complete -c msmtp-config -n $audit -l skip -x -a "(__fish_complete_list , 'printf %s\\\\n $checks')" -d 'Leave these checks out'
complete -c msmtp-config -n $audit -l root -x -a '(__fish_complete_directories)' -d 'Audit the image there'
complete -c msmtp-config -n $audit -l fix -d 'Repair what has one right answer'
complete -c msmtp-config -n $audit -l dry-run -d 'Print the plan, and change nothing'
complete -c msmtp-config -n $audit -l list -d 'Print every check'
complete -c msmtp-config -n $audit -l explain -x -a "$checks" -d 'Print what a check is about, and what to do'
complete -c msmtp-config -n $audit -s h -l help -d 'Show the options'

complete -c msmtp-config -n $diagnose -l to -x -d 'Send a mail there as the last stage'
complete -c msmtp-config -n $diagnose -l timeout -x -d 'Deadline of every program that is started'
complete -c msmtp-config -n $diagnose -l json -d 'Print one JSON object instead of text'
complete -c msmtp-config -n $diagnose -s h -l help -d 'Show the options'

complete -c msmtp-config -n $pin -l accept -d 'Write it without asking'
complete -c msmtp-config -n $pin -l timeout -x -d 'Deadline of every program that is started'
complete -c msmtp-config -n $pin -s h -l help -d 'Show the options'

complete -c msmtp-config -n $providers -a "$names"
complete -c msmtp-config -n $providers -l json -d 'Print one JSON object instead of text'
complete -c msmtp-config -n $providers -s h -l help -d 'Show the options'

complete -c msmtp-config -n $render -F
complete -c msmtp-config -n $render -l format -x -a 'files msmtprc aliases logrotate cloud-config' -d 'What of it'
complete -c msmtp-config -n $render -l output -r -F -d 'Replace a file by it'
complete -c msmtp-config -n $render -l deb-url -x -d 'Where the package is'
complete -c msmtp-config -n $render -l deb-sha256 -x -d 'Its checksum'
complete -c msmtp-config -n $render -l apt-source -x -d 'An apt source that has it'
complete -c msmtp-config -n $render -l apt-key -r -F -d 'The key of that source'
complete -c msmtp-config -n $render -l allow-password-in-user-data -d 'Although others can read it there'
complete -c msmtp-config -n $render -s h -l help -d 'Show the options'

complete -c msmtp-config -n $apply -F
complete -c msmtp-config -n $apply -l dry-run -d 'Show what would change, and change nothing'
complete -c msmtp-config -n $apply -l json -d 'Print one JSON object instead of text'
complete -c msmtp-config -n $apply -s h -l help -d 'Show the options'
