# SPDX-License-Identifier: Apache-2.0
"""Activation for fish: the same as activate_sh, in its language."""

from __future__ import annotations

ACTIVATE = """\
# Written by condafleet. To be sourced by fish, as `conda activate @LABEL@`, without Python: the environment is the
# same afterwards. Undo with `conda deactivate` where that is a function, or with `condafleet_deactivate`.
# conda copies this file into a clone of the environment, where it would activate the original.
if test (builtin realpath -- (status filename)) != (builtin realpath -- @GENERATION@/etc/condafleet/activate.fish)
    echo (status filename)" is a copy, made for "@GENERATION@". Next: conda activate with the clone's own path" >&2
    return 1
end
if not set -q CONDA_SHLVL; or test -z "$CONDA_SHLVL"
    set -gx CONDA_SHLVL 0
    # conda's own static hook: the function, and the variables of whichever conda is installed now.
    if test -r @HOOK@
        source @HOOK@
    end
    if set -q CONDA_EXE; and test -n "$CONDA_EXE"
        set -l _condafleet_bin (string replace -r '/[^/]*/[^/]*$' '' -- $CONDA_EXE)/condabin
        contains -- $_condafleet_bin $PATH
        or set -gx PATH $_condafleet_bin $PATH
    end
end
if test "$CONDA_SHLVL" -gt 0; and test "$CONDA_PREFIX" = @GENERATION@
    # Activated again: it stays one level.
@RUN_DEACTIVATE@
    contains -- @GENERATION@/bin $PATH
    or set -gx PATH @GENERATION@/bin $PATH
else
    set -l _condafleet_level $CONDA_SHLVL
    if test $_condafleet_level -gt 0; and test -n "$CONDA_PREFIX"
        # Another environment gives way, as `conda activate` makes it.
        set -l _condafleet_scripts "$CONDA_PREFIX"/etc/conda/deactivate.d/*.fish
        for _condafleet_script in $_condafleet_scripts[-1..1]
            source $_condafleet_script
        end
        set -l _condafleet_place (contains -i -- $CONDA_PREFIX/bin $PATH)
        if test -n "$_condafleet_place"
            set -gx PATH[$_condafleet_place] @GENERATION@/bin
        else
            set -gx PATH @GENERATION@/bin $PATH
        end
        set -gx CONDA_PREFIX_$_condafleet_level $CONDA_PREFIX
    else
        if not string match -q -- '*condabin' $PATH; and test -n "$CONDA_EXE"
            set -gx PATH (string replace -r '/[^/]*/[^/]*$' '' -- $CONDA_EXE)/condabin $PATH
        end
        set -gx PATH @GENERATION@/bin $PATH
    end
@SET_VARIABLES@
    set -gx CONDA_PREFIX @GENERATION@
    set -gx CONDA_SHLVL (math $_condafleet_level + 1)
    set -gx CONDA_DEFAULT_ENV @NAME@
end
if string match -qri '^(false|no|off|0)$' -- "$CONDA_CHANGEPS1"
    set -gx CONDA_PROMPT_MODIFIER ""
else
    set -gx CONDA_PROMPT_MODIFIER "($CONDA_DEFAULT_ENV) "
end
function condafleet_deactivate --description "Leave an environment that condafleet built"
    if test -n "$CONDA_PREFIX"; and test -r "$CONDA_PREFIX/etc/condafleet/deactivate.fish"
        source "$CONDA_PREFIX/etc/condafleet/deactivate.fish"
    else
        set -q CONDA_PREFIX; or set -l CONDA_PREFIX nothing
        echo "condafleet_deactivate: $CONDA_PREFIX is active, which condafleet did not build." >&2
        return 1
    end
end
@RUN_ACTIVATE@
true
"""

DEACTIVATE = """\
# Written by condafleet. To be sourced by fish: takes back what `activate.fish` beside it did.
if test "$CONDA_PREFIX" = @GENERATION@; and test "$CONDA_SHLVL" -gt 0
    set -l _condafleet_level (math $CONDA_SHLVL - 1)
    set -l _condafleet_before
    set -l _condafleet_stacked
    if test $_condafleet_level -gt 0
        set -l _condafleet_held CONDA_PREFIX_$_condafleet_level CONDA_STACKED_$CONDA_SHLVL
        set _condafleet_before $$_condafleet_held[1]
        set _condafleet_stacked $$_condafleet_held[2]
    end
    set -l _condafleet_insert
    if test -n "$_condafleet_before"; and test -z "$_condafleet_stacked"
        set _condafleet_insert $_condafleet_before/bin
    end
    set -l _condafleet_place (contains -i -- @GENERATION@/bin $PATH)
    if test -z "$_condafleet_place"
        set -gx PATH $_condafleet_insert $PATH
    else if test -n "$_condafleet_insert"
        set -gx PATH[$_condafleet_place] $_condafleet_insert
    else
        set -e PATH[$_condafleet_place]
    end
@RUN_DEACTIVATE@
    set -e CONDA_PROMPT_MODIFIER
    if test -n "$_condafleet_before"
        set -e CONDA_PREFIX_$_condafleet_level
        set -e CONDA_STACKED_$CONDA_SHLVL
        set -gx CONDA_PREFIX $_condafleet_before
        # conda's rule for names: the installation itself, a folder below an `envs`, or the whole path.
        set -gx CONDA_DEFAULT_ENV $CONDA_PREFIX
        if test "$CONDA_PREFIX" = (string replace -r '/[^/]*/[^/]*$' '' -- "$CONDA_EXE")
            set -gx CONDA_DEFAULT_ENV base
        else if string match -qr '/envs/[^/]+$' -- $CONDA_PREFIX
            set -gx CONDA_DEFAULT_ENV (string replace -r '.*/' '' -- $CONDA_PREFIX)
        end
        if string match -qri '^(false|no|off|0)$' -- "$CONDA_CHANGEPS1"
            set -gx CONDA_PROMPT_MODIFIER ""
        else
            set -gx CONDA_PROMPT_MODIFIER "($CONDA_DEFAULT_ENV) "
        end
    else
        set -e CONDA_PREFIX
        set -e CONDA_DEFAULT_ENV
    end
    set -gx CONDA_SHLVL $_condafleet_level
@RESTORE_VARIABLES@
    if test -n "$_condafleet_before"
        for _condafleet_script in $_condafleet_before/etc/conda/activate.d/*.fish
            source $_condafleet_script
        end
    end
end
true
"""

SET_VARIABLE = """\
if set -q @KEY@
    set -gx __CONDA_SHLVL_"$_condafleet_level"_@KEY@ $@KEY@
end
set -gx @KEY@ @VALUE@
"""
RESTORE_VARIABLE = """\
set -l _condafleet_held __CONDA_SHLVL_"$_condafleet_level"_@KEY@
if set -q $_condafleet_held; and test -n "$$_condafleet_held"
    set -gx @KEY@ $$_condafleet_held
else
    set -e @KEY@
end
"""
RUN = "source @PATH@\n"
