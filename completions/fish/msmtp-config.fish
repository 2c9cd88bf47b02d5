# Completion of msmtp-config(8) for fish. Static: nothing is started at TAB.
set -l main 'not __fish_seen_subcommand_from test'
set -l verb '__fish_seen_subcommand_from test'

complete -c msmtp-config -f
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
