"""Build ICC profiles for the PNG chunks that describe colours with a few numbers: gAMA, cHRM and cICP.

A chunk is used only if it has the right length. A cICP chunk contains code points, which are numbers for primaries and
a curve, and all of them must be known. A gAMA chunk must have a gamma from 0.1 to 10. The primaries (red, green and
blue) must span a colour space with finite coordinates below 100. Otherwise, no profile is built.
"""

import struct

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[np.float64]

_SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
"""The chromaticities x and y of sRGB's white, red, green and blue."""
_PRIMARIES = {
    1: _SRGB,
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
}
"""The chromaticities of white and the primaries. The key of an entry is its number in a cICP chunk."""
_Curve = tuple[float, ...]
"""Parameters of an ICC parametric curve: g alone, or g, a, b, c and d."""
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_BT709_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_TRANSFERS: dict[int, _Curve] = {
    **dict.fromkeys((1, 6, 14, 15), _BT709_CURVE),
    4: (2.2,),
    5: (2.8,),
    8: (1.0,),
    13: _SRGB_CURVE,
}
"""The curves that the lab knows. The key of a curve is its number in a cICP chunk.

PQ and HLG, the curves for high dynamic range, are left out, because the colours that they stand for depend on the
screen.
"""
_NEAR = 0.02
"""A gamma that differs from 1/2.2 by at most this share means sRGB.

By PNG's specification, encoders write a gamma of 45455 for sRGB. This number means 0.45455, which is 1/2.2.
"""
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def cicp_profile(chunk: bytes) -> bytes | None:
    """Return the profile for a cICP chunk.

    Returns None if the chunk is broken, or if it says that the picture has video levels or high dynamic range.
    """
    if len(chunk) != 4 or chunk[2:] != b"\0\1" or chunk[0] not in _PRIMARIES or chunk[1] not in _TRANSFERS:
        return None
    return _profile(_PRIMARIES[chunk[0]], _TRANSFERS[chunk[1]])


def gamma_profile(gamma: bytes, chromaticities: bytes) -> bytes | None:
    """Return the profile that the gAMA and cHRM chunks describe. In place of a missing or broken chunk, the values of
    sRGB are used.

    Returns None if the result is sRGB, or if the primaries are impossible.
    """
    curve: _Curve = _SRGB_CURVE
    exponent = int.from_bytes(gamma, "big") / 100_000 if len(gamma) == 4 else 0.0
    if 0.1 <= exponent <= 10 and abs(exponent * 2.2 - 1) > _NEAR:
        curve = (1 / exponent,)
    points = _SRGB
    if len(chromaticities) == 32:
        points = tuple(value / 100_000 for value in struct.unpack(">8I", chromaticities))
    if points == _SRGB and curve == _SRGB_CURVE:
        return None
    return _profile(points, curve)


def _profile(points: tuple[float, ...], curve: _Curve) -> bytes | None:
    """Return an ICC 4.3 profile, or None if the primaries are impossible.

    `points` are the chromaticities of white and the primaries. `curve` converts values to linear light.
    """
    colorants = _colorants(points)
    if colorants is None:
        return None
    xyz = [b"XYZ \0\0\0\0" + _fixed(*column) for column in colorants.T]
    kind = 0 if len(curve) == 1 else 3
    trc = b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + _fixed(*curve)
    bodies = {b"wtpt": b"XYZ \0\0\0\0" + _fixed(*_D50), b"rXYZ": xyz[0], b"gXYZ": xyz[1], b"bXYZ": xyz[2]}
    bodies |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), trc)
    at = 132 + 12 * len(bodies)
    table = b""
    for name, body in bodies.items():
        table += name + struct.pack(">II", at, len(body))
        at += len(body)
    header = struct.pack(">I4xI", at, 0x04300000) + b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    header += _fixed(*_D50) + bytes(48)
    return header + struct.pack(">I", len(bodies)) + table + b"".join(bodies.values())


def _colorants(points: tuple[float, ...]) -> _Array | None:
    """Return the XYZ coordinates of red, green and blue as columns, or None if the primaries are impossible.

    The coordinates are adapted to the white point D50 by the Bradford transform.
    """
    x, y = np.array(points[::2]), np.array(points[1::2])
    if (y <= 0).any():
        return None
    white, red, green, blue = np.stack([x / y, np.ones(4), (1 - x - y) / y], axis=1)
    primaries = np.stack([red, green, blue], axis=1)
    if abs(np.linalg.det(primaries)) < 1e-4:
        return None
    adapt = np.linalg.solve(_BRADFORD, np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white)) @ _BRADFORD)
    colorants = adapt @ (primaries * np.linalg.solve(primaries, white))
    return colorants if np.isfinite(colorants).all() and np.abs(colorants).max() < 100 else None


def _fixed(*values: float) -> bytes:
    """Return the numbers in ICC's format s15Fixed16."""
    return struct.pack(f">{len(values)}i", *(round(value * 65_536) for value in values))
