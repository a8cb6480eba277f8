# The `conda` alias for tcsh, which has no functions: the alias sources this file again, with arguments.
# Whether it is the first time is told by the alias, since a start-up file sees the arguments of its script.

if ( "`alias conda`" == "" ) then
    alias conda 'source "${_CONDA_ROOT}/etc/profile.d/conda.csh" \!*'
    if ( ! $?CONDA_SHLVL ) then
        setenv CONDA_SHLVL 0
        setenv PATH "${_CONDA_ROOT}/condabin:${PATH}"
        if ( ! $?prompt ) set prompt=""
    endif
else
    set __conda_command=""
    if ( $#argv > 0 ) set __conda_command="$argv[1]"
    switch ( "$__conda_command" )
        case "activate":
        case "deactivate":
            set __conda_code="`(setenv prompt '${prompt}'; $_CONDA_EXE shell.csh $argv:q)`"
            set __conda_status=$status
            if ( $__conda_status == 0 ) then
                eval "$__conda_code"
                rehash
            endif
            breaksw
        case "install":
        case "update":
        case "upgrade":
        case "remove":
        case "uninstall":
            $_CONDA_EXE $argv:q
            set __conda_status=$status
            # A package may have brought or taken an activation script.
            if ( $__conda_status == 0 ) then
                set __conda_code="`(setenv prompt '${prompt}'; $_CONDA_EXE shell.csh reactivate)`"
                eval "$__conda_code"
                rehash
            endif
            breaksw
        default:
            $_CONDA_EXE $argv:q
            set __conda_status=$status
            breaksw
    endsw
    unset __conda_code __conda_command
    # Ends this file, not the shell, and leaves the status; a command's would be lost at the `endif`.
    exit $__conda_status
endif
