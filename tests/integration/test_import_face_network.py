"""Face networks from a package's archive, by the command that people type."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from data.errors import ModelError
from scripts import import_face_network
from tests.commands import assert_one_line, run_script
from tests.graph_model import TinyGraph

NAMES = {"pool": "global_pooling/Mean", "gate": "gender_pred/Sigmoid", "share": "age_pred/Softmax"}


def write_archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Files of a tiny network in the place of the package's, whose hashes the command expects."""
    topology, weights = TinyGraph(NAMES).files()
    hashes = {name: hashlib.sha256(file).hexdigest() for name, file in (("json", topology), ("bin", weights))}
    monkeypatch.setattr(import_face_network, "SHA256", {f"faceres.{name}": value for name, value in hashes.items()})
    return {"package/models/faceres.json": topology, "package/models/faceres.bin": weights}


def test_an_archive_becomes_a_feature_network_and_one_of_sex_and_age(tmp_path: Path, files: dict[str, bytes]) -> None:
    onnx = pytest.importorskip("onnx")
    archive = write_archive(tmp_path / "package.tgz", {"package/README.md": b"words", **files})
    import_face_network.main(["--archive", str(archive), "--out", str(tmp_path / "out")])
    outputs = {
        path.name: [output.name for output in onnx.load(path).graph.output] for path in (tmp_path / "out").iterdir()
    }
    assert outputs == {"faceres-feature.onnx": ["feature"], "faceres.onnx": ["feature", "male", "age"]}


def test_other_files_are_refused_before_they_are_read_and_nothing_is_unpacked(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    arguments = ["--archive", str(tmp_path / "package.tgz"), "--out", str(tmp_path / "out")]
    changed = {**files, "package/models/faceres.bin": b"other"}
    write_archive(tmp_path / "package.tgz", changed)
    with pytest.raises(ModelError, match=r"faceres\.bin is another file than that of version 3\.0\.4"):
        import_face_network.main(arguments)
    write_archive(tmp_path / "package.tgz", {name.replace("package/", "../"): file for name, file in files.items()})
    with pytest.raises(ModelError, match=r"no package/models/faceres\.json in it"):
        import_face_network.main(arguments)
    (tmp_path / "package.tgz").write_bytes(b"no archive")
    with pytest.raises(ModelError, match="not the package's archive"):
        import_face_network.main(arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["package.tgz"]


def test_the_command_says_what_is_missing_and_what_is_known_of_the_licence(tmp_path: Path) -> None:
    assert_one_line(run_script("import_face_network", "--archive", tmp_path / "no.tgz", "--out", tmp_path), "no.tgz")
    told = " ".join(run_script("import_face_network", "--help").stdout.split())
    assert "neither speaks of the weights" in told and "VGGFace2" in told
