"""The command `finegrain`: a file a command, over the rooms below.

main.py     the table of commands, errors and exit codes
options.py  options that several commands have, each declared once
command.py  what a command is

A command imports what it needs when it runs: `finegrain --help` and a wrong argument are answered
at once, and torch and Ray take seconds.
"""
