#!/bin/sh
# @NAME@ @VERSION@ for @PLATFORM@: installs a genuine conda @CONDA@ from what is appended below; needs no network.
# The options are those of the Miniconda installers.

name='@NAME@'
version='@VERSION@'
platform='@PLATFORM@'
machine='@MACHINE@'
payload_sha256='@SHA256@'
payload_line=@LINE@
python='@PYTHON@'
prefix="${HOME:-/root}/condafleet"
batch=0 force=0 update=0

usage() {
    cat <<EOF
usage: $0 [options]

Installs $name $version (conda @CONDA@, Python @PYTHON_VERSION@).

-b           batch mode: ask nothing
-f           no error if the prefix exists
-h           print this help and exit
-p PREFIX    where to install, defaults to $prefix
-s           accepted for compatibility: there are no pre- or post-link scripts to skip
-u           update an existing installation, or finish an interrupted one
EOF
}

fail() {
    printf 'ERROR: %s\n' "$1" >&2
    exit 1
}

case "$0" in
    *.sh) ;;
    *) fail 'run this file by its name, which ends in .sh: neither source it nor pipe it into a shell' ;;
esac

while getopts bfhp:su option; do
    case "$option" in
        b) batch=1 ;;
        f) force=1 ;;
        h) usage; exit 0 ;;
        p) prefix="$OPTARG" ;;
        s) ;;
        u) update=1 ;;
        *) usage >&2; exit 1 ;;
    esac
done

[ "$(uname -m)" = "$machine" ] || fail "this installer is for $machine, this machine is $(uname -m)"

if [ "$batch" = 0 ]; then
    printf '%s %s will be installed into %s\nEnter accepts, another path changes that, Ctrl-C aborts: ' "$name" "$version" "$prefix"
    read -r answer || fail 'no answer; use -b -p PREFIX where nobody can answer'
    [ -z "$answer" ] || prefix="$answer"
fi

case "$prefix" in
    *[[:space:]]*) fail "cannot install into a path with spaces: '$prefix'" ;;
    '') fail 'the prefix is empty' ;;
esac
if [ "$force" = 0 ] && [ "$update" = 0 ] && [ -e "$prefix" ]; then
    fail "File or directory already exists: '$prefix'
If you want to update an existing installation, use the -u option."
fi

payload() {
    tail -n "+$payload_line" "$0"
}

# Before anything is written: a damaged file must not leave half an installation.
if command -v sha256sum >/dev/null 2>&1; then
    found="$(payload | sha256sum)" || fail "cannot read $0"
    [ "${found%% *}" = "$payload_sha256" ] || fail "$0 is damaged (sha256 mismatch): get it again"
else
    printf 'WARNING: no sha256sum here, so this file is not checked\n' >&2
fi

mkdir -p "$prefix" || fail "could not create the directory '$prefix'"
prefix="$(cd "$prefix" && pwd -P)" || exit 1
# `conda` refuses a prefix without a history; an empty one marks an installation that was not finished.
mkdir -p "$prefix/conda-meta" "$prefix/envs" "$prefix/pkgs" || exit 1
[ -e "$prefix/conda-meta/history" ] || : >"$prefix/conda-meta/history" || exit 1
printf 'PREFIX=%s\nUnpacking...\n' "$prefix"
payload | tar -xzf - --no-same-owner --no-same-permissions -C "$prefix/pkgs" || fail "could not unpack into $prefix/pkgs (disk full?)"

bootstrap="$prefix/pkgs/$python/bin/python"
"$bootstrap" -I -c '' || fail 'the Python inside does not run here: it needs glibc @GLIBC@ or newer'
printf 'Linking...\n'
"$bootstrap" -I -B "$prefix/pkgs/.condafleet/install.py" "$prefix" || fail "the installation in $prefix is not finished; run this again with -u"
rm -rf "$prefix/pkgs/.condafleet"
[ -x "$prefix/bin/conda" ] || fail "the installation in $prefix is not finished: bin/conda is missing"
printf '{"name": "%s", "version": "%s", "platform": "%s"}\n' "$name" "$version" "$platform" >"$prefix/.installer.info"
printf 'installation finished.\n'
exit 0
