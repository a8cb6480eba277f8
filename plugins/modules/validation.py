#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
---
module: validation
short_description: Train a small network on MNIST in an environment, and store the verdict
version_added: "0.1.0"
description:
  - Proves that an environment can train on this node. The network is Flatten, Dense 128 with relu, Dropout 0.2,
    Dense 10 with softmax, trained with Adam and a fixed seed.
  - The training runs with the environment's own python as a child with a time limit, with one thread unless told
    otherwise, within the CPUs that the cgroup allows, and without any of the caller's own settings.
  - The result is stored as C(ROOT/validation/ENVIRONMENT/FRAMEWORK/result.json), with the weights beside it, and as
    C(KIND.json) there where O(kind) is another than V(train).
    A stored PASS is returned as it is, and nothing runs, while generation, job and GPU driver are the same.
  - The verdict is V(PASS), V(FAIL) (below the least accuracy, or unfit), V(ERROR) (it could not be determined) or
    V(SKIP) (GPUs are in use, or a version that can't export). The task itself succeeds with each of them, so that the
    other frameworks of the node are judged too.
  - A GPU is used where the framework is built for one and no other process uses it.
author:
  - condafleet maintainers (@condafleet)
options:
  environment:
    description: The environment's name.
    type: str
    required: true
  framework:
    description:
      - What to train with. V(tensorflow) is tf.keras; V(keras) follows E(KERAS_BACKEND) of the environment, and
        V(keras-torch) and the others say it.
    type: str
    choices: [jax, keras, keras-jax, keras-tensorflow, keras-torch, tensorflow, torch]
    required: true
  kind:
    description:
      - What to do with it. V(train) trains on MNIST. V(smoke) takes seconds, with imports and a known result.
      - V(transformer) trains a small transformer, stores it, loads it and fine-tunes it on another task.
      - V(serve) exports the trained network and asks a server that has loaded the exported file alone.
    type: str
    choices: [train, smoke, transformer, serve]
    default: train
  generation:
    description:
      - A generation of the environment that is kept beside the current one, to do it there. Its result is stored as
        C(GENERATION.KIND.json), without weights, and is never taken for the current one's.
    type: str
  prefix:
    description: The installation's prefix; the environment is C(PREFIX/envs/ENVIRONMENT).
    type: path
    required: true
  root:
    description: The folder for data sets and results.
    type: path
    required: true
  data:
    description:
      - The four IDX files, plain or packed with gzip. They are kept in C(ROOT/datasets/mnist).
      - Empty where O(kind) is one that reads none, V(smoke) or V(transformer).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The file's name, such as C(train-images-idx3-ubyte).
        type: str
        required: true
      url:
        description: Where to fetch it, http, https or file.
        type: str
        required: true
      sha256:
        description: The sha256 of the file as it is fetched.
        type: str
        required: true
  access:
    description: How they are fetched, C({proxies, ca, retries, timeout}); C(ca) is the text of a PEM file.
    type: dict
    default: {}
  scripts:
    description: The training scripts by file name. Filled by the action from the role's files.
    type: dict
    default: {}
  variables:
    description: Environment variables for the training, beside those that the environment itself sets.
    type: dict
    default: {}
  epochs:
    description: How often all images are trained with.
    type: int
    default: 5
  batch_size:
    description: Images per step.
    type: int
    default: 32
  seed:
    description: The seed of weights, order and dropout.
    type: int
    default: 0
  least_accuracy:
    description: The share of test images that must be recognised for V(PASS).
    type: float
    default: 0.97
  threads:
    description: Threads for the framework, never more than CPUs that may be used; 0 for what measurement found best.
    type: int
    default: 0
  nice:
    description: How far the training stands back behind other processes, 0 to 19.
    type: int
    default: 10
  timeout:
    description: Seconds that the training may take.
    type: int
    default: 1800
  user:
    description: The account that the training runs as. Without it, the one that the module runs as.
    type: str
  rerun:
    description: Train even where a stored result proves the current generation.
    type: bool
    default: false
  job:
    description: Name of the progress file below C(ROOT/progress). Filled by the action.
    type: str
attributes:
  check_mode:
    description: Says whether the job would run and why, and runs nothing.
    support: full
  diff_mode:
    description: One line, why the job runs.
    support: full
  async:
    description: Not to be set. The action starts the training as a job by itself, follows it and shows its epochs.
    support: none
seealso:
  - module: condafleet.core.conda_environment
  - module: condafleet.core.plan
"""

EXAMPLES = r"""
- name: Prove that PyTorch trains here
  condafleet.core.validation:
    environment: pytorch
    framework: torch
    prefix: /opt/miniconda3
    root: /opt/condafleet
    data:
      - name: train-images-idx3-ubyte
        url: file:///data/mnist/train-images-idx3-ubyte
        sha256: ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db
      - name: train-labels-idx1-ubyte
        url: file:///data/mnist/train-labels-idx1-ubyte
        sha256: 65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5
      - name: t10k-images-idx3-ubyte
        url: file:///data/mnist/t10k-images-idx3-ubyte
        sha256: 0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7
      - name: t10k-labels-idx1-ubyte
        url: file:///data/mnist/t10k-labels-idx1-ubyte
        sha256: ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2
  register: validated

- name: Stop where it could not be proved
  ansible.builtin.assert:
    that: validated.result.verdict in ['PASS', 'SKIP']
"""

RETURN = r"""
result:
  description: The stored result, fresh or not; null in check mode where there is none.
  returned: success
  type: dict
  contains:
    verdict:
      description: PASS, FAIL, ERROR or SKIP.
      type: str
    reason:
      description: Why it is not PASS, else null.
      type: str
    next_step:
      description: What to do about it, else null.
      type: str
    generation:
      description: The generation that was trained in.
      type: str
    driver:
      description: Version of the node's GPU driver, null where there is none. With another one the job runs again.
      type: str
    interpreter:
      description: The python that ran, by its real path.
      type: str
    epochs:
      description: One entry an epoch, with loss, accuracy, seconds and images_per_second.
      type: list
    test_loss:
      description: Mean loss over the test images.
      type: float
    test_accuracy:
      description: Share of the test images that were recognised.
      type: float
    recomputed_accuracy:
      description: The same share, computed with numpy from the stored weights.
      type: float
    images_per_second:
      description: Training speed over the epochs after the first.
      type: float
    device:
      description: Kind (cpu or cuda) and name.
      type: dict
    versions:
      description: Versions of python, numpy, the framework and the Keras backend.
      type: dict
    threads:
      description: Threads that the framework was given.
      type: int
    kind:
      description: What was done.
      type: str
    figures:
      description: What a job that is no training has measured.
      type: dict
    cpu_quota:
      description: CPUs that the cgroup allows, null for no limit.
      type: float
    peak_memory_bytes:
      description: The training's largest resident memory.
      type: int
    data:
      description: Name of the data set and sha256 of each file; null where none is read.
      type: dict
    weights:
      description: Path, sha256 and format of the weights as npz.
      type: dict
    job_digest:
      description: Digest over scripts, data and schedule.
      type: str
    schema_version:
      description: The version of this structure.
      type: int
    environment:
      description: The environment's name.
      type: str
    framework:
      description: What was trained with.
      type: str
    started:
      description: When, UTC in ISO 8601.
      type: str
    ended:
      description: When, UTC in ISO 8601.
      type: str
    seconds:
      description: How long it all took.
      type: float
    training_seconds:
      description: How long the epochs took.
      type: float
    images_per_second_of:
      description: What C(images_per_second) was taken over.
      type: str
    train_images:
      description: How many images were trained with.
      type: int
    test_images:
      description: How many images were tested with.
      type: int
    batch_size:
      description: Images per step.
      type: int
    seed:
      description: The seed.
      type: int
    least_accuracy:
      description: The share that was asked for.
      type: float
    native_weights:
      description: Path, sha256 and format of the weights in the framework's own form.
      type: dict
    log:
      description: Path of all that the training printed.
      type: str
would_run:
  description: Why the job ran, or in check mode would run; null where the stored result holds.
  returned: success
  type: str
complaint:
  description: One sentence for FAIL and ERROR, with the next step; null for the other verdicts.
  returned: success
  type: str
ran:
  description: Whether the job ran.
  returned: success
  type: bool
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.condafleet.core.plugins.module_utils.errors import FleetError
from ansible_collections.condafleet.core.plugins.module_utils.expect_answer import expect_answer
from ansible_collections.condafleet.core.plugins.module_utils.progress import Progress, progress_file
from ansible_collections.condafleet.core.plugins.module_utils.validation_plan import TRAIN, complaint
from ansible_collections.condafleet.core.plugins.module_utils.validation_run import Task, validate, why_run

ARGUMENTS = {
    "environment": {"type": "str", "required": True},
    "framework": {
        "type": "str",
        "choices": ["jax", "keras", "keras-jax", "keras-tensorflow", "keras-torch", "tensorflow", "torch"],
        "required": True,
    },
    "kind": {"type": "str", "choices": ["train", "smoke", "transformer", "serve"], "default": "train"},
    "generation": {"type": "str"},
    "prefix": {"type": "path", "required": True},
    "root": {"type": "path", "required": True},
    "access": {"type": "dict", "default": {}},
    "data": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            "sha256": {"type": "str", "required": True},
        },
    },
    "scripts": {"type": "dict", "default": {}},
    "variables": {"type": "dict", "default": {}},
    "epochs": {"type": "int", "default": 5},
    "batch_size": {"type": "int", "default": 32},
    "seed": {"type": "int", "default": 0},
    "least_accuracy": {"type": "float", "default": 0.97},
    "threads": {"type": "int", "default": 0},
    "nice": {"type": "int", "default": 10},
    "timeout": {"type": "int", "default": 1800},
    "user": {"type": "str"},
    "rerun": {"type": "bool", "default": False},
    "job": {"type": "str"},
}


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    # Weights and results are for everyone to read, whatever the caller's umask.
    os.umask(0o022)
    try:
        expect_answer({"validation_root": params["root"], "validation_prefix": params["prefix"]})
        task = Task(params)
        why = why_run(task)
        result = task.stored()
        if why and not module.check_mode:
            result = validate(task, Progress(progress_file(params["root"], params["job"])))
    except FleetError as error:
        module.fail_json(msg=error.message)
    except OSError as error:
        # Of what goes wrong within a job there is a verdict; here not even that could be written.
        module.fail_json(
            msg="validation_root: %s. Accepted: a folder with free space that the module may write. Next: see to the "
            "node's disk and permissions, and validate again." % error
        )
    title = params["framework"] if params["kind"] == TRAIN else "%s, %s" % (params["framework"], params["kind"])
    line = "validation of %s with %s: %s\n" % (params["environment"], title, why)
    module.exit_json(
        changed=bool(why),
        result=result,
        would_run=why,
        ran=bool(why and not module.check_mode),
        complaint=complaint(result),
        diff={"prepared": line} if why else {},
    )


if __name__ == "__main__":
    main()
