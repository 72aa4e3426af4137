"""Data sets: reading, checking, splitting. ``load_dataset`` is the entry; the readers also serve alone."""

from accelnn.data.catalog import dataset_names, load_dataset
from accelnn.data.conversion import csv_to_npy
from accelnn.data.csv import CsvTable, read_csv
from accelnn.data.dataset import Dataset
from accelnn.data.idx import find_idx_files, map_idx, read_idx
from accelnn.data.labels import Targets, encode_targets
from accelnn.data.mnist import MissingDataError
from accelnn.data.npz import read_npz, read_npz_features
from accelnn.data.planar import flower_points, planar_points

__all__ = [
    "CsvTable",
    "Dataset",
    "MissingDataError",
    "Targets",
    "csv_to_npy",
    "dataset_names",
    "encode_targets",
    "find_idx_files",
    "flower_points",
    "load_dataset",
    "map_idx",
    "planar_points",
    "read_csv",
    "read_idx",
    "read_npz",
    "read_npz_features",
]
