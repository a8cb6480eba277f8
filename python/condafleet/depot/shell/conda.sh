# The `conda` function for POSIX shells (bash, zsh, dash). It is sourced, after CONDA_EXE has been set.
# conda itself computes what to change and prints it as shell code; only the shell can carry that out.
# Every variable is read with a default, and every failure is returned: `set -eu` is a fair way to run a job.

__conda_exe() (
    "$CONDA_EXE" ${_CE_M:+"$_CE_M"} ${_CE_CONDA:+"$_CE_CONDA"} "$@"
)

__conda_hashr() {
    if [ -n "${ZSH_VERSION:-}" ]; then
        rehash
    else
        hash -r
    fi
}

# Ask conda for shell code, then run it. The prompt is no exported variable, so it is handed over.
__conda_apply() {
    __conda_code="$(
        PS1="${PS1:-}"
        export PS1
        __conda_exe shell.posix "$@"
    )" || return
    eval "$__conda_code
unset __conda_code" || return
    __conda_hashr
}

__conda_activate() {
    __conda_apply "$@"
}

__conda_reactivate() {
    __conda_apply reactivate
}

conda() {
    case "${1:-}" in
        activate | deactivate)
            __conda_activate "$@"
            ;;
        install | update | upgrade | remove | uninstall)
            # A package may have brought or taken an activation script.
            __conda_exe "$@" || return
            __conda_reactivate
            ;;
        *)
            __conda_exe "$@"
            ;;
    esac
}

if [ -z "${CONDA_SHLVL:-}" ]; then
    CONDA_SHLVL=0
    export CONDA_SHLVL
    # `conda` stays within reach of scripts and child shells that do not know the function.
    case ":${PATH:-}:" in
        *":${CONDA_EXE%/*/*}/condabin:"*) ;;
        *)
            PATH="${CONDA_EXE%/*/*}/condabin${PATH:+:$PATH}"
            export PATH
            ;;
    esac
    # conda prefixes the prompt; under `set -u` there must be one.
    PS1="${PS1:-}"
fi
