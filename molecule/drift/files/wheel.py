"""Writes a wheel of six 1.16.0 that holds next to nothing, into the folder that is named."""

import os
import sys
import zipfile

name = os.path.join(sys.argv[1], "six-1.16.0-py2.py3-none-any.whl")
metadata = "Metadata-Version: 2.1\nName: six\nVersion: 1.16.0\n"
with zipfile.ZipFile(name, "w") as archive:
    archive.writestr("six.py", "__version__ = '1.16.0'\n")
    archive.writestr("six-1.16.0.dist-info/METADATA", metadata)
    archive.writestr("six-1.16.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    archive.writestr("six-1.16.0.dist-info/RECORD", "six.py,,\nsix-1.16.0.dist-info/RECORD,,\n")
print(name)
