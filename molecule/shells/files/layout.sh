#!/bin/sh
# Start-up files as they are found in homes: links, private modes, Windows line ends, no line end, things at the end.
set -eu
cd /home/alice
mkdir dotfiles
mv .bashrc dotfiles/bashrc
chmod 0600 dotfiles/bashrc
ln -s dotfiles/bashrc .bashrc
printf 'set -gx FROM_CONFIG 1' > .fish.before
mkdir -p .config/fish
mv .fish.before .config/fish/config.fish
printf '# by hand\n\n\n' > .zshrc
printf '# tcsh\nif ( $?prompt ) echo interactive\n\n' > .tcshrc
chown -R alice:alice .
cd /home/bob
printf '# Windows\r\n# line ends\r\n' > .zshrc
chown bob:bob .zshrc
# Without any, zsh asks its user what to write there.
printf '# mine\n' > /home/zoe/.zshrc
chown zoe:zoe /home/zoe/.zshrc
# A file of a user's that a guard keeps quiet, unless something before it makes the shell look interactive.
printf 'if ( $?prompt ) echo interactive\n' > /home/tess/.cshrc
chown tess:tess /home/tess/.cshrc
printf 'case $- in *i*) echo interactive ;; esac\n' >> /home/dora/.profile
