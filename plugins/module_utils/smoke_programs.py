# SPDX-License-Identifier: Apache-2.0
"""What a smoke test runs in an environment, framework by framework, and what has to come of it. Texts and numbers only.

Each program prints one line of JSON: {version, cuda: what it was built for or null, seen: whether it sees a GPU,
device, wrong: how many elements of a matrix product are, of `elements`, gradient, losses: before and after one step,
backend}. The product is one of small whole numbers, exact in every format that a framework may choose for it; the step
is plain gradient descent on two samples, whose figures are known.
"""

from __future__ import annotations

from typing import Dict, Tuple

EDGE = 64
RATE = 0.02
# Of the mean squared error of w = (0.5, -0.5) on ((1, 2), (3, 4)) -> (1, 2), and after one step of RATE.
GRADIENT = (-9.0, -13.0)
LOSSES = (4.25, 0.7432)
# The weights after the step are no whole numbers: TF32 and bf16 round them.
TOLERANCE = 0.05

COMMON = """
import json, sys
n = %d
a = [[(3 * i + j) %% 7 - 3.0 for j in range(n)] for i in range(n)]
b = [[(i + 2 * j) %% 5 - 2.0 for j in range(n)] for i in range(n)]
columns = list(zip(*b))
known = [[sum(p * q for p, q in zip(row, column)) for column in columns] for row in a]
samples, labels, weights, rate = [[1.0, 2.0], [3.0, 4.0]], [[1.0], [2.0]], [[0.5], [-0.5]], %g

def wrong(product):
    return sum(not abs(product[i][j] - known[i][j]) < 0.01 for i in range(n) for j in range(n))

def tell(product, **record):
    print(json.dumps(dict(record, wrong=wrong(product), elements=len(product) * len(product[0]))), flush=True)
""" % (EDGE, RATE)

TORCH = """
import torch
cuda, seen = torch.version.cuda, torch.cuda.is_available()
device = torch.device("cuda" if seen else "cpu")
product = torch.tensor(a, device=device) @ torch.tensor(b, device=device)
x, y = torch.tensor(samples, device=device), torch.tensor(labels, device=device)
w = torch.tensor(weights, device=device, requires_grad=True)
before = torch.nn.functional.mse_loss(x @ w, y)
before.backward()
with torch.no_grad():
    after = torch.nn.functional.mse_loss(x @ (w - rate * w.grad), y)
tell(product.cpu().tolist(), version=torch.__version__, cuda=cuda, seen=seen,
     device=torch.cuda.get_device_name(device) if seen else "cpu",
     gradient=w.grad.flatten().tolist(), losses=[before.item(), after.item()])
"""

TENSORFLOW = """
import tensorflow as tf
cuda = tf.sysconfig.get_build_info().get("cuda_version") if tf.test.is_built_with_cuda() else None
gpus = tf.config.list_physical_devices("GPU")
with tf.device("/GPU:0" if gpus else "/CPU:0"):
    product = tf.matmul(tf.constant(a), tf.constant(b))
    x, y, w = tf.constant(samples), tf.constant(labels), tf.Variable(weights)
    with tf.GradientTape() as tape:
        before = tf.reduce_mean((x @ w - y) ** 2)
    gradient = tape.gradient(before, w)
    w.assign_sub(rate * gradient)
    after = tf.reduce_mean((x @ w - y) ** 2)
tell(product.numpy().tolist(), version=tf.__version__, cuda=cuda, seen=bool(gpus),
     device=tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else "cpu",
     gradient=gradient.numpy().flatten().tolist(), losses=[float(before), float(after)])
"""

JAX_BUILD = """
from importlib import util
import jax
cuda = next(("CUDA %d" % major for major in (13, 12, 11) if util.find_spec("jax_cuda%d_plugin" % major)), None)
first = jax.devices()[0]
seen = first.platform in ("gpu", "cuda", "rocm")
device = first.device_kind if seen else "cpu"
"""

JAX = (
    JAX_BUILD
    + """
import jax.numpy as jnp
x, y, w = jnp.array(samples), jnp.array(labels), jnp.array(weights)
loss = lambda w: ((x @ w - y) ** 2).mean()
before, gradient = jax.jit(jax.value_and_grad(loss))(w)
tell((jnp.array(a) @ jnp.array(b)).tolist(), version=jax.__version__, cuda=cuda, seen=seen, device=device,
     gradient=gradient.flatten().tolist(), losses=[float(before), float(loss(w - rate * gradient))])
"""
)

# The backend's own word for what it was built for and what it sees comes first: Keras has none.
KERAS = (
    """
import keras
backend = keras.backend.backend()
cuda, seen, device = None, False, "cpu"
if backend == "torch":
    import torch
    cuda, seen = torch.version.cuda, torch.cuda.is_available()
    device = torch.cuda.get_device_name() if seen else "cpu"
elif backend == "tensorflow":
    import tensorflow as tf
    cuda = tf.sysconfig.get_build_info().get("cuda_version") if tf.test.is_built_with_cuda() else None
    seen = bool(tf.config.list_physical_devices("GPU"))
    device = "GPU" if seen else "cpu"
elif backend == "jax":
"""
    + "\n".join("    " + line for line in JAX_BUILD.strip().splitlines())
    + """
import numpy
product = keras.ops.convert_to_numpy(keras.ops.matmul(numpy.array(a, "float32"), numpy.array(b, "float32")))
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
model.set_weights([numpy.array(weights, "float32")])
# Compiled would be the first step of a long training: here it is the only one.
model.compile(optimizer=keras.optimizers.SGD(rate), loss="mse", jit_compile=False, run_eagerly=True)
x, y = numpy.array(samples, "float32"), numpy.array(labels, "float32")
losses = [float(model.train_on_batch(x, y)), float(model.test_on_batch(x, y))]
tell(product.tolist(), version=keras.__version__, cuda=cuda, seen=seen, device=device, backend=backend, gradient=None,
     losses=losses)
"""
)

# An environment without any framework: its own python, with what is compiled into it.
PYTHON = """
import bz2, ctypes, hashlib, json, lzma, sqlite3, ssl, sys, zlib
value = sqlite3.connect(":memory:").execute("select 20 + 2").fetchone()[0]
print(json.dumps({"version": sys.version.split()[0], "result": value}))
"""
RESULT = 22

# {what environments call it: (program, the variable KERAS_BACKEND that it needs, "" for what the environment says)}
FRAMEWORKS: Dict[str, Tuple[str, str]] = {
    "torch": (COMMON + TORCH, ""),
    "tensorflow": (COMMON + TENSORFLOW, ""),
    "jax": (COMMON + JAX, ""),
    "keras": (COMMON + KERAS, ""),
    "keras-tensorflow": (COMMON + KERAS, "tensorflow"),
    "keras-torch": (COMMON + KERAS, "torch"),
    "keras-jax": (COMMON + KERAS, "jax"),
    "python": (PYTHON, ""),
}
