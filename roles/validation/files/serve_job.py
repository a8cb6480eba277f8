# SPDX-License-Identifier: Apache-2.0
"""What the serving scripts share: weights, a server that is a process of its own, questions, and the judgement.

A script is `serve_X.py` and calls `run(export, load, train)`:
    export(job, weights, folder) -> (artefact: path in `folder`, its form in words, notes: [sentence], device, versions)
    load(artefact, threads) -> function(images: float32 array of (n, 784)) -> scores of (n, 10)
    train(job, data)        that of mnist_job.py, for where no training has left weights
`load` runs in the server, a process that is given nothing but the exported artefact. It listens on the loopback
interface, on a port that the system chooses, and is ended in every case: when the job ends it, and when it loses the
job (its standard input closes).

Questions and answers are float32 in the machine's order, (n, 784) and (n, 10).
Only numpy and the standard library here, Python 3.8 or newer.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time

import mnist_job
import node_job
from node_job import CannotTellError, UnfitError, cpu_name, numpy, peak_memory

HOST = "127.0.0.1"
# Images that are asked for one at a time, and those that are asked for by hundreds.
SINGLE, PORTION = 200, 100
# Scores are of the order of 10; what differs by more than rounding is another network.
TOLERANCE = {"cpu": 1e-3, "cuda": 0.05}
# Seconds: until the server listens (it imports the framework), for one answer, until it has ended.
START_LIMIT, ANSWER_LIMIT, END_LIMIT = 180.0, 20.0, 10.0


# -- the server ---------------------------------------------------------------------------------------------------


def serve(load, artefact, threads, ready):
    """Answer until standard input closes. The port is written to `ready` once answers can be given."""
    # Somebody has to notice that the job is gone, or a killed one would leave its server behind.
    threading.Thread(target=_end_with_the_job, daemon=True).start()
    answer = load(artefact, threads)
    answer(numpy.zeros((1, 784), numpy.float32))

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer is one packet, sent at once: else each waits for the other side's delayed acknowledgement.
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_POST(self):
            content = self.rfile.read(int(self.headers["Content-Length"]))
            scores = answer(numpy.frombuffer(content, numpy.float32).reshape(-1, 784))
            reply = numpy.ascontiguousarray(scores, numpy.float32).tobytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)
            self.wfile.flush()

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer((HOST, 0), Handler)
    node_job.write_json(ready, {"port": server.server_address[1]})
    server.serve_forever()


def _end_with_the_job():
    # Not by sys.stdin, whose lock a waiting thread would hold when the server ends by itself.
    while os.read(0, 4096):
        pass
    os._exit(0)


@contextlib.contextmanager
def server_of(script, artefact, folder, threads, start_limit):
    """Start the server and give its port; whatever happens, it is gone afterwards."""
    ready = os.path.join(folder, "ready.json")
    command = [sys.executable, script, "--serve", artefact, str(threads), ready]
    # In the job's own process group, which is ended as a whole when the job's time is up.
    child = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=folder)
    try:
        deadline = time.monotonic() + start_limit
        while not os.path.exists(ready):
            if child.poll() is not None:
                raise UnfitError("the server ended with status %d before it could answer" % child.returncode)
            if time.monotonic() > deadline:
                raise CannotTellError("the server did not load the exported model within %g seconds" % start_limit)
            time.sleep(0.05)
        with open(ready, encoding="utf-8") as stream:
            yield node_job.json.load(stream)["port"]
    finally:
        child.terminate()
        try:
            child.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdin.close()


# -- the questions ------------------------------------------------------------------------------------------------


class Client:
    """Asks over one connection, as a service's clients do."""

    def __init__(self, port, limit):
        self.limit = limit
        self.connection = http.client.HTTPConnection(HOST, port, timeout=limit)

    def ask(self, images):
        try:
            self.connection.request("POST", "/", numpy.ascontiguousarray(images, numpy.float32).tobytes())
            answer = self.connection.getresponse()
            content = answer.read()
        except OSError as error:
            why = "the server gave no answer within %g seconds" % self.limit
            if not isinstance(error, TimeoutError) and "timed out" not in str(error):
                why = "the server broke the connection off: %s" % error
            raise UnfitError(why) from error
        except http.client.HTTPException as error:
            raise UnfitError("the server broke the connection off: %r" % error) from error
        if answer.status != 200 or len(content) != len(images) * 10 * 4:
            raise UnfitError("the server answered with status %d and %d bytes" % (answer.status, len(content)))
        return numpy.frombuffer(content, numpy.float32).reshape(-1, 10)


def question(port, images, labels, expected, tolerance, limit):
    """Ask for each image, singly and by portions: return the figures, or say what is wrong."""
    client = Client(port, limit)
    found, seconds = [], []
    for image in images[:SINGLE]:
        began = time.monotonic()
        found.append(client.ask(image[None]))
        seconds.append(time.monotonic() - began)
    singly = numpy.concatenate(found)
    began = time.monotonic()
    answers = numpy.concatenate([client.ask(images[at : at + PORTION]) for at in range(0, len(images), PORTION)])
    took = max(time.monotonic() - began, 1e-6)
    apart = max(float(abs(answers - expected).max()), float(abs(singly - expected[: len(singly)]).max()))
    figures = {
        "latency_ms": round(1000 * statistics.median(seconds), 3),
        "latency_worst_ms": round(1000 * max(seconds), 3),
        "answers_per_second": round(len(images) / took, 1),
        "questions": len(images) + len(singly),
        "largest_difference": float("%.3g" % apart),
        "accuracy": round(float((answers.argmax(axis=1) == labels).mean()), 6),
    }
    # Written so that a difference that is no number is one.
    if not apart <= tolerance:
        why = "the served model's answers differ from the trained one's by up to %.3g, expected at most %g"
        raise UnfitError(why % (apart, tolerance), {"figures": figures})
    return figures


# -- the job ------------------------------------------------------------------------------------------------------


def weights_of(job, data, train):
    """Return the weights of the training before, else those of one short epoch with `train`."""
    if job.trained:
        try:
            with numpy.load(job.trained) as stored:
                weights = {name: stored[name] for name in mnist_job.LAYOUT}
        except Exception as error:  # whatever numpy makes of a damaged file
            raise CannotTellError("the stored weights can't be read (%s): train again" % error) from error
        for name, shape in mnist_job.LAYOUT.items():
            if weights[name].shape != shape or not numpy.isfinite(weights[name]).all():
                raise CannotTellError("the stored weights %s are damaged: train again" % name)
        return weights, "those of the training"
    job.epochs = 1
    job.images_per_epoch = len(data[0])
    return train(job, data)["weights"], "those of one epoch, since no training of this generation is stored"


def scores_of(weights, images):
    """Return the scores of images as rows of 784, by numpy alone."""
    hidden = numpy.maximum(images @ weights["dense1_kernel"] + weights["dense1_bias"], 0.0)
    return hidden @ weights["dense2_kernel"] + weights["dense2_bias"]


def carry_out(job, export, train):
    """Export, serve, ask: return the figures."""
    started = time.monotonic()
    data = mnist_job.read_data(job.data)
    weights, source = weights_of(job, data, train)
    images, labels = data[2].reshape(len(data[2]), -1), data[3]
    folder = os.path.join(job.native, "export")
    os.mkdir(folder)
    try:
        began = time.monotonic()
        artefact, form, notes, device, versions = export(job, weights, folder)
        exported = time.monotonic() - began
        job.tell("serve", 1, 2, "steps", "exported as %s, asking a server" % form)
        script = os.path.abspath(sys.argv[0])
        # Whoever allows a slow node more time allows the server its share of it.
        limits = {"start": max(START_LIMIT, job.timeout / 2), "answer": ANSWER_LIMIT, **getattr(job, "limits", {})}
        with server_of(script, artefact, folder, job.threads, limits["start"]) as port:
            figures = question(
                port, images, labels, scores_of(weights, images), TOLERANCE[device["kind"]], limits["answer"]
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures.update(form=form, weights=source, export_seconds=round(exported, 3))
    if notes:
        figures["notes"] = "; ".join(notes)
    return {
        "figures": figures,
        "device": dict(device, name=device["name"] or cpu_name()),
        "versions": dict(versions, python=platform.python_version(), numpy=numpy.__version__),
        "training_seconds": round(time.monotonic() - started, 3),
        "peak_memory_bytes": peak_memory(),
    }


def run(export, load, train):
    """Be the server where the command line says so, else carry out the job that it names."""
    if sys.argv[1:2] == ["--serve"]:
        serve(load, sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        node_job.run(lambda job: carry_out(job, export, train), mnist_job.Job)
