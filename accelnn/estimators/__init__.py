"""Multilayer perceptrons with the interface of scikit-learn's."""

from accelnn.estimators.classifier import MLPClassifier
from accelnn.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
