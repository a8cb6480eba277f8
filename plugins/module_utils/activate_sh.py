# SPDX-License-Identifier: Apache-2.0
"""Activation for bash, zsh and POSIX shells, as texts with marks that activate_scripts fills in.

Both are sourced, also under `set -eu`, and start no program. What they do, and in which order, is conda's own
(conda/activate.py: build_activate, build_reactivate, build_deactivate).
"""

from __future__ import annotations

ACTIVATE = """\
# Written by condafleet. To be sourced by bash, zsh or a POSIX shell, as `conda activate @LABEL@`, without Python:
# the environment is the same afterwards. Undo with `conda deactivate` where that is a function, or with
# `condafleet_deactivate`. A changeps1 or env_prompt of a condarc is not read; CONDA_CHANGEPS1=false is.
# In an active environment `source activate OTHER` finds this file by PATH; it then does what conda's own does.
_condafleet_here="${BASH_SOURCE:-}"
[ -z "${ZSH_VERSION:-}" ] || eval '_condafleet_here="${(%):-%x}"'
if [ "$_condafleet_here" = @GENERATION@/bin/activate ] && [ $# -gt 0 ] && [ "${CONDA_PREFIX:-}" = @GENERATION@ ] &&
    [ "$1" != @NAME@ ] && [ -r @HOOK@ ] && { [ "$1" = base ] || [ -d @ENVIRONMENTS@/"$1"/conda-meta ]; }; then
    unset _condafleet_here
    . @HOOK@
    conda activate "$1"
    return
fi
# conda copies this file into a clone of the environment, where it would activate the original.
if [ -n "$_condafleet_here" ] && ! [ "$_condafleet_here" -ef @GENERATION@/etc/condafleet/activate ]; then
    echo "$_condafleet_here is a copy, made for "@GENERATION@". Next: conda activate ${_condafleet_here%/*/*}" >&2
    unset _condafleet_here
    return 1
fi
unset _condafleet_here
if [ -z "${CONDA_SHLVL:-}" ]; then
    CONDA_SHLVL=0
    export CONDA_SHLVL
    # conda's own static hook: the function, and the variables of whichever conda is installed now.
    if [ -r @HOOK@ ]; then
        . @HOOK@
    fi
    if [ -n "${CONDA_EXE:-}" ]; then
        case ":${PATH:-}:" in
            *":${CONDA_EXE%/*/*}/condabin:"*) ;;
            *) PATH="${CONDA_EXE%/*/*}/condabin${PATH:+:$PATH}" ;;
        esac
    fi
    PS1="${PS1:-}"
fi
if [ "$CONDA_SHLVL" -gt 0 ] && [ "${CONDA_PREFIX:-}" = @GENERATION@ ]; then
    # Activated again: it stays one level.
@RUN_DEACTIVATE@
    case ":${PATH:-}:" in
        *:@GENERATION@/bin:*) ;;
        *) PATH=@GENERATION@"/bin${PATH:+:$PATH}" ;;
    esac
else
    _condafleet_level="$CONDA_SHLVL"
    if [ "$_condafleet_level" -gt 0 ] && [ -n "${CONDA_PREFIX:-}" ]; then
        # Another environment gives way, as `conda activate` makes it.
@RUN_OTHERS@
        _condafleet_path=":${PATH:-}:"
        case "$_condafleet_path" in
            *":$CONDA_PREFIX/bin:"*)
                _condafleet_path="${_condafleet_path%%":$CONDA_PREFIX/bin:"*}:"@GENERATION@"/bin:${_condafleet_path#*":$CONDA_PREFIX/bin:"}"
                _condafleet_path="${_condafleet_path#:}"
                PATH="${_condafleet_path%:}"
                ;;
            *) PATH=@GENERATION@"/bin${PATH:+:$PATH}" ;;
        esac
        eval "CONDA_PREFIX_$_condafleet_level=\\$CONDA_PREFIX; export CONDA_PREFIX_$_condafleet_level"
    else
        case ":${PATH:-}:" in
            *condabin:*) ;;
            *) [ -z "${CONDA_EXE:-}" ] || PATH="${CONDA_EXE%/*/*}/condabin${PATH:+:$PATH}" ;;
        esac
        PATH=@GENERATION@"/bin${PATH:+:$PATH}"
    fi
@SET_VARIABLES@
    CONDA_PREFIX=@GENERATION@
    CONDA_SHLVL=$((_condafleet_level + 1))
    CONDA_DEFAULT_ENV=@NAME@
    export CONDA_PREFIX CONDA_DEFAULT_ENV
fi
export PATH CONDA_SHLVL
@PROMPT@
condafleet_deactivate() {
    if [ -n "${CONDA_PREFIX:-}" ] && [ -r "$CONDA_PREFIX/etc/condafleet/deactivate" ]; then
        . "$CONDA_PREFIX/etc/condafleet/deactivate"
    else
        echo "condafleet_deactivate: ${CONDA_PREFIX:-nothing} is active, which condafleet did not build." >&2
        return 1
    fi
}
unset _condafleet_level _condafleet_path _condafleet_scripts _condafleet_script _condafleet_locale
@RUN_ACTIVATE@
:
"""

DEACTIVATE = """\
# Written by condafleet. To be sourced by bash, zsh or a POSIX shell: takes back what `activate` beside it did.
if [ "${CONDA_PREFIX:-}" = @GENERATION@ ] && [ "${CONDA_SHLVL:-0}" -gt 0 ]; then
    _condafleet_level=$((CONDA_SHLVL - 1))
    _condafleet_before=
    _condafleet_name=
    _condafleet_stacked=
    if [ "$_condafleet_level" -gt 0 ]; then
        eval "_condafleet_before=\\${CONDA_PREFIX_$_condafleet_level:-}"
        eval "_condafleet_stacked=\\${CONDA_STACKED_$CONDA_SHLVL:-}"
    fi
    _condafleet_path=":${PATH:-}:"
    _condafleet_insert=
    if [ -n "$_condafleet_before" ] && [ -z "$_condafleet_stacked" ]; then
        _condafleet_insert=":$_condafleet_before/bin"
    fi
    case "$_condafleet_path" in
        *":$CONDA_PREFIX/bin:"*)
            _condafleet_path="${_condafleet_path%%":$CONDA_PREFIX/bin:"*}$_condafleet_insert:${_condafleet_path#*":$CONDA_PREFIX/bin:"}"
            ;;
        *) _condafleet_path="$_condafleet_insert$_condafleet_path" ;;
    esac
    _condafleet_path="${_condafleet_path#:}"
    PATH="${_condafleet_path%:}"
    export PATH
@RUN_DEACTIVATE@
    if [ -n "$_condafleet_before" ]; then
        unset "CONDA_PREFIX_$_condafleet_level"
        [ -z "$_condafleet_stacked" ] || unset "CONDA_STACKED_$CONDA_SHLVL"
        CONDA_PREFIX="$_condafleet_before"
        # conda's rule for names: the installation itself, a folder below an `envs`, or the whole path.
        _condafleet_name="$CONDA_PREFIX"
        case "$CONDA_PREFIX" in
            "${CONDA_EXE%/*/*}") _condafleet_name=base ;;
            */envs/*/*) ;;
            */envs/*) _condafleet_name="${CONDA_PREFIX##*/}" ;;
        esac
        CONDA_DEFAULT_ENV="$_condafleet_name"
    else
        unset CONDA_PREFIX CONDA_DEFAULT_ENV
    fi
    CONDA_SHLVL="$_condafleet_level"
    export CONDA_SHLVL
@RESTORE_VARIABLES@
@PROMPT_BACK@
    _condafleet_scripts=
    if [ -n "$_condafleet_before" ]; then
@LIST_BEFORE@
    fi
    unset _condafleet_level _condafleet_before _condafleet_stacked _condafleet_path _condafleet_insert _condafleet_name
    unset _condafleet_script _condafleet_locale
    while [ -n "$_condafleet_scripts" ]; do
        . "${_condafleet_scripts%%:*}"
        _condafleet_scripts="${_condafleet_scripts#*:}"
    done
    unset _condafleet_scripts
fi
:
"""

# The scripts of an environment that is not ours, in C order whatever the locale is. A redirection, since a shell
# complains when a user's locale, which it does not know, is set again.
LIST = """\
{ _condafleet_locale="${LC_ALL-unset}"; LC_ALL=C; } 2>/dev/null
_condafleet_scripts=
if [ -d "$CONDA_PREFIX/etc/conda/@FOLDER@" ]; then
    eval 'for _condafleet_script in "$CONDA_PREFIX/etc/conda/@FOLDER@"/*.sh'"${ZSH_VERSION:+(N)}"'; do
        [ ! -e "$_condafleet_script" ] || _condafleet_scripts=@JOINED@
    done'
fi
{ if [ "$_condafleet_locale" = unset ]; then unset LC_ALL; else LC_ALL="$_condafleet_locale"; fi; } 2>/dev/null
"""
LAST_FIRST = '"$_condafleet_script:$_condafleet_scripts"'
FIRST_FIRST = '"$_condafleet_scripts$_condafleet_script:"'
RUN_LISTED = """\
while [ -n "$_condafleet_scripts" ]; do
    . "${_condafleet_scripts%%:*}"
    _condafleet_scripts="${_condafleet_scripts#*:}"
done
"""

PROMPT = """\
_condafleet_prompt="(${CONDA_DEFAULT_ENV:-}) "
@PROMPT_CHANGE@
CONDA_PROMPT_MODIFIER="$_condafleet_prompt"
export CONDA_PROMPT_MODIFIER
unset _condafleet_prompt
"""
PROMPT_BACK = """\
_condafleet_prompt=
[ -z "${CONDA_DEFAULT_ENV:-}" ] || _condafleet_prompt="($CONDA_DEFAULT_ENV) "
@PROMPT_CHANGE@
if [ -n "${CONDA_DEFAULT_ENV:-}" ]; then
    CONDA_PROMPT_MODIFIER="$_condafleet_prompt"
else
    unset CONDA_PROMPT_MODIFIER
fi
unset _condafleet_prompt
"""
PROMPT_CHANGE = """\
case "${CONDA_CHANGEPS1:-}" in
    [Ff]alse | [Nn]o | [Oo]ff | 0) _condafleet_prompt= ;;
    *)
        PS1="${PS1:-}"
        case "$PS1" in
            *POWERLINE_COMMAND*) ;;
            *)
                while [ -n "${CONDA_PROMPT_MODIFIER:-}" ]; do
                    case "$PS1" in
                        *"$CONDA_PROMPT_MODIFIER"*)
                            PS1="${PS1%%"$CONDA_PROMPT_MODIFIER"*}${PS1#*"$CONDA_PROMPT_MODIFIER"}" ;;
                        *) break ;;
                    esac
                done
                PS1="$_condafleet_prompt$PS1"
                ;;
        esac
        ;;
esac
"""
SET_VARIABLE = """\
if [ -n "${@KEY@+x}" ]; then
    eval "__CONDA_SHLVL_${_condafleet_level}_@KEY@=\\$@KEY@; export __CONDA_SHLVL_${_condafleet_level}_@KEY@"
fi
@KEY@=@VALUE@
export @KEY@
"""
RESTORE_VARIABLE = """\
eval "_condafleet_saved=\\${__CONDA_SHLVL_${_condafleet_level}_@KEY@:-}"
if [ -n "$_condafleet_saved" ]; then @KEY@="$_condafleet_saved"; export @KEY@; else unset @KEY@; fi
unset _condafleet_saved
"""
RUN = ". @PATH@\n"
