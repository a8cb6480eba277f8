# The `conda` alias for tcsh, which has no functions: the alias sources this file again, with arguments.

if ( $#argv == 0 ) then
    alias conda 'source "${_CONDA_ROOT}/etc/profile.d/conda.csh" \!*'
    if ( ! $?CONDA_SHLVL ) then
        setenv CONDA_SHLVL 0
        setenv PATH "${_CONDA_ROOT}/condabin:${PATH}"
        if ( ! $?prompt ) set prompt=""
    endif
else
    switch ( "$argv[1]" )
        case "activate":
        case "deactivate":
            set __conda_code="`(setenv prompt '${prompt}'; $_CONDA_EXE shell.csh $argv:q)`"
            set __conda_status=$status
            if ( $__conda_status == 0 ) then
                eval "$__conda_code"
                rehash
            endif
            unset __conda_code
            ( exit $__conda_status )
            breaksw
        default:
            $_CONDA_EXE $argv:q
            breaksw
    endsw
endif
