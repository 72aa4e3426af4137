"""The operations that layers are written in, bundled so that a backend can exchange them.

A layer asks ``backend.ops`` for an operation and does not know whether a plain formula or a fused kernel
answers. All implementations share these signatures and, up to rounding, these results.
"""

from __future__ import annotations

from accelnn.arrays import reference


class PlainOps:
    """The reference formulas under the names of the operations; any namespace, no state.

    Shapes, dtypes and errors are those of the functions of the same name in ``accelnn.arrays.reference``.
    """

    bias_activation = staticmethod(reference.bias_activation)
    activation_gradient = staticmethod(reference.activation_gradient)
    loss_and_gradient = staticmethod(reference.loss_and_gradient)
    dropout = staticmethod(reference.dropout)
    batch_norm = staticmethod(reference.batch_norm)
    batch_norm_gradient = staticmethod(reference.batch_norm_gradient)
    batch_norm_inference = staticmethod(reference.batch_norm_inference)
    layer_norm = staticmethod(reference.layer_norm)
    layer_norm_gradient = staticmethod(reference.layer_norm_gradient)
    gather = staticmethod(reference.gather)
