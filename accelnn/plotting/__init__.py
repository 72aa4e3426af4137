"""Pictures of data, of models and of training runs, drawn by Matplotlib (``pip install "accelnn[plot]"``).

Every function takes the ``path`` of a PNG file. Without one it makes a figure of ``matplotlib.pyplot``, to be shown by
``pyplot.show()`` or by a notebook. Those that fill a single panel can draw into ``axes`` of yours instead. All return
the ``matplotlib.figure.Figure``. Colours are those that people with any colour vision can tell apart.
"""

from accelnn.plotting.activations import plot_activations
from accelnn.plotting.confusion import plot_confusion_matrix
from accelnn.plotting.curves import plot_history
from accelnn.plotting.decisions import plot_decision_boundary
from accelnn.plotting.figures import check_plot_path
from accelnn.plotting.pictures import plot_first_layer_weights, plot_misclassified
from accelnn.plotting.steps import plot_step

__all__ = [
    "check_plot_path",
    "plot_activations",
    "plot_confusion_matrix",
    "plot_decision_boundary",
    "plot_first_layer_weights",
    "plot_history",
    "plot_misclassified",
    "plot_step",
]
