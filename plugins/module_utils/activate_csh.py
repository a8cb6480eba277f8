# SPDX-License-Identifier: Apache-2.0
"""Activation for tcsh: the same as activate_sh, in its language, which has neither functions nor local variables."""

from __future__ import annotations

ACTIVATE = """\
# Written by condafleet. To be sourced by tcsh, as `conda activate @LABEL@`, without Python: the environment is the
# same afterwards. Undo with `conda deactivate` where that is an alias, or with `condafleet_deactivate`.
if ( ! $?CONDA_SHLVL ) then
    # conda's own static hook: the alias, and the variables of whichever conda is installed now. A script's own
    # arguments would be taken for the hook's.
    if ( -r @HOOK@ ) then
        set _condafleet_argv = ( $argv:q )
        set argv = ()
        source @HOOK@
        set argv = ( $_condafleet_argv:q )
        unset _condafleet_argv
    endif
    setenv CONDA_SHLVL 0
    if ( ! $?prompt ) set prompt = ""
endif
if ( ! $?CONDA_PREFIX ) setenv CONDA_PREFIX ""
set _condafleet_level = $CONDA_SHLVL
if ( $_condafleet_level > 0 && "$CONDA_PREFIX" == @GENERATION@ ) then
    # Activated again: it stays one level.
@RUN_DEACTIVATE@
    set _condafleet_found = 0
    foreach _condafleet_one ( $path:q )
        if ( "$_condafleet_one" == @GENERATION@/bin ) set _condafleet_found = 1
    end
    if ( ! $_condafleet_found ) set path = ( @GENERATION@/bin $path:q )
    unset _condafleet_found _condafleet_one
else
    set _condafleet_found = 0
    set _condafleet_path = ()
    if ( $_condafleet_level > 0 && "$CONDA_PREFIX" != "" ) then
        # Another environment gives way, as `conda activate` makes it.
        if ( -d "$CONDA_PREFIX/etc/conda/deactivate.d" ) then
            foreach _condafleet_script ( "`ls -1r $CONDA_PREFIX:q/etc/conda/deactivate.d`" )
                if ( "$_condafleet_script" =~ *.csh ) source "$CONDA_PREFIX/etc/conda/deactivate.d/$_condafleet_script"
            end
            unset _condafleet_script
        endif
        foreach _condafleet_one ( $path:q )
            if ( ! $_condafleet_found && "$_condafleet_one" == "$CONDA_PREFIX/bin" ) then
                set _condafleet_one = @GENERATION@/bin
                set _condafleet_found = 1
            endif
            set _condafleet_path = ( $_condafleet_path:q "$_condafleet_one" )
        end
        if ( ! $_condafleet_found ) set _condafleet_path = ( @GENERATION@/bin $_condafleet_path:q )
        setenv CONDA_PREFIX_$_condafleet_level "$CONDA_PREFIX"
    else
        foreach _condafleet_one ( $path:q )
            if ( "$_condafleet_one" =~ *condabin ) set _condafleet_found = 1
            set _condafleet_path = ( $_condafleet_path:q "$_condafleet_one" )
        end
        if ( ! $_condafleet_found && $?CONDA_EXE ) then
            set _condafleet_path = ( "$CONDA_EXE:h:h/condabin" $_condafleet_path:q )
        endif
        set _condafleet_path = ( @GENERATION@/bin $_condafleet_path:q )
    endif
    set path = ( $_condafleet_path:q )
    unset _condafleet_path _condafleet_found _condafleet_one
@SET_VARIABLES@
    setenv CONDA_PREFIX @GENERATION@
    @ _condafleet_level = $CONDA_SHLVL + 1
    setenv CONDA_SHLVL $_condafleet_level
    setenv CONDA_DEFAULT_ENV @NAME@
endif
unset _condafleet_level
set _condafleet_prompt = "($CONDA_DEFAULT_ENV) "
@PROMPT@
setenv CONDA_PROMPT_MODIFIER "$_condafleet_prompt"
unset _condafleet_prompt
alias condafleet_deactivate 'source "$CONDA_PREFIX/etc/condafleet/deactivate.csh"'
@RUN_ACTIVATE@
"""

DEACTIVATE = """\
# Written by condafleet. To be sourced by tcsh: takes back what `activate.csh` beside it did.
if ( $?CONDA_PREFIX && $?CONDA_SHLVL ) then
if ( "$CONDA_PREFIX" == @GENERATION@ && $CONDA_SHLVL > 0 ) then
    @ _condafleet_level = $CONDA_SHLVL - 1
    set _condafleet_before = ""
    set _condafleet_stacked = ""
    if ( $_condafleet_level > 0 ) then
        # A one-line `if` would expand the variable before it asks for it.
        eval 'set _condafleet_found = $?CONDA_PREFIX_'$_condafleet_level
        if ( $_condafleet_found ) then
            eval 'set _condafleet_before = "$CONDA_PREFIX_'$_condafleet_level'"'
        endif
        eval 'set _condafleet_found = $?CONDA_STACKED_'$CONDA_SHLVL
        if ( $_condafleet_found ) set _condafleet_stacked = true
    endif
    set _condafleet_insert = ()
    if ( "$_condafleet_before" != "" && "$_condafleet_stacked" == "" ) then
        set _condafleet_insert = ( "$_condafleet_before/bin" )
    endif
    set _condafleet_path = ()
    set _condafleet_found = 0
    foreach _condafleet_one ( $path:q )
        if ( ! $_condafleet_found && "$_condafleet_one" == @GENERATION@/bin ) then
            set _condafleet_path = ( $_condafleet_path:q $_condafleet_insert:q )
            set _condafleet_found = 1
        else
            set _condafleet_path = ( $_condafleet_path:q "$_condafleet_one" )
        endif
    end
    if ( ! $_condafleet_found ) set _condafleet_path = ( $_condafleet_insert:q $_condafleet_path:q )
    set path = ( $_condafleet_path:q )
    unset _condafleet_path _condafleet_found _condafleet_one _condafleet_insert
@RUN_DEACTIVATE@
    if ( "$_condafleet_before" != "" ) then
        unsetenv CONDA_PREFIX_$_condafleet_level
        unsetenv CONDA_STACKED_$CONDA_SHLVL
        setenv CONDA_PREFIX "$_condafleet_before"
        # conda's rule for names: the installation itself, a folder below an `envs`, or the whole path.
        setenv CONDA_DEFAULT_ENV "$CONDA_PREFIX"
        if ( "$CONDA_PREFIX:h:t" == envs ) setenv CONDA_DEFAULT_ENV "$CONDA_PREFIX:t"
        if ( $?CONDA_EXE ) then
            if ( "$CONDA_PREFIX" == "$CONDA_EXE:h:h" ) setenv CONDA_DEFAULT_ENV base
        endif
        set _condafleet_prompt = "($CONDA_DEFAULT_ENV) "
    else
        unsetenv CONDA_PREFIX
        unsetenv CONDA_DEFAULT_ENV
        set _condafleet_prompt = ""
    endif
    setenv CONDA_SHLVL $_condafleet_level
@RESTORE_VARIABLES@
@PROMPT@
    if ( "$_condafleet_before" != "" ) then
        setenv CONDA_PROMPT_MODIFIER "$_condafleet_prompt"
        if ( -d "$CONDA_PREFIX/etc/conda/activate.d" ) then
            foreach _condafleet_script ( "`ls -1 $CONDA_PREFIX:q/etc/conda/activate.d`" )
                if ( "$_condafleet_script" =~ *.csh ) source "$CONDA_PREFIX/etc/conda/activate.d/$_condafleet_script"
            end
            unset _condafleet_script
        endif
    else
        unsetenv CONDA_PROMPT_MODIFIER
    endif
    unset _condafleet_level _condafleet_before _condafleet_stacked _condafleet_prompt
endif
endif
"""

PROMPT = """\
set _condafleet_change = 1
if ( $?CONDA_CHANGEPS1 ) then
    foreach _condafleet_one ( False false No no Off off 0 )
        if ( "$CONDA_CHANGEPS1" == "$_condafleet_one" ) set _condafleet_change = 0
    end
    unset _condafleet_one
endif
if ( ! $_condafleet_change ) then
    set _condafleet_prompt = ""
else
    if ( ! $?prompt ) set prompt = ""
    if ( $?CONDA_PROMPT_MODIFIER ) then
        # It stands in front, where activation put it.
        if ( "$CONDA_PROMPT_MODIFIER" != "" ) then
            eval 'set prompt = "$prompt:s|'"$CONDA_PROMPT_MODIFIER"'||"'
        endif
    endif
    set prompt = "$_condafleet_prompt$prompt"
endif
unset _condafleet_change
"""
SET_VARIABLE = """\
if ( $?@KEY@ ) then
    setenv __CONDA_SHLVL_${_condafleet_level}_@KEY@ "$@KEY@"
endif
setenv @KEY@ @VALUE@
"""
RESTORE_VARIABLE = """\
unsetenv @KEY@
eval 'set _condafleet_saved = $?__CONDA_SHLVL_'$_condafleet_level'_@KEY@'
if ( $_condafleet_saved ) then
    eval 'setenv @KEY@ "$__CONDA_SHLVL_'$_condafleet_level'_@KEY@"'
endif
unset _condafleet_saved
"""
RUN = "source @PATH@\n"
