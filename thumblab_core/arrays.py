"""Names for the types of NumPy arrays. A name states only the type of the elements. The docstrings of functions give
shapes."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
"""Floating-point numbers of any precision."""

Float32s = npt.NDArray[np.float32]

Float64s = npt.NDArray[np.float64]

Rows = npt.NDArray[np.intp]
"""Integer indices of rows in another array."""

Flags = npt.NDArray[np.bool_]
"""One Boolean for each row of another array."""
