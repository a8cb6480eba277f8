# The `conda` function for fish. It is sourced, after CONDA_EXE has been set.

if not set -q CONDA_SHLVL
    set -gx CONDA_SHLVL 0
    set -l __conda_bin (dirname (dirname $CONDA_EXE))/condabin
    if not contains -- $__conda_bin $PATH
        set -gx PATH $__conda_bin $PATH
    end
    set -e __conda_bin
end

function __conda_apply
    set -l __conda_code ($CONDA_EXE shell.fish $argv | string collect)
    test $pipestatus[1] -eq 0
    or return 1
    eval $__conda_code
end

function conda --description "conda, with activate and deactivate for this shell"
    switch "$argv[1]"
        case activate deactivate
            __conda_apply $argv
        case install update upgrade remove uninstall
            $CONDA_EXE $argv
            and __conda_apply reactivate
        case '*'
            $CONDA_EXE $argv
    end
end

# The name of the environment in front of whatever the prompt is.
if not functions -q __conda_plain_prompt
    if functions -q fish_prompt
        functions -c fish_prompt __conda_plain_prompt
    else
        function __conda_plain_prompt
            echo -n '> '
        end
    end
    function fish_prompt
        set -l __conda_status $status
        if set -q CONDA_PROMPT_MODIFIER
            echo -n $CONDA_PROMPT_MODIFIER
        end
        # The prompt proper may show the status of the last command.
        command sh -c "exit $__conda_status"
        __conda_plain_prompt
    end
end
