"""Packs a folder so that the same content gives the same bytes on every machine.

    archive.py ARCHIVE PARENT NAME     PARENT/NAME as NAME/..., as .tar.gz or .zip

Entries are sorted, belong to nobody, and have the time of SOURCE_DATE_EPOCH. Python has no differences between GNU's and
BSD's tar to get around, and is on every runner.
"""

import gzip
import os
import sys
import tarfile
import time
import zipfile
from pathlib import Path


def entries(parent: Path, name: str) -> list[Path]:
    return sorted([parent / name, *(parent / name).rglob("*")], key=lambda path: path.relative_to(parent).as_posix())


def write_tar(archive: Path, parent: Path, name: str, when: int) -> None:
    with archive.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=when) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for path in entries(parent, name):
                entry = tar.gettarinfo(path, path.relative_to(parent).as_posix())
                entry.uid = entry.gid = 0
                entry.uname = entry.gname = ""
                entry.mtime = when
                if path.is_dir():
                    tar.addfile(entry)
                else:
                    with path.open("rb") as content:
                        tar.addfile(entry, content)


def write_zip(archive: Path, parent: Path, name: str, when: int) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in entries(parent, name):
            if path.is_dir():
                continue
            entry = zipfile.ZipInfo(path.relative_to(parent).as_posix(), time.gmtime(when)[:6])
            entry.create_system = 3
            entry.external_attr = (0o755 if path.suffix == ".exe" else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, path.read_bytes())


def main(archive: str, parent: str, name: str) -> None:
    write = write_zip if archive.endswith(".zip") else write_tar
    write(Path(archive), Path(parent), name, int(os.environ["SOURCE_DATE_EPOCH"]))


main(*sys.argv[1:])
