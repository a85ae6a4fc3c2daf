"""Reading a prepared data set: random access to clips, people and their crops."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.errors import ConfigError, DatasetError, MediaError
from data.media.audio import decode_flac
from data.media.images import decode_crop
from data.media.waveform import Waveform
from data.store.clip import SPLITS, Attributes, Clip, Source, Split
from data.store.imported import VOICE_VECTOR, read_imported
from data.store.inventory import read_light_columns
from data.store.shards import ROWS_PER_GROUP, SHARED_COLUMNS, read_info

CACHE_BYTES = 256 * 2**20
"""Size of a process's cache of row groups, in bytes."""


class ClipDataset:
    """The clips of one split, or of all.

    Scalar columns are read when the data set is opened; speech, crops and features when they are needed, a row group at
    a time. Objects can be pickled and used in forked or spawned processes: each process opens the files itself.

    Attributes:
        info: Content of dataset.json.
        split: Name of the split, or `all`.
        clip_ids: Name of each clip.
        identities: All identities, sorted.
        identity_of: [num_clips] int64, index into `identities`.
        split_of: [num_clips] int64, index into `SPLITS`.
        num_faces: [num_clips] int64, number of crops.
        has_voice: [num_clips] bool, whether there is speech.
        durations: [num_clips] float32, seconds of speech; NaN where there is no voice.
        video_ids: Video of each clip; None where there is none.

    Example:
        >>> clips = ClipDataset("datasets/personas", "train")
        >>> clip = clips.clip(0)
        >>> clip.identity in clips.identities
        True
        >>> clips.face(0, 0).shape
        (64, 64, 3)
    """

    def __init__(self, root: str | Path, split: Split | Literal["all"], cache_bytes: int = CACHE_BYTES) -> None:
        """Open a data set.

        Args:
            root: Folder of the data set.
            split: `train`, `val`, `test` or `all`.
            cache_bytes: Size of the cache of row groups.

        Raises:
            ConfigError: If there is no such split.
            DatasetError: If the data set is missing, of another schema version, or damaged.
        """
        if split not in (*SPLITS, "all"):
            raise ConfigError(f"unknown split '{split}': use train, val, test or all")
        self.root = Path(root)
        self.split = split
        self.info = read_info(self.root)
        wanted = SPLITS if split == "all" else (split,)
        self._shards = _Shards(
            [self.root / name for name in self.info.shards if name.partition("-")[0] in wanted], cache_bytes
        )
        tables = []
        for path in self._shards.paths:
            tables.append(read_light_columns(path))
            if tables[-1].num_rows != self.info.shards[path.name]:
                raise DatasetError(
                    f"{path}: holds {tables[-1].num_rows} clips, {self.info.shards[path.name]} expected; "
                    "prepare the data set again"
                )
        rows = [np.arange(table.num_rows) for table in tables]
        self._shard_of = np.repeat(np.arange(len(tables)), [len(row) for row in rows])
        self._row_of = np.concatenate([np.zeros(0, np.int64), *rows])
        own_splits = [list(map(str, SPLITS)).index(path.name.partition("-")[0]) for path in self._shards.paths]
        self.split_of: NDArray[np.int64] = np.array(own_splits, np.int64)[self._shard_of]
        columns = (
            {name: [v for t in tables for v in t[name].to_pylist()] for name in tables[0].column_names}
            if tables
            else {}
        )
        self._columns: dict[str, list[Any]] = columns
        self._additional = self._shards.additional_columns() if tables else []
        self.clip_ids: list[str] = columns.get("clip_id", [])
        names, identity_of = np.unique(np.array(columns.get("identity", []), dtype=object), return_inverse=True)
        self.identities: list[str] = [str(name) for name in names]
        self.identity_of: NDArray[np.int64] = identity_of.astype(np.int64)
        self.num_faces: NDArray[np.int64] = np.array(columns.get("num_faces", []), np.int64)
        self.has_voice: NDArray[np.bool_] = np.array(columns.get("has_voice", []), np.bool_)
        self.durations: NDArray[np.float32] = np.array(columns.get("duration", []), np.float32)
        self.video_ids: list[str | None] = columns.get("video_id", [])
        self._clips_of: list[list[int]] = [[] for _ in self.identities]
        for index, identity in enumerate(self.identity_of):
            self._clips_of[identity].append(index)

    def __len__(self) -> int:
        return len(self.clip_ids)

    def clip(self, index: int) -> Clip:
        """One clip with its speech, crops and features.

        Raises:
            DatasetError: If its bytes are damaged; likewise in all methods that decode.
        """
        waveform = self.waveform(index) if self.has_voice[index] and self.has_media else None
        value = {name: column[index] for name, column in self._columns.items()}
        additional = {name: self._read(index, name).as_py() for name in self._additional}
        return Clip(
            clip_id=self.clip_ids[index],
            identity=value["identity"],
            waveform=waveform,
            faces=self.faces(index) if self.has_media else [],
            face_features=self.face_features(index),
            attributes=Attributes(value["sex"], value["age"], value["nationality"]),
            source=Source(*(value[name] for name in ("video_id", "start", "end", "x", "y"))),
            split=SPLITS[self.split_of[index]],
            flags=tuple((additional.pop("flags", None) or "").split()),
            vectors={name: np.array(v, np.float32) for name, v in additional.items() if isinstance(v, list)},
        )

    def waveform(self, index: int) -> Waveform:
        """[T] float32 in [-1, 1] at 16 kHz, silence cut, loudness levelled.

        Raises:
            ValueError: If the clip has no voice.
        """
        audio = self._read(index, "audio").as_py()
        if audio is None:
            raise ValueError(f"clip {self.clip_ids[index]} has no voice")
        if audio["bytes"] is None:
            raise self._without_media(index)
        try:
            return decode_flac(audio["bytes"])
        except MediaError as error:
            raise DatasetError(f"{self.root}: clip {self.clip_ids[index]}: {error}") from error

    def face(self, index: int, face: int) -> NDArray[np.uint8]:
        """One crop of a clip, [S, S, 3] uint8 RGB covering `CROP_REGION`."""
        content = self._read(index, "images")[face]["bytes"].as_py()
        if content is None:
            raise self._without_media(index)
        try:
            return decode_crop(content)
        except MediaError as error:
            raise DatasetError(f"{self.root}: clip {self.clip_ids[index]}: {error}") from error

    def faces(self, index: int) -> list[NDArray[np.uint8]]:
        """All crops of a clip."""
        return [self.face(index, face) for face in range(self.num_faces[index])]

    def face_features(self, index: int) -> NDArray[np.float32]:
        """[F, D] unit features of T, one for each crop of the clip."""
        return _to_matrix(self._read(index, "face_features").values, self.info.face_encoder.feature_size)

    def attributes(self, identity: int) -> Attributes:
        """Facts known of a person; each from the first clip that has it."""
        known = (
            [value for clip in self._clips_of[identity] if (value := self._columns[name][clip]) is not None]
            for name in ("sex", "age", "nationality")
        )
        return Attributes(*(values[0] if values else None for values in known))

    def voices_of(self, identity: int) -> list[int]:
        """The clips of a person that have a voice."""
        return [clip for clip in self._clips_of[identity] if self.has_voice[clip]]

    def faces_of(self, identity: int) -> list[tuple[int, int]]:
        """A person's crops as (clip, face) pairs, as `face` takes them."""
        return [(clip, face) for clip in self._clips_of[identity] for face in range(self.num_faces[clip])]

    def all_face_features(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Features of all crops at once.

        Returns:
            [M, D] float32 unit features, and the (clip, face) of each, [M, 2] int64.
        """
        size = self.info.face_encoder.feature_size
        features = [np.zeros((0, size), np.float32)]
        for path in self._shards.paths:
            column = self._shards.read_column(path, "face_features")
            features += [_to_matrix(chunk.flatten(), size) for chunk in column.chunks]
        owners = [(clip, face) for clip, count in enumerate(self.num_faces) for face in range(count)]
        return np.concatenate(features), np.array(owners, np.int64).reshape(-1, 2)

    def person_vectors(self, column: str) -> NDArray[np.float32] | None:
        """An additional column of vectors, one for each person, from the person's first clip.

        Args:
            column: Name of the column, such as `face_traits` of personas.

        Returns:
            [identities, L] float32; None for a data set without such a column.

        Raises:
            DatasetError: If a shard is missing or damaged.
        """
        if column not in self._additional:
            return None
        chunks = [chunk for path in self._shards.paths for chunk in self._shards.read_column(path, column).chunks]
        size = chunks[0].type.list_size
        vectors = np.concatenate([_to_matrix(chunk, size) for chunk in chunks])
        return vectors[[clips[0] for clips in self._clips_of]]

    def texts(self, column: str) -> list[str | None] | None:
        """An additional column of text, such as `language`; one value a clip, None for a data set without it."""
        if column not in self._additional:
            return None
        return [text for path in self._shards.paths for text in self._shards.read_column(path, column).to_pylist()]

    def voice_vector(self, index: int) -> NDArray[np.float32]:
        """[H] the imported voice vector of a clip.

        Raises:
            DatasetError: If the data set holds recordings instead, or the clip has no voice.
        """
        vector = self._read(index, VOICE_VECTOR).as_py() if VOICE_VECTOR in self._additional else None
        if vector is None:
            raise DatasetError(f"{self.root}: clip {self.clip_ids[index]} has no imported voice vector")
        return np.array(vector, np.float32)

    @property
    def has_media(self) -> bool:
        """Whether there are recordings and crops; else there are imported voice vectors and face features alone."""
        return read_imported(self.info.extra) is None

    def _without_media(self, index: int) -> DatasetError:
        return DatasetError(
            f"{self.root}: clip {self.clip_ids[index]} is imported and has neither recording nor picture; encoders of "
            "such a data set have model.backbone imported, and nothing can be drawn or shown"
        )

    def _read(self, index: int, column: str) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        return self._shards.read(int(self._shard_of[index]), int(self._row_of[index]), column)


class _Shards:
    """Single values from Parquet files, with a cache of the row groups used last."""

    def __init__(self, paths: list[Path], cache_bytes: int) -> None:
        self.paths = paths
        self._cache_bytes = cache_bytes
        self._forget()

    def _forget(self) -> None:
        self._process = os.getpid()
        self._files: dict[int, pq.ParquetFile] = {}
        self._cache: OrderedDict[tuple[int, int, str], pa.Array] = OrderedDict()
        self._cached_bytes = 0

    def __getstate__(self) -> dict[str, Any]:
        return {"paths": self.paths, "_cache_bytes": self._cache_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def read(self, shard: int, row: int, column: str) -> Any:
        """One value as an Arrow scalar."""
        group, offset = divmod(row, ROWS_PER_GROUP)
        return self._read_group(shard, group, column)[offset]

    def additional_columns(self) -> list[str]:
        """Columns of the first shard that not all data sets have."""
        try:
            names = pq.read_schema(self.paths[0]).names
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self.paths[0], error) from error
        return [name for name in names if name not in SHARED_COLUMNS]

    def read_column(self, path: Path, column: str) -> pa.ChunkedArray:
        """A whole column, which is not cached."""
        try:
            with pq.ParquetFile(path) as file:
                return file.read([column], use_threads=False)[column]
        except (OSError, KeyError, pa.ArrowException) as error:
            raise _damaged(path, error) from error

    def _read_group(self, shard: int, group: int, column: str) -> pa.Array:
        if self._process != os.getpid():  # open files share their position with the parent process
            self._forget()
        key = (shard, group, column)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        try:
            if shard not in self._files:
                self._files[shard] = pq.ParquetFile(self.paths[shard])
            table = self._files[shard].read_row_group(group, [column], use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self.paths[shard], error) from error
        array = table[column].combine_chunks()
        self._cache[key] = array
        self._cached_bytes += array.nbytes
        while self._cached_bytes > self._cache_bytes and len(self._cache) > 1:
            self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return array


def _damaged(path: Path, error: Exception) -> DatasetError:
    return DatasetError(f"{path}: damaged ({str(error).splitlines()[0]}); prepare the data set again")


def _to_matrix(features: pa.Array, feature_size: int) -> NDArray[np.float32]:
    """A writable [F, D] float32 copy of an array of fixed-size lists."""
    return np.array(features.flatten().to_numpy(zero_copy_only=False), np.float32).reshape(-1, feature_size)
