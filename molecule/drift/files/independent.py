"""Every file of a prefix against what its packages themselves say: the archives' own lists, and the wheels' RECORDs.

Prints what differs, and how many files it read. It knows nothing of condafleet: it is what a repair is judged by. To be
run by the installation's Python, which can read conda's archives.
"""

import base64
import csv
import glob
import hashlib
import io
import json
import os
import sys
import tarfile
import zipfile

import zstandard

prefix, cache = sys.argv[1:]
checked = 0


def digest(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read())


def compare(path, same):
    global checked
    checked += 1
    if not os.path.exists(path) or not same(digest(path)):
        print(os.path.relpath(path, prefix))


def paths_of(archive):
    """The list of files in a .conda archive."""
    with zipfile.ZipFile(archive) as whole:
        (name,) = [name for name in whole.namelist() if name.startswith("info-")]
        content = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(whole.read(name))).read()
    with tarfile.open(fileobj=io.BytesIO(content)) as inner:
        return json.load(inner.extractfile("info/paths.json"))["paths"]


for name in glob.glob(os.path.join(prefix, "conda-meta", "*.json")):
    with open(name, encoding="utf-8") as stream:
        record = json.load(stream)
    archive = os.path.join(cache, record["fn"])
    with open(archive, "rb") as stream:
        if hashlib.md5(stream.read()).hexdigest() != record["md5"]:  # noqa: S324 - what conda records of an archive
            print(archive)
            continue
    in_prefix = {entry["_path"]: entry.get("sha256_in_prefix") for entry in record["paths_data"]["paths"]}
    for entry in paths_of(archive):
        # With the prefix written into it, a file has a sha256 of its own in this place.
        wanted = in_prefix.get(entry["_path"]) if entry.get("prefix_placeholder") else entry.get("sha256")
        if entry.get("path_type") == "hardlink":
            compare(os.path.join(prefix, entry["_path"]), lambda found, wanted=wanted: found.hexdigest() == wanted)
for name in glob.glob(os.path.join(prefix, "lib", "python3*", "site-packages", "*.dist-info", "RECORD")):
    site = os.path.dirname(os.path.dirname(name))
    with open(name, encoding="utf-8", newline="") as stream:
        for row in csv.reader(stream):
            if len(row) > 1 and row[1].startswith("sha256="):
                wanted = row[1][len("sha256=") :]
                compare(
                    os.path.join(site, row[0]),
                    lambda found, wanted=wanted: (
                        base64.urlsafe_b64encode(found.digest()).decode().rstrip("=") == wanted
                    ),
                )
print("checked", checked)
